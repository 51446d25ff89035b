"""Gradient ascent in input space: the pictures that make chosen units answer most, many at once.

Three ways, all of them ascent (the first book says descent in places):

    pixels    Chollet 2017, listings 5-32 to 5-38: from grey with a little noise, 40 steps along the gradient divided by its
              root mean square (which the book calls its L2 norm); shown as 0.5 + 0.1 (x - mean) / deviation
    smoothed  Principles and Practice, listings 6-13 to 6-15: 201 steps, each followed by a clip to 0..255, and a median filter
              of 5 x 5 in space after every tenth; the book gives no size of step
    fourier   Olah, Mordvintsev, Schubert 2017, *Feature Visualization*: the picture as Fourier coefficients, low frequencies
              weighed up, colours decorrelated, a sigmoid; Adam on the coefficients, the picture jittered at every step

The gradient of each picture is its own: in evaluation mode no picture of a batch sees another, so the pictures of a batch
are those that would come out one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from gradus.errors import UserError
from gradus.look.inside.subject import Subject

Method = Literal["fourier", "pixels", "smoothed"]
STEPS = {"pixels": 40, "smoothed": 201, "fourier": 80}
RATES = {"pixels": 1.0, "smoothed": 4.0, "fourier": 0.05}  # levels of 255 a step; of Adam for the coefficients
EPSILON = 1e-5
EVERY, WIDTH = 10, 5  # the median filter
# The square root of the covariance of the colours of ImageNet, its longest column 1 (the file that lucid and its followers use).
COLOURS = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]]) / np.linalg.norm([0.26, 0.27, 0.27])


@dataclass(frozen=True)
class Ascent:
    """How pictures are sought.

    size: side in pixels; steps, rate: 0 for those of the method; jitter: pixels each way; contrast: of the noise at the start
    """

    size: int
    method: Method = "fourier"
    steps: int = 0
    rate: float = 0.0
    jitter: int = 4
    contrast: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.size < 1 or self.steps < 0 or self.rate < 0 or self.jitter < 0:
            raise UserError("size must be at least 1; steps, rate and jitter at least 0 (0: what the method has)")

    def run(self, subject: Subject, count: int, objective: Callable[[Tensor], Tensor]) -> Tensor:
        """Float 0..1 (count, C, size, size): the pictures found.

        objective: (count, C, H, W) as the model takes them -> (count,) what each picture is to make large
        """
        steps, rate = self.steps or STEPS[self.method], self.rate or RATES[self.method]
        generator = torch.Generator().manual_seed(self.seed)
        shape = (count, subject.channels, self.size, self.size)

        def value(pictures: Tensor) -> Tensor:
            return objective(subject.prepare(pictures.permute(0, 2, 3, 1) * 255))

        with frozen(subject.model):
            if self.method == "fourier":
                return self._fourier(shape, value, steps, rate, generator, subject.device)
            return self._pixels(shape, value, steps, rate, generator, subject.device)

    def _pixels(self, shape, value, steps: int, rate: float, generator: torch.Generator, device) -> Tensor:
        noise = 20 * self.contrast * (torch.rand(shape, generator=generator) - 0.5)
        pictures = ((noise + (138 if self.method == "pixels" else 128)) / 255).to(device)
        for step in range(steps):
            gradient = unit_gradient(value, pictures)
            pictures = pictures + rate / 255 * gradient
            if self.method == "smoothed":
                pictures = pictures.clamp(0, 1)
                if (step + 1) % EVERY == 0:
                    pictures = smooth(pictures)
        return pictures if self.method == "smoothed" else presentable(pictures)

    def _fourier(self, shape, value, steps: int, rate: float, generator: torch.Generator, device) -> Tensor:
        size = shape[-1]
        weights = frequency_weights(size).to(device)
        coefficients = (0.01 * self.contrast * torch.randn((*shape[:3], size // 2 + 1, 2), generator=generator)).to(
            device
        )
        coefficients.requires_grad_(True)
        optimizer = torch.optim.Adam([coefficients], lr=rate)
        for _ in range(steps):
            pictures = from_fourier(coefficients, weights, size)
            if self.jitter:
                down, right = torch.randint(-self.jitter, self.jitter + 1, (2,), generator=generator).tolist()
                pictures = pictures.roll((down, right), (2, 3))
            optimizer.zero_grad()
            (-value(pictures).sum()).backward()
            optimizer.step()
        return from_fourier(coefficients, weights, size).detach()


class frozen:
    """While it lasts, no parameter of the model takes part in differentiation."""

    def __init__(self, model: nn.Module) -> None:
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def __enter__(self) -> None:
        for parameter in self.parameters:
            parameter.requires_grad_(False)

    def __exit__(self, *error: object) -> None:
        for parameter in self.parameters:
            parameter.requires_grad_(True)


def unit_gradient(value: Callable[[Tensor], Tensor], pictures: Tensor) -> Tensor:
    """The gradient of each picture's value by its pixels, divided by (its root mean square + 1e-5)."""
    pictures = pictures.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(value(pictures).sum(), pictures)
    return gradient / (gradient.square().mean(dim=(1, 2, 3), keepdim=True).sqrt() + EPSILON)


def presentable(pictures: Tensor) -> Tensor:
    """0.5 + 0.1 (x - mean) / (deviation + 1e-5) of each picture, clipped to 0..1; a new tensor."""
    mean, deviation = (
        pictures.mean(dim=(1, 2, 3), keepdim=True),
        pictures.std(dim=(1, 2, 3), keepdim=True, correction=0),
    )
    return (0.5 + 0.1 * (pictures - mean) / (deviation + EPSILON)).clamp(0, 1)


def smooth(pictures: Tensor) -> Tensor:
    """The median of 5 x 5 pixels around each, in space only: never across pictures or colours."""
    from scipy.ndimage import median_filter

    return torch.from_numpy(median_filter(pictures.cpu().numpy(), size=(1, 1, WIDTH, WIDTH))).to(pictures.device)


def frequency_weights(size: int) -> Tensor:
    """(size, size // 2 + 1): 1 / frequency, that of the mean as that of the lowest wave, times size"""
    down, right = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :]
    frequency = np.maximum(np.sqrt(down**2 + right**2), 1 / size)
    return torch.from_numpy(size / frequency).float()


def from_fourier(coefficients: Tensor, weights: Tensor, size: int) -> Tensor:
    """Coefficients (B, C, size, size // 2 + 1, 2) -> pictures 0..1 (B, C, size, size), colours mixed as natural ones are."""
    spectrum = torch.view_as_complex(coefficients) * weights
    pictures = torch.fft.irfft2(spectrum, s=(size, size)) / 4
    if pictures.shape[1] == 3:
        mixing = torch.from_numpy(COLOURS).to(pictures)
        pictures = torch.einsum("bchw,dc->bdhw", pictures, mixing)
    return torch.sigmoid(pictures)

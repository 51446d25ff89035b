"""A small denoising diffusion model (Ho 2020) with classifier-free guidance (Ho and Salimans 2022).

The network is told a noisy picture and how noisy it is, and says what the noise is: directly (Ho 2020), or by the velocity
√share noise - √(1 - share) picture (Salimans and Ho 2022), from which the noise follows. The squared error of the velocity
weighs noisy pictures more, where shapes are decided: after 500 steps on MNIST it gives digits, the other strokes.

The network works on a quarter and a sixteenth of the pixels (28x28: 14x14 and 7x7), so that an epoch of MNIST is minutes of one
core; the papers' networks begin at all pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.errors import UserError
from gradus.models.generative.noising import Sampler, Schedule, noised, run_chain, shares_left
from gradus.models.generative.outcome import Outcome, as_pair, standard_normal


@dataclass(frozen=True, kw_only=True)
class DiffusionSampling:
    """How pictures are made of noise; `gradus generate RUN --set steps=20`."""

    steps: int = 50  # of the chain, at most those of the training
    # ddim: the initial noise decides the picture; ddpm: noise is added in every step, which needs more steps (250 or all)
    sampler: Sampler = "ddim"
    # how far the prediction goes beyond that of the class, away from that without a class; 0: as learnt, at half the time
    guidance: float = 0.0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UserError(f"steps: expected a whole number above 0, received {self.steps}")
        if not 0 <= self.guidance < math.inf:
            raise UserError(f"guidance: expected a number from 0, received {self.guidance:g}")


class Diffusion(nn.Module):
    """(B, C, side, side), or that and classes (B,) -> `Outcome`: the squared error of what it predicts, a pixel's mean, and that
    of the noise which follows from it.

    num_steps:     of the process from picture to noise; image_size: a multiple of 4
    drop_classes:  share of the training pictures whose class is not told, so that the network knows both
    """

    pixels: Literal["symmetric"] = "symmetric"
    shares: Tensor

    def __init__(
        self,
        in_channels: int = 1,
        image_size: int = 28,
        num_classes: int | None = None,
        width: int = 32,
        num_steps: int = 1000,
        schedule: Schedule = "cosine",
        predicts: Literal["velocity", "noise"] = "velocity",
        drop_classes: float = 0.1,
    ) -> None:
        super().__init__()
        if image_size % 4:
            raise UserError(f"diffusion: image_size must be a multiple of 4, received {image_size}")
        if num_steps < 2:
            raise UserError(f"diffusion: num_steps must be 2 or more, received {num_steps}")
        if not 0 <= drop_classes < 1:
            raise UserError(f"diffusion: drop_classes must be a share below 1, received {drop_classes}")
        self.sampling = DiffusionSampling(steps=min(50, num_steps))
        self.quick = {"steps": min(20, num_steps)}  # of what is drawn while it trains
        self.shape = (in_channels, image_size, image_size)
        self.num_classes, self.drop_classes, self.predicts = num_classes, drop_classes, predicts
        self.register_buffer("shares", shares_left(num_steps, schedule), persistent=False)
        self.network = UNet(in_channels, width, num_classes)

    def forward(self, inputs: Tensor | tuple[Tensor, Tensor]) -> Outcome:
        pictures, classes = as_pair(inputs)
        steps = len(self.shares) - 1
        # spread evenly over a batch, which makes losses and gradients steadier (Kingma 2021, VDM, appendix I.1)
        rows = torch.arange(len(pictures), device=pictures.device)
        spread = (torch.rand((), device=pictures.device) + rows / len(pictures)) % 1
        times = (spread * steps).long().clamp(max=steps - 1) + 1
        noise = torch.randn_like(pictures)
        share = self.shares[times].to(pictures.dtype)[:, None, None, None]
        if classes is not None and self.num_classes and self.training:
            dropped = torch.rand(len(classes), device=classes.device) < self.drop_classes
            classes = torch.where(dropped, self.num_classes, classes)
        found = self.network(noised(pictures, noise, share), times.to(pictures.dtype) / steps, classes)
        wanted = noise if self.predicts == "noise" else share.sqrt() * noise - (1 - share).sqrt() * pictures
        error = functional.mse_loss(found.float(), wanted.float(), reduction="none").flatten(1).mean(dim=1)
        return Outcome(error, {"noise_error": error if self.predicts == "noise" else error * share.flatten()})

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        return standard_normal((count, *self.shape), generator)

    def generate(
        self, latents: Tensor, classes: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        settings, steps, shares = self.sampling, len(self.shares) - 1, self.shares.cpu()
        if settings.steps > steps:
            raise UserError(f"steps: the network was trained for {steps} at most, received {settings.steps}")
        if settings.guidance and (classes is None or not self.num_classes):
            raise UserError("guidance: this network was trained without classes (task.options.conditional)")

        def predict(state: Tensor, time: int) -> Tensor:
            moments = torch.full((len(state),), time / steps, device=state.device, dtype=state.dtype)
            told = self.network(state, moments, classes)
            if settings.guidance:
                told = (1 + settings.guidance) * told - settings.guidance * self.network(state, moments, None)
            share = float(shares[time])
            return told if self.predicts == "noise" else math.sqrt(1 - share) * state + math.sqrt(share) * told

        return run_chain(predict, latents, shares, settings.steps, sampler=settings.sampler, generator=generator)


class UNet(nn.Module):
    """(B, C, S, S), times (B,) in 0..1, classes (B,) or None -> (B, C, S, S). Maps: S/2 with `width`, S/4 with twice as many."""

    def __init__(self, in_channels: int, width: int, num_classes: int | None) -> None:
        super().__init__()
        self.num_classes = num_classes
        told = 4 * width
        self.time = nn.Sequential(nn.Linear(told, told), nn.SiLU(), nn.Linear(told, told))
        self.classes = nn.Embedding(num_classes + 1, told) if num_classes else None  # the last one: no class is told
        self.enter = nn.Conv2d(in_channels, width, 4, stride=2, padding=1)
        self.first = Block(width, width, told)
        self.down = nn.Conv2d(width, 2 * width, 4, stride=2, padding=1)
        self.second = Block(2 * width, 2 * width, told)
        self.third = Block(2 * width, 2 * width, told)
        self.up = nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1)
        self.last = Block(2 * width, width, told)
        self.leave = nn.Sequential(
            nn.GroupNorm(8, width), nn.SiLU(), nn.ConvTranspose2d(width, in_channels, 4, stride=2, padding=1)
        )
        nn.init.zeros_(self.leave[2].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.leave[2].bias)  # type: ignore[arg-type]

    def forward(self, pictures: Tensor, times: Tensor, classes: Tensor | None) -> Tensor:
        told = self.time(_waves(times, self.time[0].in_features))  # type: ignore[arg-type]
        if self.classes is not None:
            if classes is None:
                classes = torch.full((len(pictures),), self.num_classes or 0, device=pictures.device)
            told = told + self.classes(classes)
        told = functional.silu(told)
        fine = self.first(self.enter(pictures), told)  # S/2
        coarse = self.third(self.second(self.down(fine), told), told)  # S/4
        return self.leave(self.last(torch.cat([self.up(coarse), fine], dim=1), told))


def _waves(times: Tensor, size: int) -> Tensor:
    """(B,) in 0..1 -> (B, size): sines and cosines of 1000 t at periods from 2 pi to 20 000 pi (Vaswani 2017, as Ho 2020)."""
    rates = torch.exp(-math.log(10_000) * torch.arange(size // 2, device=times.device) / (size // 2))
    angles = 1000 * times.float()[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1).to(times.dtype)


class Block(nn.Module):
    """Two 3x3 convolutions with a shortcut; what is told scales and shifts the maps between them."""

    def __init__(self, channels: int, out_channels: int, told: int) -> None:
        super().__init__()
        self.before = nn.Sequential(
            nn.GroupNorm(8, channels), nn.SiLU(), nn.Conv2d(channels, out_channels, 3, padding=1)
        )
        self.told = nn.Linear(told, 2 * out_channels)
        self.norm = nn.GroupNorm(8, out_channels)
        self.after = nn.Sequential(nn.SiLU(), nn.Conv2d(out_channels, out_channels, 3, padding=1))
        self.shortcut = nn.Conv2d(channels, out_channels, 1) if channels != out_channels else nn.Identity()

    def forward(self, maps: Tensor, told: Tensor) -> Tensor:
        scale, shift = self.told(told)[:, :, None, None].chunk(2, dim=1)
        inner = self.norm(self.before(maps)) * (1 + scale) + shift
        return self.after(inner) + self.shortcut(maps)

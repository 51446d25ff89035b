"""Colour: every linear change of the values of a picture composed into one matrix, applied once, and noise.

In the order in which they act: brightness, contrast, saturation, hue, grey, offset, channel offset, principal components. The
result is kept within 0 to 255 once, at the end, not between two of them.

Choices. Contrast is about the picture's mean colour, channel by channel (as in TensorFlow), so it does not change that colour;
the mean is of the picture as it is seen, after the warp. Grey has the luma of BT.601 (0.299 R + 0.587 G + 0.114 B). Hue turns the
plane of I and Q in YIQ and keeps the luma of every pixel, which turning the hue of HSV does not.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from gradus.data.augment.settings import AugmentSettings, factors

LINEAR = ("brightness", "contrast", "saturation", "hue", "grey", "offset", "channel_offset", "pca")

YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])  # FCC, 1953


def hue_parts() -> Tensor:
    """float32 (3, 3, 3): turning colours by t is the matrix parts[0] + cos(t) parts[1] + sin(t) parts[2]; parts[0] makes grey."""
    back = np.linalg.inv(YIQ)
    luma, same, turned = np.zeros((3, 3, 3))
    luma[0, 0] = same[1, 1] = same[2, 2] = 1
    turned[1, 2], turned[2, 1] = -1, 1
    return torch.tensor(np.stack([back @ plane @ YIQ for plane in (luma, same, turned)]), dtype=torch.float32)


def principal_components(pixels: np.ndarray) -> Tensor:
    """uint8 (..., 3) -> float32 (3, 3): what AlexNet's colour noise adds is this times three standard normals times `pca`.

    Column i is eigenvector i times its eigenvalue, of the covariance of pixels in 0 to 1, here in levels (times 255). Eigenvalues
    are squares: of pixels in 0 to 255 they would be 255 times too large.
    """
    flat = pixels.reshape(-1, 3).astype(np.float64)
    mean = flat.mean(axis=0)
    covariance = (flat.T @ flat / len(flat) - np.outer(mean, mean)) / 255**2
    values, vectors = np.linalg.eigh(covariance)
    return torch.tensor(vectors * values * 255, dtype=torch.float32)


def draw_colours(
    settings: AugmentSettings, pictures: Tensor, parts: Tensor, components: Tensor | None
) -> tuple[Tensor, Tensor]:
    """A linear map of the pixels of each picture, drawn from the global generator: matrices (B, C, C), offsets (B, C) in levels.

    pictures:   (B, C, H, W) that they are for; C is 1 or 3, and with 1 the changes of `COLOURFUL` are left out
    parts:      of `hue_parts`; components: of `principal_components`, where settings.pca is above 0
    """
    rows, channels = pictures.shape[:2]
    device = pictures.device
    matrix = torch.eye(channels, device=device).repeat(rows, 1, 1)
    offset = torch.zeros(rows, channels, device=device)

    def uniform(low: float, high: float, *more: int) -> Tensor:
        return torch.rand(rows, *more, device=device) * (high - low) + low

    if factors(settings.brightness) != (1, 1):
        matrix = matrix * uniform(*factors(settings.brightness))[:, None, None]
    if factors(settings.contrast) != (1, 1):
        factor = uniform(*factors(settings.contrast))[:, None]
        mean = _times(matrix, pictures.mean(dim=(2, 3))) + offset
        matrix, offset = matrix * factor[:, :, None], factor * offset + (1 - factor) * mean
    if channels == 3:
        matrix, offset = _draw_hues(settings, matrix, offset, parts)
    if settings.offset:
        offset = offset + uniform(-settings.offset, settings.offset)[:, None]
    if settings.channel_offset and channels == 3:
        offset = offset + uniform(-settings.channel_offset, settings.channel_offset, 3)
    if settings.pca and components is not None:
        offset = offset + settings.pca * _times(components[None], torch.randn(rows, 3, device=device))
    return matrix, offset


def _draw_hues(settings: AugmentSettings, matrix: Tensor, offset: Tensor, parts: Tensor) -> tuple[Tensor, Tensor]:
    """What mixes the channels: saturation, hue and grey."""
    rows, device = len(matrix), matrix.device
    cosine, sine = torch.ones(rows, device=device), torch.zeros(rows, device=device)
    if settings.hue:
        angle = (2 * torch.rand(rows, device=device) - 1) * math.radians(settings.hue)
        cosine, sine = angle.cos(), angle.sin()
    scale = torch.ones(rows, device=device)
    low, high = factors(settings.saturation)
    if (low, high) != (1, 1):
        scale = torch.rand(rows, device=device) * (high - low) + low
    if settings.grey:
        scale = scale * (torch.rand(rows, device=device) >= settings.grey)
    if not (settings.hue or settings.grey or (low, high) != (1, 1)):
        return matrix, offset
    # saturation and grey scale the plane that hue turns, so that all three are one
    chroma = (scale * cosine)[:, None, None] * parts[1] + (scale * sine)[:, None, None] * parts[2]
    mixing = parts[0] + chroma
    return (mixing[:, :, :, None] * matrix[:, None]).sum(dim=2), _times(mixing, offset)


def _times(matrices: Tensor, vectors: Tensor) -> Tensor:
    """(B or 1, 3, 3) times (B, 3), in full precision."""
    return (matrices * vectors[:, None]).sum(dim=2)


def change_colours(pictures: Tensor, matrices: Tensor, offsets: Tensor, mixes: bool) -> Tensor:
    """Pictures float32 (B, C, H, W) with every pixel p replaced by matrices @ p + offsets; they may be changed in place.

    mixes: whether the matrices have anything beside their diagonal
    """
    if not mixes:
        scale = matrices.diagonal(dim1=1, dim2=2)[:, :, None, None]
        return pictures.mul_(scale).add_(offsets[:, :, None, None])
    return torch.baddbmm(offsets[:, :, None], matrices, pictures.flatten(2)).view_as(pictures)

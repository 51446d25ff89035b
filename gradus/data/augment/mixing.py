"""Erasing and mixing: cutout, mixup and cutmix.

Each picture is mixed with the one before it in the batch, whose order is random already, by a share of its own.

Choices. The shares are drawn picture by picture (the papers draw one for a batch), and rectangles have whole pixels: the share of
cutmix is the area that is really left.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gradus.data.augment.settings import AugmentSettings


def cut_out(pictures: Tensor, side: float, level: Tensor) -> Tensor:
    """A square of `side` times the shorter side, its centre anywhere, becomes `level` (DeVries and Taylor 2017).

    pictures: (B, C, H, W); level: (C,)
    """
    height, width = pictures.shape[2:]
    pixels = max(1, round(side * min(height, width)))
    centres = torch.rand(2, len(pictures), device=pictures.device)
    inside = _rectangle(centres[0] * height, centres[1] * width, pixels, pixels, (height, width))
    return torch.where(inside[:, None], level[:, None, None], pictures)


def mix(pictures: Tensor, settings: AugmentSettings) -> tuple[Tensor, Tensor]:
    """Mixup (Zhang et al. 2018) or cutmix (Yun et al. 2019) of a batch (B, C, H, W).

    Returns the mixed pictures and the share (B,) that each has of itself; the rest is of the picture before it: `others_of`.
    """
    rows, _, height, width = pictures.shape
    device = pictures.device
    others = others_of(pictures)
    if settings.mixup:
        shares = draw_beta(settings.mixup, rows, device)
        mixed = torch.lerp(others, pictures, shares[:, None, None, None])
        if not settings.cutmix:
            return mixed, shares
    kept = draw_beta(settings.cutmix, rows, device)
    sides = (1 - kept).sqrt()
    centres = torch.rand(2, rows, device=device)
    pasted = _rectangle(
        centres[0] * height, centres[1] * width, (sides * height).round(), (sides * width).round(), (height, width)
    )
    left = 1 - pasted.sum(dim=(1, 2)) / (height * width)
    patched = torch.where(pasted[:, None], others, pictures)
    if not settings.mixup:
        return patched, left
    chosen = torch.rand(rows, device=device) < 0.5
    return torch.where(chosen[:, None, None, None], mixed, patched), torch.where(chosen, shares, left)


def others_of(values: Tensor) -> Tensor:
    """What each row of a batch is mixed with: the row before it, and the last one for the first."""
    return values.roll(1, 0)


def draw_beta(alpha: float, rows: int, device: torch.device) -> Tensor:
    """float32 (rows,) from Beta(alpha, alpha), by two gamma variables. In float64: those of a small alpha are tiny."""
    first, second = torch._standard_gamma(torch.full((2, rows), alpha, dtype=torch.float64, device=device))
    return (first / (first + second)).to(torch.float32)


def _rectangle(y: Tensor, x: Tensor, height: Tensor | int, width: Tensor | int, size: tuple[int, int]) -> Tensor:
    """bool (B, H, W): the pixels of rectangles around (y, x), cut off at the edges. With whole sides, it has that many pixels."""
    inside = []
    for centre, side, length in ((y, height, size[0]), (x, width, size[1])):
        first = (centre - side / 2).round()[:, None]
        place = torch.arange(length, device=y.device)
        end = first + (side[:, None] if isinstance(side, Tensor) else side)
        inside.append((place >= first) & (place < end))
    return inside[0][:, :, None] & inside[1][:, None, :]

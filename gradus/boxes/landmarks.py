"""Landmarks: named points on pictures, how far off they are, and the losses that they are learnt by.

Points are (..., K, 2), x then y; nan where a point is not there, which is neither learnt nor counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor

Loss = Literal["wing", "huber", "squared"]
CORNERS = ("left_top", "right_top", "right_bottom", "left_bottom")


def corners_of(boxes: np.ndarray) -> np.ndarray:
    """Boxes (N, 4) -> their corners (N, 4, 2), in the order of `CORNERS`."""
    left, top, right, bottom = np.asarray(boxes, dtype=np.float64).T
    return np.stack([np.stack(at, axis=-1) for at in ((left, top), (right, top), (right, bottom), (left, bottom))], 1)


def wing(differences: Tensor, width: float = 0.1, curvature: float = 0.02) -> Tensor:
    """Feng et al. 2018 (eq. 5): width * ln(1 + |x| / curvature) for |x| < width, from there on |x| less a constant that joins
    both. Small errors pull harder than with squares. Any shape; the defaults are for shares of a picture's side."""
    size = differences.abs()
    constant = width - width * math.log1p(width / curvature)
    return torch.where(size < width, width * torch.log1p(size / curvature), size - constant)


def huber(differences: Tensor, delta: float = 0.05) -> Tensor:
    """x² / 2 for |x| < delta, delta * (|x| - delta / 2) beyond."""
    size = differences.abs()
    return torch.where(size < delta, size**2 / 2, delta * (size - delta / 2))


LOSSES: dict[str, Callable[[Tensor], Tensor]] = {"wing": wing, "huber": huber, "squared": torch.square}


def point_loss(found: Tensor, given: Tensor, loss: Loss) -> Tensor:
    """The mean over the coordinates of points that are there; 0 where none is. found, given: (B, K, 2), shares of the picture."""
    there = given.isfinite()
    differences = torch.where(there, found - given, 0)
    return (LOSSES[loss](differences) * there).sum() / there.sum().clamp(min=1)


def distances(found: Tensor, given: Tensor) -> Tensor:
    """(..., K): how far each found point is from its true one; nan where that is not there."""
    return (found - given).square().sum(dim=-1).sqrt()


def reference_lengths(given: Tensor, sizes: Tensor, by: Literal["picture", "points"]) -> Tensor:
    """(B,) what errors are divided by: the diagonal of the picture, or of the box around its true points. given: (B, K, 2);
    sizes: (B, 2), width and height. nan where the points have no box."""
    if by == "picture":
        return sizes.square().sum(dim=-1).sqrt()
    there = given.isfinite()
    high = torch.where(there, given, -torch.inf).amax(dim=-2)
    low = torch.where(there, given, torch.inf).amin(dim=-2)
    diagonal = (high - low).square().sum(dim=-1).sqrt()
    return torch.where((high > low).any(dim=-1), diagonal, torch.nan)

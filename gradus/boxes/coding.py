"""Box regression: how a box differs from another one that it is told by (Girshick et al. 2014, appendix C).

    dx = (x - x_a) / w_a    dy = (y - y_a) / h_a    dw = log(w / w_a)    dh = log(h / h_a)

x, y: centres; a: the anchor, prior or proposal. Divided by `scale`, so that all four have a deviation of about one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gradus.boxes.geometry import from_centres, to_centres

UNIT = (1.0, 1.0, 1.0, 1.0)
LARGEST = math.log(1000 / 16)  # of dw and dh when decoding, so that a wild guess is no infinite box


def encode_boxes(boxes: Tensor, anchors: Tensor, scale: Sequence[float] = UNIT) -> Tensor:
    """Boxes (..., 4) told by anchors (..., 4) -> (..., 4): dx, dy, dw, dh. Sides below a thousandth of a pixel count as one."""
    mine, theirs = to_centres(boxes), to_centres(anchors)
    sides = theirs[..., 2:].clamp(min=1e-3)
    moved = (mine[..., :2] - theirs[..., :2]) / sides
    grown = (mine[..., 2:].clamp(min=1e-3) / sides).log()
    return torch.cat([moved, grown], dim=-1) / boxes.new_tensor(scale)


def decode_boxes(deltas: Tensor, anchors: Tensor, scale: Sequence[float] = UNIT) -> Tensor:
    """The inverse: (..., 4), (..., 4) -> boxes (..., 4)."""
    deltas, theirs = deltas * deltas.new_tensor(scale), to_centres(anchors)
    centres = theirs[..., :2] + deltas[..., :2] * theirs[..., 2:]
    sides = theirs[..., 2:] * deltas[..., 2:].clamp(max=LARGEST).exp()
    return from_centres(torch.cat([centres, sides], dim=-1))

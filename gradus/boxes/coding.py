"""Box regression: a box as four numbers that say how to move and stretch an anchor to it.

    t_x = (G_x - P_x) / P_w    t_y = (G_y - P_y) / P_h    t_w = log(G_w / P_w)    t_h = log(G_h / P_h)

with the centre, width and height of the box G and of the anchor P (Girshick et al. 2014, eq. 6-9).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gradus.boxes.geometry import from_centres, to_centres

LEAST_SIDE = 1e-3
MOST_STRETCH = math.log(1000 / 16)  # a wilder guess is cut off, so that its exponential stays finite


def encode_boxes(boxes: Tensor, anchors: Tensor, variances: Sequence[float] = (1, 1, 1, 1)) -> Tensor:
    """(..., 4), (..., 4) -> (..., 4): what leads from the anchors to the boxes, divided by `variances`. Sides below a
    thousandth of a pixel count as one, so that empty rows stay finite.

    variances: the spread of t_x, t_y, t_w, t_h, so that all four are learnt at one pace; SSD and Fast R-CNN have 0.1,
    0.1, 0.2, 0.2
    """
    goal, start = to_centres(boxes), to_centres(anchors)
    sides = start[..., 2:].clamp(min=LEAST_SIDE)
    moved = (goal[..., :2] - start[..., :2]) / sides
    stretched = (goal[..., 2:].clamp(min=LEAST_SIDE) / sides).log()
    return torch.cat([moved, stretched], dim=-1) / moved.new_tensor(variances)


def decode_boxes(deltas: Tensor, anchors: Tensor, variances: Sequence[float] = (1, 1, 1, 1)) -> Tensor:
    """The inverse of `encode_boxes`; a side is stretched at most 62.5-fold. The two broadcast."""
    start = to_centres(anchors)
    deltas = deltas * deltas.new_tensor(variances)
    centre = start[..., :2] + deltas[..., :2] * start[..., 2:]
    sides = start[..., 2:] * deltas[..., 2:].clamp(max=MOST_STRETCH).exp()
    return from_centres(torch.cat([centre, sides], dim=-1))

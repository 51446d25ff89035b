"""The geometry of boxes: conversions, areas and overlaps, in bulk on any device.

A box is (left, top, right, bottom) as lengths: its width is right - left. `reference/overlap.py` has the same in NumPy.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def to_centres(boxes: Tensor) -> Tensor:
    """(..., 4) left, top, right, bottom -> centre x, centre y, width, height."""
    low, high = boxes[..., :2], boxes[..., 2:4]
    return torch.cat([(low + high) / 2, high - low], dim=-1)


def from_centres(boxes: Tensor) -> Tensor:
    """(..., 4) centre x, centre y, width, height -> left, top, right, bottom."""
    half = boxes[..., 2:4] / 2
    return torch.cat([boxes[..., :2] - half, boxes[..., :2] + half], dim=-1)


def areas(boxes: Tensor) -> Tensor:
    """(..., 4) -> (...); 0 where a side is negative."""
    return (boxes[..., 2:4] - boxes[..., :2]).clamp(min=0).prod(dim=-1)


def _pairwise_shared(first: Tensor, second: Tensor) -> Tensor:
    """(..., N, 4), (..., M, 4) -> (..., N, M): the area that each pair has in common. One side after the other, so that each
    step goes over whole rows of memory."""
    sides = []
    for low, high in ((0, 2), (1, 3)):
        start = torch.maximum(first[..., :, None, low], second[..., None, :, low])
        end = torch.minimum(first[..., :, None, high], second[..., None, :, high])
        sides.append((end - start).clamp(min=0))
    return sides[0] * sides[1]


def pairwise_iou(first: Tensor, second: Tensor) -> Tensor:
    """(..., N, 4), (..., M, 4) -> (..., N, M): intersection over union of every pair. Of nothing: 0."""
    shared = _pairwise_shared(first, second)
    union = areas(first)[..., :, None] + areas(second)[..., None, :] - shared
    return shared / union.clamp(min=torch.finfo(shared.dtype).tiny)


def pairwise_cover(first: Tensor, second: Tensor) -> Tensor:
    """(..., N, 4), (..., M, 4) -> (..., N, M): the share of each first box that lies in the second."""
    shared = _pairwise_shared(first, second)
    return shared / areas(first)[..., :, None].clamp(min=torch.finfo(shared.dtype).tiny)


def iou(first: Tensor, second: Tensor) -> Tensor:
    """(..., 4), (..., 4) -> (...): of boxes side by side."""
    return pairwise_iou(first[..., None, :], second[..., None, :])[..., 0, 0]


def giou(first: Tensor, second: Tensor) -> Tensor:
    """(..., 4), (..., 4) -> (...): generalised IoU (Rezatofighi et al. 2019), from -1 to 1: IoU less the share of the smallest
    box around both that belongs to neither, so that boxes that do not meet still have a gradient."""
    shared = (torch.minimum(first[..., 2:4], second[..., 2:4]) - torch.maximum(first[..., :2], second[..., :2])).clamp(
        min=0
    )
    shared = shared.prod(dim=-1)
    union = areas(first) + areas(second) - shared
    around = torch.maximum(first[..., 2:4], second[..., 2:4]) - torch.minimum(first[..., :2], second[..., :2])
    hull = around.clamp(min=0).prod(dim=-1)
    tiny = torch.finfo(shared.dtype).tiny
    return shared / union.clamp(min=tiny) - (hull - union) / hull.clamp(min=tiny)


def diou(first: Tensor, second: Tensor) -> Tensor:
    """(..., 4), (..., 4) -> (...): distance IoU (Zheng et al. 2020), from -1 to 1: IoU less the squared distance of the middles
    over the squared diagonal of the smallest box around both."""
    low = torch.minimum(first[..., :2], second[..., :2])
    high = torch.maximum(first[..., 2:4], second[..., 2:4])
    apart = (to_centres(first) - to_centres(second))[..., :2].square().sum(dim=-1)
    diagonal = (high - low).square().sum(dim=-1)
    return iou(first, second) - apart / diagonal.clamp(min=torch.finfo(diagonal.dtype).tiny)


def ciou(first: Tensor, second: Tensor) -> Tensor:
    """(..., 4), (..., 4) of positive sides -> (...): complete IoU (Zheng et al. 2020): distance IoU less a v, where
    v = (2 / pi (angle of the one diagonal - that of the other))^2 and a = v / (1 - IoU + v), a constant for the gradient."""
    angles = [torch.atan2(*to_centres(boxes)[..., 2:].unbind(-1)) for boxes in (first, second)]
    apart = (angles[0] - angles[1]).square() * 4 / math.pi**2
    with torch.no_grad():
        weight = apart / (1 - iou(first, second) + apart).clamp(min=torch.finfo(apart.dtype).eps)
    return diou(first, second) - weight * apart


def clip(boxes: Tensor, height: Tensor | float, width: Tensor | float) -> Tensor:
    """Boxes (..., 4) cut off at the edges of pictures of that size (numbers, or tensors that broadcast with (...))."""
    left, top, right, bottom = boxes.unbind(-1)
    sides = [torch.as_tensor(side, dtype=boxes.dtype, device=boxes.device) for side in (width, height, width, height)]
    parts = [
        torch.minimum(part.clamp(min=0), side) for part, side in zip((left, top, right, bottom), sides, strict=True)
    ]
    return torch.stack(parts, dim=-1)

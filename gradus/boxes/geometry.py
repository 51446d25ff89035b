"""The geometry of boxes: conversions, areas and overlaps, in bulk on any device.

A box is (left, top, right, bottom) as lengths: its width is right - left. `reference/overlap.py` has the same in NumPy.
"""

from __future__ import annotations

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


def clip(boxes: Tensor, height: Tensor | float, width: Tensor | float) -> Tensor:
    """Boxes (..., 4) cut off at the edges of pictures of that size (numbers, or tensors that broadcast with (...))."""
    left, top, right, bottom = boxes.unbind(-1)
    sides = [torch.as_tensor(side, dtype=boxes.dtype, device=boxes.device) for side in (width, height, width, height)]
    parts = [
        torch.minimum(part.clamp(min=0), side) for part, side in zip((left, top, right, bottom), sides, strict=True)
    ]
    return torch.stack(parts, dim=-1)

"""Which object an anchor stands for in training."""

from __future__ import annotations

import torch
from torch import Tensor

from gradus.boxes.geometry import pairwise_cover, pairwise_iou
from gradus.boxes.targets import boxes_of, is_learnt, is_present

BACKGROUND, NEITHER = -1, -2


def assign(
    anchors: Tensor, objects: Tensor, positive: float = 0.5, negative: float = 0.5, force: bool = True
) -> Tensor:
    """int64 (B, P): the index of the object that each anchor (P, 4) or (B, P, 4) stands for, of objects (B, M, 6); -1 for
    background, -2 for neither.

    An anchor stands for the object it overlaps most if their IoU is `positive` or more; below `negative` it is background, and
    between the two neither. force: anchors that overlap an object as much as any does stand for it, however little, so that no
    object is without one unless a better match claims its anchor. Of several objects that claim one anchor the one it overlaps
    most has it. Background of which half or more lies in an ignored object is neither.

    SSD: 0.5, 0.5; the proposals of Faster R-CNN: 0.7, 0.3; Fast R-CNN: 0.5, 0.5 without `force`.
    """
    overlaps = pairwise_iou(anchors, boxes_of(objects))  # (B, P, M)
    overlaps = torch.where(is_learnt(objects)[:, None], overlaps, -1)
    best, which = overlaps.max(dim=2)
    found = torch.where(best >= positive, which, torch.where(best < negative, BACKGROUND, NEITHER))
    if force:
        claimed = (overlaps == overlaps.amax(dim=1, keepdim=True)) & (overlaps > 0)
        claim, owner = torch.where(claimed, overlaps, 0).max(dim=2)
        found = torch.where(claim > 0, owner, found)
    ignored = is_present(objects) & ~is_learnt(objects)
    inside = torch.where(ignored[:, None], pairwise_cover(anchors, boxes_of(objects)), 0).amax(dim=2) >= 0.5
    return torch.where((found == BACKGROUND) & inside, NEITHER, found)


def assigned(objects: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes (B, P, 4) and classes int64 (B, P) of what `assign` found; where that is no object, of any, and class -1."""
    rows = objects.gather(1, which.clamp(min=0)[..., None].expand(-1, -1, objects.shape[2]))
    return rows[..., :4], torch.where(which >= 0, rows[..., 4].long(), -1)

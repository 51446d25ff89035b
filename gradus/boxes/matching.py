"""Which detection is which object: what average precision is counted from, in bulk."""

from __future__ import annotations

import torch
from torch import Tensor

from gradus.boxes.geometry import pairwise_iou

BINS = 1000  # of scores, in the counts that a training goes by


def match_detections(detections: Tensor, objects: Tensor, threshold: float = 0.5) -> tuple[Tensor, Tensor]:
    """bool (B, K) right, bool (B, K) wrong, of detections (B, K, 6) by falling score against objects (B, M, 6).

    Pascal VOC's rule: a detection stands for the object of its class that it overlaps most, if by `threshold` or more; the first
    that does is right, later ones are wrong; those that stand for an ignored object are neither.
    """
    labels = detections[..., 4]
    same = (labels[:, :, None] == objects[:, None, :, 4]) & (labels[:, :, None] >= 0)
    overlap = torch.where(same, pairwise_iou(detections[..., :4], objects[..., :4]), 0)
    best, which = overlap.max(dim=2)
    found = best >= threshold
    ignored = objects[..., 5].gather(1, which) > 0
    rank = torch.arange(labels.shape[1], device=labels.device).expand_as(which)
    late = labels.shape[1]
    first = torch.full(objects.shape[:2], late, device=labels.device).scatter_reduce(
        1, which, torch.where(found, rank, late), "amin"
    )
    right = found & ~ignored & (first.gather(1, which) == rank)
    wrong = (labels >= 0) & ~right & ~(found & ignored)
    return right, wrong


def match_counts(detections: Tensor, objects: Tensor, classes: int, threshold: float = 0.5) -> dict[str, Tensor]:
    """Sums over a batch that average precision is made of: right and wrong detections by class and score (C, BINS), and
    objects by class (C,). They can be added up over batches."""
    right, wrong = match_detections(detections, objects, threshold)
    labels = detections[..., 4].long().clamp(min=0)
    place = labels * BINS + (detections[..., 5] * BINS).long().clamp(0, BINS - 1)

    def count(which: Tensor) -> Tensor:
        found = torch.zeros(classes * BINS, device=which.device)
        return found.scatter_add(0, place.flatten(), which.flatten().to(found)).view(classes, BINS)

    counted = (objects[..., 4] >= 0) & (objects[..., 5] == 0)
    present = torch.zeros(classes, device=objects.device)
    present = present.scatter_add(0, objects[..., 4].long().clamp(min=0).flatten(), counted.flatten().to(present))
    return {"right": count(right), "wrong": count(wrong), "objects": present}

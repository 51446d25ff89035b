"""Which examples are learnt from, where most are easy background: those with the largest losses. Batches on any device, nothing
is read back."""

from __future__ import annotations

import torch
from torch import Tensor

from gradus.boxes.nms import nms


def largest(values: Tensor, counts: Tensor | int) -> Tensor:
    """bool (B, P): the `counts` (B,) largest finite values of each row; of equal ones those that stand first."""
    order = values.argsort(dim=1, descending=True, stable=True)
    rank = torch.empty_like(order).scatter_(
        1, order, torch.arange(values.shape[1], device=values.device).expand_as(order)
    )
    return (rank < (counts[:, None] if isinstance(counts, Tensor) else counts)) & values.isfinite()


def hard_negatives(
    loss: Tensor, positive: Tensor, ratio: float = 3.0, ignored: Tensor | None = None, least: int = 0
) -> Tensor:
    """bool (B, P): of each picture the negatives of the largest loss, `ratio` times as many as it has positives (SSD: 3 to 1).

    loss: (B, P); positive, ignored: bool (B, P); least: of a picture with few positives or none, so many negatives anyway
    """
    counts = (positive.sum(dim=1) * ratio).clamp(min=least)
    taken = positive if ignored is None else positive | ignored
    return largest(loss.detach().masked_fill(taken, -torch.inf), counts)


def hard_examples(loss: Tensor, count: int, boxes: Tensor | None = None, threshold: float = 0.7) -> Tensor:
    """bool (B, P): online hard example mining (Shrivastava et al. 2016): of each picture the `count` regions of the largest loss,
    positive or not. Given their boxes (B, P, 4), those that overlap a harder one by more than `threshold` are left out first."""
    loss = loss.detach()
    if boxes is not None:
        loss = loss.masked_fill(~nms(boxes, loss, threshold), -torch.inf)
    return largest(loss, count)

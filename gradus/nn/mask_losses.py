"""Losses of maps: logits (B, C, H, W) and the class of every pixel (B, H, W), `ignore` where none is known: no pixel of which
counts in anything. weights (C,): of the classes; None: all 1. Scalar tensors out; nothing is read back from the device.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def pixel_cross_entropy(logits: Tensor, targets: Tensor, ignore: int, weights: Tensor | None = None) -> Tensor:
    """The mean of -log p of the true class in nats, over the pixels that have one, weighted by class."""
    return _mean(
        functional.cross_entropy(logits, targets, ignore_index=ignore, reduction="none"), targets, ignore, weights
    )


def pixel_focal(
    logits: Tensor, targets: Tensor, ignore: int, weights: Tensor | None = None, focus: float = 2.0
) -> Tensor:
    """The mean of -(1 - p)^focus log p: pixels that are right already count less. Lin et al. 2017, *Focal Loss*, equation 4."""
    losses = functional.cross_entropy(logits, targets, ignore_index=ignore, reduction="none")
    return _mean((1 - torch.exp(-losses)).pow(focus) * losses, targets, ignore, weights)


def pixel_dice(logits: Tensor, targets: Tensor, ignore: int, weights: Tensor | None = None) -> Tensor:
    """1 minus the mean over classes of 2 sum p t / (sum p^2 + sum t), over the pixels of a batch: Milletari et al. 2016, *V-Net*.

    Classes that no pixel of the batch has are left out. So it counts areas, not pixels: a small thing as much as a large one.
    """
    known = targets != ignore
    there = functional.one_hot(torch.where(known, targets, 0), logits.shape[1]).permute(0, 3, 1, 2) * known[:, None]
    shares = logits.softmax(dim=1) * known[:, None]
    hits = (shares * there).sum(dim=(0, 2, 3))
    pixels = there.sum(dim=(0, 2, 3))
    overlap = 2 * hits / (shares.square().sum(dim=(0, 2, 3)) + pixels).clamp(min=1e-6)
    counted = (pixels > 0).to(logits.dtype)
    if weights is not None:
        counted = counted * weights
    return ((1 - overlap) * counted).sum() / counted.sum().clamp(min=1e-12)


def _mean(losses: Tensor, targets: Tensor, ignore: int, weights: Tensor | None) -> Tensor:
    """Losses (B, H, W), 0 where ignored, averaged."""
    known = (targets != ignore).to(losses.dtype)
    share = known if weights is None else known * weights[torch.where(targets == ignore, 0, targets)]
    return (losses * share).sum() / share.sum().clamp(min=1e-12)

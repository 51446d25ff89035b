"""Non-maximum suppression: of boxes that overlap, only the best stays.

Greedy suppression is the fixed point of `kept[i] = no better kept j overlaps i`. Iterating that on all pictures and classes at
once reaches it exactly, in as many rounds as the longest chain of suppressions (Zheng et al. 2020, cluster-NMS).
"""

from __future__ import annotations

import torch
from torch import Tensor

from gradus.boxes.geometry import pairwise_iou
from gradus.errors import unknown_name


def nms(boxes: Tensor, scores: Tensor, threshold: float = 0.5, labels: Tensor | None = None) -> Tensor:
    """bool (..., N): which boxes (..., N, 4) stay when, by falling score, each drops all later ones whose IoU with it is above
    `threshold`. Equal scores: the one that stands first wins. Boxes of a score of 0 or below neither stay nor drop others.

    labels: int (..., N): boxes of other classes leave each other alone
    """
    order = torch.sort(scores, dim=-1, descending=True, stable=True).indices
    sorted_boxes = boxes.gather(-2, order[..., None].expand_as(boxes))
    over = pairwise_iou(sorted_boxes, sorted_boxes) > threshold
    if labels is not None:
        kinds = labels.gather(-1, order)
        over &= kinds[..., :, None] == kinds[..., None, :]
    over = over.triu(1).to(
        boxes.dtype
    )  # (..., better, worse); numbers, since counting is a product, which `any` is slower than
    alive = scores.gather(-1, order) > 0
    kept = alive
    for _ in range(max(1, scores.shape[-1])):
        following = alive & ((kept.to(over.dtype)[..., None, :] @ over)[..., 0, :] == 0)
        if torch.equal(following, kept):
            break
        kept = following
    return torch.zeros_like(kept).scatter(-1, order, kept)


def soft_nms(
    boxes: Tensor,
    scores: Tensor,
    *,
    kind: str = "gaussian",
    sigma: float = 0.5,
    threshold: float = 0.3,
    labels: Tensor | None = None,
) -> Tensor:
    """Scores (..., N) of boxes (..., N, 4), lowered where better boxes overlap them (Bodla et al. 2017); nothing is dropped.

    The best box is taken; every other one's score is multiplied by a factor of their IoU; then the best of the rest; and so on.

    kind:   "gaussian": exp(-IoU^2 / sigma); "linear": 1 - IoU where IoU is `threshold` or more
    labels: int (..., N): boxes of other classes leave each other alone
    """
    if kind not in ("gaussian", "linear"):
        raise unknown_name("kind of soft suppression", kind, ("gaussian", "linear"))
    overlaps = pairwise_iou(boxes, boxes)
    soft = (-overlaps.square() / sigma).exp()
    factors = soft if kind == "gaussian" else torch.where(overlaps >= threshold, 1 - overlaps, 1)
    if labels is not None:
        factors = torch.where(labels[..., :, None] == labels[..., None, :], factors, 1)
    open_ = torch.ones_like(scores, dtype=torch.bool)
    for _ in range(scores.shape[-1]):
        best = torch.where(open_, scores, -torch.inf).argmax(dim=-1, keepdim=True)  # of equal ones the first
        open_ = open_.scatter(-1, best, False)
        factor = factors.gather(-2, best[..., None].expand(*best.shape, scores.shape[-1]))[..., 0, :]
        scores = torch.where(open_, scores * factor, scores)
    return scores


def best_detections(
    boxes: Tensor,
    scores: Tensor,
    *,
    threshold: float = 0.5,
    least: float = 0.01,
    candidates: int = 400,
    most: int = 100,
) -> Tensor:
    """Class scores (B, P, C) of boxes (B, P, 4), or of boxes by class (B, P, C, 4) -> detections (B, most, 6) (`targets.py`).

    least: scores below it are dropped; candidates: of the best of all classes so many a picture go into suppression
    """
    rows, places, classes = scores.shape
    if boxes.ndim == 3:
        boxes = boxes[:, :, None].expand(-1, -1, classes, -1)
    flat = scores.flatten(1)
    best, index = flat.topk(min(candidates, places * classes), dim=1)
    best = torch.where(best >= least, best, 0)
    chosen = boxes.reshape(rows, -1, 4).gather(1, index[..., None].expand(-1, -1, 4))
    labels = index % classes
    best = torch.where(nms(chosen, best, threshold, labels), best, 0)
    kept, order = best.topk(min(most, best.shape[1]), dim=1)
    labels = torch.where(kept > 0, labels.gather(1, order), -1)
    chosen = chosen.gather(1, order[..., None].expand(-1, -1, 4))
    found = torch.cat([chosen, labels[..., None].to(chosen), kept[..., None]], dim=2)
    if found.shape[1] < most:
        empty = found.new_zeros(rows, most - found.shape[1], 6)
        empty[..., 4] = -1
        found = torch.cat([found, empty], dim=1)
    return found

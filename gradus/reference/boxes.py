"""Boxes: generalised overlap, box regression, and suppression, as plain loops and formulas. Boxes are as in `overlap.py`."""

from __future__ import annotations

import numpy as np

from gradus.reference.catalogue import Entry
from gradus.reference.overlap import box_area, box_iou


def generalised_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Of every pair: IoU less the share of the smallest box around both that belongs to neither. (N, 4), (M, 4) -> (N, M)."""
    overlap = box_iou(first, second)
    low = np.minimum(first[:, None, :2], second[None, :, :2])
    high = np.maximum(first[:, None, 2:4], second[None, :, 2:4])
    hull = (high - low).prod(axis=-1)
    union = (box_area(first)[:, None] + box_area(second)[None, :]) / (1 + overlap)  # A + B = union + IoU union
    return overlap - (hull - union) / hull


def encode_boxes(boxes: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """(N, 4), (N, 4) -> (N, 4): t_x, t_y, t_w, t_h that lead from the anchors to the boxes."""
    sides, start = boxes[:, 2:] - boxes[:, :2], anchors[:, 2:] - anchors[:, :2]
    middles, begin = (boxes[:, 2:] + boxes[:, :2]) / 2, (anchors[:, 2:] + anchors[:, :2]) / 2
    return np.concatenate([(middles - begin) / start, np.log(sides / start)], axis=1)


def decode_boxes(deltas: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """The inverse of `encode_boxes`."""
    start, begin = anchors[:, 2:] - anchors[:, :2], (anchors[:, 2:] + anchors[:, :2]) / 2
    middles, sides = begin + deltas[:, :2] * start, start * np.exp(deltas[:, 2:])
    return np.concatenate([middles - sides / 2, middles + sides / 2], axis=1)


def non_maximum_suppression(boxes: np.ndarray, scores: np.ndarray, threshold: float, pixels: bool = False) -> list[int]:
    """Indices of the boxes that stay, the best first: the best of those left stays, and all that overlap it by more than
    `threshold` go; until none is left. Equal scores: the one that stands first is the better."""
    left, kept = list(range(len(boxes))), []
    overlaps = box_iou(boxes, boxes, pixels)
    while left:
        best = max(left, key=lambda one: (scores[one], -one))
        kept.append(best)
        left = [one for one in left if one != best and overlaps[best, one] <= threshold]
    return kept


def soft_suppression(
    boxes: np.ndarray, scores: np.ndarray, sigma: float = 0.5, threshold: float | None = None
) -> np.ndarray:
    """(N,) scores: as above, but boxes that overlap the best one lose score instead of going: by exp(-IoU^2 / sigma), or given a
    threshold by 1 - IoU from there on."""
    lowered, left = np.array(scores, dtype=float), list(range(len(boxes)))
    overlaps = box_iou(boxes, boxes)
    while left:
        best = max(left, key=lambda one: (lowered[one], -one))
        left.remove(best)
        for one in left:
            overlap = overlaps[best, one]
            if threshold is None:
                lowered[one] *= np.exp(-(overlap**2) / sigma)
            elif overlap >= threshold:
                lowered[one] *= 1 - overlap
    return lowered


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="generalised intersection over union",
        function="boxes.generalised_iou",
        formula=r"\frac{|A \cap B|}{|A \cup B|} - \frac{|C| - |A \cup B|}{|C|}",
        range=r"[-1, 1]",
        fast="gradus.boxes.geometry.giou",
        source="Rezatofighi et al. 2019",
        note="C is the smallest box around both",
    ),
    Entry(
        name="box regression",
        function="boxes.encode_boxes",
        formula=r"t_x = \frac{G_x - P_x}{P_w},\quad t_y = \frac{G_y - P_y}{P_h},\quad t_w = \ln\frac{G_w}{P_w},\quad "
        r"t_h = \ln\frac{G_h}{P_h}",
        fast="gradus.boxes.coding.encode_boxes",
        source="Girshick et al. 2014 eq. 6 to 9; *Principles and Practice* §5.1 (named)",
        note="x, y: the middles. SSD and Fast R-CNN divide by 0.1, 0.1, 0.2, 0.2.",
    ),
    Entry(
        name="box regression, applied",
        function="boxes.decode_boxes",
        formula=r"G_x = P_x + P_w t_x,\quad G_y = P_y + P_h t_y,\quad G_w = P_w e^{t_w},\quad G_h = P_h e^{t_h}",
        fast="gradus.boxes.coding.decode_boxes",
        source="Girshick et al. 2014 eq. 1 to 4",
    ),
    Entry(
        name="non-maximum suppression",
        function="boxes.non_maximum_suppression",
        formula=r"\text{kept}_i = \neg\, \exists\, j \text{ kept}: s_j > s_i,\ \mathrm{IoU}(b_i, b_j) > \theta",
        fast="gradus.boxes.nms.nms",
        source="*Principles and Practice* §5.3, listing 5-2; course notes §4.3.8",
        note="Class by class. Of equal scores the first stays; the listing's reversed sort keeps the last.",
    ),
    Entry(
        name="soft non-maximum suppression",
        function="boxes.soft_suppression",
        formula=r"s_i \leftarrow s_i\, e^{-\mathrm{IoU}(b, b_i)^2 / \sigma}",
        fast="gradus.boxes.nms.soft_nms",
        source="Bodla et al. 2017",
        note="or, linear: s (1 - IoU) where IoU reaches the threshold; b is the best box that is left",
    ),
)

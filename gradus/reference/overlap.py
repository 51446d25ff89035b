"""How far boxes, masks and label maps lie over each other, and the average precision of detections.

Boxes are (x1, y1, x2, y2), x1 <= x2 and y1 <= y2, as lengths. With `pixels` the corners are pixels that belong to the box, so a
side is x2 - x1 + 1, as in the listings on non-maximum suppression (*Principles and Practice* listing 5-2).
"""

from __future__ import annotations

import numpy as np

from gradus.reference.catalogue import Entry


def box_area(boxes: np.ndarray, pixels: bool = False) -> np.ndarray:
    """(..., 4) -> (...)."""
    sides = boxes[..., 2:4] - boxes[..., 0:2] + pixels
    return sides[..., 0] * sides[..., 1]


def box_iou(first: np.ndarray, second: np.ndarray, pixels: bool = False) -> np.ndarray:
    """Intersection over union of every pair (*Principles and Practice* eq. 5-11). (N, 4), (M, 4) -> (N, M). Of nothing: 0."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:4], second[None, :, 2:4])
    sides = np.maximum(high - low + pixels, 0)
    shared = sides[..., 0] * sides[..., 1]
    union = box_area(first, pixels)[:, None] + box_area(second, pixels)[None, :] - shared
    return np.where(union > 0, shared / np.where(union > 0, union, 1), 0.0)


def mask_iou(first: np.ndarray, second: np.ndarray) -> float:
    """Shared over covered area of two masks of one shape; 1 where both are empty."""
    first, second = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    union = (first | second).sum()
    return float((first & second).sum() / union) if union else 1.0


def mean_iou(predictions: np.ndarray, targets: np.ndarray, classes: int) -> float:
    """Mean over the classes that occur in either map of TP / (TP + FP + FN), counted over all pixels. Label maps of one shape."""
    values = [
        mask_iou(predictions == number, targets == number)
        for number in range(classes)
        if ((predictions == number) | (targets == number)).any()
    ]
    return float(np.mean(values))


def interpolated_average_precision(precisions: np.ndarray, recalls: np.ndarray, points: int | None = None) -> float:
    """Average precision with, at each recall, the best precision at that recall or a higher one. Recalls rise.

    None: the area under that staircase (Pascal VOC from 2010). 11: the mean at recalls 0, 0.1, ..., 1 (VOC 2007).
    101: COCO's. Where a recall is never reached the precision is 0.
    """
    best = np.maximum.accumulate(np.asarray(precisions, dtype=float)[::-1])[::-1]
    if points is None:
        return float((np.diff(recalls, prepend=0) * best).sum())
    places = np.searchsorted(recalls, np.linspace(0, 1, points) - 1e-12, side="left")
    return float(np.append(best, 0)[places].mean())


def detection_average_precision(
    boxes: list[np.ndarray],
    scores: list[np.ndarray],
    truths: list[np.ndarray],
    threshold: float = 0.5,
    points: int | None = None,
) -> float:
    """Of one class over pictures: boxes (n_i, 4), scores (n_i,), truths (m_i, 4) a picture.

    By falling score, a detection is right if the true box it overlaps most does so by `threshold` and is not taken yet; a second
    detection of the same object is wrong (Pascal VOC). Their mean over classes is mAP.
    """
    ranked = sorted(
        ((score, i, j) for i, row in enumerate(scores) for j, score in enumerate(row)), key=lambda one: -one[0]
    )
    taken = [np.zeros(len(truth), dtype=bool) for truth in truths]
    right = []
    for _, picture, number in ranked:
        hit = False
        if len(truths[picture]):
            overlaps = box_iou(boxes[picture][number : number + 1], truths[picture])[0]
            best = int(overlaps.argmax())
            hit = overlaps[best] >= threshold and not taken[picture][best]
            taken[picture][best] |= hit
        right.append(hit)
    objects = sum(len(truth) for truth in truths)
    if not ranked or not objects:
        return 0.0
    found = np.cumsum(right)
    return interpolated_average_precision(found / np.arange(1, len(found) + 1), found / objects, points)


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="intersection over union of boxes",
        function="overlap.box_iou",
        formula=r"\frac{|A \cap B|}{|A \cup B|}",
        range=r"[0, 1]",
        source="*Principles and Practice* eq. 5-11; course notes §4.3.7",
        note="corners as lengths; listing 5-2 counts pixels (a side is one more)",
    ),
    Entry(
        name="intersection over union of masks",
        function="overlap.mask_iou",
        formula=r"\frac{|A \cap B|}{|A \cup B|}",
        range=r"[0, 1]",
        source="*Principles and Practice* §5.2",
    ),
    Entry(
        name="mean intersection over union",
        function="overlap.mean_iou",
        formula=r"\frac{1}{C} \sum_c \frac{TP_c}{TP_c + FP_c + FN_c}",
        range=r"[0, 1]",
        source="*Principles and Practice* §5.2 (named, not defined)",
    ),
    Entry(
        name="interpolated average precision",
        function="overlap.interpolated_average_precision",
        formula=r"\int_0^1 \max_{r' \ge r} P(r') dr",
        range=r"[0, 1]",
        source="Everingham et al. 2010; *Principles and Practice* §5.1 (named, not defined)",
    ),
    Entry(
        name="average precision of detections",
        function="overlap.detection_average_precision",
        formula=r"\int_0^1 \max_{r' \ge r} P(r') dr",
        range=r"[0, 1]",
        source="Everingham et al. 2010",
        note="each object counts once",
    ),
)

"""Average precision: how well boxes are found, over all thresholds of their scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradus.data.columns import Objects
from gradus.reference.overlap import detection_average_precision


def precision_from_counts(right: np.ndarray, wrong: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """(C,) area under the staircase of precision over recall (Pascal VOC from 2010), from the counts of
    `matching.match_counts`; nan for a class without objects."""
    hits, misses = (np.cumsum(part[:, ::-1], axis=1) for part in (right, wrong))
    precision = hits / np.maximum(hits + misses, 1)
    recall = hits / np.maximum(objects, 1)[:, None]
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    area = (np.diff(recall, axis=1, prepend=0) * best).sum(axis=1)
    return np.where(objects > 0, area, np.nan)


def detection_metrics(found: Sequence[Objects], given: Sequence[Objects], classes: Sequence[str]) -> dict[str, float]:
    """Mean average precision at IoU 0.5 (map50), area under the staircase."""
    scores = []
    for number in range(len(classes)):
        truths = [one.boxes[(one.labels == number) & ~one.ignored] for one in given]
        if not any(map(len, truths)):
            continue
        mine = [one.take(one.labels == number) for one in found]
        boxes, certainty = [one.boxes for one in mine], [one.scores for one in mine if one.scores is not None]
        scores.append(detection_average_precision(boxes, certainty, truths))
    return {"map50": float(np.mean(scores)) if scores else 0.0}

"""Average precision: how well boxes are found, over all thresholds of their scores.

Two rules say which detection is right; they differ where objects of a class overlap.

    VOC (Everingham et al. 2010): a detection stands for the object of its class that it overlaps most; if another has taken
        that one, it is wrong. map50, voc07_map50
    COCO (Lin et al. 2014): it stands for the one it overlaps most among those that are still free. map, map75, map_small,
        map_medium, map_large, recall_at_1, recall_at_10, recall_at_100

`map50` decides, by VOC's rule and the area under the staircase, since it is what the published figures on VOC and on small
sets are, and what can be counted from one overlap a detection while a network trains. Ignored objects (VOC: difficult, COCO:
crowd) count for nothing, nor does what stands for them; by COCO's rule they may be stood for many times.

Boxes are lengths (VOC's own program adds a pixel to each side). An object's size is that of its box (COCO's own program takes
the area of its outline). Checked against faster-coco-eval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gradus.boxes.pool import Pool, places_within, pool_objects
from gradus.data.columns import Objects

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}  # pixels, both ends within
MOST = 100  # detections of a class in a picture that COCO's rule looks at


@dataclass(frozen=True)
class Matches:
    """By VOC's rule: (F,) `right` and `wrong`, neither where an ignored object is stood for; (F,) `given`, the object that
    a detection stands for, -1 where none is near enough."""

    right: np.ndarray
    wrong: np.ndarray
    given: np.ndarray


def voc_matches(pool: Pool, threshold: float = 0.5) -> Matches:
    """Which found objects are right."""
    near = pool.same & (pool.iou >= threshold)
    found, given, iou = pool.found[near], pool.given[near], pool.iou[near]
    order = np.lexsort((given, -iou, found))
    first = order[np.flatnonzero(np.diff(found[order], prepend=-1))]
    stands_for = np.full(len(pool.score), -1)
    stands_for[found[first]] = given[first]
    has = np.flatnonzero(stands_for >= 0)  # by falling score within a picture and class, so the first is the surest
    _, surest = np.unique(stands_for[has], return_index=True)
    right = np.zeros(len(pool.score), dtype=bool)
    right[has[surest]] = True
    ignored = np.zeros(len(pool.score), dtype=bool)
    ignored[has] = pool.ignored[stands_for[has]]
    return Matches(right & ~ignored, ~right & ~ignored, stands_for)


@dataclass(frozen=True)
class Curve:
    """Of one class, by falling score: `score` (N,), `hits` and `errors` (N,) up to and with it, `objects`."""

    score: np.ndarray
    hits: np.ndarray
    errors: np.ndarray
    objects: float

    @property
    def precision(self) -> np.ndarray:
        return self.hits / np.maximum(self.hits + self.errors, 1e-12)

    @property
    def recall(self) -> np.ndarray:
        return self.hits / max(self.objects, 1e-12)

    def f1(self) -> np.ndarray:
        """(N,): of all detections with that score or a higher one; nan within a tie, where there is no threshold."""
        cuts = np.append(np.diff(self.score) != 0, True)[: len(self.score)]
        return np.where(cuts, 2 * self.hits / np.maximum(self.hits + self.errors + self.objects, 1e-12), np.nan)


def curve_of(
    score: np.ndarray, right: np.ndarray, wrong: np.ndarray, objects: float, weights: np.ndarray | None = None
) -> Curve:
    """From (N,) detections; `weights` (N,) count each so many times."""
    order = np.argsort(-score, kind="stable")
    hits, errors = right[order].astype(np.float64), wrong[order].astype(np.float64)
    if weights is not None:
        hits, errors = hits * weights[order], errors * weights[order]
    return Curve(score[order], np.cumsum(hits), np.cumsum(errors), float(objects))


def area(curve: Curve) -> float:
    """Under the staircase of precision over recall (VOC from 2010); nan without objects."""
    if not curve.objects:
        return float("nan")
    best = np.maximum.accumulate(curve.precision[::-1])[::-1]
    return float((np.diff(curve.recall, prepend=0) * best).sum())


def eleven_points(curve: Curve) -> float:
    """The mean of the best precisions at recalls of 0, 0.1, ..., 1 and above (VOC until 2009)."""
    if not curve.objects:
        return float("nan")
    best = np.append(np.maximum.accumulate(curve.precision[::-1])[::-1], 0)
    places = np.searchsorted(curve.recall, np.arange(11) / 10 - 1e-12, side="left")
    return float(best[places].mean())


def class_curves(pool: Pool, matches: Matches) -> list[Curve]:
    """One a class."""
    objects = pool.objects_by_class()
    chosen = [np.flatnonzero(pool.found_label == label) for label in range(pool.classes)]
    return [
        curve_of(pool.score[mine], matches.right[mine], matches.wrong[mine], objects[label])
        for label, mine in enumerate(chosen)
    ]


def all_classes_curve(pool: Pool, matches: Matches) -> Curve:
    """Of all classes together, for a threshold that holds for all."""
    return curve_of(pool.score, matches.right, matches.wrong, float((~pool.ignored).sum()))


def best_threshold(curve: Curve) -> tuple[float, float]:
    """The score from which on detections are best kept, and their F1; (nan, 0) where nothing is right."""
    f1 = curve.f1()
    if not len(f1) or not np.nanmax(f1) > 0:
        return float("nan"), 0.0
    best = int(np.nanargmax(f1))
    return float(curve.score[best]), float(f1[best])


@dataclass(frozen=True)
class CocoResult:
    """precision (ranges, thresholds, C): average precision; recall (3, thresholds, C): the highest, of the surest 1, 10 and 100
    detections a picture; nan for a class without objects. Ranges: all sizes, small, medium, large."""

    precision: np.ndarray
    recall: np.ndarray


def coco_average_precision(pool: Pool) -> CocoResult:
    """As COCO's own program counts it, with 101 recalls."""
    ranges = [(0.0, 1e10), *SIZES.values()]
    sizes = (pool.given_boxes[:, 2:] - pool.given_boxes[:, :2]).clip(0).prod(axis=1)
    mine = (pool.found_boxes[:, 2:] - pool.found_boxes[:, :2]).clip(0).prod(axis=1)
    left_out = np.stack([pool.ignored | (sizes < low) | (sizes > high) for low, high in ranges])
    outside = np.stack([(mine < low) | (mine > high) for low, high in ranges])
    stands_for = _coco_matches(pool, left_out)
    taken = stands_for >= 0
    safe = np.where(taken, stands_for, 0)
    neutral = np.stack([out[at] if len(out) else at < 0 for out, at in zip(left_out, safe, strict=True)])
    neutral = np.where(taken, neutral, outside[:, None]) | (pool.rank >= MOST)
    precision = np.full((len(ranges), len(THRESHOLDS), pool.classes), np.nan)
    recall = np.full((3, len(THRESHOLDS), pool.classes), np.nan)
    for label in range(pool.classes):
        chosen = np.flatnonzero(pool.found_label == label)
        chosen = chosen[np.argsort(-pool.score[chosen], kind="stable")]
        right = taken[:, :, chosen] & ~neutral[:, :, chosen]
        counted = ~neutral[:, :, chosen]
        for number, out in enumerate(left_out):
            objects = int((~out & (pool.given_label == label)).sum())
            if objects:
                precision[number, :, label] = _at_recalls(right[number], counted[number], objects)
        objects = int((~left_out[0] & (pool.given_label == label)).sum())
        for number, most in enumerate((1, 10, 100)):
            if objects:
                recall[number, :, label] = right[0][:, pool.rank[chosen] < most].sum(axis=1) / objects
    return CocoResult(precision, recall)


def _at_recalls(right: np.ndarray, counted: np.ndarray, objects: int) -> np.ndarray:
    """(T, N) by falling score -> (T,) the mean of precisions at 101 recalls."""
    hits = np.cumsum(right, axis=1)
    precision = hits / np.maximum(np.cumsum(counted, axis=1), 1)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    best = np.concatenate([best, np.zeros((len(best), 1))], axis=1)
    places = [np.searchsorted(row / objects, RECALLS, side="left") for row in hits]
    return np.array([row[at].mean() for row, at in zip(best, places, strict=True)])


def _coco_matches(pool: Pool, left_out: np.ndarray) -> np.ndarray:
    """(ranges, thresholds, F): the object that each detection stands for, -1 for none. left_out: bool (ranges, G).

    Detections of one rank in their picture and class are decided together, since they cannot want the same object.
    """
    overlap = np.where(pool.ignored[pool.given], pool.cover, pool.iou) if len(pool.iou) else pool.iou
    near = pool.same & (overlap >= THRESHOLDS[0]) & (pool.rank[pool.found] < MOST)
    found, given, overlap = pool.found[near], pool.given[near], overlap[near]
    result = np.full((len(left_out), len(THRESHOLDS), len(pool.score)), -1, dtype=np.int32)
    if not len(found):
        return result
    candidates, row = np.unique(found, return_inverse=True)
    wanted = np.full((len(candidates), int(places_within(found).max()) + 1), -1)
    value = np.zeros(wanted.shape)
    wanted[row, places_within(found)], value[row, places_within(found)] = given, overlap
    groups = pool.found_picture[candidates] * pool.classes + pool.found_label[candidates]
    turns = places_within(groups)
    free = np.ones((len(left_out), len(THRESHOLDS), len(pool.ignored)), dtype=bool)
    by_turn = np.argsort(turns, kind="stable")
    for one in np.split(by_turn, np.flatnonzero(np.diff(turns[by_turn])) + 1):
        objects, sizes = wanted[one][:, ::-1], value[one][:, ::-1]  # of equal overlaps the last
        able = free[:, :, objects] & (objects >= 0) & (sizes >= THRESHOLDS[:, None, None])
        sought = np.where(able, sizes + 2.0 * ~left_out[:, None, objects], -1.0)  # what counts before what does not
        place = sought.argmax(axis=3)
        chosen = np.take_along_axis(np.broadcast_to(objects, sought.shape), place[..., None], axis=3)[..., 0]
        chosen = np.where(able.any(axis=3), chosen, -1)
        result[:, :, candidates[one]] = chosen
        area_range, threshold, column = np.nonzero(chosen >= 0)
        now = chosen[area_range, threshold, column]
        free[area_range, threshold, now] = pool.ignored[now]  # a crowd stays free
    return result


def detection_metrics(found: Sequence[Objects], given: Sequence[Objects], classes: Sequence[str]) -> dict[str, float]:
    """The metrics of as many pictures as there are in both."""
    return pool_metrics(pool_objects(found, given, len(classes)))


def pool_metrics(pool: Pool) -> dict[str, float]:
    """map50, voc07_map50, map, map75, map_small, map_medium, map_large (where there are objects of that size), recall_at_1,
    recall_at_10, recall_at_100: means over the classes that have objects, 0 where none has."""
    curves = class_curves(pool, voc_matches(pool))
    coco = coco_average_precision(pool)
    metrics = {
        "map50": _mean(np.array([area(curve) for curve in curves])),
        "voc07_map50": _mean(np.array([eleven_points(curve) for curve in curves])),
        "map": _mean(coco.precision[0]),
        "map75": _mean(coco.precision[0, 5]),
    }
    for number, name in enumerate(SIZES, start=1):
        if np.isfinite(coco.precision[number]).any():
            metrics[f"map_{name}"] = _mean(coco.precision[number])
    for number, most in enumerate((1, 10, 100)):
        metrics[f"recall_at_{most}"] = _mean(coco.recall[number])
    return metrics


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else 0.0


def per_class(pool: Pool) -> list[dict[str, float]]:
    """One dict a class: ap50 (VOC), ap (COCO), objects, found; and by the threshold with the best F1: threshold, f1, precision,
    recall. nan where there are no objects."""
    curves, coco = class_curves(pool, voc_matches(pool)), coco_average_precision(pool)
    rows = []
    for label, curve in enumerate(curves):
        threshold, f1 = best_threshold(curve)
        at = int(np.searchsorted(-curve.score, -threshold, side="right")) - 1 if f1 else -1
        rows.append(
            {
                "ap50": area(curve),
                "ap": float(coco.precision[0, :, label].mean()),
                "objects": int(curve.objects),
                "found": len(curve.score),
                "threshold": threshold,
                "f1": f1,
                "precision": float(curve.precision[at]) if f1 else 0.0,
                "recall": float(curve.recall[at]) if f1 else 0.0,
            }
        )
    return rows


def precision_from_counts(right: np.ndarray, wrong: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """(C,) area under the staircase of precision over recall (Pascal VOC from 2010), from the counts of
    `matching.match_counts`; nan for a class without objects."""
    hits, misses = (np.cumsum(part[:, ::-1], axis=1) for part in (right, wrong))
    precision = hits / np.maximum(hits + misses, 1)
    recall = hits / np.maximum(objects, 1)[:, None]
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    found = (np.diff(recall, axis=1, prepend=0) * best).sum(axis=1)
    return np.where(objects > 0, found, np.nan)


def best_score_from_counts(right: np.ndarray, wrong: np.ndarray, objects: np.ndarray) -> float | None:
    """The score from which on detections are best kept, by F1 over all classes together, from the same counts; None where
    nothing is right. Of equally good ones the highest."""
    hits, misses = (np.cumsum(part.sum(axis=0)[::-1]) for part in (right, wrong))
    f1 = 2 * hits / np.maximum(hits + misses + objects.sum(), 1)
    bins = len(f1)
    return float((bins - 1 - f1.argmax()) / bins) if f1.max() > 0 else None

"""Why a detector is not better: each wrong detection and each missed object of one kind, and what mending a kind would gain.

The kinds of Bolya et al. 2020 (TIDE), after Hoiem et al. 2012. By the first that holds, a wrong detection is

    duplicate    it stands for an object that a surer detection has found
    place        an object of its class overlaps it, but by less than half (IoU 0.1 to 0.5)
    class        an object of another class overlaps it by half or more
    both         an object of another class overlaps it, by less than half
    background   nothing overlaps it by 0.1

and an object is `missed` where no detection finds it, nor would one whose place or class were mended. Mending: place and class
make the surest such detection of an object that nobody found right, and take the others away; duplicate, both and background are
taken away; missed objects are no longer asked for. Gains do not add up, since precision over recall is not linear.

Where TIDE matches by COCO's rule, we match by VOC's, as `map50` does; so what is a duplicate is settled first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gradus.boxes.average_precision import Matches, area, curve_of
from gradus.boxes.pool import Pool

KINDS = ("place", "class", "both", "duplicate", "background", "missed")
FOREGROUND, BACKGROUND = 0.5, 0.1


@dataclass(frozen=True)
class Errors:
    """kind (F,): index into `KINDS` of a wrong detection, -1 of others; missed: bool (G,); gain: what map50 would gain, by
    kind; target (F,): the object that a detection of kind place or class was meant for, -1 elsewhere."""

    kind: np.ndarray
    target: np.ndarray
    missed: np.ndarray
    gain: dict[str, float]

    def counts(self, pool: Pool, least_score: float = 0.0) -> dict[str, int]:
        """How many wrong detections there are of each kind among those of that score or more; and all missed objects."""
        kept = pool.score >= least_score
        found = {name: int(((self.kind == number) & kept).sum()) for number, name in enumerate(KINDS[:-1])}
        return {**found, "missed": int(self.missed.sum())}


def find_errors(pool: Pool, matches: Matches) -> Errors:
    """The kinds of all errors."""
    same, counted = pool.same, ~pool.ignored[pool.given] if len(pool.given) else np.zeros(0, bool)
    own, own_iou = _nearest(pool, same & counted)
    other, other_iou = _nearest(pool, ~same & counted)
    kind = np.full(len(pool.score), KINDS.index("background"))
    kind[other_iou >= BACKGROUND] = KINDS.index("both")
    kind[other_iou >= FOREGROUND] = KINDS.index("class")
    kind[own_iou >= BACKGROUND] = KINDS.index("place")
    kind[matches.given >= 0] = KINDS.index("duplicate")
    kind[~matches.wrong] = -1
    target = np.where(kind == KINDS.index("place"), own, np.where(kind == KINDS.index("class"), other, -1))
    taken = np.zeros(len(pool.ignored), dtype=bool)
    taken[matches.given[matches.right]] = True
    meant = np.zeros(len(pool.ignored), dtype=bool)
    meant[target[target >= 0]] = True
    missed = ~pool.ignored & ~taken & ~meant
    before = _mean_area(pool, pool.found_label, matches.right, matches.wrong, ~pool.ignored)
    gain = {}
    for number, name in enumerate(KINDS):
        right, wrong, label, objects = (
            matches.right.copy(),
            matches.wrong.copy(),
            pool.found_label.copy(),
            ~pool.ignored,
        )
        if name == "missed":
            objects = objects & ~missed
        mended = kind == number
        wrong &= ~mended
        if name in ("place", "class"):
            chosen = np.flatnonzero(mended & ~taken[np.maximum(target, 0)]) if len(taken) else np.zeros(0, int)
            chosen = chosen[np.argsort(-pool.score[chosen], kind="stable")]
            chosen = chosen[np.unique(target[chosen], return_index=True)[1]]
            right[chosen] = True
            label[chosen] = pool.given_label[target[chosen]]
        gain[name] = max(_mean_area(pool, label, right, wrong, objects) - before, 0.0)
    return Errors(kind, target, missed, gain)


def _nearest(pool: Pool, allowed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(F,) the object of the allowed pairs that each detection overlaps most (-1: none), and by how much."""
    which, overlap = np.full(len(pool.score), -1), np.zeros(len(pool.score))
    found, given, iou = pool.found[allowed], pool.given[allowed], pool.iou[allowed]
    order = np.lexsort((-iou, found))
    first = order[np.flatnonzero(np.diff(found[order], prepend=-1))]
    which[found[first]], overlap[found[first]] = given[first], iou[first]
    return which, overlap


def _mean_area(pool: Pool, label: np.ndarray, right: np.ndarray, wrong: np.ndarray, objects: np.ndarray) -> float:
    """map50 over the classes that have (counted) objects."""
    there = pool.objects_by_class()
    asked = pool.objects_by_class(objects)
    values = []
    for number in np.flatnonzero(there):
        mine = label == number
        if not asked[number]:  # nothing is left to be found
            values.append(1.0)
            continue
        values.append(area(curve_of(pool.score[mine], right[mine], wrong[mine], asked[number])))
    return float(np.mean(values)) if values else 0.0


def detection_confusion(pool: Pool, least_score: float, threshold: float = 0.5) -> np.ndarray:
    """(C + 1, C + 1) counts: row = given class, the last one nothing; column = found class, the last one missed.

    Of detections with that score or more. Each is paired with at most one object that it overlaps by `threshold`: one of its own
    class first, then by falling overlap. What overlaps only an ignored object is left out.
    """
    size = pool.classes + 1
    kept = pool.score >= least_score
    near = kept[pool.found] & (pool.iou >= threshold)
    hidden = np.zeros(len(pool.score), dtype=bool)
    if len(pool.given):
        crowd = pool.ignored[pool.given]
        hidden[pool.found[kept[pool.found] & crowd & (pool.cover >= threshold)]] = True
        near &= ~crowd
    pairs = np.flatnonzero(near)
    pairs = pairs[np.lexsort((-pool.iou[pairs], ~pool.same[pairs]))]
    used, taken = np.zeros(len(pool.score), dtype=bool), np.zeros(len(pool.ignored), dtype=bool)
    counts = np.zeros((size, size), dtype=np.int64)
    for pair in pairs:
        mine, theirs = pool.found[pair], pool.given[pair]
        if not used[mine] and not taken[theirs]:
            used[mine] = taken[theirs] = True
            counts[pool.given_label[theirs], pool.found_label[mine]] += 1
    alone = kept & ~used & ~hidden
    counts[-1, :-1] = np.bincount(pool.found_label[alone], minlength=pool.classes)
    counts[:-1, -1] = pool.objects_by_class(~taken & ~pool.ignored)
    return counts

"""What can be wrong with boxes, told of each box once, and what is learnt of them.

    numbers     a coordinate is not a finite number                 left out
    area        right is not beyond left, or bottom not below top   left out
    outside     it lies wholly outside of its picture               left out
    duplicates  the same class and place as an earlier one          left out
    border      it passes the border by `TOLERANCE` or more         cut off there

Every box is cut off at the border; one that passes it by less only was rounded, and is not told of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from gradus.data.columns import Objects

TOLERANCE = 0.1  # pixels
LEFT_OUT = {
    "numbers": "with coordinates that are no numbers",
    "area": "without area",
    "outside": "wholly outside of their picture",
    "duplicates": "given twice",
}


def faults_of(objects: Objects, height: int, width: int) -> np.ndarray:
    """(n,) of texts: the fault of each box (the first that applies, in the order above), or an empty text."""
    boxes = objects.boxes.astype(np.float64)
    with np.errstate(invalid="ignore"):
        left, top, right, bottom = boxes.T
        faults = {
            "numbers": ~np.isfinite(boxes).all(axis=1),
            "area": (right <= left) | (bottom <= top),
            "outside": (right <= 0) | (left >= width) | (bottom <= 0) | (top >= height),
            "duplicates": _repeated(objects),
            "border": (np.minimum(left, top) < -TOLERANCE)
            | (right > width + TOLERANCE)
            | (bottom > height + TOLERANCE),
        }
    return np.select(list(faults.values()), list(faults), "")


def checked_objects(
    rows: Sequence[Objects], sizes: Sequence[tuple[int, int]] | np.ndarray
) -> tuple[list[Objects], Counter[str]]:
    """The boxes that can be learnt and counted, cut off at the borders of their pictures; and how many had which fault.

    sizes: (height, width) of each picture
    """
    checked, faults = [], Counter[str]()
    for objects, (height, width) in zip(rows, sizes, strict=True):
        found = faults_of(objects, int(height), int(width))
        faults.update(name for name in found.tolist() if name)
        kept = objects.take(~np.isin(found, list(LEFT_OUT)))
        most = np.array([width, height, width, height], dtype=np.float32)
        boxes = np.clip(kept.boxes, 0, most)
        checked.append(Objects(boxes=boxes, labels=kept.labels, ignored=kept.ignored, scores=kept.scores))
    return checked, faults


def fault_notes(faults: Counter[str]) -> list[str]:
    """A sentence on the boxes that were left out, and one on those that were cut off."""
    gone = [f"{faults[name]:,} {what}" for name, what in LEFT_OUT.items() if faults[name]]
    notes = [f"boxes left out: {', '.join(gone)}"] if gone else []
    if faults["border"]:
        notes.append(f"boxes cut off at the border of their picture: {faults['border']:,}")
    return notes


def _repeated(objects: Objects) -> np.ndarray:
    """bool (n,): boxes of the same class and place as one before them."""
    seen: set[tuple] = set()
    repeated = np.zeros(len(objects), dtype=bool)
    for index, key in enumerate(zip(*objects.boxes.T.tolist(), objects.labels.tolist(), strict=True)):
        repeated[index] = key in seen
        seen.add(key)
    return repeated

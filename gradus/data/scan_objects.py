"""What the scan says of boxes and points on pictures."""

from __future__ import annotations

from collections import Counter

import numpy as np

from gradus.data.columns import Boxes, Objects, Points
from gradus.data.dataset import Dataset
from gradus.data.objects import faults_of
from gradus.data.scan_findings import FEW, IMBALANCE, Findings
from gradus.data.scan_pictures import PictureFacts

TINY = 4.0  # pixels; a box with a shorter side is called tiny
SMALL, LARGE = 32.0**2, 96.0**2  # pixels of area, as COCO counts boxes
KINDS = {  # fault of `objects.py` -> (kind, what is said of one box, and what becomes of it)
    "numbers": ("boxes with coordinates that are no numbers", "a coordinate is no number: it is left out"),
    "area": ("boxes without area", "it has no area: it is left out"),
    "outside": ("boxes outside of their picture", "it lies wholly outside of the picture: it is left out"),
    "duplicates": ("boxes given twice", "a box of the same class and place stands before it: it is left out"),
    "border": ("boxes that pass the border", "it passes the border: it is cut off there"),
}


def find_boxes(dataset: Dataset, name: str, facts: list[PictureFacts], findings: Findings) -> list[str]:
    """Names what is wrong with the boxes of a column, and gives the lines of the summary."""
    kind = dataset.types[name]
    assert isinstance(kind, Boxes)
    rows = [
        (split, origin, value)
        for split, part in dataset.splits.items()
        for origin, value in _rows(dataset, split, name)
    ]
    counts: dict[str, Counter[str]] = {split: Counter() for split in dataset.splits}
    for number, (split, origin, objects) in enumerate(rows):
        counts[split].update(kind.classes[label] for label in objects.labels.tolist())
        fact = facts[number] if number < len(facts) else None
        if fact is not None and not fact.broken:
            _look_at_boxes(objects, origin, kind, fact, findings)
    _find_counts(kind, counts, findings)
    empty = [origin for _, origin, objects in rows if not len(objects)]
    if empty:
        message = f"{len(empty):,} of {len(rows):,} pictures have no box, the first is {empty[0]}"
        findings.add("note", "pictures without boxes", f"column '{name}'", message)
    ignored = sum(int(objects.ignored.sum()) for _, _, objects in rows)
    if ignored:
        findings.add(
            "note", "ignored boxes", f"column '{name}'", f"{ignored:,} boxes are ignored: not learnt, not counted"
        )
    return _summary(kind, [objects for _, _, objects in rows])


def _rows(dataset: Dataset, split: str, name: str) -> list[tuple[str, Objects]]:
    part = dataset[split]
    return [(part.origins[index], part[name][index]) for index in range(len(part))]


def _look_at_boxes(objects: Objects, origin: str, kind: Boxes, fact: PictureFacts, findings: Findings) -> None:
    faults = faults_of(objects, fact.height, fact.width)
    for index, fault in enumerate(faults.tolist()):
        box = objects.boxes[index]
        where = f"{origin}, box {index + 1} ({kind.classes[int(objects.labels[index])]})"
        sides = " ".join(f"{side:g}" for side in box.tolist())
        if fault:
            what, message = KINDS[fault]
            findings.add("warning", what, where, f"{sides} on {fact.width}x{fact.height} pixels: {message}")
        elif min(box[2] - box[0], box[3] - box[1]) < TINY:
            size = f"{box[2] - box[0]:g}x{box[3] - box[1]:g} pixels"
            findings.add("warning", "tiny boxes", where, f"it is tiny, {size} (width x height)")


def _find_counts(kind: Boxes, counts: dict[str, Counter[str]], findings: Findings) -> None:
    train = counts.get("train", Counter())
    if not train:
        findings.add("error", "boxes", "train", "there is no box in any training row")
        return
    if len(kind.classes) == 1:
        findings.add("note", "classes", f"class '{kind.classes[0]}'", "it is the only class")
    for name in kind.classes:
        everywhere = sum(count[name] for count in counts.values())
        if not train[name]:
            severity = "error" if everywhere else "note"
            message = "no training row has a box of it" if everywhere else "no box is of it"
            findings.add(
                "error" if severity == "error" else "note", "classes that training lacks", f"class '{name}'", message
            )
        elif train[name] < FEW:
            findings.add(
                "warning", "classes with few boxes", f"class '{name}'", f"only {train[name]} training boxes are of it"
            )
    (most, largest), (least, smallest) = train.most_common()[0], train.most_common()[-1]
    if largest > IMBALANCE * smallest:
        message = f"unbalanced: {largest:,} training boxes are '{most}', only {smallest:,} are '{least}'"
        findings.add("warning", "imbalance", "classes", message)


def _summary(kind: Boxes, rows: list[Objects]) -> list[str]:
    labels = np.concatenate([one.labels for one in rows])
    counts = Counter({name: int((labels == number).sum()) for number, name in enumerate(kind.classes)})
    shown = [f"{name} {count:,}" for name, count in counts.most_common(20)]
    lines = [f"boxes: {len(labels):,} ({', '.join(shown)}{', ...' if len(counts) > 20 else ''})"]
    numbers = [len(one) for one in rows]
    lines.append(f"boxes a picture: {min(numbers)} to {max(numbers)}, median {np.median(numbers):g}")
    boxes = np.concatenate([one.boxes for one in rows]).astype(np.float64)
    sides = boxes[:, 2:] - boxes[:, :2]
    sides = sides[np.isfinite(sides).all(axis=1) & (sides > 0).all(axis=1)]
    if len(sides):
        areas, (width, height) = sides.prod(axis=1), np.median(sides, axis=0)
        shares = (areas < SMALL).mean(), ((areas >= SMALL) & (areas < LARGE)).mean(), (areas >= LARGE).mean()
        parts = ", ".join(
            f"{what} {share:.0%}" for what, share in zip(("small", "medium", "large"), shares, strict=True)
        )
        lines.append(
            f"sizes of boxes (width x height): median {width:.0f}x{height:.0f}; {parts} (by COCO's 32x32 and 96x96)"
        )
    return lines


def find_points(dataset: Dataset, name: str, facts: list[PictureFacts], findings: Findings) -> list[str]:
    """Names points that lie outside of their picture, and counts those that are not there."""
    kind = dataset.types[name]
    assert isinstance(kind, Points)
    missing, number = Counter[str](), 0
    for part in dataset.splits.values():
        for index in range(len(part)):
            fact = facts[number] if number < len(facts) else None
            number += 1
            for point, (x, y) in zip(kind.names, np.asarray(part[name][index]).tolist(), strict=True):
                if x != x or y != y:
                    missing[point] += 1
                elif fact and not fact.broken and not (0 <= x <= fact.width and 0 <= y <= fact.height):
                    where = f"{part.origins[index]}, point '{point}'"
                    message = f"({x:g}, {y:g}) lies outside of the picture of {fact.width}x{fact.height} pixels"
                    findings.add("warning", "points outside of their picture", where, message)
    shown = ", ".join(f"{point} {missing[point]:,}" for point in kind.names if missing[point])
    return [f"points: {len(kind.names)} a picture" + (f"; not there: {shown}" if shown else "")]

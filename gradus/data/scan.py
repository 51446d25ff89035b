"""`scan`: what is in a data set, and what is wrong with it, one line a finding with the file or row named.

Choices: pictures are the same when their files are, byte for byte; rows are the same when all their values are. Every
picture is decoded, since a cut-off file still has a good header. Five findings of a kind are named, the others counted.
Not covered: near duplicates, and whether a label is right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gradus.data import readers
from gradus.data.clock import in_time, sentinels
from gradus.data.columns import Boxes, Column, ColumnType, Image, Label, Labels, Mask, Number, Points, Tags, Text, Time
from gradus.data.dataset import Dataset
from gradus.data.scan_findings import FEW, IMBALANCE, Finding, Findings, ScanResult
from gradus.data.scan_masks import find_masks
from gradus.data.scan_objects import find_boxes, find_points
from gradus.data.scan_pictures import PictureFacts, look_at_pictures
from gradus.data.scan_texts import find_texts
from gradus.errors import UserError

SMALL_SIDE = 8  # pixels; below it a picture is called very small
EXTREME_ASPECT = 4.0
MOST_COLUMNS = 40  # that the summary names one by one


# columns that tell of places on pictures, and texts -> what finds what is wrong with them, and gives lines for the summary
PLACES = {Boxes: find_boxes, Mask: find_masks, Points: find_points, Text: find_texts}
__all__ = ["Finding", "ScanResult", "scan"]


@dataclass
class Rows:
    """The rows of all splits in one line: where each is from, and a code for each value (equal values, equal codes)."""

    splits: list[str]
    origins: list[str]
    codes: dict[str, np.ndarray]  # column -> (rows,) codes


def scan(source: str | Path | Dataset, target: str | None = None, time: str | None = None) -> ScanResult:
    """Looks through a data set, or the file or folder at a path.

    target: the column to learn, where the data do not say; without it what concerns the target is left out
    time:   the column that tells the time of a row: its order, doubles and gaps are then told

    Never raises for what is wrong with the data: data that cannot be read at all are one finding of severity "error".
    """
    findings = Findings()
    try:
        dataset = source if isinstance(source, Dataset) else readers.read(Path(source), target, check=False, time=time)
        if dataset.clock is None:
            dataset = in_time(dataset, time, None)
    except UserError as error:
        findings.add("error", "files", str(source), str(error))
        return ScanResult([], findings.all())
    for note in dataset.notes:
        findings.add("note", "notes", dataset.name, note)
    for mistake in dataset.mistakes:
        findings.add("error", mistake.kind, mistake.where, mistake.message)
    pictures = look_at_pictures(dataset)
    rows = _rows(dataset, pictures)
    _find_pictures(pictures, findings)
    _find_missing(dataset, findings)
    _find_columns(dataset, rows, findings)
    _find_repeats(dataset, rows, findings)
    _find_classes(dataset, findings)
    _find_sentinels(dataset, findings)
    lines = _summary(dataset, pictures)
    facts = next(iter(pictures.values()), [])
    for name, kind in dataset.types.items():
        for of, find in PLACES.items():
            if isinstance(kind, of):
                lines += find(dataset, name, facts, findings)
    return ScanResult(lines, findings.all())


def _summary(dataset: Dataset, pictures: dict[str, list[PictureFacts]]) -> list[str]:
    lines = [f"{name}: {len(split):,} rows" for name, split in dataset.splits.items()]
    if len(dataset.types) <= MOST_COLUMNS:
        for name, kind in dataset.types.items():
            lines.append(f"column {name}: {_described(kind)}{', the target' if name == dataset.target else ''}")
    else:
        kinds = Counter(type(kind).__name__ for kind in dataset.types.values())
        lines.append(f"{len(dataset.types)} columns: {', '.join(f'{count} {name}' for name, count in kinds.items())}")
    if dataset.target and isinstance(dataset.types.get(dataset.target), Label | Labels):
        counts = _class_counts(dataset, list(dataset.splits))
        shown = [f"{name} {count:,}" for name, count in counts.most_common(20)]
        lines.append(f"classes: {', '.join(shown)}{', ...' if len(counts) > 20 else ''}")
    for name, facts in pictures.items():
        sizes = Counter((fact.height, fact.width) for fact in facts if not fact.broken)
        shown = [f"{height}x{width} ({count:,})" for (height, width), count in sizes.most_common(3)]
        more = f" and {len(sizes) - 3} other sizes" if len(sizes) > 3 else ""
        lines.append(f"sizes in {name} (height x width): {', '.join(shown) or 'none readable'}{more}")
    return lines


def _described(kind: ColumnType) -> str:
    what = type(kind).__name__
    if isinstance(kind, Label | Labels | Boxes | Mask | Tags):
        what += f" of {len(kind.classes)} classes"
    if isinstance(kind, Image):
        what += " (grey)" if kind.channels == 1 else " (RGB)"
    return what


def _class_counts(dataset: Dataset, splits: list[str]) -> Counter[str]:
    """Class name -> rows, in the target column, for all classes."""
    assert dataset.target is not None
    kind = dataset.types[dataset.target]
    assert isinstance(kind, Label | Labels)
    counts = Counter(dict.fromkeys(kind.classes, 0))
    for split in splits:
        values = np.asarray(dataset[split][dataset.target].values)
        per_class = values.sum(axis=0) if isinstance(kind, Labels) else np.bincount(values[values >= 0])
        for name, count in zip(kind.classes, per_class.tolist(), strict=False):
            counts[name] += int(count)
    return counts


def _rows(dataset: Dataset, pictures: dict[str, list[PictureFacts]]) -> Rows:
    splits = [name for name, split in dataset.splits.items() for _ in range(len(split))]
    origins = [split.origins[index] for split in dataset.splits.values() for index in range(len(split))]
    codes = {}
    for name in dataset.types:
        if name in pictures:
            values: list[Any] = [fact.content for fact in pictures[name]]
        else:
            values = [value for split in dataset.splits.values() for value in _hashable(split[name])]
        seen: dict[Any, int] = {}
        codes[name] = np.array([seen.setdefault(value, len(seen)) for value in values], dtype=np.int64)
    return Rows(splits, origins, codes)


def _hashable(column: Column) -> Iterator[Any]:
    """The values of a column, equal where they are the same; missing numbers are the same."""
    if isinstance(column.type, Number):
        return (None if value != value else value for value in np.asarray(column.values).tolist())
    if isinstance(column.type, Labels):
        return (tuple(value) for value in np.asarray(column.values).tolist())
    if isinstance(column.type, Boxes):
        return ((value.boxes.tobytes(), value.labels.tobytes()) for value in column)
    if isinstance(column.type, Points | Tags):
        return (value.tobytes() for value in column)
    if isinstance(column.type, Mask):
        return iter(range(len(column)))  # not compared: each would be decoded
    return iter(column.values.tolist() if isinstance(column.values, np.ndarray) else column.values)


def _find_pictures(pictures: dict[str, list[PictureFacts]], findings: Findings) -> None:
    for fact in (fact for facts in pictures.values() for fact in facts):
        if fact.broken:
            findings.add("error", "broken pictures", fact.origin, fact.broken)
            continue
        if fact.oddity:
            findings.add("note", "pictures of an odd mode", fact.origin, fact.oddity)
        short, long = sorted((fact.height, fact.width))
        size = f"{fact.height}x{fact.width} pixels (height x width)"
        if short < SMALL_SIDE:
            findings.add("warning", "very small pictures", fact.origin, f"the picture is very small, {size}")
        elif long > EXTREME_ASPECT * short:
            findings.add("warning", "extremely long pictures", fact.origin, f"the picture is extremely long, {size}")


def _find_missing(dataset: Dataset, findings: Findings) -> None:
    targets = (dataset.target or "").split(",")
    for name, kind in dataset.types.items():
        if dataset.ordered and isinstance(kind, Text):
            continue  # the empty lines of a text
        rows = [
            split.origins[index]
            for split in dataset.splits.values()
            for index in np.flatnonzero(_missing(split[name])).tolist()
        ]
        if not rows:
            continue
        total = sum(map(len, dataset.splits.values()))
        what = "target" if name in (dataset.target, *targets) else "value"
        message = f"{len(rows):,} of {total:,} rows have no {what}, the first is {rows[0]}"
        findings.add("warning", "columns with missing values", f"column '{name}'", message)


def _missing(column: Column) -> np.ndarray:
    if isinstance(column.type, Number):
        return np.isnan(column.values)
    if isinstance(column.type, Label):
        return np.asarray(column.values) < 0
    if isinstance(column.type, Time):
        return np.isnat(column.values)
    if isinstance(column.type, Text):
        return np.array([not text.strip() for text in column.values], dtype=bool)
    return np.zeros(len(column), dtype=bool)


def _find_columns(dataset: Dataset, rows: Rows, findings: Findings) -> None:
    """Constant columns, and columns that tell the target."""
    target = dataset.target if dataset.target in rows.codes else None
    for name, codes in rows.codes.items():
        where = f"column '{name}'"
        if isinstance(dataset.types[name], Boxes | Mask | Points):
            continue
        if len(codes) > 1 and not codes.any():  # the first value has code 0
            if name == target:
                findings.add("error", "targets", where, "it is the same in every row: there is nothing to learn")
            else:
                findings.add("warning", "constant columns", where, "constant: it carries no information")
        elif target and name != target and _tells(dataset, rows, name, target):
            message = f"it equals the target '{target}': a model would only copy it"
            findings.add("warning", "columns that equal the target", where, message)


def _tells(dataset: Dataset, rows: Rows, name: str, target: str) -> bool:
    """Whether a column is the target under another name: the same numbers, or other names for the same classes."""
    kinds = dataset.types[name], dataset.types[target]
    if isinstance(kinds[1], Number):
        pairs = [(split[name].values, split[target].values) for split in dataset.splits.values()]
        return isinstance(kinds[0], Number) and all(np.array_equal(*pair, equal_nan=True) for pair in pairs)
    ours, theirs = rows.codes[name], rows.codes[target]
    distinct = int(theirs.max(initial=-1)) + 1
    if isinstance(kinds[0], Image) or not 2 <= distinct <= len(theirs) / 2 or int(ours.max()) + 1 != distinct:
        return False
    return len(set(zip(ours.tolist(), theirs.tolist(), strict=True))) == distinct


def _find_sentinels(dataset: Dataset, findings: Findings) -> None:
    """Numbers that may stand for missing ones, such as -9999."""
    for name, kind in dataset.types.items():
        if not isinstance(kind, Number):
            continue
        values = np.concatenate([np.asarray(split[name].values) for split in dataset.splits.values()])
        for value, count in sentinels(values):
            rest = values[np.isfinite(values) & (values != value)]
            message = (
                f"{value:g} in {count:,} rows, the others are {rest.min():g} to {rest.max():g}: if it stands for a "
            )
            message += f"missing value, train with --set data.missing={value:g}"
            findings.add("warning", "values that may stand for missing ones", f"column '{name}'", message)


def _find_repeats(dataset: Dataset, rows: Rows, findings: Findings) -> None:
    """Duplicates within a split, the same item in two splits, and labels that disagree on the same item."""
    targets = [name for name in (dataset.target, *(dataset.target or "").split(",")) if name in rows.codes]
    inputs = [codes for name, codes in rows.codes.items() if name not in targets]
    if not inputs:
        return
    classes = all(isinstance(dataset.types[str(name)], Label | Labels | Boxes) for name in targets)
    answers = [rows.codes[str(name)] for name in targets]
    labels = list(zip(*(codes.tolist() for codes in answers), strict=True)) or [()] * len(rows.origins)
    first: dict[tuple, int] = {}
    for index, key in enumerate(zip(*(codes.tolist() for codes in inputs), strict=True)):
        earlier = first.setdefault(key, index)
        if earlier == index:
            continue
        where, other = rows.origins[index], rows.origins[earlier]
        if rows.splits[earlier] != rows.splits[index]:
            both = f"in {rows.splits[index]}, and in {rows.splits[earlier]} as {other}"
            message = f"the same item is in two splits: {both}"
            findings.add("warning", "items in two splits", where, message)
        elif labels[earlier] == labels[index]:
            findings.add("warning", "duplicates", where, f"a duplicate of {other}")
        if labels[earlier] != labels[index] and classes:
            what = (
                "its label disagrees"
                if not isinstance(dataset.types.get(str(dataset.target)), Boxes)
                else "its boxes differ"
            )
            message = f"the same as {other}, but {what}{_named_labels(dataset, rows, earlier, index)}"
            findings.add("warning", "labels that disagree", where, message)


def _named_labels(dataset: Dataset, rows: Rows, *indices: int) -> str:
    """` ('cat', there 'dog')` for a Label target."""
    kind = dataset.types.get(dataset.target or "")
    if not isinstance(kind, Label):
        return ""
    values = np.concatenate([np.asarray(split[str(dataset.target)].values) for split in dataset.splits.values()])
    there, here = (kind.to_text(int(values[index])) for index in indices)
    return f" ('{here}', there '{there}')"


def _find_classes(dataset: Dataset, findings: Findings) -> None:
    if not dataset.target or not isinstance(dataset.types.get(dataset.target), Label | Labels):
        return
    counts = _class_counts(dataset, ["train"])
    everywhere = _class_counts(dataset, list(dataset.splits))
    if len(counts) == 1:
        findings.add("error", "classes", f"class '{next(iter(counts))}'", "it is the only class; expected at least two")
        return
    for name, count in counts.items():
        if count == 0 and everywhere[name]:
            findings.add("error", "classes that training lacks", f"class '{name}'", "no training row has it")
        elif count < FEW:
            findings.add("warning", "classes with few rows", f"class '{name}'", f"only {count} training rows have it")
    present = [(name, count) for name, count in counts.most_common() if count]
    (most, largest), (least, smallest) = present[0], present[-1]
    if largest > IMBALANCE * smallest:
        message = f"unbalanced: {largest:,} training rows are '{most}', only {smallest:,} are '{least}'"
        findings.add("warning", "imbalance", f"column '{dataset.target}'", message)

"""One table of errors for every task: what each row costs, what was given, what was answered, and how sure the model was.

    N = rows of the split as its assessment counts them (`Task.shown`): pictures, lines of a table, texts, windows

Not covered: tasks without rows that are right or wrong on their own (making pictures, playing, word vectors), and single
boxes and points of a picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradus.boxes.average_precision import voc_matches
from gradus.data.dataset import Split
from gradus.doctor.case import NotHere
from gradus.look.measures import Interval, wilson_interval
from gradus.masks.measures import intersection_over_union
from gradus.recipes.run import Run
from gradus.tasks.assessment import (
    Assessment,
    ClassAssessment,
    DetectionAssessment,
    ForecastAssessment,
    LabelsAssessment,
    LanguageAssessment,
    NumberAssessment,
    SegmentationAssessment,
    SeveralAssessment,
    TagsAssessment,
)

LARGE = 0.8  # where nothing is right or wrong, mistakes are the rows above this quantile of the error


@dataclass(frozen=True, kw_only=True)
class ErrorTable:
    """What went wrong, row by row.

    split:      whose rows; rows: the rows themselves, None where there is nothing to show of them
    error:      float64 (N,), of which smaller is better: 1 and 0 for wrong and right, or in the unit that `unit` names
    wrong:      bool (N,), None where answers are near or far rather than right or wrong
    confidence: (N,) in 0..1, None where the model does not say how sure it is
    given, answered: of a row, in words
    truth, answers, classes: (N,) the classes by number, for answers of one class a row
    values:     what was given as numbers, where `given` does not say all of it: (N, ...) or of the objects of all rows
                (M, 6); close: how far those of two runs may be apart and still be the same, as a share
    """

    split: str
    rows: Split | None
    error: np.ndarray
    unit: str
    given: Callable[[int], str]
    answered: Callable[[int], str]
    wrong: np.ndarray | None = None
    confidence: np.ndarray | None = None
    truth: np.ndarray | None = None
    answers: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    values: np.ndarray | None = None
    close: float = 1e-4

    def __len__(self) -> int:
        return len(self.error)

    def origin(self, row: int) -> str:
        """Where a row came from."""
        return f"{self.split}:{row}" if self.rows is None else str(self.rows.origins[row])

    @property
    def total(self) -> float:
        """The error of the split: the mean over its rows."""
        return float(self.error.mean())

    @property
    def mistakes(self) -> np.ndarray:
        """Numbers of the rows that are wrong, or whose error is among the largest fifth."""
        if self.wrong is not None:
            return np.flatnonzero(self.wrong)
        return np.flatnonzero((self.error >= np.quantile(self.error, LARGE)) & (self.error > 0))

    def worst(self, count: int = 10) -> np.ndarray:
        """The mistakes that the model was surest of, or that cost most; the first of equals first."""
        rows = self.mistakes
        by = self.error if self.confidence is None else self.confidence
        return rows[np.argsort(-by[rows], kind="stable")][:count]

    def error_words(self, value: float) -> str:
        """An error as a sentence has it: "12.3 %" or "0.42 nats"."""
        return f"{100 * value:.3g} %" if self.wrong is not None else f"{value:.3g} {self.unit}".strip()


@dataclass(frozen=True)
class Confusion:
    """So many rows of class `given` were taken for `answered`: a share of the rows of `given`, with its 95 % interval."""

    given: str
    answered: str
    count: int
    share: float
    interval: Interval


def confusions(table: ErrorTable, count: int = 8) -> list[Confusion]:
    """The commonest pairs of classes that were taken for each other, the commonest first; empty where rows have no one class."""
    if table.truth is None or table.answers is None:
        return []
    size = len(table.classes)
    pairs = np.bincount(table.truth * size + table.answers, minlength=size * size).reshape(size, size)
    of_class = pairs.sum(axis=1)
    np.fill_diagonal(pairs, 0)
    found = []
    for place in np.argsort(-pairs, axis=None, kind="stable")[:count]:
        given, answered = divmod(int(place), size)
        times, rows = int(pairs[given, answered]), int(of_class[given])
        if times:
            interval = Interval(*wilson_interval(times, rows), "Wilson's method")
            found.append(Confusion(table.classes[given], table.classes[answered], times, times / rows, interval))
    return found


def split_of(run: Run) -> str:
    """The split that errors are looked for in: validation rows where there are some, so that the test rows stay unseen."""
    splits = run.experiment.tensors
    for name in ("validation", "test"):
        if name in splits:
            return name
    raise NotHere("no rows were held out")


def errors_of(run: Run, split: str) -> ErrorTable:
    """The table of a split's errors. Raises `NotHere` for tasks whose rows have no error of their own."""
    assessment = run.assess(split)
    rows = run.task.shown(run.experiment.dataset[split])
    for kind, make in MAKERS.items():
        if isinstance(assessment, kind):
            fields = make(assessment)
            return ErrorTable(split=split, rows=rows, **fields)
    raise NotHere(f"rows of task {run.task.name} have no error of their own")


def _of_classes(found: ClassAssessment) -> dict[str, Any]:
    answers, classes = found.predictions, found.classes
    wrong = answers != found.targets
    return {
        "error": wrong.astype(np.float64),
        "unit": "rows",
        "wrong": wrong,
        "confidence": found.probabilities.max(axis=1),
        "truth": found.targets,
        "answers": answers,
        "classes": classes,
        "given": lambda row: classes[found.targets[row]],
        "answered": lambda row: classes[answers[row]],
    }


def _of_labels(found: LabelsAssessment) -> dict[str, Any]:
    """A row is wrong where any label is; as sure as of the least sure of its labels."""
    answers = found.predictions
    wrong = (answers != found.targets).any(axis=1)

    def words(holds: np.ndarray) -> str:
        return ", ".join(name for name, yes in zip(found.classes, holds, strict=True) if yes) or "none"

    return {
        "error": wrong.astype(np.float64),
        "unit": "rows",
        "wrong": wrong,
        "confidence": np.maximum(found.probabilities, 1 - found.probabilities).min(axis=1),
        "given": lambda row: words(found.targets[row]),
        "answered": lambda row: words(answers[row]),
    }


def _of_numbers(found: NumberAssessment) -> dict[str, Any]:
    """Several targets are made alike by the deviation of each; a single one stays in its own unit."""
    off = np.abs(found.residuals)
    one = off.shape[1] == 1
    scale = 1.0 if one else np.maximum(found.targets.std(axis=0), 1e-12)

    def words(values: np.ndarray) -> str:
        return ", ".join(f"{name} {value:.4g}" for name, value in zip(found.names, values, strict=True))

    return {
        "error": (off / scale).mean(axis=1),
        "unit": "off" if one else "deviations off",
        "values": found.targets,
        "given": lambda row: words(found.targets[row]),
        "answered": lambda row: words(found.predictions[row]),
    }


def _of_forecasts(found: ForecastAssessment) -> dict[str, Any]:
    off = np.abs(found.predictions - found.targets)
    one = off.shape[2] == 1
    scale = 1.0 if one else np.maximum(found.targets.std(axis=(0, 1)), 1e-12)

    def words(values: np.ndarray) -> str:
        return ", ".join(f"{name} {value:.4g}" for name, value in zip(found.names, values.mean(axis=0), strict=True))

    return {
        "error": (off / scale).mean(axis=(1, 2)),
        "unit": "off" if one else "deviations off",
        "values": found.targets,
        "given": lambda row: words(found.targets[row]),
        "answered": lambda row: words(found.predictions[row]),
    }


def _of_objects(found: DetectionAssessment) -> dict[str, Any]:
    """Of a picture 1 - F1 of its objects at an overlap of 0.5, counting what was found with a score of 0.5 or more."""
    pool = found.pool
    matches, sure = voc_matches(pool), pool.score >= 0.5
    right = np.bincount(pool.found_picture[matches.right & sure], minlength=pool.pictures)
    false = np.bincount(pool.found_picture[matches.wrong & sure], minlength=pool.pictures)
    given = np.bincount(pool.given_picture[~pool.ignored], minlength=pool.pictures)
    named = right + false + given
    error = np.where(named > 0, 1 - 2 * right / np.maximum(named, 1), 0.0)
    return {
        "error": error,
        "unit": "of 1 lost in F1",
        "values": np.column_stack([pool.given_picture, pool.given_label, pool.given_boxes]),
        "given": lambda row: f"{given[row]} objects",
        "answered": lambda row: f"{right[row]} found, {given[row] - right[row]} missed, {false[row]} false",
    }


def _of_masks(found: SegmentationAssessment) -> dict[str, Any]:
    """Of a picture 1 - the mean overlap of its classes, given or answered."""
    error = np.empty(len(found.confusions))
    for row, confusion in enumerate(found.confusions):
        overlaps = intersection_over_union(confusion)
        error[row] = 1 - np.nanmean(overlaps) if np.isfinite(overlaps).any() else 0.0

    def words(counts: np.ndarray) -> str:
        order = np.argsort(-counts, kind="stable")[:3]
        return ", ".join(f"{found.classes[one]} {counts[one] / max(counts.sum(), 1):.0%}" for one in order)

    pixels = np.stack([confusion.sum(axis=1) for confusion in found.confusions])
    return {
        "error": error,
        "unit": "of 1 lost in overlap",
        "values": pixels / np.maximum(pixels.sum(axis=1, keepdims=True), 1),
        "close": 0.1,  # the same mask at another size
        "given": lambda row: words(found.confusions[row].sum(axis=1)),
        "answered": lambda row: words(found.confusions[row].sum(axis=0)),
    }


def _of_texts(found: LanguageAssessment) -> dict[str, Any]:
    counted = np.isfinite(found.nats)

    def text(row: int) -> str:
        return found.between.join(found.tokens[token] for token in found.targets[row][counted[row]])

    def hardest(row: int) -> str:
        place = int(np.nanargmax(found.nats[row])) if counted[row].any() else 0
        return f"least expected: '{found.tokens[found.targets[row][place]]}'"

    return {
        "error": np.where(counted, found.nats, 0).sum(axis=1) / np.maximum(counted.sum(axis=1), 1),
        "unit": f"nats a {found.unit}",
        "given": text,
        "answered": hardest,
    }


def _of_tags(found: TagsAssessment) -> dict[str, Any]:
    answers = found.predictions
    share, sure = np.zeros(len(answers)), np.ones(len(answers))
    for row, (predicted, targets) in enumerate(zip(answers, found.targets, strict=True)):
        known = targets >= 0
        if known.any():
            share[row] = (predicted != targets)[known].mean()
            sure[row] = found.probabilities[row].max(axis=1)[known].min()

    def words(tags: np.ndarray) -> str:
        return " ".join(found.classes[tag] if tag >= 0 else "?" for tag in tags)

    return {
        "error": share,
        "unit": "of the words wrong",
        "confidence": sure,
        "given": lambda row: words(found.targets[row]),
        "answered": lambda row: words(answers[row]),
    }


def _of_several(found: SeveralAssessment) -> dict[str, Any]:
    """Where every output is right or wrong a row is wrong where any is; else the mean over the outputs of 1 or 0 for wrong
    and right, and of how far numbers are off in deviations of the targets: two models are measured alike."""
    parts = {name: MAKERS[type(part)](part) for name, part in found.parts.items()}

    def words(which: str) -> Callable[[int], str]:
        return lambda row: "; ".join(
            of[which](row) if isinstance(found.parts[name], NumberAssessment) else f"{name} {of[which](row)}"
            for name, of in parts.items()
        )

    made = {
        "given": words("given"),
        "answered": words("answered"),
        "values": np.column_stack([part.targets for part in found.parts.values()]).astype(np.float64),
    }
    if all("wrong" in of for of in parts.values()):
        wrong = np.any([of["wrong"] for of in parts.values()], axis=0)
        sure = np.min([of["confidence"] for of in parts.values()], axis=0)
        return made | {"error": wrong.astype(np.float64), "unit": "rows", "wrong": wrong, "confidence": sure}
    errors = [
        of["error"]
        / (_deviation(part.targets) if isinstance(part, NumberAssessment) and part.targets.shape[1] == 1 else 1)
        for of, part in zip(parts.values(), found.parts.values(), strict=True)
    ]
    return made | {"error": np.mean(errors, axis=0), "unit": "off, the mean over the outputs"}


def _deviation(targets: np.ndarray) -> float:
    return max(float(targets.std()), 1e-12)


MAKERS: dict[type[Assessment], Callable[[Any], dict[str, Any]]] = {
    ClassAssessment: _of_classes,
    LabelsAssessment: _of_labels,
    NumberAssessment: _of_numbers,
    ForecastAssessment: _of_forecasts,
    DetectionAssessment: _of_objects,
    SegmentationAssessment: _of_masks,
    LanguageAssessment: _of_texts,
    TagsAssessment: _of_tags,
    SeveralAssessment: _of_several,
}

"""Assessments: how good the answers on one split are, with the answers kept so that they can be looked at.

A task returns one of these from its outputs on a whole split; reports draw them. `metrics` is what `evaluate` prints.
Metrics here are exact over the split, never a mean of batch means.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from gradus.boxes.pool import Pool, pool_objects
from gradus.data.columns import Objects
from gradus.masks.measures import Boundaries, boundaries, confusion_by_picture


@dataclass(frozen=True, kw_only=True)
class ClassAssessment:
    """Answers to "which one of these classes?".

    probabilities (N, C) float64, rows sum to 1; targets (N,) int64
    """

    classes: tuple[str, ...]
    probabilities: np.ndarray
    targets: np.ndarray
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def predictions(self) -> np.ndarray:
        """(N,) int64, the most probable class."""
        return self.probabilities.argmax(axis=1)

    def confusion(self) -> np.ndarray:
        """(C, C) int64 counts: row = true class, column = predicted class."""
        size = len(self.classes)
        return np.bincount(self.targets * size + self.predictions, minlength=size * size).reshape(size, size)

    def per_class(self) -> list[dict[str, float]]:
        """One dict a class: precision, recall, f1 (0 where nothing was predicted or present, as scikit-learn), support."""
        confusion = self.confusion()
        return _class_table(confusion.diagonal(), confusion.sum(axis=0), confusion.sum(axis=1))


@dataclass(frozen=True, kw_only=True)
class LabelsAssessment:
    """Answers to "which of these labels hold?" (multi-label).

    probabilities (N, C) float64, each in 0..1 on its own; targets (N, C) bool. A label is predicted above 0.5.
    """

    classes: tuple[str, ...]
    probabilities: np.ndarray
    targets: np.ndarray
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def predictions(self) -> np.ndarray:
        """(N, C) bool."""
        return self.probabilities > 0.5

    def per_class(self) -> list[dict[str, float]]:
        """One dict a label: precision, recall, f1, support."""
        hits = (self.predictions & self.targets).sum(axis=0)
        return _class_table(hits, self.predictions.sum(axis=0), self.targets.sum(axis=0))


@dataclass(frozen=True, kw_only=True)
class NumberAssessment:
    """Answers to "how much?": predictions and targets (N, K) float64 in the target's own units, one column a name."""

    names: tuple[str, ...]
    predictions: np.ndarray
    targets: np.ndarray
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def residuals(self) -> np.ndarray:
        """(N, K): target minus prediction."""
        return self.targets - self.predictions


@dataclass(frozen=True, kw_only=True)
class DetectionAssessment:
    """Answers to "what is where?": found and given objects of each picture, in its own pixels."""

    classes: tuple[str, ...]
    predictions: list[Objects]
    targets: list[Objects]
    metrics: dict[str, float] = field(default_factory=dict)

    @cached_property
    def pool(self) -> Pool:
        """Both in flat arrays, with their overlaps."""
        return pool_objects(self.predictions, self.targets, len(self.classes))


@dataclass(frozen=True, kw_only=True)
class SegmentationAssessment:
    """Answers to "which class has each pixel?": uint8 (N, H, W) class indices; in targets `ignore` stands where none is known."""

    classes: tuple[str, ...]
    ignore: int
    predictions: np.ndarray
    targets: np.ndarray
    metrics: dict[str, float] = field(default_factory=dict)

    @cached_property
    def confusions(self) -> np.ndarray:
        """(N, C, C) pixels of each picture: row = true class, column = predicted class."""
        return confusion_by_picture(self.predictions, self.targets, len(self.classes), self.ignore)

    @cached_property
    def boundaries(self) -> Boundaries:
        """How near the boundaries of each picture are."""
        return boundaries(self.predictions, self.targets, len(self.classes), self.ignore)


@dataclass(frozen=True, kw_only=True)
class LocalizationAssessment:
    """Answers to "is there one, and where?": of each picture the one object found, its score the probability of being there at
    all, and the one given, or none; in pixels of the picture."""

    classes: tuple[str, ...]
    predictions: list[Objects]
    targets: list[Objects]
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LandmarksAssessment:
    """Answers to "where are these points?": (N, K, 2), x and y in pixels of the pictures; nan in targets: not there.
    sizes (N, 2): width and height of each picture."""

    names: tuple[str, ...]
    predictions: np.ndarray
    targets: np.ndarray
    sizes: np.ndarray
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class GenerationAssessment:
    """What a generative network says of each picture: values (N, K), one column a name, "loss" first; targets (N,) classes."""

    names: tuple[str, ...]
    values: np.ndarray
    targets: np.ndarray
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LanguageAssessment:
    """How well each token of a text was foretold. targets (N, T) ids; nats (N, T): -log p of each, nan where it is not counted;
    tokens: what each id is in a text, with `between` between two; unit: what a token is, in one word."""

    tokens: tuple[str, ...]
    targets: np.ndarray
    nats: np.ndarray
    unit: str = "token"
    between: str = ""
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ForecastAssessment:
    """Forecasts and what came: (N, steps, K) of K names, in their own units.

    quantiles: those of `bands` (N, steps, K, quantiles), ascending; without them there are no bands
    times:     (N, steps) datetime64[s] of what is foretold; None where the rows have no times
    """

    names: tuple[str, ...]
    predictions: np.ndarray
    targets: np.ndarray
    metrics: dict[str, float] = field(default_factory=dict)
    quantiles: tuple[float, ...] = ()
    bands: np.ndarray | None = None
    times: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class WordVectorAssessment:
    """How well words foretell those around them: targets (N,) are the numbers of the rows, tokens the names of the ids."""

    tokens: tuple[str, ...]
    targets: np.ndarray
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SeveralAssessment:
    """Answers to several questions about the same rows, by the name of their column. targets (N, ...): as encoded."""

    parts: dict[str, ClassAssessment | LabelsAssessment | NumberAssessment]
    targets: np.ndarray
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TagsAssessment:
    """A tag for each word: of each text probabilities (words, C) float64, and targets int64 (words,), -1 where none is known."""

    classes: tuple[str, ...]
    probabilities: list[np.ndarray]
    targets: list[np.ndarray]
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def predictions(self) -> list[np.ndarray]:
        return [row.argmax(axis=1) for row in self.probabilities]

    def by_word(self) -> ClassAssessment:
        """All words with a known tag, as if each were asked about alone."""
        targets = np.concatenate([*self.targets, np.zeros(0, dtype=np.int64)])
        probabilities = np.concatenate([*self.probabilities, np.zeros((0, len(self.classes)))])
        known = targets >= 0
        return ClassAssessment(classes=self.classes, probabilities=probabilities[known], targets=targets[known])


@dataclass(frozen=True, kw_only=True)
class ControlAssessment:
    """Episodes that were played: returns (N,), the sums of rewards, and lengths (N,) in steps. targets: (N,) zeros."""

    returns: np.ndarray
    lengths: np.ndarray
    targets: np.ndarray
    metrics: dict[str, float] = field(default_factory=dict)


PlaceAssessment = LocalizationAssessment | LandmarksAssessment
SequenceAssessment = LanguageAssessment | ForecastAssessment | WordVectorAssessment
Assessment = (
    ClassAssessment
    | LabelsAssessment
    | NumberAssessment
    | DetectionAssessment
    | SegmentationAssessment
    | LocalizationAssessment
    | LandmarksAssessment
    | LanguageAssessment
    | ForecastAssessment
    | WordVectorAssessment
    | SeveralAssessment
    | TagsAssessment
    | GenerationAssessment
    | ControlAssessment
)


def _class_table(hits: np.ndarray, predicted: np.ndarray, present: np.ndarray) -> list[dict[str, float]]:
    """precision, recall, f1 and support of each class, from (C,) counts: answered rightly, answered, there."""
    precision = hits / np.maximum(predicted, 1)
    recall = hits / np.maximum(present, 1)
    f1 = 2 * hits / np.maximum(predicted + present, 1)
    columns = zip(precision, recall, f1, present, strict=True)
    return [{"precision": float(p), "recall": float(r), "f1": float(f), "support": int(n)} for p, r, f, n in columns]

"""What a report measures beyond a task's metrics: intervals, calibration, the ROC curve.

    N = rows, C = classes, B = bins

Not covered: the spread between training runs. An interval here says how far the number would move with other test rows
from the same source, for this one trained model.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gradus.boxes.average_precision import area, curve_of, voc_matches
from gradus.boxes.pool import Pool
from gradus.masks.measures import confusion_metrics
from gradus.tasks.assessment import (
    Assessment,
    ClassAssessment,
    DetectionAssessment,
    LabelsAssessment,
    NumberAssessment,
    SegmentationAssessment,
    TagsAssessment,
)
from gradus.tasks.spans import has_spans, span_metrics, spans_of

Z = 1.959963984540054  # the normal distribution holds 95 % within this many deviations
RESAMPLES = 1000
WORK = (
    20_000_000  # rows drawn in all by one bootstrap: about a second; larger splits get fewer resamples, never under 100
)
Statistic = Callable[[np.ndarray], float]  # rows (N,) int -> the metric on those rows


class Measure(NamedTuple):
    """A metric that can be recomputed: names a task may use, its value on rows, whether it is a share of those rows."""

    names: tuple[str, ...]
    statistic: Statistic
    share_of_rows: bool = False
    work: int = 0  # numbers that one value is made of, where they are more than the rows


@dataclass(frozen=True)
class Interval:
    """A 95 % interval and how it was made."""

    low: float
    high: float
    method: str

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def wilson_interval(right: int, total: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927, without continuity correction); (nan, nan) for no rows."""
    if total == 0:
        return math.nan, math.nan
    share, z2 = right / total, Z * Z
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = Z * math.sqrt(share * (1 - share) / total + z2 / (4 * total * total)) / (1 + z2 / total)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def confidence_interval(assessment: Assessment, metric: str) -> Interval | None:
    """A 95 % interval for `assessment.metrics[metric]`: Wilson for shares of rows, else the bootstrap's percentiles.

    A metric is recomputed from the answers kept in the assessment; None where the name is unknown here or where what is
    recomputed is not the reported value (the name then means something else), so no interval is ever shown for another
    quantity.
    """
    measure, rows = measure_of(assessment, metric), len(assessment.targets)
    if measure is None:
        return None
    if measure.share_of_rows:
        right = round(measure.statistic(np.arange(rows)) * rows)
        return Interval(*wilson_interval(right, rows), "Wilson's method")
    return _bootstrap(measure.statistic, rows, max(rows, measure.work))


def measure_of(assessment: Assessment, metric: str) -> Measure | None:
    """How `assessment.metrics[metric]` is computed for any choice of its rows; None where that is not known here."""
    reported, rows = assessment.metrics.get(metric, math.nan), len(assessment.targets)
    if not math.isfinite(reported) or rows == 0:
        return None
    for measure in _measures(assessment):
        whole = measure.statistic(np.arange(rows)) if metric in measure.names else math.nan
        if math.isclose(whole, reported, rel_tol=1e-3, abs_tol=1e-6):
            return measure
    return None


def _bootstrap(statistic: Statistic, rows: int, work: int, seed: int = 0) -> Interval | None:
    """Percentiles 2.5 and 97.5 over resamples of the rows with replacement (Efron & Tibshirani 1993, chapter 13)."""
    generator = np.random.default_rng(seed)
    resamples = int(np.clip(WORK // work, 100, RESAMPLES))
    values = np.array([statistic(generator.integers(rows, size=rows)) for _ in range(resamples)])
    values = values[np.isfinite(values)]
    if len(values) < resamples / 2:
        return None
    low, high = np.quantile(values, (0.025, 0.975))
    return Interval(float(low), float(high), f"bootstrap, {resamples:,} resamples")


def _measures(assessment: Assessment) -> list[Measure]:
    """The metrics of an assessment that can be recomputed on other rows."""
    if isinstance(assessment, ClassAssessment):
        return _class_measures(assessment)
    if isinstance(assessment, TagsAssessment):
        return _tags_measures(assessment)
    if isinstance(assessment, LabelsAssessment):
        return _labels_measures(assessment)
    if isinstance(assessment, DetectionAssessment):
        pool = assessment.pool
        return [Measure(("map50",), map50_of_pictures(pool), work=len(pool.score))]
    if isinstance(assessment, SegmentationAssessment):
        return _mask_measures(assessment)
    return _number_measures(assessment) if isinstance(assessment, NumberAssessment) else []


def map50_of_pictures(pool: Pool) -> Statistic:
    """map50 of any choice of the pictures, some perhaps several times. What is right is decided within a picture, so each
    detection is matched and sorted once, here."""
    matches = voc_matches(pool)
    objects = np.zeros((pool.classes, pool.pictures))
    np.add.at(objects, (pool.given_label, pool.given_picture), ~pool.ignored)
    parts = []
    for label in np.flatnonzero(objects.any(axis=1)):
        mine = np.flatnonzero(pool.found_label == label)
        mine = mine[np.argsort(-pool.score[mine], kind="stable")]
        last_hit = np.flatnonzero(matches.right[mine])  # what comes after the last hit changes no area
        mine = mine[: last_hit[-1] + 1 if len(last_hit) else 0]
        score, right, wrong = pool.score[mine], matches.right[mine], matches.wrong[mine]
        parts.append((score, right, wrong, pool.found_picture[mine], objects[label]))

    def statistic(rows: np.ndarray) -> float:
        times = np.bincount(rows, minlength=pool.pictures).astype(np.float64)
        values = [
            area(curve_of(score, right, wrong, float(there @ times), times[picture]))
            for score, right, wrong, picture, there in parts
        ]
        return float(np.nanmean(values)) if np.isfinite(values).any() else math.nan

    return statistic


def _mask_measures(assessment: SegmentationAssessment) -> list[Measure]:
    confusions, classes = assessment.confusions, len(assessment.classes)
    flat = confusions.reshape(len(confusions), -1).astype(np.float64)

    def measure(metric: str) -> Statistic:
        def statistic(rows: np.ndarray) -> float:
            times = np.bincount(rows, minlength=len(flat))
            return confusion_metrics((times @ flat).reshape(classes, classes))[metric]

        return statistic

    names = ("miou", "pixel_accuracy", "mean_class_accuracy", "frequency_weighted_iou")
    found = [Measure((name,), measure(name), work=flat.size) for name in names]
    near = assessment.boundaries
    return [
        *found,
        Measure(("boundary_f",), lambda rows: float(np.nanmean(near.by_class(rows))), work=near.recall.size),
    ]


def _tags_measures(assessment: TagsAssessment) -> list[Measure]:
    """Texts are drawn again, not words: those of a text belong together."""
    right = np.zeros((len(assessment.targets), 2))  # words answered rightly, and all
    spans = np.zeros((len(assessment.targets), 3))
    for row, (predicted, targets) in enumerate(zip(assessment.predictions, assessment.targets, strict=True)):
        known = targets >= 0
        right[row] = (predicted == targets)[known].sum(), known.sum()
        if has_spans(assessment.classes):
            given, found = (
                {*spans_of([assessment.classes[t] if k else "O" for t, k in zip(tags, known, strict=True)])}
                for tags in (targets, predicted)
            )
            spans[row] = len(given & found), len(found), len(given)

    def accuracy(rows: np.ndarray) -> float:
        hits, words = right[rows].sum(axis=0)
        return float(hits / max(words, 1))

    def of_spans(name: str) -> Statistic:
        return lambda rows: span_metrics(spans[rows].sum(axis=0))[name]

    names = ("span_f1", "span_precision", "span_recall")
    return [Measure(("accuracy",), accuracy), *(Measure((name,), of_spans(name)) for name in names)]


def _class_measures(assessment: ClassAssessment) -> list[Measure]:
    targets, predictions, size = assessment.targets, assessment.predictions, len(assessment.classes)
    right = (targets == predictions).astype(np.float64)
    given = assessment.probabilities[np.arange(len(targets)), targets].astype(np.float64)
    surprise = -np.log(np.maximum(given, 1e-12))

    def counts(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        true, predicted = targets[rows], predictions[rows]
        hits = np.bincount(true[true == predicted], minlength=size)
        return hits, np.bincount(predicted, minlength=size), np.bincount(true, minlength=size)

    def macro_f1(rows: np.ndarray) -> float:
        hits, predicted, present = counts(rows)
        return float((2 * hits / np.maximum(predicted + present, 1)).mean())

    def balanced(rows: np.ndarray) -> float:
        hits, _, present = counts(rows)
        return float((hits[present > 0] / present[present > 0]).mean())

    found = [
        Measure(("accuracy",), lambda rows: float(right[rows].mean()), True),
        Measure(("error_rate", "error"), lambda rows: float(1 - right[rows].mean()), True),
        Measure(("macro_f1", "f1", "f1_macro"), macro_f1),
        Measure(("balanced_accuracy", "macro_recall"), balanced),
        Measure(("loss", "cross_entropy", "log_loss"), lambda rows: float(surprise[rows].mean())),
    ]
    if size == 2:
        found.append(Measure(("roc_auc", "auc"), _auc_statistic(assessment.probabilities[:, 1], targets == 1)))
    return found


def _auc_statistic(scores: np.ndarray, positive: np.ndarray) -> Statistic:
    levels, level = np.unique(scores, return_inverse=True)

    def area(rows: np.ndarray) -> float:
        up = np.bincount(level[rows[positive[rows]]], minlength=len(levels))
        down = np.bincount(level[rows[~positive[rows]]], minlength=len(levels))
        if not up.sum() or not down.sum():
            return math.nan
        return float((up * (np.cumsum(down) - down / 2)).sum() / (up.sum() * down.sum()))

    return area


def _labels_measures(assessment: LabelsAssessment) -> list[Measure]:
    targets, predictions = assessment.targets, assessment.predictions
    exact = (targets == predictions).all(axis=1).astype(np.float64)
    share = (targets == predictions).mean(axis=1)
    hit = targets & predictions
    chosen = targets.astype(np.int64) + predictions

    def micro_f1(rows: np.ndarray) -> float:
        return float(2 * hit[rows].sum() / max(chosen[rows].sum(), 1))

    def macro_f1(rows: np.ndarray) -> float:
        return float((2 * hit[rows].sum(axis=0) / np.maximum(chosen[rows].sum(axis=0), 1)).mean())

    return [
        Measure(
            ("accuracy", "subset_accuracy", "exact_match", "exact_accuracy"),
            lambda rows: float(exact[rows].mean()),
            True,
        ),
        Measure(("accuracy_per_label", "accuracy", "label_accuracy"), lambda rows: float(share[rows].mean())),
        Measure(("hamming_loss",), lambda rows: float(1 - share[rows].mean())),
        Measure(("micro_f1", "f1", "f1_micro"), micro_f1),
        Measure(("macro_f1", "f1", "f1_macro"), macro_f1),
    ]


def _number_measures(assessment: NumberAssessment) -> list[Measure]:
    targets, residuals = assessment.targets, assessment.residuals

    def r_squared(rows: np.ndarray) -> float:
        true = targets[rows]
        spread = ((true - true.mean(axis=0)) ** 2).sum(axis=0)
        lost = (residuals[rows] ** 2).sum(axis=0)
        return float(np.mean(1 - lost / spread)) if (spread > 0).all() else math.nan

    def root_mean_square(rows: np.ndarray) -> float:
        return math.sqrt(float((residuals[rows] ** 2).mean()))

    return [
        Measure(("mean_absolute_error", "mae"), lambda rows: float(np.abs(residuals[rows]).mean())),
        Measure(("root_mean_squared_error", "rmse"), root_mean_square),
        Measure(("mean_squared_error", "mse", "loss"), lambda rows: float((residuals[rows] ** 2).mean())),
        Measure(("r2", "r_squared", "r2_score"), r_squared),
    ]


@dataclass(frozen=True)
class Calibration:
    """Rows in bins of stated confidence. counts, confidence (mean in the bin), frequency (share right): each (B,), nan
    where a bin is empty. error: the expected calibration error."""

    edges: np.ndarray
    counts: np.ndarray
    confidence: np.ndarray
    frequency: np.ndarray
    error: float


def calibration(confidence: np.ndarray, right: np.ndarray, bins: int = 10) -> Calibration:
    """Compares stated confidence (N,) in 0..1 with how often it was right (N,) bool, in `bins` bins of equal width.

    A bin is open below and closed above, the first one closed on both sides. The error is the sum over bins of
    (share of rows) * |share right - mean confidence| (Guo et al. 2017, "On calibration of modern neural
    networks", eq. 3).
    Rows whose confidence is nan are left out.
    """
    known = np.isfinite(confidence)
    confidence, right = confidence[known].astype(np.float64), right[known].astype(np.float64)
    edges = np.linspace(0, 1, bins + 1)
    index = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    counts = np.bincount(index, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean_confidence = np.bincount(index, confidence, minlength=bins) / counts
        frequency = np.bincount(index, right, minlength=bins) / counts
    gaps = np.nan_to_num(np.abs(frequency - mean_confidence))
    error = float((counts * gaps).sum() / len(confidence)) if len(confidence) else math.nan
    return Calibration(edges, counts, mean_confidence, frequency, error)


def roc_curve(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """False positive rates, true positive rates and the area under the curve they make; ties are one step.

    scores (N,) higher = more likely positive; positive (N,) bool. The area is nan where only one kind is present.
    """
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.append(np.diff(scores[order]) != 0, True) if len(order) else np.zeros(0, dtype=bool)
    hits = np.append(0, np.cumsum(positive[order])[last_of_tie])
    alarms = np.append(0, np.cumsum(~positive[order])[last_of_tie])
    if not len(order) or hits[-1] == 0 or alarms[-1] == 0:
        return np.zeros(0), np.zeros(0), math.nan
    false_rate, true_rate = alarms / alarms[-1], hits / hits[-1]
    area = float((np.diff(false_rate) * (true_rate[1:] + true_rate[:-1]) / 2).sum())
    return false_rate, true_rate, area

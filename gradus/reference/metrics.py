"""Measures of a classifier, of scores, of numbers and of probabilities. Names and definitions are scikit-learn's.

Class indices are (N,) integers from 0, scores (N, C) or (N,). A share of nothing (0/0) is 0. Overlaps of boxes and masks are in
`overlap`, distances between texts in `edit_distance`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gradus.reference.catalogue import Entry


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, 0 where whole is 0."""
    whole = np.asarray(whole, dtype=float)
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), 0.0)


# of classes


def accuracy(predictions: np.ndarray, targets: np.ndarray) -> float:
    """The share of rows that are right; 1 - accuracy is the error rate."""
    return float((np.asarray(predictions) == np.asarray(targets)).mean())


def top_k_accuracy(scores: np.ndarray, targets: np.ndarray, k: int = 5) -> float:
    """The share of rows whose class is among the k highest scores. Of equal scores the class of the lower index comes first."""
    best = np.argsort(-np.asarray(scores), axis=1, kind="stable")[:, :k]
    return float((best == np.asarray(targets)[:, None]).any(axis=1).mean())


def confusion_matrix(predictions: np.ndarray, targets: np.ndarray, classes: int) -> np.ndarray:
    """(C, C): how many rows of the class of the row were predicted as the class of the column."""
    counts = np.zeros((classes, classes), dtype=int)
    for prediction, target in zip(predictions, targets, strict=True):
        counts[target, prediction] += 1
    return counts


def precision(confusion: np.ndarray) -> np.ndarray:
    """TP / (TP + FP) of each class: of what was called so, the share that is so. Not accuracy, as two of the texts gloss it."""
    return _share(np.diag(confusion), confusion.sum(axis=0))


def recall(confusion: np.ndarray) -> np.ndarray:
    """TP / (TP + FN) of each class: of what is so, the share that was found."""
    return _share(np.diag(confusion), confusion.sum(axis=1))


def f1(confusion: np.ndarray) -> np.ndarray:
    """2 / (1/precision + 1/recall) of each class, the harmonic mean, as 2 TP / (2 TP + FP + FN), which is also right at 0."""
    return _share(2 * np.diag(confusion), confusion.sum(axis=0) + confusion.sum(axis=1))


def averages(confusion: np.ndarray) -> dict[str, dict[str, float]]:
    """macro (mean over classes), weighted (by the rows of each class), micro (over all decisions: the accuracy)."""
    values = {"precision": precision(confusion), "recall": recall(confusion), "f1": f1(confusion)}
    support = confusion.sum(axis=1) / confusion.sum()
    correct = float(np.diag(confusion).sum() / confusion.sum())
    return {
        "macro": {name: float(value.mean()) for name, value in values.items()},
        "weighted": {name: float((value * support).sum()) for name, value in values.items()},
        "micro": dict.fromkeys(values, correct),
    }


# of scores for two classes


def _counts_by_threshold(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(true positives, false positives) among the rows that score at least each distinct score, from the highest down."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # the last row of every run of equal scores
    hits = np.asarray(positive, dtype=int)[order]
    return np.cumsum(hits)[ends], np.cumsum(1 - hits)[ends]


def roc_curve(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(false positive rate, true positive rate), from (0, 0) to (1, 1) as the threshold falls. positive (N,) of 0 and 1."""
    true, false = _counts_by_threshold(scores, positive)
    return np.append(0, false) / false[-1], np.append(0, true) / true[-1]


def roc_auc(scores: np.ndarray, positive: np.ndarray) -> float:
    """The area under the ROC curve: the chance that a positive row scores above a negative one, half for a tie."""
    false, true = roc_curve(scores, positive)
    return float((np.diff(false) * (true[1:] + true[:-1]) / 2).sum())


def precision_recall_curve(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(precision, recall) at every threshold, as the threshold falls."""
    true, false = _counts_by_threshold(scores, positive)
    return true / (true + false), true / true[-1]


def average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """sum (R_i - R_(i-1)) P_i: the precision, averaged over steps of recall; nothing is interpolated."""
    precisions, recalls = precision_recall_curve(scores, positive)
    return float((np.diff(recalls, prepend=0) * precisions).sum())


# of numbers


def mean_absolute_error(outputs: np.ndarray, targets: np.ndarray) -> float:
    """mean |y - t|, in the units of the target."""
    return float(np.abs(np.asarray(outputs) - targets).mean())


def mean_squared_error(outputs: np.ndarray, targets: np.ndarray) -> float:
    """mean (y - t)^2."""
    return float(((np.asarray(outputs) - targets) ** 2).mean())


def r_squared(outputs: np.ndarray, targets: np.ndarray) -> float:
    """1 - sum (y - t)^2 / sum (t - mean t)^2: 1 is perfect, 0 as good as the mean, below 0 worse than it."""
    targets = np.asarray(targets, dtype=float)
    return float(1 - ((outputs - targets) ** 2).sum() / ((targets - targets.mean()) ** 2).sum())


# of probabilities and vectors


def perplexity(log_probabilities: np.ndarray) -> float:
    """exp(-mean log p) of the words that came: as unsure as an even choice among that many (*Plain Talk* §8.5)."""
    with np.errstate(over="ignore"):
        return float(np.exp(-np.mean(log_probabilities)))


def cosine_similarity(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """a b / (|a| |b|) over the last axis, -1 to 1 (course notes §5.2.3); 0 where one of them is 0."""
    lengths = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    return np.where(lengths > 0, (first * second).sum(axis=-1) / np.where(lengths > 0, lengths, 1), 0.0)


# of models


def choose_model(
    models: Mapping[str, Mapping[str, float]], optimizing: str, at_most: Mapping[str, float], highest: bool = True
) -> str | None:
    """The best model by one metric among those that satisfy every other (course notes §3.1.4). None: no model satisfies.

    choose_model({"A": {"accuracy": .9, "ms": 80}, "B": {"accuracy": .95, "ms": 1500}}, "accuracy", {"ms": 100}) is "A".
    """
    satisfying = {
        name: values for name, values in models.items() if all(values[key] <= limit for key, limit in at_most.items())
    }
    choice = max if highest else min
    return choice(satisfying, key=lambda name: satisfying[name][optimizing]) if satisfying else None


def error_gaps(errors: Sequence[float]) -> dict[str, float]:
    """What to work on (course notes §3.1.9, §3.2.7). errors: of people, training, training-development, development, test.

    Without a slice of training data that is not trained on, give the development error twice: the mismatch is then 0.
    """
    human, training, held_out, development, test = errors
    return {
        "avoidable bias": training - human,
        "variance": held_out - training,
        "data mismatch": development - held_out,
        "overfit to development": test - development,
    }


def _entry(
    name: str, function: str, formula: str, source: str, range: str = "", note: str = "", fast: str = ""
) -> Entry:
    return Entry(
        name=name, function=f"metrics.{function}", formula=formula, source=source, range=range, note=note, fast=fast
    )


UNIT = r"[0, 1]"
CATALOGUE: tuple[Entry, ...] = (
    _entry(
        "accuracy",
        "accuracy",
        r"\frac{1}{N} \sum_i [y_i = t_i]",
        "*Plain Talk* §5.2; *Principles and Practice* §4.5",
        UNIT,
        "called 精确率 in *Principles and Practice*, a word for precision",
        "gradus.tasks.metrics",
    ),
    _entry(
        "top-k accuracy", "top_k_accuracy", r"\frac{1}{N} \sum_i [t_i \in \text{top}_k(i)]", "*Plain Talk* §6.6", UNIT
    ),
    _entry(
        "confusion matrix",
        "confusion_matrix",
        r"C_{ij} = \sum_n [t_n = i] [y_n = j]",
        "*Plain Talk* §1.3; course notes §3.1.3",
    ),
    _entry(
        "precision",
        "precision",
        r"\frac{TP}{TP + FP}",
        "*Plain Talk* §1.3; course notes §3.1.3",
        UNIT,
        "the course notes gloss it as prediction accuracy",
    ),
    _entry("recall", "recall", r"\frac{TP}{TP + FN}", "*Plain Talk* §1.3; course notes §3.1.3", UNIT),
    _entry("F1", "f1", r"\frac{2}{\frac{1}{P} + \frac{1}{R}}", "course notes §3.1.3", UNIT),
    _entry(
        "area under the ROC curve",
        "roc_auc",
        r"P(s_+ > s_-) + \frac{1}{2} P(s_+ = s_-)",
        "*Deep Learning with Python* §4.5.2",
        UNIT,
    ),
    _entry(
        "average precision",
        "average_precision",
        r"\sum_i (R_i - R_{i-1}) P_i",
        "*Deep Learning with Python* §4.5.2",
        UNIT,
    ),
    _entry(
        "mean absolute error", "mean_absolute_error", r"\frac{1}{N} \sum |y - t|", "*Deep Learning with Python* §3.6"
    ),
    _entry(
        "mean squared error", "mean_squared_error", r"\frac{1}{N} \sum (y - t)^2", "*Deep Learning with Python* §3.6"
    ),
    _entry("R squared", "r_squared", r"1 - \frac{\sum (y - t)^2}{\sum (t - \bar t)^2}", "Wright 1921", r"(-\infty, 1]"),
    _entry(
        "perplexity",
        "perplexity",
        r"\exp\left(-\frac{1}{T} \sum_t \log p_t\right)",
        "*Plain Talk* §8.5",
        r"[1, \infty)",
    ),
    _entry(
        "cosine similarity", "cosine_similarity", r"\frac{a \cdot b}{\|a\| \|b\|}", "course notes §5.2.3", r"[-1, 1]"
    ),
    _entry(
        "satisficing and optimising",
        "choose_model",
        r"\text{argmax}_m q_m \text{ with } s_m \le c",
        "course notes §3.1.4",
    ),
    _entry(
        "gaps between errors",
        "error_gaps",
        r"e_{train} - e_{human}, \quad e_{dev} - e_{train}, \quad e_{test} - e_{dev}",
        "course notes §3.1.9, §3.1.12, §3.2.7",
    ),
)

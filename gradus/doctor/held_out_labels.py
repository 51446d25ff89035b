"""Rows of a split whose given label is likely wrong, and whether that matters for what is decided by them.

Mistakes of a network lie where it is unsure; wrong labels lie anywhere. So mistakes at which it is as sure as at its median right
answer of that class are mostly wrong labels, and as many lie below that median, hidden among its own mistakes. A second witness
is asked: of the nearest training rows more have the answered class than the given one.

Not covered: labels that are wrong in the same way in the training rows, where the network has learnt the mistake.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gradus.look.inside.embeddings import nearest
from gradus.tasks.assessment import ClassAssessment

NEIGHBOURS = 10
IGNORE = 0.2  # of the total error: labels below this share are not where the next gain lies (course notes §3.2.3)


def sure_disagreements(found: ClassAssessment) -> np.ndarray:
    """Numbers of the wrong rows whose answer is at least as sure as the median right answer of the answered class, the surest
    first. Classes that are never answered rightly have no such median, and no such rows."""
    answers, sure = found.predictions, found.probabilities.max(axis=1)
    right = answers == found.targets
    medians = np.full(len(found.classes), np.inf)
    for label in np.unique(answers[right]):
        medians[label] = np.median(sure[right & (answers == label)])
    rows = np.flatnonzero(~right & (sure >= medians[answers]))
    given = found.probabilities[rows, found.targets[rows]]
    return rows[np.lexsort((given, -sure[rows]))]


def supported(
    rows: np.ndarray, found: ClassAssessment, features: np.ndarray, known: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    """Those of `rows` among whose ten nearest known rows more have the answered class than the given one.

    features (rows, D) of `rows`; known (M, D), labels (M,): rows that were learnt from, and their classes
    """
    if not len(rows):
        return rows
    near = nearest(known, features, NEIGHBOURS)
    for_answer = (labels[near] == found.predictions[rows][:, None]).sum(axis=1)
    for_given = (labels[near] == found.targets[rows][:, None]).sum(axis=1)
    return rows[for_answer > for_given]


@dataclass(frozen=True)
class Judgement:
    """What to do about wrong labels. decision: "ignore", "fix" or "cannot rank"; said: why, in a sentence."""

    decision: str
    share: float  # of the (smallest) total error that is due to labels
    said: str


def judge_labels(errors: Sequence[float], by_labels: float) -> Judgement:
    """From the total error of one or several models and the error that wrong labels make: whether they have to be corrected
    (course notes §3.2.3). All are shares: 0.02 is 2 %.

    judge_labels([0.10], 0.007): ignore (7 % of the error). judge_labels([0.02], 0.007): fix (35 %).
    judge_labels([0.021, 0.019], 0.006): the models are nearer to each other than the labels are right: cannot rank.

    Raises ValueError without an error, or where the labels make more error than there is.
    """
    if not errors or not 0 <= by_labels <= min(errors):
        raise ValueError(f"expected errors and a part of each that is due to labels, received {errors} and {by_labels}")
    total = min(errors)
    share = by_labels / total if total else 0.0
    apart = min((abs(a - b) for i, a in enumerate(errors) for b in errors[:i]), default=math.inf)
    told = (
        f"wrong labels make {100 * by_labels:.2g} % of error, {100 * share:.0f} % of the {100 * total:.3g} % there is"
    )
    if apart <= by_labels:
        return Judgement(
            "cannot rank", share, f"{told}; the models are only {100 * apart:.2g} % apart: correct the labels first"
        )
    if share < IGNORE:
        return Judgement("ignore", share, f"{told}: work on the other {100 * (total - by_labels):.3g} % first")
    return Judgement("fix", share, f"{told}: correct them, in the validation and the test rows alike")

"""Whether another threshold than one half makes F1 better, that of two classes or of labels."""

from __future__ import annotations

import shlex
from collections.abc import Callable

import numpy as np

from gradus.doctor.case import Case, NotHere
from gradus.doctor.finding import Finding
from gradus.doctor.thresholds import LEAST, Question, Score, best_threshold, by_f1, by_macro_f1, questions

GAIN = 0.01  # of the score: below, nobody would change the threshold
DRAWS = 1_000
SURE = 0.001


def find_better_threshold(case: Case) -> list[Finding]:
    """A threshold that is chosen on one half of the held-out rows and better on the other, each way round."""
    run = case.trained
    if not {"validation", "test"} <= {*case.tensors}:
        raise NotHere("a threshold is chosen on validation rows and judged on test rows")
    chooses, judges = (questions(run.assess(split)) for split in ("validation", "test"))
    two = len(judges) == 1
    score = by_macro_f1 if two else by_f1
    gains = (_gain(on, other, score, case.seed) for on, other in zip(chooses, judges, strict=True))
    found = [one for one in gains if one is not None]
    if not found:
        return []
    name, threshold, before, after = max(found, key=lambda one: one[3] - one[2])
    return [
        Finding(
            kind="threshold",
            told=f"answering '{name}' above {threshold:.2f} instead of 0.50, as the validation rows have it, makes "
            f"{'macro F1' if two else 'its F1'} on the test rows {after:.3f} instead of {before:.3f}",
            where=f"the answer '{name}'",
            value=threshold,
            usual="a gain below 0.01 over a threshold of one half",
            strength=min(1.0, 0.1 + after - before),
            command=shlex.join(["gradus", "doctor", case.named, "--optimise", "macro_f1" if two else "f1"]),
        )
    ]


def _gain(
    on: Question, other: Question, score: Callable[[np.ndarray], Score], seed: int
) -> tuple[str, float, float, float] | None:
    """(name, threshold, score at one half, score at the threshold), on `other`; None where it is no sure gain there."""
    if min(on.positive.sum(), (~on.positive).sum(), other.positive.sum(), (~other.positive).sum()) < LEAST:
        return None
    chosen = best_threshold(on.probability, on.positive, score(on.positive)).threshold

    def value(rows: np.ndarray, threshold: float) -> float:
        yes, there = other.probability[rows] > threshold, other.positive[rows]
        return float(score(there)(np.array([(yes & there).sum()], float), np.array([(yes & ~there).sum()], float))[0])

    rows = np.arange(len(other.positive))
    before, after = value(rows, 0.5), value(rows, chosen)
    if after - before < GAIN:
        return None
    generator = np.random.default_rng(seed)
    drawn = (generator.integers(len(rows), size=len(rows)) for _ in range(DRAWS))
    gains = np.array([value(some, chosen) - value(some, 0.5) for some in drawn])
    return (on.name, chosen, before, after) if np.quantile(gains, SURE) > 0 else None

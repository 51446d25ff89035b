"""Whether mistakes on the test rows are partly wrong labels, and what the accuracy is without those rows."""

from __future__ import annotations

import shlex

import numpy as np

from gradus.doctor.case import Case, NotHere
from gradus.doctor.error_table import split_of
from gradus.doctor.finding import Finding
from gradus.doctor.held_out_labels import IGNORE, judge_labels, supported, sure_disagreements
from gradus.tasks.assessment import ClassAssessment

LEAST_ROWS = 100
LEAST_SHARE = 0.003  # of all rows
LARGEST = 0.2  # wrong labels: with more, a network that is sure of everything looks the same
KNOWN = 5_000
AGREED = (
    0.6  # of the sure disagreements, those that the nearest training rows agree with: mere confusions are a toss-up
)


def find_wrong_held_out_labels(case: Case) -> list[Finding]:
    """Mistakes of which the network is as sure as of right answers, and which the nearest training rows agree with."""
    run = case.trained
    split = "test" if "test" in case.tensors else split_of(run)
    found = run.assess(split)
    if not isinstance(found, ClassAssessment):
        raise NotHere("rows of this task have no one class each")
    if len(found.targets) < LEAST_ROWS:
        raise NotHere(f"{len(found.targets)} {split} rows are too few")
    rows = likely_wrong_rows(case, found, split)
    agreed = len(rows) / max(len(sure_disagreements(found)), 1)
    total = float((found.predictions != found.targets).mean())
    estimate = min(2 * len(rows) / len(found.targets), total)  # as many again lie below the median certainty
    case.measured["held-out labels"] = {"split": split, "rows": rows.tolist(), "estimate": estimate, "error": total}
    fewest = (len(rows) - 3.3 * np.sqrt(len(rows))) / len(found.targets) * 2  # p < 0.001 below a Poisson count, about
    if fewest < LEAST_SHARE or estimate < IGNORE * total or estimate > LARGEST or agreed < AGREED:
        return []
    kept = np.setdiff1d(np.arange(len(found.targets)), rows)
    without = float((found.predictions == found.targets)[kept].mean())
    judged = judge_labels([total], estimate)
    return [
        Finding(
            kind="test-labels",
            told=f"{len(rows)} of the {round(total * len(found.targets))} mistakes on {split} rows look like wrong labels: "
            f"without these rows the accuracy is {100 * without:.2f} % instead of {100 * (1 - total):.2f} %",
            where=f"labels of {split} rows",
            value=estimate,
            usual=f"wrong labels below {100 * IGNORE:.0f} % of the error; here about {100 * judged.share:.0f} %",
            strength=min(1.0, 0.1 + judged.share / 2),
            command=shlex.join(["gradus", "doctor", case.named, "--wrong-labels"]),
            rows={split: rows[:50].tolist()},
        )
    ]


def likely_wrong_rows(case: Case, found: ClassAssessment, split: str) -> np.ndarray:
    """Numbers of the rows of a split whose label is likely wrong, the likeliest first."""
    rows = sure_disagreements(found)
    try:
        known = case.features("train", KNOWN)
        labels = case.targets("train")[case.rows_of("train", KNOWN)]
        inputs = case.batch(split, rows)[0].flatten(1).float().cpu().numpy() if len(rows) else known[:0]
    except NotHere:
        return rows  # no vectors to find neighbours by
    return supported(rows, found, inputs, labels=labels, known=known)

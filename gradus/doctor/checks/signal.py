"""Do the inputs say anything about the target? The entropy criterion: if no method lowers the entropy of the label, none will.

Simple methods answer every row without having learnt from it. Their answers are held against the labels: how many agree, beside
how many would if the labels were shuffled among the rows (mean and variance of all permutations, exactly), and by how many bits
knowing the answer lowers the entropy of the label. A deep network may find what simple methods do not: where one was trained, it
has to be at chance too.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from gradus.doctor.case import Case, NotHere
from gradus.doctor.data_commands import show_command
from gradus.doctor.finding import Finding
from gradus.doctor.rows import Rows, answers_of, rows_of, windows_of
from gradus.doctor.simple import out_of_fold
from gradus.tasks.assessment import ClassAssessment, ForecastAssessment, NumberAssessment

FEWEST = 100  # rows below which nothing is said
CHANCE = 3.1  # deviations above the mean of shuffled labels: one in a thousand by chance
SKILL = 0.1  # the share of the way from chance to perfect that a method that sees nothing stays below with these rows


class Signal(NamedTuple):
    """deviations: above shuffled labels; skill: 0 at chance, 1 perfect; bits: by how much the entropy of the label is lowered."""

    deviations: float
    skill: float
    bits: float


def find_no_signal(case: Case) -> list[Finding]:
    """Inputs from which neither simple methods nor the network, where one was trained, learn anything about the target."""
    rows = rows_of(case, "train")
    targets, num_classes = answers_of(case, rows, "train")
    if len(rows) < FEWEST:
        raise NotHere(f"{len(rows)} training rows are too few to tell whether they carry signal")
    if len(np.unique(targets)) < 2:
        raise NotHere("the target is the same in all rows")
    methods = {
        name: signal_of(told, targets, num_classes) for name, told in told_of(case, rows, targets, num_classes).items()
    }
    windows = windows_of(case, "train")
    if windows is not None and not any(_sees(one) for one in methods.values()):  # what several rows together tell
        told = out_of_fold(windows, targets, num_classes)
        methods = {name: signal_of(one, targets, num_classes) for name, one in told.items()}
    entropy = _entropy(np.bincount(targets)) if num_classes else None
    case.measured["signal"] = {"entropy": entropy, **{name: one._asdict() for name, one in methods.items()}}
    best = max(methods.values(), key=lambda one: one.deviations)
    if any(_sees(one) for one in methods.values()) or _network_sees(case):
        return []
    count = len(methods)
    lowered = (
        f"they lower the entropy of the label by {max(best.bits, 0):.3f} of {entropy:.2f} bits, as shuffled labels would"
        if num_classes
        else "their answers go with the target no more than with a shuffled one"
    )
    network = " and the network" if case.run is not None else ""
    return [
        Finding(
            kind="no-signal",
            told=f"{_listed(list(methods))}{network} learn nothing about '{case.task.target_column}' from the inputs: of "
            f"{len(rows):,} training rows {lowered}",
            where="training rows",
            value=round(best.skill, 4),
            usual=f"above {CHANCE:g} deviations of shuffled labels with at least one of {count} methods",
            strength=1.0,
            command=show_command(case),
            others=("check whether labels and rows were read, sorted or shuffled apart from each other",),
        )
    ]


def _sees(one: Signal) -> bool:
    return one.deviations > CHANCE or one.skill > SKILL


def told_of(case: Case, rows: Rows, targets: np.ndarray, num_classes: int | None) -> dict[str, np.ndarray]:
    """What the simple methods say of these training rows; computed once for all checks."""
    return case.once(f"simple methods {len(rows)}", lambda: out_of_fold(rows, targets, num_classes))


def signal_of(told: np.ndarray, targets: np.ndarray, num_classes: int | None) -> Signal:
    """How far what is told of the rows goes with their targets. told: (N, C) probabilities or (N,) numbers."""
    if num_classes is None:
        middle = (len(told) - 1) / 2
        ours, theirs = (np.argsort(np.argsort(values, kind="stable")) - middle for values in (told, targets))
        together = float(ours @ theirs / (ours @ ours)) if np.ptp(told) else 0.0  # of ranks (Spearman)
        bits = -0.5 * math.log2(max(1 - together**2, 1e-12))
        return Signal(together * math.sqrt(len(told) - 1), max(together, 0.0) ** 2, bits)
    table = np.zeros((num_classes, num_classes))
    np.add.at(table, (told.argmax(axis=1), targets), 1)
    return _of_table(table)


def _of_table(table: np.ndarray) -> Signal:
    """From (answers, labels) counts. Variance of the number that agree when labels are permuted: Hoeffding 1951."""
    total = table.sum()
    answers, labels = table.sum(axis=1), table.sum(axis=0)
    agree, expected = np.trace(table), (answers * labels).sum() / total
    centred = np.eye(len(table)) - (labels / total)[:, None] - (answers / total)[None, :] + expected / total
    variance = (np.outer(answers, labels) * centred**2).sum() / max(total - 1, 1)
    bits = _entropy(labels) - sum(_entropy(row) * row.sum() for row in table) / total
    bits -= (np.count_nonzero(answers) - 1) * (np.count_nonzero(labels) - 1) / (2 * total * math.log(2))  # of chance
    best = max(expected, labels.max())
    return Signal(
        float((agree - expected) / math.sqrt(max(variance, 1e-12))),
        float((agree - best) / max(total - best, 1e-12)),
        float(bits),
    )


def _entropy(counts: np.ndarray) -> float:
    """Bits."""
    shares = counts[counts > 0] / max(counts.sum(), 1)
    return float(-(shares * np.log2(shares)).sum())


def _network_sees(case: Case) -> bool:
    """Whether a trained network is better than chance on rows that it did not learn from."""
    if case.run is None:
        return False
    split = next((name for name in ("test", "validation") if name in case.tensors), None)
    if split is None:
        return False
    assessment = case.run.assess(split)
    if isinstance(assessment, ClassAssessment):
        found = signal_of(assessment.probabilities, assessment.targets, len(assessment.classes))
    elif isinstance(assessment, NumberAssessment | ForecastAssessment):
        told, wanted = (
            np.asarray(part).reshape(len(part), -1)[:, -1] for part in (assessment.predictions, assessment.targets)
        )
        found = signal_of(told, wanted, None)
    else:
        return False
    return found.deviations > CHANCE


def _listed(names: list[str]) -> str:
    words = {"linear": "a linear method", "neighbours": "nearest neighbours", "trees": "trees"}
    told = [words[name] for name in names]
    return f"{', '.join(told[:-1])} and {told[-1]}" if len(told) > 1 else told[0]

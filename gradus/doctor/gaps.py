"""The gaps between errors: from the best known answer over the training rows to the test rows, and what each is called.

    bound → training → training-validation → validation → test

    bound → training                    avoidable bias: the training rows themselves are not learnt
    training → rows of the same source  variance: what was learnt does not carry over
    same source → another source        mismatch: the rows that judge are of another kind
    validation → test, of one source    the validation rows were chosen by

Pure functions of numbers (course notes §3.1.9, §3.1.12, §3.2.7 to §3.2.9). An error is 0 where nothing is wrong, in any unit
that is the same for all. Where rows of another source follow on training rows and no slice of the training source was kept
aside (the training-validation rows), one gap is both variance and mismatch, and no number can tell which.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

STAGES = ("bound", "train", "train-validation", "validation", "test")
BEYOND_CHANCE = 2.58  # deviations: a gap is named where zero lies outside of its 99 % interval
LEAST = 0.005  # of the scale of the error (1 for shares): half a point in a hundred matters to nobody
LEAST_SHARE = (
    0.15  # of what the later error has above the bound: a smaller gap is not what keeps the model from being better
)


@dataclass(frozen=True)
class Stage:
    """How wrong the model is on some rows. deviation: standard error of `error`; low, high: 95 % interval; rows: how many."""

    error: float
    deviation: float = 0.0
    low: float = float("nan")
    high: float = float("nan")
    rows: int = 0


@dataclass(frozen=True)
class Gap:
    """What lies between two neighbouring stages. kinds: what it is called; two where it can be either.

    size: the later error minus the earlier; deviation: its standard error; is_sure: beyond chance and large enough to matter
    """

    kinds: tuple[str, ...]
    before: str
    after: str
    size: float
    deviation: float
    is_sure: bool

    @property
    def low(self) -> float:
        return self.size - 1.96 * self.deviation

    @property
    def high(self) -> float:
        return self.size + 1.96 * self.deviation


def name_gaps(
    errors: Mapping[str, Stage | float], elsewhere: Collection[str] = ("validation", "test"), scale: float = 1.0
) -> list[Gap]:
    """The gaps between the stages that there are, the largest first; those that are not sure stand behind the others.

    errors:    by names of `STAGES`, some of which may be left out; plain numbers are exact
    elsewhere: the stages whose rows may be of another source than the training rows; those of one source are a slice of it
    scale:     the error of knowing nothing, in the same unit

    Errors of different rows are independent, so the variance of a gap is the sum of both. A gap below zero is none: an error
    on the training rows below the bound only says that the bound was not the best, or that they were learnt by heart.
    """
    found = {name: one if isinstance(one, Stage) else Stage(one) for name, one in errors.items()}
    names = [name for name in STAGES if name in found]
    gaps = []
    bound = found["bound"].error if "bound" in found else 0.0
    for before, after in itertools.pairwise(names):
        size = found[after].error - found[before].error
        deviation = (found[before].deviation ** 2 + found[after].deviation ** 2) ** 0.5
        matters = size > max(LEAST * scale, LEAST_SHARE * (found[after].error - bound))
        kinds = _kinds(before, after, elsewhere)
        gaps.append(Gap(kinds, before, after, size, deviation, matters and size > BEYOND_CHANCE * deviation))
    return sorted(gaps, key=lambda gap: (not gap.is_sure, -gap.size))


def _kinds(before: str, after: str, elsewhere: Collection[str]) -> tuple[str, ...]:
    """What the gap between two stages is called."""
    if before == "bound":
        return ("avoidable-bias",)
    if before == "train":
        return ("variance", "mismatch") if after in elsewhere else ("variance",)
    if after == "test" and before == "validation" and (before in elsewhere) == (after in elsewhere):
        return ("validation-overused",)
    return ("mismatch",) if after in elsewhere else ("variance",)


def largest_gap(gaps: Sequence[Gap]) -> Gap | None:
    """The gap to work on; None where all are within chance or too small to matter."""
    return gaps[0] if gaps and gaps[0].is_sure else None


def overfitting_epoch(history: Sequence[Mapping[str, Any]]) -> int | None:
    """The epoch from which on the validation loss rose while the training loss fell; None where that did not happen.

    history: records of epochs with `epoch`, `train_loss` and `validation_loss`. The rows that tell are those of validation:
    a training that is stopped by its test rows has been told their answers.

    A rise counts where the last losses (a tenth of the epochs, at least three) lie on average 5 % above the least one, and all
    of them above it.
    """
    known = [one for one in history if "validation_loss" in one and "train_loss" in one]
    if len(known) < 6:
        return None
    losses = [float(one["validation_loss"]) for one in known]
    best = min(range(len(losses)), key=losses.__getitem__)
    last = losses[-max(3, len(losses) // 10) :]
    if len(losses) - best <= len(last) or sum(last) / len(last) < 1.05 * losses[best] or min(last) <= losses[best]:
        return None
    fell = float(known[-1]["train_loss"]) < float(known[best]["train_loss"])
    return int(known[best]["epoch"]) + 1 if fell else None


def is_still_falling(history: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the training loss fell by more than 2 % over the last tenth of the epochs (at least two), its least values being
    the last: more epochs would have learnt more."""
    losses = [float(one["train_loss"]) for one in history if "train_loss" in one]
    span = max(2, len(losses) // 10)
    return len(losses) > span and losses[-1] < 0.98 * losses[-1 - span] and losses[-1] <= 1.001 * min(losses)

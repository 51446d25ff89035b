"""The checks, in the order in which they are asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gradus.doctor.case import Case
from gradus.doctor.checks import balance, certainty, first_loss, held_out_labels, threshold, weak_slice
from gradus.doctor.finding import Finding


class Check(NamedTuple):
    """asks: (case) -> findings; raises `NotHere` where it does not apply. after: whether it needs a trained run."""

    about: str
    asks: Callable[[Case], list[Finding]]
    after: bool = False


CHECKS: dict[str, Check] = {
    "balance": Check("how rare the rarest class is", balance.find_imbalance),
    "first-loss": Check("the loss before training beside that of chance", first_loss.find_initial_loss),
    "weak-slice": Check("which rows have far more mistakes", weak_slice.find_weak_slice, after=True),
    "certainty": Check("whether answers are as sure as they may be", certainty.find_wrong_certainty, after=True),
    "threshold": Check("whether another threshold is better", threshold.find_better_threshold, after=True),
    "held-out-labels": Check(
        "whether mistakes are wrong labels", held_out_labels.find_wrong_held_out_labels, after=True
    ),
}

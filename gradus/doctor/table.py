"""The checks, in the order in which they are asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gradus.doctor.case import Case
from gradus.doctor.checks import balance, first_loss, why_not_better
from gradus.doctor.finding import Finding


class Check(NamedTuple):
    """asks: (case) -> findings; raises `NotHere` where it does not apply. after: whether it needs a trained run."""

    about: str
    asks: Callable[[Case], list[Finding]]
    after: bool = False


CHECKS: dict[str, Check] = {
    "balance": Check("how rare the rarest class is", balance.find_imbalance),
    "first-loss": Check("the loss before training beside that of chance", first_loss.find_initial_loss),
    # after training, when all else has been asked
    "gaps": Check("the gaps from the bound over training and validation to test", why_not_better.find_gaps, True),
    "simple": Check("the run beside its best baseline", why_not_better.find_no_better, True),
}

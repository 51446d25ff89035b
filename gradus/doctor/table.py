"""The checks, in the order in which they are asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gradus.doctor.case import Case
from gradus.doctor.checks import balance, duplicates, first_loss, future, groups, labels, leaks, shift, signal
from gradus.doctor.finding import Finding


class Check(NamedTuple):
    """asks: (case) -> findings; raises `NotHere` where it does not apply. after: whether it needs a trained run."""

    about: str
    asks: Callable[[Case], list[Finding]]
    after: bool = False


CHECKS: dict[str, Check] = {
    "signal": Check("whether the inputs say anything about the target", signal.find_no_signal),
    "target-leak": Check("whether an input is the target", leaks.find_target_leak),
    "future-leak": Check("whether an input tells what comes later", future.find_future_leak),
    "time-order": Check("whether training rows are later than those that judge", future.find_time_order),
    "shared-rows": Check("rows that are in two splits", duplicates.find_shared_rows),
    "near-duplicates": Check("rows that are almost those of another split", duplicates.find_near_duplicates),
    "label-conflicts": Check("equal rows with different labels", duplicates.find_label_conflicts),
    "split-groups": Check("groups of rows that lie in several splits", groups.find_split_groups),
    "shift": Check("whether the splits are alike, and prepared alike", shift.find_shift),
    "wrong-labels": Check("how many training labels are likely wrong", labels.find_wrong_labels),
    "swapped-classes": Check("classes that have changed their names", labels.find_swapped_classes),
    "few-rows": Check("whether there are rows enough to tell models apart", balance.find_few_rows),
    "balance": Check("how rare the rarest class is", balance.find_imbalance),
    "first-loss": Check("the loss before training beside that of chance", first_loss.find_initial_loss),
}

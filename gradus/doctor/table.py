"""The checks, in the order in which they are asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gradus.doctor.case import Case
from gradus.doctor.checks import (
    augmentation,
    balance,
    certainty,
    depth,
    duplicates,
    evaluation_mode,
    first_loss,
    first_steps,
    future,
    groups,
    held_out_labels,
    labels,
    leaks,
    learning_rate,
    linearity,
    memorise,
    outputs,
    shift,
    signal,
    state,
    threshold,
    watched,
    weak_slice,
    why_not_better,
)
from gradus.doctor.finding import Finding


class Check(NamedTuple):
    """asks: (case) -> findings; raises `NotHere` where it does not apply. after: whether it needs a trained run."""

    about: str
    asks: Callable[[Case], list[Finding]]
    after: bool = False


CHECKS: dict[str, Check] = {
    "changed-data": Check("whether the data are those of the training", state.find_changed_data, after=True),
    "unfinished": Check("whether the training has ended", state.find_unfinished, after=True),
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
    # the network, the loss and the first steps
    "outputs": Check("whether every output has training rows", outputs.find_empty_classes),
    "probabilities": Check("whether the loss gets logits", outputs.find_probabilities),
    "first-loss": Check("the loss before training beside that of chance", first_loss.find_initial_loss),
    "loss-scale": Check("the loss of a batch beside that of its halves", first_loss.find_summed_loss),
    "inputs": Check("how large the inputs are", first_steps.find_unscaled_inputs),
    "depth": Check("how large signals and gradients are, layer by layer", depth.find_scales),
    "units": Check("the share of dead and saturated units, layer by layer", depth.find_dead_units),
    "linearity": Check("whether the layers are one linear map", linearity.find_linear_network),
    "gradients": Check("backward passes of one's own beside differences", memorise.find_wrong_gradients),
    "by-heart": Check("whether one small batch can be learnt by heart", memorise.find_cannot_memorise),
    "random-evaluation": Check("the same rows answered twice", evaluation_mode.find_random_evaluation),
    "batch-statistics": Check("rows answered alone and among others", evaluation_mode.find_batch_statistics),
    "kept-gradients": Check("the gradient of a step that is repeated", first_steps.find_kept_gradients),
    "batches": Check("how mixed the batches of the first epoch are", first_steps.find_unmixed_batches),
    "rate": Check("whether the learning rate can learn", learning_rate.find_rate),
    "augmentation": Check("whether changed pictures stay of their class", augmentation.find_harm),
    "cost": Check("what an epoch takes", first_steps.measure_cost),
    "idle": Check("whether every layer learns in the first steps", watched.find_idle),
    "watched": Check("what was seen while training", watched.find_watched, after=True),
    # after training, when all else has been asked
    "gaps": Check("the gaps from the bound over training and validation to test", why_not_better.find_gaps, True),
    "simple": Check("the run beside its best baseline", why_not_better.find_no_better, True),
    "weak-slice": Check("which rows have far more mistakes", weak_slice.find_weak_slice, after=True),
    "certainty": Check("whether answers are as sure as they may be", certainty.find_wrong_certainty, after=True),
    "threshold": Check("whether another threshold is better", threshold.find_better_threshold, after=True),
    "held-out-labels": Check(
        "whether mistakes are wrong labels", held_out_labels.find_wrong_held_out_labels, after=True
    ),
}

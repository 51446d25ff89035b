"""The checks, in the order in which they are asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gradus.doctor.case import Case
from gradus.doctor.checks import (
    augmentation,
    balance,
    depth,
    evaluation_mode,
    first_loss,
    first_steps,
    learning_rate,
    linearity,
    memorise,
    outputs,
)
from gradus.doctor.finding import Finding


class Check(NamedTuple):
    """asks: (case) -> findings; raises `NotHere` where it does not apply. after: whether it needs a trained run."""

    about: str
    asks: Callable[[Case], list[Finding]]
    after: bool = False


CHECKS: dict[str, Check] = {
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
}

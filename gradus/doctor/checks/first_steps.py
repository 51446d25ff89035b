"""The first steps as training makes them: gradients cleared, batches mixed, inputs of one size; and what they cost."""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import Tensor

from gradus.doctor.case import Case, NotHere
from gradus.doctor.finding import Finding
from gradus.doctor.probe import learning, refuse_makers
from gradus.look.network.memory import kept_for_training
from gradus.train.learner import Supervised
from gradus.train.randomness import seed_step
from gradus.train.settings import RegularizationSettings

STEPS = 3
KEPT = 1.5  # norm of the gradient of a repeated step over that of the first: 1 where it is cleared, 2 and 3 where it is kept
MIXED = 0.6  # of what batches of a random order hold
LARGE = 100.0  # size of an input where the usual one is 1
WIDE = 1000.0  # size of the largest input column over the median one


def find_kept_gradients(case: Case) -> list[Finding]:
    """The same batch several times at a rate of 0: where gradients are cleared, each step finds the same one."""
    norms = []
    with learning(case, regularization=RegularizationSettings()) as (trainer, learner):
        learner.set_learning_rate(0.0)
        batch = trainer.source.batch(0, 0)
        for _ in range(STEPS):
            seed_step(case.seed, 0, 0, learner.device)
            learner.step(batch)
            norms.append(_gradient_norm(learner))
    case.measured["norms of the gradient of a repeated step"] = norms
    if not norms[0] or norms[1] < KEPT * norms[0] or norms[2] < norms[1]:
        return []
    return [
        Finding(
            kind="kept-gradients",
            told=f"the same step three times, with weights that stay, finds gradients of norm {norms[0]:.3g}, {norms[1]:.3g} and "
            f"{norms[2]:.3g}: each adds to what the steps before it left",
            where="the training step",
            value=norms[1] / norms[0],
            usual="the same norm each time: gradients are set to zero before each step",
            strength=0.97,
            command="gradus lesson forward-and-backward",
            others=("call optimizer.zero_grad() before loss.backward()",),
        )
    ]


def _gradient_norm(learner: Supervised) -> float:
    gradients = [p.grad.double().norm() for p in learner.parameters if p.grad is not None]
    return float(torch.stack(gradients).norm()) if gradients else 0.0


def find_unmixed_batches(case: Case) -> list[Finding]:
    """How different the targets within a batch of the first epoch are, beside random batches of the same rows.

    Of classes: how many a batch holds; of numbers: their variance within batches.
    """
    refuse_makers(case)
    targets = case.targets("train")
    if targets.ndim > 1 and targets.shape[1] == 1:
        targets = targets[:, 0]
    if targets.ndim != 1:
        raise NotHere("a row has several targets")
    with learning(case) as (trainer, _):
        order, size = trainer.source.order(0).cpu().numpy(), case.recipe.train.batch_size
    if len(targets) < 4 * size or size < 4:
        raise NotHere("there are too few batches")
    is_class = np.issubdtype(targets.dtype, np.integer)
    found = _variety(targets[order], size, is_class)
    random = np.random.default_rng(case.seed)
    chance = float(np.mean([_variety(targets[random.permutation(order)], size, is_class) for _ in range(5)]))
    what = "classes in a batch" if is_class else "variance of the target within a batch"
    case.measured[what] = {"measured": found, "of chance": chance}
    if not chance or found >= MIXED * chance:
        return []
    return [
        Finding(
            kind="one-class-batches",
            told=f"the {what} {'are' if is_class else 'is'} {found:.3g} in the mean of the first epoch, where mixed rows give "
            f"{chance:.3g}: the rows come in an order that follows the target",
            where="the order of the training rows",
            value=found / chance,
            usual=f"about {chance:.3g}",
            strength=0.97,
            command="gradus lesson bad-splits",
            others=("shuffle the rows anew in every epoch (DataLoader(shuffle=True))",),
        )
    ]


def _variety(targets: np.ndarray, size: int, is_class: bool) -> float:
    whole = targets[: len(targets) // size * size].reshape(-1, size)
    if is_class:
        return float(np.mean([len(np.unique(batch)) for batch in whole]))
    return float(whole.var(axis=1).mean())


def find_unscaled_inputs(case: Case) -> list[Finding]:
    """Inputs far from a size of 1, or columns of very different sizes, as the task prepares them."""
    refuse_makers(case)
    features = case.features("train", 2_000)
    sizes = np.sqrt(np.square(features.astype(np.float64)).mean(axis=0))
    used = sizes[sizes > 0]
    if not len(used):
        raise NotHere("all inputs are 0")
    largest, usual = float(used.max()), float(np.median(used))
    is_table = case.batch("train", case.rows_of("train", 2))[0].ndim == 2 and features.shape[1] <= 1_000
    case.measured["size of the inputs"] = {"median column": usual, "largest column": largest}
    wide = is_table and largest > WIDE * usual
    if not wide and usual < LARGE:
        return []
    told = (
        f"the largest input column is {largest:.3g} in size, the median one {usual:.3g}"
        if wide
        else f"the inputs are {usual:.3g} in size"
    )
    return [
        Finding(
            kind="unscaled-inputs",
            told=f"{told}: one learning rate cannot suit them",
            where=f"input column {int(sizes.argmax()) + 1}" if wide else "the inputs",
            value=largest / usual if wide else usual,
            usual="a deviation of about 1 in every column",
            strength=0.6,
            command="gradus lesson normalisation",
        )
    ]


def measure_cost(case: Case) -> list[Finding]:
    """What an epoch takes, and the memory of a step: measured, no finding."""
    with learning(case) as (trainer, learner):
        batch, rows = trainer.source.batch(0, 0), trainer.source.size(0)
        learner.step(batch)
        case.experiment.plan.synchronize()
        started = time.perf_counter()
        for _ in range(STEPS):
            learner.step(batch)
        case.experiment.plan.synchronize()
        seconds = (time.perf_counter() - started) / STEPS
    states = [v for state in learner.optimizer.state.values() for v in state.values() if isinstance(v, Tensor)]
    inputs = case.batch("train", case.rows_of("train", 1))[0]
    given = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    kept = kept_for_training(learner.model, given, real=True)
    case.measured["cost"] = {
        "rows a second": rows / seconds,
        "minutes in all": seconds * trainer.source.steps * case.recipe.train.epochs / 60,
        "bytes of parameters": sum(p.numel() * p.element_size() for p in learner.model.parameters()),
        "bytes of the optimiser": sum(v.numel() * v.element_size() for v in states),
        "bytes of activations of a batch": None if kept is None else kept * rows,
    }
    return []

"""Whether the learning rate can learn: by a short range test, and by some steps at the rate itself and at lower ones."""

from __future__ import annotations

import math
import time

import numpy as np
import torch

from gradus.doctor.case import Case, NotHere
from gradus.doctor.commands import train_with
from gradus.doctor.finding import Finding
from gradus.doctor.probe import learning, probe
from gradus.recipes.lr_range import RangeTest, judge, raise_rate
from gradus.train.learner import NonFiniteError
from gradus.train.randomness import seed_step
from gradus.train.schedules import factor_at

ROWS = 64
STEPS, LEAST_STEPS = 100, 40
SECONDS = 20.0  # of the processor that the range test may take
BUDGET = 2e11  # floating-point operations of the range test, about
LOWEST, HIGHEST = 1e-7, 10.0
TRIED = 60  # steps at the rate itself, and at a tenth and a hundredth of it
LAST = 20  # of them, whose median is compared
BETTER = 0.85  # share of the loss that a lower rate reaches
FALL = 0.1  # of the first loss by which it must be better, too
WHOLE = 3.0  # steps at the rate of the steepest fall that a whole training must be worth
FAR = 100.0  # times below that rate, too: a training of few steps is short, not slow
LEARNT = 0.7  # share of the first loss below which a run has learnt something
SURELY = 0.5  # share of the loss of chance below which nothing is asked


def find_rate(case: Case) -> list[Finding]:
    """Too low: all steps of the training together move the weights less than three at the rate where the loss falls fastest,
    which is a hundred times higher.
    Too high: a tenth or a hundredth of the rate has a clearly lower loss after the same 60 batches.

    A run that learnt, by its history, has no rate that is too low; one that learnt more than a lower rate does in 60 steps, none
    that is too high.
    """
    if case.recipe.model.weights:
        raise NotHere("the network begins with trained weights")
    reached = _reached(case)
    if reached < SURELY * _chance(case):
        raise NotHere("the run learnt at its rate")
    size = case.recipe.train.batch_size
    steps = min(STEPS, int(BUDGET / max(3 * size * case.experiment.operations, 1)))
    if steps < LEAST_STEPS:
        raise NotHere("the network is too large to be tried in some seconds: gradus lr tries it in minutes")
    seed = case.recipe.train.seed
    _refuse_slow(case, steps)
    with learning(case) as (trainer, _):
        losses, rates, own = raise_rate(trainer, seed, LOWEST, HIGHEST, steps)
    if len(losses) < 3:
        raise NotHere("the loss is not a finite number from the beginning")
    burst = float(rates[len(losses)]) if len(losses) < len(rates) else None
    found = judge(rates[: len(losses)], np.array(losses), burst, own, 1)
    first = float(np.median(losses[: steps // 4]))
    all_steps = trainer.source.steps * case.recipe.train.epochs
    case.measured["learning rate"] = {**found.marks(), "steps": all_steps}
    if found.steepest is None or found.lowest is None:
        return []
    mean_factor = _mean_factor(case, trainer.source.steps)
    is_low = own < found.steepest / FAR and own * mean_factor * all_steps < WHOLE * found.steepest
    if is_low and reached > LEARNT * first:
        return [_too_low(case, found, own, all_steps, first)]
    if own > found.lowest:
        return _too_high(case, found, own, first, reached)
    return []


def _refuse_slow(case: Case, steps: int) -> None:
    """By the second and third step: the first one makes ready."""
    with learning(case) as (trainer, learner):
        batch = trainer.source.batch(0, 0)
        learner.step(batch)
        started = time.process_time()
        learner.step(batch)
        learner.step(batch)
        if (time.process_time() - started) / 2 * steps > SECONDS:
            raise NotHere("the network is too slow to be tried in some seconds: gradus lr tries it in minutes")


def _reached(case: Case) -> float:
    """The training loss of a run's last epoch; infinite where there is none."""
    history = case.run.history if case.run is not None else []
    return float(history[-1].get("train_loss", math.inf)) if history else math.inf


def _chance(case: Case) -> float:
    """The loss of outputs that are all 0."""
    begun = probe(case, ROWS)
    with torch.no_grad():
        outputs = begun.outputs()
        return float(begun.loss(torch.zeros_like(outputs))) if isinstance(outputs, torch.Tensor) else 0.0


def _mean_factor(case: Case, steps: int) -> float:
    train = case.recipe.train
    places = np.linspace(0, train.epochs * steps - 1, 200).astype(int)
    return float(np.mean([factor_at(train.schedule, int(step), train.epochs * steps, steps) for step in places]))


def _too_low(case: Case, found: RangeTest, own: float, steps: int, first: float) -> Finding:
    assert found.steepest is not None
    return Finding(
        kind="rate-too-low",
        told=f"at a learning rate of {own:.2g} all {steps:,} steps are worth {own * steps / found.steepest:.2g} at "
        f"{found.steepest:.2g}, where the loss falls fastest: it stays near {first:.3g}",
        where="train.optimizer.learning_rate",
        value=own,
        usual=f"about {found.suggestion:g}",
        strength=0.9,
        command=train_with(case, f"train.optimizer.learning_rate={found.suggestion:g}", lesson="descent-1d"),
        others=(f"fit(..., learning_rate={found.suggestion:g})",),
    )


def _too_high(case: Case, found: RangeTest, own: float, first: float, reached: float) -> list[Finding]:
    of_own = _after(case, 1.0)
    losses, factor = min(((_after(case, factor), factor) for factor in (0.1, 0.01)), key=lambda one: np.median(one[0]))
    at_own, lower = float(np.median(of_own)), float(np.median(losses))
    case.measured["learning rate"]["after 60 steps"] = {"own": at_own, f"times {factor:g}": lower}
    if not lower <= BETTER * at_own or at_own - lower < FALL * first or reached < lower:
        return []
    if math.isfinite(at_own) and not _is_certain(of_own - losses):
        return []
    better = f"{factor * own:.2g}"
    size = f"{at_own:.3g}" if math.isfinite(at_own) else "not finite"
    return [
        Finding(
            kind="rate-too-high",
            told=f"after {TRIED} steps at a learning rate of {own:.2g} the loss is {size}, at {better} it is {lower:.3g}: "
            "each step is so long that it misses what it aims at",
            where="train.optimizer.learning_rate",
            value=own,
            usual=f"about {better}; the loss is lowest near {found.lowest:.2g}",
            strength=0.9,
            command=train_with(case, f"train.optimizer.learning_rate={better}", lesson="descent-1d"),
            others=(f"fit(..., learning_rate={better})",),
        )
    ]


def _is_certain(differences: np.ndarray) -> bool:
    """Whether losses on the same batches differ by more than chance lets them: a paired t of 4 (p < 0.001 for 20 of them)."""
    return bool(differences.mean() > 4 * differences.std(ddof=1) / len(differences) ** 0.5)


def _after(case: Case, factor: float) -> np.ndarray:
    """(LAST,) the losses of the last of 60 steps at the recipe's rates times a factor; infinite where a value was not finite."""
    train, losses = case.recipe.train, []
    with learning(case) as (trainer, learner):
        source = trainer.source
        for place in range(TRIED):
            epoch, step = divmod(place, source.steps)
            seed_step(train.seed, epoch, step, learner.device)
            rate = factor_at(train.schedule, place, train.epochs * source.steps, source.steps)
            learner.set_learning_rate(factor * rate)
            try:
                losses.append(float(learner.step(source.batch(epoch, step))["loss"]))
            except NonFiniteError:
                return np.full(LAST, math.inf)
    return np.array(losses[-LAST:])

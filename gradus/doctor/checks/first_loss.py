"""The loss before training: a network that knows nothing should be as wrong as chance, whatever the size of the batch."""

from __future__ import annotations

import torch
from torch import Tensor

from gradus.doctor.case import Case, NotHere
from gradus.doctor.commands import with_option
from gradus.doctor.finding import Finding
from gradus.doctor.probe import learning, probe
from gradus.tasks.targets import ClassTarget
from gradus.train.learner import rows_of, split
from gradus.train.randomness import seed_step
from gradus.train.settings import RegularizationSettings
from gradus.train.source import Batch

ROWS = 256
SUM = 1.5  # loss of a batch over the mean of those of its halves: 1 of a mean, 2 of a sum


def find_initial_loss(case: Case) -> list[Finding]:
    """A first loss far above that of outputs that are all 0, which say nothing: ln C for C classes, the variance for numbers.

    Logits of deviation s cost about s^2 / 2 more than that, and the usual initialisations keep s below 1, so twice the loss of
    chance and a half is out of their reach.
    """
    if case.recipe.model.weights:
        raise NotHere("the network begins with trained weights")
    begun = probe(case, ROWS)
    with torch.no_grad():
        outputs = begun.outputs()
        if not isinstance(outputs, Tensor):
            raise NotHere("the network gives no tensor")
        loss, chance = float(begun.loss(outputs)), float(begun.loss(torch.zeros_like(outputs)))
    size = float(outputs.square().mean().sqrt())
    case.measured["initial loss"] = {"measured": loss, "of chance": chance, "size of the outputs": size}
    if not loss >= 2 * chance + 0.5:  # nor where a value is not finite
        return []
    target = getattr(case.task, "target", None)
    is_class = isinstance(target, ClassTarget) and outputs.ndim == 2
    meaning = f"ln {outputs.shape[1]} = {chance:.3g}" if is_class else f"{chance:.3g}"
    return [
        Finding(
            kind="initial-loss",
            told=f"before the first step the loss is {loss:.3g}, where outputs that say nothing give {meaning}: "
            f"the untrained outputs are {size:.3g} in size, so the network is sure of what it cannot know",
            where="the initial weights",
            value=loss,
            usual=f"about {chance:.3g}, with outputs below 1 in size",
            strength=min(0.95, 0.7 + loss / (100 * chance)),
            command=with_option(case, "initialization", "he", "initialisation"),
            others=("draw weights with a deviation of about sqrt(2 / number of inputs of the layer)",),
        )
    ]


def find_summed_loss(case: Case) -> list[Finding]:
    """A loss that grows with the batch: then the learning rate means another thing for every batch size."""
    with learning(case, regularization=RegularizationSettings(), accumulate=1) as (trainer, learner):
        learner.set_learning_rate(0.0)
        batch = trainer.source.batch(0, 0)
        rows = rows_of(batch) // 2 * 2
        if rows < 4:
            raise NotHere("a batch is too small to be cut in two")
        batch = {name: tensor[:rows] for name, tensor in batch.items()}

        def loss_of(part: Batch) -> float:
            seed_step(case.seed, 0, 0, learner.device)
            return float(learner.step(part)["loss"])

        whole = loss_of(batch)
        halves = [loss_of(half) for half in split(batch, 2)]
    ratio = whole / max(sum(halves) / 2, 1e-12)
    case.measured["loss of a batch over that of its halves"] = ratio
    if not ratio >= SUM:
        return []
    return [
        Finding(
            kind="loss-scale",
            told=f"the loss of {rows} rows is {whole:.4g}, that of each half {sum(halves) / 2:.4g} in the mean: it is "
            f"{ratio:.2g} times as large for twice the rows, a sum where a mean is meant",
            where="the loss",
            value=ratio,
            usual="1: the loss of a batch is the mean over its rows",
            strength=0.98,
            command="gradus lesson loss-gallery",
            others=(
                f"divide the loss by the rows of the batch ({trainer.source.size(0)}): the learning rate then holds",
            ),
        )
    ]

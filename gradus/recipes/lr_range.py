"""The learning-rate range test (Smith 2017, "Cyclical learning rates for training neural networks", §3.3).

A fresh model is trained for some hundred steps while the learning rate rises exponentially. Too small a rate moves nothing, a
good one lets the loss fall, too large a one makes it rise or burst. What is trained here is thrown away.

The rule of the suggestion: the smoothed loss is a Gaussian mean over the logarithm of the rate (deviation 0.15 decades), which,
unlike a running mean, does not lag behind. `steepest` is the rate at which it falls fastest, `lowest` the one at which it is
lowest. The suggestion lies midway between them on the logarithmic scale. At `steepest` itself training is safe but slow (most of
the fall is of rates before), at `lowest` it is about to burst; docs/search.md has what each of the three came to on real data.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from gradus.data.dataset import Dataset
from gradus.data.load import read_data
from gradus.environments import is_environment
from gradus.errors import UserError
from gradus.look.rates import draw_rates
from gradus.recipes.execute import create_trainer, default_name
from gradus.recipes.experiment import prepare
from gradus.recipes.recipe import Recipe
from gradus.train.folder import RunFolder
from gradus.train.learner import NonFiniteError
from gradus.train.randomness import seed_step
from gradus.train.trainer import Trainer

LEAST_STEPS, MOST_STEPS = 200, 400  # by default as many as an epoch has, within these
BURST = 4.0  # a running mean so many times its lowest ends the test
WIDTH = 0.15  # decades: the deviation of the Gaussian that smooths
BY_TRAINING = "train with a few rates and put the runs side by side: gradus compare RUN RUN"
FALL = 0.05  # the smoothed loss must fall by this share for a suggestion


@dataclass(frozen=True)
class RangeTest:
    """What came of it.

    rates (S,) the learning rates tried; losses (S,) of their steps, means over the seeds; smoothed (S,)
    suggestion, steepest, lowest: learning rates as explained above; None where the loss never fell
    burst: the rate at which the loss burst or was no longer finite; None where it did not
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggestion: float | None
    steepest: float | None
    lowest: float | None
    burst: float | None
    own: float  # the recipe's rate
    seeds: int

    def to_json(self) -> dict[str, Any]:
        fields = ("suggestion", "steepest", "lowest", "burst", "own", "seeds")
        curves = {name: [float(f"{v:.6g}") for v in getattr(self, name)] for name in ("rates", "losses", "smoothed")}
        return {name: getattr(self, name) for name in fields} | curves

    def marks(self) -> dict[str, float | None]:
        """The learning rates that matter, under the words that a table shows."""
        return {
            "suggestion": self.suggestion,
            "steepest fall of the loss": self.steepest,
            "lowest loss": self.lowest,
            "the loss burst": self.burst,
            "the recipe's own": self.own,
        }

    def draw(self, path: Path) -> None:
        """Writes the picture (PNG)."""
        draw_rates(path, self.rates, self.losses, self.smoothed, suggestion=self.suggestion, own=self.own)


def lr_range_test(
    recipe: Recipe,
    *,
    lowest: float = 1e-7,
    highest: float = 10.0,
    steps: int | None = None,
    seeds: int = 1,
    dataset: Dataset | None = None,
    model: nn.Module | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> RangeTest:
    """Raises the rate from `lowest` to `highest` over `steps` steps, with the recipe's optimiser, batches and regularisation.

    steps: None: as many as an epoch has, but 200 to 400
    seeds: repeats with train.seed, train.seed + 1, ..., whose losses are averaged
    model: a module to be tested in place of the recipe's; it is copied and stays as it is
    """
    if not 0 < lowest < highest < math.inf:
        raise UserError(f"the rates must rise from above 0: received {lowest:g} to {highest:g}")
    if steps is not None and steps < 10:
        raise UserError(f"steps: expected 10 or more, received {steps}")
    if seeds < 1:
        raise UserError(f"seeds: expected 1 or more, received {seeds}")
    if dataset is None and is_environment(recipe.data.source):
        raise UserError(
            f"{recipe.data.source}: an environment has no rows whose loss could be watched while the rate rises; {BY_TRAINING}"
        )
    dataset = dataset if dataset is not None else read_data(recipe.data)
    curves: list[list[float]] = []
    for number in range(seeds):
        seeded = replace(recipe, train=replace(recipe.train, seed=recipe.train.seed + number))
        losses, rates, own, notes = _one_seed(seeded, lowest, highest, steps, dataset, copy.deepcopy(model))
        curves.append(losses)
        for note in notes if number == 0 else []:
            say(note)
    shortest = min(map(len, curves))
    if shortest < 3:
        raise UserError(
            f"the loss is not a finite number at a learning rate of {lowest:g} already: start lower, or look at the data"
        )
    burst = float(rates[shortest]) if shortest < len(rates) else None
    mean = np.mean([curve[:shortest] for curve in curves], axis=0)
    return judge(rates[:shortest], mean, burst, own, seeds)


def _one_seed(
    recipe: Recipe, lowest: float, highest: float, steps: int | None, dataset: Dataset, model: nn.Module | None
) -> tuple[list[float], np.ndarray, float, list[str]]:
    """Losses of the steps that were finite and did not burst, all rates, the recipe's rate, the notes on the data."""
    experiment = prepare(recipe, dataset, model)
    trainer = create_trainer(experiment)
    if not getattr(trainer.learner, "chooses_best", True):  # of a game's players each moves the other's loss
        raise UserError(f"the loss of {experiment.recipe.model.name} does not tell how well it learns; {BY_TRAINING}")
    count = steps or min(max(trainer.source.steps, LEAST_STEPS), MOST_STEPS)
    losses, rates, own = raise_rate(trainer, recipe.train.seed, lowest, highest, count)
    return losses, rates, own, experiment.notes


def raise_rate(
    trainer: Trainer, seed: int, lowest: float, highest: float, count: int
) -> tuple[list[float], np.ndarray, float]:
    """Makes up to `count` steps at rising rates. The losses of those that were finite and did not burst, all rates, and the rate
    that the trainer's learner has by itself."""
    learner, source = trainer.learner, trainer.source
    own = learner.set_learning_rate(1.0)
    rates = np.geomspace(lowest, highest, count)
    losses: list[float] = []
    running, least = 0.0, math.inf
    memory = math.exp(-10 / count)  # the running mean looks back over a tenth of the test
    for place, rate in enumerate(rates):
        epoch, step = divmod(place, source.steps)
        seed_step(seed, epoch, step, learner.device)
        learner.set_learning_rate(rate / own)
        try:
            loss = float(learner.step(source.batch(epoch, step))["loss"])
        except NonFiniteError:
            break
        running = memory * running + (1 - memory) * loss
        corrected = running / (1 - memory ** (place + 1))
        least = min(least, corrected)
        if not math.isfinite(loss) or corrected > BURST * least:
            break
        losses.append(loss)
    return losses, rates, own


def smooth(rates: np.ndarray, losses: np.ndarray, width: float = WIDTH) -> np.ndarray:
    """(S,) the Gaussian mean of the losses over log10 of the rate, its deviation `width` decades."""
    places = np.log10(rates)
    weights = np.exp(-0.5 * ((places[:, None] - places[None]) / width) ** 2)
    return weights @ losses / weights.sum(axis=1)


def judge(rates: np.ndarray, losses: np.ndarray, burst: float | None, own: float, seeds: int) -> RangeTest:
    """Smooths the losses and applies the rule above to them."""
    smoothed = smooth(rates, losses)
    bottom = int(smoothed.argmin())
    start = float(smoothed[: max(len(smoothed) // 10, 1)].mean())
    if bottom < 2 or start - smoothed[bottom] < FALL * abs(start):
        return RangeTest(rates, losses, smoothed, None, None, None, burst, own, seeds)
    slopes = np.gradient(smoothed[: bottom + 1], np.log10(rates[: bottom + 1]))
    steepest, lowest = float(rates[int(slopes.argmin())]), float(rates[bottom])
    suggestion = float(f"{math.sqrt(steepest * lowest):.2g}")
    return RangeTest(rates, losses, smoothed, suggestion, steepest, lowest, burst, own, seeds)


def lr_range_run(
    recipe: Recipe,
    out: str | Path | None = None,
    *,
    dataset: Dataset | None = None,
    say: Callable[[str], None] = lambda line: None,
    **how: Any,
) -> tuple[Path, RangeTest]:
    """The test, with lr.json and lr.png in a folder of its own; None: runs/lr-NAME-NUMBER. `how`: as `lr_range_test`."""
    dataset = dataset if dataset is not None else read_data(recipe.data)
    found = lr_range_test(recipe, dataset=dataset, say=say, **how)
    name = f"lr-{default_name(prepare(recipe, dataset))}"
    folder = RunFolder.create(Path(out)) if out else RunFolder.create_numbered(Path("runs"), name)
    try:
        folder.write_json("lr.json", found.to_json())
        found.draw(folder.path / "lr.png")
    finally:
        folder.lock.release()
    return folder.path, found

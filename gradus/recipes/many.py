"""Many recipes at once: folds, repeats, seeds and the trials of a search. What came of each is an `Outcome`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from gradus.data.dataset import Dataset
from gradus.recipes.execute import create_trainer
from gradus.recipes.experiment import prepare
from gradus.recipes.recipe import Recipe
from gradus.train.trainer import Record, TrainingStopped

# told (index of the recipe, record of its epoch) after each epoch; answers whether that training should stop now
Watch = Callable[[int, Record], bool]


@dataclass
class Outcome:
    """What came of one recipe.

    recipe:    resolved, as `prepare` gives it
    metric:    the validation metric that chose the best weights, and "max" or "min"
    value:     its best value; None where there is none (it diverged before the first epoch ended)
    epoch:     after which epoch, counted from 1
    history:   the records of its epochs, as in metrics.jsonl
    state:     the weights after that epoch, on the CPU
    seconds:   of training, from start to end (those of a fleet are shared out evenly)
    error:     why it could not go on, in words; empty where it could
    stopped:   whether `watch` stopped it
    """

    recipe: Recipe
    metric: tuple[str, str]
    value: float | None = None
    epoch: int = 0
    history: list[Record] = field(default_factory=list)
    state: dict[str, Tensor] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""
    stopped: bool = False

    def summary(self) -> dict[str, Any]:
        """As JSON, without weights and history."""
        return {
            "value": self.value,
            "epoch": self.epoch,
            "epochs": len(self.history),
            "seconds": round(self.seconds, 3),
            "error": self.error,
            "stopped": self.stopped,
        }


def train_many(
    recipes: Sequence[Recipe],
    *,
    dataset: Dataset | None = None,
    watch: Watch | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> list[Outcome]:
    """Trains every recipe, in order, and returns what came of each. Each needs validation rows. Nothing is written."""
    outcomes = []
    for index, recipe in enumerate(recipes):
        outcomes.append(_train_one(index, recipe, dataset, watch))
        say(f"{index + 1} of {len(recipes)}: {outcomes[-1].value}")
    return outcomes


def _train_one(index: int, recipe: Recipe, dataset: Dataset | None, watch: Watch | None) -> Outcome:
    experiment = prepare(recipe, dataset)
    trainer = create_trainer(experiment)
    outcome = Outcome(experiment.recipe, trainer.monitor)

    def observe(record: Record) -> None:
        if record["event"] == "epoch" and watch is not None and watch(index, record):
            outcome.stopped = trainer.finished = True

    trainer.observers = (observe,)
    started = time.perf_counter()
    try:
        trainer.fit()
    except TrainingStopped as error:
        outcome.error = str(error)
    outcome.seconds = time.perf_counter() - started
    outcome.history = trainer.history
    if trainer.best is not None:
        outcome.value, outcome.epoch = trainer.best["value"], trainer.best["epoch"]
        outcome.state = trainer.best_state or {}
    return outcome

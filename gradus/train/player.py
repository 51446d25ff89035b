"""What learners that act have in common: they are measured by the episodes that they play."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from torch import Tensor, nn

from gradus.tasks.control import ControlTask
from gradus.train.devices import Plan
from gradus.train.experience import VALIDATING
from gradus.train.learner import MEANS, Supervised
from gradus.train.randomness import EPISODES, derive
from gradus.train.settings import TrainSettings
from gradus.train.source import Batch


class Player(Supervised):
    """`experience` is the source of its batches, and acts with its model.

    A step returns sums over the rows that were learnt from, `learnt` how many these were, and `played` (3,): how many episodes
    ended beside it, and the sums of their returns and lengths.
    """

    task: ControlTask
    experience: Any
    later_is_better = (
        True  # of epochs with the same return: few episodes cannot tell them apart, and it has learnt more
    )

    def __init__(self, model: nn.Module, task: ControlTask, settings: TrainSettings, plan: Plan) -> None:
        super().__init__(model, task, settings, plan)
        self.shrinks = False
        self.said = ""  # what could not be brought back when a run was resumed
        self.trials = derive(settings.seed, EPISODES, VALIDATING)

    def evaluate(self, batches: Iterable[Batch]) -> tuple[dict[str, np.ndarray], int]:
        """Plays the episodes that are asked for with the actions it holds for the best."""
        sums = np.zeros(3)
        self.predictor.eval()
        try:
            for batch in batches:
                first, count = int(batch["episodes"][0]), len(batch["episodes"])
                played = self.task.play(self.task.policy(self.predictor), count, derive(self.trials, first))
                sums += [count, played.returns.sum(), played.lengths.sum()]
        finally:
            self.learn_mode()
        return {"played": sums}, int(sums[0])

    def summarize(self, totals: dict[str, np.ndarray], samples: int) -> dict[str, float]:
        found = self.task.metrics(totals, samples)
        if "learnt" not in totals:
            return found
        means = {name: float(totals[name] / samples) for name in MEANS if name in totals}
        learnt = max(float(totals["learnt"]), 1.0)
        others = {
            name: float(total) / learnt for name, total in totals.items() if name not in (*means, "played", "learnt")
        }
        return means | found | others

    def diagnose(self, batch: Batch) -> tuple[str, int | None]:
        return "what was learnt from the episodes played", None

    def training_state(self) -> dict[str, Tensor]:
        acted = {f"experience.{name}": tensor for name, tensor in self.experience.state().items()}
        return super().training_state() | acted

    def restore(self, predicting: dict[str, Tensor], training: dict[str, Tensor], updates: int) -> None:
        super().restore(predicting, training, updates)
        self.said = self.experience.restore(part_of(training, "experience."))


def part_of(tensors: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

"""Learning from texts or series that are read on and on: the network's state is carried from each batch to the next, and
gradients reach back to the beginning of the batch (truncated back-propagation through time)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from gradus.errors import UserError
from gradus.tasks.task import Task
from gradus.train.devices import Plan
from gradus.train.learner import Supervised
from gradus.train.settings import TrainSettings
from gradus.train.source import Batch


class Carried(Supervised):
    """`Supervised` for a model with `continued(inputs, state)` and rows in their own order. At the begin of an epoch the state is
    forgotten; within one it is part of what a checkpoint keeps."""

    capture_obstacle = "a state is carried from step to step"

    def __init__(self, model: nn.Module, task: Task, settings: TrainSettings, plan: Plan) -> None:
        if settings.accumulate > 1:
            raise UserError(
                "accumulate: parts of a batch would each need the state of their rows; leave it out, or set streams to 0"
            )
        super().__init__(model, task, settings, plan)
        self.capture_obstacle = Carried.capture_obstacle
        self.state: list[Tensor] | None = None
        self.epoch = 0  # that the state is of: it lives as long
        self._ended: list[Tensor] | None = None
        self.shrinks = False  # parts of a batch would each need the state of their rows

    def begin_epoch(self, epoch: int) -> str:
        said = super().begin_epoch(epoch)
        if epoch != self.epoch:  # not where one is continued
            self.state, self.epoch = None, epoch
        return said

    def step(self, batch: Batch) -> dict[str, Tensor]:
        found = super().step(batch)
        self.state = self._ended  # only after a step that was good
        return found

    def _outputs_and_loss(self, inputs: Any, targets: Any) -> tuple[Tensor, Tensor]:
        with self.plan.autocast():
            outputs, ended = self.model.continued(inputs, self.state)  # type: ignore[operator]
            loss = self.task.loss(outputs, targets, training=True)
        self._ended = [part.detach() for part in ended]
        return outputs, loss

    def training_state(self) -> dict[str, Tensor]:
        carried = {f"carried.{index}": part for index, part in enumerate(self.state or [])}
        return super().training_state() | carried | {"carried_epoch": torch.tensor(self.epoch)}

    def restore(self, predicting: dict[str, Tensor], training: dict[str, Tensor], updates: int) -> None:
        super().restore(predicting, training, updates)
        count = sum(name.startswith("carried.") for name in training)
        kept = [training[f"carried.{index}"].to(self.device) for index in range(count)]
        self.state, self.epoch = kept or None, int(training.get("carried_epoch", 0))

"""Deep Q-learning: values of actions by bootstrapping, from a replay, against a target network.

    y = r + gamma * max_a' Q_target(s', a')     and y = r where the episode was terminated
    loss = mean of (y - Q(s, a))^2, or of Huber's function of it (quadratic up to 1)

Mnih et al. 2013 and 2015; the double target of van Hasselt et al. 2015, n steps as Sutton 1988, priorities of Schaul et al. 2015.
Where an episode was only cut off by a time limit, y goes on with the value of the last observation: nothing in it says that time
is up, so that its value is that of any such state.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.tasks.control import ControlTask
from gradus.train.devices import Plan
from gradus.train.experience import Experience, Trials
from gradus.train.player import Player, part_of
from gradus.train.settings import TrainSettings
from gradus.train.source import Batch


class QLearning(Player):
    """A model that gives the values of all actions; `experience` is what it acts in and remembers."""

    def __init__(self, model: nn.Module, task: ControlTask, settings: TrainSettings, plan: Plan) -> None:
        super().__init__(model, task, settings, plan)
        self.learning = settings.q_learning
        self.target = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.experience = Experience(task, settings, plan.device, task.policy(self.predictor))
        self.learnt = 0  # minibatches

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """Learns from the minibatches of a batch, one after the other. `learnt` counts the steps in which it did."""
        zero = torch.zeros((), device=self.device)
        found = {"loss": zero, "value": zero}
        size = self.train_settings.batch_size
        rows = len(batch.get("rows", ()))
        parts = [
            {name: tensor[i : i + size] for name, tensor in batch.items() if tensor.ndim and name != "played"}
            for i in range(0, rows, size)
        ]
        for part in parts:
            for name, value in self._learn(part).items():
                found[name] = found[name] + value / len(parts)
        steps = self.experience.frequency
        learnt = torch.tensor(float(steps if parts else 0))
        return {
            **found,
            "value": found["value"] * steps,
            "learnt": learnt,
            "epsilon": batch["epsilon"] * steps,
            "played": batch["played"],
        }

    def _learn(self, batch: Batch) -> dict[str, Tensor]:
        for parameter in self.parameters:
            parameter.grad = None
        observations, following = self.task.seen(batch["observations"]), self.task.seen(batch["following"])
        with self.plan.autocast():
            goals = self.goals(following, batch["returns"], batch["discounts"])
            values = self.model(observations).gather(1, batch["actions"][:, None])[:, 0]
            errors = goals - values
            if self.learning.loss == "squared":
                losses = errors.square()
            else:
                losses = functional.huber_loss(values, goals, reduction="none")
            loss = (batch["weights"] * losses).mean()
        loss.backward()
        found = {"loss": loss.detach(), "value": values.detach().mean()}
        self._check(found)
        self._clip()
        self.optimizer.step()
        if self.averaged is not None:
            self._average()
        if self.learning.prioritized:
            self.experience.replay.set_priorities(batch["rows"].numpy(), errors.detach().float().cpu().numpy())
        self.learnt += 1
        if self.learnt % self.learning.target_every == 0:
            self._move_target()
        return found

    @torch.no_grad()
    def goals(self, following: Tensor, returns: Tensor, discounts: Tensor) -> Tensor:
        """(B,) y: what actions turned out to be worth. discounts are 0 where the episode was terminated."""
        values = self.target(following)
        chosen = self.model(following) if self.learning.double else values
        return returns + discounts * values.gather(1, chosen.argmax(dim=1, keepdim=True))[:, 0]

    @torch.no_grad()
    def _move_target(self) -> None:
        mine: list[Tensor] = list(self.target.parameters())
        theirs: list[Tensor] = list(self.model.parameters())
        torch._foreach_lerp_(mine, theirs, self.learning.target_share)
        for mine_, theirs_ in zip(self.target.buffers(), self.model.buffers(), strict=True):
            mine_.copy_(theirs_)

    def summarize(self, totals: dict[str, np.ndarray], samples: int) -> dict[str, float]:
        found = self.task.metrics(totals, samples)
        if "learnt" not in totals:
            return found
        learnt = max(float(totals["learnt"]), 1.0)
        means = {"loss": float(totals["loss"]) / learnt, "value": float(totals["value"]) / learnt}
        return means | found | {"epsilon": float(totals["epsilon"]) / samples}

    def training_state(self) -> dict[str, Tensor]:
        target = {f"target.{name}": tensor for name, tensor in self.target.state_dict().items()}
        return super().training_state() | target | {"learnt": torch.tensor(self.learnt)}

    def restore(self, predicting: dict[str, Tensor], training: dict[str, Tensor], updates: int) -> None:
        super().restore(predicting, training, updates)
        self.target.load_state_dict(part_of(training, "target."))
        self.learnt = int(training["learnt"])


def learn_q(
    model: nn.Module, task: ControlTask, settings: TrainSettings, plan: Plan
) -> tuple[QLearning, Experience, Trials | None]:
    """The learner, what it learns from, and the episodes that choose its best weights."""
    learner = QLearning(model, task, settings, plan)
    episodes = settings.experience.validation_episodes
    return learner, learner.experience, Trials(episodes) if episodes else None

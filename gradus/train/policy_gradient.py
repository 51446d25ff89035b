"""Policy gradients: REINFORCE with a baseline, A2C and PPO are settings of one learner (`train.policy`), of networks that give
(logits, values), or where an action is made of numbers, (their means and logs of deviations, values).

                 steps   passes   clip   trace
    REINFORCE    long      1       0      1      Williams 1992; the baseline is the network's value
    A2C          5         1       0      1      Mnih 2016, environments in step
    PPO          128       4       0.2    0.95   Schulman 2017

Minibatches are `batch_size` rows; for the first two it is the whole rollout. The learning rate that falls in a line to 0 is
`schedule.name = "polynomial"`, the limit to gradients `regularization.clip_norm`.

Choices. An episode that the end of a rollout cuts goes on with the value of what was reached, with REINFORCE too. The factor
discount^t before the gradient of the step t, which the theorem has, is left out, as everywhere. Advantages are normalised within
a minibatch. The loss of the values is not clipped: it did no good where that was measured (Engstrom 2020, Andrychowicz 2021).
"""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor, nn

from gradus.tasks.control import ControlTask
from gradus.train.advantages import normalized, policy_loss
from gradus.train.devices import Plan
from gradus.train.experience import Trials
from gradus.train.learner import rows_of
from gradus.train.player import Player
from gradus.train.rollouts import Rollouts
from gradus.train.settings import TrainSettings
from gradus.train.source import Batch


class PolicyGradient(Player):
    """A model of policy and values; `experience` is what it acts in."""

    def __init__(self, model: nn.Module, task: ControlTask, settings: TrainSettings, plan: Plan) -> None:
        super().__init__(model, task, settings, plan)
        self.experience = Rollouts(task, settings, plan.device, self.model)

    def update(self, batch: Batch) -> dict[str, Tensor]:
        batch = dict(batch)
        played = batch.pop("played")
        return super().update(batch) | {"played": played}

    def _backward(self, batch: Batch, share: float) -> dict[str, Tensor]:
        policy, rows = self.train_settings.policy, rows_of(batch)
        numbers = bool(self.task.spaces.numbers)  # their means in bf16 would differ from those that they were drawn by
        with nullcontext() if numbers else self.plan.autocast():
            outputs, values = self.forward(self.task.seen(batch["observations"]))
            distribution = self.experience.distribution
            outcome = policy_loss(
                distribution.log_chances(outputs, batch["actions"]),
                distribution.entropies(outputs),
                values,
                normalized(batch["worth"]) if policy.normalize else batch["worth"],
                batch["returns"],
                batch["drawn_with"],
                clip=policy.clip,
                value_weight=policy.value_weight,
                entropy_weight=policy.entropy_weight,
            )
            loss = outcome.loss.mean() * share
        loss.backward()
        parts = {name: value.detach().sum() for name, value in outcome.parts.items()}
        return {"loss": loss.detach(), **parts, "learnt": torch.full((), float(rows), device=self.device)}


def learn_policy(
    model: nn.Module, task: ControlTask, settings: TrainSettings, plan: Plan
) -> tuple[PolicyGradient, Rollouts, Trials | None]:
    """The learner, what it learns from, and the episodes that choose its best weights."""
    learner = PolicyGradient(model, task, settings, plan)
    episodes = settings.experience.validation_episodes
    return learner, learner.experience, Trials(episodes) if episodes else None

"""Learning as a game: the players of a model take turns, each with a loss and an optimiser of its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from gradus.errors import UserError
from gradus.models.generative.outcome import Outcome
from gradus.tasks.task import Task
from gradus.train.devices import Plan
from gradus.train.learner import Supervised, rows_of, split
from gradus.train.optimizers import clip, create_optimizer
from gradus.train.settings import TrainSettings
from gradus.train.source import Batch


class Adversarial(Supervised):
    """A model with `players`, names of its child modules, and `play(player, inputs) -> Outcome`.

    A batch is cut into `adversarial.turns` parts. On each of them all players but the last learn, one after the other; then the
    last one, the generator, learns once. The loss that is told is the sum over the players. It says nothing of how good what
    is made is, so no weights are the best by it, and the last ones are kept.
    """

    chooses_best = False

    def __init__(self, model: nn.Module, task: Task, settings: TrainSettings, plan: Plan) -> None:
        if settings.accumulate > 1:
            raise UserError("accumulate: a game is played on whole batches; leave it out")
        if settings.fine_tune.freezes:
            raise UserError("freeze: the players of a game all learn; leave it out")
        self.players: tuple[str, ...] = model.players  # type: ignore[assignment]
        super().__init__(model, task, settings, plan)
        self.shrinks = False

    def train_on(self, parameters: Mapping[str, nn.Parameter], settings: TrainSettings) -> None:
        super().train_on(parameters, settings)
        rate = settings.adversarial.discriminator_rate
        self.owned: dict[str, list[Tensor]] = {}
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        for player in self.players:
            mine = nn.ParameterList(value for name, value in parameters.items() if name.startswith(f"{player}."))
            slower = rate is not None and player != self.players[-1]
            own = replace(settings.optimizer, learning_rate=rate) if slower else settings.optimizer
            self.owned[player] = list(mine)
            self.optimizers[player] = create_optimizer(mine, own, self.device)
            if not self.guard:
                self.optimizers[player].found_inf = self.flag  # type: ignore[attr-defined]
        self.optimizer = _Players(list(self.optimizers.values()))
        self.base_rates = [float(group["lr"]) for group in self.optimizer.param_groups]

    def update(self, batch: Batch) -> dict[str, Tensor]:
        parts = split(batch, self.train_settings.adversarial.turns)
        rows, found = rows_of(batch), dict[str, Tensor]()
        for part in parts:
            inputs, _ = self.task.prepare(part, training=True)
            for player in self.players[:-1]:
                self._turn(player, inputs, rows_of(part) / rows, 1.0, found)
        # the last player learns once, from as many pictures as a part has: what is counted of them stands for all rows
        self._turn(self.players[-1], inputs, 1.0, rows / rows_of(parts[-1]), found)
        if self.averaged is not None:
            self._average()
        return found

    def _turn(self, player: str, inputs: Any, share: float, weight: float, found: dict[str, Tensor]) -> None:
        """One player learns. Adds to `found` its mean loss times `share`, and the sums of what it tells times `weight`."""
        for name, parameters in self.owned.items():
            for parameter in parameters:
                parameter.grad = None
                parameter.requires_grad_(name == player)
        with self.plan.autocast():
            outcome: Outcome = self.model.play(player, inputs)  # type: ignore[operator]
            loss = outcome.loss.mean()
        loss.backward()
        told = {"loss": loss.detach() * share}
        told |= {name: weight * value.detach().sum() for name, value in outcome.parts.items()}
        self._check(told)
        clip(self.owned[player], self.settings)
        self.optimizers[player].step()
        for name, value in told.items():
            found[name] = found[name] + value if name in found and name != "not_finite" else value


class _Players(torch.optim.Optimizer):
    """Several optimisers as one: for their learning rates and for what a checkpoint keeps of them."""

    def __init__(self, optimizers: list[torch.optim.Optimizer]) -> None:
        self.param_groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        self.state = defaultdict(dict)
        for optimizer in optimizers:
            optimizer.state = self.state

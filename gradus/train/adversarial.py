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
from gradus.train.diagnose import first_non_finite
from gradus.train.learner import Supervised, is_out_of_memory, rows_of, split
from gradus.train.optimizers import clip, create_optimizer, limit_norms, penalty, weights_of
from gradus.train.settings import AdversarialSettings, TrainSettings
from gradus.train.source import Batch
from gradus.train.trainer import Observer, Record

SURE = 0.95  # D(x) above this and D(G(z)) below 1 - this: the discriminator has won
PATIENCE = 3  # epochs in a row before that is said


def check_game(model: nn.Module, settings: TrainSettings) -> None:
    """Raises `UserError` for settings that mean nothing to a game, or for those of a game where nothing is played."""
    if not hasattr(model, "players"):
        if settings.adversarial != AdversarialSettings():
            raise UserError("adversarial: these settings are for games (gan, dcgan, ...); this model plays none")
        return
    if settings.accumulate > 1:
        raise UserError("accumulate: a game is played on whole batches; leave it out")
    if settings.fine_tune.freezes or settings.fine_tune.rate_decay != 1:
        raise UserError("fine_tune: the players of a game all learn, each at one rate; leave it out")
    if settings.compile:
        raise UserError("compile: a game is not compiled; leave it out")
    if settings.patience is not None:
        raise UserError("patience: the loss of a game does not tell when to stop; leave it out")


class Adversarial(Supervised):
    """A model with `players`, names of its child modules, and `play(player, inputs) -> Outcome`.

    A batch is cut into `adversarial.turns` parts. On each of them all players but the last learn, one after the other; then the
    last one, the generator, learns once. In a turn only the player's own weights have gradients: those of the others are passed
    through. Penalties and limits concern each player by itself.

    The loss that is told is the sum over the players. It says nothing of how good what is made is, so no weights are the best by
    it, and the last ones are kept. Where a value is not finite the player's weights stay as they were before its turn; those
    who had their turn before have learnt.
    """

    chooses_best = False

    def __init__(self, model: nn.Module, task: Task, settings: TrainSettings, plan: Plan) -> None:
        check_game(model, settings)
        self.players: tuple[str, ...] = model.players  # type: ignore[assignment]
        super().__init__(model, task, settings, plan)
        self.shrinks = False

    def train_on(self, parameters: Mapping[str, nn.Parameter], settings: TrainSettings) -> None:
        super().train_on(parameters, settings)
        rate = settings.adversarial.discriminator_rate
        self.owned: dict[str, nn.ParameterList] = {}
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        for player in self.players:
            mine = nn.ParameterList(value for name, value in parameters.items() if name.startswith(f"{player}."))
            slower = rate is not None and player != self.players[-1]
            own = replace(settings.optimizer, learning_rate=rate) if slower else settings.optimizer
            self.owned[player] = mine
            self.optimizers[player] = create_optimizer(mine, own, self.device)
            if not self.guard:
                self.optimizers[player].found_inf = self.flag  # type: ignore[attr-defined]
        self.optimizer = _Players(list(self.optimizers.values()))
        self.base_rates = [float(group["lr"]) for group in self.optimizer.param_groups]

    def update(self, batch: Batch) -> dict[str, Tensor]:
        try:
            found = self._play(batch)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            self._shrink(batch, error)  # which only says so: a game is not cut into more parts
        if self.averaged is not None:
            self._average()
        return found

    @torch.no_grad()
    def _average(self) -> None:
        """Of the last player, the only one whose weights have gradients by now. The others are taken as they are: they judge what
        is made now, and a mean of judges of the past tells nothing of it."""
        super()._average()
        assert self.averaged is not None
        for player in self.players[:-1]:
            mine: list[Tensor] = list(getattr(self.averaged, player).parameters())
            theirs: list[Tensor] = list(getattr(self.model, player).parameters())
            torch._foreach_copy_(mine, theirs)

    def _play(self, batch: Batch) -> dict[str, Tensor]:
        rows, found = rows_of(batch), dict[str, Tensor]()
        turns = max(1, min(self.train_settings.adversarial.turns, rows // 2))  # one row has no batch statistics
        for part in split(batch, turns):
            inputs, _ = self.task.prepare(part, training=True)
            for player in self.players[:-1]:
                self._turn(player, inputs, rows_of(part) / rows, 1.0, found)
        # the last player learns once, from as many pictures as a part has: what is counted of them stands for all rows
        self._turn(self.players[-1], inputs, 1.0, rows / rows_of(part), found)
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
        weights = weights_of(self.owned[player])
        extra = penalty(weights, self.settings)
        if extra is not None:
            extra.backward()
            told["penalty"] = extra.detach() * share
        self._check(told)
        clip(list(self.owned[player]), self.settings)
        self.optimizers[player].step()
        if self.settings.max_norm is not None:
            limit_norms(weights, self.settings.max_norm)
        for name, value in told.items():
            found[name] = found[name] + value if name in found and name != "not_finite" else value

    def diagnose(self, batch: Batch) -> tuple[str, int | None]:
        """Looks at each player's loss by itself, with the weights that the step ended with."""
        inputs, targets = self.task.prepare(batch, training=True)
        self.release()
        where: tuple[str, int | None] = ("", None)
        for player in self.players:
            where = first_non_finite(_One(self.model, player), inputs, targets, self._mean_loss)
            if not where[0].startswith("the step"):
                break
        return where

    def _mean_loss(self, outcome: Outcome, targets: Any) -> Tensor:
        return outcome.loss.mean()


class _One(nn.Module):
    """A game as its player sees it."""

    def __init__(self, model: nn.Module, player: str) -> None:
        super().__init__()
        self.model, self.player = model, player

    def forward(self, inputs: Any) -> Outcome:
        return self.model.play(self.player, inputs)  # type: ignore[operator]


class _Players(torch.optim.Optimizer):
    """Several optimisers as one: for their learning rates and for what a checkpoint keeps of them."""

    def __init__(self, optimizers: list[torch.optim.Optimizer]) -> None:
        self.param_groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        self.state = defaultdict(dict)
        for optimizer in optimizers:
            optimizer.state = self.state


def watch_balance(observers: tuple[Observer, ...]) -> Observer:
    """An observer that tells the others where a discriminator has been sure of itself for some epochs: then its loss goes to 0,
    and with it what the generator learns by."""
    streaks: dict[str, int] = defaultdict(int)

    def observe(record: Record) -> None:
        if record.get("event") != "epoch":
            return
        for name in [name for name in record if name.startswith("train_d_real")]:
            real, fake = record[name], record[name.replace("d_real", "d_fake")]
            streaks[name] = streaks[name] + 1 if real > SURE and fake < 1 - SURE else 0
            if streaks[name] == PATIENCE:
                text = balance_lost(name.removeprefix("train_d_real").strip("_"), real, fake)
                for tell in observers:
                    tell({"event": "note", "text": text})

    return observe


def balance_lost(level: str, real: float, fake: float) -> str:
    """In words, with what can be done."""
    where = f" of {level} pixels" if level else ""
    return (
        f"note: the discriminator{where} has won for {PATIENCE} epochs (D(x) {real:.2f}, D(G(z)) {fake:.2f}), so the generator "
        "learns little: lower its rate (--set train.adversarial.discriminator_rate=...), or make it less sure "
        "(--set model.options.rules.label_smoothing=0.1, rules.instance_noise=0.1, or more dropout where the model has it)"
    )

"""Learners: how parameters change on one batch.

A learner is one step. The trainer asks for nothing else, so what is learnt, and by how many players, is the learner's own affair.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from gradus.tasks.task import Task
from gradus.train.devices import Plan
from gradus.train.optimizers import clip, create_optimizer, limit_norms, penalty, weights_of
from gradus.train.settings import TrainSettings
from gradus.train.source import Batch

MEANS = ("loss", "penalty")  # of what a step returns; the trainer weighs them by rows when it reads them


class NonFiniteError(ArithmeticError):
    """A loss or weight stopped being a finite number; `where` names the first layer at which it shows."""

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.where = where


class Learner(Protocol):
    """What the trainer asks of a learner."""

    device: torch.device

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Changes the parameters on one batch; returns tensors on the device: those in `MEANS` (always "loss") are means over
        the rows of the batch, all others sums over them."""

    def evaluate(self, batches: Iterable[Batch]) -> tuple[dict[str, np.ndarray], int]:
        """The sums over the rows of all batches (of losses too), without learning, and the number of rows."""

    def summarize(self, totals: dict[str, np.ndarray], samples: int) -> dict[str, float]:
        """Metrics from sums: loss, accuracy, ..."""

    def set_learning_rate(self, factor: float) -> float:
        """Sets every learning rate to its base times `factor`; returns the first."""

    def predicting_state(self) -> dict[str, Tensor]:
        """The tensors that predictions need."""

    def training_state(self) -> dict[str, Tensor]:
        """The tensors that going on needs besides those."""

    def restore(self, predicting: dict[str, Tensor], training: dict[str, Tensor], updates: int) -> None:
        """Puts back what the two methods above gave; `updates` is how many steps had been made."""


class Supervised:
    """One model, one loss, one optimiser."""

    model: nn.Module
    task: Task
    plan: Plan
    optimizer: torch.optim.Optimizer
    averaged: nn.Module | None  # holds the moving average of the weights, where they are averaged
    updates: int

    def __init__(self, model: nn.Module, task: Task, settings: TrainSettings, plan: Plan) -> None:
        self.model = plan.place(model).train()
        self.task, self.plan, self.device = task, plan, plan.device
        self.settings = settings.regularization
        self.accumulate = settings.accumulate
        self.optimizer = create_optimizer(self.model, settings.optimizer, plan.device)
        self.base_rates = [group["lr"] for group in self.optimizer.param_groups]
        self.parameters: list[Tensor] = [p for p in self.model.parameters() if p.requires_grad]
        self.weights = weights_of(self.model)
        self.average = settings.average
        self.averaged = copy.deepcopy(self.model).eval() if settings.average else None
        self.updates = 0
        # Reading a CPU tensor costs nothing, so there a bad loss is caught before it reaches the weights. On a GPU it would
        # stall the device in every step: there the trainer finds it at the next look, from the losses it keeps.
        self.guard = plan.device.type == "cpu"

    def step(self, batch: Batch) -> dict[str, Tensor]:
        for parameter in self.parameters:  # what zero_grad() does, in a tenth of the time
            parameter.grad = None
        parts = [batch] if self.accumulate == 1 else split(batch, self.accumulate)
        rows = rows_of(batch)
        found: dict[str, Tensor] = {}
        for part in parts:
            for name, value in self._backward(part, rows_of(part) / rows).items():
                found[name] = found[name] + value if name in found else value
        extra = penalty(self.weights, self.settings)
        if extra is not None:
            extra.backward()
            found["penalty"] = extra.detach()
        clip(self.parameters, self.settings)
        self.optimizer.step()
        self.updates += 1
        if self.settings.max_norm is not None:
            limit_norms(self.weights, self.settings.max_norm)
        if self.averaged is not None:
            self._average()
        return found

    def _backward(self, batch: Batch, share: float) -> dict[str, Tensor]:
        """Adds the gradient of `share` times the mean loss of this (part of a) batch; returns that, and sums over its rows."""
        inputs, targets = self.task.prepare(batch, training=True)
        with self.plan.autocast():
            outputs = self.model(inputs)
            loss = self.task.loss(outputs, targets, training=True)
        value = loss.detach()
        if self.guard and not math.isfinite(value.item()):
            raise NonFiniteError(first_non_finite(self.model, inputs))
        if share != 1:
            loss, value = loss * share, value * share
        loss.backward()
        return {"loss": value, **self.task.counts(outputs.detach(), targets)}

    @torch.no_grad()
    def _average(self) -> None:
        """average <- decay * average + (1 - decay) * weights; the decay starts low so that early weights are forgotten."""
        assert self.averaged is not None and self.average is not None
        decay = min(self.average, (1 + self.updates) / (10 + self.updates))
        mine: list[Tensor] = list(self.averaged.parameters())
        theirs: list[Tensor] = list(self.model.parameters())
        torch._foreach_lerp_(mine, theirs, 1 - decay)
        for target, source in zip(self.averaged.buffers(), self.model.buffers(), strict=True):
            target.copy_(source)

    @property
    def predictor(self) -> nn.Module:
        """The module whose weights predict."""
        return self.averaged if self.averaged is not None else self.model

    @torch.no_grad()
    def evaluate(self, batches: Iterable[Batch]) -> tuple[dict[str, np.ndarray], int]:
        sums: dict[str, Tensor] = {}
        samples = 0
        self.predictor.eval()
        try:
            for batch in batches:
                inputs, targets = self.task.prepare(batch, training=False)
                with self.plan.autocast():
                    outputs = self.predictor(inputs)
                    loss = self.task.loss(outputs, targets, training=False)
                found = {"loss": loss.double() * rows_of(batch), **self.task.counts(outputs, targets)}
                for name, value in found.items():
                    sums[name] = sums[name] + value if name in sums else value
                samples += rows_of(batch)
        finally:
            self.model.train()
        return {name: value.double().cpu().numpy() for name, value in sums.items()}, samples

    def summarize(self, totals: dict[str, np.ndarray], samples: int) -> dict[str, float]:
        means = {name: float(totals[name] / samples) for name in MEANS if name in totals}
        return means | self.task.metrics(totals, samples)

    def set_learning_rate(self, factor: float) -> float:
        for group, rate in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = rate * factor
        return self.optimizer.param_groups[0]["lr"]

    def predicting_state(self) -> dict[str, Tensor]:
        return dict(self.predictor.state_dict())

    def training_state(self) -> dict[str, Tensor]:
        names: dict[Tensor, str] = {parameter: name for name, parameter in self.model.named_parameters()}
        tensors: dict[str, Tensor] = {}
        for parameter, state in self.optimizer.state.items():
            for key, value in state.items():
                if value is not None:
                    tensors[f"optimizer.{key}.{names[parameter]}"] = torch.as_tensor(value)
        if self.averaged is not None:
            tensors |= {f"raw.{name}": tensor for name, tensor in self.model.state_dict().items()}
        return tensors

    def restore(self, predicting: dict[str, Tensor], training: dict[str, Tensor], updates: int) -> None:
        self.predictor.load_state_dict(predicting)
        raw = {name.removeprefix("raw."): tensor for name, tensor in training.items() if name.startswith("raw.")}
        if raw:
            self.model.load_state_dict(raw)
        parameters = dict(self.model.named_parameters())
        for key, value in training.items():
            if key.startswith("optimizer."):
                _, field, name = key.split(".", 2)
                parameter = parameters[name]
                # moments keep the memory order of their parameter; counters are as torch.optim keeps them
                like = torch.empty_like(parameter) if value.shape == parameter.shape else torch.empty_like(value)
                self.optimizer.state[parameter][field] = like.copy_(value)
        self.updates = updates


def rows_of(batch: Batch) -> int:
    return len(next(iter(batch.values())))


def split(batch: Batch, parts: int) -> list[Batch]:
    """A batch cut into at most `parts` parts of nearly equal size, none of them empty."""
    parts = min(parts, rows_of(batch))
    pieces = {name: tensor.tensor_split(parts) for name, tensor in batch.items()}
    return [{name: piece[index] for name, piece in pieces.items()} for index in range(parts)]


@torch.no_grad()
def first_non_finite(model: nn.Module, inputs: Any) -> str:
    """Where the first value that is not finite shows, in words: the inputs, a weight, a layer's output, or the loss itself."""
    if isinstance(inputs, Tensor) and not bool(torch.isfinite(inputs).all()):
        return "the inputs of the model"
    for name, parameter in model.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            return f"the parameter {name}"
    found: list[str] = []

    def look(name: str):
        def hook(module: nn.Module, arguments: Any, output: Any) -> None:
            if not found and isinstance(output, Tensor) and not bool(torch.isfinite(output).all()):
                found.append(f"the output of layer {name} ({type(module).__name__})")

        return hook

    leaves = [(name, module) for name, module in model.named_modules() if not list(module.children())]
    handles = [module.register_forward_hook(look(name or "model")) for name, module in leaves]
    try:
        model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else "the loss itself (every layer's output is finite)"

"""Learners: how parameters change on one batch.

A learner is one step. The trainer asks for nothing else, so what is learnt, and by how many players, is the learner's own affair.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from gradus.models.auxiliary import main_outputs, total_loss
from gradus.tasks.task import Task
from gradus.train.devices import Plan
from gradus.train.diagnose import first_non_finite
from gradus.train.fine_tune import FineTune, within
from gradus.train.optimizers import (
    begin_momentum,
    clip,
    counts_on_device,
    create_optimizer,
    limit_norms,
    penalty,
    weights_of,
)
from gradus.train.settings import TrainSettings
from gradus.train.source import Batch

MEANS = ("loss", "penalty")  # of what a step returns; the trainer weighs them by rows when it reads them
FLAG = "not_finite"  # of what a step returns where it does not raise: a scalar, above 0 from the first bad step on


class NonFiniteError(ArithmeticError):
    """A loss, gradient, buffer or count stopped being a finite number. The weights are as they were before the step."""


class OutOfMemory(RuntimeError):
    """A step needs more memory than there is; the message gives its shapes and what can be done."""


class Learner(Protocol):
    """What the trainer asks of a learner."""

    device: torch.device

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Changes the parameters on one batch; returns tensors on the device: those in `MEANS` (always "loss") are means over
        the rows of the batch, all others sums over them. Where a value is not finite it changes nothing and raises
        `NonFiniteError`, or, where looking would stall the device, changes nothing from then on and says so by `FLAG`."""

    def diagnose(self, batch: Batch) -> tuple[str, int | None]:
        """Where a value of the step on this batch is not finite, in words, and which row of the batch it comes from."""

    def evaluate(self, batches: Iterable[Batch]) -> tuple[dict[str, np.ndarray], int]:
        """The sums over the rows of all batches (of losses too), without learning, and the number of rows."""

    def summarize(self, totals: dict[str, np.ndarray], samples: int) -> dict[str, float]:
        """Metrics from sums: loss, accuracy, ..."""

    def begin_epoch(self, epoch: int) -> str:
        """Called before the first step of an epoch, and when one is continued. What changes from here on (parts that begin to
        learn), in words; then steps have to be captured anew. Empty: nothing."""

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
    capture_obstacle: str = ""  # why a step cannot be captured as a graph, in words
    averaged: nn.Module | None  # holds the moving average of the weights, where they are averaged
    updates: int
    # whether a validation metric tells the best weights; else, or where the model says `chooses_best = False`, the last are kept
    chooses_best = True

    def __init__(self, model: nn.Module, task: Task, settings: TrainSettings, plan: Plan) -> None:
        self.model = plan.place(model)
        self.fine_tune = FineTune(self.model, settings.fine_tune)
        self.frozen = self.fine_tune.frozen_at(0)
        self.learns = {
            name: parameter.requires_grad for name, parameter in self.model.named_parameters()
        }  # when all do
        self._freeze(dict(self.model.named_parameters()))
        self.learn_mode()
        self.task, self.plan, self.device = task, plan, plan.device
        self.train_settings, self.settings = settings, settings.regularization
        self.shrinks = settings.accumulate == 0  # whether running out of memory cuts the batch into more parts
        self.accumulate = max(settings.accumulate, 1)
        self.forward = torch.compile(self.model) if settings.compile else self.model
        self.average = settings.average
        self.averaged = copy.deepcopy(self.model).eval() if settings.average else None
        self.chooses_best = getattr(model, "chooses_best", self.chooses_best)
        self.updates = 0
        self.buffers = [buffer for buffer in self.model.buffers() if buffer.is_floating_point()]
        self.flag = torch.zeros((), device=plan.device)
        self._one = torch.ones((), device=plan.device)
        self._share = torch.zeros((), device=plan.device, dtype=next(self.model.parameters()).dtype)  # of the average
        # Reading a CPU tensor costs nothing. On a GPU it would stall the device in every step: there the fused optimisers
        # look at the flag themselves and change nothing once it is set, and the trainer reads it with the losses.
        self.guard = plan.device.type == "cpu"
        self.train_on(dict(self.model.named_parameters()), settings)

    def train_on(self, parameters: Mapping[str, nn.Parameter], settings: TrainSettings) -> None:
        """Has the optimiser change these parameters of the model, by name, as far as they are to learn."""
        self.trained = parameters
        all_of_them = nn.ParameterList(parameters.values())
        shares = {parameter: self.fine_tune.share_of(name) for name, parameter in parameters.items()}
        self.optimizer = create_optimizer(all_of_them, settings.optimizer, self.device, shares)
        self.base_rates = [float(group["lr"]) for group in self.optimizer.param_groups]
        if not all(counts_on_device(group) for group in self.optimizer.param_groups):
            self.capture_obstacle = "its optimiser counts steps on the CPU"
        self._factor = 1.0
        self.parameters: list[Tensor] = [p for p in parameters.values() if p.requires_grad]
        self.weights = weights_of(all_of_them)
        if not self.guard:
            self.optimizer.found_inf = self.flag  # type: ignore[attr-defined]

    def learn_mode(self) -> None:
        """Training mode, but for what is frozen: that stays a fixed function, without dropout and with the statistics it has."""
        self.model.train()
        for name, module in self.model.named_modules():
            if name in self.frozen:
                module.eval()

    def _freeze(self, parameters: Mapping[str, nn.Parameter]) -> None:
        for name, parameter in parameters.items():
            parameter.requires_grad_(self.learns[name] and not within(name, self.frozen))

    def release(self) -> None:
        """Gives the model back as it came: with all parameters learning that did."""
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(self.learns[name])

    def begin_epoch(self, epoch: int) -> str:
        """Besides what thaws, a model with `begin_epoch(epoch, epochs)` is told, and says what it learns from here on. So is the
        one that holds the averages."""
        said = ""
        for model in filter(None, (self.averaged, self.model)):
            tell = getattr(model, "begin_epoch", None)
            said = tell(epoch, self.train_settings.epochs) if tell is not None else ""
        thawed = self._thaw(epoch)
        return "; ".join(filter(None, [said, thawed]))

    def _thaw(self, epoch: int) -> str:
        frozen = self.fine_tune.frozen_at(epoch)
        if frozen == self.frozen:
            return ""
        thawed = [name for name in self.frozen if name not in frozen]
        self.frozen, state = frozen, self.optimizer.state
        self._freeze(dict(self.model.named_parameters()))
        self._freeze(self.trained)
        self.learn_mode()
        self.train_on(self.trained, self.train_settings)
        self.optimizer.state.update(state)  # what learnt before goes on as it was
        begin_momentum(self.optimizer)
        return f"epoch {epoch + 1}: {', '.join(self.fine_tune.labels(thawed))} learns too; {self.fine_tune.describe(epoch)}"

    def step(self, batch: Batch) -> dict[str, Tensor]:
        self.count_update()
        try:
            return self.update(batch)
        except NonFiniteError:
            self.updates -= 1
            raise

    def count_update(self) -> None:
        """What changes from step to step and is not a tensor: kept apart, since a captured `update` repeats only tensors."""
        self.updates += 1
        if self.averaged is not None and self.average is not None:
            self._share.fill_(1 - min(self.average, (1 + self.updates) / (10 + self.updates)))

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """One step on the device. It reads nothing back there, so that it can be captured whole."""
        while True:
            try:
                found = self._gradients(batch)
                break
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                self._shrink(batch, error)
        extra = penalty(self.weights, self.settings)
        if extra is not None:
            extra.backward()
            found["penalty"] = extra.detach()
        self._check(found)
        self._clip()
        self.optimizer.step()
        if self.settings.max_norm is not None:
            limit_norms(self.weights, self.settings.max_norm)
        if self.averaged is not None:
            self._average()
        return found

    def _gradients(self, batch: Batch) -> dict[str, Tensor]:
        """The gradient of the mean loss of a batch, computed in `accumulate` parts."""
        for parameter in self.parameters:  # what zero_grad() does, in a tenth of the time
            parameter.grad = None
        parts = [batch] if self.accumulate == 1 else split(batch, self.accumulate)
        rows = rows_of(batch)
        found: dict[str, Tensor] = {}
        for part in parts:
            for name, value in self._backward(part, rows_of(part) / rows).items():
                found[name] = found[name] + value if name in found else value
        return found

    def _backward(self, batch: Batch, share: float) -> dict[str, Tensor]:
        """Adds the gradient of `share` times the mean loss of this (part of a) batch; returns that, and sums over its rows."""
        inputs, targets = self.task.prepare(batch, training=True)
        outputs, loss = self._outputs_and_loss(inputs, targets)
        if share != 1:
            loss = loss * share
        loss.backward()
        return {"loss": loss.detach(), **self.task.counts(outputs.detach(), targets, training=True)}

    def _outputs_and_loss(self, inputs: Any, targets: Any) -> tuple[Tensor, Tensor]:
        """In training: the outputs that are counted, and the mean loss, in which auxiliary heads have their share."""
        with self.plan.autocast():
            outputs = self.forward(inputs)
            return main_outputs(outputs), self._training_loss(outputs, targets)

    def _training_loss(self, outputs: Any, targets: Any) -> Tensor:
        return total_loss(self.model, outputs, lambda one: self.task.loss(one, targets, training=True))

    def _check(self, found: dict[str, Tensor]) -> None:
        """Finds out whether a gradient, a buffer, the loss or a count is not finite: one pass over all of them."""
        self._look_for_non_finite(found)
        self._act_on_flag(found)

    def _look_for_non_finite(self, found: dict[str, Tensor]) -> None:
        watched = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        watched += [value for value in found.values() if value.is_floating_point()] + self.buffers
        torch._amp_foreach_non_finite_check_and_unscale_(watched, self.flag, self._one)

    def _act_on_flag(self, found: dict[str, Tensor]) -> None:
        if not self.guard:
            found[FLAG] = self.flag.clone()
        elif self.flag.item():
            self.flag.zero_()
            raise NonFiniteError

    def _clip(self) -> None:
        clip(self.parameters, self.settings)

    def _shrink(self, batch: Batch, error: Exception) -> None:
        """Halves the parts that a batch is computed in, where that is allowed and possible."""
        shapes = ", ".join(f"{name} {'x'.join(map(str, t.shape))} {t.dtype}" for name, t in batch.items())
        shapes = shapes.replace("torch.", "")
        what = f"out of memory in a step of {rows_of(batch)} rows ({shapes})"
        if self.shrinks and self.accumulate < rows_of(batch):
            self.accumulate *= 2
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            return
        if self.shrinks:
            raise OutOfMemory(f"{what}, even one row at a time: choose a smaller model or smaller inputs") from error
        hint = "use --batch-size auto, a smaller --batch-size"
        raise OutOfMemory(f"{what}: {hint}, or --set train.accumulate={2 * self.accumulate}") from error

    def diagnose(self, batch: Batch) -> tuple[str, int | None]:
        inputs, targets = self.task.prepare(batch, training=True)

        def loss_of(outputs: Any, targets: Any) -> Tensor:
            with self.plan.autocast():
                return self._training_loss(outputs, targets)

        return first_non_finite(self.model, inputs, targets, loss_of)

    @torch.no_grad()
    def _average(self) -> None:
        """average <- (1 - share) * average + share * weights; the share starts high so that early weights are forgotten."""
        assert self.averaged is not None
        pairs = zip(self.averaged.parameters(), self.model.parameters(), strict=True)
        learning = [(one, other) for one, other in pairs if other.requires_grad]
        mine: list[Tensor] = [one for one, _ in learning]
        theirs: list[Tensor] = [other for _, other in learning]
        share = self._share if self.guard else self._share * (1 - self.flag)  # 0 once a step was bad
        torch._foreach_lerp_(mine, theirs, [share] * len(mine))
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
        read = self.task.reader(self.predictor)
        try:
            for batch in batches:
                inputs, targets = self.task.prepare(batch, training=False)
                with self.plan.autocast():
                    outputs = read(inputs)
                    loss = self.task.loss(outputs, targets, training=False)
                    counts = self.task.counts(outputs, targets, training=False)  # detectors compute more of the network
                found = {"loss": loss.double() * rows_of(batch), **counts}
                for name, value in found.items():
                    sums[name] = sums[name] + value if name in sums else value
                samples += rows_of(batch)
        finally:
            self.learn_mode()
        return {name: value.double().cpu().numpy() for name, value in sums.items()}, samples

    def summarize(self, totals: dict[str, np.ndarray], samples: int) -> dict[str, float]:
        means = {name: float(totals[name] / samples) for name in MEANS if name in totals}
        return means | self.task.metrics(totals, samples)

    def set_learning_rate(self, factor: float) -> float:
        if factor != self._factor:
            self._factor = factor
            for group, rate in zip(self.optimizer.param_groups, self.base_rates, strict=True):
                if isinstance(group["lr"], Tensor):
                    group["lr"].fill_(rate * factor)
                else:
                    group["lr"] = rate * factor
        return self.base_rates[0] * factor

    def predicting_state(self) -> dict[str, Tensor]:
        return dict(self.predictor.state_dict())

    def training_state(self) -> dict[str, Tensor]:
        names: dict[Tensor, str] = {parameter: name for name, parameter in self.trained.items()}
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
        on_device = {p for group in self.optimizer.param_groups if counts_on_device(group) for p in group["params"]}
        for key, value in training.items():
            if key.startswith("optimizer."):
                _, field, name = key.split(".", 2)
                parameter = self.trained[name]
                # moments keep the memory order of their parameter; counters are where torch.optim keeps them
                place = parameter.device if parameter in on_device else value.device
                same = value.shape == parameter.shape
                like = torch.empty_like(parameter) if same else torch.empty_like(value, device=place)
                self.optimizer.state[parameter][field] = like.copy_(value)
        self.updates = updates


def rows_of(batch: Batch) -> int:
    return len(next(iter(batch.values())))


def split(batch: Batch, parts: int) -> list[Batch]:
    """A batch cut into at most `parts` parts of nearly equal size, none of them empty."""
    parts = min(parts, rows_of(batch))
    pieces = {name: tensor.tensor_split(parts) for name, tensor in batch.items()}
    return [{name: piece[index] for name, piece in pieces.items()} for index in range(parts)]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed, on a GPU or (as PyTorch and NumPy tell it) on a CPU."""
    text = str(error)
    told = "DefaultCPUAllocator" in text or "std::bad_alloc" in text
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (isinstance(error, RuntimeError) and told)

"""The vital signs of a learner at one step: what its layers' weights and gradients do, which units still answer, and whether
batch normalisation answers in evaluation as it does in training.

Choices. Sizes are root mean squares (of a tensor's entries), so layers of all widths compare; of a large tensor an even sample of
entries is taken. What is read are the weights before and after one ordinary step and the gradients that the step left (after
clipping): the step itself is not touched. Units and losses are those of a pass in evaluation mode without gradients, made after
the step on rows of its own choosing; it changes neither weights nor buffers nor, since every step is seeded, any random number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gradus.data.device_rows import DeviceRows
from gradus.tasks.targets import ClassTarget, NumberTarget
from gradus.train.fine_tune import within
from gradus.train.learner import Supervised
from gradus.train.source import Batch, Resident
from gradus.train.unit_health import watched_units

SAMPLE = 2**16  # entries of a tensor that are looked at
KEPT = 2**12  # entries of a frozen tensor that are remembered
ROWS = 256  # rows whose units are looked at, where the source has them at hand
NUMBERS = 2**21  # of their inputs at most
CHANCE_ROWS = 2**14  # targets that chance is counted from

Record = dict[str, Any]


def sample(tensor: Tensor, most: int = SAMPLE) -> Tensor:
    """(at most `most`,) a copy of entries of a tensor, evenly spaced."""
    flat = tensor.detach().reshape(-1)
    return flat[:: max(1, -(-len(flat) // most))].clone()


def layers_of(model: nn.Module) -> dict[str, list[tuple[str, nn.Parameter]]]:
    """Module -> its own parameters, by the name without the module's, in the order of registration."""
    found: dict[str, list[tuple[str, nn.Parameter]]] = {}
    for name, parameter in model.named_parameters():
        layer, _, own = name.rpartition(".")
        found.setdefault(layer, []).append((own, parameter))
    return found


class Before:
    """The weights as they are before a step, but for those of parts that a model itself has rest (`resting`: their names)."""

    def __init__(self, model: nn.Module) -> None:
        resting = getattr(model, "resting", ())
        resting = resting if isinstance(resting, tuple) else ()  # a module of one's own may mean another thing by it
        learning = {name: p for name, p in model.named_parameters() if p.requires_grad and not within(name, resting)}
        self.weights = {name: sample(parameter) for name, parameter in learning.items()}

    def changes(self, model: nn.Module, gradients: bool = True) -> list[Record]:
        """A record for each layer that is to learn, in the order of registration, after the step:

        layer, weight and (where `gradients` are there) gradient: root mean squares; gradient None where no gradient came
        update: that of the step, as a share of the weights' (1 where they had all been 0)
        matrix: whether the layer has weights of two or more dimensions
        """
        names, values = [], []
        parameters = dict(model.named_parameters())
        for name, before in self.weights.items():
            gradient = parameters[name].grad
            taken = sample(gradient) if gradient is not None and gradients else torch.zeros_like(before)
            parts = [before, sample(parameters[name]) - before, taken]
            values.append(torch.stack([part.float().square().sum() for part in parts]))
            names.append(name)
        if not names:
            return []
        squares = dict(zip(names, torch.stack(values).double().cpu().tolist(), strict=True))
        records = []
        for layer, own in layers_of(model).items():
            held = [(f"{layer}.{name}" if layer else name, p) for name, p in own if p.requires_grad]
            held = [(name, p) for name, p in held if name in squares]
            if not held:
                continue
            matrices = [(name, p) for name, p in held if p.ndim >= 2]
            reached = any(p.grad is not None for _, p in held) if gradients else None
            records.append(_sizes(layer, matrices or held, squares, self.weights, reached) | {"matrix": bool(matrices)})
        return records


def _sizes(
    layer: str, held: list[tuple[str, nn.Parameter]], squares: Mapping[str, list[float]], weights: Any, reached: Any
) -> Record:
    count = sum(len(weights[name]) for name, _ in held)
    weight, update, gradient = ((sum(squares[name][part] for name, _ in held) / count) ** 0.5 for part in range(3))
    record: Record = {"layer": layer, "weight": weight, "update": update / weight if weight else float(update > 0)}
    if reached is not None:
        record["gradient"] = gradient if reached else None
    return record


def look(learner: Supervised, source: Any, batch: Batch, statistics: bool) -> Record:
    """Units by layer, and the mean loss of the same rows in evaluation mode and with the statistics of the batch.

    statistics: whether the latter is wanted, for a network with batch normalisation
    """
    rows = _rows(source, batch)
    model = learner.model
    inputs, targets = learner.task.prepare(rows, training=False)
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    kept = [(buffer, buffer.clone()) for buffer in model.buffers()]
    found: Record = {}
    try:
        model.eval()
        with torch.no_grad(), learner.plan.autocast():
            with watched_units(model) as units:
                loss = learner.task.loss(learner.task.reader(model)(inputs), targets, training=False)
            found["units"] = [asdict(one) for one in units]
            found["loss_evaluation"] = float(loss)
            if statistics and norms and len(next(iter(rows.values()))) > 1:
                with _batch_statistics(norms):
                    loss = learner.task.loss(learner.task.reader(model)(inputs), targets, training=False)
                found["loss_batch_statistics"] = float(loss)
    finally:
        learner.learn_mode()
        for buffer, value in kept:
            if not torch.equal(buffer, value):
                buffer.copy_(value)
    return found


@contextmanager
def _batch_statistics(norms: list[Any]) -> Iterator[None]:
    """While it lasts, these normalise by the batch, and leave their running statistics as they are."""
    try:
        for norm in norms:
            norm.training, norm.track_running_stats = True, False
        yield
    finally:
        for norm in norms:
            norm.training, norm.track_running_stats = False, True


def _rows(source: Any, batch: Batch) -> Batch:
    """The batch, or more rows of its epoch, where the source has them at hand."""
    have = len(next(iter(batch.values())))
    first = next(iter(batch.values()))
    if have >= ROWS or not isinstance(source, Resident) or not isinstance(first, Tensor) or first.ndim == 0:
        return batch
    if any(isinstance(tensor, DeviceRows) for tensor in source.tensors.values()) or source._epoch < 0:
        return batch
    count = min(ROWS, source.rows, max(have, NUMBERS // max(first[0].numel(), 1)))
    return source.select(source.order(source._epoch)[:count])


def frozen_sample(learner: Supervised) -> dict[str, Tensor]:
    """What should stay as it is: a sample of the entries of every parameter that does not learn, and of the buffers of modules
    that are frozen."""
    model = learner.model
    found = {name: p for name, p in model.named_parameters() if not p.requires_grad}
    for module in learner.frozen:
        for name, buffer in model.get_submodule(module).named_buffers():
            if buffer.is_floating_point():
                found[f"{module}.{name}"] = buffer  # type: ignore[assignment]
    return {name: sample(tensor, KEPT) for name, tensor in found.items()}


def moved(learner: Supervised, before: Mapping[str, Tensor]) -> list[str]:
    """The names of those that are not what they were."""
    now = frozen_sample(learner)
    return [name for name, tensor in before.items() if name in now and not torch.equal(tensor, now[name])]


def idle_from_the_start(learner: Supervised) -> list[str]:
    """Layers whose parameters do not learn although the settings freeze nothing of them. In a network of Gradus's own such
    layers are meant to be so."""
    if type(learner.model).__module__.startswith("gradus."):
        return []
    layers = {layer: [parameter for _, parameter in own] for layer, own in layers_of(learner.model).items()}
    still = [layer for layer, own in layers.items() if not any(parameter.requires_grad for parameter in own)]
    return [layer for layer in still if not within(layer, learner.frozen)]


def chance_loss(learner: Supervised, source: Any) -> float | None:
    """The training loss of the best answer that takes no look at the inputs: the shares of the classes, or the mean. None for
    other targets, or where the rows are not at hand."""
    target, tensors = getattr(learner.task, "target", None), getattr(source, "tensors", None)
    targets = tensors.get("targets") if isinstance(tensors, dict) else None
    if not isinstance(targets, Tensor) or not isinstance(target, ClassTarget | NumberTarget):
        return None
    targets = targets[:CHANCE_ROWS]
    if isinstance(target, ClassTarget):
        shares = torch.bincount(targets, minlength=target.num_outputs).float() / len(targets)
        answer = shares.clamp_min(1e-6).log()
    else:
        answer = targets.float().mean(dim=0)
    with torch.no_grad():
        return float(learner.task.loss(answer.expand(len(targets), -1), targets, training=True))

"""Features computed once: what the frozen beginning of a network gives for every row, so that an epoch trains the rest alone.

Only where it changes no result: the modules are a prefix of a chain (`models/stages.py`), frozen to the end of the training, with
nothing random in them, and the rows are the same in every epoch. The learner then gets the network with its entry behind them;
its weights are the whole network's, so checkpoints, predicting and everything after training know nothing of it.
"""

from __future__ import annotations

import copy
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradus.models.stages import StagedNetwork
from gradus.recipes.experiment import Experiment
from gradus.tasks.inputs import Inputs
from gradus.tasks.task import InputTargetTask
from gradus.train.fine_tune import FineTune, within
from gradus.train.source import Batch, in_order
from gradus.train.stream import readable, resident_limit

ROWS = 64  # of a batch that features are computed for
# without weights, and the same in every step: they may follow the frozen modules
FIXED = (
    *(nn.Flatten, nn.Identity, nn.ReLU, nn.ReLU6, nn.Sigmoid, nn.MaxPool2d, nn.AvgPool2d),
    *(nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d),
)
CHAINING = ("forward", "run", "chain", "apply_modules")  # a network with one of its own may do more than apply a chain


class FeatureInputs(Inputs):
    """The inputs of a task, of which features were computed already. Maps are stored channels-last, as the network gives them."""

    def __init__(self, inputs: Inputs, copied: bool) -> None:
        """copied: whether the network may write into what it is given, which has to last."""
        self.inputs, self.copied = inputs, copied
        self.notes, self.types, self.streamed = inputs.notes, inputs.types, False

    def prepare(self, batch: Tensor) -> Tensor:
        batch = batch.clone() if self.copied else batch
        return batch.permute(0, 3, 1, 2) if batch.ndim == 4 else batch

    def fit(self, train: Any, exclude: tuple[str, ...]) -> None:
        self.inputs.fit(train, exclude)

    def encode(self, split: Any) -> Any:
        return self.inputs.encode(split)

    def features(self, encoded: Tensor) -> np.ndarray:
        return self.inputs.features(encoded)

    def model_options(self) -> dict[str, Any]:
        return self.inputs.model_options()

    def state(self) -> dict[str, Any]:
        return self.inputs.state()

    def restore(self, state: dict[str, Any]) -> None:
        self.inputs.restore(state)


@dataclass
class Features:
    """splits: split -> features and targets, on the device; task and model: that learn from them."""

    splits: dict[str, Batch]
    task: InputTargetTask
    model: StagedNetwork


def fixed_modules(model: nn.Module, frozen: tuple[str, ...]) -> int:
    """How many modules at the beginning of a chain compute the same in every step, where `frozen` ones do; 0: none."""
    if not isinstance(model, StagedNetwork) or model.entry:
        return 0
    if any(getattr(type(model), name) is not getattr(StagedNetwork, name) for name in CHAINING):
        return 0
    named, count, last = dict(model.named_modules()), 0, 0
    for name in model.chain():
        if within(name, frozen):
            count += 1
            last = count
        elif isinstance(named[name], FIXED):
            count += 1
        else:
            break
    return count if last else 0


def compute_features(
    experiment: Experiment,
    say: Callable[[str], None] = lambda line: None,
    cache: dict[Any, Any] | None = None,
) -> Features | None:
    """The features of the training and validation rows; None where there is nothing to be gained, or no room.

    cache: keeps them for other trainings that differ only behind them
    """
    train, task, model = experiment.recipe.train, experiment.task, experiment.model
    settings = train.fine_tune
    if not (settings.freezes and settings.cache):
        return None
    if not isinstance(task, InputTargetTask) or not isinstance(model, StagedNetwork):
        say("what is frozen is computed in every step: it is kept only of networks that are a chain, with one target")
        return None
    if experiment.recipe.augment.is_on:
        return None
    count = fixed_modules(model, FineTune(model, settings).frozen_at(train.epochs - 1))
    if not count:
        return None
    names = [name for name in ("train", "validation") if name in experiment.tensors]
    tensors = {name: experiment.tensors[name] for name in names}
    modules = model.chain()[:count]
    one = _apply(model, modules, task, {key: rows[:1] for key, rows in tensors["train"].items()}, experiment)
    rows = sum(len(tensors[name]["targets"]) for name in names)
    needed = rows * one[0].numel() * one.element_size()
    limit = resident_limit("auto", experiment.plan.device)
    assert limit is not None
    size = f"{'x'.join(map(str, one.shape[1:]))} numbers a row, {needed / 2**20:,.0f} MiB"
    if needed > limit:
        say(f"features are computed in every epoch: {size} are more than half of the memory that is free")
        return None
    key = (experiment.recipe.data, repr(experiment.recipe.task), repr(experiment.plan), _digest(model, modules))
    splits = cache.get(key) if cache is not None else None
    if splits is None:
        started = time.perf_counter()
        splits = {name: _of_split(model, modules, task, tensors[name], experiment, one) for name in names}
        say(
            f"features of {rows:,} rows after {modules[-1]}, computed once: {size}, {time.perf_counter() - started:.1f} s"
        )
    if cache is not None:
        cache[key] = splits
    learner_task, rest = copy.copy(task), copy.copy(model)  # copies that share everything: weights, statistics
    learner_task.inputs = FeatureInputs(task.inputs, any(getattr(part, "inplace", False) for part in model.modules()))
    rest.entry = count
    return Features(splits, learner_task, rest)


def _digest(model: StagedNetwork, modules: list[str]) -> str:
    """What tells these modules with their weights from others."""
    found = hashlib.blake2b("".join(f"{name} {model.get_submodule(name)!r}" for name in modules).encode())
    for name, tensor in model.state_dict().items():
        if within(name, tuple(modules)):
            found.update(tensor.cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def _of_split(
    model: StagedNetwork,
    modules: list[str],
    task: InputTargetTask,
    tensors: dict[str, Any],
    experiment: Experiment,
    one: Tensor,
) -> Batch:
    device = experiment.plan.device
    found = torch.empty((len(tensors["targets"]), *one.shape[1:]), dtype=one.dtype, device=device)
    start = 0
    with readable(tensors, max(0, experiment.recipe.data.workers), device) as rows:
        for batch in in_order(rows, ROWS):
            part = _apply(model, modules, task, batch, experiment)
            found[start : start + len(part)] = part
            start += len(part)
    return {"inputs": found, "targets": tensors["targets"].to(device)}


@torch.no_grad()
def _apply(
    model: StagedNetwork, modules: list[str], task: InputTargetTask, batch: Batch, experiment: Experiment
) -> Tensor:
    """(B, ...) what the modules give for a batch; maps as (B, H, W, C)."""
    plan, was_training = experiment.plan, model.training
    plan.place(model).eval()
    try:
        inputs, _ = task.prepare({name: rows.to(plan.device) for name, rows in batch.items()}, training=False)
        with plan.autocast():
            outputs = model.apply_modules(inputs, modules)
    finally:
        model.train(was_training)
    return outputs.permute(0, 2, 3, 1).contiguous() if outputs.ndim == 4 else outputs

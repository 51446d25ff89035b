"""The case: what a check may ask about, each thing computed once and when first asked for."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from gradus.data.dataset import Dataset
from gradus.data.device_rows import DeviceRows
from gradus.recipes.execute import create_trainer
from gradus.recipes.experiment import Experiment, make_model, show_inputs
from gradus.recipes.recipe import Recipe
from gradus.recipes.run import Run
from gradus.tasks.task import Task
from gradus.train.trainer import Trainer

Made = TypeVar("Made")


class NotHere(Exception):
    """A check does not apply: the reason, as half a sentence ("there are no validation rows")."""


@dataclass
class Case:
    """What is examined: a recipe's experiment before training, or a run after it.

    run:   None before training
    bound: the error that the best known answer makes (0.01: one row in a hundred), where the user gave it
    named: what the user called it, as commands name it: a recipe, a TOML file, a data set, a run's folder
    typed: what follows `gradus train` to train a recipe that has no run; empty: its name or data tell
    """

    experiment: Experiment
    named: str
    run: Run | None = None
    bound: float | None = None
    seed: int = 0
    typed: tuple[str, ...] = ()
    measured: dict[str, Any] = field(
        default_factory=dict
    )  # what checks found beside findings: for the page and for JSON

    @property
    def recipe(self) -> Recipe:
        return self.experiment.recipe

    @property
    def task(self) -> Task:
        return self.experiment.task

    @property
    def dataset(self) -> Dataset:
        return self.experiment.dataset

    @property
    def tensors(self) -> dict[str, dict[str, Any]]:
        return self.experiment.tensors

    @property
    def trained(self) -> Run:
        if self.run is None:
            raise NotHere("nothing was trained yet")
        return self.run

    @cached_property
    def fresh_model(self) -> nn.Module:
        """A copy of the network as training begins with it; of a custom module whose run is examined, the weights it has."""
        if self.run is None or self.run.is_custom:
            return copy.deepcopy(self.experiment.model)
        with torch.random.fork_rng():  # a run that was just made has trained the network of its experiment
            model = make_model(self.recipe, self.task)[1]
            show_inputs(model, self.task, self.tensors["train"])
        return model

    def fresh_trainer(self, **changed: Any) -> Trainer:
        """A trainer of a copy of the network: its steps leave the case as it is. What is frozen is computed as it comes, not in
        advance. changed: fields of `TrainSettings` that are other than the recipe's."""
        train = self.recipe.train
        train = replace(train, fine_tune=replace(train.fine_tune, cache=False), **changed)
        experiment = replace(
            self.experiment, recipe=replace(self.recipe, train=train), model=copy.deepcopy(self.fresh_model)
        )
        return create_trainer(experiment)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of a target of one class a row. Raises `NotHere` for others."""
        target = getattr(self.task, "target", None)
        found = getattr(target, "classes", None)
        if not found or getattr(target, "column", None) is None or self.targets("train").ndim != 1:
            raise NotHere(f"task {self.task.name} does not tell classes apart")
        return tuple(found)

    def targets(self, split: str) -> np.ndarray:
        """(N, ...) the encoded targets of a split. Raises `NotHere` without the split."""
        if split not in self.tensors:
            raise NotHere(f"there are no {split} rows")
        rows = self.tensors[split]["targets"]
        return np.asarray(rows[:] if isinstance(rows, DeviceRows) else rows)

    def features(self, split: str, most: int = 5_000) -> np.ndarray:
        """(at most `most`, D) float32: rows of a split as the task prepares them, flattened; the first ones of a fixed shuffle
        (`rows_of`). Raises `NotHere` where rows are no vectors of one length."""
        return self._features(split, most)

    def rows_of(self, split: str, most: int = 5_000) -> np.ndarray:
        """Which rows `features` are of: sorted numbers from 0."""
        if split not in self.tensors:
            raise NotHere(f"there are no {split} rows")
        total = len(self.tensors[split]["targets"])
        if total <= most:
            return np.arange(total)
        return np.sort(np.random.default_rng(self.seed).permutation(total)[:most])

    def _features(self, split: str, most: int) -> np.ndarray:
        key = f"features of {split} {most}"
        if key not in self.kept:
            inputs = self.batch(split, self.rows_of(split, most))[0]
            if not isinstance(inputs, Tensor) or not inputs.is_floating_point():
                raise NotHere(f"the rows of task {self.task.name} are no vectors of one length")
            self.kept[key] = inputs.flatten(1).float().cpu().numpy()
        return self.kept[key]

    @cached_property
    def kept(self) -> dict[str, Any]:
        """What was computed and several checks ask for, by a name of its own."""
        return {}

    def once(self, key: str, make: Callable[[], Made]) -> Made:
        """What `make` gives, made when first asked for: measurements that several checks need."""
        if key not in self.kept:
            self.kept[key] = make()
        return self.kept[key]

    def batch(self, split: str, rows: np.ndarray, *, training: bool = False) -> tuple[Any, Any]:
        """What the model takes of these rows, and the targets, on the device."""
        device = self.experiment.plan.device
        self.task.to_device(device)
        index = torch.as_tensor(rows)
        on_device = {name: tensor[index].to(device) for name, tensor in self.tensors[split].items()}
        return self.task.prepare(on_device, training=training)

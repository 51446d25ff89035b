"""What every task offers, and the task made of one kind of input and one kind of target.

A task knows nothing of optimisers, devices or loops. Its life:

    task.fit(train split)              statistics, class lists and sizes, from the training split only
    task.encode(split)                 the split as compact tensors, to live on the device (or `EncodedRows`, to be streamed)
    task.augmented(settings, train)    the same task, its training inputs changed at random from step to step
    task.prepare(batch)                rows of them -> what the model takes, and the targets (on the device)
    task.loss, task.counts             what is minimised, and the sums that metrics are made of
    task.assess(outputs, targets)      exact metrics over a whole split, with the answers
    task.collected(outputs, batch)     what of a batch's outputs is kept for these two: one tensor
    task.decode(outputs)               answers, as values of a column type with their certainty
    task.state / task.restore          all that fit found, as JSON
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradus.data.augment.apply import Augmentation
from gradus.data.augment.mixing import others_of
from gradus.data.augment.settings import AugmentSettings
from gradus.data.columns import ColumnType
from gradus.data.dataset import Dataset, Split
from gradus.errors import UserError, WrongOutputs, unknown_name
from gradus.tasks.answer import Answer
from gradus.tasks.assessment import Assessment
from gradus.tasks.inputs import ImageInputs, Inputs
from gradus.tasks.targets import Target

__all__ = ["Answer", "InputTargetTask", "Task"]


class Task(ABC):
    """Base of all tasks; the table of names is in `tasks/table.py`."""

    name: str
    directions: dict[str, str]  # metric -> whether it is best at its "max" or "min"; the first one decides
    notes: list[str]  # what `fit` inferred, to be shown

    @property
    @abstractmethod
    def input_types(self) -> dict[str, ColumnType]:
        """The columns that it reads to answer, by name."""

    @property
    @abstractmethod
    def target_column(self) -> str:
        """The column that it learns; several names joined by commas."""

    @property
    def primary(self) -> tuple[str, str]:
        """The metric that chooses the best weights, and "max" or "min"."""
        return next(iter(self.directions.items()))

    def monitored(self, name: str) -> tuple[str, str]:
        """The metric `name` (empty: the task's own) with its direction; "loss" always exists."""
        known = {**self.directions, "loss": "min"}
        if not name:
            return self.primary
        if name not in known:
            raise unknown_name("metric", name, known)
        return name, known[name]

    def use_record(self, record: Mapping[str, Any]) -> None:  # noqa: B027 - most have nothing to take from it
        """Takes over what was measured in the epoch that gave the weights, by which it may choose how answers are told."""

    def to_device(self, device: torch.device) -> None:  # noqa: B027 - most have nothing to move
        """Moves what `prepare`, `loss` and `counts` need to the device; called once before they are."""

    def tensors(self) -> dict[str, Tensor]:
        """What `prepare`, `loss` and `counts` compute with besides the batch: statistics, class weights. After `to_device`."""
        return {}

    def with_tensors(self, tensors: dict[str, Tensor]) -> Task:
        """This task with other values in place of those of `tensors()`."""
        return self

    def augmented(self, settings: AugmentSettings, train: dict[str, Any]) -> Task:
        """This task with its training inputs augmented, said among its notes; `train`: the encoded training split.

        Raises `UserError` where its inputs cannot be augmented so.
        """
        raise UserError(f"augment: task {self.name} has no pictures to augment; leave it out")

    @property
    def batch_rows(self) -> int | None:
        """How many rows a batch must have, where rows are read one after the other with a state; None: any."""
        return None

    def reader(self, model: nn.Module) -> Callable[[Any], Any]:
        """What is called on the inputs of a split's batches, in their order: the model, unless it carries a state along."""
        return model

    def shown(self, split: Split) -> Split | None:
        """The rows that an assessment of a split is made of, for reports; most tasks assess the rows of the split themselves.
        None where there is nothing to show of them."""
        return split

    def collected(self, outputs: Any, batch: dict[str, Tensor]) -> Tensor:
        """What is kept of a batch's outputs in evaluation, for `assess` and `decode`: (B, ...), rows that can be joined."""
        return outputs.float()

    def joined(self, parts: list[Tensor]) -> Tensor:
        """What was `collected` of several batches, as one."""
        return torch.cat(parts)

    def answers(self, split: Split, outputs_of: Callable[[dict[str, Any]], Tensor]) -> list[Answer]:
        """The answers for the rows of a split; `outputs_of` gives what is `collected` of encoded rows."""
        return self.decode(outputs_of(self.encode(split, with_target=False)))

    def answer_names(self, split: Split) -> list[str]:
        """What each of the `answers` for the rows of a split is about: where its row came from."""
        return [split.origins[index] for index in range(len(split))]

    def check_outputs(self, outputs: Any, rows: int, model: str) -> None:
        """Raises `UserError` where what the model gives in evaluation for so many rows is not what this task reads."""
        if not isinstance(outputs, Tensor):
            raise UserError(f"model {model} gives a {type(outputs).__name__} in evaluation, expected a tensor")
        wanted = (rows, self.model_options()["num_classes"])
        if tuple(outputs.shape) != wanted:
            raise WrongOutputs(
                f"model {model} gives outputs of shape {tuple(outputs.shape)}, task {self.name} needs {wanted} for {rows} rows"
            )

    @abstractmethod
    def fit(self, dataset: Dataset) -> None: ...
    @abstractmethod
    def encode(self, split: Split, *, with_target: bool = True) -> dict[str, Any]: ...
    @abstractmethod
    def prepare(self, batch: dict[str, Tensor], *, training: bool) -> tuple[Any, Any]: ...
    @abstractmethod
    def loss(self, outputs: Tensor, targets: Tensor, *, training: bool) -> Tensor: ...
    @abstractmethod
    def counts(self, outputs: Any, targets: Tensor, *, training: bool) -> dict[str, Tensor]: ...
    @abstractmethod
    def metrics(self, totals: dict[str, np.ndarray], samples: int) -> dict[str, float]: ...
    @abstractmethod
    def assess(self, outputs: Tensor, targets: Tensor) -> Assessment: ...
    @abstractmethod
    def decode(self, outputs: Tensor) -> list[Answer]: ...
    @abstractmethod
    def baselines(self, train: dict[str, Tensor], test: dict[str, Tensor]) -> dict[str, dict[str, float]]: ...
    @abstractmethod
    def model_options(self) -> dict[str, Any]: ...
    @abstractmethod
    def state(self) -> dict[str, Any]: ...
    @abstractmethod
    def restore(self, state: dict[str, Any]) -> None: ...


class InputTargetTask(Task):
    """A task in which one kind of input is mapped to one kind of target: classification and regression of anything."""

    def __init__(self, name: str, inputs: Inputs, target: Target) -> None:
        self.name, self.inputs, self.target = name, inputs, target
        self.augmentation: Augmentation | None = None
        self.notes: list[str] = []

    @property
    def directions(self) -> dict[str, str]:  # type: ignore[override]
        return self.target.directions

    @property
    def input_types(self) -> dict[str, ColumnType]:
        return self.inputs.types

    @property
    def target_column(self) -> str:
        return self.target.column

    def to_device(self, device: torch.device) -> None:
        self.inputs.to_device(device)
        self.target.to_device(device)
        if self.augmentation is not None:
            self.augmentation = self.augmentation.to_device(device)

    def tensors(self) -> dict[str, Tensor]:
        parts: dict[str, Inputs | Target] = {"inputs": self.inputs, "target": self.target}
        return {f"{part}.{name}": value for part, owner in parts.items() for name, value in owner.tensors().items()}

    def with_tensors(self, tensors: dict[str, Tensor]) -> Task:
        other = copy.copy(self)
        other.inputs = self.inputs.with_tensors(_part_of(tensors, "inputs."))
        other.target = self.target.with_tensors(_part_of(tensors, "target."))
        return other

    def augmented(self, settings: AugmentSettings, train: dict[str, Any]) -> Task:
        if not isinstance(self.inputs, ImageInputs):
            return super().augmented(settings, train)
        other = copy.copy(self)
        other.augmentation = self.inputs.augmentation(settings, train["inputs"])
        other.notes = [*self.notes, *other.augmentation.notes(settings)]
        return other

    def fit(self, dataset: Dataset) -> None:
        self.target.fit(dataset)
        self.inputs.fit(dataset["train"], exclude=self.target.source_columns)
        self.notes = [*self.inputs.notes, *self.target.notes]

    def encode(self, split: Split, *, with_target: bool = True) -> dict[str, Any]:
        tensors = self.inputs.rows(split)
        if with_target:
            tensors["targets"] = self.target.encode(split)
        return tensors

    def prepare(self, batch: dict[str, Tensor], *, training: bool) -> tuple[Any, Any]:
        """Only training inputs are augmented. Where that mixes them, the targets are mixed by the same shares."""
        targets = batch.get("targets")
        if self.augmentation is None or not training:
            return self.inputs.taken(batch), targets
        assert isinstance(self.inputs, ImageInputs)
        pictures, shares = self.augmentation(batch["inputs"])
        if shares is not None and targets is not None:
            targets = self.target.mixed(targets, others_of(targets), shares)
        return self.inputs.normalized(pictures).contiguous(memory_format=torch.channels_last), targets

    def loss(self, outputs: Tensor, targets: Tensor, *, training: bool) -> Tensor:
        return self.target.loss(outputs, targets, training=training)

    def counts(self, outputs: Tensor, targets: Tensor, *, training: bool) -> dict[str, Tensor]:
        return self.target.counts(outputs, targets)

    def metrics(self, totals: dict[str, np.ndarray], samples: int) -> dict[str, float]:
        return self.target.metrics(totals, samples)

    def assess(self, outputs: Tensor, targets: Tensor) -> Assessment:
        return self.target.assess(outputs, targets)

    def decode(self, outputs: Tensor) -> list[Answer]:
        return self.target.answers(outputs)

    def answers(self, split: Split, outputs_of: Callable[[dict[str, Any]], Tensor]) -> list[Answer]:
        answers, remarks = super().answers(split, outputs_of), self.inputs.remarks(split)
        return [replace(answer, remark=remark) for answer, remark in zip(answers, remarks, strict=True)]

    def baselines(self, train: dict[str, Tensor], test: dict[str, Tensor]) -> dict[str, dict[str, float]]:
        from gradus.tasks.baselines import baselines

        return baselines(self, train, test)

    def model_options(self) -> dict[str, Any]:
        return {**self.inputs.model_options(), "num_classes": self.target.num_outputs}

    def state(self) -> dict[str, Any]:
        return {"inputs": self.inputs.state(), "target": self.target.state()}

    def restore(self, state: dict[str, Any]) -> None:
        self.inputs.restore(state["inputs"])
        self.target.restore(state["target"])


def _part_of(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

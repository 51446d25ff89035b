"""Targets: what is to be answered. Each knows its loss, the sums that metrics are made of, and how outputs decode to answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gradus.data.columns import Column, Label, Labels, Number
from gradus.data.dataset import Dataset, Split
from gradus.errors import UserError
from gradus.nn import mean_absolute_percentage_error
from gradus.tasks import metrics
from gradus.tasks.answer import Answer
from gradus.tasks.assessment import Assessment, ClassAssessment, LabelsAssessment, NumberAssessment
from gradus.tasks.encode import HoldsTensors, class_indices, contents

LEAST_PROBABILITY = 1e-12  # probabilities below are raised to it where a logarithm is taken


class Target(HoldsTensors, ABC):
    """One kind of target. `column` may be several names joined by commas; `source_columns` lists them."""

    directions: ClassVar[
        dict[str, str]
    ]  # the metrics of `metrics`, each best at its "max" or "min"; the first one decides
    notes: list[str]
    column: str
    num_outputs: int

    @property
    def source_columns(self) -> tuple[str, ...]:
        return tuple(name.strip() for name in self.column.split(",")) if self.column else ()

    def to_device(self, device: torch.device) -> None:
        """Moves what the loss and the counts need to the device."""

    @abstractmethod
    def fit(self, dataset: Dataset) -> None: ...
    @abstractmethod
    def encode(self, split: Split) -> Tensor: ...
    @abstractmethod
    def loss(self, outputs: Tensor, targets: Tensor, *, training: bool) -> Tensor: ...
    @abstractmethod
    def counts(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]: ...
    @abstractmethod
    def metrics(self, totals: dict[str, np.ndarray], samples: int) -> dict[str, float]: ...
    def mixed(self, targets: Tensor, others: Tensor, shares: Tensor) -> Tensor:
        """The targets (B, K) of mixed inputs: `shares` (B,) of `targets`, the rest of `others`. `loss` and `counts` take them."""
        return torch.lerp(others, targets, shares[:, None])

    @abstractmethod
    def assess(self, outputs: Tensor, targets: Tensor) -> Assessment: ...
    @abstractmethod
    def estimates(self, outputs: Tensor) -> np.ndarray:
        """Outputs -> float64 (N, C) probabilities, or (N, K) numbers in the target's own units: what can be averaged."""

    @abstractmethod
    def outputs_of(self, estimates: np.ndarray) -> Tensor:
        """The float64 outputs that `estimates` gives these for."""

    @abstractmethod
    def decode(self, outputs: Tensor) -> list[tuple]: ...
    def answers(self, outputs: Tensor) -> list[Answer]:
        return [Answer(*answer) for answer in self.decode(outputs)]

    @abstractmethod
    def state(self) -> dict[str, Any]: ...
    @abstractmethod
    def restore(self, state: dict[str, Any]) -> None: ...


def target_column(dataset: Dataset) -> str:
    if not dataset.target:
        raise UserError(
            f"{dataset.name}: which column is to be learnt? Name it with --target; columns: {', '.join(dataset.types)}"
        )
    return dataset.target


@dataclass(frozen=True, kw_only=True)
class ClassOptions:
    """How classes are learnt."""

    class_weights: Literal["none", "balanced"] = "none"  # balanced: each class weighs rows / (classes * its rows)
    label_smoothing: float = 0.0  # share of the target spread evenly over all classes

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise UserError(f"label_smoothing: expected 0 to below 1, received {self.label_smoothing}")


class _OverClasses(Target):
    """What single-label and multi-label targets share: a list of classes, and weights for them in training."""

    tensor_names = ("weights",)
    classes: tuple[str, ...]

    def __init__(self, options: ClassOptions) -> None:
        self.options, self.notes = options, []
        self.weights: Tensor | None = None

    @property
    def source_columns(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def num_outputs(self) -> int:  # type: ignore[override]
        return len(self.classes)

    def to_device(self, device: torch.device) -> None:
        if self.weights is not None:
            self.weights = self.weights.to(device)

    def state(self) -> dict[str, Any]:
        return {"column": self.column, "classes": list(self.classes)}

    def restore(self, state: dict[str, Any]) -> None:
        self.column, self.classes = state["column"], tuple(state["classes"])


class ClassTarget(_OverClasses):
    """One of C classes. Model outputs are logits (B, C); targets int64 (B,), or of mixed inputs the probabilities (B, C) that the
    classes shall have. Loss: cross-entropy in nats."""

    directions: ClassVar[dict[str, str]] = {"accuracy": "max"}

    def fit(self, dataset: Dataset) -> None:
        self.column = target_column(dataset)
        column = dataset["train"][self.column]
        if not isinstance(column.type, Label):
            hint = "; use --task tabular-regression" if isinstance(column.type, Number) else ""
            raise UserError(f"target '{self.column}' holds {contents(column)}, classification needs classes{hint}")
        self.classes = column.type.classes
        if len(self.classes) < 2:
            raise UserError(
                f"target '{self.column}' has one class only ('{self.classes[0]}'): there is nothing to tell apart"
            )
        counts = np.bincount(self.encode(dataset["train"]).numpy(), minlength=len(self.classes))
        empty = [name for name, count in zip(self.classes, counts, strict=True) if count == 0]
        if empty:
            self.notes.append(f"no training row of class {', '.join(empty[:5])}: the model cannot learn it")
        if self.options.class_weights == "balanced":
            self.weights = torch.tensor(len(column) / (len(self.classes) * np.maximum(counts, 1)), dtype=torch.float32)

    def encode(self, split: Split) -> Tensor:
        column = split[self.column]
        encoded = class_indices(column, self.classes)
        bad = np.flatnonzero(encoded < 0)
        if len(bad):
            kind, value = column.type, int(column.values[bad[0]])
            assert isinstance(kind, Label)
            what = "is missing" if value < 0 else f"is the class '{kind.classes[value]}', which training does not know"
            raise UserError(f"target '{self.column}' {what} in {split.origins[int(bad[0])]}")
        return torch.from_numpy(encoded)

    def loss(self, outputs: Tensor, targets: Tensor, *, training: bool) -> Tensor:
        """Weights and smoothing shape the training only: the validation loss is the plain cross-entropy.

        Weighted losses are divided by the rows, not (as PyTorch's mean does) by the weights of the rows that happen to be in
        the batch: the gradient of a batch is then the mean of those of its parts.
        """
        if not training:
            return functional.cross_entropy(outputs, targets)
        smoothing = self.options.label_smoothing
        if self.weights is None:
            return functional.cross_entropy(outputs, targets, label_smoothing=smoothing)
        total = functional.cross_entropy(outputs, targets, self.weights, label_smoothing=smoothing, reduction="sum")
        return total / len(targets)

    def mixed(self, targets: Tensor, others: Tensor, shares: Tensor) -> Tensor:
        classes = torch.arange(len(self.classes), device=targets.device)
        own, other = ((some[:, None] == classes).to(shares.dtype) for some in (targets, others))
        return super().mixed(own, other, shares)

    def counts(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Of mixed inputs the class with the largest share is the right one."""
        wanted = targets.argmax(dim=1) if targets.is_floating_point() else targets
        return {"correct": (outputs.argmax(dim=1) == wanted).count_nonzero()}

    def metrics(self, totals: dict[str, np.ndarray], samples: int) -> dict[str, float]:
        return {"accuracy": float(totals["correct"] / samples)}

    def estimates(self, outputs: Tensor) -> np.ndarray:
        return torch.softmax(outputs.double(), dim=1).numpy()

    def outputs_of(self, estimates: np.ndarray) -> Tensor:
        return torch.from_numpy(np.log(np.maximum(estimates, LEAST_PROBABILITY)))

    def assess(self, outputs: Tensor, targets: Tensor) -> ClassAssessment:
        probabilities = self.estimates(outputs)
        assessment = ClassAssessment(classes=self.classes, probabilities=probabilities, targets=targets.numpy())
        loss = float(functional.cross_entropy(outputs.double(), targets))
        assessment.metrics.update({**metrics.classification(assessment), "loss": loss})
        return assessment

    def decode(self, outputs: Tensor) -> list[tuple]:
        kind = Label(classes=self.classes)
        answers = []
        for row in torch.softmax(outputs.double(), dim=1):
            shares, order = row.sort(descending=True)
            best = [(self.classes[int(place)], float(share)) for place, share in zip(order, shares, strict=True)]
            answers.append((int(order[0]), kind, best[0][1], dict(best[1:3])))
        return answers


class LabelsTarget(_OverClasses):
    """Any of C labels (multi-label). Outputs are logits (B, C), each on its own; targets float32 (B, C) of 0 and 1."""

    directions: ClassVar[dict[str, str]] = {"macro_f1": "max", "label_accuracy": "max"}

    def fit(self, dataset: Dataset) -> None:
        self.column = target_column(dataset)
        column = dataset["train"][self.column]
        assert isinstance(column.type, Labels)
        self.classes = column.type.classes
        if self.options.class_weights == "balanced":
            holds = np.asarray(column.values).sum(axis=0)
            self.weights = torch.tensor((len(column) - holds) / np.maximum(holds, 1), dtype=torch.float32)

    def encode(self, split: Split) -> Tensor:
        return torch.from_numpy(np.asarray(split[self.column].values, dtype=np.float32))

    def loss(self, outputs: Tensor, targets: Tensor, *, training: bool) -> Tensor:
        if training and self.options.label_smoothing:
            targets = targets * (1 - self.options.label_smoothing) + self.options.label_smoothing / 2
        weights = self.weights if training else None
        return functional.binary_cross_entropy_with_logits(outputs, targets, pos_weight=weights)

    def counts(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        predicted, present = outputs > 0, targets > 0.5
        return {
            "right": (predicted == present).sum(),
            "hits": (predicted & present).sum(dim=0),  # (C,)
            "named": predicted.sum(dim=0) + present.sum(dim=0),  # (C,)
        }

    def metrics(self, totals: dict[str, np.ndarray], samples: int) -> dict[str, float]:
        f1 = 2 * totals["hits"] / np.maximum(totals["named"], 1)
        return {
            "macro_f1": float(f1.mean()),
            "label_accuracy": float(totals["right"] / (samples * len(self.classes))),
        }

    def estimates(self, outputs: Tensor) -> np.ndarray:
        return torch.sigmoid(outputs.double()).numpy()

    def outputs_of(self, estimates: np.ndarray) -> Tensor:
        return torch.logit(torch.from_numpy(estimates).double(), eps=LEAST_PROBABILITY)

    def assess(self, outputs: Tensor, targets: Tensor) -> LabelsAssessment:
        probabilities = self.estimates(outputs)
        assessment = LabelsAssessment(classes=self.classes, probabilities=probabilities, targets=targets.numpy() > 0.5)
        loss = float(functional.binary_cross_entropy_with_logits(outputs.double(), targets.double()))
        assessment.metrics.update({**metrics.multi_label(assessment), "loss": loss})
        return assessment

    def decode(self, outputs: Tensor) -> list[tuple]:
        kind = Labels(classes=self.classes)
        answers = []
        for row in torch.sigmoid(outputs.double()):
            shares = {name: float(share) for name, share in zip(self.classes, row, strict=True)}
            answers.append(((row > 0.5).numpy(), kind, None, shares))
        return answers


@dataclass(frozen=True, kw_only=True)
class NumberOptions:
    """How numbers are learnt.

    There is no "msle": with a linear output its clip gives negative predictions no gradient, and rows stay stuck there. A column
    of log(y + 1), learnt with "mse", is the same loss without that.
    """

    # mse, mae and huber (quadratic below one deviation) are of the standardised target; mape, the mean of |error| / |y| in per
    # cent, is of y in its own units and needs targets that are not 0
    loss: Literal["mse", "mae", "huber", "mape"] = "mse"
    standardize_target: bool = (
        True  # the network learns (y - mean) / deviation; answers and metrics are in y's own units
    )


class NumberTarget(Target):
    """K numbers. Outputs (B, K) in the units that are learnt; targets float32 (B, K) likewise; metrics in the target's own."""

    directions: ClassVar[dict[str, str]] = {"mae": "min", "rmse": "min"}
    tensor_names = ("scale", "shift")

    def __init__(self, options: NumberOptions) -> None:
        self.options, self.notes = options, []

    def fit(self, dataset: Dataset) -> None:
        self.column = target_column(dataset)
        values = self._values(dataset["train"])
        self.mean, self.deviation = [0.0] * values.shape[1], [1.0] * values.shape[1]
        constant = np.flatnonzero(values.min(axis=0) == values.max(axis=0))
        if len(constant):
            name, value = self.source_columns[constant[0]], values[0, constant[0]]
            raise UserError(f"target '{name}' is constant ({value:g}): there is nothing to learn")
        if self.options.standardize_target:
            self.mean = [float(value) for value in values.mean(axis=0)]
            self.deviation = [float(value) for value in values.std(axis=0)]

    @property
    def num_outputs(self) -> int:  # type: ignore[override]
        return len(self.mean)

    def to_device(self, device: torch.device) -> None:
        self.scale = torch.tensor(self.deviation, dtype=torch.float64, device=device)
        self.shift = torch.tensor(self.mean, dtype=torch.float64, device=device)

    def _values(self, split: Split) -> np.ndarray:
        values = np.stack([self._numbers(split[name], name) for name in self.source_columns], axis=1)
        bad = np.argwhere(~np.isfinite(values))
        if len(bad):
            row, place = map(int, bad[0])
            raise UserError(f"target '{self.source_columns[place]}' is missing or infinite in {split.origins[row]}")
        zero = np.argwhere(values == 0)
        if self.options.loss == "mape" and len(zero):
            row, place = map(int, zero[0])
            name = self.source_columns[place]
            raise UserError(f"target '{name}' is 0 in {split.origins[row]}: mape divides by it; use mse, mae or huber")
        return values

    @staticmethod
    def _numbers(column: Column, name: str) -> np.ndarray:
        if isinstance(column.type, Number):
            return np.asarray(column.values, dtype=np.float64)
        try:  # classes that were read from whole numbers are numbers again here
            assert isinstance(column.type, Label)
            numbers = np.array([float(text) for text in column.type.classes])
        except (AssertionError, ValueError):
            raise UserError(f"target '{name}' holds {contents(column)}: regression needs a column of numbers") from None
        indices = np.asarray(column.values)
        return np.where(indices < 0, np.nan, numbers[indices])

    def encode(self, split: Split) -> Tensor:
        scaled = (self._values(split) - np.array(self.mean)) / np.array(self.deviation)
        return torch.from_numpy(scaled.astype(np.float32))

    def loss(self, outputs: Tensor, targets: Tensor, *, training: bool) -> Tensor:
        if self.options.loss == "mae":
            return functional.l1_loss(outputs, targets)
        if self.options.loss == "mape":
            return self._percentage(outputs, targets)
        if self.options.loss == "huber":
            return functional.huber_loss(outputs, targets)
        return functional.mse_loss(outputs, targets)

    def _percentage(self, outputs: Tensor, targets: Tensor) -> Tensor:
        scale, shift = self.scale.to(outputs), self.shift.to(outputs)
        return mean_absolute_percentage_error(outputs * scale + shift, targets * scale + shift)

    def counts(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        errors = (outputs - targets).double() * self.scale
        return {"absolute": errors.abs().sum(), "squared": errors.square().sum()}

    def metrics(self, totals: dict[str, np.ndarray], samples: int) -> dict[str, float]:
        number = samples * len(self.mean)
        return {"mae": float(totals["absolute"] / number), "rmse": float((totals["squared"] / number) ** 0.5)}

    def estimates(self, outputs: Tensor) -> np.ndarray:
        return outputs.double().numpy() * np.array(self.deviation) + np.array(self.mean)

    def outputs_of(self, estimates: np.ndarray) -> Tensor:
        return torch.from_numpy((estimates - np.array(self.mean)) / np.array(self.deviation))

    def assess(self, outputs: Tensor, targets: Tensor) -> NumberAssessment:
        assessment = NumberAssessment(
            names=self.source_columns,
            predictions=self.estimates(outputs),
            targets=self.estimates(targets),
        )
        loss = float(self.loss(outputs, targets, training=False))
        assessment.metrics.update({**metrics.regression(assessment), "loss": loss})
        return assessment

    def decode(self, outputs: Tensor) -> list[tuple]:
        rows = self.estimates(outputs)
        if len(self.mean) == 1:
            return [(float(row[0]), Number()) for row in rows]
        names = self.source_columns
        return [(float(row[0]), Number(), None, dict(zip(names, map(float, row), strict=True))) for row in rows]

    def state(self) -> dict[str, Any]:
        return {"column": self.column, "mean": self.mean, "deviation": self.deviation}

    def restore(self, state: dict[str, Any]) -> None:
        self.column, self.mean, self.deviation = state["column"], state["mean"], state["deviation"]

"""Several targets of different kinds, learnt by one network: a number, a class and labels of the same rows.

The network's outputs are those of the targets side by side, and its loss is the weighted sum of theirs. Numbers are standardised,
so that losses are of about the same size and weights of 1 are a fair begin.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from gradus.data.columns import Label, Labels, Number
from gradus.data.dataset import Dataset, Split
from gradus.errors import UserError
from gradus.tasks.answer import Answer, SeveralAnswers
from gradus.tasks.assessment import SeveralAssessment
from gradus.tasks.encode import contents
from gradus.tasks.targets import (
    ClassOptions,
    ClassTarget,
    LabelsTarget,
    NumberOptions,
    NumberTarget,
    Target,
    target_column,
)

KINDS: dict[str, type[ClassTarget | LabelsTarget | NumberTarget]] = {
    "class": ClassTarget,
    "labels": LabelsTarget,
    "number": NumberTarget,
}


def _of(name: str, values: dict[str, Any]) -> dict[str, Any]:
    """Those of one part."""
    return {key.removeprefix(f"{name}."): value for key, value in values.items() if key.startswith(f"{name}.")}


@dataclass(frozen=True, kw_only=True)
class SeveralOptions:
    """How much each target's loss weighs, in the order of the target columns; empty: all 1."""

    loss_weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if any(not weight >= 0 for weight in self.loss_weights) or (self.loss_weights and not any(self.loss_weights)):
            raise UserError(
                f"loss_weights: expected numbers of 0 or more, not all 0, received {list(self.loss_weights)}"
            )


class SeveralTarget(Target):
    """Outputs and targets float32 (B, sum of the parts' outputs), the parts in the order of the columns. In targets a class is
    one-hot (of mixed inputs its probability), so that both are cut at the same places."""

    directions: ClassVar[dict[str, str]] = {"loss": "min"}

    def __init__(self, options: SeveralOptions, classes: ClassOptions, numbers: NumberOptions) -> None:
        self.options, self.class_options, self.number_options, self.notes = options, classes, numbers, []
        self.parts: dict[str, Target] = {}

    def _make(self, kind: str) -> Target:
        if kind == "number":
            return NumberTarget(self.number_options)
        return (ClassTarget if kind == "class" else LabelsTarget)(self.class_options)

    def fit(self, dataset: Dataset) -> None:
        self.column = target_column(dataset)
        train = dataset["train"]
        if len(self.source_columns) < 2:
            raise UserError(
                f"several outputs need several target columns, such as --target age,income; received '{self.column}'"
            )
        kinds = {Label: "class", Labels: "labels", Number: "number"}
        for name in self.source_columns:
            column = train[name]
            if type(column.type) not in kinds:
                raise UserError(f"target '{name}' holds {contents(column)}; expected a class, labels or a number")
            part = self._make(kinds[type(column.type)])
            part.fit(replace(dataset, target=name))
            self.parts[name] = part
        self.weights  # noqa: B018 - as many as there are parts is said before anything long begins
        self.notes = [note for part in self.parts.values() for note in part.notes]
        shares = zip(self.parts, self.weights, strict=True)
        self.notes.append("loss: " + " + ".join(f"{weight:g} * {name}" for name, weight in shares))

    @property
    def weights(self) -> tuple[float, ...]:
        given = self.options.loss_weights or (1.0,) * len(self.parts)
        if len(given) != len(self.parts):
            raise UserError(f"loss_weights: {len(given)} for {len(self.parts)} targets ({', '.join(self.parts)})")
        return given

    @property
    def num_outputs(self) -> int:  # type: ignore[override]
        return sum(part.num_outputs for part in self.parts.values())

    def cut(self, rows: Any) -> dict[str, Any]:
        """(B, sum) -> the columns of each part."""
        found, begin = {}, 0
        for name, part in self.parts.items():
            found[name] = rows[:, begin : begin + part.num_outputs]
            begin += part.num_outputs
        return found

    def part_targets(self, targets: Tensor) -> dict[str, Tensor]:
        """As each part encodes them by itself: of a class its index."""
        found = self.cut(targets)
        return {
            name: rows.argmax(dim=1) if isinstance(self.parts[name], ClassTarget) else rows
            for name, rows in found.items()
        }

    def to_device(self, device: torch.device) -> None:
        for part in self.parts.values():
            part.to_device(device)

    def tensors(self) -> dict[str, Tensor]:
        return {f"{name}.{key}": value for name, part in self.parts.items() for key, value in part.tensors().items()}

    def with_tensors(self, tensors: dict[str, Tensor]) -> Self:
        other = copy.copy(self)
        other.parts = {name: part.with_tensors(_of(name, tensors)) for name, part in self.parts.items()}
        return other

    def encode(self, split: Split) -> Tensor:
        blocks = []
        for part in self.parts.values():
            rows = part.encode(split)
            if isinstance(part, ClassTarget):
                rows = torch.nn.functional.one_hot(rows, part.num_outputs)
            blocks.append(rows.to(torch.float32))
        return torch.cat(blocks, dim=1)

    def loss(self, outputs: Tensor, targets: Tensor, *, training: bool) -> Tensor:
        given, wanted = self.cut(outputs), self.cut(targets)
        losses = [part.loss(given[name], wanted[name], training=training) for name, part in self.parts.items()]
        return torch.stack([weight * loss for weight, loss in zip(self.weights, losses, strict=True)]).sum()

    def counts(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        given, wanted = self.cut(outputs), self.cut(targets)
        return {
            f"{name}.{what}": count
            for name, part in self.parts.items()
            for what, count in part.counts(given[name], wanted[name]).items()
        }

    def metrics(self, totals: dict[str, np.ndarray], samples: int) -> dict[str, float]:
        found = {}
        for name, part in self.parts.items():
            found.update({f"{name}.{what}": value for what, value in part.metrics(_of(name, totals), samples).items()})
        return found

    def assess(self, outputs: Tensor, targets: Tensor) -> SeveralAssessment:
        given, wanted = self.cut(outputs), self.part_targets(targets)
        parts: dict[str, Any] = {name: part.assess(given[name], wanted[name]) for name, part in self.parts.items()}
        metrics = self.joined({name: one.metrics for name, one in parts.items()})
        return SeveralAssessment(parts=parts, targets=targets.numpy(), metrics=metrics)

    def joined(self, parts: dict[str, dict[str, float]]) -> dict[str, float]:
        """The metrics of the parts by name, and the weighted sum of their losses."""
        loss = sum(weight * parts[name]["loss"] for name, weight in zip(self.parts, self.weights, strict=True))
        return {"loss": loss} | {f"{name}.{what}": value for name in self.parts for what, value in parts[name].items()}

    def estimates(self, outputs: Tensor) -> np.ndarray:
        given = self.cut(outputs)
        return np.concatenate([part.estimates(given[name]) for name, part in self.parts.items()], axis=1)

    def outputs_of(self, estimates: np.ndarray) -> Tensor:
        given = self.cut(estimates)
        return torch.cat([part.outputs_of(given[name]) for name, part in self.parts.items()], dim=1)

    def decode(self, outputs: Tensor) -> list[tuple]:
        return [(one.value, one.type) for one in self.answers(outputs)]

    def answers(self, outputs: Tensor) -> list[Answer]:
        given = self.cut(outputs)
        columns = [part.answers(given[name]) for name, part in self.parts.items()]
        return [SeveralAnswers.of(dict(zip(self.parts, row, strict=True))) for row in zip(*columns, strict=True)]

    def state(self) -> dict[str, Any]:
        kinds = {kind: name for name, kind in KINDS.items()}
        parts = [{"kind": kinds[type(part)], **part.state()} for part in self.parts.values()]  # type: ignore[index]
        return {"column": self.column, "parts": parts}

    def restore(self, state: dict[str, Any]) -> None:
        self.column = state["column"]
        for told in state["parts"]:
            part = self._make(told["kind"])
            part.restore(told)
            self.parts[part.column] = part

"""Forecasting: numbers that lie ahead, from a window of what was measured before them.

Rows are hours, days, ... in their order. A row of learning is a window that ends at a moment ("now"): its inputs are the
`lookback` rows up to and with now, every `step`-th of them; its targets are the rows `delay`, `delay` + 1, ... after now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gradus.data.columns import ColumnType, Number, Series, Time
from gradus.data.dataset import Dataset, Split
from gradus.data.device_rows import Windows
from gradus.errors import UserError
from gradus.tasks.assessment import ForecastAssessment
from gradus.tasks.encode import contents
from gradus.tasks.inputs import TableInputs
from gradus.tasks.targets import target_column
from gradus.tasks.task import Answer, Task


@dataclass(frozen=True, kw_only=True)
class ForecastOptions:
    """What is looked back at, and what is foretold; all in rows."""

    lookback: int = 120
    step: int = 1  # of the rows of the window every so many-th is read, the last one always
    delay: int = 1  # rows from now to the first that is foretold
    horizon: int = 1  # rows that are foretold
    loss: Literal["mae", "mse", "huber"] = "mae"  # of the standardised target

    def __post_init__(self) -> None:
        for name in ("lookback", "step", "delay", "horizon"):
            if getattr(self, name) < 1:
                raise UserError(f"{name}: expected 1 row or more, received {getattr(self, name)}")


class ForecastTask(Task):
    """Columns of numbers and classes in order of time -> float32 (B, lookback / step, F); targets float32 (B, horizon * K) of
    K columns, standardised. What is foretold is an input too: its past is known."""

    name = "forecasting"
    directions: ClassVar[dict[str, str]] = {"mae": "min", "rmse": "min"}  # type: ignore[misc]
    column: str

    def __init__(self, options: ForecastOptions) -> None:
        self.options, self.inputs, self.notes = options, TableInputs(), []

    @property
    def input_types(self) -> dict[str, ColumnType]:
        return self.inputs.types

    @property
    def target_column(self) -> str:
        return self.column

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name.strip() for name in self.column.split(","))

    def fit(self, dataset: Dataset) -> None:
        if not dataset.ordered:
            raise UserError(
                f"{dataset.name}: its rows have no order in time; name the column that tells it with --time"
            )
        self.column = target_column(dataset)
        train = dataset["train"]
        for name in self.names:
            if not isinstance(train[name].type, Number):
                raise UserError(f"target '{name}' holds {contents(train[name])}: a forecast needs numbers")
        times = tuple(name for name, column in train.columns.items() if isinstance(column.type, Time))
        self.inputs.fit(train, exclude=times)
        values = self._values(train)
        self.mean, self.deviation = values.mean(axis=0).tolist(), np.maximum(values.std(axis=0), 1e-12).tolist()
        self.notes = [*self.inputs.notes, f"windows of {self.options.lookback} rows, {self.places()} steps each"]

    def _values(self, split: Split) -> np.ndarray:
        """(T, K) in the target's own units."""
        values = np.stack([np.asarray(split[name].values, dtype=np.float64) for name in self.names], axis=1)
        if not np.isfinite(values).all():
            row, place = map(int, np.argwhere(~np.isfinite(values))[0])
            raise UserError(f"target '{self.names[place]}' is missing in {split.origins[row]}")
        return values

    def places(self) -> int:
        """Steps of a window."""
        return -(-self.options.lookback // self.options.step)

    def encode(self, split: Split, *, with_target: bool = True) -> dict[str, Any]:
        options, rows = self.options, len(split)
        ahead = options.delay + options.horizon - 1 if with_target else 0
        count = rows - options.lookback - ahead + 1
        if count < 1:
            needed = options.lookback + ahead
            raise UserError(f"a split of {rows:,} rows is too short: lookback, delay and horizon need {needed:,}")
        values = self.inputs.encode(split)
        starts = torch.arange(count)
        places = torch.arange(options.lookback - 1, -1, -options.step).flip(0)
        found: dict[str, Any] = {"inputs": Windows(values, starts, places)}
        if with_target:
            scaled = (self._values(split) - np.array(self.mean)) / np.array(self.deviation)
            first = options.lookback - 1 + options.delay
            found["targets"] = Windows(
                torch.from_numpy(scaled.astype(np.float32)), starts + first, torch.arange(options.horizon)
            )
        return found

    def shown(self, split: Split) -> Split:
        """The rows at which windows end: what was known last."""
        return split.take(self.encode(split)["inputs"].starts.numpy() + self.options.lookback - 1)

    def prepare(self, batch: dict[str, Tensor], *, training: bool) -> tuple[Tensor, Tensor | None]:
        targets = batch.get("targets")
        return batch["inputs"], None if targets is None else targets.flatten(1)

    def to_device(self, device: torch.device) -> None:
        self.scale = torch.tensor(self.deviation, dtype=torch.float64, device=device)

    def loss(self, outputs: Tensor, targets: Tensor, *, training: bool) -> Tensor:
        if self.options.loss == "mae":
            return functional.l1_loss(outputs, targets)
        if self.options.loss == "mse":
            return functional.mse_loss(outputs, targets)
        return functional.huber_loss(outputs, targets)

    def counts(self, outputs: Tensor, targets: Tensor, *, training: bool) -> dict[str, Tensor]:
        errors = (outputs - targets).double().unflatten(1, (-1, len(self.names))) * self.scale
        return {"absolute": errors.abs().sum(), "squared": errors.square().sum()}

    def metrics(self, totals: dict[str, np.ndarray], samples: int) -> dict[str, float]:
        number = samples * self.options.horizon * len(self.names)
        return {"mae": float(totals["absolute"] / number), "rmse": float((totals["squared"] / number) ** 0.5)}

    def _in_units(self, standardised: Tensor) -> np.ndarray:
        """(N, horizon * K) -> (N, horizon, K)."""
        steps = standardised.double().numpy().reshape(len(standardised), self.options.horizon, len(self.names))
        return steps * np.array(self.deviation) + np.array(self.mean)

    def assess(self, outputs: Tensor, targets: Any) -> ForecastAssessment:
        given = torch.as_tensor(targets[:])
        found, truth = self._in_units(outputs), self._in_units(given.flatten(1))
        errors = found - truth
        metrics = {"mae": float(np.abs(errors).mean()), "rmse": float(np.sqrt((errors**2).mean()))}
        metrics["loss"] = float(self.loss(outputs, given.flatten(1), training=False))
        return ForecastAssessment(names=self.names, predictions=found, targets=truth, metrics=metrics)

    def decode(self, outputs: Tensor) -> list[Answer]:
        kind = Series(names=self.names)
        return [Answer(row, kind) for row in self._in_units(outputs)]

    def baselines(self, train: dict[str, Any], test: dict[str, Any]) -> dict[str, dict[str, float]]:
        """The last value that is known, for every step ahead."""
        rows = test["targets"]
        now = Windows(rows.values, rows.starts - self.options.delay, torch.zeros(1, dtype=torch.int64))[:]
        return {"last value": self.assess(now.expand(-1, self.options.horizon, -1).flatten(1), rows).metrics}

    def model_options(self) -> dict[str, Any]:
        return {
            "in_features": self.inputs.width,
            "length": self.places(),
            "num_classes": self.options.horizon * len(self.names),
        }

    def state(self) -> dict[str, Any]:
        return {"column": self.column, "inputs": self.inputs.state(), "mean": self.mean, "deviation": self.deviation}

    def restore(self, state: dict[str, Any]) -> None:
        self.column, self.mean, self.deviation = state["column"], state["mean"], state["deviation"]
        self.inputs.restore(state["inputs"])

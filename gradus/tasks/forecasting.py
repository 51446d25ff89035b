"""Forecasting: numbers that lie ahead, from a window of what was measured before them.

Rows are hours, days, ... in their order. A row of learning is a window that ends at a moment ("now"): its inputs are the
`lookback` rows up to and with now, every `step`-th of them; its targets are the rows `delay`, `delay` + 1, ... after now. So a
`delay` of 24 hourly rows is 24 hours ahead of the last row that is read. (*Deep Learning with Python* §6.3 reads up to one step
before the moment it counts its delay from: its "24 hours" are 25, `lookback` 1440, `step` 6 and `delay` 150 here.)

Windows are never copied out of the series but for the batch that asks for them. None crosses a gap, the end of a series or the
end of its split, so that no training target lies in the validation or test rows; one whose target is missing is left out.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gradus import settings
from gradus.data.clock import Clock, filled, follows, rows_in_time, series_of, times_of
from gradus.data.columns import ColumnType, Label, Number, Series, Time
from gradus.data.dataset import Dataset, Split
from gradus.data.device_rows import Windows
from gradus.errors import UserError
from gradus.tasks import forecast_baselines, forecast_metrics
from gradus.tasks.assessment import ForecastAssessment
from gradus.tasks.encode import contents
from gradus.tasks.forecast_windows import ForecastOptions, Targets, last_known
from gradus.tasks.series_inputs import SeriesInputs
from gradus.tasks.targets import target_column
from gradus.tasks.task import Answer, Task


class ForecastTask(Task):
    """Columns of numbers and classes in order of time -> float32 (B, lookback / step, F); targets float32 (B, horizon * K) of
    K columns, standardised. What is foretold is an input too: its past is known. With Q quantiles the outputs are
    (B, horizon * K * Q)."""

    name = "forecasting"
    column: str

    def __init__(self, options: ForecastOptions) -> None:
        self.options, self.notes = options, []
        self.inputs = SeriesInputs(options.calendar, options.circular)
        self.clock: Clock | None = None

    @property
    def directions(self) -> dict[str, str]:  # type: ignore[override]
        points = {"mae": "min", "rmse": "min"}
        return {"pinball": "min", **points} if self.options.quantiles else points

    @property
    def input_types(self) -> dict[str, ColumnType]:
        order: dict[str, ColumnType] = {self.clock.time: Time()} if self.clock else {}
        if self.clock and self.clock.series:
            order[self.clock.series] = Label(classes=self.series)
        return {**order, **{name: kind for name, kind in self.inputs.types.items() if name not in order}}

    @property
    def target_column(self) -> str:
        return self.column

    @property
    def middle(self) -> int:
        """The place of the quantile that stands for the forecast where one number is asked for."""
        return forecast_metrics.middle(self.options.quantiles)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name.strip() for name in self.column.split(","))

    # ------------------------------------------------------------ from rows to windows

    def fit(self, dataset: Dataset) -> None:
        if not dataset.ordered:
            raise UserError(
                f"{dataset.name}: its rows have no order in time; name the column that tells it with --time"
            )
        self.column, self.clock = target_column(dataset), dataset.clock
        train = dataset["train"]
        self.series: tuple[str, ...] = ()
        if self.clock and self.clock.series:
            kind = train[self.clock.series].type
            assert isinstance(kind, Label)
            self.series = kind.classes
        for name in self.names:
            if not isinstance(train[name].type, Number):
                raise UserError(f"target '{name}' holds {contents(train[name])}: a forecast needs numbers")
        values = self._values(train)
        self._check_values(values)
        self.inputs.fit(train, self.clock)
        self.mean = np.nanmean(values, axis=0).tolist()
        self.deviation = np.maximum(np.nanstd(values, axis=0), 1e-12).tolist()
        self.spread = self._spread(train) if self.options.relative else [1.0] * len(self.names)
        self.season = self.options.season or (self.clock.season() if self.clock else 0)
        self.naive_error = forecast_metrics.seasonal_error(values, self.season or 1, self._runs(train))
        self.notes = [*self.inputs.notes, *self._described(dataset)]

    def _spread(self, train: Split) -> list[float]:
        """How far what is foretold is from what was known last: the root of the mean square over the training windows."""
        options, values = self.options, self._standardised(train)
        now = self._windows(train, with_target=True)[0] + options.lookback - 1
        known, far = last_known(values)[now], torch.zeros(values.shape[1], dtype=torch.float64)
        for ahead in range(options.delay, options.ahead + 1):
            far += (values[now + ahead] - known).double().square().mean(dim=0) / options.horizon
        return [float(value) for value in far.sqrt().clamp(min=1e-6)]

    def _check_values(self, values: np.ndarray) -> None:
        for place, name in enumerate(self.names):
            known = values[np.isfinite(values[:, place]), place]
            if not len(known) or known.min() == known.max():
                what = f"constant ({known[0]:g})" if len(known) else "empty"
                raise UserError(f"target '{name}' is {what}: there is nothing to learn")
        if self.options.arima and len(self.series) > 1:
            raise UserError("arima: a baseline for one series; leave it out where data.series names several")

    def _described(self, dataset: Dataset) -> list[str]:
        options = self.options
        step = self.clock.each_step() if self.clock else "a step"
        each = f"windows of {options.lookback} rows, {self.places()} steps each; foretold: "
        last = f" to {options.ahead}" if options.horizon > 1 else ""
        rows = "row" if options.ahead == 1 else "rows"
        notes = [f"{each}{options.delay}{last} {rows} after the last, one row {step}"]
        for name, split in dataset.splits.items():
            starts, crossing, missing = self._windows(split, with_target=True)
            if crossing or missing:
                why = [f"{crossing:,} cross a gap or the end of a series"] * bool(crossing)
                why += [f"the target of {missing:,} is missing"] * bool(missing)
                notes.append(f"{name}: {len(starts):,} windows; left out: {', '.join(why)}")
        return notes

    def _values(self, split: Split) -> np.ndarray:
        """(T, K) in the target's own units; nan where missing."""
        return np.stack([np.asarray(split[name].values, dtype=np.float64) for name in self.names], axis=1)

    def _runs(self, split: Split) -> np.ndarray:
        """(T,) which run of rows that follow each other each row is of."""
        ends = ~follows(split, self.clock) if self.clock else np.zeros(len(split) - 1, dtype=bool)
        return np.concatenate([[0], np.cumsum(ends)])

    def places(self) -> int:
        """Steps of a window."""
        return -(-self.options.lookback // self.options.step)

    def _windows(self, split: Split, *, with_target: bool) -> tuple[np.ndarray, int, int]:
        """(the row that each window begins at, how many were left out for gaps, and for missing targets)."""
        options = self.options
        span = options.lookback + (options.ahead if with_target else 0)
        count = len(split) - span + 1
        if count < 1:
            raise UserError(
                f"a split of {len(split):,} rows is too short: lookback, delay and horizon need {span:,}; "
                "set task.options.lookback to fewer, or take a longer split"
            )
        starts = np.arange(count)
        if self.clock is not None:
            run = self._runs(split)
            starts = starts[run[starts] == run[starts + span - 1]]
        crossing = count - len(starts)
        if with_target:
            absent = np.concatenate([[0], np.cumsum(~np.isfinite(self._values(split)).all(axis=1))])
            first = starts + options.lookback - 1 + options.delay
            starts = starts[absent[first + options.horizon] == absent[first]]
        missing = count - crossing - len(starts)
        if not len(starts):
            why = f"{crossing:,} cross a gap or the end of a series, {missing:,} lack their target"
            raise UserError(
                f"a split of {len(split):,} rows has no whole window of {span:,} rows, lookback to last target ({why}); take "
                "fewer rows, a longer split, or set data.gaps=interpolate or ignore"
            )
        return starts, crossing, missing

    def encode(self, split: Split, *, with_target: bool = True) -> dict[str, Any]:
        options = self.options
        starts = torch.from_numpy(self._windows(split, with_target=with_target)[0])
        places = torch.arange(options.lookback - 1, -1, -options.step).flip(0)
        found: dict[str, Any] = {"inputs": Windows(self.inputs.encode(split), starts, places)}
        if with_target:
            values = self._standardised(split)
            moments = torch.from_numpy(times_of(split, self.clock).astype(np.int64)) if self.clock else None
            found["targets"] = Targets(
                values,
                starts + options.lookback - 1 + options.delay,
                torch.arange(options.horizon),
                known=last_known(values),
                moments=moments,
                delay=options.delay,
                spread=torch.tensor(self.spread) if options.relative else None,
            )
        return found

    def _standardised(self, split: Split) -> Tensor:
        """(T, K) float32."""
        scaled = (self._values(split) - np.array(self.mean)) / np.array(self.deviation)
        return torch.from_numpy(scaled.astype(np.float32))

    def shown(self, split: Split) -> Split:
        """The rows at which windows end: what was known last."""
        return split.take(self._windows(split, with_target=True)[0] + self.options.lookback - 1)

    # ------------------------------------------------------------ learning

    def prepare(self, batch: dict[str, Tensor], *, training: bool) -> tuple[Tensor, Tensor | None]:
        targets = batch.get("targets")
        inputs = batch["inputs"].flip(1) if self.options.reversed else batch["inputs"]
        return inputs, None if targets is None else targets.flatten(1)

    def to_device(self, device: torch.device) -> None:
        sizes = np.array(self.deviation) * np.array(self.spread)
        self.scale = torch.tensor(sizes, dtype=torch.float64, device=device)
        self.levels = torch.tensor(self.options.quantiles, dtype=torch.float32, device=device)

    def tensors(self) -> dict[str, Tensor]:
        return {"scale": self.scale}

    def with_tensors(self, tensors: dict[str, Tensor]) -> Task:
        other = copy.copy(self)
        other.scale = tensors["scale"]
        return other

    def loss(self, outputs: Tensor, targets: Tensor, *, training: bool) -> Tensor:
        if self.options.quantiles:
            levels = self.levels if hasattr(self, "levels") else torch.tensor(self.options.quantiles)
            return forecast_metrics.pinball(outputs.unflatten(1, (-1, len(levels))), targets, levels.to(outputs)).mean()
        if self.options.loss == "mae":
            return functional.l1_loss(outputs, targets)
        if self.options.loss == "mse":
            return functional.mse_loss(outputs, targets)
        return functional.huber_loss(outputs, targets)

    def counts(self, outputs: Tensor, targets: Tensor, *, training: bool) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        if self.options.quantiles:
            bands = (
                outputs.unflatten(1, (-1, len(self.levels))).sort(dim=2).values
            )  # quantiles that cross are put in order
            lost = forecast_metrics.pinball(bands, targets, self.levels.to(bands)).mean(dim=2).double()
            found["pinball"] = (lost.unflatten(1, (-1, len(self.names))) * self.scale).sum()
            found["inside"] = ((targets >= bands[..., 0]) & (targets <= bands[..., -1])).sum()
            outputs = bands[..., self.middle]
        errors = (outputs - targets).double().unflatten(1, (-1, len(self.names))) * self.scale
        return {"absolute": errors.abs().sum(), "squared": errors.square().sum(), **found}

    def metrics(self, totals: dict[str, np.ndarray], samples: int) -> dict[str, float]:
        number = samples * self.options.horizon * len(self.names)
        found = {"mae": float(totals["absolute"] / number), "rmse": float((totals["squared"] / number) ** 0.5)}
        if self.options.quantiles:
            found["pinball"] = float(totals["pinball"] / number)
            found["coverage"] = float(totals["inside"] / number)
        return found

    # ------------------------------------------------------------ judging and answering

    def _in_units(self, standardised: Tensor) -> np.ndarray:
        """(N, horizon, K), or (N, horizon, K, Q) of quantiles -> the same in the target's own units."""
        extra = (None,) * (standardised.dim() - 3)
        deviation, mean = (np.array(values)[(..., *extra)] for values in (self.deviation, self.mean))
        return standardised.double().numpy() * deviation + mean

    def _shaped(self, outputs: Tensor) -> Tensor:
        """(N, horizon * K) -> (N, horizon, K); with quantiles (N, horizon, K, Q), ascending."""
        levels = len(self.options.quantiles)
        shaped = outputs.reshape(len(outputs), self.options.horizon, len(self.names), max(1, levels))
        return shaped.sort(dim=3).values if levels else shaped.squeeze(3)

    def assess(self, outputs: Tensor, targets: Any) -> ForecastAssessment:
        assert isinstance(targets, Targets)
        given, quantiles = targets[:], self.options.quantiles
        truth = self._in_units(targets.absolute(given))
        found = self._in_units(targets.absolute(self._shaped(outputs)))
        bands = found if quantiles else None
        found = found[..., self.middle] if quantiles else found
        metrics = forecast_metrics.measured(found, truth, self.naive_error, bands, quantiles)
        metrics["loss"] = float(self.loss(outputs, given.flatten(1), training=False))
        naive = forecast_baselines.naive(self, targets)
        best = min(float(np.abs(self._in_units(one) - truth).mean()) for one in naive.values())
        metrics["skill"] = 1 - metrics["mae"] / best if best else 0.0
        times = None
        if targets.moments is not None:
            times = targets.moments[targets.starts[:, None] + targets.places].numpy().astype("datetime64[s]")
        return ForecastAssessment(
            names=self.names,
            predictions=found,
            targets=truth,
            metrics=metrics,
            quantiles=quantiles,
            bands=bands,
            times=times,
        )

    def decode(self, outputs: Tensor) -> list[Answer]:
        """Of standardised values; where changes are learnt, `answers` adds what was known last before this."""
        kind = Series(names=self.names, quantiles=self.options.quantiles)
        return [Answer(row, kind) for row in self._in_units(self._shaped(outputs))]

    def _last_windows(self, split: Split) -> tuple[Split, np.ndarray]:
        """(the rows in order, the last row of each series), each with `lookback` rows before it that follow each other."""
        if self.clock is not None:
            split = rows_in_time(split, self.clock)
            split = filled(split, self.clock) if self.clock.gaps == "interpolate" else split
        which = series_of(split, self.clock) if self.clock else np.zeros(len(split), dtype=np.int64)
        lasts = np.flatnonzero(np.append(np.diff(which) != 0, True))
        needed = self.options.lookback
        for last, count in zip(lasts.tolist(), np.diff(lasts, prepend=-1).tolist(), strict=True):
            of = f" of series '{self.series[int(which[last])]}'" if self.series else ""
            if count < needed:
                raise UserError(f"a forecast is made from the last {needed:,} rows{of}, there are {count:,}")
            used = split.take(np.arange(last - needed + 1, last + 1))
            if self.clock is not None and not follows(used, self.clock).all():
                raise UserError(
                    f"a forecast is made from the last {needed:,} rows{of}, and these have a gap in time; "
                    "fill it, or begin a run with data.gaps=interpolate or ignore"
                )
        return split, lasts

    def answer_names(self, split: Split) -> list[str]:
        rows, lasts = self._last_windows(split)
        names = [rows.origins[last] for last in lasts.tolist()]
        if self.series and self.clock:
            which = series_of(rows, self.clock)[lasts]
            names = [f"{self.series[int(one)]}, {name}" for one, name in zip(which, names, strict=True)]
        return names

    def answers(self, split: Split, outputs_of: Callable[[dict[str, Any]], Tensor]) -> list[Answer]:
        """What follows the last row of each series."""
        rows, lasts = self._last_windows(split)
        options = self.options
        starts = torch.from_numpy(lasts - options.lookback + 1)
        places = torch.arange(options.lookback - 1, -1, -options.step).flip(0)
        outputs = self._shaped(outputs_of({"inputs": Windows(self.inputs.encode(rows), starts, places)}))
        if options.relative:
            extra = (None,) * (outputs.dim() - 3)
            now = last_known(self._standardised(rows))[torch.from_numpy(lasts)]
            outputs = outputs * torch.tensor(self.spread)[(..., *extra)] + now[(slice(None), None, slice(None), *extra)]
        found = self.decode(outputs)
        if options.quantiles:
            for answer in found:
                answer.more["quantiles"] = list(options.quantiles)
        if self.clock is not None:
            ahead = options.delay + np.arange(options.horizon)
            for answer, last in zip(found, times_of(rows, self.clock)[lasts], strict=True):
                answer.more["times"] = [Time().to_json(time) for time in self.clock.after(last, ahead)]
        return found

    def history(self, split: Split) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of each series that is asked about: the times (or numbers of rows) and values (lookback, K) of its last window."""
        rows, lasts = self._last_windows(split)
        found = []
        for last in lasts.tolist():
            window = rows.take(np.arange(last - self.options.lookback + 1, last + 1))
            times = times_of(window, self.clock) if self.clock else np.arange(len(window))
            found.append((times, self._values(window)))
        return found

    def baselines(self, train: dict[str, Any], test: dict[str, Any]) -> dict[str, dict[str, float]]:
        return forecast_baselines.baselines(self, train, test)

    def model_options(self) -> dict[str, Any]:
        return {
            "in_features": self.inputs.width,
            "length": self.places(),
            "num_classes": self.options.horizon * len(self.names) * max(1, len(self.options.quantiles)),
        }

    def state(self) -> dict[str, Any]:
        return {
            "column": self.column,
            "inputs": self.inputs.state(),
            "mean": self.mean,
            "deviation": self.deviation,
            "spread": self.spread,
            "season": self.season,
            "naive_error": self.naive_error,
            "series": list(self.series),
            "clock": settings.to_dict(self.clock) if self.clock else None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.column, self.mean, self.deviation = state["column"], state["mean"], state["deviation"]
        self.spread, self.season, self.naive_error = state["spread"], state["season"], state["naive_error"]
        self.series = tuple(state["series"])
        self.clock = settings.from_dict(Clock, state["clock"]) if state["clock"] else None
        self.inputs.restore(state["inputs"], self.clock)

"""What a network is given of each row of a series: numbers, classes, directions and the calendar."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradus.data.clock import Clock, times_of
from gradus.data.columns import ColumnType, Label, Number, Time
from gradus.data.dataset import Split
from gradus.errors import UserError, unknown_name
from gradus.tasks.inputs import TableInputs

CALENDAR = {"hour": 86400.0, "weekday": 7 * 86400.0, "year": 365.2425 * 86400}  # seconds of a day, a week, a mean year
MOST_SERIES = 50  # that are told apart by a one-hot input
_DEGREES = re.compile(r"°|\bdeg\b|\bdegrees?\b|direction|azimuth|wind_?dir|richtung", re.IGNORECASE)


class SeriesInputs:
    """Rows in time -> float32 (N, F): numbers and classes as `TableInputs` has them (standardised by the training rows, one-hot);
    directions in degrees as sine and cosine, since 359 is beside 1; places in the day, week and year likewise.

    A missing direction is 0, 0, which no direction has.
    """

    def __init__(self, calendar: tuple[str, ...], circular: tuple[str, ...] | None) -> None:
        self.table = TableInputs()
        self.calendar, self.asked = calendar, circular
        self.circular: tuple[str, ...] = ()
        self.clock: Clock | None = None
        self.notes: list[str] = []
        for name in calendar:
            if name not in CALENDAR:
                raise unknown_name("calendar feature", name, CALENDAR)

    def fit(self, train: Split, clock: Clock | None) -> None:
        """Raises `UserError` for a circular column that is none, and a calendar without times."""
        self.clock = clock
        if self.calendar and clock is None:
            raise UserError("calendar: the rows have no time; name the column that tells it with --time")
        self.circular = self._directions(train)
        times = tuple(name for name, column in train.columns.items() if isinstance(column.type, Time))
        left = (*times, *self.circular)
        if clock and clock.series:
            kind = train[clock.series].type
            assert isinstance(kind, Label)
            if not 2 <= len(kind.classes) <= MOST_SERIES:
                left = (*left, clock.series)
        self.table.fit(train, exclude=left)
        self.notes = [note for note in self.table.notes if not note.startswith("inputs:")]
        if self.circular:
            self.notes.append(f"directions in degrees, as sine and cosine: {', '.join(self.circular)}")
        columns = len(self.table.types) + len(self.circular)
        self.notes.append(f"inputs: {columns} columns, {self.width} features a row")

    def _directions(self, train: Split) -> tuple[str, ...]:
        numbers = {name: column for name, column in train.columns.items() if isinstance(column.type, Number)}
        for name in self.asked or ():
            if name not in numbers:
                raise unknown_name("circular column", name, numbers)
        if self.asked is not None:
            return self.asked
        found = []
        for name, column in numbers.items():
            values = np.asarray(column.values, dtype=np.float64)
            known = values[np.isfinite(values)]
            if _DEGREES.search(name) and len(known) and known.min() >= 0 and 180 < known.max() <= 360:
                found.append(name)
        return tuple(found)

    @property
    def types(self) -> dict[str, ColumnType]:
        """Of the columns that are read."""
        return {**self.table.types, **{name: Number() for name in self.circular}}

    @property
    def width(self) -> int:
        return self.table.width + 2 * (len(self.circular) + len(self.calendar))

    def encode(self, split: Split) -> Tensor:
        parts = [self.table.encode(split)]
        for name in self.circular:
            angle = np.deg2rad(np.asarray(split[name].values, dtype=np.float64))
            parts.append(_sine_and_cosine(angle))
        if self.calendar:
            assert self.clock is not None
            times = times_of(split, self.clock)
            seconds = times.astype("datetime64[s]").astype(np.int64)
            since = {
                "hour": seconds,
                "weekday": seconds + 3 * 86400,  # 1970 began on a Thursday; weeks begin on Monday
                "year": seconds - times.astype("datetime64[Y]").astype("datetime64[s]").astype(np.int64),
            }
            parts += [_sine_and_cosine(2 * np.pi * since[name] / CALENDAR[name]) for name in self.calendar]
        return torch.cat(parts, dim=1)

    def state(self) -> dict[str, Any]:
        return {"table": self.table.state(), "circular": list(self.circular)}

    def restore(self, state: dict[str, Any], clock: Clock | None) -> None:
        self.table.restore(state["table"])
        self.circular, self.clock = tuple(state["circular"]), clock


def _sine_and_cosine(angles: np.ndarray) -> Tensor:
    """(N,) radians -> float32 (N, 2); 0, 0 where missing."""
    both = np.stack([np.sin(angles), np.cos(angles)], axis=1)
    return torch.from_numpy(np.nan_to_num(both).astype(np.float32))

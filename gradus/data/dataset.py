"""Dataset: named splits of typed columns, and where each row came from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gradus.data.clock import Clock
from gradus.data.columns import Column, ColumnType, take
from gradus.errors import UserError, did_you_mean

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class NumberedRows:
    """Origins of the rows of a table, made when asked for: `row 17 of prices.csv` (`first` is the number of the first)."""

    file: str
    numbers: np.ndarray

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> str:
        return f"row {int(self.numbers[index])} of {self.file}"

    def take(self, indices: np.ndarray) -> NumberedRows:
        return NumberedRows(self.file, self.numbers[np.asarray(indices)])

    @classmethod
    def count(cls, file: str, rows: int, first: int = 1) -> NumberedRows:
        return cls(file, np.arange(first, first + rows))


@dataclass(frozen=True)
class Split:
    """Columns of equal length. `origins[i]` names where row i came from, for messages and reports."""

    columns: dict[str, Column]
    origins: Sequence[str] | NumberedRows

    def __post_init__(self) -> None:
        lengths = {name: len(column) for name, column in self.columns.items()} | {"origins": len(self.origins)}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns of unequal length: {lengths}")

    def __len__(self) -> int:
        return len(self.origins)

    def __getitem__(self, name: str) -> Column:
        if name not in self.columns:
            raise UserError(
                f"there is no column '{name}'{did_you_mean(name, self.columns)}; columns: {', '.join(self.columns)}"
            )
        return self.columns[name]

    def row(self, index: int) -> dict[str, Any]:
        return {name: column[index] for name, column in self.columns.items()}

    def take(self, indices: np.ndarray) -> Split:
        """The rows `indices`, in that order."""
        columns = {name: column.take(indices) for name, column in self.columns.items()}
        return Split(columns, take(self.origins, indices))


@dataclass(frozen=True)
class Mistake:
    """What is wrong with a file, where reading could go on without it. `kind`: what it is counted by, as a plural."""

    kind: str
    where: str
    message: str


@dataclass(frozen=True)
class Dataset:
    """Named splits of typed columns.

    name:    what reports call it
    source:  the catalogue name or path that `load_data` reads it from again
    splits:  any of "train", "validation", "test"; every split has the same columns and types
    target:  the column to learn, where the data say which one that is; several names joined by commas for several columns
    about:   one or two sentences on what the data are, with any warning their users should know
    notes:   what was inferred or decided while reading, to be shown to the user
    ordered: whether the rows follow each other, in time or in a text: they are then split in that order, never shuffled apart
    clock:   where a column tells the time: which, and how the rows follow each other (`clock.in_time`)
    drawn:   splits that were drawn at random from the training rows, so that they are of the same source
    mistakes: what is wrong in the files, where they were read for `gradus data scan`; otherwise reading them is refused
    """

    name: str
    source: str
    splits: dict[str, Split]
    target: str | None = None
    about: str = ""
    notes: list[str] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)
    ordered: bool = False
    clock: Clock | None = None
    drawn: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.splits or not any(len(split) for split in self.splits.values()):
            raise UserError(f"{self.source}: there are no rows in it")
        unknown = [name for name in self.splits if name not in SPLITS]
        if unknown:
            raise ValueError(f"unknown split {unknown}; known: {SPLITS}")

    def __getitem__(self, split: str) -> Split:
        if split not in self.splits:
            raise UserError(f"{self.name} has no split '{split}'; it has {', '.join(self.splits)}")
        return self.splits[split]

    @property
    def types(self) -> dict[str, ColumnType]:
        """Column name -> column type."""
        first = next(iter(self.splits.values()))
        return {name: column.type for name, column in first.columns.items()}

    def with_splits(self, splits: dict[str, Split], *notes: str, drawn: Iterable[str] = ()) -> Dataset:
        """This data set with other splits, and notes on how they were made; drawn: those drawn at random just now."""
        ordered = {name: splits[name] for name in SPLITS if name in splits}
        every = {*self.drawn, *drawn}
        known = tuple(name for name in SPLITS if name in every and name in splits)
        return replace(self, splits=ordered, notes=[*self.notes, *notes], drawn=known)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {len(split):,}" for name, split in self.splits.items())
        columns = ", ".join(f"{name}: {type(kind).__name__}" for name, kind in self.types.items())
        return f"Dataset({self.name}; {sizes}; {columns if len(columns) < 300 else f'{len(self.types)} columns'})"

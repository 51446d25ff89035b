"""`load_data`: a catalogue name or a path in, a Dataset out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from gradus.data.clock import Gaps, in_time, without_sentinel
from gradus.data.dataset import Dataset
from gradus.errors import UserError, unknown_name

MOST_WORKERS = 256


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Which data, and how they are split."""

    source: str = "digits"  # a catalogue name, or the path of a file or folder
    target: str | None = (
        None  # the column to learn; several joined by commas; None: what the data say, or the class folders
    )
    # rows held out of train to choose the best weights by: a share, a number of rows, 0 for none; of rows in time the last
    # ones, or those from a date on, such as 2014-07-01
    validation: float | str = 0.1
    test: float | str = 0.2  # rows held out of train to judge by, likewise, where the data bring no test split
    time: str | None = (
        None  # the column that tells the time of a row: rows are then split in order, never shuffled apart
    )
    series: str | None = None  # with time: the column that tells which of several series a row belongs to
    gaps: Gaps = "leave"  # what a gap in time means: refused, filled, not learnt across, or as if it were none
    missing: float | None = None  # a number that stands for a missing one in every column of numbers, such as -9999
    rows: int = 0  # training rows that are learnt from, the same share of every class; 0: all that are left
    split_seed: int = (
        0  # the rows that are held out; separate from train.seed, so that seeds are compared on equal splits
    )
    folds: int = 0  # K-fold: the training rows are cut into this many parts, and one of them validates; 0: no folds
    fold: int = 0  # which part validates, counted from 0
    repeat: int = 0  # which of the repeated shuffles of iterated K-fold, counted from 0
    origins: int = (
        0  # of rows in time: the test rows are cut into so many periods, and one of them is foretold; 0: none
    )
    origin: int = 0  # which period, counted from 0; what lies before it is learnt from
    # pictures are decoded when needed instead of once into memory; auto: where they would take more than half of what is free
    stream: Literal["auto", "always", "never"] = "auto"
    workers: int = (
        -1
    )  # processes that decode streamed pictures; 0: the training process itself; -1: cores - 1, at most 4

    def __post_init__(self) -> None:
        for name in ("validation", "test"):
            share = getattr(self, name)
            if isinstance(share, str):
                _check_date(name, share)
            elif share < 0 or (share >= 1 and share != int(share)):
                raise UserError(f"data.{name}: expected a share below 1 or a whole number of rows, received {share}")
        if self.folds < 0 or self.folds == 1:
            raise UserError(f"data.folds: expected 2 or more (or 0 for none), received {self.folds}")
        if self.origins < 0 or not 0 <= self.origin < max(self.origins, 1):
            raise UserError(
                f"data.origin: expected 0 to {max(self.origins, 1) - 1} of {self.origins} origins, received {self.origin}"
            )
        if self.rows < 0:
            raise UserError(f"data.rows: expected a whole number of training rows (or 0 for all), received {self.rows}")
        if not 0 <= self.fold < max(self.folds, 1):
            raise UserError(
                f"data.fold: expected 0 to {max(self.folds, 1) - 1} of {self.folds} folds, received {self.fold}"
            )
        if not -1 <= self.workers <= MOST_WORKERS:
            raise UserError(
                f"data.workers: expected 0 to {MOST_WORKERS} (or -1 to have it chosen), received {self.workers}"
            )
        if self.repeat < 0:
            raise UserError(f"data.repeat: expected a whole number from 0, received {self.repeat}")


def _check_date(name: str, text: str) -> None:
    try:
        np.datetime64(text, "s")
    except ValueError:
        raise UserError(
            f"data.{name}: expected a share below 1, a whole number of rows or a date such as 2014-07-01, received '{text}'"
        ) from None


def read_data(data: DataSettings) -> Dataset:
    """The data set that the settings name, not split yet; rows in order of time where they have a time."""
    return ordered_as(load_data(data.source, data.target, data.time, data.series), data)


def ordered_as(dataset: Dataset, data: DataSettings) -> Dataset:
    """`dataset` with what the settings say of missing numbers and of time applied, where it is not yet."""
    if dataset.clock is not None:
        return dataset
    if data.missing is not None:
        splits = {name: without_sentinel(split, data.missing) for name, split in dataset.splits.items()}
        dataset = dataset.with_splits(splits)
    return in_time(dataset, data.time, data.series, data.gaps)


def load_data(
    source: str | Path, target: str | None = None, time: str | None = None, series: str | None = None
) -> Dataset:
    """Reads a data set by its catalogue name ("mnist"), or from the user's own file or folder.

    target: the column to learn, where the data do not say; several numeric or 0/1 columns joined by commas.
    time, series: the columns of a table that are read as times and as names of series; `ordered_as` puts the rows in order.

    Raises `UserError` for an unknown name (with the nearest one), a missing path, or data that cannot be read.
    """
    from gradus.data import catalogue, readers

    name = str(source)
    if name in catalogue.CATALOGUE:
        return catalogue.load(name, target)
    path = Path(name).expanduser()
    if path.exists():
        return readers.read(path, target, time=time, series=series)
    if path.suffix or "/" in name or "\\" in name:
        raise UserError(f"{name}: there is no such file or folder")
    raise unknown_name("data set", name, catalogue.CATALOGUE, " (or give the path of a file or folder)")

"""`load_data`: a catalogue name or a path in, a Dataset out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

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
    validation: float = (
        0.1  # rows held out of train to choose the best weights by: a share, or a number of rows, 0 for none
    )
    test: float = 0.2  # rows held out of train to judge by, where the data bring no test split
    rows: int = 0  # training rows that are learnt from, the same share of every class; 0: all that are left
    split_seed: int = (
        0  # the rows that are held out; separate from train.seed, so that seeds are compared on equal splits
    )
    folds: int = 0  # K-fold: the training rows are cut into this many parts, and one of them validates; 0: no folds
    fold: int = 0  # which part validates, counted from 0
    repeat: int = 0  # which of the repeated shuffles of iterated K-fold, counted from 0
    # pictures are decoded when needed instead of once into memory; auto: where they would take more than half of what is free
    stream: Literal["auto", "always", "never"] = "auto"
    workers: int = (
        -1
    )  # processes that decode streamed pictures; 0: the training process itself; -1: cores - 1, at most 4

    def __post_init__(self) -> None:
        for name in ("validation", "test"):
            share = getattr(self, name)
            if share < 0 or (share >= 1 and share != int(share)):
                raise UserError(f"data.{name}: expected a share below 1 or a whole number of rows, received {share}")
        if self.folds < 0 or self.folds == 1:
            raise UserError(f"data.folds: expected 2 or more (or 0 for none), received {self.folds}")
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


def load_data(source: str | Path, target: str | None = None) -> Dataset:
    """Reads a data set by its catalogue name ("mnist"), or from the user's own file or folder.

    target: the column to learn, where the data do not say; several numeric or 0/1 columns joined by commas.

    Raises `UserError` for an unknown name (with the nearest one), a missing path, or data that cannot be read.
    """
    from gradus.data import catalogue, readers

    name = str(source)
    if name in catalogue.CATALOGUE:
        return catalogue.load(name, target)
    path = Path(name).expanduser()
    if path.exists():
        return readers.read(path, target)
    if path.suffix or "/" in name or "\\" in name:
        raise UserError(f"{name}: there is no such file or folder")
    raise unknown_name("data set", name, catalogue.CATALOGUE, " (or give the path of a file or folder)")

"""One text file: its lines are the rows, in their order, each with its line break. Joined they are the text again."""

from __future__ import annotations

from pathlib import Path

from gradus.data.columns import Column, Text
from gradus.data.dataset import Dataset, NumberedRows, Split
from gradus.data.readers.cells import read_text
from gradus.errors import UserError

TEXT_SUFFIXES = (".txt", ".text", ".md")
COLUMN = "text"


def read_text_file(path: Path) -> Dataset:
    """The data set of one text file, as its "train" split: a column `text`, which is its own target.

    Raises `UserError` where it cannot be read or is empty.
    """
    notes: list[str] = []
    return Dataset(
        name=path.resolve().stem,
        source=str(path),
        splits={"train": lines_of(path, notes)},
        target=COLUMN,
        notes=notes,
        ordered=True,
    )


def lines_of(path: Path, notes: list[str]) -> Split:
    """The lines of a file as a split."""
    lines = read_text(path, notes).splitlines(keepends=True)
    if not lines:
        raise UserError(f"{path}: the file is empty")
    return Split({COLUMN: Column(Text(), lines)}, NumberedRows.count(path.name, len(lines)))

"""One text file, or one for each split: its lines are the rows, in their order, each with its line break. Joined they are the
text again."""

from __future__ import annotations

from pathlib import Path

from gradus.data.columns import Column, Text
from gradus.data.dataset import SPLITS, Dataset, NumberedRows, Split
from gradus.data.readers.cells import read_text
from gradus.data.readers.folder import SPLIT_NAMES
from gradus.errors import UserError

TEXT_SUFFIXES = (".txt", ".text", ".md")
COLUMN = "text"


def read_text_file(path: Path) -> Dataset:
    """The data set of one text file, as its "train" split: a column `text`, which is its own target.

    Raises `UserError` where it cannot be read or is empty.
    """
    return _dataset({"train": path}, path.resolve().stem, path)


def split_texts(folder: Path) -> dict[str, Path]:
    """Split name -> the text file in `folder` that is named after it: train.txt, or ptb.train.txt, valid.txt and so on. Raises
    `UserError` where two claim the same split."""
    texts: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        split = SPLIT_NAMES.get(file.stem.lower().rpartition(".")[2])
        if split is None or file.suffix.lower() not in TEXT_SUFFIXES or not file.is_file():
            continue
        if split in texts:
            raise UserError(
                f"{folder}: '{texts[split].name}' and '{file.name}' are both the {split} split; keep one of them"
            )
        texts[split] = file
    return texts


def read_split_texts(folder: Path) -> Dataset:
    """The data set of a folder that `split_texts` finds the splits of."""
    files = split_texts(folder)
    if "train" not in files:
        raise UserError(
            f"{folder}: expected a text called train.txt, found {', '.join(f.name for f in files.values())}"
        )
    return _dataset({split: files[split] for split in SPLITS if split in files}, folder.resolve().name, folder)


def _dataset(files: dict[str, Path], name: str, source: Path) -> Dataset:
    notes: list[str] = []
    splits = {split: lines_of(file, notes) for split, file in files.items()}
    return Dataset(name=name, source=str(source), splits=splits, target=COLUMN, notes=notes, ordered=True)


def lines_of(path: Path, notes: list[str]) -> Split:
    """The lines of a file as a split."""
    lines = read_text(path, notes).splitlines(keepends=True)
    if not lines:
        raise UserError(f"{path}: the file is empty")
    return Split({COLUMN: Column(Text(), lines)}, NumberedRows.count(path.name, len(lines)))

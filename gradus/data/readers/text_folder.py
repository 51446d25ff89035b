"""A folder of text files: those below `pos/` are of the class pos (Large Movie Review Dataset's layout), or without such folders
each file is a document of a corpus.

Choices: train, validation and test folders above are the splits, as for pictures; the order is that of the sorted names. A folder
`unsup` holds texts without a class and is left out, saying so. Hidden files and files of other kinds are ignored and counted.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gradus.data.columns import Column, ColumnType, Label, Text
from gradus.data.dataset import SPLITS, Dataset, Mistake, Split
from gradus.data.images import SUFFIXES as PICTURES
from gradus.data.readers.cells import read_text
from gradus.data.readers.folder import SPLIT_NAMES
from gradus.data.readers.text_file import COLUMN, TEXT_SUFFIXES
from gradus.errors import UserError

FEW_DOCUMENTS = 20  # of which no tenth could be held out
WITHOUT_CLASS = ("unsup", "unlabeled", "unlabelled")
NOT_DATA = (
    "readme",
    "license",
    "licence",
    "notice",
    "changelog",
    "imdber",
)  # beginnings of files that tell of the others


def holds_texts(folder: Path) -> bool:
    """Whether text files lie in a folder or below it, and no pictures."""
    found = False
    for _, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not _hidden(name)]
        if any(name.lower().endswith(PICTURES) for name in files):
            return False
        found = found or any(map(_is_text, files))
    return found


def read_text_folder(folder: Path, check: bool = True) -> Dataset:
    """Columns `text` and, of class folders, `label`, the target; a corpus is its own target.

    check: False leaves texts that cannot be read, a single class and classes that training never sees for the scan to find

    Raises `UserError` where (with `check`) a file cannot be read, there is one class only, or training lacks one.
    """
    notes: list[str] = []
    splits = _splits(folder, notes)
    files = {split: _files(below, notes) for split, below in splits.items()}
    classes = sorted({name for found in files.values() for name, _ in found if name})
    if classes and any(not name for found in files.values() for name, _ in found):
        loose = sum(not name for found in files.values() for name, _ in found)
        notes.append(f"ignored {loose} text files that lie in no class folder")
        files = {split: [one for one in found if one[0]] for split, found in files.items()}
    if check:
        _check_classes(folder, files, classes)
    mistakes: list[Mistake] = []
    kept = {split: _split(folder, files[split], classes, notes, mistakes) for split in SPLITS if files.get(split)}
    if check and mistakes:
        raise UserError(f"{mistakes[0].where}: {mistakes[0].message}")
    kept = {split: rows for split, rows in kept.items() if len(rows)}
    few = not classes and 0 < len(kept.get("train", ())) < FEW_DOCUMENTS
    if few:
        notes.append("few documents: their lines are the rows, in their order, as of one text")
        kept = {split: _lines(rows) for split, rows in kept.items()}
    return Dataset(
        name=folder.resolve().name,
        source=str(folder),
        splits=kept,
        target="label" if classes else COLUMN,
        notes=_shortened(notes),
        mistakes=mistakes,
        ordered=few,
    )


def _lines(rows: Split) -> Split:
    lines = [
        (line, origin)
        for text, origin in zip(rows[COLUMN], rows.origins, strict=True)
        for line in text.splitlines(True)
    ]
    return Split({COLUMN: Column(Text(), [line for line, _ in lines])}, [origin for _, origin in lines])


def _splits(folder: Path, notes: list[str]) -> dict[str, Path]:
    """Split name -> its folder; the folder itself is "train" where none is called so."""
    found: dict[str, Path] = {}
    for child in sorted(folder.iterdir()):
        split = SPLIT_NAMES.get(child.name.lower()) if child.is_dir() else None
        if split in found:
            raise UserError(
                f"{folder}: '{found[split].name}' and '{child.name}' are both the {split} split; keep one of them"
            )
        if split and holds_texts(child):
            found[split] = child
    if "train" not in found:
        return {"train": folder}
    others = [
        child.name
        for child in sorted(folder.iterdir())
        if child.is_dir() and child not in found.values() and holds_texts(child)
    ]
    if others:
        notes.append(f"ignored folders beside the splits: {', '.join(others[:5])}")
    return found


def _files(folder: Path, notes: list[str]) -> list[tuple[str, Path]]:
    """(class, file) of the texts below a folder; the class is empty for those that lie in it itself."""
    found: list[tuple[str, Path]] = []
    other = 0
    for current, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _hidden(name))
        inside = Path(current).relative_to(folder).parts
        if not inside:
            left_out = [name for name in folders if name.lower() in WITHOUT_CLASS]
            for name in left_out:
                notes.append(f"left out {folder.name}/{name}: texts without a class")
            folders[:] = [name for name in folders if name not in left_out]
        for name in sorted(files):
            if _is_text(name):
                found.append((inside[0] if inside else "", Path(current) / name))
            else:
                other += not _hidden(name)
    if other:
        notes.append(f"ignored {other} files in {folder.name} that are not texts ({', '.join(TEXT_SUFFIXES)})")
    return sorted(found)


def _check_classes(folder: Path, files: dict[str, list[tuple[str, Path]]], classes: Sequence[str]) -> None:
    trained = {name for name, _ in files["train"]}
    unseen = [name for name in classes if name not in trained]
    if unseen:
        raise UserError(f"{folder}: the class '{unseen[0]}' is not in train, so it cannot be learnt")
    if len(classes) == 1:
        raise UserError(
            f"{folder}: there is only one class, '{classes[0]}'; expected folders of at least two classes, or the texts "
            f"of a corpus without such folders ({folder / classes[0]})"
        )


def _split(
    root: Path, files: list[tuple[str, Path]], classes: Sequence[str], notes: list[str], mistakes: list[Mistake]
) -> Split:
    texts, labels, origins = [], [], []
    for name, file in files:
        origin = file.relative_to(root).as_posix()
        try:
            text = read_text(file, notes)
        except UserError as error:
            mistakes.append(Mistake("texts that cannot be read", origin, str(error).removeprefix(f"{file}: ")))
            continue
        if not classes and text and not text.endswith("\n"):
            text += "\n"  # so that the last word of a document and the first of the next stay two
        texts.append(text)
        labels.append(classes.index(name) if classes else 0)
        origins.append(origin)
    columns: dict[str, Column] = {COLUMN: Column(Text(), texts)}
    if classes:
        kind: ColumnType = Label(classes=tuple(classes))
        columns["label"] = Column(kind, np.array(labels, dtype=np.int64))
    return Split(columns, origins)


def _shortened(notes: list[str]) -> list[str]:
    """The notes, those on files that were read as GB18030 counted where they are many."""
    told = [note for note in notes if note.endswith("read as GB18030")]
    if len(told) <= 3:
        return notes
    counted = f"{len(told)} texts are not UTF-8 and were read as GB18030, the first is {told[0].partition(':')[0]}"
    return [note for note in notes if note not in told] + [counted]


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _is_text(name: str) -> bool:
    lower = name.lower()
    return lower.endswith(TEXT_SUFFIXES) and not _hidden(name) and not lower.startswith(NOT_DATA)

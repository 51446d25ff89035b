"""A folder of class folders: the pictures below `cat/` are of the class cat.

Choices: train, validation (val, valid, dev) and test folders above the class folders are the splits; pictures are
found at any depth inside a class folder; hidden files and folders and files that are not pictures are ignored, and
counted in a note. Links to class folders are followed, links deeper down are not (they may run in circles).
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gradus.data.columns import Column, Image, Label
from gradus.data.dataset import SPLITS, Dataset, Split
from gradus.data.images import SUFFIXES, EncodedImages
from gradus.data.readers.cells import TABLE_SUFFIXES
from gradus.data.readers.pictures import Headers
from gradus.errors import UserError

SPLIT_NAMES = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}


@dataclass
class Ignored:
    """What was passed over, for the notes."""

    suffixes: Counter[str] = field(default_factory=Counter)
    hidden: list[str] = field(default_factory=list)
    outside: int = 0  # pictures that lie in no class folder

    def notes(self) -> list[str]:
        notes = []
        if self.suffixes:
            kinds = ", ".join(f"{count} {suffix}" for suffix, count in self.suffixes.most_common())
            notes.append(f"ignored {_files(self.suffixes.total())} that are not pictures ({kinds})")
        if self.hidden:
            names = ", ".join(sorted(set(self.hidden))[:5])
            notes.append(f"ignored {len(self.hidden)} hidden files or folders ({names})")
        if self.outside:
            notes.append(f"ignored {self.outside} pictures that lie in no class folder")
        return notes


def _files(count: int) -> str:
    return f"{count} file" if count == 1 else f"{count} files"


def read_folder(path: Path, check: bool = True) -> Dataset:
    """Reads a folder of class folders into columns `image` and `label`; the target is `label`, the classes are sorted.

    check: False leaves broken pictures, a single class and classes that training never sees for the scan to find

    Raises `UserError` where there is no such folder, it is empty or without pictures, and (with `check`) where it has
    a class that the training split lacks, or a picture whose header cannot be read.
    """
    root = Path(path)
    if not root.is_dir():
        raise UserError(f"{root}: there is no such folder")
    if not any(root.iterdir()):
        raise UserError(f"{root}: the folder is empty; expected one folder of pictures for each class")
    ignored = Ignored()
    found: dict[str, list[tuple[Path, str]]] = {}
    notes: list[str] = []
    for split, folder in _split_folders(root, notes).items():
        found[split] = _labelled_pictures(root, folder, ignored, notes)
    if not any(found.values()):
        raise UserError(_no_pictures(root))
    if check:
        _check_classes(root, found)
    classes = sorted({label for rows in found.values() for _, label in rows})
    headers = Headers()
    for rows in found.values():
        headers.look((file for file, _ in rows), (_origin(root, file) for file, _ in rows))
    if check:
        headers.raise_broken(root)
    splits = {name: _split(root, found[name], classes, headers.channels) for name in SPLITS if found.get(name)}
    notes = [*notes, *ignored.notes(), *headers.notes]
    return Dataset(name=root.resolve().name, source=str(path), splits=splits, target="label", notes=notes)


def _split(root: Path, rows: list[tuple[Path, str]], classes: list[str], channels: int) -> Split:
    origins = [_origin(root, file) for file, _ in rows]
    index = {name: number for number, name in enumerate(classes)}
    labels = np.array([index[label] for _, label in rows], dtype=np.int64)
    images = EncodedImages([file for file, _ in rows], origins, channels)
    columns = {
        "image": Column(Image(channels=channels), images),
        "label": Column(Label(classes=tuple(classes)), labels),
    }
    return Split(columns, origins)


def _origin(root: Path, file: Path) -> str:
    return file.relative_to(root).as_posix()


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _is_picture(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not _is_hidden(name)


def _visible_folders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and not _is_hidden(child.name))


def _has_pictures(folder: Path) -> bool:
    for _, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not _is_hidden(name)]
        if any(map(_is_picture, files)):
            return True
    return False


def _split_folders(root: Path, notes: list[str]) -> dict[str, Path]:
    """Split name -> the folder whose children are class folders; the root is "train" where no splits lie above."""
    children = _visible_folders(root)
    splits: dict[str, Path] = {}
    for child in children:
        split = SPLIT_NAMES.get(child.name.lower())
        if split in splits:
            raise UserError(
                f"{root}: '{splits[split].name}' and '{child.name}' are both the {split} split; keep one of them"
            )
        if split:
            splits[split] = child
    others = [child.name for child in children if child not in splits.values()]
    if not any(_has_pictures(folder) for split in splits.values() for folder in _visible_folders(split)):
        if splits and not others:
            first = next(iter(splits.values()))
            raise UserError(
                f"{first}: there are no class folders in it; expected one folder of pictures for each class"
            )
        return {"train": root}  # a class may well be called "train"
    if "train" not in splits:
        raise UserError(
            f"{root}: there is no 'train' folder beside {', '.join(folder.name for folder in splits.values())}"
        )
    if others:
        notes.append(f"ignored folders beside the splits: {', '.join(others[:5])}")
    return splits


def _labelled_pictures(root: Path, folder: Path, ignored: Ignored, notes: list[str]) -> list[tuple[Path, str]]:
    """(file, class name) of every picture below `folder`, in sorted order."""
    for child in sorted(folder.iterdir()):
        if _is_hidden(child.name):
            ignored.hidden.append(child.name)
        elif child.is_file():
            _count_outside(child, ignored)
    rows = []
    for class_folder in _visible_folders(folder):
        files = _pictures_below(class_folder, ignored)
        if not files:
            notes.append(f"ignored the folder {_origin(root, class_folder)}: there are no pictures in it")
        rows += [(file, class_folder.name) for file in files]
    return rows


def _count_outside(file: Path, ignored: Ignored) -> None:
    if _is_picture(file.name):
        ignored.outside += 1
    else:
        ignored.suffixes[file.suffix.lower() or "without suffix"] += 1


def _pictures_below(folder: Path, ignored: Ignored) -> list[Path]:
    pictures = []
    for current, folders, files in os.walk(folder):
        ignored.hidden += [name for name in (*folders, *files) if _is_hidden(name)]
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        for name in sorted(name for name in files if not _is_hidden(name)):
            if _is_picture(name):
                pictures.append(Path(current) / name)
            else:
                ignored.suffixes[Path(name).suffix.lower() or "without suffix"] += 1
    return pictures


def _check_classes(root: Path, found: dict[str, list[tuple[Path, str]]]) -> None:
    trained = {label for _, label in found["train"]}
    if not trained:
        raise UserError(f"{root}: there are no pictures in its train folder")
    for split, rows in found.items():
        unseen = [label for _, label in rows if label not in trained]
        if unseen:
            raise UserError(f"{root}: the class '{unseen[0]}' is in {split} but not in train, so it cannot be learnt")


def _no_pictures(root: Path) -> str:
    """The message for a folder without class folders that hold pictures, with what was found instead."""
    names = [child.name for child in sorted(root.iterdir()) if child.is_file() and not _is_hidden(child.name)]
    tables = [name for name in names if name.lower().endswith(TABLE_SUFFIXES)]
    flat = sum(map(_is_picture, names))
    if tables:
        return f"{root}: there are no class folders in it; to read the table, give its path: {root / tables[0]}"
    if flat:
        return (
            f"{root}: its {flat} pictures lie in no class folder; expected one folder of pictures for each class "
            "(for the task picture-generation, one folder for all of them)"
        )
    return (
        f"{root}: there are no pictures in it ({', '.join(SUFFIXES)}); expected one folder of pictures for each class"
    )

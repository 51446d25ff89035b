"""What all writers share: the new folder, and the pictures in it."""

from __future__ import annotations

import io
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from gradus.data.columns import Boxes, Image, Mask
from gradus.data.dataset import Dataset, Split
from gradus.data.images import SUFFIXES, EncodedImages, open_picture, size_of
from gradus.errors import UserError
from gradus.files import sync_folder, told_disk_errors

SUFFIX_OF = {"JPEG": ".jpg", "MPO": ".jpg", "PPM": ".ppm", "TIFF": ".tif"}
SPLIT_FOLDERS = {"train": "train", "validation": "val", "test": "test"}  # as the formats call them
MADE = re.compile(r"[\w\-][\w\-. ]*")  # a file name that every system takes


@dataclass(frozen=True)
class Scene:
    """A picture that was written: its file (relative to the new folder), its size, and what belongs to it."""

    file: str
    height: int
    width: int
    value: Any

    @property
    def stem(self) -> str:
        return PurePosixPath(self.file).stem


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder that gets its name when all is in it. Raises `UserError` where something has the name already."""
    if path.exists():
        raise UserError(f"{path} exists already; name a new folder, or remove it")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with told_disk_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.mkdir()
            yield temporary
            os.rename(temporary, path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    sync_folder(path.parent)


def scene_columns(dataset: Dataset) -> tuple[str, str, Boxes | Mask]:
    """(column of pictures, target, its type) of a data set with boxes or masks. Raises `UserError` where it has none."""
    pictures = [name for name, kind in dataset.types.items() if isinstance(kind, Image)]
    kinds = {name: kind for name, kind in dataset.types.items() if isinstance(kind, Boxes | Mask)}
    target = dataset.target if dataset.target in kinds else next(iter(kinds), None)
    if target is None or not pictures:
        raise UserError(
            f"{dataset.name}: there are no pictures with boxes or masks in it; columns: {', '.join(dataset.types)}"
        )
    return pictures[0], target, kinds[target]


def write_pictures(dataset: Dataset, picture: str, target: str, folder: Path, place: str) -> dict[str, list[Scene]]:
    """Writes the pictures of every split. place: where, relative to the folder, with {split} in it."""
    stems = _stems(dataset)
    written = {}
    for split, rows in dataset.splits.items():
        inside = place.format(split=SPLIT_FOLDERS[split])
        (folder / inside).mkdir(parents=True, exist_ok=True)
        written[split] = []
        for index in range(len(rows)):
            content, suffix, (height, width) = _encoded(rows, picture, index)
            file = f"{inside}/{stems[split][index]}{suffix}"
            (folder / file).write_bytes(content)
            written[split].append(Scene(file, height, width, rows[target][index]))
    return written


def _encoded(rows: Split, column: str, index: int) -> tuple[bytes, str, tuple[int, int]]:
    """(file content, suffix, (height, width)) of one picture."""
    values = rows[column].values
    if not isinstance(values, EncodedImages):
        array = np.asarray(values[index])
        file = io.BytesIO()
        PillowImage.fromarray(array[:, :, 0] if array.shape[2] == 1 else array).save(file, "PNG")
        return file.getvalue(), ".png", (array.shape[0], array.shape[1])
    source = values.sources[index]
    if isinstance(source, Path) and not source.is_file():
        raise UserError(f"{rows.origins[index]}: there is no such file")
    content = source.read_bytes() if isinstance(source, Path) else source
    with open_picture(content, rows.origins[index]) as picture:
        name = str(picture.format)
        suffix = SUFFIX_OF.get(name, f".{name.lower()}")
        return content, suffix if suffix in SUFFIXES else ".png", size_of(picture)


def _stems(dataset: Dataset) -> dict[str, list[str]]:
    """File names without suffix: those of the files that the pictures came from where these are good names and each there once,
    else SPLIT_NUMBER."""
    stems = {
        split: [PurePosixPath(rows.origins[index].replace("\\", "/")).stem for index in range(len(rows))]
        for split, rows in dataset.splits.items()
    }
    names = [stem for part in stems.values() for stem in part]
    files = all(rows.origins[0].lower().endswith(SUFFIXES) for rows in dataset.splits.values() if len(rows))
    folded = {name.casefold() for name in names}
    if files and len(folded) == len(names) and all(MADE.fullmatch(name) for name in names):
        return stems
    return {
        split: [f"{SPLIT_FOLDERS[split]}_{index:06d}" for index in range(len(rows))]
        for split, rows in dataset.splits.items()
    }


def boxes_of(scene: Scene) -> list[tuple[float, float, float, float, int, bool]]:
    """(left, top, right, bottom, label, ignored) of each box, as Python's numbers, which are exact."""
    objects = scene.value
    return [
        (*map(float, box), int(label), bool(ignored))
        for box, label, ignored in zip(objects.boxes, objects.labels, objects.ignored, strict=True)
    ]


def decimal(value: float) -> str:
    """The shortest text that is read as the same number: `12` and not `12.0`."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)

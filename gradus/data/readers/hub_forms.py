"""Parquet files of pictures with boxes or masks, in the forms of the Hugging Face Hub.

    a column of structs {bbox, category, ...} of lists, or of lists of such structs: boxes
    a second column of pictures, called mask, label or annotation: masks of class numbers

A bbox of four numbers may be left, top, right, bottom or (as in COCO) left, top, width, height, and the file does not say which.
A box that ends before it begins speaks against the first, one that ends outside of its picture against the second; the form that
fewer boxes speak against is taken, the first where they are equal, and a note says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from gradus.data.columns import Boxes, Column, Image, Mask, Objects
from gradus.data.dataset import SPLITS, Dataset, Mistake, NumberedRows, Split
from gradus.data.images import EncodedImages
from gradus.data.masks import EncodedMasks
from gradus.data.readers.cells import listed, read_arrow, read_arrow_schema
from gradus.data.readers.class_maps import IGNORE, class_map
from gradus.data.readers.convert import class_name
from gradus.data.readers.objects import natural, read_names, refuse_mistakes
from gradus.data.readers.pictures import Headers
from gradus.data.stored import ParquetColumn, StoredPictures, is_picture_type
from gradus.errors import UserError

CATEGORIES = ("category", "categories", "category_id", "label", "labels", "class")
MOST_NUMBERS = 10_000  # of classes that have no names
MASKS = ("mask", "masks", "label", "labels", "annotation", "segmentation", "segmentation_mask", "semantic_segmentation")


def scene_columns(file: Path) -> tuple[str, str] | None:
    """(column of pictures, column of boxes or masks) of a Parquet file in one of the forms; None of any other file."""
    if file.suffix.lower() != ".parquet":
        return None
    schema = read_arrow_schema(file)
    pictures = [field.name for field in schema if is_picture_type(field.type)]
    boxes = [field.name for field in schema if _category_field(field.type)]
    if pictures and boxes:
        return pictures[0], boxes[0]
    masks = [name for name in pictures if name.casefold() in MASKS]
    others = [name for name in pictures if name not in masks]
    return (others[0], masks[0]) if masks and others else None


def _category_field(arrow: Any) -> str | None:
    """The name of the field with the classes, of a type that holds boxes."""
    import pyarrow

    if pyarrow.types.is_list(arrow) or pyarrow.types.is_large_list(arrow):
        arrow = arrow.value_type
    if not pyarrow.types.is_struct(arrow) or arrow.get_field_index("bbox") < 0:
        return None
    return next((name for name in CATEGORIES if arrow.get_field_index(name) >= 0), None)


def read_scene_parquet(files: Mapping[str, Path], path: Path, check: bool = True) -> Dataset:
    """The data set in one such file for each split, all of the same columns. Raises `UserError` naming the file or row of what
    cannot be read."""
    found = scene_columns(files["train"])
    assert found is not None
    picture, target = found
    for file in files.values():
        if scene_columns(file) != found:
            raise UserError(f"{file.name} has not the columns {picture} and {target} of {files['train'].name}")
    notes: list[str] = []
    left = [name for name in read_arrow_schema(files["train"]).names if name not in found]
    if left:
        notes.append(f"columns left out: {listed(left)}")
    origins = {split: NumberedRows.count(files[split].name, _rows(files[split])) for split in SPLITS if split in files}
    pictures = {split: StoredPictures(ParquetColumn([files[split]], picture)) for split in origins}
    headers = Headers()
    for split, rows in origins.items():
        headers.look(pictures[split], (rows[index] for index in range(len(rows))))
    if check:
        headers.raise_broken(path)
    boxes = _category_field(read_arrow_schema(files["train"]).field(target).type) is not None
    folder = path if path.is_dir() else path.parent
    read = _read_boxes if boxes else _read_masks
    columns, mistakes = read({split: files[split] for split in origins}, target, folder, headers, origins, notes)
    if check:
        refuse_mistakes(path, mistakes)
    splits = {}
    for split, rows in origins.items():
        images = EncodedImages(cast(Any, pictures[split]), cast(Any, rows), headers.channels)
        splits[split] = Split({picture: Column(Image(channels=headers.channels), images), target: columns[split]}, rows)
    name = path.resolve().stem if path.is_file() else path.resolve().name
    return Dataset(
        name,
        str(path),
        splits,
        target=target,
        notes=[*notes, *headers.places_notes("boxes" if boxes else "masks")],
        mistakes=mistakes,
    )


def _rows(file: Path) -> int:
    import pyarrow.parquet

    return pyarrow.parquet.read_metadata(file).num_rows


Found = tuple[dict[str, Column], list[Mistake]]


def _read_boxes(
    files: dict[str, Path],
    target: str,
    folder: Path,
    headers: Headers,
    origins: dict[str, NumberedRows],
    notes: list[str],
) -> Found:
    cells = {
        split: [_cell(cell) for cell in read_arrow(file, [target]).column(target).to_pylist()]
        for split, file in files.items()
    }
    given = [one for rows in cells.values() for _, categories in rows for one in categories if one is not None]
    classes = _class_names(files["train"], target, folder, given, notes)
    lookup: dict[Any, int] = {name: index for index, name in enumerate(classes)}
    mistakes: list[Mistake] = []
    everything: list[Objects] = []
    for split, rows in cells.items():
        for index, (boxes, categories) in enumerate(rows):
            where = origins[split][index]
            if len(boxes) != len(categories) or not all(map(_is_box, boxes)):
                message = f"{len(boxes)} boxes and {len(categories)} categories; expected four numbers and a class each"
                mistakes.append(Mistake("boxes that cannot be read", where, message))
                boxes, categories = [], []
            labels = [
                category
                if isinstance(category, int)
                else -1
                if category is None
                else lookup.get(class_name(category), -1)
                for category in categories
            ]
            known = [0 <= label < len(classes) for label in labels]
            for label, category in zip(known, categories, strict=True):
                if not label:
                    message = f"the class {category} has no name; there are {len(classes)}"
                    if category is None:
                        message = "a box has no class"
                    mistakes.append(Mistake("unknown classes", where, message))
            everything.append(Objects.of(boxes, labels).take(np.array(known, dtype=bool)))
    everything = _as_corners(everything, headers, notes)
    columns, start = {}, 0
    for split, rows in cells.items():
        columns[split] = Column(Boxes(classes=tuple(classes)), everything[start : start + len(rows)])
        start += len(rows)
    return columns, mistakes


def _is_box(box: Any) -> bool:
    """Whether it is a list of four numbers, of which some may be missing."""
    return isinstance(box, list) and len(box) == 4 and all(isinstance(side, int | float | None) for side in box)


def _cell(cell: Any) -> tuple[list[Any], list[Any]]:
    """(boxes, categories) of one cell."""
    if isinstance(cell, list):
        cell = [one for one in cell if one]
        name = next((name for name in CATEGORIES if cell and name in cell[0]), "category")
        return [one["bbox"] for one in cell], [one[name] for one in cell]
    cell = cell or {}
    name = next((name for name in CATEGORIES if name in cell), "category")
    return cell.get("bbox") or [], cell.get(name) or []


def _class_names(file: Path, target: str, folder: Path, given: list[Any], notes: list[str]) -> list[str]:
    """The classes in the order of their numbers: of a file of names, or as the Hub's library wrote them into the file; or the
    numbers or names themselves."""
    if named := read_names(folder):
        notes.append(f"classes: {len(named[1])}, in the order of {named[0].name}")
        return named[1]
    if names := _names_written(file, target):
        notes.append(f"classes: {len(names)}, named in {file.name}")
        return names
    if all(isinstance(category, int) for category in given):
        most = max(given, default=0)
        if most >= MOST_NUMBERS:
            raise UserError(f"{file.name}: classes without names are numbers below {MOST_NUMBERS:,}, found {most}")
        notes.append(f"classes: the numbers 0 to {most} (a file labels.txt, one name a line, gives them names)")
        return [str(number) for number in range(most + 1)]
    names = sorted({class_name(category) for category in given}, key=natural)
    notes.append(f"classes: {listed(names)} (sorted; a file labels.txt, one name a line, gives another order)")
    return names


def _names_written(file: Path, target: str) -> list[str]:
    """What the Hub's library wrote into the file's schema of the classes of a column; empty where there is nothing."""
    part: Any = None
    try:
        part = json.loads((read_arrow_schema(file).metadata or {}).get(b"huggingface", b"{}"))
    except (ValueError, RecursionError):
        return []
    for name in ("info", "features", target):
        part = part.get(name) if isinstance(part, dict) else None
    return _named_in(part)


def _named_in(feature: Any) -> list[str]:
    """The names of the first list of classes within a description of the Hub's library."""
    if isinstance(feature, dict):
        if isinstance(feature.get("names"), list):
            return [str(name) for name in feature["names"]]
        feature = list(feature.values())
    if isinstance(feature, list):
        return next((names for part in feature if (names := _named_in(part))), [])
    return []


def _as_corners(rows: list[Objects], headers: Headers, notes: list[str]) -> list[Objects]:
    """Boxes as corners, whichever of the two forms they are in."""
    against = np.zeros(2, dtype=np.int64)
    for objects, size in zip(rows, headers.sizes, strict=True):
        first, last = objects.boxes[:, :2], objects.boxes[:, 2:]
        against[0] += int((last < first).any(axis=1).sum())
        if size is not None:
            against[1] += int((first + last > np.array(size[::-1]) + 1).any(axis=1).sum())
    total = sum(map(len, rows))
    if against[0] <= against[1]:
        notes.append(f"bbox was read as left, top, right, bottom: {against[0]:,} of {total:,} boxes speak against it")
        return rows
    notes.append(
        f"bbox was read as left, top, width, height: {against[0]:,} of {total:,} boxes cannot be left, top, right, bottom"
    )
    return [
        Objects.of(np.concatenate([one.boxes[:, :2], one.boxes[:, :2] + one.boxes[:, 2:]], axis=1), one.labels)
        for one in rows
    ]


def _read_masks(
    files: dict[str, Path],
    target: str,
    folder: Path,
    headers: Headers,
    origins: dict[str, NumberedRows],
    notes: list[str],
) -> Found:
    raw = np.arange(256, dtype=np.uint8)
    stored = {split: StoredPictures(ParquetColumn([file], target)) for split, file in files.items()}
    counts, mistakes, sizes = np.zeros(256, dtype=np.int64), [], iter(headers.sizes)
    for split, sources in stored.items():
        masks = EncodedMasks(cast(Any, sources), cast(Any, origins[split]), raw)
        for index in range(len(sources)):
            size = next(sizes)
            try:
                values = masks[index]
            except UserError as error:
                mistakes.append(Mistake("broken masks", origins[split][index], str(error)))
                continue
            counts += np.bincount(values.ravel(), minlength=256)
            if size is not None and values.shape != size:
                message = f"the mask is {values.shape[1]}x{values.shape[0]}, its picture {size[1]}x{size[0]}"
                mistakes.append(Mistake("masks of another size than their picture", origins[split][index], message))
    named = read_names(folder)
    meaning = class_map(named[1] if named else None, counts, folder, notes)
    unknown = int(counts[meaning.unknown].sum())
    if unknown and named:
        message = f"{unknown:,} pixels have class numbers that {named[0].name} does not name"
        mistakes.append(Mistake("classes without a name", target, message))
    kind = Mask(classes=meaning.classes, ignore=IGNORE)
    columns = {
        split: Column(kind, EncodedMasks(cast(Any, sources), cast(Any, origins[split]), meaning.table))
        for split, sources in stored.items()
    }
    return columns, mistakes

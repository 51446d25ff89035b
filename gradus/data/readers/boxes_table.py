"""Tables of boxes: a row a box, with the picture's file name, the class and the corners.

    filename,class,xmin,ymin,xmax,ymax        or x1,y1,x2,y2 or left,top,right,bottom
    filename,class,x,y,width,height           x and y being the upper left corner

Coordinates are pixels, continuous (pixel i covers i to i + 1); where all are from 0 to 1 they are shares of the picture's sides.
Names of columns are matched whatever their case. File names are relative to the table. A picture whose row has no class and no
corners has no boxes. Pictures stand in the order of their first rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from gradus.data.dataset import Dataset
from gradus.data.images import SUFFIXES, open_picture, size_of
from gradus.data.readers.cells import Cells, is_missing
from gradus.data.readers.convert import class_name, parse_flag, parse_number, shorten
from gradus.data.readers.objects import Annotated, Scenes, class_order, objects_dataset
from gradus.errors import UserError

PICTURES = (
    "filename",
    "file_name",
    "file",
    "image",
    "image_path",
    "path",
    "picture",
    "img",
    "image_id",
    "imageid",
    "文件名",
    "图片",
)
CLASSES = ("class", "label", "category", "name", "class_name", "labelname", "类别", "标签")
IGNORED = ("ignored", "difficult", "iscrowd", "is_crowd")
CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
)
SIDES = (("x", "y", "width", "height"), ("x", "y", "w", "h"), ("left", "top", "width", "height"))


def boxes_columns(cells: Cells) -> tuple[str, str | None, tuple[str, ...], bool] | None:
    """(picture, class or None, four columns of the box, whether they end in width and height) of a table of boxes; None of any
    other table."""
    named = {name.strip().casefold(): name for name in cells.columns}
    picture = next((named[name] for name in PICTURES if name in named and _holds_pictures(cells, named[name])), None)
    if picture is None:
        return None
    label = next((named[name] for name in CLASSES if name in named), None)
    for sides in (*CORNERS, *SIDES):
        if all(name in named for name in sides):
            return picture, label, tuple(named[name] for name in sides), sides in SIDES
    return None


def _holds_pictures(cells: Cells, name: str) -> bool:
    present = [cell for cell in cells.columns[name] if not is_missing(cell)]
    return bool(present) and all(
        isinstance(cell, str) and cell.strip().lower().endswith(SUFFIXES) for cell in present[:100]
    )


def read_boxes_table(tables: Mapping[str, Cells], path: Path, check: bool = True) -> Dataset:
    """The boxes of a table for each split. Raises `UserError` naming the row of what cannot be read."""
    root = path if path.is_dir() else path.parent
    scenes = Scenes(root)
    for table in tables.values():
        scenes.notes += table.notes
    columns = boxes_columns(tables["train"])
    assert columns is not None
    picture, label, sides, _ = columns
    scenes.notes.append(f"boxes from the columns {', '.join(sides)} of pictures in '{picture}'")
    if label is None:
        scenes.notes.append("no column is called class, label or category: all boxes are of one class, 'object'")
    for split, table in tables.items():
        if boxes_columns(table) is None:
            raise UserError(f"{table.file} has not the columns of {tables['train'].file}: {', '.join(sides)}")
        _read_rows(scenes, split, table)
    classes = class_order(root, scenes.named(), scenes, "sorted")
    return objects_dataset(scenes, classes, check, path)


def _read_rows(scenes: Scenes, split: str, table: Cells) -> None:
    columns = boxes_columns(table)
    assert columns is not None
    picture, label, sides, ends_in_size = columns
    folded = {name.strip().casefold(): name for name in table.columns}
    flag = next((folded[name] for name in IGNORED if name in folded), None)
    rows: dict[str, Annotated] = {}
    for index in range(len(table)):
        name = str(table.columns[picture][index]).strip()
        if is_missing(table.columns[picture][index]):
            scenes.wrong("rows without a picture", table.row(index), f"column '{picture}' is empty")
            continue
        row = rows.setdefault(name, Annotated(_picture(table.folder, name), name))
        given = [table.columns[side][index] for side in sides]
        named = None if label is None else table.columns[label][index]
        if all(map(is_missing, given)) and (label is None or is_missing(named)):
            continue  # a picture without boxes
        numbers = [parse_number(cell) for cell in given]
        if any(number is None or math.isnan(number) for number in numbers):
            wrong = next(place for place, number in enumerate(numbers) if number is None or math.isnan(number))
            message = f"column '{sides[wrong]}' holds numbers, found '{shorten(given[wrong])}'"
            scenes.wrong("boxes that cannot be read", table.row(index), message)
        elif label is not None and is_missing(named):
            scenes.wrong("unknown classes", table.row(index), f"column '{label}' is empty")
        else:
            left, top, right, bottom = (float(number) for number in numbers if number is not None)
            box = (left, top, left + right, top + bottom) if ends_in_size else (left, top, right, bottom)
            ignored = flag is not None and bool(parse_flag(table.columns[flag][index]))
            row.add(box, "object" if label is None else class_name(named), ignored)
    scenes.by_split[split] = list(rows.values())
    if _are_shares(scenes.by_split[split]):
        _to_pixels(scenes, split)


def _picture(folder: Path | None, name: str) -> Path:
    """The file of a name: beside the table, or in images/ there."""
    folder = folder or Path()
    places = [folder / name, folder / name.replace("\\", "/"), folder / "images" / name]
    try:
        return next((place for place in places if place.is_file()), places[0])
    except (OSError, ValueError):  # longer than a file name may be
        return places[0]


def _are_shares(rows: Sequence[Annotated]) -> bool:
    """Whether all coordinates are shares of the pictures' sides: from 0 to 1, and not all whole."""
    sides = [side for row in rows for box in row.boxes for side in box]
    return bool(sides) and min(sides) >= 0 and max(sides) <= 1 and any(side % 1 for side in sides)


def _to_pixels(scenes: Scenes, split: str) -> None:
    for row in scenes.by_split[split]:
        try:
            with open_picture(row.picture, row.origin) as picture:
                height, width = size_of(picture)
        except UserError:
            continue  # told with all pictures that cannot be read
        row.boxes = [(a * width, b * height, c * width, d * height) for a, b, c, d in row.boxes]
    scenes.notes.append(f"{split}: coordinates from 0 to 1 were read as shares of the pictures' sides")

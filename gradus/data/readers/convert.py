"""Cells into the values of a known column type, or one sentence that names the row whose cell does not fit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from gradus.data.columns import Column, ColumnType, Image, Label, Labels, Number
from gradus.data.dataset import NumberedRows
from gradus.data.images import SUFFIXES, EncodedImages
from gradus.data.readers.cells import Cells, is_missing
from gradus.data.stored import StoredPictures
from gradus.errors import UserError


def to_column(cells: Cells, name: str, column_type: ColumnType) -> Column:
    """The column `name` as `column_type`. A class that the type does not know becomes -1 (missing).

    Raises `UserError` naming row and column for a text where a number belongs, or a picture that is not there.
    """
    values = cells.columns[name]
    if isinstance(column_type, Number):
        return Column(column_type, _numbers(cells, name))
    if isinstance(column_type, Label):
        lookup = label_lookup(column_type.classes)
        indices = (find_label(cell, lookup) for cell in values)
        return Column(column_type, np.fromiter(indices, dtype=np.int64, count=len(values)))
    if isinstance(column_type, Labels):
        return Column(column_type, _many_labels(values, column_type.classes))
    if isinstance(column_type, Image):
        sources, names = picture_sources(cells, name)
        return Column(column_type, EncodedImages(sources, names, column_type.channels))
    return Column(column_type, [text_of(cell) for cell in values])


def parse_number(cell: Any) -> float | None:
    """The number that a cell holds, nan where it is missing, None where it is something else."""
    if is_missing(cell):
        return math.nan
    if not isinstance(cell, str | int | float) or (isinstance(cell, str) and "_" in cell):  # float("1_0") is 10
        return None
    try:
        return float(cell)
    except ValueError:
        return None
    except OverflowError:
        return math.inf


def plain_numbers(cells: Sequence[Any]) -> np.ndarray | None:
    """The cells as float64 where every one is a finite number written as text or stored as float or int, else None.

    A table of a million cells takes a tenth of the time that looking at each takes.
    """
    kind = type(cells[0]) if len(cells) else None
    if kind not in (str, float, int) or any(type(cell) is not kind for cell in cells):
        return None
    try:
        numbers = np.array(cells, dtype=np.float64)
    except (ValueError, OverflowError):
        return None
    if not np.isfinite(numbers).all() or (kind is str and "_" in "".join(cells)):
        return None
    return numbers


def _numbers(cells: Cells, name: str) -> np.ndarray:
    plain = plain_numbers(cells.columns[name])
    if plain is not None:
        return plain
    numbers = np.empty(len(cells))
    for index, cell in enumerate(cells.columns[name]):
        number = parse_number(cell)
        if number is None:
            raise UserError(f"{cells.row(index)}: column '{name}' holds numbers, found '{shorten(cell)}'")
        if math.isinf(number):
            raise UserError(
                f"{cells.row(index)}: the number in column '{name}' is infinite or too large ('{shorten(cell)}')"
            )
        numbers[index] = number
    return numbers


def shorten(cell: Any) -> str:
    """The beginning of a cell, for a message."""
    text = str(cell)
    return text if len(text) <= 40 else text[:37] + "..."


def class_name(cell: Any) -> str:
    """What a cell is called as a class: `true`, `5` (also for 5.0), or its text without spaces around it."""
    if isinstance(cell, bool | np.bool_):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


def label_lookup(classes: Sequence[str]) -> dict[str, int]:
    """Class name -> index."""
    return {name: index for index, name in enumerate(classes)}


def find_label(cell: Any, lookup: dict[str, int]) -> int:
    """The index of a cell's class, -1 where it is missing or unknown. `5.0` finds the class 5, `TRUE` finds true."""
    if is_missing(cell):
        return -1
    name = class_name(cell)
    if name in lookup:
        return lookup[name]
    if name.casefold() in ("true", "false"):
        return lookup.get(name.casefold(), -1)
    number = parse_number(name)
    return lookup.get(class_name(number), -1) if number is not None and math.isfinite(number) else -1


def split_labels(cell: Any) -> list[str]:
    """The class names of one cell of several: a list, or a text with `|` between them."""
    if is_missing(cell):
        return []
    parts = cell if isinstance(cell, list | tuple) else class_name(cell).split("|")
    return [name for name in map(class_name, parts) if name]


def _many_labels(values: list[Any], classes: Sequence[str]) -> np.ndarray:
    lookup = label_lookup(classes)
    holds = np.zeros((len(values), len(classes)), dtype=bool)
    for row, cell in enumerate(values):
        for name in split_labels(cell):
            if name in lookup:
                holds[row, lookup[name]] = True
    return holds


def flags_column(cells: Cells, names: Sequence[str]) -> Column:
    """Several 0/1 columns as one `Labels` column whose classes are their names; a missing flag counts as 0."""
    holds = np.zeros((len(cells), len(names)), dtype=bool)
    for place, name in enumerate(names):
        for row, cell in enumerate(cells.columns[name]):
            flag = parse_flag(cell)
            if flag is None and not is_missing(cell):
                raise UserError(f"{cells.row(row)}: column '{name}' holds 0 or 1, found '{shorten(cell)}'")
            holds[row, place] = bool(flag)
    return Column(Labels(classes=tuple(names)), holds)


def parse_flag(cell: Any) -> bool | None:
    """Whether a cell says yes (1, true) or no (0, false); None for anything else."""
    name = class_name(cell).casefold()
    if name in ("true", "false"):
        return name == "true"
    number = parse_number(name)
    return bool(number) if number in (0.0, 1.0) else None


def text_of(cell: Any) -> str:
    """A cell as text, exactly as written; a missing value of another kind is empty."""
    if isinstance(cell, str):
        return cell
    return "" if is_missing(cell) else class_name(cell)


def is_picture_cell(cell: Any) -> bool:
    """Whether a cell looks like a picture: a file name with its suffix, or the bytes of a file (and its path)."""
    if isinstance(cell, str):
        return cell.strip().lower().endswith(SUFFIXES)
    return isinstance(cell, bytes) or (isinstance(cell, dict) and set(cell) == {"bytes", "path"})


def picture_sources(cells: Cells, name: str, check: bool = True) -> tuple[Sequence[bytes | Path], Sequence[str]]:
    """(sources, names) of the pictures in a column: the files that it names, relative to the table, or the bytes in it.

    check: False leaves a picture that is missing to whoever opens it

    Raises `UserError` naming row and file where a picture is missing.
    """
    stored = cells.columns[name]
    if isinstance(stored, StoredPictures):
        return stored, cast(Sequence[str], NumberedRows(cells.file, cells.numbers))
    sources: list[bytes | Path] = []
    names: list[str] = []
    for index, cell in enumerate(stored):
        source = _picture_source(cells, name, index, cell, check)
        sources.append(source)
        names.append(f"{cells.row(index)} ({cell.strip()})" if isinstance(cell, str) else cells.row(index))
    if all(isinstance(source, bytes) for source in sources):
        return sources, cast(Sequence[str], NumberedRows(cells.file, cells.numbers))
    return sources, names


def _picture_source(cells: Cells, name: str, index: int, cell: Any, check: bool) -> bytes | Path:
    if isinstance(cell, dict):
        cell = cell.get("bytes") or cell.get("path")
    if isinstance(cell, bytes):
        return cell
    if is_missing(cell) or not isinstance(cell, str):
        if not check:
            return b""
        raise UserError(f"{cells.row(index)}: column '{name}' holds pictures, found {shorten(cell) or 'nothing'}")
    if cells.folder is None:
        raise UserError(
            f"{cells.row(index)}: the picture '{shorten(cell)}' cannot be named here; give the path of the file instead"
        )
    try:
        file = cells.folder / cell.strip()
        if not file.is_file() and "\\" in cell:  # written on Windows
            file = cells.folder / cell.strip().replace("\\", "/")
        found = file.is_file()
    except (OSError, ValueError):  # longer than a file name may be, or with a zero byte in it
        found = False
    if check and not found:
        raise UserError(f"{cells.row(index)}: there is no picture '{shorten(cell)}' in {cells.folder}")
    return file

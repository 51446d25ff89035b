"""Tables whose types are known already: those of the catalogue, and the rows that a trained model is asked about.

Tables that are typed by looking at them are read by `inferred.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from gradus.data.columns import Boxes, Column, ColumnType, Image, Label, Labels, Mask, Number, Objects, Text, Time
from gradus.data.dataset import NumberedRows, Split
from gradus.data.images import EncodedImages
from gradus.data.masks import EncodedMasks, identity_table
from gradus.data.readers.cells import Cells, cells_from_dicts, listed, read_arrow, read_arrow_schema, read_cells
from gradus.data.readers.convert import find_label, flags_column, label_lookup, split_labels, to_column
from gradus.data.readers.times import time_values
from gradus.data.stored import ParquetColumn, StoredPictures, is_picture_type
from gradus.errors import UserError, did_you_mean


def read_rows(path: Path, types: dict[str, ColumnType], target: str | None = None) -> Split:
    """The rows of a table (CSV, TSV, JSON lines, JSON or Parquet) as the columns `types` of a trained model.

    A target column (`target`: its name, or several joined by commas) may be absent; columns that are not in `types`
    are ignored; a class that the type does not know is -1 (missing). Several 0/1 columns are found again for a
    `Labels` target of their names.

    Raises `UserError` for an input column that is not there (with the nearest name), and naming row and column for a
    text where a number belongs or a picture that is not there.
    """
    return _typed(read_cells(Path(path)), types, target)


def rows_from_dicts(
    rows: list[dict[str, Any]],
    types: dict[str, ColumnType],
    name: str,
    target: str | None = None,
    folder: Path | None = None,
) -> Split:
    """Dictionaries (JSON objects), one a row, as the columns `types`; as `read_rows` otherwise.

    name:   what messages call them, as in "row 2 of NAME"
    folder: where pictures that are named by a file name lie; without it they may not be named, since rows
            that came over a network should not open files here
    """
    if not rows:
        raise UserError(f"{name}: there are no rows in it")
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise UserError(
                f'row {number} of {name}: expected an object such as {{"name": value}}, found {str(row)[:40]}'
            )
    return _typed(cells_from_dicts(rows, name, folder), types, target)


def _typed(cells: Cells, types: Mapping[str, ColumnType], target: str | None) -> Split:
    targets = {target, *target.split(",")} if target else set()
    columns: dict[str, Column] = {}
    for name, kind in types.items():
        if isinstance(kind, Time):
            columns[name] = Column(kind, time_values(cells, name))
        elif name in cells.columns:
            columns[name] = to_column(cells, name, kind)
        elif name not in targets:
            known = list(cells.columns)
            raise UserError(
                f"{cells.file}: there is no column '{name}'{did_you_mean(name, known)}; columns: {listed(known)}"
            )
        elif isinstance(kind, Labels) and all(part in cells.columns for part in kind.classes):
            columns[name] = flags_column(cells, kind.classes)
    return Split(columns, NumberedRows(cells.file, cells.numbers))


def read_parquet_columns(path: Path, types: dict[str, ColumnType]) -> Split:
    """The columns `types` of a Parquet file as exactly those types; the other columns are not read.

    Image: from a struct {bytes, path}, read when asked for. Label: from indices into its classes (-1 and null:
    missing), or from their names. Labels: from lists of names, or names with `|` between them. Number: from any
    numbers (null: nan). Text: from strings (null: empty). Boxes: from a struct of lists {bbox, category}, as on the Hub,
    bbox being left, top, right, bottom. Mask: from a struct {bytes, path} of a picture of class indices.

    Raises `UserError` naming file and column for a column that is missing or of another kind, and the row for an
    unknown class.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    present = read_arrow_schema(path).names
    for name in types:
        if name not in present:
            raise UserError(
                f"{path}: there is no column '{name}'{did_you_mean(name, present)}; columns: {listed(present)}"
            )
    pictures = {name: kind for name, kind in types.items() if isinstance(kind, Image | Mask)}
    table = read_arrow(path, [name for name in types if name not in pictures])
    origins = NumberedRows.count(path.name, table.num_rows)
    columns = {}
    for name, kind in types.items():
        if isinstance(kind, Image | Mask):
            sources, names = _pictures(path, name, origins), cast(Any, origins)
            if isinstance(kind, Image):
                columns[name] = Column(kind, EncodedImages(sources, names, kind.channels))
            else:
                masks = EncodedMasks(sources, names, identity_table(len(kind.classes), kind.ignore))
                columns[name] = Column(kind, masks)
        else:
            columns[name] = _arrow_column(table.column(name), kind, name, origins)
    return Split(columns, origins)


def _arrow_column(array: Any, kind: ColumnType, name: str, origins: NumberedRows) -> Column:
    """An Arrow chunked array as a column; the whole array at once where it can be."""
    import pyarrow

    arrow = array.type
    if isinstance(kind, Boxes):
        return Column(kind, _objects(array, kind, name, origins))
    if isinstance(kind, Label):
        return Column(kind, _label_indices(array, kind, name, origins))
    if isinstance(kind, Number):
        if not (pyarrow.types.is_integer(arrow) or pyarrow.types.is_floating(arrow) or pyarrow.types.is_boolean(arrow)):
            raise UserError(f"{origins.file}: column '{name}' holds {arrow}; expected numbers")
        return Column(kind, array.cast(pyarrow.float64()).to_numpy())
    if isinstance(kind, Time):
        return Column(kind, array.cast(pyarrow.timestamp("s"), safe=False).to_numpy().astype("datetime64[s]"))
    cells = array.to_pylist()
    if isinstance(kind, Text):
        return Column(kind, ["" if cell is None else str(cell) for cell in cells])
    assert isinstance(kind, Labels)
    holds = [[label in names for label in kind.classes] for names in map(split_labels, cells)]
    return Column(kind, np.array(holds, dtype=bool).reshape(len(cells), len(kind.classes)))


def _pictures(path: Path, name: str, origins: NumberedRows) -> StoredPictures:
    arrow = read_arrow_schema(path).field(name).type
    if not is_picture_type(arrow):
        raise UserError(f"{origins.file}: column '{name}' holds {arrow}; expected pictures as {{bytes, path}}")
    stored = StoredPictures(ParquetColumn([path], name))
    missing = stored.column.first_missing()
    if missing is not None:
        raise UserError(f"{origins[missing]}: there is no picture in column '{name}'")
    return stored


def _objects(array: Any, kind: Boxes, name: str, origins: NumberedRows) -> list[Objects]:
    """The boxes of each row from a struct of two lists."""
    found = []
    for row, cell in enumerate(array.to_pylist()):
        boxes, labels = (cell or {}).get("bbox") or [], (cell or {}).get("category") or []
        wrong = [label for label in labels if not 0 <= label < len(kind.classes)]
        if len(boxes) != len(labels) or wrong or any(len(box) != 4 for box in boxes):
            what = f"the class number {wrong[0]}" if wrong else f"{len(boxes)} boxes and {len(labels)} categories"
            raise UserError(f"{origins[row]}: column '{name}' holds {what}")
        found.append(Objects.of(boxes, labels))
    return found


def _label_indices(array: Any, kind: Label, name: str, origins: NumberedRows) -> np.ndarray:
    import pyarrow
    import pyarrow.compute

    if pyarrow.types.is_integer(array.type):
        indices = pyarrow.compute.fill_null(array.cast(pyarrow.int64()), -1).to_numpy()
        wrong = np.flatnonzero((indices < -1) | (indices >= len(kind.classes)))
        if len(wrong):
            row = int(wrong[0])
            raise UserError(
                f"{origins[row]}: column '{name}' holds the class number {indices[row]}; "
                f"expected 0 to {len(kind.classes) - 1}"
            )
        return np.array(indices, dtype=np.int64)
    lookup = label_lookup(kind.classes)
    cells = array.to_pylist()
    indices = np.array([find_label(cell, lookup) for cell in cells], dtype=np.int64)
    for row in np.flatnonzero(indices < 0).tolist():
        if cells[row] is not None:
            hint = did_you_mean(str(cells[row]), kind.classes)
            raise UserError(f"{origins[row]}: column '{name}' holds the unknown class '{cells[row]}'{hint}")
    return indices

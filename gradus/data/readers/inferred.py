"""A table, or a folder of tables named after the splits, as a data set whose columns are typed by looking at them.

Choices: a column is looked at over all splits together, so every split has the same types and classes. What was
decided is told in `Dataset.notes`: the target, rows dropped for want of a target value, columns left out (empty, row
identifiers, lists) or without information (constant). Classes that only the test rows have are allowed, and noted.

Beside a column of pictures, pairs of columns NAME_x and NAME_y are one target of named points, in pixels, where nothing else is
to be learnt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from gradus.data.columns import Column, ColumnType, Image, Label, Labels, Number, Points, Text, Time
from gradus.data.dataset import SPLITS, Dataset, NumberedRows, Split
from gradus.data.images import EncodedImages
from gradus.data.readers.boxes_table import boxes_columns, read_boxes_table
from gradus.data.readers.cells import TABLE_SUFFIXES, Cells, is_missing, listed, read_cells
from gradus.data.readers.convert import class_name, flags_column, is_picture_cell, picture_sources, to_column
from gradus.data.readers.folder import SPLIT_NAMES
from gradus.data.readers.hub_forms import read_scene_parquet, scene_columns
from gradus.data.readers.infer import (
    MOST_WHOLE_NUMBERS,
    all_cells,
    all_numbers,
    infer_target,
    infer_type,
    is_constant,
    is_identifier,
    nearly_numbers,
)
from gradus.data.readers.pictures import Headers
from gradus.data.readers.tagged import list_columns, read_lists
from gradus.data.readers.target import all_are_numbers, are_flags, rows_with_target, target_names
from gradus.data.readers.times import time_values
from gradus.data.stored import StoredPictures
from gradus.errors import UserError, did_you_mean

POINTS = "points"  # what the columns NAME_x and NAME_y become together


def read_table(
    path: Path, target: str | None = None, check: bool = True, time: str | None = None, series: str | None = None
) -> Dataset:
    """The data set in one table, as its "train" split.

    target: the column to learn, or several joined by commas; None: the one that is called so
    check:  False leaves rows without target value, broken pictures and a missing target for the scan to find
    time:   the column that tells the time of a row, which becomes `Time`; several such as "year,month,day" are one time. Rows
            without a target value are kept then: their place in time counts
    series: the column that names the series of a row, which becomes classes whatever it holds

    Raises `UserError` naming the file, row or column that cannot be read.
    """
    return _dataset({"train": path}, path, target, check, time, series)


def split_tables(folder: Path) -> dict[str, Path]:
    """Split name -> the table in `folder` that is named after it. Raises `UserError` where two claim the same split."""
    tables: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        split = SPLIT_NAMES.get(file.stem.lower())
        if split is None or file.suffix.lower() not in TABLE_SUFFIXES or not file.is_file():
            continue
        if split in tables:
            raise UserError(
                f"{folder}: '{tables[split].name}' and '{file.name}' are both the {split} split; keep one of them"
            )
        tables[split] = file
    return tables


def read_table_folder(
    folder: Path, target: str | None = None, check: bool = True, time: str | None = None, series: str | None = None
) -> Dataset:
    """The data set in a folder of tables named train, validation (val, valid, dev) and test; else as `read_table`."""
    files = split_tables(folder)
    if "train" not in files:
        found = ", ".join(file.name for file in files.values()) or "no table"
        raise UserError(f"{folder}: expected a table called train, found {found}")
    return _dataset({split: files[split] for split in SPLITS if split in files}, folder, target, check, time, series)


def _dataset(
    files: Mapping[str, Path],
    path: Path,
    target: str | None,
    check: bool,
    time: str | None = None,
    series: str | None = None,
) -> Dataset:
    """The data set in a table for each split: of boxes or masks where the first one holds such, else of typed columns."""
    if time is not None:
        return _typed_columns(
            {split: read_cells(file) for split, file in files.items()}, path, target, check, time, series
        )
    scene = scene_columns(files["train"]) if files["train"].is_file() else None
    if scene and target in (None, scene[1]):
        return read_scene_parquet(files, path, check)
    tables = {split: read_cells(file) for split, file in files.items()}
    if boxes_columns(tables["train"]) and target in (None, "objects"):
        return read_boxes_table(tables, path, check)
    return _typed_columns(tables, path, target, check)


def _typed_columns(
    tables: Mapping[str, Cells],
    path: Path,
    target: str | None,
    check: bool,
    time: str | None = None,
    series: str | None = None,
) -> Dataset:
    if names_of_lists := list_columns(tables["train"], target):
        return read_lists(tables, names_of_lists, path)
    notes = [note for table in tables.values() for note in table.notes]
    order: Columns = {split: {} for split in tables}
    if time is not None:
        tables, order = _order_columns(tables, time, series, target)
    elif (points := landmark_names(tables["train"], target)) and (check or target is not None):
        return _with_points(tables, points, path, check, notes)
    try:
        names = target_names([tables["train"]], target, str(path), notes)
    except UserError:
        if check or target is not None:
            raise
        names = []
    kept = _same_columns(tables, names, notes)
    if check and time is None:
        kept = _drop_without_target(kept, names, path, notes)
    columns, joined = _target_columns(kept, names, path, check, notes, in_time=time is not None)
    inputs = _input_columns(kept, [name for name in kept["train"].columns if name not in names], check, notes)
    headers = _set_channels(inputs, kept, notes)
    if check:
        headers.raise_broken(path)
    splits = {}
    for split, table in kept.items():
        made = inputs[split] | columns[split]
        ordered = {name: made[name] for name in [*table.columns, joined] if name in made}
        ordered = {**order[split], **ordered}
        splits[split] = Split(ordered, NumberedRows(table.file, table.numbers))
    resolved = path.resolve()
    name = resolved.parent.name if resolved.stem.lower() in SPLIT_NAMES else resolved.stem
    return Dataset(
        name=name, source=str(path), splits=splits, target=joined or None, notes=notes, ordered=time is not None
    )


def _order_columns(
    tables: Mapping[str, Cells], time: str, series: str | None, target: str | None
) -> tuple[dict[str, Cells], Columns]:
    """The tables without the columns of time and series, and these columns, typed."""
    taken = {*([time] if time in tables["train"].columns else (part.strip() for part in time.split(",")))}
    taken |= {series} if series else set()
    for name in (target or "").split(","):
        if name.strip() in taken:
            raise UserError(f"the target '{name.strip()}' tells the time or the series of a row: name another column")
    order: Columns = {}
    for split, table in tables.items():
        order[split] = {time: Column(Time(), time_values(table, time))}
        if series and series not in table.columns:
            known = list(table.columns)
            raise UserError(
                f"{table.file}: there is no column '{series}'{did_you_mean(series, known)}; columns: {listed(known)}"
            )
    if series:
        names = {
            class_name(cell) for table in tables.values() for cell in table.columns[series] if not is_missing(cell)
        }
        for split, table in tables.items():
            order[split][series] = to_column(table, series, Label(classes=tuple(sorted(names))))
    left = {}
    for split, table in tables.items():
        columns = {name: cells for name, cells in table.columns.items() if name not in taken}
        left[split] = Cells(table.file, table.folder, columns, table.numbers, table.notes)
    return left, order


def landmark_names(table: Cells, target: str | None) -> list[str]:
    """The NAMEs of columns NAME_x and NAME_y, in a table with pictures, where they are what is to be learnt: the target is called
    "points", or none is named and no column is called as targets are."""
    columns = table.columns
    names = [name.removesuffix("_x") for name in columns if name.endswith("_x") and f"{name[:-2]}_y" in columns]
    names = [name for name in names if name]
    if not names or POINTS in columns or target not in (None, POINTS):
        return []
    if not any(isinstance(cells, StoredPictures) or all(map(is_picture_cell, cells)) for cells in columns.values()):
        return []
    if target is None:
        try:
            target_names([table], None, "", [])
        except UserError:
            return names
        return []
    return names


def _with_points(
    tables: Mapping[str, Cells], names: Sequence[str], path: Path, check: bool, notes: list[str]
) -> Dataset:
    """The data set whose target is one column of points; the others are read as inputs."""
    ends = [f"{name}_{axis}" for name in names for axis in "xy"]
    kept = _same_columns(tables, ends, notes)
    notes.append(f"target: the points {listed(names)}, from columns NAME_x and NAME_y in pixels")
    inputs = _input_columns(kept, [name for name in kept["train"].columns if name not in ends], check, notes)
    headers = _set_channels(inputs, kept, notes)
    if check:
        headers.raise_broken(path)
    splits = {}
    for split, table in kept.items():
        numbers = np.stack([to_column(table, end, Number()).values for end in ends], axis=1)
        points = Column(Points(names=tuple(names)), numbers.reshape(len(table), len(names), 2))
        splits[split] = Split(inputs[split] | {POINTS: points}, NumberedRows(table.file, table.numbers))
    return Dataset(name=path.resolve().stem, source=str(path), splits=splits, target=POINTS, notes=notes)


def _same_columns(tables: Mapping[str, Cells], names: Sequence[str], notes: list[str]) -> dict[str, Cells]:
    """The tables with the columns of train. One without the target is left out, one without an input is an error."""
    wanted = list(tables["train"].columns)
    kept = {}
    for split, table in tables.items():
        missing = [name for name in wanted if name not in table.columns]
        if any(name in names for name in missing):
            notes.append(f"{table.file} has no target column '{','.join(names)}' and was left out")
            continue
        if missing:
            near = did_you_mean(missing[0], table.columns)
            raise UserError(f"{table.file} has no column '{missing[0]}', which {tables['train'].file} has{near}")
        extra = [name for name in table.columns if name not in wanted]
        if extra:
            notes.append(
                f"{table.file} has columns that {tables['train'].file} lacks; they were left out: {listed(extra)}"
            )
        columns = {name: table.columns[name] for name in wanted}
        kept[split] = Cells(table.file, table.folder, columns, table.numbers, table.notes)
    return kept


def _drop_without_target(
    tables: Mapping[str, Cells], names: Sequence[str], path: Path, notes: list[str]
) -> dict[str, Cells]:
    kept = {split: rows_with_target(table, names) for split, table in tables.items()}
    before, after = sum(map(len, tables.values())), sum(map(len, kept.values()))
    target = ",".join(names)
    if not len(kept["train"]):
        raise UserError(f"{path}: no row of {tables['train'].file} has a value in the target column '{target}'")
    if after < before:
        notes.append(f"{before - after:,} of {before:,} rows have no value in the target '{target}' and were dropped")
    return {split: table for split, table in kept.items() if len(table)}


Columns = dict[str, dict[str, Column]]  # split -> column name -> column


def _target_columns(
    tables: Mapping[str, Cells], names: Sequence[str], path: Path, check: bool, notes: list[str], in_time: bool = False
) -> tuple[Columns, str]:
    """(target columns of each split, the target's name). in_time: numbers are numbers, be they whole and few."""
    parts = list(tables.values())
    joined = ",".join(names)
    columns: Columns = {split: {} for split in tables}
    if in_time and all(all_numbers([c for c in all_cells(parts, name) if not is_missing(c)]) for name in names):
        for split, table in tables.items():
            columns[split] = {name: to_column(table, name, Number()) for name in names}
    elif len(names) == 1:
        kind = _target_type(parts, joined, path, check, notes)
        for split, table in tables.items():
            columns[split][joined] = to_column(table, joined, kind)
    elif names and are_flags(parts, names):
        for split, table in tables.items():
            columns[split][joined] = flags_column(table, names)
    else:
        numbers = all_are_numbers(parts, names)
        kinds = {name: Number() if numbers else _target_type(parts, name, path, check, notes) for name in names}
        for split, table in tables.items():
            columns[split] = {name: to_column(table, name, kind) for name, kind in kinds.items()}
    return columns, joined


def _target_type(tables: Sequence[Cells], name: str, path: Path, check: bool, notes: list[str]) -> ColumnType:
    cells = all_cells(tables, name)
    kind = infer_target(cells, name, notes)
    many = isinstance(kind, Text) or (isinstance(kind, Label) and len(kind.classes) > MOST_WHOLE_NUMBERS)
    if check and many:  # few classes may well be called 1, 2, 3 and other
        odd = nearly_numbers(tables, name)
        if odd:
            raise UserError(f"the target {odd}; correct it, or leave it empty to drop the row")
    if isinstance(kind, Label) and check:
        if len(kind.classes) == 1:
            raise UserError(
                f"{path}: the target '{name}' has only one class, '{kind.classes[0]}'; expected at least two"
            )
        trained = set(to_column(tables[0], name, kind).values.tolist())
        unseen = [kind.classes[index] for index in range(len(kind.classes)) if index not in trained]
        if unseen:
            notes.append(f"target '{name}': no training row has the class {listed(unseen)}")
    if isinstance(kind, Labels) and check and not kind.classes:
        raise UserError(f"{path}: the target '{name}' names no class in any row")
    return kind


def _input_columns(tables: Mapping[str, Cells], names: Sequence[str], check: bool, notes: list[str]) -> Columns:
    parts = list(tables.values())
    columns: Columns = {split: {} for split in tables}
    stored = [name for name in names if isinstance(parts[0].columns[name], StoredPictures)]
    identifiers = [name for name in names if name not in stored and is_identifier(parts, name)]
    if len(identifiers) == len(names):  # y against x = 0, 1, 2, ...: without them nothing would be left
        identifiers = []
    for name in names:
        if name in identifiers:
            notes.append(f"column '{name}' only numbers or names the rows: left out")
            continue
        # of pictures that lie on the disk a few tell what they are
        cells = parts[0].columns[name][:10] if name in stored else all_cells(parts, name)
        kind = infer_type(cells)
        if kind is None:
            empty = all(map(is_missing, cells))
            what = "is empty in every row" if empty else "holds lists, objects or other files"
            notes.append(f"column '{name}' {what}: left out")
            continue
        if name not in stored and is_constant(cells) and check:
            notes.append(f"column '{name}' is constant: it carries no information")
        if isinstance(kind, Label | Text) and (odd := nearly_numbers(parts, name)):
            notes.append(f"{odd}, so it was read as {'classes' if isinstance(kind, Label) else 'text'}")
        for split, table in tables.items():
            if isinstance(kind, Image):
                columns[split][name] = Column(kind, EncodedImages(*picture_sources(table, name, check), kind.channels))
            else:
                columns[split][name] = to_column(table, name, kind)
    return columns


def _set_channels(columns: Columns, tables: Mapping[str, Cells], notes: list[str]) -> Headers:
    """Looks at the headers of all pictures, and makes the picture columns grey where all pictures are."""
    everything = Headers()
    for name in list(columns["train"]):
        if not isinstance(columns["train"][name].type, Image):
            continue
        headers = Headers()
        for split in tables:
            values = columns[split][name].values
            headers.look(values.sources, (values.names[index] for index in range(len(values))))
        for split in tables:
            values = columns[split][name].values
            images = EncodedImages(values.sources, values.names, headers.channels)
            columns[split][name] = Column(Image(channels=headers.channels), images)
        notes += headers.notes
        everything.total += headers.total
        everything.broken += headers.broken
    return everything

"""Readers of people's own files: class folders, tables, boxes and masks in the formats of the field."""

from __future__ import annotations

from pathlib import Path

from gradus.data.dataset import Dataset
from gradus.data.readers.cells import TABLE_SUFFIXES
from gradus.data.readers.folder import read_folder
from gradus.data.readers.inferred import read_table, read_table_folder, split_tables
from gradus.data.readers.scenes import read_scenes, read_scenes_file
from gradus.data.readers.table import read_parquet_columns, read_rows, rows_from_dicts
from gradus.data.readers.tagged import TAGGED_SUFFIXES, looks_tagged, read_tagged, tagged_files
from gradus.data.readers.text_file import TEXT_SUFFIXES, read_split_texts, read_text_file, split_texts
from gradus.data.readers.text_folder import holds_texts, read_text_folder
from gradus.errors import UserError

__all__ = ["read", "read_folder", "read_parquet_columns", "read_rows", "read_table", "rows_from_dicts"]


def read(
    path: Path,
    target: str | None = None,
    check: bool = True,
    *,
    time: str | None = None,
    series: str | None = None,
) -> Dataset:
    """The data set at `path`, by what lies there.

    A folder of boxes or masks (COCO, VOC, YOLO, pictures and masks: `scenes.py`) -> them; one holding tables named train,
    validation or test -> their rows; one holding texts named so -> their lines; one of text files and no pictures -> texts by
    class folder, or documents; any other folder -> its class folders; a file -> COCO's JSON, YOLO's YAML, the lines of a text,
    or a table by its suffix (.csv, .tsv, .jsonl, .ndjson, .json, .parquet), which may be one of boxes.

    target: the column of a table to learn, or several joined by commas; class folders name their own; boxes are
            `objects` and masks `mask`, of a folder that holds both
    time, series: the columns of a table that tell the time of a row, and which series it is of
    check:  False reads what it can of data with mistakes in it, so that `gradus data scan` can list them all

    Raises `UserError` for anything that cannot be read, naming the file or row.
    """
    path = Path(path)
    if time is not None or series is not None:
        return _read_in_time(path, target, check, time, series)
    if path.is_dir():
        if (scenes := read_scenes(path, target, check)) is not None:
            return scenes
        if tagged_files(path):
            return read_tagged(path)
        if split_tables(path):
            return read_table_folder(path, target, check)
        if not holds_texts(path):
            return read_folder(path, check)
        return read_split_texts(path) if split_texts(path) else read_text_folder(path, check)
    if not path.exists():
        raise UserError(f"{path}: there is no such file or folder")
    if (scenes := read_scenes_file(path, target, check)) is not None:
        return scenes
    if path.suffix.lower() in TAGGED_SUFFIXES or (path.suffix.lower() == ".txt" and looks_tagged(path)):
        return read_tagged(path)
    if path.suffix.lower() in TEXT_SUFFIXES:
        return read_text_file(path)
    if path.suffix.lower() not in TABLE_SUFFIXES:
        known = ", ".join((*TABLE_SUFFIXES, *TEXT_SUFFIXES, *TAGGED_SUFFIXES))
        raise UserError(
            f"{path}: a '{path.suffix}' file cannot be read as a data set; expected {known}, "
            "or a folder of class folders"
        )
    return read_table(path, target, check)


def _read_in_time(path: Path, target: str | None, check: bool, time: str | None, series: str | None) -> Dataset:
    """A table, or a folder of tables, whose rows are of a time."""
    if time is None:
        raise UserError("data.series: tells series in time apart; name the column of times with --time too")
    if path.is_dir() and split_tables(path):
        return read_table_folder(path, target, check, time, series)
    if path.suffix.lower() not in TABLE_SUFFIXES:
        raise UserError(f"{path}: only the rows of a table have a time; expected {', '.join(TABLE_SUFFIXES)}")
    return read_table(path, target, check, time, series)

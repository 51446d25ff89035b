"""Readers of people's own files: a folder of class folders, a table, a folder of tables named after the splits."""

from __future__ import annotations

from pathlib import Path

from gradus.data.dataset import Dataset
from gradus.data.readers.cells import TABLE_SUFFIXES
from gradus.data.readers.folder import read_folder
from gradus.data.readers.inferred import read_table, read_table_folder, split_tables
from gradus.data.readers.table import read_parquet_columns, read_rows, rows_from_dicts
from gradus.errors import UserError

__all__ = ["read", "read_folder", "read_parquet_columns", "read_rows", "read_table", "rows_from_dicts"]


def read(path: Path, target: str | None = None, check: bool = True) -> Dataset:
    """The data set at `path`, by what lies there.

    A folder holding tables named train, validation or test -> their rows; any other folder -> its class folders; a
    file -> a table by its suffix (.csv, .tsv, .jsonl, .ndjson, .json, .parquet).

    target: the column of a table to learn, or several joined by commas; class folders name their own
    check:  False reads what it can of data with mistakes in it, so that `gradus data scan` can list them all

    Raises `UserError` for anything that cannot be read, naming the file or row.
    """
    path = Path(path)
    if path.is_dir():
        return read_table_folder(path, target, check) if split_tables(path) else read_folder(path, check)
    if not path.exists():
        raise UserError(f"{path}: there is no such file or folder")
    if path.suffix.lower() not in TABLE_SUFFIXES:
        raise UserError(
            f"{path}: a '{path.suffix}' file cannot be read as a data set; expected {', '.join(TABLE_SUFFIXES)}, "
            "or a folder of class folders"
        )
    return read_table(path, target, check)

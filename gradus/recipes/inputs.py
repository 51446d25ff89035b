"""Inputs of a prediction: whatever a user hands in -> a Split of the columns that the task was trained on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from gradus.data.columns import Column, Image, Text
from gradus.data.dataset import Split
from gradus.data.images import SUFFIXES, decode_picture, to_array
from gradus.data.readers.cells import TABLE_SUFFIXES, read_text
from gradus.data.readers.text_file import TEXT_SUFFIXES
from gradus.errors import UserError
from gradus.tasks.control import ControlTask
from gradus.tasks.task import Task


def read_inputs(task: Task, inputs: Sequence[Any]) -> Split:
    """Raises `UserError` naming the input that is missing, unreadable or of the wrong kind."""
    types = task.input_types
    if isinstance(task, ControlTask):
        raise UserError("this model answers nothing about rows; it acts: gradus eval RUN --episodes 100")
    if not inputs:
        raise UserError("there is nothing to predict: give at least one input")
    pictures = [(name, kind) for name, kind in types.items() if isinstance(kind, Image)]
    if pictures:
        ((name, kind),) = pictures
        return _pictures(name, kind, inputs)
    if all(isinstance(kind, Text) for kind in types.values()):
        return _texts(task, inputs)
    return _rows(task, inputs)


def _texts(task: Task, inputs: Sequence[Any]) -> Split:
    """Texts themselves, text files, tables, rows as JSON or dictionaries, in any mixture and in their order."""
    columns, parts = list(task.input_types), []
    for number, item in enumerate(inputs, start=1):
        if isinstance(item, dict) or (isinstance(item, str) and item.lstrip().startswith("{")):
            parts.append(_rows(task, [item]))
            continue
        if not isinstance(item, str | Path):
            raise UserError(f"input {number}: this run takes texts (or files of them), received {type(item).__name__}")
        path = _existing(item)
        if path is not None and path.suffix.lower() in TABLE_SUFFIXES:
            parts.append(_rows(task, [path]))
            continue
        if len(columns) > 1:
            raise UserError(
                f"input {number}: this run takes the columns {', '.join(columns)}: give a table, or a row as JSON"
            )
        notes: list[str] = []
        found = {str(item): str(item)} if path is None else {str(file): read_text(file, notes) for file in _files(path)}
        for name, text in found.items():
            if not text.strip():
                raise UserError(f"{f'input {number}' if path is None else name}: the text is empty")
            name = name if path is not None or len(name) <= 60 else name[:57] + "..."
            parts.append(Split({columns[0]: Column(Text(), [text])}, [name]))
    return _joined(parts)


def _existing(item: str | Path) -> Path | None:
    """The file or folder that is named; None for a text. Raises `UserError` for what looks like a file's name and is none."""
    if item == "":  # as a path it would be the folder that the user is in
        return None
    path = Path(item)
    try:
        if path.exists():
            return path
    except (OSError, ValueError):  # longer than a name may be, or with a zero byte
        return None
    named = path.suffix.lower() in (*TEXT_SUFFIXES, *TABLE_SUFFIXES) and "\n" not in str(item)
    if isinstance(item, Path) or named:
        raise UserError(f"{item}: there is no such file")
    return None


def _files(path: Path) -> list[Path]:
    if path.is_file():
        if path.suffix.lower() in SUFFIXES:
            raise UserError(f"{path}: this run takes texts, received a picture")
        return [path]
    files = [file for file in sorted(path.rglob("*")) if file.suffix.lower() in TEXT_SUFFIXES and file.is_file()]
    if not files:
        raise UserError(f"{path}: there is no text file in this folder ({', '.join(TEXT_SUFFIXES)})")
    return files


def _pictures(column: str, kind: Image, inputs: Sequence[Any]) -> Split:
    names: list[str] = []
    arrays: list[np.ndarray] = []
    for number, item in enumerate(inputs, start=1):
        if isinstance(item, PillowImage.Image):
            names.append(f"picture {number}")
            arrays.append(to_array(item, kind.channels))
        elif isinstance(item, np.ndarray):
            names.append(f"array {number}")
            arrays.append(_checked_array(item, kind.channels, names[-1]))
        elif isinstance(item, str | Path):
            for path in _picture_files(Path(item)):
                names.append(str(path))
                arrays.append(decode_picture(path, kind.channels, str(path)))
        else:
            raise UserError(f"input {number}: this run takes pictures, received {type(item).__name__}")
    return Split({column: Column(kind, arrays)}, names)


def _checked_array(array: np.ndarray, channels: int, name: str) -> np.ndarray:
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise UserError(
            f"{name}: expected uint8 of shape (height, width) or (height, width, 1, 3 or 4), "
            f"received {array.dtype} of shape {array.shape}"
        )
    return to_array(
        PillowImage.fromarray(array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array), channels
    )


def _picture_files(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(
            file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
        )
        if not files:
            raise UserError(f"{path}: there is no picture in this folder")
        return files
    if not path.exists():
        raise UserError(f"{path}: there is no such file")
    if path.suffix.lower() in (".csv", ".tsv", ".json", ".jsonl", ".parquet", ".txt"):
        raise UserError(
            f"{path}: this run takes pictures ({', '.join(SUFFIXES[:4])}, ...), received a {path.suffix} file"
        )
    return [path]


def _rows(task: Task, inputs: Sequence[Any]) -> Split:
    from gradus.data.readers.table import read_rows, rows_from_dicts

    types = task.input_types
    splits = []
    rows: list[dict[str, Any]] = []
    for item in inputs:
        if isinstance(item, str) and item.lstrip().startswith("{"):
            item = _json_row(item)
        if isinstance(item, dict):
            rows.append(item)
            continue
        if not isinstance(item, str | Path):
            raise UserError(f"this run takes table rows (a file, or column: value), received {type(item).__name__}")
        path = Path(item)
        if not path.exists():
            raise UserError(f"{path}: there is no such file")
        if path.suffix.lower() in SUFFIXES or path.is_dir():
            what = "a folder" if path.is_dir() else "a picture"
            raise UserError(
                f"{path}: this run takes tables (.csv, .tsv, .jsonl, .parquet) or JSON rows, received {what}"
            )
        splits.append(read_rows(path, types, task.target_column))
    if rows:
        splits.append(rows_from_dicts(rows, types, "input"))
    return _joined(splits)


def _json_row(text: str) -> dict[str, Any]:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UserError(f"input {text[:40]!r}: not a JSON object ({error})") from None


def _joined(splits: list[Split]) -> Split:
    if len(splits) == 1:
        return splits[0]
    first = splits[0]
    columns = {
        name: Column(column.type, _chained([split[name].values for split in splits]))
        for name, column in first.columns.items()
        if all(name in split.columns for split in splits)
    }
    return Split(columns, [split.origins[index] for split in splits for index in range(len(split))])


def _chained(parts: list[Any]) -> Any:
    if isinstance(parts[0], list):
        return [value for part in parts for value in part]
    return np.concatenate([np.asarray(part) for part in parts])

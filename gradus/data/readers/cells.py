"""Tables as cells: a CSV, TSV, JSON lines, JSON or Parquet file as named columns of raw values, not typed yet.

Choices: UTF-8 first (with or without a byte order mark), then GB18030, saying so. A CSV is parsed strictly, so that a
stray quote is told and not swallowed; its delimiter is the one of `, ; tab |` that cuts the first rows evenly.
Numbers with decimal commas are read as numbers where the delimiter is a semicolon. Rows are counted by their line in
the file (CSV, JSON lines), else from 1.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import datetime
import decimal
import io
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gradus.data.columns import take
from gradus.data.stored import ParquetColumn, StoredPictures, is_picture_type
from gradus.errors import UserError

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
DELIMITERS = (",", ";", "\t", "|")
MISSING = frozenset({"", "na", "n/a", "nan", "null", "?", "-"})
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d*,\d+\s*")


@dataclass(frozen=True)
class Cells:
    """A table that is not typed yet.

    file:    its name in messages
    folder:  where the pictures that its cells name are looked for; None: they may not be named
    columns: column name -> one cell a row: text, number, true/false, None, bytes, list or dictionary; the file contents in a
             Parquet column are `StoredPictures`, read when asked for
    numbers: (rows,) the number of each row in messages
    notes:   what was decided while reading
    """

    file: str
    folder: Path | None
    columns: dict[str, Any]
    numbers: np.ndarray
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.numbers)

    def row(self, index: int) -> str:
        """How messages name the row at `index`."""
        return f"row {int(self.numbers[index])} of {self.file}"

    def take(self, indices: np.ndarray) -> Cells:
        """The rows `indices`, in that order."""
        columns = {name: take(cells, indices) for name, cells in self.columns.items()}
        return Cells(self.file, self.folder, columns, self.numbers[indices], self.notes)


def is_missing(cell: Any) -> bool:
    """Whether a cell holds no value: None, not-a-number, or a text such as NA, null or ?."""
    if cell is None:
        return True
    if isinstance(cell, str):
        return len(cell) < 20 and cell.strip().casefold() in MISSING
    return isinstance(cell, float) and cell != cell


def listed(names: Sequence[str]) -> str:
    """The names, at most 20 of them."""
    return ", ".join(names[:20]) + (f", ... ({len(names)} in all)" if len(names) > 20 else "")


def read_cells(path: Path) -> Cells:
    """The table at `path`, by its suffix. Raises `UserError` naming the file and row of what cannot be read."""
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        cells = _read_parquet(path)
    elif suffix in (".csv", ".tsv"):
        cells = _read_csv(path, "\t" if suffix == ".tsv" else None)
    elif suffix in (".jsonl", ".ndjson"):
        cells = _read_json_lines(path)
    elif suffix == ".json":
        cells = _read_json(path)
    else:
        raise UserError(
            f"{path}: a '{suffix}' file is not a table that can be read; expected {', '.join(TABLE_SUFFIXES)}"
        )
    if not len(cells):
        raise UserError(f"{path}: there are no rows in it")
    return cells


def read_text(path: Path, notes: list[str]) -> str:
    """The text of a file, from UTF-8 or else GB18030, which is noted. Raises `UserError` where it is neither."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: the file cannot be read ({error.strerror})") from None
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UserError(f"{path}: the text is UTF-16; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        text = content.decode("gb18030")
    except UnicodeDecodeError:
        raise UserError(f"{path}: the text is neither UTF-8 nor GB18030; save it as UTF-8") from None
    notes.append(f"{path.name}: the text is not UTF-8 and was read as GB18030")
    return text


def _read_csv(path: Path, delimiter: str | None) -> Cells:
    notes: list[str] = []
    text = read_text(path, notes)
    # The limit is the process's: a single long text may exceed its 131 072 characters, so it is lifted for this file.
    limit = csv.field_size_limit(max(len(text), 1))
    try:
        delimiter = delimiter or _sniff(text)
        records = _csv_records(path, text, delimiter)
        _, header = next(records, (0, []))
        names = [name.strip() for name in header]
        _check_header(path, names)
        numbers, rows = [], []
        for number, row in records:
            if len(row) != len(names):
                raise UserError(
                    f"row {number} of {path}: expected {len(names)} fields as in the header, found {len(row)}"
                )
            numbers.append(number)
            rows.append(row)
    finally:
        csv.field_size_limit(limit)
    columns: dict[str, list[Any]] = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    if delimiter == ";":
        _read_decimal_commas(path, columns, notes)
    return Cells(path.name, path.parent, columns, np.array(numbers, dtype=np.int64), notes)


def _csv_records(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(line number where it starts, fields) of each record that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        start = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise UserError(f"row {start} of {path}: the quotes do not match ({error})") from None
        if row:
            yield start, row


def _sniff(text: str) -> str:
    """The delimiter that cuts the header and most of the next rows into as many fields; a comma where none does."""

    def score(delimiter: str) -> tuple[bool, float, int]:
        try:
            rows = [row for _, row in itertools.islice(_csv_records(Path(), text, delimiter), 30)]
        except UserError:
            return False, 0.0, 0
        width = len(rows[0]) if rows else 0
        return width > 1, sum(len(row) == width for row in rows) / max(1, len(rows)), width

    return max(DELIMITERS, key=score)


def _check_header(path: Path, names: list[str]) -> None:
    if not names:
        raise UserError(f"{path}: there are no rows in it")
    if all(_is_number(name) for name in names):
        raise UserError(f"{path}: the first row holds only numbers; the first row must name the columns")
    check_names(path, names)


def check_names(path: Path, names: list[str]) -> None:
    """Raises `UserError` for a column without a name, or two of the same name, or where there is none."""
    if not names:
        raise UserError(f"{path}: there are no rows in it")
    if "" in names:
        raise UserError(f"{path}: column {names.index('') + 1} has no name; name it in the first row, or remove it")
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise UserError(f"{path}: two columns are called '{name}'")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_decimal_commas(path: Path, columns: dict[str, list[Any]], notes: list[str]) -> None:
    for name, cells in columns.items():
        present = [cell for cell in cells if not is_missing(cell)]
        commas = [cell for cell in present if _DECIMAL_COMMA.fullmatch(cell)]
        if commas and all(_DECIMAL_COMMA.fullmatch(cell) or _is_number(cell) for cell in present):
            columns[name] = [cell.replace(",", ".") for cell in cells]
            notes.append(f"{path.name}: the commas in column '{name}' are decimal points, as in {commas[0].strip()}")


def _read_json_lines(path: Path) -> Cells:
    notes: list[str] = []
    numbers, rows = [], []
    for number, line in enumerate(read_text(path, notes).split("\n"), start=1):
        if line.strip():
            numbers.append(number)
            rows.append(_parse_json(line, f"row {number} of {path}"))
    return _from_objects(rows, numbers, path, notes)


def _read_json(path: Path) -> Cells:
    notes: list[str] = []
    value = _parse_json(read_text(path, notes), str(path))
    rows = [value] if isinstance(value, dict) else value
    if not isinstance(rows, list):
        raise UserError(f"{path}: expected a list of objects, one a row")
    return _from_objects(rows, list(range(1, len(rows) + 1)), path, notes)


def _parse_json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{where}: this is not JSON ({error})") from None
    except (ValueError, RecursionError):  # a number of thousands of digits, brackets nested thousands deep
        raise UserError(f"{where}: this JSON cannot be read") from None


def _from_objects(rows: list[Any], numbers: list[int], path: Path, notes: list[str]) -> Cells:
    for number, row in zip(numbers, rows, strict=True):
        if not isinstance(row, dict):
            raise UserError(
                f'row {number} of {path}: expected an object such as {{"name": value}}, found {str(row)[:40]}'
            )
    cells = cells_from_dicts(rows, path.name, path.parent)
    check_names(path, list(cells.columns))
    return Cells(path.name, path.parent, cells.columns, np.array(numbers, dtype=np.int64), notes)


def cells_from_dicts(rows: list[dict[str, Any]], name: str, folder: Path | None) -> Cells:
    """Dictionaries, one a row, as cells; a key that a row lacks is a missing value there."""
    names = list(dict.fromkeys(key for row in rows for key in row))
    columns = {key: [row.get(key) for row in rows] for key in names}
    return Cells(name, folder, columns, np.arange(1, len(rows) + 1))


def _read_parquet(path: Path) -> Cells:
    schema = read_arrow_schema(path)
    names = [str(name) for name in schema.names]
    if not names:
        raise UserError(f"{path}: there are no columns in it")
    check_names(path, names)
    stored = {name: pictures for name in names if (pictures := _stored_pictures(path, schema, name)) is not None}
    table = read_arrow(path, [name for name in names if name not in stored])
    columns: dict[str, Any] = {}
    for name in names:
        columns[name] = stored.get(name) or [_plain(cell) for cell in table.column(name).to_pylist()]
    return Cells(path.name, path.parent, columns, np.arange(1, table.num_rows + 1))


def _stored_pictures(path: Path, schema: Any, name: str) -> StoredPictures | None:
    """A column of file contents without a gap, to be read when asked for; None for any other column."""
    import pyarrow

    arrow = schema.field(name).type
    other_struct = pyarrow.types.is_struct(arrow) and {field.name for field in arrow} != {"bytes", "path"}
    if other_struct or not is_picture_type(arrow):
        return None
    pictures = StoredPictures(ParquetColumn([path], name))
    return pictures if len(pictures) and pictures.column.first_missing() is None else None


def read_arrow(path: Path, columns: list[str] | None = None) -> Any:
    """The Arrow table of a Parquet file, or only `columns` of it. Raises `UserError` where it cannot be read."""
    with _open_parquet(path) as file:
        return file.read(columns)


def read_arrow_schema(path: Path) -> Any:
    """The Arrow schema of a Parquet file: the names and types of its columns."""
    with _open_parquet(path) as file:
        return file.schema_arrow


@contextlib.contextmanager
def _open_parquet(path: Path) -> Iterator[Any]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            yield file
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path}: this is not a Parquet file that can be read ({str(error).splitlines()[0]})") from None


def _plain(cell: Any) -> Any:
    if isinstance(cell, datetime.date | datetime.time):
        return cell.isoformat()
    if isinstance(cell, datetime.timedelta):
        return cell.total_seconds()
    return float(cell) if isinstance(cell, decimal.Decimal) else cell

"""What type a column is, by looking at all of its cells.

numbers, or missing                                         Number
file names with a picture's suffix; the bytes of pictures   Image
true/false, or few distinct texts                           Label (classes sorted)
many distinct texts                                         Text
the target: text, or at most 20 distinct whole numbers      Label
the target: `a|b` in most rows, or lists of names           Labels
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from typing import Any

from gradus.data.columns import ColumnType, Image, Label, Labels, Number, Text
from gradus.data.images import open_picture
from gradus.data.readers.cells import Cells, is_missing
from gradus.data.readers.convert import class_name, is_picture_cell, parse_number, plain_numbers, shorten, split_labels
from gradus.data.text.tokenizers import UNSPACED
from gradus.errors import UserError

SENTENCE = 3  # words on average, from which short texts that do not repeat are no classes
_UNSPACED = re.compile(f"[{UNSPACED}]")
MOST_WHOLE_NUMBERS = 20  # of a target that is read as classes
ID_NAMES = frozenset({"id", "ids", "index", "row_id", "uuid", "guid", "unnamed: 0", "编号", "序号", "行号"})


def all_cells(tables: Sequence[Cells], name: str) -> list[Any]:
    """The cells of a column over all splits."""
    return list(itertools.chain.from_iterable(table.columns[name] for table in tables))


def infer_type(cells: Sequence[Any]) -> ColumnType | None:
    """The type of an input column; None where it is empty or holds what no type here can (lists, objects, other files).

    An Image comes with 3 channels: whether the pictures are grey is for their headers to say.
    """
    if plain_numbers(cells) is not None:
        return Number()
    present = [cell for cell in cells if not is_missing(cell)]
    if not present:
        return None
    if all(map(is_picture_cell, present)):
        return Image() if _are_pictures(present) else None
    if any(isinstance(cell, list | tuple | dict | bytes) for cell in present):
        return None
    if all_numbers(present):
        return Number()
    names = _names(present)
    return Label(classes=names) if _few(names, len(present)) else Text()


def all_numbers(present: Sequence[Any]) -> bool:
    """Whether every cell is a number. True and false are not."""
    return all(not isinstance(cell, bool) and parse_number(cell) is not None for cell in present)


def _are_pictures(present: Sequence[Any]) -> bool:
    """Whether file contents are pictures (a column of sounds looks alike): one of the first ten opens as one."""
    for cell in present[:10]:
        content = cell.get("bytes") if isinstance(cell, dict) else cell
        if not isinstance(content, bytes):
            return is_picture_cell(cell.get("path") if isinstance(cell, dict) else cell)
        try:
            with open_picture(content, ""):
                return True
        except UserError:
            continue
    return False


def _names(present: Sequence[Any]) -> tuple[str, ...]:
    names = {class_name(cell) for cell in present}
    if {name.casefold() for name in names} <= {"true", "false"}:
        names = {name.casefold() for name in names}
    return tuple(sorted(names))


def _few(names: Sequence[str], rows: int) -> bool:
    """Whether so many distinct texts in so many rows are classes rather than writing.

    In a small table nearly every class may occur once, so there short texts count as classes even where they do not
    repeat.
    """
    if len(names) <= 20 and max(map(len, names)) <= 30 and rows <= 40 and not is_writing(names, SENTENCE):
        return True
    return len(names) <= min(rows / 2, max(50, rows / 20), 1000)


def is_writing(texts: Sequence[str], least: float = 8) -> bool:
    """Whether texts have so many words or more on average: two Chinese characters count as a word."""
    known = [text for text in texts if text.strip()]
    return bool(known) and sum(map(_words_in, known)) >= least * len(known)


def _words_in(text: str) -> float:
    unspaced = len(_UNSPACED.findall(text))
    return len(_UNSPACED.sub(" ", text).split()) + unspaced / 2


def infer_target(cells: Sequence[Any], name: str, notes: list[str]) -> ColumnType:
    """The type of the column to learn. Raises `UserError` where it can be neither class, number nor text."""
    present = [cell for cell in cells if not is_missing(cell)]
    if not present:
        return Number()
    if all(isinstance(cell, list | tuple) for cell in present):
        return _labels(present)
    if sum(isinstance(cell, str) and "|" in cell for cell in present) > len(present) / 2:
        return _labels(present)
    if any(isinstance(cell, list | tuple | dict | bytes) for cell in present):
        raise UserError(f"the target '{name}' holds lists, objects or files; expected classes or numbers")
    if all_numbers(present):
        return _whole_number_classes(present, name, notes) or Number()
    names = _names(present)
    differ = len(names) > max(MOST_WHOLE_NUMBERS, len(present) / 2)
    if len(names) > 1000 or len(names) > max(50, len(present) / 2) or (differ and is_writing(names, SENTENCE)):
        notes.append(
            f"target '{name}' has {len(names):,} distinct texts in {len(present):,} rows: read as text, not as classes"
        )
        return Text()
    return Label(classes=names)


def _whole_number_classes(present: Sequence[Any], name: str, notes: list[str]) -> Label | None:
    """Label where the numbers are whole and few, its classes in the order of the numbers."""
    numbers: set[float] = set()
    for cell in present:
        number = parse_number(cell)
        if number is None or not math.isfinite(number) or number != int(number):
            return None
        numbers.add(number)
        if len(numbers) > MOST_WHOLE_NUMBERS:
            return None
    notes.append(
        f"target '{name}' has {len(numbers)} distinct whole numbers: read as classes; "
        "for regression use --task tabular-regression"
    )
    return Label(classes=tuple(str(int(number)) for number in sorted(numbers)))


def _labels(present: Sequence[Any]) -> Labels:
    return Labels(classes=tuple(sorted({name for cell in present for name in split_labels(cell)})))


def nearly_numbers(tables: Sequence[Cells], name: str) -> str | None:
    """Where nearly all texts of a column are numbers, the sentence that names the first one that is not."""
    odd: list[str] = []
    numbers = 0
    for table in tables:
        for index, cell in enumerate(table.columns[name]):
            if is_missing(cell):
                continue
            if isinstance(cell, bool) or parse_number(cell) is None:
                odd.append(f"'{shorten(cell)}' in {table.row(index)}")
            else:
                numbers += 1
    if odd and numbers >= 9 * len(odd):
        return f"column '{name}' holds {numbers:,} numbers, but {odd[0]} is not one"
    return None


def is_identifier(tables: Sequence[Cells], name: str) -> bool:
    """Whether a column only names its rows: called id or the like and distinct, or counting up from 0 or 1.

    Later splits may count on from any number. A column of years counts up too, but not from 0 or 1.
    """
    called = name.casefold()
    if sum(map(len, tables)) < 3:
        return False
    if called in ID_NAMES or called.endswith(("_id", "编号")) or name.endswith(("Id", "ID")):
        cells = all_cells(tables, name)
        distinct = len({class_name(cell) for cell in cells}) == len(cells)
        return distinct and not any(map(is_missing, cells)) and not _has_fractions(cells)
    return parse_number(tables[0].columns[name][0]) in (0.0, 1.0) and all(
        _counts_up(table.columns[name]) for table in tables
    )


def _has_fractions(cells: Sequence[Any]) -> bool:
    numbers = [parse_number(cell) for cell in cells]
    return any(number is not None and not number.is_integer() for number in numbers)


def _counts_up(cells: Sequence[Any]) -> bool:
    previous = None
    for cell in cells:
        number = None if isinstance(cell, bool) else parse_number(cell)
        if number is None or number != number or (previous is not None and number != previous + 1):
            return False
        if previous is None and not number.is_integer():
            return False
        previous = number
    return True


def is_constant(cells: Sequence[Any]) -> bool:
    """Whether a column holds the same value in every row."""
    first = cells[0]
    return len(cells) > 1 and all(cell == first for cell in cells)

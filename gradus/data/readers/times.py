"""Times as people write them, read as moments in seconds.

    2010-01-31, 2010/01/31 23:00, 2010-01-31T23:00:00Z     year first; an offset (+02:00) is taken away: UTC
    2010-01, 20100131, 2010                                a month, a day, a year
    31.01.2010 23:00                                       with dots the day stands first
    31/01/2010, 01/31/2010 11:00 PM                        which is the day is told by all rows of the column together
    1264978800, 1264978800000                              seconds or milliseconds since 1970

What could be either is refused with the row, never guessed. Fractions of a second are cut off.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradus.data.readers.cells import Cells, is_missing, listed
from gradus.data.readers.convert import parse_number, plain_numbers, shorten
from gradus.errors import UserError, did_you_mean

_CLOCK = r"(?:(?:[T ]\s*)(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)?\s*([AaPp][Mm])?\s*(Z|[+-]\d{2}:?\d{2})?)?"
_YEAR_FIRST = re.compile(r"(\d{4})[-/.](\d{1,2})(?:[-/.](\d{1,2})" + _CLOCK + ")?")
_YEAR_LAST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})" + _CLOCK)
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})")
PARTS = ("year", "month", "day", "hour", "minute", "second")


def time_values(cells: Cells, name: str) -> np.ndarray:
    """(rows,) datetime64[s]: the column `name`, or several such as "year,month,day,hour" that are one time together.

    Raises `UserError` naming the row of what is missing or is no time, and a column whose dates can be read in two ways.
    """
    if name not in cells.columns and "," in name:
        return _from_parts(cells, [part.strip() for part in name.split(",")])
    _check_there(cells, name)
    values = list(cells.columns[name])
    for row, cell in enumerate(values):
        if is_missing(cell):
            raise UserError(f"{cells.row(row)}: column '{name}' tells the time of the row and is empty")
    numbers = plain_numbers(values)
    if numbers is not None:
        return _from_numbers(cells, name, numbers)
    return _from_texts(cells, name, [str(cell).strip() for cell in values])


def _check_there(cells: Cells, name: str) -> None:
    if name not in cells.columns:
        known = list(cells.columns)
        raise UserError(
            f"{cells.file}: there is no column '{name}' to tell the time{did_you_mean(name, known)}; columns: {listed(known)}"
        )


def _from_parts(cells: Cells, names: list[str]) -> np.ndarray:
    """The time of columns called year, month, day, hour, ..., in any order; what is left out is the first."""
    found = {name.casefold(): name for name in names}
    if "year" not in found or set(found) - set(PARTS):
        raise UserError(f"data.time: several columns must be called {', '.join(PARTS)}; received {', '.join(names)}")
    values = {"month": np.ones(len(cells), dtype=np.int64), "day": np.ones(len(cells), dtype=np.int64)}
    for part, name in found.items():
        _check_there(cells, name)
        numbers = np.array([_whole(cells, name, row, cell) for row, cell in enumerate(cells.columns[name])])
        values[part] = numbers
    zero = np.zeros(len(cells), dtype=np.int64)
    fields = [values.get(part, zero) for part in PARTS]
    texts = [_written(*map(int, row)) for row in zip(*fields, strict=True)]
    return _moments(cells, ",".join(names), texts)


def _whole(cells: Cells, name: str, row: int, cell: Any) -> int:
    number = parse_number(cell)
    if number is None or not float(number).is_integer():
        raise UserError(f"{cells.row(row)}: column '{name}' is a part of the time, found '{shorten(cell)}'")
    return int(number)


def _from_numbers(cells: Cells, name: str, numbers: np.ndarray) -> np.ndarray:
    low, high = float(numbers.min()), float(numbers.max())
    whole = bool((numbers == np.floor(numbers)).all())
    if whole and low > 1900_00_00 and high < 2101_00_00:
        return _from_texts(cells, name, [str(int(number)) for number in numbers])
    if whole and low >= 1000 and high < 3000:
        return _moments(cells, name, [f"{int(number):04}-01-01" for number in numbers])
    if low >= 1e8 and high < 1e11:
        return np.floor(numbers).astype(np.int64).astype("datetime64[s]")
    if low >= 1e11 and high < 1e14:
        return np.floor(numbers / 1000).astype(np.int64).astype("datetime64[s]")
    raise UserError(
        f"{cells.row(0)}: column '{name}' holds {numbers[0]:g}, which is no time; expected a date such as 2010-01-31 23:00, "
        "or seconds since 1970"
    )


def _from_texts(cells: Cells, name: str, texts: Sequence[str]) -> np.ndarray:
    day_first = _order_of_days(cells, name, texts)
    written, offsets = [], np.zeros(len(texts), dtype=np.int64)
    for row, text in enumerate(texts):
        if (found := _YEAR_FIRST.fullmatch(text)) is not None:
            year, month, day, *clock = found.groups()
        elif (found := _YEAR_LAST.fullmatch(text)) is not None:
            first, mark, second, year, *clock = found.groups()
            day, month = (first, second) if mark == "." or day_first else (second, first)
        elif (found := _COMPACT.fullmatch(text)) is not None:
            (year, month, day), clock = found.groups(), [None] * 5
        else:
            raise UserError(
                f"{cells.row(row)}: column '{name}' holds '{shorten(text)}', which is no time that can be read; "
                "expected one such as 2010-01-31 23:00"
            )
        hour, minute, second_of, half, offset = clock
        hours = _hour(int(hour or 0), half)
        written.append(_written(int(year), int(month), int(day or 1), hours, int(minute or 0), int(second_of or 0)))
        if offset and offset != "Z":
            minutes = int(offset[1:3]) * 60 + int(offset[-2:])
            offsets[row] = 60 * (minutes if offset[0] == "+" else -minutes)
    return _moments(cells, name, written) - offsets.astype("timedelta64[s]")


def _hour(hour: int, half: str | None) -> int:
    """Of the day; half: am or pm, of a clock of twelve hours."""
    if half is None:
        return hour
    if not 1 <= hour <= 12:
        return 99  # no such hour: refused with its row
    return hour % 12 + (12 if half.casefold() == "pm" else 0)


def _written(year: int, month: int, day: int, hour: int, minute: int, second: int) -> str:
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"


def _moments(cells: Cells, name: str, texts: list[str]) -> np.ndarray:
    try:
        return np.array(texts, dtype="datetime64[s]")
    except ValueError:
        for row, text in enumerate(texts):
            if not _is_moment(text):
                said = text.replace("T", " ")
                raise UserError(f"{cells.row(row)}: column '{name}' holds {said}, which the calendar lacks") from None
        raise


def _is_moment(text: str) -> bool:
    try:
        np.datetime64(text, "s")
    except ValueError:
        return False
    return True


def _order_of_days(cells: Cells, name: str, texts: Sequence[str]) -> bool:
    """Whether in dates such as 03/04/2010 the day stands first, told by those in which one of the two is above 12."""
    day, month, open_row = -1, -1, -1
    for row, text in enumerate(texts):
        found = _YEAR_LAST.fullmatch(text)
        if found is None or found[2] == ".":
            continue
        open_row = row if open_row < 0 else open_row
        day = row if day < 0 and int(found[1]) > 12 else day
        month = row if month < 0 and int(found[3]) > 12 else month
    if day >= 0 and month >= 0:
        raise UserError(
            f"column '{name}': in {cells.row(day)} ('{texts[day]}') the day stands first, in {cells.row(month)} "
            f"('{texts[month]}') the month; write all in one order, best as 2010-01-31"
        )
    if open_row >= 0 and day < 0 and month < 0:
        raise UserError(
            f"{cells.row(open_row)}: in '{texts[open_row]}' either number may be the day, and no other row of column '{name}' "
            "tells; write the dates as 2010-01-31"
        )
    return day >= 0

"""Shapes, windows, counts and memory as short texts, for tables and drawings."""

from __future__ import annotations

from collections.abc import Sequence
from unicodedata import east_asian_width

from gradus.look.network.fields import Window
from gradus.look.text import count, number

NUMERIC = ("parameters", "multiply-adds", "values", "memory", "sees", "stride")  # columns set flush right


def shape_text(shape: Sequence[int]) -> str:
    """ "64x56x56"; "1" for a single number."""
    return "x".join(map(str, shape)) or "1"


def window_text(window: Window | None, between: str = " ") -> str:
    """ "3x3 /2 pad 1 32 groups": what is usual (stride 1, no padding) is left out."""
    if window is None:
        return ""
    kernel = shape_text(window.kernel) if len(window.kernel) > 1 else f"{window.kernel[0]}"
    parts = [kernel]
    if set(window.stride) != {1}:
        parts.append(("x" if window.transposed else "/") + _one_or_all(window.stride))
    if set(window.padding) != {0}:
        parts.append(f"pad {_one_or_all(window.padding)}")
    if set(window.dilation) != {1}:
        parts.append(f"dilation {_one_or_all(window.dilation)}")
    if window.groups != 1:
        parts.append(f"{window.groups} groups")
    return between.join(parts)


def sides_text(sides: Sequence[float] | None) -> str:
    """ "11" where all sides are equal, "11x5" where not."""
    return _one_or_all(sides) if sides else ""


def _one_or_all(values: Sequence[float]) -> str:
    texts = [number(float(value), 4) for value in values]
    return texts[0] if len(set(texts)) == 1 else "x".join(texts)


def short(value: int) -> str:
    """A large count with three or four digits: 818924576 -> "818.9 M"."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            return f"{number(value / (1e3 if unit == 'k' else size), 4)} {unit}"
    return count(value)


def memory_text(size: int) -> str:
    """Bytes in units of 1024: "24.5 KiB"."""
    for unit, bytes_of in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= bytes_of:
            return f"{number(size / bytes_of, 3)} {unit}"
    return f"{size} B"


def aligned(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Lines of columns of equal width, two spaces apart; those of `right` flush right."""
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = []
        for index, (cell, width) in enumerate(zip(row, widths, strict=True)):
            room = " " * (width - _width(cell))
            cells.append(room + cell if index in right else cell + room)
        lines.append("  ".join(cells).rstrip())
    return lines


def _width(text: str) -> int:
    """Places on a terminal: Chinese characters take two."""
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)

"""What commands print: lines, tables, metrics."""

from __future__ import annotations

import sys
from typing import TextIO

from gradus.cli.processes import is_main
from gradus.files import unread


def say(line: str) -> None:
    """A line of a command that goes on even where nobody reads it any longer."""
    if not is_main():
        return
    try:
        print(line, flush=True)
    except OSError:  # a closed pipe, a closed terminal, a full disk
        unread(sys.stdout)


def print_table(rows: list[list[str]], stream: TextIO | None = None) -> None:
    """Columns aligned by display width (Chinese characters are two wide)."""
    from unicodedata import east_asian_width

    def width(text: str) -> int:
        return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)

    columns = max((len(row) for row in rows), default=0)
    widths = [max((width(row[i]) for row in rows if i < len(row)), default=0) for i in range(columns)]
    for row in rows:
        cells = [cell + " " * (widths[i] - width(cell)) for i, cell in enumerate(row)]
        print("  ".join(cells).rstrip(), file=stream)


def format_value(name: str, value: float) -> str:
    from gradus.train.observers import format_metric

    return format_metric(name, value)

"""A hundred mistakes looked at by a person, each with the tags that hold of it: what mending each kind would give at most.

Course notes §3.2.1, §3.2.2: of a cat detector with 10 % error 5 of 100 mistakes are dogs, so the best that work on dogs can give
is 9.5 %; were it 50, it would be 5 %. Tags may overlap, so ceilings do not add up.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gradus.doctor.error_table import ErrorTable
from gradus.errors import UserError
from gradus.files import told_disk_errors, write_atomic
from gradus.look.measures import Interval, wilson_interval

COUNT = 100
DRAWS = 2_000  # of an interval
FACTS = ("row", "origin", "given", "predicted", "certainty", "error")
NOTES = ("seen", "comment")
EMPTY_TAGS = ("", "", "")  # columns that a person names, where no tags were given
NO = ("", "0", "no", "n", "false", "-")


@dataclass(frozen=True)
class Sheet:
    """The table that is filled in: tags, and one dict a mistake with FACTS, NOTES and a cell for each tag."""

    tags: tuple[str, ...]
    rows: list[dict[str, str]]

    def tagged(self, row: dict[str, str], tag: str) -> bool:
        return row.get(tag, "").strip().lower() not in NO

    @property
    def split(self) -> str:
        """The split that the mistakes are of."""
        return self.rows[0]["row"].partition(":")[0]

    @property
    def looked_at(self) -> list[dict[str, str]]:
        """The rows that a person has seen: those marked so or tagged; all of them where none is marked, as in a spreadsheet."""
        marked = any(self.tagged(row, "seen") for row in self.rows)
        return [
            row
            for row in self.rows
            if not marked or self.tagged(row, "seen") or any(self.tagged(row, tag) for tag in self.tags)
        ]


def draw_sheet(table: ErrorTable, tags: Sequence[str] = (), count: int = COUNT, seed: int = 0) -> Sheet:
    """Up to `count` mistakes, drawn at random by the seed and not by how bad they are: their shares hold for all mistakes."""
    mistakes = table.mistakes
    if not len(mistakes):
        raise UserError(f"no {table.split} row is answered wrong: there is nothing to tag")
    check_tags(tags)
    rows = np.random.default_rng(seed).permutation(mistakes)[:count]
    sure = table.confidence
    facts = [
        {
            "row": f"{table.split}:{row}",
            "origin": table.origin(row),
            "given": table.given(row),
            "predicted": table.answered(row),
            "certainty": "" if sure is None else f"{sure[row]:.3f}",
            "error": f"{table.error[row]:.6g}",
        }
        for row in map(int, rows)
    ]
    return Sheet(tuple(tags), facts)


def check_tags(tags: Sequence[str]) -> None:
    """Raises `UserError` where tags are not different names, or one is that of a column which every table has."""
    if any(tag in (*FACTS, *NOTES) or not tag for tag in tags) or len(set(tags)) < len(tags):
        raise UserError(f"--tags: expected different names that are none of {', '.join((*FACTS, *NOTES))}")


def write_sheet(sheet: Sheet, path: Path) -> None:
    """As CSV, which spreadsheets open; without tags three columns wait for a name."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*FACTS, *(sheet.tags or EMPTY_TAGS), *NOTES])
    names = [*FACTS, *(sheet.tags or EMPTY_TAGS), *NOTES]
    writer.writerows([[row.get(name, "") if name else "" for name in names] for row in sheet.rows])
    with told_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, "\ufeff" + text.getvalue())  # the mark by which spreadsheets know UTF-8


def read_sheet(path: Path) -> Sheet:
    """The table that a person filled in. Every named column that is not one of ours is a tag.

    Raises `UserError` where it is no such table.
    """
    try:
        lines = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file; gradus doctor RUN --tag writes one") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: this file cannot be read as CSV ({error})") from None
    if not lines or "row" not in lines[0]:
        raise UserError(f"{path}: expected the table that gradus doctor RUN --tag writes (there is no column 'row')")
    rows = [
        {str(name): value or "" for name, value in line.items() if name and isinstance(value, str)} for line in lines
    ]
    for row in rows:
        if row.get("error") and not _is_error(row["error"]):
            raise UserError(f"{path}: row {row['row']}: expected a number in column 'error', received '{row['error']}'")
    tags = tuple(name for name in rows[0] if name not in (*FACTS, *NOTES))
    return Sheet(tags, rows)


def _is_error(cell: str) -> bool:
    try:
        return 0 <= float(cell) < math.inf
    except ValueError:
        return False


@dataclass(frozen=True)
class Ceiling:
    """What mending one kind of mistake gives at most.

    count: mistakes with the tag; share: of those looked at (by their error where mistakes are larger and smaller), with its
    95 % interval; gain: of the total error, at most; left: the error without them, with its interval
    """

    tag: str
    count: int
    share: float
    interval: Interval
    gain: float
    left: float
    left_interval: Interval


def ceilings(sheet: Sheet, total: float, mass: float = 1.0) -> list[Ceiling]:
    """For each tag what is left of the total error without its mistakes, the largest gain first.

    total: the error of all rows (0.1: one in ten)
    mass:  the share of the total error that all mistakes make: 1 where rows are right or wrong, less where only the largest
           errors count as mistakes
    """
    rows = sheet.looked_at
    weights = np.array([float(row.get("error") or 1) for row in rows])
    found = []
    for tag in sheet.tags:
        has = np.array([sheet.tagged(row, tag) for row in rows], dtype=bool)
        share = float(weights[has].sum() / max(weights.sum(), 1e-12))
        interval = _interval_of(has, weights, share)
        low, high = interval.low, interval.high
        left = Interval(total * (1 - mass * high), total * (1 - mass * low), interval.method)
        gain = total * mass * share
        found.append(Ceiling(tag, int(has.sum()), share, interval, gain, total - gain, left))
    return sorted(found, key=lambda one: -one.gain)


def _interval_of(has: np.ndarray, weights: np.ndarray, share: float) -> Interval:
    """The 95 % interval of the share of `weights` (N,) that the rows of a tag (N,) have: Wilson's where all rows weigh the
    same, or where the tag holds for none or all of them, so that drawing them again would tell nothing; else the bootstrap."""
    if not len(weights) or np.ptp(weights) == 0 or has.all() or not has.any():
        return Interval(*wilson_interval(int(has.sum()), len(has)), "Wilson's method")
    drawn = np.random.default_rng(0).integers(len(weights), size=(DRAWS, len(weights)))
    shares = (weights * has)[drawn].sum(axis=1) / np.maximum(weights[drawn].sum(axis=1), 1e-12)
    low, high = (float(one) for one in np.quantile(shares, (0.025, 0.975)))
    return Interval(min(low, share), max(high, share), f"bootstrap, {DRAWS:,} resamples")


def mass_of_mistakes(table: ErrorTable) -> float:
    """The share of the split's error that its mistakes make."""
    return float(table.error[table.mistakes].sum() / table.error.sum()) if table.error.any() else 1.0


def ask_tags(
    sheet: Sheet, answer: Callable[[str], str], say: Callable[[str], None], keep: Callable[[Sheet], None]
) -> Sheet:
    """Asks of each mistake that was not seen yet which tags hold: "1 3", nothing for none, "b" for the one before, "q" to stop.

    answer: prompt -> what was typed; keep: is given the sheet after each answer, so that nothing is lost
    """
    rows = [dict(row) for row in sheet.rows]
    place = 0
    say("  ".join(f"{number} {tag}" for number, tag in enumerate(sheet.tags, 1)) + "  Enter: none  b: back  q: stop")
    while place < len(rows):
        row = rows[place]
        if row.get("seen"):
            place += 1
            continue
        say(f"{place + 1}/{len(rows)}  {row['row']}  {row['origin']}")
        say(f"   given {row['given']}, answered {row['predicted']} {row['certainty']}".rstrip())
        typed = answer("   tags: ").strip().lower()
        if typed == "q":
            break
        if typed == "b":
            place = max(place - 1, 0)
            rows[place]["seen"] = ""
            continue
        numbers = typed.replace(",", " ").split()
        if any(not one.isdecimal() or not 1 <= int(one) <= len(sheet.tags) for one in numbers):
            say(f"   expected numbers from 1 to {len(sheet.tags)}")
            continue
        chosen = {int(one) - 1 for one in numbers}
        rows[place] = row | {tag: "1" if i in chosen else "" for i, tag in enumerate(sheet.tags)} | {"seen": "1"}
        keep(Sheet(sheet.tags, rows))
        place += 1
    return Sheet(sheet.tags, rows)

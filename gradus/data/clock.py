"""Rows in time: their order, the step from one to the next, gaps, and several series in one table.

`in_time` sorts the rows of every split by series and time and finds the usual step; what it changed or found is told in notes.
Rows follow each other where they are of one series and one step apart. What crosses a gap is treated as `Clock.gaps` says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from gradus.data.columns import Column, Label, Number, Time
from gradus.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from gradus.data.dataset import Dataset, Split

Gaps = Literal["error", "interpolate", "leave", "ignore"]
NAMED_STEPS = {1: "second", 60: "minute", 3600: "hour", 86400: "day", 7 * 86400: "week"}
DAY = 86400
SEASONS = {DAY: 7, 7 * DAY: 52}  # steps of a day or longer -> how many make the season that is looked for
MOST_FILLED = 2  # filled rows for each row that there is, above which gaps are not filled


@dataclass(frozen=True, kw_only=True)
class Clock:
    """How the rows of a data set follow each other.

    time:    the column of the times
    series:  the column that tells series apart; empty: all rows are of one
    seconds: from one row to the next; 0 where the step is months
    months:  likewise, where the step is one of the calendar
    gaps:    error: refused; interpolate: the rows that are missing are put in; leave: left, and nothing is learnt across them;
             ignore: rows follow each other however far apart (trading days)
    """

    time: str
    series: str = ""
    seconds: int = 0
    months: int = 0
    gaps: Gaps = "leave"

    def step_words(self) -> str:
        """`hour`, `10 minutes`, `3 months`."""
        if self.months:
            return "month" if self.months == 1 else "year" if self.months == 12 else f"{self.months} months"
        for size, name in sorted(NAMED_STEPS.items(), reverse=True):
            if self.seconds and self.seconds % size == 0:
                return name if self.seconds == size else f"{self.seconds // size} {name}s"
        return "row"

    def each_step(self) -> str:
        """`an hour`, `a day`, `every 10 minutes`."""
        words = self.step_words()
        return f"every {words}" if words[0].isdigit() else f"an {words}" if words == "hour" else f"a {words}"

    def between(self, times: np.ndarray) -> np.ndarray:
        """(N - 1,) float64: how many steps lie between each of times (N,) and the next."""
        if self.months:
            return np.diff(_months(times)) / self.months
        return np.diff(times.astype(np.int64)) / max(self.seconds, 1)

    def after(self, moment: np.datetime64, steps: np.ndarray) -> np.ndarray:
        """The times so many steps after a moment: datetime64[s] (len(steps),)."""
        if self.months:
            month = moment.astype("datetime64[M]")
            into = moment - month.astype("datetime64[s]")
            return (month + steps * self.months).astype("datetime64[s]") + into
        return moment + steps * np.timedelta64(self.seconds, "s")

    def season(self) -> int:
        """Rows that a season lasts: those of a day, a week of days, a year of weeks or months; 0: none is known."""
        if self.months:
            return 12 // self.months if self.months < 12 else 0
        if self.seconds in SEASONS:
            return SEASONS[self.seconds]
        return DAY // self.seconds if 0 < self.seconds < DAY and DAY % self.seconds == 0 else 0


def _months(times: np.ndarray) -> np.ndarray:
    return times.astype("datetime64[M]").astype(np.int64)


def in_time(dataset: Dataset, time: str | None, series: str | None, gaps: Gaps = "leave") -> Dataset:
    """`dataset` with its rows in order of series and time, and its `clock`.

    time: the column of times; None: the one that rows in order have. A data set without times stays as it is.

    Raises `UserError` naming the row for a missing time, two rows of one series and time that differ, and gaps ("error").
    """
    types = dataset.types
    if time is None:
        found = [name for name, kind in types.items() if isinstance(kind, Time)]
        if not dataset.ordered or len(found) != 1:
            if series:
                raise UserError("data.series: tells series in time apart; name the column of times with --time too")
            return dataset
        (time,) = found
    for name, kind, what in ((time, Time, "times"), (series, Label, "classes")):
        if name and not isinstance(types.get(name), kind):
            problem = f"holds no {what}" if name in types else f"is not there{did_you_mean(name, types)}"
            raise UserError(f"{dataset.name}: column '{name}' {problem}; columns: {', '.join(types)}")
    notes: list[str] = []
    splits = {name: _sorted(split, time, series, notes) for name, split in dataset.splits.items()}
    clock = _with_step(Clock(time=time, series=series or "", gaps=gaps), splits["train"])
    notes += _described(splits["train"], clock)
    made = dataset.with_splits(splits, *notes)
    return replace(made, ordered=True, clock=clock)


def rows_in_time(split: Split, clock: Clock) -> Split:
    """Rows that a trained model is asked about, in order. Raises `UserError` as `in_time` does, and for a series it never saw."""
    return _sorted(split, clock.time, clock.series or None, [])


def times_of(split: Split, clock: Clock) -> np.ndarray:
    """(N,) datetime64[s]."""
    return np.asarray(split[clock.time].values)


def series_of(split: Split, clock: Clock) -> np.ndarray:
    """(N,) which series each row is of; 0 where there is one."""
    return np.asarray(split[clock.series].values) if clock.series else np.zeros(len(split), dtype=np.int64)


def follows(split: Split, clock: Clock) -> np.ndarray:
    """(N - 1,) bool: whether each next row follows the row before it."""
    same = np.diff(series_of(split, clock)) == 0
    return same if clock.gaps == "ignore" else same & (clock.between(times_of(split, clock)) == 1)


def _sorted(split: Split, time: str, series: str | None, notes: list[str]) -> Split:
    """The rows by series and time; those that are there twice, once."""
    clock = Clock(time=time, series=series or "")
    times, which = times_of(split, clock), series_of(split, clock)
    if np.isnat(times).any():
        raise UserError(f"column '{time}' is empty in {split.origins[int(np.flatnonzero(np.isnat(times))[0])]}")
    if series and (which < 0).any():
        raise UserError(f"column '{series}' is empty in {split.origins[int(np.flatnonzero(which < 0)[0])]}")
    as_written = np.argsort(which, kind="stable")
    back = (np.diff(times[as_written]) < np.timedelta64(0, "s")) & (np.diff(which[as_written]) == 0)
    order = np.lexsort((times, which))
    if back.any():
        row, before = as_written[np.flatnonzero(back)[0] + 1], as_written[np.flatnonzero(back)[0]]
        jump = (
            f"{split.origins[row]} ({_told(times[row])}) stands behind {split.origins[before]} ({_told(times[before])})"
        )
        notes.append(f"rows were sorted by time: {back.sum():,} went back, the first is {jump}")
    if not np.array_equal(order, np.arange(len(order))):
        split = split.take(order)
    return _without_doubles(split, clock, notes)


def _without_doubles(split: Split, clock: Clock, notes: list[str]) -> Split:
    times, which = times_of(split, clock), series_of(split, clock)
    doubled = np.flatnonzero((np.diff(times) == np.timedelta64(0, "s")) & (np.diff(which) == 0)) + 1
    if not len(doubled):
        return split
    for name, column in split.columns.items():
        for row in doubled.tolist():
            if not _same(column[row - 1], column[row]):
                raise UserError(
                    f"{split.origins[row - 1]} and {split.origins[row]} are both of {_told(times[row])} and differ in column "
                    f"'{name}'; keep one of them"
                    + ("" if clock.series else ", or tell series apart with data.series=COLUMN")
                )
    first = f"{split.origins[int(doubled[0])]} ({_told(times[doubled[0]])})"
    many = (
        f"{len(doubled):,} rows were there twice and are kept once, the first is" if len(doubled) > 1 else "kept once:"
    )
    notes.append(f"{many} {first}" + (" was there twice" if len(doubled) == 1 else ""))
    return split.take(np.setdiff1d(np.arange(len(split)), doubled))


def _same(one: object, other: object) -> bool:
    return bool(np.array_equal(np.asarray(one), np.asarray(other), equal_nan=isinstance(one, float | np.floating)))


def _told(moment: np.datetime64) -> str:
    return Time().to_text(moment)


def _with_step(clock: Clock, split: Split) -> Clock:
    """The clock with the step that is most common."""
    times, same = times_of(split, clock), np.diff(series_of(split, clock)) == 0
    steps = np.diff(times.astype(np.int64))[same]
    if not len(steps):
        raise UserError(f"column '{clock.time}': a series needs two rows or more")
    into_month = times - times.astype("datetime64[M]").astype("datetime64[s]")
    if (into_month == into_month[0]).all() and steps.min() >= 28 * DAY:
        return replace(clock, months=_most_common(np.diff(_months(times))[same]))
    return replace(clock, seconds=_most_common(steps))


def _most_common(values: np.ndarray) -> int:
    distinct, counts = np.unique(values, return_counts=True)
    return int(distinct[counts.argmax()])


def _described(split: Split, clock: Clock) -> list[str]:
    times = times_of(split, clock)
    every = clock.each_step() if clock.step_words()[0].isdigit() else f"one {clock.each_step()}"
    many = len(np.unique(series_of(split, clock)))
    of = f" of {many:,} series" if clock.series else ""
    notes = [f"time: column '{clock.time}', {_told(times.min())} to {_told(times.max())}{of}, {every}"]
    between = clock.between(times)
    gaps = np.flatnonzero((np.diff(series_of(split, clock)) == 0) & (between != 1))
    if not len(gaps):
        return notes
    longest = gaps[np.argmax(between[gaps])]
    where = f"{split.origins[int(longest)]} ({_told(times[longest])}) and the next row ({_told(times[longest + 1])})"
    said = f"{len(gaps):,} gaps in time, the longest" if len(gaps) > 1 else "a gap in time,"
    said = f"{said} between {where}"
    if clock.gaps == "error":
        raise UserError(f"{said}; set data.gaps to leave, interpolate or ignore")
    what = {
        "leave": "windows that cross one are left out",
        "interpolate": "the rows that are missing are interpolated",
        "ignore": "rows are taken to follow each other",
    }[clock.gaps]
    return [*notes, f"{said}: {what} (data.gaps={clock.gaps})"]


def fill_gaps(dataset: Dataset) -> Dataset:
    """Where the clock says so, every split with the rows put in that its gaps lack: numbers on the straight line between the
    rows on both sides, other values those of the row before. Each split by itself, so that none learns of the next."""
    if dataset.clock is None or dataset.clock.gaps != "interpolate":
        return dataset
    clock = dataset.clock
    before = sum(map(len, dataset.splits.values()))
    splits = {name: filled(split, clock) for name, split in dataset.splits.items()}
    added = sum(map(len, splits.values())) - before
    return dataset.with_splits(splits, f"{added:,} rows were interpolated") if added else dataset


def filled(split: Split, clock: Clock) -> Split:
    """One split with its gaps filled. Raises `UserError` where a row lies between two steps, or too much would be put in."""
    times, which = times_of(split, clock), series_of(split, clock)
    between = np.concatenate([[1.0], clock.between(times)])
    first = np.concatenate([[True], np.diff(which) != 0])
    odd = np.flatnonzero((between != np.floor(between)) & ~first)
    if len(odd):
        raise UserError(
            f"{split.origins[int(odd[0])]} ({_told(times[odd[0]])}) lies between two steps of a {clock.step_words()}: "
            "gaps cannot be filled; set data.gaps=leave or ignore"
        )
    counts = np.where(first, 1, between).astype(np.int64)
    places = np.cumsum(counts) - 1  # where each row stands among the filled ones
    total = int(places[-1]) + 1
    if total > (1 + MOST_FILLED) * len(split):
        raise UserError(
            f"data.gaps: {total - len(split):,} rows would be put in where there are {len(split):,}; leave gaps"
        )
    if total == len(split):
        return split
    every = np.arange(total)
    source = np.searchsorted(places, every, side="right") - 1
    made = split.take(source)
    into = every - places[source]
    columns = dict(made.columns)
    for name, column in split.columns.items():
        if isinstance(column.type, Number):
            values = np.interp(every, places, np.asarray(column.values))
            values[places] = np.asarray(column.values)
            columns[name] = Column(column.type, values)
    moments = np.asarray(made[clock.time].values).copy()
    for place in np.flatnonzero(into):
        moments[place] = clock.after(times[source[place]], np.array([into[place]]))[0]
    columns[clock.time] = Column(Time(), moments)
    return replace(made, columns=columns)


def sentinels(values: np.ndarray) -> list[tuple[float, int]]:
    """Values that may stand for missing ones, such as -9999, with how often they occur: all nines at either end of the values,
    farther from the others than these are from each other."""
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    found = []
    for end in (known.min(), known.max()) if len(known) else ():
        rest = known[known != end]
        digits = f"{abs(end):g}".replace(".", "").replace("+", "")
        if len(rest) < 2 or abs(end) < 99 or set(digits) - {"9"}:
            continue
        if min(abs(rest.min() - end), abs(rest.max() - end)) > rest.max() - rest.min():
            found.append((float(end), int((known == end).sum())))
    return found


def without_sentinel(split: Split, value: float) -> Split:
    """`split` with every number that is `value` missing."""
    columns = dict(split.columns)
    for name, column in split.columns.items():
        if isinstance(column.type, Number):
            numbers = np.asarray(column.values, dtype=np.float64)
            columns[name] = Column(column.type, np.where(numbers == value, np.nan, numbers))
    return replace(split, columns=columns)

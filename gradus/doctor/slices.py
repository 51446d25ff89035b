"""Weak slices: groups of rows with more mistakes than the rest, looked for on one half of the rows and confirmed on the other.

What is told of a slice (its error with the interval, its share of all errors) is measured on the half that did not choose
it, so it is not flattered by the search; the chance of a false one is corrected for how many were tried there (Bonferroni).
Of slices that overlap the one that stands out most comes first, and the next ones must hold without its rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gradus.doctor.error_table import ErrorTable
from gradus.doctor.slice_candidates import Slice, candidates
from gradus.errors import unknown_name
from gradus.look.measures import Interval, wilson_interval
from gradus.recipes.run import Run

ROWS = 4_000  # looked at, at most
LEAST = 10  # rows of a slice in each half
SURE = 0.001  # the chance of any false slice among those tried, at most
TRIED = 24  # slices that the first half hands to the second, at most
PAIRED = 16  # slices of which pairs are made
RATIO, GAIN = 1.3, 0.03  # error beyond the rest's, and share of all errors that would go with it: what is worth telling
MOST = 5
CONFUSION = {"of class", "answered as"}  # the two together name a mistake, so all of such rows are mistakes


@dataclass(frozen=True)
class WeakSlice:
    """A slice that holds on rows that did not choose it.

    size:     share of all rows; rows: their numbers in the split, of those looked at
    error, interval, rest: the mean error within and its 95 % interval, and that of all other rows
    share:    of all errors, those within it: the ceiling of what fixing it entirely can give
    gain:     of all errors, those that would go if it were as good as the rest
    These five are of the second half.
    chance:   the probability of such a difference where there is none, corrected for the number tried
    """

    about: str
    size: float
    rows: np.ndarray
    error: float
    interval: Interval
    rest: float
    share: float
    gain: float
    chance: float


def weak_slices(run: Run, table: ErrorTable, seed: int = 0) -> list[WeakSlice]:
    """The slices of a run's split that have more mistakes than the rest, those that stand out most first; at most five."""
    if len(table) < 4 * LEAST or not table.error.any():
        return []
    rows, groups = groups_of(run, table, seed)
    return confirmed(groups, table, rows, seed)


def groups_of(run: Run, table: ErrorTable, seed: int = 0) -> tuple[np.ndarray, list[Slice]]:
    """The numbers of the rows that are looked at, 4,000 at most, drawn by the seed; and all groups of them."""
    rows = np.arange(len(table))
    if len(rows) > ROWS:
        rows = np.sort(np.random.default_rng(seed).permutation(len(rows))[:ROWS])
    return rows, candidates(run, table, rows)


def group_named(about: str, groups: list[Slice]) -> Slice:
    """The group, or the pair of groups, of this name. Raises `UserError` naming the nearest."""
    known = {one.about: one for one in groups}
    if about in known:
        return known[about]
    parts = about.split(" and ")
    for place in range(1, len(parts)):
        pair = " and ".join(parts[:place]), " and ".join(parts[place:])
        if pair[0] in known and pair[1] in known:
            return known[pair[0]] & known[pair[1]]
    raise unknown_name("slice", about, known)


def confirmed(groups: list[Slice], table: ErrorTable, rows: np.ndarray, seed: int = 0) -> list[WeakSlice]:
    """Those of `groups` (masks over `rows`) that hold. The halves are drawn by the seed."""
    error = table.error[rows]
    first = np.zeros(len(rows), dtype=bool)
    first[np.random.default_rng(seed + 1).permutation(len(rows))[: len(rows) // 2]] = True
    singles = _promising(groups, error, first)
    pairs = [
        one & other
        for place, one in enumerate(singles[:PAIRED])
        for other in singles[place + 1 : PAIRED]
        if one.family != other.family and {one.family, other.family} != CONFUSION
    ]
    tried = _promising([*singles, *pairs], error, first)[:TRIED]
    left, found = np.ones(len(rows), dtype=bool), list[WeakSlice]()
    while len(found) < MOST:
        best: tuple[float, Slice, float] | None = None
        for one in tried:
            inside, outside = ~first & left & one.rows, ~first & left & ~one.rows
            chance = len(tried) * chance_of(error[inside], error[outside], table.wrong is not None)
            worth = _contrast(error, inside, outside)
            if chance < SURE and (best is None or worth > best[0]):
                best = worth, one, chance
        if best is None:
            return found
        found.append(_measured(best[1], table, rows, first, best[2]))
        left &= ~best[1].rows
        tried = [one for one in tried if one is not best[1]]
    return found


def chance_of(inside: np.ndarray, outside: np.ndarray, shares: bool) -> float:
    """The one-sided probability of errors as large within as these where both are of one source: Fisher's exact test for right
    and wrong, else Mann and Whitney's. 1 where a side is too small, or the difference is too small to matter."""
    from scipy.stats import hypergeom, mannwhitneyu

    if min(len(inside), len(outside)) < LEAST or inside.mean() < RATIO * outside.mean():
        return 1.0
    if shares:
        wrong = int(inside.sum() + outside.sum())
        return float(hypergeom.sf(inside.sum() - 1, len(inside) + len(outside), wrong, len(inside)))
    return float(mannwhitneyu(inside, outside, alternative="greater").pvalue)


def _promising(groups: list[Slice], error: np.ndarray, first: np.ndarray) -> list[Slice]:
    """Groups that are worse than the rest on the first half, those that stand out most first."""
    kept: list[tuple[float, Slice]] = []
    for one in groups:
        inside, outside = first & one.rows, first & ~one.rows
        if min(inside.sum(), outside.sum()) < LEAST or error[inside].mean() < RATIO * error[outside].mean():
            continue
        spread = error[first].std() * np.sqrt(1 / inside.sum() + 1 / outside.sum())
        beyond = error[inside].mean() - error[outside].mean() > 2 * spread
        if beyond and _excess(error, inside, outside) > GAIN * error[first].sum():
            kept.append((_contrast(error, inside, outside), one))
    return [one for _, one in sorted(kept, key=lambda pair: -pair[0])]


def _contrast(error: np.ndarray, inside: np.ndarray, outside: np.ndarray) -> float:
    """How far a group stands out: the difference to the rest times the root of its rows. A larger group with a smaller difference
    and a smaller one with a larger difference are then as surely worse; the number of errors alone would favour the larger."""
    if not inside.any() or not outside.any():
        return 0.0
    return float(math.sqrt(inside.sum()) * (error[inside].mean() - error[outside].mean()))


def _excess(error: np.ndarray, inside: np.ndarray, outside: np.ndarray) -> float:
    """The errors within beyond what as many rows of the rest would have."""
    if not inside.any() or not outside.any():
        return 0.0
    return float(inside.sum() * (error[inside].mean() - error[outside].mean()))


def _measured(one: Slice, table: ErrorTable, rows: np.ndarray, first: np.ndarray, chance: float) -> WeakSlice:
    error = table.error[rows]
    inside, outside = ~first & one.rows, ~first & ~one.rows
    return WeakSlice(
        about=one.about,
        size=float(one.rows.mean()),
        rows=rows[one.rows],
        error=float(error[inside].mean()),
        interval=interval_of(error[inside], table.wrong is not None),
        rest=float(error[outside].mean()),
        share=float(error[inside].sum() / error[~first].sum()),
        gain=float(max(_excess(error, inside, outside), 0.0) / error[~first].sum()),
        chance=chance,
    )


def interval_of(error: np.ndarray, shares: bool) -> Interval:
    """The 95 % interval of a mean error: Wilson's for right and wrong, else of 1,000 bootstrap means."""
    if shares:
        return Interval(*wilson_interval(round(float(error.sum())), len(error)), "Wilson's method")
    drawn = np.random.default_rng(0).integers(len(error), size=(1_000, len(error)))
    low, high = np.quantile(error[drawn].mean(axis=1), (0.025, 0.975))
    return Interval(float(low), float(high), "bootstrap, 1,000 resamples")

"""Rows that are copies of nothing: how many equal or almost equal rows must be expected by chance.

Each value of a made-up row is that of another row which is alike in this column: of the same class, or in the same tenth of
the numbers. So categories, rounded and missing values are as frequent as in the data, and columns go together nearly as they do
there, but what only a copy has, all values together, is lost (permutations within strata: Good 2005, Permutation, Parametric
and Bootstrap Tests of Hypotheses, chapter 3). A made-up row is held against all rows but the one that it is made of and those
that it has its values from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from gradus.data.columns import Column, Label, Number

PARTS, LEAST_IN_PART = 10, 20  # of the numbers of a column, rows in each
MOST, LEAST = 1_500, 1_500  # rows that are made of in one go, rows made in all


class MadeUp(NamedTuple):
    """sources: column -> (R,) the row that each made-up row has its value from
    kin: (R, K) the rows that it is not held against
    """

    sources: dict[str, np.ndarray]
    kin: np.ndarray


def made_up(columns: Mapping[str, Column], rows: np.ndarray) -> Iterator[MadeUp]:
    """Rows made of `rows` (N,), numbers of rows of `columns`; several times, so that there are at least `LEAST`."""
    random = np.random.default_rng(0)
    for _ in range(-(-LEAST // min(len(rows), MOST))):
        taken = random.permutation(rows)[:MOST]
        sources = {name: _exchanged(_parts(column, taken), taken, random) for name, column in columns.items()}
        yield MadeUp(sources, np.stack([taken, *sources.values()], axis=1))


def _exchanged(parts: np.ndarray, rows: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """(R,) the rows in another order, in which each row's place is taken by one of its own part."""
    found = np.empty_like(rows)
    found[np.argsort(parts, kind="stable")] = rows[np.lexsort((random.random(len(rows)), parts))]
    return found


def _parts(column: Column, rows: np.ndarray) -> np.ndarray:
    """(R,) which rows are alike in a column: classes, parts of the numbers with about as many rows each; of others all rows."""
    if not isinstance(column.type, Label | Number):
        return np.zeros(len(rows), dtype=np.int64)
    values = np.asarray(column.values)[rows]
    if isinstance(column.type, Label):
        return values.astype(np.int64)
    known = np.isfinite(values)
    count = max(1, min(PARTS, len(rows) // LEAST_IN_PART))
    edges = np.unique(values[known])
    if len(edges) > count:
        edges = np.quantile(values[known], np.arange(1, count) / count)
    # frequent values are edges, and parts of their own
    places = np.searchsorted(edges, values, side="left") + np.searchsorted(edges, values, side="right")
    return np.where(known, places, -1)

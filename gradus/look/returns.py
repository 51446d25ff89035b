"""Learning curves of several runs in one picture: the mean of those that differ in nothing but the seed, with a band."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gradus.look.charts import SERIES, short_number
from gradus.look.picture import INK, LINE, write_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Curves:
    """What was measured in R runs of one kind.

    name:   what they have in common
    places: (R) arrays, each rising: the environment steps (or the epochs) of the measurements of one run
    values: (R) arrays, each as long as its places
    """

    name: str
    places: Sequence[np.ndarray]
    values: Sequence[np.ndarray]


def together(curves: Curves, points: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """places (P,) and values (R, P): all runs at the same places, between their measurements by a straight line; as far as the
    shortest of them reaches. Runs that were measured at the same places are taken there."""
    first = curves.places[0]
    if all(len(places) == len(first) and (places == first).all() for places in curves.places):
        return first.astype(np.float64), np.array(curves.values, np.float64)
    start = max(float(places[0]) for places in curves.places)
    end = min(float(places[-1]) for places in curves.places)
    shared = np.linspace(start, max(start, end), points)
    rows = [np.interp(shared, places, values) for places, values in zip(curves.places, curves.values, strict=True)]
    return shared, np.array(rows)


def draw_returns(path: Path, groups: Sequence[Curves], *, metric: str, across: str, goal: float | None = None) -> None:
    """Each group's mean, with a band from its lowest to its highest run and, of three runs or more, one of a deviation within.

    goal: a value that is drawn as a line
    """
    from gradus.look.charts import ROLES

    shown = dict(ROLES.values())

    def paint(figure: Figure) -> None:
        from matplotlib.ticker import FuncFormatter

        plot = figure.add_subplot()
        for index, curves in enumerate(groups):
            colour = shown[list(SERIES.values())[index % len(SERIES)]]
            places, values = together(curves)
            mean = values.mean(axis=0)
            if len(values) > 1:
                plot.fill_between(places, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.12, linewidth=0)
            if len(values) > 2:
                spread = values.std(axis=0, ddof=1)
                low, high = (
                    np.maximum(mean - spread, values.min(axis=0)),
                    np.minimum(mean + spread, values.max(axis=0)),
                )
                plot.fill_between(places, low, high, color=colour, alpha=0.18, linewidth=0)
            many = f", mean of {len(values)} seeds" if len(values) > 1 else ""
            plot.plot(places, mean, color=colour, marker="o" if len(places) < 3 else None, label=f"{curves.name}{many}")
        if goal is not None:
            plot.axhline(goal, color=INK, linewidth=1, linestyle=(0, (3, 3)))
        plot.xaxis.set_major_formatter(FuncFormatter(short_number))
        plot.set(xlabel=across, ylabel=metric)
        plot.legend(loc="best", frameon=True, facecolor="white", edgecolor=LINE, framealpha=0.8, labelcolor=INK)

    write_picture(path, (7.0, 4.4), paint)

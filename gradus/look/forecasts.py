"""Drawings of series in time: what was measured, what was foretold, and the bands of quantile forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gradus.look.charts import short_number
from gradus.look.picture import INK, MODEL, MUTED, write_picture
from gradus.look.text import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 8
MOST_POINTS = 4_000  # of a line; a longer one is drawn as the least and the largest of each stretch


@dataclass(frozen=True)
class Ahead:
    """A forecast to be drawn behind what is known: times and values of the past (T,), then of what is foretold (steps,), and its
    lower and upper quantile, or None. Without times these are numbers of rows."""

    name: str
    times: np.ndarray
    known: np.ndarray
    ahead: np.ndarray
    foretold: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None


def draw_forecasts(path: Path, forecasts: Sequence[Ahead], band: str = "") -> None:
    """A PNG with a panel for each forecast, at most eight."""
    shown = list(forecasts)[:MOST_PANELS]

    def paint(figure: Figure) -> None:
        for axes, one in zip(figure.subplots(len(shown), 1, squeeze=False).flat, shown, strict=True):
            axes.plot(one.times, one.known, color=INK, linewidth=1.2, label="measured")
            if one.low is not None and one.high is not None:
                if len(one.ahead) == 1:
                    reach = [[one.foretold[0] - one.low[0]], [one.high[0] - one.foretold[0]]]
                    axes.errorbar(one.ahead, one.foretold, yerr=reach, color=MODEL, capsize=3, alpha=0.6, label=band)
                else:
                    axes.fill_between(one.ahead, one.low, one.high, color=MODEL, alpha=0.18, linewidth=0, label=band)
            marker = "o" if len(one.ahead) < 60 else None
            axes.plot(one.ahead, one.foretold, color=MODEL, marker=marker, markersize=3.2, label="foretold")
            axes.set_title(clean(one.name), loc="left")
            axes.legend(loc="best", frameon=False, labelcolor=INK)
            time_axis(axes, one.times)
            axes.yaxis.set_major_formatter(short_number)

    write_picture(path, (8.0, 1.0 + 2.6 * len(shown)), paint)


def draw_series(path: Path, names: Sequence[str], times: np.ndarray, values: np.ndarray, first: int) -> None:
    """A PNG of each series as a whole, and of its first `first` rows beside that. values (T, K)."""
    shown = list(names)[:MOST_PANELS]

    def paint(figure: Figure) -> None:
        panels = figure.subplots(len(shown), 2, squeeze=False, width_ratios=(2, 1))
        for place, name in enumerate(shown):
            for axes, rows in zip(panels[place], (slice(None), slice(first)), strict=True):
                axes.plot(*thinned(times[rows], values[rows, place]), color=MODEL, linewidth=0.8)
                time_axis(axes, times[rows])
                axes.yaxis.set_major_formatter(short_number)
            panels[place][0].set_title(clean(name), loc="left")
            panels[place][1].set_title(f"the first {first:,} rows", loc="left", color=MUTED)

    write_picture(path, (10.0, 0.6 + 2.2 * len(shown)), paint)


def thinned(times: np.ndarray, values: np.ndarray, most: int = MOST_POINTS) -> tuple[np.ndarray, np.ndarray]:
    """A line of at most about `most` points that looks the same: of each stretch the least and the largest value, in time."""
    size = -(-2 * len(values) // most)
    if size <= 2:
        return times, values
    kept = []
    for start in range(0, len(values), size):
        part = values[start : start + size]
        if np.isfinite(part).any():
            kept += sorted({start + int(np.nanargmin(part)), start + int(np.nanargmax(part))})
        else:
            kept.append(start)
    return times[kept], values[kept]


def time_axis(axes: Axes, times: np.ndarray) -> None:
    """Few, short dates; plain numbers where the rows have no time."""
    if not np.issubdtype(times.dtype, np.datetime64):
        axes.set_xlabel("row")
        return
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3, maxticks=6)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))

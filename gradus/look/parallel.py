"""Parallel coordinates: one axis a varied setting, one for the metric, one line a trial."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gradus.look.picture import INK, LINE, MUTED, PAGE, SECOND, write_picture
from gradus.look.text import brief, clean, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FAILED_AT = -0.14  # height of the mark for trials without a result, below the axes
APART = 0.004
FAR = 3.0  # the metric's axis ends where a trial is so many times as far from the best as the median is


@dataclass(frozen=True)
class Axis:
    """A setting. ticks: (position 0..1, what to write there); scale: told below its name."""

    name: str
    ticks: list[tuple[float, str]]
    scale: str


@dataclass(frozen=True)
class Line:
    """A trial. positions: 0..1 on each axis; value: of the metric, or None; state: complete, pruned, diverged, ..."""

    positions: list[float]
    value: float | None
    state: str


def draw_parallel(path: Path, axes: Sequence[Axis], lines: Sequence[Line], *, metric: str, direction: str) -> None:
    """Writes the picture. direction: "max" or "min"; the better end of the metric's axis is at the top.

    Colour is the rank, the better the darker, and the best trial is orange; dashed lines were stopped early; grey dotted lines
    that end in a cross below the metric's axis have no result.
    """
    width = min(max(2.2 * (len(axes) + 1), 6.0), 22.0)
    write_picture(
        path, (width, 4.6 if len(axes) < 6 else 6.0), lambda figure: _paint(figure, axes, lines, metric, direction)
    )


def metric_span(values: np.ndarray, direction: str) -> tuple[float, float]:
    """(worst, best) of the metric's axis: of a few very bad trials the axis keeps no notice, or it would show nothing else."""
    best, worst = (values.max(), values.min()) if direction == "max" else (values.min(), values.max())
    limit = best + FAR * (np.median(values) - best)
    if abs(worst - best) > abs(limit - best) > 0:
        worst = limit
    if worst == best:
        worst = best - (1 if direction == "max" else -1) * max(abs(best) * 0.05, 1e-6)
    return float(worst), float(best)


def _paint(figure: Figure, axes: Sequence[Axis], lines: Sequence[Line], metric: str, direction: str) -> None:
    from matplotlib import colormaps

    plot = figure.add_subplot()
    values = np.array([line.value for line in lines if line.value is not None and math.isfinite(line.value)])
    worst, best = metric_span(values, direction) if len(values) else (0.0, 1.0)
    last = len(axes)
    colours: Any = colormaps["viridis"].reversed()  # the worst are bright, the best dark
    complete = [line.value for line in lines if line.state == "complete" and line.value is not None]
    places = _spread(np.array([line.positions for line in lines]).reshape(len(lines), last))
    champion = (max(complete) if direction == "max" else min(complete)) if complete else None
    shown = False
    ranks = _ranks(lines, direction)
    for index in sorted(range(len(lines)), key=lambda index: ranks[index]):  # the better lie on top
        line, positions, rank = lines[index], places[index], ranks[index]
        height = None if line.value is None else min(max((line.value - worst) / (best - worst), 0.0), 1.0)
        x = np.arange(last + 1)
        y = np.array([*positions, FAILED_AT if height is None else height])
        if height is None:
            plot.plot(x, y, color=MUTED, linewidth=1, alpha=0.6, linestyle=(0, (1, 2)))
            plot.plot(last, FAILED_AT, "x", color=INK, markersize=6, clip_on=False)
        elif line.value == champion and line.state == "complete" and not shown:
            shown = True
            plot.plot(x, y, color=PAGE, linewidth=6, zorder=4)
            plot.plot(x, y, "o-", color=SECOND, linewidth=3, markersize=6, zorder=5)
        else:
            style: Any = (0, (3, 2)) if line.state == "pruned" else "-"
            plot.plot(x, y, color=colours(0.95 * rank), linewidth=1.6, alpha=0.35 + 0.6 * rank, linestyle=style)
    for place, axis in enumerate(axes):
        _vertical(plot, place, axis.name, axis.scale, axis.ticks)
    better = "higher is better" if direction == "max" else "lower is better"
    _vertical(plot, last, metric, better, _metric_ticks(values, worst, best, direction))
    failed = sum(line.value is None for line in lines)
    if failed:
        plot.annotate(
            f"{failed} without a result", (last, FAILED_AT), (9, 0), textcoords="offset points", va="center",
            color=INK, annotation_clip=False,
        )  # fmt: skip
    plot.set(xlim=(-0.15, last + 0.75), ylim=((FAILED_AT if failed else 0) - 0.04, 1.2))
    plot.axis("off")


def _ranks(lines: Sequence[Line], direction: str) -> list[float]:
    """0 for the worst to 1 for the best; below 0 for those without a result. Values alone would colour most lines alike."""
    sign = 1 if direction == "max" else -1
    known = sorted(sign * line.value for line in lines if line.value is not None)
    places = {value: place / max(len(known) - 1, 1) for place, value in enumerate(known)}
    return [-1.0 if line.value is None else places[sign * line.value] for line in lines]


def _spread(places: np.ndarray) -> np.ndarray:
    """(lines, axes) positions, in which lines that meet in one point of an axis lie a little apart, so that all are seen."""
    spread = places.copy()
    for column in range(places.shape[1]):
        for value in np.unique(places[:, column]):
            same = np.flatnonzero(places[:, column] == value)
            reach = min(APART * (len(same) - 1), 0.03)
            spread[same, column] = value + np.linspace(-reach, reach, len(same)) if len(same) > 1 else value
    return spread


def _metric_ticks(values: np.ndarray, worst: float, best: float, direction: str) -> list[tuple[float, str]]:
    if not len(values):
        return []
    cut = values.min() < worst if direction == "max" else values.max() > worst
    ticks = [(step / 4, number(worst + step / 4 * (best - worst), 4)) for step in range(5)]
    if cut:
        ticks[0] = (0.0, ticks[0][1] + " or worse")
    return ticks


def _vertical(plot: Axes, place: int, name: str, note: str, ticks: Sequence[tuple[float, str]]) -> None:
    """An axis at x = `place`, its name and note above it, its ticks beside it on white so that lines do not hide them."""
    plot.plot([place, place], [0, 1], color=MUTED, linewidth=1.2, zorder=3)
    plot.text(place, 1.12, brief(clean(name), 26), ha="center", va="bottom", color=INK, fontweight="bold")
    plot.text(place, 1.05, note.replace("_", " "), ha="center", va="bottom", color=MUTED, fontsize=9)
    for position, text in ticks:
        if -0.01 <= position <= 1.01:
            plot.plot([place - 0.02, place + 0.02], [position, position], color=MUTED, linewidth=1.2, zorder=6)
            plot.text(
                place + 0.04, position, brief(clean(text), 16), ha="left", va="center", color=INK, fontsize=9, zorder=7,
                bbox={"facecolor": PAGE, "edgecolor": LINE, "linewidth": 0.4, "alpha": 0.85, "pad": 1.2},
            )  # fmt: skip

"""What several lessons draw on a plane: the regions of a classifier, points of two classes, contour lines with a path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gradus.look.charts import INK, MODEL, SECOND

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLASS_COLOURS = (SECOND, MODEL)  # class 0, class 1
Range = tuple[float, float]


def grid(across: Range, up: Range, count: int = 160) -> np.ndarray:
    """(count * count, 2) points of a rectangle, row by row from below."""
    x, y = np.meshgrid(np.linspace(*across, count), np.linspace(*up, count))
    return np.stack([x.ravel(), y.ravel()], axis=1)


def regions(
    axes: Axes,
    score: Callable[[np.ndarray], np.ndarray],
    across: Range,
    up: Range,
    level: float = 0.5,
    count: int = 160,
) -> None:
    """Colours the plane by class: where score(points (N, 2)) -> (N,) exceeds `level` it is class 1. The border is a line."""
    values = np.asarray(score(grid(across, up, count)), dtype=np.float64).reshape(count, count)
    x, y = np.linspace(*across, count), np.linspace(*up, count)
    low, high = min(values.min(), level) - 1, max(values.max(), level) + 1
    axes.contourf(x, y, values, levels=[low, level, high], colors=list(CLASS_COLOURS), alpha=0.16)
    if values.min() < level < values.max():
        axes.contour(x, y, values, levels=[level], colors=[INK], linewidths=1)
    axes.grid(visible=False)


def dots(axes: Axes, points: np.ndarray, classes: np.ndarray, size: float = 4) -> None:
    """points (N, 2) in the colours of their classes (N,), 0 or 1."""
    for label, colour in enumerate(CLASS_COLOURS):
        chosen = points[np.asarray(classes) == label]
        axes.plot(chosen[:, 0], chosen[:, 1], "o", color=colour, markersize=size, markeredgewidth=0, alpha=0.85)


def contours(axes: Axes, function: Callable, across: Range, up: Range, levels: int | Sequence[float] = 12) -> None:
    """Lines of equal height of function(x, y), which takes arrays."""
    x, y = np.meshgrid(np.linspace(*across, 121), np.linspace(*up, 121))
    axes.contour(x, y, function(x, y), levels=levels, colors=[INK], linewidths=0.6, alpha=0.45)
    axes.grid(visible=False)

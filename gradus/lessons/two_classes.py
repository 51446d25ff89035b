"""Points of two classes in the plane, and the picture of what a classifier says about them. Not a lesson."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from gradus.look.charts import INK, MODEL, SECOND

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def circles(rows: int, seed: int, noise: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """Two rings, one inside the other: points (N, 2), labels (N,) of 0 (outside) and 1 (inside)."""
    from sklearn.datasets import make_circles

    points, labels = make_circles(rows, noise=noise, random_state=seed)
    return points, labels


def moons(rows: int, seed: int, noise: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """Two half-moons that reach into each other: points (N, 2), labels (N,) of 0 and 1."""
    from sklearn.datasets import make_moons

    points, labels = make_moons(rows, noise=noise, random_state=seed)
    return points, labels


def draw_classes(
    axes: Axes,
    points: np.ndarray,
    labels: np.ndarray,
    logit: Callable[[np.ndarray], np.ndarray] | None = None,
    *,
    title: str = "",
) -> None:
    """Points in two colours (0 "second", 1 "model"); behind them the side that `logit` ((N, 2) -> (N,)) puts them on."""
    low, high = points.min(axis=0) - 0.3, points.max(axis=0) + 0.3
    if logit is not None:
        x, y = np.meshgrid(np.linspace(low[0], high[0], 90), np.linspace(low[1], high[1], 90))
        side = logit(np.column_stack([x.ravel(), y.ravel()])).reshape(x.shape)
        axes.contourf(x, y, side > 0, levels=[-0.5, 0.5, 1.5], colors=[SECOND, MODEL], alpha=0.14)
        if side.min() < 0 < side.max():
            axes.contour(x, y, side, levels=[0], colors=[INK], linewidths=1)
    for value, colour in ((0, SECOND), (1, MODEL)):
        axes.plot(*points[labels == value].T, "o", color=colour, markersize=2.6, markeredgewidth=0, alpha=0.8)
    axes.set(xticks=[], yticks=[], xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    if title:
        axes.set_title(title, fontsize=10.5)

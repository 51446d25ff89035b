"""The picture of K-fold validation: the mean curve of the models by epoch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gradus.look.picture import INK, MODEL, SECOND, write_picture
from gradus.look.text import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def smooth(values: np.ndarray, factor: float) -> np.ndarray:
    """Each value as factor * the one before, smoothed, + (1 - factor) * itself; the first as it is. (N,) -> (N,)."""
    smoothed = np.array(values, dtype=np.float64)
    for index in range(1, len(smoothed)):
        smoothed[index] = factor * smoothed[index - 1] + (1 - factor) * smoothed[index]
    return smoothed


def draw_spread(
    path: Path,
    mean: np.ndarray,
    deviation: np.ndarray,
    *,
    title: str,
    metric: str,
    direction: str,
    smoothing: float,
    left_out: int = 0,
) -> None:
    """Mean (N,) by epoch with a band of one deviation, and the smoothed mean with its best epoch marked.

    left_out: epochs at the start that are not drawn, since their values are far from all others
    """

    def paint(figure: Figure) -> None:
        from matplotlib.ticker import MaxNLocator

        plot = figure.add_subplot()
        epochs = np.arange(left_out + 1, len(mean) + 1)
        shown, spread = mean[left_out:], deviation[left_out:]
        plot.fill_between(epochs, shown - spread, shown + spread, color=MODEL, alpha=0.12, linewidth=0)
        plot.plot(epochs, shown, color=MODEL, alpha=0.45, linewidth=1, label="mean of the models, ± one deviation")
        smoothed = smooth(shown, smoothing)
        plot.plot(epochs, smoothed, color=MODEL, linewidth=2.2, label=f"smoothed ({smoothing:g})")
        best = int(smoothed.argmax() if direction == "max" else smoothed.argmin())
        label = f"best smoothed: {number(float(smoothed[best]), 4)} at epoch {epochs[best]}"
        plot.plot([epochs[best]], [smoothed[best]], "o", color=SECOND, markersize=8, label=label)
        middle, low, high = np.median(shown), (shown - spread).min(), (shown + spread).max()
        reach = 3 * max(float(np.quantile(abs(shown - middle), 0.9)), float(np.median(spread)), 1e-12)
        plot.set_ylim(max(low, middle - reach), min(high, middle + reach))
        plot.xaxis.set_major_locator(MaxNLocator(integer=True))
        plot.set(xlabel="epoch", ylabel=metric, title=title)
        plot.legend(loc="best", frameon=False, labelcolor=INK)

    write_picture(path, (7.0, 4.4), paint)

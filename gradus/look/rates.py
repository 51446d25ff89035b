"""The picture of a learning-rate range test."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gradus.look.picture import INK, MODEL, MUTED, SECOND, write_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_rates(
    path: Path, rates: np.ndarray, losses: np.ndarray, smoothed: np.ndarray, *, suggestion: float | None, own: float
) -> None:
    """Raw and smoothed loss against the learning rate, with the suggestion and the recipe's own rate marked. Arrays (S,)."""

    def paint(figure: Figure) -> None:
        from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

        plot = figure.add_subplot()
        plot.plot(rates, losses, color=MODEL, alpha=0.3, linewidth=1, label="loss of each step")
        plot.plot(rates, smoothed, color=MODEL, linewidth=2.2, label="smoothed")
        plot.set_xscale("log")
        plot.xaxis.set_major_locator(LogLocator(numticks=12))
        plot.xaxis.set_minor_locator(NullLocator())
        plot.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:g}"))
        low, high = float(smoothed.min()), float(np.quantile(smoothed, 0.98))
        reach = max(high - low, 1e-9)
        top = min(float(losses.max()), high + 0.6 * reach)
        plot.set_ylim(max(float(losses.min()), low - 0.5 * reach) - 0.05 * reach, top + 0.05 * reach)
        plot.set(xlabel="learning rate", ylabel="training loss")
        if rates[0] <= own <= rates[-1]:
            plot.axvline(own, color=MUTED, linewidth=1.2, linestyle=(0, (3, 3)), label=f"the recipe's: {own:g}")
        if suggestion is not None:
            height = float(np.interp(np.log(suggestion), np.log(rates), smoothed))
            plot.axvline(suggestion, color=SECOND, linewidth=1.6)
            plot.plot([suggestion], [height], "o", color=SECOND, markersize=8, label=f"suggestion: {suggestion:g}")
        plot.legend(loc="best", frameon=False, labelcolor=INK)

    write_picture(path, (7.0, 4.4), paint)

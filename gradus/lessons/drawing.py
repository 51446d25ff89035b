"""What several lessons draw: photographs, fields of signed numbers, tables of numbers in cells."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gradus.look.charts import INK, MODEL, MUTED, TEXT_SIZE, short_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

LUMINANCE = np.array([0.299, 0.587, 0.114])  # how bright red, green and blue look to the eye (ITU-R BT.601)


def photograph(name: str, height: int) -> np.ndarray:
    """One of the two photographs that scikit-learn ships, "china" or "flower". (height, width, 3), values 0..1."""
    from gradus.data.images import resize

    whole = _whole_photograph(name)
    return resize(whole, (height, round(height * whole.shape[1] / whole.shape[0]))) / 255.0


@functools.cache
def _whole_photograph(name: str) -> np.ndarray:
    from sklearn.datasets import load_sample_image

    return np.ascontiguousarray(load_sample_image(f"{name}.jpg"))


def grey(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) -> (H, W)."""
    return picture @ LUMINANCE


def bare(axes: Axes, title: str = "") -> None:
    """Axes without ticks, grid and frame, under a title."""
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    if title:
        axes.set_title(title, fontsize=TEXT_SIZE, color=INK)


def paint_picture(axes: Axes, picture: np.ndarray, title: str = "", *, smooth: bool = False) -> None:
    """A picture of values 0..1: (H, W, 3) or grey (H, W)."""
    axes.imshow(np.clip(picture, 0, 1), cmap="gray", vmin=0, vmax=1, interpolation="bilinear" if smooth else "nearest")
    bare(axes, title)


def paint_field(axes: Axes, field: np.ndarray, title: str = "", *, signed: bool = True) -> None:
    """Numbers as colours: signed ones from blue over white (0) to red, others from white (0) to dark blue."""
    largest = float(np.abs(field).max()) or 1.0
    axes.imshow(field, cmap="RdBu_r" if signed else "Blues", vmin=-largest if signed else 0, vmax=largest)
    bare(axes, title)


def paint_cells(
    axes: Axes,
    table: np.ndarray,
    title: str = "",
    *,
    marked: Iterable[tuple[int, int, int, int]] = (),
    colour: str = MODEL,
    shade: bool = False,
    decimals: int = 0,
    labels: tuple[Sequence[str], Sequence[str]] | None = None,
    least: float = 0.0,
    square: bool = True,
    text_size: float = TEXT_SIZE,
) -> None:
    """A small table of numbers, a cell each. The ground is a role's colour, so that the numbers can be read in dark pages too.

    marked: windows (first row, first column, rows, columns) that get a thick frame; shade: larger numbers on a deeper ground;
    labels: names of the rows and of the columns; least: smaller numbers are not written, nor shaded
    """
    from matplotlib.patches import Rectangle

    rows, columns = table.shape
    lowest = max(float(table.min()), least) if least else float(table.min())
    ground = np.maximum(table - lowest, 0) if shade else np.zeros_like(table)
    ground = ground / (ground.max() or 1.0)
    for (row, column), value in np.ndenumerate(table):
        axes.add_patch(Rectangle((column, row), 1, 1, facecolor=colour, alpha=0.5 * float(ground[row, column]), lw=0))
        axes.add_patch(Rectangle((column, row), 1, 1, fill=False, edgecolor=MUTED, lw=0.5))
        written = f"{round(float(value), decimals) + 0.0:.{decimals}f}".replace("-", "−")  # + 0.0: no −0
        if abs(value) >= least:
            axes.text(column + 0.5, row + 0.5, written, ha="center", va="center", fontsize=text_size, color=INK)
    for row, column, height, width in marked:
        axes.add_patch(Rectangle((column, row), width, height, fill=False, edgecolor=colour, lw=2.4, zorder=3))
    axes.set(xlim=(-0.1, columns + 0.1), ylim=(rows + 0.1, -0.1), aspect="equal" if square else "auto")
    bare(axes, title)
    if labels:
        axes.set_yticks(np.arange(rows) + 0.5, labels[0])
        axes.set_xticks(np.arange(columns) + 0.5, labels[1])
        axes.tick_params(labelcolor=INK)


def log_ticks(*every: Axis) -> None:
    """Powers of ten on logarithmic axes as plain text: drawings set no formulas."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    for axis in every:
        axis.set_major_locator(LogLocator(numticks=5))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(short_number))

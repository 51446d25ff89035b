"""Figures as SVG to stand inside a page: one place for their size, fonts and colours.

Drawn by matplotlib (never through pyplot, which keeps figures alive in a global), then rewritten so that the
page rules:

- colours become CSS variables with the light theme's value as a fallback, so one drawing serves light, dark and print;
- text stays text in the page's own font, so the browser supplies Chinese and other glyphs;
- ids carry the figure's name, so that several drawings in one page do not take each other's clip paths.

Figures are small (4.4 x 3 inches): shown at the width of a phone, their text is as large as the page's small print.
Names from the user's data belong into the HTML around a figure, where they can wrap, not into the drawing.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np

from gradus.look.measures import Calibration
from gradus.look.page import Html, to_html
from gradus.look.text import clean, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (4.4, 3.0)  # inches
TEXT_SIZE = 10.5  # points; 316.8 points fill the width of a phone, so about 11 pixels there
POINTS = 1000  # the most points one scatter plot draws: more make the file large and the plot no clearer

# Each colour drawn stands for a role. matplotlib only takes colours, so a role travels as a colour nobody would choose.
ROLES = {
    "ink": ("#010203", "#1d1d1f"),
    "muted": ("#010204", "#6a6a70"),
    "line": ("#010205", "#dedcd6"),
    "model": ("#010206", "#1f6feb"),
    "second": ("#010207", "#c2571a"),
    "page": ("#010208", "#ffffff"),
    "third": ("#010209", "#1b7a43"),
    "fourth": ("#01020a", "#8a3ffc"),
    "fifth": ("#01020b", "#b8860b"),
    "sixth": ("#01020c", "#b3261e"),
}
INK, MUTED, LINE, MODEL, SECOND, PAGE, THIRD, FOURTH, FIFTH, SIXTH = (drawn for drawn, _ in ROLES.values())
SERIES = {
    role: ROLES[role][0] for role in ("model", "second", "third", "fourth", "fifth", "sixth")
}  # lines side by side

SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "gradus",  # the same drawing gives the same file
    "text.parse_math": False,  # a column called "$x$" is a name, not a formula
    "font.size": TEXT_SIZE,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.facecolor": "none",
    "axes.labelcolor": MUTED,
    "axes.labelsize": TEXT_SIZE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
}


def draw(name: str, paint: Callable[[Axes], None], description: str, size: tuple[float, float] = SIZE) -> Html:
    """An `<svg>` element of one pair of axes.

    name: unique in the page, letters, digits and hyphens; paint: draws on the axes; description: for screen readers.
    """
    return draw_panels(name, lambda axes: paint(axes[0]), description, size=size)


def draw_panels(
    name: str,
    paint: Callable[[list[Axes]], None],
    description: str,
    *,
    rows: int = 1,
    columns: int = 1,
    size: tuple[float, float] = SIZE,
    projection: str | None = None,
) -> Html:
    """An `<svg>` element of a grid of axes, which `paint` gets as one list, row by row. Otherwise as `draw`."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # the browser has the fonts
        figure = Figure(size, layout="constrained")
        every = figure.subplots(rows, columns, squeeze=False, subplot_kw={"projection": projection})
        paint(list(every.flat))
        for axes in every.flat:
            _plain_ticks(axes)
        written = StringIO()
        figure.savefig(
            written, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    return Html(_inline(written.getvalue(), name, description))


def _plain_ticks(axes: Axes) -> None:
    """Labels of logarithmic axes as texts: matplotlib's own are formulas, which a page's text cannot hold."""
    from matplotlib.ticker import FuncFormatter, LogFormatter, LogLocator, NullFormatter

    for axis in (axes.xaxis, axes.yaxis):
        if isinstance(axis.get_major_formatter(), LogFormatter):
            axis.set_major_locator(LogLocator(numticks=6))
            axis.set_major_formatter(FuncFormatter(short_number))
            axis.set_minor_formatter(NullFormatter())


def _inline(svg: str, name: str, description: str) -> str:
    """A matplotlib SVG file as an element for a page: no declarations, no styles that reach outside, unique ids."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)
    box = re.search(r'viewBox="([^"]*)"', svg)
    opening = f'<svg viewBox="{box[1] if box else ""}" role="img" aria-label="{to_html(description)}">'
    svg = opening + svg[svg.index(">") + 1 :]
    svg = svg.replace("xlink:href=", "href=")
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
    svg = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", svg)
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg))
    svg = re.sub(r' id="([^"]*)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", svg)
    for role, (drawn, fallback) in ROLES.items():
        svg = svg.replace(drawn, f"var(--{role}, {fallback})")
    return re.sub(r"\n\s*", " ", svg).replace("> <", "><").strip()


def learning_curves(
    name: str,
    epochs: Sequence[float],
    training: np.ndarray,
    validation: np.ndarray,
    *,
    title: str,
    best_epoch: int | None = None,
    share: bool = False,
) -> Html:
    """Training and validation values against the epoch (each the length of `epochs`, nan where not measured).

    The axis is logarithmic where positive values span more than two decades. A lone measurement is a dot.
    """

    def paint(axes: Axes) -> None:
        for values, colour in ((training, MODEL), (validation, SECOND)):
            lone = np.isfinite(values).sum() <= 12
            axes.plot(epochs, values, color=colour, marker="o" if lone else None, markersize=3.6)
        if best_epoch is not None:
            axes.axvline(best_epoch, color=MUTED, linewidth=1, linestyle=(0, (3, 3)), zorder=1)
            axes.annotate(
                "best", (best_epoch, 1), (0, 3), xycoords=("data", "axes fraction"), textcoords="offset points",
                ha="center", va="bottom", color=MUTED, fontsize=TEXT_SIZE - 1,
            )  # fmt: skip
        axes.set_xlabel("epoch")
        _epoch_axis(axes, epochs)
        _value_axis(axes, np.concatenate([training, validation]), share)

    return draw(name, paint, title)


def one_curve(name: str, epochs: Sequence[float], values: np.ndarray, *, title: str) -> Html:
    """One value against the epoch, such as the learning rate."""

    def paint(axes: Axes) -> None:
        axes.plot(epochs, values, color=MODEL, marker="o" if len(epochs) <= 12 else None, markersize=3.6)
        axes.set_xlabel("epoch")
        _epoch_axis(axes, epochs)
        _value_axis(axes, values, share=False)

    return draw(name, paint, title)


def balance(name: str, epochs: Sequence[float], real: np.ndarray, fake: np.ndarray) -> Html:
    """A discriminator's mean answers (epochs,) to real and to made pictures, with the line at one half."""

    def paint(axes: Axes) -> None:
        axes.axhline(0.5, color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
        for values, colour in ((real, MODEL), (fake, SECOND)):
            axes.plot(epochs, values, color=colour, marker="o" if len(epochs) <= 12 else None, markersize=3.6)
        axes.set(xlabel="epoch", ylim=(-0.02, 1.02))
        _epoch_axis(axes, epochs)

    return draw(name, paint, "The discriminator's answers by epoch")


def _epoch_axis(axes: Axes, epochs: Sequence[float]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    if len(set(epochs)) == 1:
        axes.set_xlim(epochs[0] - 1, epochs[0] + 1)
    axes.grid(visible=False, axis="x")


def _value_axis(axes: Axes, values: np.ndarray, share: bool) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    known = values[np.isfinite(values)]
    if len(known) and known.min() > 0 and known.max() / known.min() > 100:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(numticks=6))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.yaxis.set_major_formatter(FuncFormatter(_percent_tick if share else short_number))


def _percent_tick(value: float, _position: object = None) -> str:
    return f"{number(100 * value, 3)}%"


def short_number(value: float, _position: object = None) -> str:
    """A tick's label, at most about seven characters: 1500000 -> "1.5M", 0.00001 -> "1e−05"."""
    for size, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size <= abs(value) < 1e15:
            return number(value / (1e3 if suffix == "k" else size), 4) + suffix
    if value != 0 and (abs(value) < 1e-4 or abs(value) >= 1e15):
        return f"{value:.0e}".replace("-", "−") if math.isfinite(value) else ""
    return number(value, 4)


def calibration_curve(name: str, measured: Calibration, *, outcome: str, across: str = "stated confidence") -> Html:
    """How often answers were right (or labels held) against the confidence stated; dots grow with the rows in a bin."""

    def paint(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
        filled = measured.counts > 0
        confidence, frequency = measured.confidence[filled], measured.frequency[filled]
        sizes = 16 + 110 * measured.counts[filled] / max(measured.counts.max(), 1)
        axes.vlines(
            confidence, np.minimum(confidence, frequency), np.maximum(confidence, frequency), color=SECOND, lw=1.2
        )
        axes.plot(confidence, frequency, color=MODEL, linewidth=1.2)
        axes.scatter(confidence, frequency, s=sizes, color=MODEL, edgecolors=PAGE, linewidths=0.8, zorder=3)
        unit_square(axes, across, outcome)

    return draw(name, paint, f"Calibration: {outcome} against {across}")


def unit_square(axes: Axes, across: str, up: str) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(_fixed([0, 0.25, 0.5, 0.75, 1]))
        axis.set_major_formatter(_percent_tick)
    axes.set(xlim=(-0.02, 1.03), ylim=(-0.02, 1.03), xlabel=across, ylabel=up)


def _fixed(places: Sequence[float]) -> Any:
    from matplotlib.ticker import FixedLocator

    return FixedLocator(places)


def shares_histogram(name: str, edges: np.ndarray, groups: Sequence[np.ndarray], *, across: str, title: str) -> Html:
    """Bars side by side, each group as shares of itself, so that a small group can be seen beside a large one.

    edges (B + 1,) in 0..1; groups: counts (B,) each, at most two, drawn in the roles "model" and "second".
    """

    def paint(axes: Axes) -> None:
        width = float(edges[1] - edges[0])
        bar = 0.86 * width / len(groups)
        for index, (counts, colour) in enumerate(zip(groups, (MODEL, SECOND), strict=False)):
            left = edges[:-1] + 0.07 * width + index * bar
            axes.bar(left, counts / max(counts.sum(), 1), bar, align="edge", color=colour)
        axes.xaxis.set_major_locator(_fixed([0, 0.25, 0.5, 0.75, 1]))
        axes.xaxis.set_major_formatter(_percent_tick)
        axes.yaxis.set_major_formatter(_percent_tick)
        axes.grid(visible=False, axis="x")
        axes.set(xlim=(-0.02, 1.03), xlabel=across, ylabel="share of answers")

    return draw(name, paint, title)


def roc(name: str, false_rate: np.ndarray, true_rate: np.ndarray) -> Html:
    """The receiver operating characteristic: hits against false alarms as the threshold falls."""
    kept = _spread(len(false_rate), 400)

    def paint(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
        axes.plot(false_rate[kept], true_rate[kept], color=MODEL)
        unit_square(axes, "false alarms", "hits")

    return draw(name, paint, "ROC curve: hits against false alarms")


def _spread(length: int, most: int) -> np.ndarray:
    """At most `most` indices from first to last, evenly spaced."""
    return np.unique(np.linspace(0, length - 1, min(length, most)).round().astype(np.int64))


def sample_rows(rows: int) -> np.ndarray:
    """The rows that a scatter plot draws: all, or `POINTS` drawn at random with a fixed seed."""
    return np.arange(rows) if rows <= POINTS else np.random.default_rng(0).choice(rows, POINTS, replace=False)


def scatter(name: str, x: np.ndarray, y: np.ndarray, *, across: str, up: str, identity: bool = False) -> Html:
    """Dots, with the line y = x (`identity`) or y = 0. x, y (N,)."""
    rows = sample_rows(len(x))

    def paint(axes: Axes) -> None:
        low, high = (min(x.min(), y.min()), max(x.max(), y.max())) if identity else (x.min(), x.max())
        axes.plot([low, high], [low, high] if identity else [0, 0], color=INK, linewidth=1, alpha=0.75, zorder=3)
        faint = 0.75 if len(rows) < 100 else 0.5 if len(rows) < 400 else 0.3
        axes.plot(x[rows], y[rows], "o", color=MODEL, markersize=4, markeredgewidth=0, alpha=faint)
        _number_axes(axes, across, up)

    return draw(name, paint, f"{up} against {across}")


def histogram(name: str, values: np.ndarray, *, across: str) -> Html:
    """How often each size of value occurs, with a line at zero. values (N,)."""

    def paint(axes: Axes) -> None:
        low, high = np.quantile(values, (0.005, 0.995)) if len(values) >= 200 else (values.min(), values.max())
        span = (low, high) if high > low else (low - 1, low + 1)
        bins = int(np.clip(math.sqrt(len(values)), 8, 40))
        axes.hist(np.clip(values, *span), bins=bins, range=span, color=MODEL, rwidth=0.9)
        axes.axvline(0, color=INK, linewidth=1, alpha=0.75)
        axes.grid(visible=False, axis="x")
        _number_axes(axes, across, "rows")

    return draw(name, paint, f"Histogram of {across}")


def _number_axes(axes: Axes, across: str, up: str) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.set(xlabel=clean(across), ylabel=clean(up))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=5))
        axis.set_major_formatter(FuncFormatter(short_number))

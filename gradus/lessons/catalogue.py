"""The catalogue of primitives: each with its formula, its plot, derivative, range and source, from `gradus.reference`.

One HTML page to read (`gradus catalogue`), and the same as Markdown for the docs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gradus.lessons.page import markup, math, write_page
from gradus.look.charts import MODEL, MUTED, SECOND, draw
from gradus.look.page import Html, document, element, figure, join, pairs, section
from gradus.look.text import count
from gradus.reference.catalogue import FAMILIES, Entry, entries, find

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS = 601  # of a plot
SMALL = (3.2, 2.1)  # inches
# Losses of one number are drawn against it: function -> (target, smallest and largest output, what the axis is)
LOSSES: dict[str, tuple[float, tuple[float, float], str]] = {
    "squared_residuals": (0.0, (-3, 3), "residual"),
    "absolute_residuals": (0.0, (-3, 3), "residual"),
    "mean_squared_error": (0.0, (-3, 3), "residual"),
    "mean_absolute_error": (0.0, (-3, 3), "residual"),
    "mean_squared_logarithmic_error": (3.0, (0.01, 10), "output, target 3"),
    "mean_absolute_percentage_error": (3.0, (0, 10), "output, target 3"),
    "huber": (0.0, (-3, 3), "residual"),
    "smooth_l1": (0.0, (-3, 3), "residual"),
    "binary_cross_entropy": (1.0, (0.02, 0.999), "probability, target 1"),
    "binary_cross_entropy_with_logits": (1.0, (-4, 4), "logit, target 1"),
    "hinge": (1.0, (-3, 3), "output, label +1"),
    "exponential_loss": (1.0, (-2, 3), "output, label +1"),
}


def write_catalogue(folder: str | Path = "lessons") -> Path:
    """Writes `folder/catalogue.html`, whole or not at all."""
    return write_page(Path(folder) / "catalogue.html", html())


def html() -> str:
    """The page as one HTML document."""
    families = {family: entries(family) for family in FAMILIES}
    total = sum(len(found) for found in families.values())
    links = element("nav", *(element("a", FAMILIES[family][0], href=f"#{family}") for family in families))
    lead = (
        f"{count(total)} primitives, each held to its formula by tests: the NumPy function named here is written out with "
        "its derivative, checked by finite differences and against PyTorch. Blue is the value, orange the derivative."
    )
    opening = element(
        "header",
        element("p", "Gradus", class_="eyebrow"),
        element("h1", "The catalogue of primitives"),
        element("p", lead, class_="lead"),
        links,
    )
    sections = [
        section(family, FAMILIES[family][0], element("div", *(_card(entry) for entry in found), class_="cards"))
        for family, found in families.items()
    ]
    foot = element("footer", element("p", "Written by Gradus. This file is complete: it loads nothing from elsewhere."))
    return document("The catalogue of primitives", join((opening, element("main", *sections, class_="lesson"), foot)))


def _card(entry: Entry) -> Html:
    rows: list[tuple[object, object]] = []
    if entry.derivative:
        rows.append(("derivative", math(entry.derivative)))
    if entry.range:
        rows.append(("range", markup(entry.range if _in_words(entry.range) else f"${entry.range}$")))
    rows.append(("reference", element("code", entry.function)))
    if entry.fast:
        rows.append(("in training", element("code", entry.fast)))
    rows.append(("source", markup(entry.source)))
    pieces = [
        element("h3", markup(entry.name)),
        element("div", math(entry.formula, display=True), class_="formula"),
        plot(entry),
        pairs(rows),
    ]
    if entry.note:
        pieces.append(element("p", markup(entry.note), class_="note"))
    return element("article", *pieces, id=identity(entry))


def _in_words(span: str) -> bool:
    """Whether a range is text, perhaps with formulas in dollars; one with a backslash is a formula, spaces or not."""
    return "$" in span or (" " in span and "\\" not in span)


def identity(entry: Entry) -> str:
    """The entry's anchor: "activations-leaky-relu"."""
    return re.sub(r"[^a-z0-9]+", "-", entry.function.lower()).strip("-")


def plot(entry: Entry) -> Html:
    """Value and derivative of a function of one number, or of a loss of one output; nothing for other primitives."""
    value, slope = find(entry.function), find(entry.backward) if entry.backward else None
    label = ""
    if entry.span:
        places = np.linspace(*entry.span, POINTS)
    elif (name := entry.function.partition(".")[2]) in LOSSES:
        target, span, label = LOSSES[name]
        places = np.linspace(*span, POINTS)
        value, slope = _of_one_output(value, target), _of_one_output(slope, target) if slope else None
    else:
        return Html("")

    def paint(axes: Axes) -> None:
        axes.axhline(0, color=MUTED, linewidth=0.8)
        for function, colour in ((value, MODEL), (slope, SECOND)):
            if function is not None:
                axes.plot(places, _broken_at_jumps(elementwise(function, places)), color=colour)
        axes.locator_params(nbins=5)
        axes.set_xlabel(label)

    return figure(draw(identity(entry), paint, f"{entry.name}: value and derivative", size=SMALL), "")


def _of_one_output(function: Callable[..., Any], target: float) -> Callable[[float], float]:
    """A loss, or its gradient, of one row of one output."""
    return lambda output: float(np.sum(function(np.array([float(output)]), np.array([target]))))


def elementwise(function: Callable[..., Any], places: np.ndarray) -> np.ndarray:
    """A function of an array of numbers, or of one number at a time, at all places."""
    try:
        values = np.asarray(function(places), dtype=np.float64)
    except (TypeError, ValueError):  # takes one number at a time
        values = np.zeros(0)
    return values if values.shape == places.shape else np.array([float(function(place)) for place in places])


def _broken_at_jumps(values: np.ndarray) -> np.ndarray:
    """The values with a gap where they jump, so that no line is drawn there."""
    steps = np.abs(np.diff(values))
    jumps = steps > max(20 * np.median(steps), 0.2 * np.ptp(values))
    broken = values.copy()
    broken[1:][jumps] = np.nan
    return broken


def markdown() -> str:
    """The catalogue for the docs: a table a family."""
    lines = [
        "# The catalogue of primitives",
        "",
        "Made by `make docs` from `gradus/reference/`; `gradus catalogue` writes it as a page with plots. Every function has its",
        "derivative or backward pass written out by hand beside it, checked by finite differences and against PyTorch.",
        "",
    ]
    for family, (title, _) in FAMILIES.items():
        found = entries(family)
        lines += [f"## {title}", "", "| what | formula | derivative | range | reference | in training | source |"]
        lines += ["|---|---|---|---|---|---|---|"]
        lines += [_row(entry) for entry in found]
        notes = [f"- **{entry.name}**: {entry.note}" for entry in found if entry.note]
        lines += ["", *notes, ""] if notes else [""]
    return "\n".join(lines).rstrip() + "\n"


def _row(entry: Entry) -> str:
    def code(name: str) -> str:
        return f"`{name}`" if name else ""

    def formula(latex: str) -> str:  # a bar would end the cell
        return f"${latex.replace(chr(92) + '|', chr(92) + 'Vert ').replace('|', chr(92) + 'vert ')}$" if latex else ""

    within = entry.range if _in_words(entry.range) else formula(entry.range)
    cells = [
        entry.name,
        formula(entry.formula),
        formula(entry.derivative),
        within,
        code(entry.function),
        code(entry.fast),
        entry.source,
    ]
    return f"| {' | '.join(cells)} |"

"""The catalogue of primitives: each with its formula, its plot, derivative, range and source, from `gradus.reference`.

One HTML page to read (`gradus catalogue`), and the same as Markdown for the docs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gradus.files import write_atomic
from gradus.lessons.page import markup, math
from gradus.look.charts import MODEL, MUTED, SECOND, draw
from gradus.look.page import Html, document, element, figure, join, pairs, section
from gradus.look.text import count
from gradus.reference.catalogue import FAMILIES, Entry, entries, find

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS = 601  # of a plot
SMALL = (3.2, 2.1)  # inches


def write_catalogue(folder: str | Path = "lessons") -> Path:
    """Writes `folder/catalogue.html`, whole or not at all."""
    path = Path(folder) / "catalogue.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, html().encode("utf-8"))
    return path


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
        rows.append(("range", markup(entry.range if " " in entry.range or "$" in entry.range else f"${entry.range}$")))
    rows.append(("reference", element("code", entry.function)))
    if entry.fast:
        rows.append(("in training", element("code", entry.fast)))
    rows.append(("source", markup(entry.source)))
    pieces = [
        element("h3", markup(entry.name)),
        element("div", math(entry.formula, display=True), class_="formula"),
        plot(entry) if entry.span else Html(""),
        pairs(rows),
    ]
    if entry.note:
        pieces.append(element("p", markup(entry.note), class_="note"))
    return element("article", *pieces, id=identity(entry))


def identity(entry: Entry) -> str:
    """The entry's anchor: "activations-leaky-relu"."""
    return re.sub(r"[^a-z0-9]+", "-", entry.function.lower()).strip("-")


def plot(entry: Entry) -> Html:
    """Value and derivative of a function of one number over the entry's span."""
    places = np.linspace(*(entry.span or (-1.0, 1.0)), POINTS)
    curves = [(elementwise(find(entry.function), places), MODEL)]
    if entry.backward:
        curves.append((elementwise(find(entry.backward), places), SECOND))

    def paint(axes: Axes) -> None:
        axes.axhline(0, color=MUTED, linewidth=0.8)
        for values, colour in curves:
            axes.plot(places, _broken_at_jumps(values), color=colour)
        axes.locator_params(nbins=5)

    return figure(draw(identity(entry), paint, f"{entry.name}: value and derivative", size=SMALL), "")


def elementwise(function: Callable[..., Any], places: np.ndarray) -> np.ndarray:
    """A function of an array of numbers, or of one number at a time, at all places."""
    values = np.asarray(function(places), dtype=np.float64)
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

    within = entry.range if " " in entry.range or "$" in entry.range else formula(entry.range)
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

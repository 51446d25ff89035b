"""The page that a lesson writes, from top to bottom, and its markup.

In texts `$...$` is LaTeX, `**...**` strong, `*...*` a title, and backquotes enclose code. Formulas become MathML, which
browsers set themselves, so the page stays one file that loads nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gradus.files import told_disk_errors, write_atomic
from gradus.look.charts import SIZE, draw_panels
from gradus.look.draw import draw_picture
from gradus.look.page import Html, document, element, figure, join, pairs, table
from gradus.look.text import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Primes as superscripts: text fonts raise and shrink them already, so that twice raised they would be a dot
_PRIME = re.compile(r"<msup>(<m[io][^>]*>[^<]*</m[io]>)(<mi>&#x0203[23];</mi>)</msup>")
_PRIME_BY_INDEX = re.compile(r"<msubsup>((?:(?!</?msubsup>).)*?)(<mi>&#x0203[23];</mi>)</msubsup>")
# "p ln p" without spaces reads as one word. Inside an index or a power the name is one of a fixed number of parts
_FUNCTION = r"<mi>(?:ln|log|exp|sin|cos|tan|tanh|arctan)</mi>"
_BEFORE_FUNCTION = re.compile(rf"(?:(?<=</mi>)|(?<=</mn>)|(?<=</msub>)|(?<=&#x00029;</mo>))(?={_FUNCTION})")
_AFTER_FUNCTION = re.compile(rf"(?<!<msub>)(?<!<msup>)(?<!<msubsup>)({_FUNCTION})(?=<mi>|<msub>|<msup>|<msubsup>)")
_SPACE = '<mspace width="0.17em"/>'
_MARKUP = re.compile(r"\$([^$]+)\$|\*\*([^*]+)\*\*|\*([^*\s][^*]*)\*|`([^`]+)`")


class LessonPage:
    """Collects what a lesson says.

    numbers: name -> value, in the order given; what tests and the command line read
    """

    def __init__(self, name: str, title: str, shows: str = "", books: Sequence[str] = ()) -> None:
        self.name, self.title, self.shows, self.books = name, title, shows, tuple(books)
        self.numbers: dict[str, float] = {}
        self._said: list[tuple[str, str]] = []  # numbers that wait to be set as one list
        self._sections: list[tuple[str, list[Html]]] = [("", [])]
        self._figures = 0

    # ---- words

    def heading(self, title: str) -> None:
        """Begins a section."""
        self._settle()
        self._sections.append((title, []))

    def text(self, *paragraphs: str) -> None:
        """Paragraphs."""
        for words in paragraphs:
            self._put(element("p", markup(words)))

    def formula(self, latex: str, says: str = "") -> None:
        """A formula on a line of its own, and what it says."""
        self._put(element("div", math(latex, display=True), class_="formula"))
        if says:
            self._put(element("p", markup(says), class_="note"))

    def correction(self, where: str, printed: str, right: str) -> None:
        """An error of a text. where: book and section; printed: what stands there; right: what is true."""
        self._put(
            element(
                "aside",
                element("p", element("strong", "In the book"), " ", markup(where), ": ", markup(printed)),
                element("p", element("strong", "Right"), " ", markup(right)),
                class_="correction",
            )
        )

    def try_it(self, *commands: str) -> None:
        """Commands that go on from here."""
        self._put(element("pre", "\n".join(commands), class_="commands"))

    # ---- numbers

    def number(
        self, name: str, value: float, says: str, *, printed: float | str | None = None, digits: int = 5
    ) -> None:
        """A number that the lesson found. Numbers one after the other are set as one list.

        name: key in `numbers`; says: what it is; printed: what the text has for it, shown beside it
        """
        if name in self.numbers:
            raise ValueError(f"the lesson already has a number '{name}'")
        self.numbers[name] = float(value)
        shown = number(float(value), digits)
        if printed is not None:
            shown += f" (in the text: {printed if isinstance(printed, str) else number(printed, digits)})"
        self._said.append((says, shown))

    def table(self, header: Sequence[object], rows: Sequence[Sequence[Any]], *, title: str = "") -> None:
        """Rows of texts and numbers; columns of numbers are set flush right. Numbers get five digits."""
        columns = range(len(header))
        numeric = [c for c in columns if rows and all(isinstance(row[c], int | float | np.number) for row in rows)]
        written = [
            [number(float(cell), 5) if c in numeric else markup(str(cell)) for c, cell in enumerate(row)]
            for row in rows
        ]
        if title:
            self._put(element("h3", markup(title)))
        self._put(table([markup(str(cell)) for cell in header], written, numeric, class_="narrow"))

    # ---- pictures

    def figure(
        self,
        paint: Callable[[Axes], None] | Callable[[list[Axes]], None],
        title: str,
        *,
        keys: Sequence[tuple[str, str]] = (),
        note: str = "",
        panels: tuple[int, int] | None = None,
        size: tuple[float, float] | None = None,
        axes: str = "2d",
    ) -> None:
        """A drawing by matplotlib.

        paint:  draws on the axes that it is given; on a list of them, row by row, where `panels` = (rows, columns)
        keys:   the legend: (colour role, meaning) pairs; colours are those of `gradus.look.charts`
        size:   inches; the default suits one plot. axes: "2d" or "3d"
        """
        self._figures += 1
        rows, columns = panels or (1, 1)
        size = size or (min(2.9 * columns, 8.8) if columns > 1 else SIZE[0], 2.5 * rows if panels else SIZE[1])
        wide = columns > 1 or size[0] > SIZE[0]
        drawing = draw_panels(
            f"{self.name}-{self._figures}",
            paint if panels else lambda every: paint(every[0]),  # type: ignore[arg-type]
            title,
            rows=rows,
            columns=columns,
            size=size,
            projection="3d" if axes == "3d" else None,
        )
        drawn = figure(drawing, title, keys, markup(note))
        widest = f"max-width: {28 * max(size[0] / SIZE[0], 1):.1f}rem"  # text as large as in a figure of the usual size
        self._put(element("div", drawn, class_="wide", style=widest) if wide else drawn)

    def pictures(self, values: Sequence[np.ndarray], captions: Sequence[str], *, title: str = "") -> None:
        """Pictures side by side. values: uint8 (height, width, 1 or 3), shown enlarged where small."""
        items = [
            element("li", draw_picture(value, caption), element("p", markup(caption), class_="sure"))
            for value, caption in zip(values, captions, strict=True)
        ]
        if title:
            self._put(element("h3", markup(title)))
        self._put(element("ul", *items, class_="examples pictures"))

    def drawing(self, svg: Html, title: str, *, note: str = "") -> None:
        """A finished SVG, such as a computation graph."""
        self._put(element("div", figure(svg, title, (), markup(note)), class_="wide"))

    # ---- the whole

    def html(self) -> str:
        """The page as one HTML document."""
        self._settle()
        opening = [element("p", "Gradus lesson", class_="eyebrow"), element("h1", self.title)]
        if self.shows:
            opening.append(element("p", markup(self.shows[:1].upper() + self.shows[1:] + "."), class_="lead"))
        sections = [
            element(
                "section",
                element("h2", markup(title)) if title else "",
                *_side_by_side(pieces),
                class_=None if title else "first",
            )
            for title, pieces in self._sections
            if pieces
        ]
        stands_for = f"Stands for {'; '.join(self.books)}. " if self.books else ""
        foot = f"{stands_for}Written by `gradus lesson {self.name}`. This file is complete: it loads nothing from elsewhere."
        body = join(
            (
                element("header", *opening),
                element("main", *sections, class_="lesson"),
                element("footer", element("p", markup(foot))),
            )
        )
        return document(self.title, body)

    def _put(self, piece: Html) -> None:
        self._settle()
        self._sections[-1][1].append(piece)

    def _settle(self) -> None:
        """Sets the numbers that wait."""
        if self._said:
            said, self._said = self._said, []
            self._sections[-1][1].append(pairs([(markup(says), shown) for says, shown in said]))


def write_page(path: Path, written: str) -> Path:
    """Writes a page into a folder that is made if need be, whole or not at all. Raises `UserError` where that cannot be."""
    with told_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, written.encode("utf-8"))
    return path


def _side_by_side(pieces: Sequence[Html]) -> list[Html]:
    """The pieces, with small figures that follow each other put into one row where the screen is wide enough."""
    rows: list[Html] = []
    for is_figure, group in groupby(pieces, lambda piece: piece.startswith("<figure")):
        together = list(group)
        rows += [element("div", *together, class_="figures")] if is_figure and len(together) > 1 else together
    return rows


def math(latex: str, *, display: bool = False) -> Html:
    """LaTeX as MathML. It is ours, not a user's: what cannot be read is a mistake in the lesson."""
    from latex2mathml.converter import convert

    written = convert(latex, display="block" if display else "inline")
    written = _PRIME.sub(r"<mrow>\1\2</mrow>", written)
    written = _BEFORE_FUNCTION.sub(_SPACE, _AFTER_FUNCTION.sub(rf"\1{_SPACE}", written))
    return Html(_PRIME_BY_INDEX.sub(r"<mrow><msub>\1</msub>\2</mrow>", written))


def markup(words: str) -> Html:
    """Text with `$latex$`, `**strong**`, `*title*` and backquoted code as HTML; all else is escaped."""
    pieces: list[Any] = []
    end = 0
    for found in _MARKUP.finditer(words):
        pieces.append(words[end : found.start()])
        latex, strong, title, code = found.groups()
        tag, inside = ("strong", strong) if strong else ("em", title) if title else ("code", code)
        pieces.append(math(latex) if latex else element(tag, inside))
        end = found.end()
    pieces.append(words[end:])
    return join(pieces)

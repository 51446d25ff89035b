"""Shapes and words that are drawn twice the same: as SVG for a page, and as pixels for a PNG. Units are pixels, y points down."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from gradus.look.charts import ROLES
from gradus.look.page import Html, element

FONT = 12.0  # pixels; smaller print is 10
SMALL = 10.0
SMALLEST = 0.9  # of its size: a page scrolls sideways rather than showing less
SCALE = 1.5  # pixels of a PNG for one of the drawing


@dataclass(frozen=True)
class Rectangle:
    x: float  # left
    y: float  # top
    width: float
    height: float
    role: str  # colour of the outline, one of `charts.ROLES`; the inside has a tint of it
    tint: float = 0.14
    corner: float = 4.0


@dataclass(frozen=True)
class Arrow:
    """A way through points, the last one with a head. points: (x, y); curved: each part leaves and arrives vertically."""

    points: tuple[tuple[float, float], ...]
    curved: bool = True
    head: bool = True
    role: str = "muted"


@dataclass(frozen=True)
class Words:
    x: float  # of the middle, or of the left end
    y: float  # of the middle of the line
    text: str
    size: float = FONT
    role: str = "ink"
    bold: bool = False
    anchor: str = "middle"  # or "start"
    plate: bool = False  # on a ground of the page's colour, so that a line behind them does not cross them


@dataclass
class Canvas:
    width: float
    height: float
    shapes: list[Rectangle | Arrow | Words] = field(default_factory=list)

    def to_svg(self, name: str, description: str) -> Html:
        """An element for a page. name: unique in it."""
        body = [piece for shape in self.shapes for piece in _svg(shape)]
        svg = element(
            "svg",
            *body,
            role="img",
            aria_label=description,
            style=f"max-width: {self.width:.0f}px; min-width: {SMALLEST * self.width:.0f}px",
            id=name,
            **{"viewBox": f"0 0 {self.width:.0f} {self.height:.0f}"},
        )
        return element("div", svg, class_="scroll", tabindex="0")

    def to_svg_file(self, description: str) -> str:
        """A file of its own, on white."""
        size = f'width="{self.width:.0f}" height="{self.height:.0f}"'
        ground = element("rect", width="100%", height="100%", fill=ROLES["page"][1])
        inner = ground + "".join(piece for shape in self.shapes for piece in _svg(shape))
        view = f'viewBox="0 0 {self.width:.0f} {self.height:.0f}" font-family="sans-serif"'
        opening = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {view} role="img">'
        return f"{opening}{element('title', description)}{inner}</svg>\n"

    def to_pixels(self) -> np.ndarray:
        """uint8 (height, width, 3), `SCALE` times as large, on white."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        dots = 72 * SCALE
        figure = Figure((self.width / 72, self.height / 72), dpi=dots)
        drawn = FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1), frameon=False, xticks=[], yticks=[])
        axes.set(xlim=(0, self.width), ylim=(self.height, 0))
        for order, shape in enumerate(self.shapes):
            _paint(axes, shape, order + 1)
        drawn.draw()
        return np.asarray(drawn.buffer_rgba())[:, :, :3].copy()


@cache
def _font(size: float, bold: bool) -> Any:
    import matplotlib
    from PIL import ImageFont

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/{name}", 10 * size)


@cache
def text_width(text: str, size: float = FONT, bold: bool = False) -> float:
    """Pixels, in the font of the PNG, which is wider than most browsers'."""
    return _font(size, bold).getlength(text) / 10


def colour(role: str) -> str:
    """A role as the page's variable, with the light theme's colour as fallback."""
    return f"var(--{role}, {ROLES[role][1]})"


def _curve(shape: Arrow) -> list[tuple[float, float]]:
    """The points of cubic curves through a way, without its first: two controls and an end for each part."""
    curve = []
    for (x, y), (to_x, to_y) in zip(shape.points, shape.points[1:], strict=False):
        half = (to_y - y) / 2
        curve += [(x, y + half), (to_x, to_y - half), (to_x, to_y)]
    return curve


def _head(shape: Arrow) -> list[tuple[float, float]]:
    """The triangle at the end: it points down where the way is curved, else along its last part."""
    (x0, y0), (x, y) = shape.points[-2:]
    angle = math.pi / 2 if shape.curved else math.atan2(y - y0, x - x0)
    back, side = 7.0, 3.4
    dx, dy = math.cos(angle), math.sin(angle)
    base = (x - back * dx, y - back * dy)
    return [(x, y), (base[0] - side * dy, base[1] + side * dx), (base[0] + side * dy, base[1] - side * dx)]


def _svg(shape: Rectangle | Arrow | Words) -> list[Html]:
    if isinstance(shape, Rectangle):
        place = {"x": shape.x, "y": shape.y, "width": shape.width, "height": shape.height, "rx": shape.corner}
        numbers = {key: f"{value:.1f}" for key, value in place.items()}
        return [
            element("rect", **numbers, fill=colour("page")),
            element("rect", **numbers, fill=colour(shape.role), fill_opacity=shape.tint, stroke=colour(shape.role)),
        ]
    if isinstance(shape, Arrow):
        x, y = shape.points[0]
        path = f"M{x:.1f},{y:.1f}"
        if shape.curved:
            numbers_of = [f"{px:.1f},{py:.1f}" for px, py in _curve(shape)]
            path += "".join(" C" + " ".join(numbers_of[at : at + 3]) for at in range(0, len(numbers_of), 3))
        else:
            path += "".join(f" L{px:.1f},{py:.1f}" for px, py in shape.points[1:])
        drawn = [element("path", d=path, fill="none", stroke=colour(shape.role), stroke_width="1.2")]
        if shape.head:
            corners = " ".join(f"{px:.1f},{py:.1f}" for px, py in _head(shape))
            drawn.append(element("polygon", points=corners, fill=colour(shape.role)))
        return drawn
    return [*_plate_svg(shape), _words_svg(shape)]


def _plate_svg(words: Words) -> list[Html]:
    if not words.plate:
        return []
    width = text_width(words.text, words.size) + 4
    numbers = {"x": words.x - width / 2, "y": words.y - words.size * 0.6, "width": width, "height": words.size * 1.2}
    return [element("rect", **{key: f"{value:.1f}" for key, value in numbers.items()}, fill=colour("page"))]


def _words_svg(words: Words) -> Html:
    return element(
        "text",
        words.text,
        x=f"{words.x:.1f}",
        y=f"{words.y + 0.35 * words.size:.1f}",
        fill=colour(words.role),
        font_size=f"{words.size:g}",
        font_weight="600" if words.bold else None,
        text_anchor=None if words.anchor == "start" else words.anchor,
    )


def _paint(axes: Any, shape: Rectangle | Arrow | Words, order: int) -> None:
    from matplotlib.colors import to_rgba
    from matplotlib.patches import FancyBboxPatch, PathPatch, Polygon
    from matplotlib.path import Path

    ink = ROLES[shape.role][1]
    if isinstance(shape, Rectangle):
        white, own = np.array(to_rgba(ROLES["page"][1])), np.array(to_rgba(ink))
        style = f"round,pad=0,rounding_size={shape.corner}"
        place = (shape.x, shape.y), shape.width, shape.height
        fill = tuple(white + shape.tint * (own - white))
        axes.add_patch(FancyBboxPatch(*place, boxstyle=style, facecolor=fill, edgecolor=ink, linewidth=1, zorder=order))
    elif isinstance(shape, Arrow):
        points = [shape.points[0], *(_curve(shape) if shape.curved else shape.points[1:])]
        codes = [Path.MOVETO, *[Path.CURVE4 if shape.curved else Path.LINETO] * (len(points) - 1)]
        axes.add_patch(PathPatch(Path(points, codes), fill=False, edgecolor=ink, linewidth=1.2, zorder=order))
        if shape.head:
            axes.add_patch(Polygon(_head(shape), closed=True, facecolor=ink, linewidth=0, zorder=order))
    else:
        plate = {"facecolor": ROLES["page"][1], "edgecolor": "none", "pad": 1.5} if shape.plate else None
        axes.text(
            shape.x, shape.y, shape.text, size=shape.size, color=ink, weight="bold" if shape.bold else "normal",
            ha="left" if shape.anchor == "start" else "center", va="center_baseline" if not plate else "center",
            bbox=plate, zorder=order, parse_math=False,
        )  # fmt: skip

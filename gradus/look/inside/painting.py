"""Charts, colours and captions of the looks: a chart is an SVG drawing in the page and a PNG file beside it."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gradus.look.charts import ROLES, SETTINGS, SIZE, draw
from gradus.look.inside.sight import Panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DOTS_PER_INCH = 192
DRAWN = {role: drawn for role, (drawn, _) in ROLES.items()}  # what charts.draw turns into the page's colours
LIGHT = {role: shown for role, (_, shown) in ROLES.items()}  # the same roles on white paper

# Okabe and Ito's colours, which the colour-blind can tell apart, and after them Tol's muted ones.
CLASS_COLOURS = (
    *("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c8c00", "#555555"),
    *("#332288", "#882255", "#117733", "#ddcc77", "#88ccee", "#44aa99", "#999933", "#cc6677", "#aa4499"),
)


def chart(
    name: str,
    title: str,
    paint: Callable[[Axes, dict[str, str]], None],
    note: str = "",
    size: tuple[float, float] = SIZE,
) -> Panel:
    """A chart as a panel. paint: draws on axes with the colours of the roles it is given ("ink", "model", "second", ...)."""
    drawing = draw(name, lambda axes: paint(axes, DRAWN), title, size)
    return Panel(name, title, _painted(title, paint, size), note, drawing=drawing)


def _painted(title: str, paint: Callable[[Axes, dict[str, str]], None], size: tuple[float, float]) -> np.ndarray:
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = dict(ROLES.values())
    themed: dict[Any, Any] = {key: shown.get(value, value) for key, value in SETTINGS.items()}
    with matplotlib.rc_context(themed), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(size, dpi=DOTS_PER_INCH, layout="constrained", facecolor=LIGHT["page"])
        axes = figure.subplots()
        axes.set_title(title, fontsize=11, loc="left", color=LIGHT["ink"], wrap=True)
        paint(axes, LIGHT)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()


def coloured(values: np.ndarray, colours: str = "viridis") -> np.ndarray:
    """Values 0..1 (...) -> uint8 RGB (..., 3) by a map of matplotlib's; viridis is safe for the colour-blind."""
    import matplotlib

    return (matplotlib.colormaps[colours](np.clip(values, 0, 1))[..., :3] * 255 + 0.5).astype(np.uint8)


def as_rgb(pictures: np.ndarray) -> np.ndarray:
    """uint8 (..., 1 or 3) -> (..., 3)."""
    return np.repeat(pictures, 3, axis=-1) if pictures.shape[-1] == 1 else pictures


def enlarged(pictures: np.ndarray, least: int) -> np.ndarray:
    """uint8 (N, H, W, C) repeated in whole pixels until the longer side is at least about `least`."""
    times = max(1, round(least / max(pictures.shape[1:3])))
    return pictures.repeat(times, axis=1).repeat(times, axis=2)


def captioned(
    tiles: np.ndarray, captions: Sequence[str], columns: int | None = None, gap: int = 10, letters: int = 12
) -> np.ndarray:
    """Tiles uint8 (N, H, W, C) in rows with a caption of one or more lines below each, as one RGB picture on white."""
    count, height, width = tiles.shape[:3]
    columns = min(count, columns or int(np.ceil(np.sqrt(count))))
    rows = -(-count // columns)
    font = font_of(letters)
    lines = max((caption.count("\n") + 1 for caption in captions), default=0)
    below = lines * (letters + 4) + 4
    size = (columns * (width + gap) + gap, rows * (height + below + gap) + gap)
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    for index, (tile, caption) in enumerate(zip(as_rgb(tiles), captions, strict=True)):
        left, top = gap + index % columns * (width + gap), gap + index // columns * (height + below + gap)
        sheet.paste(Image.fromarray(np.ascontiguousarray(tile)), (left, top))
        for row, line in enumerate(caption.split("\n")):
            place = (left, top + height + 3 + row * (letters + 4))
            pen.text(place, _cut(line, font, width), fill=LIGHT["ink"] if row == 0 else LIGHT["muted"], font=font)
    return np.asarray(sheet)


@functools.cache
def font_of(letters: int) -> Any:
    """DejaVu Sans, which comes with matplotlib: Latin, Greek, Cyrillic and the signs of mathematics."""
    import matplotlib

    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", letters)


def _cut(line: str, font: Any, width: int) -> str:
    """The line as far as it fits into so many pixels."""
    while len(line) > 1 and font.getlength(line) > width + 8:
        line = line[:-2].rstrip() + "…"
    return line


def under_title(picture: np.ndarray, title: str, letters: int = 15) -> np.ndarray:
    """An RGB picture with a line of text above it, wider where the text needs it."""
    font = font_of(letters)
    pixels = as_rgb(picture)
    width = max(pixels.shape[1], int(font.getlength(title)) + 20)
    sheet = Image.new("RGB", (width, pixels.shape[0] + letters + 14), "white")
    ImageDraw.Draw(sheet).text((6, 5), title, fill=LIGHT["ink"], font=font)
    sheet.paste(Image.fromarray(np.ascontiguousarray(pixels)), (0, letters + 14))
    return np.asarray(sheet)

"""What a look gives: arrays and numbers for programs, panels for people; written as PNG files and one HTML page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gradus.files import told_disk_errors, write_atomic
from gradus.look.page import Html, document, element, figure, join, paragraph, section, table
from gradus.look.text import number


@dataclass
class Panel:
    """One picture of a sight. pixels: uint8 (height, width, 3 or 1); it is written as NAME.png and stands in the page.

    magnify: shown that many times as large, in whole pixels, in the page and in the file
    titled: the file has the title above the picture, as the page has it
    drawing: an SVG element that the page shows in its place, for charts (`painting.py`)
    """

    name: str  # letters, digits, hyphens
    title: str
    pixels: np.ndarray
    note: str = ""
    magnify: int = 1
    titled: bool = False
    drawing: Html | None = None


@dataclass
class Sight:
    """name: of the look; title: of its page; said: sentences for people, in order.

    arrays:  name -> array, for programs
    numbers: what was measured, shown as a table and printed by the command
    tables:  (title, header, rows)
    first:   stands above the panels; script: of the page, which works on it (`page.document`)
    printed: lines that the command prints above all else
    record:  what `--json` says beside the numbers
    files:   name -> text or bytes of further files
    """

    name: str
    title: str
    said: list[str] = field(default_factory=list)
    panels: list[Panel] = field(default_factory=list)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    tables: list[tuple[str, list[str], list[list[str]]]] = field(default_factory=list)
    first: Html | None = None
    script: str = ""
    printed: list[str] = field(default_factory=list)
    record: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str | bytes] = field(default_factory=dict)

    def write(self, folder: Path) -> list[Path]:
        """Writes every panel as a PNG, the further files, and the whole as `NAME.html`; returns the paths, the page first.

        Raises `UserError` where that cannot be.
        """
        from gradus.look.inside.painting import under_title

        with told_disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        written = []
        for panel in self.panels:
            path = folder / f"{self.name}-{panel.name}.png"
            pixels = under_title(panel.pixels, panel.title) if panel.titled else panel.pixels
            write_atomic(path, encode_png(pixels, panel.magnify))
            written.append(path)
        for name, content in self.files.items():
            write_atomic(folder / name, content)
            written.append(folder / name)
        page = folder / f"{self.name}.html"
        write_atomic(page, self.to_html())
        return [page, *written]

    def to_html(self) -> str:
        """The page: one file that needs nothing else."""
        body = [element("h1", self.title), *(paragraph(sentence) for sentence in self.said)]
        if self.first is not None:
            body.append(self.first)
        if self.numbers:
            rows = [[name, number(value, 4)] for name, value in self.numbers.items()]
            body.append(table(["measured", "value"], rows, numeric=[1]))
        shown = [figure(_image(panel), panel.title, note=panel.note) for panel in self.panels]
        body.append(element("div", *shown, class_="wide"))
        body += [section(f"table-{index}", title, table(h, r)) for index, (title, h, r) in enumerate(self.tables)]
        return document(self.title, element("main", join(body)), self.script)


def _image(panel: Panel) -> Html:
    if panel.drawing is not None:
        return panel.drawing
    data = base64.b64encode(encode_png(panel.pixels, panel.magnify)).decode()
    return element("img", src=f"data:image/png;base64,{data}", alt=panel.title, style="max-width:100%;height:auto")


def encode_png(pixels: np.ndarray, magnify: int = 1) -> bytes:
    """A PNG file of uint8 (H, W, 3), (H, W, 1) or (H, W)."""
    squeezed = pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    if magnify > 1:
        squeezed = squeezed.repeat(magnify, axis=0).repeat(magnify, axis=1)
    written = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(squeezed)).save(written, format="png")
    return written.getvalue()


def grid(tiles: np.ndarray, columns: int | None = None, gap: int = 1, background: int = 255) -> np.ndarray:
    """Tiles uint8 (N, H, W, C) side by side as one picture (rows * H + gaps, columns * W + gaps, C), all N of them shown."""
    count, height, width, channels = tiles.shape
    columns = min(count, columns or int(np.ceil(np.sqrt(count))))
    rows = -(-count // columns)
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, channels)
    picture = np.full(shape, background, dtype=np.uint8)
    for index, tile in enumerate(tiles):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        picture[top : top + height, left : left + width] = tile
    return picture


def to_uint8(pictures: np.ndarray) -> np.ndarray:
    """Float 0..1 -> uint8 0..255, rounded and clipped."""
    return (np.clip(pictures, 0, 1) * 255 + 0.5).astype(np.uint8)

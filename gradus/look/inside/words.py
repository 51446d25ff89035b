"""Words coloured by a number each: as HTML for pages, and as pixels for PNG files. Red is above 0, blue below, paler near it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from gradus.look.inside.painting import LIGHT, font_of
from gradus.look.page import Html, element, join, name

ABOVE, BELOW = (214, 66, 40), (40, 100, 214)
STRONGEST = 0.75  # of a colour, so that letters stay readable on it
WIDTH = 860  # pixels of a drawing
LETTERS = 15
LINES = {"\n": "⏎", "\r": "⏎", "\t": "⇥"}  # what cannot be seen


def shares(values: np.ndarray, most: float | None = None) -> np.ndarray:
    """Values -> -1..1, relative to the largest size (or to `most`); all 0 where nothing is above 0."""
    largest = float(np.abs(values).max()) if most is None and len(values) else (most or 0.0)
    return np.clip(values / largest, -1, 1) if largest > 0 else np.zeros(len(values))


def as_html(words: Sequence[str], values: np.ndarray, *, joined: bool = False, most: float | None = None) -> Html:
    """The words in their order, each on its colour, its value shown where the pointer rests."""
    pieces = []
    for word, value, share in zip(words, np.asarray(values, dtype=float), shares(values, most), strict=True):
        red, green, blue = ABOVE if share > 0 else BELOW
        style = f"background:rgba({red},{green},{blue},{STRONGEST * abs(share):.3f});border-radius:3px"
        shown = LINES.get(word, word)
        pieces.append(element("span", name(shown), style=style + ";padding:1px 0", title=f"{value:.4g}"))
        if word == "\n":
            pieces.append(Html("<br>"))
    between = "" if joined else " "
    style = "line-height:1.9;overflow-wrap:anywhere;white-space:pre-wrap"
    return element("p", join(pieces, between), class_="writing", style=style)


def as_pixels(
    words: Sequence[str], values: np.ndarray, *, joined: bool = False, most: float | None = None
) -> np.ndarray:
    """The same as RGB pixels (height, WIDTH, 3), on white, wrapped."""
    font, line = font_of(LETTERS), LETTERS + 13
    gap = 0.0 if joined else font.getlength(" ")
    places: list[tuple[float, int, float, str, float]] = []
    left, top = 8.0, 8
    for word, share in zip(words, shares(np.asarray(values, dtype=float), most), strict=True):
        shown = LINES.get(word, word)
        width = font.getlength(shown)
        while width > WIDTH - 16:
            shown = shown[: len(shown) * 3 // 4] + "…"
            width = font.getlength(shown)
        if left + width > WIDTH - 8:
            left, top = 8.0, top + line
        places.append((left, top, width, shown, float(share)))
        left += width + gap
        if word == "\n":
            left, top = 8.0, top + line
    sheet = Image.new("RGB", (WIDTH, top + line + 4), "white")
    pen = ImageDraw.Draw(sheet)
    for left, top, width, shown, share in places:
        strength = STRONGEST * abs(share)
        base = ABOVE if share > 0 else BELOW
        colour = tuple(round(255 + strength * (part - 255)) for part in base)
        if strength > 0.004:
            pen.rectangle((left - gap / 3, top, left + width + gap / 3, top + LETTERS + 7), fill=colour)
        pen.text((left, top + 2), shown, fill=LIGHT["ink"], font=font)
    return np.asarray(sheet)

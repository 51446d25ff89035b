"""Pictures of worlds that we draw ourselves, from what is observed: so that a film of them needs no further package."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIZE = (300, 200)  # of CartPole, in pixels
FINER = 3  # it is drawn so many times larger, and made smaller then: smooth edges
PAPER, INK, CART, POLE, HERE = (250, 249, 246), (29, 29, 31), (31, 111, 235), (194, 87, 26), (31, 111, 235)
REACH = 2.4  # metres from the middle at which an episode of CartPole ends
POLE_LENGTH = 1.0  # metres

ESCAPE = re.compile(r"\x1b\[([\d;]*)m")


def cart_pole(observation: np.ndarray) -> np.ndarray:
    """(200, 300, 3) uint8 of gymnasium's CartPole: observation (4,) with the cart's place in metres first and the pole's angle in
    radians third, clockwise from upright."""
    place, angle = float(observation[0]), float(observation[2])
    width, height = SIZE[0] * FINER, SIZE[1] * FINER
    metre = width / (2 * REACH + 0.6)
    ground, middle = 0.8 * height, width / 2 + place * metre
    picture = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(picture)
    pen.line([(0, ground), (width, ground)], INK, FINER)
    for edge in (-REACH, REACH):  # beyond it the episode is over
        pen.line([(width / 2 + edge * metre, ground), (width / 2 + edge * metre, ground + 6 * FINER)], INK, FINER)
    cart = 0.25 * metre
    pen.rectangle([middle - cart, ground - cart, middle + cart, ground], CART)
    top = ground - cart
    tip = middle + POLE_LENGTH * metre * math.sin(angle), top - POLE_LENGTH * metre * math.cos(angle)
    pen.line([(middle, top), tip], POLE, 6 * FINER)
    pen.ellipse([middle - 3 * FINER, top - 3 * FINER, middle + 3 * FINER, top + 3 * FINER], INK)
    return np.asarray(picture.reduce(FINER))


# name of an environment, without its version -> what draws an observation of it
DRAWN: dict[str, Callable[[np.ndarray], np.ndarray]] = {"CartPole": cart_pole}


def writing(text: str, lines: int = 0, columns: int = 0) -> np.ndarray:
    """(H, W, 3) uint8 of a world that is written as text (gymnasium's "ansi"); what the text colours is coloured.

    lines, columns: least size, so that all pictures of a film can be of one
    """
    rows = [list(_marked(row)) for row in text.strip("\n").split("\n")]
    lines, columns = max(lines, len(rows)), max(columns, *(len(row) for row in rows))
    cell, font = (14, 22), ImageFont.load_default(18)
    picture = Image.new("RGB", (columns * cell[0] + 20, lines * cell[1] + 20), PAPER)
    pen = ImageDraw.Draw(picture)
    for line, row in enumerate(rows):
        for column, (letter, marked) in enumerate(row):
            x, y = 10 + column * cell[0], 10 + line * cell[1]
            if marked == "ground":
                pen.rectangle([x, y, x + cell[0] - 1, y + cell[1] - 1], HERE)
            colour = PAPER if marked == "ground" else POLE if marked else INK
            pen.text((x + cell[0] / 2, y + cell[1] / 2), letter, colour, font, anchor="mm")
    return np.asarray(picture)


def _marked(row: str) -> list[tuple[str, str]]:
    """Each letter of a line, and whether a coloured "ground", a coloured "letter" or neither was switched on before it."""
    found: list[tuple[str, str]] = []
    marked, place = "", 0
    for code in ESCAPE.finditer(row):
        found += [(letter, marked) for letter in row[place : code.start()]]
        numbers = [number for number in code[1].split(";") if number not in ("", "0")]
        marked = "ground" if any(number.startswith("4") for number in numbers) else "letter" if numbers else ""
        place = code.end()
    return found + [(letter, marked) for letter in row[place:]]

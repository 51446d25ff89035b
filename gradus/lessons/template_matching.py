"""Five planes found by a crop of one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.boxes.template import match_template, maxima
from gradus.lessons.drawing import paint_field, paint_picture
from gradus.look.charts import SECOND

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

SKY = (96, 140)
PLACES = (
    (10, 66),
    (26, 42),
    (28, 90),
    (46, 18),
    (50, 112),
)  # upper left corners of the planes, flying upwards in a wedge
MOVED = (-6, 4)  # rows and columns to the second picture
PLANE = np.array(
    [[int(cell) for cell in row] for row in (
        "0000001000000", "0000011100000", "0000011100000", "0000011100000", "0000111110000",
        "0011111111100", "1111111111111", "1110011100111", "0000011100000", "0000011100000",
        "0000111110000", "0001111111000", "0000001000000",
    )],
    dtype=float,
)  # fmt: skip


def sky(shift: tuple[int, int] = (0, 0), seed: int = 0) -> np.ndarray:
    """A sky that is bright below, with a cloud, noise, and five dark planes. (96, 140) of values 0..1"""
    rows, columns = np.mgrid[: SKY[0], : SKY[1]]
    picture = 0.45 + 0.35 * rows / SKY[0]
    picture = picture + 0.25 * np.exp(-(((rows - 80) / 9) ** 2 + ((columns - 64) / 30) ** 2))
    for row, column in PLACES:
        row, column = row + shift[0], column + shift[1]
        picture[row : row + 13, column : column + 13] -= 0.3 * PLANE
    return np.clip(picture + np.random.default_rng(seed).normal(0, 0.02, SKY), 0, 1)


def hits(found: list[tuple[int, int]], places: tuple[tuple[int, int], ...]) -> int:
    """How many places have a maximum within a pixel."""
    return sum(any(abs(r - row) <= 1 and abs(c - column) <= 1 for r, c in found) for row, column in places)


def show(page: LessonPage) -> None:
    first, second = sky(), sky(MOVED, seed=1)
    row, column = PLACES[1]
    crop = first[row : row + 13, column : column + 13]
    raw = match_template(first, crop, zero_mean=False)
    response = np.abs(match_template(first, crop))
    found = maxima(response, 0.5 * response.max(), 8)
    page.text(
        "The oldest detector needs no training: cut out **one** plane, and look where the picture is like it. Slide the crop "
        "over the picture, multiply pixel by pixel, add up. That is a convolution layer with one kernel, the crop itself."
    )
    page.text(
        "As it is, the crop answers most where the picture is **brightest**, since all its values are positive. Subtract its "
        "mean first: then an even area gives zero however bright, and only the pattern counts. The absolute value keeps patterns "
        "in negative as well. The largest values are the planes."
    )
    _draw(page, first, crop, raw, response, found)
    brightest = divmod(int(raw.argmax()), raw.shape[1])
    page.number("raw_right", hits([brightest], PLACES), "planes at the largest value of the crop as it is")
    page.number("found", hits(found, PLACES), "of 5 planes found by the crop without its mean")
    page.number("extra", len(found) - hits(found, PLACES), "other places found")
    coefficient = match_template(first, crop, normalized=True)
    away = np.ones_like(response, dtype=bool)
    for r, c in PLACES:
        away[max(0, r - 8) : r + 9, max(0, c - 8) : c + 9] = False
    planes = np.array([response[r, c] for r, c in PLACES])
    shares = np.array([coefficient[r, c] for r, c in PLACES])
    page.number("margin", planes.min() / response[away].max(), "weakest plane over the strongest other place", digits=3)
    page.number(
        "margin_normalized",
        shares.min() / coefficient[away].max(),
        "the same, by the correlation coefficient",
        digits=3,
    )

    page.heading("Motion")
    later = maxima(np.abs(match_template(second, crop)), 0.5 * response.max(), 8)
    moves = [
        min(((r - row, c - column) for r, c in later), key=lambda move: abs(move[0]) + abs(move[1]))
        for row, column in found
    ]
    page.text(
        "The same crop finds them in the next picture. The nearest maximum to each old one tells how far its plane has moved."
    )
    page.number("rows_moved", float(np.mean([move[0] for move in moves])), "rows that the planes moved")
    page.number("columns_moved", float(np.mean([move[1] for move in moves])), "columns")

    page.heading("What it cannot do")
    turned = np.rot90(PLANE)
    other = sky()
    other[60:73, 80:93] -= 0.3 * turned
    large = np.kron(PLANE, np.ones((2, 2)))
    other[62:88, 20:46] -= 0.3 * large
    coefficients = np.abs(match_template(other, crop, normalized=True))
    page.number("same_coefficient", shares.min(), "smallest correlation coefficient of the five planes", digits=3)
    page.number(
        "turned_coefficient", coefficients[60, 80], "correlation coefficient of a plane turned by 90°", digits=3
    )
    page.number(
        "larger_coefficient",
        coefficients[62:76, 20:34].max(),
        "largest one on a plane twice as large",
        digits=3,
    )
    page.text(
        "One template is one size, one direction, one look. Windows of several sizes with **learnt** features come next: "
        "`gradus lesson classification-to-detection`."
    )


def _draw(
    page: LessonPage,
    first: np.ndarray,
    crop: np.ndarray,
    raw: np.ndarray,
    response: np.ndarray,
    found: list[tuple[int, int]],
) -> None:
    def paint(every):
        from matplotlib.patches import Rectangle

        paint_picture(every[0], first, "the picture, and what is found")
        for row, column in found:
            every[0].add_patch(Rectangle((column - 0.5, row - 0.5), 13, 13, fill=False, edgecolor=SECOND, lw=1.6))
        paint_picture(every[1], (crop - crop.min()) / np.ptp(crop), "the crop")
        paint_field(every[2], raw - raw.min(), "correlation with the crop as it is", signed=False)
        paint_field(every[3], response, "without its mean, absolute", signed=False)

    page.figure(paint, "A crop and its answers", panels=(2, 2), size=(7.2, 5.2), note="Dark: a large value.")

"""Cells that know where a line is, and cells that only know how it lies: Hubel and Wiesel's two kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.lessons.drawing import paint_field, paint_picture
from gradus.lessons.gabor_and_activations import gabor, respond
from gradus.look.charts import MODEL, SECOND

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

ANGLES = (0, 45, 90, 135)
SIDE, REACH = 27, 3  # of the picture; how far a complex cell looks to each side


def line(angle: float, moved: float = 0.0) -> np.ndarray:
    """(27, 27): a bright line whose normal has this direction (degrees), moved along it by so many pixels."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    turn = np.deg2rad(angle)
    return np.exp(-((x * np.cos(turn) + y * np.sin(turn) - moved) ** 2) / 2)


def simple(picture: np.ndarray, angle: float) -> np.ndarray:
    """(17, 17): what cells for one direction answer at each place: a Gabor kernel, and nothing below zero."""
    return np.maximum(respond(picture, gabor(angle)), 0)


def complex_cells(answers: np.ndarray, reach: int = REACH) -> np.ndarray:
    """The largest answer of simple cells within `reach` of each place."""
    windows = np.lib.stride_tricks.sliding_window_view(answers, (2 * reach + 1, 2 * reach + 1))
    return windows.max(axis=(2, 3))


def show(page: LessonPage) -> None:
    page.heading("Two kinds of cells")
    page.text(
        "From 1958 on Hubel and Wiesel measured cells in the visual cortex of cats. A **simple cell** answers to a "
        "line of one direction "
        "at one place. A **complex cell** answers to a line of one direction anywhere within a region. Fukushima's "
        "Neocognitron (1980) "
        "took both over, S-cells and C-cells in turn; convolution and pooling are what became of them."
    )
    page.correction(
        "Deep Learning and Computer Vision §4.1.1",
        "Hubei and Wiesel; LeCim",
        "David Hubel and Torsten Wiesel; Yann LeCun",
    )
    page.correction(
        "Plain Talk §6.1",
        "the Neocognitron is of the 1990s and makes feedback networks simpler",
        "it is of 1980, and feed-forward",
    )
    shifts = np.arange(-6, 7) / 2
    middle = (SIDE - 11) // 2
    answers = [simple(line(0, shift), 0) for shift in shifts]
    of_simple = np.array([answer[middle, middle] for answer in answers])
    of_complex = np.array([complex_cells(answer)[middle - REACH, middle - REACH] for answer in answers])
    page.text(
        "Here a simple cell is a Gabor kernel (a wave under a bell) whose sum is cut at zero, and a complex cell the "
        "largest of the "
        f"simple cells within {REACH} pixels. A line is moved past them, sideways:"
    )
    least_simple, least_complex = (found.min() / found.max() for found in (of_simple, of_complex))
    page.number("simple_least", float(least_simple), "least answer of the simple cell, in shares of its largest")
    page.number("complex_least", float(least_complex), "of the complex cell")

    def moved(axes):
        axes.plot(shifts, of_simple / of_simple.max(), color=MODEL)
        axes.plot(shifts, of_complex / of_complex.max(), color=SECOND)
        axes.set(xlabel="line moved by, pixels", ylabel="answer", ylim=(0, 1.1))

    page.figure(moved, "A place, or a region", keys=[("model", "simple cell"), ("second", "complex cell")])
    page.heading("What is forgiven, and what is not")
    table = np.array([[complex_cells(simple(line(seen, 1.0), wanted)).max() for seen in ANGLES] for wanted in ANGLES])
    table = table / table.max()
    page.text("A complex cell forgives where the line is, never how it lies: each answers to its own direction alone.")
    page.table(
        ("cell for", *(f"line at {angle}°" for angle in ANGLES)),
        [[f"{angle}°", *(f"{value:.2f}" for value in row)] for angle, row in zip(ANGLES, table, strict=True)],
    )
    others = table[~np.eye(len(ANGLES), dtype=bool)].max()
    page.number(
        "own_direction", float(np.diag(table).min()), "least answer to the own direction, in shares of the largest"
    )
    page.number("other_direction", float(others), "largest answer to any other")

    def cells(every):
        picture = np.maximum(line(0, -4), line(90, 4))
        paint_picture(every[0], picture, "two lines")
        for axes, angle in zip(every[1:3], (0, 90), strict=True):
            paint_field(axes, simple(picture, angle), f"simple, {angle}°", signed=False)
        paint_field(every[3], complex_cells(simple(picture, 0)), "complex, 0°", signed=False)

    page.figure(cells, "Where each kind answers", panels=(1, 4), size=(8.8, 2.4))
    page.try_it("gradus lesson gabor-and-activations pooling", "gradus train --data digits --model neocognitron")

"""Gabor kernels see stripes of one direction; what to do with the sign; a moved picture gives a moved map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.lessons.drawing import grey, paint_field, paint_picture, photograph
from gradus.look.charts import MODEL, MUTED, SECOND, THIRD
from gradus.reference.convolution import convolution2d

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

ANGLES = (0, 60, 120)  # degrees; 0 answers to upright stripes
JETS = ((20, 30), (34, 62), (20, 94), (42, 30), (42, 94))  # rows and columns of five aircraft in the sky


def gabor(angle: float, size: int = 11, wave: float = 5.0, width: float = 2.4) -> np.ndarray:
    """A wave across direction `angle` (degrees) under a bell, its mean taken off so that even grey gives zero."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    turn = np.deg2rad(angle)
    across = x * np.cos(turn) + y * np.sin(turn)
    bell = np.exp(-(x**2 + y**2) / (2 * width**2))
    kernel = np.cos(2 * np.pi * across / wave) * bell
    kernel -= bell * kernel.sum() / bell.sum()
    return kernel / np.abs(kernel).sum()


def respond(picture: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Cross-correlation, no padding. (H, W) -> smaller."""
    return convolution2d(picture[None, None], kernel[None, None])[0, 0]


def stripes(angle: float, side: int = 48, wave: float = 5.0) -> np.ndarray:
    """Stripes across direction `angle`, values 0..1."""
    y, x = np.mgrid[:side, :side]
    turn = np.deg2rad(angle)
    return 0.5 + 0.5 * np.cos(2 * np.pi * (x * np.cos(turn) + y * np.sin(turn)) / wave)


def jet() -> np.ndarray:
    """A little aircraft, 9 x 9: 1 where it is, 0 elsewhere."""
    shape = np.zeros((9, 9))
    shape[:, 4] = 1
    for row, reach in ((3, 1), (4, 3), (5, 4), (8, 2)):
        shape[row, 4 - reach : 5 + reach] = 1
    return shape


def formation() -> np.ndarray:
    """Five dark jets in a sky that is brighter below, with a little noise. (64, 124)."""
    generator = np.random.default_rng(0)
    sky = np.linspace(0.62, 0.85, 64)[:, None] + generator.normal(0, 0.015, (64, 124))
    for row, column in JETS:
        sky[row - 4 : row + 5, column - 4 : column + 5] -= 0.5 * jet()
    return sky


def template() -> np.ndarray:
    """The first jet cut out of the scene, its mean taken off."""
    row, column = JETS[0]
    cut = formation()[row - 4 : row + 5, column - 4 : column + 5]
    return (cut - cut.mean()) / np.abs(cut - cut.mean()).sum()


def maxima(field: np.ndarray, count: int, apart: int = 8) -> list[tuple[int, int]]:
    """The `count` largest places that are at least `apart` rows or columns from one another."""
    rest, found = field.copy(), []
    for _ in range(count):
        row, column = np.unravel_index(rest.argmax(), rest.shape)
        found.append((int(row), int(column)))
        rest[max(0, row - apart) : row + apart + 1, max(0, column - apart) : column + apart + 1] = -np.inf
    return found


def show(page: LessonPage) -> None:
    page.text(
        "A **Gabor** kernel is a wave under a bell: it adds up light stripes of one direction and width and subtracts the dark "
        "ones between. Cells of this kind are found in the visual cortex, and the first layer of trained networks is full of "
        "them. Three directions on three patches of stripes; the angle is that of the way across them:"
    )
    kernels = [gabor(angle) for angle in ANGLES]

    def bank(every):
        for axes, kernel, angle in zip(every[:3], kernels, ANGLES, strict=True):
            paint_field(axes, kernel, f"kernel {angle}°")
        for axes, angle in zip(every[3:], ANGLES, strict=True):
            paint_picture(axes, stripes(angle), f"stripes {angle}°")

    page.figure(
        bank,
        "Kernels and stripes",
        panels=(2, 3),
        size=(5.4, 4.0),
        note="Kernels: red weights are positive, blue ones negative.",
    )
    strengths = np.array([[np.abs(respond(stripes(angle), kernel)).mean() for kernel in kernels] for angle in ANGLES])
    page.table(
        ("mean |response|", *(f"kernel {angle}°" for angle in ANGLES)),
        [(f"stripes {angle}°", *row) for angle, row in zip(ANGLES, strengths, strict=True)],
    )
    others = strengths[~np.eye(3, dtype=bool)]
    page.number(
        "selectivity", strengths.diagonal().min() / others.max(), "own direction over any other, at least", digits=3
    )

    picture = grey(photograph("china", 150))

    def photo(every):
        paint_picture(every[0], picture, "the photograph")
        for axes, kernel, angle in zip(every[1:], kernels, ANGLES, strict=True):
            paint_field(axes, np.abs(respond(picture, kernel)), f"{angle}°: |response|", signed=False)

    page.figure(photo, "Directions in a photograph", panels=(2, 2), size=(5.2, 3.9))
    even = np.full((20, 20), 0.7)
    page.number("even_grey", np.abs(respond(even, kernels[0])).max(), "response to even grey")
    _jets(page)
    _moved(page, picture, kernels[1])


def _jets(page: LessonPage) -> None:
    page.heading("Finding a thing by its picture")
    page.text(
        "Five jets fly in a made-up sky. One of them is cut out, its mean taken off, and used as the kernel: the response is "
        "large where the picture looks like it. The response has both signs. **|·|** keeps both, so that wrong matches glow "
        "around each jet like fog. **ReLU** keeps only the likeness. ReLU with a negative **bias** also cuts weak likeness "
        "(here, all below half of the largest response): what is left is five spots."
    )
    scene = formation()
    response = respond(scene, template())
    bias = -0.5 * float(response.max())
    views = {
        "|response|": np.abs(response),
        "ReLU": np.maximum(response, 0),
        "ReLU with bias": np.maximum(response + bias, 0),
    }

    def paint(every):
        paint_picture(every[0], scene, "the scene")
        for axes, (name, field) in zip(every[1:], views.items(), strict=True):
            paint_field(axes, field, name, signed=False)

    page.figure(paint, "Three activations", panels=(2, 2), size=(5.2, 3.4))
    half = len(template()) // 2
    found = {(row + half, column + half) for row, column in maxima(response, 5)}
    page.number(
        "jets_found", len(found & set(JETS)), "of the five largest responses, those at a jet's middle", printed=5
    )
    for key, (name, field) in zip(("fog_abs", "fog_relu", "fog_bias"), views.items(), strict=True):
        page.number(
            key,
            float((field > 0.05 * field.max()).mean()),
            f"share of places above a twentieth of the largest, {name}",
            digits=3,
        )

    def curves(axes):
        z = np.linspace(-1, 1, 201)
        axes.plot(z, np.abs(z), color=MODEL)
        axes.plot(z, np.maximum(z, 0), color=SECOND, linestyle=(0, (4, 3)))
        axes.plot(z, np.maximum(z - 0.5, 0), color=THIRD)
        axes.axvline(0, color=MUTED, lw=0.6)
        axes.set(xlabel="response", ylabel="after the activation", xticks=[-1, 0, 0.5, 1], yticks=[0, 0.5, 1])

    page.figure(
        curves, "What each lets through", keys=[("model", "|·|"), ("second", "ReLU"), ("third", "ReLU with bias −0.5")]
    )


def _moved(page: LessonPage, picture: np.ndarray, kernel: np.ndarray) -> None:
    page.heading("Move the picture, and the map moves")
    page.text(
        "Shift first and convolve, or convolve and shift: the same comes out, apart from the rim. This is **equivariance**: a "
        "thing that is recognised here is recognised there. It is not **invariance**, which would mean that the map does not "
        "change; and it does not hold for turning or scaling."
    )
    by = (3, 5)
    moved = respond(np.roll(picture, by, (0, 1)), kernel)[by[0] :, by[1] :]
    still = respond(picture, kernel)[: -by[0], : -by[1]]
    page.number("shift_gap", np.abs(moved - still).max(), "shifted by (3, 5): largest difference inside")
    turned = np.abs(respond(np.rot90(picture), kernel) - np.rot90(respond(picture, kernel))).max()
    page.number("turn_gap", turned, "turned by 90°: largest difference", digits=3)
    page.number("turn_scale", np.abs(respond(picture, kernel)).max(), "beside a largest response of", digits=3)

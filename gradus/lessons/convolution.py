"""A kernel slides over a picture: what small kernels see, and how one is learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.lessons.drawing import grey, log_ticks, paint_cells, paint_field, paint_picture, photograph
from gradus.look.charts import MODEL, SECOND
from gradus.reference.convolution import convolution2d

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

EXAMPLE = np.array([[1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 0], [0, 1, 1, 0, 0]], float)
HALF_BRIGHT = np.repeat(np.array([[10.0, 10, 10, 0, 0, 0]]), 6, axis=0)
Z_PATCHES = (  # two places of a letter Z, 16 x 16 pixels, grey values
    np.array([[188.0, 31, 0], [32, 0, 1], [134, 3, 0]]),
    np.array([[255.0, 255, 253], [255, 251, 255], [255, 255, 254]]),
)
KERNELS = {
    "upright edges": np.array([[1.0, 0, -1], [1, 0, -1], [1, 0, -1]]),
    "level edges": np.array([[1.0, 1, 1], [0, 0, 0], [-1, -1, -1]]),
    "Sobel": np.array([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]]),
    "Scharr": np.array([[3.0, 0, -3], [10, 0, -10], [3, 0, -3]]),
    "Laplacian": np.array([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]),
    "blur": np.ones((3, 3)) / 9,
    "sharpen": np.array([[0.0, -1, 0], [-1, 5, -1], [0, -1, 0]]),
}
RATE, STEPS = 1.0, 3000


def slide(picture: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """One kernel over one picture, without flipping it: (H, W), (k, k) -> (H - k + 1, W - k + 1); colours likewise."""
    if picture.ndim == 2:
        picture, kernel = picture[None], kernel[None]
    else:
        picture = picture.transpose(2, 0, 1)
    return convolution2d(picture[None], kernel[None])[0, 0]


def colour_kernel(weights: tuple[float, float, float]) -> np.ndarray:
    """An upright edge kernel (3, 3, 3) that reads red, green and blue with these weights."""
    return np.array(weights)[:, None, None] * KERNELS["upright edges"]


def learn_kernel(picture: np.ndarray, wanted: np.ndarray, rate: float, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Nine weights by gradient descent on the mean squared error, from zero. (3, 3), and the loss of every step."""
    height, width = wanted.shape
    windows = np.stack([picture[i : i + height, j : j + width].ravel() for i in range(3) for j in range(3)], axis=1)
    windows = windows - windows.mean()  # a shift of all values changes no edge, and without it the bowl is rounder
    target = wanted.ravel()
    kernel, losses = np.zeros(9), np.zeros(steps)
    for step in range(steps):
        residual = windows @ kernel - target
        losses[step] = (residual**2).mean()
        kernel -= rate * 2 * windows.T @ residual / len(target)
    return kernel.reshape(3, 3), losses


def show(page: LessonPage) -> None:
    found = slide(EXAMPLE, np.ones((3, 3)))
    page.text(
        "A **kernel** is a small table of weights, here 3 × 3. It is laid on the picture; each weight is multiplied with the "
        "pixel below it, the nine products are added, and the sum is one value of the **feature map**. Then it moves by one "
        "pixel. It is the same nine weights at every place."
    )

    def windows(every):
        for axes, (row, column) in zip(every, ((0, 0), (0, 1), (1, 0), (2, 2)), strict=False):
            value = found[row, column]
            paint_cells(axes, EXAMPLE, f"window sums to {value:.0f}", marked=[(row, column, 3, 3)], shade=True)
        paint_cells(every[4], found, "the feature map", colour=SECOND, shade=True)
        every[5].set_axis_off()

    page.figure(windows, "Nine ones slide over a 5 × 5 picture", panels=(2, 3), size=(5.6, 4.1))
    page.number("first", found[0, 0], "first window", printed=6)
    page.number("sum", found.sum(), "sum of the nine values 6 7 6, 4 7 7, 4 6 6")
    page.correction(
        "Plain Talk §6.3",
        "the first sum has eight products",
        "there are nine; the one that was dropped is 1 × 0, so 6 stands",
    )
    _edges(page)
    _photograph(page)
    _colours(page)
    _same_weights(page)
    _learned(page)


def _edges(page: LessonPage) -> None:
    page.heading("An edge")
    page.text(
        "Weights of 1, 0 and −1 side by side compare left with right. Where both are alike the sum is zero; where bright "
        "meets dark it is large. Dark to bright gives the same with a minus."
    )
    edge = slide(HALF_BRIGHT, KERNELS["upright edges"])

    def paint(every):
        paint_cells(every[0], HALF_BRIGHT, "bright and dark", shade=True)
        paint_cells(every[1], edge, "compared", colour=SECOND, shade=True)

    page.figure(paint, "A band of 30 where the edge is", panels=(1, 2), size=(5.2, 2.8))
    page.number("edge", edge.max(), "response at the edge", printed=30)
    page.number("edge_reversed", slide(HALF_BRIGHT[:, ::-1], KERNELS["upright edges"]).min(), "from dark to bright")
    page.number(
        "level_kernel", np.abs(slide(HALF_BRIGHT, KERNELS["level edges"])).max(), "what the level kernel finds here"
    )


def _photograph(page: LessonPage) -> None:
    page.heading("On a photograph")
    page.text(
        "Each kernel sees one thing. **Sobel** and **Scharr** are edge kernels that weigh the middle row more, so that slanting "
        "edges are judged more evenly. The **Laplacian** compares a pixel with its four neighbours: it finds fine lines and "
        "corners of any direction. A kernel whose weights add to 1 keeps the brightness: nine ninths blur, and a pixel that is "
        "strengthened against its neighbours sharpens. (A median filter is none of these: it is not a weighted sum.)"
    )
    page.table(
        ("kernel", "upper row", "middle row", "lower row"),
        [
            (name, *(" ".join(f"{value:g}".replace("-", "−") for value in row) for row in kernel))
            for name, kernel in (KERNELS | {"blur": np.ones((3, 3))}).items()
        ],
        title="The weights; those of blur are divided by 9",
    )
    picture = grey(photograph("china", 120))

    def paint(every):
        paint_picture(every[0], picture, "the photograph")
        for axes, (name, kernel) in zip(every[1:], KERNELS.items(), strict=True):
            response = slide(picture, kernel)
            if name in ("blur", "sharpen"):
                paint_picture(axes, response, name)
            else:
                paint_field(axes, response, name)

    page.figure(
        paint, "Seven kernels", panels=(4, 2), size=(5.2, 7.4), note="Red: positive, blue: negative, white: zero."
    )


def _colours(page: LessonPage) -> None:
    page.heading("Edges of one colour")
    page.text(
        "On a colour picture a kernel has three slices, 27 weights, and the three sums are added into **one** value. If the "
        "slices of green and blue are zero, only red counts. A kernel can also set one colour against another."
    )
    picture = photograph("flower", 120)
    kernels = {"red edges": (1.0, 0.0, 0.0), "blue edges": (0.0, 0.0, 1.0), "red against green": (1.0, -1.0, 0.0)}

    def paint(every):
        paint_picture(every[0], picture, "the photograph")
        for axes, (name, weights) in zip(every[1:], kernels.items(), strict=True):
            paint_field(axes, slide(picture, colour_kernel(weights)), name)

    page.figure(
        paint,
        "Three kernels of 27 weights",
        panels=(2, 2),
        size=(5.2, 3.8),
        note="Red: positive, blue: negative, white: zero.",
    )
    red, green = np.array([0.9, 0.1, 0.1]), np.array([0.1, 0.9, 0.1])
    patches = np.where(np.arange(6)[None, :, None] < 3, [[red]], [[green]]) * np.ones((6, 1, 1))
    shadow = np.where(np.arange(6)[None, :, None] < 3, [[red]], [[0.5 * red]]) * np.ones((6, 1, 1))
    against = colour_kernel((1.0, -1.0, 0.0))
    page.number("red_green", slide(patches, against).max(), "red against green, where red meets green")
    page.number("red_shadow", slide(shadow, against).max(), "where red meets the same red in shadow")
    page.number(
        "blue_blind",
        np.abs(slide(patches, colour_kernel((0.0, 0.0, 1.0)))).max(),
        "what the blue kernel sees of red and green",
    )


def _same_weights(page: LessonPage) -> None:
    page.heading("The same weights everywhere")
    page.text(
        "A letter Z under the Laplacian, at two places: at the rim of a stroke, and inside one. The values differ because the "
        "pixels differ; the weights do not. This is **weight sharing**: nine numbers serve the whole picture, and what is "
        "learned in one corner is known in all."
    )
    rim, inside = (float(slide(patch, KERNELS["Laplacian"])[0, 0]) for patch in Z_PATCHES)

    def paint(every):
        paint_cells(every[0], Z_PATCHES[0], "at the rim", shade=True)
        paint_cells(every[1], Z_PATCHES[1], "inside a stroke", shade=True)

    page.figure(paint, "Two windows, one kernel", panels=(1, 2), size=(4.6, 2.5))
    page.number("z_rim", rim, "Laplacian at the rim", printed=67)
    page.number("z_inside", inside, "Laplacian inside", printed=16)


def _learned(page: LessonPage) -> None:
    page.heading("The nine weights, learned")
    page.text(
        "Nobody needs to design a kernel. Here the picture and the Sobel response are given, the kernel starts as nine zeros, "
        "and gradient descent changes it until its response is the wanted one."
    )
    picture = grey(photograph("china", 60))
    kernel, losses = learn_kernel(picture, slide(picture, KERNELS["Sobel"]), RATE, STEPS)

    def weights(axes):
        paint_cells(axes, kernel, decimals=2, shade=True)

    def curve(axes):
        axes.loglog(np.arange(1, STEPS + 1), losses, color=MODEL)
        axes.set(xlabel="step", ylabel="mean squared error")
        log_ticks(axes.xaxis, axes.yaxis)

    page.figure(curve, f"Learning from a photograph, {STEPS:,} steps")
    page.figure(weights, "What was learned", keys=[("model", "larger weights")])
    page.number(
        "kernel_error", float(np.abs(kernel - KERNELS["Sobel"]).max()), "largest difference from Sobel's nine weights"
    )

"""A convolution as one product of matrices: windows laid out as columns, and the sparse matrix behind it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from gradus.lessons.drawing import log_ticks, paint_cells
from gradus.look.charts import MODEL, SECOND, THIRD
from gradus.reference.convolution import convolution2d, convolution2d_loops, im2col
from gradus.reference.convolution_matrix import convolution2d_matrix

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

PICTURE = np.array([[3.0, 2, 1], [0, 1, 2], [3, 1, 1]])
KERNELS = np.array([[[0.0, 1], [1, 2]], [[2.0, 1], [1, 3]]])
TIMED = (16, 32, 64)  # sides of the pictures that are timed, 4 channels to 4


def as_product(picture: np.ndarray, kernels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(H, W), (out, k, k) -> the windows as columns (k k, L), the kernels as rows (out, k k), and their product (out, L)."""
    columns = im2col(picture[None, None], kernels.shape[1:])[0]
    rows = kernels.reshape(len(kernels), -1)
    return columns, rows, rows @ columns


def connections(side: int, kernel: int) -> tuple[int, int]:
    """Links from a square picture to the map of a valid convolution: if everything were linked, and as it is."""
    outputs = (side - kernel + 1) ** 2
    return side * side * outputs, kernel * kernel * outputs


def seconds(function: Callable[[], object], repeats: int) -> float:
    """The shortest of several runs."""
    best = np.inf
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - started)
    return best


def show(page: LessonPage) -> None:
    columns, rows, product = as_product(PICTURE, KERNELS)
    page.text(
        "Computers multiply large matrices very fast; a kernel that hops over a picture uses nothing of that. **im2col** (image "
        "to columns) lays every window out as a column. Each kernel becomes a row. The whole convolution is then **one** matrix "
        "product, at the price of copying: a pixel stands in as many columns as windows hold it."
    )

    def matrices(every):
        paint_cells(every[0], PICTURE, "picture", marked=[(0, 0, 2, 2)], shade=True)
        paint_cells(every[1], columns, "a window, a column", marked=[(0, 0, 4, 1)], shade=True)
        paint_cells(every[2], rows, "a kernel, a row", colour=SECOND, shade=True)
        paint_cells(every[3], product, "kernels times windows", colour=THIRD, shade=True)

    page.figure(matrices, "Two kernels of 2 × 2 over 3 × 3 pixels", panels=(2, 2), size=(5.2, 4.6))
    for name, values in zip("ab", product, strict=True):
        page.number(
            f"sum_{name}",
            values.sum(),
            f"sum of the map of kernel {name.upper()}: " + ", ".join(f"{v:.0f}" for v in values),
        )
    loops = convolution2d_loops(PICTURE[None, None], KERNELS[:, None])[0].reshape(2, -1)
    page.number("gap", np.abs(loops - product).max(), "largest difference from the sliding window")
    page.correction(
        "Principles and Practice §4.2.3, fig. 4-13",
        "the third window is printed 0 1 1 3, and as result the two kernels stand again",
        "the window is 0 1 3 1; the results are 4, 6, 6, 5 and 11, 12, 7, 8",
    )
    page.correction(
        "Principles and Practice eq. 4-3",
        "a row of the matrix has C·H·W numbers, and the amount of data stays the same",
        f"it has C·K·K; and here {PICTURE.size} pixels become {columns.size} numbers",
    )
    _sparse(page)
    _timed(page)


def _sparse(page: LessonPage) -> None:
    page.heading("The matrix behind it")
    kernel = np.array([[1.0, 2], [3, 4]])
    matrix = convolution2d_matrix(kernel[None, None], 4, 4)
    page.text(
        "A convolution is linear, so it is a matrix as well: a row for every output, a column for every pixel. It is nearly "
        "empty, and its few numbers repeat along slanting lines. A dense layer is the same picture with every cell filled, each "
        "with a weight of its own."
    )

    def paint(axes):
        paint_cells(axes, matrix, shade=True, least=0.5, text_size=9)
        axes.set(xlabel="16 pixels", ylabel="9 outputs")

    page.figure(paint, "A 2 × 2 kernel over 4 × 4 pixels", size=(4.4, 2.9))
    picture = np.random.default_rng(0).normal(size=(4, 4))
    gap = np.abs(matrix @ picture.ravel() - convolution2d(picture[None, None], kernel[None, None]).ravel()).max()
    page.number("matrix_gap", gap, "largest difference of the matrix from the convolution")
    small, large = connections(4, 2), connections(256, 2)
    page.table(
        ("picture", "linked to all", "convolution", "times fewer"),
        [
            ("4 × 4", f"{small[0]:,}", f"{small[1]:,}", f"{small[0] / small[1]:,.0f}"),
            ("256 × 256", f"{large[0]:,}", f"{large[1]:,}", f"{large[0] / large[1]:,.0f}"),
        ],
    )
    page.number("dense_small", small[0], "4 × 4: links of a dense layer", printed=144)
    page.number("sparse_small", small[1], "of the convolution", printed=36)
    page.number("dense_large", large[0], "256 × 256: links of a dense layer", digits=10)
    page.number("sparse_large", large[1], "of the convolution", digits=10)
    page.number("orders", float(np.log10(large[0] / large[1])), "powers of ten between them", printed=5, digits=3)
    page.correction(
        "Deep Learning and Computer Vision §4.1.4",
        "five orders of magnitude fewer",
        "16,384 times, 4.2 orders. And 260,100 counts links; the distinct weights are four",
    )


def _timed(page: LessonPage) -> None:
    page.heading("Measured")
    page.text(
        "Four channels to four, kernels of 3 × 3, on this machine, just now: Python loops, and im2col with one product. The "
        "times differ from run to run and from machine to machine."
    )
    generator = np.random.default_rng(0)
    weight = generator.normal(size=(4, 4, 3, 3))
    slow, fast = [], []
    for side in TIMED:
        picture = generator.normal(size=(1, 4, side, side))
        slow.append(seconds(lambda picture=picture: convolution2d_loops(picture, weight), 1))  # type: ignore[misc]
        fast.append(seconds(lambda picture=picture: convolution2d(picture, weight), 5))  # type: ignore[misc]

    def paint(axes):
        axes.loglog(TIMED, slow, "o-", color=SECOND)
        axes.loglog(TIMED, fast, "o-", color=MODEL)
        axes.set(xlabel="side of the picture", ylabel="seconds")
        log_ticks(axes.yaxis)
        axes.minorticks_off()
        axes.set_xticks(TIMED, [str(side) for side in TIMED])

    page.figure(paint, "Loops and a product", keys=[("second", "loops"), ("model", "im2col")])
    page.number("loops_seconds", slow[-1], f"loops, {TIMED[-1]} × {TIMED[-1]}, seconds", digits=2)
    page.number("product_seconds", fast[-1], "im2col, seconds", digits=2)
    page.number("times_faster", slow[-1] / fast[-1], "times faster", digits=2)

"""How large the output of a convolution is: padding, stride and holes, and how often each pixel is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.lessons.drawing import paint_cells
from gradus.look.charts import INK, MODEL, MUTED, SECOND
from gradus.reference.convolution import convolution, output_size
from gradus.reference.geometry import sizes, uses

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

# what is convolved: (name, size, kernel, stride, padding, dilation)
SIZES = (
    ("no padding (valid)", 6, 3, 1, 0, 1),
    ("padding 1 (same)", 6, 3, 1, 1, 1),
    ("stride 2", 7, 3, 2, 0, 1),
    ("stride 2, a row left over", 8, 3, 2, 0, 1),
    ("kernel 5, same", 28, 5, 1, 2, 1),
    ("dilation 2, padding 2", 12, 3, 1, 2, 2),
)
CHAIN = ((3, 1), (5, 2), (5, 2))  # (kernel, stride) of the demonstration network, from 39 x 39


def times_used(size: int, kernel: int, stride: int = 1, padding: int = 0) -> np.ndarray:
    """How many windows read each pixel of a square picture: as often as its row times as often as its column."""
    counts = uses(size, kernel, stride, padding)
    return np.outer(counts, counts).astype(float)


def show(page: LessonPage) -> None:
    page.text(
        "A kernel of side $f$ fits into a row of $n$ pixels at $n-f+1$ places, so the output is smaller than the input. "
        "**Padding** puts $p$ rows of zeros around the picture. **Stride** $s$ moves the kernel $s$ pixels at a time. "
        "**Dilation** $d$ spreads its weights: they stand $d$ pixels apart, so that it spans $d(f-1)+1$."
    )
    page.formula(r"m=\left\lfloor\frac{n+2p-d(f-1)-1}{s}\right\rfloor+1")
    page.table(
        ("", "n", "f", "s", "p", "d", "m"),
        [(name, n, f, s, p, d, output_size(n, f, s, p, d)) for name, n, f, s, p, d in SIZES],
    )
    page.correction(
        "Principles and Practice eq. 4-1",
        "the division is written without rounding down, and listing 4-1 asserts that it has no remainder",
        "a last window that does not fit is left out: 8 pixels, kernel 3, stride 2 give 3 values, and the last "
        "column is never read",
    )
    _usage(page)
    _same(page)
    _chain(page)
    _dilated(page)
    _dimensions(page)


def _usage(page: LessonPage) -> None:
    page.heading("Corners are read once")
    bare, padded = times_used(6, 3), times_used(6, 3, padding=1)
    page.text(
        "Without padding a corner lies in one window only, a pixel in the middle in nine. What stands at the rim has less say. "
        "With one row of zeros around, the corner lies in four."
    )

    def paint(every):
        paint_cells(every[0], bare, "no padding", shade=True)
        paint_cells(every[1], padded, "padding 1", shade=True)

    page.figure(paint, "How many windows read each pixel", panels=(1, 2), size=(5.4, 2.9))
    page.number("corner", bare[0, 0], "windows that read a corner", printed=1)
    page.number("centre", bare[2, 2], "windows that read a pixel in the middle", printed=9)
    page.number("corner_padded", padded[0, 0], "the corner, with padding 1")


def _same(page: LessonPage) -> None:
    page.heading("Same size, when?")
    page.text(
        "The rule $p=(f-1)/2$ keeps the size only for stride 1, and only an odd $f$ gives a whole $p$. An even kernel needs "
        "one row more on one side than on the other. Another reason for odd kernels: they have a middle."
    )
    rows = []
    for f in range(1, 8):
        p = (f - 1) / 2
        whole = p.is_integer()
        rows.append((str(f), f"{p:g}", *(str(output_size(28, f, s, int(p))) if whole else "not whole" for s in (1, 2))))
    page.table(("f", "p = (f − 1)/2", "28 pixels, stride 1", "stride 2"), rows)
    page.number("same_stride_one", output_size(28, 5, 1, 2), "28 pixels, kernel 5, padding 2, stride 1")
    page.number("same_stride_two", output_size(28, 5, 2, 2), "the same with stride 2")
    page.correction(
        "Course notes §4.1.5", "same padding is p = (f − 1)/2", "for stride 1 and odd f; with stride 2 the size halves"
    )


def _chain(page: LessonPage) -> None:
    page.heading("A chain of three")
    sides = [39, *sizes(39, CHAIN)]
    page.text(
        "A picture of 39 × 39 through 10 kernels of side 3, 20 of side 5 at stride 2, and 40 of side 5 at stride 2."
    )
    counts = (3, 10, 20, 40)

    def paint(axes):
        from matplotlib.patches import Rectangle

        left = 0.0
        for size, count in zip(sides, counts, strict=True):
            axes.add_patch(Rectangle((left, -size / 2), size, size, facecolor=MODEL, alpha=0.25, edgecolor=INK))
            axes.text(left + size / 2, -size / 2 - 2, f"{size}×{size}×{count}", ha="center", va="top", color=INK)
            left += size + 9
        axes.set(xlim=(-1, left), ylim=(-28, 21), aspect="equal")
        axes.set_axis_off()

    page.figure(paint, "Smaller and deeper", size=(5.4, 2.3))
    for layer, size in enumerate(sides[1:], 1):
        page.number(f"size_{layer}", size, f"side after layer {layer}", printed=(37, 17, 7)[layer - 1])
    page.number("flat", sides[-1] ** 2 * counts[-1], "values at the end", printed=1960)
    page.correction(
        "Course notes §4.1.10",
        "(39 + 2·0 − 1)/1 + 1",
        "the kernel's side is subtracted, not 1: (39 + 2·0 − 3)/1 + 1 = 37",
    )


def _dilated(page: LessonPage) -> None:
    page.heading("Holes")
    page.text(
        "Three weights at dilation 2 span five pixels. With padding 2 the length stays, and stacked layers of dilation 1, 2, 4 "
        "see far with few weights."
    )

    def paint(every):
        for axes, rate in zip(every, (1, 2), strict=True):
            for place in range(8):
                for weight in (-1, 0, 1):
                    axes.plot(
                        [place + weight * rate, place],
                        [0, 1],
                        color=SECOND if place == 4 else MUTED,
                        lw=2 if place == 4 else 0.7,
                    )
            axes.plot(np.arange(8), np.ones(8), "o", color=MODEL, markersize=6)
            inside = np.arange(-rate, 8 + rate)
            axes.plot(inside, np.zeros(len(inside)), "o", color=MUTED, markersize=5)
            axes.plot(np.arange(8), np.zeros(8), "o", color=INK, markersize=6)
            axes.set_title(f"dilation {rate}, padding {rate}", color=INK, fontsize="medium")
            axes.set(xlim=(-2.5, 9.5), ylim=(-0.3, 1.3))
            axes.set_axis_off()

    page.figure(
        paint,
        "One output reads three inputs",
        keys=[("ink", "input"), ("muted", "padding"), ("model", "output")],
        panels=(2, 1),
        size=(4.4, 3.2),
    )
    page.number("span", 2 * (3 - 1) + 1, "pixels spanned by three weights at dilation 2")
    page.number("dilated_size", output_size(8, 3, 1, 2, 2), "length from 8, padding 2, dilation 2")


def shape_after(inputs: tuple[int, ...], *kernels: tuple[int, int]) -> list[tuple[int, ...]]:
    """Shapes of one example, sizes first and channels last, after convolutions of (side, count) kernels without padding.

    As many dimensions as `inputs` has sizes; found by convolving zeros, not by the formula.
    """
    *sizes, channels = inputs
    maps, shapes = np.zeros((1, channels, *sizes)), []
    for side, count in kernels:
        maps = convolution(maps, np.zeros((count, maps.shape[1], *[side] * len(sizes))))
        shapes.append((*maps.shape[2:], count))
    return shapes


def _dimensions(page: LessonPage) -> None:
    page.heading("One, two, three dimensions")
    page.text(
        "A row of measurements, such as a heart's electric signal, is convolved along one axis; a stack of slices from a "
        "scanner, or a film, along three. The sizes follow the same rule on every axis. The colours are **not** a third "
        "dimension of this kind: the kernel is as deep as the picture has colours and does not move along them."
    )
    chains: dict[str, tuple[tuple[int, ...], list[tuple[int, int]]]] = {
        "1-D": ((14, 1), [(5, 16), (5, 32)]),
        "2-D, three colours": ((14, 14, 3), [(5, 16)]),
        "3-D": ((14, 14, 14, 1), [(5, 16), (5, 32)]),
    }
    written = {name: [inputs, *shape_after(inputs, *kernels)] for name, (inputs, kernels) in chains.items()}
    page.table(
        ("", "input", "16 kernels of side 5", "32 kernels of side 5"),
        [
            (name, *(" × ".join(map(str, shape)) for shape in shapes), *[""] * (3 - len(shapes)))
            for name, shapes in written.items()
        ],
    )
    for key, name, printed in (("one", "1-D", "10 × 16"), ("two", "2-D, three colours", "10 × 10 × 16")):
        page.number(
            f"values_{key}", float(np.prod(written[name][1])), f"values after the first layer, {name}: {printed}"
        )
    page.number("values_three", float(np.prod(written["3-D"][2])), "after the second layer, 3-D")
    page.correction(
        "Course notes §4.1.7",
        "the convolution of a colour picture is called 3-D",
        "it is 2-D over three channels; see the table",
    )

"""Pooling: one number for a window. Max, mean, chance, chunks; overlap and the last window; what it forgives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.lessons.drawing import paint_cells, paint_picture
from gradus.look.charts import INK, MODEL, SECOND, THIRD
from gradus.reference.convolution import output_size
from gradus.reference.other_pooling import chunk_max_pool, stochastic_pool2d
from gradus.reference.pooling import average_pool2d, max_pool2d

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

FOUR = np.array([[1.0, 3, 2, 1], [2, 9, 1, 1], [1, 3, 2, 3], [5, 6, 1, 2]])
FIVE = np.array([[1.0, 3, 2, 1, 3], [2, 9, 1, 1, 5], [1, 3, 2, 3, 2], [8, 3, 5, 1, 0], [5, 6, 1, 2, 9]])
RANDOM = np.array([[1.0, 1, 2, 3], [2, 1, 0, 3], [4, 0, 4, 1], [3, 3, 2, 3]])  # as Principles and Practice prints it


def largest(table: np.ndarray, kernel: int, stride: int | None = None, ceil: bool = False) -> np.ndarray:
    """Max pooling of one table."""
    return max_pool2d(table[None, None], kernel, stride, ceil=ceil)[0, 0]


def mean(table: np.ndarray, kernel: int, stride: int | None = None) -> np.ndarray:
    """Mean pooling of one table."""
    return average_pool2d(table[None, None], kernel, stride)[0, 0]


def letter_z(side: int = 16) -> np.ndarray:
    """A bright Z with soft rims, values 0..255. (side, side); drawn here, as the text's table of pixels is not printed whole."""
    row, column = np.mgrid[:side, :side] + 0.5
    bars = np.minimum(np.abs(row - 3), np.abs(row - (side - 3)))
    slope = np.where((row > 3) & (row < side - 3), np.abs(column + row - side) / np.sqrt(2), np.inf)
    inside = (column > 2) & (column < side - 2)
    distance = np.where(inside, np.minimum(bars, slope), np.inf)
    return np.round(255 * np.clip(2.1 - distance, 0, 1))


def draws(window: np.ndarray, count: int) -> np.ndarray:
    """What stochastic pooling picks from one window, `count` times: each value with a chance in proportion to itself."""
    generator = np.random.default_rng(0)
    many = np.broadcast_to(window, (count, 1, *window.shape)).copy()
    return stochastic_pool2d(many, len(window), generator=generator)[0][:, 0, 0, 0]


def show(page: LessonPage) -> None:
    page.text(
        "**Pooling** puts one number in the place of a window: the largest, or the mean. It has nothing to learn. The usual "
        "window is 2 × 2 with stride 2: the picture keeps a quarter of its values, and what comes after has less to do and "
        "sees farther."
    )

    def tables(every):
        paint_cells(
            every[0], FOUR, "a 4 × 4 map", marked=[(0, 0, 2, 2), (0, 2, 2, 2), (2, 0, 2, 2), (2, 2, 2, 2)], shade=True
        )
        paint_cells(every[1], largest(FOUR, 2), "largest", colour=SECOND, shade=True)
        paint_cells(every[2], mean(FOUR, 2), "mean", colour=THIRD, shade=True, decimals=2)

    page.figure(tables, "Windows of 2 × 2", panels=(1, 3), size=(5.6, 2.3))
    page.number("max_sum", largest(FOUR, 2).sum(), "sum of the four largest: 9, 2, 6, 3")
    page.number("mean_sum", mean(FOUR, 2).sum(), "sum of the means: 3.75, 1.25, 3.75, 2")
    page.number("random_sum", largest(RANDOM, 2).sum(), "listing 4-2: sum of 2, 3, 4, 4")
    page.correction(
        "Principles and Practice listing 4-2",
        "uses `pool_height` and `pool_width`, which nothing defines",
        "the window's own sides",
    )
    _letter(page)
    _overlap(page)
    _others(page)
    _forgives(page)


def _letter(page: LessonPage) -> None:
    page.heading("A letter")
    letter = letter_z()

    def paint(every):
        for axes, (name, table) in zip(
            every, (("16 × 16", letter), ("largest", largest(letter, 2)), ("mean", mean(letter, 2))), strict=True
        ):
            paint_picture(axes, table / 255, name)

    page.figure(
        paint,
        "A Z, pooled",
        panels=(1, 3),
        size=(5.4, 2.2),
        note="Drawn here; the text has a table of pixels that is not fully legible.",
    )
    page.text(
        "The largest value makes the strokes thicker: one bright pixel brightens its window. The mean makes them paler. For "
        'responses, where a large value says "seen", the maximum asks **was it seen anywhere here**, and the '
        "mean **how much, all over**."
    )
    page.number("bright_before", float((letter > 127).mean()), "share of bright pixels", digits=3)
    page.number("bright_max", float((largest(letter, 2) > 127).mean()), "after max pooling", digits=3)
    page.number("bright_mean", float((mean(letter, 2) > 127).mean()), "after mean pooling", digits=3)


def _overlap(page: LessonPage) -> None:
    page.heading("Overlap, and the last window")
    page.text(
        "With a stride smaller than the window, windows overlap: 3 × 3 with stride 1 on 5 × 5 gives 3 × 3; AlexNet has 3 × 3 "
        "with stride 2. If the last window does not fit, it is left out (**floor**) or it takes what is there (**ceil**)."
    )

    def paint(every):
        paint_cells(every[0], FIVE, "a 5 × 5 map", marked=[(0, 0, 3, 3), (1, 1, 3, 3)], shade=True)
        paint_cells(every[1], largest(FIVE, 3, 1), "3 × 3, stride 1", colour=SECOND, shade=True)
        paint_cells(every[2], largest(FIVE, 2, 2), "2 × 2, floor", colour=SECOND, shade=True)
        paint_cells(every[3], largest(FIVE, 2, 2, ceil=True), "2 × 2, ceil", colour=SECOND, shade=True)

    page.figure(paint, "One map, pooled three ways", panels=(2, 2), size=(5.2, 5.0))
    page.number("overlap_sum", largest(FIVE, 3, 1).sum(), "sum of 9 9 5, 9 9 5, 8 6 9")
    page.table(
        ("map, window 3, stride 2", "floor", "ceil"),
        [
            (f"{side} × {side}", output_size(side, 3, 2), output_size(side, 3, 2, ceil=True))
            for side in (112, 56, 28, 14, 55)
        ],
    )
    page.number("ceil_112", output_size(112, 3, 2, ceil=True), "112 pixels with ceil, as GoogLeNet needs", printed=56)
    page.correction(
        "Deep Learning and Computer Vision §4.1.7",
        "the most common stride is the window's side less one",
        "that is the overlapping 3 with stride 2; 2 with stride 2, without overlap, is as common",
    )


def _others(page: LessonPage) -> None:
    page.heading("By chance, and by chunks")
    window = np.array([[1.0, 3], [0, 4]])
    page.text(
        "**Stochastic** pooling draws one of the window's values, each with a chance in proportion to its size; what is used "
        "after training is the mean weighted by those chances. It works against overfitting, as dropout does. **Chunk-max** "
        "pooling is for sequences of any length: cut into a fixed number of pieces, the largest of each; so some "
        "of the order is kept."
    )
    picked = draws(window, 4000)
    values, counts = np.unique(picked, return_counts=True)

    def bars(axes):
        axes.bar(values, counts / len(picked), color=MODEL, width=0.6)
        axes.plot([1, 3, 4], np.array([1, 3, 4]) / 8, "_", color=INK, markersize=26, markeredgewidth=2)
        axes.set(xlabel="value drawn", ylabel="share", xticks=[0, 1, 3, 4], yticks=[0, 0.25, 0.5], xlim=(-0.6, 4.6))
        axes.grid(visible=False, axis="x")

    page.figure(bars, "4000 draws from 1, 3, 0, 4", keys=[("model", "drawn"), ("ink", "expected")], size=(4.4, 2.5))
    page.number("drawn_mean", picked.mean(), "mean of the draws", digits=4)
    page.number("expected_mean", float((window**2).sum() / window.sum()), "expected: (1 + 9 + 0 + 16)/8")
    page.number("never_zero", float((picked == 0).sum()), "draws of the zero")
    sequence = np.array([1.0, 5, 2, 0, 3, 1, 8, 2, 4])
    page.table(
        ("sequence of 9", "1 5 2 0 3 1 8 2 4"),
        [
            ("three chunks", _chunks(sequence)),
            ("turned round, three chunks", _chunks(sequence[::-1])),
            ("one maximum", f"{sequence.max():.0f}"),
        ],
    )


def _chunks(sequence: np.ndarray) -> str:
    return " ".join(f"{value:.0f}" for value in chunk_max_pool(sequence[None, None], 3)[0, 0])


def _forgives(page: LessonPage) -> None:
    page.heading("What it forgives")
    first, second = np.zeros((6, 6)), np.zeros((6, 6))
    first[0, 0], second[2, 1] = 11, 11
    page.text(
        "The 11 stands in one corner of a 3 × 3 window, then at its lower rim. The pooled map is the same: small "
        "moves **within** "
        "a window do not matter. This is **invariance**, and it ends at the window's border."
    )

    def paint(every):
        paint_cells(every[0], first, "here", marked=[(0, 0, 3, 3)], shade=True)
        paint_cells(every[1], second, "or there", marked=[(0, 0, 3, 3)], shade=True)
        paint_cells(every[2], largest(second, 3), "the same", colour=SECOND, shade=True)

    page.figure(paint, "Two pictures, one pooled map", panels=(1, 3), size=(5.6, 2.3))
    page.number("same", np.abs(largest(first, 3) - largest(second, 3)).max(), "difference of the two pooled maps")
    generator = np.random.default_rng(0)
    maps = generator.normal(size=(20, 1, 24, 24))
    for _ in range(3):  # smooth, as responses are
        maps = (maps + np.roll(maps, 1, 2) + np.roll(maps, 1, 3) + np.roll(maps, (1, 1), (2, 3))) / 4
    moved = np.roll(maps, 1, axis=3)
    sides = (1, 2, 3, 4, 6)
    curves = {
        name: [_moved_by(pool(maps, side), pool(moved, side)) for side in sides]
        for name, pool in (("max", max_pool2d), ("mean", average_pool2d))
    }

    def lines(axes):
        axes.plot(sides, curves["max"], "o-", color=SECOND)
        axes.plot(sides, curves["mean"], "o-", color=THIRD)
        axes.set(xlabel="side of the window", ylabel="relative change", ylim=(0, None), xticks=sides)

    page.figure(
        lines,
        "Twenty smooth random maps moved by one pixel",
        keys=[("second", "max"), ("third", "mean")],
        size=(4.4, 2.8),
        note="Relative change: how far the pooled maps move, as a share of their spread.",
    )
    page.text(
        "Larger windows forgive more, here the mean more than the maximum; but a move of one pixel always crosses some "
        "border: the change does not become zero."
    )
    for side in (1, 4):
        page.number(
            f"moved_{side}", curves["max"][sides.index(side)], f"change after max pooling, windows of {side}", digits=3
        )


def _moved_by(before: np.ndarray, after: np.ndarray) -> float:
    """The change as a share of the spread of values."""
    return float(np.sqrt(((after - before) ** 2).mean()) / before.std())

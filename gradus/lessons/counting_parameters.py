"""Counting weights: what local windows and shared weights save, and tables that add up."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from gradus.lessons.drawing import log_ticks
from gradus.look.charts import INK, MODEL, SECOND
from gradus.reference.geometry import convolution_parameters, dense_parameters

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage


@dataclass(frozen=True)
class Row:
    """A layer of a table: its output (height, width, channels) or (units,), and its weights with biases."""

    name: str
    output: tuple[int, ...]
    parameters: int

    @property
    def values(self) -> int:
        return int(np.prod(self.output))


def convolution(kernel: int, inputs: int, outputs: int) -> int:
    """A kernel of `kernel` x `kernel` x `inputs` weights and a bias for every output channel."""
    return convolution_parameters(inputs, outputs, kernel, kernel)


def weights_of_chain(*sizes: int) -> int:
    """Weights, without biases, of dense layers between these sizes."""
    return sum(before * after for before, after in pairwise(sizes))


def lenet(kernels: int, colours: int) -> list[Row]:
    """The digit network of the course notes §4.1.13 and §4.2.2: 32 x 32 pixels, ten classes."""
    return [
        Row("input", (32, 32, colours), 0),
        Row("convolution 5", (28, 28, kernels), convolution(5, colours, kernels)),
        Row("pool 2", (14, 14, kernels), 0),
        Row("convolution 5", (10, 10, 16), convolution(5, kernels, 16)),
        Row("pool 2", (5, 5, 16), 0),
        Row("dense", (120,), dense_parameters(400, 120)),
        Row("dense", (84,), dense_parameters(120, 84)),
        Row("softmax", (10,), dense_parameters(84, 10)),
    ]


def cifar_network() -> list[Row]:
    """The CIFAR-10 network of Plain Talk §6.9 on crops of 24 x 24."""
    return [
        Row("input", (24, 24, 3), 0),
        Row("convolution 5, same", (24, 24, 64), convolution(5, 3, 64)),
        Row("pool 3, stride 2", (12, 12, 64), 0),
        Row("convolution 5, same", (12, 12, 64), convolution(5, 64, 64)),
        Row("pool 3, stride 2", (6, 6, 64), 0),
        Row("dense", (384,), dense_parameters(6 * 6 * 64, 384)),
        Row("dense", (192,), dense_parameters(384, 192)),
        Row("softmax", (10,), dense_parameters(192, 10)),
    ]


def total(rows: list[Row]) -> int:
    return sum(row.parameters for row in rows)


def show(page: LessonPage) -> None:
    page.text(
        "A layer's **parameters** are the numbers that training sets: weights and biases. A dense layer has a weight for every "
        "pair of input and output. A convolution has a small kernel for every pair of channels, wherever in the "
        "picture it is used."
    )
    _three_steps(page)
    page.heading("Multiply across a layer, add over layers")
    page.text(
        "A picture of 400 × 400 goes to three dense layers of 100 units. Between two layers the sizes multiply; the counts of "
        "several layers **add**."
    )
    page.number("three_layers", weights_of_chain(400 * 400, 100, 100, 100), "weights", printed="1.6e11", digits=9)
    page.correction(
        "Principles and Practice §4.3.1",
        "1.6 × 10¹¹, the product 160000 · 100 · 100 · 100",
        "160000 · 100 + 100 · 100 + 100 · 100 = 16,020,000, about 1.6 × 10⁷",
    )
    page.number(
        "ten_nodes",
        weights_of_chain(1000, 10, 10, 10, 10, 1),
        "1000 inputs, four layers of 10, one output",
        printed=10310,
    )
    page.number(
        "nudges",
        2000 * weights_of_chain(1000, 10, 10, 10, 10, 1),
        "trial steps, if each weight is nudged 2000 times",
        digits=8,
    )
    page.correction(
        "Plain Talk §7.1",
        "2062000 nudges in one place",
        "2000 · 10,310 = 20,620,000, as the same section says elsewhere",
    )
    _lenets(page)
    _cifar(page)


def _three_steps(page: LessonPage) -> None:
    page.heading("Three steps to few weights")
    counts = {"dense": 1000 * 1000 * 1000, "10 × 10 windows": 1000 * 10 * 10, "100 shared kernels": 100 * 10 * 10}
    page.text(
        "A picture of 1000 × 1000 and 1000 hidden units. Dense: each unit reads every pixel. **Local**: each reads a window of "
        "10 × 10. **Shared**: all places use the same kernels, here a hundred, so the number of places no longer counts."
    )

    def bars(axes):
        axes.barh(list(counts), list(counts.values()), color=MODEL, height=0.55)
        axes.set(xscale="log", xlim=(1e3, 4e9), xlabel="weights")
        log_ticks(axes.xaxis)
        axes.invert_yaxis()
        axes.tick_params(axis="y", labelcolor=INK)
        axes.grid(visible=False, axis="y")

    page.figure(bars, "Weights of the three layers", size=(4.4, 2.2))
    for key, count in zip(("full", "local", "shared"), counts.values(), strict=True):
        page.number(key, count, {"full": "dense", "local": "local", "shared": "shared"}[key], digits=10)
    page.number("local_share", counts["10 × 10 windows"] / counts["dense"], "local as a share of dense", printed=0.001)
    page.correction(
        "Principles and Practice §4.3.2",
        "local windows leave one thousandth",
        "one ten-thousandth: 100 pixels of 1,000,000",
    )


def _lenets(page: LessonPage) -> None:
    page.heading("A table that adds up")
    printed = ["0", "608", "0", "1216", "0", "48001", "10081", "841"]
    rows = lenet(8, 3)
    page.text(
        "The digit network of the course notes. A layer's parameters are counted from its kernel and its inputs: "
        "$(f\\cdot f\\cdot c+1)\\cdot m$ for a convolution, $(n+1)\\cdot m$ for a dense layer. The +1 is the bias, one for "
        "**every** output."
    )
    page.table(
        ("layer", "output", "values", "parameters", "in the text"),
        [(row.name, _size(row), row.values, row.parameters, was) for row, was in zip(rows, printed, strict=True)],
    )
    page.correction(
        "Course notes §4.1.13",
        "1216, 48001, 10081 and 841; 6 kernels in the text, 8 in the table",
        "3216 = (5·5·8 + 1)·16, 48120 = 401·120, 10164 = 121·84, 850 = 85·10. The first took depth 3, not 8; the others "
        "have one bias for the whole layer",
    )
    for key, kernels, colours, says in (
        ("lenet_eight", 8, 3, "all parameters, 8 kernels"),
        ("lenet_six", 6, 3, "with 6 kernels"),
        ("lenet_grey", 6, 1, "LeNet-5 on grey pictures"),
    ):
        page.number(key, total(lenet(kernels, colours)), says, digits=9)
    share = sum(row.parameters for row in rows[5:]) / total(rows)
    page.number("dense_share", share, "share of the dense layers", digits=3)

    def paint(axes):
        places = np.arange(len(rows))
        axes.plot(places, [row.values for row in rows], "o-", color=MODEL)
        axes.plot(
            places,
            [max(row.parameters, 1) if row.parameters else np.nan for row in rows],
            "s",
            color=SECOND,
            markersize=5,
        )
        axes.set(yscale="log", xticks=places, ylabel="count")
        log_ticks(axes.yaxis)
        axes.set_xticklabels(["in", "conv", "pool", "conv", "pool", "120", "84", "10"])

    page.figure(
        paint, "Values shrink, weights sit in the dense layers", keys=[("model", "values"), ("second", "parameters")]
    )


def _cifar(page: LessonPage) -> None:
    page.heading("A larger one")
    rows = cifar_network()
    page.text(
        "The CIFAR-10 network of Plain Talk §6.9. Most of its weights lie between the last map and the first dense layer."
    )
    page.table(
        ("layer", "output", "values", "parameters"),
        [(row.name, _size(row), row.values, row.parameters) for row in rows],
    )
    page.number("cifar", total(rows), "all parameters", digits=9)
    page.number("cifar_first_dense", rows[5].parameters / total(rows), "share of the first dense layer", digits=3)


def _size(row: Row) -> str:
    return " × ".join(str(side) for side in row.output)

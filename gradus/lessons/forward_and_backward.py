"""One row through a 3-4-2 network, forwards and backwards, with every number, and a check of each by differences."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradus.look.charts import INK, MODEL, MUTED, PAGE, SECOND
from gradus.reference.activations import sigmoid, sigmoid_derivative

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

SIZES = (3, 4, 2)
Weights = list[tuple[np.ndarray, np.ndarray]]  # per layer: (n, m), (m,)


@dataclass
class Pass:
    """What one forward and one backward pass computed, layer by layer."""

    sums: list[np.ndarray]  # z: (m,) for each layer
    activations: list[np.ndarray]  # a: the inputs first
    errors: list[np.ndarray]  # δ = ∂L/∂z
    by_bias: list[np.ndarray]
    by_weight: list[np.ndarray]


def make_weights() -> Weights:
    """Normal numbers rounded to one decimal, so that the sums can be done again by hand."""
    generator = np.random.default_rng(3)
    return [
        (generator.normal(size=(n, m)).round(1), generator.normal(size=m).round(1))
        for n, m in itertools.pairwise(SIZES)
    ]


def forward(inputs: np.ndarray, weights: Weights) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Sums and activations of every layer, the inputs being the first activations."""
    sums, activations = [], [inputs]
    for weight, bias in weights:
        sums.append(activations[-1] @ weight + bias)
        activations.append(sigmoid(sums[-1]))
    return sums, activations


def loss(inputs: np.ndarray, target: np.ndarray, weights: Weights) -> float:
    """½ Σ (a − y)²."""
    return float(((forward(inputs, weights)[1][-1] - target) ** 2).sum() / 2)


def backward(inputs: np.ndarray, target: np.ndarray, weights: Weights) -> Pass:
    """The four equations, from the last layer to the first."""
    sums, activations = forward(inputs, weights)
    errors = [(activations[-1] - target) * sigmoid_derivative(sums[-1])]  # BP1
    for layer in range(len(weights) - 1, 0, -1):
        errors.insert(0, (errors[0] @ weights[layer][0].T) * sigmoid_derivative(sums[layer - 1]))  # BP2
    by_bias = errors  # BP3
    by_weight = [np.outer(before, error) for before, error in zip(activations, errors, strict=False)]  # BP4
    return Pass(sums, activations, errors, by_bias, by_weight)


def by_differences(inputs: np.ndarray, target: np.ndarray, weights: Weights, step: float = 1e-5) -> Weights:
    """The same slopes, each measured by two forward passes with one number changed."""
    measured = []
    for layer in weights:
        slopes = []
        for values in layer:
            slope = np.zeros_like(values)
            for index in np.ndindex(values.shape):
                kept = values[index]
                values[index] = kept + step
                above = loss(inputs, target, weights)
                values[index] = kept - step
                slope[index] = (above - loss(inputs, target, weights)) / (2 * step)
                values[index] = kept
            slopes.append(slope)
        measured.append((slopes[0], slopes[1]))
    return measured


def show(page: LessonPage) -> None:
    inputs, target, weights = np.array([1.0, 0.5, -1.0]), np.array([0.0, 1.0]), make_weights()
    done = backward(inputs, target, weights)
    page.text(
        "A small network, all of it: three inputs, four hidden neurons, two outputs, sigmoid everywhere. One row "
        "goes through it. The answer is compared with what was wanted, and then the blame goes back the same way."
    )
    _forward(page, done, weights, target)
    _backward(page, done, weights, target)
    _check(page, inputs, target, weights, done)
    page.try_it("gradus lesson chain-net", "gradus lesson two-moons")


def _rows(names: str, *columns: np.ndarray) -> list[list[object]]:
    return [[f"{names} {i + 1}", *(column[i] for column in columns)] for i in range(len(columns[0]))]


def _forward(page: LessonPage, done: Pass, weights: Weights, target: np.ndarray) -> None:
    page.heading("Forward")
    page.formula(r"\mathbf{z}^{l}=\mathbf{a}^{l-1}W^{l}+\mathbf{b}^{l},\qquad \mathbf{a}^{l}=\sigma(\mathbf{z}^{l})")
    page.text(
        "Column $j$ of $W^l$ holds the weights into neuron $j$ of layer $l$. Each sum takes all values of the "
        "layer before, and the sigmoid $\\sigma(z)=1/(1+e^{-z})$ brings it between 0 and 1. "
        f"Inputs here: {', '.join(f'{value:g}' for value in done.activations[0]).replace('-', '−')}; "
        "wanted: 0 and 1."
    )
    page.table(
        ("neuron", "weights from 1", "from 2", "from 3", "bias", "sum z", "a = σ(z)"),
        _rows("hidden", *weights[0][0], weights[0][1], done.sums[0], done.activations[1]),
    )
    page.table(
        ("neuron", "weights from 1", "from 2", "from 3", "from 4", "bias", "sum z", "a = σ(z)"),
        _rows("output", *weights[1][0], weights[1][1], done.sums[1], done.activations[2]),
    )
    page.figure(
        lambda axes: network(axes, weights, done.activations),
        "What each neuron says",
        note="Blue lines: positive weights; orange: negative; thicker: larger.",
    )
    page.number("weights", sum(weight.size for weight, _ in weights), "weights", printed=20)
    page.number("biases", sum(bias.size for _, bias in weights), "biases")
    page.number("loss", float(((done.activations[-1] - target) ** 2).sum() / 2), "loss, half the sum of squared errors")
    page.correction(
        "Principles and Practice listing 2-1",
        "`1./1.+exp(-x)`",
        "`1/(1+exp(-x))`: division comes first, so the printed form is $1+e^{-x}$, never below 1",
    )
    page.number("printed_sigmoid", 1.0 / 1.0 + np.exp(-0.0), "the printed form at 0; the sigmoid is one half there")
    page.correction(
        "Principles and Practice §2.3.2",
        "every row of the written-out sums has the weight $w_{i,1}$, and the sums begin at 1, 2 and 3",
        "sum $j$ is $\\sum_i w_{i,j}x_i+b_j$, and each begins at $i=1$",
    )


def _backward(page: LessonPage, done: Pass, weights: Weights, target: np.ndarray) -> None:
    page.heading("Backward")
    page.text(
        "The **error** $\\delta$ of a neuron is how much the loss changes when its sum $z$ changes. At the output it "
        "can be read off; every earlier layer gets it from the next one, through the same weights, backwards. With "
        "the errors all slopes are known. (A superscript $L$ is the last layer, elsewhere $L$ is the loss; $\\odot$ "
        "multiplies entry by entry, $^T$ exchanges rows and columns.)"
    )
    page.formula(
        r"\delta^{L}=(\mathbf{a}^{L}-\mathbf{y})\odot\sigma′(\mathbf{z}^{L})", "BP1, the errors of the output."
    )
    page.formula(
        r"\delta^{l}=\delta^{l+1}(W^{l+1})^{T}\odot\sigma′(\mathbf{z}^{l})",
        "BP2, the errors of a layer from those of the next.",
    )
    page.formula(r"\frac{\partial L}{\partial \mathbf{b}^{l}}=\delta^{l}", "BP3, the slopes of the biases.")
    page.formula(
        r"\frac{\partial L}{\partial w^{l}_{ij}}=a^{l-1}_{i}\,\delta^{l}_{j}",
        "BP4, the slopes of the weights: what came in times the error.",
    )
    derivatives = [sigmoid_derivative(sums) for sums in done.sums]
    page.table(
        ("neuron", "a − y", "σ′(z)", "error δ = slope of bias"),
        _rows("output", done.activations[2] - target, derivatives[1], done.errors[1]),
    )
    sent = done.errors[1] @ weights[1][0].T
    page.table(
        ("neuron", "errors sent back", "σ′(z)", "error δ = slope of bias"),
        _rows("hidden", sent, derivatives[0], done.errors[0]),
    )
    page.table(("into", "slope from 1", "from 2", "from 3"), _rows("hidden", *done.by_weight[0]))
    page.table(("into", "slope from 1", "from 2", "from 3", "from 4"), _rows("output", *done.by_weight[1]))
    page.figure(lambda axes: network(axes, weights, [np.full(3, np.nan), *done.errors]), "The errors, sent back")
    page.correction(
        "Principles and Practice table 2-1, eq. 2-19",
        "BP2 is $(w^{l+1})^T\\delta^{l+1}$ in the table and $\\delta^{l+1}(w^{l})^T$ in the text",
        "the weights are those between layer $l$ and $l+1$, named $W^{l+1}$ here: as $\\delta^{l+1}(W^{l+1})^T$ "
        "for rows, and $(w^{l+1})^T\\delta^{l+1}$ for columns with weights of shape (out, in)",
    )
    page.correction(
        "Principles and Practice §2.3.3",
        "the sentence on BP4 swaps $i$ and $j$, and the last step outputs the biases of the loss",
        "$i$ counts where a weight comes from, $j$ where it goes; what is output are the partial derivatives of "
        "the loss",
    )
    page.text(
        "BP4 says more than it seems: a neuron that hears almost nothing ($a\\approx 0$) learns almost nothing "
        "from that weight."
    )


def _check(page: LessonPage, inputs: np.ndarray, target: np.ndarray, weights: Weights, done: Pass) -> None:
    page.heading("Is it right?")
    measured = by_differences(inputs, target, weights)
    worst = max(
        float(np.abs(found - slope).max())
        for layer, (slope_w, slope_b) in enumerate(measured)
        for found, slope in ((done.by_weight[layer], slope_w), (done.by_bias[layer], slope_b))
    )
    page.text(
        "Each of the 26 slopes can be measured: change one number a little, see how the loss changes. That takes "
        "52 forward passes; going back once is the work of one or two."
    )
    page.number("largest_difference", worst, "largest difference from the measured slopes")
    losses = []
    for _ in range(201):
        losses.append(loss(inputs, target, weights))
        now = backward(inputs, target, weights)
        for (weight, bias), by_weight, by_bias in zip(weights, now.by_weight, now.by_bias, strict=True):
            weight -= 0.5 * by_weight
            bias -= 0.5 * by_bias
    page.number("loss_after_one", losses[1], "loss after one step of rate 0.5")
    page.number("loss_after_200", losses[-1], "loss after 200 steps")

    def curve(axes):
        axes.plot(losses, color=MODEL)
        axes.set(xlabel="step", ylabel="loss", ylim=(0, None))

    page.figure(curve, "Then descend")


def network(axes, weights: Weights, values: list[np.ndarray]) -> None:
    """The network as circles and lines, with a number in every circle that has one."""
    behind = {"facecolor": PAGE, "edgecolor": "none", "alpha": 0.8, "pad": 0.6}
    places = [[(layer, (size - 1) / 2 - i) for i in range(size)] for layer, size in enumerate(SIZES)]
    for layer, (weight, _) in enumerate(weights):
        for i, j in np.ndindex(weight.shape):
            (x0, y0), (x1, y1) = places[layer][i], places[layer + 1][j]
            colour = MODEL if weight[i, j] >= 0 else SECOND
            axes.plot([x0, x1], [y0, y1], color=colour, linewidth=0.4 + 1.4 * abs(weight[i, j]), alpha=0.55, zorder=1)
    for column, value in zip(places, values, strict=True):
        for (x, y), number in zip(column, value, strict=True):
            known = np.isfinite(number)
            axes.plot([x], [y], "o", color=INK if known else MUTED, markersize=7 if known else 5, zorder=2)
            if known:
                axes.text(x, y + 0.17, f"{number:.3g}".replace("-", "−"), ha="center", color=INK, bbox=behind, zorder=3)
    axes.set(xlim=(-0.3, 2.3), ylim=(-1.8, 2.0))
    axes.set_axis_off()

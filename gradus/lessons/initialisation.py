"""How large the first weights are: what a sum of a thousand inputs does, why zeros never learn, and three nets on two rings."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from gradus.lessons.network import Layers, accuracy, backward, descend, forward, he, logistic_gradient, logit
from gradus.lessons.two_classes import circles, draw_classes
from gradus.look.charts import FOURTH, INK, MODEL, SECOND, THIRD
from gradus.reference.activations import relu, sigmoid, tanh

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

INPUTS, DRAWS, PIECE = 1000, 100_000, 2000
SIZES = (2, 10, 5, 1)
STEPS, RATE = 15_000, 0.01
ZERO_STEPS = 500  # from zeros nothing moves, so there is nothing to wait for
FLAT = 4.0  # beyond ±4 the sigmoid hardly changes


def sums_of_ones(draws: int, generator: np.random.Generator, uniform: bool = False) -> np.ndarray:
    """z = sum of 1000 weights, since all inputs are one and the bias is zero; drawn in pieces to spare memory. (draws,)"""
    draw = generator.random if uniform else generator.standard_normal
    return np.concatenate([draw((PIECE, INPUTS), dtype=np.float32).sum(axis=1) for _ in range(draws // PIECE)])


def ring_layers(kind: str) -> Layers:
    """First weights of the 2-10-5-1 network: "zeros", "constant" (all 0.5), "large" (normal, times 10) or "he"."""
    state = np.random.RandomState(3)
    layers = []
    for n, m in itertools.pairwise(SIZES):
        drawn = state.randn(m, n).T
        weight = {"zeros": 0 * drawn, "constant": 0 * drawn + 0.5, "large": 10 * drawn, "he": he(n) * drawn}[kind]
        layers.append((weight, np.zeros(m)))
    return layers


def spread_by_layer(activation: str, deviation: float, depth: int = 10, width: int = 300) -> np.ndarray:
    """Root mean square of every layer's outputs in a stack of random layers; inputs are standard normal. (depth + 1,)"""
    generator = np.random.default_rng(0)
    squash = {"tanh": tanh, "relu": relu}[activation]
    outputs = generator.normal(size=(200, width))
    spreads = [1.0]
    for _ in range(depth):
        outputs = squash(outputs @ (deviation * generator.normal(size=(width, width))))
        spreads.append(float(np.sqrt((outputs**2).mean())))
    return np.array(spreads)


def show(page: LessonPage) -> None:
    _one_neuron(page)
    _depth(page)
    _symmetry(page)
    _rings(page)


def _one_neuron(page: LessonPage) -> None:
    generator = np.random.default_rng(0)
    raw = sums_of_ones(DRAWS, generator)
    scaled = raw / np.sqrt(INPUTS)
    uniform = sums_of_ones(10_000, generator, uniform=True)

    page.text(
        "Before learning, a network's weights are random. **How large** they are decides whether it learns at all. "
        "Take one neuron with 1000 inputs that are all one, no bias, and weights from the standard normal "
        "distribution. Its sum $z$ adds 1000 numbers of variance one, so its variance is 1000. We draw the weights "
        "100,000 times."
    )
    page.number("z_std", raw.std(), "standard deviation of $z$, weights as drawn")
    page.number("z_std_scaled", scaled.std(), r"the same, weights divided by $\sqrt{1000}$")
    page.number(
        "flat_share", (np.abs(raw) > FLAT).mean(), (f"share of sums beyond ±{FLAT:g}, where the sigmoid is flat")
    )
    page.number("flat_share_scaled", (np.abs(scaled) > FLAT).mean(), "the same, scaled")
    page.correction(
        "Principles and Practice §3.4.4, listings 3-21 and 3-22",
        "`np.random.rand`, which draws between 0 and 1: all sums come out near 500 and every sigmoid is 1",
        "the text means `randn`, the normal distribution, and divides by the root of the number of inputs, not of "
        "the weights",
    )
    page.number("z_mean_uniform", uniform.mean(), "mean of $z$ as the listing draws it")
    page.number("z_std_uniform", uniform.std(), "its standard deviation")

    def histograms(axes):
        for column, (sums, colour) in enumerate(((raw, SECOND), (scaled, MODEL))):
            axes[column].hist(sums, bins=60, color=colour)
            axes[column + 2].hist(sigmoid(sums), bins=50, range=(0, 1), color=colour)
            axes[column].set(xlabel="sum z", yticks=[])
            axes[column + 2].set(xlabel="sigmoid of z", yticks=[], xticks=[0, 0.5, 1])

    page.figure(
        histograms,
        "Sums and outputs over 100,000 draws",
        panels=(2, 2),
        keys=[("second", "standard normal weights"), ("model", "divided by the root of 1000")],
        note=(
            "Left: the sigmoid gives almost only 0 and 1, where its slope is nothing, so such a neuron cannot learn."
        ),
    )


def _depth(page: LessonPage) -> None:
    width = 300
    cases = {
        "tanh, times 0.01": spread_by_layer("tanh", 0.01),
        "tanh, 1/√n": spread_by_layer("tanh", 1 / np.sqrt(width)),
        "ReLU, 1/√n": spread_by_layer("relu", 1 / np.sqrt(width)),
        "ReLU, √(2/n)": spread_by_layer("relu", np.sqrt(2 / width)),
    }
    page.heading("The size goes from layer to layer")
    page.text(
        f"In a stack of layers of {width} units each layer multiplies the size of what it gets. Small weights shrink "
        f"it at every "
        "step until nothing is left. With $1/\\sqrt n$ (Xavier) tanh loses only little a layer; ReLU sets half of its "
        "inputs to zero, which halves the mean square, so its weights need $\\sqrt{2/n}$ (He). $n$ is the number of "
        "**inputs** of the layer."
    )

    def paint(axes):
        for spreads, colour in zip(cases.values(), (SECOND, THIRD, FOURTH, MODEL), strict=True):
            axes.semilogy(range(len(spreads)), np.maximum(spreads, 1e-12), color=colour)
        axes.set(xlabel="layer", ylabel="size of outputs", xticks=[0, 2, 4, 6, 8, 10], ylim=(1e-9, 10))

    page.figure(
        paint,
        "Root mean square of each layer's outputs",
        keys=list(zip(("second", "third", "fourth", "model"), cases, strict=True)),
    )
    page.number("relu_he_size", cases["ReLU, √(2/n)"][-1], "size after ten ReLU layers, He")
    page.number("relu_xavier_size", cases["ReLU, 1/√n"][-1], r"the same with $1/\sqrt n$; $2^{-5}$ is 0.031")
    page.number("tanh_small_size", cases["tanh, times 0.01"][-1], "size after ten tanh layers, weights times 0.01")
    page.correction(
        "Plain Talk §7.5",
        "divide by the root of the number of neurons in the current layer",
        "by the root of the layer's inputs, as the text's own code does: `stddev=1/sqrt(500)` for a 500 × 25 weight",
    )


def unit_difference(kind: str, steps: int = 200) -> float:
    """How far apart the incoming weights of the ten first hidden units are after some steps of descent."""
    points, labels = circles(300, 1)
    layers, _ = descend(ring_layers(kind), points, labels, 0.1, steps)
    weight = layers[0][0]
    return float(np.ptp(weight, axis=1).max())


def _symmetry(page: LessonPage) -> None:
    points, labels = circles(300, 1)
    layers = ring_layers("zeros")
    sums, outputs = forward(layers, points)
    gradients = backward(layers, sums, outputs, logistic_gradient(sums[-1], labels))
    page.heading("Why not zeros")
    page.text(
        "If all weights are equal, all units of a layer compute the same, get the same gradient and stay equal for "
        "ever: ten units are one. With zeros it is worse: each layer's gradient is multiplied by the next layer's "
        "weights, which are zero, so no weight moves at all. One neuron alone has no such trouble, and biases may "
        "start at zero."
    )
    page.number(
        "zeros_gradient", max(np.abs(dw).max() for dw, _ in gradients), "largest gradient of any weight, from zeros"
    )
    page.number(
        "constant_difference", unit_difference("constant"), "difference between hidden units, all started at 0.5"
    )
    page.number("he_difference", unit_difference("he"), "the same, started at random")


def _rings(page: LessonPage) -> None:
    points, labels = circles(300, 1)
    fresh, fresh_labels = circles(100, 2)
    names = {"zeros": "zeros", "large": "normal × 10", "he": "He"}
    steps = {"zeros": ZERO_STEPS, "large": STEPS, "he": STEPS}
    trained = {kind: descend(ring_layers(kind), points, labels, RATE, steps[kind]) for kind in names}
    remembered = {"zeros": ("50", "50"), "large": ("83", "86"), "he": ("99", "96")}

    page.heading("Three networks on two rings")
    page.text(
        f"A 2-10-5-1 ReLU network, 300 points of two rings to learn from and 100 to test, {STEPS:,} steps of "
        f"descent at rate {RATE} (from zeros {ZERO_STEPS}, since nothing moves). Only the first weights differ. The "
        "numbers in brackets are remembered from the course's exercise, which the notes name but do not print."
    )
    for kind, name in names.items():
        layers, _ = trained[kind]
        learnt, tested = accuracy(layers, points, labels), accuracy(layers, fresh, fresh_labels)
        page.number(f"{kind}_train", learnt, f"accuracy from {name}, training (exercise: {remembered[kind][0]} %)")
        page.number(f"{kind}_test", tested, f"accuracy from {name}, test (exercise: {remembered[kind][1]} %)")

    def regions(axes):
        for one, (kind, name) in zip(axes, names.items(), strict=True):
            draw_classes(one, points, labels, logit(trained[kind][0]), title=name)

    def curves(axes):
        for (_, losses), colour in zip(trained.values(), (INK, SECOND, MODEL), strict=True):
            axes.loglog(np.arange(1, len(losses) + 1), losses, color=colour)
        axes.set(xlabel="step", ylabel="loss")

    page.figure(regions, "What each has learnt", panels=(1, 3), size=(6.4, 2.6))
    page.figure(curves, "The loss by step", keys=[("ink", "zeros"), ("second", "normal × 10"), ("model", "He")])
    page.text(
        "Large weights begin with sums far from zero: sure of itself and wrong, so the first loss is large and "
        "much of the training goes into undoing it."
    )
    page.try_it("gradus train --data digits --model mlp --seed 1")

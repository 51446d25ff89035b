"""Two sigmoid neurons in a row learn ten pairs: four slopes by the chain rule, and what a missing factor does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gradus.look.charts import INK, MODEL, SECOND, THIRD
from gradus.reference.activations import sigmoid
from gradus.reference.optimizers import adam

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

X = np.arange(1.0, 11.0)
Y = X / 10
START = np.array([0.1, 0.0, 0.1, 0.0])  # w_h, b_h, w_o, b_o


def outputs(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the hidden and the output neuron say to the ten x."""
    by_hidden, hidden_bias, by_output, output_bias = weights
    hidden = sigmoid(by_hidden * X + hidden_bias)
    return hidden, sigmoid(by_output * hidden + output_bias)


def squared_error(weights: np.ndarray) -> float:
    """Σ (a − y)²."""
    return float(((outputs(weights)[1] - Y) ** 2).sum())


def gradient(weights: np.ndarray, *, residual: bool = True) -> np.ndarray:
    """Of half the squared error, by the four weights. residual=False leaves out the factor a − y, as printed."""
    hidden, answer = outputs(weights)
    error = (answer - Y if residual else 1.0) * answer * (1 - answer)
    back = error * weights[2] * hidden * (1 - hidden)
    return np.array([(back * X).sum(), back.sum(), (error * hidden).sum(), error.sum()])


def descend(rate: float, steps: int, *, residual: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Plain descent on half the squared error. Squared errors (steps + 1,), last weights."""
    weights, errors = START, [squared_error(START)]
    for _ in range(steps):
        weights = weights - rate * gradient(weights, residual=residual)
        errors.append(squared_error(weights))
    return np.array(errors), weights


def learn(seed: int, steps: int, rate: float = 0.02) -> np.ndarray:
    """Adam from random weights."""
    weights = np.random.default_rng(seed).normal(size=4)
    state: dict[str, Any] = {}
    for _ in range(steps):
        weights = adam(weights, gradient(weights), state, learning_rate=rate)
    return weights


def show(page: LessonPage) -> None:
    page.text(
        "The smallest network with a hidden neuron: one number in, one hidden neuron, one output, both sigmoid, "
        "$\\sigma(z)=1/(1+e^{-z})$. It shall learn ten pairs, $x=1,\\dots,10$ and $y=0.1,\\dots,1$, and is not told "
        "that they lie on a line."
    )
    page.formula(r"h=\sigma(w_h x+b_h),\qquad a=\sigma(w_o h+b_o),\qquad L=\frac{1}{2}\sum(a-y)^2")
    page.text("The slopes follow from the chain rule, each a product along the way from the loss to the weight:")
    page.formula(
        r"\delta_o=(a-y)\,a(1-a),\quad \frac{\partial L}{\partial w_o}=\sum\delta_o h,"
        r"\quad \frac{\partial L}{\partial b_o}=\sum\delta_o"
    )
    page.formula(
        r"\delta_h=\delta_o w_o\,h(1-h),\quad \frac{\partial L}{\partial w_h}=\sum\delta_h x,"
        r"\quad \frac{\partial L}{\partial b_h}=\sum\delta_h"
    )
    printed, _ = descend(0.05, 3000, residual=False)
    page.correction(
        "Plain Talk §4.3",
        "the derivatives are those of $\\sum(a-y)$: the factor $a-y$ is missing in all four, and the loss changes "
        "between $\\sum(a-y)^2$ and half of it",
        "$\\delta_o$ has the factor $a-y$. Without it every output is pushed down for ever, whatever was wanted",
    )
    page.number(
        "printed_error", printed[-1], "squared error after 3,000 steps with the printed slopes: all outputs go to 0"
    )
    page.number("nothing_error", float((Y**2).sum()), "squared error of saying 0 always")

    _learnt(page)
    _too_large(page)
    page.try_it("gradus lesson forward-and-backward", "gradus lesson descent-1d")


def _learnt(page: LessonPage) -> None:
    page.heading("What it can learn")
    weights = learn(0, 20000)
    answer = outputs(weights)[1]
    page.text(
        "A sigmoid never says 1, so the last pair can only be approached, and the error cannot reach 0: its limit "
        "is about 0.0084, for ever larger weights. Adam comes near it."
    )
    page.number("squared_error", squared_error(weights), "sum of squared errors after 20,000 steps of Adam")
    page.number("last_output", answer[-1], "answer to 10, where 1 is wanted")

    def fit(axes):
        axes.plot(X, Y, "o", color=INK, markersize=4)
        axes.plot(X, answer, color=MODEL)
        axes.plot(X, outputs(descend(0.05, 3000)[1])[1], color=THIRD)
        axes.set(xlabel="x", ylabel="y", xticks=[2, 4, 6, 8, 10])

    page.figure(fit, "Ten pairs", keys=[("ink", "wanted"), ("model", "Adam"), ("third", "plain descent, 3,000 steps")])


def _too_large(page: LessonPage) -> None:
    page.heading("A step too large")
    large, _ = descend(0.5, 4000)
    small, _ = descend(0.05, 4000)
    last = np.sort(large[-2:])
    page.text(
        "Plain descent with rate 0.5 does not blow up, and does not arrive either: in the end it jumps between two "
        "places, over the valley and back. A tenth of the rate goes down, slowly."
    )
    page.number("low_error", last[0], "the lower of the two errors, rate 0.5", digits=3)
    page.number("high_error", last[1], "the higher", digits=3)
    page.number("period", float(np.abs(large[-1] - large[-3])), "change of the error after two steps")
    page.number("small_rate_error", small[-1], "error after 4,000 steps of rate 0.05")

    def curves(axes):
        axes.semilogy(np.arange(0, 4001, 20), small[::20], color=MODEL)
        axes.semilogy(np.arange(0, 4001, 20), large[::20], color=SECOND)
        axes.semilogy(np.arange(1, 4001, 20), large[1::20], color=SECOND, alpha=0.6)
        axes.set(xlabel="step", ylabel="squared error", xticks=[0, 2000, 4000])
        axes.set_yticks([0.03, 0.1, 0.3, 1], ["0.03", "0.1", "0.3", "1"])
        axes.minorticks_off()

    page.figure(curves, "Error by step", keys=[("model", "rate 0.05"), ("second", "rate 0.5, even and odd steps")])

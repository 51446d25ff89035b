"""One neuron: a weighted sum, then a bend. The sum alone already ranks customers, and the printed sums are wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.look.charts import INK, MODEL, SECOND, THIRD
from gradus.reference.activations import relu, sigmoid

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradus.lessons.page import LessonPage

FEATURES = ("gender", "age", "income", "loyalty", "debt")
WEIGHTS = np.array([0.3, 0.8, 1.5, 1.2, 0.5])
CUSTOMERS = np.array([[1.0, 50, 27, 19, -55], [0, 25, 10, 8, 0]])
PRINTED_SCORES = (44.7, 51.6)


def linear(inputs: np.ndarray, weights: np.ndarray, bias: float) -> np.ndarray:
    """z = x w + b. inputs (N, n), weights (n,) -> (N,)."""
    return inputs @ weights + bias


def neuron(
    inputs: np.ndarray, weights: np.ndarray, bias: float, activation: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """a = f(z)."""
    return activation(linear(inputs, weights, bias))


def show(page: LessonPage) -> None:
    page.text(
        "A neuron of a network takes some numbers, multiplies each by a **weight**, adds them up and adds a "
        "**bias**. What comes out, $z$, is a **linear model**. An **activation** $f$ then bends it. That is all "
        "that a neuron does; learning means finding the weights and the bias."
    )
    page.formula(r"z=\sum_i w_i x_i+b,\qquad a=f(z)")
    page.text("The smallest neuron has one input, weight 1, bias 1 and no bend: $f(x)=x+1$.")
    one = linear(np.array([[1.0], [100.0]]), np.array([1.0]), 1.0)
    page.number("of_1", one[0], "its answer to 1", printed=2)
    page.number("of_100", one[1], "its answer to 100", printed=101)

    _credit(page)
    _bend(page)


def _credit(page: LessonPage) -> None:
    scores = linear(CUSTOMERS, WEIGHTS, 0.0)
    terms = CUSTOMERS * WEIGHTS
    page.heading("A linear model that ranks")
    page.text(
        "A bank scores customers by five features. The weight says how much one unit of a feature counts; weight "
        "times value says what it brought to this customer's score. So a linear model explains itself."
    )
    rows = [[name, WEIGHTS[i], terms[0, i], terms[1, i]] for i, name in enumerate(FEATURES)]
    page.table(("feature", "weight", "weight × value, customer 1", "customer 2"), rows)
    page.number("customer_1", scores[0], "score of customer 1", printed=PRINTED_SCORES[0])
    page.number("customer_2", scores[1], "score of customer 2", printed=PRINTED_SCORES[1])
    page.correction(
        "Plain Talk §2.1.1",
        "the totals are 44.7 and 51.6, so customer 2 is the better one",
        f"the terms add up to {scores[0]:.1f} and {scores[1]:.1f}: customer 1 is the better one",
    )
    page.correction(
        "Plain Talk §1.2, §2.1.1",
        "$w$ is $1\\times n$ in one place and $n\\times 1$ in another, and the inner product is called $wb$",
        "a batch of $N$ rows is $(N,n)$, weights are $(n,m)$, and $XW+b$ is $(N,m)$; it is so on all these pages",
    )

    def bars(axes):
        places = np.arange(len(FEATURES))
        axes.barh(places - 0.2, terms[0], 0.38, color=MODEL)
        axes.barh(places + 0.2, terms[1], 0.38, color=SECOND)
        axes.axvline(0, color=INK, linewidth=1)
        axes.set_yticks(places, FEATURES)
        axes.invert_yaxis()
        axes.set(xlabel="what the feature adds to the score")

    page.figure(bars, "Weight times value", keys=[("model", "customer 1"), ("second", "customer 2")])
    spread = np.abs(WEIGHTS) * np.abs(CUSTOMERS).max(axis=0)
    page.number(
        "largest_weight",
        int(np.abs(WEIGHTS).argmax()) + 1,
        "the feature with the largest weight (income), counted from 1",
    )
    page.number(
        "largest_effect", int(spread.argmax()) + 1, "the feature with the largest effect (income), counted from 1"
    )
    kept = CUSTOMERS.copy()
    kept[:, 2] *= 1000
    scaled = np.where(np.arange(5) == 2, WEIGHTS / 1000, WEIGHTS)
    page.text(
        "A weight is an importance only where features are measured in like units. With income in yuan instead of "
        f"thousands its weight becomes {scaled[2]:.4f}, the smallest of all, and no score changes."
    )
    page.number(
        "rescaled_difference",
        float(np.abs(linear(kept, scaled, 0.0) - scores).max()),
        "largest change of a score by that",
    )


def _bend(page: LessonPage) -> None:
    page.heading("Why the bend")
    page.text(
        "A linear model of a linear model is linear: without $f$, any stack of neurons could be replaced by one. With "
        "it, the sum of a few neurons can follow a curve. Below, three bends of the same $z=2x-1$: the **sigmoid** "
        "$\\sigma$ squeezes it between 0 and 1, **tanh** between $-1$ and 1, and **ReLU** cuts off what is below 0."
    )
    page.formula(
        r"\sigma(z)=\frac{1}{1+e^{-z}},\qquad \tanh(z)=\frac{e^{z}-e^{-z}}{e^{z}+e^{-z}},"
        r"\qquad \mathrm{ReLU}(z)=\max(0,z)"
    )

    def bends(axes):
        x = np.linspace(-3, 3, 200)
        column = x[:, None]
        axes.plot(x, linear(column, np.array([2.0]), -1.0), color=INK, linewidth=1)
        for colour, activation in ((MODEL, sigmoid), (SECOND, relu), (THIRD, np.tanh)):
            axes.plot(x, neuron(column, np.array([2.0]), -1.0, activation), color=colour)
        axes.set(xlabel="x", ylabel="a", ylim=(-2, 3))

    keys = [("ink", "none"), ("model", "sigmoid"), ("second", "ReLU"), ("third", "tanh")]
    page.figure(bends, "The same sum, bent", keys=keys)
    half = neuron(np.array([[0.5]]), np.array([2.0]), -1.0, sigmoid)
    page.number("at_the_border", half[0], "the sigmoid neuron where its sum is 0")
    page.text("That place, $z=0$, is the neuron's border: on one side it says more than one half, on the other less.")
    page.try_it("gradus lesson logic-gates", "gradus lesson linear-regression")

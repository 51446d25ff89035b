"""How many balls are white? The likelihood of what was drawn; and from odds to logistic regression."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.look.charts import INK, MODEL, MUTED, SECOND
from gradus.reference.sigmoids import sigmoid

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

WHITE, BLACK = 80, 20


def log_likelihood(p: np.ndarray) -> np.ndarray:
    """Of 80 white and 20 black balls, drawn one after the other and put back."""
    return WHITE * np.log(p) + BLACK * np.log(1 - p)


def likelihood_slope(p: np.ndarray) -> np.ndarray:
    """Of p^80 (1 - p)^20, by p."""
    return 20 * p**79 * (1 - p) ** 19 * (4 - 5 * p)


def points(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(x (200,), y (200,)): y is 1 the more often the larger x is; its log odds are 1.5 x - 1."""
    random = np.random.default_rng(seed)
    x = random.normal(size=200) * 2
    return x, (random.random(200) < sigmoid(1.5 * x - 1)).astype(float)


def fit(x: np.ndarray, y: np.ndarray, steps: int = 30) -> tuple[float, float]:
    """(w, b) of the largest likelihood, by Newton's steps: the mean of log p(y | x) has one peak."""
    inputs, weights = np.stack([x, np.ones_like(x)]), np.zeros(2)
    for _ in range(steps):
        chances = sigmoid(weights @ inputs)
        slope = inputs @ (y - chances)
        bend = (inputs * chances * (1 - chances)) @ inputs.T
        weights = weights + np.linalg.solve(bend, slope)
    return float(weights[0]), float(weights[1])


def show(page: LessonPage) -> None:
    page.heading("Eighty white balls of a hundred")
    page.text(
        "From a box of white and black balls one is drawn, looked at and put back, a hundred times: 80 are white. "
        "The chance of "
        "that very sequence, if a share $p$ of the balls is white, is"
    )
    page.formula(r"L(p)=p^{80}(1-p)^{20},\qquad L'(p)=20\,p^{79}(1-p)^{19}(4-5p)")
    page.text(
        "The slope is zero at 0, at 1 and at 0.8. At the first two the likelihood itself is zero; 0.8 is its peak. "
        "It is the "
        "**maximum likelihood** estimate: of all boxes, the one that makes what was seen least surprising. It is not "
        "the chance "
        "that the box is so. The logarithm has its peak at the same place, because ln rises everywhere, and it turns "
        "the product "
        "into a sum that a computer can hold."
    )
    p = np.linspace(0.001, 0.999, 999)
    logs = log_likelihood(p)
    page.number("peak", p[logs.argmax()], "share at the peak", printed=0.8)
    page.number("log_likelihood", float(logs.max()), "log-likelihood there, nats")
    page.number(
        "ratio", float(np.exp(log_likelihood(np.array(0.7)) - logs.max())), "likelihood of 0.7, in shares of it"
    )

    def draw(every):
        every[0].plot(p, np.exp(logs - logs.max()), color=MODEL)
        every[0].set(xlabel="p", title="likelihood, its peak as 1")
        every[1].plot(p, logs, color=MODEL)
        every[1].set(xlabel="p", ylim=(-300, 0), title="log-likelihood")
        for axes in every:
            axes.axvline(0.8, color=MUTED, linewidth=1)

    page.figure(draw, "One peak, seen twice", panels=(1, 2))
    page.correction(
        "Plain Talk §10.2, §10.4",
        "Bernoulli and binomial are two names of one distribution; ln rises on (0, 1)",
        "Bernoulli is the binomial distribution of a single draw; ln rises on all positive numbers",
    )
    page.heading("From odds to a line")
    page.text(
        "A chance $p$ has the **odds** $s=p/(1-p)$, from 0 to infinity. Their logarithm $t=\\ln s$ runs over all "
        "numbers, so it may be "
        "a line, $t=wx+b$. Turned round, that is the sigmoid:"
    )
    page.formula(r"t=\ln\frac{p}{1-p}=wx+b\quad\Longleftrightarrow\quad p=\frac{1}{1+e^{-(wx+b)}}")
    x, y = points()
    w, b = fit(x, y)
    page.text(
        "The same principle finds $w$ and $b$: of all lines the one under which the zeros and ones that were seen "
        "are likeliest. "
        "Its slope is a sum of what is left over, $\\sum(y-p)x$. Far from the border, where $wx+b=0$, the chances "
        "are near 0 and 1; "
        "every step of $1/w$ away multiplies the odds by e."
    )
    page.number("w", w, "w found (1.5 drew the points)")
    page.number("b", b, "b found (-1 drew them)")
    page.number("border", -b / w, "border between the classes")
    page.number("left_over", float(np.abs((y - sigmoid(w * x + b)) @ x)), "what is left of the slope")

    def curve(axes):
        where = np.linspace(x.min(), x.max(), 200)
        axes.plot(x, y, "o", color=SECOND, markersize=3, alpha=0.5)
        axes.plot(where, sigmoid(w * where + b), color=MODEL)
        axes.axvline(-b / w, color=INK, linewidth=0.8)
        axes.set(xlabel="x", ylabel="chance of 1")

    page.figure(curve, "The S is a line in the logarithm of the odds", keys=[("second", "seen"), ("model", "fitted")])
    page.try_it("gradus lesson boltzmann-machine", "gradus train mnist-logistic-regression")

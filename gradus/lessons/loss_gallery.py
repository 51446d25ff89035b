"""What a mistake costs: losses against the residual and against the margin, and why a sigmoid wants the cross-entropy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from gradus.look.charts import FOURTH, INK, MODEL, SECOND, THIRD
from gradus.reference import losses
from gradus.reference.activations import sigmoid

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

X = np.arange(10.0)
RATE, STEPS = 0.15, 600


def each(loss: Callable[..., float], outputs: np.ndarray, target: float) -> np.ndarray:
    """The loss of every output by itself, against one target."""
    return np.array([loss(np.array([output]), np.array([target])) for output in outputs])


def line_points(outlier: float = 0.0) -> np.ndarray:
    """Ten values near the line x/2 + 1, the last raised by `outlier`."""
    values = 0.5 * X + 1 + np.random.default_rng(0).normal(0, 0.15, len(X))
    values[-1] += outlier
    return values


def fit_line(values: np.ndarray, loss: str, sweeps: int = 200) -> np.ndarray:
    """(slope, intercept) of the smallest "squared", "absolute" or "huber" (delta 0.5) loss.

    The last two by weighted least squares, again and again: a row of residual e gets the weight 1/|e|, or 1 within delta.
    """
    columns = np.column_stack([X, np.ones_like(X)])
    weights = np.ones_like(X)
    for _ in range(1 if loss == "squared" else sweeps):
        line = np.linalg.solve(columns.T @ (weights[:, None] * columns), columns.T @ (weights * values))
        size = np.abs(columns @ line - values)
        weights = 1 / np.maximum(size, 1e-9) if loss == "absolute" else np.minimum(1, 0.5 / np.maximum(size, 1e-9))
    return line


def two_points(weight: np.ndarray, loss: str) -> np.ndarray:
    """The loss of a neuron sigmoid(w x) without bias on x = 1 of class 0 and x = 10 of class 1. weight (W,) -> (W,)"""
    first, second = sigmoid(weight), sigmoid(10 * weight)
    if loss == "squared":
        return (first**2 + (second - 1) ** 2) / 2
    return (np.logaddexp(0, weight) + np.logaddexp(0, -10 * weight)) / 2


def descend_two_points(start: float, loss: str, steps: int = 2000, rate: float = 0.2) -> float:
    """Where descent on `two_points` ends."""
    w, x, y = start, np.array([1.0, 10.0]), np.array([0.0, 1.0])
    for _ in range(steps):
        a = sigmoid(w * x)
        slope = a - y if loss == "logistic" else 2 * (a - y) * a * (1 - a)
        w -= rate * float((slope * x).mean())
    return w


SIX_X, SIX_Y = np.array([-3.0, -1.5, -0.5, 0.5, 1.5, 3.0]), np.array([0.0, 0, 1, 0, 1, 1])
W, B = np.meshgrid(np.linspace(-8, 8, 81), np.linspace(-8, 8, 81))


def six_points(loss: str, weight: np.ndarray = W, bias: np.ndarray = B) -> np.ndarray:
    """The mean loss of six points of two classes that overlap, at weights and biases of one shape."""
    z = weight[..., None] * SIX_X + bias[..., None]
    if loss == "squared":
        return ((sigmoid(z) - SIX_Y) ** 2 / 2).mean(axis=-1)
    return (np.logaddexp(0, z) - SIX_Y * z).mean(axis=-1)


def curvature_share(loss: str) -> float:
    """The share of that square on which the loss is not convex."""
    a = sigmoid(W[..., None] * SIX_X + B[..., None])
    slope = a * (1 - a)
    # second derivative by z, and from it the Hessian by (w, b), whose smaller eigenvalue decides
    second = slope if loss == "logistic" else slope * (slope + (a - SIX_Y) * (1 - 2 * a))
    ww, wb, bb = ((second * power).mean(axis=-1) for power in (SIX_X**2, SIX_X, np.ones_like(SIX_X)))
    smaller = (ww + bb) / 2 - np.sqrt(((ww - bb) / 2) ** 2 + wb**2)
    return float((smaller < -1e-12).mean())


def train_neuron(loss: str) -> np.ndarray:
    """One neuron, input 1, target 0, from w = b = 2: its output after every step. (steps + 1,)"""
    w, b = 2.0, 2.0
    outputs = [float(sigmoid(np.array(w + b)))]
    for _ in range(STEPS):
        a = outputs[-1]
        slope = a if loss == "logistic" else a * a * (1 - a)
        w, b = w - RATE * slope, b - RATE * slope
        outputs.append(float(sigmoid(np.array(w + b))))
    return np.array(outputs)


def show(page: LessonPage) -> None:
    _residuals(page)
    _outlier(page)
    _margins(page)
    _sigmoid(page)
    _surface(page)
    _incomparable(page)


def _residuals(page: LessonPage) -> None:
    residual = np.linspace(-4, 4, 161)
    page.text(
        "A **loss** turns a mistake into a number to be made small. For a number as answer, the mistake is the "
        "**residual**, answer minus target. Its **slope** matters more than its value: it says how hard a row "
        "pulls."
    )

    def paint(axes):
        for value, slope, colour in (
            (losses.mean_squared_error, losses.mean_squared_error_backward, SECOND),
            (losses.mean_absolute_error, losses.mean_absolute_error_backward, MODEL),
            (losses.huber, losses.huber_backward, THIRD),
        ):
            axes[0].plot(residual, each(value, residual, 0.0), color=colour)
            axes[1].plot(residual, [slope(np.array([e]), np.zeros(1))[0] for e in residual], color=colour)
        axes[0].set(xlabel="residual", ylabel="loss", ylim=(0, 8))
        axes[1].set(xlabel="residual", ylabel="slope", ylim=(-4, 4))

    page.figure(
        paint,
        "Cost and pull of a residual",
        panels=(1, 2),
        size=(6.4, 2.7),
        keys=[("second", "squared"), ("model", "absolute"), ("third", "Huber")],
    )
    page.text(
        "The **square** pulls in proportion to the mistake. The **absolute value** pulls equally hard on all. "
        "**Huber** is the square near zero and the absolute value beyond a limit."
    )


def _outlier(page: LessonPage) -> None:
    clean, spoilt = line_points(), line_points(12.0)
    lines = {name: fit_line(spoilt, name) for name in ("squared", "absolute", "huber")}
    page.heading("One outlier")
    page.text(
        "Ten points of a line of slope one half. The last one is misread, by 12. Each loss has its own best line."
    )

    def paint(axes):
        axes.plot(X, spoilt, "o", color=INK, markersize=4)
        for line, colour in zip(lines.values(), (SECOND, MODEL, THIRD), strict=True):
            axes.plot(X, line[0] * X + line[1], color=colour)
        axes.set(xlabel="x", ylabel="y")

    page.figure(
        paint,
        "Three lines through the same points",
        keys=[("second", "squared"), ("model", "absolute"), ("third", "Huber"), ("ink", "points")],
    )
    page.number("clean_slope", fit_line(clean, "squared")[0], "slope by squares, without the outlier")
    for name, line in lines.items():
        page.number(f"{name}_slope", line[0], f"slope with the outlier, {'Huber' if name == 'huber' else name}")
    page.correction(
        "Principles and Practice §3.2.1",
        "the mean absolute error punishes outliers effectively",
        "it is the other way round: squares give outliers the greatest weight, absolute values no more than any "
        "other row. A constant that minimises squares is the mean, one that minimises absolute values is the median",
    )


def _margins(page: LessonPage) -> None:
    margin = np.linspace(-2.5, 2.5, 201)
    page.heading("For classes: the margin")
    page.text(
        "For two classes, written −1 and 1, the **margin** is the score times the right class: positive when "
        "right, large when surely right. The number of mistakes is a step, which has no slope to follow. All "
        "the losses drawn here lie above it, so making them small makes mistakes few."
    )

    def paint(axes):
        axes.plot(margin, margin <= 0, color=INK, linewidth=1.2)
        axes.plot(margin, each(losses.hinge, margin, 1.0), color=MODEL)
        axes.plot(margin, np.logaddexp(0, -margin) / np.log(2), color=THIRD)
        axes.plot(margin, each(losses.exponential_loss, margin, 1.0), color=FOURTH)
        axes.plot(margin, (1 - margin) ** 2, color=SECOND)
        axes.set(xlabel="margin", ylabel="loss", ylim=(0, 5), xticks=[-2, -1, 0, 1, 2])

    page.figure(
        paint,
        "Losses against the margin",
        keys=[
            ("ink", "mistakes"),
            ("model", "hinge"),
            ("third", "cross-entropy, bits"),
            ("fourth", "exponential"),
            ("second", "squared"),
        ],
        note="The square punishes answers that are more than right; the exponential is ruled by the worst row.",
    )
    page.number("hinge_at_zero", each(losses.hinge, np.zeros(1), 1.0)[0], "hinge at margin 0")
    page.number(
        "exponential_wrong",
        each(losses.exponential_loss, np.array([-5.0]), 1.0)[0],
        "exponential loss of one row at margin −5",
    )
    page.number("logistic_wrong", float(np.logaddexp(0, 5.0) / np.log(2)), "cross-entropy of the same, bits")
    page.correction(
        "Principles and Practice §3.2.2",
        "hinge with labels 0 and 1",
        "labels −1 and 1: with 0 the product is 0, the loss is 1 whatever the score, and nothing is learnt from "
        "those rows",
    )
    page.correction(
        "same, eq. 3-13",
        r"$-\sum y\ln\hat y+(1-y)\ln(1-\hat y)$, the minus before the first term only",
        r"$-\sum\big(y\ln\hat y+(1-y)\ln(1-\hat y)\big)$",
    )


def _sigmoid(page: LessonPage) -> None:
    z = np.linspace(-8, 8, 161)
    a = sigmoid(z)
    runs = {name: train_neuron(name) for name in ("squared", "logistic")}
    far = float(sigmoid(np.array(-6.0)))
    page.heading("A sigmoid under two losses")
    page.text(
        "A neuron says $a=\\sigma(z)$ and should say 1. Squared error, halved, has the slope $(a-1)\\,a(1-a)$ by "
        "$z$; cross-entropy has $a-1$. Where the neuron is **surely wrong**, far left, the factor $a(1-a)$ is "
        "nearly zero: the worst mistakes pull least."
    )

    def slopes(axes):
        axes.plot(z, (a - 1) * a * (1 - a), color=SECOND)
        axes.plot(z, a - 1, color=MODEL)
        axes.set(xlabel="sum z", ylabel="slope of the loss", xticks=[-8, -4, 0, 4, 8])

    def outputs(axes):
        for name, colour in (("squared", SECOND), ("logistic", MODEL)):
            axes.plot(runs[name], color=colour)
        axes.set(xlabel="step", ylabel="output (target 0)", ylim=(0, 1.02))

    keys = [("second", "squared error"), ("model", "cross-entropy")]
    page.figure(slopes, "Pull on a neuron whose target is 1", keys=keys)
    page.number("squared_pull", (far - 1) * far * (1 - far), "slope at $z=-6$, squared error")
    page.number("logistic_pull", far - 1, "slope at $z=-6$, cross-entropy")
    page.figure(
        outputs,
        f"One neuron, input 1, target 0, from w = b = 2, rate {RATE}",
        keys=keys,
        note="Outputs, not losses: the two losses cannot be compared.",
    )
    page.number(
        "squared_steps", float((runs["squared"] > 0.2).sum()), "steps until the output is below 0.2, squared error"
    )
    page.number("logistic_steps", float((runs["logistic"] > 0.2).sum()), "the same, cross-entropy")


def _surface(page: LessonPage) -> None:
    weight = np.linspace(-4, 3, 400)
    page.heading("Hills in the squared error")
    page.text(
        "Cross-entropy of a sigmoid is **convex** in the weights: one valley, and every way down leads there. "
        "Squared error is not. Two points show it: input 1 of class 0 and input 10 of class 1, one weight, no "
        "bias. From $w=-1$ squared error runs off to the left for ever."
    )

    def paint(axes):
        axes.plot(weight, two_points(weight, "squared"), color=SECOND)
        axes.plot(weight, two_points(weight, "logistic"), color=MODEL)
        axes.set(xlabel="weight w", ylabel="loss", ylim=(0, 3), xticks=[-4, -2, 0, 2])

    page.figure(paint, "The loss by the weight", keys=[("second", "squared error"), ("model", "cross-entropy")])
    for name, says in (("squared", "squared error"), ("logistic", "cross-entropy")):
        end = descend_two_points(-1.0, name)
        page.number(f"{name}_end", end, f"weight after 2000 steps from −1 by the {says}")
        page.number(
            f"{name}_end_error",
            float(two_points(np.array([end]), "squared")[0]),
            f"squared error at that weight, found by the {says}",
        )
        page.number(
            f"{name}_not_convex",
            curvature_share(name),
            f"six points, weight and bias in ±8: share of that area where the {says} is not convex",
        )
    page.text(
        "Without a bias no weight serves both points, but one is far better than the other, by the squared error "
        "itself: descent on the cross-entropy has found it."
    )

    def surfaces(axes):
        for one, (name, title) in zip(axes, (("squared", "squared error"), ("logistic", "cross-entropy")), strict=True):
            one.contour(W, B, six_points(name), levels=14, cmap="viridis", linewidths=0.9)
            one.set(xlabel="weight", ylabel="bias", xticks=[-8, 0, 8], yticks=[-8, 0, 8])
            one.set_title(title, fontsize=10.5)

    page.figure(
        surfaces,
        "The loss of six points over weight and bias",
        panels=(1, 2),
        size=(6.4, 3.1),
        note="Left: a narrow valley between plateaus, on which there is nothing to follow. Right: one bowl.",
    )


def _incomparable(page: LessonPage) -> None:
    truth = np.array([100.0, 200.0, 300.0, 1000.0])
    first, second = np.array([110.0, 190.0, 320.0, 700.0]), np.array([160.0, 130.0, 380.0, 980.0])
    measures = {
        "squared": losses.mean_squared_error,
        "absolute": losses.mean_absolute_error,
        "squared logarithm": losses.mean_squared_logarithmic_error,
        "percentage": losses.mean_absolute_percentage_error,
    }
    page.heading("Losses of different formulas are not comparable")
    page.text(
        "Two models guess four prices. Model A misses the dear one, model B all the cheap ones. Which is better "
        "depends on what is asked."
    )
    page.table(
        ["loss", "model A", "model B", "smaller"],
        [
            [name, float(f(first, truth)), float(f(second, truth)), "A" if f(first, truth) < f(second, truth) else "B"]
            for name, f in measures.items()
        ],
    )
    page.number(
        "squared_ratio",
        losses.mean_squared_error(first, truth) / losses.mean_squared_error(second, truth),
        "squared error of A over that of B",
    )
    page.number(
        "logarithm_ratio",
        losses.mean_squared_logarithmic_error(first, truth) / losses.mean_squared_logarithmic_error(second, truth),
        "squared logarithmic error of A over that of B",
    )
    page.correction(
        "Principles and Practice §3.2.1",
        "train with one loss and with another, compare the loss curves, and keep the lower",
        "numbers of different formulas have different units; judge both by one measure that is chosen for the "
        "task, on validation rows",
    )
    page.correction(
        "same, eq. 3-9 and listing 3-8",
        "the logarithmic error without +1, with an ε of 10⁻⁶ that is `10e-6` in the code, for values from −10⁵",
        "$(\\ln(\\hat y+1)-\\ln(y+1))^2$; `10e-6` is 10⁻⁵; it has no value at −1 and below",
    )

"""The cart: ten speeds, a straight line, its squared error, and two ways to its minimum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.look.charts import INK, MODEL, SECOND

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

TIME = np.arange(1.0, 11.0)  # seconds
SPEED = np.array([2.2, 4.1, 6.2, 8.3, 9.9, 11.8, 14.4, 16.0, 22.5, 24.2])  # metres a second
RATE, STEPS = 0.01, 4000


def squared_error(slope: float, intercept: float) -> float:
    """The sum of squared residuals."""
    return float(((slope * TIME + intercept - SPEED) ** 2).sum())


def least_squares() -> tuple[float, float]:
    """The line at which both partial derivatives are zero, in closed form."""
    centred = TIME - TIME.mean()
    slope = float((centred * SPEED).sum() / (centred**2).sum())
    return slope, float(SPEED.mean() - slope * TIME.mean())


def descend(rate: float, steps: int) -> np.ndarray:
    """Gradient descent on the mean squared error from (0, 0). (steps + 1, 2): slope and intercept."""
    line = np.zeros(2)
    path = [line]
    for _ in range(steps):
        residual = line[0] * TIME + line[1] - SPEED
        line = line - rate * 2 * np.array([(residual * TIME).mean(), residual.mean()])
        path.append(line)
    return np.array(path)


def show(page: LessonPage) -> None:
    slope, intercept = least_squares()
    path = descend(RATE, STEPS)
    losses = np.array([squared_error(*line) for line in path])

    page.text(
        "A cart rolls downhill, and its speed is read once a second. We look for the straight line $v=wt+b$ that "
        "misses the ten readings by the least. A **residual** is what a reading differs by from the line; the "
        "**loss** is the sum of their squares. A plain sum would not do: residuals of both signs cancel."
    )
    page.formula(r"L(w,b)=\sum_{i=1}^{10}(w t_i+b-v_i)^2")
    page.number("slope", slope, "slope $w$ by least squares, m/s²")
    page.number("intercept", intercept, "intercept $b$, m/s")
    page.number("squared_error", squared_error(slope, intercept), "sum of squared residuals")
    page.number(
        "plain_sum",
        abs(float((slope * TIME + intercept - SPEED).sum())),
        "their plain sum, up to sign: it says nothing",
    )

    def fit(axes):
        axes.plot(TIME, SPEED, "o", color=INK, markersize=4)
        axes.plot(TIME, slope * TIME + intercept, color=MODEL)
        axes.vlines(
            TIME,
            np.minimum(SPEED, slope * TIME + intercept),
            np.maximum(SPEED, slope * TIME + intercept),
            color=SECOND,
            lw=1,
        )
        axes.set(xlabel="time, s", ylabel="speed, m/s")

    page.figure(
        fit, "The readings and the line", keys=[("ink", "readings"), ("model", "line"), ("second", "residuals")]
    )

    page.heading("The same line, step by step")
    page.text(
        f"Gradient descent starts at $w=b=0$ and goes against the gradient of the mean squared error, {STEPS:,} "
        f"steps of rate {RATE}. The loss is a bowl that is long in one direction, so the last part of the way is "
        "slow."
    )
    page.number("descent_slope", path[-1, 0], "slope after the last step")
    page.number("descent_intercept", path[-1, 1], "intercept after the last step")
    page.number(
        "descent_distance", float(np.abs(path[-1] - (slope, intercept)).max()), "largest difference from least squares"
    )

    def bowl(axes):
        slopes, intercepts = np.meshgrid(np.linspace(-0.2, 4.2, 120), np.linspace(-3, 2, 120))
        values = ((slopes[..., None] * TIME + intercepts[..., None] - SPEED) ** 2).sum(-1)
        axes.contour(slopes, intercepts, np.log(values), levels=14, colors=[INK], linewidths=0.6, alpha=0.5)
        axes.plot(path[:, 0], path[:, 1], color=MODEL)
        axes.plot([slope], [intercept], "o", color=SECOND, markersize=6)
        axes.set(xlabel="slope w", ylabel="intercept b")

    def curve(axes):
        axes.loglog(np.arange(1, len(losses) + 1), losses, color=MODEL)
        axes.set(xlabel="step", ylabel="sum of squared residuals")

    page.figure(bowl, "The way down", keys=[("model", "gradient descent"), ("second", "least squares")])
    page.figure(curve, "The loss by step")
    _underfitting(page)
    page.try_it("gradus train --data boston_housing --target price --model mlp --set model.options.hidden=[]")


def _underfitting(page: LessonPage) -> None:
    page.heading("Where a line is not enough")
    time = np.linspace(0, 4, 41)
    grown = np.exp(time)
    line, parabola = (np.polyfit(time, grown, degree) for degree in (1, 2))
    misses = [float(((np.polyval(fit, time) - grown) ** 2).mean() / grown.var()) for fit in (line, parabola)]
    on_logarithm = np.polyfit(time, np.log(grown), 1)
    page.text(
        "Growth by a fixed factor, $v=e^t$, is no line. Least squares still finds the best one, and it misses: "
        "below at both ends, above in the middle. That residuals of one sign stand together is how "
        "**underfitting** shows. More steps do not help; another model does, or another scale: the logarithm of "
        "such growth is a line."
    )

    def fits(axes):
        axes.plot(time, grown, color=INK)
        axes.plot(time, np.polyval(line, time), color=MODEL)
        axes.plot(time, np.polyval(parabola, time), color=SECOND)
        axes.set(xlabel="t", ylabel="v", xticks=[0, 1, 2, 3, 4])

    page.figure(fits, "Growth", keys=[("ink", "readings"), ("model", "best line"), ("second", "best parabola")])
    page.number("line_misses", misses[0], "share of the variance that the line misses")
    page.number("parabola_misses", misses[1], "share that a parabola misses")
    page.number("logarithm_slope", on_logarithm[0], "slope of the line through the logarithms, exactly 1")

"""Newton's method: a root by tangents, a minimum by parabolas, how fast, and where it goes astray."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.lessons.plane import contours
from gradus.look.charts import INK, MODEL, SECOND, THIRD
from gradus.reference.calculus import newton, newton_minimizer

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage


def rosenbrock(x, y):
    """(1 − x)² + 100 (y − x²)²: a bent valley, lowest at (1, 1)."""
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def rosenbrock_gradient(point: np.ndarray) -> np.ndarray:
    x, y = point
    return np.array([-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)])


def rosenbrock_hessian(point: np.ndarray) -> np.ndarray:
    x, y = point
    return np.array([[2 - 400 * y + 1200 * x**2, -400 * x], [-400 * x, 200.0]])


def show(page: LessonPage) -> None:
    page.text(
        "Where is $f(x)=0$? Replace the curve by its tangent at the place where you stand, and go to where the "
        "tangent is zero. Near the root the tangent is nearly the curve, so the next place is much better."
    )
    page.formula(r"x\leftarrow x-\frac{f(x)}{f′(x)}")
    path = newton(lambda x: x * x - 2, lambda x: 2 * x, 3.0, 6)
    errors = np.abs(path - np.sqrt(2))

    def tangents(axes):
        x = np.linspace(0, 3.3, 100)
        axes.plot(x, x * x - 2, color=INK)
        axes.axhline(0, color=INK, linewidth=1, alpha=0.6)
        for before, after, colour in zip(path, path[1:3], (MODEL, SECOND), strict=False):
            axes.plot([before, after], [before * before - 2, 0], "o-", color=colour, markersize=4, linewidth=1.4)
        axes.set(xlabel="x", ylabel="x² − 2", xticks=[0, 1, 2, 3])

    page.figure(tangents, "Two tangents from 3", keys=[("model", "first"), ("second", "second")])
    rows = [[str(step), value, error] for step, (value, error) in enumerate(zip(path[:6], errors[:6], strict=True))]
    page.table(("step", "place", "error"), rows, title="The square root of 2")
    page.text(
        "The number of right digits doubles each step: the error becomes about its square times 0.35. That is "
        "called **quadratic convergence**. Gradient descent only multiplies its error by a fixed factor."
    )
    page.number("root", path[-1], "place after six steps", digits=10)
    page.number(
        "squared_factor",
        errors[4] / errors[3] ** 2,
        "fourth error over the square of the third; in the limit $1/(2\\sqrt{2})$",
    )
    _minima(page)
    _astray(page)
    page.text(
        "Networks seldom use it: for a million weights the second derivatives are a million times a million numbers. "
        "The optimisers that networks use, such as Adam, keep one number a weight that stands in for the curvature."
    )
    page.try_it("gradus lesson plateaus-and-saddles", "gradus train --data digits --model mlp --optimizer adam")


def _minima(page: LessonPage) -> None:
    page.heading("The lowest place")
    page.text(
        "At a minimum the slope is zero, so look for a root of the slope. In one dimension that needs $f″$, in "
        "many the matrix $H$ of second derivatives. On a quadratic one step is enough, however long the valley."
    )
    page.formula(r"x\leftarrow x-\frac{f′(x)}{f″(x)},\qquad \mathbf{x}\leftarrow\mathbf{x}-H^{-1}\nabla f")
    one = newton(lambda x: 2 * x, lambda _: 2.0, 3.0, 1)
    curvature = np.diag([2.0, 16.0])
    two = newton_minimizer(lambda p: curvature @ p, lambda _: curvature, np.array([3.0, 4.0]), 1)
    page.number("parabola", one[-1], "$x^2+2$ from 3, after one step")
    page.number("valley", float(np.abs(two[-1]).max()), "$x^2+8y^2$ from (3, 4), distance after one step")

    start = np.array([-1.2, 1.0])
    path = newton_minimizer(rosenbrock_gradient, rosenbrock_hessian, start, 8)
    distances = np.linalg.norm(path - 1, axis=1)
    point, descent = start, [start]
    for _ in range(5000):
        point = point - 0.001 * rosenbrock_gradient(point)
        descent.append(point)
    walked = np.array(descent)
    page.text(
        "A bent valley, $(1-x)^2+100(y-x^2)^2$, takes Newton a few steps, one of them far off; descent walks along "
        "the bottom."
    )
    page.number(
        "rosenbrock_steps",
        int(np.argmax(distances < 1e-6)),
        "Newton steps from $(-1.2, 1)$ to within a millionth of (1, 1)",
    )
    page.number(
        "descent_distance",
        float(np.linalg.norm(walked[-1] - 1)),
        "distance of gradient descent after 5,000 steps of rate 0.001",
    )

    def valley(axes):
        contours(axes, lambda x, y: np.log10(rosenbrock(x, y) + 0.01), (-2, 2), (-3.5, 3), 14)
        axes.plot(walked[:, 0], walked[:, 1], color=SECOND, linewidth=2.4)
        axes.plot(path[:, 0], path[:, 1], "o-", color=MODEL, markersize=4, linewidth=1)
        axes.set(xlabel="x", ylabel="y", xticks=[-2, 0, 2], yticks=[-2, 0, 2])

    page.figure(valley, "The bent valley", keys=[("model", "Newton"), ("second", "gradient descent")])


def _astray(page: LessonPage) -> None:
    page.heading("Where it fails")
    double = newton(lambda x: x * x, lambda x: 2 * x, 1.0, 10)
    cycle = newton(lambda x: x**3 - 2 * x + 2, lambda x: 3 * x * x - 2, 0.0, 10)
    inside, outside = (newton(np.arctan, lambda x: 1 / (1 + x * x), start, 6) for start in (1.35, 1.42))
    hill = newton(lambda x: 3 * x * x - 3, lambda x: 6 * x, -0.5, 8)
    saddle = np.diag([2.0, -2.0])
    level = newton_minimizer(lambda p: saddle @ p, lambda _: saddle, np.array([1.0, 0.5]), 1)
    page.text(
        "**A double root** ($x^2$): the tangent is level there too, and the error only halves. **A cycle** "
        "($x^3-2x+2$ from 0): it comes back after two steps. **Flat wings** ($\\arctan x$): beyond 1.39 each step "
        "lands further out on the other side. **A hilltop**: it seeks level ground, not low ground, and takes a "
        "maximum or a saddle as gladly as a minimum."
    )
    page.number("double", double[-1], "$x^2$ from 1 after ten steps, $2^{-10}$")
    page.number("cycle", cycle[-2], "$x^3-2x+2$ from 0: place after nine steps; after ten it is 0 again")
    page.number("inside", abs(inside[-1]), "arctan from 1.35: distance after six steps")
    page.number("outside", abs(outside[-1]), "arctan from 1.42: distance after six steps")
    page.number("hilltop", hill[-1], "$x^3-3x$ from $-0.5$: ends on its maximum at")
    page.number(
        "saddle", float(np.abs(level[-1]).max()), "$x^2-y^2$ from (1, 0.5): distance from the saddle after one step"
    )

    def wings(axes):
        axes.plot(inside, "o-", color=MODEL, markersize=4)
        axes.plot(np.clip(outside, -12, 12), "o-", color=SECOND, markersize=4)
        axes.plot(cycle[:7], "o-", color=THIRD, markersize=4)
        axes.set(xlabel="step", ylabel="place", ylim=(-6, 6), xticks=[0, 2, 4, 6])

    keys = [("model", "arctan from 1.35"), ("second", "arctan from 1.42"), ("third", "the cycle")]
    page.figure(wings, "Near and far", keys=keys)

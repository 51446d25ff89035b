"""Gradient descent in two dimensions: a long valley, the largest rate that it bears, and a loss bowl solved exactly."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from gradus.lessons.plane import contours
from gradus.look.charts import INK, MODEL, SECOND, THIRD

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

START = np.array([3.0, 4.0])
CURVATURES = np.array([2.0, 16.0])  # second derivatives of x² + 8y²
RATES = (0.02, 0.11, 0.125, 0.13)
COLOURS = (MODEL, THIRD, INK, SECOND)
ROLES = ("model", "third", "ink", "second")
BOWL = np.array([[2.0, 1.0], [1.0, 2.0]])  # second derivatives of x² + y² + xy + x + y + 1


def valley(x, y):
    """x² + 8y²."""
    return x**2 + 8 * y**2


def valley_gradient(point: np.ndarray) -> np.ndarray:
    return CURVATURES * point


def bowl(x, y):
    """x² + y² + xy + x + y + 1: of the kind that a sum of squared errors is."""
    return x**2 + y**2 + x * y + x + y + 1


def bowl_gradient(point: np.ndarray) -> np.ndarray:
    return BOWL @ point + 1


def descend(gradient: Callable[[np.ndarray], np.ndarray], start: np.ndarray, rate: float, steps: int) -> np.ndarray:
    """All points, (steps + 1, 2)."""
    path = [start]
    for _ in range(steps):
        path.append(path[-1] - rate * gradient(path[-1]))
    return np.array(path)


def show(page: LessonPage) -> None:
    gradient = valley_gradient(START)
    page.text(
        "With two weights the loss is a landscape. The **gradient** collects one slope for each direction and points "
        "straight uphill, at a right angle to the line of equal height. We go against it."
    )
    page.formula(r"f(x,y)=x^2+8y^2,\qquad \nabla f=(2x,\,16y)")
    page.number("slope_x", gradient[0], "slope along $x$ at (3, 4)", printed=6)
    page.number("slope_y", gradient[1], "slope along $y$ at (3, 4)", printed=64)

    def surface(axes):
        x, y = np.meshgrid(np.linspace(-4, 4, 25), np.linspace(-4.5, 4.5, 25))
        axes.plot_surface(
            x, y, valley(x, y), cmap="Blues", alpha=0.75, linewidth=0, antialiased=True, rcount=25, ccount=25
        )
        path = descend(valley_gradient, START, 0.02, 40)
        axes.plot(path[:, 0], path[:, 1], valley(path[:, 0], path[:, 1]) + 4, color=SECOND, zorder=5)
        axes.set(xticks=[-4, 0, 4], yticks=[-4, 0, 4], zticks=[0, 80, 160], xlabel="x", ylabel="y")
        axes.view_init(elev=32, azim=-60)

    page.figure(surface, "The valley", axes="3d", keys=[("second", "descent, rate 0.02")])

    _rates(page)
    _bowl(page)
    page.correction(
        "Plain Talk §4.2",
        "the slope of the tangent along $y$ is written $\\partial f/\\partial x$, and $df(x)/x$ stands for a "
        "derivative",
        "it is $\\partial f/\\partial y$, and $df(x)/dx$",
    )
    page.correction(
        "Principles and Practice §2.3.1, figure 2-6",
        "the distance from $\\theta_0$ to $\\theta_1$ is the gradient",
        "it is the learning rate times the gradient",
    )
    page.try_it("gradus lesson newton", "gradus lesson plateaus-and-saddles")


def _rates(page: LessonPage) -> None:
    page.heading("How large a step the valley bears")
    page.text(
        "A step multiplies $x$ by $1-2\\eta$ and $y$ by $1-16\\eta$. The steep direction sets the limit: at "
        "$\\eta=1/8$ its factor is $-1$ and $y$ jumps between 4 and $-4$ for ever; above, it grows. The flat "
        "direction sets the time: with a rate that the steep one bears, $x$ creeps. The best fixed rate makes both "
        "factors equally large."
    )
    paths = [descend(valley_gradient, START, rate, 25) for rate in RATES]

    def panels(every):
        for axes, path, rate, colour in zip(every, paths, RATES, COLOURS, strict=True):
            contours(axes, valley, (-4, 4), (-6, 6))
            inside = path[np.abs(path[:, 1]) < 6]
            axes.plot(inside[:, 0], inside[:, 1], "o-", color=colour, markersize=3, linewidth=1)
            axes.set(title=f"rate {rate:g}", xlim=(-4, 4), ylim=(-6, 6), xticks=[-4, 0, 4], yticks=[-4, 0, 4])

    note = "x to the right, y upwards; grey: lines of equal height."
    page.figure(panels, "Twenty-five steps from (3, 4)", panels=(2, 2), note=note)

    def heights(axes):
        for path, colour in zip(paths, COLOURS, strict=True):
            axes.semilogy(valley(path[:, 0], path[:, 1]), color=colour)
        axes.set(xlabel="step", ylabel="height", ylim=(1e-5, 1e4))

    keys = [(role, f"rate {rate:g}") for role, rate in zip(ROLES, RATES, strict=True)]
    page.figure(heights, "Height by step", keys=keys)
    for name, path, rate in zip(("below", "best", "at", "above"), paths, RATES, strict=True):
        page.number(f"height_{name}", valley(*path[-1]), f"height after 25 steps of rate {rate:g}")
    page.number("largest_rate", 2 / CURVATURES.max(), "largest rate that does not climb, $2/16$")
    page.number("best_rate", 2 / CURVATURES.sum(), "best fixed rate, $2/(2+16)$")
    page.number(
        "best_factor",
        np.abs(1 - 2 / CURVATURES.sum() * CURVATURES).max(),
        "by which it multiplies the distance each step",
    )


def _bowl(page: LessonPage) -> None:
    page.heading("The loss of a line is such a bowl")
    lowest = np.linalg.solve(BOWL, -np.ones(2))
    path = descend(bowl_gradient, np.array([2.0, -2.5]), 0.25, 30)
    page.text(
        "Squared errors of a straight line are a quadratic in slope and intercept, like $x^2+y^2+xy+x+y+1$: a bowl "
        "with one lowest place. There both slopes are zero, which are two linear equations; descent finds the same "
        "place step by step. Its term $xy$ tilts the bowl: the two directions of least and most curvature lie "
        "between the axes, at 45 degrees."
    )
    page.number("bowl_x", lowest[0], "lowest place, both coordinates, exactly $-1/3$")
    page.number("bowl_minimum", bowl(*lowest), "height there, exactly $2/3$")
    page.number("bowl_found", bowl(*path[-1]), "height after 30 steps of rate 0.25")
    page.number(
        "bowl_largest_rate",
        2 / np.linalg.eigvalsh(BOWL).max(),
        "largest rate that this bowl bears, 2 over its largest curvature",
    )

    def tilted(axes):
        contours(axes, bowl, (-3, 3), (-3, 3))
        axes.plot(path[:, 0], path[:, 1], "o-", color=MODEL, markersize=3, linewidth=1)
        axes.plot(*lowest, "o", color=SECOND, markersize=6)
        axes.set(xlabel="x", ylabel="y", xticks=[-3, 0, 3], yticks=[-3, 0, 3])

    page.figure(tilted, "A tilted bowl", keys=[("model", "descent"), ("second", "lowest place")])

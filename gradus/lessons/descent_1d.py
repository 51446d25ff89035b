"""Gradient descent on a parabola: step sizes, the nudge search it replaces, and derivatives by differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from gradus.look.charts import INK, MODEL, SECOND, THIRD
from gradus.reference.calculus import central_difference, forward_difference, nudge

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

START = 3.0
RATES = {"too small": 0.01, "right": 0.1, "too large": 1.02}


def parabola(x):
    """x² + 2."""
    return x**2 + 2


def slope(x):
    return 2 * x


def descend(derivative: Callable[[float], float], start: float, rate: float, steps: int) -> np.ndarray:
    """x ← x − η f′(x). All points, (steps + 1,)."""
    path = [start]
    for _ in range(steps):
        path.append(path[-1] - rate * derivative(path[-1]))
    return np.array(path)


def show(page: LessonPage) -> None:
    page.text(
        "Learning is going downhill: the loss, which says how wrong the answers are, is a landscape over the weights, "
        "and we want a low place. In one dimension the whole idea can be seen. The valley is $f(x)=x^2+2$, lowest at "
        "0, and we stand at 3."
    )
    page.heading("Nudging")
    nudged, near = nudge(parabola, START, 0.2), nudge(parabola, 3.07, 0.2)
    page.text(
        "The simplest search tries both neighbours, here $x\\pm 0.2$, and goes to the lower one. It needs no "
        "mathematics. But each move costs two more looks at the loss; with a thousand weights it is two thousand "
        "looks a move. And it can end no nearer than its step allows."
    )
    page.number("lower_neighbour", parabola(2.8), "$f(2.8)$, the lower neighbour", printed=9.84)
    page.number("higher_neighbour", parabola(3.2), "$f(3.2)$, the higher one", printed=12.24)
    page.number("nudges", len(nudged) - 1, "moves from 3 to the bottom", printed="about 15")
    page.number("nudge_rest", abs(near[-1]), "from 3.07 the same search stops this far from the bottom")

    page.heading("Going by the slope")
    page.text(
        "The derivative tells direction and steepness at once: $f′(x)=2x$. Go against it, by the **learning rate** "
        "$\\eta$ times its size. Near the bottom the slope is small, so the steps shrink by themselves."
    )
    page.formula(r"x\leftarrow x-\eta f′(x)")
    path = descend(slope, START, 0.1, 15)
    page.number("first_step", path[1], "first step from 3 with $\\eta=0.1$", printed=2.4)
    page.number("second_step", path[2], "second step", printed=1.92)
    page.number(
        "after_15", path[-1], "after 15 steps, as many as the nudges took: not yet at 0, but it never has to stop"
    )
    page.number(
        "mirrored", descend(slope, -START, 0.1, 1)[1], "the first step from $-3$: the sign turns it the other way"
    )
    _rates(page)
    _mirror(page)
    _differences(page)
    page.try_it("gradus lesson descent-2d", "gradus train --data digits --model mlp --learning-rate 0.001")


def _rates(page: LessonPage) -> None:
    paths = {name: descend(slope, START, rate, 20) for name, rate in RATES.items()}

    def valleys(every):
        x = np.linspace(-5, 5, 200)
        for axes, (name, path), colour in zip(every, paths.items(), (MODEL, THIRD, SECOND), strict=True):
            axes.plot(x, parabola(x), color=INK, linewidth=1)
            axes.plot(path, parabola(path), "o-", color=colour, markersize=3.5, linewidth=1)
            axes.set(title=f"{name}: {RATES[name]:g}", xlabel="x", xlim=(-5, 5), ylim=(0, 25), xticks=[-4, 0, 4])

    page.figure(valleys, "Twenty steps with three learning rates", panels=(1, 3), size=(6.2, 2.4))
    page.text(
        "On this valley each step multiplies $x$ by $1-2\\eta$. Below $\\eta=1/2$ it comes from one side, between "
        "1/2 and 1 it jumps from side to side but comes closer, and above 1 it climbs out."
    )
    for name, path in paths.items():
        page.number(
            name.replace(" ", "_"), parabola(path[-1]), f"height after 20 steps, {name} ($\\eta={RATES[name]:g}$)"
        )


def _mirror(page: LessonPage) -> None:
    page.heading("Bouncing for ever")

    def centred(x: float) -> float:
        return 2 * (x - 0.3)

    bounce = descend(centred, 1.3, 1.0, 20)
    slow = descend(centred, 1.3, 1e-5, 1000)
    page.text(
        "Principles and Practice tells of a rate of 1 that bounces between $-0.7$ and 1.3 around the best place, "
        "0.3, without giving the function. It is $(x-0.3)^2$: a step of rate 1 goes by $2(x-0.3)$, which is "
        "exactly to the mirror image, so it comes back after two. Started at 1.3 it knows only those two places."
    )
    page.number("bounce_low", bounce.min(), "lowest place in 20 steps", printed=-0.7)
    page.number("bounce_high", bounce.max(), "highest place in 20 steps", printed=1.3)
    page.number("slow", 1.3 - slow[-1], "way covered in 1000 steps with $\\eta=10^{-5}$, of 1")

    def both(axes):
        axes.plot(bounce, "o-", color=SECOND, markersize=3.5, linewidth=1)
        axes.plot(descend(centred, 1.3, 0.2, 20), "o-", color=THIRD, markersize=3.5, linewidth=1)
        axes.plot(slow[:21], color=MODEL)
        axes.axhline(0.3, color=INK, linewidth=1)
        axes.set(xlabel="step", ylabel="x", xticks=[0, 5, 10, 15, 20])

    keys = [("second", "rate 1"), ("third", "rate 0.2"), ("model", "rate 0.00001"), ("ink", "best place")]
    page.figure(both, "Place by step", keys=keys)


def _differences(page: LessonPage) -> None:
    page.heading("A slope without calculus")
    page.text(
        "Where no formula is at hand, the slope can be measured: move a little and see how the value changes. A "
        "**forward** difference errs by about the step, a **central** one by its square; both fail when the step "
        "is so small that rounding takes over."
    )
    page.formula(r"f′(x)\approx\frac{f(x+h)-f(x)}{h}")
    page.formula(r"f′(x)\approx\frac{f(x+h)-f(x-h)}{2h}")
    page.number(
        "forward",
        forward_difference(parabola, 4.0, 0.001),
        "forward difference of $x^2+2$ at 4, step 0.001",
        printed=8.001,
        digits=7,
    )
    page.number("central", central_difference(parabola, 4.0, 0.001), "central difference there", digits=7)
    page.number(
        "measured_slope",
        (0.6 - 0.4) / (0.35 - 0.25),
        "slope shown by the losses 0.4, 0.5, 0.6 at the weights 0.25, 0.3, 0.35 of Deep Learning with Python §2.4",
    )
    steps = 10.0 ** np.arange(-13, 0.1, 0.5)
    errors = {
        "model": [abs(float(forward_difference(np.exp, 1.0, step)) - np.e) for step in steps],
        "second": [abs(float(central_difference(np.exp, 1.0, step)) - np.e) for step in steps],
    }
    page.number(
        "best_step_forward",
        steps[int(np.argmin(errors["model"]))],
        "best step of the forward difference, of $e^x$ at 1",
    )
    page.number("best_step_central", steps[int(np.argmin(errors["second"]))], "best step of the central difference")

    def error(axes):
        axes.loglog(steps, np.maximum(errors["model"], 1e-16), color=MODEL)
        axes.loglog(steps, np.maximum(errors["second"], 1e-16), color=SECOND)
        axes.set(xlabel="step h", ylabel="error", xticks=[1e-12, 1e-8, 1e-4, 1])

    page.figure(error, "Error of a measured slope", keys=[("model", "forward"), ("second", "central")])
    page.correction(
        "Plain Talk §4.2, §7.3",
        "frameworks find slopes this way, as $(L(w+\\Delta)-L(x))/\\Delta$",
        "the second value is $L(w)$; and frameworks use the chain rule backwards, one pass for all weights. "
        "Differences need a pass for each weight and serve to check the chain rule",
    )
    page.correction(
        "Deep Learning with Python §2.4.2",
        "the gradient is the curvature of the loss",
        "it is the slope; curvature is how the slope changes, the second derivative",
    )

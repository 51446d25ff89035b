"""Where descent stalls: a local minimum, a saddle, a plateau; what momentum and scaled steps do about it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from gradus.lessons.plane import contours
from gradus.look.charts import INK, MODEL, SECOND, THIRD
from gradus.reference.activations import sigmoid
from gradus.reference.optimizers import adam, gradient_descent, momentum

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

Optimizer = Callable[[np.ndarray, np.ndarray, dict[str, Any]], np.ndarray]


def hills(x):
    """x⁴/4 − x² + 0.3 x: a deep valley on the left, a shallow one on the right."""
    return x**4 / 4 - x**2 + 0.3 * x


def hills_slope(x: np.ndarray) -> np.ndarray:
    return x**3 - 2 * x + 0.3


def saddle(x, y):
    """x² − y² + y⁴/2: level at (0, 0), lowest at (0, ±1)."""
    return x**2 - y**2 + y**4 / 2


def saddle_gradient(point: np.ndarray) -> np.ndarray:
    x, y = point
    return np.array([2 * x, -2 * y + 2 * y**3])


def plateau(w):
    """The squared error of a sigmoid neuron that should say 0 and says almost 1."""
    return sigmoid(w) ** 2


def plateau_slope(w: np.ndarray) -> np.ndarray:
    return 2 * sigmoid(w) ** 2 * (1 - sigmoid(w))


def walk(
    optimizer: Optimizer, gradient: Callable[[np.ndarray], np.ndarray], start: np.ndarray, steps: int
) -> np.ndarray:
    """All points, (steps + 1, ...)."""
    weights = np.asarray(start, dtype=np.float64)
    state: dict[str, Any] = {}
    path = [weights]
    for _ in range(steps):
        weights = optimizer(weights, gradient(weights), state)
        path.append(weights)
    return np.array(path)


def optimizers(rate: float, adam_rate: float) -> dict[str, Optimizer]:
    return {
        "plain": partial(gradient_descent, learning_rate=rate),
        "momentum": partial(momentum, learning_rate=rate, coefficient=0.9),
        "Adam": partial(adam, learning_rate=adam_rate),
    }


def steps_until(reached: np.ndarray) -> int:
    """The first step at which the condition holds, or the number of steps where it never does."""
    return int(np.argmax(reached)) if reached.any() else len(reached)


def all_positive(size: int, draws: int, generator: np.random.Generator) -> float:
    """How often all curvatures of a random symmetric matrix are positive."""
    entries = generator.normal(size=(draws, size, size))
    return float((np.linalg.eigvalsh(entries + entries.transpose(0, 2, 1)).min(axis=1) > 0).mean())


COLOURS = {"plain": MODEL, "momentum": SECOND, "Adam": THIRD}
KEYS = [("model", "plain descent"), ("second", "momentum 0.9"), ("third", "Adam")]


def show(page: LessonPage) -> None:
    page.text(
        "Descent stops where the slope is zero. That may be the bottom, but also a **local minimum** (low, not "
        "lowest) or a **saddle** (a low place in one direction, a high one in another). On a **plateau** (almost "
        "level ground) it hardly moves. Three small landscapes, and three ways to walk them: plain descent, "
        "**momentum** (a ball that keeps its speed), and Adam (steps of about equal length, however gentle the slope)."
    )
    _local_minimum(page)
    _saddle(page)
    _plateau(page)
    page.try_it(
        "gradus train --data digits --model mlp --optimizer sgd --set train.optimizer.momentum=0.9",
        "gradus lesson newton",
    )


def _local_minimum(page: LessonPage) -> None:
    page.heading("A local minimum")
    paths = {name: walk(step, hills_slope, np.array(2.3), 200) for name, step in optimizers(0.03, 0.03).items()}
    starts = np.linspace(0.5, 3, 101)
    share = {}
    for name, step in optimizers(0.03, 0.03).items():
        share[name] = float((walk(step, hills_slope, starts, 400)[-1] < 0).mean())

    def valley(axes):
        x = np.linspace(-2.3, 2.5, 200)
        axes.plot(x, hills(x), color=INK, linewidth=1)
        for name in ("plain", "momentum"):
            path = paths[name]
            axes.plot(
                path[:60],
                hills(path[:60]) + (0.12 if name == "momentum" else 0),
                "o-",
                color=COLOURS[name],
                markersize=3,
                linewidth=0.8,
            )
        axes.set(xlabel="weight", ylabel="loss", xticks=[-2, -1, 0, 1, 2])

    page.figure(valley, "Two valleys", keys=KEYS[:2], note="Momentum's path is drawn a little above the curve.")
    page.text(
        "Started at 2.3, plain descent ends in the nearer valley. The ball has speed when it gets there, crosses "
        "the ridge and ends in the deeper one. Adam only rescales its steps, and stays. It is no law: started "
        "elsewhere it can also roll over and come back, or stop short."
    )
    for name, path in paths.items():
        page.number(f"hills_{name.lower()}", path[-1], f"place after 200 steps, {name}")
    for name, value in share.items():
        page.number(
            f"deep_{name.lower()}",
            value,
            f"share of 101 starts between 0.5 and 3 that end in the deeper valley, {name}",
        )
    page.correction(
        "Deep Learning with Python §2.4.3",
        "the listing called momentum uses 0.1 and adds the slope once more",
        "that is Nesterov's form; 0.9 is the usual value, and the plain form here is $v\\leftarrow\\mu v-\\eta\\nabla f$",
    )


def _saddle(page: LessonPage) -> None:
    page.heading("A saddle")
    start = np.array([1.0, 1e-6])
    paths = {name: walk(step, saddle_gradient, start, 300) for name, step in optimizers(0.05, 0.05).items()}
    page.text(
        "On $x^2-y^2+y^4/2$ the ground falls along $y$ only. We start a millionth beside the ridge. Plain descent "
        "runs to the saddle and then takes a long time to notice that it can go on, since the slope is as small as "
        "the distance from the ridge. From exactly on the ridge it would stay for ever; noise, such as that of "
        "small batches, pushes it off."
    )

    def map_of(axes):
        contours(axes, saddle, (-1.2, 1.2), (-1.5, 1.5), 14)
        for name, path in paths.items():
            axes.plot(path[:, 0], path[:, 1], "o-", color=COLOURS[name], markersize=2.5, linewidth=1)
        axes.set(xlabel="x", ylabel="y", xticks=[-1, 0, 1], yticks=[-1, 0, 1])

    def heights(axes):
        for name, path in paths.items():
            axes.plot(saddle(path[:, 0], path[:, 1]), color=COLOURS[name])
        axes.set(xlabel="step", ylabel="loss", xlim=(0, 200))

    page.figure(map_of, "Three ways off a saddle", keys=KEYS)
    page.figure(heights, "Loss by step", keys=KEYS)
    for name, path in paths.items():
        page.number(
            f"saddle_{name.lower()}",
            steps_until(np.abs(path[:, 1]) > 0.5),
            f"steps until it is half way from the saddle to the lowest place, {name}",
        )
    generator = np.random.default_rng(0)
    page.text(
        "In high dimensions most level places are saddles: for a minimum all curvatures must point up at once. If "
        "curvatures were a random symmetric matrix, that would be rare very soon:"
    )
    for size in (1, 2, 4, 6):
        page.number(
            f"minima_{size}",
            all_positive(size, 20000, generator),
            f"share of 20,000 random {size} × {size} matrices with all curvatures up",
        )


def _plateau(page: LessonPage) -> None:
    page.heading("A plateau")
    paths = {name: walk(step, plateau_slope, np.array(8.0), 3000) for name, step in optimizers(1.0, 0.1).items()}
    page.text(
        "A sigmoid neuron that is wrong and sure of it: it should say 0 and says 0.9997. Its squared error has "
        "hardly any slope there. Momentum helps, since the small slopes all point one way and add up to ten times "
        "the step. Adam divides each slope by its usual size and walks on as if the ground were steep. The better "
        "cure is another loss: with cross-entropy the slope is the error itself."
    )
    page.number("plateau_slope", float(plateau_slope(np.array(8.0))), "slope of the squared error there")
    page.number("cross_entropy_slope", float(sigmoid(np.array(8.0))), "slope of cross-entropy there")
    for name, path in paths.items():
        page.number(
            f"plateau_{name.lower()}",
            steps_until(plateau(path) < 0.25),
            f"steps until the neuron says less than one half, {name}",
        )

    def curves(axes):
        for name, path in paths.items():
            axes.semilogx(np.arange(1, len(path) + 1), plateau(path), color=COLOURS[name])
        axes.set(xlabel="step", ylabel="loss", xticks=[1, 10, 100, 1000])

    page.figure(curves, "Over the edge", keys=KEYS)

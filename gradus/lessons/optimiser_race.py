"""Six ways to use the same gradients: on a long bowl, in a bent valley, at a saddle, and on two half-moons."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from gradus.lessons.batch_size import batches
from gradus.lessons.network import (
    accuracy,
    backward,
    draw_layers,
    flatten,
    forward,
    he,
    logistic_gradient,
    logistic_loss,
    logit,
    unflatten,
)
from gradus.lessons.two_classes import draw_classes, moons
from gradus.look.charts import INK, SERIES
from gradus.reference import optimizers

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

Step = Callable[..., np.ndarray]
Slope = Callable[[np.ndarray], np.ndarray]

RACERS: dict[str, Step] = {
    "descent": optimizers.gradient_descent,
    "momentum": optimizers.momentum,
    "Nesterov": optimizers.nesterov,
    "RMSprop": optimizers.rmsprop,
    "Adagrad": optimizers.adagrad,
    "Adam": optimizers.adam,
}
COLOURS = dict(zip(RACERS, SERIES.values(), strict=True))
KEYS = list(zip(SERIES, RACERS, strict=True))
BOWL_START, VALLEY_START = np.array([-9.0, 2.0]), np.array([-1.2, 1.0])
RATES = np.logspace(-4, 0.5, 13)
MOST, NEAR = 1500, 1e-2
EPOCHS = 1000


def bowl(w: np.ndarray) -> np.ndarray:
    """Gradient of (x² + 30 y²) / 2: thirty times as steep across as along."""
    return np.array([w[0], 30 * w[1]])


def valley(w: np.ndarray) -> np.ndarray:
    """Gradient of Rosenbrock's (1 - x)² + 100 (y - x²)², whose lowest point is (1, 1)."""
    x, y = w
    return np.array([-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)])


def saddle(w: np.ndarray) -> np.ndarray:
    """Gradient of (x² - y²) / 2: down along y, up along x, flat at the origin."""
    return np.array([w[0], -w[1]])


def run(
    step: Step, slope: Slope, start: np.ndarray, rate: float, steps: int, goal: np.ndarray | None = None
) -> np.ndarray:
    """The path, at most `steps` long; it ends within `NEAR` of the goal, or where it leaves all bounds. (T + 1, 2)"""
    state: dict[str, Any] = {}
    weights, path = start, [start]
    for _ in range(steps):
        weights = step(weights, slope(weights), state, learning_rate=rate)
        path.append(weights)
        if not np.abs(weights).max() < 1e6 or (goal is not None and np.hypot(*(weights - goal)) < NEAR):
            break
    return np.array(path)


def tuned(step: Step, slope: Slope, start: np.ndarray, goal: np.ndarray) -> tuple[float, np.ndarray]:
    """(rate, path) of the fewest steps to the goal among `RATES`; where none arrives, the one that ends nearest."""
    best: tuple[tuple[int, float], float, np.ndarray] | None = None
    for rate in RATES:
        most = MOST if best is None else max(best[0][0], 1)
        path = run(step, slope, start, rate, most, goal)
        left = float(np.hypot(*(path[-1] - goal)))
        key = (len(path) - 1 if left < NEAR else MOST + 1, left if np.isfinite(left) else np.inf)
        if best is None or key < best[0]:
            best = (key, float(rate), path)
    assert best is not None
    return best[1], best[2]


def show(page: LessonPage) -> None:
    _bowl(page)
    _races(page)
    _saddle(page)
    _moons(page)


def _bowl(page: LessonPage) -> None:
    shown = {"descent": 0.062, "momentum": 0.03, "RMSprop": 0.3, "Adam": 0.5}
    page.text(
        "All of these look at the gradient only; they differ in what they remember. Plain **descent** goes "
        "straight down the slope. In a long bowl the slope points across the valley rather than along it, so the "
        "path **zig-zags**. **Momentum** keeps an average of past gradients: across they cancel, along they add "
        "up. **Nesterov** looks where momentum would carry it before it takes the slope. **RMSprop** and "
        "**Adagrad** divide each direction by the size of its own gradients. **Adam** does both."
    )

    def paint(axes):
        x, y = np.meshgrid(np.linspace(-10, 2.5, 50), np.linspace(-3, 3, 50))
        for one, (name, rate) in zip(axes, shown.items(), strict=True):
            one.contour(
                x,
                y,
                (x**2 + 30 * y**2) / 2,
                levels=[1, 5, 15, 30, 60, 100, 150],
                colors=[INK],
                linewidths=0.5,
                alpha=0.4,
            )
            path = run(RACERS[name], bowl, BOWL_START, rate, 40)
            one.plot(*path.T, color=COLOURS[name], marker="o", markersize=2, linewidth=1.2)
            one.set(xlim=(-10, 2.5), ylim=(-3, 3), xticks=[], yticks=[])
            one.set_title(f"{name}, rate {rate:g}", fontsize=10.5)

    page.figure(paint, "Forty steps on a bowl, thirty times as steep across", panels=(2, 2), size=(6.4, 4.0))
    path = run(optimizers.gradient_descent, bowl, BOWL_START, 0.062, 40)
    page.number(
        "sign_changes",
        float((np.diff(np.sign(path[:, 1])) != 0).sum()),
        "times that descent crosses the valley in 40 steps",
    )
    page.number("limit", 2 / 30, "rate above which descent leaves this bowl: 2 over the largest curvature")
    page.correction(
        "Principles and Practice eq. 3-18",
        r"momentum: $\theta\leftarrow\mu\theta-\eta g$",
        r"$v\leftarrow\mu v-\eta g$, then $\theta\leftarrow\theta+v$: it is the velocity that is kept, not the place",
    )
    page.correction(
        "Deep Learning with Python, 1st ed. §2.4.3",
        "a listing called momentum, with 0.1, that runs while the loss is above 0.01",
        "the listing is Nesterov's step; 0.9 is customary; and it needs a limit of steps",
    )
    page.correction(
        "Course notes §2.2.6, §2.2.7",
        r"$d/\sqrt{s+\epsilon}$",
        r"$d/(\sqrt s+\epsilon)$ is usual: with $10^{-8}$ inside the root the effect is that of $10^{-4}$ outside",
    )


def race(slope: Slope, start: np.ndarray, goal: np.ndarray) -> dict[str, tuple[float, np.ndarray, float]]:
    """name -> (best rate, path, steps to the goal: infinite where none of the rates arrives)"""
    found = {}
    for name, step in RACERS.items():
        rate, path = tuned(step, slope, start, goal)
        found[name] = (rate, path, len(path) - 1.0 if np.hypot(*(path[-1] - goal)) < NEAR else np.inf)
    return found


def _races(page: LessonPage) -> None:
    results = {"bowl": race(bowl, BOWL_START, np.zeros(2)), "valley": race(valley, VALLEY_START, np.ones(2))}
    page.heading("A race")
    page.text(
        f"Each at its own best rate of {len(RATES)} between 0.0001 and 3.2, until within {NEAR} of the lowest point; "
        f"at most {MOST} steps. The second course is Rosenbrock's bent valley, where the floor is nearly flat."
    )
    rows = []
    for name in RACERS:
        row: list[object] = [name]
        for course in results.values():
            rate, _, steps = course[name]
            row += [f"{rate:.2g}", f"{steps:.0f}" if np.isfinite(steps) else f"not in {MOST}"]
        rows.append(row)
    page.table(["", "bowl: rate", "steps", "valley: rate", "steps"], rows)
    for title, found in results.items():
        for name in ("descent", "momentum", "Adam"):
            steps = found[name][2]
            says = f"steps, {title}, {name}" + ("" if np.isfinite(steps) else " (not there yet)")
            page.number(f"{title}_{name.lower()}", min(steps, MOST), says)

    def paint(axes):
        x, y = np.meshgrid(np.linspace(-1.6, 1.6, 60), np.linspace(-0.6, 1.6, 50))
        axes.contour(
            x, y, np.log(1 + (1 - x) ** 2 + 100 * (y - x * x) ** 2), levels=8, colors=[INK], linewidths=0.5, alpha=0.4
        )
        for name in ("descent", "momentum", "RMSprop", "Adam"):
            axes.plot(*results["valley"][name][1][:300].T, color=COLOURS[name], linewidth=1.2)
        axes.plot([1], [1], "*", color=INK, markersize=9)
        axes.set(xlim=(-1.6, 1.6), ylim=(-0.6, 1.6), xlabel="x", ylabel="y")

    page.figure(
        paint,
        "In the bent valley; star: the lowest point",
        keys=[key for key in KEYS if key[1] in ("descent", "momentum", "RMSprop", "Adam")],
    )
    page.text(
        "The order depends on the course. RMSprop's steps do not shrink near the goal, so whether it lands within "
        "reach is partly luck. Adaptive rates are not faster on every bowl: they spare the search for a rate for "
        "each direction, which counts when there are millions."
    )


def _saddle(page: LessonPage) -> None:
    start, rate = np.array([1.0, 1e-4]), 0.01
    paths = {name: run(step, saddle, start, rate, 1500) for name, step in RACERS.items()}
    page.heading("At a saddle")
    page.text(
        "A **saddle** is flat without being a minimum: down on two sides, up on the others. In many dimensions it "
        f"is far more common than a local minimum. All six start almost on its ridge, with rate {rate:g}; we count "
        "steps until they are one away from it."
    )

    def paint(axes):
        for name, path in paths.items():
            axes.loglog(np.arange(1, len(path) + 1), np.abs(path[:, 1]), color=COLOURS[name])
        axes.set(xlabel="step", ylabel="distance from the ridge", ylim=(5e-5, 10), yticks=[1e-4, 1e-2, 1])

    page.figure(paint, "Leaving a saddle", keys=KEYS)
    for name, path in paths.items():
        away = np.flatnonzero(np.abs(path[:, 1]) > 1)
        page.number(f"saddle_{name.lower()}", away[0] if len(away) else len(path), f"steps to leave, {name}")


def train_moons(step: Step, epochs: int = EPOCHS, size: int = 64, rate: float = 7e-4) -> tuple[float, np.ndarray, list]:
    """The course's 2-5-2-1 ReLU network on 300 points of the moons: (accuracy, loss after every tenth epoch, layers)."""
    points, labels = moons(300, 3)
    layers = draw_layers((2, 5, 2, 1), he, np.random.default_rng(3))
    state: dict[str, Any] = {}
    weights, losses = flatten(layers), []
    generator = np.random.default_rng(10)
    for epoch in range(epochs):
        for rows in batches(len(points), size, generator):
            layers = unflatten(weights, layers)
            sums, outputs = forward(layers, points[rows])
            gradients = backward(layers, sums, outputs, logistic_gradient(sums[-1], labels[rows]))
            weights = step(weights, flatten(gradients), state, learning_rate=rate)
        if epoch % 10 == 0:
            losses.append(logistic_loss(forward(unflatten(weights, layers), points)[0][-1], labels))
    layers = unflatten(weights, layers)
    return accuracy(layers, points, labels), np.array(losses), layers


def _moons(page: LessonPage) -> None:
    points, labels = moons(300, 3)
    racers: dict[str, Step] = {
        "descent": optimizers.gradient_descent,
        "momentum": optimizers.averaged_momentum,
        "RMSprop": partial(optimizers.rmsprop, decay=0.9),
        "Adam": optimizers.adam,
    }
    remembered = {"descent": " (exercise: 79.7 %)", "momentum": " (exercise: 79.7 %)", "Adam": " (exercise: 94 %)"}
    runs = {name: train_moons(step) for name, step in racers.items()}
    page.heading("On a network")
    page.text(
        f"The course's exercise: a 2-5-2-1 network on 300 points of two half-moons, batches of 64, rate 0.0007 for "
        f"all. It trains 10,000 epochs; here "
        f"{EPOCHS:,}, so the slow ones have less time. The numbers in brackets are remembered from the exercise, not "
        f"printed in the notes. **Momentum** is the notes' form, "
        r"$v\leftarrow kv+(1-k)d$, whose steps are as long as descent's: at one small rate it cannot be faster. That "
        r"is no race: 0.0007 suits Adam."
    )

    def curves(axes):
        for name, (_, losses, _) in runs.items():
            axes.plot(np.arange(0, EPOCHS, 10), losses, color=COLOURS[name])
        axes.set(xlabel="epoch", ylabel="loss of all rows")

    def regions(axes):
        for one, (name, (_, _, layers)) in zip(axes, runs.items(), strict=True):
            draw_classes(one, points, labels, logit(layers), title=name)

    page.figure(curves, "The loss by epoch, all at rate 0.0007", keys=[key for key in KEYS if key[1] in runs])
    page.figure(regions, "What each has learnt", panels=(2, 2), size=(6.4, 5.4))
    for name, (share, _, _) in runs.items():
        page.number(f"moons_{name.lower()}", share, f"accuracy, {name}{remembered.get(name, '')}")
    faster = train_moons(optimizers.gradient_descent, epochs=300, rate=0.3)[0]
    page.number("moons_descent_own", faster, "accuracy, descent at rate 0.3, 300 epochs")
    page.try_it(
        "gradus train --data digits --model mlp --optimizer sgd --learning-rate 0.1",
        "gradus train --data digits --model mlp --optimizer adam --learning-rate 0.001",
    )

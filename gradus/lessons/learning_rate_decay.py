"""Large steps first, small ones later: four schedules, and what they do where gradients are noisy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from gradus.look.charts import FIFTH, FOURTH, INK, MODEL, SECOND, THIRD
from gradus.reference import schedules

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

EPOCHS = np.arange(0, 101)
OPTIMUM, NOISE, STEPS = 0.3, 1.0, 2000
SCHEDULES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "1 / (1 + 0.1 n)": lambda n: schedules.inverse_time(n, 0.1),
    "0.95 to the n": lambda n: schedules.exponential(n, 0.95),
    "1 / root of n": lambda n: schedules.root_decay(n),
    "1 / root of t, 10 an epoch": lambda n: schedules.root_decay(10 * n),
    "halved every 20": lambda n: schedules.staircase(n, 0.5, 20),
}


def descend(rates: np.ndarray, noise: float = 0.0, runs: int = 1, start: float = -0.7) -> np.ndarray:
    """Descent on (θ - 0.3)², whose gradient is 2 (θ - 0.3) plus normal noise. rates (T,) -> θ (T + 1, runs)"""
    generator = np.random.default_rng(0)
    path = [np.full(runs, start)]
    for rate in rates:
        path.append(path[-1] - rate * (2 * (path[-1] - OPTIMUM) + noise * generator.normal(size=runs)))
    return np.array(path)


def distance(path: np.ndarray) -> np.ndarray:
    """Root mean square distance from the optimum after every step, over the runs. (T + 1,)"""
    return np.sqrt(((path - OPTIMUM) ** 2).mean(axis=1))


def descend_by_plateau(
    factor: float = 0.5, patience: int = 5, epoch: int = 20, start: float = 0.3
) -> tuple[np.ndarray, np.ndarray]:
    """The same noisy descent, 400 runs as one model; the rate falls when `patience` epochs brought no lower loss.

    (rate of every step, distance after every step)
    """
    generator = np.random.default_rng(1)
    place, rate, best, waited = np.full(400, -0.7), start, np.inf, 0
    rates, distances = [], [float(abs(-0.7 - OPTIMUM))]
    for step in range(STEPS):
        place = place - rate * (2 * (place - OPTIMUM) + NOISE * generator.normal(size=400))
        rates.append(rate)
        distances.append(float(np.sqrt(((place - OPTIMUM) ** 2).mean())))
        if step % epoch == epoch - 1:
            loss = distances[-1] ** 2
            best, waited = (loss, 0) if loss < best else (best, waited + 1)
            if waited == patience:
                rate, waited = rate * factor, 0
    return np.array(rates), np.array(distances)


def show(page: LessonPage) -> None:
    _one_rate(page)
    _curves(page)
    _noise(page)
    _plateau(page)


def _one_rate(page: LessonPage) -> None:
    bouncing, slow, good = (descend(np.full(1000, rate))[:, 0] for rate in (1.0, 1e-5, 0.1))
    page.text(
        "The **learning rate** says how long a step is: so many times the slope. Long steps arrive soon, short ones "
        "exactly; so let the rate fall on the way. "
        r"The smallest example: $(\theta-0.3)^2$ from −0.7. At rate 1 each step jumps exactly to the other side, "
        "for ever between −0.7 and 1.3. At 0.00001 a thousand steps go almost nowhere. Between them lie the useful "
        "rates."
    )
    page.number("bounce_one", bouncing[1], "after one step at rate 1", printed=1.3)
    page.number("bounce_two", bouncing[2], "after two steps", printed=-0.7)
    page.number("slow", slow[-1], "after 1000 steps at rate 0.00001")
    page.number("good", good[50], "after 50 steps at rate 0.1")


def _curves(page: LessonPage) -> None:
    page.heading("Schedules")
    page.text(
        "A **schedule** lets the rate fall while training goes on; $n$ counts epochs, $t$ updates. The first rate "
        "and the speed of the fall are chosen together."
    )

    def paint(axes):
        for schedule, colour in zip(SCHEDULES.values(), (MODEL, SECOND, THIRD, FIFTH, FOURTH), strict=True):
            axes.plot(EPOCHS, schedule(EPOCHS), color=colour)
        axes.set(xlabel="epoch n", ylabel="share of the first rate", ylim=(0, 1.05))

    page.figure(
        paint,
        "How the rate falls",
        keys=list(zip(("model", "second", "third", "fifth", "fourth"), SCHEDULES, strict=True)),
    )
    page.number(
        "inverse_time_100",
        float(SCHEDULES["1 / (1 + 0.1 n)"](np.array(100.0))),
        "share left after 100 epochs, 1/(1 + 0.1 n)",
    )
    page.number("exponential_100", float(SCHEDULES["0.95 to the n"](np.array(100.0))), "the same, 0.95 to the n")
    page.number("root_100", float(SCHEDULES["1 / root of n"](np.array(100.0))), "the same, 1/root of n")
    page.number("updates_100", float(schedules.root_decay(np.array(1000.0))), "the same, 1/root of 1000 updates")
    page.number("square_100", 1 / 100**2, "what one over the **square** of n would leave")
    page.correction(
        "Course notes §2.2.8",
        "the rate is $k/n^2$, in words the square of the epoch, and the same with updates $t$",
        r"$k/\sqrt n$ and $k/\sqrt t$, the square **root**; the first epoch must count as 1, or one divides by zero",
    )


def noisy_rates() -> dict[str, np.ndarray]:
    """The rates of every step: two constant ones, and two that fall from the larger."""
    steps = np.arange(STEPS)
    return {
        "0.3 always": np.full(STEPS, 0.3),
        "0.01 always": np.full(STEPS, 0.01),
        "0.3 / (1 + 0.02 t)": schedules.inverse_time(steps, 0.02, 0.3),
        "0.3 / root of t": schedules.root_decay(steps, 1.0, 0.3),
    }


def _noise(page: LessonPage) -> None:
    curves = {name: distance(descend(rates, NOISE, 400)) for name, rates in noisy_rates().items()}
    page.heading("Where gradients are noisy")
    page.text(
        "With mini-batches each gradient is off by chance. Now a constant rate never arrives: the steps near the "
        "optimum are mostly noise, and the place keeps wandering about in a ball whose size grows with the rate. A "
        "small rate has a small ball but is slow to reach it. A falling rate has both."
    )

    def paint(axes):
        for values, colour in zip(curves.values(), (SECOND, INK, MODEL, THIRD), strict=True):
            axes.loglog(np.arange(1, STEPS + 2), values, color=colour)
        axes.set(xlabel="step", ylabel="distance from the optimum", yticks=[0.01, 0.1, 1])

    page.figure(
        paint, "Mean distance of 400 runs", keys=list(zip(("second", "ink", "model", "third"), curves, strict=True))
    )
    for key, (name, values) in zip(("large", "small", "inverse", "root"), curves.items(), strict=True):
        page.number(f"{key}_30", values[30], f"distance after 30 steps, {name}")
        page.number(f"{key}_end", values[-200:].mean(), f"distance at the end, {name}")
    page.text(
        r"For this bowl the ball of a constant rate $\eta$ can be computed: its size is "
        r"$\sigma\sqrt{\eta/(4-4\eta)}$, $\sigma$ being the noise."
    )
    page.number("ball", NOISE * np.sqrt(0.3 / (4 - 4 * 0.3)), "computed for 0.3")


def _plateau(page: LessonPage) -> None:
    rates, distances = descend_by_plateau()
    page.heading("Or: halve it when nothing improves")
    page.text(
        "No formula is needed if someone watches. When the loss on validation rows has not fallen for some epochs "
        "(a **plateau**), divide the rate by 2 or 5 and go on; end when even that no longer helps."
    )

    def paint(axes):
        axes[0].semilogy(rates, color=SECOND)
        axes[0].set(xlabel="step", ylabel="rate")
        axes[1].semilogy(distances, color=MODEL, linewidth=1)
        axes[1].set(xlabel="step", ylabel="distance")

    page.figure(
        paint,
        "Halved after five epochs of 20 steps without a lower loss",
        panels=(1, 2),
        size=(6.4, 2.6),
        keys=[("second", "rate"), ("model", "distance")],
    )
    page.number("plateau_rate", rates[-1], "rate at the end")
    page.number("plateau_end", distances[-200:].mean(), "distance at the end")
    page.try_it(
        "gradus lr --data digits --model mlp",
        "gradus train --data digits --model mlp --set train.schedule.name=plateau",
    )

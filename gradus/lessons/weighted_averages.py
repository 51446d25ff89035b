"""Smoothing with a memory that fades: exponentially weighted averages, their start, and how far back they look."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.look.charts import FOURTH, MODEL, MUTED, SECOND
from gradus.reference.averages import average_weights, exponential_average, window

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

DECAYS = (0.5, 0.9, 0.98)
COLOURS = (SECOND, MODEL, FOURTH)
ROLES = ("second", "model", "fourth")
DAYS = np.arange(365)


def climate() -> np.ndarray:
    """What the temperature of each day would be without weather, °C."""
    return 11 - 9 * np.cos(2 * np.pi * DAYS / 365)


def temperatures() -> np.ndarray:
    """A year of daily temperatures: the climate, and weather."""
    return climate() + np.random.default_rng(0).normal(0, 3, len(DAYS))


def unrolled(values: np.ndarray, decay: float) -> float:
    """The last average as what it is: a sum of all values, each weighted by (1 - β) β^k, k days ago."""
    return float((average_weights(decay, len(values)) * values[::-1]).sum())


def lag(decay: float) -> float:
    """By how many days the average trails a steady rise, measured on the numbers 0, 1, 2, ..."""
    ramp = np.arange(5000.0)
    return float(ramp[-1] - exponential_average(ramp, decay)[-1])


def show(page: LessonPage) -> None:
    values = temperatures()
    averages = {decay: exponential_average(values, decay, corrected=True) for decay in DECAYS}
    page.text(
        "The temperature of a day jumps about. A smooth curve of it can be had by keeping one number, the average "
        r"so far, and mixing a little of each new day into it: $1-\beta$ of the day, $\beta$ of what was. No day "
        "needs to be stored."
    )
    page.formula(
        r"v_t=\beta v_{t-1}+(1-\beta)\theta_t,\qquad v_0=0",
        r"$\theta_t$: temperature of day $t$; $v_t$: average up to it; $\beta$: how much of the past is kept, 0 to 1.",
    )

    def year(axes):
        axes.plot(DAYS, values, ".", color=MUTED, markersize=3, alpha=0.6)
        for decay, colour in zip(DECAYS, COLOURS, strict=True):
            axes.plot(DAYS, averages[decay], color=colour)
        axes.set(xlabel="day", ylabel="°C", xticks=[0, 90, 180, 270, 360])

    page.figure(
        year,
        "A year, three memories",
        keys=[("muted", "days"), *zip(ROLES, (f"β = {decay}" for decay in DECAYS), strict=True)],
    )
    for decay in DECAYS:
        key = str(decay).replace("0.", "")
        page.number(
            f"window_{key}", window(decay), (f"$1/(1-\\beta)$ for {decay}: about how many days it averages over")
        )
        page.number(
            f"error_{key}",
            float(np.sqrt(((averages[decay] - climate())[60:] ** 2).mean())),
            f"distance from the climate, β = {decay}, °C",
        )
    page.text(
        "Little memory leaves the weather in. Much memory takes it out, but comes **late**: the curve for 0.98 "
        "lies to the right of the year. The best is in between. An average trails a steady rise by "
        "$\\beta/(1-\\beta)$ days."
    )
    page.number("lag_9", lag(0.9), "days by which it trails, β = 0.9")
    page.number("lag_98", lag(0.98), "the same for 0.98")
    _weights(page, values)
    _start(page, values)


def _weights(page: LessonPage, values: np.ndarray) -> None:
    page.heading("Which days count")
    page.text(
        r"Unrolled, the average is a sum of all days, the one $k$ days ago with the weight $(1-\beta)\beta^k$. For "
        r"0.9: 0.1, 0.09, 0.081 and so on. "
        "After ten days the weight has fallen to about a third, $0.9^{10}\\approx 1/e$, hence the rule of ten days."
    )

    def paint(axes):
        back = np.arange(60)
        for decay, colour in zip(DECAYS[1:], COLOURS[1:], strict=True):
            axes.plot(back, average_weights(decay, 60), color=colour, marker="o", markersize=2.5)
            axes.axvline(window(decay), color=colour, linewidth=1, linestyle=(0, (3, 3)))
        axes.set(xlabel="days ago", ylabel="weight")

    page.figure(paint, "The weight of a day; dashed: 1/(1−β)", keys=[("model", "β = 0.9"), ("fourth", "β = 0.98")])
    page.number("tenth_power", 0.9**10, "$0.9^{10}$")
    page.number("one_over_e", 1 / np.e, "$1/e$")
    page.number("fiftieth_power", 0.98**50, "$0.98^{50}$")
    page.number(
        "inside",
        average_weights(0.9, 10).sum(),
        "share of the weight on the last ten days, β = 0.9: a third of it lies further back",
    )
    page.number(
        "unrolled_difference",
        abs(unrolled(values, 0.9) - exponential_average(values, 0.9)[-1]),
        "difference between the sum and the step by step average",
    )
    page.correction(
        "Course notes §2.3.2",
        "the average is over 1/1−β values",
        r"$1/(1-\beta)$: 10 for 0.9, 50 for 0.98, 1000 for 0.999",
    )


def _start(page: LessonPage, values: np.ndarray) -> None:
    raw, corrected = exponential_average(values, 0.98), exponential_average(values, 0.98, corrected=True)
    page.heading("The first days")
    page.text(
        "The average begins at zero, so the first values are far too small: with 0.98 the first day counts 0.02. "
        r"The weights given so far add up to $1-\beta^t$; dividing by that (**bias correction**) makes it a true "
        "mean from the first day on. Later the divisor is one and changes nothing."
    )

    def paint(axes):
        axes.plot(DAYS[:120], values[:120], ".", color=MUTED, markersize=4)
        axes.plot(DAYS[:120], raw[:120], color=SECOND)
        axes.plot(DAYS[:120], corrected[:120], color=MODEL)
        axes.set(xlabel="day", ylabel="°C", xticks=[0, 30, 60, 90, 120])

    page.figure(
        paint, "The first 120 days, β = 0.98", keys=[("muted", "days"), ("second", "from zero"), ("model", "corrected")]
    )
    page.number("first_day", values[0], "first day, °C")
    page.number("first_raw", raw[0], "average after it, from zero")
    page.number("first_corrected", corrected[0], "corrected")
    page.number("late_difference", abs(raw[-1] - corrected[-1]), "difference on the last day")
    page.text(
        "Momentum is such an average of gradients, RMSprop of their squares, and Adam of both, corrected. So are "
        "the averaged weights and losses of many programs."
    )
    page.try_it("gradus train --data digits --model mlp --set train.average=0.99")

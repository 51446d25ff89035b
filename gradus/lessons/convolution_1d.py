"""Convolution of two functions: flip one, slide it past the other, and write down the area of the product."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.look.charts import INK, MODEL, SECOND, TEXT_SIZE, THIRD

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

FRAMES = (-2.0, -1.0, 0.0, 1.0, 2.0)  # the shifts that the book draws
HALVES = 2000  # cells a unit of length in the sums that stand for integrals


def triangle(t: np.ndarray) -> np.ndarray:
    """f: rises from (-1, 0) to (0, 1) and falls to (1, 0)."""
    return np.maximum(0, 1 - np.abs(t))


def ramp(t: np.ndarray) -> np.ndarray:
    """g: t between 1 and 2, zero elsewhere."""
    return np.where((t >= 1) & (t <= 2), t, 0.0)


def overlap(x: float) -> tuple[np.ndarray, np.ndarray]:
    """Where f lives, t from -1 to 1 at the middles of small cells, and there the product f(t) g(x - t)."""
    t = -1 + (np.arange(2 * HALVES) + 0.5) / HALVES
    return t, triangle(t) * ramp(x - t)


def area(x: float) -> float:
    """(f * g)(x): the integral of f(t) g(x - t) dt, as a sum over small cells."""
    return float(overlap(x)[1].sum() / HALVES)


def area_exact(x: float) -> float:
    """The same integral in closed form: g(x - t) = x - t where x - 2 <= t <= x - 1."""

    def rising(t: float) -> float:  # antiderivative of (1 + t)(x - t), the left side of the triangle
        return x * t + (x - 1) * t**2 / 2 - t**3 / 3

    def falling(t: float) -> float:  # of (1 - t)(x - t), the right side
        return x * t - (x + 1) * t**2 / 2 + t**3 / 3

    below, above = np.clip([x - 2, x - 1], -1, 0), np.clip([x - 2, x - 1], 0, 1)
    return float(rising(below[1]) - rising(below[0]) + falling(above[1]) - falling(above[0]))


def convolve(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """c[n] = sum over k of a[k] b[n - k]: every pair of entries is multiplied and lands where its indices add up to."""
    found = np.zeros(len(a) + len(b) - 1)
    for k, one in enumerate(a):
        for j, other in enumerate(b):
            found[k + j] += one * other
    return found


def correlate(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cross-correlation: b slides past a without being flipped. Of the same length as `convolve`."""
    return convolve(a, b[::-1])


def show(page: LessonPage) -> None:
    page.text(
        "**Convolution** makes one function out of two. Take $f$ and $g$. Turn $g$ round left to right, push it to the "
        "right by $x$, multiply it with $f$ point by point, and take the area under the product. That one area is the "
        "value at $x$; let $x$ run, and the areas draw a new function."
    )
    page.formula(r"h(x)=(f*g)(x)=\int_{-\infty}^{\infty} f(t)\,g(x-t)\,dt")
    page.text("Here $f$ is a triangle from −1 to 1, and $g$ is a ramp: $g(t)=t$ between 1 and 2, zero elsewhere.")
    page.correction(
        "Plain Talk §6.2",
        "$g$ is called a square pulse, and the integral indefinite",
        "with $g(t)=t$ it is a ramp (a square pulse is $g(t)=1$), and the integral has limits, so it is definite",
    )

    def frames(every):
        t = np.linspace(-4.2, 2.6, 1400)
        for axes, x in zip(every, FRAMES, strict=False):
            axes.plot(t, triangle(t), color=MODEL)
            axes.plot(t, ramp(x - t), color=SECOND)
            axes.fill_between(t, triangle(t) * ramp(x - t), color=THIRD, alpha=0.5, lw=0)
            axes.set_title(f"x = {x:.0f}: area {area(x):.3f}".replace("-", "−"), fontsize=TEXT_SIZE, color=INK)
            axes.set(ylim=(0, 2.2), xticks=[-4, -2, 0, 2], yticks=[0, 1, 2])
        shifts = np.linspace(-2.2, 3.4, 300)
        every[5].plot(shifts, [area_exact(shift) for shift in shifts], color=THIRD)
        every[5].plot(FRAMES, [area(value) for value in FRAMES], "o", color=THIRD, markersize=4)
        every[5].set_title("the areas, by x", fontsize=TEXT_SIZE, color=INK)
        every[5].set(ylim=(0, 1.2), xticks=[-2, 0, 1, 2, 3])

    page.figure(
        frames,
        "Flip, shift, multiply, area",
        keys=[("model", "f(t)"), ("second", "g(x − t)"), ("third", "product, and its area")],
        panels=(3, 2),
        size=(5.4, 6.0),
        note="Along the axis: t; in the last frame x. In the first three frames nothing overlaps, so the area is zero.",
    )
    x = np.linspace(-4, 5, 9001)
    areas = np.array([area_exact(value) for value in x])
    page.number("support_start", x[np.flatnonzero(areas > 0)[0] - 1], "the areas are positive after $x$ =", digits=3)
    page.number("support_end", x[np.flatnonzero(areas > 0)[-1] + 1], "and before $x$ =", digits=3)
    page.number("at_one", area(1), "$h(1)$; by hand, 2/3")
    page.number("at_two", area(2), "$h(2)$; by hand, 5/6")
    page.number("peak", float(x[areas.argmax()]), "where $h$ is largest", digits=3)
    page.number(
        "whole_area", float(areas.sum() * 0.001), "area under $h$: that of $f$ (1) times that of $g$ (1.5)", digits=4
    )

    _discrete(page)


def _discrete(page: LessonPage) -> None:
    page.heading("With lists of numbers")
    page.text(
        "For lists the integral is a sum: $c_n=\\sum_k a_k b_{n-k}$. Every entry of one meets every entry of the other, and "
        "their product lands at the place where the two indices add up. That is also how the chances of two dice add: the "
        "convolution of two fair dice is the distribution of their sum."
    )
    die = np.full(6, 1 / 6)
    sums = convolve(die, die)
    page.number("seven", sums[5], "chance that two dice show 7; by counting, 6 of 36")

    def ends(axes):
        places = np.arange(2, 13)
        axes.bar(places, sums, color=MODEL, width=0.7)
        axes.set(xlabel="sum of two dice", ylabel="chance", xticks=[2, 4, 6, 8, 10, 12])
        axes.grid(visible=False, axis="x")

    page.figure(ends, "Two flat distributions make a triangle")

    page.heading("Convolution and cross-correlation")
    page.text(
        "Networks slide their kernel **without** turning it round. That operation is called **cross-correlation**, although "
        "the layer is called convolution. As the weights are learned, nothing is lost: the network learns the kernel turned "
        "round. But one law is lost. Convolution commutes: $a*b=b*a$. Cross-correlation does not; swapped, it gives the same "
        "numbers in reverse order."
    )
    a, b = np.array([1.0, 2.0, 4.0, 3.0, 0.0]), np.array([1.0, 0.0, -1.0])
    page.table(
        ("operation", "a with b", "b with a"),
        [
            ("convolution", _listed(convolve(a, b)), _listed(convolve(b, a))),
            ("cross-correlation", _listed(correlate(a, b)), _listed(correlate(b, a))),
        ],
        title="a = 1, 2, 4, 3, 0 and b = 1, 0, −1",
    )
    page.number(
        "convolution_swapped",
        np.abs(convolve(a, b) - convolve(b, a)).max(),
        "largest change of a convolution when swapped",
    )
    page.number(
        "correlation_swapped",
        np.abs(correlate(a, b) - correlate(b, a)).max(),
        "largest change of a cross-correlation when swapped",
    )


def _listed(values: np.ndarray) -> str:
    return ", ".join(str(round(value)).replace("-", "−") for value in values)

"""One hidden layer follows any curve, given enough neurons: bumps of sigmoids, pieces of ReLU; and nothing outside."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from gradus.look.charts import INK, MODEL, SECOND, THIRD
from gradus.reference.activations import relu, sigmoid

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

Network = Callable[[np.ndarray], np.ndarray]
COUNTS = np.array([4, 8, 16, 32, 64, 128, 256])


def curve(x):
    """What is to be followed, on 0..1."""
    return np.sin(2 * np.pi * x) + 0.4 * np.sin(6 * np.pi * x) + 0.5 * x


def one_hidden_layer(
    weights: np.ndarray, biases: np.ndarray, out: np.ndarray, bias: float, activation: Network
) -> Network:
    """x (N,) -> (N,): Σ out_j f(weight_j x + bias_j) + bias."""
    return lambda x: activation(np.multiply.outer(x, weights) + biases) @ out + bias


def bumps(count: int, function: Network = curve, sharpness: float = 40.0) -> Network:
    """`count` bumps of two sigmoids each, up at the left edge of a strip, down at the right, as high as the curve between.

    sharpness: how often the rise of a sigmoid fits into a strip. 2 count hidden neurons.
    """
    edges = np.linspace(0, 1, count + 1)
    heights = function((edges[:-1] + edges[1:]) / 2)
    steep = sharpness * count
    # the outermost edges are moved out, so that the ends of 0..1 lie on the flat
    left, right = edges[:-1].copy(), edges[1:].copy()
    left[0], right[-1] = -1 / count, 1 + 1 / count
    places = np.concatenate([left, right])
    weights = np.full(2 * count, steep)
    return one_hidden_layer(weights, -steep * places, np.concatenate([heights, -heights]), 0.0, sigmoid)


def pieces(count: int, function: Network = curve) -> Network:
    """`count` ReLU neurons, one at the start of each piece, whose slopes add up to the line through the curve's points."""
    knots = np.linspace(0, 1, count + 1)
    values = function(knots)
    slopes = np.diff(values) * count
    return one_hidden_layer(np.ones(count), -knots[:-1], np.diff(slopes, prepend=0.0), float(values[0]), relu)


def largest_error(network: Network, low: float = 0.0, high: float = 1.0, function: Network = curve) -> float:
    x = np.linspace(low, high, 4001)
    return float(np.abs(network(x) - function(x)).max())


def mean_error(network: Network, function: Network = curve) -> float:
    x = np.linspace(0, 1, 4001)
    return float(np.abs(network(x) - function(x)).mean())


def order(counts: np.ndarray, errors: np.ndarray) -> float:
    """By which power of the count the error falls: the slope in logarithms, over the larger half."""
    half = len(counts) // 2
    return float(-np.polyfit(np.log(counts[half:]), np.log(errors[half:]), 1)[0])


def show(page: LessonPage) -> None:
    x = np.linspace(0, 1, 500)
    page.text(
        "Can a network with a single hidden layer follow any unbroken curve? Yes, as closely as we like, if it may "
        "have enough neurons. The proof can be built by hand. Two sigmoids, one up and one down, make a **bump**. Put "
        "bumps side by side, each as high as the curve is there."
    )
    page.formula(r"h\,\sigma(k(x-a))-h\,\sigma(k(x-b))")

    def bump(axes):
        up, down = sigmoid(60 * (x - 0.35)), sigmoid(60 * (x - 0.65))
        axes.plot(x, up, color=MODEL)
        axes.plot(x, -down, color=SECOND)
        axes.plot(x, up - down, color=INK, linewidth=2.4)
        axes.set(xlabel="x", xticks=[0, 0.5, 1], yticks=[-1, 0, 1])

    page.figure(bump, "A bump of two sigmoids", keys=[("model", "up"), ("second", "down"), ("ink", "their sum")])

    def fits(every):
        for axes, (count, make) in zip(every, ((8, bumps), (32, bumps), (8, pieces), (32, pieces)), strict=True):
            axes.plot(x, curve(x), color=INK, linewidth=1)
            axes.plot(x, make(count)(x), color=MODEL if make is bumps else SECOND)
            axes.set(title=f"{count} {'bumps' if make is bumps else 'pieces'}", xticks=[0, 0.5, 1], yticks=[-1, 0, 1])

    page.figure(
        fits,
        "Closer with more neurons",
        panels=(2, 2),
        keys=[("ink", "curve"), ("model", "sigmoid bumps"), ("second", "ReLU pieces")],
    )
    page.text(
        "With ReLU each neuron adds a bend, and the network is a line through points of the curve. That is closer: "
        "a strip's error falls with its width for bumps, with the square of its width for pieces."
    )
    errors = {make: np.array([largest_error(make(int(count))) for count in COUNTS]) for make in (bumps, pieces)}

    def widths(axes):
        for make, colour in ((bumps, MODEL), (pieces, SECOND)):
            axes.loglog(COUNTS, errors[make], "o-", color=colour, markersize=4)
        axes.set(
            xlabel="bumps or pieces",
            ylabel="largest error",
            xticks=[4, 16, 64, 256],
            xticklabels=["4", "16", "64", "256"],
        )
        axes.minorticks_off()

    page.figure(widths, "Largest error", keys=[("model", "sigmoid bumps"), ("second", "ReLU pieces")])
    page.number("bumps_error", errors[bumps][3], "largest error of 32 bumps (64 neurons)")
    page.number("pieces_error", errors[pieces][3], "largest error of 32 pieces (32 neurons)")
    page.number("bumps_order", order(COUNTS, errors[bumps]), "power of the number of bumps by which the error falls")
    page.number("pieces_order", order(COUNTS, errors[pieces]), "power of the number of pieces by which it falls")
    _outside(page)
    page.try_it("gradus lesson why-depth", "gradus lesson two-moons")


def _outside(page: LessonPage) -> None:
    page.heading("What the theorem does not say")
    both = {bumps: bumps(64), pieces: pieces(64)}
    wide = np.linspace(-0.6, 1.6, 800)

    def beyond(axes):
        axes.axvspan(0, 1, color=INK, alpha=0.07, linewidth=0)
        axes.plot(wide, curve(wide), color=INK, linewidth=1)
        axes.plot(wide, both[bumps](wide), color=MODEL)
        axes.plot(wide, np.clip(both[pieces](wide), -6, 6), color=SECOND)
        axes.set(xlabel="x", xticks=[0, 1], ylim=(-4, 4))

    page.figure(
        beyond,
        "Outside the grey strip nothing was asked",
        keys=[("ink", "curve"), ("model", "bumps"), ("second", "pieces")],
    )
    page.text(
        "It speaks of the stretch on which the curve was given. **Outside** it, bumps fall to nothing and ReLU "
        "runs straight on, whatever the curve does. It does not say that descent finds these weights, nor that few "
        "neurons are enough: in $d$ dimensions $n$ strips a side are $n^d$ bumps. And following all points given "
        "is not the aim when they carry noise."
    )
    page.number("inside", largest_error(both[pieces]), "largest error of 64 pieces inside")
    page.number("outside_pieces", largest_error(both[pieces], 1.0, 1.6), "the same between 1 and 1.6")
    page.number("outside_bumps", largest_error(both[bumps], 1.1, 1.6), "of 64 bumps between 1.1 and 1.6")
    _noise(page)


def fitted(count: int, x: np.ndarray, targets: np.ndarray) -> Network:
    """The line of `count` pieces that misses the points by the least: least squares over the out weights."""
    knots = np.arange(count) / count
    design = np.column_stack([relu(np.subtract.outer(x, knots)), np.ones(len(x))])
    found = np.linalg.lstsq(design, targets, rcond=None)[0]
    return one_hidden_layer(np.ones(count), -knots, found[:-1], float(found[-1]), relu)


def _noise(page: LessonPage) -> None:
    x = np.linspace(0, 1, 65)
    targets = curve(x) + np.random.default_rng(0).normal(scale=0.3, size=65)
    few, many = (fitted(count, x, targets) for count in (10, 64))
    page.text("Sixty-five points of the curve, each a little off. Pieces are fitted to them by least squares.")
    page.number("noisy_few", mean_error(few), "mean error against the true curve of 10 pieces")
    page.number("noisy_many", mean_error(many), "of 64 pieces, which pass through every point")

    def through(axes):
        fine = np.linspace(0, 1, 400)
        axes.plot(x, targets, "o", color=THIRD, markersize=3)
        axes.plot(fine, many(fine), color=SECOND, linewidth=1)
        axes.plot(fine, few(fine), color=MODEL)
        axes.plot(fine, curve(fine), color=INK, linewidth=1)
        axes.set(xlabel="x", xlim=(0, 1), xticks=[0, 0.5, 1])

    keys = [("third", "points"), ("second", "64 pieces"), ("model", "10 pieces"), ("ink", "curve")]
    page.figure(through, "Sixty-five noisy points", keys=keys)

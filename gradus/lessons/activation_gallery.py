"""All activation functions with their slopes, where they are flat, and how a unit dies."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from gradus.lessons.network import backward, draw_layers, forward, he, logistic_gradient
from gradus.lessons.two_classes import moons
from gradus.look.charts import INK, MODEL, SECOND
from gradus.reference import activations
from gradus.reference.catalogue import Entry, entries, find

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

S_SHAPED = ("binary step", "sigmoid", "hard sigmoid", "tanh", "scaled tanh", "arctan", "softsign")
RECTIFIERS = ("ReLU", "leaky ReLU", "PReLU", "RReLU", "ELU", "SELU", "GELU", "softplus", "SReLU", "APL")
DRAWN = np.linspace(-6, 6, 2401)  # where flatness is measured


def drawable() -> dict[str, Entry]:
    """The activations of one number that the catalogue has, by name."""
    return {
        entry.name: entry for entry in entries("activations") if entry.span and entry.backward.endswith("_derivative")
    }


def flat_share(entry: Entry, least: float = 0.05) -> float:
    """The share of sums in -6..6 at which the slope is less than `least`."""
    return float((np.abs(find(entry.backward)(DRAWN)) < least).mean())


def dead_share(rate: float, activation: str, steps: int = 300) -> float:
    """The share of 64 hidden units that no row of the moons switches on after some steps of descent at this rate."""
    points, labels = moons(200, 0)
    layers = draw_layers((2, 64, 1), he, np.random.default_rng(0))
    for _ in range(steps):
        sums, outputs = forward(layers, points, activation)
        gradients = backward(layers, sums, outputs, logistic_gradient(sums[-1], labels), activation)
        layers = [(w - rate * dw, b - rate * db) for (w, b), (dw, db) in zip(layers, gradients, strict=True)]
    return float((forward(layers, points, activation)[0][0] <= 0).all(axis=0).mean())


def show(page: LessonPage) -> None:
    known = drawable()
    page.text(
        "A unit adds up its inputs and passes the sum through an **activation function**. Without one, a stack of "
        "layers is one linear map and can draw straight lines only. Two things matter: the function's **value**, "
        "which the next layer gets, and its **slope**, which every gradient on the way back is multiplied by. "
        "Where the slope is almost zero the unit is **saturated** and learns nothing."
    )
    _gallery(page, "S-shaped", [known[name] for name in S_SHAPED if name in known], _about_s_shaped)
    _gallery(page, "Rectifiers", [known[name] for name in RECTIFIERS if name in known], _about_rectifiers)
    others = [entry for name, entry in known.items() if name not in S_SHAPED + RECTIFIERS]
    _gallery(page, "Others", others, _about_others)
    _flat(page, known)
    _dead(page)
    _choosing(page)


def _gallery(page: LessonPage, title: str, shown: list[Entry], about: Callable[[LessonPage], None]) -> None:
    columns = 3
    rows = -(-len(shown) // columns)

    def paint(axes):
        for one in axes[len(shown) :]:
            one.set_axis_off()
        for one, entry in zip(axes, shown, strict=False):
            low, high = entry.span or (-4, 4)
            x = np.linspace(low, high, 400)
            one.axhline(0, color=INK, linewidth=0.6)
            one.axvline(0, color=INK, linewidth=0.6)
            one.plot(x, find(entry.backward)(x), color=SECOND, linewidth=1.3)
            one.plot(x, find(entry.function)(x), color=MODEL)
            one.locator_params(nbins=4)
            one.set_title(entry.name, fontsize=10.5)

    page.heading(title)
    about(page)
    page.figure(
        paint, title, panels=(rows, columns), size=(6.4, 1.8 * rows), keys=[("model", "value"), ("second", "slope")]
    )


def _about_s_shaped(page: LessonPage) -> None:
    slope, tanh_slope = activations.sigmoid_derivative, activations.tanh_derivative
    page.text(
        "They squeeze any sum into a bounded range. The **sigmoid** gives a probability, so it stands at the "
        "output of a yes-or-no question. **tanh** is the sigmoid stretched to −1..1; its outputs centre on zero, "
        "which makes the next layer's work easier. Both are flat at the ends. The **step** has slope zero "
        "everywhere and cannot be trained by descent."
    )
    page.number("sigmoid_top", slope(np.zeros(1))[0], "largest slope of the sigmoid", printed=0.25)
    page.number("sigmoid_at_4", slope(np.array([4.0]))[0], "its slope at ±4, from where the text calls it flat")
    page.number("tanh_at_2", tanh_slope(np.array([2.0]))[0], "slope of tanh at ±2, from where the text calls it flat")
    page.correction(
        "Principles and Practice §3.1, listing 3-2",
        "`1/(1+np.sum(np.exp(-wx)))`, one number for a whole array, with values in the closed range [0, 1]",
        "`1/(1+np.exp(-w*x))`, entry by entry; the range is open: 0 and 1 are never reached",
    )
    page.correction(
        "Plain Talk §2.1.2, table, as scanned",
        "softsign $x/(1+x)$",
        "$x/(1+|x|)$; the bars are lost, and without them it has a pole at −1",
    )


def _about_rectifiers(page: LessonPage) -> None:
    page.text(
        "**ReLU** passes positive sums unchanged and stops the others: cheap, slope one on half of the line. The "
        "rest of the family lets something through on the left as well, so that no unit is cut off for good: a "
        "fixed small slope (**leaky**), a learnt one (**PReLU**), a random one (**RReLU**), or a curve (**ELU**, "
        "**SELU**, **GELU**, **softplus**)."
    )


def _about_others(page: LessonPage) -> None:
    x = np.linspace(-20, 20, 40_001)
    page.text(
        "The table has more, for completeness. Those that go up and down make a loss with many valleys and are "
        "rarely used."
    )
    page.number("sinc_least", activations.sinc(x).min(), "lowest value of sinc", printed=-0.217234)
    page.correction("Plain Talk §2.1.2, table, as scanned", r"sinc as $\sin(x)/\pi$", r"$\sin(x)/x$, and 1 at zero")


def _flat(page: LessonPage, known: dict[str, Entry]) -> None:
    names = [
        name
        for name in ("sigmoid", "tanh", "softsign", "arctan", "ReLU", "leaky ReLU", "ELU", "softplus")
        if name in known
    ]
    page.heading("Where they are flat")
    page.text("Sums from −6 to 6: the share of them at which the slope is below 0.05, and the largest slope.")
    rows = [
        [name, round(flat_share(known[name]), 3), float(np.abs(find(known[name].backward)(DRAWN)).max())]
        for name in names
    ]
    page.table(["activation", "share flat", "largest slope"], rows)
    page.number("sigmoid_flat", flat_share(known["sigmoid"]), "share of −6..6 where the sigmoid is flat")
    page.number("tanh_flat", flat_share(known["tanh"]), "the same for tanh: steeper in the middle, flat sooner")


def _dead(page: LessonPage) -> None:
    rates = (0.1, 1.0, 3.0, 10.0, 30.0)
    dead = {name: [dead_share(rate, name) for rate in rates] for name in ("relu", "leaky_relu")}
    page.heading("Dead units")
    page.text(
        "A ReLU unit whose sum is negative on **all** rows gives zero on all of them, gets no gradient, and stays "
        "so. Too large a step can push a unit there. A 2-64-1 network on two half-moons, 300 steps at different "
        "rates. Leaky units below zero on all rows still move."
    )

    def paint(axes):
        for name, colour in (("relu", MODEL), ("leaky_relu", SECOND)):
            axes.semilogx(rates, [100 * share for share in dead[name]], color=colour, marker="o", markersize=4)
        axes.set(xlabel="learning rate", ylabel="units, %", ylim=(-3, 103), xticks=[0.1, 1, 10])

    page.figure(paint, "Units that are below zero on every row", keys=[("model", "ReLU"), ("second", "leaky ReLU")])
    page.number("dead_slow", dead["relu"][0], f"share of dead ReLU units, rate {rates[0]:g}")
    page.number("dead_fast", dead["relu"][-1], f"share of dead ReLU units, rate {rates[-1]:g}")
    page.number(
        "leaky_fast",
        dead["leaky_relu"][-1],
        "leaky units below zero on all rows at that rate: not dead, their slope is 0.01",
    )


def _choosing(page: LessonPage) -> None:
    page.heading("Which one?")
    page.table(
        ["where", "take", "because"],
        [
            ["hidden layers", "ReLU, or leaky ReLU if units die", "slope one, cheap; keep the rate moderate"],
            ["hidden state of a recurrent network", "tanh", "bounded, centred on zero"],
            ["one yes or no", "sigmoid", "a probability"],
            ["one of several classes", "softmax", "probabilities that sum to one"],
            ["several labels at once", "a sigmoid each", "they do not exclude one another"],
            ["a number", "none (linear)", "any value is possible"],
        ],
    )
    page.text(
        "If training is slow or gradients vanish, batch normalisation before the activation often helps more "
        "than another activation. When in doubt, train with both and compare accuracy on validation rows."
    )
    page.try_it(
        "gradus train --data digits --model mlp --set model.options.activation=relu",
        "gradus train --data digits --model mlp --set model.options.activation=sigmoid",
    )

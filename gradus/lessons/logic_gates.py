"""AND, OR and NOT as single neurons, XOR as none, two layers that do it, and one gate that builds everything."""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from gradus.lessons.plane import dots, regions
from gradus.look.charts import MODEL, SECOND
from gradus.reference.activations import sigmoid

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

PAIRS = np.array([[1.0, 1], [1, 0], [0, 1], [0, 0]])
# name -> (weights, bias); the first three are the book's
GATES: dict[str, tuple[tuple[float, ...], float]] = {
    "AND": ((20, 20), -30),
    "OR": ((20, 20), -10),
    "NOT": ((-20,), 10),
    "NAND": ((-20, -20), 30),
}
PRINTED = {
    "AND": ("0.9999546021", "0.0000453979", "0.0000453979", "0.0000000000"),
    "OR": ("1.0000000000", "0.9999546021", "0.9999546021", "0.0000453979"),
}


def gate(name: str, inputs: np.ndarray) -> np.ndarray:
    """One sigmoid neuron. inputs (N, 1 or 2) -> (N,)."""
    weights, bias = GATES[name]
    return sigmoid(inputs @ np.array(weights) + bias)


def exclusive_or(inputs: np.ndarray) -> np.ndarray:
    """Two hidden neurons, OR and NAND, and AND of both."""
    return gate("AND", np.stack([gate("OR", inputs), gate("NAND", inputs)], axis=1))


def best_single_neuron(wanted: np.ndarray) -> int:
    """The most of the four pairs that one line gets right: over directions and offsets enough for unit-square corners."""
    angles = np.linspace(0, 2 * np.pi, 73)[:-1] + 0.01
    sums = np.stack([np.cos(angles), np.sin(angles)], axis=1) @ PAIRS.T  # (A, 4)
    offsets = np.linspace(-2, 2, 81)
    return int(((sums[:, None] > offsets[:, None]) == wanted.astype(bool)).sum(axis=-1).max())


def closure(*operations) -> int:
    """How many of the 16 functions of two bits can be built from a and b. A function is its truth table, four bits."""
    known = {0b1100, 0b1010}
    while True:
        built = {operation(a, b) & 0b1111 for operation in operations for a, b in product(known, known)} | known
        if built == known:
            return len(known)
        known = built


def add(first: int, second: int, bits: int = 4) -> int:
    """Adds two numbers with sigmoid NAND neurons only, nine a bit."""

    def nand(a: float, b: float) -> float:
        return float(gate("NAND", np.array([[a, b]]))[0])

    carry, total = 0.0, 0
    for place in range(bits):
        a, b = float(first >> place & 1), float(second >> place & 1)
        same = nand(a, b)
        half = nand(nand(a, same), nand(b, same))  # a XOR b
        both = nand(half, carry)
        bit = nand(nand(half, both), nand(carry, both))
        carry = nand(same, both)
        total |= round(bit) << place
    return total | round(carry) << bits


def show(page: LessonPage) -> None:
    page.text(
        "A neuron with large weights is a switch. For **AND** both inputs must be on to lift the sum above 0; for "
        "**OR** one is enough; **NOT** has a negative weight. With sigmoid the answers are not quite 0 and 1, but "
        "nearly."
    )
    values = {name: gate(name, PAIRS) for name in PRINTED}
    rows = [
        [
            f"{int(a)}, {int(b)}",
            *(f"{values[name][i]:.10f}" for name in PRINTED),
            PRINTED["AND"][i] + " " + PRINTED["OR"][i],
        ]
        for i, (a, b) in enumerate(PAIRS)
    ]
    page.table(("inputs", "AND: weights 20, 20, bias −30", "OR: 20, 20, −10", "in the text, AND and OR"), rows)
    negated = gate("NOT", np.array([[1.0], [0.0]]))
    page.number("and_11", values["AND"][0], "AND of 1 and 1", printed="0.9999546021", digits=10)
    page.number("and_10", values["AND"][1], "AND of 1 and 0", printed="0.0000453979", digits=6)
    page.number("or_11", values["OR"][0], "OR of 1 and 1", printed="1.0000000000", digits=10)
    page.number("not_1", negated[0], "NOT of 1 (weight −20, bias 10)", printed="0.0000453979", digits=6)
    page.number("not_0", negated[1], "NOT of 0", printed="0.9999546021", digits=10)

    def lines(every):
        for axes, name in zip(every, ("AND", "OR", "NAND"), strict=True):
            regions(axes, partial(gate, name), (-0.4, 1.4), (-0.4, 1.4))
            dots(axes, PAIRS, (gate(name, PAIRS) > 0.5).astype(int), 8)
            axes.set(title=name, xticks=[0, 1], yticks=[0, 1])

    page.figure(lines, "Each gate is a line", panels=(1, 3), size=(6.2, 2.4), keys=[("model", "on"), ("second", "off")])
    _exclusive(page)
    _universal(page)
    page.try_it("gradus lesson snowflake", "gradus lesson why-depth")


def _exclusive(page: LessonPage) -> None:
    page.heading("XOR: no line will do")
    wanted = np.array([0, 1, 1, 0])
    page.text(
        "XOR is on where exactly one input is. One neuron cannot do it: it would need $b<0$ (for 0, 0), $w_1+b>0$, "
        "$w_2+b>0$, and $w_1+w_2+b<0$. Add the middle two: $w_1+w_2+2b>0$. Add the outer two: $w_1+w_2+2b<0$. Both "
        "cannot be."
    )
    page.number("one_neuron", best_single_neuron(wanted), "most pairs of four that one neuron gets right")
    separable = sum(best_single_neuron(np.array(table)) == 4 for table in product((0, 1), repeat=4))
    page.number(
        "separable", separable, "of the 16 functions of two bits one neuron can be: all but XOR and its opposite"
    )
    answers = exclusive_or(PAIRS)
    page.text(
        "Two layers can: one hidden neuron is OR, the other NAND, and the output is AND of them. The hidden layer "
        "moves the four points so that a line does separate them: (1, 0) and (0, 1) land on the same place."
    )
    page.number("xor_error", float(np.abs(answers - wanted).max()), "largest error of the two-layer network")
    hidden = np.stack([gate("OR", PAIRS), gate("NAND", PAIRS)], axis=1)

    def layers(every):
        regions(every[0], exclusive_or, (-0.4, 1.4), (-0.4, 1.4))
        dots(every[0], PAIRS, wanted, 8)
        every[0].set(title="inputs", xticks=[0, 1], yticks=[0, 1])
        regions(every[1], partial(gate, "AND"), (-0.4, 1.4), (-0.4, 1.4))
        dots(every[1], hidden, wanted, 8)
        every[1].set(title="after the hidden layer", xlabel="OR", ylabel="NAND", xticks=[0, 1], yticks=[0, 1])

    page.figure(
        layers, "XOR before and after the hidden layer", panels=(1, 2), keys=[("model", "on"), ("second", "off")]
    )


def _universal(page: LessonPage) -> None:
    page.heading("One gate for everything")
    page.text(
        "From NAND alone all others can be built: NOT a is a NAND a; AND is NOT of NAND; OR is NAND of the two "
        "NOTs. So networks of such neurons can compute whatever a computer can. From AND and OR alone that is "
        "impossible: they can never say on when everything is off."
    )
    page.number("from_nand", closure(lambda a, b: ~(a & b)), "of 16 functions of two bits, built from NAND")
    page.number("from_nor", closure(lambda a, b: ~(a | b)), "built from NOR")
    page.number("from_and_or", closure(lambda a, b: a & b, lambda a, b: a | b), "built from AND and OR")
    right = np.array([[add(a, b) == a + b for b in range(16)] for a in range(16)])
    page.number("sums", int(right.sum()), "right of all 256 sums of two four-bit numbers, by 36 NAND neurons")

    def steep(axes):
        factors = np.array([0.05, 0.1, 0.2, 0.5, 1, 2])
        weights, bias = np.array(GATES["NAND"][0]), GATES["NAND"][1]
        margins = {}
        for colour, rows in ((SECOND, [0]), (MODEL, [1])):
            margins[colour] = [sigmoid(PAIRS[rows] @ (weights * f) + bias * f)[0] for f in factors]
            axes.plot(factors * 20, margins[colour], "o-", color=colour, markersize=4)
        axes.set(
            xlabel="size of the weights",
            ylabel="answer",
            xscale="log",
            xticks=[1, 2, 4, 10, 20, 40],
            xticklabels=["1", "2", "4", "10", "20", "40"],
        )
        axes.minorticks_off()

    page.figure(
        steep, "A NAND neuron by size of its weights", keys=[("second", "1 and 1: off"), ("model", "1 and 0: on")]
    )
    page.text(
        "Small weights make a gate that hesitates; a chain of such gates forgets. From about 10 on, the answers "
        "are clean."
    )

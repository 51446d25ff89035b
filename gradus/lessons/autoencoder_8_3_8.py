"""Eight symbols through three neurons: the network invents a binary code. And what many small attributes can say together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.lessons.plane import grid
from gradus.look.charts import INK, MODEL, SECOND, THIRD
from gradus.reference.activations import sigmoid

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

SYMBOLS = np.eye(8)
STEPS, RATE = 4000, 0.3
NETWORKS = 20
DIRECTIONS = np.array([[np.cos(angle), np.sin(angle)] for angle in np.radians((90, 210, 330))])
LINES = np.hstack(
    [DIRECTIONS, np.full((3, 1), 0.45)]
)  # flies, swims, has legs: weights on x, y and bias, an attribute a row
EXAMPLES = np.vstack([1.25 * DIRECTIONS, -1.1 * DIRECTIONS])  # six animals: three with one attribute, three with two


def start(count: int, generator: np.random.Generator) -> list[np.ndarray]:
    """First weights of `count` networks 8-3-8: (K, 8, 3), (K, 1, 3), (K, 3, 8), (K, 1, 8)."""
    return [
        generator.normal(scale=0.3, size=(count, 8, 3)),
        np.zeros((count, 1, 3)),
        generator.normal(scale=0.3, size=(count, 3, 8)),
        np.zeros((count, 1, 8)),
    ]


def codes(weights: list[np.ndarray]) -> np.ndarray:
    """What the three hidden neurons say to each symbol: (K, 8, 3)."""
    return sigmoid(SYMBOLS @ weights[0] + weights[1])


def answers(weights: list[np.ndarray]) -> np.ndarray:
    """(K, 8, 8)."""
    return sigmoid(codes(weights) @ weights[2] + weights[3])


def train(weights: list[np.ndarray], steps: int, noise: float = 0.0) -> tuple[list[np.ndarray], np.ndarray]:
    """Plain descent on cross-entropy, all networks side by side. Weights, and the codes on the way (S, K, 8, 3).

    noise: size of what is added at random to the hidden neurons' sums, in training only
    """
    generator, way = np.random.default_rng(1), []
    for step in range(steps + 1):
        if step % max(steps // 80, 1) == 0:
            way.append(codes(weights))
        if step == steps:
            break
        sums = SYMBOLS @ weights[0] + weights[1]
        hidden = sigmoid(sums + noise * generator.normal(size=sums.shape) if noise else sums)
        error = sigmoid(hidden @ weights[2] + weights[3]) - SYMBOLS
        back = (error @ weights[2].transpose(0, 2, 1)) * hidden * (1 - hidden)
        slopes = [
            SYMBOLS.T @ back,
            back.sum(1, keepdims=True),
            hidden.transpose(0, 2, 1) @ error,
            error.sum(1, keepdims=True),
        ]
        weights = [weight - RATE * slope for weight, slope in zip(weights, slopes, strict=True)]
    return weights, np.array(way)


def distinct(hidden: np.ndarray) -> int:
    """Different codes after rounding to bits. hidden (8, 3)."""
    return len({tuple(row) for row in (hidden > 0.5).astype(int)})


def attributes(points: np.ndarray) -> np.ndarray:
    """(N, 2) -> (N, 3): which of the three hold."""
    return points @ LINES[:, :2].T + LINES[:, 2] > 0


def nearest_example(points: np.ndarray) -> np.ndarray:
    """(N, 2) -> (N,): index of the nearest of the six."""
    return ((points[:, None] - EXAMPLES) ** 2).sum(axis=2).argmin(axis=1)


def attribute_regions(lines: np.ndarray, reach: float = 30.0) -> int:
    """In how many pieces straight lines cut the plane: the sign patterns seen on a fine grid."""
    where = grid((-reach, reach), (-reach, reach), 1201)
    fine = grid((-2, 2), (-2, 2), 401)
    points = np.vstack([where, fine])
    patterns = (points @ lines[:, :2].T + lines[:, 2] > 0) @ (1 << np.arange(len(lines)))
    return len(np.unique(patterns))


def undecided(hidden: np.ndarray) -> float:
    """Share of hidden values that are neither near 0 nor near 1."""
    return float(((hidden > 0.1) & (hidden < 0.9)).mean())


def show(page: LessonPage) -> None:
    weights, way = train(start(NETWORKS, np.random.default_rng(0)), STEPS)
    hidden, said = codes(weights), answers(weights)
    best = int(np.argmax([distinct(one) for one in hidden]))
    page.text(
        "An **autoencoder** learns to say again what it hears, through a hidden layer too narrow to copy it. Here "
        "eight symbols, each **one-hot** (a one among seven zeros), must pass three sigmoid neurons. Nobody says "
        "how; three on-off switches have just eight settings."
    )
    page.table(("symbol", "neuron 1", "2", "3", "as bits", "its own output"), _codes(hidden[best], said[best]))
    page.number("distinct", distinct(hidden[best]), "different codes after rounding to bits", printed=8)
    page.number("reproduced", int((said[best].argmax(axis=1) == np.arange(8)).sum()), "of 8 symbols said again rightly")

    def paths(axes):
        steps = np.linspace(0, STEPS, len(way))
        for neuron, colour in enumerate((MODEL, SECOND, THIRD)):
            for symbol in range(8):
                axes.plot(steps, way[:, best, symbol, neuron], color=colour, linewidth=1, alpha=0.7)
        axes.set(xlabel="step", ylabel="hidden neuron says", yticks=[0, 0.5, 1], xticks=[0, STEPS // 2, STEPS])

    keys = [("model", "neuron 1"), ("second", "neuron 2"), ("third", "neuron 3")]
    page.figure(paths, "The codes part", keys=keys, note="One line a symbol and neuron.")
    _cube(page, way[:, best], "From the middle outwards")
    _decided(page, hidden, said)
    _distributed(page)
    page.try_it("gradus lesson hidden-layer-representations")


def _codes(hidden: np.ndarray, said: np.ndarray) -> list[list[str]]:
    rows = []
    for symbol, code in enumerate(hidden):
        shown = "".join("1" if k == symbol else "0" for k in range(8))
        bits = "".join(str(int(value > 0.5)) for value in code)
        rows.append([shown, *(f"{value:.2f}" for value in code), bits, f"{said[symbol, symbol]:.3f}"])
    return rows


def _cube(page: LessonPage, way: np.ndarray, title: str) -> None:
    """The ways (S, 8, 3) of the eight codes through the cube of all codes."""

    def cube(axes):
        for a, b in ((0, 0), (0, 1), (1, 0), (1, 1)):
            for ends in (([0, 1], [a, a], [b, b]), ([a, a], [0, 1], [b, b]), ([a, a], [b, b], [0, 1])):
                axes.plot(*ends, color=INK, linewidth=0.6, alpha=0.5)
        for symbol in range(8):
            axes.plot(*way[:, symbol].T, color=MODEL, linewidth=1)
            axes.plot(*way[-1, symbol][:, None], "o", color=SECOND, markersize=6)
        axes.set(xticks=[0, 1], yticks=[0, 1], zticks=[0, 1])

    page.figure(cube, title, axes="3d", keys=[("model", "way"), ("second", "code at the end")])


def _decided(page: LessonPage, hidden: np.ndarray, said: np.ndarray) -> None:
    weights, way = train(start(NETWORKS, np.random.default_rng(0)), STEPS, noise=1.0)
    noisy, noisy_said = codes(weights), answers(weights)
    best = int(np.argmax([distinct(one) for one in noisy]))
    page.heading("Making them decide")
    page.text(
        "Which code a symbol gets depends on the first random weights; every network finds another one. And a "
        "code need not be binary: the outputs read the exact value, so a neuron may say 0.4 for one symbol, and "
        f"two codes can round to the same bits. Of {NETWORKS} networks some do. Noise on the hidden sums while it "
        "learns cures that: only values near 0 and 1 come through it unharmed."
    )
    for name, codes_found, words, says in (
        ("plain", hidden, said, "learnt without noise"),
        ("noisy", noisy, noisy_said, "learnt with noise"),
    ):
        right = (words.argmax(axis=2) == np.arange(8)).all(axis=1)
        page.number(f"{name}_right", int(right.sum()), f"of {NETWORKS} networks that say all eight again, {says}")
        count = sum(distinct(one) == 8 for one in codes_found)
        page.number(f"{name}_distinct", count, f"of {NETWORKS} whose codes round to eight different ones, {says}")
        page.number(f"{name}_undecided", undecided(codes_found), f"share of hidden values between 0.1 and 0.9, {says}")
    _cube(page, way[:, best], "With noise: to the corners")


def _distributed(page: LessonPage) -> None:
    page.heading("One neuron a thing, or many neurons a thing")
    page.text(
        "One-hot is a **local** representation: a neuron for each thing. The learnt code is **distributed**: each "
        "thing is a pattern, and each neuron takes part in many. With $n$ on-off neurons a local code names $n$ "
        "things and a distributed one $2^n$. It can also say that two things are alike, by sharing neurons; all "
        "one-hot codes are equally far apart."
    )
    page.table(
        ("digit", "one-hot", "bits"),
        [[str(k), "".join("1" if k == i else "0" for i in range(8)), f"{k:03b}"] for k in range(8)],
    )
    page.text("People can be told apart the same way: few attributes, and each of them says something of everybody.")
    page.table(
        ("person", "sex (1 male)", "age", "height, cm", "weight, kg"),
        [["A", 1, 18, 172, 66], ["B", 1, 49, 171, 70], ["C", 0, 30, 166, 53]],
        title="A person as four attributes",
    )
    _attributes(page)


def _attributes(page: LessonPage) -> None:
    page.heading("Naming what was never seen")
    where = grid((-2, 2), (-2, 2), 161)
    nearest = nearest_example(where)
    right = (attributes(EXAMPLES)[nearest] == attributes(where)).all(axis=1)
    page.text(
        "Let three straight lines in the plane stand for flies, swims and has legs, and let six animals be known, "
        "each with another combination. Three attributes name a seventh combination, in the middle, where all "
        "three hold, though no such animal was seen. A rule that goes by the nearest known animal only ever "
        "repeats one of the six; in the middle it must be wrong. And if one attribute cannot be told, the other "
        "two still leave only two combinations."
    )
    page.number("regions", attribute_regions(LINES), "regions that three lines make", printed=8)
    page.number("nearest_regions", len(np.unique(nearest)), "regions that the nearest of six animals makes", printed=6)
    page.number("nearest_right", right.mean(), "share of the square where the nearest animal has the right attributes")
    middle = attributes(where).all(axis=1)
    page.number("nearest_right_in_the_middle", right[middle].mean(), "share of the middle where it has")
    page.correction(
        "Deep Learning and Computer Vision §4.1.8, figure 4-11",
        "three attributes divide the plane into 8 regions",
        "three attributes have 8 combinations, but three straight lines in a plane make at most 7 regions "
        "($1+3+3$); in space three planes make 8",
    )

    def cut(every):
        shades = (attributes(where) @ np.array([1, 2, 4])) % 7, nearest
        for axes, shade in zip(every, shades, strict=True):
            picture = shade.reshape(161, 161)
            axes.imshow(
                picture, extent=(-2, 2, -2, 2), origin="lower", cmap="Set2", alpha=0.45, interpolation="nearest"
            )
            axes.plot(EXAMPLES[:, 0], EXAMPLES[:, 1], "o", color=INK, markersize=5)
            axes.set(xlim=(-2, 2), ylim=(-2, 2), xticks=[], yticks=[])
            axes.grid(visible=False)
        for (a, b, c), colour in zip(LINES, (MODEL, SECOND, THIRD), strict=True):
            x = np.array([-2.0, 2.0])
            every[0].plot(x, (-a * x - c) / b, color=colour)
        every[0].set_title("three attributes")
        every[1].set_title("nearest animal")

    keys = [("model", "flies"), ("second", "swims"), ("third", "has legs"), ("ink", "known animals")]
    page.figure(cut, "Seven combinations, or six", panels=(1, 2), keys=keys)

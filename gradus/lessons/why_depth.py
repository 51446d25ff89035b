"""Why layers: linear ones collapse, equal ones stay equal, and a few after another fold what many side by side cannot."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from gradus.lessons.plane import dots, regions
from gradus.look.charts import FOURTH, INK, MODEL, SECOND, THIRD
from gradus.reference.activations import relu, sigmoid

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

XOR_INPUTS = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
XOR_TARGETS = np.array([0.0, 1, 1, 0])
HIDDEN = 4
Weights = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def start(scale: float, generator: np.random.Generator) -> Weights:
    """A 2-4-1 network: all weights of the given size at random, or 0; biases 0."""
    return (
        scale * generator.normal(size=(2, HIDDEN)),
        np.zeros(HIDDEN),
        scale * generator.normal(size=HIDDEN),
        np.zeros(()),
    )


def predict(points: np.ndarray, weights: Weights, linear: bool = False) -> np.ndarray:
    """(N, 2) -> probabilities (N,). Hidden: tanh, or nothing."""
    sums = points @ weights[0] + weights[1]
    return sigmoid((sums if linear else np.tanh(sums)) @ weights[2] + weights[3])


def train(weights: Weights, steps: int, rate: float = 0.5, linear: bool = False) -> tuple[Weights, np.ndarray]:
    """Plain descent on the mean cross-entropy of XOR. Weights, and the loss at every step."""
    losses = []
    for _ in range(steps):
        sums = XOR_INPUTS @ weights[0] + weights[1]
        hidden = sums if linear else np.tanh(sums)
        answer = sigmoid(hidden @ weights[2] + weights[3])
        losses.append(-np.log(np.where(XOR_TARGETS > 0, answer, 1 - answer)).mean())
        error = (answer - XOR_TARGETS) / 4
        back = np.outer(error, weights[2]) * (1 if linear else 1 - hidden**2)
        slopes = (XOR_INPUTS.T @ back, back.sum(0), hidden.T @ error, error.sum())
        weights = tuple(weight - rate * slope for weight, slope in zip(weights, slopes, strict=True))
    return weights, np.array(losses)


def unlikeness(weights: Weights) -> float:
    """The largest difference between any hidden neuron's weights and the first one's."""
    return float(max(np.abs(weights[0] - weights[0][:, :1]).max(), np.abs(weights[2] - weights[2][0]).max()))


def tent(x: np.ndarray) -> np.ndarray:
    """0 at 0 and 1, 1 at one half, straight between: two ReLU neurons."""
    return 2 * relu(x) - 4 * relu(x - 0.5)


def teeth(x: np.ndarray, layers: int) -> np.ndarray:
    """The tent of the tent of the tent ...: two neurons a layer, 2^layers straight pieces."""
    for _ in range(layers):
        x = tent(x)
    return x


def straight_pieces(values: np.ndarray) -> int:
    """How many straight pieces a curve has, from its values at evenly spaced places between bends."""
    slopes = np.diff(values)
    return 1 + int((np.abs(np.diff(slopes)) > 1e-9).sum())


def parity_tree(bits: np.ndarray) -> np.ndarray:
    """Whether the number of ones is odd: XOR of pairs, layer by layer, each by two ReLU neurons. (N, n) -> (N,), n = 2^k."""
    while bits.shape[1] > 1:
        together = bits[:, ::2] + bits[:, 1::2]
        bits = relu(together) - 2 * relu(together - 1)
    return bits[:, 0]


def parity_wide(bits: np.ndarray) -> np.ndarray:
    """The same in one hidden layer of step neurons: the sum of bits reaches 1, 2, ..., n; signs alternate. n neurons."""
    size = bits.shape[1]
    reached = bits.sum(axis=1, keepdims=True) >= np.arange(1, size + 1)
    return reached @ (-1.0) ** np.arange(size)


def show(page: LessonPage) -> None:
    page.text(
        "What does a second layer give, and a tenth? Four short experiments: layers without a bend, layers that begin "
        "all equal, layers that fold, and layers that count."
    )
    _collapse(page)
    _symmetry(page)
    _folding(page)
    _parity(page)
    page.try_it("gradus lesson universal-approximation", "gradus lesson logic-gates")


def _collapse(page: LessonPage) -> None:
    generator = np.random.default_rng(0)
    layers = [generator.normal(size=(5, 5)) / 2 for _ in range(6)]
    rows = generator.normal(size=(100, 5))
    through = rows
    for layer in layers:
        through = through @ layer
    page.heading("Without a bend")
    page.formula(r"(XW_1)W_2=X(W_1W_2)")
    page.text("Six linear layers are one: their product. They can learn nothing that a single layer cannot.")
    page.number(
        "collapse",
        float(np.abs(through - rows @ np.linalg.multi_dot(layers)).max()),
        "largest difference between six layers and their product",
    )
    flat, flat_losses = train(start(0.5, np.random.default_rng(1)), 3000, linear=True)
    bent, bent_losses = train(start(0.5, np.random.default_rng(1)), 3000)
    page.text(
        "On XOR (on where exactly one input is on) the network without bends can only say one half everywhere: its "
        "loss stays at $\\ln 2$. With tanh in its hidden layer, the same network learns it."
    )
    page.number("linear_loss", flat_losses[-1], "loss on XOR without bends; $\\ln 2=0.6931$")
    page.number("tanh_loss", bent_losses[-1], "loss with tanh")

    def borders(every):
        for axes, weights, linear in ((every[0], flat, True), (every[1], bent, False)):
            regions(
                axes,
                partial(predict, weights=weights, linear=linear),
                (-0.4, 1.4),
                (-0.4, 1.4),
                level=0.5001,
            )
            dots(axes, XOR_INPUTS, XOR_TARGETS.astype(int), 8)
            axes.set(title="no bend" if linear else "tanh", xticks=[0, 1], yticks=[0, 1])

    page.figure(borders, "XOR learnt, and not", panels=(1, 2), keys=[("model", "on"), ("second", "off")])


def _symmetry(page: LessonPage) -> None:
    page.heading("All equal, for ever")
    page.text(
        "If all weights begin at 0, or at any one value, all hidden neurons compute the same, get the same blame "
        "and change the same: they stay one neuron, copied. Small random weights break the tie. The smaller they "
        "are, the longer it takes: at size 0.01, 4,000 steps are not enough. Biases may begin at 0."
    )
    equal = (np.full((2, HIDDEN), 0.5), np.zeros(HIDDEN), np.full(HIDDEN, 0.5), np.zeros(()))
    starts = {
        "zero": start(0.0, np.random.default_rng(1)),
        "equal": equal,
        "tiny": start(0.01, np.random.default_rng(1)),
        "small": start(0.1, np.random.default_rng(1)),
        "larger": start(1.0, np.random.default_rng(1)),
    }
    says = {
        "zero": "all 0",
        "equal": "all 0.5",
        "tiny": "random, size 0.01",
        "small": "random, size 0.1",
        "larger": "random, size 1",
    }
    colours = {"zero": INK, "equal": THIRD, "tiny": FOURTH, "small": MODEL, "larger": SECOND}
    ends = {name: train(weights, 4000) for name, weights in starts.items()}

    def curves(axes):
        for name, (_, losses) in ends.items():
            axes.plot(losses, color=colours[name], linestyle=(0, (3, 3)) if name == "zero" else "-")
        axes.set(xlabel="step", ylabel="loss on XOR", xticks=[0, 2000, 4000], ylim=(0, 0.8))

    roles = ("ink", "third", "fourth", "model", "second")
    keys = [(role, says[name]) for name, role in zip(says, roles, strict=True)]
    page.figure(curves, "First weights", keys=keys)
    for name, (_, losses) in ends.items():
        page.number(f"{name}_loss", losses[-1], f"loss, {says[name]}")
    for name in ("zero", "equal"):
        page.number(f"{name}_unlikeness", unlikeness(ends[name][0]), f"difference between hidden neurons, {says[name]}")


def _folding(page: LessonPage) -> None:
    page.heading("Folding")
    x = np.arange(0, 1 + 1e-12, 1 / 1024)
    page.text(
        "Two ReLU neurons make a tent: up to 1 in the middle, down again. It lays the right half of the line upon "
        "the left. What the next layer draws, it draws on both halves. So each layer of two neurons doubles the "
        "number of teeth, while a single hidden layer gets one more bend from each neuron."
    )

    def sawtooth(every):
        for layers, axes in enumerate(every, start=1):
            axes.plot(x, teeth(x, layers), color=MODEL, linewidth=1.2)
            axes.set(title=f"{layers} layer{'s' if layers > 1 else ''}", xticks=[0, 1], yticks=[0, 1])

    page.figure(sawtooth, "Two neurons a layer", panels=(2, 2))
    rows = []
    for layers in (1, 2, 4, 8):
        counted = straight_pieces(teeth(x, layers))
        rows.append([str(layers), 2 * layers, counted, counted - 1])
    page.number("pieces_8", straight_pieces(teeth(x, 8)), "straight pieces of 8 layers of two neurons")
    page.table(("layers", "neurons", "straight pieces", "neurons one layer would need, at least"), rows)
    page.text(
        "A curve of $m$ ReLU neurons side by side has at most $m+1$ pieces, since each bends once. This is due to "
        "Telgarsky (2015)."
    )


def _parity(page: LessonPage) -> None:
    page.heading("Odd or even")
    bits = (np.arange(256)[:, None] >> np.arange(8) & 1).astype(np.float64)
    odd = bits.sum(axis=1) % 2
    page.text(
        "Is the number of ones among eight bits odd? A tree of XORs answers in three layers, with 14 hidden ReLU "
        "neurons. The usual argument says that one hidden layer needs exponentially many. That depends on what its "
        "neurons are. If they are ANDs, one is needed for each odd pattern. If they may weigh and count, eight "
        "step neurons do: they ask whether the sum reaches 1, 2, ..., 8."
    )
    page.number("tree_wrong", int((parity_tree(bits) != odd).sum()), "of 256 patterns wrong by the tree (14 neurons)")
    page.number("wide_wrong", int((parity_wide(bits) != odd).sum()), "wrong by one layer of 8 counting neurons")
    page.number("and_neurons", int(odd.sum()), "AND neurons that one layer needs, $2^{8-1}$")

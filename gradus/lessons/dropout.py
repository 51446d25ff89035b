"""Units switched off at random: masks, the two ways to keep the mean, and the many networks in one."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from gradus.lessons.network import Layers, backward, draw_layers, forward, he, logistic_gradient, logistic_loss, logit
from gradus.lessons.two_classes import draw_classes, moons
from gradus.look.charts import MODEL, SECOND
from gradus.reference.activations import sigmoid
from gradus.reference.dropout import classic_dropout, classic_dropout_inference, dropout, dropout_mask

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

VECTOR = np.array([0.2, 0.5, 1.3, 0.8, 1.1])
RATE = 0.2
HIDDEN, STEPS = 10, 1500


def mean_after(rate: float, draws: int = 20_000) -> dict[str, np.ndarray]:
    """What `VECTOR` becomes in the mean of many masks, and what a test sees, by way of scaling."""
    kept = dropout_mask((draws, len(VECTOR)), rate, np.random.default_rng(0))
    rows = np.broadcast_to(VECTOR, kept.shape)
    return {
        "inverted, training": dropout(rows, kept, rate).mean(axis=0),
        "inverted, test": VECTOR,
        "classic, training": classic_dropout(rows, kept).mean(axis=0),
        "classic, test": classic_dropout_inference(VECTOR, rate),
        "divided by the rate": (rows * kept / rate).mean(axis=0),
    }


def train(rate: float) -> tuple[Layers, np.ndarray, np.ndarray]:
    """A 2-10-1 network on the moons with inverted dropout: (layers, loss with masks, loss without), every step."""
    points, labels = moons(200, 0)
    generator = np.random.default_rng(1)
    layers = draw_layers((2, HIDDEN, 1), he, generator)
    masked, clean = np.empty(STEPS), np.empty(STEPS)
    for step in range(STEPS):
        clean[step] = logistic_loss(forward(layers, points)[0][-1], labels)
        masks = [dropout_mask((len(points), HIDDEN), rate, generator) / (1 - rate)]
        sums, outputs = forward(layers, points, "relu", masks)
        masked[step] = logistic_loss(sums[-1], labels)
        gradients = backward(layers, sums, outputs, logistic_gradient(sums[-1], labels), "relu", masks)
        layers = [(w - 0.3 * dw, b - 0.3 * db) for (w, b), (dw, db) in zip(layers, gradients, strict=True)]
    return layers, masked, clean


def every_subnetwork(layers: Layers, points: np.ndarray) -> np.ndarray:
    """Logits of all 2^10 networks that are left when some hidden units are off; classic, so nothing is scaled. (1024, N)"""
    (first, first_bias), (second, second_bias) = layers
    hidden = np.maximum(points @ first + first_bias, 0)
    masks = np.array(list(product((0.0, 1.0), repeat=HIDDEN)))
    return masks @ (hidden * second[:, 0]).T + second_bias


def show(page: LessonPage) -> None:
    _masks(page)
    _scaling(page)
    _training(page)
    _thousand(page)


def _masks(page: LessonPage) -> None:
    kept = dropout_mask((12, 24), RATE, np.random.default_rng(3))
    four = dropout_mask((100_000, 4), 0.5, np.random.default_rng(4)).sum(axis=1)
    page.text(
        "**Dropout** sets each unit's output to zero with some probability, the **rate**, and leaves it otherwise: "
        "a new throw for every unit, every row and every step. What is left is a thinner network. No unit can rely "
        "on one particular other unit, so each must be useful by itself. When the network is used, nothing is "
        "dropped."
    )

    def paint(axes):
        axes.imshow(kept, cmap="Blues", vmin=-0.3, vmax=1.3, aspect="auto")
        axes.grid(visible=False)
        axes.set(xlabel="unit", ylabel="row", xticks=[], yticks=[])

    page.figure(paint, "One step's mask at rate 0.2: pale units are off", size=(4.4, 2.4))
    page.number("kept_share", kept.mean(), "share kept in this picture; 0.8 is the mean, not a count")
    page.number("four_mean", 4 - four.mean(), "of 4 inputs at keep 0.5, dropped on average", printed=2)
    page.number("four_exactly", (four == 2).mean(), "share of throws that drop exactly two of four")
    page.text(
        "**Rate or keep?** Some programs ask for the rate (0.2: a fifth is dropped), some for the keep probability "
        "(0.8). Confusing them drops four fifths."
    )
    page.correction(
        "Plain Talk §7.9",
        "`dropout = 0.9` in a program, which reads as dropping nine tenths",
        "it is the keep probability: one tenth is dropped; at test time it is 1",
    )


def _scaling(page: LessonPage) -> None:
    means = mean_after(RATE)
    page.heading("Keeping the mean")
    page.text(
        "With a fifth of the units off, the next layer's sums are a fifth too small, compared with what it will "
        "get in use. **Inverted** dropout divides the kept values by the keep probability in training. **Classic** "
        "dropout does nothing then, and multiplies by it in use."
    )
    page.table(
        ["", *(f"{value:g}" for value in VECTOR)],
        [[name, *(f"{value:.3f}" for value in row)] for name, row in means.items()],
        title="Mean of 20,000 masks at rate 0.2",
    )
    page.number(
        "inverted_error",
        float(np.abs(means["inverted, training"] / VECTOR - 1).max()),
        "largest difference between training and use, inverted, relative",
    )
    page.number(
        "classic_error",
        float(np.abs(means["classic, training"] / means["classic, test"] - 1).max()),
        "the same, classic",
    )
    page.number(
        "wrong_factor",
        float((means["divided by the rate"] / VECTOR).mean()),
        "how far too large, if divided by the rate",
    )
    page.correction(
        "Deep Learning with Python, 1st ed. §4.4.3",
        "outputs are scaled by the dropout rate",
        "by the keep probability, one minus the rate; both are the same at one half only",
    )
    page.text("The text's example keeps three of five values. At rate one half:")
    kept = np.array([0, 1, 1, 0, 1])
    page.table(
        ["", *(f"{value:g}" for value in VECTOR)],
        [
            ["classic", *(f"{v:g}" for v in classic_dropout(VECTOR, kept))],
            ["inverted", *(f"{v:g}" for v in dropout(VECTOR, kept, 0.5))],
        ],
    )
    page.number(
        "example_sum", classic_dropout(VECTOR, kept).sum(), "sum of the example, classic: 0 + 0.5 + 1.3 + 0 + 1.1"
    )
    page.correction(
        "Principles and Practice §3.4.6, listing 3-25",
        "the function changes its argument and returns nothing; the level may be 1",
        "it returns a new array, and a rate of 1 is refused: nothing would be left to divide",
    )


def _training(page: LessonPage) -> None:
    _, masked, clean = train(RATE)
    page.heading("In training")
    page.text(
        "The loss with masks jumps, for every step trains another network, so it cannot be used to see whether the "
        "program is right. Set the rate to zero, check that the loss falls steadily, then switch dropout on. The "
        "mask is used on the way back too: units that were off get no gradient."
    )

    def curves(axes):
        axes.semilogx(np.arange(1, STEPS + 1), masked, color=SECOND, linewidth=1)
        axes.semilogx(np.arange(1, STEPS + 1), clean, color=MODEL)
        axes.set(xlabel="step", ylabel="loss")

    page.figure(
        curves,
        "A 2-10-1 network on two half-moons, rate 0.2",
        keys=[("second", "with this step's mask"), ("model", "nothing dropped")],
    )
    page.number(
        "rises", float((np.diff(masked[500:]) > 0).mean()), "share of later steps at which the loss with masks rises"
    )


def _thousand(page: LessonPage) -> None:
    points, labels = moons(200, 0)
    page.heading("A thousand networks in one")
    page.text(
        "Ten hidden units make $2^{10}=1024$ networks, one for each choice of units, all sharing their weights. In "
        "use, one pass with all units on stands for "
        "them all: at keep ½, with halved outputs, its logit is **exactly** the mean of the 1024 logits. Its "
        "probability is their normalised "
        "geometric mean; the plain mean of the probabilities is not the same."
    )
    layers, _, _ = train(0.5)
    layers = [
        (w * scale, b) for (w, b), scale in zip(layers, (1, 2), strict=True)
    ]  # as classic dropout would have learnt it
    every = every_subnetwork(layers, points)
    halved = [layers[0], (layers[1][0] / 2, layers[1][1])]
    whole = forward(halved, points)[0][-1][:, 0]
    single = ((every > 0) == labels).mean(axis=1)
    page.number(
        "logit_difference",
        float(np.abs(every.mean(axis=0) - whole).max()),
        "largest difference between the mean logit and one pass",
    )
    page.number(
        "probability_difference",
        float(np.abs(sigmoid(every).mean(axis=0) - sigmoid(whole)).max()),
        "largest difference between the mean probability and one pass",
    )
    page.number("whole_accuracy", float(((whole > 0) == labels).mean()), "accuracy of the whole")
    page.number("single_accuracy", float(single.mean()), "mean accuracy of the 1024")

    def share(axes):
        axes.hist(single, bins=40, color=SECOND)
        axes.axvline(((whole > 0) == labels).mean(), color=MODEL, linewidth=2)
        axes.set(xlabel="accuracy on the training points", ylabel="networks")

    page.figure(share, "The 1024 networks, and all of them together", keys=[("second", "each"), ("model", "together")])
    chosen = (0b1111100000, 0b0000011111, 0b1010101010)

    def regions(axes):
        for one, index in zip(axes[:3], chosen, strict=True):
            mask = np.array([int(bit) for bit in f"{index:010b}"], dtype=float)
            part = [layers[0], (layers[1][0] * mask[:, None], layers[1][1])]
            draw_classes(one, points, labels, logit(part), title="five units")
        draw_classes(axes[3], points, labels, logit(halved), title="all, halved")

    page.figure(regions, "Three of them, and the whole", panels=(2, 2), size=(6.4, 5.4), keys=[("ink", "boundary")])
    page.text(
        "Small networks, and those whose training and validation losses hardly differ, do not need dropout: it "
        "only makes them slower."
    )
    page.try_it("gradus train --data digits --model mlp --set model.options.dropout=0.5")

"""How surprising an event is, how unsure a distribution, and why that makes a loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.look.charts import INK, MODEL, SECOND, SERIES
from gradus.reference import information
from gradus.reference.activations import sigmoid
from gradus.reference.losses import cross_entropy, softmax

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

EXAMPLES = {
    "64 matches, 63 won": (np.array([63, 1]) / 64, 0.1164),
    "64 matches, 32 won": (np.array([32, 32]) / 64, 1),
    "32 equal teams": (np.full(32, 1 / 32), 5),
    "32 teams, one at 99 %": (np.append(0.99, np.full(31, 0.01 / 31)), 0.130),
}
SCORES = np.array([2.0, 1.0, 0.5, -1.0])
SEVEN = np.array([0.005, 0.005, 0.030, 0.620, 0.101, 0.020, 0.219])  # plane, car, ship, cat, dog, bird, sun


def bits(probabilities: np.ndarray) -> float:
    """The entropy of a distribution, in bits."""
    return float(information.entropy(probabilities, base=2))


def show(page: LessonPage) -> None:
    _entropy(page)
    _cross(page)
    _one_hot(page)
    _softmax(page)
    _first(page)


def _entropy(page: LessonPage) -> None:
    page.text(
        "An event of probability $p$ is worth $-\\log_2 p$ bits when it happens: its **self-information**, or "
        "surprise. What was certain tells nothing, one half is a bit, and what happens once in 64 times is worth "
        "six. **Entropy** is the mean surprise of a distribution: how unsure one is beforehand."
    )
    page.formula(r"H(p)=-\sum_i p_i\log_2 p_i")

    def paint(axes):
        p = np.linspace(0.002, 1, 400)
        axes[0].plot(p, information.self_information(p, base=2), color=MODEL)
        axes[0].set(xlabel="probability", ylabel="bits", xticks=[0, 0.5, 1])
        inner = p[:-1]
        axes[1].plot(inner, [bits(np.array([q, 1 - q])) for q in inner], color=SECOND)
        axes[1].set(xlabel="probability of one of two", ylabel="bits", xticks=[0, 0.5, 1])

    page.figure(paint, "Surprise of an event, entropy of a choice of two", panels=(1, 2), size=(6.4, 2.6))
    for key, (name, (p, printed)) in zip(("lopsided", "even", "teams", "favourite"), EXAMPLES.items(), strict=True):
        page.number(f"entropy_{key}", bits(p), f"entropy, {name}, bits", printed=printed)
    page.number(
        "surprise_win",
        information.self_information(np.array([63 / 64]), base=2)[0],
        "bits of the win that was expected",
        printed=0.023,
    )
    page.number(
        "surprise_loss", information.self_information(np.array([1 / 64]), base=2)[0], "bits of the one loss", printed=6
    )
    page.correction("Plain Talk §6.8.2", "0.1164 bits for 63 of 64", "0.1161; the text went on with a rounded 0.023")
    page.text(
        "More outcomes, and more equal ones, mean more entropy. Any base of the logarithm will do, if it is kept: "
        "bits for 2, nats for $e$."
    )


def _cross(page: LessonPage) -> None:
    guess = np.linspace(0.01, 0.99, 200)
    truth = np.array([0.7, 0.3])
    own = bits(truth)
    crossed = np.array([information.cross_entropy(truth, np.array([q, 1 - q]), base=2) for q in guess])
    page.heading("Believing the wrong thing")
    page.text(
        "Who believes in $q$ while $p$ is true is surprised by $-\\log q_i$ with frequency $p_i$. The mean is the "
        "**cross-entropy**. It is never less than the entropy of $p$; the excess is the **Kullback-Leibler "
        "divergence**, zero only if $q=p$."
    )
    page.formula(r"H(p,q)=-\sum_i p_i\log q_i=H(p)+KL(p\,\|\,q)")

    def paint(axes):
        axes.fill_between(guess, own, crossed, color=SECOND, alpha=0.18, linewidth=0)
        axes.plot(guess, crossed, color=MODEL)
        axes.axhline(own, color=INK, linewidth=1)
        axes.set(
            xlabel="believed probability q of an event of 0.7", ylabel="bits", ylim=(0, 4), xticks=[0, 0.35, 0.7, 1]
        )

    page.figure(
        paint,
        "Cross-entropy by belief",
        keys=[("model", "cross-entropy"), ("ink", "entropy"), ("second", "the divergence between them")],
    )
    half = np.array([0.5, 0.5])
    divergence = float(information.kullback_leibler(truth, half, base=2))
    page.number("own_entropy", own, "entropy of (0.7, 0.3)")
    page.number("crossed", float(information.cross_entropy(truth, half, base=2)), "cross-entropy with (0.5, 0.5)")
    page.number("divergence", divergence, "divergence")
    page.number(
        "reverse_divergence",
        float(information.kullback_leibler(half, truth, base=2)),
        "divergence the other way round: it is not a distance",
    )
    page.number(
        "identity",
        abs(float(information.cross_entropy(truth, half, base=2)) - own - divergence),
        "cross-entropy minus entropy minus divergence",
    )
    page.correction(
        "Plain Talk §6.8.2",
        "cross-entropy is the difference of two entropies",
        "it is the sum of the entropy and the divergence; the divergence is a difference, of cross-entropy and entropy",
    )


def _one_hot(page: LessonPage) -> None:
    wanted = np.array([0.0, 1.0, 0.0, 0.0])
    predicted = np.array([0.5, 0.2, 0.2, 0.1])
    page.text(
        "As a loss: the target is a **one-hot** vector, whose entropy is zero, so only one term is left, minus the "
        "logarithm of the probability that the network gives the right class."
    )
    page.number(
        "one_hot",
        float(information.cross_entropy(wanted, predicted, base=np.e)),
        "loss if the right class got 0.2, nats",
    )
    page.number(
        "seven_loss", -np.log(SEVEN[3]), "loss of Plain Talk's example of seven classes, where the cat got 0.62, nats"
    )
    page.number(
        "seven_entropy",
        bits(SEVEN),
        f"entropy of that answer, bits; the most for seven classes is {np.log2(7):.3f}",
    )
    page.correction(
        "Course notes §2.3.9",
        "the first entry of ŷ is the largest, while the second, the right one, is 0.2",
        "the loss depends on the right class's entry only; above we use (0.5, 0.2, 0.2, 0.1)",
    )


def _softmax(page: LessonPage) -> None:
    temperatures = (0.2, 1.0, 5.0)
    page.heading("From scores to a distribution")
    page.text(
        "**Softmax** makes any scores a distribution: exponentials, divided by their sum. Dividing the scores by a "
        "**temperature** first makes it sharper (cold: nearly all on the largest, **hardmax**) or flatter (hot: "
        "nearly equal). Only differences of scores count."
    )

    def paint(axes):
        places = np.arange(4)
        for index, (temperature, colour) in enumerate(zip(temperatures, SERIES.values(), strict=False)):
            axes.bar(places + 0.27 * (index - 1), softmax(SCORES / temperature), 0.25, color=colour)
        axes.set(xticks=places, xlabel="class", ylabel="probability", ylim=(0, 1))
        axes.set_xticklabels([f"score {score:g}".replace("-", "−") for score in SCORES], fontsize=9)

    page.figure(
        paint,
        "Four scores at three temperatures",
        keys=list(zip(("model", "second", "third"), ("temperature 0.2", "1", "5"), strict=True)),
    )
    for key, temperature in zip(("cold", "one", "hot"), temperatures, strict=True):
        page.number(
            f"entropy_{key}",
            bits(softmax(SCORES / temperature)),
            f"entropy at temperature {temperature:g}, bits (at most 2)",
        )
    z = np.linspace(-8, 8, 101)
    two = softmax(np.stack([z, np.zeros_like(z)], axis=1))[:, 0]
    page.number(
        "two_classes",
        np.abs(two - sigmoid(z)).max(),
        "largest difference between softmax of two classes and the sigmoid of their difference",
    )
    page.number("four_equal", softmax(np.ones(4))[0], "softmax of [1, 1, 1, 1], each", printed=0.25)
    page.number(
        "overflow",
        softmax(np.array([1000.0, 1000.0]))[0],
        "softmax of [1000, 1000]: the largest score is subtracted first, or it would overflow",
    )
    page.correction(
        "Plain Talk §6.8.2",
        "each output of softmax is passed through a sigmoid, with a binary cross-entropy of its own",
        "softmax couples its outputs, they sum to one; the loss is $-\\ln$ of the right one. Sigmoids are for "
        "labels that may hold together",
    )


def first_loss(spread: float, classes: int = 10, rows: int = 2000) -> float:
    """Mean cross-entropy of random logits of standard deviation `spread` against random classes."""
    generator = np.random.default_rng(0)
    return cross_entropy(spread * generator.normal(size=(rows, classes)), generator.integers(0, classes, rows))


def _first(page: LessonPage) -> None:
    page.heading("Why training begins at ln C")
    page.text(
        "A network that knows nothing gives each of $C$ classes about $1/C$, so its first loss is near $\\ln C$: "
        "2.303 for ten classes. Well above means that the first weights are too large: it is sure of itself and "
        "wrong. Well below on the first step: look for a leak, a way by which the answers got into the inputs. (The "
        "scores that softmax gets are called **logits**.)"
    )
    spreads = np.linspace(0, 5, 21)
    losses = [first_loss(spread) for spread in spreads]

    def paint(axes):
        axes.plot(spreads, losses, color=MODEL)
        axes.axhline(np.log(10), color=INK, linewidth=1, linestyle=(0, (3, 3)))
        axes.set(xlabel="spread of the first logits", ylabel="first loss", ylim=(0, 12))

    page.figure(paint, "Ten classes", keys=[("model", "random logits"), ("ink", "ln 10")])
    page.number("first_zero", first_loss(0.0), "loss of equal logits, ten classes: ln 10")
    page.number("first_small", first_loss(0.3), "logits of spread 0.3")
    page.number("first_large", first_loss(5.0), "logits of spread 5")
    page.try_it("gradus train --data digits --model mlp --epochs 1")

"""How daring the next word is: a softmax at a temperature, its entropy, and what cutting off the tail does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.look.charts import INK, MODEL, SECOND, TEXT_SIZE, THIRD
from gradus.reference.information import entropy
from gradus.reference.vector_activations import softmax

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

# A made-up answer to "the cat sat on the ...": a few likely words, and many that are hardly ever right.
LIKELY = {"mat": 0.40, "sofa": 0.22, "roof": 0.14, "table": 0.08, "dog": 0.04, "moon": 0.02}
RARE = 1000  # words that share what is left
SHOWN = (0.2, 0.5, 1.0, 1.2)
RANGE = np.geomspace(0.05, 20, 60)


def probabilities() -> np.ndarray:
    """(6 + RARE,), falling."""
    left = 1 - sum(LIKELY.values())
    return np.array([*LIKELY.values(), *np.full(RARE, left / RARE)])


def reweighted(shares: np.ndarray, temperature: float) -> np.ndarray:
    """softmax(log p / T): p^(1/T), made to add up to 1 (listing 8-1), without a logarithm of 0."""
    with np.errstate(divide="ignore"):
        return softmax(np.log(shares) / temperature)


def nats(shares: np.ndarray) -> float:
    """The entropy of a distribution in nats."""
    return float(entropy(shares)) * float(np.log(2))


def nucleus(shares: np.ndarray, most: float) -> np.ndarray:
    """The fewest likeliest words that together have at least `most`, made to add up to 1; the others 0
    (Holtzman et al. 2020)."""
    order = np.argsort(-shares, kind="stable")
    before = np.cumsum(shares[order]) - shares[order]
    kept = np.zeros_like(shares)
    inside = order[before < most]
    kept[inside] = shares[inside]
    return kept / kept.sum()


def show(page: LessonPage) -> None:
    shares = probabilities()
    page.text(
        "A language model gives each next word a probability p. Always taking the likeliest (**greedy**) repeats "
        "itself; drawing by p is "
        "livelier. The **temperature** T lies between and beyond: logits are divided by it before the softmax."
    )
    page.formula(r"p_i^{(T)}=\frac{p_i^{1/T}}{\sum_j p_j^{1/T}}")

    def paint(every):
        names = [*LIKELY, "rare"]
        for axes, temperature in zip(every, SHOWN, strict=True):
            found = reweighted(shares, temperature)
            axes.barh(range(len(names)), [*found[: len(LIKELY)], found[len(LIKELY) :].sum()], color=MODEL)
            axes.set(xlim=(0, 1), xticks=[0, 1], yticks=range(len(names)))
            axes.set_yticklabels(names if axes is every[0] else [])
            axes.invert_yaxis()
            axes.set_title(f"T = {temperature:g}", fontsize=TEXT_SIZE, color=INK)

    page.figure(
        paint,
        "The same answer at four temperatures",
        panels=(1, 4),
        size=(7.0, 2.6),
        note=f"rare: {RARE:,} words together.",
    )
    entropies = {temperature: nats(reweighted(shares, temperature)) for temperature in SHOWN}
    page.table(
        ("T", "entropy, nats", "as many words alike", "the likeliest", "a rare one"),
        [
            (t, h, float(np.exp(h)), float(reweighted(shares, t)[0]), float(reweighted(shares, t)[len(LIKELY) :].sum()))
            for t, h in entropies.items()
        ],
    )
    page.number("entropy_half", entropies[0.5], "entropy at T = 0.5", digits=3)
    page.number("entropy_one", entropies[1.0], "at T = 1: that of the model itself", digits=3)
    page.number("greedy", nats(reweighted(shares, 0.01)), "at T = 0.01: greedy, nothing is left to chance", digits=3)
    page.number(
        "uniform",
        nats(reweighted(shares, 1e6)),
        "at T = 1,000,000: every word alike, log of their number",
        digits=4,
    )
    _tail(page, shares)


def _tail(page: LessonPage, shares: np.ndarray) -> None:
    page.heading("The tail")
    cut = nucleus(shares, 0.9)
    curves = [[nats(reweighted(one, t)) for t in RANGE] for one in (shares, cut)]

    def paint(axes):
        for curve, colour in zip(curves, (MODEL, SECOND), strict=True):
            axes.semilogx(RANGE, curve, color=colour)
        axes.axhline(np.log(len(shares)), color=THIRD, linestyle=(0, (3, 3)))
        axes.set(xlabel="temperature", ylabel="entropy, nats", xticks=[0.1, 1, 10])
        axes.set_xticklabels(["0.1", "1", "10"])

    page.text(
        "Each rare word is next to impossible, but there are a thousand. Above T = 1 they win together, and the text "
        "falls apart. "
        "**Top-p** keeps the fewest likeliest words that hold a share of 0.9 and draws among these; top-k keeps a "
        "number of them. "
        "Then warmth is harmless: the entropy ends at that of the few words kept."
    )
    keys = [("model", "all words"), ("second", "top-p 0.9"), ("third", "uniform")]
    page.figure(paint, "Entropy by temperature", keys=keys, size=(4.8, 2.7))
    page.number(
        "rare_at_two",
        float(reweighted(shares, 2.0)[len(LIKELY) :].sum()),
        "the thousand rare words together, T = 2",
        digits=3,
    )
    page.number("kept", float((cut > 0).sum()), "words that top-p 0.9 keeps")
    page.correction(
        "Deep Learning with Python listing 8-1",
        "takes the logarithm of what the softmax gives: of a probability that has become 0 that is −∞, with a warning",
        "divide the logits by the temperature, before the softmax",
    )
    page.try_it('gradus generate RUN --prompt "the cat" --temperature 0.8 --top-p 0.9')

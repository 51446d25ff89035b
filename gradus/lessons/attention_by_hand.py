"""Attention with numbers small enough to follow: four words ask one another, and answers are mixed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.lessons.drawing import log_ticks, paint_cells
from gradus.look.charts import MODEL, MUTED, SECOND
from gradus.reference.attention import additive_attention, dot_attention, masked_softmax, scaled_dot_attention

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

WORDS = ("small", "cats", "chase", "mice")
# four numbers a word: is it a thing, an action, a property, and where in the sentence it stands
KEYS = np.array([[0.0, 0, 2, -1], [2, 0, 0, -1], [0, 2, 0, 0], [2, 0, 0, 2]])
QUERIES = np.array([[2.0, 0, 0, -1], [0, 2, 1, 0], [2, 0, 0, -0.5], [0, 2, 0, 1]])  # what each word looks for
VALUES = np.array([[1.0, 0], [0, 1], [1, 1], [-1, 0]])  # what each word has to tell
WIDTHS = (4, 16, 64, 256)


def by_hand(query: np.ndarray, keys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of one query: the scores divided by the root of their width, the weights, and the mixed value, written out."""
    scores = np.array([sum(q * k for q, k in zip(query, key, strict=True)) / len(query) ** 0.5 for key in keys])
    weights = np.exp(scores) / np.exp(scores).sum()
    return scores, weights, sum(weight * value for weight, value in zip(weights, values, strict=True))


def score_spread(width: int, draws: int = 1000) -> tuple[float, float]:
    """Variance of dot products of standard normal vectors, and the mean slope of softmax over ten such scores."""
    generator = np.random.default_rng(width)
    queries, keys = generator.normal(size=(draws, width)), generator.normal(size=(draws, 10, width))
    scores = np.einsum("nd,nkd->nk", queries, keys)
    return float(scores.var()), _slope(scores)


def _slope(scores: np.ndarray) -> float:
    """Mean over examples of the largest p (1 - p): how much the weights still move with the scores."""
    weights = masked_softmax(scores[:, None])[:, 0]
    return float((weights * (1 - weights)).max(axis=1).mean())


def scaled_slope(width: int, draws: int = 1000) -> float:
    """The same slope with the scores divided by the root of the width."""
    generator = np.random.default_rng(width)
    queries, keys = generator.normal(size=(draws, width)), generator.normal(size=(draws, 10, width))
    return _slope(np.einsum("nd,nkd->nk", queries, keys) / width**0.5)


def show(page: LessonPage) -> None:
    page.text(
        "**Attention** mixes what several places have to tell, each with a weight. A place asks with a **query**; each place "
        "offers a **key**, by which it is found, and a **value**, which it tells. How well query and key fit is their dot "
        "product; softmax turns the scores into weights that add to 1; the answer is the weighted mean of the values."
    )
    page.formula(
        r"A=\mathrm{softmax}\left(\frac{QK^{\top}}{\sqrt{d}}\right),\qquad C=AV",
        "$Q$, $K$, $V$: queries, keys and values, a row each; $d$: numbers in a key; $A$: weights; $C$: answers.",
    )
    scores, weights, mixed = by_hand(QUERIES[2], KEYS, VALUES)
    page.text(
        "Four words; each number of a key has a meaning here (thing, action, property, place), in a trained network it has "
        "none that we could name. The word **chase** asks for a thing, rather one that stands to the left."
    )
    page.table(
        ("word", "key", "query · key", "÷ √4", "weight"),
        [
            (word, _listed(key), f"{2 * score:g}".replace("-", "−"), f"{score:g}".replace("-", "−"), f"{weight:.3f}")
            for word, key, score, weight in zip(WORDS, KEYS, scores, weights, strict=True)
        ],
        title="chase asks with " + _listed(QUERIES[2]),
    )
    contexts, every = scaled_dot_attention(QUERIES[None], KEYS[None], VALUES[None])
    page.number("weight_cats", every[0, 2, 1], "weight that chase gives to cats", digits=4)
    page.number("weight_mice", every[0, 2, 3], "to mice", digits=4)
    page.number("context_first", contexts[0, 2, 0], "first number of the mixed value", digits=4)
    page.number(
        "gap",
        max(np.abs(contexts[0, 2] - mixed).max(), np.abs(every[0, 2] - weights).max()),
        "written out against matrices: largest difference",
    )

    def heat(axes):
        paint_cells(axes, every[0], shade=True, decimals=2, labels=(WORDS, WORDS))
        axes.set(xlabel="looks at", ylabel="word that asks")

    page.figure(heat, "Who looks at whom", size=(4.0, 3.7))
    _masked(page)
    _additive(page)
    _root(page)


def _listed(values: np.ndarray) -> str:
    return ", ".join(f"{value:g}".replace("-", "−") for value in values)


def _masked(page: LessonPage) -> None:
    page.heading("Places that must not be seen")
    page.text(
        "Padding is not a word, and a network that writes must not see what comes next. Such places are **masked**: their score "
        "counts as minus infinity, their weight is exactly 0, and the others share the whole."
    )
    earlier = np.tril(np.ones((4, 4), bool))[None]
    weights = scaled_dot_attention(QUERIES[None], KEYS[None], VALUES[None], earlier)[1][0]
    page.table(
        ("only itself and what stands before", *WORDS),
        [(word, *(f"{value:.2f}" for value in row)) for word, row in zip(WORDS, weights, strict=True)],
    )
    page.number("masked_weight", weights[2, 3], "weight of mice for chase, masked")
    page.number("row_sum", weights.sum(axis=1).max(), "each row still adds to")
    printed = np.array([0.4, 0.05, 0.05, 0.5])
    page.number("printed_sum", printed.sum(), "Principles and Practice §8.5.3: sum of its weights 0.4, 0.05, 0.05, 0.5")


def _additive(page: LessonPage) -> None:
    page.heading("The older form")
    page.text(
        "The first attention, made for translation, compares query and key by a small network with one hidden layer. It is "
        "called **additive**. The book tells the idea and has no formula; this is the one of the paper it cites."
    )
    page.formula(
        r"e_{qt}=v^{\top}\tanh(Wz_q+Uh_t)",
        "$e$: score; $z$: what asks; $h$: what is asked; $W$, $U$ and $v$ are learned.",
    )
    generator = np.random.default_rng(2)
    query_weight, key_weight = generator.normal(size=(4, 6)), generator.normal(size=(4, 6))
    score_weight = generator.normal(size=6)
    weights = additive_attention(QUERIES[None], KEYS[None], VALUES[None], query_weight, key_weight, score_weight)[1][0]
    by_loop = np.array(
        [[score_weight @ np.tanh(query @ query_weight + key @ key_weight) for key in KEYS] for query in QUERIES]
    )
    by_loop = np.exp(by_loop) / np.exp(by_loop).sum(axis=1, keepdims=True)
    page.number("additive_gap", np.abs(weights - by_loop).max(), "two loops against the array form: largest difference")
    page.text(
        "The score lies between −Σ|v| and Σ|v| however wide the vectors are, so it needs no division. The dot product is one "
        "matrix product and much faster, but it grows with the width."
    )


def _root(page: LessonPage) -> None:
    page.heading("Why divide by √d?")
    page.text(
        "A dot product is a sum of $d$ products. If the numbers are independent with variance 1, the variance of the sum is "
        "$d$. Large scores make softmax choose one place and be sure of it; its slope is then nearly zero, and "
        "nothing is learned. "
        "Divided by $\\sqrt{d}$ the variance is 1 again, for every width."
    )
    spreads = [score_spread(width) for width in WIDTHS]
    scaled = [scaled_slope(width) for width in WIDTHS]

    def paint(every):
        from matplotlib.ticker import NullLocator

        every[0].loglog(WIDTHS, [variance for variance, _ in spreads], "o-", color=SECOND)
        every[0].loglog(
            WIDTHS, [variance / width for (variance, _), width in zip(spreads, WIDTHS, strict=True)], "o-", color=MODEL
        )
        every[0].set(xlabel="width d", ylabel="variance of the scores")
        every[1].semilogx(WIDTHS, [slope for _, slope in spreads], "o-", color=SECOND)
        every[1].semilogx(WIDTHS, scaled, "o-", color=MODEL)
        every[1].axhline(0, color=MUTED, lw=0.6)
        every[1].set(xlabel="width d", ylabel="slope of softmax", ylim=(-0.01, 0.26))
        log_ticks(every[0].yaxis)
        for axes in every:
            axes.set_xticks([4, 16, 64, 256], ["4", "16", "64", "256"])
            axes.xaxis.set_minor_locator(NullLocator())

    page.figure(
        paint,
        "Measured on random vectors",
        keys=[("second", "not divided"), ("model", "divided by √d")],
        panels=(1, 2),
        size=(5.4, 2.8),
        note="Slope: the largest p (1 − p) among ten weights p, mean of 1000 draws.",
    )
    page.number("variance_64", spreads[2][0], "variance of dot products at d = 64", digits=3)
    page.number("slope_64", spreads[2][1], "slope of softmax there", digits=2)
    page.number("slope_64_scaled", scaled[2], "divided by √64", digits=2)
    unscaled = dot_attention(QUERIES[None], KEYS[None], VALUES[None])[1][0]
    page.number("unscaled_weight", unscaled[2, 1], "chase to cats without the division", digits=4)

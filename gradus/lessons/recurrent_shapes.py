"""What can be read and written: the five shapes of recurrent networks, both directions, several layers, and what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.look.charts import INK, LINE, MODEL, MUTED, SECOND, TEXT_SIZE, THIRD
from gradus.reference.gru import gru_parameters
from gradus.reference.lstm import lstm_parameters
from gradus.reference.recurrent import elman_weights, rnn_parameters

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

# name: (steps, those with an input, those with an output, what it is for)
SHAPES: dict[str, tuple[int, tuple[int, ...], tuple[int, ...], str]] = {
    "one to one": (1, (0,), (0,), "no sequence: an ordinary network, a picture to its class"),
    "one to many": (4, (0,), (0, 1, 2, 3), "a picture to its caption, a first note to a tune"),
    "many to one": (4, (0, 1, 2, 3), (3,), "a review to its judgement, a window of hours to tomorrow's heat"),
    "many to many, delayed": (5, (0, 1, 2), (2, 3, 4), "a sentence to its translation, a question to its answer"),
    "many to many, at once": (4, (0, 1, 2, 3), (0, 1, 2, 3), "a word to its tag, a frame to its sound or deed"),
}
SENTENCES = ("he said teddy bears are on sale", "he said teddy roosevelt was a president")
NAME, TOY = 1, 0
PLACE = 2  # of "teddy"


def elman_parameters(size: int, units: int) -> int:
    """U, W and V of an Elman network without biases whose outputs are as many as its inputs."""
    return sum(weight.size for weight in elman_weights(size, units, size, np.random.default_rng(0)))


def vectors(sentence: str) -> np.ndarray:
    """(T, words): one-hot, the words of both sentences in alphabetical order."""
    known = sorted({word for one in SENTENCES for word in one.split()})
    return np.eye(len(known))[[known.index(word) for word in sentence.split()]]


def states(inputs: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(T, m): tanh(x U + s W), from zero."""
    found, state = [], np.zeros(len(second))
    for given in inputs:
        state = np.tanh(given @ first + state @ second)
        found.append(state)
    return np.array(found)


def seen_at(place: int, backwards: bool, units: int = 8) -> np.ndarray:
    """(2, m or 2 m): what random units hold at a place of the two sentences, forwards alone or in both directions."""
    generator = np.random.default_rng(0)
    size = vectors(SENTENCES[0]).shape[1]
    forth, back = (elman_weights(size, units, 1, generator)[:2] for _ in range(2))
    rows = []
    for sentence in SENTENCES:
        given = vectors(sentence)
        held = [states(given, *forth)]
        if backwards:
            held.append(states(given[::-1], *back)[::-1])
        rows.append(np.concatenate([one[place] for one in held]))
    return np.array(rows)


def best_split(features: np.ndarray) -> float:
    """The share of the two rows that any rule on these features can get right: 1 where they differ, else a half."""
    return 1.0 if np.abs(features[0] - features[1]).max() > 1e-9 else 0.5


def show(page: LessonPage) -> None:
    page.text(
        "A recurrent network may read at every step or at some, and answer at every step or at some. That gives five "
        "shapes; the "
        "cell in the middle is always the same, with the same weights."
    )
    page.figure(
        _paint_shapes, "Five shapes", panels=(1, 5), size=(7.6, 2.5), note="Below what is read, above what is said."
    )
    page.table(("shape", "for example"), [(name, use) for name, (*_, use) in SHAPES.items()])
    page.correction(
        "Principles and Practice §7.2, fig. 7-9",
        "translation and questions are the synchronous kind, tagging and time series one to one",
        "translation answers after it has read (delayed); tagging answers at every step (at once); a series read for "
        "one "
        "forecast is many to one",
    )
    _costs(page)
    _directions(page)
    _depth(page)


def _paint_shapes(every) -> None:
    for axes, (name, (steps, read, said, _)) in zip(every, SHAPES.items(), strict=True):
        for step in range(steps):
            axes.add_patch(_box(step, 1, MODEL))
            if step:
                axes.annotate("", (step - 0.28, 1), (step - 0.72, 1), arrowprops={"arrowstyle": "->", "color": MUTED})
        for row, places, colour in ((0, read, THIRD), (2, said, SECOND)):
            for step in places:
                axes.add_patch(_box(step, row, colour))
                low, high = min(row, 1), max(row, 1)
                axes.annotate(
                    "", (step, high - 0.28), (step, low + 0.28), arrowprops={"arrowstyle": "->", "color": MUTED}
                )
        axes.set(xlim=(-0.6, max(steps, 4) - 0.4), ylim=(-0.6, 2.6), aspect="equal", xticks=[], yticks=[])
        axes.set_title(name.replace(", ", ",\n"), fontsize=TEXT_SIZE * 0.8, color=INK)
        for side in axes.spines.values():
            side.set_visible(False)


def _box(across: float, up: float, colour: str):
    from matplotlib.patches import Rectangle

    return Rectangle((across - 0.25, up - 0.25), 0.5, 0.5, facecolor=colour, edgecolor=LINE)


def _costs(page: LessonPage) -> None:
    page.heading("What it costs")
    page.text(
        "Elman's network of the book reads and says one of 1,000 words with 50 units: a matrix from words to units, "
        "one from units to "
        "units, one from units to words. However long the sentence, these are all its weights."
    )
    page.formula(r"2\,d\,m+m^2=2\cdot1000\cdot50+50^2")
    page.number("elman", elman_parameters(1000, 50), "weights, without biases", printed="102,500")
    layers = {
        "simple": (rnn_parameters(32, 32), 2080),
        "GRU": (gru_parameters(32, 32), 6240),
        "LSTM": (lstm_parameters(32, 32), 8320),
    }
    page.table(
        ("cell, 32 units on 32 numbers", "weights and biases"),
        [(name, f"{found:,}") for name, (found, _) in layers.items()],
    )
    page.number(
        "lstm_over_simple", layers["LSTM"][0] / layers["simple"][0], "LSTM over simple: its four gates' worth", digits=2
    )
    page.correction(
        "Principles and Practice eq. 7-3",
        "the state is f of two arguments, Ws and Ux",
        "it is f of one, their sum: s = f(Ws + Ux)",
    )


def _directions(page: LessonPage) -> None:
    page.heading("What comes after")
    forwards, both = seen_at(PLACE, backwards=False), seen_at(PLACE, backwards=True)
    page.text(
        f"“{SENTENCES[0]}”, “{SENTENCES[1]}”: is *teddy* a toy or a name? What stands before it is the same in both, "
        "so a network "
        "that has read so far **cannot** tell, whatever its weights. Which it is stands behind it. A "
        "**bidirectional** network "
        "reads the sentence a second time, from its end, with weights of its own, and puts both states side by side."
    )

    def paint(axes):
        axes.bar(np.arange(16), np.abs(both[0] - both[1]), color=[MODEL] * 8 + [SECOND] * 8)
        axes.set(xlabel="unit", ylabel="difference of the states at “teddy”", xticks=[0, 7, 8, 15])

    page.figure(
        paint,
        "Where the two sentences differ",
        keys=[("model", "reading forwards"), ("second", "reading backwards")],
        size=(4.8, 2.5),
    )
    page.number("forward_gap", float(np.abs(forwards[0] - forwards[1]).max()), "largest difference, forwards alone")
    page.number("both_gap", float(np.abs(both[0] - both[1]).max()), "in both directions", digits=3)
    page.number("forward_best", best_split(forwards), "the most that any rule gets right, forwards alone")
    page.number("both_best", best_split(both), "in both directions")
    page.correction(
        "Principles and Practice §7.2, fig. 7-10",
        "the two networks are stacked and propagate to each other",
        "they run apart, each in its own direction; only their states are put together, for the output",
    )


def _depth(page: LessonPage) -> None:
    page.heading("Layers on layers")
    page.text(
        "A **deep** recurrent network reads the states of one layer as the inputs of the next, step for step. Each "
        "layer has "
        "weights of its own; over time they stay the same. All layers but the last must hand on **every** step."
    )
    sizes = [320_000, *[rnn_parameters(32, 32)] * 4]
    page.table(
        ("layer", "weights and biases"),
        [
            ("embedding of 10,000 words", f"{sizes[0]:,}"),
            *((f"simple, 32 units ({k})", f"{n:,}") for k, n in enumerate(sizes[1:], 1)),
        ],
    )
    page.number("deep", sum(sizes), "four layers on an embedding", printed="328,320")

"""A word spelled over many frames, without saying where: collapse, paths, the table that adds them up, and decoding."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from gradus.lessons.drawing import bare, paint_cells
from gradus.look.charts import INK, MODEL, MUTED, TEXT_SIZE
from gradus.reference.ctc import (
    backward_variables,
    collapse,
    ctc_loss_backward,
    extended,
    forward_variables,
    greedy_decode,
    label_log_probability,
    label_log_probability_by_paths,
    prefix_beam_search,
)

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

BLANK = "_"
PATHS = ("hh_a_l_uu", "hal_oo___", "_he_ll_lo", "hal_l_u__", "hheel_llo")
LETTERS = "_cat"  # symbol 0 is the blank
FRAMES = 8
TWO_FRAMES = np.log(np.array([[0.6, 0.4], [0.6, 0.4]]))  # blank and a, at each of two frames


def spell(path: str) -> str:
    """The word of a path: repeats become one, then blanks go."""
    return "".join(collapse(path, BLANK))


def frames_of_cat() -> np.ndarray:
    """Scores of a network that hears "cat" in eight frames, not very sure of it. (8, 4) log-probabilities."""
    generator = np.random.default_rng(3)
    heard = [0, 1, 1, 0, 2, 2, 3, 0]
    scores = generator.normal(0, 0.7, (FRAMES, len(LETTERS)))
    scores[np.arange(FRAMES), heard] += 1.6
    return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))


def count_paths(label: str, frames: int) -> int:
    """How many paths of `frames` symbols over `LETTERS` collapse to the label."""
    return sum(spell("".join(path)) == label for path in product(LETTERS, repeat=frames))


def show(page: LessonPage) -> None:
    page.text(
        "A second of speech is cut into a hundred **frames**; the network gives each frame a chance for every letter. But "
        "nobody knows at which frame a letter begins. **CTC** (connectionist temporal classification) lets the network say one "
        "symbol a frame, adds a **blank** (here _), and reads the row of symbols by a rule: repeats become one, "
        "then the blanks go."
    )
    page.table(("path", "word"), [(path, spell(path)) for path in PATHS])
    page.number("double", len(spell("hel_lo")) - len(spell("hello")), "letters that a blank between two l saves")
    page.text("A double letter needs a blank in between: `hel_lo` is hello, `hello` as a path is helo.")
    page.correction(
        "Principles and Practice eq. 8-25",
        "five paths of one recording have 17, 20, 21, 19 and 27 symbols, and the path is said to be shorter than the frames",
        "a path has exactly one symbol a frame; what is shorter is the label",
    )
    _paths(page)
    _table(page)
    _decode(page)


def _paths(page: LessonPage) -> None:
    page.heading("All paths of a word")
    page.text(
        "The chance of a path is the product of its symbols' chances. The chance of a **word** is the sum over all paths that "
        "read as this word. Their number grows fast:"
    )
    page.table(
        ("frames", "all paths", "paths of cat"),
        [(frames, len(LETTERS) ** frames, count_paths("cat", frames)) for frames in (3, 4, 5, 6, 7)],
    )
    page.number("three_frames", count_paths("cat", 3), "paths of cat in three frames")
    page.number("four_frames", count_paths("cat", 4), "in four")
    page.formula(r"p(l)=\sum_{\pi:\,B(\pi)=l}\ \prod_{t=1}^{T}p_t(\pi_t)")


def _table(page: LessonPage) -> None:
    page.heading("The table that adds them up")
    chances, label = frames_of_cat(), (1, 2, 3)
    alpha, beta = forward_variables(chances, label), backward_variables(chances, label)
    total = label_log_probability(chances, label)
    share = np.exp(alpha + beta - total)
    places = [LETTERS[symbol] for symbol in extended(label)]
    steps = [str(frame + 1) for frame in range(FRAMES)]
    page.text(
        "Write the word with a blank before, between and after its letters, one row each. A path walks through this table, a "
        "column a frame: it stays in its row, goes one down, or skips a blank between two different letters. The **forward** "
        "number of a cell is the sum over all ways to it, the **backward** number over all ways from it to the end. Their "
        "product, as a share of the whole, is the chance that the word's path passes there."
    )

    def heat(axes):
        best = share.argmax(axis=1)
        passed = [(int(place), frame, 1, 1) for frame, place in enumerate(best)]
        paint_cells(
            axes,
            100 * share.T,
            marked=passed,
            shade=True,
            least=0.5,
            labels=(places, steps),
            text_size=TEXT_SIZE - 1,
        )
        axes.set_xlabel("frame")

    page.figure(
        heat,
        "Where the paths of cat pass, percent",
        keys=[("model", "framed: likeliest place of each frame")],
        size=(4.4, 3.9),
    )
    brute = label_log_probability_by_paths(chances, label)
    page.number("cat", np.exp(total), "chance of cat, by the table", digits=6)
    page.number("cat_by_paths", np.exp(brute), f"by all {len(LETTERS) ** FRAMES:,} paths", digits=6)
    page.number("gap", abs(np.exp(total) - np.exp(brute)), "their difference")
    page.number("column_gap", np.abs(share.sum(axis=1) - 1).max(), "every column adds to 1: largest deviation")
    page.text(
        "The gradient needs nothing more: for each frame and symbol, **what the network says minus what the paths of the word "
        "would like**. Below, the pull on each symbol by frame."
    )
    pull = -ctc_loss_backward(chances[None], [label])[0]

    def pulls(axes):
        limit = np.abs(pull).max()
        axes.imshow(pull.T, cmap="RdBu", vmin=-limit, vmax=limit)
        bare(axes)
        axes.set_yticks(range(len(LETTERS)), list(LETTERS))
        axes.set_xticks(range(FRAMES), steps)
        axes.set_xlabel("frame")
        axes.tick_params(axis="y", labelcolor=INK)

    page.figure(pulls, "Blue: should rise. Red: should fall", size=(4.4, 2.6))


def _decode(page: LessonPage) -> None:
    page.heading("The best path is not the best word")
    page.text(
        "Two frames, and only the blank and a: at each frame the blank has 0.6, a has 0.4. **Greedy** decoding takes the best "
        "symbol of each frame, two blanks: the empty word. But three paths read as a."
    )
    rows = [
        (BLANK + BLANK, "(empty)", 0.6 * 0.6),
        ("a" + BLANK, "a", 0.4 * 0.6),
        (BLANK + "a", "a", 0.6 * 0.4),
        ("aa", "a", 0.4 * 0.4),
    ]
    page.table(("path", "word", "chance"), rows)

    def bars(axes):
        axes.bar([0], [rows[0][2]], color=MUTED, alpha=0.5, width=0.6)
        bottom = 0.0
        for (path, _, chance), depth in zip(rows[1:], (1.0, 0.75, 0.5), strict=True):
            axes.bar([1], [chance], bottom=[bottom], color=MODEL, alpha=depth, width=0.6)
            axes.text(1, bottom + chance / 2, path, ha="center", va="center", color=INK)
            bottom += chance
        axes.text(0, rows[0][2] / 2, "__", ha="center", va="center", color=INK)
        axes.set_xticks([0, 1], ["empty", "a"])
        axes.set(ylabel="chance", ylim=(0, 0.72), xlim=(-0.6, 1.6))
        axes.grid(visible=False, axis="x")

    page.figure(bars, "Three small paths outweigh a large one", size=(4.4, 2.7))
    page.number("greedy_length", len(greedy_decode(TWO_FRAMES)), "letters of the greedy answer")
    page.number("empty", np.exp(label_log_probability(TWO_FRAMES, ())), "chance of the empty word")
    page.number("letter_a", np.exp(label_log_probability(TWO_FRAMES, (1,))), "chance of a")
    best, log_probability = prefix_beam_search(TWO_FRAMES, 4)[0]
    page.number("beam_length", len(best), "letters of the best word by **beam search**, which adds up paths as it goes")
    page.number("beam_chance", np.exp(log_probability), "its chance")
    page.correction(
        "Principles and Practice fig. 8-47",
        "the caption takes the most probable path",
        "eq. 8-28 and 8-29 first add up the paths of each label",
    )

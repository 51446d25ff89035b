"""Which die was it? A hidden Markov model of dice: rolled, decoded, and learnt with and without seeing the dice."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from gradus.lessons.drawing import bare, paint_cells
from gradus.look.charts import INK, MODEL, MUTED, SECOND, TEXT_SIZE
from gradus.reference import hmm

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

DICE = ("D4", "D6", "D8")
SIDES = (4, 6, 8)
PRINTED_ROLLS = (1, 6, 3, 5, 2, 7, 3, 5, 2, 4)  # Plain Talk §8.1
PRINTED_DICE = ("D6", "D8", "D8", "D6", "D4", "D8", "D6", "D6", "D4", "D8")
ROLLS, ROWS = 60, 40  # learnt from: so many games of so many rolls


def emission(loaded: bool = False) -> np.ndarray:
    """(3, 8): the faces of each die. loaded: D6 shows 1 half of the time and the others a tenth each."""
    table = np.zeros((3, 8))
    for die, sides in enumerate(SIDES):
        table[die, :sides] = 1 / sides
    if loaded:
        table[1] = [0.5, 0.1, 0.1, 0.1, 0.1, 0.1, 0, 0]
    return table


def fair() -> hmm.HiddenMarkov:
    """The next die is any of the three."""
    return hmm.HiddenMarkov(np.full(3, 1 / 3), np.full((3, 3), 1 / 3), emission())


def sticky(loaded: bool = True) -> hmm.HiddenMarkov:
    """After D6 comes D6 (0.9) or D8 (0.1), never D4, as the text has it; the other dice stay too, which it leaves open."""
    transition = np.array([[0.9, 0.05, 0.05], [0.0, 0.9, 0.1], [0.1, 0.0, 0.9]])
    return hmm.HiddenMarkov(np.full(3, 1 / 3), transition, emission(loaded))


def from_a_bag() -> hmm.HiddenMarkov:
    """The die is drawn from a bag with two D4, seven D6 and one D8, whichever came before."""
    shares = np.array([0.2, 0.7, 0.1])
    return hmm.HiddenMarkov(shares, np.tile(shares, (3, 1)), emission())


def games(model: hmm.HiddenMarkov, seed: int = 0, rows: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    """(dice (rows, ROLLS), faces from 0 (rows, ROLLS))."""
    random = np.random.default_rng(seed)
    pairs = [hmm.sample(model, ROLLS, random) for _ in range(rows)]
    return np.stack([dice for dice, _ in pairs]), np.stack([faces for _, faces in pairs])


def in_order_of(found: hmm.HiddenMarkov, true: hmm.HiddenMarkov) -> hmm.HiddenMarkov:
    """The found states in the order that is nearest to the true ones: without labels nothing says which is which."""
    orders = [list(order) for order in permutations(range(len(true.initial)))]
    best = min(orders, key=lambda order: np.abs(found.emission[order] - true.emission).sum())
    return hmm.HiddenMarkov(found.initial[best], found.transition[np.ix_(best, best)], found.emission[best])


def show(page: LessonPage) -> None:
    page.text(
        "Someone takes one of three dice (with 4, 6 and 8 faces), rolls it, and calls out the number. Then the next die, the "
        "next number. You hear the numbers, the **observations**; the dice are **hidden states**. Which die comes next depends "
        "on the die before: that is the **Markov** chain. Two tables say everything: **transition**, from die to die, and "
        "**emission**, from die to number."
    )
    _printed(page)
    _decoding(page)
    _learning(page)
    page.try_it("gradus train --data names.conll    # words in the place of numbers, tags in the place of dice")


def _printed(page: LessonPage) -> None:
    page.heading("Ten rolls from the text")
    dice, faces = np.array([DICE.index(name) for name in PRINTED_DICE]), np.array(PRINTED_ROLLS) - 1
    model = fair()
    page.table(("roll", *map(str, range(1, 11))), [("number", *map(str, PRINTED_ROLLS)), ("die", *PRINTED_DICE)])
    own = hmm.path_log_probability(model, dice, faces)
    path, best = hmm.viterbi(model, faces)
    page.number("printed", own, "log-probability of these dice with these numbers", digits=6)
    page.number("best", float(best), "of the likeliest dice for them", digits=6)
    page.number(
        "all", float(hmm.log_likelihood(model, faces)), "of the numbers, over all 59,049 rows of dice", digits=6
    )
    page.text(
        f"The likeliest dice are {', '.join(DICE[die] for die in path)}: always the smallest that can show the number. Where "
        "every die follows every other with 1/3, the past says nothing, and nothing better can be guessed. What comes next?"
    )
    shares = from_a_bag()
    page.number("next_one", hmm.next_chances(model, 1)[1][0], "chance that a 1 comes next, fair choice of dice")
    page.number("next_one_bag", hmm.next_chances(shares, 1)[1][0], "with a bag of two D4, seven D6 and one D8")
    page.number(
        "next_sticky",
        hmm.next_chances(sticky(), 1)[1][0],
        "after D6, where it is loaded (1 half of the time) and stays",
    )
    page.number(
        "before",
        hmm.previous_chances(sticky(), 1, hmm.stationary(sticky()))[0][0],
        "chance that the die before a D6 was D4, where dice stay",
    )


def _decoding(page: LessonPage) -> None:
    page.heading("Dice that stay can be heard")
    page.text(
        "Now the dice are sticky: after D6 comes D6 with 0.9, D8 with 0.1 and never D4, and D6 is loaded: half of its rolls are "
        "1. **Viterbi** finds the likeliest row of dice, the **forward** and **backward** sums the chance of each die at each "
        "roll. Both look at what comes later too."
    )
    model = sticky()
    dice, faces = games(model, 4)
    path, _ = hmm.viterbi(model, faces)
    shares = hmm.posteriors(model, faces)
    alone = model.emission.T[faces].argmax(axis=2)
    page.number("by_number", float((alone == dice).mean()), "share of dice right, from each number alone")
    page.number("by_viterbi", float((path == dice).mean()), "with Viterbi")
    page.number("by_posterior", float((shares.argmax(axis=2) == dice).mean()), "with each roll's likeliest die")
    row = int(np.abs((path == dice).mean(axis=1) - 0.8).argmin())

    def draw(axes):
        steps = np.arange(ROLLS)
        for place, (values, colour) in enumerate(((dice[row], INK), (path[row], MODEL))):
            axes.step(steps, values + 0.08 * (1 - 2 * place), where="mid", color=colour, lw=1.6)
        axes.imshow(
            shares[row].T,
            aspect="auto",
            origin="lower",
            cmap="Greys",
            alpha=0.35,
            vmin=0,
            vmax=1,
            extent=(-0.5, ROLLS - 0.5, -0.5, 2.5),
        )
        for step, face in enumerate(faces[row]):
            axes.text(step, 2.72, str(face + 1), ha="center", fontsize=TEXT_SIZE - 3, color=MUTED)
        axes.set(ylim=(-0.5, 3.0), xlim=(-0.5, ROLLS - 0.5))
        bare(axes)
        axes.set_yticks(range(3), DICE)
        axes.tick_params(axis="y", labelcolor=INK)
        axes.set_xlabel("roll; its number above")

    page.figure(
        draw,
        "Which die it was, and which it is taken for",
        keys=[("model", "Viterbi"), ("ink", "the die itself"), ("muted", "grey ground: chance of each die")],
        size=(8.8, 2.4),
    )


def _learning(page: LessonPage) -> None:
    page.heading("Learning the two tables")
    model = sticky()
    dice, faces = games(model)
    counted = hmm.count_model(list(dice), list(faces), 3, 8)
    page.text(
        "Whoever sees the dice can **count**: how often which die followed which, and which number it showed. That is "
        "supervised learning. Whoever only hears the numbers can begin with any two tables, compute the chance of each die at "
        "each roll, count with these chances, and repeat: **Baum-Welch**. The likelihood rises with each step, but to a peak "
        "nearby, so the best of several beginnings is kept."
    )
    page.correction(
        "Plain Talk §8.1",
        "counting both tables from given dice and numbers is called unsupervised",
        "the dice are the labels: it is supervised. Unsupervised is Baum-Welch, from the numbers alone",
    )
    learnt = in_order_of(hmm.learn_without_states(faces, 3, 8, np.random.default_rng(1), restarts=3, steps=50), model)
    for name, found in (("counted", counted), ("learnt", learnt)):
        said = "with dice seen" if name == "counted" else "from numbers alone"
        page.number(
            f"{name}_transition", np.abs(found.transition - model.transition).max(), f"transition {said}: largest error"
        )
        page.number(
            f"{name}_emission", np.abs(found.emission - model.emission).max(), f"emission {said}: largest error"
        )
    page.number(
        "true_likelihood", float(hmm.log_likelihood(model, faces).sum()), "log-likelihood of the true tables", digits=7
    )
    page.number("learnt_likelihood", float(hmm.log_likelihood(learnt, faces).sum()), "of the learnt ones", digits=7)
    tables = [("true", model, MODEL), ("with dice seen", counted, MODEL), ("from numbers alone", learnt, SECOND)]

    def draw(every):
        for axes, (title, found, colour) in zip(every[:3], tables, strict=True):
            paint_cells(axes, 100 * found.transition, title, shade=True, colour=colour, labels=(DICE, DICE), least=0.5)
        for axes, (_, found, colour) in zip(every[3:], tables, strict=True):
            faces_named = [str(face) for face in range(1, 9)]
            paint_cells(
                axes,
                100 * found.emission,
                shade=True,
                colour=colour,
                labels=(DICE, faces_named),
                least=0.5,
                square=False,
                text_size=TEXT_SIZE - 2,
            )

    page.figure(draw, "Transition (above) and emission, percent", panels=(2, 3), size=(8.8, 4.4))
    page.text(
        f"{ROWS} games of {ROLLS} rolls. The learnt tables are likelier than the true ones for these rolls: they were made for "
        "them. Which of its states is which die it cannot know; here they stand in the order that fits."
    )

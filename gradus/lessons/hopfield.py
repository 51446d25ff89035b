"""A memory that is asked with a part of what it holds: Hopfield's network, how much it holds, and what it makes up."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from gradus.lessons.drawing import paint_picture
from gradus.look.charts import MODEL, MUTED, SECOND
from gradus.reference import energy

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

DIGITS = (0, 1, 4)
UNITS = 200  # of the network whose capacity is measured
LOADS = (0.04, 0.08, 0.1, 0.12, 0.138, 0.16, 0.2, 0.25)
CAPACITY = 0.138  # patterns a unit (Amit, Gutfreund and Sompolinsky 1985)


@functools.cache
def digits() -> np.ndarray:
    """(3, 64): one picture of each digit, -1 and 1."""
    from sklearn.datasets import load_digits

    found = load_digits()
    rows = [found.images[np.flatnonzero(found.target == digit)[0]].ravel() for digit in DIGITS]
    return np.where(np.array(rows) > 7, 1.0, -1.0)


def projected(patterns: np.ndarray) -> np.ndarray:
    """Weights that hold patterns which are alike (Personnaz, Guyon and Dreyfus 1985): the projection on them, no "
    "diagonal."""
    weight = patterns.T @ np.linalg.pinv(patterns.T)
    np.fill_diagonal(weight, 0)
    return weight


def flipped(state: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """With so many of its units turned round."""
    changed = state.copy()
    changed[random.permutation(len(state))[: round(share * len(state))]] *= -1
    return changed


def settle(states: np.ndarray, weight: np.ndarray, sweeps: int = 12) -> np.ndarray:
    """(N, n): many states at once, the units asked in order, one after the other."""
    states = states.copy()
    for _ in range(sweeps):
        for unit in range(states.shape[1]):
            heard = states @ weight[unit]
            states[:, unit] = np.where(heard == 0, states[:, unit], np.sign(heard))
    return states


def overlap_at(load: float, seed: int = 0) -> float:
    """How alike random patterns and where the network leaves them are, 1: all kept."""
    random = np.random.default_rng(seed)
    patterns = random.choice([-1.0, 1.0], (round(load * UNITS), UNITS))
    ends = settle(patterns, energy.hopfield_weights(patterns))
    return float((patterns * ends).mean())


def show(page: LessonPage) -> None:
    page.heading("Storing and recalling")
    page.text(
        "Units are -1 or 1, each joined with every other. **Hebb's rule** stores patterns: units that are alike in a "
        "pattern are joined "
        "by a positive weight, others by a negative one. To recall, each unit in turn takes the sign of what it "
        "hears. No such step "
        "can raise the energy, so it ends in a valley, and stored patterns are valleys."
    )
    page.formula(r"w_{ij}=\frac{1}{n}\sum_ps_i^ps_j^p,\quad w_{ii}=0,\qquad E(s)=-\frac{1}{2}\sum_{ij}s_iw_{ij}s_j")
    random, stored = np.random.default_rng(0), digits()
    weight = projected(stored)
    begun = np.stack([flipped(state, 0.2, random) for state in stored])
    ends = np.stack([energy.hopfield_recall(state, weight, random) for state in begun])
    page.number(
        "recalled", int((ends == stored).all(axis=1).sum()), f"of {len(stored)} digits recalled from 20 % noise"
    )
    before, after = (energy.hopfield_energy(states, weight).mean() for states in (begun, ends))
    page.number("energy_before", before, "mean energy of the noisy digits")
    page.number("energy_after", after, "and where they end")
    hebb = settle(stored, energy.hopfield_weights(stored))
    page.number(
        "hebb_kept", int((hebb == stored).all(axis=1).sum()), f"of {len(stored)} that Hebb's rule alone would keep"
    )
    alike = np.abs(stored @ stored.T / 64 - np.eye(len(stored))).max()
    page.number("alike", alike, "the largest correlation between two of the digits")
    page.text(
        "Digits are alike: most corners are empty in all of them. Hebb's rule is made for patterns that are not, so "
        "here the weights "
        "are the projection on the patterns, which takes out what they have in common; for patterns at right angles "
        "the two are the "
        "same."
    )

    def recall(every):
        for column, states in enumerate((stored, begun, ends)):
            for row, state in enumerate(states):
                title = ("stored", "asked", "recalled")[column] if row == 0 else ""
                paint_picture(every[3 * row + column], state.reshape(8, 8) / 2 + 0.5, title)

    page.figure(recall, "Asked with 13 of 64 pixels wrong", panels=(3, 3), size=(4.4, 4.6))
    _capacity(page)
    _spurious(page)
    page.try_it("gradus lesson boltzmann-machine", "gradus train mnist-rbm")


def _capacity(page: LessonPage) -> None:
    page.heading("How much it holds")
    overlaps = [np.mean([overlap_at(load, seed) for seed in range(2)]) for load in LOADS]
    page.text(
        f"Of random patterns in {UNITS} units, each pattern is noise to the others. Up to about **{CAPACITY} "
        f"patterns a unit** what is "
        "recalled is nearly what was stored (a large network gets about one and a half percent of the units wrong "
        "there); beyond it "
        "memory does not fade, it breaks down. With few units the break is soft."
    )
    page.number("overlap_low", float(overlaps[0]), f"overlap with {LOADS[0]} patterns a unit")
    page.number("overlap_at_capacity", float(overlaps[LOADS.index(CAPACITY)]), f"with {CAPACITY}")
    page.number("overlap_high", float(overlaps[-1]), f"with {LOADS[-1]}")

    def paint(axes):
        axes.plot(LOADS, overlaps, "o-", color=MODEL)
        axes.axvline(CAPACITY, color=MUTED, linewidth=1, linestyle="--")
        axes.set(xlabel="patterns a unit", ylabel="overlap", ylim=(0, 1.05))

    page.figure(paint, "Memory breaks down", note="Dashed: 0.138.")


def _spurious(page: LessonPage) -> None:
    page.heading("Valleys that nobody stored")
    random = np.random.default_rng(3)
    patterns = random.choice([-1.0, 1.0], (5, UNITS))
    weight = energy.hopfield_weights(patterns)
    mixture = np.sign(patterns[:3].sum(axis=0))
    states = np.stack([patterns[0], -patterns[0], mixture])
    ends = settle(states, weight)
    kept = (states * ends).mean(axis=1)
    page.text(
        "The negative of a pattern has the same energy as the pattern. And mixtures of an odd number of patterns, "
        "each unit by "
        "majority, are valleys too, though shallower ones: the network recalls what it never learnt."
    )
    for name, place, says in (
        ("kept_stored", 0, "a stored pattern"),
        ("kept_negative", 1, "its negative"),
        ("kept_mixture", 2, "a mixture of three"),
    ):
        page.number(name, kept[place], f"overlap of {says} with where it ends")
    depths = energy.hopfield_energy(ends, weight)
    page.number("depth_stored", depths[0], "energy of the stored pattern")
    page.number("depth_mixture", depths[2], "and of where the mixture ends")
    begun = random.choice([-1.0, 1.0], (200, UNITS))
    overlaps = np.abs(settle(begun, weight) @ patterns.T / UNITS).max(axis=1)
    page.number("made_up", float((overlaps < 0.95).mean()), "share of random beginnings that end in none of the five")

    def paint(axes):
        axes.hist(overlaps, np.linspace(0, 1, 21), color=SECOND)
        axes.set(xlabel="overlap with the nearest of five patterns", ylabel="of 200 random beginnings")

    page.figure(paint, "Where noise ends")

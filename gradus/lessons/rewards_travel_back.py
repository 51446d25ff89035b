"""How a reward at the end reaches the beginning: decision trees, a corridor, and what alpha and gamma do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.environments.tables import DecisionProcess, process_of_rows
from gradus.lessons.drawing import paint_cells
from gradus.reference import temporal_difference as td

if TYPE_CHECKING:
    from gradus.environments.tables import Rows
    from gradus.lessons.page import LessonPage

# The text's two trees. Its figures are lost but for −100, +1, 1000 and the paths; the other numbers are ours.
REWARDED: Rows = {
    "1": {"left": [(1, 5, "2")], "right": [(1, -1, "3")]},
    "2": {"left": [(1, -100, "4")], "right": [(1, 1, "5")]},
    "3": {"left": [(1, 8, "6")], "right": [(1, 20, "7")]},
}
AT_THE_END: Rows = {
    "1": {"left": [(1, 0, "2")], "right": [(1, 0, "3")]},
    "2": {"left": [(1, 0, "4")], "right": [(1, 0, "5")]},
    "3": {"left": [(1, 0, "6")], "right": [(1, 1000, "7")]},
}
LENGTH = 8  # of the corridor


def path(process: DecisionProcess, values: np.ndarray) -> list[str]:
    """The states that one comes through by the best of `values` (S, A), the first of equals."""
    state, states = int(process.starts.argmax()), []
    while not process.ends[state]:
        states.append(process.states[state])
        state = int(process.chances[state, values[state].argmax()].argmax())
    return [*states, process.states[state]]


def return_along(process: DecisionProcess, values: np.ndarray) -> float:
    return process.return_of(values.argmax(axis=1))


def learn_tree(process: DecisionProcess, episodes: int, gamma: float = 1.0, alpha: float = 0.5) -> np.ndarray:
    """(S, A) after episodes of random actions, seed 0."""
    random = np.random.default_rng(0)
    table: np.ndarray = np.zeros(process.expected.shape)
    for _ in range(episodes):
        state = int(process.starts.argmax())
        while not process.ends[state]:
            action = int(random.integers(table.shape[1]))
            following = int(process.chances[state, action].argmax())
            reward = process.rewards[state, action, following]
            goal = td.q_learning_target(reward, table[following], bool(process.ends[following]), gamma)
            table = td.update(table, state, action, goal, alpha)
            state = following
    return table


def corridor(episodes: int, reward: float, gamma: float, alpha: float) -> np.ndarray:
    """(episodes + 1, LENGTH): what each place of a corridor is held to be worth after so many walks to its end."""
    table = np.zeros((LENGTH + 1, 1))
    seen = [table[:LENGTH, 0].copy()]
    for _ in range(episodes):
        for state in range(LENGTH):
            ended = state == LENGTH - 1
            goal = td.q_learning_target(reward if ended else 0.0, table[state + 1], ended, gamma)
            table = td.update(table, state, 0, goal, alpha)
        seen.append(table[:LENGTH, 0].copy())
    return np.array(seen)


def show(page: LessonPage) -> None:
    page.text(
        "Who takes the best next reward is **greedy**. In this tree greed goes left for 5, and then has the choice between "
        "−100 and an escape for 1; the right-hand way begins with a loss of 1 and ends with 20. **Q-learning** moves what an "
        "action is held to be worth towards its reward plus the best of what follows:"
    )
    page.formula(r"Q(s,a)\leftarrow Q(s,a)+\alpha\,\big(r+\gamma\max_{a'}Q(s',a')-Q(s,a)\big)")
    tree = process_of_rows(REWARDED)
    learnt = learn_tree(tree, 100)
    page.table(
        ("way", "states", "return"),
        [
            ("greedy", " → ".join(path(tree, tree.expected)), return_along(tree, tree.expected)),
            ("Q-learning, 100 random walks", " → ".join(path(tree, learnt)), return_along(tree, learnt)),
        ],
    )
    page.number("greedy", return_along(tree, tree.expected), "return of the greedy way")
    page.number("learnt", return_along(tree, learnt), "return of the learnt way")
    page.number("best", tree.best_return(), "the best there is")
    page.correction(
        "Plain Talk §11.2.5",
        "a path … State3 → Action5 → State3",
        "the last state is another one: in a tree no state comes back",
    )
    page.correction(
        "Plain Talk §11.2.5", "a Monte Carlo tree; dynamic programming", "a plain decision tree, whose values are backed up by "
        "temporal differences; no games are played out at random to their end, and no chances are known",
    )  # fmt: skip
    _at_the_end(page)
    _alpha_and_gamma(page)


def _at_the_end(page: LessonPage) -> None:
    page.heading("A reward at the very end is enough")
    tree = process_of_rows(AT_THE_END)
    learnt = learn_tree(tree, 100)
    page.text(
        "In the second tree nothing is paid on the way, and 1000 at one of four ends. Greed sees four zeros. The maximum "
        "carries the 1000 back, one place a visit; and 1 in place of 1000 gives the same way, since only the order matters."
    )
    page.number("end_learnt", return_along(tree, learnt), "return after 100 random walks")
    small = process_of_rows(
        {s: {a: [(p, r / 1000, t) for p, r, t in ways] for a, ways in acts.items()} for s, acts in AT_THE_END.items()}
    )
    page.number("end_small", return_along(small, learn_tree(small, 100)), "the same where the end pays 1")
    walks = corridor(LENGTH, 1000, 1.0, 1.0)
    page.figure(
        lambda axes: paint_cells(
            axes, walks, shade=True, text_size=7, least=0.5, square=False,
            labels=([f"{k} walks" for k in range(LENGTH + 1)], [str(k) for k in range(LENGTH)]),
        ),
        f"A corridor of {LENGTH} places, 1000 at its end: what each place is held to be worth, α = 1, γ = 1",
        size=(6.4, 3.2),
    )  # fmt: skip
    page.number(
        "walks_needed", int((walks[:, 0] > 0).argmax()), f"walks until the first of {LENGTH} places has heard of it"
    )


def _alpha_and_gamma(page: LessonPage) -> None:
    page.heading("What α and γ do")
    page.text(
        "$\\alpha$ is the learning rate: 0 changes nothing, 1 forgets what was known. It says how fast values come to where "
        "they go, not where that is. $\\gamma$, the discount, says where: what a reward one step later is worth today."
    )
    rows = []
    for alpha in (0.1, 0.5, 1.0):
        for gamma in (0.5, 0.9, 1.0):
            found = corridor(300, 1000, gamma, alpha)[:, 0]
            rows.append((alpha, gamma, found[20], found[300]))
    page.table(("α", "γ", "first place after 20 walks", "after 300"), rows)
    page.number("slow", rows[1][3], "α = 0.1, γ = 0.9 after 300 walks")
    page.number("fast", rows[7][3], "α = 1, γ = 0.9")
    page.number("discounted", 1000 * 0.9 ** (LENGTH - 1), "0.9⁷ × 1000")
    page.correction(
        "Plain Talk §11.2.5",
        "α is how much later income counts",
        "that is γ; α is the learning rate, the step towards the target",
    )
    page.correction(
        "Plain Talk §11.3", "Bellman's equation without γ: Q* = E[r + max Q*]", "Q* = E[r + γ max Q*]; without it values "
        "without an end have no limit",
    )  # fmt: skip

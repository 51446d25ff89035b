"""What a decision is worth: expected rewards, value iteration sweep by sweep, and how large a table of a whole game is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.environments.tables import DecisionProcess, process_of_rows
from gradus.look.charts import MODEL, SECOND, THIRD
from gradus.reference import decisions

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

PRINTED = ((0.35, 3, "S1"), (0.12, 2, "S2"), (0.05, 7, "S3"))  # the rows of the text's table that are printed
# Three states and two actions, as drawn in many introductions. The numbers of the text's own drawing are lost but for +5 and −1.
GRAPH = {
    "S0": {"a0": [(0.5, 0, "S0"), (0.5, 0, "S2")], "a1": [(1.0, 0, "S2")]},
    "S1": {"a0": [(0.7, 5, "S0"), (0.1, 0, "S1"), (0.2, 0, "S2")], "a1": [(0.95, 0, "S1"), (0.05, 0, "S2")]},
    "S2": {"a0": [(0.4, 0, "S0"), (0.6, 0, "S2")], "a1": [(0.3, -1, "S0"), (0.3, 0, "S1"), (0.4, 0, "S2")]},
}
GAMMA = 0.9
# Chinese chess: pieces stand on the crossings of 9 files and 10 ranks. A made-up position in which two moves are thought of
CHESS = {
    "position": {
        "cannon takes chariot": [(0.7, 10, "ahead"), (0.3, 10 - 9, "even")],  # 9: the cannon may be taken back
        "pawn forward": [(0.6, 0, "even"), (0.4, -2, "behind")],
    }
}


def sweeps(process: DecisionProcess, count: int) -> np.ndarray:
    """(count + 1, S): the values from zeros on, sweep by sweep."""
    values = [np.zeros(len(process.states))]
    for _ in range(count):
        values.append(decisions.action_values(values[-1], process.chances, process.expected, GAMMA).max(axis=1))
    return np.array(values)


def show(page: LessonPage) -> None:
    page.text(
        "A **Markov decision process** says for each state and each action what can come of it: with which probability, for "
        "which reward, and in which state one then is. An action is worth its rewards, each times its probability."
    )
    page.formula(r"r(s,a)=\sum_{s'}P(s'\mid s,a)\,R(s,a,s')")
    partial = sum(chance * reward for chance, reward, _ in PRINTED)
    page.table(("probability", "reward", "next state", "product"), [(c, float(r), s, c * r) for c, r, s in PRINTED])
    page.number("expected", partial, "expected reward of these rows", printed=1.64)
    page.number(
        "chances",
        sum(chance for chance, *_ in PRINTED),
        "their probabilities together; the rows left out have the rest",
    )
    chess = process_of_rows(CHESS)
    page.number("chess_points", 9 * 10, "points of a board of Chinese chess, the state of that game", printed="9 × 9")
    page.number(
        "chess_capture", chess.expected[0, 0], "a capture of a chariot (+10) that may cost a cannon, in expectation"
    )
    page.number("chess_pawn", chess.expected[0, 1], "a pawn's step that may lose the pawn (−2)")
    page.correction(
        "Plain Talk §11.2",
        "a tuple (S, A, P(s, s'), R(s, s')), and “hidden” Markov decision process, twice",
        "probability and reward depend on the action too: P(s' | s, a), R(s, a, s'); and nothing is hidden: the state is seen",
    )
    _iterate(page)
    _sizes(page)


def _iterate(page: LessonPage) -> None:
    page.heading("Sweep by sweep")
    process = process_of_rows(GRAPH)
    found = sweeps(process, 60)
    exact = decisions.policy_iteration(process.chances, process.expected, GAMMA)
    page.text(
        "What comes after counts too, each step later by the factor $\\gamma$, the discount: here 0.9. **Value iteration** "
        "starts with zeros and puts the formula's right side in place of the left until nothing changes."
    )
    page.formula(r"V(s)\leftarrow\max_a\Big(r(s,a)+\gamma\sum_{s'}P(s'\mid s,a)\,V(s')\Big)")
    page.table(("sweep", *process.states), [(float(k), *map(float, found[k])) for k in (0, 1, 2, 3, 5, 10, 20, 40, 60)])

    def draw(axes):
        for state, (name, colour) in enumerate(zip(process.states, (MODEL, SECOND, THIRD), strict=True)):
            axes.plot(found[:, state], color=colour, label=name)
            axes.axhline(exact.values[state], color=colour, lw=0.7, ls=":")
        axes.set(xlabel="sweep", ylabel="value")

    page.figure(
        draw, "Values over the sweeps, and where they go", keys=[("model", "S0"), ("second", "S1"), ("third", "S2")]
    )
    for name, value in zip(process.states, exact.values, strict=True):
        page.number(f"value_{name}", float(value), f"value of {name}, exactly (policy iteration)", digits=6)
    page.text(
        "The best actions are "
        + ", ".join(f"{process.actions[a]} in {s}" for s, a in zip(process.states, exact.policy, strict=True))
        + ". In S2 one pays 1 now and then to come to S1, where the 5 is: who only looks at the next reward never does."
    )
    short = decisions.value_iteration(process.chances, process.expected, GAMMA, tolerance=0.009)
    page.text(
        "**When to stop.** A sweep brings all values nearer to the true ones by the factor $\\gamma$ at least. So if it "
        "changed none by more than $d$, they are at most $d\\gamma/(1-\\gamma)$ away: a change of 0.001 leaves up to 0.009."
    )
    page.number("stopped", short.values[0], "S0 where a sweep changed less than 0.001", digits=6)
    page.number("left", exact.values[0] - short.values[0], "what was still missing")
    page.number("bound", short.bound, "the bound")
    greedy = decisions.policy_evaluation(process.expected.argmax(axis=1), process.chances, process.expected, GAMMA)
    page.number("short_sighted", greedy[2], "S2 for an agent that takes the best next reward")


def _sizes(page: LessonPage) -> None:
    page.heading("A table of a whole game")
    frames, actions = 27 * 60 * 5, 9 * 4
    picture = 256 * 225 * 3
    page.text(
        "The text wants a row for each picture of a game (Salamander): it takes 27 minutes, five pictures a second are kept, "
        "each of 256 × 225 pixels of three bytes; the stick has 9 positions, the two buttons 4. The pictures are what is large."
    )
    page.number("states", frames, "states: 27 × 60 × 5", printed=8100)
    page.number("actions", actions, "actions: 9 × 4", printed=36)
    page.number("picture", picture / 1024, "KB a picture", printed=168.75)
    page.number("pictures", frames * picture / 1024, "KB of pictures", printed=1_366_875, digits=7)
    page.number("gigabytes", frames * picture / 1024**3, "GB of pictures", printed=1.3)
    page.number("table", frames * actions / 1024, "KB of the table, one byte each", printed=284.77)
    page.number(
        "terabytes", 10_000 * frames * picture / 1024**4, "TB with 10,000 variants of each picture", printed=12.7
    )
    page.correction(
        "Plain Talk §11.2.4",
        "the positions of stick and buttons are added",
        "they are multiplied: 9 × 4 = 36, as it then counts",
    )
    page.text(
        "A pixel that differs makes a new state, so a table never sees the same state twice. What is needed is a function that "
        "treats similar pictures alike: a network in place of the table."
    )
    page.try_it("gradus train frozenlake", "gradus look RUN values", "gradus train dqn-cartpole")

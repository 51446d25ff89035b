"""What a network holds its world for: the values of its places, the best actions there, and the way of one episode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradus.environments import Environments
from gradus.environments.tables import DecisionProcess
from gradus.errors import UserError
from gradus.look.inside.painting import chart
from gradus.look.inside.sight import Panel, Sight
from gradus.look.text import number
from gradus.look.value_map import best_actions, map_size, paint_map
from gradus.reference import decisions


@dataclass(frozen=True)
class WorldSubject:
    """A network that acts in a world whose states lie on a map.

    action_values (S, A): its own; process: the world's chances; steps: the limit of an episode; discount: that it learnt with
    environment: makes the world to be played in, from a seed
    """

    name: str
    action_values: np.ndarray
    process: DecisionProcess
    steps: int
    discount: float
    environment: Any
    run: Any = None


def values(subject: WorldSubject, inputs: Sequence[str] = (), *, seed: int = 0, exact: bool = True) -> Sight:
    """Each place in the colour of what the best action there is worth, with an arrow for it; the same from the exact solution.

    seed:  of the episode that is drawn: the network's best actions from its first state on
    exact: whether the exact optimal values are drawn too

    Arrays: `action_values` (S, A), `optimal_action_values` (S, A), `path` (T,) states.
    """
    process, layout = subject.process, subject.process.layout
    if layout is None or inputs:
        raise UserError("values: it takes no pictures, and a world whose states lie on a map")
    policy = subject.action_values.argmax(axis=1)
    path, gained, ended = _episode(subject, policy, seed)
    optimal = process.solve(subject.discount).action_values
    ends = np.flatnonzero(process.ends).tolist()
    sight = Sight(
        "values",
        f"What {subject.name} holds its world for",
        said=[
            f"The deeper the blue, the more a place is worth at a discount of {subject.discount:g}; arrows are the best actions, "
            "all of equals.",
            f"The line is one episode: {len(path) - 1} steps, return {number(gained, 4)}"
            + ("." if ended else f", cut off by the limit of {subject.steps} steps."),
        ],
        arrays={"action_values": subject.action_values, "optimal_action_values": optimal, "path": np.array(path)},
        numbers=_measured(subject, policy, optimal),
    )
    for index, sheet in enumerate(layout.sheets):
        sight.panels.append(_panel(subject, f"learnt-{index}", sheet, "as learnt", subject.action_values, path, ends))
        if exact:
            sight.panels.append(_panel(subject, f"exact-{index}", sheet, "exactly", optimal, (), ends))
    return sight


def _panel(
    subject: WorldSubject,
    name: str,
    sheet: str,
    how: str,
    action_values: np.ndarray,
    path: Sequence[int],
    ends: list[int],
) -> Panel:
    layout = subject.process.layout
    assert layout is not None

    def paint(axes, colours) -> None:
        paint_map(axes, colours, layout, sheet, action_values, path=path, ends=ends)

    return chart(name, f"Values {how}" + (f": {sheet}" if sheet else ""), paint, size=map_size(layout, sheet))


def _episode(subject: WorldSubject, policy: np.ndarray, seed: int) -> tuple[list[int], float, bool]:
    """The states of one episode, its return, and whether it came to an end by the rules."""
    made: Environments = subject.environment(seed)
    path = [int(made.observations[0])]
    while True:
        step = made.step([int(policy[path[-1]])])
        path.append(int(step.reached[0]))
        if step.ended[0]:
            made.close()
            return path, float(step.returns[0]), bool(step.terminated[0])


def _measured(subject: WorldSubject, policy: np.ndarray, optimal: np.ndarray) -> dict[str, float]:
    """How near the policy is to the best one, over the places that it comes to."""
    process = subject.process
    best = best_actions(optimal)
    seen = _reached(process, policy)
    right = [policy[state] in best[state] for state in seen]
    own = subject.action_values.max(axis=1)
    exact = decisions.evaluation_within(policy, process.chances, process.expected, subject.steps)
    return {
        "expected_return": float(process.starts @ exact),
        "best_expected_return": process.best_return(subject.steps),
        "places_it_comes_to": len(seen),
        "of_them_with_a_best_action": float(np.mean(right)),
        "largest_error_of_their_values": float(np.abs(own[seen] - optimal[seen].max(axis=1)).max()),
    }


def _reached(process: DecisionProcess, policy: np.ndarray) -> np.ndarray:
    """States that are no ends and that a policy can come to."""
    moves = process.chances[np.arange(len(policy)), policy] > 0
    seen = process.starts > 0
    while True:
        grown = seen | moves[seen].any(axis=0)
        if (grown == seen).all():
            return np.flatnonzero(seen & ~process.ends)
        seen = grown

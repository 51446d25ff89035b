"""Markov decision processes as tables: states, actions, chances, rewards; from rows written down or from gymnasium; played in.

The mathematics (values, best policies) is `gradus.reference.decisions`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from gradus.environments.layout import Layout, layout_of
from gradus.environments.vector import Spaces
from gradus.errors import UserError
from gradus.reference import decisions
from gradus.reference.decisions import Solution

# state -> action -> what can come of it: (probability, reward, next state)
Rows = Mapping[str, Mapping[str, Sequence[tuple[float, float, str]]]]


@dataclass(frozen=True, eq=False, kw_only=True)
class DecisionProcess:
    """What can be done in each state, where it leads, how likely, and for what reward.

    chances: (S, A, S) p(next state | state, action); a row of zeros: the action cannot be taken there. A state in which none can
             is an end: nothing comes after it
    rewards: (S, A, S) of going from a state to a next one by an action
    starts:  (S,) how likely each state is the first one
    layout:  where the states lie on a map, where they do

    Raises `UserError`, with the names of state and action, where chances do not add up to 1.
    """

    states: tuple[str, ...]
    actions: tuple[str, ...]
    chances: np.ndarray
    rewards: np.ndarray
    starts: np.ndarray
    layout: Layout | None = field(default=None)

    def __post_init__(self) -> None:
        wanted = (len(self.states), len(self.actions), len(self.states))
        if self.chances.shape != wanted or self.rewards.shape != wanted or self.starts.shape != wanted[:1]:
            raise UserError(
                f"{wanted[0]} states and {wanted[1]} actions need chances and rewards {wanted} and starts "
                f"({wanted[0]},), not {self.chances.shape}, {self.rewards.shape}, {self.starts.shape}"
            )
        sums = self.chances.sum(axis=2)
        wrong = (self.chances < 0).any(axis=2) | ((np.abs(sums - 1) > 1e-9) & (sums != 0))
        if wrong.any():
            state, action = np.argwhere(wrong)[0]
            raise UserError(
                f"state '{self.states[state]}', action '{self.actions[action]}': the chances of what comes next add up to "
                f"{sums[state, action]:.6g}; they have to be 0 or more and add up to 1"
            )
        if (self.starts < 0).any() or abs(self.starts.sum() - 1) > 1e-9:
            raise UserError(f"the chances of the first state add up to {self.starts.sum():.6g}, not 1")

    @cached_property
    def possible(self) -> np.ndarray:
        """(S, A) bool: which actions can be taken."""
        return np.asarray(self.chances.any(axis=2))

    @cached_property
    def ends(self) -> np.ndarray:
        """(S,) bool: states after which nothing comes."""
        return np.asarray(~self.possible.any(axis=1))

    @cached_property
    def expected(self) -> np.ndarray:
        """(S, A): expected rewards; -inf where an action cannot be taken, 0 in an end."""
        told = decisions.expected_rewards(self.chances, self.rewards)
        return np.where(self.possible, told, np.where(self.ends[:, None], 0.0, -np.inf))

    def solve(self, gamma: float, tolerance: float = 1e-9) -> Solution:
        """The optimal values by value iteration; gamma is the discount."""
        return decisions.value_iteration(self.chances, self.expected, gamma, tolerance)

    def return_of(self, policy: np.ndarray, steps: int | None = None, gamma: float = 1.0) -> float:
        """What a policy (S,) or (S, A) is expected to collect from the first state on: for ever, or within so many steps.

        A policy that need not come to an end has no undiscounted return for ever: -inf.
        """
        try:
            if steps is None:
                values = decisions.policy_evaluation(policy, self.chances, self.expected, gamma)
            else:
                values = decisions.evaluation_within(policy, self.chances, self.expected, steps, gamma)
        except ValueError:
            return -np.inf
        return float(self.starts @ values)

    def best_return(self, steps: int | None = None, gamma: float = 1.0) -> float:
        """The largest expected return there is. Within so many steps: of policies that know how many are left."""
        if steps is None:
            return float(self.starts @ self.solve(gamma).values)
        return float(self.starts @ decisions.finite_horizon(self.chances, self.expected, steps, gamma)[0][-1])


def process_of_rows(rows: Rows, start: str | None = None) -> DecisionProcess:
    """A process from its two-level table: state -> action -> (probability, reward, next state).

    A next state that has no row of its own is an end. start: the first state; None: the first of the table.
    """
    if not rows:
        raise UserError("a table of decisions needs at least one state")
    following = (next_ for acts in rows.values() for ways in acts.values() for *_, next_ in ways)
    states = tuple(dict.fromkeys([*rows, *following]))
    actions = tuple(dict.fromkeys(action for acts in rows.values() for action in acts))
    number = {name: index for index, name in enumerate(states)}
    chances = np.zeros((len(states), len(actions), len(states)))
    gains = np.zeros_like(chances)
    for state, acts in rows.items():
        for action, ways in acts.items():
            for chance, reward, next_ in ways:
                place = number[state], actions.index(action), number[next_]
                chances[place] += chance
                gains[place] += chance * reward
    first = start or states[0]
    if first not in number:
        raise UserError(f"the first state '{first}' is not in the table")
    starts = np.zeros(len(states))
    starts[number[first]] = 1.0
    return DecisionProcess(
        states=states, actions=actions, chances=chances, rewards=_per_chance(gains, chances), starts=starts
    )


def _per_chance(gains: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """Rewards of each (state, action, next state): ways that lead to the same state by different rewards become their mean."""
    return np.divide(gains, chances, out=np.zeros_like(gains), where=chances > 0)


def process_of_gymnasium(environment: Any) -> DecisionProcess:
    """The process of an environment that tells its table `P` and the chances of its first states: gymnasium's toy texts."""
    inner = environment.unwrapped
    table, starts = getattr(inner, "P", None), getattr(inner, "initial_state_distrib", None)
    if table is None or starts is None or getattr(inner, "fickle_passenger", False):
        raise UserError(f"{inner.spec.id}: it does not tell the chances of its steps, so nothing exact is known of it")
    count, acts = len(table), len(table[0])
    chances, gains = np.zeros((count, acts, count)), np.zeros((count, acts, count))
    ends = np.zeros(count, bool)
    for state in range(count):
        for action in range(acts):
            for chance, next_, reward, ended in table[state][action]:
                chances[state, action, next_] += chance
                gains[state, action, next_] += chance * reward
                ends[next_] |= ended
    chances[ends] = gains[ends] = 0  # what the table says of moves after the end is never used
    layout = layout_of(environment)
    return DecisionProcess(
        states=tuple(map(str, range(count))),
        actions=layout.actions if layout else tuple(map(str, range(acts))),
        chances=chances,
        rewards=_per_chance(gains, chances),
        starts=np.asarray(starts, float),
        layout=layout,
    )


class TableEnvironment:
    """A process as an environment: its states are numbers, its chances are drawn.

    max_steps: after so many steps an episode is truncated; 0: never
    """

    def __init__(self, process: DecisionProcess, max_steps: int = 0) -> None:
        self.process, self.max_steps = process, max_steps
        self._ways: dict[tuple[int, int], tuple[list[float], list[int], list[float]]] = {}
        self._first = np.cumsum(process.starts).tolist()

    def reset(self, *, seed: int | None = None) -> tuple[int, dict[str, Any]]:
        self._random = np.random.default_rng(seed)
        self.state, self.steps = bisect_right(self._first, self._random.random() * self._first[-1]), 0
        return self.state, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        summed, next_states, rewards = self._ways_from(self.state, action)
        way = bisect_right(summed, self._random.random() * summed[-1]) if len(summed) > 1 else 0
        self.state, self.steps = next_states[way], self.steps + 1
        ended = bool(self.process.ends[self.state])
        return self.state, rewards[way], ended, self.steps == self.max_steps, {}

    def _ways_from(self, state: int, action: int) -> tuple[list[float], list[int], list[float]]:
        found = self._ways.get((state, action))
        if found is None:
            if not self.process.possible[state, action]:
                names = self.process.states[state], self.process.actions[action]
                raise UserError(f"state '{names[0]}': action '{names[1]}' cannot be taken")
            (next_states,) = self.process.chances[state, action].nonzero()
            summed = np.cumsum(self.process.chances[state, action, next_states])
            rewards = self.process.rewards[state, action, next_states]
            found = self._ways[state, action] = summed.tolist(), next_states.tolist(), rewards.tolist()
        return found

    def render(self) -> str:
        """The map with @ in the place of the state."""
        layout = self.process.layout
        if layout is None:
            raise UserError("a table of decisions has no picture; `gradus look RUN values` draws it")
        _, row, column = layout.place_of(self.state)
        lines = [list(line) for line in layout.cells]
        if row >= 0:
            lines[row][column] = "@"
        return "\n".join(" ".join(line) for line in lines)

    def close(self) -> None:
        """Nothing is held."""


def spaces_of_process(process: DecisionProcess, name: str, max_steps: int = 0) -> Spaces:
    """What is observed and can be done where the process is played."""
    return Spaces(
        name=name,
        shape=(),
        dtype="int64",
        states=len(process.states),
        actions=len(process.actions),
        max_steps=max_steps,
    )

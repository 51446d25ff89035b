"""Markov decision processes as tables: what decisions are worth, and which are the best (Bellman 1957; Howard 1960).

S states, A actions. P (S, A, S): p(next state | state, action); its rows add up to 1, or to 0 in a state after which nothing
comes. r (S, A): the expected reward of an action in a state, -inf where it cannot be taken. gamma, the discount, in [0, 1]: what
a reward one step later is worth today. Values V (S,) are expected sums of discounted rewards from a state on; action values Q
(S, A) those that begin with an action. Rewards and their chances depend on the action as well as on the state.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gradus.reference.catalogue import Entry


@dataclass(frozen=True)
class Solution:
    """values (S,); action_values (S, A); policy (S,): the best action, the first of equals.

    rounds: sweeps of value iteration, or improvements of policy iteration
    bound:  the true values lie within it of `values`; inf where nothing bounds them (value iteration at discount 1)
    """

    values: np.ndarray
    action_values: np.ndarray
    rounds: int
    bound: float

    @property
    def policy(self) -> np.ndarray:
        return self.action_values.argmax(axis=1)


def expected_rewards(chances: np.ndarray, rewards: np.ndarray) -> np.ndarray:
    """(S, A): the sum over next states of chance times reward; chances and rewards (S, A, S)."""
    return (chances * rewards).sum(axis=-1)


def action_values(values: np.ndarray, P: np.ndarray, r: np.ndarray, gamma: float) -> np.ndarray:
    """(S, A): the reward to expect now, and the discounted value of where it leads: Q = r + gamma P V."""
    return r + gamma * (P @ values)


def value_iteration(
    P: np.ndarray, r: np.ndarray, gamma: float, tolerance: float = 1e-9, limit: int = 100_000
) -> Solution:
    """V <- max_a (r + gamma P V), from zeros, until V is within `tolerance` of the optimal values.

    A sweep brings all values nearer to the optimal ones by at least the factor gamma (it is a contraction), so after a sweep that
    changed no value by more than d they are at most d gamma / (1 - gamma) away: that is the rule to stop by. At discount 1
    there is no such bound; there it stops when a sweep changes nothing by more than `tolerance`.
    """
    values = np.zeros(len(r))
    for sweep in range(1, limit + 1):
        new = action_values(values, P, r, gamma).max(axis=1)
        change = float(np.abs(new - values).max())
        values = new
        bound = change * gamma / (1 - gamma) if gamma < 1 else change
        if bound <= tolerance:
            found = action_values(values, P, r, gamma)
            return Solution(values, found, sweep, bound if gamma < 1 else np.inf)
    raise ValueError(f"after {limit} sweeps values still change by {change:.3g}: is there a way that never ends?")


def policy_evaluation(policy: np.ndarray, P: np.ndarray, r: np.ndarray, gamma: float) -> np.ndarray:
    """(S,): the values of a policy, exactly, by solving V = r_pi + gamma P_pi V.

    policy: (S,) the action of each state, or (S, A) the probability of each action
    """
    chances = _as_chances(policy, r)
    moves = np.einsum("sa,sat->st", chances, P)
    rewards = np.where(chances > 0, r, 0.0)  # what cannot be done is not done
    if gamma == 1 and _never_ends(moves):
        raise ValueError("this policy need not come to an end, so at discount 1 it has no value")
    return np.linalg.solve(np.eye(len(r)) - gamma * moves, (chances * rewards).sum(axis=1))


def policy_iteration(P: np.ndarray, r: np.ndarray, gamma: float, policy: np.ndarray | None = None) -> Solution:
    """Evaluates a policy exactly, takes the best action by its values, until none gets better; the values are then optimal.

    policy: (S,) to begin with; None: the best action by its immediate reward. At discount 1 every policy met has to end.
    """
    policy = r.argmax(axis=1) if policy is None else policy
    rows = np.arange(len(r))
    for round_ in range(1, 10_000):
        values = policy_evaluation(policy, P, r, gamma)
        found = action_values(values, P, r, gamma)
        # an action is only changed for a better one, so that equals cannot take turns for ever
        better = found.max(axis=1) > found[rows, policy] + 1e-12 * (1 + np.abs(values))
        if not better.any():
            return Solution(values, found, round_, 0.0)
        policy = np.where(better, found.argmax(axis=1), policy)
    raise ValueError("policy iteration does not come to an end")


def finite_horizon(P: np.ndarray, r: np.ndarray, steps: int, gamma: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Values (steps + 1, S) and best actions (steps, S) when k = 0..steps steps are left (row k - 1 of the actions is for k).

    With an end in sight the best action depends on how many steps are left, not only on the state.
    """
    values, actions = [np.zeros(len(r))], []
    for _ in range(steps):
        found = action_values(values[-1], P, r, gamma)
        values.append(found.max(axis=1))
        actions.append(found.argmax(axis=1))
    return np.array(values), np.array(actions, dtype=np.int64).reshape(steps, len(r))


def evaluation_within(policy: np.ndarray, P: np.ndarray, r: np.ndarray, steps: int, gamma: float = 1.0) -> np.ndarray:
    """(S,): what a policy (S,) or (S, A) collects in expectation within so many steps."""
    chances = _as_chances(policy, r)
    moves = np.einsum("sa,sat->st", chances, P)
    rewards = (chances * np.where(chances > 0, r, 0.0)).sum(axis=1)
    values = np.zeros(len(r))
    for _ in range(steps):
        values = rewards + gamma * (moves @ values)
    return values


def _as_chances(policy: np.ndarray, r: np.ndarray) -> np.ndarray:
    return np.eye(r.shape[1])[policy] if policy.ndim == 1 else policy


def _never_ends(moves: np.ndarray) -> bool:
    """Whether there is a state from which moves (S, S) cannot reach one after which nothing comes."""
    ends = moves.sum(axis=1) < 1 - 1e-9
    for _ in range(len(moves)):
        grown = ends | ((moves > 0) & ends).any(axis=1)
        if (grown == ends).all():
            break
        ends = grown
    return not ends.all()


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="expected reward",
        function="decisions.expected_rewards",
        formula=r"r(s, a) = \sum_{s'} P(s' \mid s, a)\, R(s, a, s')",
        source="Bellman 1957; *Plain Talk* §11.2.1",
        note="The text writes P(s, s') and R(s, s'): both depend on the action too.",
    ),
    Entry(
        name="value iteration",
        function="decisions.value_iteration",
        formula=r"V(s) \leftarrow \max_a \Big( r(s, a) + \gamma \sum_{s'} P(s' \mid s, a)\, V(s') \Big)",
        source="Bellman 1957",
        note="Stops when the largest change of a sweep times γ / (1 - γ) is small: "
        "that bounds the distance to the optimal values.",
    ),
    Entry(
        name="policy evaluation",
        function="decisions.policy_evaluation",
        formula=r"V^\pi = (I - \gamma P_\pi)^{-1} r_\pi",
        source="Howard 1960",
    ),
    Entry(
        name="policy iteration",
        function="decisions.policy_iteration",
        formula=r"\pi(s) \leftarrow \operatorname{argmax}_a \Big( r(s, a) + \gamma \sum_{s'} P(s' \mid s, a)\, V^\pi(s') \Big)",
        source="Howard 1960",
    ),
    Entry(
        name="finite horizon",
        function="decisions.finite_horizon",
        formula=r"V_k(s) = \max_a \Big( r(s, a) + \gamma \sum_{s'} P(s' \mid s, a)\, V_{k-1}(s') \Big),\quad V_0 = 0",
        source="Bellman 1957",
        note="With a limit on the steps the best action depends on how many are left.",
    ),
)

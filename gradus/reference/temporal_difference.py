"""Learning action values from steps, without knowing the chances: Q-learning and its kin. Q (S, A) is a table of action values.

A step is (state, action, reward, next state, whether it ended there). All of them move Q(s, a) by the learning rate alpha towards
a target y = reward + gamma * (what the next state is held to be worth); where the episode ended, y = reward. alpha says how fast
the table follows what happens; gamma, the discount, says what later rewards are worth.
"""

from __future__ import annotations

import numpy as np

from gradus.reference.catalogue import Entry


def update(Q: np.ndarray, state: int, action: int, target: float, alpha: float) -> np.ndarray:
    """A new table with Q(s, a) + alpha (y - Q(s, a)) = (1 - alpha) Q(s, a) + alpha y in that place."""
    new = Q.copy()
    new[state, action] += alpha * (target - Q[state, action])
    return new


def q_learning_target(reward: float, next_values: np.ndarray, ended: bool, gamma: float) -> float:
    """reward + gamma max_a' Q(s', a'): as if the best known action came next, whatever does (off-policy).

    next_values: (A,) the row of the table of the next state
    """
    return reward if ended else float(reward + gamma * next_values.max())


def sarsa_target(reward: float, next_values: np.ndarray, next_action: int, ended: bool, gamma: float) -> float:
    """reward + gamma Q(s', a') of the action a' that is really taken next (on-policy)."""
    return reward if ended else float(reward + gamma * next_values[next_action])


def expected_sarsa_target(
    reward: float, next_values: np.ndarray, chances: np.ndarray, ended: bool, gamma: float
) -> float:
    """reward + gamma sum_a' pi(a' | s') Q(s', a'): the mean over the actions that may be taken next; chances (A,)."""
    return reward if ended else float(reward + gamma * chances @ next_values)


def double_q_target(
    reward: float, next_values: np.ndarray, other_next_values: np.ndarray, ended: bool, gamma: float
) -> float:
    """reward + gamma Q_other(s', argmax_a' Q(s', a')): one table chooses, the other says what it is worth.

    The maximum of noisy values is too high on average; that of a second, independent table at the same place is not.
    """
    return reward if ended else float(reward + gamma * other_next_values[next_values.argmax()])


def epsilon_greedy(values: np.ndarray, epsilon: float) -> np.ndarray:
    """(A,): the chances of the actions: epsilon is shared out evenly, the best (all that are equal) share the rest."""
    best = values == values.max()
    return epsilon / len(values) + (1 - epsilon) * best / best.sum()


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="Q-learning",
        function="temporal_difference.q_learning_target",
        formula=r"Q(s, a) \leftarrow Q(s, a) + \alpha \big( r + \gamma \max_{a'} Q(s', a') - Q(s, a) \big)",
        source="Watkins 1989; *Plain Talk* §11.2",
        note="α is the learning rate. The text reads it as the weight of later income; that is γ.",
    ),
    Entry(
        name="SARSA",
        function="temporal_difference.sarsa_target",
        formula=r"Q(s, a) \leftarrow Q(s, a) + \alpha \big( r + \gamma\, Q(s', a') - Q(s, a) \big)",
        source="Rummery and Niranjan 1994",
    ),
    Entry(
        name="expected SARSA",
        function="temporal_difference.expected_sarsa_target",
        formula=r"y = r + \gamma \sum_{a'} \pi(a' \mid s')\, Q(s', a')",
        source="van Seijen et al. 2009",
    ),
    Entry(
        name="double Q-learning",
        function="temporal_difference.double_q_target",
        formula=r"y = r + \gamma\, Q_2\big(s', \operatorname{argmax}_{a'} Q_1(s', a')\big)",
        source="van Hasselt 2010",
    ),
    Entry(
        name="ε-greedy",
        function="temporal_difference.epsilon_greedy",
        formula=r"\pi(a \mid s) = \frac{\varepsilon}{A} + (1 - \varepsilon)\, [a = \operatorname{argmax} Q(s, \cdot)]",
        range="[0, 1]",
        source="Watkins 1989; *Plain Talk* §11.2",
        note="The random action may be the best one too: it is taken with 1 - ε + ε/A.",
    ),
)

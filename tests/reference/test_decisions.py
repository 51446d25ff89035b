"""Markov decision processes and temporal differences, against cases worked by hand and published values."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from gradus.reference import decisions
from gradus.reference import temporal_difference as td

# Two states, worked by hand at discount 1/2. In A one may stay for 1, or go to B, which succeeds with 2/3. In B staying pays 3,
# "go" leads back to A. V(B) = 3 + V(B)/2 = 6; going: V(A) = (2/3 V(B) + 1/3 V(A)) / 2 = 2 + V(A)/6 = 12/5; staying: 1 + 6/5.
P = np.array([[[1, 0], [1 / 3, 2 / 3]], [[0, 1], [1, 0]]])
R = np.array([[1.0, 0.0], [3.0, 0.0]])
BY_HAND = np.array([[Fraction(11, 5), Fraction(12, 5)], [Fraction(6), Fraction(6, 5)]]).astype(float)


def random_process(states: int, actions: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.dirichlet(np.ones(states), (states, actions)), random.normal(size=(states, actions))


@pytest.mark.parametrize("method", [decisions.value_iteration, decisions.policy_iteration])
def test_both_iterations_find_what_was_worked_by_hand(method):
    found = method(P, R, 0.5)
    np.testing.assert_allclose(found.action_values, BY_HAND, rtol=1e-8)
    assert found.policy.tolist() == [1, 0]


def test_the_first_sweeps_are_those_of_the_hand():
    exact = np.vectorize(Fraction)(np.array([[[3, 0], [1, 2]], [[0, 3], [3, 0]]]), 3)
    values = np.array([Fraction(0), Fraction(0)])
    seen = []
    for _ in range(3):
        values = decisions.action_values(values, exact, R.astype(int), Fraction(1, 2)).max(axis=1)
        seen.append(values.tolist())
    assert seen == [[1, 3], [Fraction(3, 2), Fraction(9, 2)], [Fraction(7, 4), Fraction(21, 4)]]


def test_a_policy_is_evaluated_exactly_drawn_actions_too():
    np.testing.assert_allclose(decisions.policy_evaluation(np.array([0, 0]), P, R, 0.5), [2, 6])
    # always half of each: V(A) = 1/2 + (2/3 V(A) + 1/3 V(B)) / 2, V(B) = 3/2 + (V(A) + V(B)) / 4
    wanted = np.linalg.solve([[2 / 3, -1 / 6], [-1 / 4, 3 / 4]], [1 / 2, 3 / 2])
    np.testing.assert_allclose(decisions.policy_evaluation(np.full((2, 2), 0.5), P, R, 0.5), wanted)


def test_values_are_within_the_bound_that_the_contraction_gives():
    chances, rewards = random_process(12, 3, 0)
    true = decisions.policy_iteration(chances, rewards, 0.9).values
    for tolerance in (1.0, 0.1, 0.001):
        found = decisions.value_iteration(chances, rewards, 0.9, tolerance)
        assert np.abs(found.values - true).max() <= found.bound <= tolerance
    values = np.zeros(12)
    for _ in range(5):  # each sweep comes nearer by the factor gamma at least
        new = decisions.action_values(values, chances, rewards, 0.9).max(axis=1)
        assert np.abs(new - true).max() <= 0.9 * np.abs(values - true).max() + 1e-12
        values = new


def test_policy_iteration_never_gets_worse_and_needs_few_rounds():
    chances, rewards = random_process(30, 4, 1)
    policy = rewards.argmax(axis=1)
    before = decisions.policy_evaluation(policy, chances, rewards, 0.95)
    found = decisions.policy_iteration(chances, rewards, 0.95)
    assert (found.values >= before - 1e-9).all() and found.rounds < 10
    np.testing.assert_allclose(found.values, decisions.value_iteration(chances, rewards, 0.95).values, atol=1e-8)


def test_with_few_steps_left_something_else_is_best():
    values, actions = decisions.finite_horizon(P, R, 3)
    # one step left in A: stay for 1. Two: stay + stay = 2 = go, then 2/3 * 3 = 2 (+ 1/3 * 1): going is better
    assert actions[:, 0].tolist() == [0, 1, 1]
    np.testing.assert_allclose(values[:, 0], [0, 1, 7 / 3, (7 / 3) / 3 + (2 / 3) * 6])
    stay = decisions.evaluation_within(np.array([0, 0]), P, R, 3)
    np.testing.assert_allclose(stay, [3, 9])


def test_rewards_and_chances_depend_on_the_action():
    """The text's P(s, s') and R(s, s') could not tell these two actions apart (X-11)."""
    chances = np.array([[[0.0, 1.0], [0.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]])
    rewards = np.array([[[0.0, -5.0], [0.0, 2.0]], [[0.0, 0.0], [0.0, 0.0]]])
    assert decisions.expected_rewards(chances, rewards)[0].tolist() == [-5, 2]


def test_undiscounted_values_need_an_end():
    ring = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]])
    rewards = np.array([[-1.0, -1.0], [0.0, 0.0]])
    assert decisions.policy_evaluation(np.array([1, 0]), ring, rewards, 1.0).tolist() == [-1, 0]
    with pytest.raises(ValueError, match="need not come to an end"):
        decisions.policy_evaluation(np.array([0, 0]), ring, rewards, 1.0)
    assert decisions.value_iteration(ring, rewards, 1.0).values.tolist() == [-1, 0]


def test_targets_by_hand():
    row = np.array([1.0, 4.0, 2.0])
    assert td.q_learning_target(10, row, False, 0.5) == 12
    assert td.sarsa_target(10, row, 2, False, 0.5) == 11
    assert td.expected_sarsa_target(10, row, np.array([0.5, 0.25, 0.25]), False, 0.5) == 11
    assert (
        td.double_q_target(10, row, np.array([0.0, 6.0, 9.0]), False, 0.5) == 13
    )  # chosen by one, valued by the other
    for target in (
        td.q_learning_target(10, row, True, 0.5),
        td.sarsa_target(10, row, 2, True, 0.5),
        td.expected_sarsa_target(10, row, np.full(3, 1 / 3), True, 0.5),
        td.double_q_target(10, row, row, True, 0.5),
    ):
        assert target == 10


def test_alpha_is_how_fast_and_gamma_how_far():
    """alpha 0 changes nothing, alpha 1 takes the target over; what later income counts is gamma alone (X-10)."""
    table = np.array([[2.0, 0.0], [8.0, 3.0]])
    target = td.q_learning_target(1, table[1], False, 0.5)
    assert [td.update(table, 0, 0, target, alpha)[0, 0] for alpha in (0, 0.25, 1)] == [2, 2.75, 5]
    assert table[0, 0] == 2
    # where the table ends up does not depend on alpha, only on gamma
    for gamma, wanted in ((0.0, 1.0), (0.5, 5.0), (1.0, 9.0)):
        ends = []
        for alpha in (0.1, 0.7):
            learnt = table
            for _ in range(300):
                learnt = td.update(learnt, 0, 0, td.q_learning_target(1, learnt[1], False, gamma), alpha)
            ends.append(learnt[0, 0])
        np.testing.assert_allclose(ends, wanted)


def test_epsilon_is_shared_by_all_actions_the_best_one_too():
    np.testing.assert_allclose(td.epsilon_greedy(np.array([1.0, 3.0, 0.0, 2.0]), 0.2), [0.05, 0.85, 0.05, 0.05])
    np.testing.assert_allclose(td.epsilon_greedy(np.array([3.0, 3.0, 0.0, 2.0]), 0.0), [0.5, 0.5, 0, 0])

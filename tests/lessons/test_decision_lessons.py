"""Lessons on acting for rewards: their numbers against the texts' and against hand calculation."""

from __future__ import annotations

import numpy as np
import pytest
from pages import numbers

from gradus.environments.tables import process_of_rows
from gradus.lessons import beside_a_cliff, rewards_travel_back
from gradus.reference import decisions


def test_the_printed_numbers_of_decisions_and_tables():
    found = numbers("decisions")
    assert found["expected"] == pytest.approx(1.64) and found["chances"] == pytest.approx(
        0.52
    )  # a row that is not whole
    assert found["chess_points"] == 90  # the text: 9 × 9
    assert found["chess_capture"] == pytest.approx(0.7 * 10 + 0.3) and found["chess_pawn"] == pytest.approx(-0.8)
    assert (found["states"], found["actions"], found["picture"], found["pictures"]) == (8_100, 36, 168.75, 1_366_875)
    assert [found[name] for name in ("gigabytes", "table", "terabytes")] == pytest.approx(
        [1.3036, 284.77, 12.73], abs=5e-3
    )
    assert found["stopped"] == pytest.approx(3.78103, abs=1e-5)
    assert found["left"] <= found["bound"] + 1e-6 and found["bound"] == pytest.approx(0.009, rel=0.02)
    assert found["short_sighted"] == pytest.approx(0, abs=1e-9) and found["value_S2"] > 4.2


def test_greed_and_q_learning_part_ways_in_the_trees():
    tree = process_of_rows(rewards_travel_back.REWARDED)
    learnt = rewards_travel_back.learn_tree(tree, 100)
    assert rewards_travel_back.path(tree, tree.expected) == [
        "1",
        "2",
        "5",
    ]  # no state comes back: the text ends in State3 again
    assert rewards_travel_back.path(tree, learnt) == ["1", "3", "7"]
    found = numbers("rewards-travel-back")
    assert (found["greedy"], found["learnt"], found["best"]) == (5 + 1, -1 + 20, 19)


def test_a_reward_at_the_end_of_1000_or_of_1_is_enough():
    found = numbers("rewards-travel-back")
    assert found["end_learnt"] == 1000 and found["end_small"] == pytest.approx(1)
    assert found["walks_needed"] == rewards_travel_back.LENGTH  # one place a walk
    thousand, one = (rewards_travel_back.corridor(20, reward, 0.9, 0.5) for reward in (1000, 1))
    np.testing.assert_allclose(thousand, 1000 * one)


def test_gamma_says_where_values_go_and_alpha_only_how_fast():
    found = numbers("rewards-travel-back")
    assert found["slow"] == pytest.approx(found["discounted"], rel=1e-3)
    assert found["fast"] == pytest.approx(found["discounted"])
    early = rewards_travel_back.corridor(20, 1000, 0.9, 0.1)[-1, 0]
    assert early < 0.1 * found["discounted"]


def test_bellman_needs_its_discount():
    """Without gamma the values of a process without an end have no limit."""
    for_ever = process_of_rows({"S": {"a": [(1, 1, "S")]}})
    assert for_ever.solve(0.9).values[0] == pytest.approx(10)
    with pytest.raises(ValueError, match="never ends"):
        decisions.value_iteration(for_ever.chances, for_ever.expected, 1.0, limit=500)


def test_on_and_off_policy_beside_the_cliff():
    found = numbers("beside-a-cliff")
    assert found["edge"] == -13 and found["careful"] < found["edge"]
    assert found["careful_stumbling"] > found["edge_stumbling"] + 20
    assert found["acting_sarsa"] > found["acting_q_learning"] + 10
    without = beside_a_cliff.ways(0.0)
    assert without["edge"] == without["careful"] == pytest.approx((-13, -13))
    assert found["far_0"] == 0 and found["far_1"] == 1  # who never tries anything keeps what paid first

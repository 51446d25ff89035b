"""Decision processes as tables: checks that name the row, known values of known worlds, worlds that are played in."""

from __future__ import annotations

import numpy as np
import pytest

from gradus.environments import decision_process, make_environments
from gradus.environments.grids import GridOptions, grid_world
from gradus.environments.tables import process_of_rows
from gradus.errors import UserError

# The process with three states, two actions and rewards of +5 and -1 that is drawn in many introductions
GRAPH = {
    "S0": {"a0": [(0.5, 0, "S0"), (0.5, 0, "S2")], "a1": [(1.0, 0, "S2")]},
    "S1": {"a0": [(0.7, 5, "S0"), (0.1, 0, "S1"), (0.2, 0, "S2")], "a1": [(0.95, 0, "S1"), (0.05, 0, "S2")]},
    "S2": {"a0": [(0.4, 0, "S0"), (0.6, 0, "S2")], "a1": [(0.3, -1, "S0"), (0.3, 0, "S1"), (0.4, 0, "S2")]},
}


def test_the_graph_of_three_states_has_its_known_values():
    """3.781, 7.294, 4.202 are handed round; who stops when a sweep changes less than 0.001 is up to 0.009 away from the truth."""
    process = process_of_rows(GRAPH)
    stopped, true = process.solve(0.9, tolerance=0.009), process.solve(0.9)
    np.testing.assert_allclose(stopped.values, [3.7810, 7.2940, 4.2021], atol=1e-4)
    np.testing.assert_allclose(true.values - stopped.values, stopped.bound, rtol=0.1)
    assert true.policy.tolist() == [1, 0, 1]


def test_the_printed_row_is_1_64_and_no_whole_row():
    """E-15: 0.35 * 3 + 0.12 * 2 + 0.05 * 7; the dots of the text stand for chances of 0.48."""
    printed = [(0.35, 3, "S1"), (0.12, 2, "S2"), (0.05, 7, "S3")]
    with pytest.raises(UserError, match=r"state 'S0', action 'a': .* add up to 0.52"):
        process_of_rows({"S0": {"a": printed}})
    whole = process_of_rows({"S0": {"a": [*printed, (0.48, 0, "S4")]}})
    assert whole.expected[0, 0] == pytest.approx(1.64)
    assert whole.ends.tolist() == [False, True, True, True, True]


def test_ways_to_the_same_state_by_different_rewards_become_their_mean():
    process = process_of_rows({"S": {"a": [(0.25, 8, "T"), (0.75, 0, "T")]}})
    assert process.chances[0, 0, 1] == 1 and process.rewards[0, 0, 1] == 2


def test_an_action_that_cannot_be_taken_is_never_the_best():
    process = process_of_rows({"S": {"a": [(1, -9, "T")]}, "T": {"b": [(1, -1, "U")]}})
    found = process.solve(1.0)
    assert found.policy[:2].tolist() == [0, 1] and found.values.tolist() == [-10, -1, 0]
    with pytest.raises(UserError, match="state 'S': action 'b' cannot be taken"):
        from gradus.environments.tables import TableEnvironment

        played = TableEnvironment(process)
        played.reset(seed=0)
        played.step(1)


@pytest.mark.parametrize(
    ("source", "options", "values"),
    [
        # (for ever, within the limit of steps, what the best policy for ever collects within it), undiscounted
        ("gym:FrozenLake-v1", {}, (14 / 17, 0.74419, 0.74016)),
        ("gym:FrozenLake8x8-v1", {}, (1, 0.91322, None)),
        ("gym:FrozenLake-v1", {"is_slippery": False}, (1, 1, None)),
        ("gym:CliffWalking", {}, (-13, -13, -13)),
        ("gym:Taxi", {}, (7.93, 7.93, 7.93)),
        ("grid:cliff", {}, (-13, -13, -13)),
        ("grid:windy", {}, (-15, -15, -15)),
    ],
)
def test_known_worlds_have_their_known_optima(source, options, values):
    if source.startswith("gym:"):
        pytest.importorskip("gymnasium")
    process = decision_process(source, options)
    steps = 200 if "Taxi" in source or "8x8" in source else 100
    found = process.solve(1.0, 1e-10)
    assert process.starts @ found.values == pytest.approx(values[0], abs=1e-5)
    assert process.best_return(steps) == pytest.approx(values[1], abs=1e-5)
    if values[2] is not None:
        assert process.return_of(found.policy, steps) == pytest.approx(values[2], abs=1e-5)


def test_the_grid_of_russell_and_norvig_has_its_printed_utilities():
    process = decision_process("grid:russell")
    values = process.solve(1.0).values
    printed = [0.812, 0.868, 0.918, 0, 0.762, 0.660, 0, 0.705, 0.655, 0.611, 0.388]
    np.testing.assert_allclose(values, printed, atol=5e-4)


def test_a_world_that_is_played_follows_its_chances():
    process = process_of_rows({"S": {"a": [(0.2, 1, "T"), (0.5, 2, "U"), (0.3, 3, "V")]}})
    from gradus.environments.tables import TableEnvironment

    played = TableEnvironment(process)
    gains = []
    for seed in range(2000):
        played.reset(seed=seed)
        gains.append(played.step(0)[1])
    shares = np.bincount(np.array(gains, int), minlength=4)[1:] / len(gains)
    np.testing.assert_allclose(shares, [0.2, 0.5, 0.3], atol=0.04)


def test_our_cliff_is_that_of_gymnasium():
    pytest.importorskip("gymnasium")
    ours = make_environments("grid:cliff", options={"max_episode_steps": 60})
    theirs = make_environments("gym:CliffWalking", options={"max_episode_steps": 60})
    for action in np.random.default_rng(0).integers(0, 4, 300):
        one, other = ours.step([action]), theirs.step([action])
        assert one.rewards == other.rewards and one.terminated == other.terminated and one.truncated == other.truncated
        names = ours.each[0].process.states
        assert names[one.observations[0]] == str(divmod(int(other.observations[0]), 12))


def test_the_map_is_drawn_with_the_agent_on_it():
    world = make_environments("grid:cliff", options={"render_mode": "ansi"})
    world.step([0])
    lines = world.each[0].render().splitlines()
    assert len(lines) == 4 and lines[2].startswith("@ .") and lines[3].startswith("S C") and lines[3].endswith("C G")
    with pytest.raises(UserError, match="drawn as text"):
        make_environments("grid:cliff", options={"render_mode": "rgb_array"})


def test_walls_wind_and_slips():
    process = grid_world("S1#G", GridOptions(slip=0.5))
    states = list(process.states)
    assert states == ["(0, 0)", "(0, 1)", "(0, 3)"]
    right = process.chances[1, 1]  # a wall in front, a wall of the map at both sides: it stays
    assert right[1] == 1
    np.testing.assert_allclose(process.chances[0, 1], [0.5, 0.5, 0])  # half of the steps slip, up or down, and stay


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("S.\n...G", "line 2 of the map has 4 cells"),
        ("S.x\n..G", "'x' means nothing"),
        ("...\n..G", "a start"),
        ("S..", "an end"),
        ("", "empty"),
    ],
)
def test_maps_that_are_none(text, told):
    with pytest.raises(UserError, match=told):
        grid_world(text)


def test_a_map_of_ones_own_and_mistakes_in_names(tmp_path):
    (tmp_path / "own.txt").write_text("S.G\n")
    made = make_environments(f"grid:{tmp_path / 'own.txt'}", 2, options={"step": -2, "max_episode_steps": 5})
    assert made.spaces.states == 3 and made.step([1, 3]).rewards.tolist() == [-2, -2]
    with pytest.raises(UserError, match="did you mean 'cliff'"):
        make_environments("grid:clif")
    with pytest.raises(UserError, match="did you mean 'slip'"):
        make_environments("grid:cliff", options={"slipp": 1})
    pytest.importorskip("gymnasium")
    with pytest.raises(UserError, match="does not tell the chances"):
        decision_process("gym:CartPole-v1")

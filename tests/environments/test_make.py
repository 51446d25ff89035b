"""Environments side by side: what ends and what is cut off, seeds, coming back to where they stood, mistakes in names."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from gradus.environments import Environments, Spaces, make_environments
from gradus.environments.make import USUAL_LIMIT
from gradus.errors import UserError

SPACES = Spaces(name="corridor", shape=(), dtype="int64", states=5, actions=2)


class Corridor:
    """States 0..4; action 1 goes right; 4 ends it with reward 1. Truncated after 6 steps. The seed is the first state, 0 or 1."""

    def reset(self, *, seed=None):
        self.at, self.steps = seed % 2, 0
        return self.at, {}

    def step(self, action):
        self.at, self.steps = max(self.at + (1 if action else -1), 0), self.steps + 1
        return self.at, float(self.at == 4), self.at == 4, self.steps == 6, {}

    def render(self):
        return np.zeros((2, 2, 3), np.uint8)

    def close(self):
        self.closed = True


def corridors(count: int, seed: int = 0) -> Environments:
    return Environments([Corridor] * count, SPACES, seed)


def test_what_a_limit_cuts_off_is_told_apart_from_what_ends_and_keeps_its_last_observation():
    environments = corridors(2)
    start = environments.reset()
    steps = [environments.step([1, 0]) for _ in range(6)]
    arrives = 4 - start[0] - 1  # index of the step that reaches state 4
    assert steps[arrives].terminated.tolist() == [True, False] and not steps[arrives].truncated.any()
    assert steps[arrives].reached[0] == 4 and steps[arrives].observations[0] in (0, 1)  # a new episode began
    assert steps[arrives].returns[0] == 1 and steps[arrives].lengths[0] == arrives + 1
    assert steps[arrives + 1].lengths[0] == 1 and steps[arrives + 1].returns[0] == 0
    assert steps[5].truncated[1] and not steps[5].terminated[1] and steps[5].reached[1] == 0


def test_an_end_at_the_limit_is_an_end():
    environments = corridors(1)
    environments.reset()
    last = [environments.step([action]) for action in [0, 0, 1, 1, 1, 1]][-1]
    assert last.lengths[0] == 6 and last.reached[0] == 4
    assert last.terminated[0] and not last.truncated[0]


def test_seeds_differ_between_environments_and_episodes_and_not_between_runs():
    starts = [corridors(16, seed).reset().tolist() for seed in (0, 0, 1)]
    assert starts[0] == starts[1] != starts[2] and len(set(starts[0])) == 2
    environments = corridors(1)
    assert len({int(environments.reset()[0]) for _ in range(12) if environments.step([0]) is not None}) == 2


@pytest.mark.parametrize("source", ["gym:CartPole-v1", "gym:FrozenLake-v1"])
def test_environments_come_back_to_where_they_stood(source):
    pytest.importorskip("gymnasium")
    actions = np.random.default_rng(0).integers(0, 2, (80, 3))
    first, second = make_environments(source, 3, seed=7), make_environments(source, 3, seed=7)
    for action in actions[:50]:
        first.step(action)
    second.restore(first.state())
    np.testing.assert_array_equal(first.observations, second.observations)
    for action in actions[50:]:
        one, other = first.step(action), second.step(action)
        for name, value in vars(one).items():
            np.testing.assert_array_equal(value, getattr(other, name), err_msg=name)


def test_spaces_are_plain_facts():
    pytest.importorskip("gymnasium")
    pole = make_environments("gym:CartPole-v1").spaces
    assert (pole.shape, pole.dtype, pole.states, pole.actions, pole.max_steps) == ((4,), "float32", 0, 2, 500)
    lake = make_environments("gym:FrozenLake", options={"max_episode_steps": 30}).spaces  # the newest version
    assert (lake.shape, lake.states, lake.actions, lake.max_steps) == ((), 16, 4, 30)
    assert lake.name.startswith("FrozenLake-v")


def test_actions_of_numbers_are_shares_of_what_there_is():
    """Pendulum's motor turns with -2 to 2, and costs 0.001 of its square; beyond the ends it is at the end."""
    pytest.importorskip("gymnasium")
    costs = []
    for share in (0.0, 0.5, 1.0, 3.0, -1.0):
        made = make_environments("gym:Pendulum-v1", 2, seed=5)
        assert (made.spaces.actions, made.spaces.numbers, made.spaces.shape) == (0, 1, (3,))
        costs.append(-made.step([[share], [0.0]]).rewards)
    np.testing.assert_allclose(np.array(costs)[:, 0] - costs[0][0], [0, 0.001, 0.004, 0.004, 0.004], atol=1e-6)
    with pytest.raises(UserError, match=r"shape \(2, 1\) are needed, received \(2,\)"):
        made.step([0.0, 0.0])


def test_actions_of_numbers_are_taken_again():
    pytest.importorskip("gymnasium")
    first, second = (make_environments("gym:Pendulum-v1", 3, seed=2) for _ in range(2))
    actions = np.random.default_rng(0).normal(size=(250, 3, 1)).astype(np.float32)
    for action in actions[:220]:  # an episode has 200
        first.step(action)
    second.restore(first.state())
    for action in actions[220:]:
        one, other = first.step(action), second.step(action)
        np.testing.assert_array_equal(one.observations, other.observations)
        np.testing.assert_array_equal(one.returns, other.returns)


def test_what_an_environment_of_numbers_is_wrapped_in_is_asked_first():
    gymnasium = pytest.importorskip("gymnasium")
    made = make_environments("gym:Pendulum-v1", 2, wrap=lambda one: gymnasium.wrappers.DiscretizeAction(one, 5))
    assert (made.spaces.actions, made.spaces.numbers) == (5, 0)


def test_no_action_lies_beyond_its_bounds(monkeypatch):
    gymnasium = pytest.importorskip("gymnasium")
    from gymnasium.envs.classic_control import PendulumEnv

    low, high = (np.sort(np.random.default_rng(0).normal(size=(2, 200)), axis=0)).astype(np.float32)
    low[0] = high[0]  # no choice at all
    taken = []

    class Strict(PendulumEnv):
        def __init__(self):
            super().__init__()
            self.action_space = gymnasium.spaces.Box(low, high)

        def step(self, action):
            taken.append(action)
            return super().step(action[:1])

    monkeypatch.setitem(gymnasium.registry, "Strict-v0", gymnasium.envs.registration.EnvSpec("Strict-v0", Strict))
    made = make_environments("gym:Strict-v0")
    for share in (-1.0, 1.0, -2.0, 0.3):
        made.step(np.full((1, 200), share))
    assert all((low <= action).all() and (action <= high).all() for action in taken)
    np.testing.assert_array_equal(taken[1], high)


@pytest.mark.parametrize(
    "space",
    [
        lambda spaces: spaces.Box(-np.inf, np.inf, (2,)),
        lambda spaces: spaces.Box(-1, 1, (2, 2)),
        lambda spaces: spaces.Box(-3.4e38, 3.4e38, (2,)),
        lambda spaces: spaces.MultiDiscrete([2, 3]),
    ],
)
def test_other_actions_are_refused(space, monkeypatch):
    gymnasium = pytest.importorskip("gymnasium")
    from gymnasium.envs.classic_control import PendulumEnv

    class Strange(PendulumEnv):
        def __init__(self):
            super().__init__()
            self.action_space = space(gymnasium.spaces)

    monkeypatch.setitem(gymnasium.registry, "Strange-v0", gymnasium.envs.registration.EnvSpec("Strange-v0", Strange))
    with pytest.raises(UserError, match="its actions are"):
        make_environments("gym:Strange-v0")


def test_a_world_without_a_limit_gets_one_and_others_keep_theirs():
    for name in ("grid:cliff", "gym:CliffWalking"):
        if name.startswith("gym"):
            pytest.importorskip("gymnasium")
        made = make_environments(name, 2)
        assert made.spaces.limited and made.spaces.max_steps == USUAL_LIMIT
        steps = [made.step([0, 0]) for _ in range(USUAL_LIMIT)]  # up, against the wall
        assert steps[-1].truncated.all() and not any(step.ended.any() for step in steps[:-1])
        given = make_environments(name, options={"max_episode_steps": 7}).spaces
        assert given.max_steps == 7 and not given.limited
    assert not make_environments("gym:CartPole-v1").spaces.limited


def test_what_the_environments_are_wrapped_in_takes_their_place():
    gymnasium = pytest.importorskip("gymnasium")
    made = make_environments("gym:CartPole-v1", 2, wrap=lambda one: gymnasium.wrappers.FrameStackObservation(one, 4))
    assert made.spaces.shape == (4, 4) and made.reset().shape == (2, 4, 4)


@pytest.mark.parametrize(
    ("source", "options", "told"),
    [
        ("gym:CartPol-v1", {}, "did you mean 'CartPole-v1'"),
        ("gym:FrozenLake-v9", {}, "did you mean 'FrozenLake-v1'"),
        ("gym:Blackjack-v1", {}, "only arrays and numbered states"),
        ("gym:FrozenLake-v1", {"slip": True}, "'slip'"),
        ("mnist", {}, "gym:CartPole-v1"),
        ("grid:cliff", {"max_episode_steps": 0}, "max_episode_steps: expected a whole number above 0, received 0"),
    ],
)
def test_mistakes_are_told(source, options, told):
    pytest.importorskip("gymnasium")
    with pytest.raises(UserError, match=told):
        make_environments(source, options=options)


def test_a_missing_package_is_told_by_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(UserError, match=r"pip install 'gradus\[rl\]'"):
        make_environments("gym:CartPole-v1")

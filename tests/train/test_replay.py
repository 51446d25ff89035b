"""The replay against transitions put together by hand, step by step; priorities against their definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gradus.environments import Environments, Spaces
from gradus.train.replay import SMALLEST_PRIORITY, Replay, SumTree

CPU = torch.device("cpu")
DISCOUNT = 0.9
SPACES = Spaces(name="clock", shape=(3, 2), dtype="float32", actions=2)


class Clock:
    """Observation: the last three frames, each (episode's seed, step); action 1 ends it by the rules, step 7 by the limit."""

    def reset(self, *, seed=None):
        self.frames = [np.array([seed % 1000, 0.0])] * 3
        self.steps = 0
        return np.stack(self.frames), {}

    def step(self, action):
        self.steps += 1
        self.frames = [*self.frames[1:], np.array([self.frames[0][0], self.steps])]
        return np.stack(self.frames), self.frames[0][0] / 100 + self.steps, bool(action), self.steps == 7, {}

    def close(self):
        pass


def played(replay: Replay, environments: int, steps: int) -> list[list[dict]]:
    """Plays into the replay, and keeps everything: the steps of each environment."""
    worlds, random = Environments([Clock] * environments, SPACES, seed=3), np.random.default_rng(1)
    kept: list[list[dict]] = [[] for _ in range(environments)]
    for _ in range(steps):
        before, actions = worlds.observations, (random.random(environments) < 0.15).astype(np.int64)
        step = worlds.step(actions)
        replay.add(before, actions, step)
        for index in range(environments):
            each = {name: getattr(step, name)[index] for name in ("reached", "rewards", "terminated", "truncated")}
            kept[index].append({"before": before[index], "action": actions[index], **each})
    return kept


def by_hand(steps: list[dict], first: int, n: int) -> tuple[float, float, np.ndarray]:
    """Return, discount and last observation of up to n steps from `first` on."""
    total = 0.0
    for ahead, step in enumerate(steps[first : first + n]):
        total += DISCOUNT**ahead * step["rewards"]
        if step["terminated"]:
            return total, 0.0, step["reached"]
        if step["truncated"]:
            break
    return total, DISCOUNT ** (ahead + 1), step["reached"]


@pytest.mark.parametrize(("n", "stacked", "size"), [(1, 0, 1000), (3, 0, 60), (1, 3, 60), (3, 3, 1000)])
def test_what_is_drawn_is_what_was_lived_through(n, stacked, size):
    replay = Replay(size, 2, SPACES.shape, SPACES.dtype, CPU, discount=DISCOUNT, steps=n, stacked=stacked)
    kept = played(replay, 2, 120)
    known = {}
    for steps in kept:
        for first, step in enumerate(steps):
            whole = first + n < len(steps) or any(s["terminated"] or s["truncated"] for s in steps[first:])
            if whole:
                known[step["before"].tobytes()] = (step["action"], *by_hand(steps, first, n))
    torch.manual_seed(0)
    batch = replay.sample(2000)
    drawn = set()
    for row in range(2000):
        key = batch["observations"][row].numpy().tobytes()
        action, total, discount, reached = known[key]
        drawn.add(key)
        assert batch["actions"][row] == action
        assert batch["returns"][row].item() == pytest.approx(total, rel=1e-6)
        assert batch["discounts"][row].item() == pytest.approx(discount, rel=1e-6)
        if discount:
            assert np.array_equal(batch["following"][row].numpy(), reached)
    if size == 1000:  # nothing was forgotten
        assert len(replay) == len(known) == len(drawn)
    else:
        assert 30 < len(replay) < size and len(drawn) == len(replay)


def test_a_sum_tree_finds_as_running_sums_do():
    random = np.random.default_rng(0)
    values = random.random(13) * (random.random(13) < 0.7)
    tree = SumTree(13)
    tree.set(np.arange(13), np.ones(13))
    tree.set(np.arange(13), values)
    sums = random.random(500) * tree.total
    assert tree.total == pytest.approx(values.sum())
    assert np.array_equal(tree.find(sums), np.searchsorted(np.cumsum(values), sums, side="right"))
    assert values[tree.find(np.array([0.0, tree.total]))].all()  # rounding never leads to a row without priority


def test_priorities_decide_how_often_and_weights_make_up_for_it():
    replay = Replay(40, 1, SPACES.shape, SPACES.dtype, CPU, discount=DISCOUNT, exponent=0.5)
    played(replay, 1, 30)
    rows = np.flatnonzero(replay.ready.reshape(-1))
    torch.manual_seed(0)
    assert set(replay.sample(400)["rows"].tolist()) == set(rows.tolist())  # new ones: all alike
    errors = np.linspace(0, 4, len(rows))
    replay.set_priorities(rows, errors)
    priorities = (errors + SMALLEST_PRIORITY) ** 0.5
    shares = priorities / priorities.sum()
    batch = replay.sample(20_000, importance=1.0)
    found = np.array([(batch["rows"].numpy() == row).mean() for row in rows])
    assert np.abs(found - shares).max() < 0.003
    weights = dict(zip(batch["rows"].tolist(), batch["weights"].tolist(), strict=True))
    seen = [index for index, row in enumerate(rows) if row in weights]
    expected = 1 / (len(rows) * shares[seen])
    assert np.allclose([weights[rows[index]] for index in seen], expected / expected.max(), rtol=1e-5)
    assert replay.largest == pytest.approx(priorities.max())  # what new transitions get
    # with weights in full the mean over draws is that over all rows
    values = torch.from_numpy(np.sin(batch["rows"].numpy()))
    mean = (batch["weights"] * values).sum() / batch["weights"].sum()
    assert mean.item() == pytest.approx(np.sin(rows).mean(), abs=0.03)


def test_a_restored_replay_draws_the_same():
    made = [Replay(40, 2, SPACES.shape, SPACES.dtype, CPU, discount=DISCOUNT, steps=2, exponent=0.6) for _ in range(2)]
    played(made[0], 2, 50)
    made[0].set_priorities(np.flatnonzero(made[0].ready.reshape(-1))[:9], np.arange(9.0))
    made[1].restore({name: tensor.clone() for name, tensor in made[0].state().items()})
    drawn = []
    for replay in made:
        torch.manual_seed(5)
        drawn.append(replay.sample(30, importance=0.4))
    assert all(torch.equal(drawn[0][name], drawn[1][name]) for name in drawn[0]) and len(made[0]) == len(made[1])

"""Policy gradients as a learner: what a rollout holds, cuts by a time limit, the same bits after a stop, and that it learns."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("gymnasium")

from gradus.data.load import DataSettings
from gradus.errors import UserError
from gradus.models import ModelSettings
from gradus.recipes.execute import create_trainer, resume, train_recipe
from gradus.recipes.experiment import prepare
from gradus.recipes.policies import ppo_cartpole, ppo_pendulum, reinforce_cartpole
from gradus.recipes.recipe import Recipe
from gradus.stopping import Interrupted
from gradus.train import checkpoint, trainer
from gradus.train.action_distributions import Categorical
from gradus.train.advantages import advantages
from gradus.train.settings import ExperienceSettings, PolicySettings


def small(recipe: Recipe, epochs: int = 2, **policy: object) -> Recipe:
    """Two environments, rollouts of 64 steps, 256 steps an epoch."""
    settings = {"steps": 32, "passes": 2, **policy}
    train = replace(
        recipe.train,
        epochs=epochs,
        batch_size=32,
        experience=ExperienceSettings(environments=2, epoch_steps=256, validation_episodes=2),
        policy=PolicySettings(**settings),
    )
    return replace(recipe, train=train, task=replace(recipe.task, options={"episodes": 2}))


def measured(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def source_of(recipe: Recipe):
    made = create_trainer(prepare(recipe))
    return made.source, made.learner


def test_a_rollout_is_gone_through_in_minibatches_each_row_once_a_pass():
    source, _ = source_of(small(ppo_cartpole()))
    assert source.steps == 256 // 64 * 2 * 2 and sum(source.size(step) for step in range(source.steps)) == 256
    odd = small(ppo_cartpole())
    odd = replace(odd, train=replace(odd.train, experience=replace(odd.train.experience, epoch_steps=300)))
    assert source_of(odd)[0].rows == 256  # as many rollouts as fit
    torch.manual_seed(0)
    rows = [source.batch(0, step)["observations"] for step in range(4)]
    whole = source.rollout["observations"]
    assert whole.shape == (64, 4)
    for one in (rows[:2], rows[2:]):
        assert torch.cat(one).sort(dim=0).values.equal(whole.sort(dim=0).values)
    assert not torch.cat(rows[:2]).equal(torch.cat(rows[2:]))  # in another order


def test_an_episode_that_a_time_limit_cuts_goes_on_with_the_value_of_what_it_reached():
    recipe = small(ppo_cartpole(), trace=1.0)
    recipe = replace(
        recipe, task=replace(recipe.task, options={"episodes": 2, "environment": {"max_episode_steps": 5}})
    )
    source, learner = source_of(recipe)
    with torch.no_grad():
        learner.model.value[-1].bias.fill_(100.0)  # values are about 100: what is bootstrapped shows
    torch.manual_seed(0)
    seen = []
    step = source.environments.step
    source.environments.step = lambda actions: seen.append(step(actions)) or seen[-1]
    source.batch(0, 0)
    returns = source.rollout["returns"].reshape(32, 2)
    cut = torch.tensor([one.truncated.tolist() for one in seen])
    assert cut.any() and not any(one.terminated.any() for one in seen)  # nothing falls within 5 steps
    discount = recipe.train.experience.discount
    for time, one in cut.nonzero().tolist():
        reached = torch.from_numpy(seen[time].reached[one : one + 1])
        with torch.no_grad():
            value = learner.model(reached)[1].item()
        assert returns[time, one].item() == pytest.approx(1 + discount * value, rel=1e-4)


def test_what_is_drawn_follows_the_probabilities():
    torch.manual_seed(0)
    shares = torch.tensor([0.1, 0.6, 0.0, 0.3])
    counts = torch.bincount(Categorical().draw(shares.log().expand(20_000, 4)), minlength=4) / 20_000
    torch.testing.assert_close(counts, shares, atol=0.01, rtol=0)


def test_the_first_pass_of_the_first_minibatch_is_the_plain_gradient():
    """At ratio 1 nothing is clipped, so PPO and REINFORCE change the policy alike."""
    found = {}
    for clip in (0.0, 0.2):
        source, learner = source_of(small(reinforce_cartpole(), passes=1, clip=clip, entropy_weight=0.0))
        torch.manual_seed(0)
        learner.step(source.batch(0, 0))
        found[clip] = torch.cat([parameter.grad.flatten() for parameter in learner.model.parameters()])
    torch.testing.assert_close(found[0.0], found[0.2], atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("begun", [ppo_cartpole, ppo_pendulum])
def test_a_run_that_is_stopped_within_a_rollout_ends_with_the_same_bits(tmp_path, monkeypatch, begun):
    recipe = small(begun())
    whole = train_recipe(recipe, tmp_path / "whole")
    monkeypatch.setattr(trainer, "LOOK_SECONDS", 0.0)

    def stop(record):
        if record.get("event") == "progress" and (record["epoch"], record["step"]) == (2, 6):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        train_recipe(recipe, tmp_path / "stopped", observers=(stop,))
    last = checkpoint.load(tmp_path / "stopped" / "checkpoints", "last")
    assert len(last.optimizer["experience.rollout.observations"]) == 64
    continued = resume(tmp_path / "stopped")
    for (name, one), other in zip(whole.model.state_dict().items(), continued.model.state_dict().values(), strict=True):
        assert one.equal(other), name
    for one, other in zip(measured(whole.path), measured(continued.path), strict=True):
        assert {**one, "train_seconds": 0} == {**other, "train_seconds": 0}


def test_it_learns_to_hold_the_pole(tmp_path):
    recipe = small(ppo_cartpole(), epochs=1)
    train = replace(
        recipe.train,
        epochs=4,
        batch_size=256,
        experience=ExperienceSettings(environments=8, epoch_steps=2_048, discount=0.98, validation_episodes=4),
        policy=PolicySettings(steps=64, passes=10, trace=0.9, entropy_weight=0.0),
    )
    run = train_recipe(replace(recipe, train=train), tmp_path / "run")
    lengths = [record["train_length"] for record in measured(run.path)]
    assert lengths[-1] > 2.5 * lengths[0] and run.evaluation["metrics"]["return"] > 60


def test_it_learns_a_number_for_each_state(tmp_path, monkeypatch):
    """Of a world of one step: the more an action differs from half of what is seen, the less it is worth."""
    gymnasium = pytest.importorskip("gymnasium")

    class Halves(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
        action_space = gymnasium.spaces.Box(-3, 3, (1,), np.float32)  # 1 of this world is a third of what there is

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.seen = self.np_random.uniform(-1, 1, 1).astype(np.float32)
            return self.seen, {}

        def step(self, action):
            return self.seen, -float(abs(action - self.seen / 2)[0]), True, False, {}

    monkeypatch.setitem(gymnasium.registry, "Halves-v0", gymnasium.envs.registration.EnvSpec("Halves-v0", Halves))
    recipe = small(ppo_pendulum())
    model = ModelSettings(name="actor_critic", options={"deviation": 0.3})
    experience = ExperienceSettings(environments=8, epoch_steps=6_144, validation_episodes=32)
    train = replace(
        recipe.train, batch_size=256, experience=experience, policy=PolicySettings(steps=128, entropy_weight=0.0)
    )
    task = replace(recipe.task, options={"episodes": 200})
    run = train_recipe(
        replace(recipe, data=DataSettings(source="gym:Halves-v0"), task=task, model=model, train=train),
        tmp_path / "run",
    )
    policy = run.task.policy(run.model)
    found = policy(np.array([[-1.0], [0.0], [1.0]], np.float32))
    np.testing.assert_allclose(found[:, 0], np.array([-0.5, 0, 0.5]) / 3, atol=0.05)
    assert run.evaluation["metrics"]["return"] > -0.15  # nothing at all costs a quarter


def test_a_name_of_a_world_and_of_a_network_is_enough():
    """Settings that are left open fit each other; a batch is a quarter of a rollout, or for the plain gradient all of it."""
    recipe = Recipe(data=DataSettings(source="gym:CartPole-v1"), model=ModelSettings(name="actor_critic"))
    assert prepare(recipe).recipe.train.batch_size == 32
    plain = replace(recipe.train, policy=PolicySettings(clip=0.0, passes=1))
    assert prepare(replace(recipe, train=plain)).recipe.train.batch_size == 128
    chosen = {
        name: prepare(Recipe(data=DataSettings(source=name))).recipe.model.name
        for name in ("gym:CartPole-v1", "gym:Pendulum-v1")
    }
    assert chosen == {"gym:CartPole-v1": "q_network", "gym:Pendulum-v1": "actor_critic"}
    prepare(Recipe(data=DataSettings(source="gym:FrozenLake-v1"), model=ModelSettings(name="q_table")))


def test_a_network_that_chooses_does_not_make_numbers():
    alike = ModelSettings(name="q_network", options={"num_actions": 2})  # gives (N, 2), as means and deviations are
    recipe = replace(ppo_pendulum(), model=alike)
    with pytest.raises(UserError, match=r"made of numbers \(1\), among which model q_network cannot choose"):
        prepare(recipe)
    for source, continuous in (("gym:Pendulum-v1", False), ("gym:CartPole-v1", True)):
        wrong = ModelSettings(name="actor_critic", options={"continuous": continuous})
        with pytest.raises(UserError, match="model actor_critic, with these options, does not"):
            prepare(replace(recipe, data=DataSettings(source=source), model=wrong))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"batch_size": 48}, "batch_size: 48 does not go into a rollout of 64 steps"),
        (
            {"experience": ExperienceSettings(environments=2, epoch_steps=60)},
            "epoch_steps: 60 is less than a rollout of 64",
        ),
    ],
)
def test_numbers_of_steps_that_do_not_fit_are_told(changes, told):
    recipe = small(ppo_cartpole())
    with pytest.raises(UserError, match=told):
        prepare(replace(recipe, train=replace(recipe.train, **changes)))


def test_the_plain_gradient_is_for_one_pass():
    with pytest.raises(UserError, match="take 1 pass"):
        PolicySettings(passes=2, clip=0.0)


def test_advantages_reach_over_no_end():
    """One environment, two episodes in one rollout: what is earned in the second is not credited to the first."""
    zeros = torch.zeros(4, 1)
    ended = torch.tensor([[False], [True], [False], [False]])
    rewards = torch.tensor([[0.0], [0.0], [9.0], [9.0]])
    assert advantages(rewards, zeros, zeros, ended, ended, 0.99, 0.95)[:2].abs().max() == 0

"""Deep Q-learning: its goals by hand, values that are known exactly, the settings of the papers, and a resume to the bit."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch

from gradus.errors import UserError
from gradus.models import create_model
from gradus.recipes.control import dqn_cartpole
from gradus.recipes.execute import create_trainer, resume, train_recipe
from gradus.recipes.experiment import prepare
from gradus.recipes.recipe import Recipe
from gradus.stopping import Interrupted
from gradus.train import checkpoint, experience, trainer
from gradus.train.experience import check_steps, epsilon_at
from gradus.train.q_learning import QLearning
from gradus.train.settings import (
    ExperienceSettings,
    OptimizerSettings,
    QLearningSettings,
    ScheduleSettings,
    TrainSettings,
)


class Always(gymnasium.Env):
    """One state, a reward of 1 for action 1 and of 0 for action 0, for ever; or, where `ends`, one step."""

    observation_space = gymnasium.spaces.Box(0, 1, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, ends: bool = False) -> None:
        self.ends = ends

    def reset(self, *, seed=None, options=None):
        return np.ones(1, np.float32), {}

    def step(self, action):
        return np.ones(1, np.float32), float(action), self.ends, False, {}


gymnasium.register("Always-v0", entry_point=Always, max_episode_steps=4)


def recipe(source: str = "gym:CartPole-v1", epochs: int = 2, steps: int = 200, batch: int = 16, **learning) -> Recipe:
    made = dqn_cartpole()
    few = replace(made.train.experience, epoch_steps=steps, environments=2, validation_episodes=2)
    start = {"replay_start": 40, "replay_size": 300, "train_frequency": 4, "updates": 1, "n_step": 1, **learning}
    return replace(
        made,
        data=replace(made.data, source=source),
        task=replace(made.task, options={"episodes": 3}),
        model=replace(made.model, options={"hidden": [8]}),
        train=replace(
            made.train,
            epochs=epochs,
            batch_size=batch,
            experience=few,
            q_learning=QLearningSettings(**start),
            schedule=ScheduleSettings(),
            checkpoint_seconds=1000,
        ),
    )


def learner_of(made: Recipe) -> QLearning:
    return create_trainer(prepare(made)).learner  # type: ignore[return-value]


def fixed(learner: QLearning, online: list[float], target: list[float]) -> None:
    """Has the networks tell these values of every state."""
    for model, values in ((learner.model, online), (learner.target, target)):
        for parameter in model.parameters():
            parameter.data.zero_()
        model.head.bias.data = torch.tensor(values)


@pytest.mark.parametrize(("double", "expected"), [(False, [1 + 0.9 * 7, 1.0]), (True, [1 + 0.9 * 5, 1.0])])
def test_goals(double, expected):
    learner = learner_of(recipe(double=double))
    fixed(learner, online=[3.0, 2.0], target=[5.0, 7.0])
    goals = learner.goals(torch.zeros(2, 4), torch.ones(2), torch.tensor([0.9, 0.0]))
    assert goals.tolist() == pytest.approx(expected)  # the second one was terminated: y = r


@pytest.mark.parametrize(("loss", "expected"), [("squared", 2 * -3.0), ("huber", -1.0)])
def test_the_loss_is_the_square_or_hubers_clipped_error(loss, expected):
    learner = learner_of(recipe(loss=loss))
    fixed(learner, online=[1.0, 2.0], target=[0.0, 0.0])
    batch = {"observations": torch.zeros(1, 4), "following": torch.zeros(1, 4), "actions": torch.tensor([0])}
    numbers = {"returns": torch.tensor([4.0]), "discounts": torch.zeros(1), "weights": torch.ones(1)}
    learner._learn({**batch, **numbers, "rows": torch.zeros(1, dtype=torch.int64)})
    assert learner.model.head.bias.grad.tolist() == pytest.approx([expected, 0.0])


def test_the_target_network_follows_in_jumps_or_by_shares():
    for every, share, expected in ((3, 1.0, [0, 0, 1]), (1, 0.25, [0.25, 0.4375, 0.578125])):
        learner = learner_of(recipe(target_every=every, target_share=share))
        fixed(learner, online=[1.0, 1.0], target=[0.0, 0.0])
        learner.optimizer.param_groups[0]["lr"] = 0.0
        learner._factor = 1.0
        batch = {"observations": torch.zeros(1, 4), "following": torch.zeros(1, 4), "actions": torch.tensor([0])}
        batch |= {name: torch.ones(1) for name in ("returns", "discounts", "weights")}
        found = []
        for _ in range(3):
            learner._learn({**batch, "rows": torch.zeros(1, dtype=torch.int64)})
            found.append(learner.target.head.bias[0].item())
        assert found == pytest.approx(expected)


def test_the_share_of_random_actions_falls_in_a_line():
    made = QLearningSettings(replay_start=100, epsilon_steps=1000, epsilon_end=0.1)
    assert [epsilon_at(made, at) for at in (0, 99, 100, 600, 1100, 9999)] == pytest.approx([1, 1, 1, 0.55, 0.1, 0.1])


def learnt_values(source: str, **learning) -> list[float]:
    made = recipe(source, epochs=1, steps=1600, loss="squared", target_every=10, epsilon_end=1.0, **learning)
    few = replace(made.train.experience, discount=0.8, validation_episodes=0)
    rate = OptimizerSettings(name="adam", learning_rate=0.03)
    made = replace(made, train=replace(made.train, experience=few, optimizer=rate))
    trained = create_trainer(prepare(made))
    trained.fit()
    with torch.no_grad():
        return trained.learner.model(torch.ones(1, 1))[0].tolist()


@pytest.mark.parametrize("learning", [{}, {"n_step": 3}, {"prioritized": True}], ids=str)
def test_values_go_on_where_only_the_time_limit_ended_an_episode(learning):
    # every episode is cut off after 4 steps. For ever on action 1 is worth 1 / (1 - 0.8) = 5; a limit that counted as an end
    # would leave less than 1 + 0.8 + 0.64 + 0.512 = 2.95
    worst, best = learnt_values("gym:Always-v0", **learning)
    if learning.get("n_step", 1) == 1:
        assert [worst, best] == pytest.approx([4.0, 5.0], abs=0.15)
    else:  # n-step returns are those of the actions that were taken, half of them at random
        assert best > 3.3 and best > worst


def test_nothing_comes_after_an_end():
    made = recipe("gym:Always-v0")
    ends = replace(made, task=replace(made.task, options={"episodes": 3, "environment": {"ends": True}}))
    learner = learner_of(ends)
    for step in range(30):
        batch = learner.experience.batch(0, step)
    assert set(batch["discounts"].tolist()) == {0.0} and set(batch["returns"].tolist()) == {0.0, 1.0}


def kept_of(folder: Path) -> dict[str, torch.Tensor]:
    saved = checkpoint.load(folder / "checkpoints", "last")
    return {**saved.model, **(saved.optimizer or {})}


@pytest.mark.parametrize("learning", [{}, {"prioritized": True, "n_step": 3, "updates": 2}], ids=str)
def test_a_run_that_is_stopped_again_and_again_ends_with_the_same_bits(tmp_path, monkeypatch, learning):
    monkeypatch.setattr(trainer, "LOOK_SECONDS", 0.0)
    made = recipe(**learning)
    whole = train_recipe(made, tmp_path / "whole")
    looks = 0

    def stop(record):
        nonlocal looks
        looks += record["event"] == "progress"
        if record["event"] == "progress" and looks in (
            4,
            37,
            60,
        ):  # before it learns, while it does, in the second epoch
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        train_recipe(made, tmp_path / "cut", observers=(stop,))
    for _ in range(2):
        with pytest.raises(Interrupted):
            resume(tmp_path / "cut", observers=(stop,))
    cut = resume(tmp_path / "cut")
    one, other = kept_of(whole.path), kept_of(cut.path)
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    assert "experience.replay.frames" in one and "experience.environments.taken" in one
    assert cut.evaluation["metrics"] == whole.evaluation["metrics"]
    assert [r["validation_return"] for r in cut.history] == [r["validation_return"] for r in whole.history]


def test_a_replay_too_large_to_keep_is_filled_anew_and_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(experience, "LARGEST_KEPT", 100)
    monkeypatch.setattr(trainer, "LOOK_SECONDS", 0.0)

    def stop(record):
        if record["event"] == "progress" and record["epoch"] == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        train_recipe(recipe(), tmp_path / "run", observers=(stop,))
    said: list[str] = []
    run = resume(tmp_path / "run", say=said.append)
    assert "the replay was too large to be kept and is filled anew; new episodes are begun" in said
    assert len(run.history) == 2 and not any("replay" in name for name in kept_of(run.path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_frequency": 3}, "not so many for each of 2 environments"),
        ({"train_frequency": 6}, "no multiple of q_learning.train_frequency"),
        ({"replay_start": 200}, "nothing would be learnt in the first epoch"),
    ],
)
def test_steps_that_do_not_go_into_each_other_are_told_before_anything_is_written(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        train_recipe(recipe(**changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_setting_out_of_range_is_told():
    with pytest.raises(UserError, match="only 50 are remembered"):
        QLearningSettings(replay_size=50)
    with pytest.raises(UserError, match=r"q_learning.target_share"):
        QLearningSettings(target_share=0)


def test_dueling_heads_take_the_mean_advantage_away():
    torch.manual_seed(0)
    model = create_model("q_network", in_features=3, num_actions=4, hidden=[5, 6], dueling=True)
    inputs = torch.randn(7, 3)
    features = model.features(inputs)
    assert torch.allclose(model(inputs).mean(dim=1, keepdim=True), model.head.value(features), atol=1e-6)
    advantages = model.head.advantage(features)
    assert torch.allclose(model(inputs).diff(dim=1), advantages.diff(dim=1), atol=1e-6)
    assert torch.equal(model.greedy(inputs), advantages.argmax(dim=1))
    assert [tuple(p.shape) for p in model.parameters()][:2] == [(5, 3), (5,)]  # the last hidden layer is in the heads


def test_of_epochs_with_the_same_return_the_later_one_is_kept():
    made = create_trainer(prepare(recipe()))
    for epoch, value in ((1, 500.0), (2, 500.0), (3, 400.0)):
        made._choose_best({"epoch": epoch, "validation_return": value})
    assert made.best == {"epoch": 2, "value": 500.0, "loss": 0.0}


def test_a_replay_too_small_for_its_steps_is_refused():
    """A ring shorter than n steps would give what stands there by now as that which the steps led to."""
    experience = ExperienceSettings(environments=4, epoch_steps=400)

    def settings(size: int) -> TrainSettings:
        learning = QLearningSettings(replay_size=size, replay_start=0, n_step=13)
        return TrainSettings(experience=experience, q_learning=learning)

    with pytest.raises(UserError, match="take 60 or more"):
        check_steps(settings(50))
    check_steps(settings(60))

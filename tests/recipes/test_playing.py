"""Runs that act, from the command line to the report; what does not fit; and that every recipe of control is whole."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from gradus.cli import main
from gradus.data.load import DataSettings
from gradus.environments import make_environments, play_episodes
from gradus.errors import UserError
from gradus.models import ModelSettings
from gradus.recipes.experiment import prepare
from gradus.recipes.recipe import Recipe
from gradus.recipes.run import load_run
from gradus.recipes.table import RECIPES, get_recipe
from gradus.tasks.control import ControlTask
from gradus.train.settings import ScheduleSettings, TrainSettings

PENDULUM = DataSettings(source="gym:Pendulum-v1")
CARTPOLE = DataSettings(source="gym:CartPole-v1")
SMALL = (
    *("--set", "train.experience.epoch_steps=400", "--set", "train.q_learning.replay_start=100", "--epochs", "2"),
    *("--set", "train.experience.validation_episodes=2", "--set", "task.options.episodes=4", "--batch-size", "8"),
    *("--set", "model.options.hidden=[8]"),
)


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


def test_a_run_from_the_command_line_to_its_report(tmp_path, capsys):
    path = str(tmp_path / "run")
    assert command("train", "dqn-cartpole", *SMALL, "--out", path) == 0
    told = capsys.readouterr().out
    assert "random actions" in told and "validation return" in told
    run = load_run(path)
    assert [record["samples"] for record in run.history] == [400, 800]  # steps of environments
    shares = [record["train_epsilon"] for record in run.history]
    assert 1 > shares[0] > shares[1] > 0.9  # random until step 100, then falling in a line, over 10 000 steps
    assert "return" in (tmp_path / "run" / "report.html").read_text() and run.evaluation["split"] == "test"
    assert command("eval", path, "--episodes", "4", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["return"] == run.evaluation["metrics"]["return"] and found["episodes"] == 4  # the run's own test
    assert command("eval", path, "--episodes", "0") == 2
    assert command("predict", path, "x.csv") == 2
    assert "it acts: gradus eval RUN --episodes" in capsys.readouterr().err


def test_as_many_episodes_are_taken_from_each_environment():
    environments = make_environments("gym:CartPole-v1", 3, seed=0)
    both = [play_episodes(environments, lambda seen: (seen[:, 2] > 0).astype(np.int64), 8) for _ in range(2)]
    assert np.array_equal(both[0].returns, both[1].returns) and len(both[0].returns) == 8
    apart = make_environments("gym:CartPole-v1", 3, seed=0)
    first: list[list[float]] = [[], [], []]
    while min(map(len, first)) < 3:
        step = apart.step((apart.observations[:, 2] > 0).astype(np.int64))
        for index in np.flatnonzero(step.ended):
            first[index].append(step.returns[index])
    assert both[0].returns.tolist() == first[0][:3] + first[1][:3] + first[2][:2]
    assert np.array_equal(both[0].returns, both[0].lengths)  # CartPole pays 1 a step


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (Recipe(data=DataSettings(source="gym:CartPol-v1")), "did you mean 'CartPole-v1'"),
        (Recipe(data=PENDULUM, model=ModelSettings(name="q_network")), "among which model q_network cannot choose"),
        (Recipe(data=CARTPOLE, model=ModelSettings(name="mlp")), "model mlp does not act"),
        (Recipe(data=replace(CARTPOLE, target="x")), "has no columns and no rows"),
        (Recipe(data=CARTPOLE, train=TrainSettings(schedule=ScheduleSettings(name="plateau"))), "schedule: plateau"),
        (Recipe(data=CARTPOLE, train=TrainSettings(accumulate=2, batch_size=8)), "accumulate"),
    ],
)
def test_what_does_not_fit_is_told(recipe, message):
    with pytest.raises(UserError, match=message):
        prepare(recipe)


def test_commands_on_rows_refuse_an_environment(tmp_path, capsys):
    assert command("train", "dqn-cartpole", "--repeats", "2", "--out", str(tmp_path / "runs")) == 2
    assert "gradus reproduce" in capsys.readouterr().err
    vary = ("--vary", "train.optimizer.learning_rate=log:1e-4..1e-2")
    assert command("search", "dqn-cartpole", *vary, "--out", str(tmp_path / "search")) == 2
    assert "gradus compare" in capsys.readouterr().err and not list(tmp_path.iterdir())


ACTING = [
    name for name, make in RECIPES.items() if make().data.source.startswith("gym:") and "ALE/" not in make().data.source
]


@pytest.mark.parametrize("name", ACTING)
def test_every_recipe_of_control_makes_a_network_for_its_environment(name):
    experiment = prepare(get_recipe(name))
    assert isinstance(experiment.task, ControlTask) and experiment.model.learns

"""Learning tables of action values: the rules against the reference, ends and limits, an exact resume, known optima."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from gradus.data.load import DataSettings
from gradus.environments import Environments, decision_process, make_environments
from gradus.environments.tables import TableEnvironment, process_of_rows, spaces_of_process
from gradus.errors import UserError
from gradus.models import ModelSettings
from gradus.models.control.q_table import QTable
from gradus.recipes.execute import resume, train_recipe
from gradus.recipes.looking_worlds import look_at_world, subject_of_world
from gradus.recipes.recipe import Recipe
from gradus.recipes.table import get_recipe
from gradus.reference import temporal_difference as td
from gradus.tasks.settings import TaskSettings
from gradus.train import tabular
from gradus.train.devices import plan_device
from gradus.train.settings import ExperienceSettings, OptimizerSettings, TabularSettings, TrainSettings

METHODS = ("q_learning", "sarsa", "expected_sarsa", "double_q")


def settings_of(discount: float = 0.9, rate: float = 0.1, environments: int = 1, **changed) -> TrainSettings:
    return TrainSettings(
        optimizer=OptimizerSettings(name="sgd", learning_rate=rate),
        experience=ExperienceSettings(environments=environments, epoch_steps=1_000, discount=discount),
        tabular=TabularSettings(**({"block": 100} | changed)),
    )


def learner_in(process, limit: int, settings: TrainSettings) -> tabular.Tabular:
    spaces = spaces_of_process(process, "here", limit)

    def environments(count: int, seed: int) -> Environments:
        return Environments([partial(TableEnvironment, process, limit)] * count, spaces, seed)

    task = SimpleNamespace(spaces=spaces, source="here", environments=environments)
    return tabular.Tabular(QTable(spaces.states, spaces.actions), task, settings, plan_device("cpu", "fp32"))


def learn(learner: tabular.Tabular, steps: int, seed: int = 0) -> np.ndarray:
    torch.manual_seed(seed)
    for first in range(0, steps, 100):
        learner.update({"positions": torch.arange(first, first + 100)})
    return learner.model.values.detach().double().numpy()


def test_the_rules_are_those_of_the_reference():
    row = [1.0, 4.0, 2.0]
    worth = {method: tabular.target_value(method, row, 2, 0.3) for method in METHODS}
    array = np.array(row)
    assert worth["q_learning"] == td.q_learning_target(0, array, False, 1)
    assert worth["sarsa"] == td.sarsa_target(0, array, 2, False, 1)
    expected = td.expected_sarsa_target(0, array, td.epsilon_greedy(array, 0.3), False, 1)
    assert worth["expected_sarsa"] == pytest.approx(expected)


def test_actions_are_drawn_as_epsilon_says_and_equals_by_lot():
    random = np.random.default_rng(0)
    for row in ([1.0, 3.0, 3.0, 0.0], [0.0, 0.0, 0.0, 5.0]):
        drawn = [tabular.choose(row, 0.4, *random.random(2)) for _ in range(20_000)]
        shares = np.bincount(drawn, minlength=4) / len(drawn)
        np.testing.assert_allclose(shares, td.epsilon_greedy(np.array(row), 0.4), atol=0.02)


def test_epsilon_falls_by_the_same_amount_or_the_same_factor():
    line = TabularSettings(epsilon_start=1.0, epsilon_end=0.01, epsilon_steps=100)
    power = replace(line, epsilon_decay="exponential")
    assert [tabular.epsilon_at(line, step) for step in (0, 50, 100, 900)] == pytest.approx([1, 0.505, 0.01, 0.01])
    assert [tabular.epsilon_at(power, step) for step in (0, 50, 100, 900)] == pytest.approx([1, 0.1, 0.01, 0.01])
    with pytest.raises(UserError, match="exponential never reaches 0"):
        replace(power, epsilon_end=0.0)


@pytest.mark.parametrize("method", METHODS)
def test_a_limit_is_no_end_and_an_end_is_one(method):
    """A reward of 1 a step for ever is worth 1 / (1 - 1/2) = 2, though episodes are cut off after 3; with an end after it, 1."""
    for_ever = process_of_rows({"S": {"a": [(1, 1, "S")]}})
    once = process_of_rows({"S": {"a": [(1, 1, "T")]}})
    settings = settings_of(0.5, 0.2, method=method)
    assert learn(learner_in(for_ever, 3, settings), 600)[0, 0] == pytest.approx(2, abs=1e-3)
    assert learn(learner_in(once, 3, settings), 600)[0, 0] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_learnt_beside_a_hole_depends_on_who_is_meant_to_act(method):
    """In M one may go on for 1, or fall for -9. Q-learning takes the best (1) for what follows, SARSA half-random actions
    (3/4 * 1 + 1/4 * -9 = -1.5). Double Q-learning holds with Q-learning."""
    process = process_of_rows(
        {"S": {"go": [(1, 0, "M")], "fall": [(1, -9, "E")]}, "M": {"go": [(1, 1, "E")], "fall": [(1, -9, "E")]}}
    )
    settings = settings_of(1.0, 0.06, method=method, epsilon_start=0.5, epsilon_end=0.5)
    found = learn(learner_in(process, 9, settings), 3_000)
    wanted = -1.5 if "sarsa" in method else 1.0
    assert found[0, 0] == pytest.approx(wanted, abs=1.0 if method == "sarsa" else 0.1)
    assert found[1, 0] == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("method", ["sarsa", "double_q"])
def test_a_learner_that_is_brought_back_goes_on_with_the_same_bits(method):
    process = decision_process("grid:russell")
    settings = settings_of(1.0, 0.1, environments=2, method=method)
    whole, parts = learner_in(process, 20, settings), learner_in(process, 20, settings)
    learn(whole, 500)
    wanted = learn(whole, 300, seed=1)
    learn(parts, 500)
    kept = {name: tensor.clone() for name, tensor in parts.training_state().items()}
    table = {name: tensor.clone() for name, tensor in parts.predicting_state().items()}
    again = learner_in(process, 20, settings)
    again.restore(table, kept, 5)
    assert (learn(again, 300, seed=1) == wanted).all()


def recipe(**options) -> Recipe:
    return Recipe(
        data=DataSettings(source="grid:cliff"),
        task=TaskSettings(name="control", options={"environment": {"max_episode_steps": 100}, "episodes": 4}),
        model=ModelSettings(name="q_table"),
        train=replace(
            settings_of(1.0, 0.5, epsilon_start=0.1, epsilon_end=0.1, block=500, **options), epochs=6, device="cpu"
        ),
    )


def test_a_run_finds_the_shortest_way_resumes_and_shows_its_map(tmp_path):
    run = train_recipe(recipe(), tmp_path / "whole")
    assert run.evaluation["metrics"]["expected_return"] == pytest.approx(-13)
    assert run.evaluation["baselines"]["the best there can be"]["return"] == pytest.approx(-13)
    assert run.history[-1]["validation_return"] == pytest.approx(-13)  # computed, not played
    assert run.play(3).returns.tolist() == [-13, -13, -13]

    def stop(record):
        if record["event"] == "epoch" and record["epoch"] == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_recipe(
            replace(recipe(), train=replace(recipe().train, checkpoint_seconds=0)), tmp_path / "cut", observers=(stop,)
        )
    again = resume(tmp_path / "cut")
    for name, tensor in run.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name])

    subject = subject_of_world(tmp_path / "whole")
    sight = look_at_world(subject, "values", seed="3")
    assert sight.numbers["expected_return"] == sight.numbers["best_expected_return"] == pytest.approx(-13)
    assert sight.numbers["of_them_with_a_best_action"] == 1 and len(sight.arrays["path"]) == 14
    assert [panel.name for panel in sight.panels] == ["learnt-0", "exact-0"]
    assert sight.write(tmp_path / "look")[0].stat().st_size > 10_000


def test_what_a_table_cannot_learn_is_told():
    pytest.importorskip("gymnasium")
    plan = plan_device("cpu", "fp32")
    task = SimpleNamespace(spaces=make_environments("gym:CartPole-v1").spaces, source="gym:CartPole-v1")
    with pytest.raises(UserError, match="no numbered states"):
        tabular.Tabular(QTable(), task, settings_of(), plan)
    with pytest.raises(UserError, match=r"tabular\.block: 300 steps"):
        tabular.check_tabular(settings_of(block=300))
    with pytest.raises(UserError, match="leave all but that out"):
        tabular.check_tabular(replace(settings_of(), optimizer=OptimizerSettings(name="sgd", momentum=0.9)))


@pytest.mark.parametrize("name", ["frozenlake", "taxi", "cliffwalking", "cliffwalking-sarsa"])
def test_the_recipes_are_for_worlds_that_tables_can_hold(name):
    pytest.importorskip("gymnasium")
    made = get_recipe(name)
    tabular.check_tabular(made.train)
    spaces = make_environments(made.data.source, options=made.task.options.get("environment")).spaces
    assert spaces.states and spaces.max_steps

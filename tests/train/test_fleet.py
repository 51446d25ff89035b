"""A fleet against its members trained alone: the same rows, order, masks and numbers, up to rounding."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from gradus.data.load import DataSettings
from gradus.models import ModelSettings
from gradus.recipes.execute import create_trainer
from gradus.recipes.experiment import prepare
from gradus.recipes.many import group, obstacle, train_many
from gradus.recipes.recipe import Recipe
from gradus.tasks.settings import TaskSettings
from gradus.train import fleet
from gradus.train.fleet import Member
from gradus.train.fleet_trainer import FleetTrainer
from gradus.train.folder import RunFolder
from gradus.train.settings import OptimizerSettings, RegularizationSettings, ScheduleSettings, TrainSettings

SGD = OptimizerSettings(name="sgd", learning_rate=0.05, momentum=0.9)


def folds(
    count: int = 4,
    repeats: int = 1,
    source: str = "diabetes",
    model: ModelSettings | None = None,
    task: TaskSettings | None = None,
    **train,
) -> list[Recipe]:
    settings = TrainSettings(**{"epochs": 3, "batch_size": 32, **train})
    return [
        Recipe(
            data=DataSettings(source=source, folds=count, fold=fold, repeat=repeat),
            model=model or ModelSettings(name="mlp", options={"hidden": [16]}),
            task=task or TaskSettings(),
            train=replace(settings, seed=fold + 100 * repeat),
        )
        for repeat in range(repeats)
        for fold in range(count)
    ]


def assert_equal_outcomes(recipes: list[Recipe], tolerance: float = 2e-5) -> None:
    """Trains recipes as one fleet and one by one: records, best epochs and weights must agree."""
    together, alone = train_many(recipes), train_many(recipes, together=False)
    for one, other in zip(together, alone, strict=True):
        assert one.error == other.error == "" and one.metric == other.metric
        assert one.recipe == other.recipe and one.epoch == other.epoch and len(one.history) == len(other.history)
        assert list(one.state) == list(other.state)
        for name, tensor in one.state.items():
            assert tensor.shape == other.state[name].shape and tensor.dtype == other.state[name].dtype
            torch.testing.assert_close(tensor, other.state[name], rtol=tolerance, atol=tolerance)
        for mine, theirs in zip(one.history, other.history, strict=True):
            assert list(mine) == list(theirs)
            for name in set(mine) - {"train_seconds"}:
                assert mine[name] == pytest.approx(theirs[name], rel=20 * tolerance, abs=20 * tolerance), name


def is_one_fleet(recipes: list[Recipe]) -> bool:
    return len(group([prepare(recipe) for recipe in recipes])) == 1


CASES = {
    "folds": folds(),
    "iterated folds": folds(3, repeats=2),
    "a row at a time": folds(batch_size=1, epochs=1),
    "last batches of unequal length": folds(batch_size=100),  # 265 or 266 training rows
    "classes": folds(source="wine"),
    "pictures": folds(2, source="digits", model=ModelSettings(name="lenet5"), optimizer=SGD, epochs=1),
    "dropout": folds(model=ModelSettings(name="mlp", options={"hidden": [16, 8], "dropout": 0.4})),
    "dropout in a convnet": folds(
        2,
        source="digits",
        model=ModelSettings(name="lenet5_dropout"),
        task=TaskSettings(options={"image_size": 28}),
        optimizer=SGD,
        epochs=1,
    ),
    "schedule": folds(2, schedule=ScheduleSettings(name="one_cycle"), batch_size=16),
    "average": folds(average=0.9),
    "patience": folds(epochs=30, patience=2, optimizer=OptimizerSettings(name="adam", learning_rate=0.1)),
    "regularized": folds(
        regularization=RegularizationSettings(l1=1e-3, l2=1e-3, clip_norm=0.5, clip_value=0.2, max_norm=1.0)
    ),
    "rmsprop": folds(optimizer=OptimizerSettings(name="rmsprop", rho=0.9, epsilon=1e-7)),
}


@pytest.mark.parametrize("case", CASES)
def test_members_are_what_they_would_have_been_alone(case):
    recipes = CASES[case]
    assert is_one_fleet(recipes), [obstacle(prepare(recipe)) for recipe in recipes]
    assert_equal_outcomes(recipes, 1e-3 if "convnet" in case or case == "pictures" else 2e-5)


def test_members_may_differ_in_their_numbers():
    base = Recipe(
        data=DataSettings(source="diabetes", validation=0.2),
        model=ModelSettings(name="mlp", options={"hidden": [8], "dropout": 0.2}),
    )
    recipes = [
        replace(
            base,
            model=replace(base.model, options={"hidden": [8], "dropout": 0.1 + 0.1 * index}),
            train=TrainSettings(
                epochs=2,
                batch_size=32,
                seed=index,
                optimizer=OptimizerSettings(
                    name="adamw", learning_rate=10.0 ** -(1 + index), beta1=0.5 + 0.1 * index, weight_decay=0.1 * index
                ),
                regularization=RegularizationSettings(l2=1e-4 * (index + 1), clip_norm=1.0 + index),
            ),
        )
        for index in range(4)
    ]
    assert is_one_fleet(recipes)
    assert_equal_outcomes(recipes)


class Normed(nn.Module):
    """Running statistics, a frozen parameter, convolution."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten())
        self.head = nn.Linear(4 * 3 * 3, 10)
        self.head.bias.requires_grad_(False)

    def forward(self, inputs):
        return self.head(self.body(inputs))


def members_of(seeds: list[int], settings: TrainSettings) -> list[Member]:
    recipe = Recipe(data=DataSettings(source="digits", validation=0.2), train=settings)
    members, shared = [], None
    for seed in seeds:
        experiment = prepare(replace(recipe, train=replace(settings, seed=seed)), model=Normed(seed))
        shared = shared or experiment
        experiment.task.to_device(torch.device("cpu"))
        train, validation = shared.tensors["train"], shared.tensors["validation"]
        members.append(Member(experiment.model, experiment.task, train, validation, experiment.recipe.train))
    return members


@pytest.mark.parametrize("traced", [False, True])
def test_batch_statistics_and_frozen_parameters(traced, monkeypatch):
    if traced:
        monkeypatch.setattr(fleet, "TRACE_FROM", 1)
    settings = TrainSettings(epochs=2, batch_size=64, optimizer=SGD)
    members = members_of([1, 2, 3], settings)
    trainer = FleetTrainer(members, prepare_plan(), monitor=("accuracy", "max"))
    trainer.fit()
    if traced:
        assert all(recorded is not None for recorded in trainer.learner.traces.values())
    for index, seed in enumerate([1, 2, 3]):
        recipe = Recipe(data=DataSettings(source="digits", validation=0.2), train=replace(settings, seed=seed))
        alone = create_trainer(prepare(recipe, model=Normed(seed)))
        alone.fit()
        state = trainer.learner.member_state(index)
        for name, tensor in alone.learner.predicting_state().items():
            torch.testing.assert_close(state[name], tensor, rtol=1e-3, atol=1e-4, msg=lambda m, n=name: f"{n}: {m}")
        assert int(state["body.1.num_batches_tracked"]) == 2 * trainer.source.steps


def prepare_plan():
    from gradus.train.devices import plan_device

    return plan_device("cpu")


def test_a_recorded_step_is_the_written_one(monkeypatch):
    recipes = CASES["dropout"]
    written = train_many(recipes)
    monkeypatch.setattr(fleet, "TRACE_FROM", 1)
    made = []
    record = fleet.FleetLearner._record
    monkeypatch.setattr(
        fleet.FleetLearner, "_record", lambda self, inputs: made.append(record(self, inputs)) or made[-1]
    )
    recorded = train_many(recipes)
    assert made and None not in made
    for one, other in zip(written, recorded, strict=True):
        assert all(torch.equal(tensor, other.state[name]) for name, tensor in one.state.items())


def test_over_a_hundred_steps_in_float64_a_member_stays_within_1e_10():
    """The stacked product of matrices rounds in another order; nothing else differs."""
    torch.manual_seed(0)
    settings = TrainSettings(epochs=10, batch_size=32, seed=5)
    recipe = Recipe(data=DataSettings(source="diabetes"), train=settings)
    trainers = []
    for alone in (True, False):
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Linear(16, 1)).double()
        experiment = prepare(recipe, model=_Doubled(model))
        if alone:
            trainers.append(create_trainer(experiment))
        else:
            experiment.task.to_device(torch.device("cpu"))
            data = experiment.tensors["train"], experiment.tensors["validation"]
            member = Member(experiment.model, experiment.task, *data, experiment.recipe.train)
            trainers.append(FleetTrainer([member] * 3, experiment.plan, monitor=("mae", "min")))
        trainers[-1].fit()
    assert trainers[0].epoch * trainers[0].source.steps >= 100
    for index in range(3):
        state = trainers[1].learner.member_state(index)
        for name, tensor in trainers[0].learner.predicting_state().items():
            torch.testing.assert_close(state[name], tensor, rtol=1e-10, atol=1e-12)


class _Doubled(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs):
        return self.model(inputs.double()).float() if not self.training else self.model(inputs.double())


# One member's end is not the others'


def test_a_member_that_diverges_ends_alone():
    rates = [0.01, 1e20, 0.02, 1e25]
    recipes = [
        Recipe(
            data=DataSettings(source="diabetes"),
            train=TrainSettings(epochs=6, optimizer=OptimizerSettings(name="sgd", learning_rate=rate)),
        )
        for rate in rates
    ]
    assert is_one_fleet(recipes)
    outcomes = train_many(recipes)
    assert [bool(outcome.error) for outcome in outcomes] == [False, True, False, True]
    assert "not a finite number in the loss, at epoch 1, step" in outcomes[1].error
    assert outcomes[1].value is None and outcomes[1].state == {}
    alone = train_many([recipes[0], recipes[2]], together=False)
    for one, other in zip((outcomes[0], outcomes[2]), alone, strict=True):
        assert one.value == pytest.approx(other.value, rel=1e-4) and len(one.history) == 6


def test_watch_stops_a_member_and_no_other():
    recipes = CASES["folds"]
    told = []

    def watch(index, record):
        told.append((index, record["epoch"]))
        return index == 2 and record["epoch"] == 1

    outcomes = train_many(recipes, watch=watch)
    assert [len(outcome.history) for outcome in outcomes] == [3, 3, 1, 3]
    assert [outcome.stopped for outcome in outcomes] == [False, False, True, False]
    assert (2, 2) not in told and (3, 2) in told


def test_members_that_have_stopped_are_no_longer_computed():
    recipes = folds(epochs=4)
    experiments = [prepare(recipe) for recipe in recipes]
    members = []
    for experiment in experiments:
        experiment.task.to_device(torch.device("cpu"))
        data = experiment.tensors["train"], experiment.tensors["validation"]
        members.append(Member(experiment.model, experiment.task, *data, experiment.recipe.train))
    trainer = FleetTrainer(members, experiments[0].plan, monitor=("mae", "min"), watch=lambda i, r: i in (0, 3))
    trainer.fit()
    assert trainer.active == [1, 2] and len(trainer.learner.weights) == 2
    assert [len(progress.history) for progress in trainer.progress] == [1, 4, 4, 1]
    alone = train_many(recipes[1:3], together=False)
    for index, outcome in zip((1, 2), alone, strict=True):
        assert trainer.progress[index].best["value"] == pytest.approx(outcome.value, rel=1e-4)


# What cannot be stacked


def test_what_differs_in_shape_trains_in_fleets_of_its_own():
    recipes = [
        Recipe(
            data=DataSettings(source="diabetes"),
            model=ModelSettings(name="mlp", options={"hidden": [width]}),
            train=TrainSettings(epochs=1, seed=seed),
        )
        for width in (4, 8)
        for seed in range(2)
    ]
    assert group([prepare(recipe) for recipe in recipes]) == [[0, 1], [2, 3]]
    assert [outcome.recipe.model.options["hidden"] for outcome in train_many(recipes)] == [[4], [4], [8], [8]]


class Looking(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(10, 1)

    def forward(self, inputs):
        return self.head(inputs) * (2 if inputs.sum() > 0 else 1)


class Noisy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(10, 1)

    def forward(self, inputs):
        return self.head(inputs + torch.randn_like(inputs))


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (Looking(), "data-dependent"),
        (Noisy(), "randomness"),
        (nn.Sequential(nn.Linear(10, 4), nn.AlphaDropout(0.5), nn.Linear(4, 1)), "AlphaDropout"),
    ],
)
def test_a_model_without_a_stacked_form_is_told(model, told):
    experiment = prepare(Recipe(data=DataSettings(source="diabetes")), model=model)
    assert told in obstacle(experiment)


def test_a_plateau_schedule_is_each_models_own():
    recipe = Recipe(
        data=DataSettings(source="diabetes"), train=TrainSettings(schedule=ScheduleSettings(name="plateau"))
    )
    assert "plateau" in obstacle(prepare(recipe))


# Going on


@pytest.mark.parametrize("case", ["folds", "dropout", "average", "patience"])
def test_a_fleet_that_was_stopped_goes_on_to_the_same_bits(case, tmp_path, monkeypatch):
    from gradus.train.trainer import Interrupted

    recipes = CASES[case]
    whole = train_many(recipes)
    folder = RunFolder.create(tmp_path / "fleet")
    steps = 0
    step = fleet.FleetLearner.step

    def interrupted(self, parts):
        nonlocal steps
        if (
            signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        ):  # a trainer listens: it is not the trial of the model
            steps += 1
            if steps in (5, 9, 26):
                os.kill(os.getpid(), signal.SIGTERM)
        return step(self, parts)

    monkeypatch.setattr(fleet.FleetLearner, "step", interrupted)
    outcomes = None
    for _ in range(5):
        try:
            outcomes = train_many(recipes, folder=folder)
            break
        except Interrupted as stop:
            assert "and saved" in str(stop)
    assert outcomes is not None and steps > 9
    for one, other in zip(whole, outcomes, strict=True):
        assert (one.value, one.epoch) == (other.value, other.epoch)
        assert all(torch.equal(tensor, other.state[name]) for name, tensor in one.state.items())
        drop = {"train_seconds"}
        assert [{k: v for k, v in r.items() if k not in drop} for r in one.history] == [
            {k: v for k, v in r.items() if k not in drop} for r in other.history
        ]
    folder.lock.release()


def test_labels_tasks_stack(tmp_path):
    random = np.random.default_rng(0)
    rows = random.normal(size=(120, 3))
    lines = ["a,b,c,x,y"] + [f"{a:.3f},{b:.3f},{c:.3f},{int(a > 0)},{int(b + c > 0)}" for a, b, c in rows]
    (tmp_path / "two.csv").write_text("\n".join(lines))
    recipes = [
        Recipe(
            data=DataSettings(source=str(tmp_path / "two.csv"), target="x,y", folds=3, fold=fold),
            task=TaskSettings(options={"class_weights": "balanced"}),
            train=TrainSettings(epochs=2, seed=fold),
        )
        for fold in range(3)
    ]
    assert is_one_fleet(recipes)
    assert_equal_outcomes(recipes)

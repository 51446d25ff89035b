"""Machines as runs: trained, resumed to the same bits, asked for pictures, looked into, and handed on to a classifier."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import gradus
from gradus.data.load import DataSettings
from gradus.errors import UserError
from gradus.models import ModelSettings
from gradus.recipes.looking import look, read_pictures, subject_of
from gradus.recipes.picturing import make_pictures
from gradus.recipes.recipe import Recipe
from gradus.recipes.table import get_recipe
from gradus.reference import energy
from gradus.tasks.settings import TaskSettings
from gradus.train.settings import OptimizerSettings, TrainSettings
from gradus.train.trainer import TrainingStopped

DIGITS = DataSettings(source="digits", test=0.2, validation=0.2)
PICTURES = TaskSettings(name="picture-generation")


def recipe(model: str, epochs: int = 2, average: float | None = None, **options) -> Recipe:
    train = TrainSettings(
        epochs=epochs,
        batch_size=20 if epochs > 2 else 100,
        average=average,
        optimizer=OptimizerSettings(name="sgd", learning_rate=0.1, momentum=0.5),
        checkpoint_seconds=0,
    )
    options = {"image_size": 8, "gibbs_steps": 3, **options}
    return Recipe(data=DIGITS, task=PICTURES, model=ModelSettings(name=model, options=options), train=train)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return gradus.train_recipe(recipe("rbm", epochs=8, hidden=24), tmp_path_factory.mktemp("runs") / "rbm")


class Stop(Exception):
    pass


def interrupted(run: Path, wanted: Recipe) -> None:
    def stop(record):
        if record.get("event") == "epoch":
            raise Stop

    with pytest.raises(Stop):
        gradus.train_recipe(wanted, run, observers=(stop,))
    gradus.resume(run)


@pytest.mark.parametrize(
    ("model", "options", "average"),
    [("rbm", {"hidden": 6, "chains": 10}, 0.9), ("dbn", {"hidden": [6, 4], "chains": 5}, None)],
)
def test_a_run_that_was_stopped_ends_with_the_same_bits(tmp_path, model, options, average):
    """Persistent chains are among them, and those of the averages are the same ones."""
    wanted = recipe(model, average=average, **options)
    whole = gradus.train_recipe(wanted, tmp_path / "whole")
    interrupted(tmp_path / "stopped", wanted)
    other = gradus.load_run(tmp_path / "stopped")
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, other.model.state_dict()[name]), name
    assert [r["train_loss"] for r in whole.history] == [r["train_loss"] for r in other.history]
    chains = [value for name, value in whole.model.state_dict().items() if name.endswith("chains")]
    assert all(bool(chain.any()) and set(chain.unique().tolist()) <= {0, 1} for chain in chains)


def test_it_learns_and_the_best_weights_are_the_likeliest(trained):
    losses = [record["validation_loss"] for record in trained.history]
    assert losses[-1] < 0.95 * losses[0]
    state = json.loads((trained.path / "checkpoints" / "best" / "state.json").read_text())["state"]
    assert state["epoch"] == int(np.argmin(losses)) + 1
    made = make_pictures(trained, 5, seed=1)
    assert made.shape == (5, 8, 8, 1) and (made == make_pictures(trained, 5, seed=1)).all()


def test_a_stack_keeps_its_last_weights(tmp_path):
    run = gradus.train_recipe(recipe("dbn", hidden=[6, 4]), tmp_path / "run")
    assert not (run.path / "checkpoints" / "best").exists()
    log = (run.path / "log.txt").read_text()
    assert "machine 2 of 2 learns" in log and "does not learn" not in log  # the others rest, and nobody is alarmed


def test_a_machine_whose_numbers_run_away_is_told_by_its_row(tmp_path):
    wanted = recipe("conv_rbm", maps=4, kernel_size=3, visible="gaussian")
    faster = replace(wanted.train, optimizer=OptimizerSettings(name="sgd", learning_rate=10.0))
    with pytest.raises(TrainingStopped, match=r"not a finite number in the loss .* for row"):
        gradus.train_recipe(replace(wanted, train=faster), tmp_path / "run")


def test_the_filters_are_the_weights(trained):
    sight = look(subject_of(str(trained.path)), "filters")
    weight = trained.model.weight.detach().numpy()
    np.testing.assert_array_equal(sight.arrays["weight"], weight.T.reshape(-1, 1, 8, 8))
    with pytest.raises(UserError, match="machines 1 to 1, received '2'"):
        look(subject_of(str(trained.path)), "filters", layer="2")


def test_damaged_digits_are_completed_better_than_by_their_mean(trained):
    subject = subject_of(str(trained.path))
    sight = look(subject, "damaged", hidden="half", steps=60, rows=80)
    assert sight.numbers["squared_error"] < 0.8 * sight.numbers["squared_error_of_mean"]
    known, given = sight.arrays["known"], read_pictures(subject, ["test:3"])
    one = look(subject, "damaged", given, hidden="lower", steps=5)
    assert not one.arrays["known"][4:].any() and one.arrays["known"][:4].all() and 0.3 < known.mean() < 0.7
    np.testing.assert_allclose(one.arrays["completed"][0, :, :4], subject.inputs(given)[0, :, :4])


def test_fantasies_show_chains_and_free_energy_the_gap(trained):
    subject = subject_of(str(trained.path))
    sight = look(subject, "fantasies", chains=3, steps="[0,1,5]")
    assert sight.arrays["pictures"].shape == (3, 3, 8, 8, 1) and "free_energy_5" in sight.numbers
    sight = look(subject, "free-energy", rows=100)
    with torch.no_grad():
        rows = subject.labelled("test").sample(100, 0)
        by_hand = trained.model.free_energy(trained.model.enter(subject.prepare(rows.pixels))).mean()
    assert sight.numbers["test_mean"] == pytest.approx(by_hand.item(), rel=1e-5)
    assert sight.numbers["gap"] == pytest.approx(sight.numbers["test_mean"] - sight.numbers["train_mean"])
    with pytest.raises(UserError, match="is one for pictures that it makes"):
        look(subject, "saliency", read_pictures(subject, ["test:3"]))


def test_likelihood_is_minus_free_energy_less_the_log_of_the_sum_over_all_states(trained, tmp_path):
    few = gradus.train_recipe(recipe("rbm", epochs=3, hidden=12), tmp_path / "few")
    found = look(subject_of(str(few.path)), "likelihood", steps=300, rows=200).numbers
    weights = (few.model.weight, few.model.visible_bias, few.model.hidden_bias)
    exact = energy.log_partition(*(weight.detach().double().numpy() for weight in weights))
    assert found["log_partition"] == pytest.approx(exact, abs=0.1)
    assert found["log_partition_low"] < exact < found["log_partition_high"]
    subject = subject_of(str(trained.path))
    found = look(subject, "likelihood", steps=300, rows=200).numbers
    assert found["independent_pixels"] + 2 < found["test"] < 0
    uncertain = look(subject, "likelihood", steps=1, chains=3, rows=200)
    assert "log_partition_low" not in uncertain.numbers and "use more steps" in uncertain.said[-1]
    gaussian = gradus.train_recipe(recipe("rbm", epochs=1, hidden=4, visible="gaussian"), tmp_path / "run")
    with pytest.raises(UserError, match="is no rbm or dbn whose pixels are 0 or 1"):
        look(subject_of(str(gaussian.path)), "likelihood")
    with pytest.raises(UserError, match="received 1, 10000 and 10000"):
        look(subject, "likelihood", chains=1)


def test_a_stack_is_looked_into_as_one(tmp_path):
    torch.manual_seed(0)
    run = gradus.train_recipe(recipe("conv_dbn", epochs=1, maps=[3, 4], kernel_size=[3, 2]), tmp_path / "run")
    subject = subject_of(str(run.path))
    sight = look(subject, "filters", layer="2")
    assert sight.arrays["weight"].shape == (4, 1, 6, 6)
    assert look(subject, "damaged", hidden="middle", steps=3, rows=4).arrays["completed"].shape == (4, 1, 8, 8)
    assert look(subject, "fantasies", chains=2, steps="[0,2]").arrays["pictures"].shape == (2, 2, 8, 8, 1)
    with pytest.raises(UserError, match="is no rbm or dbn"):
        look(subject, "likelihood")


def test_features_of_a_machine_become_a_classifier(trained, tmp_path):
    """The recipe's way, on the embedded digits: frozen features and a linear layer."""
    wanted = get_recipe("mnist-rbm-features")
    model = replace(wanted.model, options={"hidden": [24]}, weights=str(trained.path))
    task = replace(wanted.task, options={**wanted.task.options, "image_size": 8})
    train = replace(wanted.train, epochs=8, optimizer=OptimizerSettings(name="adam", learning_rate=0.03))
    run = gradus.train_recipe(replace(wanted, data=DIGITS, model=model, task=task, train=train), tmp_path / "run")
    torch.testing.assert_close(run.model.layer1.weight, trained.model.weight.T)
    torch.testing.assert_close(run.model.layer1.bias, trained.model.hidden_bias)
    assert run.evaluation["metrics"]["accuracy"] > 0.7


def test_the_recipes_say_what_they_compare():
    few, plain = get_recipe("mnist-dbn-1000"), get_recipe("mnist-mlp-1000")
    assert few.data == plain.data and few.model.options["hidden"] == get_recipe("mnist-dbn").model.options["hidden"]
    features, pixels = get_recipe("mnist-rbm-features"), get_recipe("mnist-pixels")
    assert (features.data, features.task, features.train.epochs) == (pixels.data, pixels.task, pixels.train.epochs)
    assert features.model.options["hidden"] == [get_recipe("mnist-rbm").model.options["hidden"]]
    assert get_recipe("mnist-rbm-persistent").model.options["chains"] == 100

"""The learning-rate range test: its rule on curves that are known, and on real small data."""

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
from gradus.recipes.lr_range import judge, lr_range_run, lr_range_test, smooth
from gradus.recipes.recipe import ModelSettings, Recipe
from gradus.recipes.table import get_recipe
from gradus.train.settings import OptimizerSettings, TrainSettings

RATES = np.geomspace(1e-6, 10, 300)


def recipe(source: str = "iris", **training) -> Recipe:
    made = Recipe(train=TrainSettings(**training))
    return replace(made, data=replace(made.data, source=source))


def test_smoothing_keeps_a_line_and_removes_noise():
    places = np.log10(RATES)
    inner = slice(40, -40)
    assert np.allclose(smooth(RATES, 3 - 2 * places)[inner], (3 - 2 * places)[inner])  # it does not lag behind
    noise = np.random.default_rng(0).normal(size=300)
    assert smooth(RATES, noise)[inner].std() < 0.4


def test_the_rule_on_a_known_curve():
    places = np.log10(RATES)
    # falls most steeply at 1e-3, is lowest where the rise that begins at 0.1 meets it
    losses = 1 - 0.8 / (1 + np.exp(-4 * (places + 3))) + np.where(places > -1, (places + 1) ** 2, 0)
    losses += np.random.default_rng(1).normal(scale=0.02, size=300)
    found = judge(RATES, losses, None, 0.01, 1)
    assert found.steepest == pytest.approx(1e-3, rel=0.5)
    assert found.lowest is not None and 0.02 < found.lowest < 0.3
    assert found.suggestion == pytest.approx(np.sqrt(found.steepest * found.lowest), rel=0.05)


def test_where_a_falling_loss_says_nothing():
    game = replace(get_recipe("mnist-dcgan"), model=ModelSettings(name="gan"))
    with pytest.raises(UserError, match=r"the loss of gan does not tell how well it learns.*gradus compare"):
        lr_range_test(replace(game, data=DataSettings(source="digits")), steps=20)
    with pytest.raises(UserError, match=r"an environment has no rows.*gradus compare"):
        lr_range_test(recipe("grid:cliff"), steps=20)


@pytest.mark.parametrize("losses", [np.ones(300), np.linspace(1, 4, 300)], ids=["flat", "rising"])
def test_no_suggestion_where_the_loss_does_not_fall(losses: np.ndarray):
    noisy = losses + np.random.default_rng(2).normal(scale=0.02, size=300)
    assert judge(RATES, noisy, None, 0.01, 1).suggestion is None


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_suggestion_trains_and_a_hundredth_of_it_does_not(optimizer: str):
    base = recipe("digits", epochs=2, optimizer=OptimizerSettings(name=optimizer))
    base = replace(base, model=replace(base.model, name="logistic_regression"))
    found = lr_range_test(base, steps=200)
    assert found.suggestion is not None and found.steepest is not None and found.lowest is not None
    assert found.steepest <= found.suggestion <= found.lowest
    from gradus.recipes.many import train_many

    rates = (found.suggestion, found.suggestion / 100)
    made = [
        replace(base, train=replace(base.train, optimizer=OptimizerSettings(name=optimizer, learning_rate=r)))
        for r in rates
    ]
    good, slow = train_many(made)
    assert good.value is not None and slow.value is not None and good.value > 0.85 and good.value > slow.value + 0.1


def test_it_ends_where_the_loss_bursts():
    found = lr_range_test(recipe(optimizer=OptimizerSettings(name="sgd")), highest=1e6, steps=150)
    assert found.burst is not None and found.burst < 1e6
    assert len(found.rates) < 150 and np.isfinite(found.losses).all()
    gentle = lr_range_test(recipe(), highest=1e-4, steps=20)
    assert gentle.burst is None and len(gentle.rates) == 20


def test_it_is_repeatable_and_seeds_are_averaged():
    once, again = (lr_range_test(recipe(), steps=40) for _ in range(2))
    assert np.array_equal(once.losses, again.losses)
    alone = [lr_range_test(recipe(seed=seed), steps=40, highest=0.01).losses for seed in (0, 1)]
    both = lr_range_test(recipe(), steps=40, seeds=2, highest=0.01)
    assert np.allclose(both.losses, np.mean(alone, axis=0)) and both.seeds == 2


def test_the_steps_are_those_of_a_training():
    """At one rate from end to end, the losses are those that the trainer's own loop would see."""
    from gradus.recipes.execute import create_trainer
    from gradus.recipes.experiment import prepare
    from gradus.train.randomness import seed_step

    made = recipe(optimizer=OptimizerSettings(name="adam", learning_rate=0.01), batch_size=32)
    found = lr_range_test(made, lowest=0.01, highest=0.0100000001, steps=10)
    trainer = create_trainer(prepare(made))
    losses = []
    for place in range(10):
        epoch, step = divmod(place, trainer.source.steps)
        seed_step(0, epoch, step, torch.device("cpu"))
        losses.append(float(trainer.learner.step(trainer.source.batch(epoch, step))["loss"]))
    assert np.allclose(found.losses, losses, rtol=1e-5)


def test_a_module_of_ones_own_stays_as_it_is():
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found = gradus.lr_range_test(recipe(), model=model, steps=30)
    assert len(found.rates) > 2
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"lowest": 0.0}, "must rise from above 0"),
        ({"lowest": 1.0, "highest": 0.1}, "must rise"),
        ({"steps": 5}, "10 or more"),
        ({"seeds": 0}, "1 or more"),
        ({"lowest": 1e29, "highest": 1e30}, "start lower"),
    ],
)
def test_mistakes(how: dict, told: str):
    with pytest.raises(UserError, match=told):
        lr_range_test(recipe(optimizer=OptimizerSettings(name="sgd")), **how)


def test_the_folder(in_empty_folder: Path):
    folder, found = lr_range_run(get_recipe("digits-lenet5"), steps=30)
    assert folder == Path("runs/lr-lenet5-digits-1")
    kept = json.loads((folder / "lr.json").read_text())
    assert kept["suggestion"] == found.suggestion and len(kept["rates"]) == len(kept["losses"]) == len(found.rates)
    assert (folder / "lr.png").read_bytes().startswith(b"\x89PNG")
    assert lr_range_run(recipe(), "mine", steps=30)[0] == Path("mine")
    with pytest.raises(UserError, match="not empty"):
        lr_range_run(recipe(), "mine", steps=30)

"""Recipes of games, each with a small network on scikit-learn's digits: they run, and are looked into."""

from __future__ import annotations

from dataclasses import replace

import pytest

import gradus
from gradus.data.load import DataSettings
from gradus.recipes.table import get_recipe

SMALL = {
    "mnist-cgan": {"width": 2},
    "mnist-cgan-1411": {},
    "mnist-wgan-gp": {"width": 2},
    "mnist-lapgan": {"width": 2, "hidden": 8, "levels": 2},
}


@pytest.mark.parametrize("name", SMALL)
def test_a_game_runs(tmp_path, name):
    recipe = get_recipe(name)
    recipe = replace(
        recipe,
        data=DataSettings(source="digits", rows=60, validation=0),
        task=replace(recipe.task, options={**recipe.task.options, "image_size": 8}),
        model=replace(recipe.model, options={**recipe.model.options, **SMALL[name], "latent_size": 4}),
        train=replace(recipe.train, epochs=1, batch_size=20),
    )
    run = gradus.train_recipe(recipe, tmp_path / "run")
    told = run.history[0]
    if name == "mnist-wgan-gp":
        assert told["train_slope"] > 0
    else:
        shares = [value for key, value in told.items() if key.startswith(("train_d_real", "train_passed"))]
        assert shares and all(0 <= value <= 1 for value in shares)
    assert (tmp_path / "run" / "samples").is_dir()


def test_frogs_alone_are_learnt():
    recipe = get_recipe("cifar10-frogs")
    assert recipe.task.options["classes"] == ["frog"]
    assert recipe.train.adversarial.discriminator_rate == 2 * (recipe.train.optimizer.learning_rate or 0)

"""The recipes of CamVid on its own pictures, a few of them and small: they run, and can be predicted with."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import gradus
from gradus.data.load import load_data
from gradus.recipes.table import RECIPES, get_recipe

NAMES = [name for name in RECIPES if name.startswith("camvid-")]


@pytest.mark.parametrize("name", NAMES)
def test_settings_suit_the_pictures(name):
    recipe = get_recipe(name)
    height, width = recipe.task.options["image_size"]
    assert width / height == 480 / 360  # nothing is padded or stretched
    assert recipe.published is not None
    assert recipe.published.metric == "miou"


@pytest.mark.skipif("GRADUS_DATA" not in os.environ, reason="GRADUS_DATA is not set: CamVid's pictures are needed")
def test_a_recipe_runs_on_a_few_pictures(tmp_path: Path):
    recipe = get_recipe("camvid-segnet")
    recipe = replace(
        recipe,
        task=replace(recipe.task, options={**recipe.task.options, "image_size": [48, 64]}),
        model=replace(recipe.model, options={"width": 4}),
        train=replace(recipe.train, epochs=1),
    )
    data = load_data("camvid")
    few = data.with_splits({name: split.take(np.arange(4)) for name, split in data.splits.items()}, "four of each")
    run = gradus.train_recipe(recipe, tmp_path / "run", dataset=few)
    assert 0 <= run.evaluation["metrics"]["miou"] <= 1
    assert run.assess("test").predictions.shape[1:] == (360, 480)
    picture = np.random.default_rng(0).integers(0, 256, (90, 131, 3), dtype=np.uint8)
    (answer,) = run.predict(picture)
    assert (answer["prediction"]["height"], answer["prediction"]["width"]) == (90, 131)

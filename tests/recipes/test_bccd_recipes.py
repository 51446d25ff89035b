"""The recipes for blood cells, on a few rows of small pictures: what they name exists, and each trains and is judged."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

import gradus
from gradus.recipes.table import get_recipe

# the others: test_region_recipes.py, test_bccd_places_recipes.py
NAMES = ("bccd-grid", "bccd-yolo", "bccd-ssd")
pytestmark = pytest.mark.skipif(
    not os.environ.get("GRADUS_DATA") or not (Path(os.environ["GRADUS_DATA"]) / "bccd").exists(),
    reason="GRADUS_DATA has no bccd",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_for_blood_cells_trains(name, tmp_path: Path):
    recipe = get_recipe(name)
    small = replace(
        recipe,
        data=replace(recipe.data, rows=4),
        task=replace(recipe.task, options={**recipe.task.options, "image_size": 192}),
        train=replace(recipe.train, epochs=1, batch_size=2),
    )
    run = gradus.train_recipe(small, tmp_path / "run")
    (epoch,) = run.history
    assert 0 <= epoch["validation_map50"] <= 1
    assert run.recipe.model.options["num_classes"] == 3
    assert run.model.backbone.name == "squeezenet1_0"

"""Region-based detectors from a recipe to a run: training, stopping, resuming, judging and predicting."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import gradus
from gradus.data.columns import Boxes, Column, Image, Objects
from gradus.data.dataset import Dataset, Split
from gradus.errors import UserError
from gradus.recipes import execute
from gradus.recipes.execute import resume, train_recipe
from gradus.recipes.recipe import Recipe
from gradus.recipes.run import FINISHED
from gradus.recipes.table import get_recipe
from gradus.train import checkpoint

NAMES = ("bccd-faster-rcnn", "bccd-faster-rcnn-four-steps", "bccd-fast-rcnn", "bccd-spp-net", "bccd-rcnn")
SMALL: dict[str, dict[str, int]] = {
    "bccd-faster-rcnn": {"width": 8, "before": 40, "after": 10, "sampled": 8},
    "bccd-faster-rcnn-four-steps": {"width": 8, "before": 40, "after": 10, "sampled": 8},
    "bccd-fast-rcnn": {"width": 8, "sampled": 8},
    "bccd-spp-net": {"sampled": 8},
    "bccd-rcnn": {"side": 16, "sampled": 8},
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADUS_CACHE", str(tmp_path / "cache"))


def cells(rows: int, seed: int) -> Split:
    """Dark pictures of 48x48 with a red square."""
    random = np.random.default_rng(seed)
    pictures = random.integers(0, 40, (rows, 48, 48, 3)).astype(np.uint8)
    corners = random.integers(2, 28, (rows, 2))
    for picture, (left, top) in zip(pictures, corners, strict=True):
        picture[top : top + 18, left : left + 18] = (250, 60, 60)
    things = [Objects.of([[left, top, left + 18, top + 18]], [row % 2]) for row, (left, top) in enumerate(corners)]
    columns = {"image": Column(Image(), pictures), "objects": Column(Boxes(classes=("one", "other")), things)}
    return Split(columns, [f"row {row}" for row in range(rows)])


def data() -> Dataset:
    return Dataset(
        "cells", "cells", {"train": cells(4, 0), "validation": cells(2, 1), "test": cells(2, 2)}, target="objects"
    )


def small(name: str, epochs: int = 1) -> Recipe:
    """The recipe on small pictures, with few regions and a small network from nothing."""
    recipe = get_recipe(name)
    options = {**recipe.model.options, "backbone": "resnet20", "stride": 4, "hidden": 16, **SMALL[name]}
    proposals = {"proposals": 20} if recipe.task.options.get("proposals") else {}
    train = replace(recipe.train, epochs=epochs, fine_tune=replace(recipe.train.fine_tune, freeze=()))
    return replace(
        recipe,
        task=replace(recipe.task, options={"image_size": 48, **proposals}),
        model=replace(recipe.model, options=options, weights=""),
        train=train,
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_runs_is_judged_and_predicts(name: str, tmp_path: Path) -> None:
    said: list[str] = []
    run = train_recipe(small(name), tmp_path / "run", dataset=data(), say=said.append)
    assert 0 <= run.evaluation["metrics"]["map50"] <= 1
    assert any("region proposals of 4 pictures computed" in line for line in said) != name.startswith(
        "bccd-faster-rcnn"
    )
    loaded = gradus.load_run(run.path)
    picture = np.asarray(cells(1, 5)["image"].values[0])
    answers = loaded.predict([picture])
    assert answers == run.predict([picture])
    assert isinstance(answers[0]["prediction"], list)
    solved = name in ("bccd-spp-net", "bccd-rcnn")
    state = checkpoint.load(run.path / "checkpoints", "best").state
    assert state.get(FINISHED, False) == solved
    # after it was measured the network changed: so what was the best score then says nothing
    measured = run.history[-1].get("validation_best_score")
    assert run.task.best_score == loaded.task.best_score == (None if solved else measured)
    assert (
        bool(any("solved.solved" in key and value.all() for key, value in loaded.model.state_dict().items())) == solved
    )


def test_a_model_that_takes_proposals_is_given_them(tmp_path: Path) -> None:
    recipe = small("bccd-fast-rcnn")
    recipe = replace(recipe, task=replace(recipe.task, options={"image_size": 48}))
    said: list[str] = []
    run = train_recipe(recipe, tmp_path / "run", dataset=data(), say=said.append)
    assert "model fast_rcnn takes region proposals: up to 500 a picture, by selective search" in said
    assert gradus.load_run(run.path).recipe.task.options["proposals"] == 500


def test_a_model_that_takes_none_is_not(tmp_path: Path) -> None:
    recipe = small("bccd-faster-rcnn")
    recipe = replace(recipe, task=replace(recipe.task, options={"image_size": 48, "proposals": 10}))
    with pytest.raises(UserError, match="model faster_rcnn takes no region proposals"):
        train_recipe(recipe, tmp_path / "run", dataset=data())


def test_a_kill_before_the_machines_are_solved_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = small("bccd-spp-net", epochs=2)
    whole = train_recipe(recipe, tmp_path / "whole", dataset=data())
    calls = []

    def count(run, folder):
        calls.append(1)
        return finish(run, folder)

    def stop(*given):
        raise KeyboardInterrupt

    finish = execute.finish_model
    monkeypatch.setattr(execute, "finish_model", stop)
    with pytest.raises(KeyboardInterrupt):
        train_recipe(recipe, tmp_path / "cut", dataset=data())
    monkeypatch.setattr(execute, "finish_model", count)
    with monkeypatch.context() as patch:
        patch.setattr(execute.Run, "assess", stop)  # after they are solved, before they are judged
        with pytest.raises(KeyboardInterrupt):
            resume(tmp_path / "cut", dataset=data())
    kept = checkpoint.load(tmp_path / "cut" / "checkpoints", "best").model
    run = resume(tmp_path / "cut", dataset=data())
    assert calls == [1, 1]
    assert run.evaluation["metrics"] == whole.evaluation["metrics"]
    for name, tensor in checkpoint.load(whole.path / "checkpoints", "best").model.items():
        assert (kept[name] == tensor).all(), name


def test_without_validation_rows_the_last_weights_are_finished(tmp_path: Path) -> None:
    without = Dataset("cells", "cells", {"train": cells(4, 0), "test": cells(2, 2)}, target="objects")
    recipe = small("bccd-spp-net")
    recipe = replace(recipe, data=replace(recipe.data, validation=0))
    run = train_recipe(recipe, tmp_path / "run", dataset=without)
    assert checkpoint.load(run.path / "checkpoints", "best").state == {"epoch": 1, FINISHED: True}
    assert gradus.load_run(run.path).evaluation["metrics"] == run.evaluation["metrics"]

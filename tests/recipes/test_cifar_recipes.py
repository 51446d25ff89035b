"""The recipes on CIFAR-10, on a few made-up pictures: all can be prepared, the light ones run; and what they rest on."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import gradus
from gradus.data.load import DataSettings
from gradus.errors import UserError
from gradus.models import ModelSettings
from gradus.recipes.experiment import Experiment, prepare
from gradus.recipes.recipe import Recipe
from gradus.recipes.table import RECIPES, get_recipe
from gradus.train.settings import TrainSettings

NAMES = [name for name in RECIPES if name.startswith("cifar10-") and "frogs" not in name]
TRAIN_ROWS = 60


@pytest.fixture
def few_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CIFAR-10 as far as names and shapes go: blurred noise, tinted by its class, as JPEG files."""
    random = np.random.default_rng(0)
    folder = tmp_path / "data" / "cifar10"
    folder.mkdir(parents=True)
    (folder / "labels.txt").write_text("\n".join("abcdefghij"))
    for split, rows in (("train", TRAIN_ROWS), ("test", 10)):
        labels, encoded = np.arange(rows) % 10, []
        for label in labels:
            pixels = random.normal(100 + 10 * label, 40, (8, 8, 3)).clip(0, 255).astype(np.uint8)
            file = io.BytesIO()
            Image.fromarray(pixels).resize((32, 32)).save(file, "JPEG")
            encoded.append({"bytes": file.getvalue(), "path": None})
        pq.write_table(pa.table({"image": encoded, "label": labels.astype(np.int64)}), folder / f"{split}.parquet")
    monkeypatch.setenv("GRADUS_DATA", str(tmp_path / "data"))


def small(name: str) -> Recipe:
    """The recipe for the few pictures: fewer rows, smaller batches, one epoch; else as it stands."""
    recipe = get_recipe(name)
    rows = 30 if recipe.data.rows else 0
    data = replace(recipe.data, rows=rows, validation=20 if recipe.data.validation else 0)
    return replace(recipe, data=data, train=replace(recipe.train, epochs=1, batch_size=15, threads=1))


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_can_be_prepared(few_pictures, name: str):
    experiment = prepare(small(name), measure=False)
    learnt = len(experiment.tensors["train"]["targets"])
    recipe = experiment.recipe
    assert learnt == (30 if recipe.data.rows else TRAIN_ROWS - int(recipe.data.validation))
    assert recipe.augment.is_on and "augmented" in " ".join(experiment.notes)
    parameters = f"{sum(parameter.numel() for parameter in experiment.model.parameters()):,}".replace(",", " ")
    about = get_recipe(name).about
    assert "parameters" not in about or parameters in about


@pytest.mark.parametrize("name", ["cifar10-tutorial-small", "cifar10-resnet20-small", "cifar10-fast-small"])
def test_light_recipes_run(few_pictures, tmp_path: Path, name: str):
    run = gradus.train_recipe(small(name), tmp_path / "run")
    assert len(run.history) == 1 and 0 <= run.evaluation["metrics"]["accuracy"] <= 1
    assert gradus.load_run(run.path).evaluate("test") == run.evaluation["metrics"]


def test_the_tutorial_sees_the_middle_of_a_picture(few_pictures):
    experiment = prepare(small("cifar10-tutorial"), measure=False)
    experiment.task.to_device(torch.device("cpu"))
    rows = {key: value[:4] for key, value in experiment.tensors["train"].items()}
    seen, _ = experiment.task.prepare(rows, training=False)
    assert seen.shape == (4, 3, 24, 24) and experiment.model.local3.in_features == 64 * 6 * 6
    assert torch.allclose(seen.mean(dim=(1, 2, 3)), torch.zeros(4), atol=1e-5)  # each picture by itself
    middle = rows["inputs"][:, 4:28, 4:28].permute(0, 3, 1, 2).float()
    assert torch.allclose(seen[0] * middle[0].std(correction=0) + middle[0].mean(), middle[0], atol=1e-2)


def test_published_settings():
    """64 000 updates of 128 from 45 000 rows; the small ones only have less of all."""
    train = get_recipe("cifar10-resnet20").train
    updates = 45_000 / 128
    assert train.epochs * updates == pytest.approx(64_000, rel=0.002)
    assert [mark * updates for mark in train.schedule.milestones] == pytest.approx([32_000, 48_000], rel=0.002)
    assert get_recipe("cifar10-resnet110").train.schedule.warmup * 64_000 == pytest.approx(400)
    for depth in (20, 56):
        plain, residual = (get_recipe(f"cifar10-{kind}{depth}") for kind in ("plain", "resnet"))
        assert (plain.data, plain.augment, plain.train) == (residual.data, residual.augment, residual.train)
        less = get_recipe(f"cifar10-plain{depth}-small")
        assert less.model == plain.model and less.augment == plain.augment and less.data.rows == 10_000


# What they rest on: fewer rows, and layers that are made from the data


def prepared(**data: object) -> Experiment:
    settings = DataSettings(source="digits", **data)  # type: ignore[arg-type]
    recipe = Recipe(data=settings, model=ModelSettings(name="fast_cifar"), train=TrainSettings(threads=1))
    return prepare(recipe, measure=False)


def test_fewer_rows_leave_the_other_splits_as_they_are():
    few, all_of_them = prepared(rows=200), prepared()
    for split in ("validation", "test"):
        assert torch.equal(few.tensors[split]["inputs"], all_of_them.tensors[split]["inputs"])
    counts = few.tensors["train"]["targets"].bincount()
    assert counts.sum() == 200 and counts.min() >= 18 and counts.max() <= 22  # each class its share
    assert any(f"train: 200 of {len(all_of_them.tensors['train']['targets']):,} rows" in note for note in few.notes)
    again = prepared(rows=200)
    assert torch.equal(again.tensors["train"]["inputs"], few.tensors["train"]["inputs"])


@pytest.mark.parametrize(
    ("rows", "told"), [(100_000, "there are only 1,29"), (-1, "data.rows: expected a whole number")]
)
def test_rows_that_there_are_not(rows: int, told: str):
    with pytest.raises(UserError, match=told):
        prepared(rows=rows)


def test_whitening_comes_from_the_training_pictures_and_is_kept(tmp_path: Path):
    experiment = prepared(rows=200)
    pictures, _ = experiment.task.prepare(experiment.tensors["train"], training=False)
    found = torch.nn.functional.conv2d(pictures, experiment.model.whitening.weight)[:, :4]
    moments = torch.einsum("bihw,bjhw->ij", found, found) / (found.numel() / 4)
    assert torch.allclose(moments, torch.eye(4), atol=0.02)
    other = prepared(rows=200, split_seed=1)  # other rows, other filters
    assert not torch.equal(other.model.whitening.weight, experiment.model.whitening.weight)
    run = gradus.train_recipe(
        replace(experiment.recipe, train=replace(experiment.recipe.train, epochs=1)), tmp_path / "r"
    )
    assert torch.equal(gradus.load_run(run.path).model.whitening.weight, experiment.model.whitening.weight)


def test_a_last_batch_of_one_row_without_statistics_is_told_before_the_first_step(few_pictures):
    """A whole epoch would pass before PyTorch says that one value a channel is too few."""
    recipe = Recipe(
        data=DataSettings(source="cifar10", validation=0),
        model=ModelSettings(name="resnet20"),
        train=TrainSettings(batch_size=59),  # 60 rows
    )
    small = replace(recipe, task=replace(recipe.task, options={"image_size": 4}))  # 1x1 maps at the end
    with pytest.raises(UserError, match=r"60 rows, 59 a batch leave one row for the last.*such as 58"):
        prepare(small)
    prepare(recipe)  # 8x8 maps at the end: one row has statistics
    prepare(replace(small, train=TrainSettings(batch_size=30)))


def test_a_batch_size_that_is_chosen_leaves_no_row_alone():
    assert [TrainSettings().resolved(rows).batch_size for rows in (2048, 2049, 33, 2)] == [64, 65, 3, 1]
    assert TrainSettings(batch_size=64).resolved(2049).batch_size == 64

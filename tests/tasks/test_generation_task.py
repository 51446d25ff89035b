"""Making pictures as a task: learning a few by heart, 0 and 1 for grey values, chosen classes; a run that stops and goes on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gradus.data.columns import Column, Image, Label
from gradus.data.dataset import Dataset, NumberedRows, Split
from gradus.data.load import DataSettings
from gradus.errors import UserError
from gradus.models import ModelSettings, create_model
from gradus.nn.sampling import drawn_alike
from gradus.recipes.execute import resume, train_recipe
from gradus.recipes.recipe import Recipe
from gradus.tasks.settings import TaskSettings
from gradus.tasks.table import create_task
from gradus.train import checkpoint
from gradus.train.devices import Plan
from gradus.train.learner import Supervised
from gradus.train.settings import OptimizerSettings, TrainSettings

CPU = torch.device("cpu")


def stripes(rows: int = 24) -> Dataset:
    """Pictures 6x6 of upright (class 0) and lying stripes (class 1), of two greys."""
    columns = np.arange(6)[None, :] % 2 * np.ones((6, 1))
    made = [np.where((columns if row % 2 == 0 else columns.T) > 0, 255 - 2 * row, row) for row in range(rows)]
    pixels, classes = np.stack(made).astype(np.uint8)[..., None], np.arange(rows) % 2
    split = Split(
        {
            "image": Column(Image(channels=1), pixels),
            "kind": Column(Label(classes=("upright", "lying")), classes),
        },
        NumberedRows.count("made", rows),
    )
    test = split.take(np.arange(8))
    return Dataset("stripes", "made", {"train": split, "test": test}, target="kind")


def task_of(**options):
    dataset = stripes()
    task = create_task(TaskSettings(name="picture-generation", options={"pixels": "unit", **options}), dataset, None)
    task.to_device(CPU)
    return task, task.encode(dataset["train"])


@pytest.mark.parametrize("name", ["dense_vae", "conv_autoencoder"])
def test_a_network_learns_a_few_pictures_by_heart(name):
    task, batch = task_of()
    torch.manual_seed(0)
    model = create_model(name, image_size=6)
    settings = TrainSettings(optimizer=OptimizerSettings(name="adam", learning_rate=0.01))
    learner = Supervised(model, task, settings, Plan(CPU))
    start = learner.summarize(*learner.evaluate([batch]))
    for _ in range(120):
        learner.step(batch)
    found = learner.summarize(*learner.evaluate([batch]))
    grey = task.inputs.prepare(batch["inputs"]).double().clamp(1e-9, 1 - 1e-9)
    entropy = -(grey * grey.log() + (1 - grey) * (1 - grey).log())
    least = float(entropy.sum()) / len(grey)  # no network can foretell better
    assert least < found["reconstruction"] < least + 0.4 * (start["reconstruction"] - least)


def test_binarised_pictures_are_drawn_anew_in_training_only():
    task, batch = task_of(binarize="sample")
    torch.manual_seed(0)
    first, second = (task.prepare(batch, training=True)[0] for _ in range(2))
    assert set(first.unique().tolist()) == {0.0, 1.0} and not torch.equal(first, second)
    many = torch.stack([task.prepare(batch, training=True)[0] for _ in range(600)]).mean(dim=0)
    grey = task.inputs.prepare(batch["inputs"])
    torch.testing.assert_close(many, grey, atol=0.1, rtol=0)
    held = task.prepare(batch, training=False)[0]
    assert set(held.unique().tolist()) == {0.0, 1.0}
    alone = torch.cat([task.prepare({"inputs": row[None]}, training=False)[0] for row in batch["inputs"]])
    assert torch.equal(held, alone)  # in whatever batch
    sharp, _ = task_of(binarize="threshold")
    assert torch.equal(sharp.prepare(batch, training=False)[0], (grey > 0.5).float())


def test_pixels_that_are_drawn_alike_are_on_as_often_as_their_chances():
    generator = torch.Generator().manual_seed(1)
    chances = torch.randint(0, 256, (4000, 100), generator=generator) / 255
    chances[:, :2] = torch.tensor([0.0, 1.0])
    drawn = drawn_alike(chances)
    assert (drawn[:, 0] == 0).all() and (drawn[:, 1] == 1).all()
    gap = drawn - chances
    assert gap.mean().abs() < 0.01 and gap.mean(dim=0).abs().max() < 0.05  # of every pixel, over the pictures
    together = (gap.T @ gap / len(gap)).fill_diagonal_(0)
    assert together.abs().max() < 0.03  # and no pixel says anything of another


def recipe(**options) -> Recipe:
    return Recipe(
        data=DataSettings(source="made", validation=0),
        task=TaskSettings(name="picture-generation", options=options),
        model=ModelSettings(name="dense_autoencoder", options={"hidden": [8], "code_size": 3, "noise": "masking"}),
        train=TrainSettings(epochs=3, batch_size=8, threads=1, optimizer=OptimizerSettings(name="adam")),
    )


def test_a_run_that_stops_and_goes_on_ends_with_the_same_bits(tmp_path):
    whole = train_recipe(recipe(), tmp_path / "whole", dataset=stripes())

    def stop(record):
        if record.get("event") == "epoch" and record["epoch"] == 2:
            raise KeyboardInterrupt

    quick = replace(recipe(), train=replace(recipe().train, checkpoint_seconds=0.0))
    with pytest.raises(KeyboardInterrupt):
        train_recipe(quick, tmp_path / "cut", dataset=stripes(), observers=(stop,))
    again = resume(tmp_path / "cut", dataset=stripes())
    kept, gone_on = (checkpoint.load(run.path / "checkpoints", "last").model for run in (whole, again))
    assert float(kept["steps"]) == 9 and set(kept) == set(gone_on)
    for name, tensor in kept.items():
        assert torch.equal(tensor, gone_on[name]), name
    assert again.evaluation["metrics"] == whole.evaluation["metrics"]


def test_classes_that_are_asked_for(tmp_path):
    told = replace(recipe(classes=["lying"], conditional=True), model=ModelSettings(name="conv_vae"))
    told = replace(told, train=replace(told.train, epochs=1))
    run = train_recipe(told, tmp_path / "run", dataset=stripes())
    assert run.recipe.model.options["num_classes"] == 1 and len(run.assess("test").values) == 4
    with pytest.raises(UserError, match="model dense_autoencoder is told no classes"):
        train_recipe(recipe(conditional=True), tmp_path / "other", dataset=stripes())

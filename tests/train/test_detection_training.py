"""Detectors in the engine: runs that stop and go on, batches that are cut, losses that are not finite, anchors in the recipe."""

from __future__ import annotations

import json
import os
import signal
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from children import Children

from gradus.boxes.average_precision import detection_metrics
from gradus.data.augment.settings import AugmentSettings
from gradus.data.columns import Boxes, Column, Image, Objects
from gradus.data.dataset import Dataset, Split
from gradus.data.load import DataSettings
from gradus.data.writers import export
from gradus.errors import UserError
from gradus.models import ModelSettings
from gradus.recipes.execute import resume, train_recipe
from gradus.recipes.experiment import prepare
from gradus.recipes.recipe import Recipe
from gradus.recipes.run import load_run
from gradus.tasks.settings import TaskSettings
from gradus.train import checkpoint, measure
from gradus.train.devices import Plan
from gradus.train.distributed import Sharded
from gradus.train.learner import NonFiniteError, Supervised
from gradus.train.settings import TrainSettings
from gradus.train.world import ALONE

SLIM = {
    "grid_detector": {"width": 16},
    "yolo_v1": {"width": 16, "hidden": 32, "grid": [3, 4]},
    "ssd": {"width": 16},
}


def scenes(rows: int, seed: int) -> Split:
    """Grey noise of 64x48 with one or two bright squares of 10 or 20 pixels; the last picture has none, one object is ignored."""
    random, pictures, found = np.random.default_rng(seed), [], []
    for number in range(rows):
        picture, boxes = random.integers(0, 60, (48, 64, 3), dtype=np.uint8), []
        for index in range(number % 3 if number < rows - 1 else 0):
            side = (10, 20)[(number + index) % 2]
            top, left = random.integers(0, 48 - side), random.integers(32 * index, 32 * index + 32 - side)
            picture[top : top + side, left : left + side] += 150
            boxes.append([left, top, left + side, top + side])
        labels = [int(box[2] - box[0] == 20) for box in boxes]
        pictures.append(picture)
        found.append(Objects.of(boxes, labels, [number == 4] * len(boxes)))
    columns = {
        "image": Column(Image(), np.stack(pictures)),
        "objects": Column(Boxes(classes=("small", "large")), found),
    }
    return Split(columns, [f"scene {number}" for number in range(rows)])


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    splits = {"train": scenes(12, 0), "validation": scenes(4, 1), "test": scenes(4, 2)}
    return Dataset("scenes", "scenes", splits, target="objects")


def recipe_of(name: str, **train: object) -> Recipe:
    settings = {"epochs": 2, "batch_size": 4, "average": 0.9, "threads": 1, **train}
    return Recipe(
        data=DataSettings(source="scenes"),
        task=TaskSettings(options={"anchors": 2}),
        model=ModelSettings(name=name, options={"backbone": "squeezenet1_1", **SLIM[name]}),
        augment=AugmentSettings(flip_horizontal=0.5, crop_area=(0.5, 1.0)),
        train=TrainSettings(**settings),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("name", SLIM)
def test_a_run_that_was_stopped_goes_on_to_the_same_bits(name, dataset, tmp_path: Path, monkeypatch):
    whole = train_recipe(recipe_of(name), tmp_path / "whole", dataset=dataset)
    step, made = Supervised.step, []

    def step_and_stop(self, batch):
        made.append(1)
        if len(made) == 5:
            signal.raise_signal(signal.SIGTERM)
        return step(self, batch)

    with monkeypatch.context() as patched:
        patched.setattr(Supervised, "step", step_and_stop)
        with pytest.raises(KeyboardInterrupt):
            train_recipe(recipe_of(name), tmp_path / "stopped", dataset=dataset)
    resume(tmp_path / "stopped", dataset=dataset)
    one, two = (checkpoint.load(tmp_path / run / "checkpoints", "last").model for run in ("whole", "stopped"))
    assert one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)
    assert {"map50", "box_loss", "class_loss", "validation_loss", "validation_map50"} & set(whole.history[0])


def test_anchors_are_those_of_the_training_boxes_and_stand_in_the_recipe(dataset, tmp_path: Path):
    run = train_recipe(recipe_of("grid_detector", epochs=1), tmp_path / "run", dataset=dataset)
    written = tomllib.loads((run.path / "recipe.toml").read_text())
    assert written["model"]["options"]["anchors"] == [
        [10.0, 10.0],
        [20.0, 20.0],
    ]  # the network's pixels are the pictures'
    again = load_run(run.path)
    assert again.model.anchors == {8: [(10.0, 10.0), (20.0, 20.0)]}
    twice = prepare(
        Recipe(
            **{
                **vars(recipe_of("grid_detector")),
                "task": TaskSettings(options={"image_size": (96, 128), "anchors": 2}),
            }
        ),
        dataset,
    )
    assert twice.recipe.model.options["anchors"] == [[20.0, 20.0], [40.0, 40.0]]


def test_anchors_that_cannot_be(dataset):
    with pytest.raises(UserError, match="anchors: expected a whole number above 0"):
        prepare(
            Recipe(
                data=DataSettings(source="scenes"),
                task=TaskSettings(options={"anchors": 0}),
                model=ModelSettings(name="ssd"),
            ),
            dataset,
        )
    many = TaskSettings(options={"anchors": 9})
    few = prepare(
        Recipe(data=DataSettings(source="scenes"), task=many, model=ModelSettings(name="grid_detector")), dataset
    )
    assert few.recipe.model.options["anchors"] == [[10.0, 10.0], [20.0, 20.0]]  # no more than there are shapes


@pytest.mark.parametrize("name", SLIM)
def test_a_batch_that_is_cut_has_the_same_gradient(name, dataset):
    """`--batch-size auto` cuts batches into parts where memory does not suffice."""
    gradients = []
    for parts in (1, 3):
        recipe = Recipe(**{**vars(recipe_of(name, batch_size=6, accumulate=parts)), "augment": AugmentSettings()})
        options = {**recipe.model.options, **({"dropout": 0.0} if name == "yolo_v1" else {})}
        experiment = prepare(Recipe(**{**vars(recipe), "model": ModelSettings(name=name, options=options)}), dataset)
        learner = Supervised(experiment.model, experiment.task, experiment.recipe.train, experiment.plan)
        learner._gradients({key: tensor[:6] for key, tensor in experiment.tensors["train"].items()})
        gradients.append([parameter.grad for parameter in learner.parameters if parameter.grad is not None])
    for whole, cut in zip(*gradients, strict=True):
        torch.testing.assert_close(cut, whole, rtol=1e-3, atol=1e-5 * float(whole.abs().max()) + 1e-7)


@pytest.mark.parametrize("name", SLIM)
def test_a_loss_that_is_not_finite_is_told_with_its_row(name, dataset):
    experiment = prepare(Recipe(**{**vars(recipe_of(name)), "augment": AugmentSettings()}), dataset)
    learner = Supervised(experiment.model, experiment.task, experiment.recipe.train, experiment.plan)
    batch = {key: tensor[:4].clone() for key, tensor in experiment.tensors["train"].items()}
    guilty = 2
    if name == "ssd":  # a box without end meets no prior: here it is the answers that grow beyond all bounds
        for layer in experiment.model.heads.offsets:
            torch.nn.init.constant_(layer.bias, 3e38)
        guilty = 1  # the first picture with an object
    else:
        batch["targets"][2, 0] = torch.tensor([1.0, 1, 3e38, 9, 0, 0])
    with pytest.raises(NonFiniteError):
        learner.step(batch)
    assert learner.diagnose(batch) == ("the loss (every layer's output is finite)", guilty)


def test_operations_are_counted_and_detections_are_in_the_pictures_pixels(dataset):
    experiment = prepare(recipe_of("ssd"), dataset)
    assert experiment.operations > 1e6
    run = experiment.task
    rows = experiment.tensors["test"]
    inputs, _ = run.prepare(rows, training=False)
    with torch.no_grad():
        found = run.collected(experiment.model.eval()(inputs), rows)
    assessment = run.assess(found, rows["targets"])
    assert (
        assessment.metrics["map50"]
        == detection_metrics(assessment.predictions, assessment.targets, run.classes)["map50"]
    )
    assert float(found[..., [0, 2]].max()) <= 64 and float(found[..., [1, 3]].max()) <= 48


HALF = {
    "grid_detector": {"backbone": "squeezenet1_1", "width": 16},
    "faster_rcnn": {"backbone": "squeezenet1_1", "width": 8, "before": 20, "after": 8, "sampled": 8, "hidden": 16},
    "spp_net": {"backbone": "squeezenet1_1", "sampled": 8, "hidden": 16},
}


@pytest.mark.parametrize("name", HALF)
def test_detectors_learn_and_are_measured_in_bf16(name, dataset, monkeypatch, tmp_path: Path):
    """Parts of a detector are computed after its `forward`: by the probe of precisions, in the loss, in the detections."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(measure, "PROBE_SECONDS", 0.0)
    monkeypatch.setattr(measure, "HOPELESS", np.inf)
    recipe = Recipe(
        data=DataSettings(source="scenes"),
        task=TaskSettings(options={"proposals": 12} if name == "spp_net" else {}),
        model=ModelSettings(name=name, options=HALF[name]),
        train=TrainSettings(batch_size=4, threads=1),
    )
    experiment = prepare(recipe, dataset)
    plan = Plan(torch.device("cpu"), torch.bfloat16)
    learner = Supervised(experiment.model, experiment.task, experiment.recipe.train, plan)
    batch = {key: tensor[:4] for key, tensor in experiment.tensors["train"].items()}
    inputs, targets = experiment.task.prepare(batch, training=True)
    measure.compare_precisions(Plan(plan.device), plan, learner.model, inputs, lambda outputs: outputs.loss(targets))
    learner.step(batch)
    sums, rows = learner.evaluate([batch])
    assert rows == 4 and np.isfinite(sums["loss"]) and sums["objects"].sum() == 3


@pytest.mark.skipif(os.name == "nt", reason="gloo as on POSIX")
def test_several_processes_learn_as_one_does_where_a_part_of_the_network_is_not_used(
    children: Children, tmp_path: Path
):
    """Large anchors: nothing is read from the finest map, and its convolution has no gradient."""
    few = {"train": scenes(3, 0), "validation": scenes(3, 1), "test": scenes(3, 2)}
    export(Dataset("scenes", "scenes", few, target="objects"), "coco", tmp_path / "data")
    command = ["train", "--data", str(tmp_path / "data"), "--model", "grid_detector"]
    command += ["--epochs", "1", "--batch-size", "3", "--device", "cpu", "--set", "train.threads=1"]
    command += ["--set", "task.options.image_size=288", "--set", "task.options.anchors=1"]
    command += ["--set", "model.options.width=8", "--set", "model.options.backbone=squeezenet1_1"]
    for ended in (
        children.run(*command, "--out", tmp_path / "1"),
        *children.together(2, *command, "--out", tmp_path / "2"),
    ):
        assert ended.code == 0, str(ended)
    assert json.loads((tmp_path / "2/environment.json").read_text())["processes"] == 2
    found = [load_run(tmp_path / count).history[0] for count in ("1", "2")]
    assert 8 not in load_run(tmp_path / "2").model.anchors
    assert found[1]["train_loss"] == pytest.approx(found[0]["train_loss"], rel=1e-4)
    assert found[1]["validation_loss"] == pytest.approx(found[0]["validation_loss"], rel=1e-3)


def test_detectors_are_not_cut_over_processes(dataset):
    experiment = prepare(recipe_of("grid_detector"), dataset)
    with pytest.raises(UserError, match="detectors are not for 'fsdp'; use 'ddp'"):
        Sharded(experiment.model, experiment.task, experiment.recipe.train, experiment.plan, ALONE)


def test_a_line_of_pixels_and_a_square_have_places(dataset):
    inputs = prepare(recipe_of("grid_detector"), dataset).task.inputs
    assert inputs.place(1, 1000) == (1, 1000, 1.0, 0.064, 24, 0)  # one row of the network's, not none
    inputs.options = replace(inputs.options, image_size=100)
    inputs._choose_size([(75, 75)])
    assert inputs.size == (100, 100)

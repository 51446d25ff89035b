"""Training on augmented pictures: in the same loop, from the same seeds, to the same bits, and judged on pictures as they are."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from test_capture import Recording
from torch.nn import functional

import gradus
from gradus.data.augment.settings import AugmentSettings, get_preset
from gradus.data.load import DataSettings
from gradus.errors import UserError
from gradus.models import ModelSettings
from gradus.recipes.execute import create_trainer, resume, train_recipe
from gradus.recipes.experiment import prepare
from gradus.recipes.many import train_many
from gradus.recipes.recipe import Recipe
from gradus.tasks.settings import TaskSettings
from gradus.tasks.targets import ClassOptions, ClassTarget, LabelsTarget
from gradus.train import checkpoint
from gradus.train.capture import Stepper
from gradus.train.settings import TrainSettings

EVERYTHING = replace(get_preset("strong"), noise=2.0, cutmix=1.0, fill="wrap")


def recipe_of(augment=EVERYTHING, data="digits", epochs=2, stream="never", **options) -> Recipe:
    return Recipe(
        data=DataSettings(source=str(data), test=0.5, stream=stream, workers=0),
        task=TaskSettings(options=options),
        model=ModelSettings(name="mlp", options={"hidden": [16], "dropout": 0.2}),
        augment=augment,
        train=TrainSettings(epochs=epochs, batch_size=64 if data == "digits" else 8),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 pictures of 32x32 in two classes."""
    path = tmp_path_factory.mktemp("pictures") / "shades"
    for number in range(40):
        kind = number % 2
        pixels = np.random.default_rng(number).integers(90 * kind, 160 + 90 * kind, (32, 32, 3), dtype=np.uint8)
        file = path / ("odd" if kind else "even") / f"{number:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        PillowImage.fromarray(pixels).save(file)
    return path


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load(run / "checkpoints", "last").model


def history_of(run: Path) -> list[dict]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "train_seconds"} for line in lines]


def same(one: dict, two: dict) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("augment", [EVERYTHING, get_preset("cifar")], ids=["everything", "cifar"])
def test_a_stop_changes_no_bit(augment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = train_recipe(recipe_of(augment), tmp_path / "whole")
    plain = train_recipe(recipe_of(AugmentSettings()), tmp_path / "plain")
    assert not same(weights_of(whole.path), weights_of(plain.path))

    from gradus.train.learner import Supervised

    step, made = Supervised.step, []

    def step_and_stop(self, batch):
        made.append(1)
        if len(made) == 16:
            signal.raise_signal(signal.SIGTERM)
        return step(self, batch)

    with monkeypatch.context() as patched:
        patched.setattr(Supervised, "step", step_and_stop)
        with pytest.raises(KeyboardInterrupt):
            train_recipe(recipe_of(augment), tmp_path / "stopped")
    torch.manual_seed(999)
    resume(tmp_path / "stopped")
    assert len(made) == 16
    assert same(weights_of(whole.path), weights_of(tmp_path / "stopped"))
    assert history_of(whole.path) == history_of(tmp_path / "stopped")


def test_captured_steps_are_the_ordinary_ones():
    graph = Recording()
    ordinary, captured = (create_trainer(prepare(recipe_of())) for _ in range(2))
    captured.stepper = Stepper(captured.learner, captured.source, graph=graph)
    ordinary.fit()
    captured.fit()
    assert graph.replays > 10 and captured.stepper.reason == ""
    assert same(ordinary.learner.predicting_state(), captured.learner.predicting_state())


def test_streamed_pictures_are_augmented_alike(folder: Path, tmp_path: Path):
    found = [train_recipe(recipe_of(data=folder, stream=how), tmp_path / how) for how in ("never", "always")]
    assert [run.recipe.data.stream for run in found] == ["never", "always"]
    assert same(*(weights_of(run.path) for run in found))


def test_evaluation_sees_pictures_as_they_are():
    changed, plain = (prepare(recipe_of(augment)).task for augment in (EVERYTHING, AugmentSettings()))
    batch = {name: rows[:50] for name, rows in prepare(recipe_of()).tensors["train"].items()}
    before = batch["inputs"].clone()
    judged, targets = changed.prepare(batch, training=False)
    assert torch.equal(judged, plain.prepare(batch, training=False)[0]) and torch.equal(targets, batch["targets"])
    learnt, mixed = changed.prepare(batch, training=True)
    assert learnt.shape == judged.shape and not torch.equal(learnt, judged)
    assert learnt.is_contiguous(memory_format=torch.channels_last)
    assert mixed.shape == (50, 10)
    assert torch.equal(batch["inputs"], before)


def test_mixed_targets_are_those_of_the_pictures():
    """Two pictures, black and white: how white a mixed one is tells the share of its class."""
    experiment = prepare(recipe_of(AugmentSettings(mixup=1.0, cutmix=1.0), normalize="unit"))
    pictures = torch.zeros(200, 8, 8, 1, dtype=torch.uint8)
    pictures[1::2] = 255
    classes = torch.arange(200) % 2
    torch.manual_seed(0)
    found, targets = experiment.task.prepare({"inputs": pictures, "targets": classes}, training=True)
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(200))
    torch.testing.assert_close(targets[:, 1], found.mean(dim=(1, 2, 3)), atol=1e-3, rtol=0)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_of_mixed_targets_is_the_mixed_loss(smoothing, weighted):
    target = ClassTarget(ClassOptions(label_smoothing=smoothing))
    target.classes = ("a", "b", "c")
    target.weights = torch.tensor([0.5, 1.0, 3.0]) if weighted else None
    torch.manual_seed(0)
    outputs, own, other, shares = (
        torch.randn(4, 3),
        torch.tensor([0, 1, 2, 2]),
        torch.tensor([2, 2, 0, 2]),
        torch.rand(4),
    )
    mixed = target.mixed(own, other, shares)
    for row in range(4):
        one, two = (target.loss(outputs[row : row + 1], t[row : row + 1], training=True) for t in (own, other))
        loss = target.loss(outputs[row : row + 1], mixed[row : row + 1], training=True)
        torch.testing.assert_close(loss, shares[row] * one + (1 - shares[row]) * two)
    best = functional.one_hot(mixed.argmax(dim=1), 3).float()
    assert target.counts(best, mixed)["correct"] == 4


def test_mixed_labels_are_shares():
    target = LabelsTarget(ClassOptions())
    mixed = target.mixed(torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 1.0]]), torch.tensor([0.75]))
    assert mixed.tolist() == [[1.0, 0.25]]


def test_the_tutorials_crops(folder: Path, tmp_path: Path):
    """TensorFlow's CIFAR-10 tutorial: 24x24 anywhere in training, the middle in evaluation, each standardised by itself."""
    experiment = prepare(recipe_of(get_preset("tutorial"), folder, crop_size=24, normalize="per-picture"))
    task, batch = experiment.task, experiment.tensors["train"]
    assert (
        batch["inputs"].shape[1:] == (32, 32, 3)
        and experiment.model(task.prepare(batch, training=True)[0]).shape[1] == 2
    )
    judged = task.prepare(batch, training=False)[0]
    middle = batch["inputs"][:, 4:28, 4:28].permute(0, 3, 1, 2).double()
    mean, deviation = middle.mean(dim=(1, 2, 3), keepdim=True), middle.std(dim=(1, 2, 3), correction=0, keepdim=True)
    torch.testing.assert_close(judged.double(), (middle - mean) / deviation, atol=1e-4, rtol=0)
    learnt = task.prepare(batch, training=True)[0]
    torch.testing.assert_close(learnt.mean(dim=(1, 2, 3)), torch.zeros(len(learnt)), atol=1e-4, rtol=0)
    uniform = {"inputs": torch.full((2, 32, 32, 3), 7, dtype=torch.uint8)}
    assert torch.equal(task.prepare(uniform, training=False)[0], torch.zeros(2, 3, 24, 24))  # no division by 0
    run = train_recipe(
        recipe_of(get_preset("tutorial"), folder, crop_size=24, normalize="per-picture"), tmp_path / "run"
    )
    assert run.predict(str(folder / "odd" / "01.png"))[0]["prediction"] in ("odd", "even")
    assert "crop_size" in (run.path / "recipe.toml").read_text()


@pytest.mark.parametrize(
    ("augment", "options", "message"),
    [
        (
            "alexnet",
            {},
            r"augment\.random_crop: needs the side that is cut out, --set task\.options\.crop_size=N, below",
        ),
        ("none", {"crop_size": 2}, r"crop_size: expected 4 to 4096 pixels"),
        ("none", {"crop_size": 30, "image_size": 20}, r"crop_size: expected 4 to 20 pixels \(the pictures' size\)"),
    ],
)
def test_crops_that_cannot_be(augment, options, message, folder: Path):
    with pytest.raises(UserError, match=message):
        prepare(recipe_of(get_preset(augment), folder, **options))


def test_a_model_of_one_size_takes_the_crop(folder: Path):
    recipe = replace(recipe_of(AugmentSettings(), folder, crop_size=28), model=ModelSettings(name="lenet5"))
    assert prepare(recipe).model(torch.zeros(1, 3, 28, 28)).shape == (1, 2)
    with pytest.raises(UserError, match="crop_size: the model takes pictures of 28x28 or 32x32, received 24"):
        prepare(replace(recipe, task=TaskSettings(options={"crop_size": 24})))


def test_a_table_has_no_pictures():
    with pytest.raises(UserError, match="augment: task tabular-classification has no pictures to augment"):
        prepare(Recipe(data=DataSettings(source="wine"), augment=get_preset("light")))


def test_recipes_on_the_same_rows_keep_their_own_augmentation():
    cache: dict = {}
    tasks = [prepare(recipe_of(a), cache=cache).task for a in (EVERYTHING, AugmentSettings(), get_preset("cifar"))]
    assert [task.augmentation and task.augmentation.settings.pad for task in tasks] == [0, None, 4]


def test_many_are_trained_one_by_one():
    said: list[str] = []
    recipes = [replace(recipe_of(epochs=1), train=TrainSettings(epochs=1, batch_size=64, seed=s)) for s in (0, 1)]
    outcomes = train_many(recipes, say=said.append)
    assert said == ["mlp: trained one by one, since augmentation draws random numbers of its own"]
    alone = create_trainer(prepare(recipes[1]))
    alone.fit()
    assert outcomes[1].history[0]["train_loss"] == alone.history[0]["train_loss"]


def test_what_was_done_is_kept_and_told(tmp_path: Path):
    said: list[str] = []
    run = train_recipe(recipe_of(get_preset("standard"), epochs=1), tmp_path / "run", say=said.append)
    note = "training pictures are augmented: rotation 15, shift horizontal 0.1, shift vertical 0.1, zoom 0.15, "
    assert any(line.startswith(note) for line in said)
    assert "augment: the pictures are grey, so saturation are left out" in said
    assert gradus.load_run(run.path).recipe.augment == get_preset("standard")
    assert "training pictures are augmented" in run.report().read_text(encoding="utf-8")


def test_fit_takes_a_preset_or_settings(tmp_path: Path):
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    run = gradus.fit(model, "digits", augment="cifar", epochs=1, out=tmp_path / "one")
    assert run.recipe.augment.pad == 4
    run = gradus.fit(model, "digits", augment=AugmentSettings(cutout=0.5), epochs=1, out=tmp_path / "two")
    assert run.recipe.augment.cutout == 0.5

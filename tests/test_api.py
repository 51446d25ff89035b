"""The Python API as the README shows it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import nn

import gradus
from gradus.errors import UserError


class Own(nn.Module):
    """A module that Gradus has never heard of."""

    def __init__(self, outputs: int = 10, hidden: int = 40) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, outputs))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.layers(pictures)


def test_fit_evaluate_predict_report(in_empty_folder: Path):
    data = gradus.load_data("digits")
    model = gradus.create_model("mlp", num_classes=10, in_features=64, hidden=(64,))
    seen = []
    run = gradus.fit(
        model, data, task="image-classification", epochs=8, optimizer="sgd", learning_rate=0.1, momentum=0.9,
        callbacks=(lambda record: seen.append(record["event"]),),
    )  # fmt: skip
    assert [record["epoch"] for record in run.history] == list(range(1, 9))
    assert {"step", "samples", "train_seconds", "train_loss", "validation_loss", "validation_accuracy"} <= run.history[
        0
    ].keys()
    assert run.evaluate("test")["accuracy"] > 0.9
    assert run.report().exists() and seen.count("epoch") == 8

    picture = Image.fromarray((load_digits().images[5] * 15.9).astype(np.uint8))
    picture.save("five.png")
    from_file, from_picture, from_array = run.predict(["five.png", picture, np.asarray(picture)])
    assert from_file["prediction"] == from_picture["prediction"] == from_array["prediction"]
    assert from_file["certainty"] == from_array["certainty"]

    again = gradus.load_run(run.path)
    assert again.evaluate("test") == run.evaluate("test") and again.history == run.history
    assert again.recipe == run.recipe and again.recipe.train.optimizer.momentum == 0.9


def test_a_module_of_ones_own(in_empty_folder: Path):
    torch.manual_seed(0)
    module = Own()
    run = gradus.fit(module, "digits", epochs=6, learning_rate=0.01, out="mine")
    assert run.evaluate("test")["accuracy"] > 0.9
    with pytest.raises(UserError, match="module of your own"):
        gradus.load_run("mine").evaluate("test")
    assert gradus.load_run("mine", model=Own()).evaluate("test") == run.evaluate("test")
    with pytest.raises(UserError, match="do not fit"):
        gradus.load_run("mine", model=Own(hidden=41)).evaluate("validation")


def test_a_module_that_does_not_fit_is_told_before_anything_is_written(in_empty_folder: Path):
    with pytest.raises(UserError, match=r"gives outputs of shape \(2, 7\).*needs \(2, 10\)"):
        gradus.fit(Own(outputs=7), "digits")
    with pytest.raises(UserError, match="does not take inputs of shape"):
        gradus.fit(nn.Linear(3, 10), "digits")
    with pytest.raises(UserError, match="did you mean 'epochs'"):
        gradus.fit(Own(), "digits", epoch=3)
    assert not list(in_empty_folder.iterdir())


def test_observers_are_told_when_it_stops(in_empty_folder: Path):
    seen = []

    def watch(record: dict) -> None:
        seen.append(record["event"])
        if record["event"] == "epoch":
            raise RuntimeError("the user's own mistake")

    with pytest.raises(RuntimeError, match="own mistake"):
        gradus.fit(Own(), "digits", epochs=2, callbacks=(watch,))
    assert seen[-1] == "stopped" and "end" not in seen


def test_a_dataset_made_by_hand(in_empty_folder: Path):
    from gradus.data import Column, Dataset, Label, Number, Split

    random = np.random.default_rng(0)
    x, y = random.normal(size=200), random.normal(size=200)
    columns = {
        "x": Column(Number(), x),
        "y": Column(Number(), y),
        "side": Column(Label(classes=("below", "above")), (x + y > 0).astype(np.int64)),
    }
    data = Dataset("points", "points", {"train": Split(columns, [f"point {n}" for n in range(200)])}, target="side")
    run = gradus.fit(
        gradus.create_model("logistic_regression", in_features=2, num_classes=2), data, epochs=30, learning_rate=0.1
    )
    assert run.evaluate("test")["accuracy"] > 0.9
    assert run.predict({"x": 2.0, "y": 1.0})[0]["prediction"] == "above"
    assert run.predict([{"x": -2.0, "y": 1.0}, {"x": 0.5, "y": 1.0}])[0]["prediction"] == "below"


def test_the_same_seed_gives_the_same_run(in_empty_folder: Path):
    def metrics(seed: int) -> dict:
        torch.manual_seed(seed)
        model = gradus.create_model("mlp", in_features=64, num_classes=10, hidden=(16,), dropout=0.3)
        return gradus.fit(model, "digits", epochs=2, seed=seed).evaluate("test")

    assert metrics(4) == metrics(4) != metrics(5)

"""Every recipe reads, writes and runs (a smoke run in seconds; the full ones are `gradus reproduce`)."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_digits

import gradus
from gradus.data.catalogue import CATALOGUE
from gradus.data.load import DataSettings
from gradus.errors import UserError
from gradus.recipes.experiment import prepare
from gradus.recipes.recipe import ModelSettings, Recipe, read_recipe, write_recipe
from gradus.recipes.table import RECIPES, get_recipe
from gradus.train.settings import TrainSettings


@pytest.fixture
def tiny_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MNIST, Boston housing, cats and dogs as far as names and shapes go: scikit-learn's digits as 28x28 PNG files, random
    numbers and pictures, random weights."""
    digits = load_digits()
    folder = tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    for split, rows in (("train", slice(0, 300)), ("test", slice(300, 400))):
        encoded = []
        for pixels in digits.images[rows]:
            file = io.BytesIO()
            Image.fromarray((pixels * 15.9).astype(np.uint8)).resize((28, 28)).save(file, "PNG")
            encoded.append({"bytes": file.getvalue(), "path": None})
        columns = {"image": encoded, "label": digits.target[rows].astype(np.int64)}
        pq.write_table(pa.table(columns), folder / f"{split}.parquet")
    numbers = np.random.default_rng(0).normal(size=(506, 14))
    names = list(CATALOGUE["boston_housing"].types)
    (tmp_path / "data" / "boston_housing").mkdir()
    table = pa.table({name: numbers[:, index] for index, name in enumerate(names)})
    pq.write_table(table, tmp_path / "data" / "boston_housing" / "train.parquet")
    _write_cats_and_dogs(tmp_path / "data")
    monkeypatch.setenv("GRADUS_DATA", str(tmp_path / "data"))


def _write_cats_and_dogs(folder: Path) -> None:
    random = np.random.default_rng(0)
    (folder / "cats_vs_dogs").mkdir()
    (folder / "cats_vs_dogs" / "labels.txt").write_text("cat\ndog\n")
    for split, rows in (("train", 40), ("validation", 6), ("test", 6)):
        encoded = []
        for _ in range(rows):
            file = io.BytesIO()
            Image.fromarray(random.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(file, "JPEG")
            encoded.append({"bytes": file.getvalue(), "path": None})
        columns = {"image": encoded, "label": np.arange(rows) % 2}
        pq.write_table(pa.table(columns), folder / "cats_vs_dogs" / f"{split}.parquet")
    (folder / "weights").mkdir()
    weights = gradus.create_model("squeezenet1_0").state_dict()
    save_file(weights, folder / "weights" / "squeezenet1_0-imagenet.safetensors")


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("tagger", r"it is for tagging, and for image-classification there are mnist_convnet, lenet5, mlp$"),
        ("grid_detector", r"it is for object-detection, and for image-classification"),
    ],
)
def test_a_network_for_another_task_is_told_as_one(model, told):
    made = Recipe(data=DataSettings(source="digits"), model=ModelSettings(name=model))
    with pytest.raises(UserError, match=told):
        prepare(made)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_its_toml(tmp_path: Path, name: str):
    recipe = get_recipe(name)
    assert recipe.name == name and recipe.about
    (tmp_path / "recipe.toml").write_text(write_recipe(recipe), encoding="utf-8")
    assert read_recipe(tmp_path / "recipe.toml") == recipe


# the others: test_cifar_recipes.py, test_camvid_recipes.py, test_language_recipes.py, ...; and 528 MB of weights
ELSEWHERE = (
    *("cifar10-", "camvid-", "bccd-", "babi-", "siamese-", "several-", "imdb-", "weather-"),
    *("shakespeare-", "nietzsche", "dinosaur-", "code", "ptb-", "next-word"),
    *("mnist-rbm", "mnist-dbn", "mnist-mlp-1000"),
    *("mnist-dcgan", "mnist-cgan", "mnist-wgan", "mnist-lapgan"),  # test_game_recipes.py
)
RUN_HERE = [
    name
    for name, make in RECIPES.items()
    if not name.startswith(ELSEWHERE) and not name.endswith("-vgg16") and make().task.name != "control"
]  # those that act: test_playing.py


@pytest.mark.parametrize("name", RUN_HERE)
def test_a_recipe_runs(tiny_data, tmp_path: Path, name: str):
    recipe = get_recipe(name)
    run = gradus.train_recipe(replace(recipe, train=replace(recipe.train, epochs=1)), tmp_path / "run")
    assert len(run.history) == 1
    expected = {"majority class", "logistic regression"}
    if recipe.task.name == "tabular-regression":
        expected = {"mean", "ridge regression"}
    elif recipe.task.name == "picture-generation":
        expected = set()
    assert set(run.evaluation["baselines"]) == expected
    assert run.report().stat().st_size > 10_000
    assert gradus.load_run(run.path).evaluate("test") == run.evaluation["metrics"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[trian]\nepochs = 3", "unknown setting 'trian'; did you mean 'train'"),
        ("[train]\nepoch = 3", "unknown setting 'train.epoch'; did you mean 'epochs'"),
        ("[train]\nepochs = 'three'", "train.epochs: expected a whole number, received 'three'"),
        ("[train.optimizer]\nname = 'sgdd'", "did you mean 'sgd'"),
        ("[data]\nvalidation = -0.1", "data.validation: expected a share"),
        ("epochs =", "not a TOML file"),
    ],
)
def test_mistakes_in_a_recipe_name_the_file(tmp_path: Path, text: str, told: str):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        read_recipe(path)
    assert str(error.value).startswith(str(path)) and told in str(error.value)


def test_an_empty_recipe_file_is_the_default(tmp_path: Path):
    (tmp_path / "empty.toml").write_text("")
    assert read_recipe(tmp_path / "empty.toml") == Recipe()


def test_the_inferred_network_takes_the_embedded_pictures(tmp_path):
    recipe = Recipe(data=DataSettings(source="digits"), train=TrainSettings(epochs=1, threads=1))
    run = gradus.train_recipe(recipe, tmp_path / "run")
    assert run.recipe.model.name == "mnist_convnet" and run.recipe.model.options["image_size"] == 18

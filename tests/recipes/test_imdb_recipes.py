"""The recipes on film reviews, run on a few made-up ones; and what the texts' code does to reviews without saying so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch.nn import functional

import gradus
from gradus.data.load import load_data
from gradus.models import create_model
from gradus.recipes.many import train_many
from gradus.recipes.overfitting import STUDIES, study, table
from gradus.recipes.table import RECIPES, get_recipe
from gradus.tasks.table import create_task

ROWS = {"train": 120, "test": 30}
OURS = [name for name, made in RECIPES.items() if made.__module__ == "gradus.recipes.imdb"]


@pytest.fixture
def reviews(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reviews of 5 to 60 words, of which some tell their label."""
    random = np.random.default_rng(0)
    (tmp_path / "data" / "imdb").mkdir(parents=True)
    for split, count in ROWS.items():
        texts = []
        for row in range(count):
            words = [f"word{number}" for number in random.integers(0, 200, random.integers(5, 60))]
            words[int(random.integers(len(words)))] = ("awful", "lovely")[row % 2]
            texts.append(" ".join(words))
        table = pa.table({"text": texts, "label": np.arange(count) % 2})
        pq.write_table(table, tmp_path / "data" / "imdb" / f"{split}.parquet")
    monkeypatch.setenv("GRADUS_DATA", str(tmp_path / "data"))


def small(name: str):
    """The recipe for one epoch, with as many reviews to validate as there are to be had."""
    recipe = get_recipe(name)
    validation = 40 if recipe.data.validation >= 1 else recipe.data.validation
    data = replace(recipe.data, validation=validation, rows=min(recipe.data.rows, 60))
    train = replace(recipe.train, epochs=1, batch_size=16, threads=1)
    return replace(recipe, data=data, train=train)


@pytest.mark.parametrize("name", OURS)
def test_a_recipe_runs(reviews, tmp_path: Path, name: str):
    run = gradus.train_recipe(small(name), tmp_path / "run")
    assert len(run.history) == 1
    assert 0 <= run.evaluation["metrics"]["accuracy"] <= 1 and len(run.evaluation["baselines"]) == 2
    assert gradus.load_run(run.path).evaluate("test") == run.evaluation["metrics"]
    [answer] = run.predict(["a lovely film"])
    assert answer["prediction"] in ("negative", "positive")


@pytest.mark.parametrize(
    (
        "name",
        "parameters",
    ),  # of N-03, N-04, N-05 with one output; a second one has as many weights as the last layer and a bias
    [("reference", 160_305 + 17), ("small", 40_029 + 5), ("large", 5_383_681 + 513), ("l2", 160_305 + 17)],
)
def test_the_networks_of_the_overfitting_studies(name, parameters):
    options = get_recipe(f"imdb-multi-hot-{name}").model.options
    model = create_model("mlp", in_features=10_000, num_classes=2, **options)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


def test_the_studies_train_seeds_side_by_side(reviews):
    said: list[str] = []
    recipes = {name: small(f"imdb-multi-hot-{name}") for name in STUDIES if name != "large"}
    found = study(recipes, seeds=2, say=said.append)
    assert list(found) == list(recipes) and all(len(outcomes) == 2 for outcomes in found.values())
    assert said.count("2 models train as one") == len(recipes)
    lines = table(found)
    assert len(lines) == 2 + len(recipes) and "reference" in lines[2]


def test_a_member_is_as_if_it_had_trained_alone(reviews):
    recipe = small("imdb-multi-hot-reference")
    together = study({"reference": recipe}, seeds=2)["reference"]
    [alone] = train_many([replace(recipe, train=replace(recipe.train, seed=1, monitor="loss"))])
    assert together[1].value == pytest.approx(alone.value, abs=1e-6)


def test_the_last_words_are_read_where_the_text_says_the_first(reviews):
    """Keras' pad_sequences cuts and pads in front, so 'the first 20 words' of listing 6-6 are the last 20."""
    dataset = load_data("imdb")
    recipe = get_recipe("imdb-embedding")
    task = create_task(recipe.task, dataset)
    row = next(row for row, text in enumerate(dataset["train"]["text"]) if len(text.split()) > 20)
    text = dataset["train"]["text"][row]
    ids = task.encode(dataset["train"])["inputs"][row : row + 1][0]
    assert task.inputs.encoder.decode(ids.tolist()).split() == text.split()[-20:]
    first = create_task(replace(recipe.task, options={**recipe.task.options, "keep": "first"}), dataset)
    ids = first.encode(dataset["train"])["inputs"][row : row + 1][0]
    assert first.inputs.encoder.decode(ids.tolist()).split() == text.split()[:20]


def test_forward_and_reversed_differ_in_direction_alone():
    """The text's reversed LSTM has vectors of 128, the forward one of 32; and reads the other end of long reviews."""
    forward, backward = get_recipe("imdb-lstm"), get_recipe("imdb-lstm-reversed")
    assert backward.task == forward.task and backward.train == forward.train and backward.data == forward.data
    assert backward.model.options == {**forward.model.options, "reversed": True}


def test_the_bidirectional_network_reads_reviews_forwards():
    """Listing 6-43 run behind listing 6-42 gets the reversed reviews: a recipe has no state that another one left."""
    assert get_recipe("imdb-bidirectional").task == get_recipe("imdb-lstm").task
    assert not get_recipe("imdb-bidirectional").model.options.get("reversed", False)


def test_the_loss_takes_logits(reviews):
    """Listings 6-46 and 7-7 give the output of a layer without sigmoid to a loss that wants probabilities."""
    task = create_task(get_recipe("imdb-convnet").task, load_data("imdb"))
    logits, targets = torch.tensor([[2.0, -1.0], [-3.0, 5.0]]), torch.tensor([0, 1])
    wanted = functional.binary_cross_entropy(torch.sigmoid(logits[:, 1] - logits[:, 0]), targets.float())
    assert torch.allclose(task.loss(logits, targets, training=False), wanted, atol=1e-6)
    as_probabilities = (logits[:, 1] - logits[:, 0]).clamp(1e-7, 1 - 1e-7)  # what Keras makes of it
    assert not torch.allclose(functional.binary_cross_entropy(as_probabilities, targets.float()), wanted, atol=0.01)

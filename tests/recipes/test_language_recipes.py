"""The recipes of language models on small texts, and that the printed configurations are the printed ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import gradus
from gradus.data.load import load_data
from gradus.models import create_model
from gradus.recipes.table import RECIPES, get_recipe
from gradus.train.schedules import factor_at
from gradus.train.settings import ScheduleSettings

NAMES = [name for name, make in RECIPES.items() if make.__module__ == "gradus.recipes.language"]
SMALL = {"hidden_size": 8, "embedding_size": 8, "width": 12, "layers": 1}


@pytest.fixture
def small_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    words = ["the", "king", "is", "dead", "long", "live", "queen", ","]
    lines = [" ".join(random.choice(words, 8)) + " \n" for _ in range(400)]
    folder = tmp_path / "data"
    for name, rows in (("tinyshakespeare/input.txt", 400), ("nietzsche/input.txt", 60)):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text("".join(lines[:rows]).capitalize())
    (folder / "ptb").mkdir()
    for split in ("train", "valid", "test"):
        (folder / "ptb" / f"ptb.{split}.txt").write_text("".join(lines[:150]))
    (folder / "dialogues").mkdir()
    columns = {name: [line.strip() for line in lines] for name in ("prompt", "reply")} | {"topic": ["ai"] * 400}
    pq.write_table(
        pa.table({name: values * 3 for name, values in columns.items()}), folder / "dialogues/english.parquet"
    )
    monkeypatch.setenv("GRADUS_DATA", str(folder))


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_runs_and_writes(small_data, tmp_path: Path, name: str):
    recipe = get_recipe(name)
    options = {key: SMALL.get(key, value) for key, value in recipe.model.options.items()}
    options["embedding_size"] = options.get("embedding_size", 0) and 8
    if recipe.model.name == "transformer_lm":
        options.pop("embedding_size")
        options["heads"] = 2
    data = replace(recipe.data, rows=300) if name == "code" else recipe.data
    recipe = replace(recipe, data=data, model=replace(recipe.model, options=options))
    if name == "code":
        monkey = replace(recipe.task, options={**recipe.task.options, "streams": 4})
        recipe = replace(recipe, task=monkey)
    run = gradus.train_recipe(replace(recipe, train=replace(recipe.train, epochs=1)), tmp_path / "run")
    assert len(run.evaluation["baselines"]) == 4
    assert run.evaluation["metrics"]["loss"] < 12
    assert run.report().stat().st_size > 10_000
    assert run.generate(None if run.task.documents else "the king", length=5, seed=1)


def test_the_printed_table_of_the_penn_treebank():
    """*Plain Talk*, §8.5.1, L4863-4925."""
    for name, scale, rate, norm, layers, steps, size, full, epochs, keep, decay in (
        ("small", 0.1, 1.0, 5, 2, 20, 200, 4, 13, 1.0, 0.5),
        ("medium", 0.05, 1.0, 5, 2, 35, 650, 6, 39, 0.5, 0.8),
        ("large", 0.04, 1.0, 10, 2, 35, 1500, 14, 55, 0.35, 1 / 1.15),
        ("test", 0.1, 1.0, 1, 1, 2, 2, 1, 1, 1.0, 0.5),
    ):
        recipe = get_recipe(f"ptb-{name}")
        model, train, task = recipe.model.options, recipe.train, recipe.task.options
        assert (model["init_scale"], model["layers"], model["hidden_size"]) == (scale, layers, size)
        assert model["embedding_size"] == size and model["dropout"] == pytest.approx(1 - keep)
        assert (task["length"], task["streams"], task["loss_over"]) == (steps, 20, "row")
        assert (train.epochs, train.optimizer.name, train.optimizer.learning_rate) == (epochs, "sgd", rate)
        assert train.regularization.clip_norm == norm
        for epoch in range(epochs):
            printed = decay ** max(epoch + 1 - full, 0)
            for step in (0, 9):
                assert factor_at(train.schedule, 10 * epoch + step, 10 * epochs, 10) == pytest.approx(printed)
    assert isinstance(get_recipe("ptb-small").train.schedule, ScheduleSettings)


def test_line_ends_are_tokens_of_the_penn_treebank(small_data):
    """D-03: TensorFlow's reader puts <eos> where a line ends, which parts words only because its lines end with a space."""
    from gradus.recipes.experiment import prepare

    task = prepare(get_recipe("ptb-test"), measure=False).task
    ids = task.encoder.encode("the king\nis dead \n")
    assert [task.encoder.tokens[index] for index in ids] == ["the", "king", "\n", "is", "dead", "\n"]
    assert task.encoder.decode(ids) == "the king\nis dead\n"


def test_nietzsche_is_the_printed_one():
    recipe = get_recipe("nietzsche")
    assert recipe.train.epochs == len(range(1, 60)) == 59  # T-44: the comment beside it says 60
    assert recipe.task.options == {
        "tokenizer": "character",
        "lowercase": True,
        "length": 60,
        "stride": 3,
        "last_only": True,
    }
    model = create_model("recurrent_lm", num_tokens=57, **recipe.model.options)
    cell = 4 * 128 * (57 + 128 + 1)  # one bias a gate; PyTorch's cells have two
    assert sum(p.numel() for p in model.parameters()) == cell + 4 * 128 + 57 * 129
    assert torch.equal(model.embedding(torch.tensor([[2]]))[0, 0].nonzero().flatten(), torch.tensor([2]))


def test_what_comes_with_gradus_is_read():
    names = load_data("dinosaurs")
    assert not names.ordered and len(set(names["train"]["name"])) == len(names["train"]["name"]) == 305
    assert all(name.isalpha() and name.islower() for name in names["train"]["name"])
    code = load_data("gradus_code")
    assert code.ordered and "def read_packaged(name: str) -> dict[str, Split]:\n" in list(code["train"]["text"])

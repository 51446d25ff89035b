"""The recipes of tasks on texts, on little texts made here; and the data sets that are made from others by a rule."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gradus
from gradus.data.catalogue import CATALOGUE, describe
from gradus.data.derived import DERIVED
from gradus.recipes.table import get_recipe

NAMES = ("babi-qa1", "babi-qa1-memory", "siamese-dialogues", "several-outputs", "imdb-capitals")
PLACES = ("bathroom", "bedroom", "garden", "hallway", "kitchen", "office")


@pytest.fixture
def little_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)

    def write(name: str, columns: dict) -> None:
        file = tmp_path / "data" / f"{name}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), file)

    for split, rows in (("train", 60), ("test", 12)):
        places = [PLACES[index] for index in random.permutation(np.arange(rows) % 6)]
        write(
            f"babi_qa1/{split}",
            {
                "story": [f"Mary went to the {place}. John sat down." for place in places],
                "question": ["Where is Mary?"] * rows,
                "answer": places,
            },
        )
        texts = [
            f"I saw it.<br />Not {'good' if row % 2 else 'bad'}, said Tom" + " again" * (row % 5) for row in range(rows)
        ]
        texts[:4] = ["A dull film"] * 4
        write(f"imdb/{split}", {"text": texts, "label": np.arange(rows) % 2})
    prompts = [f"question {row // 2}" for row in range(80)]
    topics = ["ai"] * 80
    write(
        "dialogues/english",
        {"prompt": prompts, "reply": [f"answer {row}" for row in range(79)] + [""], "topic": topics},
    )
    monkeypatch.setenv("GRADUS_DATA", str(tmp_path / "data"))


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_of_texts_runs(little_texts, tmp_path: Path, name: str):
    recipe = get_recipe(name)
    recipe = replace(
        recipe, data=replace(recipe.data, rows=0), train=replace(recipe.train, epochs=1, batch_size=16, threads=1)
    )
    run = gradus.train_recipe(recipe, tmp_path / "run")
    assert len(run.history) == 1 and run.evaluation["baselines"]
    assert run.report().stat().st_size > 10_000
    assert gradus.load_run(run.path).evaluate("test") == run.evaluation["metrics"]


def test_replies_and_the_replies_of_others(little_texts):
    data = gradus.load_data("dialogue_pairs")
    seen = {split: set(data[split]["prompt"]) for split in data.splits}
    assert not (seen["train"] & seen["test"] or seen["train"] & seen["validation"] or seen["test"] & seen["validation"])
    for split in data.splits.values():
        assert np.mean(split["belongs"].values) == 0.5 and all(split["reply"])
        for prompt, reply, own in zip(split["prompt"], split["reply"], split["belongs"], strict=True):
            number = int(prompt.split()[1])
            assert (reply in (f"answer {2 * number}", f"answer {2 * number + 1}")) == bool(own)


def test_capitals_are_taken_away_and_remembered(little_texts):
    split = gradus.load_data("imdb_capitals")["train"]
    assert split["text"][5] == "i saw it not good said tom"
    assert split["tags"][5].tolist() == [1, 0, 0, 1, 0, 0, 1]


def test_reviews_have_three_outputs(little_texts):
    data = gradus.load_data("imdb_outputs")
    assert data.target == "words,label,speaker"
    assert data["train"].row(5)["words"] == 7 and data["train"].row(5)["speaker"] == 1
    assert data["train"].row(0)["words"] == 3 and data["train"].row(0)["speaker"] == 0


def test_every_rule_has_an_entry_and_says_so(little_texts):
    derived = {entry.name: entry for entry in CATALOGUE.values() if entry.derived}
    assert {entry.derived[1] for entry in derived.values()} == set(DERIVED)
    told = {row[0]: row for row in describe()}
    for name, entry in derived.items():
        assert told[name][3] == f"made from {entry.derived[0]}"
        data = gradus.load_data(name)
        assert data.types == entry.types and any("made from" in note for note in data.notes)

"""Mistakes that a user makes with texts: one sentence each, before anything is written; and looks at runs of pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gradus.data.columns import Column, Label, Text
from gradus.data.dataset import Dataset, NumberedRows, Split
from gradus.data.readers import read
from gradus.data.scan import scan
from gradus.data.text.encoders import load_encoder
from gradus.errors import UserError
from gradus.look.inside.attending import attention
from gradus.models import create_model
from gradus.recipes.execute import fit, train_recipe
from gradus.recipes.generating import prompt_ids
from gradus.recipes.inputs import read_inputs
from gradus.recipes.looking_texts import subject_of_sequences
from gradus.recipes.recipe import DataSettings, Recipe
from gradus.tasks.settings import TaskSettings
from gradus.tasks.table import create_task
from gradus.train.settings import TrainSettings

TASK = TaskSettings(name="text-classification")


def texts(count: int = 40) -> Dataset:
    rows = [f"word{row} stands {'here' if row % 2 else 'there'}" for row in range(count)]
    columns = {
        "text": Column(Text(), rows),
        "label": Column(Label(classes=("there", "here")), np.arange(count) % 2),
    }
    return Dataset("texts", "texts", {"train": Split(columns, NumberedRows.count("texts", count))}, "label")


def pairs(count: int = 40) -> Dataset:
    random = np.random.default_rng(0)
    animals = random.integers(0, 2, count)
    told = [f"the {'cat' if animal else 'dog'} runs. all are glad." for animal in animals]
    columns = {
        "story": Column(Text(), told),
        "question": Column(Text(), [f"who runs in row{row}?" for row in range(count)]),
        "label": Column(Label(classes=("dog", "cat")), animals),
    }
    return Dataset("pairs", "pairs", {"train": Split(columns, NumberedRows.count("pairs", count))}, "label")


def book_recipe(folder: Path, task: str) -> Recipe:
    data = DataSettings(source=str(folder / "book.txt"))
    return Recipe(data=data, task=TaskSettings(name=task), train=TrainSettings(epochs=1))


class Own(nn.Module):
    def __init__(self, num_tokens: int) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(num_tokens, 4), nn.Linear(4, 2)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.embedding(ids).mean(dim=1))


def test_an_embedding_that_lacks_ids_is_told_before_training(tmp_path):
    size = create_task(TASK, texts()).model_options()["num_tokens"]  # more than after rows are held out
    with pytest.raises(UserError, match=r"does not take all of the .* ids of the vocabulary"):
        fit(Own(12), texts(), epochs=1, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    fit(Own(size), texts(), epochs=1, out=tmp_path / "run")


def test_an_unknown_task_is_named(tmp_path):
    (tmp_path / "book.txt").write_text("one line\n" * 30)
    recipe = book_recipe(tmp_path, "language-modelling")
    with pytest.raises(UserError, match=r"unknown task 'language-modelling'.*'language-modeling'"):
        train_recipe(recipe, tmp_path / "run")


@pytest.mark.parametrize("name, content", [("rows.jsonl", ""), ("rows.json", "[]")])
def test_files_of_json_without_rows(name, content, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=f"{name}: "):
        read(tmp_path / name)


def test_tagged_words_are_scanned(tmp_path):
    (tmp_path / "words.conll").write_text("Anna B-PER\nlives O\n\nAnna B-PER\nlives O\n\nRome B-LOC\nis O\n")
    result = scan(tmp_path / "words.conll")
    assert any("Tags of" in line for line in result.summary)
    assert sum("a duplicate of row 1" in finding.message for finding in result.findings) == 1


def test_an_empty_text_is_not_the_folder_one_is_in(tmp_path, monkeypatch):
    (tmp_path / "other.txt").write_text("something")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="input 1: the text is empty"):
        read_inputs(create_task(TASK, texts()), [""])


def test_a_prompt_of_unknown_words_only():
    task = create_task(TaskSettings(name="language-modeling"), Dataset("t", "t", texts().splits, "text"))
    with pytest.raises(UserError, match="knows no word"):
        prompt_ids(task, "qqq zzz")
    assert prompt_ids(task, "stands zzz").shape[1] >= 2


def test_an_encoder_of_an_older_version():
    with pytest.raises(UserError, match="older version"):
        load_encoder({"tokenizer": {}, "tokens": [], "counts": []})


def test_pairs_are_looked_into_with_both_texts(tmp_path):
    options = create_task(TaskSettings(name="text-pair-classification"), pairs()).model_options()
    given = {name: options[name] for name in ("num_tokens", "num_classes", "separator")}
    model = create_model("memory_network", **given, hops=2, embedding_size=4)
    run = fit(model, pairs(), task="text-pair-classification", epochs=1, out=tmp_path / "run")
    assert (tmp_path / "run" / "report.html").exists() or run.report().exists()
    subject = subject_of_sequences(run)
    passage = subject.rows("test").passage(0)
    assert passage.steps[0] == "the" and passage.other is not None and passage.other.steps[0] == "who"
    sight = attention(subject, [passage], agreement=False)
    assert sight.arrays["weights-0"].shape == (2, len(passage))
    np.testing.assert_allclose(sight.arrays["weights-0"].sum(axis=1), 1, atol=1e-5)
    with pytest.raises(UserError, match="reads two texts"):
        subject.read("the dog runs.")


def test_a_run_of_word_vectors_on_a_book_has_a_report(tmp_path):
    words = np.random.default_rng(0).choice(["sun", "moon", "star", "sky"], (40, 9))
    (tmp_path / "book.txt").write_text("\n".join(" ".join(line) for line in words))
    recipe = book_recipe(tmp_path, "word-vectors")
    assert train_recipe(recipe, tmp_path / "run").report().exists()

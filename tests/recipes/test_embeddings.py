"""`model.embeddings`: word vectors of a file or a run in a network for texts, frozen or tuned; and the recipes with them."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from gradus.cli import main
from gradus.data.columns import Column, Label, Text
from gradus.data.dataset import Dataset, NumberedRows, Split
from gradus.data.load import DataSettings
from gradus.data.text.vectors import WordVectors, read_vectors, write_vectors
from gradus.errors import UserError
from gradus.models import ModelSettings
from gradus.recipes.execute import resume, train_recipe
from gradus.recipes.experiment import prepare
from gradus.recipes.recipe import Recipe
from gradus.recipes.run import load_run
from gradus.recipes.table import get_recipe
from gradus.recipes.vectors import load_word_vectors
from gradus.tasks.settings import TaskSettings
from gradus.train.settings import FineTuneSettings, TrainSettings

WORDS = ("fine", "dull", "film", "again")


def reviews(count: int = 40) -> Dataset:
    texts = [("a fine film " if row % 2 else "a dull film ") + "again " * (row % 3) for row in range(count)]
    columns = {"text": Column(Text(), texts), "label": Column(Label(classes=("bad", "good")), np.arange(count) % 2)}
    split = Split(columns, NumberedRows.count("reviews", count))
    return Dataset(name="reviews", source="reviews", splits={"train": split}, target="label")


def vector_file(folder, size: int = 6) -> str:
    matrix = np.random.default_rng(0).normal(size=(len(WORDS), size)).astype(np.float32)
    write_vectors(WordVectors(WORDS, matrix), folder / "vectors.txt", "glove")
    return str(folder / "vectors.txt")


def recipe(embeddings: str, freeze: tuple[str, ...] = (), **options) -> Recipe:
    return Recipe(
        data=DataSettings(source="reviews", validation=0, test=0),
        task=TaskSettings(name="text-classification"),
        model=ModelSettings(name="gru", options={"hidden_size": 8, **options}, embeddings=embeddings),
        train=TrainSettings(epochs=2, fine_tune=FineTuneSettings(freeze=freeze)),
    )


def test_words_get_their_vectors_and_all_others_zeros(tmp_path):
    given = read_vectors(vector_file(tmp_path))
    experiment = prepare(recipe(vector_file(tmp_path)), reviews())
    encoder, weight = experiment.task.inputs.encoder, experiment.model.front.embedding.weight.detach().numpy()
    assert weight.shape == (encoder.size, 6) and experiment.recipe.model.options["embedding_size"] == 6
    for place, word in enumerate(encoder.tokens):
        expected = given.matrix[given.places[word]] if word in given else np.zeros(6)
        assert (weight[place] == expected).all(), word
    assert not weight[0].any()
    assert any("embeddings: 4 of 5 words have a vector of 6" in note for note in experiment.notes)


@pytest.mark.parametrize("name", ["embedding", "front.embedding"])
def test_frozen_vectors_keep_every_bit_and_tuned_ones_learn(tmp_path, name):
    file = vector_file(tmp_path)
    begun = prepare(recipe(file), reviews()).model.front.embedding.weight.detach()
    frozen = train_recipe(recipe(file, freeze=(name,)), tmp_path / "frozen", dataset=reviews())
    tuned = train_recipe(recipe(file), tmp_path / "tuned", dataset=reviews())
    assert (frozen.model.front.embedding.weight == begun).all()
    assert not torch.allclose(tuned.model.front.embedding.weight, begun)
    assert not tuned.model.front.embedding.weight[0].any()


def test_frozen_embeddings_without_vectors_are_told(tmp_path):
    """Principles and Practice, listing 8-12: trainable=False of an embedding that was given no vectors."""
    notes = prepare(recipe("", freeze=("embedding",)), reviews()).notes
    assert any("random weights" in note and "--embeddings" in note for note in notes)
    assert not any(
        "random weights" in note for note in prepare(recipe(vector_file(tmp_path), ("embedding",)), reviews()).notes
    )


def test_the_number_of_frozen_and_learning_parameters_is_told(tmp_path):
    """Deep Learning with Python, listing 6-13: what is frozen is known before the optimiser is made."""
    notes = prepare(recipe(vector_file(tmp_path), ("embedding",)), reviews()).notes
    told = next(note for note in notes if "parameters learn" in note)
    frozen = 9 * 6
    whole = frozen + 3 * 8 * (6 + 8 + 2) + 2 * 8 + 2
    assert told == f"{whole - frozen:,} of {whole:,} parameters learn, frozen: embedding"


def word_run(folder):
    """A run of word vectors on texts with words that the few reviews do not have."""
    texts = ["a fine film", "a dull film", "a great film", "an awful film"] * 10
    split = Split({"text": Column(Text(), texts)}, NumberedRows.count("texts", len(texts)))
    data = Dataset(name="texts", source="texts", splits={"train": split}, target="text")
    settings = Recipe(
        data=DataSettings(source="texts", validation=0, test=0),
        task=TaskSettings(name="word-vectors", options={"subsample": 0.0}),
        model=ModelSettings(name="cbow", options={"embedding_size": 5}),
        train=TrainSettings(epochs=1, batch_size=8),
    )
    return train_recipe(settings, folder / "words", dataset=data)


def test_a_run_gives_its_vectors_and_its_vocabulary(tmp_path):
    words = word_run(tmp_path)
    experiment = prepare(recipe(str(words.path)), reviews())
    assert experiment.task.inputs.encoder.tokens == words.task.encoder.tokens
    assert (experiment.model.front.embedding.weight[4:] == words.model.vectors()[4:]).all()
    assert "great" in experiment.task.inputs.encoder.tokens  # which no review holds
    again = load_word_vectors(words.path, ["great", "nowhere", "film"])
    assert again.words == ("great", "film") and again.whole == 7


def test_a_run_outlives_the_vectors_that_it_began_with(tmp_path):
    words = word_run(tmp_path)
    run = train_recipe(recipe(str(words.path)), tmp_path / "run", dataset=reviews())
    vectors = load_word_vectors(run.path)
    assert vectors.size == 5 and vectors.words == words.task.encoder.tokens
    answers = run.predict([{"text": "a great film"}])
    shutil.rmtree(words.path)
    assert load_run(run.path).predict([{"text": "a great film"}]) == answers
    whole = resume(run.path, dataset=reviews())
    assert whole.task.inputs.encoder.tokens == vectors.words
    with pytest.raises(UserError, match=r"no such file or run of word vectors; .*gradus train imdb-word2vec"):
        prepare(recipe(str(words.path)), reviews())


def test_what_does_not_fit_is_told(tmp_path):
    file = vector_file(tmp_path)
    with pytest.raises(UserError, match=r"embedding_size is 9, but .* has vectors of 6 numbers"):
        prepare(recipe(file, embedding_size=9), reviews())
    bags = replace(recipe(file), task=TaskSettings(name="text-classification", options={"encoding": "multi-hot"}))
    with pytest.raises(UserError, match="model mlp has no embedding; leave it out"):
        prepare(replace(bags, model=ModelSettings(name="mlp", embeddings=file)), reviews())
    with pytest.raises(UserError, match="task image-classification reads no words"):
        prepare(Recipe(model=ModelSettings(name="lenet5", embeddings=file), data=DataSettings(source="digits")))
    write_vectors(WordVectors(("nothing",), np.ones((1, 6), np.float32)), tmp_path / "other.txt", "glove")
    with pytest.raises(UserError, match="none of the 9 words of the vocabulary"):
        prepare(recipe(str(tmp_path / "other.txt")), reviews())


def test_the_flags_of_the_command_line(tmp_path, capsys):
    texts = [f"a {('dull', 'fine')[row % 2]} film number {row}" for row in range(40)]
    rows = [f"{text},{('bad', 'good')[row % 2]}" for row, text in enumerate(texts)]
    (tmp_path / "reviews.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    flags = ["--data", str(tmp_path / "reviews.csv"), "--target", "label", "--task", "text-classification"]
    flags += ["--model", "gru", "--embeddings", vector_file(tmp_path), "--freeze", "embedding", "--epochs", "1"]
    with pytest.raises(SystemExit) as ended:
        main(["train", *flags, "--out", str(tmp_path / "run")])
    told = "".join(capsys.readouterr())
    assert ended.value.code == 0
    assert "embeddings: 3 of " in told and "frozen: embedding" in told


def test_the_recipes_are_what_their_texts_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = get_recipe("imdb-200-reviews-word2vec")
    assert first.data.rows == 200 and first.data.validation == 10_000 and first.task.options["max_length"] == 100
    assert first.train.fine_tune.freeze == ("embedding",) and first.published.value == 0.56
    with pytest.raises(UserError, match=r"gradus train imdb-word2vec --out runs/imdb-word2vec"):
        prepare(replace(first, data=DataSettings(source="reviews", validation=0, test=0)), reviews())


@pytest.mark.parametrize("name", ["imdb-word2vec", "imdb-glove"])
def test_the_recipes_of_word_vectors_run(tmp_path, name):
    found = get_recipe(name)
    small = replace(
        found,
        data=DataSettings(source="reviews", validation=0, test=0),
        task=replace(found.task, options={**found.task.options, "least_count": 1, "subsample": 0.0}),
        train=replace(found.train, epochs=1, batch_size=8),
    )
    run = train_recipe(small, tmp_path / "run", dataset=reviews())
    assert run.model.vectors().shape == (9, 100)

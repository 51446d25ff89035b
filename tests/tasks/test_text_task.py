"""Texts as inputs: bags held against scikit-learn, cutting and padding at the stated side, and what is read of a table."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from gradus.data.columns import Column, Label, Number, Text
from gradus.data.dataset import Dataset, NumberedRows, Split
from gradus.data.device_rows import Ragged
from gradus.data.text.encoders import END, SPECIAL
from gradus.errors import UserError
from gradus.models import create_model
from gradus.recipes.execute import fit
from gradus.recipes.run import load_run
from gradus.tasks.settings import TaskSettings
from gradus.tasks.table import create_task, infer_task, load_task, save_state
from gradus.tasks.text import PAIRS, bags, sparse_counts

TEXTS = ["the cat sat on the mat", "the dog ate my homework", "a cat a cat a cat", "dog"]


def texts_of(texts, **more) -> Dataset:
    columns = {"text": Column(Text(), list(texts)), **more}
    columns["label"] = Column(Label(classes=("bad", "good")), np.arange(len(texts)) % 2)
    split = Split(columns, NumberedRows.count("texts", len(texts)))
    return Dataset(name="texts", source="texts", splits={"train": split}, target="label")


def task_of(dataset: Dataset, **options):
    return create_task(
        TaskSettings(name="text-classification", options={"tokenizer": "whitespace", **options}), dataset
    )


def vectors(texts, encoding: str, **options) -> tuple[np.ndarray, tuple[str, ...]]:
    """What a model sees of the texts, without the special ids, and the names of the columns."""
    dataset = texts_of(texts)
    task = task_of(dataset, encoding=encoding, **options)
    task.to_device(torch.device("cpu"))
    seen, _ = task.prepare(task.encode(dataset["train"]), training=False)
    assert seen.dtype == torch.float32 and not seen[:, : len(SPECIAL)].any()
    return seen[:, len(SPECIAL) :].numpy(), task.inputs.encoder.tokens[len(SPECIAL) :]


def in_order(vectorizer, texts, tokens) -> np.ndarray:
    found = vectorizer.fit_transform(texts).toarray()
    return found[:, [vectorizer.vocabulary_[token] for token in tokens]]


PLAIN = {"tokenizer": str.split, "token_pattern": None, "lowercase": False}


@given(
    st.lists(st.text("abc ", min_size=1, max_size=20).map(lambda text: "a " + text), min_size=2, max_size=8),
    st.integers(1, 2),
)
@settings(max_examples=25, deadline=None)
def test_bags_are_those_of_scikit_learn(texts, runs):
    for encoding, vectorizer in {
        "count": CountVectorizer(**PLAIN, ngram_range=(1, runs)),
        "multi-hot": CountVectorizer(**PLAIN, ngram_range=(1, runs), binary=True),
        "tf-idf": TfidfVectorizer(**PLAIN, ngram_range=(1, runs)),
    }.items():
        seen, tokens = vectors(texts, encoding, ngrams=runs)
        assert np.abs(seen - in_order(vectorizer, texts, tokens)).max() < 1e-6


def test_shares_of_the_text():
    seen, tokens = vectors(TEXTS, "frequency")
    assert seen[2, tokens.index("a")] == pytest.approx(0.5) and np.allclose(seen.sum(axis=1), 1)


def test_a_text_without_a_known_word_is_all_zero():
    dataset = texts_of(TEXTS)
    for encoding in ("multi-hot", "count", "frequency", "tf-idf"):
        task = task_of(dataset, encoding=encoding)
        task.to_device(torch.device("cpu"))
        seen, _ = task.prepare(task.encode(texts_of(["zebra", ""])["train"]), training=False)
        assert seen.shape == (2, task.inputs.encoder.size) and not seen.any()


def test_counts_end_at_255_and_words_of_training_weigh_by_its_rows():
    rows = Ragged.of([np.full(300, 4), np.array([5, 1, 0, 3, 5])])
    assert bags(rows, 6, True).tolist() == [[0, 0, 0, 0, 255, 0], [0, 0, 0, 0, 0, 2]]
    assert bags(rows, 6, False).tolist() == [[0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 1]]
    assert bags(rows, 6, True).dtype == torch.uint8


def test_weights_are_those_of_the_training_rows_alone_and_go_with_the_run():
    dataset = texts_of(TEXTS)
    task = task_of(dataset, encoding="tf-idf")
    settings_of = TaskSettings(name="text-classification", options={"tokenizer": "whitespace", "encoding": "tf-idf"})
    again = load_task(settings_of, save_state(task))
    theirs = TfidfVectorizer(**PLAIN).fit(TEXTS)
    new = ["the cat ate the zebra"]
    for one in (task, again):
        one.to_device(torch.device("cpu"))
        seen, _ = one.prepare(one.encode(texts_of(new)["train"], with_target=False), training=False)
        wanted = theirs.transform(new).toarray()
        tokens = one.inputs.encoder.tokens[len(SPECIAL) :]
        assert np.abs(seen[:, 4:].numpy() - wanted[:, [theirs.vocabulary_[t] for t in tokens]]).max() < 1e-6


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"max_length": 3}, "the cat sat"),
        ({"max_length": 3, "keep": "last"}, "on the mat"),
        ({"max_length": 0}, "the cat sat on the mat"),
    ],
)
def test_the_part_that_is_kept(options, wanted):
    """Deep Learning with Python §6.1.2 says "the first 20 words"; pad_sequences cuts at the front, so they are the last 20."""
    dataset = texts_of(TEXTS)
    task = task_of(dataset, **options)
    rows = task.encode(dataset["train"])["inputs"]
    assert task.inputs.encoder.decode(rows[:1][0].tolist()) == wanted


@pytest.mark.parametrize(("side", "zeros"), [("right", [False, True]), ("left", [True, False])])
def test_padding_stands_at_the_stated_side(side, zeros):
    dataset = texts_of(["a b c d", "a b"])
    rows = task_of(dataset, pad_side=side).encode(dataset["train"])["inputs"][:]
    assert [bool((rows[1, :2] == 0).all()), bool((rows[1, 2:] == 0).all())] == zeros


def test_as_keras_pads_and_cuts():
    """What `pad_sequences` gives by default, at both ends of its choice: for the texts' own experiments."""
    dataset = texts_of(["a b c d e", "a b"])
    task = task_of(dataset, max_length=3, keep="last", pad_side="left")
    ids = task.inputs.encoder.ids
    assert task.encode(dataset["train"])["inputs"][:].tolist() == [
        [ids["c"], ids["d"], ids["e"]],
        [0, ids["a"], ids["b"]],
    ]


def test_texts_are_cut_into_tokens_only_once(monkeypatch):
    from gradus.data.text.tokenizers import Tokenizer

    cut, split = [], Tokenizer.split
    monkeypatch.setattr(Tokenizer, "split", lambda self, text: cut.append(text) or split(self, text))
    dataset = texts_of(TEXTS)
    task = task_of(dataset)
    first = task.encode(dataset["train"])["inputs"]
    assert cut == TEXTS
    second = task.encode(dataset["train"])["inputs"]
    assert len(cut) == 2 * len(TEXTS) and first[:].tolist() == second[:].tolist()


def test_several_columns_are_read_as_one_text_and_others_left_out():
    dataset = texts_of(["a b", "c"], title=Column(Text(), ["x", "y y"]), price=Column(Number(), np.array([1.0, 2.0])))
    task = task_of(dataset)
    assert "texts: columns text, title, read as one text each row" in task.notes
    assert "column 'price' holds numbers: left out" in task.notes
    ids = task.inputs.encoder.ids
    assert task.encode(dataset["train"])["inputs"][:].tolist() == [
        [ids["a"], ids["b"], END, ids["x"]],
        [ids["c"], END, ids["y"], ids["y"]],
    ]
    assert list(task.input_types) == ["text", "title"]


def test_a_table_without_text_is_told():
    dataset = texts_of(["a", "b"])
    split = dataset["train"]
    numbers = Split({"size": Column(Number(), np.zeros(2)), "label": split["label"]}, split.origins)
    with pytest.raises(UserError, match="a text task needs a column of text beside the target; 'size' holds numbers"):
        task_of(Dataset(name="n", source="n", splits={"train": numbers}, target="label"))


def test_long_texts_among_numbers_are_what_a_table_is_about():
    number = Column(Number(), np.arange(4.0))
    assert infer_task(texts_of(["so it says here that all of it was good"] * 4, price=number)) == "text-classification"
    assert infer_task(texts_of(["Mr. Smith", "Ms. Jones", "J. Doe", "A. B."], price=number)) == "tabular-classification"
    table = create_task(TaskSettings(name="tabular-classification"), texts_of(["J. Doe"] * 4, price=number))
    assert "column 'text' holds text: left out (--task text-classification reads it)" in table.notes


def test_pairs_of_words_do_not_reach_into_the_next_text():
    dataset = texts_of(["a b", "c d", "", "a"])
    task = task_of(dataset)
    found = task.inputs.features(task.encode(dataset["train"])["inputs"])
    words, pairs = found[:, : task.inputs.encoder.size], found[:, task.inputs.encoder.size :]
    assert pairs.shape[1] == PAIRS and pairs.sum(axis=1).ravel().tolist() == [[1, 1, 0, 0]]
    assert words.sum(axis=1).ravel().tolist() == [[2, 2, 0, 1]]
    assert sparse_counts(Ragged.of([np.array([4, 5, 4])]), 6).toarray().tolist() == [[0, 0, 0, 0, 2, 1]]


def test_the_linear_baseline_reads_pairs(tmp_path):
    """Whether "not" stands before the word decides, which no bag of single words tells."""
    good = ["not bad and not dull but a fine film {}", "a film {} not bad"]
    bad = ["not a fine film {} but bad and dull", "a film {} not fine bad"]
    texts = [sentence.format(word) for word in ("x", "y", "z", "u", "v", "w") * 4 for sentence in (bad[0], good[0])]
    run = fit(create_model("gru", num_tokens=30, num_classes=2), texts_of(texts), epochs=1, out=tmp_path / "run")
    linear = run.evaluation["baselines"]["logistic regression on a bag of words"]
    assert linear["accuracy"] == 1.0 and "majority class" in run.evaluation["baselines"]


def test_predicting_texts(tmp_path):
    texts = [("a fine film " if row % 2 else "a dull film ") + "again " * (row % 5) for row in range(40)]
    fit(
        create_model("gru", num_tokens=12, num_classes=2),
        texts_of(texts),
        epochs=12,
        learning_rate=0.02,
        out=tmp_path / "r",
    )
    run = load_run(tmp_path / "r")
    one = run.predict("what a fine film")
    assert one[0]["input"] == "what a fine film" and one[0]["prediction"] == "good" and "remark" not in one[0]
    long = "a dull film " * 50
    (tmp_path / "note.txt").write_text("a fine film")
    (tmp_path / "more.csv").write_text("id,text\n1,a dull film\n2,\n")
    found = run.predict([long, str(tmp_path / "note.txt"), tmp_path / "more.csv", {"text": "fine"}, "qqq zzz"])
    assert [row["prediction"] for row in found[:3]] == ["bad", "good", "bad"]
    assert found[0]["input"] == long[:57] + "..." and found[1]["input"] == str(tmp_path / "note.txt")
    assert found[3]["input"] == "row 3 of more.csv" and found[3]["remark"] == "the text is empty"
    assert found[5]["remark"] == "no word of it was seen in training"
    with pytest.raises(UserError, match="input 1: the text is empty"):
        run.predict("  ")
    with pytest.raises(UserError, match=r"nothere\.txt: there is no such file"):
        run.predict(str(tmp_path / "nothere.txt"))
    with pytest.raises(UserError, match=r"input 1: this run takes texts .* received ndarray"):
        run.predict(np.zeros(3))
    with pytest.raises(UserError, match="there is no column 'text'"):
        run.predict({"txet": "fine"})

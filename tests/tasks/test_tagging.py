"""Tagging: spans as conlleval, padding that never counts, readers, and a made corpus that is learnt."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from gradus.data import load_data
from gradus.data.columns import Column, Tags, Text
from gradus.data.dataset import Dataset, NumberedRows, Split
from gradus.errors import UserError
from gradus.models import create_model
from gradus.recipes.execute import fit
from gradus.tasks.answer import TaggedWords
from gradus.tasks.settings import TaskSettings
from gradus.tasks.spans import Span, begin_table, count_spans, has_spans, span_metrics, spans_of, type_numbers
from gradus.tasks.table import create_task, infer_task, load_task, save_state

SENTENCE = "Harry potter and Hermione Granger invented a new spell"  # course notes §5.1.1
FIRST, LAST = ("Harry", "Hermione", "Ron", "Ginny", "Luna"), ("Potter", "potter", "Granger", "Weasley", "Lovegood")
DOES = ("invented a new spell", "went home", "saw the rose", "and a friend sang")
CLASSES = ("B-PER", "I-PER", "O")


def corpus(count: int = 120) -> Dataset:
    """People at the begin and in the middle of made sentences; "Rose" is a name before a family's name and a flower otherwise."""
    random = np.random.default_rng(0)
    texts, tags = [], []
    for _ in range(count):
        words: list[str] = []
        row: list[int] = []
        for _ in range(random.integers(1, 3)):
            name = [str(random.choice([*FIRST, "Rose"])), str(random.choice(LAST))]
            rest = str(random.choice([*DOES, "bought Rose petals"])).split()
            words += name + rest + ["and"]
            row += [0, 1] + [2] * (len(rest) + 1)
        texts.append(" ".join(words[:-1]))
        tags.append(np.array(row[:-1]))
    split = Split(
        {"text": Column(Text(), texts), "tags": Column(Tags(classes=CLASSES), tags)}, NumberedRows.count("made", count)
    )
    return Dataset(name="made", source="made", splits={"train": split}, target="tags")


def made(options=None, count=40):
    data = corpus(count)
    return create_task(TaskSettings(name="tagging", options=options or {}), data), data


# ---- spans


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("B-PER I-PER O B-PER I-PER O O O O", [(0, 1, "PER"), (3, 4, "PER")]),  # the sentence of the course notes
        ("I-PER I-PER B-PER O", [(0, 1, "PER"), (2, 2, "PER")]),  # IOB1: B only where two of a type touch
        ("I-PER I-LOC", [(0, 0, "PER"), (1, 1, "LOC")]),
        ("B-PER B-PER", [(0, 0, "PER"), (1, 1, "PER")]),
        ("S-PER B-LOC I-LOC E-LOC E-LOC O", [(0, 0, "PER"), (1, 3, "LOC"), (4, 4, "LOC")]),  # BIOES
        ("B-PER I-LOC I-LOC", [(0, 0, "PER"), (1, 2, "LOC")]),
        ("O O", []),
        ("", []),
    ],
)
def test_spans_by_hand(tags, spans):
    assert spans_of(tags.split()) == [Span(*one) for one in spans]


def test_tags_without_a_scheme_have_no_spans():
    assert has_spans(CLASSES) and not has_spans(("NOUN", "VERB")) and not has_spans(("O",))


def of(classes, rows):
    """Texts of tags as padded class numbers."""
    longest = max(map(len, rows))
    return torch.tensor([[classes.index(tag) for tag in row] + [len(classes)] * (longest - len(row)) for row in rows])


def test_counts_are_those_of_the_spans_themselves():
    classes = (*(f"{letter}-{kind}" for letter in "BIES" for kind in ("PER", "LOC")), "O")
    random = np.random.default_rng(0)
    texts = [[list(random.choice(classes, length)) for length in (1, 7, 12, 3, 30)] for _ in range(2)]
    for place, tag in enumerate(texts[0][4]):  # so that some are right
        texts[1][4][place] = tag if random.random() < 0.8 else texts[1][4][place]
    found = count_spans(of(classes, texts[0]), of(classes, texts[1]), begin_table(classes), type_numbers(classes))
    for row, (predicted, given) in enumerate(zip(*texts, strict=True)):
        a, b = set(spans_of(predicted)), set(spans_of(given))
        assert found[row].tolist() == [len(a & b), len(a), len(b)]
    assert found[:, 0].sum() > 2


def test_a_span_whose_end_is_wrong_is_wrong():
    """conlleval: two given, two found, one right."""
    given, predicted = [["B-PER", "I-PER", "O", "B-LOC", "O"]], [["B-PER", "I-PER", "O", "B-LOC", "I-LOC"]]
    classes = ("B-PER", "I-PER", "B-LOC", "I-LOC", "O")
    counts = count_spans(of(classes, predicted), of(classes, given), begin_table(classes), type_numbers(classes))[0]
    assert counts.tolist() == [1, 2, 2]
    assert span_metrics(counts.numpy()) == {"span_f1": 0.5, "span_precision": 0.5, "span_recall": 0.5}


def test_as_seqeval():
    seqeval = pytest.importorskip("seqeval.metrics", reason="seqeval is not installed")
    classes = ("B-PER", "I-PER", "B-LOC", "I-LOC", "O")
    random = np.random.default_rng(1)
    given, predicted = ([list(random.choice(classes, 9)) for _ in range(50)] for _ in range(2))
    counts = count_spans(of(classes, predicted), of(classes, given), begin_table(classes), type_numbers(classes))
    assert span_metrics(counts.sum(dim=0).numpy())["span_f1"] == pytest.approx(seqeval.f1_score(given, predicted))


# ---- the task


def test_padding_counts_nowhere():
    task, data = made()
    rows = task.encode(data["train"])
    task.to_device(torch.device("cpu"))
    outputs = torch.randn(40, *rows["targets"].shape[1:], 3)
    wider = torch.nn.functional.pad(outputs, (0, 0, 0, 9), value=50.0)
    targets = rows["targets"][:]
    padded = torch.nn.functional.pad(targets, (0, 9))
    torch.testing.assert_close(task.loss(wider, padded, training=True), task.loss(outputs, targets, training=True))
    a, b = task.counts(outputs, targets, training=False), task.counts(wider, padded, training=False)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert int(a["words"]) == sum(len(text.split()) for text in data["train"]["text"])


def test_words_without_a_known_tag_count_nowhere():
    task, data = made()
    tags = [row.copy() for row in data["train"]["tags"]]
    tags[0][:] = -1
    columns = {**data["train"].columns, "tags": Column(data.types["tags"], tags)}
    rows = task.encode(Split(columns, data["train"].origins))
    outputs = torch.randn(40, *rows["targets"].shape[1:], 3)
    before = task.counts(outputs, rows["targets"][:], training=False)["words"]
    assert int(before) == sum(map(len, tags)) - len(tags[0])


def test_the_loss_is_in_nats_a_word():
    task, data = made()
    rows = task.encode(data["train"])
    outputs = torch.randn(40, *rows["targets"].shape[1:], 3)
    targets = rows["targets"][:]
    by_hand = torch.nn.functional.cross_entropy(outputs[targets > 0], targets[targets > 0] - 1)
    totals = {name: value.double().numpy() for name, value in task.counts(outputs, targets, training=False).items()}
    totals["loss"] = task.loss(outputs, targets, training=False).numpy() * 40
    assert task.metrics(totals, 40)["loss"] == pytest.approx(float(by_hand), rel=1e-5)
    kept = task.collected(outputs, {"inputs": rows["inputs"][:]})
    exact = task.assess(kept, rows["targets"])
    assert exact.metrics == pytest.approx(task.metrics(totals, 40), rel=1e-5)
    assert exact.by_word().metrics == {} and len(exact.by_word().targets) == (targets > 0).sum()


def test_the_loss_of_a_batch_is_the_mean_of_those_of_its_parts():
    task, data = made()
    targets = task.encode(data["train"])["targets"][:]
    outputs = torch.randn(*targets.shape, 3)
    parts = [task.loss(outputs[part], targets[part], training=True) for part in (slice(0, 10), slice(10, 40))]
    torch.testing.assert_close(task.loss(outputs, targets, training=True), 0.25 * parts[0] + 0.75 * parts[1])


def test_accuracy_as_scikit_learn():
    sklearn = pytest.importorskip("sklearn.metrics")
    task, data = made()
    rows = task.encode(data["train"])
    outputs = task.collected(torch.randn(40, *rows["targets"].shape[1:], 3), {"inputs": rows["inputs"][:]})
    found = task.assess(outputs, rows["targets"])
    given, predicted = np.concatenate(found.targets), np.concatenate(found.predictions)
    assert found.metrics["accuracy"] == pytest.approx(sklearn.accuracy_score(given, predicted))
    assert found.metrics["macro_f1"] == pytest.approx(sklearn.f1_score(given, predicted, average="macro"))


@pytest.mark.parametrize("characters", [0, 6])
def test_names_are_learnt_from_what_stands_beside_them(characters, tmp_path):
    options = {"characters": characters}
    task, data = made(options, 120)
    torch.manual_seed(0)
    sizes = {"embedding_size": 16, "hidden_size": 16, "character_size": 8, "dropout": 0.0}
    model = create_model("tagger", **task.model_options(), **sizes)
    run = fit(model, data, task_options=options, epochs=15, learning_rate=0.02, batch_size=16, out=tmp_path / "run")
    found, baselines = run.evaluate("test"), run.evaluation["baselines"]
    assert found["span_f1"] > 0.97
    assert baselines["most frequent tag of each word"]["span_f1"] < found["span_f1"]
    assert baselines["hidden Markov model"]["span_f1"] > baselines["most frequent tag of each word"]["span_f1"]
    assert run.history[-1]["validation_span_f1"] > 0.9
    (answer,) = run.predict([{"text": SENTENCE}])
    assert answer["prediction"] == ["B-PER", "I-PER", "O", "B-PER", "I-PER", "O", "O", "O", "O"]
    assert answer["spans"][1] == {"type": "PER", "text": "Hermione Granger", "first": 3, "last": 4}
    assert [len(run.predict([{"text": text}])[0]["prediction"]) for text in ("", "Ron")] == [0, 1]
    if characters:
        assert "words" in run.report().read_text()


def test_a_tag_a_word_and_an_answer_a_pair():
    """A-09: tagging is many-to-many in step, which *Principles and Practice* has as one-to-one; a question has one answer."""
    ids, question = torch.randint(1, 9, (2, 7)), torch.randint(1, 9, (2, 3))
    assert create_model("tagger", num_tokens=9, num_classes=4)(ids).shape == (2, 7, 4)
    assert create_model("two_input_lstm", num_tokens=9, num_classes=4)((ids, question)).shape == (2, 4)


def test_batches_of_other_lengths_give_the_same_answers(tmp_path):
    task, data = made()
    torch.manual_seed(0)
    model = create_model("tagger", **task.model_options()).eval()
    rows = task.encode(data["train"])
    with torch.no_grad():
        whole = task.collected(model(rows["inputs"][:]), {"inputs": rows["inputs"][:]})
        parts = [{"inputs": rows["inputs"][begin : begin + 3]} for begin in range(0, 40, 3)]
        joined = task.joined([task.collected(model(part["inputs"]), part) for part in parts])
    torch.testing.assert_close(joined, whole, atol=1e-6, rtol=0, equal_nan=True)


def test_a_task_comes_back_from_its_state():
    task, data = made({"characters": 5, "lowercase": True})
    again = load_task(
        TaskSettings(name="tagging", options={"characters": 5, "lowercase": True}),
        json.loads(json.dumps(save_state(task))),
    )
    first, second = task.encode(data["train"]), again.encode(data["train"])
    assert all(torch.equal(first[name][:], second[name][:]) for name in first)


def test_answers_are_drawn_over_the_words():
    kind = Tags(classes=CLASSES)
    answer = TaggedWords(np.array([0, 1, 2, 2]), kind, words=("Harry", "Potter", "went", "home"))
    assert answer.to_text() == "[PER Harry Potter] went home"
    assert answer.to_lines() == ["B-PER I-PER", "Harry Potter went home"]
    assert answer.to_lines(width=12) == ["B-PER I-PER", "Harry Potter", "", "went home"]
    plain = TaggedWords(np.array([0, 1]), Tags(classes=("NOUN", "VERB")), words=("dogs", "bark"))
    assert plain.to_text() == "dogs/NOUN bark/VERB" and "spans" not in plain.to_json()


def test_as_many_tags_as_words_are_asked_for():
    task, data = made()
    columns = {**data["train"].columns, "text": Column(Text(), ["one"] * 40)}
    with pytest.raises(UserError, match="row 1 of made: 1 words, but"):
        task.encode(Split(columns, data["train"].origins))


# ---- readers

CONLL = "-DOCSTART- -X- O\n\nHarry NNP B-PER\nPotter NNP I-PER\nsang VBD O\n\n\nHome NN O\n"


def test_conll_files(tmp_path):
    file = tmp_path / "names.conll"
    file.write_text(CONLL)
    data = load_data(file)
    assert list(data["train"]["text"]) == ["Harry Potter sang", "Home"]
    assert [data.types["tags"].to_json(row) for row in data["train"]["tags"]] == [["B-PER", "I-PER", "O"], ["O"]]
    assert data["train"].origins[0] == "row 3 of names.conll" and data["train"].origins[1] == "row 8 of names.conll"
    assert infer_task(data) == "tagging"


def test_a_folder_with_a_conll_file_for_each_split(tmp_path):
    for name in ("train.txt", "dev.conll", "test.bio"):
        (tmp_path / name).write_text(CONLL)
    assert {name: len(split) for name, split in load_data(tmp_path).splits.items()} == {
        "train": 2,
        "validation": 2,
        "test": 2,
    }


def test_a_text_file_is_read_as_tags_only_where_it_has_them(tmp_path):
    file = tmp_path / "poem.txt"
    file.write_text("roses are red\nviolets are blue\n")
    assert infer_task(load_data(file)) == "language-modeling"


def test_a_line_without_a_tag_is_told(tmp_path):
    file = tmp_path / "names.conll"
    file.write_text("Harry B-PER\nPotter\n")
    with pytest.raises(UserError, match=r"line 2 of names.*: expected a word and its tag, found 'Potter'"):
        load_data(file)


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_tables_with_lists(tmp_path, suffix):
    rows = [{"words": ["Harry", "Pot ter"], "tags": ["B-PER", "I-PER"]}, {"words": ["went"], "tags": ["O"]}]
    file = tmp_path / f"names.{suffix}"
    if suffix == "jsonl":
        file.write_text("\n".join(map(json.dumps, rows)))
    else:
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    data = load_data(file)
    assert list(data["train"]["words"]) == ["Harry Pot_ter", "went"] and data.target == "tags"
    assert data.types["tags"].classes == CLASSES

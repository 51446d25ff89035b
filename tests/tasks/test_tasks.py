"""Tasks: metrics against scikit-learn, learning against a batch known by heart, and statistics of the training rows alone."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes_made import scenes
from sklearn import datasets
from sklearn import metrics as oracle
from sklearn.preprocessing import StandardScaler

from gradus.data.columns import Column, ColumnType, Image, Label, Labels, Number, Text
from gradus.data.dataset import Dataset, NumberedRows, Split
from gradus.errors import UserError
from gradus.models import accepted_options, create_model
from gradus.tasks import metrics
from gradus.tasks.assessment import ClassAssessment, LabelsAssessment, NumberAssessment
from gradus.tasks.settings import TaskSettings
from gradus.tasks.table import TASKS, create_task, infer_task, load_task, save_state
from gradus.tasks.task import Answer, Task
from gradus.train.devices import Plan
from gradus.train.learner import Supervised
from gradus.train.settings import OptimizerSettings, TrainSettings
from gradus.train.source import in_order

CPU = torch.device("cpu")
NAN = float("nan")
Columns = dict[str, tuple[ColumnType, Any]]
number, flags = Number(), Labels(classes=("u", "v", "w"))


def rows(columns: Columns) -> Split:
    made = {name: Column(kind, np.asarray(values)) for name, (kind, values) in columns.items()}
    return Split(made, NumberedRows.count("made.csv", len(next(iter(made.values())))))


def data(target: str | None, **splits: Columns) -> Dataset:
    return Dataset("made", "made.csv", {name: rows(columns) for name, columns in splits.items()}, target=target)


def task_for(dataset: Dataset, name: str = "", sizes: tuple[int, ...] | None = None, **options: Any) -> Task:
    task = create_task(TaskSettings(name=name or infer_task(dataset), options=options), dataset, sizes)
    task.to_device(CPU)
    return task


def labels(*names: str) -> Label:
    return Label(classes=names)


# Data sets of scikit-learn, made by hand into ours


def digits(train: int = 400, test: int = 400) -> Dataset:
    found = datasets.load_digits()
    pictures = np.round(found.images * 255 / 16).astype(np.uint8)[..., None]
    kind, classes = Image(channels=1), labels(*map(str, range(10)))
    order = np.random.default_rng(0).permutation(len(pictures))
    parts = {"train": order[:train], "test": order[train : train + test]}
    return data(
        "digit", **{n: {"image": (kind, pictures[p]), "digit": (classes, found.target[p])} for n, p in parts.items()}
    )


def breast_cancer() -> Dataset:
    found = datasets.load_breast_cancer()
    columns: Columns = {str(n): (number, found.data[:, i]) for i, n in enumerate(found.feature_names)}
    return data("answer", train={**columns, "answer": (labels("bad", "good"), found.target)})


def diabetes() -> Dataset:
    found = datasets.load_diabetes(scaled=False)
    columns: Columns = {n: (number, found.data[:, i]) for i, n in enumerate(found.feature_names)}
    return data("progress", train={**columns, "progress": (number, found.target)})


def many_labels(count: int = 60) -> Dataset:
    random = np.random.default_rng(0)
    inputs = random.normal(size=(count, 4))
    holds = np.stack([inputs[:, 0] > 0, inputs[:, 1] + inputs[:, 2] > 0.5, inputs[:, 3] < -0.2], axis=1)
    columns: Columns = {f"x{i}": (number, inputs[:, i]) for i in range(4)}
    return data("which", train={**columns, "which": (flags, holds)})


def two_numbers() -> Dataset:
    found = datasets.load_diabetes(scaled=False)
    columns: Columns = {n: (number, found.data[:, i]) for i, n in enumerate(found.feature_names[:8])}
    return data("s5,s6", train={**columns, "s5": (number, found.data[:, 8]), "s6": (number, found.data[:, 9])})


# Metrics against scikit-learn


@st.composite
def class_answers(draw, classes: int | None = None):
    classes = classes or draw(st.integers(2, 14))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    count = draw(st.integers(1, 60))
    logits = torch.tensor(random.normal(size=(count, classes)) * draw(st.sampled_from([0.5, 3.0])), dtype=torch.float32)
    return logits, torch.tensor(random.integers(0, draw(st.integers(1, classes)), count))  # some classes may not occur


def class_task(classes: int) -> Task:
    values = np.arange(classes)
    kind = labels(*(f"class {i}" for i in range(classes)))
    return task_for(data("y", train={"x": (number, values), "y": (kind, values)}))


quick = settings(max_examples=40, deadline=None)


@pytest.mark.filterwarnings("ignore::UserWarning")
@quick
@given(class_answers())
def test_class_metrics_are_those_of_scikit_learn(answers):
    logits, targets = answers
    classes = logits.shape[1]
    found = class_task(classes).assess(logits, targets)
    truth, told = targets.numpy(), logits.argmax(dim=1).numpy()
    every = list(range(classes))
    assert found.metrics["accuracy"] == pytest.approx(oracle.accuracy_score(truth, told))
    f1 = oracle.f1_score(truth, told, labels=every, average="macro", zero_division=0)
    assert found.metrics["macro_f1"] == pytest.approx(f1)
    shares = torch.softmax(logits.double(), dim=1).numpy()
    assert found.metrics["loss"] == pytest.approx(oracle.log_loss(truth, shares, labels=every), rel=1e-6)
    np.testing.assert_array_equal(found.confusion(), oracle.confusion_matrix(truth, told, labels=every))
    scores = oracle.precision_recall_fscore_support(truth, told, labels=every, zero_division=0)
    for name, wanted in zip(("precision", "recall", "f1", "support"), scores, strict=True):
        np.testing.assert_allclose([row[name] for row in found.per_class()], wanted)
    assert ("top5_accuracy" in found.metrics) == (classes > 10)
    if classes > 10:
        top = oracle.top_k_accuracy_score(truth, logits.numpy(), k=5, labels=every)
        assert found.metrics["top5_accuracy"] == pytest.approx(top)


@quick
@given(class_answers(classes=2))
def test_roc_auc_is_that_of_scikit_learn(answers):
    logits, targets = answers
    found = class_task(2).assess(logits, targets).metrics
    assert ("roc_auc" in found) == (len(set(targets.tolist())) == 2)
    if "roc_auc" in found:
        score = (logits[:, 1] - logits[:, 0]).double()
        pairs = [
            (score[i] - score[j]).item()
            for i in range(len(score))
            for j in range(len(score))
            if targets[i] > targets[j]
        ]
        by_hand = np.mean([0.5 * (1 + np.sign(pair)) for pair in pairs])  # how often a positive stands above a negative
        assert found["roc_auc"] == pytest.approx(by_hand, abs=1e-3)
        assert found["roc_auc"] == pytest.approx(oracle.roc_auc_score(targets, torch.sigmoid(score).float()))


def test_roc_auc_of_very_certain_answers():
    logits = torch.tensor([[0.0, 20.0], [0.0, 25.0], [0.0, 30.0], [0.0, 35.0]])
    targets = torch.tensor([0, 0, 1, 1])
    assert class_task(2).assess(logits, targets).metrics["roc_auc"] == 1.0


@quick
@given(st.integers(1, 5), st.integers(1, 30), st.integers(0, 2**32))
def test_label_metrics_are_those_of_scikit_learn(classes, count, seed):
    random = np.random.default_rng(seed)
    logits, truth = random.normal(size=(count, classes)), random.random((count, classes)) < 0.4
    shares = (1 / (1 + np.exp(-logits))).astype(np.float32)
    names = tuple(f"label {i}" for i in range(classes))
    found = LabelsAssessment(classes=names, probabilities=shares, targets=truth)
    told, scored = logits > 0, metrics.multi_label(found)
    wanted = [oracle.f1_score(truth[:, i], told[:, i], zero_division=0) for i in range(classes)]
    assert scored["macro_f1"] == pytest.approx(np.mean(wanted))
    assert scored["exact_match"] == pytest.approx((truth == told).all(axis=1).mean())
    if classes > 1:
        assert scored["exact_match"] == pytest.approx(oracle.accuracy_score(truth, told))
        assert scored["label_accuracy"] == pytest.approx(1 - oracle.hamming_loss(truth, told))
    for index, row in enumerate(found.per_class()):
        assert row["precision"] == pytest.approx(
            oracle.precision_score(truth[:, index], told[:, index], zero_division=0)
        )
        assert row["recall"] == pytest.approx(oracle.recall_score(truth[:, index], told[:, index], zero_division=0))
        assert row["f1"] == pytest.approx(wanted[index]) and row["support"] == truth[:, index].sum()


@quick
@given(st.integers(1, 3), st.integers(2, 40), st.integers(0, 2**32))
def test_number_metrics_are_those_of_scikit_learn(columns, count, seed):
    random = np.random.default_rng(seed)
    truth = random.normal(size=(count, columns)) * [1, 10, 100][:columns]
    told = truth + random.normal(size=truth.shape)
    found = metrics.regression(NumberAssessment(names=("a", "b", "c")[:columns], predictions=told, targets=truth))
    assert found["mae"] == pytest.approx(oracle.mean_absolute_error(truth, told))
    assert found["rmse"] == pytest.approx(oracle.mean_squared_error(truth, told) ** 0.5)
    assert found["r2"] == pytest.approx(oracle.r2_score(truth, told))


def test_residuals_are_target_minus_prediction():
    made = NumberAssessment(names=("a",), predictions=np.array([[1.0]]), targets=np.array([[3.0]]))
    assert made.residuals.tolist() == [[2.0]]


def test_a_constant_test_column_has_no_r2():
    made = NumberAssessment(names=("a",), predictions=np.array([[1.0], [2.0]]), targets=np.array([[3.0], [3.0]]))
    assert metrics.regression(made)["r2"] == 0 == oracle.r2_score(made.targets, made.predictions)


def test_the_confusion_has_the_truth_in_its_rows():
    shares = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]], dtype=np.float32)
    made = ClassAssessment(classes=("a", "b", "c"), probabilities=shares, targets=np.array([2, 1]))
    assert made.confusion().tolist() == [[0, 0, 0], [0, 1, 0], [1, 0, 0]]


SETS = {
    "classes": lambda: digits(60, 20),
    "two classes": breast_cancer,
    "labels": many_labels,
    "number": diabetes,
    "numbers": two_numbers,
}
every_set = pytest.mark.parametrize("dataset", [make() for make in SETS.values()], ids=list(SETS))


def model_for(task: Task, name: str | None = None, **more: Any) -> torch.nn.Module:
    name = name or TASKS[task.name].models[0]
    options = {**task.model_options(), **more}
    torch.manual_seed(0)
    return create_model(name, **{key: value for key, value in options.items() if key in accepted_options(name)})


@every_set
def test_sums_over_batches_give_the_metrics_of_the_whole(dataset):
    task = task_for(dataset)
    encoded = task.encode(dataset["train"])
    model = model_for(task, "mlp").eval()
    learner = Supervised(model, task, TrainSettings(), Plan(CPU))
    with torch.no_grad():
        outputs = model(task.prepare(encoded, training=False)[0])
    streamed = learner.summarize(*learner.evaluate(in_order(encoded, 7)))
    whole = task.assess(outputs, encoded["targets"]).metrics
    assert set(streamed) <= set(whole) and set(task.directions) <= set(streamed)
    for name, value in streamed.items():
        assert value == pytest.approx(whole[name], rel=1e-5), name


# Learning


SMALL = {
    "image-classification": lambda: digits(40, 10),
    "tabular-classification": lambda: first(breast_cancer(), 40),
    "tabular-classification of labels": lambda: first(many_labels(), 40),
    "tabular-regression": lambda: first(diabetes(), 40),
    "tabular-regression of two": lambda: first(two_numbers(), 40),
}


def first(dataset: Dataset, count: int) -> Dataset:
    return dataset.with_splits({"train": dataset["train"].take(np.arange(count))})


SCENES = {  # task -> its target, what its default model is made with, its learning rate, and the least that it has to reach
    "object-detection": ("objects", {}, 0.001, 0.5),
    "semantic-segmentation": ("mask", {"width": 8, "depth": 2}, 0.002, 0.9),
}


def test_every_task_is_made_to_learn():
    elsewhere = {"object-localization", "landmarks"}  # test_places_tasks.py
    elsewhere |= {"text-classification", "language-modeling", "forecasting"}  # test_sequence_tasks.py
    elsewhere |= {"word-vectors"}  # test_word_vectors.py
    elsewhere |= {"text-regression", "text-pair-classification", "text-pair-regression"}  # test_pairs.py
    elsewhere |= {"text-multi-output", "image-multi-output", "tabular-multi-output"}  # test_several_outputs.py
    elsewhere |= {"tagging"}  # test_tagging.py
    elsewhere |= {"picture-generation"}  # test_generation_task.py
    elsewhere |= {"control"}  # test_q_learning.py, ...
    assert {name.split(" ")[0] for name in SMALL} | set(SCENES) | elsewhere == set(TASKS)


@pytest.mark.parametrize("name", SCENES)
def test_the_default_model_learns_a_few_scenes_by_heart(name):
    target, options, rate, least = SCENES[name]
    dataset = scenes(4, 0, target=target)
    task = task_for(dataset, name)
    batch = task.encode(dataset["train"])
    model = model_for(task, **options)
    optimizer = OptimizerSettings(name="adam", learning_rate=rate)
    learner = Supervised(model, task, TrainSettings(optimizer=optimizer), Plan(CPU))
    metric, _ = task.primary
    start = learner.summarize(*learner.evaluate([batch]))
    for step in range(160):
        learner.set_learning_rate(1 if step < 90 else 0.2)
        learner.step(batch)
        if step % 20 == 19 and learner.summarize(*learner.evaluate([batch]))[metric] > least:
            break
    found = learner.summarize(*learner.evaluate([batch]))
    assert start[metric] < 0.3 < least < found[metric] and found["loss"] < 0.6 * start["loss"]
    with torch.no_grad():
        outputs = task.collected(learner.model.eval()(task.prepare(batch, training=False)[0]), batch)
    assert task.assess(outputs, batch["targets"]).metrics[metric] == pytest.approx(found[metric], abs=0.02)
    assert len(task.decode(outputs)) == len(dataset["train"])


@pytest.mark.parametrize("name", SMALL)
def test_the_default_model_learns_a_small_batch_by_heart(name):
    dataset = SMALL[name]()
    task = task_for(dataset, name.split(" ")[0], sizes=(28,) if "image" in name else None)
    batch = task.encode(dataset["train"])
    learner = Supervised(
        model_for(task), task, TrainSettings(optimizer=OptimizerSettings(name="adam", learning_rate=0.005)), Plan(CPU)
    )
    start = learner.summarize(*learner.evaluate([batch]))["loss"]
    for step in range(300):
        rate = learner.set_learning_rate(1 if step < 200 else 0.2)
        if learner.step(batch)["loss"].item() < 1e-3:
            break
    found = learner.summarize(*learner.evaluate([batch]))
    assert found["loss"] < 0.01 < 0.3 < start and rate > 0
    assert found.get("accuracy", 1) == 1 and found.get("label_accuracy", 1) == 1
    with torch.no_grad():
        answers = task.decode(learner.model(task.prepare(batch, training=False)[0]))
    column = dataset.target or ""
    if column in dataset.types and isinstance(dataset.types[column], Label):
        assert [answer.value for answer in answers] == dataset["train"][column].values.tolist()
    elif "labels" in name:
        np.testing.assert_array_equal([answer.value for answer in answers], dataset["train"][column].values)
    else:
        truth = dataset["train"][column.split(",")[0]].values
        assert np.abs([answer.value for answer in answers] - truth).max() < 0.5 * truth.std()


# Inputs: tables


PEOPLE: Columns = {
    "age": (number, [20.0, 30.0, NAN, 50.0]),
    "town": (labels("Bonn", "Köln", "上海"), [0, 1, 2, -1]),
    "height": (number, [1.5, 1.6, 1.7, 1.8]),
    "same": (number, [3.0, 3.0, 3.0, 3.0]),
    "none": (number, [NAN, NAN, NAN, NAN]),
    "country": (labels("DE", "CN"), [0, 0, 0, 0]),
    "y": (labels("no", "yes"), [0, 1, 0, 1]),
}


def test_missing_values_are_encoded_and_seen():
    task = task_for(data("y", train=PEOPLE))
    found = task.encode(rows(PEOPLE))["inputs"]
    deviation = np.std([20, 30, 50])
    ages = [(age - 100 / 3) / deviation for age in (20, 30, 50)]
    wanted = [
        # age, its absence, three towns, height
        [ages[0], 0, 1, 0, 0, -1.5 / 1.25**0.5],
        [ages[1], 0, 0, 1, 0, -0.5 / 1.25**0.5],
        [0, 1, 0, 0, 1, 0.5 / 1.25**0.5],
        [ages[2], 0, 0, 0, 0, 1.5 / 1.25**0.5],
    ]
    np.testing.assert_allclose(found, np.array(wanted), atol=1e-6)
    assert found.dtype == torch.float32 and task.model_options() == {"in_features": 6, "num_classes": 2}


def test_what_is_left_out_is_told():
    notes = task_for(data("y", train=PEOPLE)).notes
    assert "column 'same' is constant: left out" in notes
    assert "column 'none' is empty: left out" in notes
    assert "column 'country' is constant: left out" in notes
    assert "inputs: 3 columns, 6 features after one-hot encoding" in notes


def test_a_column_of_texts_is_left_out_and_told():
    columns: Columns = {"x": (number, [1.0, 2.0]), "y": (labels("a", "b"), [0, 1])}
    split = rows(columns)
    split.columns["note"] = Column(Text(), ["one", "two"])
    task = task_for(Dataset("made", "made.csv", {"train": split}, target="y"))
    assert "column 'note' holds text: left out; a text task would read it (gradus list tasks)" in task.notes
    assert task.encode(split)["inputs"].shape == (2, 1)


def test_a_value_that_only_is_missing_or_not_still_tells():
    columns: Columns = {"x": (number, [5.0, NAN, 5.0]), "y": (labels("a", "b"), [0, 1, 0])}
    found = task_for(data("y", train=columns)).encode(rows(columns))["inputs"]
    assert found.tolist() == [[0, 0], [0, 1], [0, 0]]


def test_a_number_missing_only_later_becomes_the_mean():
    train: Columns = {"x": (number, [1.0, 3.0]), "y": (labels("a", "b"), [0, 1])}
    later: Columns = {"x": (number, [NAN, 4.0]), "y": (labels("a", "b"), [0, 1])}
    task = task_for(data("y", train=train, test=later))
    assert task.encode(rows(later))["inputs"].tolist() == [[0.0], [2.0]]


def test_numbers_are_standardised_as_scikit_learn_does():
    dataset = breast_cancer()
    task = task_for(dataset)
    table = np.stack([dataset["train"][name].values for name in dataset.types if name != "answer"], axis=1)
    np.testing.assert_allclose(
        task.encode(dataset["train"])["inputs"], StandardScaler().fit_transform(table), atol=1e-5
    )


def test_a_table_without_inputs_is_refused():
    with pytest.raises(UserError, match="there is no usable input column"):
        task_for(data("y", train={"same": (number, [1.0, 1.0]), "y": (labels("a", "b"), [0, 1])}))


def test_an_input_class_is_known_by_its_name():
    train: Columns = {"town": (labels("Bonn", "Köln"), [0, 1]), "y": (labels("a", "b"), [0, 1])}
    other: Columns = {"town": (labels("Köln", "Bonn"), [0, 1]), "y": (labels("a", "b"), [0, 1])}
    task = task_for(data("y", train=train))
    assert torch.equal(task.encode(rows(other))["inputs"], task.encode(rows(train))["inputs"].flip(0))


def test_an_input_class_never_seen_is_all_zeros():
    train: Columns = {"town": (labels("Bonn", "Köln"), [0, 1]), "y": (labels("a", "b"), [0, 1])}
    other: Columns = {"town": (labels("Bonn", "Köln", "Ulm"), [2, 1]), "y": (labels("a", "b"), [0, 1])}
    assert task_for(data("y", train=train)).encode(rows(other))["inputs"].tolist() == [[0, 0], [0, 1]]


# Inputs: pictures


def test_pictures_are_standardised_by_the_training_split():
    dataset = digits(50, 50)
    task = task_for(dataset)
    encoded = task.encode(dataset["train"])
    assert encoded["inputs"].dtype == torch.uint8 and encoded["inputs"].shape == (50, 8, 8, 1)
    found, targets = task.prepare(encoded, training=True)
    assert found.shape == (50, 1, 8, 8) and found.is_contiguous(memory_format=torch.channels_last)
    assert abs(float(found.mean())) < 1e-4 and float(found.std(correction=0)) == pytest.approx(1, abs=1e-4)
    assert targets is encoded["targets"]
    pixels = dataset["train"]["image"].values
    found = task.prepare(task.encode(dataset["test"]), training=False)[0]
    wanted = (dataset["test"]["image"].values[..., 0] - pixels.mean()) / pixels.std()
    np.testing.assert_allclose(found[:, 0], wanted, atol=1e-5)


def test_preparing_leaves_the_pictures_alone():
    task = task_for(digits(10, 10))
    encoded = task.encode(digits(10, 10)["train"])
    before = encoded["inputs"].clone()
    task.prepare(encoded, training=True)
    assert torch.equal(encoded["inputs"], before)


def test_channels_are_standardised_one_by_one():
    pictures = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 3)).astype(np.uint8) // np.array(
        [1, 2, 8], np.uint8
    )
    columns: Columns = {"p": (Image(channels=3), pictures), "y": (labels("a", "b"), np.arange(20) % 2)}
    task = task_for(data("y", train=columns))
    found = task.prepare(task.encode(rows(columns)), training=False)[0]
    np.testing.assert_allclose(found.mean(dim=(0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(found.std(dim=(0, 2, 3), correction=0), 1, atol=1e-5)
    unit = task_for(data("y", train=columns), normalize="unit")
    found = unit.prepare(unit.encode(rows(columns)), training=False)[0]
    np.testing.assert_allclose(found, pictures.transpose(0, 3, 1, 2) / 255, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "sizes", "side"),
    [
        ({}, None, 8),
        ({"image_size": 12}, None, 12),
        ({}, (28, 32), 28),
        ({"image_size": 32}, (28, 32), 32),
        ({}, (6, 8), 8),
    ],
)
def test_the_side_of_the_pictures(options, sizes, side):
    dataset = digits(10, 10)
    task = task_for(dataset, sizes=sizes, **options)
    assert task.encode(dataset["train"])["inputs"].shape == (10, side, side, 1)
    assert task.encode(dataset["test"])["inputs"].shape == (10, side, side, 1)
    assert task.model_options() == {"in_channels": 1, "image_size": side, "in_features": side * side, "num_classes": 10}
    assert any("brought to" in note for note in task.notes) == (side != 8)


def test_small_pictures_are_brought_to_what_the_model_needs():
    dataset, name = digits(10, 10), "image-classification"
    task = create_task(TaskSettings(name=name), dataset, smallest=18)
    assert task.encode(dataset["train"])["inputs"].shape == (10, 18, 18, 1)
    assert task.notes[0] == "pictures: 8x8, brought to 18x18 (stretch)"
    asked = create_task(TaskSettings(name=name, options={"image_size": 12}), dataset, smallest=18)
    assert asked.encode(dataset["train"])["inputs"].shape == (
        10,
        12,
        12,
        1,
    )  # what is asked for stays; the model refuses


def test_large_pictures_are_brought_to_64():
    columns: Columns = {"p": (Image(channels=1), np.zeros((2, 90, 80, 1), np.uint8)), "y": (labels("a", "b"), [0, 1])}
    task = task_for(data("y", train=columns))
    assert task.encode(rows(columns))["inputs"].shape == (2, 64, 64, 1)
    assert task.notes[0] == "pictures: 80x90, brought to 64x64 (stretch)"


def test_one_column_of_pictures_is_needed():
    picture = (Image(channels=1), np.zeros((2, 8, 8, 1), np.uint8))
    answer = (labels("a", "b"), [0, 1])
    with pytest.raises(UserError, match="exactly one column of pictures; it has 2: p, q"):
        task_for(data("y", train={"p": picture, "q": picture, "y": answer}))
    with pytest.raises(UserError, match="exactly one column of pictures; it has none"):
        task_for(data("y", train={"x": (number, [1.0, 2.0]), "y": answer}), "image-classification")


# Only the training split


def poisoned(dataset: Dataset) -> Dataset:
    """The same training rows, with validation and test rows that would change every statistic."""
    wild = {}
    for name, column in dataset["train"].columns.items():
        values = np.asarray(column.values)
        changed = (
            255 - values
            if isinstance(column.type, Image)
            else values * 1000 + 7
            if isinstance(column.type, Number)
            else values
        )
        wild[name] = Column(column.type, changed)
    split = Split(wild, dataset["train"].origins)
    return dataset.with_splits({"train": dataset["train"], "validation": split, "test": split})


@every_set
def test_other_rows_change_nothing(dataset):
    alone = dataset.with_splits({"train": dataset["train"]})
    one, other = task_for(alone), task_for(poisoned(dataset))
    assert one.state() == other.state() and one.notes == other.notes
    for name, tensor in one.encode(dataset["train"]).items():
        assert torch.equal(tensor, other.encode(dataset["train"])[name])


@every_set
def test_training_rows_do_change_it(dataset):
    one, other = task_for(dataset), task_for(dataset.with_splits({"train": poisoned(dataset)["test"]}))
    assert one.state() != other.state()


# Keeping a task


@every_set
def test_a_task_comes_back_from_its_state(dataset):
    task = task_for(dataset)
    outputs = model_for(task, "mlp")(task.prepare(task.encode(dataset["train"]), training=False)[0]).detach()
    state = json.loads(json.dumps(save_state(task), allow_nan=False))
    other = load_task(TaskSettings(name=task.name), state)
    other.to_device(CPU)
    first, second = task.encode(dataset["train"]), other.encode(dataset["train"])
    assert first.keys() == second.keys()
    for name in first:
        assert first[name].dtype == second[name].dtype and torch.equal(first[name], second[name])
    one, two = (t.prepare(first, training=False)[0] for t in (task, other))
    assert torch.equal(one, two)
    assert [a.to_json() for a in task.decode(outputs)] == [a.to_json() for a in other.decode(outputs)]
    assert task.assess(outputs, first["targets"]).metrics == other.assess(outputs, first["targets"]).metrics
    assert other.state() == task.state() and other.model_options() == task.model_options()
    assert "targets" not in other.encode(dataset["train"], with_target=False)


# Targets


def test_a_number_is_standardised_and_decoded_back():
    dataset = diabetes()
    task = task_for(dataset)
    truth = dataset["train"]["progress"].values
    targets = task.encode(dataset["train"])["targets"]
    assert targets.shape == (442, 1) and targets.dtype == torch.float32
    np.testing.assert_allclose(targets[:, 0], (truth - truth.mean()) / truth.std(), atol=1e-5)
    np.testing.assert_allclose([answer.value for answer in task.decode(targets)], truth, rtol=1e-5)
    found = task.assess(targets + 0.1, targets)
    np.testing.assert_allclose(found.targets[:, 0], truth, rtol=1e-5)
    assert found.metrics["mae"] == pytest.approx(0.1 * truth.std(), rel=1e-4)  # in units of the target
    assert found.metrics["loss"] == pytest.approx(0.01, rel=1e-4)  # in those that are learnt
    assert task.decode(targets)[0].to_json()["prediction"] == pytest.approx(151.0, rel=1e-5)


def test_a_number_as_it_is_where_asked():
    dataset = diabetes()
    task = task_for(dataset, standardize_target=False)
    np.testing.assert_array_equal(task.encode(dataset["train"])["targets"][:, 0], dataset["train"]["progress"].values)


def test_several_numbers_are_told_by_name():
    dataset = two_numbers()
    task = task_for(dataset)
    targets = task.encode(dataset["train"])["targets"]
    answer = task.decode(targets)[3].to_json()
    truth = {name: float(dataset["train"][name].values[3]) for name in ("s5", "s6")}
    assert answer["prediction"] == pytest.approx(truth["s5"], rel=1e-4)
    assert answer["alternatives"] == pytest.approx(truth, rel=1e-4)
    assert task.model_options() == {"in_features": 8, "num_classes": 2}  # the targets are no inputs


@pytest.mark.parametrize(
    ("name", "loss"), [("mse", 0.5 * (0.5**2 + 3**2)), ("mae", 1.75), ("huber", 0.5 * (0.125 + 2.5))]
)
def test_the_losses_of_numbers(name, loss):
    task = task_for(diabetes(), loss=name)
    outputs, targets = torch.tensor([[0.5], [3.0]]), torch.zeros(2, 1)
    assert task.loss(outputs, targets, training=True).item() == pytest.approx(loss)


@pytest.mark.parametrize("standardize", [True, False])
def test_percentages_are_of_the_targets_own_units(standardize):
    dataset = two_numbers()
    task = task_for(dataset, loss="mape", standardize_target=standardize)
    truth = np.stack([dataset["train"][name].values for name in ("s5", "s6")], axis=1)
    predicted = truth * np.random.default_rng(0).uniform(0.5, 1.5, truth.shape)
    targets, outputs = task.encode(dataset["train"])["targets"], task.target.outputs_of(predicted).float()
    wanted = 100 * oracle.mean_absolute_percentage_error(truth, predicted)
    assert task.loss(outputs, targets, training=True).item() == pytest.approx(wanted, rel=1e-4)
    assert task.assess(outputs, targets).metrics["loss"] == pytest.approx(wanted, rel=1e-4)


def test_percentages_of_members_with_their_own_means():
    """A fleet gives each member its own mean and deviation: so the loss has to read them from the task's tensors."""
    tasks = [task_for(two_numbers(), loss="mape", standardize_target=flag) for flag in (True, False)]
    outputs, targets = torch.randn(2, 5, 2), torch.rand(2, 5, 2) + 1
    tensors = {name: torch.stack([task.tensors()[name] for task in tasks]) for name in tasks[0].tensors()}

    def one(outputs, targets, tensors):
        return tasks[0].with_tensors(tensors).loss(outputs, targets, training=True)

    found = torch.vmap(one)(outputs, targets, tensors)
    wanted = [task.loss(a, y, training=True) for task, a, y in zip(tasks, outputs, targets, strict=True)]
    assert torch.allclose(found, torch.stack(wanted))


def test_percentages_need_targets_other_than_zero():
    columns: Columns = {"x": (number, [1.0, 2.0, 3.0]), "y": (number, [4.0, 0.0, 5.0])}
    task_for(data("y", train=columns))
    with pytest.raises(UserError, match=r"target 'y' is 0 in row 2 of made.csv: mape divides by it; use mse"):
        task_for(data("y", train=columns), loss="mape")


def test_whole_number_classes_are_numbers_for_regression():
    columns: Columns = {"x": (number, [1.0, 2.0, 3.0]), "y": (labels("10", "20", "60"), [2, 0, 1])}
    task = task_for(data("y", train=columns), "tabular-regression", standardize_target=False)
    assert task.encode(rows(columns))["targets"].tolist() == [[60], [10], [20]]


def test_classes_in_another_order_mean_the_same():
    train: Columns = {"x": (number, [1.0, 2.0]), "y": (labels("cat", "dog"), [0, 1])}
    other: Columns = {"x": (number, [1.0, 2.0]), "y": (labels("dog", "cat"), [0, 1])}
    task = task_for(data("y", train=train))
    assert task.encode(rows(other))["targets"].tolist() == [1, 0]


def test_a_class_never_seen_in_training_is_told():
    train: Columns = {"x": (number, [1.0, 2.0]), "y": (labels("cat", "dog"), [0, 1])}
    other: Columns = {"x": (number, [1.0, 2.0]), "y": (labels("cat", "dog", "eel"), [0, 2])}
    with pytest.raises(
        UserError, match=r"target 'y' is the class 'eel', which training does not know in row 2 of made.csv"
    ):
        task_for(data("y", train=train)).encode(rows(other))


def test_a_class_without_training_rows_is_told():
    columns: Columns = {"x": (number, [1.0, 2.0]), "y": (labels("cat", "dog", "eel"), [0, 1])}
    assert "no training row of class eel: the model cannot learn it" in task_for(data("y", train=columns)).notes


def test_answers_of_classes():
    task = class_task(4)
    answer = task.decode(torch.tensor([[0.0, np.log(6.0), np.log(2.0), 0.0]]))[0]
    assert answer.value == 1 and answer.type == labels("class 0", "class 1", "class 2", "class 3")
    assert answer.certainty == pytest.approx(0.6) and answer.alternatives["class 2"] == pytest.approx(0.2)
    assert len(answer.alternatives) == 2 and "class 1" not in answer.alternatives
    assert answer.to_json()["prediction"] == "class 1" and answer.to_text() == "class 1  (60.0%)"


def test_answers_of_labels():
    task = task_for(many_labels())
    answer = task.decode(torch.tensor([[2.0, -2.0, 0.5]]))[0]
    assert answer.value.tolist() == [True, False, True]
    assert answer.to_json()["prediction"] == ["u", "w"] and answer.certainty is None
    assert answer.alternatives == pytest.approx({"u": 0.880797, "v": 0.119203, "w": 0.622459}, abs=1e-6)


def test_an_answer_without_certainty():
    assert Answer(2.5, number).to_json() == {"prediction": 2.5} and Answer(2.5, number).to_text() == "2.5"


def test_what_chooses_the_best():
    assert task_for(diabetes()).primary == ("mae", "min") and class_task(3).primary == ("accuracy", "max")
    assert class_task(3).monitored("") == ("accuracy", "max") and class_task(3).monitored("loss") == ("loss", "min")
    assert task_for(many_labels()).monitored("label_accuracy") == ("label_accuracy", "max")
    with pytest.raises(UserError, match="unknown metric 'acuracy'; did you mean 'accuracy'"):
        class_task(3).monitored("acuracy")


# Which task


X: Columns = {"x": (number, [1.0, 2.0])}
PICTURE: Columns = {"p": (Image(channels=1), np.zeros((2, 8, 8, 1), np.uint8))}
CLASS: Columns = {"y": (labels("a", "b"), [0, 1])}
NUMBER: Columns = {"y": (number, [1.0, 2.0])}


@pytest.mark.parametrize(
    ("columns", "target", "task"),
    [
        (PICTURE | CLASS, "y", "image-classification"),
        (X | CLASS, "y", "tabular-classification"),
        (X | {"y": (flags, np.eye(2, 3, dtype=bool))}, "y", "tabular-classification"),
        (X | NUMBER, "y", "tabular-regression"),
        (X | NUMBER | {"z": (number, [3.0, 4.0])}, "y, z", "tabular-regression"),
    ],
)
def test_the_columns_suggest_the_task(columns, target, task):
    assert infer_task(data(target, train=columns)) == task


@pytest.mark.parametrize(
    ("columns", "target", "message"),
    [
        (X | CLASS, None, "made: which column is to be learnt? Name it with --target; columns: x, y"),
        (PICTURE | NUMBER, "y", "made: no task learns number from pictures yet; tasks: image-classification"),
        (X | CLASS, "z", "made: no task learns an unknown column from a table yet"),
    ],
)
def test_columns_that_suggest_none(columns, target, message):
    with pytest.raises(UserError) as told:
        infer_task(data(target, train=columns))
    assert str(told.value).startswith(message)


@pytest.mark.parametrize(
    ("name", "columns", "options", "message"),
    [
        (
            "tabular-clasification",
            X | CLASS,
            {},
            "unknown task 'tabular-clasification'; did you mean 'tabular-classification'?",
        ),
        (
            "tabular-classification",
            X | NUMBER,
            {},
            "target 'y' holds numbers, classification needs classes; use --task tabular-regression",
        ),
        (
            "tabular-classification",
            X | {"y": (labels("a"), [0, 0])},
            {},
            "target 'y' has one class only ('a'): there is nothing to tell apart",
        ),
        (
            "tabular-regression",
            X | CLASS,
            {},
            "target 'y' holds classes: regression needs a column of numbers",
        ),
        (
            "tabular-regression",
            X | {"y": (number, [1.0, NAN])},
            {},
            "target 'y' is missing or infinite in row 2 of made.csv",
        ),
        (
            "tabular-regression",
            X | {"y": (number, [2.0, 2.0])},
            {},
            "target 'y' is constant (2): there is nothing to learn",
        ),
        (
            "tabular-classification",
            X | CLASS,
            {"smoothing": 0.1},
            "tabular-classification has no option 'smoothing'; did you mean 'label_smoothing'?",
        ),
        (
            "tabular-classification",
            X | CLASS,
            {"label_smoothing": 1.0},
            "label_smoothing: expected 0 to below 1, received 1.0",
        ),
        (
            "tabular-classification",
            X | CLASS,
            {"class_weights": "even"},
            "task.options.class_weights: expected one of none, balanced, received 'even'",
        ),
        (
            "tabular-regression",
            X | NUMBER,
            {"loss": "mse2"},
            "task.options.loss: expected one of mse, mae, huber, mape, received 'mse2'; did you mean 'mse'?",
        ),
        (
            "image-classification",
            PICTURE | CLASS,
            {"image_size": 2},
            "image_size: expected 4 to 4096 pixels, received 2",
        ),
        (
            "image-classification",
            PICTURE | CLASS,
            {"fit": "zoom"},
            "task.options.fit: expected one of stretch, crop, pad, received 'zoom'",
        ),
    ],
)
def test_what_does_not_suit_is_told(name, columns, options, message):
    with pytest.raises(UserError) as told:
        task_for(data("y", train=columns), name, **options)
    assert str(told.value).startswith(message)


def test_a_text_is_no_target():
    split = rows(X)
    split.columns["y"] = Column(Text(), ["one", "two"])
    dataset = Dataset("made", "made.csv", {"train": split}, target="y")
    with pytest.raises(UserError, match="target 'y' holds text: regression needs a column of numbers"):
        task_for(dataset, "tabular-regression")
    with pytest.raises(UserError, match="target 'y' holds text, classification needs classes"):
        task_for(dataset, "tabular-classification")


def test_a_target_that_is_missing_or_not_named_is_told():
    with pytest.raises(UserError, match=r"made: which column is to be learnt\?.*columns: x, y"):
        task_for(data(None, train=X | CLASS), "tabular-classification")
    with pytest.raises(UserError, match="there is no column 'yy'; did you mean 'y'"):
        task_for(data("yy", train=X | CLASS), "tabular-classification")


def test_a_size_that_the_model_does_not_take_is_told():
    with pytest.raises(UserError, match="the model takes pictures of 28x28 or 32x32, received 30"):
        task_for(data("y", train=PICTURE | CLASS), sizes=(28, 32), image_size=30)


def test_labels_are_no_numbers():
    dataset = data("y", train=X | {"y": (flags, np.eye(2, 3, dtype=bool))})
    with pytest.raises(UserError, match="target 'y' holds sets of labels"):
        task_for(dataset, "tabular-regression")


def test_the_constant_one_of_several_targets_is_named():
    columns = {"x": (number, [1.0, 2.0]), "a": (number, [5.0, 6.0]), "b": (number, [7.0, 7.0])}
    with pytest.raises(UserError, match=r"'b'.*constant \(7\)"):
        task_for(data("a,b", train=columns), "tabular-regression")


@pytest.mark.parametrize("classes", [("a", "b"), ("b", "a")])
def test_a_missing_class_is_told_and_not_learnt(classes):
    train = X | CLASS
    other: Columns = {"x": (number, [1.0, 2.0]), "y": (labels(*classes), [0, -1])}
    with pytest.raises(UserError):
        task_for(data("y", train=train)).encode(rows(other))


def test_a_missing_class_in_training_is_told():
    with contextlib.suppress(UserError):  # to leave such rows out would do as well
        task_for(data("y", train={"x": (number, [1.0, 2.0, 3.0]), "y": (labels("a", "b"), [0, 1, -1])}))


# Baselines


def test_the_majority_is_exact_and_logistic_regression_beats_it():
    dataset = digits()
    task = task_for(dataset)
    train, test = task.encode(dataset["train"]), task.encode(dataset["test"])
    found = task.baselines(train, test)
    assert list(found) == ["majority class", "logistic regression"]
    majority = int(np.bincount(dataset["train"]["digit"].values).argmax())
    truth = dataset["test"]["digit"].values
    assert found["majority class"]["accuracy"] == pytest.approx((truth == majority).mean())
    shares = np.bincount(dataset["train"]["digit"].values) / 400
    assert found["majority class"]["loss"] == pytest.approx(-np.log(shares[truth]).mean(), rel=1e-5)
    assert found["logistic regression"]["accuracy"] > found["majority class"]["accuracy"] + 0.6
    assert found["logistic regression"].keys() == found["majority class"].keys()


def test_the_baselines_of_numbers():
    dataset = diabetes()
    task = task_for(dataset)
    train, test = dataset["train"].take(np.arange(300)), dataset["train"].take(np.arange(300, 442))
    found = task.baselines(task.encode(train), task.encode(test))
    assert list(found) == ["mean", "ridge regression"]
    errors = np.abs(test["progress"].values - train["progress"].values.mean())
    assert found["mean"]["mae"] == pytest.approx(errors.mean(), rel=1e-5)
    assert found["ridge regression"]["mae"] < 0.8 * found["mean"]["mae"]
    assert found["mean"]["r2"] <= 0 < found["ridge regression"]["r2"]


def test_the_baselines_of_labels():
    dataset = many_labels()
    task = task_for(dataset)
    train, test = dataset["train"].take(np.arange(40)), dataset["train"].take(np.arange(40, 60))
    found = task.baselines(task.encode(train), task.encode(test))
    assert list(found) == ["majority of each label", "logistic regression"]
    majority = train["which"].values.mean(axis=0) > 0.5
    wanted = (test["which"].values == majority).mean()
    assert found["majority of each label"]["label_accuracy"] == pytest.approx(wanted)
    assert found["logistic regression"]["label_accuracy"] > wanted


def test_a_class_that_is_not_in_training_has_a_baseline_all_the_same():
    columns: Columns = {"x": (number, np.arange(6.0)), "y": (labels("a", "b", "c"), [0, 0, 0, 2, 2, 2])}
    task = task_for(data("y", train=columns))
    encoded = task.encode(rows(columns))
    found = task.baselines(encoded, {**encoded, "targets": torch.tensor([0, 0, 0, 1, 1, 1])})
    assert found["logistic regression"]["accuracy"] == 0.5 and np.isfinite(found["logistic regression"]["loss"])


def test_training_rows_of_one_class_have_a_baseline_all_the_same():
    columns: Columns = {"x": (number, np.arange(6.0)), "y": (labels("a", "b"), [0] * 6)}
    task = task_for(data("y", train=columns))
    encoded = task.encode(rows(columns))
    assert "majority class" in task.baselines(encoded, encoded)


def test_a_linear_baseline_of_many_rows_says_how_many_it_saw(monkeypatch):
    from gradus.tasks import baselines

    monkeypatch.setattr(baselines, "LARGEST_FIT", 50)
    dataset = diabetes()
    task = task_for(dataset)
    encoded = task.encode(dataset["train"])
    assert list(task.baselines(encoded, encoded)) == ["mean", "ridge regression on 50 rows"]


def test_options_reach_the_loss():
    plain, smooth = task_for(digits(20, 20)), task_for(digits(20, 20), label_smoothing=0.5)
    outputs, targets = torch.randn(5, 10), torch.arange(5)
    assert plain.loss(outputs, targets, training=True) != smooth.loss(outputs, targets, training=True)
    assert plain.loss(outputs, targets, training=False) == smooth.loss(outputs, targets, training=False)


def test_a_data_set_for_labels_is_not_taken_for_one_of_classes():
    dataset = replace(many_labels(), target="which")
    assert task_for(dataset).model_options() == {"in_features": 4, "num_classes": 3}

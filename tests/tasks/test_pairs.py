"""Pairs of texts: parameters as printed, likeness that does not depend on the order, stories that are answered."""

from __future__ import annotations

import inspect
import json
import os

import numpy as np
import pytest
import torch

from gradus.data import load_data
from gradus.data.columns import Column, Label, Number, Text
from gradus.data.dataset import Dataset, NumberedRows, Split
from gradus.errors import UserError
from gradus.models import create_model
from gradus.models.sequence.recurrent import LSTM
from gradus.recipes.execute import fit
from gradus.tasks.settings import TaskSettings
from gradus.tasks.table import create_task, infer_task, load_task, save_state

PLACES = ("garden", "kitchen", "office")


def stories(count: int = 150) -> Dataset:
    """Two people walk about; where one of them is follows from the last sentence that is about her."""
    random = np.random.default_rng(0)
    told, asked, answers = [], [], []
    for _ in range(count):
        steps = [(str(random.choice(["Mary", "John"])), int(random.integers(3))) for _ in range(random.integers(1, 5))]
        told.append(" ".join(f"{who} went to the {PLACES[place]}." for who, place in steps))
        who, _ = steps[random.integers(len(steps))]
        asked.append(f"Where is {who}?")
        answers.append([place for other, place in steps if other == who][-1])
    columns = {
        "story": Column(Text(), told),
        "question": Column(Text(), asked),
        "answer": Column(Label(classes=PLACES), np.array(answers)),
    }
    split = Split(columns, NumberedRows.count("stories", count))
    return Dataset(name="stories", source="stories", splits={"train": split}, target="answer")


def alike(count: int = 60) -> Dataset:
    """How alike two texts are: 1 where they are of one animal, 0 otherwise."""
    random = np.random.default_rng(0)
    words = {0: ["cat", "meow"], 1: ["dog", "bark"]}
    kinds = random.integers(0, 2, (count, 2))
    texts = [[f"the {random.choice(words[int(kind)])} is here" for kind in row] for row in kinds]
    columns = {
        "a": Column(Text(), [row[0] for row in texts]),
        "b": Column(Text(), [row[1] for row in texts]),
        "alike": Column(Number(), (kinds[:, 0] == kinds[:, 1]).astype(float)),
    }
    split = Split(columns, NumberedRows.count("alike", count))
    return Dataset(name="alike", source="alike", splits={"train": split}, target="alike")


def task_of(data: Dataset, **options):
    return create_task(TaskSettings(name=infer_task(data), options=options), data)


def test_the_tasks_are_inferred():
    assert infer_task(stories()) == "text-pair-classification"
    assert infer_task(alike()) == "text-pair-regression"
    columns = {name: column for name, column in alike()["train"].columns.items() if name != "b"}
    one = Dataset(name="x", source="x", splits={"train": Split(columns, alike()["train"].origins)}, target="alike")
    assert infer_task(one) == "text-regression"


def parameters(model: torch.nn.Module) -> int:
    """As Keras counts them: with one bias of each gate."""
    second = sum(p.numel() for name, p in model.named_parameters() if "bias_hh" in name)
    return sum(p.numel() for p in model.parameters()) - second


def test_parameters_as_printed():
    """Deep Learning with Python: listing 7-1 has 1 000 052, the Siamese LSTM of §7.1.5 20 673."""
    assert parameters(create_model("two_input_lstm", num_tokens=10_000, num_classes=500)) == 1_000_052
    siamese = create_model("siamese_lstm", in_features=128, num_classes=1, head="concatenate")
    assert parameters(siamese) == 20_673


@pytest.mark.parametrize("name", ["two_input_lstm", "siamese_lstm", "memory_network"])
def test_padding_changes_no_logit(name):
    torch.manual_seed(0)
    model = create_model(
        name, num_tokens=20, num_classes=3, **({"separator": 5} if name == "memory_network" else {})
    ).eval()
    first, second = torch.randint(1, 20, (3, 8)), torch.randint(1, 20, (3, 4))
    alone = model((first, second))
    for pads in ((0, 7), (7, 0)):
        padded = model(tuple(torch.nn.functional.pad(ids, pads) for ids in (first, second)))
        torch.testing.assert_close(padded, alone, atol=1e-6, rtol=0)
    torch.testing.assert_close(model((first[:1], second[:1])), alone[:1], atol=1e-6, rtol=0)


@pytest.mark.parametrize(("head", "symmetric"), [("symmetric", True), ("manhattan", True), ("concatenate", False)])
def test_likeness_does_not_depend_on_the_order(head, symmetric):
    """T-32: the text's head, a concatenation and a dense layer, is not symmetric though it argues that likeness is."""
    torch.manual_seed(0)
    model = create_model("siamese_lstm", num_tokens=20, head=head).eval()
    pair = torch.randint(1, 20, (4, 6)), torch.randint(1, 20, (4, 6))
    assert torch.allclose(model(pair), model(pair[::-1]), atol=1e-6) is symmetric


def test_both_texts_change_the_one_set_of_weights():
    model = create_model("siamese_lstm", num_tokens=20)
    first, second = torch.randint(1, 20, (4, 6)), torch.randint(1, 20, (4, 6))
    model((first, second)).sum().backward()
    both = model.body.forwards[0].weight_hh_l0.grad.clone()
    parts = []
    for frozen in (0, 1):
        model.zero_grad()
        read = [model.read(ids) for ids in (first, second)]
        read[frozen] = read[frozen].detach()
        model.head(torch.cat([(read[0] - read[1]).abs(), read[0] * read[1]], dim=1)).sum().backward()
        parts.append(model.body.forwards[0].weight_hh_l0.grad.clone())
    torch.testing.assert_close(parts[0] + parts[1], both)


def test_a_siamese_model_is_trained_in_one_call():
    """T-31: the text fits a model that was never compiled. Here there is nothing to compile: the task brings the loss."""
    assert "loss" not in inspect.signature(fit).parameters
    task = task_of(alike())
    rows = task.encode(alike()["train"])
    inputs, targets = task.prepare({name: row[:4] for name, row in rows.items()}, training=True)
    outputs = create_model("siamese_lstm", num_tokens=12, num_classes=1)(inputs)
    task.loss(outputs, targets, training=True).backward()


@pytest.mark.parametrize("head", ["symmetric", "manhattan"])
def test_likeness_is_learnt(head, tmp_path):
    torch.manual_seed(0)
    data = alike()
    options = task_of(data).model_options()
    model = create_model(
        "siamese_lstm", num_tokens=options["num_tokens"], num_classes=1, embedding_size=8, hidden_size=8, head=head
    )
    run = fit(model, data, epochs=25, learning_rate=0.03, batch_size=8, out=tmp_path / "run")
    assert run.evaluate("test")["mae"] < 0.2


def test_stories_are_answered_and_the_sentence_is_looked_at(tmp_path):
    data = stories(500)
    torch.manual_seed(0)
    names = ("num_tokens", "num_classes", "separator")
    options = task_of(data).model_options()
    model = create_model("memory_network", **{name: options[name] for name in names}, embedding_size=16)
    run = fit(model, data, epochs=20, learning_rate=0.02, batch_size=16, out=tmp_path / "run")
    assert run.evaluate("test")["accuracy"] > 0.97
    story = "Mary went to the garden. John went to the office. Mary went to the kitchen."
    (answer,) = run.predict([{"story": story, "question": "Where is John?"}])
    assert answer["prediction"] == "office"
    rows = {"story": Column(Text(), [story]), "question": Column(Text(), ["Where is John?"])}
    encoded = run.task.encode(Split(rows, ["one"]), with_target=False)
    weights = run.model.attention((encoded["inputs"][:], encoded["others"][:]))[0, -1].detach()
    assert float(weights.sum()) == pytest.approx(1, abs=1e-5)
    assert weights.reshape(3, 6).sum(dim=1).argmax() == 1


def test_a_story_without_words_has_an_answer():
    model = create_model("memory_network", num_tokens=9, num_classes=3, separator=5)
    empty = torch.zeros(2, 1, dtype=torch.int64)
    assert torch.isfinite(model((empty, empty))).all() and (model.attention((empty, empty)) == 0).all()


def test_a_task_comes_back_from_its_state():
    data = stories(20)
    task = task_of(data)
    again = load_task(TaskSettings(name=task.name), json.loads(json.dumps(save_state(task))))
    first, second = task.encode(data["train"]), again.encode(data["train"])
    assert all(torch.equal(first[name][:], second[name][:]) for name in first)
    assert again.model_options() == task.model_options()


def test_the_linear_baseline_sees_both_texts():
    data = stories(60)
    task = task_of(data)
    rows = task.encode(data["train"])
    features = task.inputs.features_at(rows, np.arange(60))
    alone = task.inputs.features(rows["inputs"]).shape[1]
    assert features.shape == (60, 2 * alone + task.inputs.encoder.size)
    (linear,) = (found for name, found in task.baselines(rows, rows).items() if name.startswith("logistic"))
    assert linear["accuracy"] > 0.5


@pytest.mark.parametrize(
    ("columns", "message"), [(("story",), "it has 1: story"), (("story", "question", "more"), "it has 3")]
)
def test_two_columns_of_text_are_asked_for(columns, message):
    data = stories(20)
    made = dict(data["train"].columns) | {"more": data["train"]["story"]}
    split = Split({name: made[name] for name in (*columns, "answer")}, data["train"].origins)
    with pytest.raises(UserError, match=message):
        create_task(TaskSettings(name="text-pair-classification"), data.with_splits({"train": split}))


def test_a_model_of_one_text_is_told_the_shapes(tmp_path):
    model = LSTM(num_tokens=30, num_classes=3)
    with pytest.raises(UserError, match=r"does not take inputs of shape \(2, \d+\) and \(2, \d+\)"):
        fit(model, stories(20), epochs=1, out=tmp_path / "run")


@pytest.mark.skipif(not os.environ.get("GRADUS_DATA"), reason="GRADUS_DATA is not set: babi_qa1 is not here")
def test_babi_is_a_task_on_pairs():
    assert infer_task(load_data("babi_qa1")) == "text-pair-classification"

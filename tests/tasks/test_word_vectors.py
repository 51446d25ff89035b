"""Word vectors: what a step sees, that its losses and gradients are those of the formulas, and that meaning is learnt."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gradus.data.columns import Column, Label, Text
from gradus.data.dataset import Dataset, NumberedRows, Split
from gradus.data.load import DataSettings
from gradus.data.text.meaning import similarity
from gradus.data.text.stretches import cooccurrences, keep_chances, kept_words, lay_out
from gradus.errors import UserError
from gradus.models import ModelSettings, create_model
from gradus.recipes.execute import create_trainer, resume, train_recipe
from gradus.recipes.experiment import prepare
from gradus.recipes.recipe import Recipe
from gradus.recipes.vectors import load_word_vectors
from gradus.reference import hierarchical_softmax as tree_reference
from gradus.reference import word_losses as reference
from gradus.tasks.settings import TaskSettings
from gradus.tasks.table import create_task
from gradus.train.settings import OptimizerSettings, TrainSettings


def corpus(count: int = 300) -> Dataset:
    """Two animals that eat and sleep, two carts that roll and carry: words of a kind stand beside the same words."""
    random = np.random.default_rng(0)
    kinds = [(("cat", "dog"), ("eats", "sleeps", "purrs")), (("cart", "wagon"), ("rolls", "carries", "stops"))]
    texts = []
    for _ in range(count):
        things, actions = kinds[random.integers(2)]
        texts.append(" ".join(f"{random.choice(things)} {random.choice(actions)}" for _ in range(4)))
    columns = {"text": Column(Text(), texts), "label": Column(Label(classes=("a", "b")), np.arange(count) % 2)}
    split = Split(columns, NumberedRows.count("texts", count))
    return Dataset(name="things", source="things", splits={"train": split}, target="label")


def made(**options):
    task = create_task(TaskSettings(name="word-vectors", options={"subsample": 0.0, **options}), corpus())
    rows = task.encode(corpus()["train"])
    task.to_device(torch.device("cpu"))
    return task, {name: part[:5] for name, part in rows.items()}


def filled(name: str, **options) -> torch.nn.Module:
    torch.manual_seed(1)
    model = create_model(name, **options).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return model


def pairs_of(given, middle) -> tuple[list[int], list[int], list[int], list[tuple[int, int]]]:
    """(row, word read, word foretold, (middle, place)) of each pair that is chosen."""
    found = [(b, int(given.ids[b, t]), int(middle[b, m]), (m, t)) for b, m, t in given.chosen.nonzero().tolist()]
    rows, read, foretold, places = zip(*found, strict=True)
    return list(rows), list(read), list(foretold), list(places)


def test_negative_sampling_of_skip_gram_is_that_of_the_reference():
    task, batch = made(form="skip-gram", window=2, length=4, noise_words=3, negatives=3)
    given, targets = task.prepare(batch, training=True)
    model = filled("skip_gram", num_tokens=task.encoder.size, embedding_size=6)
    loss = task.loss(model(given), targets.double(), training=True)
    loss.backward()
    rows, read, foretold, _ = pairs_of(given, batch["targets"])
    vectors, output = model.embedding.weight.detach().numpy(), model.output.weight.detach().numpy()
    arguments = vectors[read], output, np.array(foretold), given.noise.numpy()[rows]
    assert loss.item() == pytest.approx(reference.negative_sampling(*arguments), rel=1e-12)
    by_hidden, by_output = reference.negative_sampling_backward(*arguments)
    by_vectors = np.zeros_like(vectors)
    np.add.at(by_vectors, read, by_hidden)
    assert np.allclose(model.embedding.weight.grad.numpy(), by_vectors, atol=1e-12)
    assert np.allclose(model.output.weight.grad.numpy(), by_output, atol=1e-12)


def test_negative_sampling_of_cbow_is_that_of_the_reference():
    task, batch = made(form="cbow", window=2, length=4, noise_words=3, negatives=3)
    given, targets = task.prepare(batch, training=True)
    model = filled("cbow", num_tokens=task.encoder.size, embedding_size=6)
    loss = task.loss(model(given), targets.double(), training=True)
    loss.backward()
    vectors, output = model.embedding.weight.detach().numpy(), model.output.weight.detach().numpy()
    asked = (given.chosen.sum(dim=2) > 0).nonzero().tolist()
    windows = [given.ids[b][given.chosen[b, m] > 0].numpy() for b, m in asked]
    hidden = np.stack([vectors[window].mean(axis=0) for window in windows])
    targets_of = np.array([int(batch["targets"][b, m]) for b, m in asked])
    arguments = hidden, output, targets_of, given.noise.numpy()[[b for b, _ in asked]]
    assert loss.item() == pytest.approx(reference.negative_sampling(*arguments), rel=1e-12)
    by_hidden, by_output = reference.negative_sampling_backward(*arguments)
    by_vectors = np.zeros_like(vectors)
    for window, slope in zip(windows, by_hidden, strict=True):
        np.add.at(by_vectors, window, slope / len(window))
    assert np.allclose(model.embedding.weight.grad.numpy(), by_vectors, atol=1e-12)
    assert np.allclose(model.output.weight.grad.numpy(), by_output, atol=1e-12)


@pytest.mark.parametrize("name", ["skip_gram", "cbow"])
def test_the_hierarchical_softmax_is_that_of_the_reference(name):
    form = name.replace("_", "-")
    task, batch = made(form=form, window=2, length=4, output="hierarchical-softmax")
    given, targets = task.prepare(batch, training=True)
    model = filled(name, num_tokens=task.encoder.size, embedding_size=6)
    loss = task.loss(model(given), targets.double(), training=True)
    loss.backward()
    vectors, output = model.embedding.weight.detach().numpy(), model.output.weight.detach().numpy()
    if name == "skip_gram":
        _, read, foretold, _ = pairs_of(given, batch["targets"])
        hidden, words = vectors[read], np.array(foretold)
    else:
        asked = (given.chosen.sum(dim=2) > 0).nonzero().tolist()
        hidden = np.stack([vectors[given.ids[b][given.chosen[b, m] > 0].numpy()].mean(axis=0) for b, m in asked])
        words = np.array([int(batch["targets"][b, m]) for b, m in asked])
    nodes, turns = tree_reference.huffman_paths(task.counts_of.numpy())
    arguments = hidden, output[:-1], words, nodes, turns
    assert loss.item() == pytest.approx(tree_reference.hierarchical_softmax(*arguments), rel=1e-12)
    _, by_nodes = tree_reference.hierarchical_softmax_backward(*arguments)
    assert np.allclose(model.output.weight.grad.numpy()[:-1], by_nodes, atol=1e-12)


def test_glove_is_that_of_the_reference():
    task, _ = made(form="glove", window=3, largest_count=20.0)
    rows = task.encode(corpus()["train"])
    model = filled("glove", num_tokens=task.encoder.size, embedding_size=6)
    pairs, counts = task.prepare(rows, training=True)
    loss = task.loss(model(pairs), counts.double(), training=True)
    (loss * len(pairs)).backward()
    whole = np.zeros((task.encoder.size,) * 2)
    whole[pairs[:, 0], pairs[:, 1]] = counts
    tables = [model.embedding, model.output, *model.biases]
    words, contexts, bias, other = (table.weight.detach().numpy() for table in tables)
    arguments = words, contexts, bias[:, 0], other[:, 0], whole, 20.0
    assert loss.item() * len(pairs) == pytest.approx(reference.glove(*arguments), rel=1e-10)
    for table, slope in zip(tables, reference.glove_backward(*arguments), strict=True):
        assert np.allclose(table.weight.grad.numpy().reshape(slope.shape), slope, atol=1e-9)


def test_the_negatives_weigh_as_many_words_as_are_asked_for():
    task, batch = made(form="skip-gram", window=2, length=4, noise_words=8, negatives=5)
    _, targets = task.prepare(batch, training=True)
    weights, pairs = targets[:, :-1], targets[:, -1]
    assert weights.clamp(min=0).sum(dim=1).tolist() == pairs.tolist()
    assert (-weights.clamp(max=0)).sum(dim=1).tolist() == pytest.approx((5 * pairs).tolist())
    nothing = torch.zeros_like(weights)
    assert task.loss(nothing, targets, training=True).item() == pytest.approx(6 * np.log(2))
    assert task.baselines({}, {})["all words alike"]["loss"] == pytest.approx(6 * np.log(2))


def test_windows_end_with_their_text_and_their_side():
    texts = [np.arange(4, 9, dtype=np.int32), np.array([9, 10, 11], dtype=np.int32), np.array([12], dtype=np.int32)]
    flat, begins = lay_out(texts, length=4, gap=2)
    assert flat.tolist() == [0, 0, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 9, 10, 11, 0, 0, 0]
    assert begins.tolist() == [2, 6, 12]
    for side in ("both", "before"):
        task, batch = made(window=2, length=4, dynamic=False, side=side)
        given, _ = task.prepare(batch, training=True)
        for b, m, t in given.chosen.nonzero().tolist():
            offset = t - 2 - m
            assert offset in ((-2, -1, 1, 2) if side == "both" else (-2, -1))
            assert given.ids[b, t] > 0 and given.ids[b, m + 2] == batch["targets"][b, m]
        inside = (given.ids[:, 1:-1] > 0).sum()
        assert given.chosen.sum() > inside  # every word but those at the ends reads two of each side


def test_drawn_windows_weigh_near_words_more_and_evaluation_draws_nothing():
    task, batch = made(window=5, length=8)
    torch.manual_seed(0)
    chosen = sum(task.prepare(batch, training=True)[0].chosen for _ in range(300))
    at = {offset: float(chosen.diagonal(5 + offset, 1, 2).sum()) for offset in (1, 3, 5)}
    assert at[1] > 1.3 * at[3] > 1.3 * 1.5 * at[5]
    first, again = (task.prepare(batch, training=False) for _ in range(2))
    assert (first[0].noise == again[0].noise).all() and (first[1] == again[1]).all()


def test_frequent_words_are_left_out_and_unknown_ones_passed_over():
    counts = np.array([0, 0, 900, 90, 10])
    chances = keep_chances(counts, 0.01)
    assert chances[2:].tolist() == pytest.approx([np.sqrt(0.01 / 0.9) + 0.01 / 0.9, np.sqrt(0.01 / 0.09) + 1 / 9, 1.0])
    kept = kept_words([np.repeat([2, 4], 5000)], chances)[0]
    assert (kept == 4).sum() == 5000 and (kept == 2).sum() == pytest.approx(5000 * chances[2], rel=0.1)
    task = create_task(TaskSettings(name="word-vectors", options={"vocabulary": 8, "subsample": 0.0}), corpus())
    rows = task.encode(corpus()["train"])
    assert set(rows["inputs"].values.tolist()) <= {0, 4, 5, 6, 7}


def test_meetings_are_those_of_a_plain_loop():
    flat, _ = lay_out([np.array([4, 5, 4, 6]), np.array([6, 5])], length=3, gap=3)
    expected = np.zeros((7, 7))
    for text in ([4, 5, 4, 6], [6, 5]):
        for one in range(len(text)):
            for other in range(len(text)):
                if 0 < abs(one - other) <= 2:
                    expected[text[one], text[other]] += 1 / abs(one - other)
    pairs, counts = cooccurrences(flat, 2, 7)
    found = np.zeros((7, 7))
    found[pairs[:, 0], pairs[:, 1]] = counts
    assert found == pytest.approx(expected)
    assert (cooccurrences(flat, 2, 7, both=False)[0][:, 0] != 4).any()


def recipe(name: str, **options) -> Recipe:
    train = TrainSettings(
        epochs=15 if name in ("glove", "window_words") else 6,
        batch_size=16,
        optimizer=OptimizerSettings(name="adagrad", learning_rate=0.03 if name == "window_words" else 0.3),
        checkpoint_seconds=0.0,
    )
    return Recipe(
        data=DataSettings(source="things", validation=0.1, test=0.1),
        task=TaskSettings(name="word-vectors", options={"subsample": 0.0, "window": 2, **options}),
        model=ModelSettings(name=name, options={"embedding_size": 8}),
        train=train,
    )


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("skip_gram", {}),
        ("skip_gram", {"output": "hierarchical-softmax"}),
        ("cbow", {}),
        ("glove", {"dynamic": False}),
        ("window_words", {}),
        ("window_words", {"side": "before"}),
    ],
)
def test_words_of_a_kind_come_to_lie_together(tmp_path, name, options):
    run = train_recipe(recipe(name, **options), tmp_path / "run", dataset=corpus())
    vectors = load_word_vectors(run.path)
    assert similarity(vectors, "cat", "dog") > similarity(vectors, "cat", "cart") + 0.3
    assert similarity(vectors, "rolls", "stops") > similarity(vectors, "rolls", "purrs") + 0.3
    assert run.history[-1]["train_loss"] < run.history[0]["train_loss"]
    assert run.evaluation["metrics"]["loss"] < run.evaluation["baselines"].get("all words alike", {"loss": 1})["loss"]


def test_a_run_that_was_stopped_ends_with_the_same_bits(tmp_path):
    whole = train_recipe(recipe("skip_gram"), tmp_path / "whole", dataset=corpus())

    class Stop(Exception):
        pass

    def stop(record):
        if record["event"] == "epoch" and record["epoch"] == 3:
            raise Stop

    with pytest.raises(Stop):
        train_recipe(recipe("skip_gram"), tmp_path / "run", dataset=corpus(), observers=(stop,))
    again = resume(tmp_path / "run", dataset=corpus())
    assert (again.model.embedding.weight == whole.model.embedding.weight).all()
    assert [row["train_loss"] for row in again.history] == [row["train_loss"] for row in whole.history]
    assert again.evaluate("test") == whole.evaluate("test")


def test_padding_has_no_vector_and_a_report_can_be_written(tmp_path):
    run = train_recipe(recipe("skip_gram"), tmp_path / "run", dataset=corpus())
    assert not run.model.vectors()[0].any()
    assert run.report().read_text().count("skip_gram") > 0


def test_models_that_learn_no_word_vectors_are_refused():
    with pytest.raises(UserError, match="model gru does not learn word vectors: known are skip_gram"):
        prepare(recipe("gru"), corpus())
    with pytest.raises(UserError, match="window: expected 1 or more"):
        prepare(recipe("cbow", window=0), corpus())


def test_a_trainer_of_one_stretch_is_made():
    """A text of two words is enough."""
    split = Split({"text": Column(Text(), ["a b"])}, NumberedRows.count("texts", 1))
    tiny = Dataset(name="tiny", source="tiny", splits={"train": split}, target=None)
    experiment = prepare(
        Recipe(
            data=DataSettings(validation=0, test=0), task=TaskSettings(name="word-vectors", options={"subsample": 0.0})
        ),
        tiny,
    )
    trainer = create_trainer(experiment)
    trainer.fit()
    assert trainer.source.rows == 1


def test_opposites_that_are_used_alike_lie_together(tmp_path):
    """Principles and Practice, fig. 8-25, has opposites far apart: vectors tell how words are used, not what they mean."""
    random = np.random.default_rng(0)
    lines = [("good", "bad"), ("film", "story", "plot")], [("seven", "nine"), ("days", "years", "hours")]
    texts = []
    for _ in range(300):
        first, second = lines[random.integers(2)]
        texts.append(" ".join(f"{random.choice(first)} {random.choice(second)}" for _ in range(4)))
    split = Split({"text": Column(Text(), texts)}, NumberedRows.count("texts", len(texts)))
    data = Dataset(name="texts", source="texts", splits={"train": split}, target="text")
    vectors = load_word_vectors(train_recipe(recipe("skip_gram"), tmp_path / "run", dataset=data).path)
    assert similarity(vectors, "good", "bad") > 0.9
    assert similarity(vectors, "good", "bad") > similarity(vectors, "good", "seven") + 0.3

"""Language modelling: every token is judged once, whatever the rows; losses, baselines and units against other computations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gradus.data.columns import Column, Text
from gradus.data.dataset import Dataset, NumberedRows, Split
from gradus.errors import UserError
from gradus.models import create_model
from gradus.recipes.execute import fit
from gradus.tasks.language_rows import document_rows, running, stream_rows, window_rows
from gradus.tasks.ngrams import ngram_hits, ngram_nats
from gradus.tasks.settings import TaskSettings
from gradus.tasks.table import create_task


def texts(rows: list[str], ordered: bool = True) -> Dataset:
    split = Split({"text": Column(Text(), rows)}, NumberedRows.count("rows", len(rows)))
    return Dataset(name="texts", source="texts", splits={"train": split}, target="text", ordered=ordered)


def task_of(dataset: Dataset, **options):
    return create_task(TaskSettings(name="language-modeling", options={"tokenizer": "character", **options}), dataset)


def counted(rows: dict) -> list[int]:
    """The places in the text of all targets that are counted."""
    found = []
    for start, (first, last) in zip(rows["targets"].starts.tolist(), rows["counted"].tolist(), strict=True):
        found += range(start + first, start + last)
    return found


@pytest.mark.parametrize("count", [2, 5, 8, 9, 10, 17, 100, 101])
@pytest.mark.parametrize("stride", [1, 3, 8])
def test_windows_count_every_token_once(count, stride):
    rows = window_rows(np.arange(4, 4 + count, dtype=np.int32), 8, stride)
    assert sorted(counted(rows)) == list(range(1, count))
    assert bool((rows["inputs"][:][:, 1:] == rows["targets"][:][:, :-1]).all())


@pytest.mark.parametrize("count", [6, 9, 16, 17, 100, 101])
def test_streams_count_every_token_once_and_go_on(count):
    rows = stream_rows(np.arange(4, 4 + count, dtype=np.int32), 4, 5)
    assert sorted(counted(rows)) == list(range(1, count))
    starts = rows["inputs"].starts.view(-1, 5)
    assert bool((starts.diff(dim=0) == 4).all())


def test_the_texts_windows_of_60_every_3():
    rows = window_rows(np.arange(4, 1004, dtype=np.int32), 60, 3)
    assert len(rows["inputs"]) == len(range(0, 1000 - 60, 3))  # as many as the listing cuts
    assert rows["inputs"][1:2].tolist() == [list(range(7, 67))]
    assert int(rows["targets"][1:2][0, -1]) == 67
    assert rows["inputs"].values is not rows["inputs"][:]  # a view: 60 / 3 times fewer numbers


def test_documents_lie_between_begin_and_end_and_long_ones_are_cut():
    rows = document_rows([np.array([7, 8]), np.array([4, 5, 6, 7])], 3)
    assert rows["inputs"][:].tolist() == [[2, 7, 8], [2, 4, 5], [6, 7, 0]]
    assert rows["targets"][:].tolist() == [[7, 8, 3], [4, 5, 6], [7, 3, 0]]
    ids, is_target = running(rows)
    assert ids[is_target].tolist() == [7, 8, 3, 4, 5, 6, 7, 3]


@pytest.mark.parametrize(("streams", "stride"), [(0, 0), (0, 3), (5, 0)])
def test_the_loss_of_a_split_is_the_mean_over_its_tokens(streams, stride, tmp_path):
    """A model that knows the commonest token alone gives the same loss however the text is cut."""
    random = np.random.default_rng(0)
    rows = ["".join(random.choice(list("aaab\n"), 23)) for _ in range(30)]
    model = create_model("recurrent_lm", num_tokens=7, hidden_size=4, layers=1)
    torch.nn.init.zeros_(model.head.weight)
    torch.nn.init.zeros_(model.head.bias)
    run = fit(
        model,
        texts(rows),
        task_options={"tokenizer": "character", "length": 8, "streams": streams, "stride": stride},
        epochs=1,
        learning_rate=1e-12,
        out=tmp_path / "run",
    )
    measured = run.evaluate("test")
    assert measured["loss"] == pytest.approx(math.log(7), abs=1e-5)
    assert measured["perplexity_per_character"] == pytest.approx(7, abs=1e-3)
    assert measured["bits_per_character"] == pytest.approx(math.log2(7), abs=1e-5)
    assert run.history[-1]["validation_loss"] == pytest.approx(math.log(7), abs=1e-5)
    tokens = int(np.isfinite(run.assess("test").nats).sum())
    assert tokens == sum(map(len, run.experiment.dataset["test"]["text"])) - 1


def test_a_word_model_tells_both_units():
    dataset = texts(["one two three\n", "one two\n", "four one two\n"] * 4)
    task = task_of(dataset, tokenizer="whitespace", length=4)
    rows = task.encode(dataset["train"])
    outputs = torch.zeros(len(rows["inputs"]), 4, task.encoder.size)
    kept = task.collected(outputs, {name: part[:] for name, part in rows.items()})
    measured = task.assess(kept, rows["targets"]).metrics
    text = "".join(dataset["train"]["text"])
    nats = math.log(task.encoder.size)
    assert measured["perplexity_per_word"] == pytest.approx(task.encoder.size, rel=1e-5)
    tokens = len(text.split()) + text.count("\n") - 1
    assert measured["nats_per_character"] == pytest.approx(nats * tokens / (len(text) - 1), rel=1e-5)


def test_padding_is_no_token_of_the_loss():
    dataset = texts(["ab", "abababab", "b"], ordered=False)
    task = task_of(dataset)
    assert task.documents
    rows = task.encode(dataset["train"])
    batch = {name: part[:] for name, part in rows.items()}
    torch.manual_seed(0)
    outputs = torch.randn(3, 9, task.encoder.size)
    targets = task.prepare(batch, training=True)[1]
    nats = -outputs.log_softmax(dim=2).gather(2, targets[..., None]).squeeze(2)
    real = torch.cat([nats[0, :3], nats[1, :9], nats[2, :2]])
    assert task.loss(outputs, targets, training=True).item() == pytest.approx(real.mean().item(), abs=1e-6)
    kept = task.collected(outputs, batch)
    assert kept.shape == (3, 64, 2)
    assert task.assess(kept, rows["targets"]).metrics["loss"] == pytest.approx(real.mean().item(), abs=1e-6)


def test_the_training_loss_can_be_the_sum_over_a_row():
    dataset = texts(["abcabcabc\n"] * 8)
    by_token, by_row = task_of(dataset, length=5), task_of(dataset, length=5, loss_over="row")
    outputs = torch.randn(4, 5, by_row.encoder.size)
    targets = by_row.encode(dataset["train"])["targets"][:4]
    mean = by_token.loss(outputs, targets, training=True)
    assert torch.allclose(by_row.loss(outputs, targets, training=True), 5 * mean)
    totals = {name: np.float64(value) for name, value in by_row.counts(outputs, targets, training=True).items()}
    totals["loss"] = np.float64(4 * 5 * mean)
    assert by_row.metrics(totals, 4)["loss"] == pytest.approx(float(mean))


def test_only_the_last_token_is_learnt_where_the_texts_code_does_so():
    dataset = texts(["abcdefgh\n"] * 8)
    task = task_of(dataset, length=6, stride=2, last_only=True)
    rows = task.encode(dataset["train"])
    batch = {name: part[:5] for name, part in rows.items()}
    targets = task.prepare(batch, training=True)[1]
    assert not targets[:, :-1].any() and torch.equal(targets[:, -1], batch["targets"][:, -1])
    assert int((task.prepare(batch, training=False)[1] != 0).sum()) == 6 + 4 * 2


def test_ngrams_of_witten_and_bell_by_hand():
    train, test = np.array([4, 5, 4, 6, 4, 5]), np.array([4, 5, 7])
    uniform, unigram, bigram = ngram_nats(train, test, 5, 2)
    assert np.exp(-uniform).tolist() == pytest.approx([0.2] * 3)
    one = {4: (3 + 3 * 0.2) / 9, 5: (2 + 3 * 0.2) / 9, 7: (0 + 3 * 0.2) / 9}
    assert np.exp(-unigram).tolist() == pytest.approx([one[4], one[5], one[7]])
    two = [one[4], (2 + 2 * one[5]) / 5, (0 + 1 * one[7]) / 2]  # 4 was followed by 5, 6, 5; 5 by 4
    assert np.exp(-bigram).tolist() == pytest.approx(two)
    assert ngram_hits(train, test, 1).tolist() == [True, False, False]
    assert ngram_hits(train, test, 2).tolist() == [False, True, False]


def test_ngrams_are_a_distribution():
    random = np.random.default_rng(0)
    train = random.integers(0, 4, 200)
    for context in ([0, 1, 2, 3], [3, 3, 3, 3]):
        last = [ngram_nats(train, np.array([*context, token]), 4, 5) for token in range(4)]
        for order in range(6):
            assert sum(np.exp(-one[order][-1]) for one in last) == pytest.approx(1)


def test_more_context_foretells_a_regular_text_better():
    dataset = texts(["to be or not to be\n"] * 30)
    task = task_of(dataset)
    train = task.encode(dataset["train"])
    found = list(task.baselines(train, train).values())
    losses = [one["loss"] for one in found]
    assert losses == sorted(losses, reverse=True) and losses[-1] < 0.1
    assert found[1]["accuracy"] < found[2]["accuracy"] < 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"streams": 4, "documents": True}, "leave streams or documents out"),
        ({"streams": 4, "stride": 3}, "have no stride"),
        ({"last_only": True}, "needs a stride"),
        ({"length": 8, "stride": 9}, "leaves out tokens"),
        ({"length": 0}, "1 or more"),
        ({"streams": 5000}, "too short for 5000 streams"),
    ],
)
def test_what_cannot_be_cut_is_refused(options, said):
    dataset = texts(["abcd\n"] * 8)
    with pytest.raises(UserError, match=said):
        task_of(dataset, **options).encode(dataset["train"])


def test_streams_of_rows_that_do_not_follow_each_other_are_refused():
    with pytest.raises(UserError, match="none can go on from another"):
        task_of(texts(["abcd"] * 8, ordered=False), streams=2)


def test_streams_need_a_model_that_can_go_on(tmp_path):
    model = torch.nn.Sequential(torch.nn.Embedding(9, 9))
    with pytest.raises(UserError, match="no state to carry"):
        fit(model, texts(["abcd\n"] * 40), task_options={"tokenizer": "character", "streams": 2}, out=tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_what_is_assessed_of_streams_lies_in_the_order_of_the_text(tmp_path):
    task = task_of(texts([f"{number:03d} " for number in range(60)]), length=7, streams=3)
    split = texts([f"{number:03d} " for number in range(60)])["train"]
    rows = task.encode(split)
    batch = {name: part[:] for name, part in rows.items()}
    outputs = torch.zeros(len(rows["inputs"]), 7, task.encoder.size)
    found = task.assess(task.collected(outputs, batch), rows["targets"])
    counted = np.isfinite(found.nats)
    assert task.encoder.decode(found.targets[counted]) == "".join(split["text"])[1:]
    assert len(task.shown(split)) == len(found.targets)


def test_guessing_is_not_half():
    """*Principles and Practice* §7.5.4 holds 35 % against "50 % of guessing": among n words a guess is right once in n."""
    random = np.random.default_rng(0)
    rows = ["".join(chr(97 + letter) for letter in random.integers(0, 20, 30)) for _ in range(40)]
    dataset = texts(rows, ordered=False)
    task = task_of(dataset)
    encoded = task.encode(dataset["train"])
    measured = task.baselines(encoded, encoded)
    assert measured["all alike"]["perplexity_per_character"] == pytest.approx(20 + 2)  # and <unknown>, and the end
    assert measured["frequency (unigram)"]["accuracy"] < 0.1


def test_unknown_words_are_judged_too():
    dataset = texts(["one two three\n"] * 9)
    task = task_of(dataset, tokenizer="whitespace", length=4)
    held = Split({"text": Column(Text(), ["one zebra three\n"])}, NumberedRows.count("held", 1))
    rows = task.encode(held)
    assert rows["targets"][:][rows["targets"][:] != 0].tolist()[0] == 1
    assert int(rows["counted"][:, 1].sum()) == 3

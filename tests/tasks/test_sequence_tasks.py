"""Tasks on sequences: what a step sees, that it can be learnt, and that what a text says does not depend on how it is batched."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gradus.data.columns import Column, Label, Number, Text, Time
from gradus.data.dataset import Dataset, NumberedRows, Split
from gradus.data.device_rows import Ragged, Windows
from gradus.models import create_model
from gradus.recipes.execute import fit
from gradus.tasks.settings import TaskSettings
from gradus.tasks.table import create_task, infer_task


def reviews(count: int = 40) -> Dataset:
    texts = [("a fine film " if row % 2 else "a dull film ") + "again " * (row % 7) for row in range(count)]
    columns = {
        "text": Column(Text(), texts),
        "label": Column(Label(classes=("bad", "good")), np.arange(count) % 2),
    }
    split = Split(columns, NumberedRows.count("reviews", count))
    return Dataset(name="reviews", source="reviews", splits={"train": split}, target="label")


def lines(count: int = 80) -> Dataset:
    split = Split({"text": Column(Text(), ["abcd abcd\n"] * count)}, NumberedRows.count("lines", count))
    return Dataset(name="lines", source="lines", splits={"train": split}, target="text", ordered=True)


def hours(count: int = 200) -> Dataset:
    times = np.datetime64("2020-01-01", "s") + np.arange(count) * np.timedelta64(3600, "s")
    wave = np.sin(np.arange(count) * 2 * np.pi / 24)
    columns = {"time": Column(Time(), times), "heat": Column(Number(), wave)}
    split = Split(columns, NumberedRows.count("hours", count))
    return Dataset(name="hours", source="hours", splits={"train": split}, target="heat", ordered=True)


def test_ragged_rows_are_padded_at_the_stated_side():
    rows = [np.array([4, 5, 6]), np.array([7]), np.array([], dtype=np.int32)]
    right, left = Ragged.of(rows), Ragged.of(rows, "left")
    assert right[:].tolist() == [[4, 5, 6], [7, 0, 0], [0, 0, 0]]
    assert left[:].tolist() == [[4, 5, 6], [0, 0, 7], [0, 0, 0]]
    assert right[torch.tensor([1, 2])].tolist() == [[7], [0]]


def test_windows_are_parts_of_the_series_itself():
    values = torch.arange(10.0)[:, None]
    rows = Windows(values, torch.tensor([0, 3]), torch.tensor([0, 2, 4]))
    assert rows.values is values
    assert rows[:].squeeze(2).tolist() == [[0, 2, 4], [3, 5, 7]]


def test_fewer_windows_are_a_view_of_the_same_series():
    windows = Windows(torch.arange(20.0), torch.tensor([0, 5, 9, 12]), torch.arange(3))
    some = windows.only(torch.tensor([1, 3]))
    assert some.values is windows.values and some.shape == (2, 3) and windows.shape == (4, 3)
    assert torch.equal(some[:], windows[[1, 3]])


@pytest.mark.parametrize("name", ["simple_rnn", "lstm", "gru"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_padding_changes_no_logit(name, bidirectional):
    torch.manual_seed(0)
    model = create_model(name, num_tokens=20, num_classes=3, bidirectional=bidirectional, layers=2).eval()
    ids = torch.randint(1, 20, (3, 6))
    alone = model(ids)
    for padded in (torch.nn.functional.pad(ids, (0, 9)), torch.nn.functional.pad(ids, (9, 0))):
        assert torch.allclose(model(padded), alone, atol=1e-6)


def test_the_tasks_are_inferred_from_the_columns():
    assert infer_task(reviews()) == "text-classification"
    assert infer_task(lines()) == "language-modeling"
    assert infer_task(hours()) == "forecasting"


def test_reviews_are_told_apart():
    run = fit(create_model("gru", num_tokens=12, num_classes=2), reviews(), epochs=12, learning_rate=0.01)
    assert run.evaluate("test")["accuracy"] == 1.0


def test_answers_stand_in_the_order_of_the_rows(tmp_path):
    run = fit(create_model("gru", num_tokens=12, num_classes=2), reviews(), epochs=1, out=tmp_path / "run")
    rows = run.task.encode(reviews()["train"])
    with torch.no_grad():
        alone = torch.cat([run.model(rows["inputs"][row : row + 1]) for row in range(40)])
    assert torch.allclose(run.outputs(rows), alone, atol=1e-5)


@pytest.mark.parametrize("streams", [0, 4])
def test_a_text_that_repeats_itself_is_learnt(streams, tmp_path):
    model = create_model("recurrent_lm", num_tokens=10, hidden_size=16, layers=1)
    options = {"tokenizer": "character", "length": 8, "streams": streams}
    run = fit(model, lines(), task_options=options, epochs=12, learning_rate=0.03, out=tmp_path / "run")
    assert run.evaluate("test")["loss"] < 0.2


def test_a_forecast_is_of_the_rows_that_it_says():
    options = {"lookback": 6, "step": 2, "delay": 3, "horizon": 2, "relative": False}
    task = create_task(TaskSettings(name="forecasting", options=options), hours())
    rows = task.encode(hours()["train"])
    wave = np.asarray(hours()["train"]["heat"].values)
    scaled = (wave - task.mean[0]) / task.deviation[0]
    assert rows["inputs"][:1].flatten().tolist() == pytest.approx(scaled[[1, 3, 5]].tolist(), abs=1e-5)
    assert rows["targets"][:1].flatten().tolist() == pytest.approx(scaled[[8, 9]].tolist(), abs=1e-5)
    assert int(rows["targets"].starts[-1]) + 2 == len(wave)


def test_a_wave_is_foretold(tmp_path):
    model = create_model("gru", in_features=1, num_classes=1, hidden_size=16)
    run = fit(
        model, hours(400), task_options={"lookback": 12, "delay": 6}, epochs=15, learning_rate=0.01, out=tmp_path / "r"
    )
    assert run.evaluate("test")["mae"] < 0.2 * run.evaluation["baselines"]["last value"]["mae"]

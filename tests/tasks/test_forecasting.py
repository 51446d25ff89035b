"""Forecasts: what a window holds, that nothing is copied or leaks, bands, baselines, answers."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gradus.data.clock import in_time
from gradus.data.columns import Column, Label, Number, Time
from gradus.data.dataset import Dataset, NumberedRows, Split
from gradus.data.splits import complete_splits
from gradus.errors import UserError
from gradus.models import create_model
from gradus.recipes.execute import fit
from gradus.tasks.forecast_baselines import naive
from gradus.tasks.settings import TaskSettings
from gradus.tasks.table import create_task, load_task, save_state

HOUR = np.timedelta64(3600, "s")


def hourly(count=300, gaps="leave", drop=(), **columns) -> Dataset:
    """heat counts the rows, unless it is given."""
    kept = np.setdiff1d(np.arange(count), drop)
    times = np.datetime64("2020-01-01", "s") + kept * HOUR
    values = {"heat": np.arange(count, dtype=float), **columns}
    made = {"time": Column(Time(), times)}
    for name, numbers in values.items():
        kind = Label(classes=("a", "b")) if name == "place" else Number()
        made[name] = Column(kind, np.asarray(numbers)[kept])
    split = Split(made, NumberedRows.count("hourly", len(kept)))
    data = Dataset(name="hourly", source="hourly", splits={"train": split}, target="heat", ordered=True)
    return in_time(data, "time", "place" if "place" in columns else None, gaps)


def made(dataset, **options):
    return create_task(TaskSettings(name="forecasting", options={"relative": False, **options}), dataset)


def in_units(task, standardised) -> list[float]:
    return np.round(standardised.double().numpy() * task.deviation[0] + task.mean[0]).ravel().tolist()


def test_the_book_reads_to_one_step_before_its_now_so_its_24_hours_are_25():
    """Listing 6-33: rows range(row - lookback, row, step), target at row + delay. T-7."""
    lookback, step, delay, row = 1440, 6, 144, 2000
    book = list(range(row - lookback, row, step))
    task = made(hourly(4000), lookback=lookback, step=step, delay=150)
    rows = task.encode(hourly(4000)["train"])
    window = row - step - lookback + 1  # ours ends at the last row that the book reads
    assert in_units(task, rows["inputs"][window : window + 1]) == book
    assert in_units(task, rows["targets"][window : window + 1]) == [row + delay]
    assert (row + delay) - book[-1] == 150  # ticks of 10 minutes: 25 hours
    exact = made(hourly(4000), lookback=lookback, step=step, delay=144)
    assert in_units(exact, exact.encode(hourly(4000)["train"])["targets"][window : window + 1]) == [book[-1] + 144]


@pytest.mark.parametrize(("lookback", "step", "steps"), [(720, 6, 120), (1440, 6, 240), (720, 3, 240)])
def test_both_lookbacks_of_the_book_can_be_had(lookback, step, steps):
    """T-6: with a step of 3 and 720 rows back a window has 240 steps, no more than 1440 by 6 has: not twice the data."""
    assert made(hourly(1600), lookback=lookback, step=step).places() == steps


def test_no_training_target_lies_in_the_validation_rows():
    """T-7: the book's last training targets are 144 rows inside its validation rows."""
    split = complete_splits(hourly(400), 100, 100, 0, "heat")
    task = made(split, lookback=20, delay=24, horizon=3)
    for name, first, last in (("train", 0, 199), ("validation", 200, 299), ("test", 300, 399)):
        rows = task.encode(split[name])
        targets, inputs = in_units(task, rows["targets"][:]), in_units(task, rows["inputs"][:])
        assert max(targets) == last and min(inputs) == first and min(targets) > first


def test_statistics_are_those_of_the_training_rows():
    split = complete_splits(hourly(400), 100, 100, 0, "heat")
    task = made(split, lookback=20)
    assert task.mean == pytest.approx([np.arange(200).mean()]) and task.deviation == pytest.approx(
        [np.arange(200).std()]
    )


class Largest(TorchDispatchMode):
    """The most numbers that a tensor had which was made."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        found = function(*arguments, **(keywords or {}))
        if isinstance(found, torch.Tensor):
            self.numbers = max(self.numbers, found.numel())
        return found


def test_windows_are_views_so_memory_is_that_of_the_series():
    """The size of the Jena series: 420 551 rows of 14 numbers, 1440 rows back. Copied, the windows would take 34 GB."""
    rows, width, batch = 420_551, 14, 128
    numbers = np.random.default_rng(0).standard_normal((rows, width)).astype(np.float32).astype(np.float64)
    columns = {name: Column(Number(), numbers[:, place]) for place, name in enumerate(["heat", *"abcdefghijklm"])}
    columns["time"] = Column(Time(), np.datetime64("2009-01-01", "s") + np.arange(rows) * np.timedelta64(600, "s"))
    split = Split(columns, NumberedRows.count("jena", rows))
    data = in_time(Dataset(name="j", source="j", splits={"train": split}, target="heat", ordered=True), "time", None)
    with Largest() as largest:
        task = create_task(TaskSettings(name="forecasting", options={"lookback": 1440, "step": 6, "delay": 144}), data)
        encoded = task.encode(data["train"])
        picked = encoded["inputs"].index_select(0, torch.arange(0, batch * 1000, 1000))
        targets = encoded["targets"][:]
    assert picked.shape == (batch, 240, width) and len(targets) == rows - 1440 - 144 + 1
    assert largest.numbers <= rows * width
    assert sum(part.numel() for part in encoded["inputs"].parts()) < 1.1 * rows * width


def test_windows_do_not_cross_gaps_or_series_and_missing_targets_leave_theirs_out():
    data = hourly(100, drop=(50, 51))
    task = made(data, lookback=10, delay=2)
    rows = task.encode(data["train"])
    assert len(rows["targets"]) == (50 - 11) + (48 - 11)
    for window, target in zip(rows["inputs"][:], rows["targets"][:], strict=True):
        seen = in_units(task, window)
        assert seen == list(range(int(seen[0]), int(seen[0]) + 10)) and in_units(task, target) == [seen[-1] + 2]
    heat = np.arange(100.0)
    heat[40] = np.nan
    missing = hourly(100, heat=heat)
    task = made(missing, lookback=10, delay=2)
    assert len(task.encode(missing["train"])["targets"]) == 100 - 11 - 1
    assert any("the target of 1 is missing" in note for note in task.notes)
    with pytest.raises(UserError, match="has no whole window of 11 rows"):
        made(hourly(60, drop=range(5, 60, 6)), lookback=10)
    assert (
        len(made(hourly(60, "ignore", drop=range(5, 60, 6)), lookback=10).encode(hourly(60)["train"])["inputs"]) == 50
    )


def test_windows_of_many_series_stay_within_theirs():
    count = 60
    times = np.repeat(np.datetime64("2020-01-01", "s") + np.arange(count) * HOUR, 2)
    heat = np.stack([np.arange(count), 1000 + np.arange(count)], axis=1).ravel().astype(float)
    columns = {"time": Column(Time(), times), "place": Column(Label(classes=("a", "b")), np.tile([0, 1], count))}
    split = Split({**columns, "heat": Column(Number(), heat)}, NumberedRows.count("x", 2 * count))
    data = in_time(Dataset(name="x", source="x", splits={"train": split}, target="heat", ordered=True), "time", "place")
    task = made(data, lookback=10)
    windows = task.encode(data["train"])
    assert len(windows["inputs"]) == 2 * (count - 10)
    for window in windows["inputs"][:]:
        assert len({row > 500 for row in in_units(task, window[:, 2])}) == 1
    answers = task.answers(data["train"], lambda tensors: torch.zeros(len(tensors["inputs"]), 1))
    assert task.answer_names(data["train"]) == ["a, row 119 of x", "b, row 120 of x"]
    assert len(answers) == 2 and answers[0].more["times"] == ["2020-01-03T12:00:00"]


def test_directions_and_the_calendar_are_sines_and_cosines():
    """T-9: 359 degrees are beside 1 degree."""
    degrees = np.tile([359.0, 1.0, 180.0, 90.0], 75)
    data = hourly(300, **{"wd (deg)": degrees, "rain": np.random.default_rng(0).random(300)})
    task = made(data, lookback=4, calendar=["hour", "weekday", "year"])
    rows = task.encode(data["train"])["inputs"].values
    assert rows.shape[1] == 2 + 2 + 6
    circle = rows[:4, 2:4]
    assert torch.dist(circle[0], circle[1]) < 0.04 and torch.dist(circle[0], circle[2]) > 1.9
    assert circle[3].tolist() == pytest.approx([1, 0], abs=1e-6)
    hour, weekday, year = rows[:, 4:6], rows[:, 6:8], rows[:, 8:10]
    assert torch.allclose(hour[:200], hour[24:224], atol=1e-5) and hour[6].tolist() == pytest.approx([1, 0], abs=1e-6)
    assert torch.allclose(weekday[:100], weekday[168:268], atol=1e-5)
    assert weekday[0, 0].item() == pytest.approx(np.sin(2 * np.pi * 2 / 7), abs=1e-5)  # 2020 began on a Wednesday
    assert year[0].tolist() == pytest.approx([0, 1], abs=1e-6)
    assert made(data, lookback=4, circular=[]).inputs.circular == ()
    with pytest.raises(UserError, match="unknown calendar feature 'hours'; did you mean 'hour'"):
        made(data, calendar=["hours"])


def test_reversed_windows_are_read_from_their_end():
    data = hourly(100)
    forward, backward = made(data, lookback=5), made(data, lookback=5, reversed=True)
    rows = {name: part[:3] for name, part in forward.encode(data["train"]).items()}
    assert torch.equal(forward.prepare(rows, training=True)[0].flip(1), backward.prepare(rows, training=True)[0])


def noisy(count=600):
    random = np.random.default_rng(1)
    wave = 10 * np.sin(np.arange(count) * 2 * np.pi / 24) + random.standard_normal(count)
    return complete_splits(hourly(count, heat=wave), 0.2, 0.2, 0, "heat")


@pytest.mark.parametrize("relative", [False, True])
def test_metrics_baselines_and_outputs_agree(relative):
    """What the naive forecast is worth, computed by hand."""
    data = noisy()
    task = made(data, lookback=48, delay=20, horizon=3, relative=relative)
    task.to_device(torch.device("cpu"))
    test = task.encode(data["test"])
    values = np.asarray(data["test"]["heat"].values)
    now = np.arange(47, len(values) - 22)
    truth = np.stack([values[now + ahead] for ahead in (20, 21, 22)], axis=1)
    last = np.abs(truth - values[now][:, None]).mean()
    season = np.abs(truth - np.stack([values[now + ahead - 24] for ahead in (20, 21, 22)], axis=1)).mean()
    found = task.baselines(task.encode(data["train"]), test)
    assert found["last value"]["mae"] == pytest.approx(last, rel=1e-5)
    assert found["seasonal naive"]["mae"] == pytest.approx(season, rel=1e-5)
    assert found["ridge regression"]["mae"] < found["seasonal naive"]["mae"] < found["last value"]["mae"]
    assert found["mean by hour"]["mae"] < season
    assert found["last value"]["skill"] == pytest.approx(1 - last / season, rel=1e-4)
    train = np.asarray(data["train"]["heat"].values)
    assert found["last value"]["mase"] == pytest.approx(last / np.abs(train[24:] - train[:-24]).mean(), rel=1e-4)
    points = test["targets"].learnt(naive(task, test["targets"])["seasonal naive"]).flatten(1)
    sums = task.counts(points, test["targets"][:].flatten(1), training=False)
    assert task.metrics({name: total.numpy() for name, total in sums.items()}, len(points))["mae"] == pytest.approx(
        season
    )
    assessment = task.assess(points, test["targets"])
    assert str(assessment.times[0, 0]) == str(data["test"]["time"].values[47 + 20])
    assert assessment.targets[..., 0] == pytest.approx(truth, abs=1e-4)


def test_arima_is_that_of_statsmodels():
    sarimax = pytest.importorskip("statsmodels.tsa.statespace.sarimax")
    data = noisy()
    task = made(data, lookback=24, delay=2, horizon=2, arima=[2, 0, 1])
    task.to_device(torch.device("cpu"))
    from gradus.tasks.forecast_baselines import _arima

    train, test = task.encode(data["train"])["targets"], task.encode(data["test"])["targets"]
    found = _arima(task, train, test)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of starting values
        fitted = sarimax.SARIMAX(train.values[:, 0].double().numpy(), order=(2, 0, 1)).fit(disp=0, maxiter=50)
    for window in (0, 30):
        known = test.values[: 24 + window, 0].double().numpy()
        wanted = fitted.apply(known).forecast(3)[1:]
        assert found[window, :, 0].tolist() == pytest.approx(wanted.tolist(), abs=1e-4)


def test_quantiles_hold_the_shares_that_they_say_and_never_cross():
    random = np.random.default_rng(0)
    data = complete_splits(hourly(3000, heat=random.standard_normal(3000)), 0.1, 0.3, 0, "heat")
    options = {"lookback": 4, "quantiles": [0.1, 0.5, 0.9], "relative": False}
    run = fit(
        create_model("mlp", in_features=4, num_classes=3, hidden=[8]),
        data,
        "forecasting",
        task_options=options,
        epochs=6,
        learning_rate=0.01,
    )
    found = run.assess("test")
    assert found.bands.shape == (len(found.targets), 1, 1, 3) and (np.diff(found.bands, axis=3) >= 0).all()
    assert abs(found.metrics["coverage"] - 0.8) < 0.06
    assert found.bands.mean(axis=(0, 1, 2)).tolist() == pytest.approx([-1.28, 0, 1.28], abs=0.25)
    answer = run.predict(
        [{"time": str(t), "heat": 0.0} for t in np.datetime64("2020-01-01", "s") + np.arange(4) * HOUR]
    )
    assert answer[0]["quantiles"] == [0.1, 0.5, 0.9] and answer[0]["times"] == ["2020-01-01T04:00:00"]
    assert answer[0]["prediction"]["heat"][0] == sorted(answer[0]["prediction"]["heat"][0])


@pytest.mark.parametrize("relative", [False, True])
def test_answers_of_a_task_that_was_read_again_follow_the_last_row(relative):
    data = hourly(300)
    task = made(data, lookback=5, delay=3, horizon=2, relative=relative)
    settings = TaskSettings(name="forecasting", options=vars(task.options))
    again = load_task(settings, save_state(task))
    rows = data["train"].take(np.arange(20)[::-1])  # in any order

    def outputs_of(tensors):
        assert in_units(task, tensors["inputs"][:]) == [15, 16, 17, 18, 19]
        targets = task.encode(data["train"])["targets"]
        return targets[:][15:16].flatten(1)  # the truth, as it is learnt

    (answer,) = again.answers(rows, outputs_of)
    assert answer.to_json()["prediction"]["heat"] == pytest.approx([22, 23], abs=1e-3)
    assert answer.to_json()["times"] == ["2020-01-01T22:00:00", "2020-01-01T23:00:00"]
    with pytest.raises(UserError, match="made from the last 5 rows, there are 4"):
        again.answers(data["train"].take(np.arange(4)), outputs_of)
    with pytest.raises(UserError, match="a gap in time"):
        again.answers(data["train"].take(np.array([0, 1, 2, 4, 5, 6])), outputs_of)


def test_what_does_not_fit_is_told():
    with pytest.raises(UserError, match="quantiles: expected shares between 0 and 1 in ascending order"):
        made(hourly(), quantiles=[0.5, 0.1])
    with pytest.raises(UserError, match=r"arima: expected \[p, d, q\]"):
        made(hourly(), arima=[1, 2])
    with pytest.raises(UserError, match=r"target 'heat' is constant \(3\)"):
        made(hourly(heat=np.full(300, 3.0)))
    with pytest.raises(UserError, match="calendar: the rows have no time"):
        made(replace(hourly(), clock=None), calendar=["hour"])


def test_what_mase_divides_by_compares_neither_two_series_nor_across_a_gap():
    heat = np.concatenate([np.arange(100.0), 5000 + np.arange(100.0)])
    place = np.repeat([0, 1], 100)
    times = np.datetime64("2020-01-01", "s") + np.tile(np.arange(100), 2) * HOUR
    times[150:] += 7 * HOUR  # a gap in the second series
    split = Split(
        {
            "time": Column(Time(), times),
            "heat": Column(Number(), heat),
            "place": Column(Label(classes=("a", "b")), place),
        },
        NumberedRows.count("two", 200),
    )
    data = Dataset(name="two", source="two", splits={"train": split}, target="heat", ordered=True)
    task = made(in_time(data, "time", "place"), lookback=5, season=3)
    assert task.naive_error == pytest.approx([3.0])  # the series rises by 1 a row
    assert made(in_time(data, "time", "place"), lookback=5, season=120).naive_error == pytest.approx([1.0])


def test_a_date_outside_the_rows_is_told_with_the_times_that_there_are():
    with pytest.raises(UserError, match="cannot hold out rows from 2031-01-01 on: the rows are of 2020-01-01 00:00:00"):
        complete_splits(hourly(), 0.1, "2031-01-01", 0, "heat")


@pytest.mark.parametrize("name", ["winddir", "wind_dir", "Windrichtung"])
def test_a_short_name_of_a_direction_is_one(name):
    task = made(hourly(**{name: np.arange(300.0) % 360}), lookback=5)
    assert task.inputs.circular == (name,)

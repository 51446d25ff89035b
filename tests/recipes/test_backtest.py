"""Backtests over rolling origins, and what of forecasts is asked for on the command line."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gradus.cli import main
from gradus.data.load import DataSettings
from gradus.errors import UserError
from gradus.models import ModelSettings
from gradus.recipes.backtest import backtest
from gradus.recipes.experiment import prepare
from gradus.recipes.recipe import Recipe
from gradus.recipes.run import load_run
from gradus.tasks.settings import TaskSettings
from gradus.train.settings import TrainSettings


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    path, rows = tmp_path_factory.mktemp("series") / "series.csv", 400
    times = np.datetime64("2020-01-01", "s") + np.arange(rows) * np.timedelta64(3600, "s")
    heat = np.sin(np.arange(rows) * 2 * np.pi / 24) + 0.1 * np.random.default_rng(0).standard_normal(rows)
    path.write_text("\n".join(["time,heat", *(f"{time},{value:.4f}" for time, value in zip(times, heat, strict=True))]))
    return path


def recipe_of(table: Path, **data) -> Recipe:
    return Recipe(
        data=DataSettings(source=str(table), target="heat", time="time", **data),
        task=TaskSettings(name="forecasting", options={"lookback": 24, "delay": 2}),
        model=ModelSettings(name="sequence_mlp"),
        train=TrainSettings(epochs=1, batch_size=32),
    )


def test_each_origin_knows_what_lies_before_it_and_no_more(table, tmp_path):
    found = backtest(recipe_of(table, test=0.5, validation=40), 3, tmp_path / "bt")
    told = json.loads((tmp_path / "bt" / "backtest.json").read_text())["result"]
    values = found.values()
    assert told["summary"]["model"]["mean"] == pytest.approx(np.mean(values))
    assert told["summary"]["last value"]["deviation"] == pytest.approx(np.std(found.values("last value"), ddof=1))
    assert [period.rows for period in found.periods] == [67, 67, 66]
    assert found.periods[0].first == "2020-01-09 08:00:00" and found.periods[-1].last == "2020-01-17 15:00:00"
    known = []
    for origin in (1, 2, 3):
        dataset = load_run(tmp_path / "bt" / f"origin-{origin}").experiment.dataset
        train, validation, test = (dataset[name]["time"].values for name in ("train", "validation", "test"))
        assert train.max() < validation.min() and validation.max() < test.min()
        known.append(len(train) + len(validation))
    assert known == [200, 267, 334]


def test_validation_from_a_date_on_rolls_along(table):
    for origin in (0, 1):
        recipe = recipe_of(table, test="2020-01-12", validation="2020-01-10", origins=2, origin=origin)
        split = prepare(recipe).dataset
        assert len(split["validation"]) == 48
        assert split["test"]["time"].values.min() == split["validation"]["time"].values.max() + np.timedelta64(
            3600, "s"
        )


def test_folds_of_rows_in_time_are_refused(table):
    with pytest.raises(UserError, match="use gradus backtest --origins N"):
        prepare(recipe_of(table, folds=4))
    with pytest.raises(UserError, match="--origins: expected 2 or more"):
        backtest(recipe_of(table), 1)
    digits = replace(recipe_of(table), data=DataSettings(source="digits", origins=3), task=TaskSettings())
    with pytest.raises(UserError, match=r"data\.origins: forecasts are judged from several moments"):
        prepare(digits)


@pytest.fixture
def gradus(tmp_path, monkeypatch, capsys):
    """Runs a command in a folder of its own: (exit code, what it printed, what it complained of)."""
    monkeypatch.chdir(tmp_path)

    def run(line: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(shlex.split(line))
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return run


def test_from_a_csv_to_a_picture_on_the_command_line(gradus, table, tmp_path):
    options = "--set task.options.lookback=24 --set task.options.horizon=3 --set task.options.quantiles=[0.1,0.5,0.9]"
    code, out, err = gradus(
        f"train --data {table} --time time --target heat --model sequence_mlp --epochs 1 --out run {options}"
    )
    assert code == 0, err
    assert "time: column 'time', 2020-01-01 00:00:00 to 2020-01-17 15:00:00, one an hour" in out + err
    answer = json.loads(gradus(f"predict run {table} --json --plot ahead.png")[1])
    assert answer["times"] == ["2020-01-17T16:00:00", "2020-01-17T17:00:00", "2020-01-17T18:00:00"]
    assert np.array(answer["prediction"]["heat"]).shape == (3, 3)
    assert (tmp_path / "ahead.png").read_bytes().startswith(b"\x89PNG")
    short = tmp_path / "short.csv"
    short.write_text("\n".join(table.read_text().splitlines()[:10]))
    code, _, err = gradus("predict run short.csv")
    assert code == 2 and "made from the last 24 rows, there are 9" in err
    code, _, err = gradus(f"data show {table} --time time --target heat --out series.png")
    assert code == 0 and (tmp_path / "series.png").exists()


def test_a_file_like_that_of_jena_is_read_right(gradus, tmp_path):
    """T-9: names in quotes, an empty last line, -9999 for missing wind, directions on a circle, rows that are there twice."""
    times = [f"{1 + n // 144:02}.01.2009 {n // 6 % 24:02}:{10 * (n % 6):02}:00" for n in range(400)]
    head = '"Date Time","p (mbar)","T (degC)","wv (m/s)","wd (deg)"'
    rows = [
        f"{t},{996 + n % 7},{-8 + n % 11},{-9999.0 if n == 20 else n % 5},{n * 7 % 360}" for n, t in enumerate(times)
    ]
    path = tmp_path / "jena.csv"
    path.write_text("\n".join([head, *rows[:30], rows[29], *rows[30:], "", ""]))
    _, scanned, _ = gradus("data scan jena.csv --time 'Date Time' --target 'T (degC)'")
    assert "column 'wv (m/s)': -9999 in 1 rows, the others are 0 to 4" in scanned
    assert "row 32 of jena.csv (2009-01-01 04:50:00) was there twice" in scanned
    data = DataSettings(source=str(path), target="T (degC)", time="Date Time", missing=-9999.0)
    recipe = replace(recipe_of(path), data=data)
    made = prepare(recipe)
    assert list(made.dataset.types) == ["Date Time", "p (mbar)", "T (degC)", "wv (m/s)", "wd (deg)"]
    assert made.task.inputs.circular == ("wd (deg)",)
    assert made.dataset.clock.seconds == 600 and made.dataset.clock.season() == 144
    assert abs(made.task.inputs.table.numbers["wv (m/s)"]["mean"] - 2) < 0.2

"""The weather recipes run on a short series; what they set is what the book has, in hours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import gradus
from gradus.recipes.table import RECIPES, get_recipe

NAMES = [name for name in RECIPES if name.startswith("weather-")]


@pytest.fixture(scope="module")
def weather(tmp_path_factory) -> Path:
    path, rows = tmp_path_factory.mktemp("weather") / "short.csv", 900
    random = np.random.default_rng(0)
    times = np.datetime64("2020-01-01", "s") + np.arange(rows) * np.timedelta64(3600, "s")
    heat = 10 * np.sin(np.arange(rows) * 2 * np.pi / 24) + random.standard_normal(rows)
    lines = [
        f"{time},{value:.3f},{wind:.3f}" for time, value, wind in zip(times, heat, random.random(rows), strict=True)
    ]
    path.write_text("\n".join(["time,temperature,wind", *lines]))
    return path


def short(name: str, path: Path):
    recipe = get_recipe(name)
    data = replace(recipe.data, source=str(path), target="temperature", time="time", validation=300, test=300)
    return replace(recipe, data=data, train=replace(recipe.train, epochs=1, batch_size=32))


@pytest.mark.parametrize("name", NAMES)
def test_a_weather_recipe_runs(weather, tmp_path, name):
    run = gradus.train_recipe(short(name, weather), tmp_path / "run")
    assert {"last value", "mean by hour", "ridge regression"} <= set(run.evaluation["baselines"])
    page = run.report().read_text(encoding="utf-8")
    for words in ("Forecast and truth", "Where the errors lie", "Error by hour of the day", "worst moments"):
        assert words in page
    assert ("Error by step ahead" in page) == (name == "weather-quantiles")
    assert ("and its band" in page) == (name == "weather-quantiles")
    assert gradus.load_run(run.path).evaluate("test") == pytest.approx(run.evaluation["metrics"])


def test_the_windows_are_the_books_in_hours():
    """Ten days back, one step an hour, 24 hours ahead of the last row: T-6, T-7."""
    for name in NAMES[:-2]:
        options = get_recipe(name).task.options
        assert (options["lookback"], options.get("step", 1), options["delay"]) == (240, 1, 24)
        assert options["relative"] is False
    assert [name for name in NAMES if get_recipe(name).task.options.get("reversed")] == ["weather-gru-reversed"]

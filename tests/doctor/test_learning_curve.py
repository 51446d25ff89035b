"""The curve of errors over rows: what it is fitted to, how far it is drawn on, and that it says when it cannot tell."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from gradus.data.load import DataSettings
from gradus.doctor.examine import examine
from gradus.doctor.learning_curve import BEST_OF, fit_curve, on_rows, told_of, unrest
from gradus.errors import UserError
from gradus.models import ModelSettings
from gradus.recipes.execute import train_recipe
from gradus.recipes.recipe import Recipe
from gradus.recipes.table import get_recipe
from gradus.train.settings import ScheduleSettings, TrainSettings

ROWS = np.array([125.0, 250.0, 500.0, 1000.0])


@pytest.mark.parametrize(("a", "b", "c"), [(0.05, 2.0, 0.5), (0.0, 1.0, 0.35), (0.2, 0.0, 1.0)])
def test_a_power_law_is_found_again(a, b, c):
    curve = fit_curve(ROWS, (a + b * ROWS**-c)[None])
    for rows in (125, 1000, 4000):
        assert curve.at(rows)[0] == pytest.approx(a + b * rows**-c, abs=1e-3)


def test_errors_never_grow_with_rows_and_stay_above_zero():
    random = np.random.default_rng(0)
    curve = fit_curve(ROWS, random.uniform(0, 1, (200, 4)), np.array([0.1, 0.05, 0.05, 0.02]))
    assert (curve.a >= 0).all() and (curve.b >= 0).all()
    assert (curve.at(4000) <= curve.at(1000) + 1e-12).all()


def test_resamples_are_fitted_as_if_alone():
    errors = np.array([[0.5, 0.4, 0.35, 0.33], [0.2, 0.2, 0.2, 0.2], [0.4, 0.2, 0.1, 0.05]])
    together = fit_curve(ROWS, errors)
    for place, one in enumerate(errors):
        alone = fit_curve(ROWS, one[None])
        ahead = np.array([alone.at(rows)[0] for rows in (*ROWS, 4000)])
        assert ahead == pytest.approx([together.at(rows)[place] for rows in (*ROWS, 4000)])


def test_the_unrest_of_a_training():
    largest = np.random.default_rng(0).normal(size=(20_000, 10)).max(axis=1)
    assert largest.std() == pytest.approx(BEST_OF, abs=0.01)
    values = np.random.default_rng(1).normal(0.9, 0.02, 400)
    history = [{"validation_accuracy": value} for value in values]
    assert unrest(history, "accuracy") == pytest.approx(BEST_OF * 0.02, rel=0.2)
    assert unrest(history[:2], "accuracy") == 0 == unrest([{"validation_accuracy": 0.9}] * 20, "accuracy")


def far(least: float, most: float) -> dict:
    one = {"times": 4, "error": 0.06, "low": 0.05, "high": 0.07, "least gain": least, "most gain": most}
    return {"metric": "accuracy", "rows": [125, 1000], "errors": [0.3, 0.1], "further": [{**one, "times": 2}, one]}


def test_what_is_said():
    assert told_of(far(0.3, 0.5)).startswith("more rows would help: from 10.0% on 1,000 rows to about 6.0% with twice")
    assert "would hardly help" in told_of(far(0.0, 0.05))
    assert "cannot tell" in told_of(far(0.0, 0.6))


def test_all_sizes_make_as_many_updates():
    recipe = get_recipe("mnist-mlp")
    train = dataclasses.replace(
        recipe.train,
        epochs=5,
        batch_size=128,
        patience=2,
        schedule=ScheduleSettings(name="step", every=2.0),
    )
    fewer = on_rows(dataclasses.replace(recipe, train=train), 12_800, 51_200)
    assert (fewer.data.rows, fewer.train.epochs, fewer.train.patience) == (12_800, 20, 8)
    assert fewer.train.schedule.every == 8.0
    tiny = on_rows(dataclasses.replace(recipe, train=train), 100, 51_200)
    assert tiny.train.batch_size == 100 and tiny.train.epochs == 2000


def test_the_curve_of_a_run(tmp_path):
    recipe = Recipe(
        data=DataSettings(source="wine"),
        model=ModelSettings(name="mlp", options={"hidden": [8]}),
        train=TrainSettings(epochs=3),
    )
    run = train_recipe(recipe, tmp_path / "run")
    said: list[str] = []
    found = examine(run.path, only=("gaps",), learning_curve=True, say=said.append).measured["learning curve"]
    assert found["rows"] == [16, 32, 64, 128] and len(found["errors"]) == 4
    assert found["errors"][-1] == pytest.approx(1 - run.evaluate("validation")["accuracy"])
    assert [one["times"] for one in found["further"]] == [2, 4]
    assert any(line.startswith("training on 16, 32, 64 of 128 rows") for line in said)
    again = examine(run.path, only=("gaps",), learning_curve=True, say=said.append).measured["learning curve"]
    assert again == found and sum(line.startswith("training on") for line in said) == 1  # read, not trained again
    with pytest.raises(UserError, match="train it first"):
        examine(recipe, only=("balance",), learning_curve=True)

"""Backtesting: a forecast is judged from several moments (rolling origins), each time by a network that knew only the past.

The test rows are cut into periods of about equal length. For each period a model is trained on all rows before it, the last of
which choose its best weights, and judged on the period.

backtest.json         what was measured: each origin, mean and spread, baselines beside
origin-1, origin-2 .. every model as a run of its own
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gradus.data.columns import Time
from gradus.errors import UserError
from gradus.files import write_atomic
from gradus.recipes.execute import default_name, train_recipe
from gradus.recipes.experiment import prepare
from gradus.recipes.folds import deviation, mean
from gradus.recipes.recipe import Recipe, write_recipe
from gradus.recipes.run import FORMAT, Run
from gradus.train.folder import RunFolder
from gradus.train.trainer import Observer


@dataclass(frozen=True)
class Period:
    """One origin: the period that is foretold (texts; empty without times), its rows, and metrics of model and baselines."""

    first: str
    last: str
    rows: int
    metrics: dict[str, float]
    baselines: dict[str, dict[str, float]]


@dataclass(frozen=True)
class Backtest:
    """What came of it. metric: the task's first one, and "min" or "max"."""

    path: Path
    metric: tuple[str, str]
    periods: list[Period]

    def values(self, baseline: str = "") -> list[float]:
        """The metric at each origin, of the model or of a baseline."""
        found = [period.baselines[baseline] if baseline else period.metrics for period in self.periods]
        return [metrics[self.metric[0]] for metrics in found]

    @property
    def baselines(self) -> list[str]:
        """Names of the baselines that were measured at every origin."""
        return [name for name in self.periods[0].baselines if all(name in period.baselines for period in self.periods)]

    def to_json(self) -> dict[str, Any]:
        names = ["", *self.baselines]
        summary = {
            name or "model": {"mean": mean(self.values(name)), "deviation": deviation(self.values(name))}
            for name in names
        }
        return {"metric": self.metric[0], "summary": summary, "origins": [vars(period) for period in self.periods]}


def backtest(
    recipe: Recipe,
    origins: int = 5,
    out: str | Path | None = None,
    *,
    observers: tuple[Observer, ...] = (),
    say: Callable[[str], None] = lambda line: None,
) -> Backtest:
    """Trains a recipe of rows in time once for each of `origins` moments.

    out: the folder, which must be new or empty; None: runs/MODEL-DATA-backtest-NUMBER

    Raises `UserError` for rows without an order, and what a training raises, before anything is written.
    """
    if origins < 2:
        raise UserError(f"--origins: expected 2 or more, received {origins}")
    if recipe.data.folds:
        raise UserError("data.folds: a backtest has its own way to cut the rows; leave it out")
    members = [replace(recipe, data=replace(recipe.data, origins=origins, origin=origin)) for origin in range(origins)]
    first = prepare(members[0])  # what does not fit is told before anything is written
    name = f"{default_name(first)}-backtest"
    folder = RunFolder.create(Path(out)) if out else RunFolder.create_numbered(Path("runs"), name)
    try:
        write_atomic(folder.path / "recipe.toml", write_recipe(recipe, format=FORMAT))
        periods = []
        for origin, member in enumerate(members):
            run = train_recipe(member, folder.path / f"origin-{origin + 1}", observers=observers, say=say)
            periods.append(_period(run))
        found = Backtest(folder.path, run.task.primary, periods)
        folder.write_json("backtest.json", {"format": FORMAT, "origins": origins, "result": found.to_json()})
        return found
    finally:
        folder.lock.release()


def _period(run: Run) -> Period:
    dataset = run.experiment.dataset
    test, clock = dataset["test"], dataset.clock
    first = last = ""
    if clock is not None:
        times = test[clock.time].values
        first, last = Time().to_text(times.min()), Time().to_text(times.max())
    evaluation = run.evaluation
    return Period(first, last, len(test), evaluation["metrics"], evaluation["baselines"])

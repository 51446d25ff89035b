"""Would more data help, and how much: the run's recipe is trained on parts of its rows, and the curve of the errors drawn on.

    error(n) = a + b n^-c        a ≥ 0: what no number of rows removes; b ≥ 0; c from 0.05 to 2

The power law is that of Hestness et al. 2017 ("Deep learning scaling is predictable, empirically") with their constant term. All
sizes make as many updates as the run made, so that rows are compared and not lengths of training, and are judged on the same
validation rows, which are drawn again together (a paired bootstrap). Each size is trained once; how far chance moves what a
training comes to is taken from how far the metric moves from epoch to epoch in its second half.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gradus.doctor.case import Case
from gradus.doctor.remedies import option
from gradus.doctor.stages import metric_of
from gradus.errors import UserError
from gradus.look.measures import measure_of
from gradus.look.text import count, duration, is_share, metric_words, number, percent
from gradus.recipes.execute import resume, train_recipe
from gradus.recipes.recipe import Recipe
from gradus.recipes.run import Run, load_run

SHARES = (1 / 8, 1 / 4, 1 / 2)
FURTHER = (2, 4)  # times the rows that the curve is drawn on to
RESAMPLES = 500
EXPONENTS = np.linspace(0.05, 2, 40)
BEST_OF = 0.59  # the deviation of the largest of ten normal numbers, in theirs
WORTH = 0.1  # of the error of today: a smaller gain is none
Say = Callable[[str], None]


@dataclass(frozen=True)
class Curve:
    """error(n) = a + b n^-c, for each of R resamples: a, b, c (R,), the first one of the rows as they are."""

    a: np.ndarray
    b: np.ndarray
    c: np.ndarray

    def at(self, rows: float) -> np.ndarray:
        """(R,) the errors for so many training rows."""
        return self.a + self.b * rows**-self.c


def fit_curve(rows: np.ndarray, errors: np.ndarray, deviations: np.ndarray | None = None) -> Curve:
    """Weighted least squares of errors (R, P) at rows (P,), with a, b ≥ 0. deviations (P,): of the errors; None: all alike.

    For every exponent of a grid a and b have a closed form: without the bounds, or with the one that is broken at its bound.
    """
    weights = np.ones(len(rows)) if deviations is None else 1 / np.maximum(deviations, 1e-9) ** 2
    weights = weights / weights.sum()
    best = np.full(len(errors), np.inf)
    a, b, c = (np.zeros(len(errors)) for _ in range(3))
    largest = rows.max()
    for exponent in EXPONENTS:
        x = (rows / largest) ** -exponent
        middle_x, middle = weights @ x, errors @ weights
        slope = ((errors - middle[:, None]) * (x - middle_x)) @ weights / (weights @ (x - middle_x) ** 2)
        start = middle - slope * middle_x
        slope = np.where(start < 0, (errors * x) @ weights / (weights @ x**2), slope)
        start = np.where(start < 0, 0, start)
        flat = slope < 0
        slope, start = np.where(flat, 0, slope), np.where(flat, middle, start)
        left = (errors - start[:, None] - slope[:, None] * x) ** 2 @ weights
        better = left < best
        best = np.where(better, left, best)
        a, b, c = (
            np.where(better, start, a),
            np.where(better, slope * largest**exponent, b),
            np.where(better, exponent, c),
        )
    return Curve(a, b, c)


def measure_learning_curve(case: Case, say: Say = lambda line: None) -> dict[str, Any]:
    """Trains on 1/8, 1/4 and 1/2 of the rows into RUN/learning_curve, or reads what is there; fits and draws on.

    Returns metric, rows and errors of each size, what the curve says of 2 and 4 times the rows with 95 % intervals, and `said`.

    Raises `UserError` for runs that have not ended, have no validation rows, too few rows, or a network of the user's own.
    """
    run = case.trained
    total = len(case.targets("train"))
    if run.is_custom:
        raise UserError(f"{run.path}: a learning curve trains the network anew, and this one is a module of your own")
    if not run.evaluation:
        raise UserError(
            f"{run.path}: this training has not ended, so there is no curve to draw; gradus resume {shlex.quote(str(run.path))}"
        )
    if case.task.name == "control" or "validation" not in case.tensors:
        raise UserError(f"{run.path}: a learning curve needs validation rows; this run has none")
    sizes = [round(total * share) for share in SHARES]
    if sizes[0] < 2 * (option(case, "num_classes") or 1) or sizes[0] < 8:
        raise UserError(f"{run.path}: an eighth of {count(total)} training rows is too few for a learning curve")
    seconds = run.evaluation.get("timing", {}).get("train", 0.0) * len(sizes)
    wanted = [size for size in sizes if not (run.path / "learning_curve" / f"rows-{size}" / "evaluation.json").exists()]
    if wanted:
        names = ", ".join(count(size) for size in wanted)
        expected = duration(seconds * len(wanted) / len(sizes))
        say(f"training on {names} of {count(total)} rows, as many updates each as the run made: about {expected}")
    runs = [_trained_on(run, size, total, say) for size in sizes]
    return _drawn_on(case, np.array([*sizes, total], dtype=np.float64), [*runs, run])


def _trained_on(run: Run, rows: int, total: int, say: Say) -> Run:
    """The run of so many rows: as it is there, gone on with, or trained."""
    folder = run.path / "learning_curve" / f"rows-{rows}"
    if (folder / "evaluation.json").exists():
        return load_run(folder)
    if (folder / "recipe.toml").exists():
        return resume(folder, say=say)
    return train_recipe(on_rows(run.recipe, rows, total), folder)


def on_rows(recipe: Recipe, rows: int, total: int) -> Recipe:
    """The recipe on `rows` of its `total` training rows, with as many updates: what is counted in epochs is stretched."""
    train = recipe.train
    size = min(train.batch_size, rows)
    longer = -(-total // train.batch_size) / -(-rows // size)
    schedule = replace(
        train.schedule,
        every=train.schedule.every * longer,
        hold=train.schedule.hold * longer,
        milestones=tuple(epoch * longer for epoch in train.schedule.milestones),
        patience=max(1, round(train.schedule.patience * longer)),
    )
    tune = replace(train.fine_tune, unfreeze_every=round(train.fine_tune.unfreeze_every * longer))
    patience = None if train.patience is None else max(1, round(train.patience * longer))
    train = replace(
        train,
        batch_size=size,
        epochs=max(1, round(train.epochs * longer)),
        schedule=schedule,
        fine_tune=tune,
        patience=patience,
    )
    return replace(recipe, data=replace(recipe.data, rows=rows), train=train)


def _drawn_on(case: Case, rows: np.ndarray, runs: list[Run]) -> dict[str, Any]:
    """The curve through the validation errors of the runs, and what it says of more rows."""
    metric, direction = metric_of(case)
    assessments = [run.assess("validation") for run in runs]
    measures = [measure_of(assessment, metric) for assessment in assessments]
    values = np.array([[assessment.metrics[metric] for assessment in assessments]])
    judged = len(assessments[0].targets)
    if all(measure is not None for measure in measures):
        random = np.random.default_rng(case.seed)
        drawn = [random.integers(judged, size=judged) for _ in range(RESAMPLES)]
        again = [[measure.statistic(chosen) for measure in measures if measure is not None] for chosen in drawn]
        values = np.concatenate([values, np.array(again)])
    errors = 1 - values if direction == "max" else values
    if len(errors) > 1:
        moves = np.array([unrest(run.history, metric) for run in runs])
        errors[1:] += np.random.default_rng(case.seed + 1).normal(size=(RESAMPLES, len(runs))) * moves
    spread = errors[1:].std(axis=0) if len(errors) > 1 else None
    curve = fit_curve(rows, errors, None if spread is None else np.maximum(spread, 0.1 * spread.max()))
    today = curve.at(rows[-1])
    further = []
    for times in FURTHER:
        foretold = curve.at(times * rows[-1])
        low, high = np.quantile(foretold[1:], (0.025, 0.975)) if len(errors) > 1 else (np.nan, np.nan)
        gain = (today - foretold) / np.maximum(today, 1e-12)
        least, most = np.quantile(gain[1:], (0.025, 0.975)) if len(errors) > 1 else (0.0, 1.0)
        further.append(
            {
                "times": times,
                "error": float(foretold[0]),
                "low": _known(low),
                "high": _known(high),
                "least gain": float(least),
                "most gain": float(most),
            }
        )
    found = {
        "metric": metric,
        "error": f"1 − {metric_words(metric)}" if direction == "max" else metric_words(metric),
        "rows": [int(size) for size in rows],
        "errors": [float(value) for value in errors[0]],
        "deviations": None if spread is None else [float(value) for value in spread],
        "curve": {"a": float(curve.a[0]), "b": float(curve.b[0]), "c": float(curve.c[0])},
        "fitted": float(today[0]),
        "further": further,
    }
    return {**found, "said": told_of(found)}


def unrest(history: Sequence[Mapping[str, Any]], metric: str) -> float:
    """The deviation of the best of some ten epochs, as far as epochs tell: `BEST_OF` times that of one epoch, which is that of
    the differences of neighbours in the second half of the training over the root of 2."""
    values = np.array([one[f"validation_{metric}"] for one in history if f"validation_{metric}" in one])
    steps = np.diff(values[len(values) // 2 :])
    return float(BEST_OF * np.sqrt((steps**2).mean() / 2)) if len(steps) > 1 else 0.0


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def told_of(found: dict[str, Any]) -> str:
    """Whether more rows would help, in a sentence; where the interval holds both, that the curve cannot tell."""

    def said(error: float) -> str:
        return percent(error, 1) if is_share(found["metric"]) else number(error, 3)

    far = found["further"][-1]
    rows, now = count(found["rows"][-1]), said(found["errors"][-1])
    if far["low"] is None:
        return (
            f"the error went from {said(found['errors'][0])} on {count(found['rows'][0])} rows to {now} on {rows}; how sure a "
            "curve through it is cannot be told for this metric"
        )
    span = f"{said(far['error'])} ({said(far['low'])} to {said(far['high'])})"
    if far["least gain"] >= WORTH:
        near = found["further"][0]
        return (
            f"more rows would help: from {now} on {rows} rows to about {said(near['error'])} with twice and {span} with four "
            "times as many"
        )
    if far["most gain"] < WORTH:
        return f"more rows would hardly help: {now} on {rows} rows, and {span} with four times as many"
    return (
        f"the curve cannot tell whether more rows would help: {now} on {rows} rows, and with four times as many between "
        f"{said(far['low'])} and {said(far['high'])}"
    )

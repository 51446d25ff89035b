"""Comparing runs: what differs in their settings, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gradus import settings
from gradus.errors import UserError, unknown_name
from gradus.recipes.run import Run
from gradus.train.observers import format_metric


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"train": {"epochs": 5}}` -> `{"train.epochs": 5}`."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict):
            flat |= flatten(value, path + ".")
        else:
            flat[path] = value
    return flat


def draw_curves(runs: Sequence[Run], path: Path, metric: str = "") -> list[str]:
    """Draws how a metric went in each run, those that differ in nothing but their seeds as one curve with a band.

    metric: as it is called in a run's metrics.jsonl ("validation_return", "train_loss"), with or without the first word; empty:
            the one that the task is judged by. Of runs that act it is drawn by steps of the environment, of others by epochs.

    Returns the names of the curves. Raises `UserError` for a metric that a run has not.
    """
    from gradus.look.returns import Curves, draw_returns

    acts = all(run.task.name == "control" for run in runs)
    groups: dict[str, tuple[str, list[np.ndarray], list[np.ndarray]]] = {}
    wanted = metric or runs[0].task.monitored("")[0]
    for run in runs:
        name, history = _column_of(run, wanted)
        place = "samples" if acts else "epoch"
        kept = [record for record in history if name in record]
        recipe = flatten(settings.to_dict(run.recipe))
        key = repr({field: value for field, value in recipe.items() if field not in ("train.seed", "data.split_seed")})
        label = run.recipe.name or f"{run.recipe.model.name}, {run.recipe.data.source}"
        _, places, values = groups.setdefault(key, (label, [], []))
        places.append(np.array([record[place] for record in kept], np.float64))
        values.append(np.array([record[name] for record in kept], np.float64))
    labels = [label for label, _, _ in groups.values()]
    curves = [
        Curves(label if labels.count(label) == 1 else f"{label} ({labels[: index + 1].count(label)})", places, values)
        for index, (label, places, values) in enumerate(groups.values())
    ]
    published = {
        run.recipe.published.value for run in runs if run.recipe.published and run.recipe.published.metric == wanted
    }
    goal = published.pop() if len(published) == 1 else None
    draw_returns(path, curves, metric=name, across="environment steps" if acts else "epoch", goal=goal)
    return [one.name for one in curves]


def _column_of(run: Run, metric: str) -> tuple[str, list[dict[str, Any]]]:
    """What a metric is called in the history of a run, and the history."""
    history = run.history
    known = list(dict.fromkeys(name for record in history for name in record))
    for name in (metric, f"validation_{metric}", f"train_{metric}"):
        if name in known:
            return name, history
    raise unknown_name("metric", metric, known) if history else UserError(f"{run.path}: no epoch was finished yet")


def compare(runs: Sequence[Run]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a table with one column a run: differing settings first, then the measured metrics.

    Metrics of a run are those measured when its training ended; an unfinished run has none ("-"). Where the
    runs were not judged on the same rows, a line of the table says so.
    """
    if len(runs) < 2:
        raise UserError("compare needs at least two runs")
    sources = {str(run.recipe.data.source) for run in runs}
    recipes = [flatten(settings.to_dict(run.recipe)) for run in runs]
    keys = list(dict.fromkeys(key for recipe in recipes for key in recipe))
    rows = []
    for key in keys:
        values = [str(recipe.get(key, "-")) for recipe in recipes]
        if len(set(values)) > 1 and key not in ("name", "about"):
            rows.append([key, *values])
    evaluations = [run.evaluation for run in runs]
    splits = {str(evaluation["split"]) for evaluation in evaluations if evaluation}
    if len(splits) > 1 or len(sources) > 1:
        rows.append(["(not the same rows: figures do not compare)", *("" for _ in runs)])
    rows.append(["judged on", *(str(evaluation.get("split", "-")) for evaluation in evaluations)])
    names = list(dict.fromkeys(name for evaluation in evaluations for name in evaluation.get("metrics", {})))
    for name in names:
        found = [evaluation.get("metrics", {}).get(name) for evaluation in evaluations]
        rows.append([name, *("-" if value is None else format_metric(name, value) for value in found)])
    seconds = [evaluation.get("timing", {}).get("train") for evaluation in evaluations]
    rows.append(["training seconds", *("-" if value is None else f"{value:.1f}" for value in seconds)])
    return ["", *(str(run.path) for run in runs)], rows

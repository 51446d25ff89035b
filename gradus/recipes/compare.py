"""Comparing runs: what differs in their settings, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradus import settings
from gradus.errors import UserError
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

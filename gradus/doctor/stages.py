"""The errors of a trained run on the rows it learnt from, on those kept aside, and the best that is known: the stages of `gaps`.

Every error is of the metric that the run is judged by: 1 - metric where more is better, the metric itself where less is. All rows
are judged as in use: by the weights that the run kept, without augmentation and without dropout.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gradus.data.dataset import Split
from gradus.data.device_rows import DeviceRows, Windows
from gradus.data.load import read_data
from gradus.data.splits import classes_of, complete_splits, hold_out
from gradus.doctor.case import Case, NotHere
from gradus.doctor.checks import labels
from gradus.doctor.gaps import Stage
from gradus.errors import UserError
from gradus.look.measures import confidence_interval
from gradus.look.text import is_number, is_share, metric_words, number, percent
from gradus.tasks.control import ControlTask

MOST_ROWS = 5_000  # of training rows, and of training-validation rows
MOST_JUDGED = 10_000  # of validation and test rows
BLOCKS = 20  # of a jackknife, where a metric has no interval of its own


@dataclass(frozen=True)
class Errors:
    """What was measured.

    metric:    its name, and "max" or "min"
    stages:    as `name_gaps` takes them
    scale:     the error of the simplest baseline, which knows nothing but the targets; 1 for shares
    bound_is:  where the bound is from, in words
    elsewhere: the stages whose rows may be of another source
    """

    metric: str
    direction: str
    stages: dict[str, Stage]
    scale: float
    bound_is: str
    elsewhere: tuple[str, ...]

    def said(self, error: float) -> str:
        """An error as people read it."""
        if not self.is_share:
            return number(error, 3)
        return percent(error, 1 if abs(error) >= 0.01 else 2) if error else "0%"

    @property
    def is_share(self) -> bool:
        return is_share(self.metric)

    @property
    def words(self) -> str:
        """What is measured: "1 - accuracy", "mean absolute error"."""
        return f"1 − {metric_words(self.metric)}" if self.direction == "max" else metric_words(self.metric)


def measure_errors(case: Case) -> Errors:
    """Judges a run on all its splits, once a case. Raises `NotHere` where its metric is no error."""
    return case.once("errors by stage", lambda: _measure(case))


def _measure(case: Case) -> Errors:
    run = case.trained
    if not run.evaluation:
        raise NotHere("this run has not finished")
    if isinstance(case.task, ControlTask):
        raise NotHere("returns are those of episodes, which belong to no split")
    metric, direction = metric_of(case)
    stages: dict[str, Stage] = {}
    for name in ("train", "validation", "test"):
        if name in case.tensors:
            most = MOST_ROWS if name == "train" else MOST_JUDGED
            stages[name] = _stage_of(case, case.tensors[name], metric, direction, most)
    aside = rows_aside(case)
    if aside is not None:
        stages["train-validation"] = _stage_of(case, case.task.encode(aside), metric, direction, MOST_ROWS)
    if len(stages) < 2:
        raise NotHere("no rows were kept aside")
    elsewhere = tuple(name for name in ("validation", "test") if name in stages and name not in case.dataset.drawn)
    baselines = _baseline_errors(run.evaluation, metric, direction)
    scale = 1.0 if is_share(metric) or direction == "max" else max(baselines.values(), default=stages["train"].error)
    bound, bound_is = _bound(case, metric, baselines, stages)
    if bound is not None:
        stages["bound"] = Stage(bound, 0.0, bound, bound)
    return Errors(metric, direction, stages, scale or 1.0, bound_is, elsewhere)


def metric_of(case: Case) -> tuple[str, str]:
    """The metric that the run is judged by, and its direction: the one that chose its weights, unless that was the loss."""
    monitor = case.recipe.train.monitor
    return case.task.monitored("" if monitor == "loss" else monitor)


def _stage_of(case: Case, tensors: dict[str, Any], metric: str, direction: str, most: int) -> Stage:
    """The error on rows, with its standard error: from the interval of the metric, or else by a jackknife over blocks."""
    run = case.trained
    rows = _some(tensors, most, case.seed)
    outputs = run.outputs(rows)
    assessment = run.task.assess(outputs, rows["targets"])
    value = assessment.metrics.get(metric)
    if not is_number(value):
        raise NotHere(f"{metric_words(metric)} is no error that rows of a split could have")
    total = len(rows["targets"])
    interval = confidence_interval(assessment, metric)
    if interval is not None:
        low, high = interval.low, interval.high
        deviation = (high - low) / (2 * 1.96)
    else:
        deviation = _jackknife(case, outputs, rows["targets"], metric)
        low, high = value - 1.96 * deviation, value + 1.96 * deviation
    if direction == "max":
        return Stage(1 - value, deviation, 1 - high, 1 - low, total)
    return Stage(value, deviation, low, high, total)


def _some(tensors: dict[str, Any], most: int, seed: int) -> dict[str, Any]:
    """At most so many rows, chosen by the seed; the first ones where rows are read one after the other."""
    total = len(tensors["targets"])
    if total <= most:
        return tensors
    first = next(iter(tensors.values()))
    in_turn = first.batch_rows if isinstance(first, DeviceRows) else None
    chosen = (
        np.arange(max(1, most // in_turn) * in_turn)
        if in_turn
        else np.sort(np.random.default_rng(seed).permutation(total)[:most])
    )
    return {name: _at(rows, torch.from_numpy(chosen)) for name, rows in tensors.items()}


def _at(rows: Any, chosen: torch.Tensor) -> Any:
    """Some of the rows; of windows that are seen of a series still a view, since forecasts are judged by where they stand."""
    return rows.only(chosen) if isinstance(rows, Windows) else rows[chosen]


def _jackknife(case: Case, outputs: torch.Tensor, targets: Any, metric: str) -> float:
    """The standard error of any metric: each of `BLOCKS` blocks of rows is left out once (Efron & Tibshirani 1993, §11.5)."""
    total = len(targets)
    beside = case.task.batch_rows or 1  # rows that are read beside each other stay together
    blocks = [block.reshape(-1) for block in np.array_split(np.arange(total).reshape(-1, beside), BLOCKS) if len(block)]
    values = []
    for block in blocks:
        kept = torch.from_numpy(np.setdiff1d(np.arange(total), block))
        if len(kept):
            values.append(case.trained.task.assess(outputs[kept], _at(targets, kept)).metrics.get(metric, math.nan))
    known = np.array([value for value in values if is_number(value)])
    if len(known) < 2:
        return math.inf
    return float(np.sqrt((len(known) - 1) / len(known) * ((known - known.mean()) ** 2).sum()))


def rows_aside(case: Case) -> Split | None:
    """Rows of the training source that were not learnt from: those that `data.rows` left out, where another source validates.
    None where there are none, or where they follow each other in time."""
    data = case.recipe.data
    if not data.rows or case.dataset.ordered or "validation" in case.dataset.drawn or data.folds:
        return None
    try:
        whole = read_data(data)
    except UserError:  # the rows were given in Python
        return None
    whole = complete_splits(whole, data.validation, data.test, data.split_seed, data.target)
    train = whole["train"]
    if data.rows >= len(train):
        return None
    target = case.dataset.target
    classes = classes_of(train[target] if target and "," not in target else None)
    return train.take(hold_out(len(train), len(train) - data.rows, data.split_seed, classes)[1])


def _baseline_errors(evaluation: dict[str, Any], metric: str, direction: str) -> dict[str, float]:
    found = {name: values.get(metric) for name, values in evaluation.get("baselines", {}).items()}
    return {name: 1 - value if direction == "max" else value for name, value in found.items() if is_number(value)}


def _bound(case: Case, metric: str, baselines: dict[str, float], stages: dict[str, Stage]) -> tuple[float | None, str]:
    """The error of the best known answer, and where it is from. Of shares it is taken as zero; of accuracies as the share of
    labels that are wrong or a matter of chance, where no rows kept aside are answered with fewer mistakes. The noise in numbers
    is not known: then it is what a simple method reaches, if that is better."""
    if case.bound is not None:
        return case.bound, "given with --bound"
    if is_share(metric):
        wrong = _wrong_labels(case) if metric == "accuracy" else 0.0
        aside = [stage.error for name, stage in stages.items() if name != "train"]
        if wrong and aside and wrong <= min(aside):
            told = "the least share of training labels that are wrong or a matter of chance; --bound gives another"
            return wrong, told
        return 0.0, "taken as zero; --bound gives another, such as people's"
    best = min(baselines, key=lambda name: baselines[name], default="")
    if best and baselines[best] < stages["train"].error:
        return baselines[best], f"what {best} reaches; --bound gives another"
    return None, "not known; --bound gives it"


def _wrong_labels(case: Case) -> float:
    """The share of training labels that are wrong or a matter of chance, at the least; 0 where the check did not ask or find."""
    found = case.measured.get("labels")
    if not found or found["level"] > labels.LEVEL or found["decent"] < labels.DECENT:
        return 0.0
    least = float(found["wrong"][1])
    return least if least >= labels.LEAST else 0.0

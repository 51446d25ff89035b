"""Choosing one of several models, or one of the thresholds of a model, by what is to be best and what only has to be good enough.

One metric is optimised, the others have to satisfy a limit (course notes §3.1.4). Where several matter at once they are made one
number first: their mean, weighted or not, or the harmonic mean, in which the worst decides.
"""

from __future__ import annotations

import math
import operator
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from gradus.doctor.case import NotHere
from gradus.doctor.thresholds import questions
from gradus.errors import UserError, unknown_name
from gradus.recipes.run import Run
from gradus.tasks.directions import direction_of

TRIED = 99  # thresholds of one run
WARM, TIMED = 5, 30  # answers before the clock starts, and those that are timed
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
Values = Mapping[str, float]


@dataclass(frozen=True)
class Limit:
    """What has to hold: a metric, "<", "<=", ">" or ">=", and a number."""

    metric: str
    sign: str
    number: float

    def holds(self, values: Values) -> bool:
        return COMPARISONS[self.sign](_value(values, self.metric), self.number)


def parse_limits(text: str) -> list[Limit]:
    """ "latency_ms<10, accuracy>=0.9" -> limits. Raises `UserError` for anything else."""
    limits = []
    for part in filter(None, (one.strip() for one in text.split(","))):
        found = re.fullmatch(r"(\w+)\s*(<=|>=|<|>)\s*([-+.\deE]+)", part)
        try:
            limits.append(Limit(found[1], found[2], float(found[3])))  # type: ignore[index]
        except (TypeError, ValueError):
            raise UserError(
                f'--subject-to: expected METRIC<NUMBER, such as "latency_ms<10"; received "{part}"'
            ) from None
    return limits


def goal_of(text: str) -> Callable[[Values], float]:
    """What is to be greatest: a metric, "mean(accuracy, 2*recall)" or "harmonic(precision, recall)". Metrics of which less is
    better, such as loss, are turned about; they cannot stand in a mean. Raises `UserError` for another form; what it
    returns raises it for metrics that are not there, or of which neither more nor less is better."""
    found = re.fullmatch(r"(mean|harmonic)\((.+)\)", text.strip())
    if not found:
        return lambda values: _towards_best(values, text.strip())
    parts = []
    for part in found[2].split(","):
        weight, times, name = part.rpartition("*")
        try:
            parts.append((float(weight) if times else 1.0, name.strip()))
        except ValueError:
            raise UserError(f'--optimise: expected NUMBER*METRIC in "{text}", received "{part.strip()}"') from None
        if direction_of(parts[-1][1]) == "min" or not 0 < parts[-1][0] < math.inf:
            raise UserError(f'--optimise: in "{text}" only metrics of which more is better, with weights above 0')
    return lambda values: single_number(
        [_towards_best(values, name) for _, name in parts],
        [weight for weight, _ in parts],
        harmonic=found[1] == "harmonic",
    )


def _towards_best(values: Values, metric: str) -> float:
    """The metric, turned about where less of it is better."""
    value, direction = _value(values, metric), direction_of(metric)
    if direction is None:
        raise UserError(
            f"--optimise: neither more nor less of {metric} is better by itself; give it a limit with --subject-to"
        )
    return value if direction == "max" else -value


def single_number(values: Sequence[float], weights: Sequence[float] | None = None, *, harmonic: bool = False) -> float:
    """The weighted mean of several metrics, or their weighted harmonic mean (F1 is that of precision and recall), which is 0
    where one of them is 0."""
    weights = [1.0] * len(values) if weights is None else weights
    if not harmonic:
        return sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)
    if min(values) <= 0:
        return 0.0
    return sum(weights) / sum(w / v for w, v in zip(weights, values, strict=True))


def _value(values: Values, metric: str) -> float:
    if metric not in values:
        raise unknown_name("metric", metric, values)
    return values[metric]


def choose(models: Mapping[str, Values], optimise: str, subject_to: str = "") -> tuple[str | None, list[str]]:
    """The model with the best `optimise` among those that satisfy all of `subject_to`, of equals the first, or None; and
    the names of those that do not satisfy it.

    choose({"1": {"f1": .9, "ms": 80}, "2": {"f1": .92, "ms": 95}, "3": {"f1": .95, "ms": 1500}}, "f1", "ms<100") is "2".
    """
    limits, goal = parse_limits(subject_to), goal_of(optimise)
    refused = [name for name, values in models.items() if not all(limit.holds(values) for limit in limits)]
    left = {name: goal(values) for name, values in models.items() if name not in refused}
    left = {name: value for name, value in left.items() if not math.isnan(value)}
    return (max(left, key=lambda name: left[name]) if left else None), refused


def measures_of(run: Run, split: str) -> dict[str, float]:
    """The metrics of a split, and what the model costs: latency_ms of one row (batches of one, the median of thirty after five to
    warm up, on this machine), size_mb of its weights in memory, parameters."""
    size = sum(tensor.numel() * tensor.element_size() for tensor in run.model.state_dict().values())
    return {
        **run.evaluate(split),
        "latency_ms": latency(run, split),
        "size_mb": size / 1e6,
        "parameters": float(sum(parameter.numel() for parameter in run.model.parameters())),
    }


def latency(run: Run, split: str) -> float:
    """Milliseconds from an encoded row to the network's answer for it: the median, rows taken one by one."""
    tensors, seconds = run.experiment.tensors[split], []
    rows = len(tensors["targets"])
    with torch.inference_mode(), run.plan.autocast():
        for turn in range(WARM + TIMED):
            row = torch.tensor([turn % rows])
            batch = {name: tensor[row].to(run.plan.device) for name, tensor in tensors.items()}
            started = time.perf_counter()
            inputs, _ = run.task.prepare(batch, training=False)
            run.model(inputs)
            run.plan.synchronize()
            seconds.append(time.perf_counter() - started)
    return 1000 * statistics.median(seconds[WARM:])


def values_by_threshold(run: Run, split: str) -> dict[str, dict[str, dict[str, float]]]:
    """Answer -> threshold -> metrics of giving this answer above it, for the second of two classes, or for each label:
    accuracy, precision, recall, f1, macro_f1, balanced_accuracy, false_alarms (share of the "no" rows). Raises `UserError`
    for answers of other kinds."""
    try:
        asked = questions(run.assess(split))
    except NotHere:
        raise UserError(
            f"{run.path}: thresholds are for two classes, or labels; name several runs to choose among"
        ) from None
    thresholds = np.linspace(0.01, 0.99, TRIED)
    return {
        one.name: {
            f"{threshold:.2f}": _at(one.probability > threshold + 1e-9, one.positive) for threshold in thresholds
        }
        for one in asked
    }


def _at(yes: np.ndarray, there: np.ndarray) -> dict[str, float]:
    hits, alarms = float((yes & there).sum()), float((yes & ~there).sum())
    positive, negative = float(there.sum()), float((~there).sum())
    refused = negative - alarms
    f1 = 2 * hits / max(hits + alarms + positive, 1)
    f1_of_no = 2 * refused / max(2 * refused + alarms + positive - hits, 1)
    recall, specificity = hits / max(positive, 1), refused / max(negative, 1)
    return {
        "accuracy": (hits + refused) / len(there),
        "precision": hits / max(hits + alarms, 1),
        "recall": recall,
        "f1": f1,
        "macro_f1": (f1 + f1_of_no) / 2,
        "balanced_accuracy": (recall + specificity) / 2,
        "false_alarms": alarms / max(negative, 1),
    }

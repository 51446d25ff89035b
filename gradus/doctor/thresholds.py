"""Decisions by what mistakes cost: another threshold than one half, chosen on validation rows and judged on test rows.

A row costs `weights[true class]` where it is answered wrong. The answer of least expected cost is the class of the greatest
weight x probability: of two classes the second from p = w1 / (w1 + w2) on (Elkan 2001, "The foundations of cost-sensitive
learning", eq. 2). That trusts the probabilities; `best_threshold` trusts the validation rows instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gradus.doctor.case import NotHere
from gradus.errors import UserError, unknown_name
from gradus.look.measures import Interval
from gradus.recipes.run import Run
from gradus.tasks.assessment import Assessment, ClassAssessment, LabelsAssessment

LEAST = 20  # rows with and without a label, below which no threshold is chosen for it
Score = Callable[[np.ndarray, np.ndarray], np.ndarray]  # hits, false alarms, (K,) -> what is to be greatest, (K,)


def parse_costs(text: str) -> dict[str, float]:
    """ "fn=10,fp=1" -> {"fn": 10, "fp": 1}: what a missed row and a false alarm cost; or class names: what a mistake on
    their rows costs. Raises `UserError` for anything else."""
    costs = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        try:
            costs[name.strip()] = float(value)
        except ValueError:
            equals = ""
        if not equals or not 0 < costs[name.strip()] < float("inf"):
            raise UserError(f"--cost: expected NAME=NUMBER above 0, such as fn=10,fp=1; received '{part}'")
    return costs


@dataclass(frozen=True)
class Chosen:
    """A threshold: a row is answered "yes" where its probability is above it. score: what it gives on the rows that chose it."""

    threshold: float
    score: float


def best_threshold(probability: np.ndarray, positive: np.ndarray, score: Score) -> Chosen:
    """The threshold with the greatest `score` among all that part these rows differently; the middle between two rows, and of
    equal ones that nearest to one half. probability (N,), positive bool (N,)."""
    order = np.argsort(-probability, kind="stable")
    sorted_up = probability[order]
    last = np.append(np.diff(sorted_up) != 0, True)
    hits = np.append(0, np.cumsum(positive[order])[last])
    alarms = np.append(0, np.cumsum(~positive[order])[last])
    levels = np.concatenate(([1.0], sorted_up[last], [0.0]))
    middles = (levels[:-1] + levels[1:]) / 2
    values = score(hits.astype(float), alarms.astype(float))
    best = np.flatnonzero(values >= values.max() - 1e-12)
    place = int(best[np.argmin(np.abs(middles[best] - 0.5))])
    return Chosen(float(middles[place]), float(values[place]))


def by_cost(missed: float, alarm: float, positive: np.ndarray) -> Score:
    """Minus the mean cost of a row, where a missed row costs `missed` and a false alarm `alarm`."""
    there = positive.sum()
    return lambda hits, alarms: -(missed * (there - hits) + alarm * alarms) / len(positive)


def by_f1(positive: np.ndarray) -> Score:
    """The F1 of "yes"."""
    there = positive.sum()
    return lambda hits, alarms: 2 * hits / np.maximum(hits + alarms + there, 1)


def by_macro_f1(positive: np.ndarray) -> Score:
    """The mean of the F1 of "yes" and that of "no"."""
    yes, no = int(positive.sum()), int((~positive).sum())

    def score(hits: np.ndarray, alarms: np.ndarray) -> np.ndarray:
        of_no = 2 * (no - alarms) / np.maximum(2 * no + yes - hits - alarms, 1)
        return (2 * hits / np.maximum(hits + alarms + yes, 1) + of_no) / 2

    return score


def by_balance(positive: np.ndarray) -> Score:
    """The mean of the shares of "yes" and of "no" rows that are answered rightly."""
    yes, no = max(int(positive.sum()), 1), max(int((~positive).sum()), 1)
    return lambda hits, alarms: (hits / yes + 1 - alarms / no) / 2


@dataclass(frozen=True)
class Question:
    """One yes-or-no question of an assessment: "is it `name`?" probability (N,), positive bool (N,)."""

    name: str
    probability: np.ndarray
    positive: np.ndarray


def questions(found: Assessment) -> list[Question]:
    """Of two classes whether it is the second one; of labels each. Raises `NotHere` for other answers."""
    if isinstance(found, ClassAssessment) and len(found.classes) == 2:
        return [Question(found.classes[1], found.probabilities[:, 1], found.targets == 1)]
    if isinstance(found, LabelsAssessment):
        return [
            Question(name, found.probabilities[:, place], found.targets[:, place])
            for place, name in enumerate(found.classes)
        ]
    raise NotHere("thresholds are for two classes, or labels")


@dataclass(frozen=True)
class Decision:
    """What deciding by cost changes, on the rows of `split`.

    before, after: what a row costs on average, in the unit of the costs: by the answers as they were, and by cost
    saved:         their difference, with its 95 % interval
    thresholds:    of each question, empty for more than two classes
    chosen_on:     the split that chose them, or "probabilities"
    """

    split: str
    chosen_on: str
    thresholds: dict[str, float]
    before: float
    after: float
    saved: float
    interval: Interval


def decide_by_cost(run: Run, costs: dict[str, float]) -> Decision:
    """Thresholds chosen on the validation rows for the least cost, and what they save on the test rows.

    Raises `UserError` for names that are neither fn, fp nor classes, or a run without such rows.
    """
    splits = run.experiment.tensors
    if "validation" not in splits or "test" not in splits:
        raise UserError(
            f"{run.path}: a threshold is chosen on validation rows and judged on test rows; both are needed"
        )
    chooses, judges = run.assess("validation"), run.assess("test")
    if {*costs} <= {"fn", "fp"}:
        return _by_thresholds(chooses, judges, costs.get("fn", 1.0), costs.get("fp", 1.0))
    if not isinstance(judges, ClassAssessment):
        raise UserError(f"--cost: expected fn and fp, received {', '.join(costs)}")
    for name in costs:
        if name not in judges.classes:
            raise unknown_name("class", name, ["fn", "fp", *judges.classes])
    if len(judges.classes) == 2:
        alarm, missed = (costs.get(name, 1.0) for name in judges.classes)
        return _by_thresholds(chooses, judges, missed, alarm)
    weights = np.array([costs.get(name, 1.0) for name in judges.classes])
    mine = weights[judges.targets]
    before, answers = judges.predictions, (judges.probabilities * weights).argmax(axis=1)
    lost = [mine * (one != judges.targets) for one in (before, answers)]
    saved, interval = _saving(*lost)
    return Decision("test", "probabilities", {}, float(lost[0].mean()), float(lost[1].mean()), saved, interval)


def _by_thresholds(chooses: Assessment, judges: Assessment, missed: float, alarm: float) -> Decision:
    try:
        pairs = list(zip(questions(chooses), questions(judges), strict=True))
    except NotHere as reason:
        raise UserError(f"--cost: {reason}; name classes instead, such as --cost NAME=10") from None
    thresholds, lost = {}, [np.zeros(len(judges.targets)), np.zeros(len(judges.targets))]
    for on, other in pairs:
        chosen = best_threshold(on.probability, on.positive, by_cost(missed, alarm, on.positive)).threshold
        if len(pairs) > 1 and min(on.positive.sum(), (~on.positive).sum()) < LEAST:
            chosen = 0.5
        thresholds[on.name] = chosen
        for place, threshold in enumerate((0.5, chosen)):
            yes = other.probability > threshold
            lost[place] += missed * (other.positive & ~yes) + alarm * (~other.positive & yes)
    saved, interval = _saving(*lost)
    return Decision("test", "validation", thresholds, float(lost[0].mean()), float(lost[1].mean()), saved, interval)


def _saving(before: np.ndarray, after: np.ndarray) -> tuple[float, Interval]:
    """The mean of what rows cost less, and its interval by 2,000 bootstrap means."""
    return float((before - after).mean()), paired_interval(before - after)


def paired_interval(difference: np.ndarray, share: float = 0.95, seed: int = 0, draws: int = 2_000) -> Interval:
    """The bootstrap interval of the mean of paired differences (N,): rows are drawn again with their pair."""
    generator = np.random.default_rng(seed)
    values, counts = np.unique(difference, return_counts=True)
    if len(values) <= 50:  # few values: how often each is drawn is all that matters
        means = generator.multinomial(len(difference), counts / len(difference), size=draws) @ values / len(difference)
    else:
        means = np.array(
            [difference[generator.integers(len(difference), size=len(difference))].mean() for _ in range(draws)]
        )
    low, high = np.quantile(means, ((1 - share) / 2, (1 + share) / 2))
    return Interval(float(low), float(high), f"paired bootstrap, {draws:,} resamples")

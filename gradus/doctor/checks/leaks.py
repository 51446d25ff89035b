"""Inputs that are the answer: a column that is made from the target.

A column may be strong. It leaks where it alone gives (nearly) every answer and all others together do clearly worse, or no other
alone comes near: properties that are measured come in several that are about as good. A single column is judged by a small tree,
out of fold, the others by the best of the simple methods.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np

from gradus.data.splits import k_fold
from gradus.doctor.case import Case, NotHere
from gradus.doctor.data_commands import scan_command
from gradus.doctor.finding import Finding
from gradus.doctor.rows import Rows, answers_of, rows_of
from gradus.doctor.simple import FOLDS, out_of_fold

FEWEST = 50  # rows below which nothing is said
MOST = 2_000
PERFECT = 0.97  # of the way from always the same answer to every one right (or of the variance explained)
SURELY, LEFT_BEHIND = (
    0.99,
    0.8,
)  # a column that leaves so little, where no other alone comes so far, leaks whatever the rest does
WORSE = 4.0  # times as much is left unexplained by all other columns together
CERTAIN = 3.3  # deviations by which it must be more
CANDIDATES = 16  # of pixels and words: those that go with the target most, which are also tried together


class Told(NamedTuple):
    """skill: 0 as good as always the same answer, 1 perfect; costs: (N,) what each row's answer costs, 0 where it is right."""

    skill: float
    costs: np.ndarray


def find_target_leak(case: Case) -> list[Finding]:
    """A column from which alone the target can be told, where the others together cannot."""
    if case.dataset.ordered:
        raise NotHere("the target's own past may tell it: asked of windows elsewhere")
    rows = rows_of(case, "train", MOST)
    targets, num_classes = answers_of(case, rows, "train")
    if len(rows) < FEWEST or len(np.unique(targets)) < 2:
        raise NotHere("there are too few training rows")
    columns = _candidates(rows, targets, num_classes)
    told = {name: _by_tree(rows, places, targets, num_classes) for name, places in columns.items()}
    best = sorted(told, key=lambda name: -told[name].skill)
    case.measured["single columns"] = {name: round(told[name].skill, 4) for name in best[:5]}
    leaking = [name for name in best if told[name].skill >= PERFECT]
    if not leaking:
        return []
    remaining = _without(rows, [columns[name] for name in leaking])
    if remaining.kind == "numbers" and not np.ptp(remaining.features, axis=0).any():
        raise NotHere("there is only one input" if len(leaking) == 1 else "each input alone tells the target")
    others = _by_all(remaining, targets, num_classes)
    next_best = max((told[name].skill for name in best if name not in leaking), default=0.0)
    case.measured["single columns"]["all others"] = round(others.skill, 4)
    found = [name for name in leaking if _much_better(told[name], others)]
    rest = f"all other inputs together come to {100 * max(others.skill, 0):.1f} %"
    if not found:
        found = [name for name in leaking if told[name].skill >= SURELY and next_best < LEFT_BEHIND]
        rest = f"no other input alone comes above {100 * max(next_best, 0):.1f} %"
    return [_leak(case, found[0], told[found[0]].skill, rest, num_classes)] if found else []


def _leak(case: Case, name: str, skill: float, rest: str, num_classes: int | None) -> Finding:
    what = "right answers" if num_classes else "variance explained"
    return Finding(
        kind="target-leak",
        told=f"{name} alone tells '{case.task.target_column}' almost perfectly ({100 * skill:.1f} % of the way to all {what}), "
        f"where {rest}: is it known before the answer is?",
        where=name,
        value=skill,
        usual=f"below {PERFECT:g} for one column alone",
        strength=1.0,
        command=scan_command(case),
        others=(f"take {name} out of the data, and train again",),
    )


def _candidates(rows: Rows, targets: np.ndarray, num_classes: int | None) -> dict[str, Any]:
    """Name -> features, of what may be the target: columns; the pixels or words that go with it most, one by one and together."""
    if rows.columns:
        return {f"column '{name}'": places for name, places in rows.columns.items()}
    if rows.kind == "numbers":
        return {f"input {place}": slice(place, place + 1) for place in range(min(rows.features.shape[1], 200))}
    from sklearn.feature_selection import f_classif, f_regression

    if rows.kind == "pictures":
        raise NotHere("of pictures no single column can be named")
    with np.errstate(all="ignore"), warnings.catch_warnings():  # a word that none of these rows has
        warnings.simplefilter("ignore")
        strength = np.nan_to_num((f_classif if num_classes else f_regression)(rows.features, targets)[0])
    chosen = np.argsort(-strength, kind="stable")[:CANDIDATES]
    return {f"word number {place}": [int(place)] for place in chosen.tolist()} | {"a few words": chosen}


def _dense(features: Any) -> np.ndarray:
    return features.toarray() if hasattr(features, "toarray") else features


def _by_tree(rows: Rows, places: Any, targets: np.ndarray, num_classes: int | None) -> Told:
    """What a tree makes of some features alone, out of fold."""
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    features, told = _dense(rows.features[:, places]), np.zeros(len(targets))
    for kept, held in k_fold(len(targets), FOLDS, 0, targets if num_classes else None):
        if num_classes:
            tree = DecisionTreeClassifier(max_leaf_nodes=4 * num_classes, random_state=0)
            told[held] = tree.fit(features[kept], targets[kept]).predict(features[held])
        else:  # the tree finds any recoding, the line what trees have steps in
            tree = DecisionTreeRegressor(min_samples_leaf=3, random_state=0).fit(features[kept], targets[kept])
            line = np.polyfit(features[kept][:, 0], targets[kept], 1)
            both = tree.predict(features[held]), np.polyval(line, features[held][:, 0])
            told[held] = min(both, key=lambda one: ((one - targets[held]) ** 2).mean())
    return _told(told, targets, num_classes)


def _by_all(rows: Rows, targets: np.ndarray, num_classes: int | None) -> Told:
    """The best of the simple methods on all features."""
    said = out_of_fold(rows, targets, num_classes)
    every = [_told(one.argmax(axis=1) if num_classes else one, targets, num_classes) for one in said.values()]
    return max(every, key=lambda one: one.skill)


def _told(answers: np.ndarray, targets: np.ndarray, num_classes: int | None) -> Told:
    if num_classes:
        costs = (answers != targets).astype(np.float64)
        trivial = 1 - np.bincount(targets).max() / len(targets)
    else:
        costs = (answers - targets) ** 2
        trivial = targets.var()
    return Told(float(1 - costs.mean() / max(trivial, 1e-12)), costs)


def _much_better(one: Told, others: Told) -> bool:
    """Whether the rest leaves several times as much unexplained, beyond chance (a paired test over the rows)."""
    more = others.costs - one.costs
    deviation = more.std() / np.sqrt(len(more))
    return others.costs.mean() > WORSE * one.costs.mean() and more.mean() > CERTAIN * max(deviation, 1e-12)


def _without(rows: Rows, taken: list[Any]) -> Rows:
    kept = np.ones(rows.features.shape[1], dtype=bool)
    for places in taken:
        kept[places] = False
    return Rows(rows.numbers, rows.features[:, np.flatnonzero(kept)], rows.kind)

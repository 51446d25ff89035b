"""Is one run better than another? On the same rows, by what each answers for every one of them; and over seeds.

Rows are right or wrong: McNemar's exact test on those that only one of both answers rightly (McNemar 1947). Otherwise: the paired
bootstrap of the difference (Efron & Tibshirani 1993). Both say how far it would hold on other rows, for these two trained
models; whether it holds for the recipes is said by several seeds of each, with Welch's test, or the paired one where the seeds
are the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gradus import settings
from gradus.doctor.case import Case, NotHere
from gradus.doctor.checks.held_out_labels import find_wrong_held_out_labels
from gradus.doctor.error_table import ErrorTable, errors_of
from gradus.doctor.held_out_labels import judge_labels
from gradus.doctor.slice_candidates import candidates
from gradus.doctor.thresholds import paired_interval
from gradus.errors import UserError
from gradus.look.measures import Interval
from gradus.look.text import metric_words, plural
from gradus.recipes.compare import flatten
from gradus.recipes.run import Run

SURE = 0.05  # the two-sided level of "better"
SLICE_SURE = 0.01  # of a slice that changed, corrected for the number of slices
LEAST = 20  # rows of a slice
ROWS = 4_000  # of which slices are made, at most
SEEDS = ("train.seed",)
IGNORED = (*SEEDS, "data.split_seed", "name", "about", "train.threads", "train.precision", "train.device")


@dataclass(frozen=True)
class Pair:
    """Two error tables of the same rows.

    difference: error of the second minus that of the first, below 0: the second is better; interval: 95 %
    chance:     two-sided probability of such a difference where there is none
    only_first, only_second: rows that only this one answers rightly (0 where rows are not right or wrong)
    """

    difference: float
    interval: Interval
    chance: float
    only_first: int
    only_second: int


def mcnemar(only_first: int, only_second: int) -> float:
    """The two-sided exact probability of a split as uneven as this one where both are as good: binomial with one half."""
    from scipy.stats import binomtest

    total = only_first + only_second
    return float(binomtest(only_first, total, 0.5).pvalue) if total else 1.0


def pair(first: ErrorTable, second: ErrorTable) -> Pair:
    """Both on the same rows. Raises `NotHere` where they are not: other rows, or other given answers."""
    if len(first) != len(second) or any(first.origin(row) != second.origin(row) for row in range(len(first))):
        raise NotHere("they were not judged on the same rows")
    if not _same_given(first, second):
        raise NotHere("they were not asked the same: the answers that are given for these rows differ")
    apart = second.error - first.error
    interval = paired_interval(apart)
    if first.wrong is not None and second.wrong is not None:
        only_first, only_second = int((~first.wrong & second.wrong).sum()), int((first.wrong & ~second.wrong).sum())
        return Pair(float(apart.mean()), interval, mcnemar(only_first, only_second), only_first, only_second)
    return Pair(float(apart.mean()), interval, _paired_chance(apart), 0, 0)


def _same_given(first: ErrorTable, second: ErrorTable) -> bool:
    """Whether the same answers are right for both. Numbers may differ by rounding: each run scales them in its own way."""
    if first.unit != second.unit:
        return False
    if first.values is None or second.values is None:
        return all(first.given(row) == second.given(row) for row in range(len(first)))
    if first.values.shape != second.values.shape:
        return False
    close = first.close
    return np.allclose(
        first.values, second.values, rtol=close, atol=close * float(np.std(first.values)), equal_nan=True
    )


def _paired_chance(apart: np.ndarray) -> float:
    """The two-sided probability of a mean difference as far from 0, by the paired t test: rows are many."""
    spread = apart.std(ddof=1) / math.sqrt(len(apart)) if len(apart) > 1 else 0.0
    if spread == 0:
        return 1.0 if not apart.any() else 0.0
    from scipy.stats import t

    return float(2 * t.sf(abs(apart.mean() / spread), len(apart) - 1))


@dataclass(frozen=True)
class SliceChange:
    """A slice on which the second run is better (difference < 0) or worse than the first, beyond chance."""

    about: str
    rows: int
    first: float
    second: float
    chance: float


def changed_slices(run: Run, first: ErrorTable, second: ErrorTable, seed: int = 0) -> list[SliceChange]:
    """Slices whose error changed, corrected for how many there are, the surest first. The groups are those of columns, pictures,
    texts, times and true classes, which both runs share."""
    rows = np.arange(len(first))
    if len(rows) > ROWS:
        rows = np.sort(np.random.default_rng(seed).permutation(len(rows))[:ROWS])
    groups = [one for one in candidates(run, first, rows, clusters=False) if one.family != "answered as"]
    groups = [one for one in groups if LEAST <= one.rows.sum() <= 0.9 * len(rows)]
    found = []
    for one in groups:
        mine = rows[one.rows]
        apart = second.error[mine] - first.error[mine]
        chance = _paired_chance(apart)
        if first.wrong is not None:
            chance = mcnemar(int((apart > 0).sum()), int((apart < 0).sum()))
        if chance * len(groups) < SLICE_SURE:
            means = float(first.error[mine].mean()), float(second.error[mine].mean())
            found.append(SliceChange(one.about, len(mine), *means, chance * len(groups)))
    return sorted(found, key=lambda one: one.chance)


@dataclass(frozen=True)
class OverSeeds:
    """A metric over the seeds of two recipes: means, deviations, numbers of seeds. chance: the two-sided probability of such a
    difference where there is none; paired: both have the same seeds."""

    metric: str
    means: tuple[float, float]
    deviations: tuple[float, float]
    counts: tuple[int, int]
    chance: float
    paired: bool


def over_seeds(metric: str, first: dict[int, float], second: dict[int, float]) -> OverSeeds:
    """first, second: seed -> value, two seeds of each at least. Welch's test; the paired one where the seeds are the same."""
    from scipy.stats import ttest_ind, ttest_rel

    paired = set(first) == set(second)
    one = np.array([first[seed] for seed in sorted(first)])
    two = np.array([second[seed] for seed in sorted(second)])
    if min(len(one), len(two)) < 2:
        raise ValueError("a spread takes two seeds of each")
    apart = two - one if paired else None
    if (apart is not None and np.ptp(apart) == 0) or (apart is None and np.ptp(one) == np.ptp(two) == 0):
        chance = 1.0 if one.mean() == two.mean() else 0.0
    else:
        chance = float((ttest_rel(two, one) if paired else ttest_ind(two, one, equal_var=False)).pvalue)
    return OverSeeds(
        metric,
        (float(one.mean()), float(two.mean())),
        (float(one.std(ddof=1)), float(two.std(ddof=1))),
        (len(one), len(two)),
        chance,
        paired,
    )


def by_recipe(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs in groups that differ in nothing but their seeds, in the order given."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        recipe = flatten(settings.to_dict(run.recipe))
        groups.setdefault(repr({key: value for key, value in recipe.items() if key not in IGNORED}), []).append(run)
    return list(groups.values())


def is_better(runs: Sequence[Run]) -> list[str]:
    """What `gradus compare` ends with: which run is better, in a sentence or two. Two runs, or the seeds of two recipes; of
    more recipes the two that are best by the metric that they are chosen by. Raises `NotHere` where nothing can be said."""
    groups = [[run for run in group if run.evaluation] for group in by_recipe(runs)]
    groups = [group for group in groups if group]
    if len(groups) == 1 and len(groups[0]) == 2:
        groups = [[run] for run in groups[0]]  # two seeds of one recipe
    if len(groups) < 2:
        raise NotHere("two finished runs are needed")
    if len(groups) > 2:
        groups = _two_best(groups)
    said = []
    if min(len(group) for group in groups) >= 2:
        said.append(_told_seeds(groups[0], groups[1]))
    said += _told_rows(groups[0][0], groups[1][0])
    return said


def _metric_of(run: Run) -> tuple[str, str]:
    return run.task.monitored(run.recipe.train.monitor)


def _values(group: Sequence[Run]) -> dict[int, float]:
    metric, _ = _metric_of(group[0])
    found = {run.recipe.train.seed: run.evaluation.get("metrics", {}).get(metric) for run in group}
    if any(value is None for value in found.values()):
        raise NotHere(f"not all of them have {metric_words(metric)}")
    return {seed: float(value) for seed, value in found.items() if value is not None}


def _two_best(groups: list[list[Run]]) -> list[list[Run]]:
    _, direction = _metric_of(groups[0][0])
    order = sorted(groups, key=lambda group: float(np.mean(list(_values(group).values()))), reverse=direction == "max")
    return sorted(order[:2], key=groups.index)


def _told_seeds(first: list[Run], second: list[Run]) -> str:
    metric, direction = _metric_of(first[0])
    values = _values(first), _values(second)
    if min(map(len, values)) < 2:
        return f"{first[0].path} and {second[0].path}: one seed each, several times; a spread takes several seeds"
    found = over_seeds(metric, *values)
    better = (found.means[1] > found.means[0]) == (direction == "max")
    names = [f"{group[0].path} and its {plural(len(group) - 1, 'other seed')}" for group in (first, second)]
    figures = [f"{mean:.4g} ± {spread:.2g} (n = {n})" for mean, spread, n in zip(*_columns(found), strict=True)]
    test = "paired by seed" if found.paired else "Welch's test"
    verdict = f"{names[better]} are better" if found.chance < SURE else "no difference beyond what seeds make"
    return f"Over seeds, {metric_words(metric)} {figures[0]} against {figures[1]}: {verdict} (p = {found.chance:.2g}, {test})."


def _columns(found: OverSeeds) -> tuple[tuple[float, ...], tuple[float, ...], tuple[int, ...]]:
    return found.means, found.deviations, found.counts


def _told_rows(first: Run, second: Run) -> list[str]:
    split = str(second.evaluation.get("split", "test"))
    if split != str(first.evaluation.get("split", "test")):
        raise NotHere("they were not judged on the same rows")
    tables = errors_of(first, split), errors_of(second, split)
    found = pair(*tables)
    said = [_verdict(first, second, tables, found)]
    labels = _told_labels(first, second, (tables[0].total, tables[1].total), split)
    changed = changed_slices(second, *tables)
    if changed:
        one = changed[0]
        way = "better" if one.second < one.first else "worse"
        told = f"Changed most on rows {one.about}: {way}, {tables[0].error_words(one.first)} to "
        others = f" ({len(changed) - 1} more slices changed)" if len(changed) > 1 else ""
        said.append(f"{told}{tables[0].error_words(one.second)} on {one.rows:,} rows{others}.")
    return [*said, *labels]


def _verdict(first: Run, second: Run, tables: tuple[ErrorTable, ErrorTable], found: Pair) -> str:
    table = tables[0]
    scale, unit = (100, "points of error") if table.wrong is not None else (1, table.unit)
    span = f"95 % interval {scale * found.interval.low:+.2g} to {scale * found.interval.high:+.2g}"
    if found.chance < SURE:
        best, other, sign = (second, first, 1) if found.difference < 0 else (first, second, -1)
        fewer = abs(scale * found.difference)
        errors = [one.error_words(one.total) for one in tables][::-sign]
        head = (
            f"{best.path} is better than {other.path} on {len(table):,} {table.split} rows: error {errors[0]} against "
        )
        head += f"{errors[1]}, {fewer:.2g} {unit} fewer"
    else:
        both = " against ".join(one.error_words(one.total) for one in tables)
        head = f"{first.path} and {second.path} cannot be told apart on {len(table):,} {table.split} rows: error {both}"
    rows = ""
    if table.wrong is not None:
        rows = f"; {found.only_first} rows only the first has right, {found.only_second} only the second"
    test = "McNemar's exact test" if table.wrong is not None else "paired test"
    return f"{head} (difference of the second {span}{rows}; p = {found.chance:.2g}, {test})."


def _told_labels(first: Run, second: Run, errors: tuple[float, float], split: str) -> list[str]:
    """Where both are nearer to each other than the labels are right, by what the better one disagrees with."""
    best = first if errors[0] <= errors[1] else second
    case = Case(best.experiment, str(best.path), best)
    try:
        found = find_wrong_held_out_labels(case)
    except NotHere:
        return []
    if not found or case.measured["held-out labels"]["split"] != split:
        return []
    judged = judge_labels(errors, min(case.measured["held-out labels"]["estimate"], *errors))
    if judged.decision != "cannot rank":
        return []
    return [f"The {split} rows can hardly rank them: {judged.said} ({found[0].command})."]


def sentences(runs: Sequence[Run]) -> list[str]:
    """`is_better`, with the reason in its place where nothing can be said: a table of figures is never lost for it."""
    try:
        return is_better(runs)
    except NotHere as reason:
        return [f"Which is better was not tested: {reason}."]
    except UserError as error:
        return [f"Which is better was not tested: {error}."]

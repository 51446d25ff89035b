"""Why a trained run is not better: the largest gap between its errors, and whether a simple method is as good."""

from __future__ import annotations

import math
from typing import Any

from gradus.doctor.case import Case, NotHere
from gradus.doctor.checks import shift
from gradus.doctor.finding import Finding
from gradus.doctor.gaps import BEYOND_CHANCE, LEAST, Gap, name_gaps, overfitting_epoch
from gradus.doctor.remedies import Remedy, command_of, learning_rate, lesson_of, remedies_for, said_of, slice_aside
from gradus.doctor.slices import interval_of
from gradus.doctor.stages import Errors, measure_errors, metric_of
from gradus.look.measures import Interval, confidence_interval
from gradus.look.text import is_number, is_share, metric_value, metric_words, plural
from gradus.tasks.assessment import ControlAssessment
from gradus.tasks.control import BEST

ROWS = {
    "bound": "the bound",
    "train": "the training rows",
    "train-validation": "held-out rows of the training source",
    "validation": "the validation rows",
    "test": "the test rows",
}


def find_gaps(case: Case) -> list[Finding]:
    """The gaps beyond chance, the largest with its full weight. The test rows are only reported: nothing is chosen by them."""
    errors = measure_errors(case)
    gaps = name_gaps(errors.stages, errors.elsewhere, errors.scale)
    case.measured["gaps"] = _as_json(errors, gaps)
    found = []
    for place, gap in enumerate(gap for gap in gaps if gap.is_sure):
        kind = "mismatch" if "mismatch" in gap.kinds and _is_shifted(case, gap) else gap.kinds[0]
        doubtful = len(gap.kinds) > 1 and kind == gap.kinds[0]
        remedies = remedies_for(case, kind)
        aside = slice_aside(case) if doubtful else None
        remedies = ([aside] if aside else []) + [one for one in remedies if one.name != "slice"]
        first = next((one for one in remedies if command_of(case, one)), None)
        size = min(1.0, 4 * gap.size / errors.scale)
        finding = Finding(
            kind=kind,
            told=_sentence(case, errors, gap, kind, doubtful),
            where=f"{gap.before} → {gap.after}",
            value=gap.size,
            usual=f"at most {errors.said(BEYOND_CHANCE * gap.deviation)} by chance" if gap.deviation else "",
            strength=(0.5 + 0.5 * size) * (1 if place == 0 else 0.6),
            command=command_of(case, first) if first else lesson_of(kind),
            others=said_of(case, _without(remedies, first)),
        )
        found.append(finding)
    return found


def _without(remedies: list[Remedy], first: Remedy | None) -> list[Remedy]:
    return [one for one in remedies if one is not first]


def _is_shifted(case: Case, gap: Gap) -> bool:
    """Whether the rows that judge were found to be of another distribution than the training rows."""
    areas: dict[str, float] = case.measured.get("shift", {})
    return areas.get(gap.after, 0.5) > min(shift.LARGE.values())


def _sentence(case: Case, errors: Errors, gap: Gap, kind: str, doubtful: bool) -> str:
    before, after = errors.stages[gap.before], errors.stages[gap.after]
    said = errors.said
    if kind == "avoidable-bias":
        return (
            f"the error ({errors.words}) is {said(after.error)} on the training rows themselves, where the bound is "
            f"{said(before.error)} ({errors.bound_is})"
        )
    told = (
        f"the error ({errors.words}) grows from {said(before.error)} on {ROWS[gap.before]} to {said(after.error)} on "
        f"{ROWS[gap.after]}"
    )
    if doubtful:
        told += ", which may be of another source"
    if kind == "validation-overused":
        told += ": too much was chosen by the validation rows"
    start = overfitting_epoch(case.trained.history) if kind == "variance" else None
    if start is not None:
        told += f"; from epoch {start} on the validation loss rose while the training loss fell"
    return told


def _first_remedy(case: Case) -> Remedy | None:
    """That of the largest gap; else a search for the learning rate, the commonest reason to stay behind a simple method."""
    gaps = case.measured.get("gaps", {}).get("gaps", [])
    remedies = remedies_for(case, gaps[0]["kinds"][0]) if gaps and gaps[0]["sure"] else []
    return next((one for one in remedies if command_of(case, one)), learning_rate(case))


def _as_json(errors: Errors, gaps: list[Gap]) -> dict[str, Any]:
    return {
        "metric": errors.metric,
        "error": errors.words,
        "bound": errors.bound_is,
        "scale": errors.scale,
        "stages": {
            name: {"error": one.error, "low": one.low, "high": one.high, "rows": one.rows}
            for name, one in errors.stages.items()
        },
        "gaps": [
            {
                "kinds": list(gap.kinds),
                "from": gap.before,
                "to": gap.after,
                "size": gap.size,
                "low": gap.low,
                "high": gap.high,
                "sure": gap.is_sure,
            }
            for gap in gaps
        ],
    }


def find_no_better(case: Case) -> list[Finding]:
    """A simple method that is as good: the best baseline lies within the interval of the run's metric, or is better.
    Metrics without an interval of their own have that of the run's stages (a jackknife).

    Baselines are judged on the same rows as the run. A run that is close to perfect is left alone: both are right there.
    """
    run = case.trained
    evaluation = run.evaluation
    if not evaluation.get("baselines"):
        raise NotHere("there are no baselines to compare with")
    metric, direction = metric_of(case)
    sign = 1 if direction == "max" else -1
    simple = {name: of for name, of in evaluation["baselines"].items() if name != BEST}
    values = {name: of[metric] for name, of in simple.items() if is_number(of.get(metric))}
    mine = evaluation["metrics"].get(metric)
    if not values or not is_number(mine):
        raise NotHere(f"no baseline has {metric_words(metric)}")
    best = max(values, key=lambda name: sign * values[name])
    trivial = min(values, key=lambda name: sign * values[name])
    within = values[best] in _interval(case, metric, direction)
    case.measured["baselines"] = {"metric": metric, "run": mine, **values}
    perfect = is_share(metric) and mine >= 1 - LEAST
    if perfect or (sign * (mine - values[best]) > 0 and not within):
        return []
    useless = sign * (mine - values[trivial]) <= 0
    worse = not within and sign * (mine - values[best]) < 0
    rows = plural(len(run.assess(evaluation["split"]).targets), "row")
    how = "is better" if worse else f"is as good, as far as {rows} can tell"
    remedy = _first_remedy(case)
    return [
        Finding(
            kind="no-better-than-simple",
            told=f"{trivial if useless else best} {'is no worse' if useless else how}: {metric_words(metric)} "
            f"{metric_value(metric, values[trivial if useless else best])} against {metric_value(metric, mine)}",
            where=f"{evaluation['split']} rows",
            value=float(mine),
            usual=f"better than {metric_value(metric, values[best])}",
            strength=0.9 if useless else 0.7 if worse else 0.35,
            command=command_of(case, remedy) if remedy else lesson_of("avoidable-bias"),
        )
    ]


def _interval(case: Case, metric: str, direction: str) -> Interval:
    """The 95 % interval of the run's metric on the rows that judged it. Raises `NotHere` where these rows give none."""
    run = case.trained
    split = run.evaluation["split"]
    assessment = run.assess(split)
    interval = confidence_interval(assessment, metric)
    if interval is not None:
        return interval
    if isinstance(assessment, ControlAssessment) and metric == "return":
        return interval_of(assessment.returns, shares=False)
    stage = measure_errors(case).stages[split]
    if not math.isfinite(stage.high - stage.low):
        raise NotHere(f"how far chance moves {metric_words(metric)} is not known")
    ends = (1 - stage.high, 1 - stage.low) if direction == "max" else (stage.low, stage.high)
    return Interval(*ends, "jackknife")

"""Asks all checks about a recipe, data or a run, and orders what they find."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gradus.data.dataset import Dataset
from gradus.doctor.case import Case, NotHere
from gradus.doctor.checks.outputs import wrong_outputs
from gradus.doctor.finding import Finding, ranked
from gradus.doctor.learning_curve import measure_learning_curve
from gradus.doctor.table import CHECKS
from gradus.errors import NoWeights, UserError, WrongOutputs, unknown_name
from gradus.recipes.experiment import prepare
from gradus.recipes.recipe import Recipe
from gradus.recipes.run import Run, load_run


@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    findings: the most important first
    skipped:  check -> why it did not apply
    measured: numbers beside the findings, by check
    """

    findings: list[Finding]
    skipped: dict[str, str]
    measured: dict[str, Any]

    @property
    def alarms(self) -> list[Finding]:
        """Faults and warnings: what a healthy run has none of."""
        return [one for one in self.findings if one.level != "advice"]

    def to_json(self) -> dict[str, Any]:
        findings = [one.to_json() for one in self.findings]
        return {"findings": findings, "skipped": self.skipped, "measured": self.measured}


def examine(
    subject: Run | Recipe | str | Path,
    *,
    dataset: Dataset | None = None,
    model: nn.Module | None = None,
    bound: float | None = None,
    only: tuple[str, ...] = (),
    learning_curve: bool = False,
    typed: tuple[str, ...] = (),
    say: Callable[[str], None] = lambda line: None,
) -> Diagnosis:
    """Examines a recipe before training, or a run after it.

    subject: a Run or a run's folder; or a Recipe
    dataset, model: in place of what the recipe names, as for `fit`
    bound:   the error of the best known answer, of people for instance: 0.01 is one row in a hundred
    only:    names of checks; all that apply where empty
    learning_curve: also train on parts of the rows, to see whether more of them would help (`learning_curve.py`)
    typed:   how the recipe was given on a command line, for the commands that are named
    say:     is told which check is at work

    Raises `UserError` for what cannot be read, or a name of a check that there is not.
    """
    for name in only:
        if name not in CHECKS:
            raise unknown_name("check", name, CHECKS)
    with torch.random.fork_rng():  # making a network draws its first weights
        try:
            case = open_case(subject, dataset, model, bound, typed)
        except WrongOutputs as error:  # nothing else can be asked of such a network
            return Diagnosis([wrong_outputs(error)], {}, {})
        if bound is not None:
            _check_bound(case, bound)
        if learning_curve and case.run is None:
            raise UserError(f"{case.named}: a learning curve begins with a trained run; train it first")
        findings, skipped = _ask(case, only, say)
        if learning_curve:
            case.measured["learning curve"] = measure_learning_curve(case, say)
    return Diagnosis(ranked(findings), skipped, case.measured)


def _ask(case: Case, only: tuple[str, ...], say: Callable[[str], None]) -> tuple[list[Finding], dict[str, str]]:
    """The findings of all checks that apply, and why the others do not."""
    findings: list[Finding] = []
    skipped: dict[str, str] = {}
    for name, check in CHECKS.items():
        if (only and name not in only) or (check.after and case.run is None):
            continue
        say(check.about)
        try:
            with torch.random.fork_rng():  # what a check draws is its own affair, and the same each time
                torch.manual_seed(case.seed)
                findings += check.asks(case)
        except NotHere as reason:
            skipped[name] = str(reason)
        except NoWeights:
            skipped[name] = "the training stopped before it saved any weights"
    return findings, skipped


def _check_bound(case: Case, bound: float) -> None:
    """An error of shares lies below 1; of numbers and nats it has their unit."""
    most = 1.0 if case.task.monitored("")[1] == "max" else math.inf
    if not 0 <= bound < most:
        upward = "up to 1" if most == 1 else "on"
        raise UserError(f"bound: expected an error from 0 {upward}, received {bound:g}")


def open_case(
    subject: Run | Recipe | str | Path,
    dataset: Dataset | None,
    model: nn.Module | None,
    bound: float | None,
    typed: tuple[str, ...] = (),
) -> Case:
    """The case of a run or a recipe, its data read."""
    if isinstance(subject, str | Path):
        subject = load_run(subject, model)
    if isinstance(subject, Run) and dataset is not None:
        recipe, task = subject.recipe, subject.task
        experiment = prepare(recipe, dataset, model, measure=False, weights=False, like=task)
        subject = Run(subject.path, recipe, task, experiment=experiment, model=model)
    if isinstance(subject, Run):
        return Case(subject.experiment, str(subject.path), subject, bound, subject.recipe.train.seed)
    experiment = prepare(subject, dataset, model, measure=False)
    named = shlex.join(typed) or subject.name or f"--data {subject.data.source}"
    return Case(experiment, named, None, bound, subject.train.seed, typed)

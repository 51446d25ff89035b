"""Trials: what was tried and what came of it, their order, the median rule, and the lines of trials.jsonl."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from gradus.errors import UserError
from gradus.files import told_disk_errors, write_atomic
from gradus.recipes.many import Outcome
from gradus.train.trainer import Record

LEAST_COMPARED = 5  # complete trials before the median rule stops anything
Direction = Literal["max", "min"]


@dataclass
class Trial:
    """One combination of settings.

    index:   counted from 0; round: of a search that zooms, counted from 0
    values:  setting (dotted path) -> value
    state:   "complete"; "pruned": stopped by the median rule; "diverged": a loss was no longer finite; "impossible": the
             settings contradict each other; "proposed": not run yet
    value:   the best value of the monitored metric, its mean over the folds where there are any; None: there is none
    folds:   that of each fold; epochs: after which epoch of each
    curves:  of each fold the best value up to each epoch; only kept where trials are pruned
    """

    index: int
    values: dict[str, Any]
    round: int = 0
    state: Literal["proposed", "complete", "pruned", "diverged", "impossible"] = "proposed"
    value: float | None = None
    folds: list[float] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    seconds: float = 0.0
    error: str = ""
    curves: list[list[float]] = field(default_factory=list)

    def finish(self, outcomes: Sequence[Outcome], keep_curves: bool) -> None:
        """Fills in what came of the trainings, one a fold."""
        self.seconds = round(sum(outcome.seconds for outcome in outcomes), 3)
        self.folds = [outcome.value for outcome in outcomes if outcome.value is not None]
        self.epochs = [outcome.epoch for outcome in outcomes]
        self.error = next((outcome.error for outcome in outcomes if outcome.error), "")
        if len(self.folds) == len(outcomes):
            self.value = sum(self.folds) / len(self.folds)
        if self.error or self.value is None:
            self.state = "diverged"
        elif any(outcome.stopped for outcome in outcomes):
            self.state = "pruned"
        else:
            self.state = "complete"
        if keep_curves:
            self.curves = [best_so_far(outcome) for outcome in outcomes]

    @property
    def spread(self) -> float | None:
        """Sample standard deviation over the folds, where there are several."""
        return statistics.stdev(self.folds) if len(self.folds) > 1 else None


def best_so_far(outcome: Outcome) -> list[float]:
    name, direction = outcome.metric
    better = max if direction == "max" else min
    curve: list[float] = []
    for record in outcome.history:
        value = record[f"validation_{name}"]
        curve.append(better(curve[-1], value) if curve else value)
    return curve


def ranked(trials: Sequence[Trial], direction: Direction) -> list[Trial]:
    """The best first: complete trials by their value, then pruned ones, then those without a result. Ties: the earlier."""
    order = {"complete": 0, "pruned": 1, "diverged": 2, "impossible": 3, "proposed": 4}
    sign = -1 if direction == "max" else 1

    def key(trial: Trial) -> tuple[int, float, int]:
        return order[trial.state], sign * trial.value if trial.value is not None else float("inf"), trial.index

    return sorted(trials, key=key)


class MedianRule:
    """Stops a training whose best value so far is worse than the median of those that finished trials had at that epoch.

    It compares with trials of earlier batches only, fold by fold, so what is stopped does not depend on the order in which a
    batch trains. The first tenth of the epochs is never judged, nor the last epoch.
    """

    def __init__(self, finished: Sequence[Trial], metric: tuple[str, str], folds: int, epochs: Sequence[int]) -> None:
        """folds: trainings a trial (1 without folds); epochs: of each training of the batch."""
        complete = [trial for trial in finished if trial.state == "complete" and len(trial.curves) == folds]
        self.curves = [[trial.curves[fold] for trial in complete if trial.curves[fold]] for fold in range(folds)]
        self.metric, self.direction = metric
        self.folds, self.epochs = folds, epochs
        self.best: dict[int, float] = {}
        self.stopped: set[int] = set()  # trials of which a fold was stopped: the other folds are not worth their time

    def __call__(self, index: int, record: Record) -> bool:
        trial, fold = divmod(index, self.folds)
        value, epoch = record[f"validation_{self.metric}"], record["epoch"]
        sign = 1 if self.direction == "max" else -1
        known = self.best.get(index)
        self.best[index] = value if known is None else sign * max(sign * known, sign * value)
        if trial in self.stopped:
            return True
        curves = self.curves[fold]
        if len(curves) < LEAST_COMPARED or not self.epochs[index] // 10 < epoch < self.epochs[index]:
            return False
        median = statistics.median(curve[min(epoch, len(curve)) - 1] for curve in curves)
        if sign * self.best[index] < sign * median:
            self.stopped.add(trial)
            return True
        return False


def read_trials(path: Path) -> list[Trial]:
    """The trials of a trials.jsonl; a line that a kill cut off is left out, and dropped from the file."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    trials: list[Trial] = []
    for number, line in enumerate(lines, start=1):
        try:
            trials.append(Trial(**json.loads(line)))
        except (ValueError, TypeError):
            if number < len(lines):
                raise UserError(f"{path}: line {number} is damaged") from None
            write_atomic(path, "".join(line + "\n" for line in lines[:-1]))
    return trials


def append_trials(path: Path, trials: Sequence[Trial]) -> None:
    """Adds one line a trial, and waits until they are on the disk."""
    text = "".join(json.dumps(asdict(trial), ensure_ascii=False, allow_nan=False) + "\n" for trial in trials)
    with told_disk_errors(path, len(text)), open(path, "a", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())

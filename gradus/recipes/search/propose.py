"""What to try next. Each method answers with the next batch of trials from those that are finished, and with none at the end.

A batch follows from the seed and the finished trials alone, so a search that was killed goes on with the trials it would have
had.
"""

from __future__ import annotations

import itertools
import json
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gradus.errors import UserError
from gradus.recipes.search.space import Box, Dimension, sample
from gradus.recipes.search.trials import Direction, Trial, ranked

Propose = Callable[[Sequence[Trial]], list[Trial]]

BEST_SHARE, LEAST_BEST = 0.25, 3  # zoom: the trials that the next box is drawn around
MARGIN = 0.1  # zoom: of the first box's width, added on each side


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """How a space is searched."""

    method: Literal["grid", "random", "zoom", "optuna"] = "random"
    trials: int = 32  # how many in all; a grid takes at most so many
    rounds: int = 3  # zoom: the box shrinks between them
    folds: int = 0  # each trial is the mean over so many folds; 0: the recipe's own validation rows
    seed: int = 0  # of what is drawn; the trainings have their own (train.seed)
    at_once: int = 16  # trials a batch: trained side by side, and kept when the batch ends
    prune: bool = False  # stop a trial that is worse than the median of finished ones at the same epoch

    def __post_init__(self) -> None:
        for name in ("trials", "rounds", "at_once"):
            if getattr(self, name) < 1:
                raise UserError(f"{name.replace('_', '-')}: expected 1 or more, received {getattr(self, name)}")
        if self.method == "zoom" and self.trials < self.rounds:
            raise UserError(f"rounds: {self.trials} trials cannot be spread over {self.rounds} rounds")
        if self.folds < 0 or self.folds == 1:
            raise UserError(f"folds: expected 2 or more (or 0 for none), received {self.folds}")
        if self.seed < 0:
            raise UserError(f"seed: expected a whole number from 0, received {self.seed}")


def create_proposer(settings: SearchSettings, space: list[Dimension], direction: Direction, folder: Path) -> Propose:
    """The proposer of a method. folder: where Optuna keeps its file."""
    if settings.method == "optuna":
        return OptunaProposer(settings, space, direction, folder / "optuna.db")
    if settings.method == "zoom":
        return lambda finished: _zoom(settings, space, direction, finished)
    if settings.method == "grid":
        planned = [Trial(index, values) for index, values in enumerate(grid(space, settings.trials))]
    else:
        planned = [Trial(index, sample(space, settings.seed, index)) for index in range(settings.trials)]

    def propose(finished: Sequence[Trial]) -> list[Trial]:
        done = {trial.index for trial in finished}
        return [trial for trial in planned if trial.index not in done][: settings.at_once]

    return propose


def grid(space: Sequence[Dimension], trials: int) -> list[dict[str, Any]]:
    """All combinations. A dimension without a number of points of its own takes as many as `trials` allows, all of them alike."""

    def combinations(points: int) -> list[list[Any]]:
        return [dimension.grid(dimension.points or points) for dimension in space]

    def count(points: int) -> int:
        return math.prod(len(values) for values in combinations(points))

    if count(2) > trials:
        raise UserError(
            f"a grid of this space needs at least {count(2)} trials: give --trials {count(2)}, or vary less"
        )
    points = 2
    while count(points + 1) <= trials and count(points + 1) > count(points):
        points += 1
    names = [dimension.setting for dimension in space]
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*combinations(points))]


def _zoom(
    settings: SearchSettings, space: list[Dimension], direction: Direction, finished: Sequence[Trial]
) -> list[Trial]:
    done = {trial.index for trial in finished}
    first = 0
    for number in range(settings.rounds):
        after = first + settings.trials // settings.rounds + (number < settings.trials % settings.rounds)
        missing = [index for index in range(first, after) if index not in done]
        if missing:
            box = shrunk([trial for trial in finished if trial.index < first], space, direction)
            values = {index: sample(space, settings.seed, index, box) for index in missing[: settings.at_once]}
            return [Trial(index, found, number) for index, found in values.items()]
        first = after
    return []


def shrunk(finished: Sequence[Trial], space: Sequence[Dimension], direction: Direction) -> Box | None:
    """The box around the best quarter of the finished trials (at least three), or None (all of the space) where there are none.

    On each dimension's own scale it reaches from the lowest to the highest of them, and a tenth of the whole width further on
    both sides, but never beyond the whole. Of choices, those that occur among the best remain.
    """
    complete = [trial for trial in ranked(finished, direction) if trial.state == "complete"]
    best = complete[: max(LEAST_BEST, math.ceil(BEST_SHARE * len(finished)))]
    if not best:
        return None
    box: Box = []
    for dimension in space:
        values = [trial.values[dimension.setting] for trial in best]
        if dimension.scale == "choice":
            box.append(tuple(sorted({dimension.choices.index(value) for value in values})))
        else:
            positions = [dimension.position(value) for value in values]
            box.append((max(min(positions) - MARGIN, 0.0), min(max(positions) + MARGIN, 1.0)))
    return box


class OptunaProposer:
    """Optuna's tree-structured Parzen estimator (Bergstra et al. 2011), a batch at a time, its study in a SQLite file.

    The file may be looked at with Optuna's own tools, but trials.jsonl is what counts: the study is brought to its state before
    each batch, and the sampler is seeded by the number of finished trials, so nothing of its state is needed to go on.
    """

    def __init__(self, settings: SearchSettings, space: list[Dimension], direction: Direction, file: Path) -> None:
        self.optuna = import_optuna()
        self.settings, self.space = settings, space
        self.optuna.logging.set_verbosity(self.optuna.logging.WARNING)
        self.study = self.optuna.create_study(
            storage=f"sqlite:///{file}",
            study_name="search",
            direction="maximize" if direction == "max" else "minimize",
            load_if_exists=True,
        )

    def __call__(self, finished: Sequence[Trial]) -> list[Trial]:
        self._bring_up_to_date(finished)
        count = min(self.settings.at_once, self.settings.trials - len(finished))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", self.optuna.exceptions.ExperimentalWarning)
            self.study.sampler = self.optuna.samplers.TPESampler(
                seed=self.settings.seed * 1_000_003 + len(finished),
                n_startup_trials=min(10, max(self.settings.trials // 3, 1)),
                constant_liar=True,  # a batch spreads out: running trials count as bad ones
                multivariate=True,
            )
        proposed = []
        for index in range(len(finished), len(finished) + max(count, 0)):
            asked = self.study.ask(self._distributions())
            asked.set_user_attr("index", index)
            values = {dimension.setting: self._value(dimension, asked.params) for dimension in self.space}
            proposed.append(Trial(index, values))
        return proposed

    def _bring_up_to_date(self, finished: Sequence[Trial]) -> None:
        """Trials that were running when a search was killed fail; finished ones that the study lacks are added."""
        state = self.optuna.trial.TrialState
        by_index = {trial.index: trial for trial in finished}
        known = set()
        for frozen in self.study.get_trials(deepcopy=False):
            index = frozen.user_attrs.get("index")
            if frozen.state != state.RUNNING:
                known.add(index if frozen.state in (state.COMPLETE, state.PRUNED) else None)
            elif index in by_index and self._same(frozen.params, by_index[index]):
                self._tell(frozen.number, by_index[index])
                known.add(index)
            else:
                self.study.tell(frozen.number, state=state.FAIL)
        for trial in finished:
            if trial.index not in known:
                self._add(trial)

    def _same(self, params: dict[str, Any], trial: Trial) -> bool:
        return len(params) == len(self.space) and all(
            self._value(dimension, params) == trial.values[dimension.setting] for dimension in self.space
        )

    def _tell(self, number: int, trial: Trial) -> None:
        state = self.optuna.trial.TrialState
        if trial.state == "complete":
            self.study.tell(number, trial.value)
        else:  # a stopped, diverged or impossible trial counts as worse than all complete ones
            self.study.tell(number, state=state.PRUNED)

    def _add(self, trial: Trial) -> None:
        state = self.optuna.trial.TrialState
        params = {self._name(dimension): self._encoded(dimension, trial) for dimension in self.space}
        complete = trial.state == "complete"
        self.study.add_trial(
            self.optuna.trial.create_trial(
                state=state.COMPLETE if complete else state.PRUNED,
                value=trial.value if complete else None,
                params=params,
                distributions=self._distributions(),
                user_attrs={"index": trial.index},
            )
        )

    # A dimension as Optuna has it. It knows no scale of 1 - x, so there the parameter is 1 - x itself.

    def _name(self, dimension: Dimension) -> str:
        return f"1 - {dimension.setting}" if dimension.scale == "one_minus_log" else dimension.setting

    def _distributions(self) -> dict[str, Any]:
        kinds = self.optuna.distributions
        made: dict[str, Any] = {}
        for dimension in self.space:
            low, high = dimension.low, dimension.high
            match dimension.scale:
                case "choice":
                    kind = kinds.CategoricalDistribution([json.dumps(choice) for choice in dimension.choices])
                case "int" | "int_log":
                    kind = kinds.IntDistribution(int(low), int(high), log=dimension.scale == "int_log")
                case "one_minus_log":
                    kind = kinds.FloatDistribution(1 - high, 1 - low, log=True)
                case _:
                    kind = kinds.FloatDistribution(low, high, log=dimension.scale == "log")
            made[self._name(dimension)] = kind
        return made

    def _value(self, dimension: Dimension, params: dict[str, Any]) -> Any:
        found = params[self._name(dimension)]
        if dimension.scale == "choice":
            return json.loads(found)
        if dimension.whole:
            return int(found)
        if dimension.scale == "one_minus_log":
            found = 1 - found
        return dimension.value(dimension.position(found))  # rounded as everywhere

    def _encoded(self, dimension: Dimension, trial: Trial) -> Any:
        value = trial.values[dimension.setting]
        if dimension.scale == "choice":
            return json.dumps(value)
        return (
            min(max(1 - value, 1 - dimension.high), 1 - dimension.low) if dimension.scale == "one_minus_log" else value
        )


def import_optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise UserError(
            "--method optuna needs a package that is not installed: pip install 'gradus[search]'; "
            "grid, random and zoom need none"
        ) from None
    return optuna

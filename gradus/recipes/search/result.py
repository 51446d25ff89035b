"""What a search found: its trials in order, as a table, a picture and a word of caution."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradus.errors import quoted
from gradus.look.parallel import Axis, Line, draw_parallel
from gradus.recipes.recipe import Recipe
from gradus.recipes.search.space import SHORT, Dimension
from gradus.recipes.search.trials import Direction, Trial
from gradus.train.observers import RATES, format_metric


@dataclass(frozen=True)
class SearchResult:
    """What a search found. trials: the best first; metric: the validation metric that judged, and "max" or "min"."""

    path: Path
    trials: list[Trial]
    metric: tuple[str, Direction]
    space: list[Dimension]
    recipe: Recipe | None  # the best one; None where no trial came to a result
    validation_rows: int

    @property
    def best(self) -> Trial | None:
        return self.trials[0] if self.trials and self.trials[0].state == "complete" else None

    def count(self, state: str) -> int:
        return sum(trial.state == state for trial in self.trials)

    def table(self, rows: int = 10) -> list[list[str]]:
        """Header and the best trials: number, metric, its spread over the folds, the varied settings, seconds."""
        name = self.metric[0]
        spread = any(trial.spread is not None for trial in self.trials)
        short = short_names(self.space)
        header = ["trial", f"validation {name}", *(["± over folds"] if spread else []), *short, "epoch", "seconds"]
        found = [header]
        for trial in self.trials[:rows]:
            value = (
                trial.state if trial.value is None or trial.state == "diverged" else format_metric(name, trial.value)
            )
            value += " (pruned)" if trial.state == "pruned" else ""
            deviation = "" if trial.spread is None else format_metric(name, trial.spread)
            shown = [_show(trial.values[dimension.setting]) for dimension in self.space]
            epochs = ", ".join(map(str, trial.epochs))
            found.append(
                [str(trial.index), value, *([deviation] if spread else []), *shown, epochs, f"{trial.seconds:.1f}"]
            )
        return found

    def summary(self) -> str:
        """How many trials there were, how many came to nothing, and how long they took."""
        parts = [f"{len(self.trials)} trials"]
        parts += [f"{self.count(state)} {state}" for state in ("pruned", "diverged", "impossible") if self.count(state)]
        return ", ".join(parts) + f"; {sum(trial.seconds for trial in self.trials):.1f} s of training"

    def caution(self) -> str:
        """Why the best value is not what to expect, with the number of rows that chose."""
        best, name = self.best, self.metric[0]
        if best is None or best.value is None or self.count("complete") < 2:
            return ""
        text = (
            f"the best of {len(self.trials)} trials on {self.validation_rows:,} validation rows looks better than it is"
        )
        if name in RATES and 0 < best.value < 1:
            error = math.sqrt(best.value * (1 - best.value) / self.validation_rows)
            text += f" (chance alone moves this figure by about ±{100 * error:.2g} points)"
        return f"{text}: judge it once on test rows, with gradus train {quoted(self.path / 'best.toml')}"

    def draw(self) -> None:
        """Writes search.png: the trials as lines over parallel axes."""
        axes = [
            Axis(name, [(dimension.position(value), _show(value)) for value in _ticks(dimension)], dimension.scale)
            for dimension, name in zip(self.space, short_names(self.space), strict=True)
        ]
        lines = [
            Line(
                positions=[dimension.position(trial.values[dimension.setting]) for dimension in self.space],
                value=trial.value if trial.state in ("complete", "pruned") else None,
                state=trial.state,
            )
            for trial in reversed(self.trials)
        ]
        name, direction = self.metric
        draw_parallel(self.path / "search.png", axes, lines, metric=f"validation {name}", direction=direction)


def short_names(space: Sequence[Dimension]) -> list[str]:
    """The short name of each setting, or the last part of its path; the whole path where two would have the same name."""
    known = {setting: name for name, (setting, _) in SHORT.items()}
    names = [known.get(dimension.setting, dimension.setting.rpartition(".")[2]) for dimension in space]
    return [name if names.count(name) == 1 else dimension.setting for dimension, name in zip(space, names, strict=True)]


def _show(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _ticks(dimension: Dimension) -> list[Any]:
    """Values to be written beside an axis: every choice, whole decades, or five steps."""
    if dimension.scale == "choice":
        return list(dimension.choices)
    if dimension.scale in ("log", "one_minus_log"):
        low, high = sorted(end if dimension.scale == "log" else 1 - end for end in (dimension.low, dimension.high))
        first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
        decades = [10.0**power for power in range(first, last + 1, max(1, (last - first) // 5))]
        values = decades if dimension.scale == "log" else [round(1 - decade, 15) for decade in decades]
        if len(values) >= 2:
            places = [dimension.position(value) for value in values]
            far = [end for end in (0.0, 1.0) if min(abs(end - place) for place in places) > 0.06]
            return [*values, *(dimension.value(end) for end in far)]
    return dimension.grid(5)

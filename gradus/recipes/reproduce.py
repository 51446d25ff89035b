"""Reproducing printed results: a recipe run with several seeds, its mean and spread beside the published value."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gradus.errors import UserError
from gradus.recipes.execute import resume, train_recipe
from gradus.recipes.recipe import Recipe
from gradus.recipes.run import Run, load_run
from gradus.train.trainer import Observer


@dataclass(frozen=True)
class Reproduction:
    """What came of the runs of one recipe: the metric of each seed, and seconds of training."""

    recipe: Recipe
    metric: str
    values: list[float]
    seconds: list[float]

    @property
    def mean(self) -> float:
        return sum(self.values) / len(self.values)

    @property
    def deviation(self) -> float:
        """Sample standard deviation (n - 1); 0 for one seed."""
        if len(self.values) < 2:
            return 0.0
        return math.sqrt(sum((value - self.mean) ** 2 for value in self.values) / (len(self.values) - 1))

    def row(self) -> list[str]:
        """recipe, metric, mean ± deviation (n), each value, published value, training seconds a seed."""
        published = self.recipe.published
        spread = f" ± {self.deviation:.4f}" if len(self.values) > 1 else ""
        return [
            self.recipe.name,
            self.metric,
            f"{self.mean:.4f}{spread} (n={len(self.values)})",
            ", ".join(f"{value:.4f}" for value in self.values),
            f"{published.value:g} ({published.source})" if published else "-",
            f"{sum(self.seconds) / len(self.seconds):.0f}",
        ]


HEADER = ["recipe", "metric", "measured", "each seed", "published", "train s"]


def reproduce(
    recipe: Recipe,
    seeds: int,
    out: Path,
    observers: tuple[Observer, ...] = (),
    say: Callable[[str], None] = lambda line: None,
) -> Reproduction:
    """Runs a recipe with seeds 0 .. seeds-1 in `out/NAME-seed-S`. Runs that are there already are kept or continued, so
    that a reproduction that was cut off goes on where it was."""
    if seeds < 1:
        raise UserError(f"--seeds: expected a whole number above 0, received {seeds}")
    values, seconds = [], []
    for seed in range(seeds):
        path = out / f"{recipe.name}-seed-{seed}"
        seeded = replace(recipe, train=replace(recipe.train, seed=seed))
        say(f"{recipe.name}, seed {seed}: {path}")
        run = _run(seeded, path, observers)
        metric = recipe.published.metric if recipe.published else run.task.primary[0]
        values.append(run.evaluation["metrics"][metric])
        seconds.append(run.evaluation["timing"]["train"])
    return Reproduction(recipe, metric, values, seconds)


def _run(recipe: Recipe, path: Path, observers: tuple[Observer, ...]) -> Run:
    if not (path / "recipe.toml").exists():
        return train_recipe(recipe, path, observers=observers)
    run = load_run(path)
    if _comparable(run.recipe) != _comparable(recipe):
        raise UserError(f"{path}: holds a run of other settings; remove it or choose another --out")
    return run if run.evaluation else resume(path, observers=observers)


def _comparable(recipe: Recipe) -> tuple[Any, ...]:
    """What two recipes of one reproduction share; what is filled in when a run begins is left out."""
    optimizer = recipe.train.optimizer.resolved()
    train = replace(recipe.train, batch_size=0, threads=0, precision="auto", optimizer=optimizer)
    return train, recipe.task.options, recipe.model.name

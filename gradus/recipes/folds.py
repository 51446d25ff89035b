"""K-fold validation and repeated seeds: one recipe trained many times over, as a fleet where it can, in one folder.

recipe.toml           the recipe, with the number of folds
folds.json            how many folds and repeats; at the end what was measured: each value, mean, deviation, the mean curve
folds.png             the mean curve of the validation metric by epoch, with its spread
checkpoints/last      of the whole fleet, while it trains
members/fold-1-repeat-1, ...   every model as a run of its own, to be looked into, predicted with and put into ensembles
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gradus.environments import is_environment
from gradus.errors import UserError
from gradus.files import write_atomic
from gradus.look.curves import draw_spread
from gradus.recipes.environment import describe_environment
from gradus.recipes.execute import default_name
from gradus.recipes.experiment import Experiment, fingerprint, prepare
from gradus.recipes.many import Outcome, train_many
from gradus.recipes.recipe import Recipe, read_recipe, write_recipe
from gradus.recipes.run import FORMAT
from gradus.tasks.table import save_state
from gradus.train import checkpoint
from gradus.train.checkpoint import Checkpoint
from gradus.train.folder import RunFolder
from gradus.train.observers import write_log
from gradus.train.trainer import Observer

SMOOTHING = 0.9  # of the drawn curve, and the first epochs that it leaves out: those of the book (§3.6.4)
LEFT_OUT = 10


@dataclass(frozen=True)
class Folds:
    """What came of K-fold validation.

    values: the best validation value of each model that did not diverge; curve: the mean over the models by epoch
    """

    path: Path
    metric: tuple[str, str]
    outcomes: list[Outcome]
    curve: list[float]
    spread: list[float]

    @property
    def values(self) -> list[float]:
        return [outcome.value for outcome in self.outcomes if outcome.value is not None]

    @property
    def final(self) -> list[float]:
        """The validation value of each model after its last epoch."""
        name = f"validation_{self.metric[0]}"
        return [outcome.history[-1][name] for outcome in self.outcomes if outcome.history]

    @property
    def best_epoch(self) -> int:
        """The epoch, from 1, at which the mean curve is best: how long to train on all rows."""
        pick = np.argmax if self.metric[1] == "max" else np.argmin
        return int(pick(self.curve)) + 1

    def to_json(self) -> dict[str, Any]:
        return {
            "metric": self.metric[0],
            "best_of_each": [outcome.value for outcome in self.outcomes],
            "mean_of_best": mean(self.values),
            "deviation_of_best": deviation(self.values),
            "last_of_each": self.final,
            "mean_of_last": mean(self.final),
            "deviation_of_last": deviation(self.final),
            "best_epoch_of_mean": self.best_epoch if self.curve else None,
            "best_of_mean": self.curve[self.best_epoch - 1] if self.curve else None,
            "mean_curve": self.curve,
            "members": [outcome.summary() for outcome in self.outcomes],
        }


def mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def deviation(values: list[float]) -> float | None:
    """The sample deviation (n - 1) of two or more values."""
    if len(values) < 2:
        return None
    centre = sum(values) / len(values)
    return math.sqrt(sum((value - centre) ** 2 for value in values) / (len(values) - 1))


def train_folds(
    recipe: Recipe,
    folds: int = 0,
    repeats: int = 1,
    out: str | Path | None = None,
    *,
    observers: tuple[Observer, ...] = (),
    say: Callable[[str], None] = lambda line: None,
) -> Folds:
    """Trains a recipe on each of `folds` folds, `repeats` times with other shuffles and seeds (folds 0: other seeds alone).

    out: the folder, which must be new or empty; None: runs/MODEL-DATA-folds-NUMBER
    """
    if repeats < 1 or (folds < 2 and repeats < 2):
        raise UserError(f"expected 2 or more folds or repeats, received {folds} folds and {repeats} repeats")
    if recipe.data.fold or recipe.data.repeat:
        raise UserError("data.fold and data.repeat choose one training; leave them out to train all folds")
    recipe = replace(recipe, data=replace(recipe.data, folds=folds))
    if is_environment(recipe.data.source):
        raise UserError(
            f"{recipe.data.source}: an environment has no rows to be parted; several seeds: gradus reproduce RECIPE --seeds N"
        )
    first = prepare(_member(recipe, folds, 0, 0))  # whatever does not fit is told before anything is written
    if "validation" not in first.tensors:
        raise UserError("seeds are compared by validation rows; set data.validation above 0, or ask for --folds")
    name = f"{default_name(first)}-{'folds' if folds else 'seeds'}"
    folder = RunFolder.create(Path(out)) if out else RunFolder.create_numbered(Path("runs"), name)
    try:
        folder.write_json("folds.json", {"format": FORMAT, "folds": folds, "repeats": repeats})
        write_atomic(folder.path / "recipe.toml", write_recipe(recipe, format=FORMAT))
        return _train(folder, recipe, folds, repeats, observers, say)
    finally:
        folder.lock.release()


def is_folds(path: str | Path) -> bool:
    """Whether a folder is one of K-fold validation."""
    return (Path(path) / "folds.json").exists()


def resume_folds(
    path: str | Path,
    *,
    observers: tuple[Observer, ...] = (),
    say: Callable[[str], None] = lambda line: None,
) -> Folds:
    """Continues K-fold validation that was stopped."""
    folder = RunFolder.reopen(Path(path))
    try:
        settings = folder.read_json("folds.json")
        if settings.get("format", 0) > FORMAT:
            raise UserError(f"{path}: was made by a newer version of gradus")
        recipe = read_recipe(folder.path / "recipe.toml")
        return _train(folder, recipe, settings["folds"], settings["repeats"], observers, say)
    finally:
        folder.lock.release()


def _member(recipe: Recipe, folds: int, fold: int, repeat: int) -> Recipe:
    data = replace(recipe.data, folds=folds, fold=fold, repeat=repeat if folds else 0)
    seed = recipe.train.seed + repeat * max(folds, 1) + fold
    return replace(recipe, data=data, train=replace(recipe.train, seed=seed))


def _train(
    folder: RunFolder,
    recipe: Recipe,
    folds: int,
    repeats: int,
    observers: tuple[Observer, ...],
    say: Callable[[str], None],
) -> Folds:
    places = [(fold, repeat) for repeat in range(repeats) for fold in range(max(folds, 1))]
    recipes = [_member(recipe, folds, fold, repeat) for fold, repeat in places]
    observers = (*observers, write_log(folder.path / "log.txt"))
    outcomes = train_many(recipes, folder=folder, observers=observers, say=say)
    curve, spread = _curve(outcomes)
    found = Folds(folder.path, outcomes[0].metric, outcomes, curve, spread)
    cache: dict[Any, Any] = {}
    for (fold, repeat), outcome in zip(places, outcomes, strict=True):
        name = f"fold-{fold + 1}-repeat-{repeat + 1}" if folds else f"seed-{outcome.recipe.train.seed}"
        if outcome.state:
            _write_member(folder.path / "members" / name, prepare(outcome.recipe, measure=False, cache=cache), outcome)
    settings = {"format": FORMAT, "folds": folds, "repeats": repeats}
    folder.write_json("folds.json", settings | {"result": found.to_json()})
    if len(curve) > 1:
        title = f"{recipe.name or recipe.model.name}: {len(found.values)} models"
        draw_spread(
            folder.path / "folds.png",
            np.array(curve),
            np.array(spread),
            title=title,
            metric=f"validation {found.metric[0]}",
            direction=found.metric[1],
            smoothing=SMOOTHING,
            left_out=LEFT_OUT if len(curve) > 4 * LEFT_OUT else 0,
        )
    return found


def _curve(outcomes: list[Outcome]) -> tuple[list[float], list[float]]:
    """Mean and deviation over the models by epoch, for the epochs that all of them reached."""
    histories = [outcome.history for outcome in outcomes if outcome.history and not outcome.error]
    if not histories:
        return [], []
    name = f"validation_{outcomes[0].metric[0]}"
    epochs = min(len(history) for history in histories)
    table = np.array([[record[name] for record in history[:epochs]] for history in histories])
    return table.mean(axis=0).tolist(), (table.std(axis=0, ddof=1) if len(table) > 1 else table[0] * 0).tolist()


def _write_member(path: Path, experiment: Experiment, outcome: Outcome) -> None:
    """A model of the fleet as a run folder, as if it had been trained alone."""
    if (path / "evaluation.json").exists():
        return
    folder = RunFolder(path)
    path.mkdir(parents=True, exist_ok=True)
    task = {**save_state(experiment.task), "fingerprint": fingerprint(experiment.tensors["train"])}
    task["rows"] = {name: len(split) for name, split in experiment.dataset.splits.items()}
    task["notes"] = experiment.notes
    folder.write_json("task.json", task)
    folder.write_json("environment.json", describe_environment(experiment.plan, outcome.recipe.train.threads))
    write_atomic(path / "recipe.toml", write_recipe(experiment.recipe, format=FORMAT))
    (path / "metrics.jsonl").unlink(missing_ok=True)
    for record in outcome.history:
        folder.append_metrics(record)
    best = {"epoch": outcome.epoch, "value": outcome.value}
    checkpoint.save(folder.checkpoints, "best", Checkpoint(outcome.state, None, best))
    record = outcome.history[outcome.epoch - 1]
    metrics = {n.removeprefix("validation_"): v for n, v in record.items() if n.startswith("validation_")}
    samples = outcome.history[-1]["samples"]
    timing = {
        "train": outcome.seconds,
        "evaluate": 0.0,
        "samples_per_second": samples / max(outcome.seconds, 1e-9),
    }
    folder.write_json(
        "evaluation.json",
        {"split": "validation", "metrics": metrics, "baselines": {}, "timing": timing, "best": best},
    )

"""Runs a search in a folder of its own, from which it goes on after a kill.

search.toml    the space, the method and the recipe that is varied: all that repeating it needs
trials.jsonl   one line a finished trial, added after each batch
best.toml      the best recipe, which `gradus train` runs
search.png     the trials as lines over parallel axes
optuna.db      Optuna's study, where it is asked

The test split is never looked at. Trials are trained with `train_many`, a batch at a time.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tomli_w

from gradus import settings
from gradus.data.dataset import Dataset
from gradus.data.load import read_data
from gradus.environments import is_environment
from gradus.errors import UserError, quoted
from gradus.files import write_atomic
from gradus.models import accepted_options, create_model
from gradus.recipes.execute import default_name
from gradus.recipes.experiment import Experiment, prepare
from gradus.recipes.many import Outcome, train_many
from gradus.recipes.recipe import Recipe, write_recipe
from gradus.recipes.search.propose import SearchSettings, create_proposer
from gradus.recipes.search.result import SearchResult
from gradus.recipes.search.space import Dimension, apply, read_space
from gradus.recipes.search.trials import Direction, MedianRule, Trial, append_trials, ranked, read_trials
from gradus.train.folder import RunFolder
from gradus.train.observers import format_metric
from gradus.train.trainer import Interrupted

FORMAT = 1  # of search.toml
Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What search.toml holds. `recipe` names its data, task and model; the rest of it is as it was given."""

    recipe: Recipe
    space: list[Dimension]
    settings: SearchSettings

    def to_toml(self) -> str:
        tree = {"format": FORMAT, "vary": [dimension.text() for dimension in self.space]}
        return tomli_w.dumps(
            {**tree, "search": settings.to_dict(self.settings), "recipe": settings.to_dict(self.recipe)}
        )

    def build(self, values: Mapping[str, Any], fold: int | None = None) -> Recipe:
        """The recipe of one training of a trial."""
        recipe = apply(self.recipe, values)
        if fold is None:
            return recipe
        return replace(recipe, data=replace(recipe.data, folds=self.settings.folds, fold=fold))


def search(
    recipe: Recipe,
    vary: Mapping[str, str | Sequence[Any]] | Sequence[str],
    out: str | Path | None = None,
    *,
    dataset: Dataset | None = None,
    say: Say = lambda line: None,
    **how: Any,
) -> SearchResult:
    """Searches for the settings with the best validation metric.

    vary:  setting -> "log:1e-4..1", "0..0.5" or a list of choices; see `search/space.py`
    out:   the folder; None: runs/search-NAME-NUMBER. One that holds the same search already is continued
    how:   fields of `SearchSettings`: method, trials, rounds, folds, seed, at_once, prune

    Raises `UserError` for settings that do not exist or cannot be, before anything runs.
    """
    asked = settings.from_dict(SearchSettings, how)
    space = read_space(vary)
    if is_environment(recipe.data.source):
        raise UserError(
            f"{recipe.data.source}: a search judges settings by validation rows, and an environment has none; train them "
            "one by one and put them side by side: gradus compare RUN RUN"
        )
    dataset = dataset if dataset is not None else read_data(recipe.data)
    plan, experiment = _plan(recipe, space, asked, dataset)
    if out is not None and (Path(out) / "search.toml").exists():
        stored = read_plan(Path(out))
        if stored.to_toml() != plan.to_toml():
            raise UserError(
                f"{out}: another search is kept here ({_difference(stored, plan)}); choose another --out, "
                f"or continue that one with: gradus search --resume {quoted(out)}"
            )
        folder = RunFolder.reopen(Path(out))
    else:
        for note in experiment.notes:
            say(note)
        name = f"search-{default_name(experiment)}"
        folder = RunFolder.create(Path(out)) if out else RunFolder.create_numbered(Path("runs"), name)
    try:
        write_atomic(folder.path / "search.toml", plan.to_toml())
        return _run(plan, experiment, folder, dataset, say)
    finally:
        folder.lock.release()


def resume_search(path: str | Path, *, dataset: Dataset | None = None, say: Say = lambda line: None) -> SearchResult:
    """Continues a search from its folder; finished trials are not run again."""
    path = Path(path)
    plan = read_plan(path)
    folder = RunFolder.reopen(path)
    try:
        dataset = dataset if dataset is not None else read_data(plan.recipe.data)
        plan, experiment = _plan(plan.recipe, plan.space, plan.settings, dataset)
        return _run(plan, experiment, folder, dataset, say)
    finally:
        folder.lock.release()


def read_plan(folder: Path) -> Plan:
    """Reads search.toml. Raises `UserError` where it is missing, damaged or from a newer version."""
    path = folder / "search.toml"
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
        version, vary, how, recipe = tree["format"], tree["vary"], tree["search"], tree["recipe"]
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{folder}: there is no search here (search.toml is missing)") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError) as error:
        raise UserError(f"{path}: this file is damaged ({error})") from None
    if version > FORMAT:
        raise UserError(f"{path}: made by a newer version of gradus (format {version}, known {FORMAT})")
    return Plan(settings.from_dict(Recipe, recipe), read_space(vary), settings.from_dict(SearchSettings, how))


def _difference(stored: Plan, asked: Plan) -> str:
    """The first thing in which two plans differ, in words."""
    for left, right in zip(stored.space, asked.space, strict=False):
        if left != right:
            return f"it varies {left.text()}, not {right.text()}"
    if len(stored.space) != len(asked.space):
        return f"it varies {len(stored.space)} settings, not {len(asked.space)}"
    for key, value in settings.to_dict(stored.settings).items():
        if value != getattr(asked.settings, key):
            return f"its {key} is {value}, not {getattr(asked.settings, key)}"
    return "its recipe is another one"


def _plan(recipe: Recipe, space: list[Dimension], asked: SearchSettings, dataset: Dataset) -> tuple[Plan, Experiment]:
    """The plan with everything named that was inferred, and the experiment of its base; all of the space is tried out."""
    if asked.folds:
        experiment = prepare(replace(recipe, data=replace(recipe.data, folds=asked.folds, fold=0)), dataset)
    else:
        experiment = prepare(recipe, dataset)
    if "validation" not in experiment.tensors:
        raise UserError("a search chooses by validation rows, and there are none: add --validation 0.1, or --folds 4")
    found = experiment.recipe
    data = replace(found.data, folds=recipe.data.folds, fold=recipe.data.fold)
    named = replace(recipe, data=data, task=found.task, model=replace(recipe.model, name=found.model.name))
    plan = Plan(named, space, asked)
    for dimension in space:
        _check(plan, dimension, experiment, dataset)
    return plan, experiment


def _check(plan: Plan, dimension: Dimension, experiment: Experiment, dataset: Dataset) -> None:
    """Raises `UserError` where an end (or a choice) of a dimension is not possible in the recipe."""
    setting = dimension.setting
    if setting.startswith("data.") or setting in ("task.name", "train.monitor", "train.device"):
        raise UserError(
            f"--vary {setting}: trials must be judged on the same rows by the same metric, so it stays fixed"
        )
    fold = 0 if plan.settings.folds else None
    for value in dimension.ends():
        candidate = plan.build({setting: value}, fold)
        candidate.train.resolved(rows=len(experiment.tensors["train"]["targets"]))
        if setting.startswith("model.options."):
            name = candidate.model.name
            known = {k: v for k, v in experiment.task.model_options().items() if k in accepted_options(name)}
            create_model(name, **{**known, **candidate.model.options})
        elif not setting.startswith("train."):
            prepare(candidate, dataset)


def _run(plan: Plan, experiment: Experiment, folder: RunFolder, dataset: Dataset, say: Say) -> SearchResult:
    how = plan.settings
    name, direction = experiment.task.monitored(plan.recipe.train.monitor)
    metric: tuple[str, Direction] = (name, "max" if direction == "max" else "min")
    rows = {split: len(tensors["targets"]) for split, tensors in experiment.tensors.items()}
    judged = rows["train"] + rows["validation"] if how.folds else rows["validation"]
    del experiment  # its tensors: each training encodes its own
    propose = create_proposer(how, plan.space, metric[1], folder.path)
    file = folder.path / "trials.jsonl"
    trials = read_trials(file)
    # rows encoded and features computed once serve all trials, but where these are varied
    cache: dict[Any, Any] | None = (
        {} if all(one.setting.startswith(("train.", "model.")) for one in plan.space) else None
    )
    if trials:
        say(f"{len(trials)} trials are finished already")
    while batch := propose(trials):
        say(_announce(batch, plan))
        try:
            _train(batch, trials, plan, metric, dataset, cache)
        except KeyboardInterrupt as stop:
            raise Interrupted(
                f"stopped; {len(trials)} finished trials are kept. Continue with: gradus search --resume {quoted(folder.path)}",
                getattr(stop, "signal_number", 2),
            ) from None
        append_trials(file, batch)
        trials += batch
        leader = ranked(trials, metric[1])[0]
        if leader.value is not None:
            say(f"  best so far: validation {name} {format_metric(name, leader.value)} (trial {leader.index})")
    result = SearchResult(
        folder.path,
        ranked(trials, metric[1]),
        metric,
        plan.space,
        _best(plan, trials, metric[1], rows["train"]),
        judged,
    )
    if result.recipe is not None:
        write_atomic(folder.path / "best.toml", write_recipe(result.recipe))
    result.draw()
    return result


def _announce(batch: list[Trial], plan: Plan) -> str:
    first, last = batch[0].index, batch[-1].index
    which = f"trial {first}" if first == last else f"trials {first} to {last}"
    rounds = f", round {batch[0].round + 1} of {plan.settings.rounds}" if plan.settings.method == "zoom" else ""
    return f"{which}{rounds}" + (f", {plan.settings.folds} folds each" if plan.settings.folds else "")


def _train(
    batch: list[Trial],
    finished: list[Trial],
    plan: Plan,
    metric: tuple[str, str],
    dataset: Dataset,
    cache: dict[Any, Any] | None,
) -> None:
    """Trains a batch and fills in what came of it."""
    folds: list[int | None] = list(range(plan.settings.folds)) if plan.settings.folds else [None]
    recipes: list[Recipe] = []
    possible: list[Trial] = []
    for trial in batch:
        try:
            recipes += [plan.build(trial.values, fold) for fold in folds]
        except UserError as error:
            trial.state, trial.error = "impossible", str(error)
        else:
            possible.append(trial)
    prune = plan.settings.prune
    rule = MedianRule(finished, metric, len(folds), [recipe.train.epochs for recipe in recipes]) if prune else None
    outcomes: list[Outcome] = train_many(recipes, dataset=dataset, watch=rule, cache=cache) if recipes else []
    for place, trial in enumerate(possible):
        trial.finish(outcomes[place * len(folds) : (place + 1) * len(folds)], keep_curves=prune)


def _best(plan: Plan, trials: list[Trial], direction: Direction, rows: int) -> Recipe | None:
    leader = ranked(trials, direction)[0]
    if leader.state != "complete":
        return None
    recipe = plan.build(leader.values)
    found = f"The best of {len(trials)} trials ({plan.settings.method} search, seed {plan.settings.seed})."
    about = f"{recipe.about} {found}".strip()
    return replace(recipe, about=about, train=recipe.train.resolved(rows))

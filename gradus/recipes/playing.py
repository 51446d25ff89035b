"""Experiments without data: a task that acts in an environment, and how good a run is at it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, cast

from torch import nn

from gradus.data.dataset import Dataset, NumberedRows, Split
from gradus.errors import UserError
from gradus.models import MODELS, ModelSettings, model_class
from gradus.recipes.experiment import Experiment, make_model, try_model
from gradus.recipes.recipe import Recipe
from gradus.tasks.assessment import ControlAssessment
from gradus.tasks.control import ControlTask
from gradus.tasks.control_exact import expected, greedy_policy
from gradus.tasks.table import TASKS, create_task
from gradus.train.acting import TEACHERS, check_acting
from gradus.train.devices import plan_device
from gradus.train.experience import TESTING
from gradus.train.measure import choose_threads
from gradus.train.randomness import EPISODES, derive

if TYPE_CHECKING:
    from gradus.recipes.run import Run

SHOWN = 2  # first observations, by which a model is tried


def prepare_playing(recipe: Recipe, model: nn.Module | None = None) -> Experiment:
    """As `prepare` for a source that is an environment: it is made once, and a model for its observations and actions.

    The splits hold nothing but first observations, by which the model is tried and a resumed run knows its environment.
    Raises `UserError` for whatever does not fit.
    """
    _check(recipe, model)
    notes = []
    if model is not None:
        named = getattr(model, "created_as", None) or ModelSettings(name=f"custom:{type(model).__qualname__}")
    elif recipe.model.name:
        named = recipe.model
    else:
        named = recipe.model
    recipe = replace(recipe, task=replace(recipe.task, name="control"), model=named)
    plan = plan_device(recipe.train.device, recipe.train.precision)
    rows = Split({}, NumberedRows.count("the first observations", SHOWN))
    source = recipe.data.source
    dataset = Dataset(source.partition(":")[2], source, {"train": rows, "test": rows})
    task = cast(ControlTask, create_task(recipe.task, dataset))
    tensors = {name: task.encode(split) for name, split in dataset.splits.items()}
    if model is None and not named.name:
        named = replace(named, name="actor_critic" if task.spaces.numbers else TASKS["control"].models[0])
        recipe = replace(recipe, model=named)
        notes.append(f"model: {named.name}")
    if model is None:
        recipe, model = make_model(recipe, task)
    if task.spaces.numbers and model.learns != "policy_gradient":
        raise UserError(
            f"an action of this world is made of numbers ({task.spaces.numbers}), among which model {recipe.model.name} cannot "
            "choose; --model actor_critic makes them"
        )
    per_row = try_model(model, task, tensors["train"], recipe.model.name)
    task.monitored(recipe.train.monitor)
    settings = check_acting(recipe.train, str(model.learns))
    resolved = settings.resolved(rows=settings.experience.epoch_steps)
    notes += task.notes
    if recipe.train.batch_size != resolved.batch_size:
        notes.append(f"batch size: {resolved.batch_size}")
    threads, warning = choose_threads(resolved, per_row, resolved.batch_size)
    notes.append(f"device: {plan.describe(threads)}")
    notes += [warning] if warning else []
    precision: Literal["bf16", "fp32"] = "bf16" if plan.autocast_type else "fp32"
    recipe = replace(recipe, train=replace(resolved, threads=threads, precision=precision))
    return Experiment(recipe, dataset, task, model, plan, tensors, notes, per_row)


def _check(recipe: Recipe, model: nn.Module | None) -> None:
    """Refuses what means something to rows alone, and networks that do not act."""
    source, name = recipe.data.source, recipe.model.name
    if recipe.task.name not in ("", "control"):
        raise UserError(f"{source} is an environment, whose task is control, not {recipe.task.name}")
    if recipe.data.target or recipe.data.folds or recipe.data.origins:
        raise UserError(f"{source}: an environment has no columns and no rows; leave out target, folds and origins")
    if recipe.augment.is_on:
        raise UserError("augment: what is observed in an environment is learnt from as it is; leave it out")
    if recipe.model.weights or recipe.model.embeddings:
        raise UserError(f"{source}: weights to begin with are for tasks on data; leave out --weights and --embeddings")
    acts = model if model is not None else model_class(name) if name else None
    if acts is not None and getattr(acts, "learns", None) not in TEACHERS:
        known = ", ".join(one for one in TASKS["control"].models if one in MODELS)
        what = name or type(model).__name__
        raise UserError(f"model {what} does not act (it has no `learns`); networks for control: {known}")


def control_task(run: Run) -> ControlTask:
    """The task of a run that acts. Raises `UserError` for any other."""
    if not isinstance(run.task, ControlTask):
        raise UserError(f"{run.path}: this run's task is {run.task.name}; only runs of control play episodes")
    return run.task


def play_run(run: Run, episodes: int | None = None, *, seed: int | None = None) -> ControlAssessment:
    """Whole episodes played with a run's best weights; without a seed those by which the run was measured."""
    task = control_task(run)
    count = task.options.episodes if episodes is None else episodes
    if count < 1:
        raise UserError(f"--episodes: expected 1 or more, received {count}")
    chosen = derive(run.recipe.train.seed, EPISODES, TESTING) if seed is None else seed
    assessed = task.assessed(task.play(task.policy(run.model), count, chosen))
    exact = expected(task, greedy_policy(task, run.model)) if task.spaces.states else None
    if exact is not None:
        assessed.metrics["expected_return"] = exact.returned
    return assessed

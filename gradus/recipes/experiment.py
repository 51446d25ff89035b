"""From a recipe to an experiment: data read and split, task fitted, model made, all checked. Nothing is written here."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gradus import settings
from gradus.data.catalogue import CATALOGUE
from gradus.data.clock import fill_gaps
from gradus.data.dataset import Dataset
from gradus.data.device_rows import DeviceRows
from gradus.data.load import DataSettings, ordered_as, read_data
from gradus.data.splits import complete_splits, fewer_rows, hold_out_last, one_fold, rolling_origin
from gradus.environments import is_environment
from gradus.errors import UserError, unknown_name
from gradus.models import (
    MODELS,
    ModelSettings,
    accepted_options,
    create_model,
    image_sizes,
    model_class,
    network_of,
    smallest_image_size,
)
from gradus.recipes.recipe import Recipe
from gradus.recipes.vectors import named_embeddings, put_vectors, vocabulary_of, with_embedding_size
from gradus.recipes.weights import load_weights, made_as, named_weights, prepare_as, put_into
from gradus.tasks.rows import EncodedRows
from gradus.tasks.table import TASKS, create_task, infer_task
from gradus.tasks.task import Task
from gradus.train.adversarial import check_game
from gradus.train.devices import Plan, plan_device
from gradus.train.fine_tune import FineTune
from gradus.train.measure import choose_precision, choose_threads, operations
from gradus.train.randomness import INITIAL_WEIGHTS, derive
from gradus.train.settings import FineTuneSettings, TrainSettings
from gradus.train.stream import choose_workers, resident_limit

SHOWN_ROWS = 5_000  # training rows that layers are made from, where a network has such


@dataclass
class Experiment:
    """Everything a training needs. `recipe` is resolved: what was inferred stands in it, and in `notes` in words."""

    recipe: Recipe
    dataset: Dataset
    task: Task
    model: nn.Module
    plan: Plan
    tensors: dict[str, dict[str, Any]]  # split -> encoded columns: tensors on the CPU, `EncodedRows` where streamed
    notes: list[str]
    operations: float  # floating-point operations of a forward pass for one row, about


def prepare(
    recipe: Recipe,
    dataset: Dataset | None = None,
    model: nn.Module | None = None,
    *,
    measure: bool = True,
    cache: dict[Any, Any] | None = None,
    weights: bool = True,
    like: Task | None = None,
) -> Experiment:
    """Reads the data, infers what is left open, fits the task to the training split, makes and tries the model.

    dataset, model: used in place of what the recipe names
    measure:        try out what depends on the machine (the precision); else what the recipe says is taken as it is
    cache:          keeps what was read and encoded, so that recipes on the same rows share it
    weights:        begin with the weights that the recipe names; False where others will be put into the model anyway
    like:           the task of the run that the recipe is of, where there is one

    Raises `UserError` for whatever does not fit.
    """
    if model is None and recipe.model.name:
        model_class(recipe.model.name)  # unknown names are told before data are read, or even downloaded
    if recipe.task.name and recipe.task.name not in TASKS:
        raise unknown_name("task", recipe.task.name, TASKS)
    if dataset is None and is_environment(recipe.data.source):
        from gradus.recipes.playing import prepare_playing  # it makes an `Experiment` by what stands below

        return prepare_playing(recipe, model)
    plan = plan_device(recipe.train.device, recipe.train.precision)
    if dataset is None:
        data = recipe.data
        key = data.source, data.target, data.time, data.series, data.gaps, data.missing
        dataset = _once(cache, key, lambda: read_data(data))
    else:
        dataset = ordered_as(dataset, recipe.data)
    notes = list(dataset.notes)
    dataset, recipe, inferred = _resolve(recipe, dataset, model)
    before = len(dataset.notes)
    begin_with = (
        load_weights(network_of(recipe.model), recipe.model.weights) if recipe.model.weights and weights else None
    )
    if begin_with is not None:
        recipe, told = prepare_as(begin_with.record, recipe) if begin_with.record else (recipe, [])
        recipe, also = made_as(begin_with, recipe)
        inferred += [*begin_with.notes, *told, *also]
    sizes = image_sizes(model if model is not None else recipe.model.name, recipe.model.options)
    smallest = smallest_image_size(model if model is not None else recipe.model.name)
    whole, encoder = dataset, vocabulary_of(recipe, like)

    def encode() -> tuple[Dataset, Task, dict[str, dict[str, Any]]]:
        split = _split(whole, recipe.data)
        limit = resident_limit(recipe.data.stream, plan.device)
        task = create_task(recipe.task, split, sizes, limit, smallest, encoder)
        return split, task, {name: task.encode(rows) for name, rows in split.splits.items()}

    dataset, task, tensors = _once(
        cache, (recipe.data, repr(recipe.task), sizes, smallest, recipe.model.embeddings), encode
    )
    if recipe.augment.is_on:
        task = task.augmented(recipe.augment, tensors["train"])
    vectors = None
    if recipe.model.embeddings and weights:
        recipe, vectors = with_embedding_size(recipe, task)
    if model is None:
        recipe, model = make_model(recipe, task)
        show_inputs(model, task, tensors["train"])
    inferred += put_vectors(model, task, vectors) if vectors is not None else []
    learning = put_into(model, begin_with, task) if begin_with else []
    learning += _describe_learning(recipe, model)
    per_row = try_model(model, task, tensors["train"], recipe.model.name)
    check_game(model, recipe.train)
    task.monitored(recipe.train.monitor)
    if recipe.train.patience and "validation" not in tensors:
        raise UserError("patience: stopping early needs validation rows; set data.validation above 0")
    recipe = _with_batch_rows(recipe, task, model)
    resolved = recipe.train.resolved(rows=len(tensors["train"]["targets"]))
    _check_last_batch(model, task, tensors["train"], resolved)
    recipe, told = _resolve_streaming(recipe, tensors["train"], resolved.batch_size)
    notes += [*inferred, *dataset.notes[before:], *task.notes, *learning, *told]
    if recipe.train.batch_size != resolved.batch_size:
        notes.append(f"batch size: {resolved.batch_size}")
    threads, warning = choose_threads(resolved, per_row, resolved.batch_size)
    precision = resolved.precision
    if measure:

        def example() -> tuple[Any, Callable[[Any], Tensor]]:
            task.to_device(plan.device)
            rows = {name: tensor[: resolved.batch_size].to(plan.device) for name, tensor in tensors["train"].items()}
            inputs, targets = task.prepare(rows, training=True)
            return inputs, lambda outputs: task.loss(outputs, targets, training=True)

        plan, note = choose_precision(resolved, plan_device(resolved.device), model, example)
        precision = "bf16" if plan.autocast_type else "fp32"
        notes += [note] if note else []
    notes.append(f"device: {plan.describe(threads)}")
    notes += [warning] if warning else []
    recipe = replace(recipe, train=replace(resolved, threads=threads, precision=precision))
    return Experiment(recipe, dataset, task, model, plan, tensors, notes, per_row)


def _with_batch_rows(recipe: Recipe, task: Task, model: nn.Module) -> Recipe:
    """The batch size of a task that reads so many texts beside each other."""
    wanted, given = task.batch_rows, recipe.train.batch_size
    if wanted is not None and not hasattr(model, "continued"):
        raise UserError(
            f"task.options.streams: model {recipe.model.name} has no state to carry (no method `continued`); set streams to 0"
        )
    if wanted is None or given == wanted:
        return recipe
    if given:
        raise UserError(f"batch_size: {given}, but task.options.streams is {wanted}, which is the batch size; give one")
    return replace(recipe, train=replace(recipe.train, batch_size=wanted))


def _once(cache: dict[Any, Any] | None, key: Any, make: Callable[[], Any]) -> Any:
    """What `make` gives, kept in `cache` where there is one."""
    if cache is None:
        return make()
    if key not in cache:
        cache[key] = make()
    return cache[key]


def _split(dataset: Dataset, data: DataSettings) -> Dataset:
    """`dataset` with the splits that its settings ask for: folds are cut from the training rows that the test left."""
    if data.folds and dataset.ordered:
        raise UserError(
            "data.folds: these rows are in order, and folds would learn from what comes later; use gradus backtest --origins N"
        )
    if data.origins:
        dataset = _rolled(dataset, data)
    validation = 0 if data.folds else data.validation
    dataset = complete_splits(dataset, validation, data.test, data.split_seed, data.target)
    if data.folds:
        dataset = one_fold(dataset, data.folds, data.fold, data.repeat, data.split_seed, data.target)
    dataset = fewer_rows(dataset, data.rows, data.split_seed, data.target) if data.rows else dataset
    return fill_gaps(dataset)


def _rolled(dataset: Dataset, data: DataSettings) -> Dataset:
    """`dataset` as it was known at one origin. Validation rows from a date on keep their number and roll on."""
    whole = complete_splits(dataset, 0, data.test, 0, data.target)
    rolled = rolling_origin(whole, data.origins, data.origin)
    if isinstance(data.validation, str):
        rows = len(hold_out_last(whole["train"], data.validation, dataset.clock)[1])
        rolled = complete_splits(rolled, rows, 0, 0, data.target)
    return rolled


def _resolve(recipe: Recipe, dataset: Dataset, model: nn.Module | None) -> tuple[Dataset, Recipe, list[str]]:
    """Fills in the target, the task and the model's name; says what was inferred."""
    notes = []
    if (
        recipe.task.options.get("documents") and dataset.ordered
    ):  # texts of their own, which need not be split in their order
        dataset = replace(dataset, ordered=False)
    if recipe.data.target and recipe.data.target != dataset.target:
        dataset = replace(dataset, target=recipe.data.target)
    task_name = recipe.task.name
    if not task_name:
        task_name = infer_task(dataset)
        notes.append(f"task: {task_name} (target '{dataset.target}')")
    if model is not None:
        model_settings = getattr(model, "created_as", None) or ModelSettings(name=f"custom:{type(model).__qualname__}")
    elif recipe.model.name:
        model_settings = recipe.model
    else:
        model_settings = replace(recipe.model, name=TASKS[task_name].models[0])
        notes.append(f"model: {model_settings.name}")
    source = dataset.source
    if source not in CATALOGUE and Path(source).exists():
        source = str(Path(source).resolve())  # the run can then be resumed and reported from any folder
    data = replace(recipe.data, source=source, target=dataset.target)
    recipe = replace(recipe, data=data, task=replace(recipe.task, name=task_name), model=model_settings)
    recipe, told = _with_proposals(recipe, model)
    recipe = _with_pixels(_with_word_form(recipe, model), model)
    return dataset, named_embeddings(named_weights(recipe)), [*notes, *told]


def _with_word_form(recipe: Recipe, model: nn.Module | None) -> Recipe:
    """Has the task of word vectors make what its model learns from. Raises `UserError` for other models."""
    if recipe.task.name != "word-vectors":
        return recipe
    form = getattr(model if model is not None else model_class(recipe.model.name), "word_form", None)
    asked = recipe.task.options.get("form", form)
    if form is None or asked != form:
        known = ", ".join(TASKS["word-vectors"].models)
        raise UserError(
            f"model {recipe.model.name} does not learn word vectors{'' if form is None else f' as {asked}'}: "
            f"known are {known}"
        )
    return replace(recipe, task=replace(recipe.task, options={**recipe.task.options, "form": form}))


def _with_pixels(recipe: Recipe, model: nn.Module | None) -> Recipe:
    """Has the task give a network that makes pictures the range it works in, and tells what else follows from the network.
    Raises `UserError` for other models."""
    if recipe.task.name != "picture-generation":
        return recipe
    pixels = getattr(model if model is not None else model_class(recipe.model.name), "pixels", None)
    asked = recipe.task.options.get("pixels", pixels)
    if pixels is None or asked != pixels:
        known = ", ".join(TASKS["picture-generation"].models)
        range_of = "" if pixels is None else f" in the range '{asked}'"
        raise UserError(f"model {recipe.model.name} makes no pictures{range_of}: known are {known}")
    named = recipe.model.name in MODELS
    if recipe.task.options.get("conditional") and named and "num_classes" not in accepted_options(recipe.model.name):
        raise UserError(f"model {recipe.model.name} is told no classes; leave out task.options.conditional")
    return replace(recipe, task=replace(recipe.task, options={**recipe.task.options, "pixels": pixels}))


def _with_proposals(recipe: Recipe, model: nn.Module | None) -> tuple[Recipe, list[str]]:
    """Has the task give region proposals to a detector that takes them. Raises `UserError` where they are asked for in vain."""
    wanted = getattr(model if model is not None else model_class(recipe.model.name), "takes_proposals", 0)
    asked = recipe.task.options.get("proposals", 0)
    if asked and not wanted:
        raise UserError(f"model {recipe.model.name} takes no region proposals; leave out task.options.proposals")
    if asked or not wanted or recipe.task.name != "object-detection":
        return recipe, []
    options = {**recipe.task.options, "proposals": wanted}
    note = f"model {recipe.model.name} takes region proposals: up to {wanted} a picture, by selective search"
    return replace(recipe, task=replace(recipe.task, options=options)), [note]


def _describe_learning(recipe: Recipe, model: nn.Module) -> list[str]:
    """What is frozen and at what rates the rest learns, in words. Raises `UserError` for parts that the network does not have."""
    settings = recipe.train.fine_tune
    if not settings.freezes and settings.rate_decay == 1:
        return []
    fine_tune = FineTune(model, settings)
    notes = [fine_tune.describe()]
    if settings.freezes and not (recipe.model.weights or recipe.model.embeddings) and recipe.model.name in MODELS:
        notes.append(
            "what is frozen has random weights: give trained ones with --weights, or word vectors with --embeddings"
        )
    return notes


def _resolve_streaming(recipe: Recipe, train: dict[str, Any], batch_size: int) -> tuple[Recipe, list[str]]:
    """Writes out whether rows are streamed and by how many workers, and says so. Then `resume` does what was begun."""
    streamed = [rows for rows in train.values() if isinstance(rows, EncodedRows)]
    if not streamed:
        asked = recipe.data.stream == "always"
        told = ["data.stream: only pictures are streamed; these rows are held in memory"] if asked else []
        return replace(recipe, data=replace(recipe.data, stream="never")), told
    row_bytes = sum(rows.row_bytes for rows in streamed)
    workers = choose_workers(recipe.data.workers, batch_size * row_bytes)
    several = f"{workers} worker processes" if workers > 1 else "a worker process"
    note = f"pictures are streamed, decoded by {several if workers else 'the training process'}"
    if recipe.data.stream == "auto":
        note += (
            f": {len(streamed[0]) * row_bytes / 2**30:.1f} GiB of training rows are much for the memory that is free"
        )
    return replace(recipe, data=replace(recipe.data, stream="always", workers=workers)), [note]


def make_model(recipe: Recipe, task: Task) -> tuple[Recipe, nn.Module]:
    """The model with the sizes that follow from the data, its weights drawn from the seed."""
    name = recipe.model.name
    accepted = accepted_options(name)
    from_data = {key: value for key, value in task.model_options().items() if key in accepted}
    options = {**from_data, **recipe.model.options}
    torch.manual_seed(derive(recipe.train.seed, INITIAL_WEIGHTS))
    try:
        model = create_model(name, **options)
    except UserError as error:
        raise type(error)(f"{error}{_other_task(name, task)}") from None
    return replace(recipe, model=replace(recipe.model, options=options)), model


def show_inputs(model: nn.Module, task: Task, tensors: dict[str, Any]) -> None:
    """Networks with layers that are made from the data (`fit_inputs`) are shown the first training rows, not augmented."""
    fit_inputs = getattr(model, "fit_inputs", None)
    if fit_inputs is not None:
        task.to_device(torch.device("cpu"))
        rows = {name: tensor[:SHOWN_ROWS] for name, tensor in tensors.items()}
        fit_inputs(task.prepare(rows, training=False)[0])


def try_model(model: nn.Module, task: Task, tensors: dict[str, Any], name: str) -> float:
    """Runs two rows through the model, so that a model that does not fit the data is told before anything is written.

    Returns the floating-point operations that one row takes.
    """
    task.to_device(torch.device("cpu"))
    rows = {key: value[:2] for key, value in tensors.items()}
    inputs, _ = task.prepare(rows, training=False)
    size = task.model_options().get("num_tokens", 0)
    if size and isinstance(inputs, Tensor) and inputs.dtype == torch.int64 and inputs.numel():
        inputs = inputs.clone()
        inputs.view(-1)[0] = size - 1  # the largest id, which two rows need not have
    was_training, place = model.training, next((p.device for p in model.parameters()), torch.device("cpu"))
    try:
        with torch.no_grad():
            outputs = model.cpu().eval()(inputs)
            task.check_outputs(outputs, len(rows["inputs"]), name)
        needed = operations(model, inputs) / max(len(rows["inputs"]), 1)
    except UserError as error:
        raise type(error)(f"{error}{_other_task(name, task)}") from None
    except IndexError as error:
        if not size:
            raise
        raise UserError(
            f"model {name} does not take all of the {size:,} ids of the vocabulary (num_tokens={size}): {error}"
        ) from None
    except (RuntimeError, TypeError, AttributeError) as error:
        if isinstance(inputs, Tensor) and not isinstance(error, RuntimeError):
            raise  # a mistake within the model; of several inputs it mostly says that the model takes one
        reason = str(error).splitlines()[0]
        raise UserError(
            f"model {name} does not take inputs of shape {shape_of(inputs)}: {reason}{_other_task(name, task)}"
        ) from None
    finally:
        model.to(place).train(was_training)
    return needed


def _other_task(name: str, task: Task) -> str:
    """What a network that does not fit is for, where that is another task; else nothing."""
    tasks = [known for known, kind in TASKS.items() if name in kind.models]
    if not tasks or task.name in tasks or task.name not in TASKS:
        return ""
    hint = " (--target mask)" if tasks[0] == "semantic-segmentation" and task.name == "object-detection" else ""
    return f"; it is for {tasks[0]}{hint}, and for {task.name} there are {', '.join(TASKS[task.name].models[:3])}"


def shape_of(inputs: Any) -> str:
    """The shape of what a model takes, or the shapes of several."""
    return str(tuple(inputs.shape)) if isinstance(inputs, Tensor) else " and ".join(map(shape_of, inputs))


def _check_last_batch(model: nn.Module, task: Task, tensors: dict[str, Any], train: TrainSettings) -> None:
    """Refuses a batch size whose last batch is one row, where batch normalisation needs more: it would fail after an epoch."""
    rows, norms = len(tensors["targets"]), (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    lone = rows % train.batch_size == 1 and train.batch_size > 1
    if not lone or train.fine_tune.freeze or not any(isinstance(module, norms) for module in model.modules()):
        return
    inputs, _ = task.prepare({key: value[:1] for key, value in tensors.items()}, training=False)
    try:
        with torch.no_grad():
            copy.deepcopy(model).cpu().train()(inputs)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise UserError(
            f"batch_size: of {rows} rows, {train.batch_size} a batch leave one row for the last, which has no batch statistics; "
            f"choose another, such as {train.batch_size - 1 if rows % (train.batch_size - 1) != 1 else train.batch_size + 1}"
        ) from None


def fingerprint(tensors: dict[str, Any]) -> str:
    """A hash of a split as it is learnt from, by which a resumed run knows that its data are the same.

    Of rows that are streamed it covers names and sizes of files, and the footers of Parquet files, not every pixel.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        if isinstance(tensors[name], EncodedRows | DeviceRows):
            digest.update(name.encode() + tensors[name].fingerprint())
            continue
        tensor = tensors[name].contiguous()
        digest.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(memoryview(tensor.numpy().data).cast("B") if tensor.numel() else b"")
    return digest.hexdigest()[:32]


def train_settings(**flat: object) -> TrainSettings:
    """TrainSettings from flat arguments: `learning_rate` and `momentum` go to the optimiser, `optimizer` may be its name, and
    `freeze` (a name, or several) goes to the fine-tuning."""
    values = dict(flat)
    optimizer = values.pop("optimizer", {})
    if isinstance(optimizer, str):
        optimizer = {"name": optimizer}
    if not isinstance(optimizer, dict):
        optimizer = settings.to_dict(optimizer)
    for name in ("learning_rate", "momentum", "weight_decay"):
        if name in values:
            optimizer[name] = values.pop(name)
    if "freeze" in values:
        freeze = values.pop("freeze")
        values["fine_tune"] = {
            **settings.to_dict(values.get("fine_tune", FineTuneSettings())),
            "freeze": [freeze] if isinstance(freeze, str) else freeze,
        }
    schedule = values.pop("schedule", {})
    if isinstance(schedule, str):
        schedule = {"name": schedule}
    return settings.from_dict(TrainSettings, {**values, "optimizer": optimizer, "schedule": schedule})

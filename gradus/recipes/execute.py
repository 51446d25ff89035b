"""Runs recipes: train, resume. Each ends with a Run: a folder with everything in it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gradus.data.augment.settings import AugmentSettings, get_preset
from gradus.data.dataset import Dataset
from gradus.data.device_rows import DeviceRows
from gradus.data.load import DataSettings
from gradus.errors import UserError, quoted
from gradus.files import write_atomic
from gradus.recipes.environment import describe_environment
from gradus.recipes.experiment import Experiment, fingerprint, prepare, train_settings
from gradus.recipes.features import compute_features
from gradus.recipes.finishing import finish_model
from gradus.recipes.picturing import write_samples
from gradus.recipes.recipe import Recipe, write_recipe
from gradus.recipes.run import FORMAT, Run, load_run
from gradus.stopping import held_signals, told_when_stopped
from gradus.tasks.control import ControlTask
from gradus.tasks.generation import GenerationTask
from gradus.tasks.settings import TaskSettings
from gradus.tasks.table import save_state
from gradus.train import checkpoint
from gradus.train.acting import check_alone, create_acting
from gradus.train.adversarial import watch_balance
from gradus.train.devices import DEFAULT_THREADS, set_up_process
from gradus.train.distributed import SharedSource, create_learner
from gradus.train.folder import RunFolder
from gradus.train.learner import Supervised
from gradus.train.observers import write_log
from gradus.train.source import Batch, InOrder, Resident, Source
from gradus.train.stream import Readers, Streamed
from gradus.train.trainer import Observer, Trainer
from gradus.train.world import ALONE, World, begun_run, check_can_restart, join, tell_launcher


def fit(
    model: nn.Module,
    data: Dataset | str | Path,
    task: str = "",
    *,
    task_options: dict[str, Any] | None = None,
    validation: float | int = 0.1,
    test: float | int = 0.2,
    target: str | None = None,
    augment: AugmentSettings | str = "none",
    out: str | Path | None = None,
    callbacks: tuple[Observer, ...] = (),
    **training: Any,
) -> Run:
    """Trains any `torch.nn.Module` and returns its Run. The module itself ends with the weights after the last step.

    data:      a Dataset, a catalogue name, or a path
    task:      its name; inferred from the columns where empty
    augment:   how training pictures are changed: AugmentSettings, or the name of a preset
    training:  fields of TrainSettings (epochs, batch_size, seed, ...), with `optimizer` as a name, and `learning_rate`,
               `momentum`, `weight_decay` of the optimiser, and `freeze`, the parts of the network that do not learn
    callbacks: functions that are given a record (a dict) at every look, epoch and end; they cannot change the training

    Raises `UserError` for what does not fit together, before anything is written.
    """
    source = data.source if isinstance(data, Dataset) else str(data)
    recipe = Recipe(
        data=DataSettings(source=source, target=target, validation=validation, test=test),
        task=TaskSettings(name=task, options=dict(task_options or {})),
        augment=get_preset(augment) if isinstance(augment, str) else augment,
        train=train_settings(**training),
    )
    return train_recipe(
        recipe, out, dataset=data if isinstance(data, Dataset) else None, model=model, observers=callbacks
    )


def train_recipe(
    recipe: Recipe,
    out: str | Path | None = None,
    *,
    dataset: Dataset | None = None,
    model: nn.Module | None = None,
    observers: tuple[Observer, ...] = (),
    say: Callable[[str], None] = lambda line: None,
) -> Run:
    """Runs a recipe from the start in a new folder.

    out: the run's folder, which must be new or empty; None: runs/MODEL-DATA-NUMBER
    say: is given the lines that tell what was inferred

    With several processes (torchrun, --nproc) all of them call this; the main one writes and is the only one with observers.
    Where processes were killed and started again, the run that they had begun goes on.
    """
    world = join()
    begun = begun_run(out)
    if begun is not None and (begun / "evaluation.json").exists():
        return load_run(begun, model)
    if begun is not None:
        return resume(begun, dataset=dataset, model=model, observers=observers, say=say)
    with world.together():
        check_can_restart(out)
        experiment = prepare(recipe, dataset, model)
        if isinstance(experiment.task, ControlTask):
            check_alone(world)
    _take_measured(experiment, world)
    folder = None
    try:
        with world.together():
            if world.is_main:
                for note in experiment.notes:
                    say(note)
                folder = _begin(experiment, out)
                tell_launcher(folder.path)
        path = world.from_main(str(folder.path) if folder else None)
        folder = folder or RunFolder(Path(path))
        with told_when_stopped(_on_the_way(folder)):
            _check_same_data(experiment, world)
            observers = _observers_of(folder, observers, world)
            trainer = create_trainer(experiment, folder, observers, world, say)
            return _finish(experiment, trainer, folder, observers)
    finally:
        if folder is not None:
            folder.lock.release()


def resume(
    path: str | Path,
    *,
    dataset: Dataset | None = None,
    model: nn.Module | None = None,
    observers: tuple[Observer, ...] = (),
    say: Callable[[str], None] = lambda line: None,
) -> Run:
    """Continues a run from its last checkpoint, to the same bits as if it had not stopped (on a CPU).

    A run that was killed before its first checkpoint starts again. dataset, model: for runs of a dataset or module of one's own.
    """
    world = join()
    with world.together():
        run = load_run(path)
        folder = RunFolder.reopen(run.path) if world.is_main else RunFolder(run.path)
    try:
        with told_when_stopped(_on_the_way(folder)), world.together():
            if run.is_custom and model is None:
                raise UserError(
                    f"{run.path}: this run trained a module of your own; resume it from Python with model=..."
                )
            if world.is_main:
                tell_launcher(folder.path)
            begun = world.from_main(checkpoint.exists(folder.checkpoints, "last") if world.is_main else None)
            experiment = prepare(run.recipe, dataset, model, measure=False, weights=not begun, like=run.task)
            expected = folder.read_json("task.json").get("fingerprint")
            if fingerprint(experiment.tensors["train"]) != expected:
                source = run.recipe.data.source
                raise UserError(f"{run.path}: the training data ({source}) are not those that the run began with")
        with told_when_stopped(_on_the_way(folder)):
            observers = _observers_of(folder, observers, world)
            trainer = create_trainer(experiment, folder, observers, world, say)
            _restore(trainer, folder, say, world)
            return _finish(experiment, trainer, folder, observers)
    finally:
        folder.lock.release()


def _observers_of(folder: RunFolder, observers: tuple[Observer, ...], world: World) -> tuple[Observer, ...]:
    return (*observers, write_log(folder.path / "log.txt")) if world.is_main else ()


def _take_measured(experiment: Experiment, world: World) -> None:
    """Has all processes take what the main one has found by measuring: the precision, and what follows from it."""
    train = experiment.recipe.train
    precision, threads = world.from_main([train.precision, train.threads])
    if (precision, threads) != (train.precision, train.threads):
        experiment.recipe = replace(experiment.recipe, train=replace(train, precision=precision, threads=threads))
        experiment.plan = replace(experiment.plan, autocast_type=torch.bfloat16 if precision == "bf16" else None)


def _check_same_data(experiment: Experiment, world: World) -> None:
    """Each process reads the data, perhaps on another machine: they have to be the same, and read in the same way."""
    if world.size == 1:
        return
    source, stream = experiment.recipe.data.source, experiment.recipe.data.stream
    found = world.gather([fingerprint(experiment.tensors["train"]), stream])
    with world.together():
        for rank, (digest, way) in enumerate(found):
            if digest != found[0][0]:
                raise UserError(f"{source}: process {rank} reads other training data than process 0; give all the same")
            if way != found[0][1]:  # the order of streamed rows may be another
                raise UserError(
                    f"data.stream: by the memory that is free, process {rank} chose '{way}' and process 0 "
                    f"'{found[0][1]}'; name one of them for all"
                )


def _restore(trainer: Trainer, folder: RunFolder, say: Callable[[str], None], world: World) -> None:
    """Brings the trainer to the last checkpoint, or to the beginning; a damaged one is refused with the ways out."""
    say = say if world.is_main else lambda line: None
    if not world.from_main(checkpoint.exists(folder.checkpoints, "last")):
        if world.is_main:
            folder.keep_metrics(0)
        if trainer.vitals is not None:
            trainer.vitals.restore(0, -1, [])
        say("no checkpoint had been written yet: starting from the beginning")
        return
    try:
        trainer.restore()
    except checkpoint.Damaged as error:
        if checkpoint.is_whole(folder.checkpoints, "last"):
            way = f"to go on without the best weights so far, remove {folder.checkpoints / 'best'} and resume again"
        else:
            way = f"to start again: gradus train {quoted(folder.path / 'recipe.toml')} --out ANOTHER"
            if checkpoint.is_whole(folder.checkpoints, "best"):
                way = f"its best weights so far are whole, so gradus eval and predict still work; {way}"
        raise UserError(f"{error}; {way}") from None
    said = getattr(trainer.learner, "said", "")
    if said:
        say(said)
    say(f"continuing at epoch {trainer.epoch + 1}, step {trainer.step} of {trainer.source.steps}")


def _on_the_way(folder: RunFolder) -> str:
    return f"stopped. Continue with: gradus resume {quoted(folder.path)}"


def default_name(experiment: Experiment) -> str:
    model = experiment.recipe.model.name.rpartition(":")[2]
    return re.sub(r"[^\w.-]+", "-", f"{model}-{experiment.dataset.name}").strip("-")


def _begin(experiment: Experiment, out: str | Path | None) -> RunFolder:
    """The run's folder, locked, with its beginning; where that cannot be written whole, or a signal comes, none at all."""
    folder = None
    try:
        with held_signals():
            name = default_name(experiment)
            folder = RunFolder.create(Path(out)) if out else RunFolder.create_numbered(Path("runs"), name)
            _write_beginning(folder, experiment)
        return folder
    except BaseException:
        if folder is not None:
            folder.abandon()
        raise


def _write_beginning(folder: RunFolder, experiment: Experiment) -> None:
    """All that resuming and predicting need, before the first step."""
    task = {**save_state(experiment.task), "fingerprint": fingerprint(experiment.tensors["train"])}
    task["rows"] = {name: len(split) for name, split in experiment.dataset.splits.items()}
    task["notes"] = experiment.notes
    folder.write_json("task.json", task)
    folder.write_json("environment.json", describe_environment(experiment.plan, experiment.recipe.train.threads))
    write_atomic(folder.path / "recipe.toml", write_recipe(experiment.recipe, format=FORMAT))


def create_trainer(
    experiment: Experiment,
    folder: RunFolder | None = None,
    observers: tuple[Observer, ...] = (),
    world: World = ALONE,
    say: Callable[[str], None] = lambda line: None,
    cache: dict[Any, Any] | None = None,
) -> Trainer:
    """The trainer of an experiment, its data on the device. Without a folder nothing is kept.

    Where the first modules of the network are frozen and compute the same in every epoch, they are applied once, here, and what
    they give is kept in `cache` where there is one.
    """
    settings, plan, task = experiment.recipe.train, experiment.plan, experiment.task
    threads = settings.threads if world.size == 1 else min(settings.threads, DEFAULT_THREADS)  # the cores are shared
    set_up_process(plan, threads, settings.deterministic)
    task.to_device(plan.device)
    if isinstance(task, ControlTask):
        with world.together():
            taught, acting, trials = create_acting(experiment.model, task, settings, plan, world)
        monitor = task.monitored(settings.monitor)
        return Trainer(taught, acting, settings, validation=trials, monitor=monitor, folder=folder, observers=observers)
    origins = experiment.dataset["train"].origins
    with world.together():
        features = compute_features(experiment, say if world.is_main else lambda line: None, cache)
    model = experiment.model
    if features is None:
        whole, validation = _sources(experiment)
    else:
        whole = Resident(features.splits["train"], settings.batch_size, settings.seed)
        validation, task, model = features.splits.get("validation"), features.task, features.model
    source: Any = whole if world.size == 1 else SharedSource(whole, world)
    with world.together():
        learner = create_learner(model, task, settings, plan, world)
    if isinstance(task, GenerationTask) and folder is not None and world.is_main:
        shown = write_samples(folder.path, learner.predictor, task, plan.device, settings.seed, settings.epochs)
        observers = (*observers, shown, watch_balance(observers))
    return Trainer(
        learner,
        source,
        settings,
        validation=validation,
        monitor=task.monitored(settings.monitor),
        folder=folder,
        observers=observers,
        origins=origins if len(origins) == whole.rows else None,  # windows of a text are no rows of its file
        world=world,
    )


def _sources(experiment: Experiment) -> tuple[Source, Batch | InOrder | None]:
    """What is trained on, and what chooses the best weights: tensors on the device, or rows that worker processes decode."""
    settings, device = experiment.recipe.train, experiment.plan.device
    splits = {name: tensors for name, tensors in experiment.tensors.items() if name in ("train", "validation")}
    if experiment.recipe.data.stream == "always":
        readers = Readers(splits, experiment.recipe.data.workers, device)
        streamed = {name: Streamed(readers, name, settings.batch_size, settings.seed) for name in splits}
        return streamed["train"], streamed.get("validation")
    resident: dict[str, dict[str, Any]] = {
        split: {name: tensor.to(device) for name, tensor in tensors.items() if isinstance(tensor, Tensor | DeviceRows)}
        for split, tensors in splits.items()
    }
    return Resident(resident["train"], settings.batch_size, settings.seed), resident.get("validation")


def _finish(experiment: Experiment, trainer: Trainer, folder: RunFolder, observers: tuple[Observer, ...]) -> Run:
    """Trains to the end, judges the best weights once, computes the baselines."""
    recipe = experiment.recipe
    start = {"event": "start", "path": str(folder.path), "epochs": recipe.train.epochs, "steps": trainer.source.steps}
    for observer in observers:
        observer({**start, "epoch": trainer.epoch, "rows": trainer.source.rows})
    try:
        trainer.fit()
    except BaseException:
        for observer in observers:  # a live bar gives the terminal back, a file is closed
            observer({"event": "stopped"})
        raise
    finally:
        if isinstance(trainer.learner, Supervised):
            trainer.learner.release()
    run = Run(folder.path, recipe, experiment.task, experiment=experiment)
    if not trainer.world.is_main:
        return run
    said = finish_model(run, folder)
    for observer in observers if said else ():
        observer({"event": "note", "text": said})
    started = time.perf_counter()
    split = next(name for name in ("test", "validation", "train") if name in experiment.tensors)
    metrics = run.assess(split).metrics
    seconds = time.perf_counter() - started
    baselines = experiment.task.baselines(experiment.tensors["train"], experiment.tensors[split])
    timing = {
        "train": trainer.train_seconds,
        "evaluate": seconds,
        "samples_per_second": trainer.samples / max(trainer.train_seconds, 1e-9),
    }
    result = {"split": split, "metrics": metrics, "baselines": baselines, "timing": timing, "best": trainer.best}
    folder.write_json("evaluation.json", {key: value for key, value in result.items() if value is not None})
    for observer in observers:
        observer({"event": "end", "path": str(folder.path), **result})
    return run

"""Runs recipes: train, resume. Each ends with a Run: a folder with everything in it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from gradus.data.dataset import Dataset
from gradus.data.load import DataSettings
from gradus.errors import UserError
from gradus.files import write_atomic
from gradus.recipes.environment import describe_environment
from gradus.recipes.experiment import Experiment, fingerprint, prepare, train_settings
from gradus.recipes.recipe import Recipe, write_recipe
from gradus.recipes.run import FORMAT, Run, load_run
from gradus.tasks.settings import TaskSettings
from gradus.tasks.table import save_state
from gradus.train import checkpoint
from gradus.train.devices import set_up_process
from gradus.train.folder import RunFolder
from gradus.train.learner import Supervised
from gradus.train.observers import write_log
from gradus.train.source import Batch, InOrder, Resident, Source
from gradus.train.stream import Readers, Streamed
from gradus.train.trainer import Observer, Trainer


def fit(
    model: nn.Module,
    data: Dataset | str | Path,
    task: str = "",
    *,
    task_options: dict[str, Any] | None = None,
    validation: float | int = 0.1,
    test: float | int = 0.2,
    target: str | None = None,
    out: str | Path | None = None,
    callbacks: tuple[Observer, ...] = (),
    **training: Any,
) -> Run:
    """Trains any `torch.nn.Module` and returns its Run. The module itself ends with the weights after the last step.

    data:      a Dataset, a catalogue name, or a path
    task:      its name; inferred from the columns where empty
    training:  fields of TrainSettings (epochs, batch_size, seed, ...), with `optimizer` as a name, and `learning_rate`,
               `momentum`, `weight_decay` of the optimiser
    callbacks: functions that are given a record (a dict) at every look, epoch and end; they cannot change the training

    Raises `UserError` for what does not fit together, before anything is written.
    """
    source = data.source if isinstance(data, Dataset) else str(data)
    recipe = Recipe(
        data=DataSettings(source=source, target=target, validation=validation, test=test),
        task=TaskSettings(name=task, options=dict(task_options or {})),
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
    """
    experiment = prepare(recipe, dataset, model)
    for note in experiment.notes:
        say(note)
    folder = RunFolder.create(Path(out)) if out else RunFolder.create_numbered(Path("runs"), default_name(experiment))
    try:
        _write_beginning(folder, experiment)
        observers = (*observers, write_log(folder.path / "log.txt"))
        trainer = create_trainer(experiment, folder, observers)
        return _finish(experiment, trainer, folder, observers)
    finally:
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
    run = load_run(path)
    folder = RunFolder(run.path)
    folder.lock.acquire()
    try:
        if run.is_custom and model is None:
            raise UserError(f"{run.path}: this run trained a module of your own; resume it from Python with model=...")
        experiment = prepare(run.recipe, dataset, model, measure=False)
        expected = folder.read_json("task.json").get("fingerprint")
        if fingerprint(experiment.tensors["train"]) != expected:
            raise UserError(
                f"{run.path}: the training data ({run.recipe.data.source}) are not those that the run began with"
            )
        observers = (*observers, write_log(folder.path / "log.txt"))
        trainer = create_trainer(experiment, folder, observers)
        if checkpoint.exists(folder.checkpoints, "last"):
            trainer.restore()
            say(f"continuing at epoch {trainer.epoch + 1}, step {trainer.step} of {trainer.source.steps}")
        else:
            folder.keep_metrics(0)
            say("no checkpoint had been written yet: starting from the beginning")
        return _finish(experiment, trainer, folder, observers)
    finally:
        folder.lock.release()


def default_name(experiment: Experiment) -> str:
    model = experiment.recipe.model.name.rpartition(":")[2]
    return re.sub(r"[^\w.-]+", "-", f"{model}-{experiment.dataset.name}").strip("-")


def _write_beginning(folder: RunFolder, experiment: Experiment) -> None:
    """All that resuming and predicting need, before the first step."""
    task = {**save_state(experiment.task), "fingerprint": fingerprint(experiment.tensors["train"])}
    task["rows"] = {name: len(split) for name, split in experiment.dataset.splits.items()}
    task["notes"] = experiment.notes
    folder.write_json("task.json", task)
    folder.write_json("environment.json", describe_environment(experiment.plan, experiment.recipe.train.threads))
    write_atomic(folder.path / "recipe.toml", write_recipe(experiment.recipe, format=FORMAT))


def create_trainer(
    experiment: Experiment, folder: RunFolder | None = None, observers: tuple[Observer, ...] = ()
) -> Trainer:
    """The trainer of an experiment, its data on the device. Without a folder nothing is kept."""
    settings, plan, task = experiment.recipe.train, experiment.plan, experiment.task
    set_up_process(plan, settings.threads, settings.deterministic)
    task.to_device(plan.device)
    source, validation = _sources(experiment)
    return Trainer(
        Supervised(experiment.model, task, settings, plan),
        source,
        settings,
        validation=validation,
        monitor=task.monitored(settings.monitor),
        folder=folder,
        observers=observers,
        origins=experiment.dataset["train"].origins,
    )


def _sources(experiment: Experiment) -> tuple[Source, Batch | InOrder | None]:
    """What is trained on, and what chooses the best weights: tensors on the device, or rows that worker processes decode."""
    settings, device = experiment.recipe.train, experiment.plan.device
    splits = {name: tensors for name, tensors in experiment.tensors.items() if name in ("train", "validation")}
    if experiment.recipe.data.stream == "always":
        readers = Readers(splits, experiment.recipe.data.workers, device)
        streamed = {name: Streamed(readers, name, settings.batch_size, settings.seed) for name in splits}
        return streamed["train"], streamed.get("validation")
    resident = {
        split: {name: tensor.to(device) for name, tensor in tensors.items() if isinstance(tensor, Tensor)}
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
    run = Run(folder.path, recipe, experiment.task, experiment=experiment)
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

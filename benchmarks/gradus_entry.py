"""Gradus, twice: the bare trainer, and all that `gradus train` does.

Both count loss and accuracy on the training rows, which the bare loops do not. For text there is no recipe: the trainer is
given a task of the benchmark's own (tensor_task.py).
"""

from __future__ import annotations

import io
import os
import tempfile
from typing import Any

import numpy as np
import torch
from clock import Clock
from tensor_task import TensorTask
from workload import EPSILON, LEARNING_RATE, RHO, SEED, Workload

from gradus.data.columns import Column, Image, Label
from gradus.data.dataset import Dataset, NumberedRows, Split
from gradus.data.load import DataSettings
from gradus.models import ModelSettings
from gradus.recipes.execute import create_trainer, train_recipe
from gradus.recipes.experiment import prepare
from gradus.recipes.recipe import Recipe
from gradus.tasks.settings import TaskSettings
from gradus.train.devices import plan_device, set_up_process
from gradus.train.learner import Supervised
from gradus.train.observers import show_progress
from gradus.train.settings import OptimizerSettings, TrainSettings
from gradus.train.source import Resident
from gradus.train.trainer import Observer, Trainer


def trainer_only(workload: Workload, epochs: int, clock: Clock) -> np.ndarray:
    """Trainer, `Supervised` and `Resident`, without a run folder."""
    trainer = trainer_for(workload, epochs, observers=(lap_each_epoch(clock),))
    clock.start()
    trainer.fit()
    learner = trainer.learner
    outputs = []
    with torch.no_grad():
        learner.model.eval()
        for part in torch.from_numpy(workload.test_inputs).split(500):
            outputs.append(learner.model(learner.task.prepare({"inputs": part}, training=False)[0]))
    return torch.cat(outputs).argmax(dim=1).numpy()


def trainer_for(workload: Workload, epochs: int, observers: tuple[Observer, ...] = ()) -> Trainer:
    """The trainer of a workload, from the weights that `Workload.create_model` makes."""
    if not workload.is_text:
        return create_trainer(prepare(recipe(workload, epochs), dataset(workload)), observers=observers)
    plan = plan_device("cpu")  # which has the process keep its freed memory
    settings = train_settings(workload, epochs).resolved(rows=len(workload.train_labels))
    set_up_process(plan, threads=0, deterministic=False)
    rows = {"inputs": torch.from_numpy(workload.train_inputs), "targets": torch.from_numpy(workload.train_labels)}
    task = TensorTask(["negative", "positive"])
    learner = Supervised(workload.create_model(), task, settings, plan)
    return Trainer(learner, Resident(rows, settings.batch_size, settings.seed), settings, observers=observers)


def whole_run(workload: Workload, epochs: int, clock: Clock) -> np.ndarray:
    """`gradus train` into a run folder: metrics, log, checkpoints every 10 s, the live bar of a terminal.

    Its clock runs on while the other contestants have their turn, so it writes a checkpoint nearly every epoch: more than
    it would by itself.
    """
    os.environ["FORCE_COLOR"] = "1"  # rich then draws the bar, although what it draws goes to a log
    with tempfile.TemporaryDirectory() as folder:
        observers = (start_clock(clock), show_progress(Terminal()), lap_each_epoch(clock))
        run = train_recipe(recipe(workload, epochs), folder, dataset=dataset(workload), observers=observers)
        return run.assess("test").probabilities.argmax(axis=1)


def recipe(workload: Workload, epochs: int) -> Recipe:
    """As gradus/recipes/mnist.py has it: no validation split, pixels in 0..1, Keras' RMSprop."""
    return Recipe(
        data=DataSettings(source=f"benchmark-{workload.name}", validation=0),
        task=TaskSettings(name="image-classification", options={"normalize": "unit"}),
        model=ModelSettings(name=workload.model, options=workload.options),
        train=train_settings(workload, epochs),
    )


def train_settings(workload: Workload, epochs: int) -> TrainSettings:
    optimizer = OptimizerSettings(name="rmsprop", learning_rate=LEARNING_RATE, rho=RHO, epsilon=EPSILON)
    return TrainSettings(epochs=epochs, batch_size=workload.batch_size, seed=SEED, optimizer=optimizer)


def dataset(workload: Workload) -> Dataset:
    digits = Label(classes=tuple("0123456789"))

    def split(images: np.ndarray, labels: np.ndarray) -> Split:
        columns = {"image": Column(Image(channels=1), images), "label": Column(digits, labels)}
        return Split(columns, NumberedRows.count("benchmark", len(labels)))

    splits = {
        "train": split(workload.train_inputs, workload.train_labels),
        "test": split(workload.test_inputs, workload.test_labels),
    }
    name = f"benchmark-{workload.name}"
    return Dataset(name=name, source=name, splits=splits, target="label")


def lap_each_epoch(clock: Clock) -> Observer:
    def observe(record: dict[str, Any]) -> None:
        if record["event"] == "epoch":
            clock.lap()

    return observe


def start_clock(clock: Clock) -> Observer:
    def observe(record: dict[str, Any]) -> None:
        if record["event"] == "start":
            clock.start()

    return observe


class Terminal(io.StringIO):
    """Says that it is a terminal, so that progress is a live bar and not plain lines."""

    def isatty(self) -> bool:
        return True

"""Making pictures with a trained generative network: by a seed, by latents, by class; and what it makes after every epoch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from gradus.errors import UserError, unknown_name
from gradus.files import write_atomic
from gradus.look.inside.sight import encode_png, grid
from gradus.tasks.generation import GenerationTask
from gradus.train.randomness import derive
from gradus.train.trainer import Observer, Record

if TYPE_CHECKING:
    from gradus.recipes.run import Run

SHOWN = 64  # pictures that are made after every epoch, from latents that stay the same
AT_ONCE = 256  # pictures that are made together


def generation_task(run: Run) -> GenerationTask:
    """The task of a run that makes pictures. Raises `UserError` for any other."""
    if not isinstance(run.task, GenerationTask):
        raise UserError(f"{run.path}: this run's task is {run.task.name}; only picture-generation makes pictures")
    return run.task


def make_pictures(run: Run, count: int = 64, *, seed: int = 0, label: str | None = None) -> np.ndarray:
    """(count, H, W, C) uint8: new pictures. The same count and seed give the same ones.

    label: the class that is asked for, of a network that is told classes; None: all classes in turn

    Raises `UserError` for a run of another task, a class that it does not know, a count below 1.
    """
    task = generation_task(run)
    if count < 1:
        raise UserError(f"count: expected 1 picture or more, received {count}")
    model = run.model
    classes = classes_asked(task, count, label)
    parts = []
    for start in range(0, count, AT_ONCE):
        size = min(AT_ONCE, count - start)
        generator = torch.Generator().manual_seed(derive(seed, start))
        chosen = None if classes is None else classes[start : start + size]
        parts.append(made_of(model, task, model.draw(size, generator), chosen, generator, run.plan.device))  # type: ignore[operator]
    return np.concatenate(parts)


def classes_asked(task: GenerationTask, count: int, label: str | None) -> Tensor | None:
    """(count,) the classes to be told to the network; None for one that is told none."""
    if not task.options.conditional:
        if label is not None:
            raise UserError(
                "--label: this network was trained without classes (task.options.conditional), so none can be asked for"
            )
        return None
    if label is None:
        return torch.arange(count) % len(task.asked)
    if label not in task.asked:
        raise unknown_name("label", label, task.asked)
    return torch.full((count,), task.asked.index(label))


def made_of(
    model: nn.Module,
    task: GenerationTask,
    latents: Tensor,
    classes: Tensor | None,
    generator: torch.Generator,
    device: torch.device,
) -> np.ndarray:
    """(N, H, W, C) uint8 pictures of latents (N, ...)."""
    with torch.inference_mode():
        told = None if classes is None else classes.to(device)
        return task.pictures_of(model.generate(latents.to(device), told, generator))  # type: ignore[operator]


def write_samples(folder: Path, model: nn.Module, task: GenerationTask, device: torch.device, seed: int) -> Observer:
    """An observer that writes samples/EPOCH.png after every epoch, always of the same latents: how they become pictures."""

    def observe(record: Record) -> None:
        if record.get("event") != "epoch":
            return
        generator = torch.Generator().manual_seed(derive(seed, 0))
        was_training = model.training
        model.eval()
        classes = classes_asked(task, SHOWN, None)
        made = made_of(model, task, model.draw(SHOWN, generator), classes, generator, device)  # type: ignore[operator]
        model.train(was_training)
        samples = folder / "samples"
        samples.mkdir(exist_ok=True)
        write_atomic(samples / f"{record['epoch']:04d}.png", encode_png(grid(made)))

    return observe

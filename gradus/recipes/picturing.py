"""Making pictures with a trained generative network: by a seed, by latents, by class; and what it makes while it learns.

A network whose sampling has settings holds them as a frozen dataclass, `sampling`. A slow one says in `quick`, a dictionary of
such settings, what is enough to see how it comes along.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from gradus import settings as settings_of
from gradus.errors import UserError, did_you_mean, unknown_name
from gradus.files import told_disk_errors, write_atomic
from gradus.look.inside.painting import captioned, enlarged
from gradus.look.inside.sight import encode_png, grid
from gradus.settings import parse_value
from gradus.tasks.generation import GenerationTask
from gradus.train.randomness import derive
from gradus.train.trainer import Observer, Record

if TYPE_CHECKING:
    from gradus.recipes.run import Run

SHOWN = 64  # pictures that are made after an epoch, from latents that stay the same
WRITTEN = 50  # times in a training that they are made, about
AT_ONCE = 256  # pictures that are made together
WHOLE = "pictures.json"  # what a folder of pictures was made by; whoever has it may be replaced


def generation_task(run: Run) -> GenerationTask:
    """The task of a run that makes pictures. Raises `UserError` for any other."""
    if not isinstance(run.task, GenerationTask):
        raise UserError(f"{run.path}: this run's task is {run.task.name}; only picture-generation makes pictures")
    return run.task


def make_pictures(
    run: Run,
    count: int = 64,
    *,
    seed: int = 0,
    label: str | None = None,
    sampling: Mapping[str, Any] | None = None,
    tell: Callable[[int], None] = lambda made: None,
) -> np.ndarray:
    """(count, H, W, C) uint8: new pictures. The same seed gives the same ones; a larger count begins with those of a smaller one,
    but where the network draws more numbers than the latents.

    label:    the class that is asked for, of a network that is told classes; None: all classes in turn
    sampling: settings of the network's sampling by name, such as {"steps": 20} of a diffusion model
    tell:     is called with the number of pictures made so far

    Raises `UserError` for a run of another task, a class or setting that it does not know, a count below 1.
    """
    task = generation_task(run)
    if count < 1:
        raise UserError(f"count: expected 1 picture or more, received {count}")
    if not 0 <= seed < 2**63:
        raise UserError(f"seed: expected a whole number from 0, received {seed}")
    model = run.model
    classes = classes_asked(task, count, label)
    parts = []
    with sampled_with(model, sampling or {}, run.recipe.model.name):
        for start in range(0, count, AT_ONCE):
            size = min(AT_ONCE, count - start)
            generator = torch.Generator().manual_seed(derive(seed, start))
            latents = model.draw(AT_ONCE, generator)[:size]  # type: ignore[operator]
            chosen = None if classes is None else classes[start : start + size]
            parts.append(made_of(model, task, latents, chosen, generator, run.plan.device))
            tell(start + size)
    return np.concatenate(parts)


@contextmanager
def sampled_with(model: nn.Module, chosen: Mapping[str, Any], name: str = "this network") -> Iterator[None]:
    """Within it the network samples with these settings; texts are read as their types. Raises `UserError` for unknown ones."""
    before: Any = getattr(model, "sampling", None)
    if not chosen:
        yield
        return
    if not is_dataclass(before):
        raise UserError(f"--set {next(iter(chosen))}: the sampling of {name} has no settings; leave it out")
    known = [field.name for field in fields(before)]
    for key in chosen:
        if key not in known:
            hint = did_you_mean(key, known) or "; known: " + ", ".join(known)
            raise UserError(f"--set {key}: the sampling of {name} has no such setting{hint}")
    values = {key: parse_value(value) if isinstance(value, str) else value for key, value in chosen.items()}
    model.sampling = settings_of.from_dict(type(before), settings_of.to_dict(before) | values)  # type: ignore[assignment]
    try:
        yield
    finally:
        model.sampling = before  # type: ignore[assignment]


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


def labels_asked(task: GenerationTask, count: int, label: str | None) -> list[str | None]:
    """The name of the class that each picture was asked for as."""
    classes = classes_asked(task, count, label)
    return [None] * count if classes is None else [task.asked[place] for place in classes.tolist()]


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


# ---------------------------------------------------------------- files


def write_pictures(
    folder: Path, pictures: np.ndarray, labels: Sequence[str | None], made_by: Mapping[str, Any]
) -> list[Path]:
    """Writes each as NUMBER.png, or NUMBER-LABEL.png, all of them as all.png, and pictures.json, which says what made them.

    The folder is there whole or not at all: pictures that were made before are replaced by it, anything else is refused.
    """
    check_folder(folder)
    new = folder.with_name(f".{folder.name}.{os.getpid()}.new")
    names = [f"{number:04d}{_ending(label)}.png" for number, label in enumerate(labels)]
    with told_disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            new.mkdir()
            for name, picture in zip(names, pictures, strict=True):
                (new / name).write_bytes(encode_png(picture))
            (new / "all.png").write_bytes(encode_png(sheet(pictures, labels)))
            listed = [{"file": name, "label": label} for name, label in zip(names, labels, strict=True)]
            write_atomic(new / WHOLE, json.dumps({**made_by, "pictures": listed}, indent=1, ensure_ascii=False) + "\n")
            if folder.exists():
                old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
                folder.rename(old)
                new.rename(folder)
                shutil.rmtree(old, ignore_errors=True)
            else:
                new.rename(folder)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    return [folder / name for name in names]


def check_folder(folder: Path) -> None:
    """Raises `UserError` where pictures may not be written: a file, or a folder with other things in it."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: this is a file; name a folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / WHOLE).exists():
        raise UserError(f"{folder}: this folder holds other files; name a new or an empty one")


def _ending(label: str | None) -> str:
    safe = "".join(sign if sign.isalnum() or sign in "-_" else "_" for sign in label or "")
    return f"-{safe[:40]}" if label is not None else ""


def sheet(pictures: np.ndarray, labels: Sequence[str | None]) -> np.ndarray:
    """All pictures as one: those of several classes with one class a column and its name below each."""
    several = list(dict.fromkeys(label for label in labels if label is not None))
    large = enlarged(pictures, 56)
    if len(several) < 2:
        return grid(large, gap=2)
    columns = len(several) if len(several) <= 20 else None
    return captioned(large, [label or "" for label in labels], columns, gap=6)


# ---------------------------------------------------------------- while it learns


def write_samples(
    folder: Path, model: nn.Module, task: GenerationTask, device: torch.device, seed: int, epochs: int = WRITTEN
) -> Observer:
    """An observer that writes samples/EPOCH.png, always of the same latents: how they become pictures.

    It does so after the first and the last epoch and about `WRITTEN` times between them, and with the settings that a slow
    network is `quick` with. It draws from a generator of its own, so that a resumed run writes the same pictures.
    """
    every = max(1, epochs // WRITTEN)

    def observe(record: Record) -> None:
        if record.get("event") != "epoch":
            return
        epoch = record["epoch"]
        if epoch not in (1, epochs) and epoch % every:
            return
        generator = torch.Generator().manual_seed(derive(seed, 0))
        classes = classes_asked(task, SHOWN, None)
        with as_it_was(model), sampled_with(model, getattr(model, "quick", {})):
            model.eval()
            made = made_of(model, task, model.draw(SHOWN, generator), classes, generator, device)  # type: ignore[operator]
        samples = folder / "samples"
        with told_disk_errors(samples):
            samples.mkdir(exist_ok=True)
        write_atomic(samples / f"{epoch:04d}.png", encode_png(grid(made)))

    return observe


@contextmanager
def as_it_was(model: nn.Module) -> Iterator[None]:
    """Afterwards every module is in training or evaluation mode as before: frozen ones stay as they are."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training

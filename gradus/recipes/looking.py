"""From what a user names (a run, a network, a file of weights, pictures) to a subject that can be looked into."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradus import settings
from gradus.data.images import SUFFIXES, decode_picture
from gradus.errors import UserError, did_you_mean, unknown_name
from gradus.look.inside.sight import Sight
from gradus.look.inside.subject import Picture, Rows, Subject
from gradus.look.inside.table import LOOKS
from gradus.models import MODELS, accepted_options, create_model
from gradus.models.preprocessing import Preprocessing
from gradus.recipes.run import Run, load_run
from gradus.tasks.inputs import ImageInputs
from gradus.tasks.task import InputTargetTask


def look(subject: Subject, what: str, pictures: Sequence[Picture] = (), **chosen: Any) -> Sight:
    """Makes one look (`LOOKS`). chosen: the look's own settings; texts are read as their types.

    Raises `UserError` for an unknown look or setting, or where pictures or rows are missing that it needs.
    """
    if what not in LOOKS:
        raise unknown_name("look", what, LOOKS)
    kind = LOOKS[what]
    module, _, name = kind.function.partition(":")
    function = getattr(importlib.import_module(f"gradus.look.inside.{module}"), name)
    if kind.pictures and not pictures:
        raise UserError(f"{what}: which picture? Give a file, or ROW of the test split as test:ROW")
    if kind.rows and subject.rows is None:
        raise UserError(f"{what}: it needs labelled rows; look into a run, or give --data")
    return function(subject, pictures, **_typed(what, function, chosen))


def _typed(what: str, function: Any, chosen: dict[str, Any]) -> dict[str, Any]:
    known = {
        name: parameter
        for name, parameter in inspect.signature(function, eval_str=True).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    typed = {}
    for name, value in chosen.items():
        if name not in known:
            raise UserError(
                f"{what} has no setting '{name}'{did_you_mean(name, known) or '; known: ' + ', '.join(known)}"
            )
        kind = known[name].annotation
        if isinstance(value, str):
            value = settings.convert(value if kind is str else settings.parse_value(value), kind, f"{what}.{name}")
        typed[name] = value
    return typed


def subject_of(name: str, *, weights: str | None = None, data: str | None = None, **options: Any) -> Subject:
    """The subject of a run's folder, or of a network of the table with published weights (or, without them, random ones)."""
    if name not in MODELS or (Path(name) / "recipe.toml").exists():
        if not Path(name).is_dir() and name not in MODELS:
            raise UserError(f"{name}: neither a run nor a network{did_you_mean(name, list(MODELS))}")
        return subject_of_run(load_run(name))
    return subject_of_model(name, weights, options)


def subject_of_run(run: Run) -> Subject:
    """A trained run: its model, its own preprocessing, its classes, its splits."""
    task = run.task
    if not isinstance(task, InputTargetTask) or not isinstance(task.inputs, ImageInputs):
        raise UserError(f"{run.path}: only networks for pictures are looked into, this run's task is {task.name}")
    inputs, model = task.inputs, without_in_place(run.model)
    center, scale = inputs.center, inputs.scale
    if inputs.options.normalize == "unit":
        center, scale = torch.zeros_like(center), torch.full_like(scale, 255.0)

    def prepare(pictures: Tensor) -> Tensor:
        return (pictures.permute(0, 3, 1, 2).to(torch.float32) - center) / scale

    def rows(split: str) -> Rows:
        tensors = run.experiment.tensors
        if split not in tensors:
            raise unknown_name("split", split, tensors)
        return Rows(tensors[split]["inputs"], tensors[split]["targets"], run.experiment.dataset[split].origins)

    channels = inputs.types[inputs.column].channels
    return Subject(
        name=run.path.name,
        model=model,
        prepare=prepare,
        invert=lambda given: (given * scale + center) / 255,
        size=inputs.size,
        channels=channels,
        fit=inputs.options.fit,
        classes=tuple(getattr(task.target, "classes", None) or ()) or None,
        rows=rows,
        run=run,
    )


def subject_of_model(name: str, weights: str | None, options: dict[str, Any]) -> Subject:
    """A network of the table. weights: a safetensors file; None: random ones, from seed 0."""
    torch.manual_seed(0)
    model = create_model(name, **options)
    notes = [] if weights else [f"{name} has random weights; give --weights FILE for trained ones"]
    if weights:
        from safetensors.torch import load_file

        model.load_state_dict(load_file(weights))
    size = getattr(model, "usual_image_size", None) or options.get("image_size") or 224
    preprocessing = Preprocessing(image_size=size)
    return Subject(
        name=name,
        model=without_in_place(model.eval()),
        prepare=preprocessing.apply,
        invert=preprocessing.invert,
        size=size,
        channels=options.get("in_channels", 3) if "in_channels" in accepted_options(name) else 3,
        fit=preprocessing.fit,
        notes=tuple(notes),
    )


def without_in_place(model: nn.Module) -> nn.Module:
    """The model with activations that write into their inputs made to give new tensors: what hooks keep stays as it was."""
    for module in model.modules():
        if getattr(module, "inplace", False):
            module.inplace = False  # type: ignore[assignment]
    return model


def read_pictures(subject: Subject, given: Sequence[str | Path | np.ndarray]) -> list[Picture]:
    """Pictures of files, folders, arrays uint8 (height, width, channels), or `SPLIT:ROW` of the subject's rows."""
    pictures: list[Picture] = []
    for one in given:
        if isinstance(one, np.ndarray):
            pictures.append(Picture(f"picture {len(pictures)}", one))
            continue
        split, _, row = str(one).partition(":")
        if row.isdigit() and subject.rows is not None and not Path(one).exists():
            rows = subject.rows(split)
            if int(row) >= len(rows):
                raise UserError(f"{one}: the split has {len(rows)} rows")
            pixels = rows.pixels[int(row) : int(row) + 1].numpy()[0]
            pictures.append(Picture(rows.names[int(row)], pixels, int(rows.labels[int(row)])))
            continue
        path = Path(one)
        files = sorted(f for f in path.iterdir() if f.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
        if not files:
            raise UserError(f"{path}: there is no picture in this folder")
        pictures += [Picture(file.name, decode_picture(file, subject.channels, str(file))) for file in files]
    return pictures

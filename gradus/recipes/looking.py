"""From what a user names (a run, a network, a file of weights, pictures) to a subject that can be looked into."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradus import settings
from gradus.data.columns import Image, Label
from gradus.data.dataset import Split
from gradus.data.images import SUFFIXES, decode_picture
from gradus.data.load import load_data
from gradus.errors import UserError, did_you_mean, unknown_name
from gradus.look.inside.passages import Passage, PassageSubject
from gradus.look.inside.sight import Sight
from gradus.look.inside.structure import Network
from gradus.look.inside.subject import MiddleOf, Picture, Rows, Subject
from gradus.look.inside.table import LOOKS
from gradus.look.inside.table_subject import TableSubject
from gradus.models import MODELS, create_model, image_sizes, model_class
from gradus.models.preprocessing import Preprocessing, usual_record
from gradus.recipes.looking_tables import subject_of_table
from gradus.recipes.looking_texts import (
    is_sequence_task,
    read_passages,
    subject_of_network,
    subject_of_sequences,
    takes_ids,
)
from gradus.recipes.picturing import generation_task
from gradus.recipes.pretrained import create_with_weights
from gradus.recipes.run import Run, load_run
from gradus.tasks.generation import GenerationTask
from gradus.tasks.inputs import ImageInputs, TableInputs
from gradus.tasks.rows import EncodedRows
from gradus.tasks.task import InputTargetTask


def look(
    subject: Subject | TableSubject | PassageSubject | Network,
    what: str,
    pictures: Sequence[Picture] | Sequence[Passage] = (),
    **chosen: Any,
) -> Sight:
    """Makes one look (`LOOKS`). chosen: the look's own settings; texts are read as their types.

    Raises `UserError` for an unknown look or setting, or where pictures or rows are missing that it needs.
    """
    if what not in LOOKS:
        raise unknown_name("look", what, LOOKS)
    kind = LOOKS[what]
    module, _, name = kind.function.partition(":")
    function = getattr(importlib.import_module(f"gradus.look.inside.{module}"), name)
    if isinstance(subject, Network):
        if not kind.any_network:
            raise UserError(f"{what}: it needs a network with its pictures (`subject_of`), not a network alone")
    elif (is_for := _is_for(subject)) not in kind.takes:
        takes = " or ".join(kind.takes)
        raise UserError(f"{what}: it looks into networks for {takes}, {subject.name} is one for {is_for}")
    if kind.pictures and not pictures:
        given = "text? Give one in quotes" if isinstance(subject, PassageSubject) else "picture? Give a file"
        raise UserError(f"{what}: which {given}, or ROW of the test split as test:ROW")
    if kind.rows and isinstance(subject, Subject) and subject.rows is None:
        raise UserError(f"{what}: it needs labelled rows; look into a run, or give --data")
    return function(subject, pictures, **_typed(what, function, chosen))


def _is_for(subject: Subject | TableSubject | PassageSubject) -> str:
    if isinstance(subject, PassageSubject):
        return "texts"
    if isinstance(subject, Subject) and subject.run is not None and isinstance(subject.run.task, GenerationTask):
        return "pictures that it makes"
    return "tables" if isinstance(subject, TableSubject) else "pictures"


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


def subject_of(
    name: str, *, weights: str | None = None, data: str | None = None, **options: Any
) -> Subject | TableSubject | PassageSubject:
    """The subject of a run's folder, or of a network of the table with published weights (or, without them, random ones).

    data: a catalogue name or a path: labelled rows to look at, in place of those of the run
    """
    if name not in MODELS or (Path(name) / "recipe.toml").exists():
        if not Path(name).is_dir() and name not in MODELS:
            raise UserError(f"{name}: neither a run nor a network{did_you_mean(name, list(MODELS))}")
        if weights:
            raise UserError(f"{name}: --weights is for a network of the table; a run has weights of its own")
        run = load_run(name)
        if isinstance(getattr(run.task, "inputs", None), TableInputs) and not data:
            return subject_of_table(run)
        if is_sequence_task(run.task):
            if data:
                raise UserError(f"{name}: --data is for networks for pictures; a run on texts has its own rows")
            return subject_of_sequences(run)
        subject = subject_of_run(run)
    elif takes_ids(name):
        if weights or data:
            raise UserError(f"{name}: a network for texts is looked into as a run, with its own words and data")
        return subject_of_network(name, options)
    else:
        subject = subject_of_model(name, weights, options)
    return replace(subject, rows=rows_of_data(data, subject)) if data else subject


def rows_of_data(source: str, subject: Subject) -> Callable[[str], Rows]:
    """The labelled pictures of a data set, brought to the subject's size when they are asked for.

    Raises `UserError` where it has not one column of pictures and one of classes.
    """
    dataset = load_data(source)
    images = {name: kind for name, kind in dataset.types.items() if isinstance(kind, Image)}
    labels = {name: kind for name, kind in dataset.types.items() if isinstance(kind, Label)}
    label = dataset.target if dataset.target in labels else next(iter(labels), None)
    if len(images) != 1 or label is None:
        raise UserError(f"{source}: labelled pictures are needed, one column of pictures and one of classes")
    ((image, kind),) = images.items()
    if kind.channels != subject.channels:
        seen = {1: "grey", 3: "coloured"}
        raise UserError(f"{source}: {subject.name} sees {seen.get(subject.channels, subject.channels)} pictures only")

    def rows(split: str) -> Rows:
        if split not in dataset.splits:
            raise unknown_name("split", split, dataset.splits)
        part = dataset[split]
        pixels = MiddleOf(EncodedRows(part[image], subject.resize or subject.size, subject.fit), subject.size)
        targets = torch.from_numpy(np.asarray(part[label].values, dtype=np.int64))
        return Rows(pixels, targets, _row_names(split, part), labels[label].classes, part[image])

    return rows


def _row_names(split: str, part: Split) -> list[str]:
    """Every row as looks take it and name it: `test:17`, counted from 0."""
    return [f"{split}:{row}" for row in range(len(part))]


def subject_of_run(run: Run) -> Subject:
    """A trained run: its model, its own preprocessing, its classes, its splits."""
    task = run.task
    if isinstance(task, GenerationTask):
        return subject_of_maker(run)
    if not isinstance(task, InputTargetTask) or not isinstance(task.inputs, ImageInputs):
        raise UserError(
            f"{run.path}: only networks that answer for a picture as a whole are looked into, this run's task is {task.name}"
        )
    inputs, model = task.inputs, without_in_place(run.model)
    center, scale = inputs.center, inputs.scale
    if inputs.options.normalize == "unit":
        center, scale = torch.zeros_like(center), torch.full_like(scale, 255.0)
    bgr = inputs.options.channel_order == "bgr"

    def prepare(pictures: Tensor) -> Tensor:
        return inputs.normalized(pictures.permute(0, 3, 1, 2).to(torch.float32, copy=True))

    def invert(given: Tensor) -> Tensor:
        """Of pictures that are standardised one by one, about: with the mean and deviation of the training pictures."""
        return ((given.flip(1) if bgr else given) * scale + center) / 255

    def rows(split: str) -> Rows:
        tensors = run.experiment.tensors
        if split not in tensors:
            raise unknown_name("split", split, tensors)
        part = run.experiment.dataset[split]
        originals = part.columns.get(inputs.column)
        pixels = MiddleOf(tensors[split]["inputs"], inputs.seen_size)
        return Rows(pixels, tensors[split]["targets"], _row_names(split, part), originals=originals)

    channels = inputs.types[inputs.column].channels
    return Subject(
        name=run.path.name,
        model=model,
        prepare=prepare,
        invert=invert,
        size=inputs.seen_size,
        resize=inputs.size if inputs.options.crop_size else None,
        channels=channels,
        fit=inputs.options.fit,
        classes=tuple(getattr(task.target, "classes", None) or ()) or None,
        rows=rows,
        run=run,
    )


def subject_of_maker(run: Run) -> Subject:
    """A run that makes pictures: its model, with pictures in the range that it takes."""
    task = generation_task(run)
    inputs, symmetric = task.inputs, task.options.pixels == "symmetric"

    def prepare(pictures: Tensor) -> Tensor:
        made, _ = task.prepare({"inputs": pictures}, training=False)
        return made[0] if isinstance(made, tuple) else made

    def rows(split: str) -> Rows:
        tensors = run.experiment.tensors
        if split not in tensors:
            raise unknown_name("split", split, tensors)
        shown = task.shown(run.experiment.dataset[split])
        originals = shown.columns.get(inputs.column)
        return Rows(tensors[split]["inputs"], tensors[split]["targets"], _row_names(split, shown), originals=originals)

    return Subject(
        name=run.path.name,
        model=without_in_place(run.model),
        prepare=prepare,
        invert=lambda given: (given + 1) / 2 if symmetric else given,
        size=inputs.seen_size,
        channels=inputs.channels,
        fit=inputs.options.fit,
        classes=task.asked or None,
        rows=rows,
        run=run,
    )


def subject_of_model(name: str, weights: str | None, options: dict[str, Any]) -> Subject:
    """A network of the table. weights: a file, a run or a name (`recipes/weights.py`); None: random ones, from seed 0."""
    torch.manual_seed(0)
    preprocessing = None
    if weights:
        model, found = create_with_weights(name, weights, **options)
        notes, preprocessing = list(found.notes), found.record
    else:
        model = create_model(name, **options)
        notes = [f"{name} has random weights; give --weights FILE for trained ones"]
    size, *_ = image_sizes(name, options) or (getattr(model, "usual_image_size", None) or 224,)
    channels = _channels(name, model)
    if preprocessing is None and channels == 1:
        preprocessing = Preprocessing(image_size=size, mean=(0.0,), deviation=(1.0,))
    preprocessing = preprocessing or usual_record(name, size)
    return Subject(
        name=name,
        model=without_in_place(model.eval()).to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        prepare=preprocessing.apply,
        invert=preprocessing.invert,
        size=preprocessing.image_size,
        resize=preprocessing.resize,
        channels=channels,
        fit=preprocessing.fit,
        classes=preprocessing.classes or None,
        notes=tuple(notes),
    )


def _channels(name: str, model: nn.Module) -> int:
    """Of the pictures that a network of the table takes, as it was made or usually is."""
    usual = inspect.signature(model_class(name)).parameters.get("in_channels")
    made: Any = model.created_as
    return made.options.get("in_channels", usual.default if usual is not None else 3)


def without_in_place(model: nn.Module) -> nn.Module:
    """The model with activations that write into their inputs made to give new tensors: what hooks keep stays as it was."""
    for module in model.modules():
        if getattr(module, "inplace", False):
            module.inplace = False  # type: ignore[assignment]
    return model


def read_pictures(
    subject: Subject | TableSubject | PassageSubject, given: Sequence[str | Path | np.ndarray]
) -> list[Picture] | list[Passage]:
    """Pictures of files, folders, arrays uint8 (height, width, channels), or `SPLIT:ROW` of the subject's rows; of a network for
    texts, passages (`read_passages`)."""
    if isinstance(subject, PassageSubject):
        return read_passages(subject, [str(one) for one in given])
    if isinstance(subject, TableSubject):
        if given:
            raise UserError(f"{given[0]}: {subject.name} is a network for tables, which takes no pictures")
        return []
    pictures: list[Picture] = []
    for one in given:
        if isinstance(one, np.ndarray):
            pictures.append(Picture(f"picture {len(pictures)}", one))
            continue
        row = None if Path(one).exists() else subject.row(str(one))
        if row is not None:
            pictures.append(row)
            continue
        path = Path(one)
        files = sorted(f for f in path.iterdir() if f.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
        if not files:
            raise UserError(f"{path}: there is no picture in this folder")
        pictures += [Picture(file.name, decode_picture(file, subject.channels, str(file))) for file in files]
    return pictures

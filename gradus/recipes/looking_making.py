"""From a run of a generative network to a maker of pictures that can be looked into."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gradus.errors import unknown_name
from gradus.look.inside.maker import Maker
from gradus.look.inside.sight import Sight
from gradus.look.inside.subject import MiddleOf, Picture, Rows, Subject
from gradus.look.inside.table import MAKING_LOOKS
from gradus.recipes.looking import _row_names, _typed
from gradus.recipes.picturing import generation_task
from gradus.recipes.run import Run, load_run


def maker_of(path: str | Path) -> Maker:
    """The maker of a run's folder. Raises `UserError` where its task is another."""
    run = load_run(path)
    task = generation_task(run)
    binary = task.options.binarize != "none"
    symmetric = task.options.pixels == "symmetric"

    def prepare(pictures: Tensor) -> Tensor:
        given = task.inputs.normalized(pictures.permute(0, 3, 1, 2).to(torch.float32, copy=True))
        given = task.binarized(given, anew=False)
        return given * 2 - 1 if symmetric else given

    def invert(given: Tensor) -> Tensor:
        return (given + 1) / 2 if symmetric else given

    subject = Subject(
        name=run.path.resolve().name,
        model=run.model,
        prepare=prepare,
        invert=invert,
        size=task.inputs.seen_size,
        resize=task.inputs.size if task.inputs.options.crop_size else None,
        channels=task.inputs.types[task.inputs.column].channels,
        fit=task.inputs.options.fit,
        classes=task.asked or None,
        rows=lambda split: _rows_of(run, split),
        run=run,
    )
    return Maker(subject, task.pictures_of, task.options.conditional, binary)


def _rows_of(run: Run, split: str) -> Rows:
    task, tensors = generation_task(run), run.experiment.tensors
    if split not in tensors:
        raise unknown_name("split", split, tensors)
    part = task.shown(run.experiment.dataset[split])
    pixels = MiddleOf(tensors[split]["inputs"], task.inputs.seen_size)
    originals = part.columns.get(task.inputs.column)
    return Rows(pixels, tensors[split]["targets"], _row_names(split, part), originals=originals)


def look_at_making(maker: Maker, what: str, pictures: Sequence[Picture] = (), **chosen: Any) -> Sight:
    """Makes one look (`MAKING_LOOKS`). chosen: the look's own settings; texts are read as their types."""
    if what not in MAKING_LOOKS:
        raise unknown_name("look", what, MAKING_LOOKS)
    module, _, name = MAKING_LOOKS[what].function.partition(":")
    function = getattr(importlib.import_module(f"gradus.look.inside.{module}"), name)
    return function(maker, list(pictures), **_typed(what, function, chosen))

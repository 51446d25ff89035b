"""What is looked into: a network with its pictures' way in and out, and rows of data where there are some."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradus.data.images import Fit, resize
from gradus.errors import UserError, unknown_name
from gradus.models.stages import stages_of


@dataclass(frozen=True)
class Picture:
    """One picture of the user's. pixels: uint8 (height, width, channels), as large as it is; label: its class, where known."""

    name: str
    pixels: np.ndarray
    label: int | None = None


@dataclass(frozen=True)
class Subject:
    """A network to be looked into, on the CPU or GPU where it stands, in evaluation mode, without in-place activations.

    name:     for titles and file names
    prepare:  uint8 or float 0..255 (B, H, W, C) -> the inputs of the model; differentiable by its argument where that is float
    invert:   its inverse: inputs of the model -> float 0..1 (B, C, H, W), not clipped
    size:     the side in pixels that pictures are brought to; fit: how another aspect ratio is met
    channels: 1 (grey) or 3 (RGB)
    classes:  the names of the outputs, or None where they are not known
    rows:     split name -> rows of labelled pictures: the data of a run, or those given with --data
    run:      the run, where it is one
    """

    name: str
    model: nn.Module
    prepare: Callable[[Tensor], Tensor]
    invert: Callable[[Tensor], Tensor]
    size: int
    channels: int = 3
    fit: Fit = "stretch"
    classes: tuple[str, ...] | None = None
    rows: Callable[[str], Rows] | None = None
    run: Any = None
    notes: tuple[str, ...] = field(default=())

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def inputs(self, pictures: Sequence[Picture]) -> Tensor:
        """(B, C, size, size): what the model takes for these pictures."""
        return self.prepare(torch.from_numpy(self.pixels(pictures)).to(self.device))

    def pixels(self, pictures: Sequence[Picture]) -> np.ndarray:
        """uint8 (B, size, size, C): the pictures as the model sees them, before normalisation."""
        return np.stack([resize(picture.pixels, (self.size, self.size), self.fit) for picture in pictures])

    def layer(self, name: str) -> nn.Module:
        """The module of a name, or the last one of a stage's name. Raises `UserError` naming the nearest."""
        stages = stages_of(self.model)
        modules = dict(self.model.named_modules())
        if name in stages:
            name = stages[name][-1]
        if not name or name not in modules:
            raise unknown_name(f"layer of {self.name}", name, [*stages, *filter(None, modules)])
        return modules[name]

    def class_index(self, wanted: str) -> int:
        """The output of a class that is named, or numbered. Raises `UserError` naming the nearest."""
        if self.classes and wanted in self.classes:
            return self.classes.index(wanted)
        if wanted.isdigit() and (self.classes is None or int(wanted) < len(self.classes)):
            return int(wanted)
        if self.classes is None:
            raise UserError(f"class: {self.name} has no names of classes; give a number, received '{wanted}'")
        raise unknown_name("class", wanted, self.classes)

    def class_name(self, index: int) -> str:
        return self.classes[index] if self.classes else f"output {index}"


@dataclass(frozen=True)
class Rows:
    """Labelled rows. pixels: uint8 (N, size, size, C); labels: (N,) int64; names: where each came from."""

    pixels: Tensor
    labels: Tensor
    names: Any  # a sequence of texts

    def __len__(self) -> int:
        return len(self.labels)

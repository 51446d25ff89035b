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
    size:     the side in pixels of what the model sees; fit: how another aspect ratio is met
    resize:   the side that pictures are brought to first, of which the middle is cut out; None: size
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
    resize: int | None = None
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

    def blank(self) -> Tensor:
        """(1, C, size, size): what the model takes for a black picture."""
        black = torch.zeros((1, self.size, self.size, self.channels), dtype=torch.uint8, device=self.device)
        return self.prepare(black)

    def pixels(self, pictures: Sequence[Picture]) -> np.ndarray:
        """uint8 (B, size, size, C): the pictures as the model sees them, before normalisation."""
        side = self.resize or self.size
        return self.middle(np.stack([resize(picture.pixels, (side, side), self.fit) for picture in pictures]))

    def seen(self, height: int, width: int) -> tuple[float, float]:
        """(height, width) of the middle part that the model sees, in pixels of a picture of this size; beyond it, padding."""
        sides = {"stretch": (height, width), "crop": (min(height, width),) * 2, "pad": (max(height, width),) * 2}
        share = self.size / (self.resize or self.size)
        high, wide = sides[self.fit]
        return high * share, wide * share

    def middle(self, pixels: np.ndarray) -> np.ndarray:
        """What the model sees of uint8 pictures (B, resize, resize, C): (B, size, size, C)."""
        return MiddleOf(pixels, self.size)[:]

    def row(self, name: str) -> Picture | None:
        """The labelled picture of `SPLIT:ROW`, rows counted from 0; None for a name that is not of this form.

        Raises `UserError` where there is no such row, or there are no rows at all.
        """
        split, colon, row = name.partition(":")
        if not colon or not row.isdecimal():
            return None
        if self.rows is None:
            raise UserError(f"{name}: this is a row of labelled data; look into a run, or give --data")
        rows = self.rows(split)
        if int(row) >= len(rows):
            raise UserError(f"{name}: the split has rows 0 to {len(rows) - 1}")
        return rows.picture(int(row))

    def labelled(self, split: str) -> Rows:
        """The rows of a split. Raises `UserError` where they have several labels each, or numbers, or there are none."""
        if self.rows is None:
            raise UserError(f"{self.name} has no labelled rows; look into a run, or give --data")
        rows = self.rows(split)
        if rows.labels.ndim != 1 or rows.labels.is_floating_point():
            raise UserError(f"{self.name}: this look needs rows with one class each; give some with --data")
        return rows

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
class MiddleOf:
    """Square pictures (N, side, side, C), a tensor, an array or `EncodedRows`; when indexed, their middle of size x size."""

    pictures: Any
    size: int

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, rows: Any) -> Any:
        first = (self.pictures.shape[1] - self.size) // 2
        return self.pictures[rows][:, first : first + self.size, first : first + self.size]


@dataclass(frozen=True)
class Rows:
    """Labelled rows. pixels: uint8 (N, size, size, C), or what gives such when indexed; labels: (N,) int64;
    names: by which looks take them, `test:17`, counted from 0;
    classes: the names of the labels, empty where they are those of the subject;
    originals: the pictures at their own sizes, uint8 (height, width, C) each."""

    pixels: Any
    labels: Tensor
    names: Any  # a sequence of texts
    classes: tuple[str, ...] = ()
    originals: Any = None  # a sequence of arrays

    def picture(self, row: int) -> Picture:
        """One row as a picture at its own size."""
        pixels = self.originals[row] if self.originals is not None else self.pixels[row : row + 1].numpy()[0]
        return Picture(str(self.names[row]), pixels, int(self.labels[row]))

    def __len__(self) -> int:
        return len(self.labels)

    def sample(self, count: int, seed: int = 0) -> Rows:
        """At most `count` rows, chosen by the seed, in the order of the split; their pixels are decoded."""
        chosen = np.sort(np.random.default_rng(seed).permutation(len(self))[:count])
        names = [str(self.names[int(row)]) for row in chosen]
        return Rows(self.pixels[torch.from_numpy(chosen)], self.labels[torch.from_numpy(chosen)], names, self.classes)

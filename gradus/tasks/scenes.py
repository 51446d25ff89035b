"""Scenes: pictures in which things have places. Their inputs keep where each pixel came from, so that what is found in the
network's pixels can be told in the user's.

    places float32 (B, 6): height and width of the picture; scale down and across, first row and column of it in the network's
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from gradus.data.augment.apply import Augmentation
from gradus.data.augment.follow import LEAST_SEEN, move_boxes
from gradus.data.augment.geometry import Warp
from gradus.data.augment.settings import AugmentSettings
from gradus.data.columns import Column, Image, type_from_dict, type_to_dict
from gradus.data.dataset import Split
from gradus.data.images import EncodedImages, padded_place, stack_pictures
from gradus.errors import UserError
from gradus.tasks.encode import refuse_if_too_large
from gradus.tasks.rows import EncodedRows, natural_sizes, sample_rows

LARGEST_SIDE = 320  # of pictures whose size is not asked for
MULTIPLE = 8  # a side that is chosen here is a multiple of it, so that maps of a network fit its pictures


@dataclass(frozen=True, kw_only=True)
class SceneOptions:
    """How pictures are brought to one size and range."""

    # height and width; or the longer side, the other following from the pictures; None: the pictures' own, up to 320
    image_size: int | tuple[int, ...] | None = None
    fit: Literal["pad", "stretch"] = "pad"  # how another aspect ratio is met: with black around it, or stretched
    # of each channel, of values in 0..1, in RGB order; None: those of the training pictures
    mean: tuple[float, ...] | None = None
    deviation: tuple[float, ...] | None = None
    channel_order: Literal["rgb", "bgr"] = "rgb"  # that the model takes; bgr: networks that come from Caffe

    def __post_init__(self) -> None:
        sides = self.image_size if isinstance(self.image_size, tuple) else (self.image_size or 64,)
        if len(sides) not in (1, 2) or not all(16 <= side <= 8192 for side in sides):
            raise UserError(f"image_size: expected one or two sides of 16 to 8192 pixels, received {self.image_size}")
        if (self.mean is None) != (self.deviation is None):
            raise UserError("mean, deviation: expected both")
        if self.deviation is not None and (len(self.deviation) not in (1, 3) or min(self.deviation) <= 0):
            raise UserError(f"deviation: expected 1 or 3 numbers above 0, received {list(self.deviation)}")


class SceneInputs:
    """One column of pictures -> float32 (B, C, height, width) in channels-last memory order."""

    column: str
    types: dict[str, Any]
    size: tuple[int, int]  # height, width of what the network sees
    mean: list[float]  # of each channel, in 0..255
    deviation: list[float]

    def __init__(self, options: SceneOptions) -> None:
        self.options = options
        self.limit: int | None = None  # bytes that decoded pictures may have; more are decoded when asked for
        self.all_rows: int | None = None
        self.model_sizes: tuple[int, ...] | None = None  # the only sides that the model takes, where they are fixed
        self.streamed = False
        self.notes: list[str] = []
        self.center: Tensor | None = None
        self.scale: Tensor | None = None

    def fit(self, train: Split, exclude: tuple[str, ...]) -> None:
        pictures = {n: c for n, c in train.columns.items() if isinstance(c.type, Image) and n not in exclude}
        if len(pictures) != 1:
            held = f"it has {len(pictures)}: {', '.join(pictures)}" if pictures else "it has none"
            raise UserError(f"this task needs exactly one column of pictures; {held}")
        (self.column, column), *_ = pictures.items()
        self.types = {self.column: column.type}
        sample = column.take(sample_rows(column))
        self._choose_size(natural_sizes(sample))
        assert isinstance(column.type, Image)
        needed = (self.all_rows or len(column)) * math.prod(self.size) * column.type.channels
        self.streamed = self.limit is not None and needed > self.limit
        self._fit_statistics(sample)

    def _choose_size(self, sizes: list[tuple[int, int]]) -> None:
        asked = self.options.image_size
        heights, widths = [h for h, _ in sizes], [w for _, w in sizes]
        if self.model_sizes:
            self.size = self._fixed_size(self.model_sizes)
        elif isinstance(asked, tuple) and len(asked) == 2:
            self.size = (asked[0], asked[1])
        else:
            aspect = float(np.median([w / h for h, w in sizes]))
            longest = max(max(size) for size in sizes)
            side = (asked[0] if isinstance(asked, tuple) else asked) or min(longest, LARGEST_SIDE)
            other = side / aspect if aspect >= 1 else side * aspect
            other = min(side, max(MULTIPLE, math.ceil(round(other) / MULTIPLE) * MULTIPLE))
            self.size = (other, side) if aspect >= 1 else (side, other)
        if sizes != [self.size]:
            range_of = f"{min(widths)}x{min(heights)}" + (f" to {max(widths)}x{max(heights)}" if len(sizes) > 1 else "")
            self.notes.append(f"pictures: {range_of}, brought to {self.size[1]}x{self.size[0]} ({self.options.fit})")

    def _fixed_size(self, sides: tuple[int, ...]) -> tuple[int, int]:
        """Of a model that takes squares of these sides only, the usual one first."""
        asked = self.options.image_size
        given = asked if isinstance(asked, tuple) else (asked or sides[0],)
        if len(set(given)) > 1 or given[0] not in sides:
            named = " or ".join(f"{side}x{side}" for side in sides)
            raise UserError(f"image_size: the model takes pictures of {named}, received {asked}")
        return given[0], given[0]

    def _fit_statistics(self, column: Column) -> None:
        """Mean and deviation of each channel, given or over (a sample of) the training pictures."""
        if self.options.mean is not None and self.options.deviation is not None:
            self.mean = [255 * value for value in self.options.mean]
            self.deviation = [255 * value for value in self.options.deviation]
            if len(self.mean) == 1 and self.types[self.column].channels == 3:
                raise UserError("mean: one number is for grey pictures, these have 3 channels")
            return
        chosen = column.take(np.unique(np.linspace(0, len(column) - 1, 200).astype(np.int64)))
        pixels = stack_pictures(chosen, self.size, "stretch").reshape(-1, chosen.type.channels).astype(np.float64)  # type: ignore[union-attr]
        self.mean = [float(value) for value in pixels.mean(axis=0)]
        self.deviation = [max(1.0, float(value)) for value in pixels.std(axis=0)]

    def encode(self, split: Split) -> dict[str, Any]:
        """inputs uint8 (N, height, width, C), or rows that are decoded when asked for; places (N, 6)."""
        column, kind = split[self.column], self.types[self.column]
        if isinstance(column.values, EncodedImages) and column.values.channels != kind.channels:
            column = Column(kind, EncodedImages(column.values.sources, column.values.names, kind.channels))
        places = torch.from_numpy(np.stack([self.place(h, w) for h, w in sizes_of(column)]).astype(np.float32))
        if self.streamed:
            return {"inputs": EncodedRows(column, self.size, self.options.fit), "places": places}
        needed = len(column) * math.prod(self.size) * kind.channels
        refuse_if_too_large(needed, f"{len(column):,} pictures of {self.size[1]}x{self.size[0]}")
        return {"inputs": torch.from_numpy(stack_pictures(column, self.size, self.options.fit)), "places": places}

    def place(self, height: int, width: int) -> tuple[float, ...]:
        """Where a picture of that size is put in the network's: one row of `places`."""
        if self.options.fit == "stretch":
            return (height, width, self.size[0] / height, self.size[1] / width, 0, 0)
        rows, columns, top, left = padded_place(height, width, self.size)
        return (height, width, rows / height, columns / width, top, left)

    def to_device(self, device: torch.device) -> None:
        self.center = torch.tensor(self.mean, device=device)[:, None, None]
        self.scale = torch.tensor(self.deviation, device=device)[:, None, None]

    def prepare(self, batch: Tensor, augmentation: Augmentation | None = None) -> tuple[Tensor, Warp | None]:
        """uint8 (B, H, W, C) -> float32 (B, C, H, W), and how they were moved."""
        if augmentation is None:
            return self.normalized(batch.permute(0, 3, 1, 2).to(torch.float32)), None
        warp = augmentation.draw(batch)
        pictures = self.normalized(augmentation.change_colours(augmentation.move(batch, warp)))
        return pictures.contiguous(memory_format=torch.channels_last), warp

    def normalized(self, pictures: Tensor) -> Tensor:
        """float32 (B, C, H, W) in levels 0 to 255 -> what the model takes."""
        assert self.center is not None and self.scale is not None, "call to_device first"
        pictures = pictures.sub(self.center).div_(self.scale)
        return pictures.flip(1) if self.options.channel_order == "bgr" else pictures

    def augmentation(self, settings: AugmentSettings, size: tuple[int, int] | None = None) -> Augmentation:
        """size: height and width of the parts of pictures that are seen, in training alone; None: all of them.

        Raises `UserError` for what has no meaning where things have places.
        """
        if settings.mixup or settings.cutmix:
            raise UserError("augment: pictures with boxes or masks are not mixed; leave mixup and cutmix out")
        if settings.random_crop and size is None:
            raise UserError(
                "augment.random_crop: not for this task without a task.options.crop_size; or use augment.crop_area=[0.5, 1]"
            )
        mean = [sum(self.mean) / len(self.mean)] if self.types[self.column].channels == 1 else self.mean
        return Augmentation(settings, size or self.size, torch.tensor(mean, dtype=torch.float32), None)

    def state(self) -> dict[str, Any]:
        kind = type_to_dict(self.types[self.column])
        return {
            "column": self.column,
            "type": kind,
            "size": list(self.size),
            "mean": self.mean,
            "deviation": self.deviation,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.column, self.types = state["column"], {state["column"]: type_from_dict(state["type"])}
        self.size = (state["size"][0], state["size"][1])
        self.mean, self.deviation = state["mean"], state["deviation"]


def sizes_of(column: Column) -> Sequence[tuple[int, int]]:
    """(height, width) of each picture, from the headers alone where they are still encoded."""
    values = column.values
    if isinstance(values, np.ndarray):
        return [(values.shape[1], values.shape[2])] * len(values)
    return list(values.sizes()) if isinstance(values, EncodedImages) else [value.shape[:2] for value in values]


def to_network(boxes: Tensor, places: Tensor) -> Tensor:
    """Boxes (B, N, 4) in pixels of the pictures -> in those of the network."""
    down, across, top, left = (places[:, index, None, None] for index in (2, 3, 4, 5))
    scale = torch.cat([across, down, across, down], dim=2)
    return boxes * scale + torch.cat([left, top, left, top], dim=2)


def from_network(boxes: Tensor, places: Tensor) -> Tensor:
    """The inverse of `to_network`, cut off at the edges of the pictures."""
    height, width, down, across, top, left = (places[:, index, None, None] for index in range(6))
    found = (boxes - torch.cat([left, top, left, top], dim=2)) / torch.cat([across, down, across, down], dim=2)
    return torch.minimum(found.clamp(min=0), torch.cat([width, height, width, height], dim=2))


def move_objects(objects: Tensor, warp: Warp | None) -> Tensor:
    """Objects (B, M, 6) after a warp. Those of which less than a quarter is left are ignored: what is left of them is neither
    the thing nor background. Those of which nothing is left become empty."""
    if warp is None:
        return objects
    boxes, seen = move_boxes(objects[..., :4], warp)
    labels = torch.where(seen > 0, objects[..., 4], -1)
    ignored = torch.where(seen < LEAST_SEEN, 1, objects[..., 5])
    return torch.cat([boxes, torch.stack([labels, ignored], dim=2)], dim=2)

"""Inputs: how columns become the tensor that a model takes. Statistics come from the training split only.

`encode` turns a split into one compact tensor (uint8 pictures, float32 tables) that lives on the device, or where pictures do
not fit into rows that are decoded when asked for; `prepare` turns the rows of a batch into what the model sees, there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from gradus.data.augment.apply import Augmentation
from gradus.data.augment.colour import principal_components
from gradus.data.augment.settings import AugmentSettings
from gradus.data.columns import Column, Image, Label, Number, Text, type_from_dict, type_to_dict
from gradus.data.dataset import Split
from gradus.data.images import EncodedImages, Fit, stack_pictures
from gradus.errors import UserError
from gradus.tasks.encode import HoldsTensors, class_indices, contents, refuse_if_too_large
from gradus.tasks.rows import PART_BYTES, EncodedRows, natural_sizes, sample_rows


class Inputs(HoldsTensors, ABC):
    """One kind of input. `notes` says what `fit` inferred or left out; `types` holds the columns it reads."""

    notes: list[str]
    types: dict[str, Any]
    streamed = False  # whether `encode` gives rows that are made when asked for (`EncodedRows`) in place of a tensor

    @abstractmethod
    def fit(self, train: Split, exclude: tuple[str, ...]) -> None: ...
    @abstractmethod
    def encode(self, split: Split) -> Tensor | EncodedRows: ...
    @abstractmethod
    def prepare(self, batch: Tensor) -> Tensor: ...
    def rows(self, split: Split) -> dict[str, Any]:
        """Name -> rows of all that a batch needs of these inputs; "inputs" among them."""
        return {"inputs": self.encode(split)}

    def taken(self, batch: dict[str, Tensor]) -> Any:
        """What the model takes, of a batch: a tensor, or a tuple where it takes several."""
        return self.prepare(batch["inputs"])

    def features_at(self, tensors: dict[str, Any], rows: np.ndarray | None = None) -> Any:
        """(R, F) features of encoded rows (None: of all), for the linear baseline."""
        return features_of(self, tensors["inputs"], rows)

    def to_device(self, device: torch.device) -> None:
        """Moves what `prepare` needs to the device."""

    def remarks(self, split: Split) -> list[str]:
        """For each row, what is to be known of an answer to it; mostly nothing."""
        return [""] * len(split)

    @abstractmethod
    def features(self, encoded: Tensor) -> np.ndarray: ...
    @abstractmethod
    def model_options(self) -> dict[str, Any]: ...
    @abstractmethod
    def state(self) -> dict[str, Any]: ...
    @abstractmethod
    def restore(self, state: dict[str, Any]) -> None: ...


def features_of(inputs: Inputs, encoded: Tensor | EncodedRows, rows: np.ndarray | None = None) -> np.ndarray:
    """(R, F) features of all rows or of those asked for; of rows that are decoded when asked for, a few at a time."""
    if isinstance(encoded, EncodedRows):
        return np.concatenate([inputs.features(part) for part in encoded.parts(rows)])
    return inputs.features(encoded if rows is None else encoded[rows])


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """How pictures are brought to one size and range."""

    image_size: int | None = None  # side in pixels; None: the model's own, or the pictures' where all are equal, or 64
    fit: Fit = "stretch"  # how another aspect ratio is met: stretch, crop (the middle) or pad (with black)
    # by the channels' mean and deviation over the training pictures; to 0..1; or by the mean and deviation of each picture
    normalize: Literal["standardize", "unit", "per-picture"] = "standardize"
    crop_size: int | None = None  # side of the middle part that the model sees; None: the whole picture
    # of each channel, of values in 0..1, in RGB order; None: those of the training pictures
    mean: tuple[float, ...] | None = None
    deviation: tuple[float, ...] | None = None
    channel_order: Literal["rgb", "bgr"] = "rgb"  # that the model takes; bgr: networks that come from Caffe

    def __post_init__(self) -> None:
        if self.image_size is not None and not 4 <= self.image_size <= 4096:
            raise UserError(f"image_size: expected 4 to 4096 pixels, received {self.image_size}")
        if self.crop_size is not None and not 4 <= self.crop_size <= (self.image_size or 4096):
            raise UserError(
                f"crop_size: expected 4 to {self.image_size or 4096} pixels (the pictures' size), received {self.crop_size}"
            )
        mean, deviation = self.mean, self.deviation
        if (mean is None) != (deviation is None) or (mean and deviation and len(mean) != len(deviation)):
            raise UserError("mean, deviation: expected both, with as many numbers each as there are channels")
        if deviation is not None and (len(deviation) not in (1, 3) or min(deviation) <= 0):
            raise UserError(f"deviation: expected 1 or 3 numbers above 0, received {list(deviation)}")
        if mean is not None and self.normalize != "standardize":
            raise UserError(f"normalize: '{self.normalize}' and a mean exclude each other")


COLOUR_SAMPLE = 1_000  # training pictures that the principal components of their pixels are computed from
LARGEST_NATURAL_SIZE = 64  # pictures larger than this are brought to it unless image_size says otherwise


class ImageInputs(Inputs):
    """One column of pictures -> float32 (B, C, H, W) in channels-last memory order."""

    tensor_names = ("center", "scale")

    def __init__(self, options: ImageOptions, model_sizes: tuple[int, ...] | None = None) -> None:
        """model_sizes: the only sides that the chosen model takes, where they are fixed, the usual one first."""
        self.options, self.model_sizes = options, model_sizes
        self.limit: int | None = (
            None  # bytes that decoded pictures may have; if they have more they are decoded when asked for
        )
        self.all_rows: int | None = None  # of all splits together, which the limit is for; None: of the training split
        self.smallest = 1  # side in pixels that the model needs; smaller pictures are brought to it
        self.notes = []

    def fit(self, train: Split, exclude: tuple[str, ...]) -> None:
        pictures = {n: c for n, c in train.columns.items() if isinstance(c.type, Image) and n not in exclude}
        if len(pictures) != 1:
            held = f"it has {len(pictures)}: {', '.join(pictures)}" if pictures else "it has none"
            raise UserError(f"an image task needs exactly one column of pictures; {held}")
        (self.column, column), *_ = pictures.items()
        assert isinstance(column.type, Image)
        self.types = {self.column: column.type}
        self.streamed = self._is_too_large(column)
        if self.streamed:
            sample = sample_rows(column)
            self._note_size(column.take(sample))
            if len(sample) < len(column):
                self.notes.append(
                    f"sizes, means and deviations of the pictures: from {len(sample):,} of {len(column):,}"
                )
            rows = EncodedRows(column, self.size, self.options.fit)
            self._fit_statistics(part.numpy() for part in rows.parts(sample))
            return
        self._note_size(column)
        refuse_if_too_large(
            len(column) * self.size**2 * column.type.channels, f"{len(column):,} pictures of {self.size}x{self.size}"
        )
        pixels = stack_pictures(column, (self.size, self.size), self.options.fit)
        # in slices, so that the sums of squares never need a second copy of the whole column
        self._fit_statistics(np.array_split(pixels, min(len(pixels), 1 + pixels.nbytes // PART_BYTES)))
        self._pixels_of_train = (column, pixels)

    def _is_too_large(self, column: Column) -> bool:
        """Whether the decoded pictures of all splits have more bytes than the limit."""
        if self.limit is None:
            return False
        assert isinstance(column.type, Image)
        needed = (self.all_rows or len(column)) * column.type.channels
        open_size = not (self.options.image_size or self.model_sizes)
        if open_size and needed * LARGEST_NATURAL_SIZE**2 <= self.limit:
            return False  # whatever their sizes are, which takes time to find out
        size, _ = self._choose_size(column.take(sample_rows(column)))
        return needed * size**2 > self.limit

    def _fit_statistics(self, parts: Iterable[np.ndarray]) -> None:
        """Mean and deviation of each channel over uint8 (N, H, W, C) in parts, unless they are given; the sums are exact, however
        they are cut."""
        if self.options.mean is not None and self.options.deviation is not None:
            self._take_given(self.options.mean, self.options.deviation)
            return
        count, total, squares = 0, np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64)
        for part in parts:
            wide = part.astype(np.int64)
            count += part.shape[0] * part.shape[1] * part.shape[2]
            total, squares = total + wide.sum(axis=(0, 1, 2)), squares + (wide**2).sum(axis=(0, 1, 2))
        mean = total / count
        self.mean = [float(value) for value in mean]  # in 0..255
        self.deviation = [float(value) for value in np.sqrt(np.maximum(squares / count - mean**2, 1.0))]

    def _take_given(self, mean: tuple[float, ...], deviation: tuple[float, ...]) -> None:
        channels = self.types[self.column].channels
        if channels == 3 and len(mean) == 1:
            raise UserError("mean: one number is for grey pictures, these have 3 channels")
        if channels == 1 and len(mean) == 3:
            self.notes.append("grey pictures are given to the model as RGB, all three channels alike")
        self.mean, self.deviation = [255 * value for value in mean], [255 * value for value in deviation]

    @property
    def channels(self) -> int:
        """Of what the model takes: those of the pictures, or 3 where grey pictures are given to a model of coloured ones."""
        return len(self.mean)

    def _note_size(self, column: Column) -> None:
        self.size, note = self._choose_size(column)
        self.notes += [note] if note else []

    def _choose_size(self, column: Column) -> tuple[int, str]:
        """The side that all pictures are brought to (what is asked for, else what the model takes, else what they have), and a
        note where that is not their own."""
        asked, crop, fixed = self.options.image_size, self.options.crop_size, self.model_sizes
        if fixed and (crop or asked) and (crop or asked) not in fixed:
            sizes = " or ".join(f"{size}x{size}" for size in fixed)
            name = "crop_size" if crop else "image_size"
            raise UserError(f"{name}: the model takes pictures of {sizes}, received {crop or asked}")
        found = natural_sizes(column)
        heights, widths = [h for h, _ in found], [w for _, w in found]
        own = heights[0] if len(found) == 1 and heights == widths else None
        if asked:
            size = asked
        elif crop:
            size = own if own and own >= crop else crop * 8 // 7  # 256 for 224
        elif fixed:
            size = own if own in fixed else fixed[0]
        elif own and own <= LARGEST_NATURAL_SIZE:
            size = own
        else:
            size = min(LARGEST_NATURAL_SIZE, max(map(min, found)))
        if not asked and not crop:
            size = max(size, self.smallest)
        if size == own:
            return size, ""
        range_of = f"{min(widths)}x{min(heights)}" + (f" to {max(widths)}x{max(heights)}" if len(found) > 1 else "")
        return size, f"pictures: {range_of}, brought to {size}x{size} ({self.options.fit})"

    def encode(self, split: Split) -> Tensor | EncodedRows:
        column = split[self.column]
        cached = getattr(self, "_pixels_of_train", None)
        if cached and cached[0] is column:
            del self._pixels_of_train
            return torch.from_numpy(cached[1])
        kind = self.types[self.column]
        if not self.streamed:
            needed = len(column) * self.size * self.size * kind.channels
            refuse_if_too_large(needed, f"{len(column):,} pictures of {self.size}x{self.size}")
        if isinstance(column.values, EncodedImages) and column.values.channels != kind.channels:
            values = EncodedImages(column.values.sources, column.values.names, kind.channels)
            column = Column(kind, values)
        if self.streamed:
            return EncodedRows(column, self.size, self.options.fit)
        return torch.from_numpy(stack_pictures(column, (self.size, self.size), self.options.fit))

    def to_device(self, device: torch.device) -> None:
        self.center = torch.tensor(self.mean, device=device)[:, None, None]
        self.scale = torch.tensor(self.deviation, device=device)[:, None, None]

    def prepare(self, batch: Tensor) -> Tensor:
        """uint8 (B, H, W, C) -> float32 (B, C, H, W); the permuted view keeps the memory order, which is channels-last."""
        first = (self.size - self.seen_size) // 2
        seen = batch[:, first : first + self.seen_size, first : first + self.seen_size]
        return self.normalized(seen.permute(0, 3, 1, 2).to(torch.float32))

    def normalized(self, pictures: Tensor) -> Tensor:
        """float32 (B, C, H, W) in levels 0 to 255, changed in place -> what the model takes."""
        if self.options.normalize == "unit":
            pictures = pictures.div_(255)
        elif self.options.normalize == "per-picture":  # as tf.image.per_image_standardization
            deviation, mean = torch.std_mean(pictures, dim=(1, 2, 3), correction=0, keepdim=True)
            pictures = pictures.sub_(mean).div_(deviation.clamp(min=pictures[0].numel() ** -0.5))
        elif pictures.shape[1] == len(self.mean):
            pictures = pictures.sub_(self.center).div_(self.scale)
        else:
            pictures = pictures.sub(self.center).div_(self.scale)  # (B, 1, H, W) -> (B, 3, H, W)
        return pictures.flip(1) if self.options.channel_order == "bgr" else pictures

    def augmentation(self, settings: AugmentSettings, encoded: Tensor | EncodedRows) -> Augmentation:
        """What `settings` do to batches of the rows `encoded`, the training split."""
        if settings.random_crop and not self.options.crop_size:
            raise UserError(
                "augment.random_crop: needs the side that is cut out, --set task.options.crop_size=N, below the pictures' "
                f"{self.size} pixels"
            )
        components = None
        mean = self.mean
        if self.types[self.column].channels < len(mean):  # grey pictures, which become RGB after this
            mean = [sum(mean) / len(mean)]
        if settings.pca and len(mean) == 3:
            rows = np.unique(np.linspace(0, len(encoded) - 1, COLOUR_SAMPLE).astype(np.int64))
            components = principal_components(encoded[rows].numpy())
        size = self.seen_size, self.seen_size
        return Augmentation(settings, size, torch.tensor(mean, dtype=torch.float32), components)

    @property
    def seen_size(self) -> int:
        """Side in pixels of what the model sees of a picture."""
        return self.options.crop_size or self.size

    def features(self, encoded: Tensor) -> np.ndarray:
        """(N, at most 28 * 28 * C) float32 in 0..1 for the linear baseline: larger pictures are averaged down."""
        pictures = encoded.permute(0, 3, 1, 2)
        if self.size > 28:
            pooled = [torch.nn.functional.adaptive_avg_pool2d(part.float(), 28) for part in pictures.split(500)]
            pictures = torch.cat(pooled)
        return (pictures.float() / 255).flatten(1).numpy()

    def model_options(self) -> dict[str, Any]:
        channels = self.channels
        return {
            "in_channels": channels,
            "image_size": self.seen_size,
            "in_features": channels * self.seen_size**2,
        }

    def state(self) -> dict[str, Any]:
        kind = type_to_dict(self.types[self.column])
        return {"column": self.column, "type": kind, "size": self.size, "mean": self.mean, "deviation": self.deviation}

    def restore(self, state: dict[str, Any]) -> None:
        self.column, self.size = state["column"], state["size"]
        self.mean, self.deviation = state["mean"], state["deviation"]
        self.types = {self.column: type_from_dict(state["type"])}


class TableInputs(Inputs):
    """Number and Label columns -> float32 (B, F): numbers standardised, labels one-hot.

    A missing number becomes 0 (the mean) and, where the training split has missing ones, a second feature that is 1 where it is
    missing. A missing or never seen label is all zeros. Columns of other types, and constant ones, are left out with a note.
    """

    def __init__(self) -> None:
        self.notes = []

    def fit(self, train: Split, exclude: tuple[str, ...]) -> None:
        self.types = {}
        self.numbers: dict[str, dict[str, Any]] = {}
        for name, column in train.columns.items():
            if name in exclude:
                continue
            if isinstance(column.type, Number):
                self._fit_number(name, column)
            elif isinstance(column.type, Label):
                if len(set(np.asarray(column.values).tolist())) < 2:
                    self.notes.append(f"column '{name}' is constant: left out")
                else:
                    self.types[name] = column.type
            else:
                other = "; a text task would read it (gradus list tasks)" if isinstance(column.type, Text) else ""
                self.notes.append(f"column '{name}' holds {contents(column)}: left out{other}")
        if not self.types:
            pictures = [name for name, column in train.columns.items() if isinstance(column.type, Image)]
            hint = f" (column '{pictures[0]}' holds pictures: use --task image-classification)" if pictures else ""
            raise UserError(
                f"there is no usable input column: a table needs numbers or classes beside the target{hint}"
            )
        self.notes.append(f"inputs: {len(self.types)} columns, {self.width} features after one-hot encoding")

    def _fit_number(self, name: str, column: Column) -> None:
        values = np.asarray(column.values, dtype=np.float64)
        known = values[np.isfinite(values)]
        if not len(known) or (known.min() == known.max() and len(known) == len(values)):
            self.notes.append(f"column '{name}' is {'constant' if len(known) else 'empty'}: left out")
            return
        deviation = float(known.std())
        self.types[name] = column.type
        self.numbers[name] = {
            "mean": float(known.mean()),
            "deviation": deviation if deviation > 0 else 1.0,
            "missing": bool(len(known) < len(values)),
        }

    @property
    def width(self) -> int:
        labels = sum(len(kind.classes) for kind in self.types.values() if isinstance(kind, Label))
        return labels + sum(1 + number["missing"] for number in self.numbers.values())

    def encode(self, split: Split) -> Tensor:
        refuse_if_too_large(len(split) * self.width * 4, f"{len(split):,} rows of {self.width} features")
        blocks = []
        for name, kind in self.types.items():
            if isinstance(kind, Label):
                values = class_indices(split[name], kind.classes)
                rows = np.zeros((len(values), len(kind.classes)), dtype=np.float32)
                known = np.flatnonzero(values >= 0)
                rows[known, values[known]] = 1
                blocks.append(rows)
                continue
            number, values = self.numbers[name], np.asarray(split[name].values, dtype=np.float64)
            if np.isinf(values).any():
                row = split.origins[int(np.flatnonzero(np.isinf(values))[0])]
                raise UserError(f"column '{name}' is infinite in {row}: correct it, or leave it empty")
            missing = np.isnan(values)
            scaled = np.where(missing, 0, (values - number["mean"]) / number["deviation"])
            blocks.append(scaled.astype(np.float32)[:, None])
            if number["missing"]:
                blocks.append(missing.astype(np.float32)[:, None])
        return torch.from_numpy(np.concatenate(blocks, axis=1))

    def prepare(self, batch: Tensor) -> Tensor:
        return batch

    def features(self, encoded: Tensor) -> np.ndarray:
        return encoded.numpy()

    def model_options(self) -> dict[str, Any]:
        return {"in_features": self.width}

    def state(self) -> dict[str, Any]:
        return {"types": {name: type_to_dict(kind) for name, kind in self.types.items()}, "numbers": self.numbers}

    def restore(self, state: dict[str, Any]) -> None:
        self.types = {name: type_from_dict(kind) for name, kind in state["types"].items()}
        self.numbers = state["numbers"]

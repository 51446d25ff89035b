"""Semantic segmentation: the class of every pixel. Networks give logits (B, classes, height, width).

Trained and tested on pictures of one size (`scenes.py`), or trained on parts of them (`crop_size`). Predicted masks have each
picture's own size. Where the pictures of the data all have one size, masks are scored at it, and not at the network's.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gradus.data.augment.geometry import warp_masks
from gradus.data.augment.settings import AugmentSettings
from gradus.data.columns import Boxes, Mask
from gradus.data.dataset import Dataset, Split
from gradus.data.images import resize
from gradus.data.masks import MOST_CLASSES
from gradus.errors import UserError, WrongOutputs
from gradus.masks.crf import CrfSettings, refine
from gradus.masks.measures import confusion_metrics, confusion_of, measures_of
from gradus.masks.tiles import join_tiles, tile_places
from gradus.nn.mask_losses import pixel_cross_entropy, pixel_dice, pixel_focal
from gradus.tasks.assessment import SegmentationAssessment
from gradus.tasks.encode import contents
from gradus.tasks.rows import natural_sizes
from gradus.tasks.scene_task import SceneTask
from gradus.tasks.scenes import SceneInputs, sizes_of
from gradus.tasks.targets import target_column
from gradus.tasks.task import Answer, Task

TILES_AT_ONCE = 32


@dataclass(frozen=True, kw_only=True)
class MaskOptions:
    """How classes of pixels are learnt and predicted."""

    loss: Literal["cross-entropy", "focal", "dice", "cross-entropy+dice"] = "cross-entropy"
    # balanced: pixels / (classes * its pixels); median: median class frequency / its own (Eigen, Fergus 2015)
    class_weights: Literal["none", "balanced", "median"] = "none"
    # side, or height and width, of the parts of pictures seen in training, drawn anew in every step; None: whole pictures
    crop_size: int | tuple[int, ...] | None = None
    # a picture to predict for is read in overlapping tiles of the network's size, at the scale of the training pictures
    tiles: bool = False
    crf: int = 0  # steps of the fully connected CRF after the network, in tests and predictions; the paper: 10
    crf_smoothness: tuple[float, ...] = (3.0, 3.0)  # weight, pixels
    crf_appearance: tuple[float, ...] = (4.0, 60.0, 13.0)  # weight, pixels, levels of 255

    def __post_init__(self) -> None:
        crop = self.crop_size if isinstance(self.crop_size, tuple) else (self.crop_size or 64,)
        if len(crop) not in (1, 2) or min(crop) < 16:
            raise UserError(f"crop_size: expected one or two sides of at least 16 pixels, received {self.crop_size}")
        if not 0 <= self.crf <= 1000:
            raise UserError(f"crf: expected 0 to 1000 steps, received {self.crf}")
        for name, length, meaning in (("smoothness", 2, "weight, pixels"), ("appearance", 3, "weight, pixels, levels")):
            value = getattr(self, f"crf_{name}")
            if len(value) != length or value[0] < 0 or min(value[1:]) <= 0:
                raise UserError(f"crf_{name}: expected {meaning}, all above 0, received {list(value)}")

    @property
    def crf_settings(self) -> CrfSettings:
        (smooth, smooth_pixels), (alike, alike_pixels, levels) = self.crf_smoothness, self.crf_appearance
        return CrfSettings(
            iterations=self.crf,
            smoothness_weight=smooth,
            smoothness_pixels=smooth_pixels,
            appearance_weight=alike,
            appearance_pixels=alike_pixels,
            appearance_levels=levels,
        )


class SegmentationTask(SceneTask):
    """Pictures -> the class of every pixel.

    Encoded: inputs uint8 (N, height, width, C); places (N, 6), see `scenes.py`; targets uint8 (N, h, w), class indices or
    `ignore`, at `scored_size`: that of the pictures where all have the same, else that of the network, its margins ignored.
    """

    directions = {"miou": "max", "pixel_accuracy": "max"}  # noqa: RUF012 - as of all tasks
    name = "semantic-segmentation"

    def __init__(self, inputs: SceneInputs, options: MaskOptions) -> None:
        super().__init__(inputs)
        self.options = options
        self.weights: Tensor | None = None
        self.crop: tuple[int, int] | None = None

    def to_device(self, device: torch.device) -> None:
        super().to_device(device)
        if self.weights is not None:
            self.weights = self.weights.to(device)

    def augmented(self, settings: AugmentSettings, train: dict[str, Any]) -> Task:
        other = copy.copy(self)
        if self.crop is not None and not settings.crops_area:
            settings = replace(settings, random_crop=True)
        other.augmentation = self.inputs.augmentation(settings, self.crop)
        other.notes = [*self.notes, *other.augmentation.notes(settings)]
        return other

    def fit(self, dataset: Dataset) -> None:
        self.column = target_column(dataset)
        column = dataset["train"][self.column]
        if not isinstance(column.type, Mask):
            hint = "; --target mask reads them where objects have outlines" if isinstance(column.type, Boxes) else ""
            raise UserError(f"target '{self.column}' holds {contents(column)}: segmentation needs masks{hint}")
        self.kind = column.type
        if len(self.kind.classes) < 2:
            raise UserError(
                f"target '{self.column}' has one class only ('{self.kind.classes[0]}'): there is nothing to tell apart"
            )
        if len(self.kind.classes) > MOST_CLASSES:
            raise UserError(
                f"target '{self.column}' has {len(self.kind.classes)} classes; masks hold {MOST_CLASSES} at most"
            )
        self.inputs.fit(dataset["train"], exclude=(self.column,))
        sizes = {size for split in dataset.splits.values() for size in sizes_of(split[self.inputs.column])}
        self.scored_size = next(iter(sizes)) if len(sizes) == 1 else self.inputs.size
        places = [self.inputs.place(*size)[2:4] for size in natural_sizes(dataset["train"][self.inputs.column])]
        self.scale = (
            float(np.median([down for down, _ in places])),
            float(np.median([across for _, across in places])),
        )
        self.notes = list(self.inputs.notes)
        if self.options.crop_size is not None:
            self._fit_crop(self.options.crop_size)
        if self.options.class_weights != "none":
            self._fit_weights(dataset["train"])

    def _fit_crop(self, asked: int | tuple[int, ...]) -> None:
        sides = asked if isinstance(asked, tuple) else (asked,)
        self.crop = (sides[0], sides[-1])
        if self.crop[0] > self.inputs.size[0] or self.crop[1] > self.inputs.size[1]:
            own = f"{self.inputs.size[1]}x{self.inputs.size[0]}"
            raise UserError(f"crop_size: {self.crop[1]}x{self.crop[0]} is larger than the pictures ({own})")
        self.augmentation = self.inputs.augmentation(AugmentSettings(random_crop=True), self.crop)
        self.notes.append(f"training sees parts of {self.crop[1]}x{self.crop[0]}, drawn anew in every step")

    def _fit_weights(self, train: Split) -> None:
        """From the pixels of the training masks. `median`: a class's frequency counts only the pictures that it is in."""
        classes = len(self.kind.classes)
        pixels, around = np.zeros(classes), np.zeros(classes)
        for mask in train[self.column]:
            counts = np.bincount(mask.ravel(), minlength=256)[:classes]
            pixels += counts
            around += counts.sum() * (counts > 0)
        if self.options.class_weights == "balanced":
            weights = pixels.sum() / (classes * np.maximum(pixels, 1))
        else:
            frequency = pixels / np.maximum(around, 1)
            weights = np.median(frequency[pixels > 0]) / np.maximum(frequency, 1e-12)
        self.weights = torch.from_numpy(np.where(pixels > 0, weights, 0).astype(np.float32))

    def encode(self, split: Split, *, with_target: bool = True) -> dict[str, Any]:
        tensors = self.inputs.encode(split)
        if with_target:
            for row, (size, mask) in enumerate(
                zip(sizes_of(split[self.inputs.column]), split[self.column], strict=True)
            ):
                if mask.shape != tuple(size):
                    found, wanted = (f"{width}x{height}" for height, width in (mask.shape, size))
                    raise UserError(f"{split.origins[row]}: its mask has {found} pixels, the picture {wanted}")
            masks = [self._at_scored_size(mask) for mask in split[self.column]]
            tensors["targets"] = torch.from_numpy(np.stack(masks))
        return tensors

    def _at_scored_size(self, mask: np.ndarray) -> np.ndarray:
        if mask.shape == self.scored_size:
            return mask
        return self._in_network(torch.from_numpy(mask)[None])[0].numpy()

    def _in_network(self, masks: Tensor) -> Tensor:
        """Masks (B, h, w) of pictures of that size -> (B, height, width) of the network, `ignore` in its margins."""
        if tuple(masks.shape[1:]) == self.inputs.size:
            return masks
        top, left, rows, columns = self._inside(self.inputs.place(*masks.shape[1:]))
        below, right = self.inputs.size[0] - top - rows, self.inputs.size[1] - left - columns
        masks = nearest(masks, (rows, columns))
        return functional.pad(masks, (left, right, top, below), value=self.kind.ignore)

    @staticmethod
    def _inside(place: Sequence[float]) -> tuple[int, int, int, int]:
        """Top, left, rows and columns of what a picture takes of the network's."""
        height, width, down, across, top, left = place
        return int(top), int(left), round(height * down), round(width * across)

    def prepare(self, batch: dict[str, Tensor], *, training: bool) -> tuple[Any, Any]:
        inputs, warp = self.inputs.prepare(batch["inputs"], self.augmentation if training else None)
        masks = batch.get("targets")
        if masks is None:
            return inputs, None
        masks = self._in_network(masks)
        if warp is not None:
            masks = warp_masks(masks, warp, value=self.kind.ignore)
        return inputs, masks

    def loss(self, outputs: Tensor, targets: Tensor, *, training: bool) -> Tensor:
        """`options.loss`, weighted by class in training alone."""
        weights = self.weights if training else None
        outputs, targets, ignore = outputs.float(), targets.long(), self.kind.ignore
        if self.options.loss == "focal":
            return pixel_focal(outputs, targets, ignore, weights)
        if self.options.loss == "dice":
            return pixel_dice(outputs, targets, ignore, weights)
        entropy = pixel_cross_entropy(outputs, targets, ignore, weights)
        return entropy + pixel_dice(outputs, targets, ignore, weights) if "dice" in self.options.loss else entropy

    def counts(self, outputs: Tensor, targets: Tensor, *, training: bool) -> dict[str, Tensor]:
        """The confusion matrix (C, C): true by predicted class, in pixels of the network."""
        classes = len(self.kind.classes)
        place = targets.long() * classes + outputs.argmax(dim=1)
        place = torch.where(targets == self.kind.ignore, classes * classes, place).flatten()
        found = torch.zeros(classes * classes + 1, device=outputs.device)
        found = found.scatter_add(0, place, torch.ones_like(place, dtype=found.dtype))
        return {"confusion": found[:-1].view(classes, classes)}

    def metrics(self, totals: dict[str, np.ndarray], samples: int) -> dict[str, float]:
        confusion = totals["confusion"]
        found = confusion_metrics(confusion)
        return {name: found[name] for name in self.directions}

    def check_outputs(self, outputs: Any, rows: int, model: str) -> None:
        wanted = (rows, len(self.kind.classes), *self.inputs.size)
        if not isinstance(outputs, Tensor) or tuple(outputs.shape) != wanted:
            got = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
            raise WrongOutputs(f"model {model} gives {got}, segmentation needs {wanted}")

    def collected(self, outputs: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """uint8 (B, h, w) class indices: at `scored_size` beside targets, else at the size of the (equal) pictures themselves. Of
        tiles: float32 logits."""
        if "tile" in batch:
            return outputs.float()
        if "targets" in batch and self.scored_size == self.inputs.size:
            return self._refined(outputs, batch["inputs"]).argmax(dim=1).to(torch.uint8)
        place = batch["places"][0].tolist()
        top, left, rows, columns = self._inside(place)
        part = (slice(top, top + rows), slice(left, left + columns))
        seen = self._refined(outputs[:, :, part[0], part[1]], batch["inputs"][:, part[0], part[1]])
        return self._resized(seen, (int(place[0]), int(place[1]))).argmax(dim=1).to(torch.uint8)

    def _refined(self, logits: Tensor, pictures: Tensor) -> Tensor:
        """Logits (B, C, H, W) after the CRF, where one is asked for. pictures: uint8 (B, H, W, channels)."""
        if not self.options.crf:
            return logits
        shares = logits.float().softmax(dim=1).cpu().numpy()
        pairs = zip(shares, pictures.cpu().numpy(), strict=True)
        found = np.stack([refine(share, picture, self.options.crf_settings) for share, picture in pairs])
        return torch.from_numpy(found).clamp(min=1e-8).log().to(logits.device)

    def _resized(self, logits: Tensor, size: tuple[int, int]) -> Tensor:
        if tuple(logits.shape[2:]) == size:
            return logits
        return functional.interpolate(logits.float(), size, mode="bilinear", align_corners=False)

    def assess(self, outputs: Tensor, targets: Tensor) -> SegmentationAssessment:
        assessment = SegmentationAssessment(
            classes=self.kind.classes, ignore=self.kind.ignore, predictions=outputs.numpy(), targets=targets.numpy()
        )
        assessment.metrics.update(measures_of(assessment.confusions, assessment.boundaries))
        return assessment

    def answers(self, split: Split, outputs_of: Callable[[dict[str, Any]], Tensor]) -> list[Answer]:
        """One picture at a time, since each has a size of its own."""
        found = []
        for row in range(len(split)):
            one = split.take(np.array([row]))
            if self.options.tiles:
                found.append(Answer(self._by_tiles(one[self.inputs.column][0], outputs_of), self.kind))
            else:
                found += self.decode(outputs_of(self.encode(one, with_target=False)))
        return found

    def _by_tiles(self, picture: np.ndarray, outputs_of: Callable[[dict[str, Any]], Tensor]) -> np.ndarray:
        """uint8 (H, W): the classes of a picture (H, W, channels) of any size, read in tiles of the network's size."""
        height, width = picture.shape[:2]
        size = (max(1, round(height * self.scale[0])), max(1, round(width * self.scale[1])))
        scaled, tile = resize(picture, size), self.inputs.size
        places = tile_places(size, tile)
        margins = [(0, max(0, own - side)) for own, side in zip(tile, size, strict=True)]
        whole = np.pad(scaled, (*margins, (0, 0)), mode="edge")

        def maps() -> Iterator[np.ndarray]:
            for start in range(0, len(places), TILES_AT_ONCE):
                some = places[start : start + TILES_AT_ONCE]
                parts = np.stack([whole[top : top + tile[0], left : left + tile[1]] for top, left in some])
                yield from outputs_of({"inputs": torch.from_numpy(parts), "tile": torch.ones(len(some))}).numpy()

        logits = torch.from_numpy(join_tiles(maps(), places, size))[None]
        refined = self._refined(logits, torch.from_numpy(scaled.copy())[None])
        return self._resized(refined, (height, width))[0].argmax(dim=0).to(torch.uint8).numpy()

    def decode(self, outputs: Tensor) -> list[Answer]:
        return [Answer(row.numpy(), self.kind) for row in outputs]

    def baselines(self, train: dict[str, Tensor], test: dict[str, Tensor]) -> dict[str, dict[str, float]]:
        """Without the measure of boundaries, which would cost more than it says."""
        from gradus.tasks.scene_baselines import usual_classes

        targets, classes = test["targets"].cpu().numpy(), len(self.kind.classes)
        most, of_place = usual_classes(train["targets"], classes)
        answers = {
            "the most frequent class": np.full_like(of_place, most),
            "the most frequent class of each place": of_place,
        }
        return {
            name: confusion_metrics(
                confusion_of(np.broadcast_to(answer, targets.shape), targets, classes, self.kind.ignore)
            )
            for name, answer in answers.items()
        }

    def model_options(self) -> dict[str, Any]:
        return {
            "in_channels": len(self.inputs.mean),
            "num_classes": len(self.kind.classes),
            "picture_size": list(self.inputs.size),
        }

    def state(self) -> dict[str, Any]:
        weights = None if self.weights is None else self.weights.tolist()
        return {
            "inputs": self.inputs.state(),
            "column": self.column,
            "classes": list(self.kind.classes),
            "ignore": self.kind.ignore,
            "scored_size": list(self.scored_size),
            "scale": list(self.scale),
            "weights": weights,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.inputs.restore(state["inputs"])
        self.column = state["column"]
        self.kind = Mask(classes=tuple(state["classes"]), ignore=state["ignore"])
        self.scored_size = (state["scored_size"][0], state["scored_size"][1])
        self.scale = (state["scale"][0], state["scale"][1])
        self.weights = None if state["weights"] is None else torch.tensor(state["weights"])


def nearest(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Masks (B, H, W) -> (B, *size), each pixel that in which its centre lies."""
    if tuple(masks.shape[1:]) == size:
        return masks
    y, x = (
        ((torch.arange(new, device=masks.device) + 0.5) * (old / new)).floor().long().clamp(max=old - 1)
        for old, new in zip(masks.shape[1:], size, strict=True)
    )
    return masks[:, y[:, None], x]

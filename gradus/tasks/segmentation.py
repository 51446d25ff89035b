"""Semantic segmentation: the class of every pixel. Networks give logits (B, classes, height, width)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gradus.data.augment.apply import Augmentation
from gradus.data.augment.geometry import warp_masks
from gradus.data.augment.settings import AugmentSettings
from gradus.data.columns import ColumnType, Mask
from gradus.data.dataset import Dataset, Split
from gradus.errors import UserError
from gradus.masks.measures import confusion_metrics, confusion_of, measures_of
from gradus.tasks.assessment import SegmentationAssessment
from gradus.tasks.encode import contents
from gradus.tasks.scenes import SceneInputs, sizes_of
from gradus.tasks.targets import target_column
from gradus.tasks.task import Answer, Task


@dataclass(frozen=True, kw_only=True)
class MaskOptions:
    """How classes of pixels are learnt."""

    # balanced: pixels / (classes * its pixels); median: median class frequency / its own (Eigen, Fergus 2015)
    class_weights: Literal["none", "balanced", "median"] = "none"


class SegmentationTask(Task):
    """Pictures -> the class of every pixel.

    Encoded: inputs uint8 (N, height, width, C); places (N, 6), see `scenes.py`; targets uint8 (N, h, w), class indices or
    `ignore`, at `scored_size`: that of the pictures where all have the same, else that of the network.
    """

    directions = {"miou": "max", "pixel_accuracy": "max"}  # noqa: RUF012 - as of all tasks
    name = "semantic-segmentation"

    def __init__(self, inputs: SceneInputs, options: MaskOptions) -> None:
        self.inputs, self.options = inputs, options
        self.augmentation: Augmentation | None = None
        self.weights: Tensor | None = None
        self.notes = []

    @property
    def input_types(self) -> dict[str, ColumnType]:
        return self.inputs.types

    @property
    def target_column(self) -> str:
        return self.column

    def to_device(self, device: torch.device) -> None:
        self.inputs.to_device(device)
        if self.weights is not None:
            self.weights = self.weights.to(device)
        if self.augmentation is not None:
            self.augmentation = self.augmentation.to_device(device)

    def augmented(self, settings: AugmentSettings, train: dict[str, Any]) -> Task:
        other = copy.copy(self)
        other.augmentation = self.inputs.augmentation(settings)
        other.notes = [*self.notes, *other.augmentation.notes(settings)]
        return other

    def fit(self, dataset: Dataset) -> None:
        self.column = target_column(dataset)
        column = dataset["train"][self.column]
        if not isinstance(column.type, Mask):
            raise UserError(f"target '{self.column}' holds {contents(column)}: segmentation needs masks")
        self.kind = column.type
        self.inputs.fit(dataset["train"], exclude=(self.column,))
        sizes = {size for split in dataset.splits.values() for size in sizes_of(split[self.inputs.column])}
        only = next(iter(sizes)) if len(sizes) == 1 else None
        whole = only is not None and self.inputs.place(*only)[4:] == (0, 0)  # nothing was padded
        self.scored_size = only if only is not None and whole else self.inputs.size
        self.notes = list(self.inputs.notes)
        if self.options.class_weights != "none":
            self._fit_weights(dataset["train"])

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
            masks = [self._at_scored_size(mask) for mask in split[self.column]]
            tensors["targets"] = torch.from_numpy(np.stack(masks))
        return tensors

    def _at_scored_size(self, mask: np.ndarray) -> np.ndarray:
        if mask.shape == self.scored_size:
            return mask
        _, _, down, across, top, left = self.inputs.place(*mask.shape)
        rows, columns = self.scored_size
        y = np.floor((np.arange(rows) + 0.5 - top) / down).astype(int)
        x = np.floor((np.arange(columns) + 0.5 - left) / across).astype(int)
        inside = ((y >= 0) & (y < mask.shape[0]))[:, None] & ((x >= 0) & (x < mask.shape[1]))
        moved = mask[y.clip(0, mask.shape[0] - 1)[:, None], x.clip(0, mask.shape[1] - 1)]
        return np.where(inside, moved, np.uint8(self.kind.ignore))

    def prepare(self, batch: dict[str, Tensor], *, training: bool) -> tuple[Any, Any]:
        inputs, warp = self.inputs.prepare(batch["inputs"], self.augmentation if training else None)
        masks = batch.get("targets")
        if masks is None:
            return inputs, None
        masks = nearest(masks, self.inputs.size)
        if warp is not None:
            masks = warp_masks(masks, warp, value=self.kind.ignore)
        return inputs, masks

    def loss(self, outputs: Tensor, targets: Tensor, *, training: bool) -> Tensor:
        """Cross-entropy in nats, the mean over the pixels that have a class, weighted by class in training."""
        weights = self.weights if training else None
        targets = targets.long()
        total = functional.cross_entropy(
            outputs, targets, weight=weights, ignore_index=self.kind.ignore, reduction="sum"
        )
        counted = targets != self.kind.ignore
        share = counted.sum() if weights is None else weights[targets.clamp(max=len(weights) - 1)].mul(counted).sum()
        return total / share.clamp(min=1e-12)

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
            raise UserError(f"model {model} gives {got}, segmentation needs {wanted}")

    def collected(self, outputs: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """uint8 (B, h, w) class indices: at `scored_size` beside targets, else at the size of the (equal) pictures themselves."""
        if "targets" in batch:
            return self._resized(outputs, self.scored_size).argmax(dim=1).to(torch.uint8)
        height, width, down, across, top, left = batch["places"][0].tolist()
        top, left = int(top), int(left)
        rows, columns = round(height * down), round(width * across)
        seen = outputs[:, :, top : top + rows, left : left + columns]
        return self._resized(seen, (int(height), int(width))).argmax(dim=1).to(torch.uint8)

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
            found += self.decode(outputs_of(self.encode(split.take(np.array([row])), with_target=False)))
        return found

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
            "weights": weights,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.inputs.restore(state["inputs"])
        self.column = state["column"]
        self.kind = Mask(classes=tuple(state["classes"]), ignore=state["ignore"])
        self.scored_size = (state["scored_size"][0], state["scored_size"][1])
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

"""What tasks share in which any network for pictures gives numbers that are places: one object, or landmarks."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from gradus.data.augment.apply import Augmentation
from gradus.data.augment.settings import AugmentSettings
from gradus.data.columns import ColumnType
from gradus.tasks.scenes import SceneInputs
from gradus.tasks.task import Task


class PlaceTask(Task):
    """Subclasses set `num_outputs` and `column` when they are fitted."""

    num_outputs: int
    column: str

    def __init__(self, inputs: SceneInputs) -> None:
        self.inputs = inputs
        self.augmentation: Augmentation | None = None
        self.notes = []

    @property
    def input_types(self) -> dict[str, ColumnType]:
        return self.inputs.types

    @property
    def target_column(self) -> str:
        return self.column

    def to_device(self, device: torch.device) -> None:
        self.inputs.to_device(device)
        if self.augmentation is not None:
            self.augmentation = self.augmentation.to_device(device)

    def augmented(self, settings: AugmentSettings, train: dict[str, Any]) -> Task:
        other = copy.copy(self)
        other.augmentation = self.inputs.augmentation(settings)
        other.notes = [*self.notes, *other.augmentation.notes(settings)]
        return other

    def model_options(self) -> dict[str, Any]:
        """Networks that end in a ReLU are asked for `signed` outputs; those that take squares of a fixed side get it."""
        height, width = self.inputs.size
        return {
            "in_channels": len(self.inputs.mean),
            "num_classes": self.num_outputs,
            "picture_size": [height, width],
            "signed": True,
            **({"image_size": height} if height == width else {}),
        }


def points_to_network(points: Tensor, places: Tensor) -> Tensor:
    """Points (B, K, 2) in pixels of the pictures -> in those of the network; places: see `scenes.py`."""
    scale, offset = places[:, None, [3, 2]], places[:, None, [5, 4]]
    return points * scale + offset


def points_from_network(points: Tensor, places: Tensor) -> Tensor:
    """The inverse of `points_to_network`. Points may lie outside of the picture."""
    scale, offset = places[:, None, [3, 2]], places[:, None, [5, 4]]
    return (points - offset) / scale

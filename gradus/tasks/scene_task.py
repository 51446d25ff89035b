"""What all tasks share in which things have places in pictures: boxes, masks, points."""

from __future__ import annotations

import copy
from typing import Any

import torch

from gradus.data.augment.apply import Augmentation
from gradus.data.augment.settings import AugmentSettings
from gradus.data.columns import ColumnType
from gradus.tasks.scenes import SceneInputs
from gradus.tasks.task import Task


class SceneTask(Task):
    """Subclasses set `column`, the one that is learnt, when they are fitted."""

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

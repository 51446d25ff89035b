"""A Gradus classification task over rows that are tensors already: no columns, nothing to fit, a preparation of one's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from gradus.data.dataset import Split
from gradus.tasks.inputs import Inputs
from gradus.tasks.targets import ClassOptions, ClassTarget
from gradus.tasks.task import InputTargetTask

Preparation = Callable[[Tensor, bool], Tensor]  # (rows of a batch, whether it is for training) -> what the model takes


class Ready(Inputs):
    """Inputs that need nothing: what reads columns is refused."""

    def __init__(self) -> None:
        self.notes, self.types = [], {}

    def fit(self, train: Split, exclude: tuple[str, ...]) -> None:
        raise NotImplementedError

    def encode(self, split: Split) -> Tensor:
        raise NotImplementedError

    def prepare(self, batch: Tensor) -> Tensor:
        return batch

    def features(self, encoded: Tensor) -> np.ndarray:
        raise NotImplementedError

    def model_options(self) -> dict[str, Any]:
        return {}

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        pass


class TensorTask(InputTargetTask):
    """Batches {"inputs": (B, ...), "targets": int64 (B,)} -> classes; `preparation` is Gradus' place for augmentation."""

    def __init__(self, classes: Sequence[str], preparation: Preparation | None = None, smoothing: float = 0.0) -> None:
        target = ClassTarget(ClassOptions(label_smoothing=smoothing))
        target.restore({"column": "label", "classes": list(classes)})
        super().__init__("tensor-classification", Ready(), target)
        self.preparation = preparation

    def prepare(self, batch: dict[str, Tensor], *, training: bool) -> tuple[Tensor, Any]:
        inputs = batch["inputs"]
        return inputs if self.preparation is None else self.preparation(inputs, training), batch.get("targets")

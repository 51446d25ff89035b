"""What inputs and targets share in reading columns."""

from __future__ import annotations

import copy
import os
from typing import ClassVar, Self

import numpy as np
from torch import Tensor

from gradus.data.columns import Column, Label
from gradus.errors import UserError


class HoldsTensors:
    """Something that computes with tensors of its own: a fleet gives it those of each member."""

    tensor_names: ClassVar[tuple[str, ...]] = ()  # its attributes that hold them; None: not used

    def tensors(self) -> dict[str, Tensor]:
        found = {name: getattr(self, name) for name in self.tensor_names}
        return {name: tensor for name, tensor in found.items() if tensor is not None}

    def with_tensors(self, tensors: dict[str, Tensor]) -> Self:
        """A copy with other values in place of those of `tensors()`."""
        other = copy.copy(self)
        for name, tensor in tensors.items():
            setattr(other, name, tensor)
        return other


CONTENTS = {
    **{"Image": "pictures", "Label": "classes", "Labels": "sets of labels", "Number": "numbers", "Text": "text"},
    **{"Boxes": "boxes", "Mask": "masks", "Points": "points"},
    **{"Time": "times", "Tags": "tags", "Series": "series"},
}


def contents(column: Column) -> str:
    """What a column holds, in the plural, for messages."""
    return CONTENTS[type(column.type).__name__]


def class_indices(column: Column, classes: tuple[str, ...]) -> np.ndarray:
    """(N,) int64: the rows of a Label column as indices into `classes`, by name; -1 where missing or not among them."""
    assert isinstance(column.type, Label)
    values = np.asarray(column.values, dtype=np.int64)
    if column.type.classes == classes:
        return values
    positions = {name: index for index, name in enumerate(classes)}
    mapping = np.array([positions.get(name, -1) for name in column.type.classes] + [-1])  # the last one is for -1
    return mapping[values]


def refuse_if_too_large(
    needed: int,
    what: str,
    remedy: str = "choose a smaller task.options.image_size or fewer rows, or have pictures streamed (--set data.stream=always)",
) -> None:
    """Raises `UserError` where `needed` bytes are more than 70 % of the machine's memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else None
    if memory and needed > 0.7 * memory:
        raise UserError(f"{what} need {needed / 2**30:.1f} GiB, this machine has {memory / 2**30:.1f} GiB: {remedy}")

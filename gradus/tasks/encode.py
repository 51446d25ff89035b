"""What inputs and targets share in reading columns."""

from __future__ import annotations

import numpy as np

from gradus.data.columns import Column, Label

CONTENTS = {"Image": "pictures", "Label": "classes", "Labels": "sets of labels", "Number": "numbers", "Text": "text"}


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

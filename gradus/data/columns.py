"""The types of columns: what data sets hold and what tasks decode their answers to.

A type says what a value *is*, so reading, checking, JSON and drawing are written once a type, not once a task.

    type     value in memory                            in JSON
    Image    uint8 array (height, width, channels)      file name where it has one
    Label    int, index into `classes`; -1 = missing    the class name
    Labels   bool array (len(classes),)                 list of the names that hold
    Number   float; nan = missing                       number or null
    Text     str                                        text
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradus import settings
from gradus.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Image:
    """A picture. `channels` is 1 (grey) or 3 (RGB)."""

    channels: int = 3

    def to_json(self, value: np.ndarray) -> Any:
        return {"height": int(value.shape[0]), "width": int(value.shape[1])}

    def to_text(self, value: np.ndarray) -> str:
        return f"{value.shape[1]}x{value.shape[0]} picture"


@dataclass(frozen=True, kw_only=True)
class Label:
    """One of a fixed set of classes."""

    classes: tuple[str, ...]

    def to_json(self, value: int) -> str | None:
        return self.classes[value] if value >= 0 else None

    def to_text(self, value: int) -> str:
        return self.classes[value] if value >= 0 else "missing"


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Any number of a fixed set of classes (multi-label)."""

    classes: tuple[str, ...]

    def to_json(self, value: np.ndarray) -> list[str]:
        return [name for name, holds in zip(self.classes, value, strict=True) if holds]

    def to_text(self, value: np.ndarray) -> str:
        return ", ".join(self.to_json(value)) or "none"


@dataclass(frozen=True, kw_only=True)
class Number:
    """A real number."""

    def to_json(self, value: float) -> float | None:
        return None if math.isnan(value) else float(value)

    def to_text(self, value: float) -> str:
        return "missing" if math.isnan(value) else f"{value:.6g}"


@dataclass(frozen=True, kw_only=True)
class Text:
    """A piece of writing."""

    def to_json(self, value: str) -> str:
        return value

    def to_text(self, value: str) -> str:
        return value if len(value) <= 80 else value[:77] + "..."


ColumnType = Image | Label | Labels | Number | Text
TYPES: dict[str, type] = {kind.__name__.lower(): kind for kind in (Image, Label, Labels, Number, Text)}


def type_to_dict(column_type: ColumnType) -> dict[str, Any]:
    """A JSON-able description: `{"type": "label", "classes": [...]}`."""
    return {"type": type(column_type).__name__.lower(), **settings.to_dict(column_type)}


def type_from_dict(description: dict[str, Any]) -> ColumnType:
    """The column type that `type_to_dict` described."""
    fields = dict(description)
    name = fields.pop("type", None)
    if name not in TYPES:
        raise UserError(f"unknown column type '{name}'; known: {', '.join(TYPES)}")
    return settings.from_dict(TYPES[name], fields)


@dataclass(frozen=True)
class Column:
    """One typed column: a type and its values.

    `values` is a NumPy array (Label: int64 (N,); Labels: bool (N, classes); Number: float64 (N,); Image of one size: uint8
    (N, height, width, channels)), a list (Text) or any other sequence with `take(indices)` (encoded pictures, decoded when read).
    """

    type: ColumnType
    values: Any

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> Any:
        return self.values[index]

    def __iter__(self) -> Iterator[Any]:
        return (self.values[index] for index in range(len(self)))

    def take(self, indices: np.ndarray) -> Column:
        """The rows `indices`, in that order."""
        return Column(self.type, take(self.values, indices))


def take(values: Any, indices: Sequence[int] | np.ndarray) -> Any:
    """`values` at `indices`, for arrays, lists and anything with a `take` method of its own."""
    if isinstance(values, np.ndarray):
        return values[np.asarray(indices)]
    if isinstance(values, list | tuple):
        return [values[index] for index in indices]
    return values.take(indices)

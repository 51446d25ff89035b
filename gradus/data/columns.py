"""The types of columns: what data sets hold and what tasks decode their answers to.

A type says what a value *is*, so reading, checking, JSON and drawing are written once a type, not once a task.

    type     value in memory                            in JSON
    Image    uint8 array (height, width, channels)      file name where it has one
    Label    int, index into `classes`; -1 = missing    the class name
    Labels   bool array (len(classes),)                 list of the names that hold
    Number   float; nan = missing                       number or null
    Text     str                                        text
    Boxes    `Objects`: boxes, classes, scores          list of {category, box: [left, top, right, bottom], score}
    Mask     int array (height, width); `ignore`: none  {height, width, pixels of each class}
    Points   float array (len(names), 2) of x, y        {name: [x, y] or null where it is not there}
    Time     numpy.datetime64 in seconds; NaT = missing "2010-01-31T23:00:00"
    Tags     int array, a class for each word; -1 = missing   list of class names
    Series   float array (steps, len(names)), or (steps, len(names), quantiles)   {name: list of numbers, or of lists}

Places are in pixels of the picture, x to the right and y down from its upper left corner; pixel i of a side covers i to i + 1.
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


@dataclass(frozen=True, kw_only=True, eq=False)
class Objects:
    """The objects in one picture, given or found.

    boxes:   float32 (n, 4): left, top, right, bottom in pixels
    labels:  int64 (n,), indices into the classes of their column
    ignored: bool (n,): not to be learnt nor counted, as VOC's `difficult` and COCO's `iscrowd`
    scores:  float32 (n,), how sure a detector is; None for given ones
    """

    boxes: np.ndarray
    labels: np.ndarray
    ignored: np.ndarray
    scores: np.ndarray | None = None

    @classmethod
    def of(cls, boxes: Any, labels: Any, ignored: Any = None, scores: Any = None) -> Objects:
        """From anything like arrays."""
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
            boxes = np.asarray(boxes, dtype=np.float32).reshape(-1, 4)
        ignored = np.zeros(len(boxes), dtype=bool) if ignored is None else np.asarray(ignored, dtype=bool)
        scores = None if scores is None else np.asarray(scores, dtype=np.float32)
        return cls(boxes=boxes, labels=np.asarray(labels, dtype=np.int64), ignored=ignored, scores=scores)

    def __len__(self) -> int:
        return len(self.boxes)

    def take(self, chosen: Any) -> Objects:
        """Those of an index array or a mask."""
        scores = None if self.scores is None else self.scores[chosen]
        return Objects(
            boxes=self.boxes[chosen], labels=self.labels[chosen], ignored=self.ignored[chosen], scores=scores
        )


@dataclass(frozen=True, kw_only=True)
class Boxes:
    """The objects in a picture: any number of boxes, each of one class."""

    classes: tuple[str, ...]

    def to_json(self, value: Objects) -> list[dict[str, Any]]:
        found = []
        for index in range(len(value)):
            one: dict[str, Any] = {"category": self.classes[int(value.labels[index])]}
            one["box"] = [round(float(side), 2) for side in value.boxes[index]]
            if value.scores is not None:
                one["score"] = round(float(value.scores[index]), 6)
            found.append(one)
        return found

    def to_text(self, value: Objects) -> str:
        counts = np.bincount(value.labels, minlength=len(self.classes))
        return (
            ", ".join(f"{count} {name}" for name, count in zip(self.classes, counts, strict=True) if count) or "nothing"
        )


@dataclass(frozen=True, kw_only=True)
class Mask:
    """The class of every pixel. `ignore` stands where none is known: not learnt, not counted."""

    classes: tuple[str, ...]
    ignore: int = 255

    def to_json(self, value: np.ndarray) -> dict[str, Any]:
        return {"height": int(value.shape[0]), "width": int(value.shape[1]), "pixels": self._pixels(value)}

    def to_text(self, value: np.ndarray) -> str:
        shares = sorted(self._pixels(value).items(), key=lambda one: -one[1])
        return ", ".join(f"{name} {pixels / value.size:.0%}" for name, pixels in shares[:6]) or "no class"

    def _pixels(self, value: np.ndarray) -> dict[str, int]:
        counts = np.bincount(value.ravel(), minlength=len(self.classes))
        return {name: int(count) for name, count in zip(self.classes, counts, strict=False) if count}


@dataclass(frozen=True, kw_only=True)
class Points:
    """Named places on a picture (landmarks, key points). nan: the point is not there."""

    names: tuple[str, ...]

    def to_json(self, value: np.ndarray) -> dict[str, list[float] | None]:
        rows = zip(self.names, value, strict=True)
        return {name: None if np.isnan(place).any() else [round(float(x), 2) for x in place] for name, place in rows}

    def to_text(self, value: np.ndarray) -> str:
        rows = zip(self.names, value, strict=True)
        return ", ".join(f"{name} ({x:.0f}, {y:.0f})" for name, (x, y) in rows if x == x and y == y) or "none"


@dataclass(frozen=True, kw_only=True)
class Time:
    """A moment, in seconds, of whatever clock the data were kept by: no time zone."""

    def to_json(self, value: np.datetime64) -> str | None:
        return None if np.isnat(value) else str(value.astype("datetime64[s]"))

    def to_text(self, value: np.datetime64) -> str:
        return "missing" if np.isnat(value) else str(value.astype("datetime64[s]")).replace("T", " ")


@dataclass(frozen=True, kw_only=True)
class Tags:
    """A class for each word of a text, whose words are what spaces part."""

    classes: tuple[str, ...]

    def to_json(self, value: np.ndarray) -> list[str | None]:
        return [self.classes[index] if index >= 0 else None for index in value]

    def to_text(self, value: np.ndarray) -> str:
        return " ".join(name or "?" for name in self.to_json(value))


@dataclass(frozen=True, kw_only=True)
class Series:
    """Numbers that follow each other in time, of one or several names. `quantiles`: of each, where a forecast gives several."""

    names: tuple[str, ...]
    quantiles: tuple[float, ...] = ()

    def to_json(self, value: np.ndarray) -> dict[str, list[Any]]:
        return {name: np.round(value[:, index].astype(float), 6).tolist() for index, name in enumerate(self.names)}

    def to_text(self, value: np.ndarray) -> str:
        middle = value[..., len(self.quantiles) // 2] if self.quantiles else value
        shown = [f"{name} {', '.join(f'{x:.4g}' for x in middle[:6, i])}" for i, name in enumerate(self.names)]
        return "; ".join(shown) + (" ..." if len(value) > 6 else "")


ColumnType = Image | Label | Labels | Number | Text | Boxes | Mask | Points | Time | Tags | Series
KINDS = (Image, Label, Labels, Number, Text, Boxes, Mask, Points, Time, Tags, Series)
TYPES: dict[str, type] = {kind.__name__.lower(): kind for kind in KINDS}


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
    (N, height, width, channels); Points: float64 (N, points, 2); Time: datetime64[s]
    (N,)), a list (Text, Boxes, Tags, Series) or any other
    sequence with `take(indices)` (encoded pictures and masks, decoded when read).
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

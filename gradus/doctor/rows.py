"""Rows as the checks of data see them: vectors that say what is in them, of pictures, tables, texts and windows in time.

They are taken of what the task encoded, before the network's own preparation, so that a picture of the wrong range is seen as
it came. Pictures are described by their pooled pixels and by the directions of their edges (histograms of oriented gradients,
Dalal and Triggs 2005, without overlapping blocks), which a linear method can tell classes by where it cannot by pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gradus.data.columns import Label
from gradus.data.device_rows import Windows
from gradus.doctor.case import Case, NotHere
from gradus.tasks.inputs import TableInputs
from gradus.tasks.rows import EncodedRows
from gradus.tasks.text import TextInputs

MOST = 3_000  # rows that a check looks at
MOST_STREAMED = 1_000  # where each has to be decoded for it
SIDE = 28  # pixels that pictures are averaged down to before they are described
CELLS, DIRECTIONS = 7, 8  # of the histograms of edges
PLACES = 24  # of a window that are looked at: the last ones, and some before
WORDS = 20_000  # columns of a bag of words that are looked at, the most common first


@dataclass(frozen=True)
class Rows:
    """Some rows of a split.

    numbers:  (R,) which they are, from 0, ascending
    features: (R, F) float32, or sparse counts of words
    kind:     what they are made of
    columns:  column of a table -> which features it became; empty for others
    pictures: (R, H, W, C) as encoded, levels 0 to 255; None for others
    """

    numbers: np.ndarray
    features: Any
    kind: Literal["pictures", "numbers", "texts"]
    columns: dict[str, slice] = field(default_factory=dict)
    pictures: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.numbers)


def rows_of(case: Case, split: str, most: int = MOST) -> Rows:
    """At most `most` rows of a split, always the same ones. Raises `NotHere` where rows are no vectors of one length."""
    if split not in case.tensors:
        raise NotHere(f"there are no {split} rows")
    inputs = case.tensors[split].get("inputs")
    if isinstance(inputs, EncodedRows):
        most = min(most, MOST_STREAMED)
    return case.once(f"rows of {split} {most}", lambda: _read(case, split, inputs, case.rows_of(split, most)))


def _read(case: Case, split: str, inputs: Any, numbers: np.ndarray) -> Rows:
    reader = getattr(case.task, "inputs", None)
    if isinstance(reader, TextInputs) and hasattr(reader, "features_at") and "others" not in case.tensors[split]:
        counts = reader.features(inputs)[:, : min(reader.encoder.size, WORDS)]
        return Rows(numbers, counts[numbers], "texts")
    if isinstance(inputs, Windows) and inputs.values.is_floating_point():
        last = inputs[numbers][:, -1].flatten(1).numpy()
        return Rows(numbers, last.astype(np.float32), "numbers", _columns_of(getattr(reader, "table", None)))
    if isinstance(inputs, Tensor | EncodedRows) and inputs.dtype == torch.uint8 and len(inputs.shape) == 4:
        pictures = np.asarray(inputs[numbers])
        return Rows(numbers, described(pictures), "pictures", pictures=pictures)
    if isinstance(inputs, Tensor) and inputs.is_floating_point():
        return Rows(numbers, inputs[numbers].flatten(1).float().numpy(), "numbers", _columns_of(reader))
    raise NotHere(f"the rows of task {case.task.name} are no vectors of one length")


def windows_of(case: Case, split: str, most: int = MOST) -> Rows | None:
    """The rows of `rows_of` described by several places of their windows; None where they are no windows of several rows."""
    inputs = case.tensors[split].get("inputs")
    if not (isinstance(inputs, Windows) and inputs.values.is_floating_point()) or inputs.shape[1] < 2:
        return None
    numbers = rows_of(case, split, most).numbers
    seen = places_of(inputs[numbers].flatten(2).numpy())
    return Rows(numbers, seen.reshape(len(seen), -1).astype(np.float32), "numbers")


def places_of(seen: np.ndarray) -> np.ndarray:
    """(N, T, F) windows -> (N, at most `PLACES`, F): the last half of the places, and as many of those before, spread evenly."""
    count = seen.shape[1]
    if count <= PLACES:
        return seen
    last = np.arange(count - PLACES // 2, count)
    before = np.linspace(0, count - PLACES // 2 - 1, PLACES // 2).astype(np.int64)
    return seen[:, np.concatenate([before, last])]


def _columns_of(reader: Any) -> dict[str, slice]:
    """Which features of `TableInputs` are of which column: one of each class, or the number and whether it is missing."""
    found: dict[str, slice] = {}
    if not isinstance(reader, TableInputs):
        return found
    at = 0
    for name, kind in reader.types.items():
        width = len(kind.classes) if isinstance(kind, Label) else 1 + reader.numbers[name]["missing"]
        found[name] = slice(at, at + width)
        at += width
    return found


def described(pictures: np.ndarray, cells: int = CELLS) -> np.ndarray:
    """(N, H, W, C) levels 0 to 255 -> (N, F) float32: pooled colours, and how much edge of each direction each cell has."""
    parts = []
    for first in range(0, len(pictures), 500):
        part = torch.from_numpy(np.ascontiguousarray(pictures[first : first + 500])).permute(0, 3, 1, 2).float() / 255
        small = functional.adaptive_avg_pool2d(part, SIDE)
        colours = functional.adaptive_avg_pool2d(small, cells).flatten(1)
        parts.append(torch.cat([colours, _edges(small.mean(dim=1), cells)], dim=1))
    return torch.cat(parts).numpy()


def _edges(grey: Tensor, cells: int) -> Tensor:
    """(N, S, S) -> (N, cells * cells * DIRECTIONS): root of each direction's share in a cell of all the edges."""
    padded = functional.pad(grey[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    across = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    down = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    strength = (across.square() + down.square()).sqrt()
    direction = (torch.atan2(down, across) / torch.pi % 1 * DIRECTIONS).long().clamp(max=DIRECTIONS - 1)
    planes = torch.stack([strength * (direction == one) for one in range(DIRECTIONS)], dim=1)
    amounts = functional.adaptive_avg_pool2d(planes, cells).flatten(1)
    return (amounts / amounts.sum(dim=1, keepdim=True).clamp(min=1e-6)).sqrt()


def answers_of(case: Case, rows: Rows, split: str) -> tuple[np.ndarray, int | None]:
    """((R,) class indices, how many classes) or ((R,) numbers, None) that the rows ask for: of several numbers the last.

    Raises `NotHere` for other targets.
    """
    targets = case.tensors[split]["targets"]
    values = np.asarray(
        targets[rows.numbers] if not isinstance(targets, Tensor) else targets[torch.as_tensor(rows.numbers)]
    )
    if np.issubdtype(values.dtype, np.floating) and values.ndim > 1 and values.size and np.isfinite(values).all():
        kind = getattr(case.task, "target", None)
        if not hasattr(kind, "classes") and not hasattr(kind, "parts"):
            return values.reshape(len(values), -1)[:, -1].astype(np.float64), None
    classes = case.classes
    if values.ndim != 1 or np.issubdtype(values.dtype, np.floating):
        raise NotHere(f"task {case.task.name} asks neither for one class nor for a number")
    return values.astype(np.int64), len(classes)

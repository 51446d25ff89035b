"""Crops of pictures with boxes, as a data set for classification: what a sliding window's classifier learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gradus.data.columns import Boxes, Column, Image, Label, Objects
from gradus.data.dataset import Dataset, NumberedRows, Split
from gradus.data.images import resize
from gradus.errors import UserError
from gradus.reference.overlap import box_iou

BACKGROUND = "background"
MOST_OVERLAP = 0.3  # of a crop of background with any object
TRIES = 20  # places that are drawn before one without an object is given up


def crop_dataset(
    dataset: Dataset,
    size: tuple[int, int] = (64, 64),
    margin: float = 0.1,
    backgrounds: int = 4,
    seed: int = 0,
) -> Dataset:
    """Each object, and places without one, cut out and brought to one size: columns `picture` and `class`, of which the last is
    "background".

    dataset:     with one column of pictures and one of boxes
    size:        height and width of the crops
    margin:      how much of its sides is added around an object, to each side
    backgrounds: crops of background a picture, of the sizes that its objects have, each overlapping all of them by less than 0.3

    The crops are in memory. Ignored objects and boxes without area are left out. Raises `UserError` where there are no boxes.
    """
    pictures = [name for name, kind in dataset.types.items() if isinstance(kind, Image)]
    boxes = [name for name, kind in dataset.types.items() if isinstance(kind, Boxes)]
    if len(pictures) != 1 or len(boxes) != 1:
        raise UserError(
            f"{dataset.name}: crops need one column of pictures and one of boxes; it has {len(pictures)} and {len(boxes)}"
        )
    kind, picture = dataset.types[boxes[0]], dataset.types[pictures[0]]
    assert isinstance(kind, Boxes) and isinstance(picture, Image)
    if BACKGROUND in kind.classes:
        raise UserError(f"{dataset.name}: a category is called '{BACKGROUND}', as crops without an object are")
    classes = Label(classes=(*kind.classes, BACKGROUND))
    splits = {}
    for number, (name, split) in enumerate(dataset.splits.items()):
        generator = np.random.default_rng([seed, number])
        crops, labels, origins = _crops(split, pictures[0], boxes[0], size, margin, backgrounds, generator)
        if not crops:
            raise UserError(f"{dataset.name}: there is no box in any row of {name}")
        columns = {"picture": Column(picture, np.stack(crops)), "class": Column(classes, np.array(labels))}
        splits[name] = Split(columns, NumberedRows(f"crops of {dataset.name}", origins))
    return replace(dataset, name=f"crops of {dataset.name}", splits=splits, target="class")


def _crops(
    split: Split,
    pictures: str,
    boxes: str,
    size: tuple[int, int],
    margin: float,
    backgrounds: int,
    generator: np.random.Generator,
) -> tuple[list[np.ndarray], list[int], Any]:
    """Crops, their classes, and the row of the data that each is of."""
    kind = split[boxes].type
    assert isinstance(kind, Boxes)
    crops: list[np.ndarray] = []
    labels: list[int] = []
    origins: list[int] = []
    for row in range(len(split)):
        objects: Objects = split[boxes][row]
        sides = objects.boxes[:, 2:] - objects.boxes[:, :2]
        kept = objects.take((sides > 0).all(axis=1) & ~objects.ignored)
        if not len(kept):
            continue
        picture = split[pictures][row]
        for box, label in zip(kept.boxes, kept.labels, strict=True):
            crops.append(resize(cut(picture, box, margin), size))
            labels.append(int(label))
        for box in background_boxes(picture.shape[:2], objects.boxes, kept.boxes, backgrounds, generator):
            crops.append(resize(cut(picture, box), size))
            labels.append(len(kind.classes))
        origins += [row + 1] * (len(labels) - len(origins))
    return crops, labels, np.array(origins)


def cut(picture: np.ndarray, box: Sequence[float] | np.ndarray, margin: float = 0.0) -> np.ndarray:
    """The part of a picture (H, W, C) in a box with a margin around it, whole pixels, at least one; cut off at the edges."""
    left, top, right, bottom = (float(side) for side in box)
    wide, tall = margin * (right - left), margin * (bottom - top)
    height, width = picture.shape[:2]
    first_row, first_column = min(max(int(top - tall), 0), height - 1), min(max(int(left - wide), 0), width - 1)
    last_row = max(min(int(np.ceil(bottom + tall)), height), first_row + 1)
    last_column = max(min(int(np.ceil(right + wide)), width), first_column + 1)
    return np.ascontiguousarray(picture[first_row:last_row, first_column:last_column])


def background_boxes(
    size: tuple[int, int],
    objects: np.ndarray,
    like: np.ndarray,
    count: int,
    generator: np.random.Generator,
) -> list[np.ndarray]:
    """Up to `count` boxes of the sizes of `like` (N, 4), in a picture of `size` (height, width), that overlap each of
    `objects` (M, 4) by less than 0.3. Fewer where the picture is full."""
    height, width = size
    found = []
    for _ in range(count):
        for _ in range(TRIES):
            one = like[generator.integers(len(like))]
            sides = np.minimum(one[2:] - one[:2], [width, height])
            corner = generator.uniform(0, 1, 2) * ([width, height] - sides)
            box = np.concatenate([corner, corner + sides])
            if (box_iou(box[None], objects) < MOST_OVERLAP).all():
                found.append(box)
                break
    return found

"""Small scenes for tests: bright squares and discs on a dark ground, with their boxes and masks."""

from __future__ import annotations

import numpy as np

from gradus.data.columns import Boxes, Column, Image, Mask, Objects
from gradus.data.dataset import Dataset, NumberedRows, Split

SHAPES = ("square", "disc")
COLOURS = ((230, 80, 60), (70, 120, 240))
GROUND = ("ground", *SHAPES)  # the classes of masks


def scene(random: np.random.Generator, size: tuple[int, int], most: int = 2) -> tuple[np.ndarray, Objects, np.ndarray]:
    """A picture uint8 (height, width, 3), its objects and its mask. The shapes do not touch: each has a column of its own."""
    height, width = size
    picture = random.integers(0, 40, (height, width, 3)).astype(np.uint8)
    mask = np.zeros((height, width), dtype=np.uint8)
    rows, columns = np.mgrid[:height, :width]
    boxes, labels = [], []
    room = width // most
    for number in range(int(random.integers(1, most + 1))):
        side = int(random.integers(min(height, room) // 3, min(height, room) * 3 // 4))
        left = number * room + int(random.integers(0, room - side + 1))
        top = int(random.integers(0, height - side + 1))
        label = int(random.integers(len(SHAPES)))
        inside = (rows >= top) & (rows < top + side) & (columns >= left) & (columns < left + side)
        if label:
            middle = np.hypot(rows + 0.5 - top - side / 2, columns + 0.5 - left - side / 2)
            inside &= middle <= side / 2
        picture[inside] = COLOURS[label]
        mask[inside] = label + 1
        boxes.append((left, top, left + side, top + side))
        labels.append(label)
    return picture, Objects.of(boxes, labels), mask


def scenes(
    train: int = 8,
    test: int = 4,
    *,
    size: tuple[int, int] = (48, 64),
    target: str = "objects",
    seed: int = 0,
    sizes: bool = False,
) -> Dataset:
    """Splits train and test with a column of pictures and one of `target`: "objects" (boxes) or "mask".

    sizes: pictures of several sizes around `size`
    """
    random = np.random.default_rng(seed)

    def split(name: str, rows: int) -> Split:
        shapes = [(size[0] + 8 * (row % 3 if sizes else 0), size[1]) for row in range(rows)]
        made = [scene(random, shape) for shape in shapes]
        pictures = [picture for picture, _, _ in made]
        columns = {"picture": Column(Image(channels=3), pictures if sizes else np.stack(pictures))}
        if target == "objects":
            columns["objects"] = Column(Boxes(classes=SHAPES), [objects for _, objects, _ in made])
        else:
            columns["mask"] = Column(Mask(classes=GROUND), [mask for _, _, mask in made])
        return Split(columns, NumberedRows.count(f"scenes/{name}", rows))

    parts = {"train": split("train", train)} | ({"test": split("test", test)} if test else {})
    return Dataset("scenes", "scenes", parts, target=target)

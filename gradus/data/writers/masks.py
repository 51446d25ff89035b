"""Masks: masks/SPLIT/*.png of class numbers beside images/SPLIT, and classes.txt with their names; or as Pascal VOC lays them
out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from gradus.data.columns import Mask
from gradus.data.writers.files import SPLIT_FOLDERS, Scene
from gradus.errors import UserError

IGNORE = 255


def write_masks(folder: Path, scenes: dict[str, list[Scene]], kind: Mask) -> list[str]:
    """Pixels without a class become 255."""
    _write_names(folder / "classes.txt", kind.classes)
    for split, rows in scenes.items():
        place = folder / "masks" / SPLIT_FOLDERS[split]
        place.mkdir(parents=True)
        for scene in rows:
            PillowImage.fromarray(class_numbers(scene, kind)).save(place / f"{scene.stem}.png")
    return []


def write_voc_masks(folder: Path, scenes: dict[str, list[Scene]], kind: Mask) -> list[str]:
    """SegmentationClass/*.png with VOC's palette, ImageSets/Segmentation/SPLIT.txt, and labels.txt with the classes' names."""
    _write_names(folder / "labels.txt", kind.classes)
    place, sets = folder / "SegmentationClass", folder / "ImageSets" / "Segmentation"
    place.mkdir()
    sets.mkdir(parents=True)
    for split, rows in scenes.items():
        names = "".join(f"{scene.stem}\n" for scene in rows)
        (sets / f"{SPLIT_FOLDERS[split]}.txt").write_text(names, encoding="utf-8")
        for scene in rows:
            picture = PillowImage.fromarray(class_numbers(scene, kind))
            picture.putpalette(voc_palette().tobytes())
            picture.save(place / f"{scene.stem}.png")
    return []


def voc_palette() -> np.ndarray:
    """uint8 (256, 3): Pascal VOC's colours. The bits of a class number go to red, green and blue in turn, the lowest to the
    highest bits of the colours."""
    bits = np.arange(256)[:, None] >> np.arange(8) & 1
    place = 7 - np.arange(8) // 3
    return np.stack([(bits[:, c::3] << place[c::3]).sum(axis=1) for c in range(3)], axis=1).astype(np.uint8)


def _write_names(file: Path, classes: tuple[str, ...]) -> None:
    file.write_text("".join(f"{name}\n" for name in classes), encoding="utf-8")


def class_numbers(scene: Scene, kind: Mask) -> np.ndarray:
    """uint8 (height, width): the class of each pixel, 255 where there is none. Raises `UserError` for other numbers."""
    mask = np.asarray(scene.value)
    wrong = (mask >= len(kind.classes)) & (mask != kind.ignore)
    if wrong.any():
        number = int(mask[wrong][0])
        raise UserError(f"{scene.file}: its mask has the number {number}, but there are {len(kind.classes)} classes")
    return np.where(mask == kind.ignore, IGNORE, mask).astype(np.uint8)

"""Masks as outlines of their connected parts, for formats that tell of objects one by one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gradus.data.columns import Mask
from gradus.data.outlines import trace
from gradus.data.writers.files import Scene
from gradus.data.writers.masks import IGNORE, class_numbers

BACKGROUND = "background"
VOID = ("void", "unlabelled", "ignore")  # any of these is read as no class


def with_void(scenes: dict[str, list[Scene]], kind: Mask) -> tuple[tuple[str, ...], list[str]]:
    """(classes, notes): with a class `void` behind the others where pixels have no class: else they would be background."""
    if not any((class_numbers(scene, kind) == IGNORE).any() for rows in scenes.values() for scene in rows):
        return kind.classes, []
    void = next(name for name in VOID if name not in kind.classes)
    return (*kind.classes, void), [f"pixels without a class are outlines of a class '{void}', the last"]


def outlines_of(scene: Scene, classes: tuple[str, ...], kind: Mask) -> Iterator[tuple[int, np.ndarray, int]]:
    """(class, corners (N, 2), area) of each connected part. Background is what is left, and has none."""
    mask = class_numbers(scene, kind)
    for label, name in enumerate(classes):
        value = label if label < len(kind.classes) else IGNORE
        if name.casefold() != BACKGROUND and (mask == value).any():
            for corners, area in trace(mask == value):
                yield label, corners, area

"""Masks: masks/SPLIT/*.png of class numbers beside images/SPLIT, and classes.txt with their names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from gradus.data.columns import Mask
from gradus.data.writers.files import SPLIT_FOLDERS, Scene

IGNORE = 255


def write_masks(folder: Path, scenes: dict[str, list[Scene]], kind: Mask) -> list[str]:
    """Pixels without a class become 255."""
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in kind.classes), encoding="utf-8")
    for split, rows in scenes.items():
        place = folder / "masks" / SPLIT_FOLDERS[split]
        place.mkdir(parents=True)
        for scene in rows:
            mask = np.asarray(scene.value)
            values = np.where(mask == kind.ignore, IGNORE, mask).astype(np.uint8)
            PillowImage.fromarray(values).save(place / f"{scene.stem}.png", optimize=True)
    return []

"""What can be measured of a picture without a network: light, contrast, sharpness, colour, size."""

from __future__ import annotations

from typing import Any

import numpy as np

FACTS = ("brightness", "contrast", "sharpness", "colourfulness", "width", "aspect")


def picture_facts(pictures: Any, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Name -> (rows,) of pictures uint8 (height, width, channels); those that are the same for all are left out.

    brightness, contrast: mean and deviation of grey, 0..255
    sharpness:     mean size of the difference to the neighbours (a Laplacian) over the contrast: low where it is blurred
    colourfulness: by Hasler and Süsstrunk 2003, "Measuring colourfulness in natural images", eq. of M
    width:         in pixels; aspect: width / height
    """
    found = np.array([_facts(np.asarray(pictures[row])) for row in rows])
    return {name: column for name, column in zip(FACTS, found.T, strict=True) if np.ptp(column) > 1e-9}


def _facts(picture: np.ndarray) -> tuple[float, ...]:
    height, width = picture.shape[:2]
    pixels = picture.astype(np.float32).reshape(height, width, -1)
    grey = pixels.mean(axis=2)
    contrast = float(grey.std())
    inner = grey[1:-1, 1:-1]
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    edges = float(np.abs(around - 4 * inner).mean()) if inner.size else 0.0
    return float(grey.mean()), contrast, edges / max(contrast, 1.0), _colourfulness(pixels), width, width / height


def _colourfulness(pixels: np.ndarray) -> float:
    if pixels.shape[2] != 3:
        return 0.0
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    across, along = red - green, (red + green) / 2 - blue
    deviation = np.hypot(across.std(), along.std())
    return float(deviation + 0.3 * np.hypot(across.mean(), along.mean()))

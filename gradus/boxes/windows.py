"""Windows of several sizes at regular places: the regions that a sliding window looks at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def windows_of(size: tuple[int, int], windows: Sequence[tuple[float, float]], step: float = 0.25) -> np.ndarray:
    """float64 (P, 4): all windows (height, width) on a picture of `size`, one after the other by `step` of their own sides, and
    flush with the far edges at the end. Those larger than the picture are left out."""
    found = []
    for window in windows:
        if window[0] > size[0] or window[1] > size[1]:
            continue
        tops, lefts = (_places(side, length, step) for side, length in zip(size, window, strict=True))
        top, left = (one.ravel() for one in np.meshgrid(tops, lefts, indexing="ij"))
        found.append(np.stack([left, top, left + window[1], top + window[0]], axis=1))
    return np.concatenate(found) if found else np.zeros((0, 4))


def _places(side: int, length: float, step: float) -> np.ndarray:
    count = int(np.ceil((side - length) / (step * length) - 1e-9)) + 1
    return np.minimum(np.arange(count) * step * length, side - length)

"""Template matching: where a picture looks like a crop of it (*Deep Learning and Computer Vision* §4.1.2)."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from gradus.errors import UserError


def match_template(
    picture: np.ndarray, template: np.ndarray, *, zero_mean: bool = True, normalized: bool = False
) -> np.ndarray:
    """The cross-correlation of a grey picture (H, W) with a template (h, w): (H - h + 1, W - w + 1), [r, c] for the window whose
    upper left corner is in row r, column c.

    zero_mean:  the template's mean is subtracted first, so that even areas give 0 however bright they are
    normalized: divided by the deviations of window and template: the correlation coefficient, -1 to 1, that neither brightness
                nor contrast changes; 0 for even windows
    """
    picture, template = np.asarray(picture, dtype=np.float64), np.asarray(template, dtype=np.float64)
    if picture.ndim != 2 or template.ndim != 2 or any(np.array(template.shape) > picture.shape):
        raise UserError(f"a template of {template.shape} does not fit into a grey picture of {picture.shape}")
    if zero_mean or normalized:
        template = template - template.mean()
    windows = sliding_window_view(picture, template.shape)
    response = np.tensordot(windows, template, axes=((2, 3), (0, 1)))
    if not normalized:
        return response
    spread = np.sqrt(np.maximum(windows.var(axis=(2, 3)) * template.size, 0) * (template**2).sum())
    return np.where(spread > 1e-9, response / np.where(spread > 1e-9, spread, 1), 0.0)


def maxima(response: np.ndarray, threshold: float, distance: int) -> list[tuple[int, int]]:
    """Rows and columns of the values of at least `threshold`, by falling value, none within `distance` (rows or columns) of a
    larger one: non-maximum suppression of points."""
    left = np.array(response, dtype=np.float64)
    found: list[tuple[int, int]] = []
    while left.size and left.max() >= threshold:
        row, column = (int(place) for place in np.unravel_index(left.argmax(), left.shape))
        found.append((row, column))
        left[max(0, row - distance) : row + distance + 1, max(0, column - distance) : column + distance + 1] = -np.inf
    return found

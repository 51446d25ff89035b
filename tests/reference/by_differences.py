"""Gradients by central differences, and random arrays: what the tests of the reference share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

FLOAT64 = {"rtol": 1e-12, "atol": 1e-12}
NEAR = {"rtol": 1e-6, "atol": 1e-8}  # what central differences of step 1e-6 reach


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def differences(function: Callable[[np.ndarray], float], point: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """The gradient of a function to the reals."""
    gradient = np.zeros_like(point)
    for index in np.ndindex(point.shape):
        ahead, behind = point.copy(), point.copy()
        ahead[index] += step
        behind[index] -= step
        gradient[index] = (function(ahead) - function(behind)) / (2 * step)
    return gradient

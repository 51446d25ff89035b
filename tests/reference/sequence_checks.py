"""What the tests of sequences share: random arrays, and gradients by central differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

FLOAT64 = {"rtol": 1e-11, "atol": 1e-12}
NEAR = {"rtol": 1e-6, "atol": 1e-8}


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def differences(function: Callable[[np.ndarray], float], point: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """The gradient of a function to the reals, by central differences."""
    gradient = np.zeros_like(point)
    for index in np.ndindex(point.shape):
        ahead, behind = point.copy(), point.copy()
        ahead[index] += step
        behind[index] -= step
        gradient[index] = (function(ahead) - function(behind)) / (2 * step)
    return gradient


def check_gradients(
    function: Callable[..., float], arguments: Sequence[np.ndarray], found: Sequence[np.ndarray]
) -> float:
    """Holds each of `found` to the differences by that argument; the largest error."""
    assert len(arguments) == len(found)
    worst = 0.0
    for place, gradient in enumerate(found):
        assert gradient.shape == arguments[place].shape

        def of_one(value: np.ndarray, place: int = place) -> float:
            return function(*[value if other == place else array for other, array in enumerate(arguments)])

        slope = differences(of_one, arguments[place])
        np.testing.assert_allclose(gradient, slope, **NEAR, err_msg=f"argument {place}")
        worst = max(worst, float(np.abs(gradient - slope).max()))
    return worst

"""What the tests of the NumPy reference share: seeded arrays, central differences, torch's gradients of the same function."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

FLOAT64 = {"rtol": 1e-11, "atol": 1e-12}
NEAR = {"rtol": 1e-6, "atol": 1e-7}  # what central differences of step 1e-6 reach


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def apart(seed: int, *shape: int) -> np.ndarray:
    """Numbers in random order that all lie 0.1 apart, so that a small step changes no maximum; none is near 0."""
    count = int(np.prod(shape))
    return ((np.random.default_rng(seed).permutation(count) - count // 2) * 0.1 + 0.05).reshape(shape)


def differences(function: Callable[[np.ndarray], float], point: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """The gradient of a function to the reals, by central differences."""
    gradient = np.zeros(point.shape)
    for index in np.ndindex(point.shape):
        ahead, behind = point.copy(), point.copy()
        ahead[index] += step
        behind[index] -= step
        gradient[index] = (function(ahead) - function(behind)) / (2 * step)
    return gradient


def check_differences(
    function: Callable[..., np.ndarray], points: Sequence[np.ndarray], gradient: np.ndarray, found: Sequence[np.ndarray]
) -> None:
    """The gradients `found`, one a point, of sum(gradient * function(*points)), against central differences."""
    for number, one in enumerate(found):

        def total(moved: np.ndarray, number: int = number) -> float:
            return float((gradient * function(*points[:number], moved, *points[number + 1 :])).sum())

        np.testing.assert_allclose(one, differences(total, points[number]), **NEAR)


def torch_gradients(
    function: Callable[..., torch.Tensor], points: Sequence[np.ndarray], gradient: np.ndarray
) -> tuple[np.ndarray, list[np.ndarray]]:
    """(value, gradients by each point) of a torch function in float64."""
    leaves = [torch.tensor(point, dtype=torch.float64, requires_grad=True) for point in points]
    outputs = function(*leaves)
    outputs.backward(torch.tensor(gradient, dtype=torch.float64))
    return outputs.detach().numpy(), [leaf.grad.numpy() for leaf in leaves]


def check_against_torch(
    values: np.ndarray,
    found: Sequence[np.ndarray],
    function: Callable[..., torch.Tensor],
    points: Sequence[np.ndarray],
    gradient: np.ndarray,
) -> None:
    wanted, slopes = torch_gradients(function, points, gradient)
    np.testing.assert_allclose(values, wanted, **FLOAT64)
    for one, other in zip(found, slopes, strict=True):
        np.testing.assert_allclose(one, other, **FLOAT64)

"""What the tests of the NumPy reference share: seeded arrays, central differences, torch's gradients of the same function."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
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


def hold(function, backward, torch_function, outputs, targets, **arguments):
    """Value and gradient are PyTorch's, and the gradient is that of differences."""
    tensor = torch.tensor(outputs, requires_grad=True)
    value = torch_function(tensor, torch.tensor(targets))
    value.backward()
    assert function(outputs, targets, **arguments) == pytest.approx(value.item(), rel=1e-12, abs=1e-12)
    found = backward(outputs, targets, **arguments)
    np.testing.assert_allclose(found, tensor.grad, rtol=1e-10, atol=1e-12)
    wanted = differences(lambda a: function(a, targets, **arguments), outputs)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)


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

        slope = differences(of_one, arguments[place], step=1e-5)
        np.testing.assert_allclose(gradient, slope, **NEAR, err_msg=f"argument {place}")
        worst = max(worst, float(np.abs(gradient - slope).max()))
    return worst

"""Gradients by central differences, and random arrays: what the tests of the reference share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

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

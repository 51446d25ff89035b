"""The NumPy reference itself: its hand-derived gradients by finite differences, its values by PyTorch in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from gradus.reference import layers, losses

quick = settings(max_examples=25, deadline=None)
FLOAT64 = {"rtol": 1e-12, "atol": 1e-12}
NEAR = {"rtol": 1e-6, "atol": 1e-8}  # what central differences of step 1e-6 reach


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def differences(function: Callable[[np.ndarray], float], point: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """The gradient of a function to the reals, by central differences."""
    gradient = np.zeros_like(point)
    for index in np.ndindex(point.shape):
        ahead, behind = point.copy(), point.copy()
        ahead[index] += step
        behind[index] -= step
        gradient[index] = (function(ahead) - function(behind)) / (2 * step)
    return gradient


shapes = st.lists(st.integers(1, 3), min_size=1, max_size=3)
seeds = st.integers(0, 999)


@quick
@given(shapes, seeds)
def test_scaled_tanh_backward(shape, seed):
    inputs, weights = normal(seed, *shape), normal(seed + 1, *shape)
    found = layers.scaled_tanh_backward(inputs, weights)
    np.testing.assert_allclose(found, differences(lambda x: (weights * layers.scaled_tanh(x)).sum(), inputs), **NEAR)


@quick
@given(st.integers(1, 5), st.integers(1, 6), seeds)
def test_softmax_is_a_distribution_and_ignores_a_shift(rows, classes, seed):
    logits = 5 * normal(seed, rows, classes)
    found = losses.softmax(logits)
    np.testing.assert_allclose(found, torch.softmax(torch.tensor(logits), dim=1), **FLOAT64)
    np.testing.assert_allclose(found.sum(axis=1), 1, **FLOAT64)
    np.testing.assert_allclose(losses.softmax(logits + 1e3), found, rtol=1e-9)


def test_nothing_overflows():
    logits = np.array([[1e4, 0.0], [-1e4, 0.0]])
    np.testing.assert_array_equal(losses.softmax(logits), [[1, 0], [0, 1]])
    assert losses.cross_entropy(logits, np.array([1, 1])) == pytest.approx(5e3)


def test_smoothed_rows_by_hand():
    found = losses.smooth(np.array([2, 0]), 4, 0.2)
    np.testing.assert_allclose(found, [[0.05, 0.05, 0.85, 0.05], [0.85, 0.05, 0.05, 0.05]], **FLOAT64)


@quick
@given(st.integers(1, 5), st.integers(2, 6), st.floats(0, 0.99), seeds)
def test_cross_entropy_is_that_of_torch(rows, classes, smoothing, seed):
    logits = 3 * normal(seed, rows, classes)
    targets = np.random.default_rng(seed).integers(0, classes, rows)
    tensor = torch.tensor(logits, requires_grad=True)
    loss = functional.cross_entropy(tensor, torch.tensor(targets), label_smoothing=smoothing)
    loss.backward()
    assert losses.cross_entropy(logits, targets, smoothing) == pytest.approx(loss.item(), rel=1e-12)
    np.testing.assert_allclose(losses.cross_entropy_backward(logits, targets, smoothing), tensor.grad, **FLOAT64)


@quick
@given(st.integers(1, 3), st.integers(2, 4), st.floats(0, 0.99), seeds)
def test_cross_entropy_backward(rows, classes, smoothing, seed):
    logits = normal(seed, rows, classes)
    targets = np.random.default_rng(seed).integers(0, classes, rows)
    slope = differences(lambda z: losses.cross_entropy(z, targets, smoothing), logits)
    np.testing.assert_allclose(losses.cross_entropy_backward(logits, targets, smoothing), slope, **NEAR)


def test_even_logits_cost_the_logarithm_of_the_classes():
    assert losses.cross_entropy(np.zeros((3, 8)), np.array([0, 3, 7])) == pytest.approx(np.log(8))


@quick
@given(shapes, st.floats(0, 2), st.floats(0, 2), seeds)
def test_elastic_penalty(shape, l1, l2, seed):
    weights = normal(seed, *shape)
    weights += np.where(weights < 0, -0.1, 0.1)  # off the corner of |w| at 0
    tensor = torch.tensor(weights, requires_grad=True)
    value = l1 * tensor.norm(p=1) + l2 * tensor.norm(p=2) ** 2
    value.backward()
    assert losses.elastic_penalty(weights, l1, l2) == pytest.approx(value.item(), rel=1e-12)
    found = losses.elastic_penalty_backward(weights, l1, l2)
    np.testing.assert_allclose(found, tensor.grad, **FLOAT64)
    np.testing.assert_allclose(found, differences(lambda w: losses.elastic_penalty(w, l1, l2), weights), **NEAR)


def test_elastic_penalty_by_hand():
    weights = np.array([[1.0, -2.0], [0.0, 3.0]])
    assert losses.elastic_penalty(weights, 0.5, 0.1) == pytest.approx(0.5 * 6 + 0.1 * 14)


@quick
@given(st.integers(1, 4), st.lists(st.integers(1, 3), max_size=3), st.floats(0.1, 3), seeds)
def test_max_norm_shortens_what_is_longer_and_turns_nothing(neurons, rest, largest, seed):
    weights = normal(seed, neurons, *rest)
    found = losses.max_norm(weights, largest)
    assert found.shape == weights.shape
    for before, after in zip(weights.reshape(neurons, -1), found.reshape(neurons, -1), strict=True):
        length = np.sqrt((before**2).sum())
        if length <= largest:
            np.testing.assert_array_equal(after, before)
        else:
            np.testing.assert_allclose(np.sqrt((after**2).sum()), largest, rtol=1e-12)
            np.testing.assert_allclose(after * length, before * largest, **FLOAT64)
    np.testing.assert_allclose(losses.max_norm(found, largest), found, rtol=1e-15)


def test_max_norm_is_that_of_torch_and_keeps_a_zero():
    weights = normal(3, 5, 4, 2)
    # torch.renorm divides by the norm + 1e-7
    np.testing.assert_allclose(losses.max_norm(weights, 1.5), torch.renorm(torch.tensor(weights), 2, 0, 1.5), rtol=1e-6)
    np.testing.assert_array_equal(losses.max_norm(np.zeros((2, 3)), 1.0), np.zeros((2, 3)))


def test_the_reference_needs_numpy_alone():
    for module in (layers, losses):
        used = {name for name, value in vars(module).items() if type(value).__name__ == "module"}
        assert used == {"np"}

"""The NumPy reference itself: its hand-derived gradients by finite differences, its values by PyTorch in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numerical import FLOAT64, NEAR, differences, normal
from torch.nn import functional

from gradus.reference import losses

quick = settings(max_examples=25, deadline=None)
shapes = st.lists(st.integers(1, 3), min_size=1, max_size=3)
seeds = st.integers(0, 999)


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

"""Penalties: by PyTorch's norms and by differences, and the scales in which the texts print them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numerical import FLOAT64, NEAR, differences, normal

from gradus.reference import penalties

quick = settings(max_examples=25, deadline=None)
shapes = st.lists(st.integers(1, 3), min_size=1, max_size=3)
seeds = st.integers(0, 999)


@quick
@given(shapes, st.floats(0, 2), st.floats(0, 2), seeds)
def test_elastic_penalty(shape, l1, l2, seed):
    weights = normal(seed, *shape)
    weights += np.where(weights < 0, -0.1, 0.1)  # off the corner of |w| at 0
    tensor = torch.tensor(weights, requires_grad=True)
    value = l1 * tensor.norm(p=1) + l2 * tensor.norm(p=2) ** 2
    value.backward()
    assert penalties.elastic_penalty(weights, l1, l2) == pytest.approx(value.item(), rel=1e-12)
    found = penalties.elastic_penalty_backward(weights, l1, l2)
    np.testing.assert_allclose(found, tensor.grad, **FLOAT64)
    np.testing.assert_allclose(found, differences(lambda w: penalties.elastic_penalty(w, l1, l2), weights), **NEAR)


def test_elastic_penalty_by_hand():
    weights = np.array([[1.0, -2.0], [0.0, 3.0]])
    assert penalties.elastic_penalty(weights, 0.5, 0.1) == pytest.approx(0.5 * 6 + 0.1 * 14)


@quick
@given(shapes, st.floats(0.01, 2), st.integers(1, 50), st.booleans(), seeds)
def test_the_penalties_of_n_samples(shape, strength, samples, half, seed):
    weights = normal(seed, *shape)
    weights += np.where(weights < 0, -0.1, 0.1)
    slope = differences(lambda w: penalties.l1_penalty(w, strength, samples, half), weights)
    np.testing.assert_allclose(penalties.l1_penalty_backward(weights, strength, samples, half), slope, **NEAR)
    slope = differences(lambda w: penalties.l2_penalty(w, strength, samples), weights)
    np.testing.assert_allclose(penalties.l2_penalty_backward(weights, strength, samples), slope, **NEAR)


def test_the_scales_of_the_texts():
    weights, strength, samples = np.array([1.0, -2.0, 3.0]), 0.6, 30
    books = penalties.l1_penalty(weights, strength, samples)  # lambda/n
    notes = penalties.l1_penalty(weights, strength, samples, half=True)  # lambda/(2m)
    assert books == pytest.approx(0.6 / 30 * 6) == pytest.approx(2 * notes)
    # regularization.l2 is lambda/(2n), regularization.l1 is lambda/n
    assert penalties.l2_penalty(weights, strength, samples) == pytest.approx(
        penalties.elastic_penalty(weights, 0, 0.01)
    )
    assert books == pytest.approx(penalties.elastic_penalty(weights, 0.02, 0))
    assert penalties.l1_penalty_backward(np.zeros(1), strength) == 0


def test_weight_decay_is_a_step_down_the_penalty():
    weights = normal(0, 4)
    stepped = weights - 0.1 * penalties.l2_penalty_backward(weights, 0.5, 20)
    np.testing.assert_allclose(penalties.decay(weights, 0.1, 0.5, 20), stepped, **FLOAT64)
    assert (np.abs(stepped) < np.abs(weights)).all()


def test_weights_grow_where_the_decay_is_too_strong():
    """The factor is below 1, and below -1 too."""
    weights = np.array([1.0])
    assert abs(penalties.decay(weights, 1.0, 2.5)) > 1


@quick
@given(st.integers(1, 4), st.lists(st.integers(1, 3), max_size=3), st.floats(0.1, 3), seeds)
def test_max_norm_shortens_what_is_longer_and_turns_nothing(neurons, rest, largest, seed):
    weights = normal(seed, neurons, *rest)
    found = penalties.max_norm(weights, largest)
    assert found.shape == weights.shape
    for before, after in zip(weights.reshape(neurons, -1), found.reshape(neurons, -1), strict=True):
        length = np.sqrt((before**2).sum())
        if length <= largest:
            np.testing.assert_array_equal(after, before)
        else:
            np.testing.assert_allclose(np.sqrt((after**2).sum()), largest, rtol=1e-12)
            np.testing.assert_allclose(after * length, before * largest, **FLOAT64)
    np.testing.assert_allclose(penalties.max_norm(found, largest), found, rtol=1e-15)


def test_max_norm_is_that_of_torch_and_keeps_a_zero():
    weights = normal(3, 5, 4, 2)
    # torch.renorm divides by the norm + 1e-7
    wanted = torch.renorm(torch.tensor(weights), 2, 0, 1.5)
    np.testing.assert_allclose(penalties.max_norm(weights, 1.5), wanted, rtol=1e-6)
    np.testing.assert_array_equal(penalties.max_norm(np.zeros((2, 3)), 1.0), np.zeros((2, 3)))

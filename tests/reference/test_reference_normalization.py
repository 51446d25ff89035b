"""Batch and local response normalisation, dropout, shortcuts and dense layers in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numerical import FLOAT64, check_against_torch, check_differences, normal
from torch.nn import functional

from gradus.reference.dense import dense
from gradus.reference.normalization import (
    batch_norm,
    batch_norm_backward,
    batch_norm_inference,
    batch_norm_inference_backward,
    batch_renorm,
    batch_renorm_backward,
    batch_statistics,
    local_response_normalization,
    local_response_normalization_backward,
    renorm_corrections,
    running_statistics,
)

quick = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 999)
shapes = st.sampled_from([(6, 3), (3, 2, 5), (2, 3, 4, 3), (2, 2, 2, 3, 2)])


@quick
@given(shapes, seeds)
def test_batch_norm_in_training_is_that_of_torch(shape, seed):
    inputs, scale, shift = 2 * normal(seed, *shape) + 1, normal(seed + 1, shape[1]), normal(seed + 2, shape[1])
    gradient = normal(seed + 3, *shape)
    values = batch_norm(inputs, scale, shift)
    found = batch_norm_backward(inputs, scale, gradient)
    check_against_torch(
        values,
        found,
        lambda x, s, b: functional.batch_norm(x, None, None, s, b, training=True),
        (inputs, scale, shift),
        gradient,
    )


@pytest.mark.parametrize("shape", [(5, 2), (2, 2, 2, 3)])
def test_batch_norm_backward_by_differences(shape):
    points = (normal(0, *shape), normal(1, shape[1]), normal(2, shape[1]))
    gradient = normal(3, *shape)
    check_differences(batch_norm, points, gradient, batch_norm_backward(points[0], points[1], gradient))


@quick
@given(shapes, seeds)
def test_batch_norm_at_inference_and_its_running_statistics_are_those_of_torch(shape, seed):
    layer = {2: torch.nn.BatchNorm1d, 3: torch.nn.BatchNorm1d, 4: torch.nn.BatchNorm2d, 5: torch.nn.BatchNorm3d}
    module = layer[len(shape)](shape[1]).double()
    mean, variance = np.zeros(shape[1]), np.ones(shape[1])
    for step in range(3):
        batch = 2 * normal(seed + step, *shape) + 1
        module(torch.tensor(batch))
        mean, variance = running_statistics(batch, mean, variance)
    np.testing.assert_allclose(mean, module.running_mean, **FLOAT64)
    np.testing.assert_allclose(variance, module.running_var, **FLOAT64)
    inputs, scale, shift = normal(seed + 9, *shape), normal(seed + 1, shape[1]), normal(seed + 2, shape[1])
    gradient = normal(seed + 4, *shape)
    values = batch_norm_inference(inputs, scale, shift, mean, variance)
    found = batch_norm_inference_backward(inputs, scale, mean, variance, gradient)
    statistics = torch.tensor(mean), torch.tensor(variance)
    check_against_torch(
        values, found, lambda x, s, b: functional.batch_norm(x, *statistics, s, b), (inputs, scale, shift), gradient
    )
    assert not np.allclose(values, batch_norm(inputs, scale, shift))  # training and inference differ
    alone = batch_norm_inference(inputs[:1], scale, shift, mean, variance)
    np.testing.assert_array_equal(alone, values[:1])  # at inference the rest of the batch does not matter


@quick
@given(shapes, seeds, st.sampled_from([(1.0, 0.0), (1.2, 0.1), (50.0, 50.0)]))
def test_batch_renorm_lies_between_training_and_inference(shape, seed, limits):
    inputs, scale, shift = 2 * normal(seed, *shape) + 1, normal(seed + 1, shape[1]), normal(seed + 2, shape[1])
    mean, variance, gradient = (
        normal(seed + 3, shape[1]),
        normal(seed + 4, shape[1]) ** 2 + 0.5,
        normal(seed + 5, *shape),
    )
    values = batch_renorm(inputs, scale, shift, mean, variance, *limits)
    if limits == (1.0, 0.0):
        np.testing.assert_allclose(values, batch_norm(inputs, scale, shift), **FLOAT64)
    if limits == (50.0, 50.0):  # the limits are out of reach
        np.testing.assert_allclose(values, batch_norm_inference(inputs, scale, shift, mean, variance), **FLOAT64)
    r, d = (torch.tensor(one) for one in renorm_corrections(inputs, mean, variance, *limits))
    check_against_torch(
        values,
        batch_renorm_backward(inputs, scale, mean, variance, gradient, *limits),
        lambda x, s, b: functional.batch_norm(x, None, None, s * r, s * d + b, training=True),
        (inputs, scale, shift),
        gradient,
    )


def test_statistics_are_a_channels_over_batch_and_places():
    inputs = normal(0, 4, 3, 5, 6)
    mean, variance = batch_statistics(inputs)
    values = inputs[:, 1].ravel()
    assert values.size == 4 * 5 * 6
    assert mean[1] == pytest.approx(values.mean())
    assert variance[1] == pytest.approx(((values - values.mean()) ** 2).sum() / 120)
    normalised = batch_norm(inputs, np.ones(3), np.zeros(3), epsilon=0)
    np.testing.assert_allclose(normalised.mean(axis=(0, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(normalised.std(axis=(0, 2, 3)), 1, rtol=1e-12)


def test_batch_norm_can_undo_itself():
    """gamma = sqrt(sigma^2 + epsilon), beta = mu. Course notes §2.3.5 print sqrt(sigma + epsilon), which does not."""
    inputs, epsilon = 3 * normal(0, 40, 2) + 5, 1e-2
    mean, variance = batch_statistics(inputs)
    undone = batch_norm(inputs, np.sqrt(variance + epsilon), mean, epsilon=epsilon)
    np.testing.assert_allclose(undone, inputs, **FLOAT64)
    printed = batch_norm(inputs, np.sqrt(np.sqrt(variance) + epsilon), mean, epsilon=epsilon)
    assert np.abs(printed - inputs).max() > 1


def test_what_divides_is_the_deviation_not_the_variance():
    inputs = 10 * normal(0, 100, 1)
    normalised = batch_norm(inputs, np.ones(1), np.zeros(1))
    assert normalised.std() == pytest.approx(1)
    assert ((inputs - inputs.mean()) / inputs.var()).std() < 0.2


def test_a_bias_before_it_is_lost():
    inputs, weight, scale, shift = normal(0, 8, 4), normal(1, 4, 3), normal(2, 3), normal(3, 3)
    with_bias = batch_norm(dense(inputs, weight, np.array([5.0, -7, 11])), scale, shift)
    np.testing.assert_allclose(with_bias, batch_norm(dense(inputs, weight), scale, shift), rtol=1e-9)


def test_sums_of_the_gradient_vanish():
    """What would move the batch's mean or variance is taken out: the gradient has no part along 1 and along the normalised."""
    inputs, gradient = normal(0, 12, 3), normal(1, 12, 3)
    by_inputs, *_ = batch_norm_backward(inputs, np.ones(3), gradient, epsilon=0)
    np.testing.assert_allclose(by_inputs.sum(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose((by_inputs * (inputs - inputs.mean(axis=0))).sum(axis=0), 0, atol=1e-12)


def test_the_sigmoid_is_fed_where_it_bends():
    """Figure 4-20: far-off inputs leave the sigmoid flat; normalised ones do not; scale and shift can go anywhere after."""
    inputs = 8 + 2 * normal(0, 500, 1)
    slope = [s * (1 - s) for s in (1 / (1 + np.exp(-x)) for x in (inputs, batch_norm(inputs, np.ones(1), np.zeros(1))))]
    assert slope[0].mean() < 0.02 < 0.18 < slope[1].mean()
    moved = batch_norm(inputs, np.full(1, 2.0), np.full(1, -3.0))
    assert (moved.mean(), moved.std()) == (pytest.approx(-3), pytest.approx(2, rel=1e-4))


def test_running_statistics_of_keras():
    """Its momentum is 1 minus PyTorch's, its variance that of the batch."""
    inputs = normal(0, 10, 2)
    mean, variance = running_statistics(inputs, np.zeros(2), np.ones(2), momentum=1 - 0.99, unbiased=False)
    np.testing.assert_allclose(mean, 0.01 * inputs.mean(axis=0))
    np.testing.assert_allclose(variance, 0.99 + 0.01 * inputs.var(axis=0))


@quick
@given(
    st.integers(1, 9), st.sampled_from([1, 3, 5, 7]), st.floats(0.01, 2), st.floats(0.3, 1.5), st.floats(0.5, 3), seeds
)
def test_local_response_normalization_is_that_of_torch(channels, size, alpha, beta, k, seed):
    inputs = normal(seed, 2, channels, 3, 2)
    gradient = normal(seed + 1, *inputs.shape)
    for convention, factor in (("caffe", 1), ("paper", size)):  # PyTorch divides alpha by the size
        options = (size, alpha, beta, k, convention)
        values = local_response_normalization(inputs, *options)
        found = local_response_normalization_backward(inputs, gradient, *options)
        check_against_torch(
            values,
            [found],
            lambda x, factor=factor: functional.local_response_norm(x, size, alpha * factor, beta, k),
            [inputs],
            gradient,
        )


def test_local_response_normalization_by_the_papers_sum():
    a = normal(0, 1, 8, 1, 1)
    found = local_response_normalization(a)
    for i in range(8):
        total = sum(a[0, j, 0, 0] ** 2 for j in range(max(0, i - 2), min(7, i + 2) + 1))
        assert found[0, i, 0, 0] == pytest.approx(a[0, i, 0, 0] / (2 + 1e-4 * total) ** 0.75, rel=1e-13)
    caffe = local_response_normalization(a, convention="caffe")
    total = (a[0, 2:7, 0, 0] ** 2).sum()
    assert caffe[0, 4, 0, 0] == pytest.approx(a[0, 4, 0, 0] / (1 + 1e-4 / 5 * total) ** 0.75, rel=1e-13)
    assert np.abs(caffe / found - 1).min() > 0.5  # k = 2 or 1: far apart


def test_plain_talks_norm1_is_the_same_in_both_conventions():
    """§6.9: depth_radius 4, bias 1, alpha 0.001 / 9, beta 0.75 of TensorFlow, which sums."""
    inputs = 5 * normal(0, 2, 12, 2, 2)
    summed = local_response_normalization(inputs, 9, 0.001 / 9, 0.75, 1.0, "paper")
    divided = local_response_normalization(inputs, 9, 0.001, 0.75, 1.0, "caffe")
    np.testing.assert_allclose(summed, divided, **FLOAT64)


def test_local_response_normalization_backward_by_differences():
    inputs, gradient = normal(0, 1, 5, 2, 2), normal(1, 1, 5, 2, 2)
    found = local_response_normalization_backward(inputs, gradient, 3, 0.7)
    check_differences(lambda x: local_response_normalization(x, 3, 0.7), [inputs], gradient, [found])


def test_a_window_of_channels_has_a_middle():
    with pytest.raises(ValueError, match="odd"):
        local_response_normalization(normal(0, 1, 4, 2, 2), size=4)

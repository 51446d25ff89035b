"""Dense layers, dropout and shortcuts in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numerical import FLOAT64, check_against_torch, check_differences, normal
from torch.nn import functional

from gradus.reference import dense as module
from gradus.reference import dropout, residual
from gradus.reference.dense import dense, dense_backward, dense_loops

quick = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 999)


@quick
@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 4), seeds)
def test_dense_is_its_definition_and_that_of_torch(examples, inputs_count, units, seed):
    points = (normal(seed, examples, inputs_count), normal(seed + 1, inputs_count, units), normal(seed + 2, units))
    gradient = normal(seed + 3, examples, units)
    values, found = dense(*points), dense_backward(points[0], points[1], gradient)
    np.testing.assert_allclose(values, dense_loops(*points), **FLOAT64)
    check_against_torch(values, found, lambda x, w, b: functional.linear(x, w.T, b), points, gradient)
    check_differences(dense, points, gradient, found)


def test_the_course_notes_stand_on_their_side():
    """Z = W A + b with examples in columns; dW = dZ A^T / m for the gradient of a mean. §1.3.2, 1.4.3."""
    activations, weight, bias = normal(0, 4, 10), normal(1, 3, 4), normal(2, 3, 1)
    upright = weight @ activations + bias
    np.testing.assert_allclose(dense(activations.T, weight.T, bias[:, 0]).T, upright, **FLOAT64)
    slopes = normal(3, 3, 10)
    by_inputs, by_weight, by_bias = dense_backward(activations.T, weight.T, slopes.T / 10)
    np.testing.assert_allclose(by_weight.T, slopes @ activations.T / 10, **FLOAT64)
    np.testing.assert_allclose(by_bias[:, None], slopes.sum(axis=1, keepdims=True) / 10, **FLOAT64)
    np.testing.assert_allclose(by_inputs.T, weight.T @ slopes / 10, **FLOAT64)
    assert dense(normal(0, 7, 400), normal(1, 400, 120), normal(2, 120)).shape == (7, 120)


def test_only_one_order_of_the_product_is_possible():
    """*Deep Learning with Python* §2.3.3 writes dot(W, input) with input (n, in) and W (in, units)."""
    with pytest.raises(ValueError, match="aligned"):
        np.dot(normal(0, 5, 3), normal(1, 7, 5))
    assert dense(normal(1, 7, 5), normal(0, 5, 3)).shape == (7, 3)


def test_neurons_of_plain_talk():
    """§2.1.1: the degenerate f(x) = x + 1, and two customers whose printed scores are 44.7 and 51.6."""
    assert [module.neuron(np.array([x]), np.ones(1), 1.0) for x in (1.0, 100.0)] == [2, 101]
    weights = np.array([0.3, 0.8, 1.5, 1.2, 0.5])
    first = module.neuron(np.array([1.0, 50, 27, 19, -55]), weights)
    second = module.neuron(np.array([0.0, 25, 10, 8, 0]), weights)
    assert (first, second) == (pytest.approx(76.1), pytest.approx(44.6))  # and the ranking turns round


def test_linear_layers_make_a_linear_layer():
    inputs, one, two = normal(0, 6, 5), normal(1, 5, 8), normal(2, 8, 3)
    first, second = normal(3, 8), normal(4, 3)
    np.testing.assert_allclose(
        dense(dense(inputs, one, first), two, second), dense(inputs, one @ two, first @ two + second), **FLOAT64
    )


def test_flatten_and_concatenate():
    maps = normal(0, 2, 40, 7, 7)
    assert module.flatten(maps).shape == (2, 1960)
    assert [module.flatten(np.ones((1, *shape))).size for shape in ((16, 5, 5), (256, 6, 6), (512, 4, 4))] == [
        400,
        9216,
        8192,
    ]
    np.testing.assert_array_equal(module.flatten_backward(maps, module.flatten(maps)), maps)
    parts = [normal(n, 1, depth, 4, 4) for n, depth in enumerate((64, 128, 32, 32))]
    joined = module.concatenate(parts)
    assert joined.shape == (1, 256, 4, 4)
    for part, slope in zip(parts, module.concatenate_backward(parts, joined), strict=True):
        np.testing.assert_array_equal(part, slope)
    np.testing.assert_allclose(module.add_bias_backward(maps), maps.sum(axis=(0, 2, 3)), **FLOAT64)
    # an order of the axes is part of a layer: channels last gives other inputs to the same weights
    assert not np.array_equal(module.flatten(maps), module.flatten(maps.transpose(0, 2, 3, 1)))


EXAMPLE = np.array([0.2, 0.5, 1.3, 0.8, 1.1])  # *Deep Learning with Python* §4.4.3
KEPT = np.array([False, True, True, False, True])


def test_dropout_of_the_example():
    np.testing.assert_array_equal(dropout.classic_dropout(EXAMPLE, KEPT), [0, 0.5, 1.3, 0, 1.1])
    np.testing.assert_allclose(dropout.dropout(EXAMPLE, KEPT, 0.5), [0, 1.0, 2.6, 0, 2.2])
    np.testing.assert_array_equal(EXAMPLE, [0.2, 0.5, 1.3, 0.8, 1.1])  # no function changes its inputs


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 0.8])
def test_both_kinds_keep_the_expectation_by_the_keep_probability(rate):
    """The text scales by the rate: at 0.2 that leaves a fifth instead of four fifths."""
    inputs = np.ones((400, 500))
    kept = dropout.dropout_mask(inputs.shape, rate, np.random.default_rng(0))
    error = 4.5 * np.sqrt(rate * (1 - rate) / inputs.size) / (1 - rate)  # 4.5 standard errors
    assert abs(dropout.dropout(inputs, kept, rate).mean() - 1) <= error
    classic = dropout.classic_dropout_inference(inputs, rate).mean()
    assert abs(dropout.classic_dropout(inputs, kept).mean() - classic) <= error
    assert classic == pytest.approx(1 - rate)
    if rate not in (0.0, 0.5):
        assert abs(dropout.classic_dropout(inputs, kept).mean() - rate) > 0.2


def test_masks_are_fresh_and_their_rate_an_expectation():
    generator = np.random.default_rng(0)
    first, second = (dropout.dropout_mask((50,), 0.2, generator) for _ in range(2))
    assert (first != second).any()
    assert len({int(dropout.dropout_mask((50,), 0.2, generator).sum()) for _ in range(20)}) > 3
    assert dropout.dropout_mask((1000,), 0.0, generator).all()
    for rate in (1.0, -0.1):
        with pytest.raises(ValueError, match=r"\[0, 1\)"):
            dropout.dropout_mask((3,), rate, generator)


def test_dropout_backward():
    inputs, gradient = normal(0, 4, 6), normal(1, 4, 6)
    kept = dropout.dropout_mask(inputs.shape, 0.3, np.random.default_rng(2))
    found = dropout.dropout_backward(kept, 0.3, gradient)
    check_differences(lambda x: dropout.dropout(x, kept, 0.3), [inputs], gradient, [found])
    found = dropout.classic_dropout_backward(kept, gradient)
    check_differences(lambda x: dropout.classic_dropout(x, kept), [inputs], gradient, [found])


def test_shortcuts():
    inputs, branch, weight = normal(0, 2, 3, 5, 5), normal(1, 2, 4, 3, 3), normal(2, 4, 3, 1, 1)
    values = residual.projection_residual(branch, inputs, weight, 2)
    gradient = normal(3, *values.shape)
    found = residual.projection_residual_backward(inputs, weight, gradient, 2)
    check_against_torch(
        values, found, lambda f, x, w: f + functional.conv2d(x, w, stride=2), (branch, inputs, weight), gradient
    )
    assert (found[1][:, :, 1::2] == 0).all()  # rows that a stride of 2 never sees
    padded = residual.padded_shortcut(inputs, 4, 2)
    np.testing.assert_array_equal(padded[:, 3], 0)
    np.testing.assert_array_equal(padded[:, :3], inputs[:, :, ::2, ::2])
    slopes = residual.padded_shortcut_backward(inputs, gradient, 2)
    check_differences(lambda x: residual.padded_shortcut(x, 4, 2), [inputs], gradient, [slopes])
    with pytest.raises(ValueError, match="project"):
        residual.residual(branch, inputs)


def test_an_identity_shortcut_passes_the_gradient_whole():
    """Twenty layers that shrink tenfold each: the plain stack leaves nothing of the gradient, the residual one all of it."""
    plain, through = np.ones(3), np.ones(3)
    for _ in range(20):
        plain = 0.1 * plain
        by_branch, by_inputs = residual.residual_backward(through)
        through = by_inputs + 0.1 * by_branch
    assert plain[0] == pytest.approx(1e-20)
    assert through[0] == pytest.approx(1.1**20)


@quick
@given(st.integers(1, 3), st.integers(1, 4), seeds)
def test_highway(examples, features, seed):
    points = (
        normal(seed, examples, features),
        normal(seed + 1, features, features),
        normal(seed + 2, features),
        normal(seed + 3, features, features),
        normal(seed + 4, features),
    )
    gradient = normal(seed + 5, examples, features)

    def layer(x, w, b, gate_w, gate_b):
        gate = torch.sigmoid(x @ gate_w + gate_b)
        return torch.relu(x @ w + b) * gate + x * (1 - gate)

    check_against_torch(
        residual.highway(*points), residual.highway_backward(*points, gradient), layer, points, gradient
    )


def test_highway_between_its_ends():
    inputs, weight, bias = normal(0, 3, 4), normal(1, 4, 4), normal(2, 4)
    shut, half, none = np.full(4, -50.0), np.zeros(4), np.zeros((4, 4))
    np.testing.assert_allclose(residual.highway(inputs, weight, bias, none, shut), inputs, rtol=1e-12)
    transformed = np.maximum(dense(inputs, weight, bias), 0)
    np.testing.assert_allclose(residual.highway(inputs, weight, bias, none, -shut), transformed, rtol=1e-12)
    # "a residual unit is a special case": with one gate only half of it is
    found = residual.highway(inputs, weight, bias, none, half)
    np.testing.assert_allclose(found, residual.residual(transformed, inputs) / 2, rtol=1e-12)

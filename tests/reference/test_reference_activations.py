"""Activations of the reference: by PyTorch in float64, their derivatives by differences, and what the texts print of them."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numerical import FLOAT64, NEAR, differences, normal
from torch import nn
from torch.nn import functional

from gradus.reference import activations, rectifiers, sigmoids, vector_activations
from gradus.reference.catalogue import entries, find

quick = settings(max_examples=25, deadline=None)
shapes = st.lists(st.integers(1, 3), min_size=1, max_size=3)
seeds = st.integers(0, 999)
ELEMENTWISE = [entry for entry in entries("activations") if entry.span]
by_name = pytest.mark.parametrize("entry", ELEMENTWISE, ids=lambda entry: entry.name)

# ours, its derivative, PyTorch's at the defaults of ours
TORCH = (
    (activations.identity, activations.identity_derivative, nn.Identity()),
    (activations.sigmoid, activations.sigmoid_derivative, torch.sigmoid),
    (activations.hard_sigmoid, activations.hard_sigmoid_derivative, functional.hardsigmoid),
    (activations.tanh, activations.tanh_derivative, torch.tanh),
    (activations.scaled_tanh, activations.scaled_tanh_derivative, lambda x: 1.7159 * torch.tanh(2 * x / 3)),
    (activations.arctan, activations.arctan_derivative, torch.atan),
    (activations.softsign, activations.softsign_derivative, functional.softsign),
    (activations.softplus, activations.softplus_derivative, lambda x: functional.softplus(x, threshold=1000)),
    (activations.bent_identity, activations.bent_identity_derivative, lambda x: ((x**2 + 1).sqrt() - 1) / 2 + x),
    (activations.sinusoid, activations.sinusoid_derivative, torch.sin),
    (activations.gaussian, activations.gaussian_derivative, lambda x: (-(x**2)).exp()),
    (activations.absolute, activations.absolute_derivative, torch.abs),
    (activations.relu, activations.relu_derivative, torch.relu),
    (activations.leaky_relu, activations.leaky_relu_derivative, functional.leaky_relu),
    (
        activations.prelu,
        activations.prelu_derivative,
        lambda x: functional.prelu(x, torch.tensor([0.25], dtype=x.dtype)),
    ),
    (activations.rrelu, activations.rrelu_derivative, lambda x: functional.rrelu(x, training=False)),
    (activations.elu, activations.elu_derivative, functional.elu),
    (activations.selu, activations.selu_derivative, functional.selu),
    (activations.gelu, activations.gelu_derivative, functional.gelu),
)
CORNERED = ("relu", "leaky_relu", "prelu", "rrelu", "elu", "selu")


def name_of(value: object) -> str:
    return getattr(value, "__name__", "")


def off_corners(inputs: np.ndarray) -> np.ndarray:
    """Moved away from every corner that a default has (0, 1/2, 1, 3 and their negatives)."""
    for corner in (-3, -1, -0.5, 0, 0.5, 1, 3):
        inputs = np.where(np.abs(inputs - corner) < 1e-3, corner + 2e-3, inputs)
    return inputs


def test_all_that_was_agreed_can_be_had_from_one_module():
    for module in (sigmoids, rectifiers, vector_activations):
        made = {
            name
            for name, value in inspect.getmembers(module, inspect.isfunction)
            if value.__module__ == module.__name__
        }
        assert {name for name in made if not name.startswith("_")} <= set(vars(activations))
    assert len(ELEMENTWISE) == 25


@by_name
@quick
@given(seed=seeds)
def test_every_derivative_is_that_of_differences(entry, seed):
    inputs = off_corners(np.random.default_rng(seed).uniform(*entry.span, size=12))
    function, derivative = find(entry.function), find(entry.backward)
    np.testing.assert_allclose(
        derivative(inputs), differences(lambda x: function(x).sum(), inputs), rtol=2e-6, atol=1e-8
    )


@by_name
def test_values_keep_their_shape_and_change_no_input(entry):
    inputs = normal(0, 2, 1, 3)
    before = inputs.copy()
    for name in (entry.function, entry.backward):
        assert find(name)(inputs).shape == inputs.shape
    np.testing.assert_array_equal(inputs, before)
    assert find(entry.function)(inputs) is not inputs


@by_name
def test_nothing_overflows_far_out(entry):
    far = np.array([-1e3, -50.0, 0.5, 50.0, 600.0])
    with np.errstate(over="raise", invalid="raise"):
        values, slopes = find(entry.function)(far), find(entry.backward)(far)
    assert np.isfinite(values).all() and np.isfinite(slopes).all()


@pytest.mark.parametrize(("function", "derivative", "theirs"), TORCH, ids=name_of)
@quick
@given(shape=shapes, seed=seeds)
def test_values_and_derivatives_are_those_of_torch(function, derivative, theirs, shape, seed):
    inputs = 3 * normal(seed, *shape)
    tensor = torch.tensor(inputs, requires_grad=True)
    outputs = theirs(tensor)
    outputs.backward(torch.ones_like(tensor))
    np.testing.assert_allclose(function(inputs), outputs.detach(), **FLOAT64)
    # the backward pass of its hardsigmoid has 1/6 as a float32
    near = {"rtol": 1e-7} if function is activations.hard_sigmoid else FLOAT64
    np.testing.assert_allclose(derivative(inputs), tensor.grad, **near)


@pytest.mark.parametrize(
    ("function", "derivative", "theirs"), [row for row in TORCH if name_of(row[0]) in CORNERED], ids=name_of
)
def test_the_corner_has_the_slope_of_one_side(function, derivative, theirs):
    zero, step = np.zeros(1), 1e-7
    assert derivative(zero) == pytest.approx((function(zero + step) - function(zero)) / step, rel=1e-5)
    assert derivative(zero, right=False) == pytest.approx((function(zero) - function(zero - step)) / step, rel=1e-5)
    tensor = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    theirs(tensor).sum().backward()
    np.testing.assert_allclose(derivative(zero, right=False), tensor.grad, **FLOAT64)  # PyTorch takes the left


def test_other_corners():
    assert activations.absolute_derivative(np.zeros(1)) == 0
    assert np.isnan(activations.binary_step_derivative(np.zeros(1)))
    assert activations.binary_step(np.array([-1e-9, 0.0])).tolist() == [0, 1]
    assert activations.binary_step(np.array([-1.0, 0.0]), low=-1).tolist() == [-1, 1]
    np.testing.assert_array_equal(activations.srelu_derivative(np.array([-1.0, 0.0, 1.0])), [0.2, 1, 0.5])
    np.testing.assert_array_equal(activations.hard_sigmoid_derivative(np.array([-3.0, 3.0])), [0, 0])
    found = activations.apl_derivative(np.array([0.5]), (0.2,), (0.5,))  # the hinge is flat from 1/2 on
    assert found == 1 and activations.apl_derivative(np.array([0.5]), (0.2,), (0.5,), right=False) == pytest.approx(0.8)


# What the texts print


def test_sigmoid_oracles_and_the_listings_that_miss_its_brackets():
    inputs = np.array([10.0, -10.0, -30.0, 0.0])
    np.testing.assert_allclose(activations.sigmoid(inputs)[:2], [0.9999546021, 0.0000453979], atol=5e-11)
    assert activations.sigmoid(inputs)[2] == pytest.approx(9.4e-14, rel=0.01)
    listing_2_1 = 1.0 / 1.0 + np.exp(-inputs)
    listing_3_2 = 1 / (1 + np.sum(np.exp(-inputs)))
    assert listing_2_1[3] == 2 and activations.sigmoid(inputs)[3] == 0.5
    assert listing_3_2.shape == () and activations.sigmoid(inputs).shape == (4,)


@quick
@given(st.floats(-700, 700), st.floats(0.1, 5))
def test_sigmoid_is_open_and_symmetric(value, slope):
    one = np.array([value])
    assert activations.sigmoid(one) + activations.sigmoid(-one) == pytest.approx(1, abs=1e-15)
    assert activations.sigmoid(-np.abs(one)) > 0  # near 0 there is room; near 1 the closest number is 1 itself
    np.testing.assert_allclose(activations.sigmoid(one, slope), activations.sigmoid(slope * one), **FLOAT64)
    assert 0 < activations.sigmoid_derivative(one) <= 0.25


def test_the_derivative_of_sigmoid_is_largest_in_the_middle():
    assert activations.sigmoid_derivative(np.zeros(1)) == 0.25
    assert activations.sigmoid_derivative(np.zeros(1), slope=2) == 0.5


def test_sigmoid_with_a_slope_by_differences():
    inputs = normal(1, 5)
    wanted = differences(lambda x: activations.sigmoid(x, 2.5).sum(), inputs)
    np.testing.assert_allclose(activations.sigmoid_derivative(inputs, 2.5), wanted, **NEAR)


def test_the_two_hard_sigmoids_are_told_apart():
    inputs = np.array([-3.0, -2.5, -1.0, 0.0, 1.0, 2.5, 3.0])
    np.testing.assert_allclose(
        activations.hard_sigmoid(inputs, 0.2), [0, 0, 0.3, 0.5, 0.7, 1, 1], **FLOAT64
    )  # Keras' page
    np.testing.assert_allclose(activations.hard_sigmoid(inputs), np.clip((inputs + 3) / 6, 0, 1), **FLOAT64)
    assert activations.hard_sigmoid(np.array([-2.75])) > 0 == activations.hard_sigmoid(np.array([-2.75]), 0.2)


def test_the_derivative_of_tanh_is_never_negative():
    slopes = activations.tanh_derivative(np.linspace(-5, 5, 1001))
    assert slopes.max() == 1 and slopes.min() > 0


def test_scaled_tanh_maps_one_to_one():
    np.testing.assert_allclose(activations.scaled_tanh(np.array([-1.0, 1.0])), [-1, 1], atol=1e-4)


def test_softsign_needs_its_bars():
    assert activations.softsign(np.array([-0.5])) == pytest.approx(-1 / 3)
    assert -0.5 / (1 - 0.5) == -1  # as printed


def test_sinc_has_no_pi():
    inputs = np.linspace(-20, 20, 400_001)
    values = activations.sinc(inputs)
    assert values.min() == pytest.approx(-0.217234, abs=5e-7) and activations.sinc(np.zeros(1)) == 1
    np.testing.assert_allclose(values[100], np.sin(inputs[100]) / inputs[100], **FLOAT64)
    tiny = np.array([1e-8, 1e-4, 0.0999999, 0.1000001])
    np.testing.assert_allclose(activations.sinc_derivative(tiny), -tiny / 3 + tiny**3 / 30 - tiny**5 / 840, rtol=1e-10)


def test_leaky_relu_is_what_listing_7_7_calls_relu():
    inputs = np.array([-2.0, 0.0, 3.0])
    np.testing.assert_allclose(activations.leaky_relu(inputs, 0.1), np.maximum(0.1 * inputs, inputs), **FLOAT64)
    assert activations.relu(inputs).tolist() == [0, 0, 3]
    assert activations.leaky_relu_derivative(inputs, 0.1).tolist() == [0.1, 1, 1]
    assert activations.leaky_relu_derivative(inputs, 0.1, right=False).tolist() == [0.1, 0.1, 1]  # the listing's at 0


def test_relu_has_two_slopes_at_zero():
    step = 1e-6
    left = (activations.relu(np.zeros(1)) - activations.relu(np.array([-step]))) / step
    right = (activations.relu(np.array([step])) - activations.relu(np.zeros(1))) / step
    assert (left, right) == (0, 1)


@quick
@given(st.floats(-0.9, 0.9), seeds)
def test_soft_exponential(alpha, seed):
    alpha = 0.0 if abs(alpha) < 1e-2 else alpha
    lowest = 1 / alpha - alpha if alpha < 0 else -3.0
    inputs = np.maximum(lowest + 0.05, 0) + np.abs(normal(seed, 6)) if alpha < 0 else normal(seed, 6)
    slope = activations.soft_exponential_derivative(inputs, alpha)
    np.testing.assert_allclose(
        slope, differences(lambda x: activations.soft_exponential(x, alpha).sum(), inputs), rtol=1e-5, atol=1e-7
    )
    by_alpha = [
        (activations.soft_exponential(inputs, alpha + 1e-5) - activations.soft_exponential(inputs, alpha - 1e-5)) / 2e-5
    ]
    found = activations.soft_exponential_parameter_derivative(inputs, alpha)
    np.testing.assert_allclose(found, by_alpha[0], rtol=1e-4, atol=1e-5)


def test_soft_exponential_at_its_landmarks():
    inputs = np.array([0.5, 1.0, 2.0])
    np.testing.assert_array_equal(activations.soft_exponential(inputs, 0.0), inputs)
    np.testing.assert_allclose(activations.soft_exponential(inputs, 1.0), np.exp(inputs), **FLOAT64)  # e^x - 1 + 1
    np.testing.assert_allclose(activations.soft_exponential(inputs, -1.0), np.log(inputs), **FLOAT64)  # ln(1 + x - 1)
    for function in (activations.soft_exponential, activations.soft_exponential_derivative):
        assert np.isnan(function(np.array([0.0, -1.0]), -1.0)).all()
    assert np.isnan(activations.soft_exponential_parameter_derivative(np.array([-1.0]), -1.0)).all()


def test_rrelu_draws_a_slope_for_each_element_and_its_derivative_the_same():
    inputs = -np.ones((200, 5))
    outputs = activations.rrelu(inputs, 0.1, 0.3, np.random.default_rng(3))
    slopes = activations.rrelu_derivative(inputs, 0.1, 0.3, np.random.default_rng(3))
    np.testing.assert_array_equal(outputs, slopes * inputs)
    assert len(np.unique(slopes)) == 1000 and slopes.min() >= 0.1 and slopes.max() <= 0.3
    np.testing.assert_allclose(activations.rrelu(inputs, 0.1, 0.3), -0.2, **FLOAT64)


def test_selu_keeps_mean_and_variance():
    outputs = activations.selu(normal(0, 400_000))
    assert abs(outputs.mean()) < 0.01 and abs(outputs.var() - 1) < 0.02


def test_the_tanh_form_of_gelu():
    inputs = np.linspace(-6, 6, 2001)
    tensor = torch.tensor(inputs, requires_grad=True)
    outputs = functional.gelu(tensor, approximate="tanh")
    outputs.sum().backward()
    np.testing.assert_allclose(activations.gelu(inputs, approximate=True), outputs.detach(), **FLOAT64)
    np.testing.assert_allclose(activations.gelu_derivative(inputs, approximate=True), tensor.grad, **FLOAT64)
    apart = np.abs(activations.gelu(inputs, approximate=True) - activations.gelu(inputs)).max()
    assert 1e-4 < apart < 5e-4


@quick
@given(st.integers(1, 4), seeds)
def test_apl_and_its_parameters(hinges, seed):
    inputs, slopes, offsets = normal(seed, 4, 3), normal(seed + 1, hinges, 3), normal(seed + 2, hinges, 3)
    by_hand = np.maximum(inputs, 0)
    for s in range(hinges):
        by_hand = by_hand + slopes[s] * np.maximum(0, -inputs + offsets[s])
    np.testing.assert_allclose(activations.apl(inputs, slopes, offsets), by_hand, **FLOAT64)
    slope = differences(lambda x: activations.apl(x, slopes, offsets).sum(), inputs)
    np.testing.assert_allclose(activations.apl_derivative(inputs, slopes, offsets), slope, **NEAR)
    by_slopes, by_offsets = activations.apl_parameter_derivatives(inputs, slopes, offsets)
    wanted = differences(lambda a: activations.apl(inputs, a, offsets).sum(), slopes)
    np.testing.assert_allclose(by_slopes.sum(axis=1), wanted, **NEAR)
    wanted = differences(lambda b: activations.apl(inputs, slopes, b).sum(), offsets)
    np.testing.assert_allclose(by_offsets.sum(axis=1), wanted, **NEAR)


@quick
@given(seeds)
def test_srelu_and_prelu_by_their_parameters(seed):
    inputs, numbers = 2 * normal(seed, 7), np.array([-0.7, 0.3, 0.9, 1.7])
    found = activations.srelu_parameter_derivatives(inputs, *numbers)
    wanted = differences(lambda p: activations.srelu(inputs, *p).sum(), numbers)
    np.testing.assert_allclose([part.sum() for part in found], wanted, **NEAR)
    slope = differences(lambda p: activations.prelu(inputs, p).sum(), np.array([0.25]))
    np.testing.assert_allclose(activations.prelu_parameter_derivative(inputs).sum(), slope[0], **NEAR)


def test_srelu_by_hand():
    inputs = np.array([-3.0, -1.0, 0.5, 1.0, 3.0])
    np.testing.assert_allclose(activations.srelu(inputs), [-1.4, -1, 0.5, 1, 2], **FLOAT64)


def test_linear_layers_alone_are_one_linear_layer():
    inputs, first, second = normal(0, 5, 3), normal(1, 3, 4), normal(2, 4, 2)
    np.testing.assert_allclose(activations.identity(inputs @ first) @ second, inputs @ (first @ second), **FLOAT64)
    np.testing.assert_array_equal(activations.linear(np.array([1.0, 2.0]), 3, -1), [2, 5])
    np.testing.assert_array_equal(activations.linear_derivative(np.array([1.0, 2.0]), 3, -1), [3, 3])


# Over several numbers


SOFT = (
    (activations.softmax, activations.softmax_backward, torch.softmax),
    (activations.log_softmax, activations.log_softmax_backward, torch.log_softmax),
)


@pytest.mark.parametrize(("function", "backward", "theirs"), SOFT, ids=name_of)
@quick
@given(shape=shapes, axis=st.integers(-1, 0), seed=seeds)
def test_softmax_and_its_logarithm(function, backward, theirs, shape, axis, seed):
    logits, gradient = 4 * normal(seed, *shape), normal(seed + 1, *shape)
    tensor = torch.tensor(logits, requires_grad=True)
    outputs = theirs(tensor, dim=axis)
    outputs.backward(torch.tensor(gradient))
    np.testing.assert_allclose(function(logits, axis), outputs.detach(), **FLOAT64)
    found = backward(logits, gradient, axis=axis)
    np.testing.assert_allclose(found, tensor.grad, rtol=1e-10, atol=1e-12)
    slope = differences(lambda z: (gradient * function(z, axis)).sum(), logits)
    np.testing.assert_allclose(found, slope, rtol=1e-5, atol=1e-7)


def test_softmax_of_a_batch_of_sequences_sums_over_the_last_axis():
    logits = normal(0, 4, 5, 3)  # (B, T, K)
    np.testing.assert_allclose(activations.softmax(logits).sum(axis=-1), 1, **FLOAT64)
    listing_7_2 = np.exp(logits) / np.exp(logits).sum(axis=0)  # the batch
    assert np.abs(listing_7_2.sum(axis=-1) - 1).max() > 0.1
    notes = np.exp(logits) / np.exp(logits).sum()
    assert notes.sum() == pytest.approx(1)  # 1 for all twenty rows together


def test_softmax_examples_of_the_texts():
    np.testing.assert_array_equal(activations.softmax(np.ones(4)), [0.25] * 4)
    printed = np.array([0.005, 0.005, 0.030, 0.620, 0.101, 0.020, 0.219])  # plane, car, ship, cat, dog, bird, sun
    assert printed.sum() == pytest.approx(1) and printed.argmax() == 3
    np.testing.assert_allclose(activations.softmax(np.log(printed)), printed, **FLOAT64)
    two = normal(0, 6, 2)  # two classes are logistic regression
    np.testing.assert_allclose(activations.softmax(two)[:, 1], activations.sigmoid(two[:, 1] - two[:, 0]), **FLOAT64)
    np.testing.assert_array_equal(activations.log_softmax(np.array([1e4, 0.0])), [0, -1e4])


@quick
@given(st.integers(1, 4), st.integers(1, 4), seeds)
def test_hardmax_is_the_limit_of_a_cold_softmax(rows, classes, seed):
    logits = normal(seed, rows, classes)
    found = activations.hardmax(logits)
    np.testing.assert_allclose(activations.softmax(logits / 1e-9), found, atol=1e-6)
    np.testing.assert_array_equal(activations.hardmax(logits.T, axis=0), found.T)
    assert not activations.hardmax_backward(logits, np.ones_like(logits)).any()
    assert activations.hardmax(np.zeros((1, 3))).tolist() == [[1, 0, 0]]


@quick
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), seeds)
def test_maxout(rows, inputs, outputs, pieces, seed):
    values, weight, bias = (
        normal(seed, rows, inputs),
        normal(seed + 1, pieces, inputs, outputs),
        normal(seed + 2, pieces, outputs),
    )
    by_hand = [
        [max(values[n] @ weight[k, :, m] + bias[k, m] for k in range(pieces)) for m in range(outputs)]
        for n in range(rows)
    ]
    np.testing.assert_allclose(activations.maxout(values, weight, bias), by_hand, **FLOAT64)
    gradient = normal(seed + 3, rows, outputs)
    found = activations.maxout_backward(values, weight, bias, gradient)
    for place, (one, argument) in enumerate(zip(found, (values, weight, bias), strict=True)):

        def of(changed, place=place):
            arguments = [values, weight, bias]
            arguments[place] = changed
            return (gradient * activations.maxout(*arguments)).sum()

        np.testing.assert_allclose(one, differences(of, argument), **NEAR)


def test_two_pieces_make_a_relu_or_an_absolute_value():
    inputs = np.linspace(-2, 2, 9)[:, None]
    zero = np.zeros((2, 1))
    relu = activations.maxout(inputs, np.array([[[0.0]], [[1.0]]]), zero)
    np.testing.assert_array_equal(relu, activations.relu(inputs))
    absolute = activations.maxout(inputs, np.array([[[-1.0]], [[1.0]]]), zero)
    np.testing.assert_array_equal(absolute, activations.absolute(inputs))

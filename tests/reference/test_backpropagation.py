"""The four equations: by the computation graph, by PyTorch, by central differences, and what the texts have wrong."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gradus.reference import backpropagation as bp
from gradus.reference import graph
from gradus.reference.graph import Variable

quick = settings(max_examples=25, deadline=None)
CLOSE = {"rtol": 1e-11, "atol": 1e-13}
sizes = st.lists(st.integers(1, 5), min_size=2, max_size=5)


def case(sizes: list[int], samples: int, seed: int):
    generator = np.random.default_rng(seed)
    weights, biases = bp.initial_network(sizes, generator)
    return generator.normal(size=(sizes[0], samples)), generator.uniform(size=(sizes[-1], samples)), weights, biases


@quick
@given(sizes, st.integers(1, 4), st.integers(0, 999))
def test_the_equations_are_the_derivatives_of_the_graph_and_of_torch(sizes, samples, seed):
    inputs, targets, weights, biases = case(sizes, samples, seed)
    by_weights, by_biases = bp.backpropagate(inputs, targets, weights, biases)

    nodes = [[Variable(value) for value in group] for group in (weights, biases)]
    activation = inputs
    for weight, bias in zip(*nodes, strict=True):
        activation = graph.sigmoid(weight @ activation + bias)
    (graph.sum((activation - targets) ** 2) / 2).backward()

    tensors = [[torch.tensor(value, requires_grad=True) for value in group] for group in (weights, biases)]
    outputs = torch.tensor(inputs)
    for weight, bias in zip(*tensors, strict=True):
        outputs = torch.sigmoid(weight @ outputs + bias)
    (0.5 * (outputs - torch.tensor(targets)).square().sum()).backward()

    np.testing.assert_allclose(bp.feed_forward(inputs, weights, biases)[1][-1], outputs.detach().numpy(), **CLOSE)
    for found, group, others in zip((by_weights, by_biases), nodes, tensors, strict=True):
        for one, node, tensor in zip(found, group, others, strict=True):
            np.testing.assert_allclose(one, node.gradient, **CLOSE)
            np.testing.assert_allclose(one, tensor.grad.numpy(), **CLOSE)


def test_the_network_of_the_listings_by_central_differences():
    """Principles and Practice, listings 2-2 to 2-4: 3-4-2, one sample, y = (0, 1)."""
    weights, biases = bp.initial_network([3, 4, 2], np.random.default_rng(0))
    assert [weight.shape for weight in weights] == [(4, 3), (2, 4)] and [b.shape for b in biases] == [(4, 1), (2, 1)]
    assert sum(weight.size for weight in weights) == 20 and weights[0].size + biases[0].size == 16
    inputs, targets = np.random.default_rng(1).normal(size=(3, 1)), np.array([[0.0], [1.0]])
    found = bp.backpropagate(inputs, targets, weights, biases)
    step = 1e-6
    for parameters, slopes in zip((weights, biases), found, strict=True):
        for parameter, slope in zip(parameters, slopes, strict=True):
            assert slope.shape == parameter.shape
            for index in np.ndindex(parameter.shape):
                losses = []
                for sign in (1, -1):
                    parameter[index] += sign * step
                    losses.append(bp.squared_error(bp.feed_forward(inputs, weights, biases)[1][-1], targets))
                    parameter[index] -= sign * step
                assert slope[index] == pytest.approx((losses[0] - losses[1]) / (2 * step), abs=1e-9)


def test_another_activation():
    inputs, targets, weights, biases = case([2, 3, 1], 4, 5)
    found = bp.backpropagate(inputs, targets, weights, biases, np.tanh, lambda z: 1 - np.tanh(z) ** 2)
    tensors = [torch.tensor(value, requires_grad=True) for value in (*weights, *biases)]
    outputs = torch.tensor(inputs)
    for weight, bias in zip(tensors[:2], tensors[2:], strict=True):
        outputs = torch.tanh(weight @ outputs + bias)
    (0.5 * (outputs - torch.tensor(targets)).square().sum()).backward()
    for one, tensor in zip([*found[0], *found[1]], tensors, strict=True):
        np.testing.assert_allclose(one, tensor.grad.numpy(), **CLOSE)


def test_the_sigmoid_of_listing_2_1_is_not_what_it_prints():
    z = np.array([-2.0, 0.0, 3.0])
    np.testing.assert_allclose(bp.sigmoid(z), torch.sigmoid(torch.tensor(z)), rtol=1e-14)
    printed = 1.0 / 1.0 + np.exp(-z)
    assert (printed > 1).all() and not np.allclose(printed, bp.sigmoid(z))
    step = 1e-6
    slope = (bp.sigmoid(z + step) - bp.sigmoid(z - step)) / (2 * step)
    np.testing.assert_allclose(bp.sigmoid_derivative(z), slope, rtol=1e-8)
    assert bp.sigmoid(np.array([-1e4, 1e4])).tolist() == [0, 1]


def test_a_small_input_makes_a_weight_learn_slowly():
    """BP4: the input is a factor of the derivative."""
    _, targets, weights, biases = case([2, 3, 1], 1, 2)
    by_weights, _ = bp.backpropagate(np.array([[1e-3], [1.0]]), targets, weights, biases)
    np.testing.assert_allclose(by_weights[0][:, 0], 1e-3 * by_weights[0][:, 1], rtol=1e-12)


# ---- Plain Talk §4.3: two neurons in a row, x = 1 ... 10, y = 0.1 ... 1.0

X, Y = np.arange(1.0, 11)[None], np.arange(1.0, 11)[None] / 10


def chain(w_h: float, b_h: float, w_o: float, b_o: float):
    return [np.array([[w_h]]), np.array([[w_o]])], [np.array([[b_h]]), np.array([[b_o]])]


def test_the_residual_that_plain_talk_leaves_out():
    weights, biases = chain(0.1, 0.0, 0.1, 0.0)
    (by_w_h, by_w_o), (by_b_h, by_b_o) = bp.backpropagate(X, Y, weights, biases)
    y_h = bp.sigmoid(0.1 * X)
    y_o = bp.sigmoid(0.1 * y_h)
    error_o = (y_o - Y) * y_o * (1 - y_o)
    error_h = error_o * 0.1 * y_h * (1 - y_h)
    for found, right in ((by_w_o, error_o * y_h), (by_b_o, error_o), (by_w_h, error_h * X), (by_b_h, error_h)):
        assert found.item() == pytest.approx(right.sum(), rel=1e-12)
    # without the factor it is the derivative of the sum of y_o - y: of another sign here, and not the loss's
    printed = (y_o * (1 - y_o) * y_h).sum()
    step = 1e-6
    sums = [bp.sigmoid((0.1 + sign * step) * y_h).sum() for sign in (1, -1)]
    assert printed == pytest.approx((sums[0] - sums[1]) / (2 * step), rel=1e-8)
    assert by_w_o.item() < 0 < printed


def test_ten_points_are_fitted_as_well_as_two_sigmoids_can():
    """Near the best there is: the target 1.0 is out of a sigmoid's reach."""
    weights, biases = chain(0.0997, -1.737, 28.2, -6.37)
    outputs = bp.feed_forward(X, weights, biases)[1][-1]
    assert 2 * bp.squared_error(outputs, Y) == pytest.approx(0.00874, abs=2e-4)
    np.testing.assert_allclose(
        outputs[0], [0.144, 0.2, 0.276, 0.374, 0.49, 0.613, 0.729, 0.824, 0.893, 0.938], atol=0.01
    )


def test_a_step_too_large_swings_between_two_states():
    """Full-batch descent with rate 0.5 ends in a cycle of period two, with 0.05 it goes on down."""

    def descend(rate: float, steps: int) -> list[float]:
        weights, biases = chain(0.1, 0.0, 0.1, 0.0)
        seen = []
        for _ in range(steps):
            by_weights, by_biases = bp.backpropagate(X, Y, weights, biases)
            for parameters, slopes in ((weights, by_weights), (biases, by_biases)):
                for parameter, slope in zip(parameters, slopes, strict=True):
                    parameter -= rate * slope
            seen.append(2 * bp.squared_error(bp.feed_forward(X, weights, biases)[1][-1], Y))
        return seen

    swinging, falling = descend(0.5, 6000)[-4:], descend(0.05, 3000)
    np.testing.assert_allclose(swinging[2:], swinging[:2], rtol=1e-6)
    assert sorted(np.round(swinging[:2], 3)) == [0.055, 0.073]
    assert all(after < before for before, after in pairwise(falling[1000:]))

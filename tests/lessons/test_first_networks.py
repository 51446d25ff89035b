"""Lessons on first networks: their numbers against those of the texts and against what can be derived."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import numbers
from scipy.optimize import least_squares

from gradus.lessons import (
    chain_net,
    forward_and_backward,
    logic_gates,
    plane,
    snowflake,
    two_moons,
    universal_approximation,
    why_depth,
)

quick = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 999)


# ---- forward and backward


@quick
@given(seeds)
def test_backward_is_that_of_torch(seed):
    generator = np.random.default_rng(seed)
    weights = [(generator.normal(size=(n, m)), generator.normal(size=m)) for n, m in ((3, 4), (4, 2))]
    inputs, target = generator.normal(size=3), generator.random(2)
    done = forward_and_backward.backward(inputs, target, weights)
    tensors = [[torch.tensor(value, requires_grad=True) for value in layer] for layer in weights]
    value = torch.tensor(inputs)
    for weight, bias in tensors:
        value = torch.sigmoid(value @ weight + bias)
    (((value - torch.tensor(target)) ** 2).sum() / 2).backward()
    for (weight, bias), by_weight, by_bias in zip(tensors, done.by_weight, done.by_bias, strict=True):
        np.testing.assert_allclose(by_weight, weight.grad, rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(by_bias, bias.grad, rtol=1e-10, atol=1e-14)


def test_the_small_network():
    found = numbers("forward-and-backward")
    assert (found["weights"], found["biases"]) == (20, 6)
    assert found["largest_difference"] < 1e-9
    assert found["loss_after_200"] < found["loss_after_one"] < found["loss"]
    assert found["printed_sigmoid"] == 2


# ---- the chain


@quick
@given(seeds)
def test_chain_gradient_by_differences(seed):
    weights, step = np.random.default_rng(seed).normal(size=4), 1e-6
    measured = [
        (chain_net.squared_error(weights + step * unit) - chain_net.squared_error(weights - step * unit)) / (4 * step)
        for unit in np.eye(4)
    ]
    np.testing.assert_allclose(chain_net.gradient(weights), measured, rtol=1e-5, atol=1e-7)


def test_chain_learns_and_overshoots():
    found = numbers("chain-net")
    assert 0.00836 < found["squared_error"] < 0.0091
    assert (found["low_error"], found["high_error"]) == pytest.approx((0.055, 0.073), abs=0.001)
    assert found["period"] < 1e-6
    assert found["nothing_error"] == pytest.approx(3.85)
    assert found["printed_error"] == pytest.approx(3.85, rel=0.02)


def test_what_the_chain_can_reach():
    """For ever larger weights the chain becomes sigmoid(A exp(k x) + B): its best fit is the limit that the lesson names."""
    x, y = chain_net.X, chain_net.Y
    best = least_squares(lambda p: 1 / (1 + np.exp(-p[0] * np.exp(p[2] * x) - p[1])) - y, [3.0, -5.0, 0.05])
    assert 2 * best.cost == pytest.approx(0.00836, abs=1e-5)
    start = [0.0997, -1.737, 28.2, -6.37]
    near = least_squares(lambda p: chain_net.outputs(p)[1] - y, start, max_nfev=200)
    assert 2 * best.cost < 2 * near.cost < chain_net.squared_error(np.array(start)) == pytest.approx(0.00874, abs=1e-4)


# ---- two moons


def test_the_golden_losses():
    points, classes = two_moons.patients(300, 0)
    _, losses = two_moons.train(3, points, classes, two_moons.PASSES + 1)
    assert {step: round(losses[step], 6) for step in two_moons.PRINTED} == two_moons.PRINTED


def test_the_straight_border_is_not_that_bad():
    points, classes = two_moons.patients(300, 0)
    assert two_moons.straight_border(points, classes).score(points, classes) == pytest.approx(250 / 300)


def test_moons_step_is_that_of_torch():
    points, classes = two_moons.patients(50, 3)
    network = two_moons.Network.of_width(4)
    names = ("hidden_weight", "hidden_bias", "output_weight", "output_bias")
    tensors = {name: torch.tensor(getattr(network, name), requires_grad=True) for name in names}
    scores = (
        torch.tanh(torch.tensor(points) @ tensors["hidden_weight"] + tensors["hidden_bias"]) @ tensors["output_weight"]
    )
    scores = scores + tensors["output_bias"]
    loss = torch.nn.functional.cross_entropy(scores, torch.tensor(classes), reduction="sum")
    loss = loss + two_moons.PENALTY / 2 * (
        tensors["hidden_weight"].square().sum() + tensors["output_weight"].square().sum()
    )
    assert network.loss(points, classes) == pytest.approx(loss.item() / 50)
    loss.backward()
    network.step(points, np.eye(2)[classes])
    for name, tensor in tensors.items():
        after = (tensor - two_moons.RATE * tensor.grad).detach()
        np.testing.assert_allclose(getattr(network, name), after, rtol=1e-10, atol=1e-13)


def test_more_neurons_fit_the_seen_and_fail_the_new():
    found = numbers("two-moons")
    assert found["linear_accuracy"] == pytest.approx(0.8333, abs=1e-4)
    assert round(found["first_loss"], 6) == 0.389105 and round(found["last_loss"], 6) == 0.114779
    assert found["accuracy"] == pytest.approx(0.9567, abs=1e-4)
    assert found["right_50"] > found["right_4"] > 0.95
    assert found["seen_50"] < found["seen_4"] < found["new_4"] < found["new_50"] - 0.04


def test_the_loss_jumps_between_the_printed_passes():
    found = numbers("two-moons")
    assert round(found["between"], 6) == 0.114975
    assert found["again"] == pytest.approx(found["last_loss"], abs=1e-8)


# ---- gates


def test_gates_to_ten_decimals():
    for name, printed in logic_gates.PRINTED.items():
        assert tuple(f"{value:.10f}" for value in logic_gates.gate(name, logic_gates.PAIRS)) == printed
    found = numbers("logic-gates")
    assert (f"{found['not_1']:.10f}", f"{found['not_0']:.10f}") == ("0.0000453979", "0.9999546021")


def test_xor_needs_two_layers():
    found = numbers("logic-gates")
    assert found["one_neuron"] == 3
    assert found["separable"] == 14
    assert found["xor_error"] < 1e-3


def test_universal_gates():
    found = numbers("logic-gates")
    assert (found["from_nand"], found["from_nor"], found["from_and_or"], found["sums"]) == (16, 16, 4, 256)
    assert logic_gates.closure(lambda a, b: a ^ b) == 4  # a, b, a XOR b, 0


# ---- snowflake


def test_the_network_draws_the_star():
    found = numbers("snowflake")
    assert found["wrong"] == 0
    where = plane.grid((-2.5, 2.5), (-2.5, 2.5), 501)
    # a hexagon of apothem 1 has area 2 * sqrt(3), the star twice that
    assert snowflake.star(where).mean() * 25 == pytest.approx(4 * np.sqrt(3), rel=0.01)


def test_the_printed_triangles_are_wrong():
    assert numbers("snowflake")["printed_wrong"] == pytest.approx(0.27, abs=0.01)


def test_every_point_of_the_star_is_named_once():
    names = [frozenset(area.items()) for area in snowflake.POINTS]
    assert len(set(names)) == 6
    for line, wrong in snowflake.PRINTED_WRONG.items():
        right = snowflake.POINTS[snowflake.RING.index(line)]
        assert {k for k in wrong if wrong[k] != right[k]} == {2}


def test_shattering_is_covers_count():
    found = numbers("snowflake")
    assert (found["splits_three"], found["splits_row"], found["splits_four"], found["splits_centre"]) == (8, 6, 14, 14)
    # Cover (1965): N points in general position in the plane have 2 * sum of C(N - 1, k), k = 0, 1, 2
    assert snowflake.splits(np.random.default_rng(0).normal(size=(5, 2))) == 2 * (1 + 4 + 6)


def test_softer_switches_draw_worse():
    found = numbers("snowflake")
    assert found["soft_wrong_20"] < found["soft_wrong_5"] < found["soft_wrong_2"]
    assert found["best_line"] < 0.75


# ---- any curve


def test_errors_fall_as_they_should():
    found = numbers("universal-approximation")
    assert found["bumps_order"] == pytest.approx(1, abs=0.1)
    assert found["pieces_order"] == pytest.approx(2, abs=0.1)
    assert found["outside_pieces"] > 1 > 0.1 > found["inside"]
    assert found["noisy_few"] < 0.7 * found["noisy_many"]


@quick
@given(st.integers(1, 20))
def test_pieces_pass_through_the_curve(count):
    knots = np.linspace(0, 1, count + 1)
    np.testing.assert_allclose(
        universal_approximation.pieces(count)(knots), universal_approximation.curve(knots), atol=1e-10
    )
    middles = (knots[:-1] + knots[1:]) / 2
    np.testing.assert_allclose(
        universal_approximation.bumps(count)(middles), universal_approximation.curve(middles), atol=1e-6
    )
    dense = np.linspace(0, 1, 97)
    np.testing.assert_allclose(
        universal_approximation.pieces(count)(dense),
        np.interp(dense, knots, universal_approximation.curve(knots)),
        atol=1e-10,
    )


# ---- depth


def test_linear_layers_collapse():
    found = numbers("why-depth")
    assert found["collapse"] < 1e-12
    assert found["linear_loss"] == pytest.approx(np.log(2), abs=1e-3)
    assert found["tanh_loss"] < 0.02


def test_equal_neurons_stay_equal():
    found = numbers("why-depth")
    assert found["zero_unlikeness"] == 0
    assert found["equal_unlikeness"] < 1e-9
    assert found["zero_loss"] == pytest.approx(np.log(2))
    assert found["equal_loss"] > 0.4 and found["larger_loss"] < 0.02 and found["small_loss"] < 0.02
    assert found["tiny_loss"] == pytest.approx(np.log(2), abs=1e-3)


@quick
@given(st.integers(1, 10))
def test_teeth_double(layers):
    x = np.arange(0, 1 + 1e-12, 2.0**-12)
    assert why_depth.straight_pieces(why_depth.teeth(x, layers)) == 2**layers


def test_parity_both_ways():
    found = numbers("why-depth")
    assert (found["tree_wrong"], found["wide_wrong"], found["and_neurons"]) == (0, 0, 128)

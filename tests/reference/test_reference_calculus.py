"""Differences against exact derivatives, searches with the paths of *Plain Talk* §4.2, and the gradient check with its faults."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from gradus.reference import calculus

quick = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 999)


def parabola(x):
    return x**2 + 2


def loss_bowl(p):
    x, y = p
    return x**2 + y**2 + x * y + x + y + 1


def test_the_numeric_derivative_of_the_book():
    """§4.2: (18.008001 - 18) / 0.001 = 8.001 at 4; the central difference has 8."""
    assert parabola(4.001) == pytest.approx(18.008001, abs=1e-12)
    assert calculus.forward_difference(parabola, 4.0, 0.001) == pytest.approx(8.001, abs=1e-9)
    assert calculus.central_difference(parabola, 4.0, 0.001) == pytest.approx(8, abs=1e-9)


def test_both_values_are_at_the_weight():
    """§7.3 prints (Loss(w + Δ) - Loss(x)) / Δ: with another point it has nothing to do with the slope."""
    printed = (parabola(4.001) - parabola(3.0)) / 0.001
    assert printed > 7000 and calculus.forward_difference(parabola, 4.0, 0.001) < 8.01


def test_speed_is_the_derivative_of_the_way():
    """§4.2: s = 2 t^2 + 4 has the speed 20 at t = 5; with 6 m/s^2 the k-th tenth of a second covers 0.03 (2k - 1) m."""
    assert calculus.central_difference(lambda t: 2 * t**2 + 4, 5.0) == pytest.approx(20)
    ways = np.diff(3 * (0.1 * np.arange(11)) ** 2)
    np.testing.assert_allclose(ways, 0.03 * (2 * np.arange(1, 11) - 1))
    # the mean speed in a piece is the speed in its middle
    middles = [calculus.central_difference(lambda t: 3 * t**2, 0.1 * k - 0.05) for k in range(1, 11)]
    np.testing.assert_allclose(ways / 0.1, middles, rtol=1e-8)
    assert ways[0] / 0.1 == pytest.approx(0.3) and ways[-1] / 0.1 == pytest.approx(5.7)


@quick
@given(st.floats(-3, 3), st.sampled_from([0.1, 0.01]))
def test_errors_of_the_differences(point, step):
    forward = calculus.forward_difference(np.exp, point, step) - np.exp(point)
    central = calculus.central_difference(np.exp, point, step) - np.exp(point)
    assert forward == pytest.approx(step / 2 * np.exp(point), rel=0.05)
    assert central == pytest.approx(step**2 / 6 * np.exp(point), rel=0.02)


def test_the_gradient_is_the_slope_and_not_the_curvature():
    """*Deep Learning with Python* §2.4.2 calls it curvature: that is the same everywhere on a parabola, the slope is not."""
    for x in (-3.0, 0.5, 4.0):
        assert calculus.central_difference(parabola, x) == pytest.approx(2 * x, abs=1e-6)
        assert calculus.second_difference(parabola, x) == pytest.approx(2, abs=1e-5)


def test_a_corner_has_no_derivative():
    """|x| at 0: from the right 1, from the left -1, in the middle 0."""
    assert calculus.forward_difference(abs, 0.0) == 1 and calculus.forward_difference(abs, 0.0, -0.001) == -1
    assert calculus.central_difference(abs, 0.0) == 0


def test_the_gradient_of_the_bowl():
    """x^2 + 8 y^2 at (3, 4): (6, 64)."""
    np.testing.assert_allclose(calculus.gradient(lambda p: p[0] ** 2 + 8 * p[1] ** 2, np.array([3.0, 4.0])), [6, 64])


def network(weights: np.ndarray) -> np.ndarray:
    return np.tanh(weights[:3]) * weights[1:4] + np.exp(0.3 * weights[3])


@settings(max_examples=8, deadline=None)
@given(seeds)
def test_gradient_jacobian_and_hessian_are_those_of_torch(seed):
    point = np.random.default_rng(seed).normal(size=4)

    def in_torch(weights):
        return torch.tanh(weights[:3]) * weights[1:4] + torch.exp(0.3 * weights[3])

    tensor = torch.tensor(point)
    np.testing.assert_allclose(
        calculus.jacobian(network, point), torch.autograd.functional.jacobian(in_torch, tensor), atol=1e-8
    )
    total = lambda w: float((network(w) ** 2).sum())  # noqa: E731
    in_total = lambda w: (in_torch(w) ** 2).sum()  # noqa: E731
    np.testing.assert_allclose(
        calculus.gradient(total, point), torch.autograd.functional.jacobian(in_total, tensor), rtol=1e-6, atol=1e-7
    )
    found = calculus.hessian(total, point)
    np.testing.assert_allclose(found, torch.autograd.functional.hessian(in_total, tensor), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(found, found.T)


def test_a_gradient_has_the_shape_of_its_point():
    point = np.arange(6.0).reshape(2, 3)
    np.testing.assert_allclose(calculus.gradient(lambda w: (w**3).sum(), point), 3 * point**2, atol=1e-6)
    np.testing.assert_array_equal(point, np.arange(6.0).reshape(2, 3))


@quick
@given(st.floats(-2, 2))
def test_product_and_chain_rule(x):
    product = calculus.product_derivative(np.sin, np.cos, lambda t: t**3, lambda t: 3 * t**2)
    assert product(x) == pytest.approx(calculus.central_difference(lambda t: np.sin(t) * t**3, x), abs=1e-7)
    # u(v(g(f(x)))), four deep
    functions = [np.tanh, np.sin, np.exp, lambda t: 0.3 * t**2]
    slopes = [lambda t: 1 - np.tanh(t) ** 2, np.cos, np.exp, lambda t: 0.6 * t]
    chain = calculus.chain_derivative(functions, slopes)
    nested = lambda t: np.tanh(np.sin(np.exp(0.3 * t**2)))  # noqa: E731
    assert chain(x) == pytest.approx(calculus.central_difference(nested, x), abs=1e-7)


# searches


def test_newton_doubles_the_digits():
    path = calculus.newton(lambda x: x**2 - 2, lambda x: 2 * x, 1.0, 6)
    assert path[1] == 1.5 and path[2] == pytest.approx(17 / 12) and path[3] == pytest.approx(577 / 408)
    errors = np.abs(path - np.sqrt(2))
    np.testing.assert_allclose(errors[1:4], errors[:3] ** 2 / (2 * path[:3]), rtol=1e-6)
    assert errors[-1] < 1e-15


def test_newton_ends_where_the_tangent_is_level():
    np.testing.assert_array_equal(calculus.newton(lambda x: x**2 - 2, lambda x: 2 * x, 0.0), [0.0])


def test_one_newton_step_finds_the_bottom_of_a_bowl():
    """*Plain Talk* §4.3: x^2 + y^2 + xy + x + y + 1 has its minimum, 2/3, at (-1/3, -1/3)."""
    slope = lambda p: calculus.gradient(loss_bowl, p)  # noqa: E731
    curvature = lambda p: calculus.hessian(loss_bowl, p)  # noqa: E731
    path = calculus.newton_minimizer(slope, curvature, np.array([4.0, -7.0]), 1)
    np.testing.assert_allclose(path[-1], [-1 / 3, -1 / 3], atol=1e-5)
    assert loss_bowl(path[-1]) == pytest.approx(2 / 3, abs=1e-9)
    exact = calculus.newton_minimizer(
        lambda p: np.array([2 * p[0] + p[1] + 1, 2 * p[1] + p[0] + 1]),
        lambda p: np.array([[2.0, 1], [1, 2]]),
        np.array([4.0, -7.0]),
        1,
    )
    np.testing.assert_allclose(exact[-1], [-1 / 3, -1 / 3], rtol=1e-12)


def test_newton_goes_to_a_saddle_as_well():
    path = calculus.newton_minimizer(
        lambda p: np.array([2 * p[0], -2 * p[1]]), lambda p: np.diag([2.0, -2]), np.array([1.0, 0.1]), 1
    )
    np.testing.assert_array_equal(path[-1], [0, 0])


def test_nudging_takes_fifteen_moves():
    """§4.2: x^2 + 2 from 3 by 0.2; 2.8 has 9.84 and 3.2 has 12.24."""
    tried = []

    def counted(x):
        tried.append(float(x))
        return parabola(x)

    path = calculus.nudge(counted, 3.0, 0.2)
    assert len(path) - 1 == 15
    np.testing.assert_allclose(path, 3 - 0.2 * np.arange(16), atol=1e-12)
    np.testing.assert_allclose(tried[:3], [3, 3.2, 2.8])
    assert parabola(2.8) == pytest.approx(9.84) and parabola(3.2) == pytest.approx(12.24)
    assert len(tried) == 1 + 2 * 16  # two a move, and two to see that it is over


def test_nudging_in_the_plane_tries_four_directions():
    calls = []
    path = calculus.nudge(lambda p: calls.append(1) or float(p[0] ** 2 + 8 * p[1] ** 2), np.array([1.0, -0.4]), 0.2)
    np.testing.assert_allclose(path[-1], 0, atol=1e-12)
    assert len(path) == 1 + 5 + 2 and len(calls) == 1 + 4 * len(path)


def test_nudging_one_weight_of_the_book():
    """*Deep Learning with Python* §2.4: 0.3 has the loss 0.5, 0.35 has 0.6, 0.25 has 0.4: it goes to 0.25."""
    losses = {0.25: 0.4, 0.3: 0.5, 0.35: 0.6, 0.2: 0.45}
    path = calculus.nudge(lambda w: losses[round(float(w), 2)], 0.3, 0.05)
    np.testing.assert_allclose(path, [0.3, 0.25])


def rosenbrock(p):
    return float(100 * (p[1] - p[0] ** 2) ** 2 + (1 - p[0]) ** 2)


def rosenbrock_gradient(p):
    return np.array([-400 * p[0] * (p[1] - p[0] ** 2) - 2 * (1 - p[0]), 200 * (p[1] - p[0] ** 2)])


def test_lbfgs_goes_through_the_valley():
    path = calculus.limited_memory_bfgs(rosenbrock, rosenbrock_gradient, np.array([-1.2, 1.0]), 100)
    np.testing.assert_allclose(path[-1], [1, 1], atol=1e-6)
    oracle = optimize.fmin_l_bfgs_b(rosenbrock, np.array([-1.2, 1.0]), rosenbrock_gradient)
    assert rosenbrock(path[-1]) < 1e-10 and len(path) < 3 * oracle[2]["nit"]
    values = [rosenbrock(p) for p in path]
    assert values == sorted(values, reverse=True)


@quick
@given(st.integers(1, 5), seeds)
def test_lbfgs_on_bowls(size, seed):
    generator = np.random.default_rng(seed)
    root = generator.normal(size=(size, size))
    matrix, target = root @ root.T + np.eye(size), generator.normal(size=size)
    path = calculus.limited_memory_bfgs(
        lambda p: float((p - target) @ matrix @ (p - target)) / 2, lambda p: matrix @ (p - target), np.zeros(size), 100
    )
    np.testing.assert_allclose(path[-1], target, atol=1e-5)


# the gradient check


def relu(z):
    return np.maximum(z, 0)


def exercise() -> tuple[dict, np.ndarray, np.ndarray]:
    """The network of the course notes' exercise (§2.1.11): 4-5-3-1, ReLU and sigmoid, three samples as columns, seed 1."""
    random = np.random.RandomState(1)
    inputs = random.randn(4, 3)
    shapes = {"W1": (5, 4), "b1": (5, 1), "W2": (3, 5), "b2": (3, 1), "W3": (1, 3), "b3": (1, 1)}
    return {name: random.randn(*shape) for name, shape in shapes.items()}, inputs, np.array([[1, 1, 0]])


def forward(p: dict, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    first = relu(p["W1"] @ inputs + p["b1"])
    second = relu(p["W2"] @ first + p["b2"])
    return first, second, 1 / (1 + np.exp(-(p["W3"] @ second + p["b3"])))


def cost(p: dict, inputs: np.ndarray, targets: np.ndarray) -> float:
    output = forward(p, inputs)[2]
    return float(-(targets * np.log(output) + (1 - targets) * np.log(1 - output)).mean())


def backward(p: dict, inputs: np.ndarray, targets: np.ndarray) -> dict:
    first, second, output = forward(p, inputs)
    d3 = (output - targets) / inputs.shape[1]
    d2 = p["W3"].T @ d3 * (second > 0)
    d1 = p["W2"].T @ d2 * (first > 0)
    layers = {"1": (d1, inputs), "2": (d2, first), "3": (d3, second)}
    weights = {f"W{name}": error @ below.T for name, (error, below) in layers.items()}
    return weights | {f"b{name}": error.sum(axis=1, keepdims=True) for name, (error, _) in layers.items()}


def test_the_check_finds_the_planted_faults():
    """dW2 doubled and db1 times four: an error of 0.285, which is 1e-7 once they are mended."""
    parameters, inputs, targets = exercise()
    right = backward(parameters, inputs, targets)
    loss = lambda p: cost(p, inputs, targets)  # noqa: E731
    faulty = right | {"W2": 2 * right["W2"], "b1": 4 * right["b1"]}
    before = calculus.gradient_check(loss, faulty, parameters)
    after = calculus.gradient_check(loss, right, parameters)
    assert before["all"] == pytest.approx(0.285, abs=5e-4) and calculus.verdict(before["all"]) == "wrong"
    assert after["all"] < 1e-6 and calculus.verdict(after["all"]) == "right"
    # and it says where: |2 - 1| / (2 + 1) and |4 - 1| / (4 + 1)
    assert before["W2"] == pytest.approx(1 / 3, abs=1e-6) and before["b1"] == pytest.approx(3 / 5, abs=1e-6)
    assert max(before[name] for name in ("W1", "b2", "W3", "b3")) < 1e-5


def test_the_check_agrees_with_autograd():
    parameters, inputs, targets = exercise()
    tensors = {name: torch.tensor(value, requires_grad=True) for name, value in parameters.items()}
    hidden = torch.relu(tensors["W1"] @ torch.tensor(inputs) + tensors["b1"])
    hidden = torch.relu(tensors["W2"] @ hidden + tensors["b2"])
    output = (tensors["W3"] @ hidden + tensors["b3"]).sigmoid()
    torch.nn.functional.binary_cross_entropy(output, torch.tensor(targets, dtype=torch.float64)).backward()
    for name, found in backward(parameters, inputs, targets).items():
        np.testing.assert_allclose(found, tensors[name].grad, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(
    ("error", "word"), [(1e-9, "right"), (2e-7, "right"), (1e-5, "look"), (1e-3, "wrong"), (0.3, "wrong")]
)
def test_verdicts(error, word):
    assert calculus.verdict(error) == word


def test_relative_errors():
    assert calculus.relative_error(np.zeros(3), np.zeros(3)) == 0
    assert calculus.relative_error(np.ones(3), -np.ones(3)) == 1 == calculus.relative_error(np.ones(3), np.zeros(3))


# convolution of functions


def triangle(t):
    return np.maximum(1 - np.abs(t), 0)


def ramp(t):
    return np.where((t >= 1) & (t <= 2), t, 0.0)


def test_a_triangle_and_a_ramp():
    """*Plain Talk* §6.2: h lives on [0, 3], so the snapshots at -2 and -1 show nothing."""
    places = np.array([-2.0, -1, 0, 1, 2, 3, 4])
    found = calculus.convolution(triangle, ramp, places, -1, 1)
    np.testing.assert_array_equal(found[[0, 1, 2, 5, 6]], 0)
    # at 1: f(t) (1 - t) for 1 <= 1 - t <= 2, t from -1 to 0: integral of (1 + t)(1 - t) = 2/3; at 2: (1 - t)(2 - t) over 0..1
    np.testing.assert_allclose(found[3:5], [2 / 3, 5 / 6], rtol=1e-5)
    inside = calculus.convolution(triangle, ramp, np.linspace(0.05, 2.95, 30), -1, 1)
    assert (inside > 0).all()
    # a square pulse, as the text calls it, gives something else
    pulse = calculus.convolution(triangle, lambda t: ((t >= 1) & (t <= 2)) * 1.0, places, -1, 1)
    np.testing.assert_allclose(pulse[3:5], [1 / 2, 1 / 2], rtol=1e-5)


def test_convolution_can_be_turned_round():
    places = np.linspace(-0.5, 3.5, 9)
    np.testing.assert_allclose(
        calculus.convolution(triangle, ramp, places, -1, 1, 20_000),
        calculus.convolution(ramp, triangle, places, 1, 2, 20_000),
        atol=1e-3,
    )
    # normal densities: variances add up
    density = lambda s: lambda t: np.exp(-(t**2) / (2 * s**2)) / (s * np.sqrt(2 * np.pi))  # noqa: E731
    found = calculus.convolution(density(0.6), density(0.8), places, -6, 6)
    np.testing.assert_allclose(found, density(1.0)(places), rtol=1e-8)


def test_ten_sigmoids_explode():
    """*Plain Talk* §7.3: |w σ'| is 2.5 at w = 10 where z = 0, so ten layers multiply by 2.5^10 = 9536.7; with w = 1 by 4^-10."""
    sigmoid = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731

    def layer(w):
        inside = lambda x: sigmoid(w * (x - 0.5))  # noqa: E731
        return inside, lambda x: w * inside(x) * (1 - inside(x))

    for weight, factor in ((10, 2.5), (1, 0.25)):
        function, slope = layer(weight)
        found = calculus.chain_derivative([function] * 10, [slope] * 10)(0.5)
        assert found == pytest.approx(factor**10)
        assert weight == 1 or found == pytest.approx(9536.74, abs=0.01)

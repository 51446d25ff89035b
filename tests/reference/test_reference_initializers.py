"""Initial weights: their moments and bounds, the experiments of the texts with their numbers, torch where it has the same."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gradus.reference import initializers

quick = settings(max_examples=25, deadline=None)
DENSE, CONVOLUTION = (400, 250), (64, 32, 3, 3)  # fans 400, 250 and 288, 576


def draw(name: str, shape: tuple[int, ...], seed: int = 0, **options) -> np.ndarray:
    return getattr(initializers, name)(shape, np.random.default_rng(seed), **options)


def test_fans_are_those_of_torch():
    for shape in ((5, 7), (4, 3, 5), (8, 3, 5, 5), (2, 3, 4, 5, 6)):
        # torch keeps a dense weight transposed
        stored = torch.empty(shape[::-1] if len(shape) == 2 else shape)
        assert initializers.fans(shape) == torch.nn.init._calculate_fan_in_and_fan_out(stored)


def test_a_bias_has_no_fans():
    with pytest.raises(ValueError, match=r"two or more dimensions, received the shape \(5,\)"):
        initializers.fans((5,))


NORMAL = {
    "normal": lambda n, m: 1.0,
    "small_normal": lambda n, m: 0.01,
    "scaled_normal": lambda n, m: 1 / math.sqrt(n),
    "lecun_normal": lambda n, m: 1 / math.sqrt(n),
    "he_normal": lambda n, m: math.sqrt(2 / n),
    "glorot_normal": lambda n, m: math.sqrt(2 / (n + m)),
}


@pytest.mark.parametrize("name", NORMAL)
@pytest.mark.parametrize(("shape", "fans"), [(DENSE, (400, 250)), (CONVOLUTION, (288, 576))])
def test_normal_schemes_are_normal_of_their_deviation(name, shape, fans):
    values = draw(name, shape) / NORMAL[name](*fans)
    assert values.shape == shape
    # 18 000 values or more: the deviation is known to 0.5 %, four times over
    assert values.std() == pytest.approx(1, abs=0.025) and abs(values.mean()) < 0.035
    assert stats.kstest(values.ravel()[:5000], "norm").pvalue > 1e-3


UNIFORM = {
    "uniform": lambda n, m: 1 / math.sqrt(n),
    "he_uniform": lambda n, m: math.sqrt(6 / n),
    "glorot_uniform": lambda n, m: math.sqrt(6 / (n + m)),
}


@pytest.mark.parametrize("name", UNIFORM)
@pytest.mark.parametrize(("shape", "fans"), [(DENSE, (400, 250)), (CONVOLUTION, (288, 576))])
def test_uniform_schemes_fill_their_bounds(name, shape, fans):
    values = draw(name, shape) / UNIFORM[name](*fans)
    assert 0.999 < np.abs(values).max() <= 1
    assert values.std() == pytest.approx(1 / math.sqrt(3), rel=0.02)
    assert stats.kstest(values.ravel()[:5000], stats.uniform(-1, 2).cdf).pvalue > 1e-3


def test_numerators_and_given_bounds():
    one, two = draw("scaled_normal", DENSE), draw("scaled_normal", DENSE, numerator=4.0)
    np.testing.assert_allclose(two, 2 * one, rtol=1e-12)
    np.testing.assert_allclose(
        draw("glorot_normal", DENSE, numerator=8.0), 2 * draw("glorot_normal", DENSE), rtol=1e-12
    )
    np.testing.assert_array_equal(draw("he_normal", DENSE), draw("scaled_normal", DENSE, numerator=2.0))
    assert np.abs(draw("uniform", DENSE, bound=0.1)).max() == pytest.approx(0.1, rel=1e-3)


def test_zeros_and_constants():
    np.testing.assert_array_equal(initializers.zeros((3, 2)), np.zeros((3, 2)))
    np.testing.assert_array_equal(initializers.constant((3,), 0.1), [0.1, 0.1, 0.1])


def test_truncated_normal_is_that_of_scipy():
    values = draw("truncated_normal", (500, 250), deviation=0.5)
    assert np.abs(values).max() <= 1 and np.abs(values).max() > 0.999
    assert stats.kstest(values.ravel()[:5000], stats.truncnorm(-2, 2, scale=0.5).cdf).pvalue > 1e-3
    assert pytest.approx(stats.truncnorm(-2, 2).std(), rel=1e-12) == initializers.TRUNCATED_DEVIATION
    assert pytest.approx(0.8796, abs=5e-5) == initializers.TRUNCATED_DEVIATION
    assert values.std() == pytest.approx(0.8796 * 0.5, rel=0.01)
    assert draw("truncated_normal", (500, 250), deviation=0.5, corrected=True).std() == pytest.approx(0.5, rel=0.01)


def test_the_examples_of_plain_talk():
    """§7.5: shape [3, 2] with deviation 1, and [500, 25] with 1/sqrt(500): the 500 inputs, not the 25 neurons of the layer."""
    assert draw("truncated_normal", (3, 2)).shape == (3, 2)
    inputs = draw("normal", (2000, 500), seed=1)
    by_inputs = inputs @ draw("truncated_normal", (500, 25), deviation=1 / math.sqrt(500))
    by_neurons = inputs @ draw("truncated_normal", (500, 25), deviation=1 / math.sqrt(25))
    assert by_inputs.std() == pytest.approx(0.88, abs=0.03)  # the size of the input, less what is cut off
    assert by_neurons.std() == pytest.approx(0.88 * math.sqrt(20), rel=0.04)


@quick
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 99))
def test_identity_hands_on(inputs, outputs, seed):
    rows = np.random.default_rng(seed).normal(size=(3, inputs))
    found = rows @ initializers.identity((inputs, outputs))
    shared = min(inputs, outputs)
    np.testing.assert_array_equal(found[:, :shared], rows[:, :shared])
    assert not found[:, shared:].any()


@pytest.mark.parametrize("shape", [(4, 4, 1, 1), (3, 5, 3, 3), (5, 3, 3, 5), (2, 2, 7)])
def test_identity_kernels_are_those_of_torch(shape):
    np.testing.assert_array_equal(initializers.identity(shape), torch.nn.init.dirac_(torch.empty(shape)).numpy())


def test_identity_convolution_hands_pictures_on():
    pictures = np.random.default_rng(0).normal(size=(2, 3, 6, 5))
    weight = torch.tensor(initializers.identity((3, 3, 3, 3)))
    found = torch.nn.functional.conv2d(torch.tensor(pictures), weight, padding=1)
    np.testing.assert_array_equal(found.numpy(), pictures)


def test_an_even_kernel_has_no_centre():
    with pytest.raises(ValueError, match=r"sides \(2, 2\) has no centre"):
        initializers.identity((1, 1, 2, 2))


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4), (8, 3, 3, 3), (40, 2, 3, 3)])
def test_orthogonal(shape):
    weight = draw("orthogonal", shape, gain=1.5).reshape(shape[0], -1)
    short = weight @ weight.T if weight.shape[0] <= weight.shape[1] else weight.T @ weight
    np.testing.assert_allclose(short, 2.25 * np.eye(min(weight.shape)), atol=1e-12)


def test_orthogonal_draws_are_even():
    """Each entry of an even draw in 2 dimensions has the mean 0; without the signs of R the first column would keep one sign."""
    generator = np.random.default_rng(0)
    values = np.array([initializers.orthogonal((2, 2), generator) for _ in range(2000)])
    assert np.abs(values.mean(axis=0)).max() < 0.07  # standard error 0.016
    assert 0.45 < (np.linalg.det(values) > 0).mean() < 0.55


def histogram(values: np.ndarray) -> float:
    """The share of sigmoid(z) within 0.01 of 0 or 1."""
    activations = 1 / (1 + np.exp(-values))
    return float(((activations < 0.01) | (activations > 0.99)).mean())


def test_histograms_of_principles_and_practice():
    """Listings 3-20 to 3-22: z of a neuron with 1000 inputs of 1. They call rand, uniform in 0..1, where randn is meant."""
    generator = np.random.default_rng(0)
    draws, inputs = 4000, 1000
    meant = initializers.normal((draws, inputs), generator).sum(axis=1)
    scaled = initializers.lecun_normal((inputs, draws), generator).sum(axis=0)
    assert meant.std() == pytest.approx(31.6, rel=0.03) and scaled.std() == pytest.approx(1.0, rel=0.03)
    assert abs(meant.mean()) < 2 and histogram(meant) > 0.85 and histogram(scaled) < 0.001
    printed = generator.random((draws, inputs)).sum(axis=1)
    assert printed.mean() == pytest.approx(500, abs=1) and printed.std() == pytest.approx(9.13, rel=0.04)
    assert (printed / math.sqrt(inputs)).mean() == pytest.approx(15.8, abs=0.05)
    assert histogram(printed / math.sqrt(inputs)) == 1.0  # all saturated, scaled or not


def test_the_sigmoid_of_the_listings_lacks_brackets():
    """1 / 1 + exp(-z) is 1 + exp(-z), above 1 for every z."""
    z = np.linspace(-5, 5, 11)
    assert (1 / 1 + np.exp(-z) > 1).all() and (1 / (1 + np.exp(-z)) < 1).all()


def test_randn_takes_no_tuple_and_ours_does():
    with pytest.raises(TypeError):
        np.random.randn((2, 3))
    assert draw("small_normal", (2, 3)).shape == (2, 3)


def train(weight: np.ndarray, second: np.ndarray, steps: int = 200) -> tuple[np.ndarray, float]:
    """(first weights after training, training accuracy) of 2-h-1 tanh and sigmoid on two moons-like arcs, plain NumPy."""
    generator = np.random.default_rng(5)
    angle = generator.uniform(0, np.pi, 200)
    side = np.arange(200) % 2
    inputs = np.stack([np.cos(angle) * (1 - 2 * side) + side, np.sin(angle) * (1 - 2 * side) + side / 2], axis=1) - 0.4
    bias, last = np.zeros(weight.shape[1]), 0.0
    for _ in range(steps):
        hidden = np.tanh(inputs @ weight + bias)
        output = 1 / (1 + np.exp(-(hidden @ second + last)))
        error = (output - side) / len(side)
        back = error[:, None] * second * (1 - hidden**2)
        weight, bias = weight - 2 * inputs.T @ back, bias - 2 * back.sum(axis=0)
        second, last = second - 2 * hidden.T @ error, last - 2 * error.sum()
    return weight, float(((output > 0.5) == side).mean())


def test_equal_neurons_stay_equal():
    """Course notes §1.3.6: from 0 nothing of the first layer moves; from equal values all neurons move alike."""
    first, _ = train(initializers.zeros((2, 6)), initializers.zeros((6,)))
    np.testing.assert_array_equal(first, 0)
    first, alike = train(initializers.constant((2, 6), 0.3), initializers.constant((6,), 0.3))
    np.testing.assert_allclose(first, first[:, :1] * np.ones(6), rtol=1e-10)
    generator = np.random.default_rng(0)
    first, apart = train(initializers.lecun_normal((2, 6), generator), initializers.normal((6,), generator), 2000)
    assert np.ptp(first, axis=1).min() > 0.1 and apart > alike


def depth_of_signal(draw_layer, layers: int = 20, width: int = 200) -> float:
    """The deviation of a ReLU network's activations after `layers`, from inputs of deviation 1."""
    generator = np.random.default_rng(0)
    values = generator.normal(size=(100, width))
    for _ in range(layers):
        values = np.maximum(values @ draw_layer((width, width), generator), 0)
    return float(np.sqrt((values**2).mean()))


def test_he_keeps_the_signal_through_relu():
    assert 0.3 < depth_of_signal(initializers.he_normal) < 3
    assert depth_of_signal(initializers.lecun_normal) == pytest.approx(depth_of_signal(initializers.he_normal) / 2**10)
    assert depth_of_signal(initializers.small_normal) < 1e-12 and depth_of_signal(initializers.normal) > 1e12


def circles(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import make_circles

    return make_circles(n_samples=rows, noise=0.05, random_state=seed)


def exercise(draw_weight, steps: int = 15_000, rate: float = 0.01) -> tuple[float, float]:
    """Course notes §2.1.9: 2-10-5-1 of ReLU and sigmoid on two circles, whole batch. (training, test) accuracy."""
    (inputs, targets), (others, wanted) = circles(300, 1), circles(100, 2)
    weights = [draw_weight(shape) for shape in ((2, 10), (10, 5), (5, 1))]
    biases = [np.zeros(weight.shape[1]) for weight in weights]

    def forward(rows):
        values = [rows]
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            values.append(np.maximum(values[-1] @ weight + bias, 0))
        return values, (values[-1] @ weights[-1] + biases[-1])[:, 0]

    for _ in range(steps):
        values, logits = forward(inputs)
        error = ((1 / (1 + np.exp(-np.clip(logits, -500, 500))) - targets) / len(targets))[:, None]
        for layer in (2, 1, 0):
            below = error @ weights[layer].T * (values[layer] > 0)
            weights[layer] = weights[layer] - rate * values[layer].T @ error
            biases[layer] = biases[layer] - rate * error.sum(axis=0)
            error = below
    return tuple(
        float(((forward(rows)[1] > 0) == labels).mean()) for rows, labels in ((inputs, targets), (others, wanted))
    )


def test_the_initialisation_exercise():
    """Of 15 000 steps, here: zeros 50 / 50 %, large random 84.7 / 85 %, He 98.3 / 95 % (the course: 50, 83 / 86, 99 / 96)."""
    generator = np.random.default_rng(3)
    assert exercise(initializers.zeros, 200) == (0.5, 0.5)
    large = exercise(lambda shape: initializers.normal(shape, generator, 10.0), 2000)
    he = exercise(lambda shape: initializers.he_normal(shape, generator), 8000)
    assert he[0] > 0.93 and he[1] > 0.9
    assert large[0] < he[0] - 0.05

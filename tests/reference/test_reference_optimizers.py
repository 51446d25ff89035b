"""Every update against torch.optim over 50 steps of random gradients, the texts' variants against each other, and penalties."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gradus.reference import calculus, optimizers
from gradus.reference import gradients as gradients_of

quick = settings(max_examples=25, deadline=None)
STEPS = 50
SHAPE = (3, 4)


def start_and_gradients(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    gradients = generator.normal(size=(STEPS, *SHAPE)) * generator.uniform(
        0.01, 10, SHAPE
    )  # each weight of its own size
    return generator.normal(size=SHAPE), gradients


def ours(update, **arguments) -> np.ndarray:
    """(STEPS + 1, ...) weights after each update by the same random gradients."""
    start, gradients = start_and_gradients()
    following = iter(gradients)
    return optimizers.descend(lambda weights: next(following), start, STEPS, update, **arguments)


@pytest.fixture(autouse=True)
def double():
    """NAdam keeps a product in the default type."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def torchs(make) -> np.ndarray:
    start, gradients = start_and_gradients()
    weights = torch.tensor(start, requires_grad=True)
    optimizer, path = make([weights]), [start]
    for gradient in gradients:
        weights.grad = torch.tensor(gradient)
        optimizer.step()
        path.append(weights.detach().numpy().copy())
    return np.stack(path)


PAIRS = {
    "gradient descent": (
        lambda: ours(optimizers.gradient_descent, learning_rate=0.1),
        lambda p: torch.optim.SGD(p, 0.1),
    ),
    "gradient ascent": (
        lambda: ours(optimizers.gradient_ascent, learning_rate=0.1),
        lambda p: torch.optim.SGD(p, 0.1, maximize=True),
    ),
    "momentum": (
        lambda: ours(optimizers.momentum, learning_rate=0.1, coefficient=0.8),
        lambda p: torch.optim.SGD(p, 0.1, momentum=0.8),
    ),
    "averaged momentum": (
        lambda: ours(optimizers.averaged_momentum, learning_rate=0.1, coefficient=0.8),
        lambda p: torch.optim.SGD(p, 0.1 * (1 - 0.8), momentum=0.8),
    ),
    "nesterov": (
        lambda: ours(optimizers.nesterov, learning_rate=0.1, coefficient=0.8),
        lambda p: torch.optim.SGD(p, 0.1, momentum=0.8, nesterov=True),
    ),
    "adagrad": (
        lambda: ours(optimizers.adagrad, learning_rate=0.1, epsilon=0.01),
        lambda p: torch.optim.Adagrad(p, 0.1, eps=0.01),
    ),
    "adadelta": (
        lambda: ours(optimizers.adadelta, learning_rate=0.5, decay=0.8, epsilon=0.01),
        lambda p: torch.optim.Adadelta(p, 0.5, rho=0.8, eps=0.01),
    ),
    "rmsprop": (
        lambda: ours(optimizers.rmsprop, learning_rate=0.1, decay=0.8, epsilon=0.01),
        lambda p: torch.optim.RMSprop(p, 0.1, alpha=0.8, eps=0.01),
    ),
    "rmsprop with momentum": (
        lambda: ours(optimizers.rmsprop, learning_rate=0.1, decay=0.8, epsilon=0.01, coefficient=0.7),
        lambda p: torch.optim.RMSprop(p, 0.1, alpha=0.8, eps=0.01, momentum=0.7),
    ),
    "adam": (
        lambda: ours(optimizers.adam, learning_rate=0.1, beta1=0.8, beta2=0.95, epsilon=0.01),
        lambda p: torch.optim.Adam(p, 0.1, betas=(0.8, 0.95), eps=0.01),
    ),
    "adamw": (
        lambda: ours(optimizers.adamw, learning_rate=0.1, beta1=0.8, beta2=0.95, epsilon=0.01, weight_decay=0.3),
        lambda p: torch.optim.AdamW(p, 0.1, betas=(0.8, 0.95), eps=0.01, weight_decay=0.3),
    ),
    "amsgrad": (
        lambda: ours(optimizers.amsgrad, learning_rate=0.1, beta1=0.8, beta2=0.95, epsilon=0.01),
        lambda p: torch.optim.Adam(p, 0.1, betas=(0.8, 0.95), eps=0.01, amsgrad=True),
    ),
    "adamax": (
        lambda: ours(optimizers.adamax, learning_rate=0.1, beta1=0.8, beta2=0.95, epsilon=0.01),
        lambda p: torch.optim.Adamax(p, 0.1, betas=(0.8, 0.95), eps=0.01),
    ),
    "nadam": (
        lambda: ours(optimizers.nadam, learning_rate=0.1, beta1=0.8, beta2=0.95, epsilon=0.01, momentum_decay=0.02),
        lambda p: torch.optim.NAdam(p, 0.1, betas=(0.8, 0.95), eps=0.01, momentum_decay=0.02),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_fifty_updates_are_those_of_torch(name):
    mine, theirs = PAIRS[name]
    np.testing.assert_allclose(mine(), torchs(theirs), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("update", "make"),
    [
        (optimizers.adagrad, lambda p: torch.optim.Adagrad(p)),
        (optimizers.adadelta, lambda p: torch.optim.Adadelta(p)),
        (optimizers.adam, lambda p: torch.optim.Adam(p)),
        (optimizers.adamw, lambda p: torch.optim.AdamW(p)),
        (optimizers.adamax, lambda p: torch.optim.Adamax(p)),
        (optimizers.nadam, lambda p: torch.optim.NAdam(p)),
    ],
)
def test_defaults_are_those_of_torch(update, make):
    np.testing.assert_allclose(ours(update), torchs(make), rtol=1e-10, atol=1e-10)


def test_dampening_differs_from_the_average_by_its_first_gradient():
    """torch's v begins with g, the average's with (1 - k) g: after t updates they are k^t g_1 apart."""
    rate, k = 0.1, 0.8
    _, gradients = start_and_gradients()
    apart = ours(optimizers.averaged_momentum, learning_rate=rate, coefficient=k) - torchs(
        lambda p: torch.optim.SGD(p, rate, momentum=k, dampening=k)
    )
    shares = np.cumsum(k ** np.arange(1, STEPS + 1))
    np.testing.assert_allclose(apart[1:], rate * shares[:, None, None] * gradients[0], rtol=1e-9, atol=1e-12)


def test_the_listing_called_momentum_is_nesterovs():
    """*Deep Learning with Python* §2.4.3: velocity = past * momentum - rate * grad; w = w + momentum * velocity - rate * grad."""
    start, gradients = start_and_gradients()
    weights, past, path = start, 0.0, [start]
    for gradient in gradients:
        velocity = past * 0.1 - 0.01 * gradient
        weights = weights + 0.1 * velocity - 0.01 * gradient
        past = velocity
        path.append(weights)
    np.testing.assert_allclose(ours(optimizers.nesterov, learning_rate=0.01, coefficient=0.1), path, rtol=1e-13)
    assert np.abs(ours(optimizers.momentum, learning_rate=0.01, coefficient=0.1) - path).max() > 1e-3


def test_nesterov_takes_the_gradient_where_momentum_leads():
    """Sutskever's form, v = μ v - η g(θ + μ v), θ + v, is ours at y = θ + μ v."""
    slopes, rate, mu = np.array([1.0, 8.0]), 0.05, 0.9
    point, velocity, looked = np.array([3.0, 4.0]), np.zeros(2), [np.array([3.0, 4.0])]
    for _ in range(30):
        velocity = mu * velocity - rate * slopes * (point + mu * velocity)
        point = point + velocity
        looked.append(point + mu * velocity)
    path = optimizers.descend(
        lambda w: slopes * w, np.array([3.0, 4.0]), 30, optimizers.nesterov, learning_rate=rate, coefficient=mu
    )
    np.testing.assert_allclose(path, looked, rtol=1e-12, atol=1e-12)


def test_momentum_is_not_the_printed_formula():
    """Eq. 3-18 prints θ <- μ θ - η g: without a gradient the weights would shrink; momentum rolls on, and from rest stays."""
    weights, state = np.array([2.0, -1.0]), {}
    np.testing.assert_array_equal(optimizers.momentum(weights, np.zeros(2), state, learning_rate=0.1), weights)
    moved = optimizers.momentum(weights, np.ones(2), state, learning_rate=0.1)
    rolled = optimizers.momentum(moved, np.zeros(2), state, learning_rate=0.1)
    np.testing.assert_allclose(rolled - moved, 0.9 * (moved - weights))
    assert np.abs(0.9 * weights - weights).max() == pytest.approx(0.2)  # what the printed formula does with no gradient


def test_constant_gradients_reach_the_speed_of_the_texts():
    """η / (1 - μ) a step for momentum, η for the average: the same rate means ten times the steps."""
    slope = lambda w: np.ones(1)  # noqa: E731
    classical = optimizers.descend(slope, np.zeros(1), 300, optimizers.momentum, learning_rate=0.1)
    averaged = optimizers.descend(slope, np.zeros(1), 300, optimizers.averaged_momentum, learning_rate=0.1)
    assert classical[-1] - classical[-2] == pytest.approx(-1.0) and averaged[-1] - averaged[-2] == pytest.approx(-0.1)


@pytest.mark.parametrize("update", [optimizers.rmsprop, optimizers.adam])
def test_epsilon_inside_the_root_is_larger(update):
    """sqrt(s + 1e-8) is 1e-4 where s is 0, sqrt(s) + 1e-8 is 1e-8: the texts' form moves small gradients less."""
    small = np.full(1, 1e-6)
    usual = update(np.zeros(1), small, {}, learning_rate=1.0)
    inside = update(np.zeros(1), small, {}, learning_rate=1.0, epsilon_inside=True)
    square = 1e-12 * (0.1 if update is optimizers.rmsprop else 1.0)
    assert inside[0] == pytest.approx(-1e-6 / np.sqrt(square + 1e-8), rel=1e-9)
    assert usual[0] == pytest.approx(-1e-6 / (np.sqrt(square) + 1e-8), rel=1e-9)
    assert abs(usual[0]) > 50 * abs(inside[0])
    large = np.full(1, 3.0)
    np.testing.assert_allclose(
        update(np.zeros(1), large, {}, learning_rate=1.0),
        update(np.zeros(1), large, {}, learning_rate=1.0, epsilon_inside=True),
        rtol=1e-7,
    )


@quick
@given(st.floats(0.01, 1), st.floats(-5, 5).filter(lambda g: abs(g) > 0.01))
def test_the_first_step_of_adam_is_the_rate(rate, gradient):
    found = optimizers.adam(np.zeros(1), np.full(1, gradient), {}, learning_rate=rate)
    assert found[0] == pytest.approx(-rate * np.sign(gradient), rel=1e-5)


# L2 and decay

DECAY = 0.3


def penalised(update, **arguments) -> np.ndarray:
    """With an L2 penalty of DECAY / 2 * sum w^2 in the gradient."""
    start, gradients = start_and_gradients()
    following = iter(gradients)
    with_penalty = lambda weights: gradients_of.with_l2(next(following), weights, DECAY / 2)  # noqa: E731
    return optimizers.descend(with_penalty, start, STEPS, update, **arguments)


def decayed(update, learning_rate: float, **arguments) -> np.ndarray:
    """With the weights decayed apart from the gradient."""

    def step(weights, gradient, state, **settings):
        shrunk = gradients_of.decay_weights(weights, learning_rate, DECAY)
        return update(shrunk, gradient, state, learning_rate=learning_rate, **settings)

    return ours(step, **arguments)


def test_l2_is_decay_for_plain_descent_only():
    """*Deep Learning with Python* §4.4.2 says that weight decay is L2."""
    plain = penalised(optimizers.gradient_descent, learning_rate=0.1)
    np.testing.assert_allclose(plain, decayed(optimizers.gradient_descent, 0.1), rtol=1e-12, atol=1e-12)
    for update in (optimizers.momentum, optimizers.rmsprop, optimizers.adam, optimizers.adagrad):
        apart = penalised(update, learning_rate=0.1) - decayed(update, 0.1)
        assert np.abs(apart[-1]).max() > 0.01, update.__name__
    adamw = ours(optimizers.adamw, learning_rate=0.1, weight_decay=DECAY)
    np.testing.assert_array_equal(adamw, decayed(optimizers.adam, 0.1))
    in_torch = torchs(lambda p: torch.optim.Adam(p, 0.1, weight_decay=DECAY))
    np.testing.assert_allclose(penalised(optimizers.adam, learning_rate=0.1), in_torch, rtol=1e-9, atol=1e-9)


def test_the_tail_of_l2_is_its_gradient():
    """λ sum w^2, so 2 λ w; *Deep Learning with Python* §4.4.2 adds 0.001 * w to the loss, whose gradient is 0.001."""
    weights = np.random.default_rng(0).normal(size=(3, 2))
    slope = calculus.gradient(lambda w: 0.001 * (w**2).sum(), weights)
    np.testing.assert_allclose(gradients_of.with_l2(np.zeros((3, 2)), weights, 0.001), slope, rtol=1e-6)
    assert (
        np.ptp(calculus.gradient(lambda w: 0.001 * w.sum(), weights)) < 1e-9
    )  # of the printed penalty: the same everywhere


def test_decay_shrinks_only_between_zero_and_two():
    weights = np.array([1.0, -2.0])
    np.testing.assert_allclose(gradients_of.decay_weights(weights, 0.5, 0.2), 0.9 * weights)
    assert np.abs(gradients_of.decay_weights(weights, 1.0, 1.5)).max() < 2  # beyond 1 the sign turns
    assert np.abs(gradients_of.decay_weights(weights, 1.0, 2.5)).max() > 2  # beyond 2 they grow


# gradients


def test_a_normalised_gradient_has_the_root_mean_square_one():
    gradient = np.random.default_rng(0).normal(size=(50, 40)) * 7
    found = gradients_of.normalize_gradient(gradient)
    assert np.sqrt((found**2).mean()) == pytest.approx(1, rel=1e-4)
    assert np.linalg.norm(found) == pytest.approx(np.sqrt(2000), rel=1e-4)  # so it is no division by the L2 norm
    np.testing.assert_array_equal(gradients_of.normalize_gradient(np.zeros(3)), 0)

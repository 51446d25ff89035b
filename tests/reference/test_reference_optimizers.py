"""Every update against torch.optim over 50 steps of random gradients, the texts' variants against each other, and their demos."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gradus.reference import calculus, optimizers

quick = settings(max_examples=25, deadline=None)
STEPS = 50
SHAPE = (3, 4)


def start_and_gradients(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    gradients = generator.normal(size=(STEPS, *SHAPE)) * generator.uniform(0.01, 10, SHAPE)  # each weight of its own size
    return generator.normal(size=SHAPE), gradients


def ours(update, **arguments) -> np.ndarray:
    """(STEPS + 1, ...) weights after each update by the same random gradients."""
    start, gradients = start_and_gradients()
    following = iter(gradients)
    return optimizers.descend(lambda weights: next(following), start, STEPS, update, **arguments)


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
    with_penalty = lambda weights: optimizers.with_l2(next(following), weights, DECAY / 2)  # noqa: E731
    return optimizers.descend(with_penalty, start, STEPS, update, **arguments)


def decayed(update, learning_rate: float, **arguments) -> np.ndarray:
    """With the weights decayed apart from the gradient."""

    def step(weights, gradient, state, **settings):
        shrunk = optimizers.decay_weights(weights, learning_rate, DECAY)
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
    """λ sum w^2, so 2 λ w; *Deep Learning with Python* §4.4.2 says that 0.001 * w is added to the loss, whose gradient is 0.001."""
    weights = np.random.default_rng(0).normal(size=(3, 2))
    slope = calculus.gradient(lambda w: 0.001 * (w**2).sum(), weights)
    np.testing.assert_allclose(optimizers.with_l2(np.zeros((3, 2)), weights, 0.001), slope, rtol=1e-6)
    assert np.ptp(calculus.gradient(lambda w: 0.001 * w.sum(), weights)) < 1e-9  # of the printed penalty: the same everywhere


def test_decay_shrinks_only_between_zero_and_two():
    weights = np.array([1.0, -2.0])
    np.testing.assert_allclose(optimizers.decay_weights(weights, 0.5, 0.2), 0.9 * weights)
    assert np.abs(optimizers.decay_weights(weights, 1.0, 1.5)).max() < 2  # beyond 1 the sign turns
    assert np.abs(optimizers.decay_weights(weights, 1.0, 2.5)).max() > 2  # beyond 2 they grow


# gradients


def test_a_normalised_gradient_has_the_root_mean_square_one():
    gradient = np.random.default_rng(0).normal(size=(50, 40)) * 7
    found = optimizers.normalize_gradient(gradient)
    assert np.sqrt((found**2).mean()) == pytest.approx(1, rel=1e-4)
    assert np.linalg.norm(found) == pytest.approx(np.sqrt(2000), rel=1e-4)  # so it is no division by the L2 norm
    np.testing.assert_array_equal(optimizers.normalize_gradient(np.zeros(3)), 0)


@quick
@given(st.integers(0, 99), st.floats(0.1, 20))
def test_clipping_is_that_of_torch(seed, largest):
    generator = np.random.default_rng(seed)
    gradients = [generator.normal(size=(3, 2)) * 3, generator.normal(size=4)]
    tensors = [torch.zeros(g.shape, dtype=torch.float64, requires_grad=True) for g in gradients]
    for tensor, gradient in zip(tensors, gradients, strict=True):
        tensor.grad = torch.tensor(gradient)
    torch.nn.utils.clip_grad_norm_(tensors, largest)
    for found, tensor in zip(optimizers.clip_by_norm(gradients, largest), tensors, strict=True):
        np.testing.assert_allclose(found, tensor.grad.numpy(), rtol=1e-5)  # torch adds 1e-6 to the norm
    np.testing.assert_array_equal(optimizers.clip_by_value(gradients[0], largest), gradients[0].clip(-largest, largest))


# batches


@quick
@given(st.integers(1, 50), st.integers(1, 60), st.one_of(st.none(), st.integers(0, 9)))
def test_an_epoch_has_each_row_once(rows, size, seed):
    generator = None if seed is None else np.random.default_rng(seed)
    batches = list(optimizers.minibatches(rows, size, generator))
    np.testing.assert_array_equal(np.sort(np.concatenate(batches)), np.arange(rows))
    assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    assert len(batches[-1]) == rows - size * (len(batches) - 1) and len(batches) == -(-rows // size)
    if seed is None:
        np.testing.assert_array_equal(np.concatenate(batches), np.arange(rows))


def test_epochs_are_shuffled_anew_and_seeds_repeat():
    generator = np.random.default_rng(0)
    first, second = (np.concatenate(list(optimizers.minibatches(1000, 64, generator))) for _ in range(2))
    again = np.concatenate(list(optimizers.minibatches(1000, 64, np.random.default_rng(0))))
    assert (first != second).any() and (first == again).all()
    assert len(list(optimizers.minibatches(1000, 1))) == 1000 and len(list(optimizers.minibatches(1000, 1000))) == 1
    assert len(list(optimizers.minibatches(2000, 16))) == 125  # *Principles and Practice* listing 4-16, where the // is lost


def test_a_batch_holds_a_row():
    with pytest.raises(ValueError, match="size of 1 or more, received 0"):
        list(optimizers.minibatches(5, 0))


def test_means_of_samples():
    """*Plain-talk* §7.2: balls 1 to 1000 have the mean 500.5; batches of 100 come near it, single balls do not."""
    balls, generator = np.arange(1, 1001), np.random.default_rng(0)
    hundreds = np.array([balls[batch].mean() for _ in range(20) for batch in optimizers.minibatches(1000, 100, generator)])
    singles = balls[np.concatenate(list(optimizers.minibatches(1000, 1, generator)))]
    assert balls.mean() == 500.5 == pytest.approx(hundreds.mean()) == pytest.approx(singles.mean())  # of whole epochs
    # drawn without replacement: 288.7 / sqrt(100) * sqrt(900 / 999)
    assert hundreds.std() == pytest.approx(27.4, rel=0.15) and singles.std() == pytest.approx(288.7, rel=1e-3)


def test_the_gradient_of_a_batch_is_that_of_all_on_average():
    generator = np.random.default_rng(0)
    inputs, targets, weights = generator.normal(size=(60, 3)), generator.normal(size=60), generator.normal(size=3)
    slope = lambda rows: inputs[rows].T @ (inputs[rows] @ weights - targets[rows]) / len(rows)  # noqa: E731
    parts = [slope(batch) for batch in optimizers.minibatches(60, 12, generator)]
    np.testing.assert_allclose(np.mean(parts, axis=0), slope(np.arange(60)), rtol=1e-12)
    assert np.std(parts, axis=0).max() > 0.05  # one by one they are noisy


# the demos of the texts


def test_descent_on_a_parabola():
    """*Plain-talk* §4.2: x^2 + 2 from 3 with 0.1: 3, 2.4, 1.92, and from -3 the same with the other sign."""
    path = optimizers.descend(lambda x: 2 * x, np.array(3.0), 60, learning_rate=0.1)
    np.testing.assert_allclose(path[:3], [3, 2.4, 1.92])
    np.testing.assert_allclose(optimizers.descend(lambda x: 2 * x, np.array(-3.0), 60, learning_rate=0.1), -path)
    assert abs(path[-1]) < 1e-5
    steps = -np.diff(path)
    assert (np.diff(steps) < 0).all()  # the steps shrink because the slope does
    np.testing.assert_allclose(steps, 0.1 * 2 * path[:-1])  # a step is the rate times the gradient, not the gradient


@pytest.mark.parametrize(("rate", "end"), [(0.05, "converges"), (0.12, "converges"), (0.125, "swings"), (0.13, "diverges")])
def test_descent_on_a_bowl_is_stable_below_an_eighth(rate, end):
    """x^2 + 8 y^2 from (3, 4): y is multiplied by 1 - 16 η each time."""
    path = optimizers.descend(lambda p: np.array([2, 16]) * p, np.array([3.0, 4.0]), 400, learning_rate=rate)
    np.testing.assert_allclose(path[1], [3 - 6 * rate, 4 - 64 * rate])
    size = abs(path[-1, 1])
    if end == "converges":
        assert size < 1e-3
    elif end == "swings":
        np.testing.assert_allclose(path[:, 1], 4 * (-1.0) ** np.arange(401))
    else:
        assert size > 1e3


def test_a_rate_too_large_bounces():
    """*Principles and Practice* §3.3.1: optimum 0.3, rate 1: from -0.7 to 1.3 and back; rate 1e-5 hardly moves."""
    slope = lambda x: 2 * (x - 0.3)  # noqa: E731
    path = optimizers.descend(slope, np.array(-0.7), 4, learning_rate=1.0)
    np.testing.assert_allclose(path, [-0.7, 1.3, -0.7, 1.3, -0.7])
    assert optimizers.descend(slope, np.array(-0.7), 1000, learning_rate=1e-5)[-1] == pytest.approx(-0.68, abs=1e-3)


CART_TIMES = np.arange(1.0, 11)
CART_SPEEDS = np.array([2.2, 4.1, 6.2, 8.3, 9.9, 11.8, 14.4, 16, 22.5, 24.2])


def test_the_cart():
    """*Plain-talk* §4.2: v = w t + b by descent; least squares gives w = 2.400, b = -1.240 and squares of 15.864."""

    def slope(p):
        residuals = p[0] * CART_TIMES + p[1] - CART_SPEEDS
        return 2 * np.array([(residuals * CART_TIMES).mean(), residuals.mean()])

    path = optimizers.descend(slope, np.zeros(2), 3000, learning_rate=0.02)
    np.testing.assert_allclose(path[-1], np.polyfit(CART_TIMES, CART_SPEEDS, 1), rtol=1e-8)
    np.testing.assert_allclose(path[-1], [2.400, -1.240], atol=5e-4)
    squares = ((path[-1, 0] * CART_TIMES + path[-1, 1] - CART_SPEEDS) ** 2).sum()
    assert squares == pytest.approx(15.864, abs=5e-4)


def test_the_whole_batch_does_not_find_the_global_minimum():
    """*Principles and Practice* §2.3.1 says that batch descent reaches it. On x^4 - 2 x^2 + 0.3 x it ends in the nearer valley."""
    function = lambda x: x**4 - 2 * x**2 + 0.3 * x  # noqa: E731
    slope = lambda x: 4 * x**3 - 4 * x + 0.3  # noqa: E731
    right = optimizers.descend(slope, np.array(2.0), 500, learning_rate=0.02)[-1]
    left = optimizers.descend(slope, np.array(-2.0), 500, learning_rate=0.02)[-1]
    assert abs(slope(right)) < 1e-8 and abs(slope(left)) < 1e-8
    assert right > 0 > left and function(right) > function(left) + 0.5
    rolled = optimizers.descend(slope, np.array(2.0), 500, optimizers.momentum, learning_rate=0.02, coefficient=0.9)[-1]
    assert rolled == pytest.approx(left, abs=1e-4)  # the ball rolls over the hill


LONG_BOWL = np.array([0.1, 2.0])


def turns(path: np.ndarray) -> int:
    """How often the steep coordinate changes its direction."""
    return int((np.diff(np.sign(np.diff(path[:, 1]))) != 0).sum())


def test_descent_zigzags_and_the_others_do_less():
    """Course notes §2.2.5 to §2.2.7, on 0.05 x^2 + y^2, ten steps from (-7, -2), rates of one size of step along x."""
    slope, start = (lambda p: LONG_BOWL * p), np.array([-7.0, -2.0])
    plain = optimizers.descend(slope, start, 20, learning_rate=0.9)
    assert turns(plain) == 19 and plain[-1, 0] < -0.9  # it crosses the valley at every step
    averaged = optimizers.descend(slope, start, 20, optimizers.averaged_momentum, learning_rate=0.9, coefficient=0.5)
    assert turns(averaged) < 19
    scaled = optimizers.descend(slope, start, 20, optimizers.rmsprop, learning_rate=0.4)
    adam = optimizers.descend(slope, start, 20, optimizers.adam, learning_rate=0.4)
    assert scaled[-1, 0] > plain[-1, 0] and adam[-1, 0] > plain[-1, 0]


def test_leaving_a_saddle():
    """Course notes §2.2.9: x^2 - y^2 from beside its saddle. The gradient there is nearly 0, so plain descent takes longest."""
    slope, start = (lambda p: np.array([2.0, -2.0]) * p), np.array([1.0, 1e-6])

    def updates(update, **arguments) -> int:
        path = optimizers.descend(slope, start, 400, update, **arguments)
        return int(np.argmax(np.abs(path[:, 1]) > 1))

    plain = updates(optimizers.gradient_descent, learning_rate=0.02)
    rolled = updates(optimizers.momentum, learning_rate=0.02)
    adam = updates(optimizers.adam, learning_rate=0.02)
    assert plain == int(np.ceil(np.log(1e6) / np.log(1.04))) == 353
    assert 0 < rolled < plain / 3 and 0 < adam < plain / 3
    np.testing.assert_array_equal(optimizers.descend(slope, np.zeros(2), 5, learning_rate=0.1), np.zeros((6, 2)))

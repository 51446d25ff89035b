"""Batches of an epoch, and descent as the texts demonstrate it: parabolas, bowls, the cart, valleys, saddles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradus.reference import optimizers

quick = settings(max_examples=25, deadline=None)


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
    assert (
        len(list(optimizers.minibatches(2000, 16))) == 125
    )  # *Principles and Practice* listing 4-16, where the // is lost


def test_a_batch_holds_a_row():
    with pytest.raises(ValueError, match="size of 1 or more, received 0"):
        list(optimizers.minibatches(5, 0))


def test_means_of_samples():
    """*Plain Talk* §7.2: balls 1 to 1000 have the mean 500.5; batches of 100 come near it, single balls do not."""
    balls, generator = np.arange(1, 1001), np.random.default_rng(0)
    hundreds = np.array(
        [balls[batch].mean() for _ in range(20) for batch in optimizers.minibatches(1000, 100, generator)]
    )
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
    """*Plain Talk* §4.2: x^2 + 2 from 3 with 0.1: 3, 2.4, 1.92, and from -3 the same with the other sign."""
    path = optimizers.descend(lambda x: 2 * x, np.array(3.0), 60, learning_rate=0.1)
    np.testing.assert_allclose(path[:3], [3, 2.4, 1.92])
    np.testing.assert_allclose(optimizers.descend(lambda x: 2 * x, np.array(-3.0), 60, learning_rate=0.1), -path)
    assert abs(path[-1]) < 1e-5
    steps = -np.diff(path)
    assert (np.diff(steps) < 0).all()  # the steps shrink because the slope does
    np.testing.assert_allclose(steps, 0.1 * 2 * path[:-1])  # a step is the rate times the gradient, not the gradient


@pytest.mark.parametrize(
    ("rate", "end"), [(0.05, "converges"), (0.12, "converges"), (0.125, "swings"), (0.13, "diverges")]
)
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
    """*Plain Talk* §4.2: v = w t + b by descent; least squares gives w = 2.400, b = -1.240 and squares of 15.864."""

    def slope(p):
        residuals = p[0] * CART_TIMES + p[1] - CART_SPEEDS
        return 2 * np.array([(residuals * CART_TIMES).mean(), residuals.mean()])

    path = optimizers.descend(slope, np.zeros(2), 3000, learning_rate=0.02)
    np.testing.assert_allclose(path[-1], np.polyfit(CART_TIMES, CART_SPEEDS, 1), rtol=1e-8)
    np.testing.assert_allclose(path[-1], [2.400, -1.240], atol=5e-4)
    squares = ((path[-1, 0] * CART_TIMES + path[-1, 1] - CART_SPEEDS) ** 2).sum()
    assert squares == pytest.approx(15.864, abs=5e-4)


def test_the_whole_batch_does_not_find_the_global_minimum():
    """*Principles and Practice* §2.3.1 says that it does. On x^4 - 2 x^2 + 0.3 x it ends in the nearer valley."""
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

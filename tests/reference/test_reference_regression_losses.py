"""Losses of numbers: by PyTorch in float64, their gradients by differences, and what the texts print of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numerical import FLOAT64, differences, hold, normal
from torch.nn import functional

from gradus.reference import losses, regression_losses

quick = settings(max_examples=25, deadline=None)
shapes = st.lists(st.integers(1, 3), min_size=1, max_size=3)
seeds = st.integers(0, 999)

# ours, its gradient, PyTorch's
OF_NUMBERS = (
    (
        losses.absolute_residuals,
        losses.absolute_residuals_backward,
        lambda a, y: functional.l1_loss(a, y, reduction="sum"),
    ),
    (
        losses.squared_residuals,
        losses.squared_residuals_backward,
        lambda a, y: functional.mse_loss(a, y, reduction="sum"),
    ),
    (
        losses.mean_squared_error,
        losses.mean_squared_error_backward,
        functional.mse_loss,
    ),
    (
        losses.mean_absolute_error,
        losses.mean_absolute_error_backward,
        functional.l1_loss,
    ),
    (
        losses.mean_squared_logarithmic_error,
        losses.mean_squared_logarithmic_error_backward,
        lambda a, y: ((a.clamp(min=1e-6) + 1).log() - (y.clamp(min=1e-6) + 1).log()).square().mean(),
    ),
    (
        losses.mean_absolute_percentage_error,
        losses.mean_absolute_percentage_error_backward,
        lambda a, y: 100 * ((a - y).abs() / y.abs()).mean(),
    ),
    (
        losses.huber,
        losses.huber_backward,
        functional.huber_loss,
    ),
    (
        losses.smooth_l1,
        losses.smooth_l1_backward,
        functional.smooth_l1_loss,
    ),
)


@pytest.mark.parametrize(
    ("function", "backward", "theirs"), OF_NUMBERS, ids=lambda value: getattr(value, "__name__", "")
)
@quick
@given(shape=shapes, seed=seeds)
def test_losses_of_numbers(function, backward, theirs, shape, seed):
    targets = normal(seed, *shape)
    targets = targets + np.where(targets < 0, -0.1, 0.1)
    gap = normal(seed + 1, *shape)
    gap = np.where(np.abs(np.abs(gap) - 1) < 1e-3, 0.5, gap + np.where(gap < 0, -0.01, 0.01))  # off 0 and 1
    outputs = targets + gap
    outputs = np.where(np.abs(outputs) < 1e-3, 0.01, outputs)  # off the corner of MSLE
    hold(function, backward, theirs, outputs, targets)


@quick
@given(st.floats(0.1, 3), seeds)
def test_huber_and_smooth_l1_at_any_threshold(threshold, seed):
    outputs, targets = 2 * normal(seed, 6), normal(seed + 1, 6)
    for name in ("huber", "smooth_l1"):
        tensor = torch.tensor(outputs, requires_grad=True)
        argument = {"delta": threshold} if name == "huber" else {"beta": threshold}
        value = getattr(functional, f"{name}_loss")(tensor, torch.tensor(targets), **argument)
        value.backward()
        assert getattr(losses, name)(outputs, targets, threshold) == pytest.approx(value.item(), rel=1e-12)
        found = getattr(losses, f"{name}_backward")(outputs, targets, threshold)
        np.testing.assert_allclose(found, tensor.grad, **FLOAT64)


def test_losses_of_numbers_by_hand():
    outputs, targets = np.array([3.0, -1.0]), np.array([1.0, 2.0])
    assert losses.absolute_residuals(outputs, targets) == 5
    assert losses.squared_residuals(outputs, targets) == 13
    assert losses.squared_residuals(outputs, targets, half=True) == 6.5
    np.testing.assert_array_equal(losses.squared_residuals_backward(outputs, targets, half=True), outputs - targets)
    assert losses.mean_absolute_error(outputs, targets) == 2.5
    assert losses.mean_squared_error(outputs, targets) == 6.5
    assert losses.huber(outputs, targets) == (1.5 + 2.5) / 2
    # 1/2 x^2 inside, |x| - 1/2 beyond (eq. 5-4)
    assert losses.smooth_l1(np.array([0.5, 2.0]), np.zeros(2)) == (0.125 + 1.5) / 2


def test_residuals_of_both_signs_would_cancel():
    outputs, targets = np.array([2.0, 0.0]), np.array([1.0, 1.0])
    assert (outputs - targets).sum() == 0 and losses.absolute_residuals(outputs, targets) == 2


def test_msle_has_one_added_and_its_clip_is_a_millionth():
    outputs, targets = np.array([math.e**2 - 1, 0.0]), np.array([0.0, 0.0])
    assert losses.mean_squared_logarithmic_error(outputs, targets) == pytest.approx(2, rel=1e-5)
    assert regression_losses.LEAST == 1e-6 != 10e-6
    # at a negative number it is what it is at the clip, and does not fail: logarithms of the printed range do
    assert losses.mean_squared_logarithmic_error(np.array([-1e5]), np.array([1.0])) == pytest.approx(
        (math.log1p(1e-6) - math.log(2)) ** 2
    )
    assert losses.mean_squared_logarithmic_error_backward(np.array([-1e5]), np.array([1.0])) == 0


def test_mape_needs_the_bars_of_its_denominator():
    outputs, targets = np.array([-8.0, 11.0]), np.array([-10.0, 10.0])
    assert losses.mean_absolute_percentage_error(outputs, targets) == pytest.approx((20 + 10) / 2)
    as_printed = 100 * (np.abs(targets - outputs) / targets).mean()
    assert as_printed == pytest.approx(-5)
    assert losses.mean_absolute_percentage_error(np.array([1e-6]), np.zeros(1)) == pytest.approx(100)  # clipped


def test_an_outlier_pulls_squares_and_not_absolute_values():
    targets = np.array([1.0, 1.0, 1.0, 101.0])
    outputs = np.ones(4)
    by_squares = np.abs(losses.mean_squared_error_backward(outputs + 1, targets))
    by_bars = np.abs(losses.mean_absolute_error_backward(outputs + 1, targets))
    assert by_squares[3] / by_squares[0] == pytest.approx(99) and by_bars[3] == by_bars[0]
    # so the constant of least loss is the mean for squares, the median for absolute values
    constants = np.linspace(0, 101, 1011)
    best = [
        constants[np.argmin([loss(np.full(4, c), targets) for c in constants])]
        for loss in (losses.mean_squared_error, losses.mean_absolute_error)
    ]
    np.testing.assert_allclose(best, [26, 1], atol=1e-9)


@quick
@given(seeds)
def test_gaussian_log_likelihood(seed):
    values = normal(seed, 7)
    dense = -0.5 * np.log(2 * np.pi * 0.49) - (values - 0.3) ** 2 / 0.98
    assert losses.gaussian_log_likelihood(values, 0.3, 0.7) == pytest.approx(dense.sum(), rel=1e-12)
    found = losses.gaussian_log_likelihood_backward(values, 0.3, 0.7)
    slope = differences(lambda p: losses.gaussian_log_likelihood(values, p[0], p[1]), np.array([0.3, 0.7]))
    np.testing.assert_allclose(found, slope, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        losses.gaussian_log_likelihood_backward(values, values.mean(), values.std()), 0, atol=1e-9
    )

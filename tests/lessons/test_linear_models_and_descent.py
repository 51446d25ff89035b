"""Lessons on linear models and descent: their numbers against those of the texts and against what can be derived."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import numbers
from scipy.optimize import brentq, rosen, rosen_der, rosen_hess

from gradus.lessons import descent_1d, descent_2d, linear_regression, neuron, newton, plateaus_and_saddles
from gradus.reference.calculus import newton_minimizer, nudge

quick = settings(max_examples=25, deadline=None)


# ---- neuron


def test_credit_scores_rank_the_other_way_than_printed():
    found = numbers("neuron")
    by_hand = (0.3 * 1 + 0.8 * 50 + 1.5 * 27 + 1.2 * 19 + 0.5 * -55, 0.8 * 25 + 1.5 * 10 + 1.2 * 8)
    assert (found["customer_1"], found["customer_2"]) == pytest.approx(by_hand)
    assert by_hand == pytest.approx((76.1, 44.6))
    first, second = neuron.PRINTED_SCORES
    assert (found["customer_1"] > found["customer_2"]) and first < second


def test_the_smallest_neuron():
    found = numbers("neuron")
    assert (found["of_1"], found["of_100"]) == (2, 101)
    assert found["at_the_border"] == 0.5
    assert found["rescaled_difference"] < 1e-12
    assert (
        neuron.FEATURES[int(found["largest_weight"]) - 1]
        == "income"
        == neuron.FEATURES[int(found["largest_effect"]) - 1]
    )


def test_neuron_is_a_dense_row():
    inputs, weights = np.arange(6.0).reshape(3, 2), np.array([2.0, -1.0])
    np.testing.assert_allclose(neuron.neuron(inputs, weights, 0.5, np.tanh), np.tanh([-0.5, 1.5, 3.5]))


# ---- linear regression


def test_the_cart():
    slope, intercept = np.polyfit(linear_regression.TIME, linear_regression.SPEED, 1)
    found = numbers("linear-regression")
    assert (found["slope"], found["intercept"]) == pytest.approx((slope, intercept))
    assert (round(slope, 3), round(intercept, 3), round(found["squared_error"], 3)) == (2.4, -1.24, 15.864)


def test_a_line_through_growth_misses():
    found = numbers("linear-regression")
    assert found["plain_sum"] < 1e-10
    assert found["line_misses"] > 3 * found["parabola_misses"] > 0
    time = np.linspace(0, 4, 41)
    assert found["line_misses"] == pytest.approx(1 - np.corrcoef(time, np.exp(time))[0, 1] ** 2)
    assert found["logarithm_slope"] == pytest.approx(1)


# ---- one dimension


def test_nudges_and_first_steps():
    found = numbers("descent-1d")
    assert (found["lower_neighbour"], found["higher_neighbour"]) == pytest.approx((9.84, 12.24))
    assert found["nudges"] == 15
    assert found["nudge_rest"] == pytest.approx(0.07)
    assert (found["first_step"], found["second_step"], found["mirrored"]) == pytest.approx((2.4, 1.92, -2.4))
    assert found["after_15"] == pytest.approx(3 * 0.8**15)


def test_rates_multiply():
    found = numbers("descent-1d")
    for name, rate in descent_1d.RATES.items():
        assert found[name.replace(" ", "_")] == pytest.approx(2 + (3 * (1 - 2 * rate) ** 20) ** 2)


def test_rate_one_bounces_between_the_printed_places():
    found = numbers("descent-1d")
    assert (found["bounce_low"], found["bounce_high"]) == pytest.approx((-0.7, 1.3))
    assert found["slow"] == pytest.approx(1 - (1 - 2e-5) ** 1000)


def test_measured_slopes():
    found = numbers("descent-1d")
    assert found["forward"] == pytest.approx(8.001, abs=1e-9)
    assert found["central"] == pytest.approx(8, abs=1e-9)
    assert found["measured_slope"] == pytest.approx(2)
    # rounding over step balances step (forward) or its square (central): about the root and the cube root of 2.2e-16
    assert 1e-9 < found["best_step_forward"] < 1e-6 < found["best_step_central"] < 1e-3


@quick
@given(st.floats(-5, 5), st.sampled_from([0.1, 0.25, 0.5]))
def test_nudge_ends_within_half_a_step(start, step):
    end = nudge(descent_1d.parabola, start, step)[-1]
    assert abs(end) <= step / 2 + 1e-9


# ---- two dimensions


def test_the_long_valley():
    found = numbers("descent-2d")
    assert (found["slope_x"], found["slope_y"]) == (6, 64)
    assert found["largest_rate"] == 1 / 8
    assert found["best_rate"] == pytest.approx(1 / 9)
    assert found["best_factor"] == pytest.approx(7 / 9)
    for name, rate in zip(("below", "best", "at", "above"), descent_2d.RATES, strict=True):
        x, y = 3 * (1 - 2 * rate) ** 25, 4 * (1 - 16 * rate) ** 25
        assert found[f"height_{name}"] == pytest.approx(x**2 + 8 * y**2)
    assert found["height_at"] == pytest.approx(8 * 16, rel=1e-3) and found["height_above"] > 128 > found["height_below"]


def test_the_tilted_bowl():
    found = numbers("descent-2d")
    assert found["bowl_x"] == pytest.approx(-1 / 3)
    assert found["bowl_minimum"] == pytest.approx(2 / 3)
    assert found["bowl_found"] == pytest.approx(2 / 3, abs=1e-6)
    assert found["bowl_largest_rate"] == pytest.approx(2 / 3)


@quick
@given(st.floats(-3, 3), st.floats(-3, 3))
def test_gradients_are_those_of_the_functions(x, y):
    point, step = np.array([x, y]), 1e-5
    pairs = (
        (descent_2d.valley, descent_2d.valley_gradient),
        (descent_2d.bowl, descent_2d.bowl_gradient),
        (plateaus_and_saddles.saddle, plateaus_and_saddles.saddle_gradient),
    )
    for function, gradient in pairs:
        measured = [
            (function(*(point + step * unit)) - function(*(point - step * unit))) / (2 * step) for unit in np.eye(2)
        ]
        np.testing.assert_allclose(gradient(point), measured, rtol=1e-5, atol=1e-5)


# ---- Newton


def test_square_root_of_two():
    found = numbers("newton")
    assert found["root"] == pytest.approx(np.sqrt(2), abs=1e-12)
    assert found["squared_factor"] == pytest.approx(1 / (2 * np.sqrt(2)), rel=1e-3)
    assert found["parabola"] == 0 and found["valley"] == 0


def test_rosenbrock_is_scipys():
    for point in np.random.default_rng(0).normal(size=(5, 2)):
        assert newton.rosenbrock(*point) == pytest.approx(rosen(point))
        np.testing.assert_allclose(newton.rosenbrock_gradient(point), rosen_der(point))
        np.testing.assert_allclose(newton.rosenbrock_hessian(point), rosen_hess(point))
    path = newton_minimizer(newton.rosenbrock_gradient, newton.rosenbrock_hessian, np.array([-1.2, 1.0]), 8)
    np.testing.assert_allclose(path[2], [0.7631, -3.1750], atol=1e-4)  # Dennis and Schnabel's classic first steps
    found = numbers("newton")
    assert found["rosenbrock_steps"] <= 7 and found["descent_distance"] > 0.01


def test_newton_fails_where_it_must():
    found = numbers("newton")
    assert found["double"] == pytest.approx(2.0**-10)
    assert found["cycle"] == 1
    assert found["hilltop"] == pytest.approx(-1) and found["saddle"] == 0
    # beyond the x at which the step exactly changes the sign, arctan's iteration runs away
    border = brentq(lambda x: 2 * x - (1 + x * x) * np.arctan(x), 1, 2)
    assert 1.35 < border < 1.42 and border == pytest.approx(1.3917, abs=1e-4)
    assert found["inside"] < 0.1 and found["outside"] > 10


# ---- plateaus and saddles


def test_momentum_leaves_the_near_valley():
    found = numbers("plateaus-and-saddles")
    low, middle, high = np.sort(np.roots([1, 0, -2, 0.3]).real)
    assert found["hills_plain"] == pytest.approx(high, abs=1e-4)
    assert found["hills_momentum"] == pytest.approx(low, abs=0.05)
    assert plateaus_and_saddles.hills(low) < plateaus_and_saddles.hills(high) < plateaus_and_saddles.hills(middle)
    assert found["deep_plain"] == 0 < found["deep_momentum"] < 1


def test_off_the_saddle():
    found = numbers("plateaus-and-saddles")
    # near the ridge y grows by 1 + 2 * rate a step: from 1e-6 to 0.5 takes about ln(5e5) / ln(1.1) steps
    assert found["saddle_plain"] == pytest.approx(np.log(5e5) / np.log(1.1), rel=0.03)
    assert found["saddle_adam"] < found["saddle_momentum"] < found["saddle_plain"]
    assert (
        plateaus_and_saddles.walk(
            plateaus_and_saddles.optimizers(0.05, 0.05)["plain"],
            plateaus_and_saddles.saddle_gradient,
            np.array([1.0, 0.0]),
            500,
        )[-1][1]
        == 0
    )


def test_minima_are_rare_among_random_matrices():
    found = numbers("plateaus-and-saddles")
    assert found["minima_1"] == pytest.approx(0.5, abs=0.02)
    assert found["minima_2"] == pytest.approx(
        (2 - np.sqrt(2)) / 4, abs=0.02
    )  # the share of a sphere in a cone of 45 degrees
    assert found["minima_6"] < 0.001 < found["minima_4"] < found["minima_2"]


def test_over_the_plateau():
    found = numbers("plateaus-and-saddles")
    assert found["plateau_slope"] == pytest.approx(2 * np.exp(-8), rel=0.01)
    # plain descent with rate 1 follows e^w falling by about 2 a step: e^8 / 2 steps
    assert found["plateau_plain"] == pytest.approx(np.exp(8) / 2, rel=0.05)
    assert found["plateau_adam"] < found["plateau_momentum"] < found["plateau_plain"]
    assert found["cross_entropy_slope"] > 0.999
    point = np.linspace(-3, 8, 7)
    measured = (plateaus_and_saddles.plateau(point + 1e-6) - plateaus_and_saddles.plateau(point - 1e-6)) / 2e-6
    np.testing.assert_allclose(plateaus_and_saddles.plateau_slope(point), measured, atol=1e-8)

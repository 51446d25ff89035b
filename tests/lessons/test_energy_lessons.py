"""Lessons on energy and chance: against what is printed, and against sums over all states."""

from __future__ import annotations

import numpy as np
import pytest
from pages import numbers, shown

from gradus.lessons import boltzmann_machine as machine
from gradus.lessons import hopfield
from gradus.lessons import likelihood_and_odds as likelihood
from gradus.lessons import simple_and_complex_cells as cells


def test_eighty_of_a_hundred():
    found = numbers("likelihood-and-odds")
    assert found["peak"] == pytest.approx(0.8)
    assert found["log_likelihood"] == pytest.approx(80 * np.log(0.8) + 20 * np.log(0.2))
    p = np.array([0.3, 0.6, 0.79])
    by_difference = (np.exp(likelihood.log_likelihood(p + 1e-6)) - np.exp(likelihood.log_likelihood(p - 1e-6))) / 2e-6
    np.testing.assert_allclose(likelihood.likelihood_slope(p), by_difference, rtol=1e-4)
    assert (likelihood.likelihood_slope(np.array([0.0, 0.8, 1.0])) == 0).all()  # the roots that are printed
    assert likelihood.log_likelihood(p).argmax() == np.exp(likelihood.log_likelihood(p)).argmax()
    assert np.log(5.0) > np.log(2.0) > np.log(1.0)  # ln rises beyond (0, 1) too


def test_the_line_is_that_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    x, y = likelihood.points()
    other = LogisticRegression(C=np.inf, tol=1e-10).fit(x[:, None], y)
    found = numbers("likelihood-and-odds")
    assert (found["w"], found["b"]) == pytest.approx((other.coef_[0, 0], other.intercept_[0]), rel=1e-4)


def test_bars_and_stripes_are_fourteen():
    assert machine.bars_and_stripes().shape == (14, 9)
    assert machine.bars_and_stripes(2).shape == (6, 4)


def test_longer_and_persistent_chains_come_nearer_to_the_likelihood():
    found = numbers("boltzmann-machine")
    assert found["best"] == pytest.approx(-np.log(14))
    assert found["best"] > found["exact"] > found["cd_1"]
    assert found["cd_10"] > found["cd_1"] + 0.2 and found["pcd"] > found["cd_1"] + 0.2
    assert found["mass_pcd"] > found["mass_cd"] > 10 * found["mass_before"]
    assert found["completed"] > 5 * found["completed_by_chance"]


def test_a_hopfield_network_recalls_breaks_down_and_makes_things_up():
    found = numbers("hopfield")
    assert found["recalled"] == len(hopfield.DIGITS) > found["hebb_kept"]
    assert found["energy_after"] < found["energy_before"]
    assert found["overlap_low"] > 0.99 and found["overlap_high"] < 0.7 and found["overlap_at_capacity"] > 0.9
    assert min(found["kept_stored"], found["kept_negative"], found["kept_mixture"]) > 0.95
    assert found["depth_stored"] < found["depth_mixture"] < 0 < found["made_up"]


def test_a_complex_cell_forgives_where_and_not_how():
    found = numbers("simple-and-complex-cells")
    assert found["simple_least"] < 0.05 and found["complex_least"] > 0.7
    assert found["own_direction"] > 0.9 and found["other_direction"] < 0.3
    answers = np.zeros((9, 9))
    answers[4, 4] = 1
    assert (cells.complex_cells(answers, 2) == 1).all() and cells.complex_cells(answers, 2).shape == (5, 5)


def test_the_page_names_hubel_and_lecun():
    """And corrects the printed names where it quotes them."""
    page = shown("simple-and-complex-cells")[1]
    assert "Hubel and Wiesel" in page and "David Hubel and Torsten Wiesel; Yann LeCun" in page and "(1980)" in page

"""Energies: against sums over all states written out, differences of the values, and scikit-learn."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from gradus.reference import energy

D, H = 4, 3


@pytest.fixture
def machine() -> energy.Parameters:
    random = np.random.default_rng(0)
    return random.normal(size=(D, H)), random.normal(size=D), random.normal(size=H)


@pytest.fixture
def rows() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 2, (6, D)).astype(float)


def slope(function, parameters: energy.Parameters) -> list[np.ndarray]:
    """By differences."""
    found = []
    for place, values in enumerate(parameters):
        by = np.zeros_like(values)
        for index in np.ndindex(values.shape):
            moved = []
            for step in (1e-5, -1e-5):
                changed = [one.copy() for one in parameters]
                changed[place][index] += step
                moved.append(function(*changed))
            by[index] = (moved[0] - moved[1]) / 2e-5
        found.append(by)
    return found


def alike(one, other) -> None:
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8)


def test_the_energy_is_the_printed_sum_with_i_visible_and_j_hidden(machine):
    """A term counts only where its units are on; the exponent keeps w, which one printed formula drops."""
    w, b, c = machine
    v, h = np.array([[1.0, 0, 1, 1]]), np.array([[0.0, 1, 1]])
    by_hand = -sum(w[i, j] * v[0, i] * h[0, j] for i in range(D) for j in range(H)) - v[0] @ b - h[0] @ c
    assert energy.rbm_energy(v, h, w, b, c)[0] == pytest.approx(by_hand)
    assert by_hand != pytest.approx(-(v[0] @ b + h[0] @ c))
    assert energy.rbm_energy(np.zeros((1, D)), np.zeros((1, H)), w, b, c)[0] == 0


def test_z_is_the_sum_over_both_sides_and_chances_add_up_to_one(machine):
    w, b, c = machine
    pairs = [(np.array([v]), np.array([h])) for v in product([0.0, 1], repeat=D) for h in product([0.0, 1], repeat=H)]
    z = sum(np.exp(-energy.rbm_energy(v, h, w, b, c)[0]) for v, h in pairs)
    assert np.exp(energy.log_partition(w, b, c)) == pytest.approx(z)
    assert energy.log_partition(w.T, c, b) == pytest.approx(np.log(z))  # either side in closed form
    states = energy.all_states(D)
    chances = np.exp(-energy.free_energy(states, w, b, c)) / z
    assert chances.sum() == pytest.approx(1)
    of_one = sum(np.exp(-energy.rbm_energy(states[5:6], h, w, b, c)[0]) for v, h in pairs if (v == states[5]).all())
    assert chances[5] == pytest.approx(of_one / z)
    with pytest.raises(ValueError, match="at most 20"):
        energy.log_partition(np.zeros((21, 21)), np.zeros(21), np.zeros(21))


def test_the_conditionals_follow_from_the_energy(machine):
    """Each hidden unit sums over the D visible units and each visible one over the H hidden units (the text runs to m)."""
    w, b, c = machine
    v = np.array([[1.0, 0, 0, 1]])
    hidden = energy.all_states(H)
    weights = np.exp(-energy.rbm_energy(v.repeat(len(hidden), 0), hidden, w, b, c))
    np.testing.assert_allclose(energy.hidden_chances(v, w, c)[0], (weights / weights.sum()) @ hidden)
    h, visible = np.array([[0.0, 1, 1]]), energy.all_states(D)
    weights = np.exp(-energy.rbm_energy(visible, h.repeat(len(visible), 0), w, b, c))
    np.testing.assert_allclose(energy.visible_chances(h, w, b)[0], (weights / weights.sum()) @ visible)


def test_slopes_are_those_of_the_values(machine, rows):
    w, _, c = machine
    hidden = np.random.default_rng(2).integers(0, 2, (6, H)).astype(float)
    alike(
        energy.rbm_energy_backward(rows, hidden),
        slope(lambda *p: energy.rbm_energy(rows, hidden, *p).mean(), machine),
    )
    alike(energy.free_energy_backward(rows, w, c), slope(lambda *p: energy.free_energy(rows, *p).mean(), machine))
    alike(
        energy.rbm_log_likelihood_backward(rows, *machine),
        slope(lambda *p: energy.rbm_log_likelihood(rows, *p), machine),
    )
    ends = 1 - rows[::-1]
    alike(energy.contrast_backward(rows, ends, w, c), slope(lambda *p: energy.contrast(rows, ends, *p), machine))


def test_contrastive_divergence_is_no_loss_but_a_slope_towards_the_likelihood(machine, rows):
    """Chains that end where the machine's own distribution is give exactly minus the likelihood's slope; short ones do not."""
    w, _, c = machine
    states = energy.all_states(D)
    shares = np.exp(-energy.free_energy(states, *machine))
    drawn = states[np.random.default_rng(0).choice(len(states), 200_000, p=shares / shares.sum())]
    exact = energy.rbm_log_likelihood_backward(rows, *machine)
    for one, other in zip(energy.contrast_backward(rows, drawn, w, c), exact, strict=True):
        np.testing.assert_allclose(one, -other, atol=0.006)
    assert energy.contrast(rows, rows, *machine) == 0  # its value is 0 wherever chains stay, however bad the machine is


def test_free_energy_is_that_of_scikit_learn(machine, rows):
    from sklearn.neural_network import BernoulliRBM

    w, b, c = machine
    other = BernoulliRBM(n_components=H)
    other.components_, other.intercept_visible_, other.intercept_hidden_ = w.T, b, c
    np.testing.assert_allclose(other._free_energy(rows), energy.free_energy(rows, *machine))
    np.testing.assert_allclose(other.transform(rows), energy.hidden_chances(rows, w, c))


def test_a_hopfield_network_goes_downhill_to_what_it_stored():
    random = np.random.default_rng(0)
    patterns = random.choice([-1.0, 1.0], (3, 60))
    weight = energy.hopfield_weights(patterns)
    assert (weight == weight.T).all() and not np.diag(weight).any()
    state = patterns[0].copy()
    state[random.permutation(60)[:9]] *= -1
    recalled = energy.hopfield_recall(state, weight, random)
    assert (recalled == patterns[0]).all()
    before, after = energy.hopfield_energy(np.stack([state, recalled]), weight)
    assert after < before
    for unit in range(60):  # any one unit that takes its sign
        asked = state.copy()
        asked[unit] = np.sign(weight[unit] @ state) or state[unit]
        assert energy.hopfield_energy(asked[None], weight)[0] <= before + 1e-12
    step = np.zeros(60)
    step[7] = 1e-5
    up, down = (energy.hopfield_energy((state + sign * step)[None], weight)[0] for sign in (1, -1))
    assert energy.hopfield_energy_backward(state[None], weight)[0, 7] == pytest.approx((up - down) / 2e-5)

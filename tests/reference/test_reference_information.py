"""Entropies against SciPy, and the numbers of *Plain Talk* §6.8.2."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import mutual_info_score

from gradus.reference import information

quick = settings(max_examples=25, deadline=None)
bases = st.sampled_from([2.0, np.e, 10.0])


def distribution(seed: int, *shape: int) -> np.ndarray:
    """Rows that add up to 1, some entries 0."""
    generator = np.random.default_rng(seed)
    values = generator.random(shape) * (generator.random(shape) > 0.2)
    values[..., 0] += 0.1
    return values / values.sum(axis=-1, keepdims=True)


def test_the_four_matches():
    """63 of 64 games, 32 of 64, 32 even teams, one sure of 32. The book prints 0.1164 for the first, from a rounded 0.023."""
    uneven = np.array([63, 1]) / 64
    np.testing.assert_allclose(information.self_information(uneven), [0.02272, 6], atol=5e-6)
    assert information.entropy(uneven) == pytest.approx(0.11612, abs=5e-6)
    assert pytest.approx(0.1164, abs=5e-5) == 63 / 64 * 0.023 + 6 / 64
    assert information.entropy(np.full(2, 0.5)) == 1 and information.entropy(np.full(32, 1 / 32)) == 5
    sure = np.append(0.99, np.full(31, 0.01 / 31))
    np.testing.assert_allclose(information.self_information(sure[:2]), [0.0145, 11.598], atol=5e-4)
    assert information.entropy(sure) == pytest.approx(0.13034, abs=5e-6)


@quick
@given(st.integers(0, 999), st.integers(2, 6), bases)
def test_entropies_are_those_of_scipy(seed, outcomes, base):
    p, q = distribution(seed, 3, outcomes), distribution(seed + 1, 3, outcomes)
    np.testing.assert_allclose(
        information.entropy(p, base), stats.entropy(p, base=base, axis=1), rtol=1e-10, atol=1e-12
    )
    wanted = stats.entropy(p, q, base=base, axis=1)
    np.testing.assert_allclose(information.kullback_leibler(p, q, base), wanted, rtol=1e-10, atol=1e-12)
    # the divergence is the cross-entropy less the entropy, infinite where q forbids what p allows
    np.testing.assert_allclose(
        information.cross_entropy(p, q, base), information.entropy(p, base) + wanted, rtol=1e-10, atol=1e-12
    )
    assert (wanted >= -1e-12).all()


def test_cross_entropy_is_no_difference_of_two_entropies():
    p, q = np.array([0.9, 0.1]), np.array([0.4, 0.6])
    difference = information.entropy(q) - information.entropy(p)
    assert information.cross_entropy(p, q) == pytest.approx(1.263, abs=1e-3) and difference == pytest.approx(
        0.502, abs=1e-3
    )
    assert information.kullback_leibler(p, q) == pytest.approx(0.794, abs=1e-3)
    assert information.kullback_leibler(p, q) != pytest.approx(information.kullback_leibler(q, p), abs=0.01)


@quick
@given(st.floats(0.01, 1), bases)
def test_rare_outcomes_surprise_more(probability, base):
    near = information.self_information(np.array([probability - 1e-6, probability + 1e-6]), base)
    slope = information.self_information_derivative(probability, base)
    assert slope == pytest.approx((near[1] - near[0]) / 2e-6, rel=1e-5) and slope < 0


def test_certain_and_impossible():
    assert information.entropy(np.array([1.0, 0, 0])) == 0
    assert information.self_information(0.0) == np.inf and information.self_information(1.0) == 0
    assert information.cross_entropy(np.array([0.5, 0.5]), np.array([1.0, 0])) == np.inf
    assert information.cross_entropy(np.array([1.0, 0]), np.array([0.5, 0.5])) == 1  # what cannot come costs nothing


@quick
@given(st.integers(2, 30), bases)
def test_even_outcomes_are_the_most_uncertain(outcomes, base):
    even = information.entropy(np.full(outcomes, 1 / outcomes), base)
    assert even == pytest.approx(np.log(outcomes) / np.log(base))
    other = distribution(outcomes, 1, outcomes)[0]
    assert information.entropy(other, base) <= even + 1e-12
    assert information.entropy(other, base) * np.log(base) == pytest.approx(information.entropy(other, np.e))


@quick
@given(st.integers(0, 999), st.integers(1, 4), st.integers(1, 4))
def test_mutual_information_is_that_of_scikit_learn(seed, rows, columns):
    counts = np.random.default_rng(seed).integers(0, 5, (rows, columns))
    counts[0, 0] += 1
    joint = counts / counts.sum()
    found = information.mutual_information(joint, np.e)
    assert found == pytest.approx(mutual_info_score(None, None, contingency=counts), abs=1e-12)
    both = information.entropy(joint.ravel(), np.e)
    parts = information.entropy(joint.sum(axis=0), np.e) + information.entropy(joint.sum(axis=1), np.e)
    assert found == pytest.approx(parts - both, abs=1e-12)


def test_what_one_tells_of_the_other():
    assert information.mutual_information(np.eye(4) / 4) == pytest.approx(2)  # all of its two bits
    assert information.mutual_information(np.outer([0.3, 0.7], [0.5, 0.2, 0.3])) == pytest.approx(0, abs=1e-12)

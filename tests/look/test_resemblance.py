"""Distances between sets of features, against closed forms and against the definitions computed the slow way."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg
from sklearn.neighbors import NearestNeighbors

from gradus.look import resemblance
from gradus.look.resemblance import coverage, frechet, frechet_distance, nearest, precision_and_recall


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_frechet_distance_in_closed_form():
    one = np.eye(3)
    assert frechet_distance(np.zeros(3), one, np.array([1.0, 2.0, 2.0]), one) == pytest.approx(9)
    # commuting covariances: the sum of (s - t)² over the deviations
    first, second = np.diag([4.0, 9.0, 1.0]), np.diag([1.0, 1.0, 16.0])
    assert frechet_distance(np.zeros(3), first, np.zeros(3), second) == pytest.approx(1 + 4 + 9)
    # one number: (m - n)² + (s - t)²
    assert frechet_distance(*map(np.atleast_1d, (2.0,)), np.array([[9.0]]), np.array([0.0]), np.array([[1.0]])) == (
        pytest.approx(4 + 4)
    )


def test_frechet_distance_as_the_paper_has_it_and_of_singular_covariances():
    rows, others = random(1).normal(size=(200, 5)), random(2).normal(size=(300, 5)) @ random(3).normal(size=(5, 5)) + 1
    c, d = np.cov(rows, rowvar=False), np.cov(others, rowvar=False)
    gap = rows.mean(0) - others.mean(0)
    wanted = gap @ gap + np.trace(c + d - 2 * linalg.sqrtm(c @ d).real)
    assert frechet(rows, others) == pytest.approx(wanted, rel=1e-9)
    assert frechet(rows, rows[::-1]) == pytest.approx(0, abs=1e-9)
    few = random(4).normal(size=(4, 50))  # fewer rows than features, and a feature that is dead
    few[:, 7] = 0
    assert np.isfinite(frechet(few, few + 0.1)) and frechet(few, few + 0.1) == pytest.approx(50 * 0.01, abs=1e-6)


def test_precision_and_recall_by_the_definition(monkeypatch):
    monkeypatch.setattr(resemblance, "BLOCK", 500)  # several blocks
    real, made = random(0).normal(size=(60, 3)), random(1).normal(size=(60, 3)) * 0.6 + 0.4

    def within(asked: np.ndarray, points: np.ndarray) -> float:
        radii = NearestNeighbors(n_neighbors=4).fit(points).kneighbors(points)[0][:, 3]  # itself, and three others
        distances = np.linalg.norm(asked[:, None] - points[None], axis=2)
        return float((distances <= radii).any(axis=1).mean())

    assert precision_and_recall(real, made) == (within(made, real), within(real, made))
    assert precision_and_recall(real, real) == (1, 1) and precision_and_recall(real, real + 100) == (0, 0)
    collapsed = np.repeat(real[:1], 60, axis=0)  # one credible picture, always the same
    precision, recall = precision_and_recall(real, collapsed)
    assert precision == 1 and recall < 0.1


def test_nearest_finds_copies_and_their_distance(monkeypatch):
    monkeypatch.setattr(resemblance, "BLOCK", 1000)
    points = random(0).random((300, 40), dtype=np.float32)
    asked = np.concatenate([points[[7, 250]], random(1).random((20, 40), dtype=np.float32)])
    places, distances = nearest(asked, points)
    wanted, numbers = (
        NearestNeighbors(n_neighbors=1).fit(points.astype(np.float64)).kneighbors(asked.astype(np.float64))
    )
    assert list(places) == list(numbers[:, 0]) and list(places[:2]) == [7, 250] and list(distances[:2]) == [0, 0]
    np.testing.assert_allclose(distances, wanted[:, 0], rtol=1e-9)


def test_coverage_counts_classes_that_occur():
    expected = np.array([0.25, 0.25, 0.5, 0.0])
    assert coverage(np.array([0.25, 0.02, 0.5, 0.23]), expected) == (2, pytest.approx(0.08))
    assert coverage(expected, expected) == (3, 1)

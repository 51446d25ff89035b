"""The fully connected CRF: the lattice against sums over all pairs, and what it does to a noisy map."""

from __future__ import annotations

import numpy as np
import pytest

from gradus.masks.crf import CrfSettings, _simplices, normalised, permutohedral, refine


def halves(side: int = 24, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A picture of two colours, their classes, and a map of probabilities that is wrong at a fifth of the pixels."""
    random = np.random.default_rng(seed)
    classes = np.zeros((side, side), dtype=int)
    classes[:, side // 2 :] = 1
    picture = np.where(classes[..., None] == 1, [200, 60, 60], [40, 60, 160]) + random.normal(0, 6, (side, side, 3))
    told = np.where(random.random(classes.shape) < 0.2, 1 - classes, classes)
    probabilities = np.where(told == np.arange(2)[:, None, None], 0.7, 0.3)
    return picture.clip(0, 255).astype(np.uint8), classes, probabilities


@pytest.mark.parametrize("dimensions", [1, 2, 5])
def test_a_point_is_shared_out_among_the_corners_around_it(dimensions):
    features = np.random.default_rng(0).normal(0, 3, (200, dimensions))
    corners, shares = _simplices(features)
    size = dimensions + 1
    assert shares.min() > -1e-9
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    whole = np.concatenate([corners, -corners.sum(axis=2, keepdims=True)], axis=2)
    for step in range(size):  # corner k is congruent to k
        assert (whole[:, step] % size == step).all()
    # the mean of the corners, weighted, is the point: distances between points are those of the features, but for a factor
    points = (whole * shares[:, :, None]).sum(axis=1)
    distances, wanted = (np.linalg.norm(some[1:] - some[:-1], axis=1) for some in (points, features))
    np.testing.assert_allclose(distances / wanted, size * np.sqrt(2 / 3), rtol=1e-9)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_the_lattice_filters_nearly_as_a_gaussian(dimensions):
    """Where points are dense. The factor is free: filters are normalised."""
    features = np.random.default_rng(1).normal(0, 1.5, (400, dimensions))
    exact = np.exp(-0.5 * ((features[:, None] - features[None]) ** 2).sum(axis=-1))
    values = np.random.default_rng(2).random((400, 3)).astype(np.float32)
    wanted = normalised(lambda rows: exact @ rows, 400)(values)
    found = normalised(permutohedral(features), 400)(values)
    assert np.abs(found - wanted).mean() < 0.06 * wanted.mean()


def test_the_fast_field_is_that_over_all_pairs():
    picture, classes, probabilities = halves()
    exact = refine(probabilities, picture, CrfSettings(), exact=True)
    fast = refine(probabilities, picture, CrfSettings())
    assert np.abs(exact - fast).mean() < 0.01
    np.testing.assert_array_equal(exact.argmax(axis=0), fast.argmax(axis=0))
    np.testing.assert_allclose(fast.sum(axis=0), 1, rtol=1e-5)
    assert (probabilities.argmax(axis=0) == classes).mean() < 0.85
    assert (fast.argmax(axis=0) == classes).mean() == 1


def test_one_exact_step_is_that_of_the_formula():
    picture, _, probabilities = halves(6)
    settings = CrfSettings(iterations=1, smoothness_weight=2, appearance_weight=3, appearance_pixels=4)
    places = np.stack(np.indices((6, 6)), -1).reshape(36, 2).astype(float)
    colours = picture.reshape(36, 3).astype(float)

    def kernel(pixels: float, levels: float | None) -> np.ndarray:
        exponent = ((places[:, None] - places[None]) ** 2).sum(-1) / (2 * pixels**2)
        if levels:
            exponent = exponent + ((colours[:, None] - colours[None]) ** 2).sum(-1) / (2 * levels**2)
        values = np.exp(-exponent)
        rows = values.sum(axis=1)
        return values / np.sqrt(rows[:, None] * rows[None])

    begin = probabilities.reshape(2, 36).T
    logits = np.log(begin) + 2 * kernel(3, None) @ begin + 3 * kernel(4, 13) @ begin
    wanted = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = refine(probabilities, picture, settings, exact=True)
    np.testing.assert_allclose(found.reshape(2, 36).T, wanted, rtol=1e-4)


def test_without_steps_or_weights_nothing_changes():
    picture, _, probabilities = halves(8)
    np.testing.assert_allclose(refine(probabilities, picture, CrfSettings(iterations=0)), probabilities, rtol=1e-5)
    unweighted = CrfSettings(smoothness_weight=0, appearance_weight=0)
    np.testing.assert_allclose(refine(probabilities, picture, unweighted), probabilities, rtol=1e-5)


def test_an_edge_of_the_picture_is_kept_where_smoothness_alone_rounds_it():
    picture, classes, _ = halves()
    blurred = np.stack([1 - (ramp := np.clip((np.arange(24) - 4) / 12, 0.05, 0.95)), ramp])[:, None].repeat(24, 1)
    assert (blurred.argmax(axis=0) != classes).any()  # the boundary lies two columns off
    with_colours = refine(blurred, picture, CrfSettings(), exact=True).argmax(axis=0)
    without = refine(blurred, picture, CrfSettings(appearance_weight=0), exact=True).argmax(axis=0)
    assert (with_colours == classes).all()
    assert (without != classes).any()


def test_grey_pictures_have_one_colour():
    picture, classes, probabilities = halves()
    found = refine(probabilities, picture[:, :, :1], CrfSettings())
    assert (found.argmax(axis=0) == classes).mean() > 0.99

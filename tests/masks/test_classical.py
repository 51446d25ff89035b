"""Classical segmentation, against scikit-image where it has the method, and on pictures whose parts are known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from gradus.masks import classical


def square(side: int = 32, noise: float = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A red square on blue ground with noise, and where it is."""
    inside = np.zeros((side, side), dtype=bool)
    inside[8:20, 10:26] = True
    picture = np.where(inside[..., None], [190, 70, 60], [60, 70, 160])
    picture = picture + np.random.default_rng(seed).normal(0, noise, picture.shape)
    return picture.clip(0, 255).astype(np.uint8), inside


@pytest.mark.parametrize("seed", range(4))
def test_otsu_is_that_of_scikit_image(seed):
    filters = pytest.importorskip("skimage.filters", reason="needs scikit-image")
    random = np.random.default_rng(seed)
    values = np.concatenate([random.normal(70, 12, 900), random.normal(150 + 10 * seed, 25, 600)])
    values = values.clip(0, 255).astype(np.uint8).reshape(30, 50)
    assert classical.otsu_threshold(values) == filters.threshold_otsu(values)


def test_otsu_of_one_level_and_of_two():
    assert classical.otsu_threshold(np.array([[10, 10], [200, 200]])) == 10
    assert not classical.threshold(np.full((4, 4), 7, dtype=np.uint8), level=7).any()  # above, not from it on


def test_a_local_threshold_reads_writing_in_uneven_light():
    light = np.linspace(60, 220, 64)[None].repeat(32, 0)
    ink = np.zeros((32, 64), dtype=bool)
    ink[8:24:4, 4:60] = True
    page = (light * np.where(ink, 0.7, 1)).astype(np.uint8)
    whole, local = ~classical.threshold(page), ~classical.local_threshold(page, 15, offset=8)
    assert (local == ink).mean() > 0.95
    assert (whole == ink).mean() < 0.7


def test_a_region_grows_over_its_object_and_stops():
    picture, inside = square()
    found = classical.grow_regions(picture, [(12, 15), (2, 2)], tolerance=60)
    assert ((found == 1) == inside).all()
    assert ((found == 2) == ~inside).all()
    alone = classical.grow_regions(picture, [(12, 15)], tolerance=60)
    assert (alone[~inside] == 0).all()
    assert classical.grow_regions(picture, [(12, 15)], tolerance=0).sum() == 1


def test_split_and_merge_finds_the_square():
    picture, inside = square(noise=3)
    found = classical.split_and_merge(picture, deviation=6, tolerance=12, smallest=1)
    numbers, counts = np.unique(found[inside], return_counts=True)
    best = numbers[counts.argmax()]
    assert ((found == best) == inside).mean() > 0.97
    assert len(np.unique(classical.split_and_merge(np.full((16, 16), 9, np.uint8)))) == 1


@pytest.mark.parametrize(
    "segments",
    [
        lambda picture: classical.kmeans_segments(picture, 2, place_weight=0.1),
        lambda picture: classical.mean_shift_segments(picture, 0.3, place_weight=0.1),
    ],
    ids=["k-means", "mean shift"],
)
def test_clusters_are_the_two_colours(segments):
    picture, inside = square()
    found = segments(picture)
    assert len(np.unique(found)) == 2
    assert (found[inside] == found[12, 15]).all()
    assert (found[~inside] != found[12, 15]).all()


def test_features_are_normalised():
    features = classical.place_and_colour(square()[0], place_weight=1)
    assert features.shape == (32 * 32, 5)
    np.testing.assert_allclose(features[:, :2].max(axis=0), 1)
    np.testing.assert_allclose(features[33, :2], [1 / 31, 1 / 31])
    assert features.max() <= 1


def test_a_graph_cut_finds_the_object_from_two_strokes():
    picture, inside = square(noise=25)
    foreground, background = np.zeros_like(inside), np.zeros_like(inside)
    foreground[13:15, 12:24], background[:3] = True, True
    assert (classical.graph_cut(picture, foreground, background, rounds=2) == inside).mean() > 0.99
    apart = classical.graph_cut(picture, foreground, background, smoothness=0)
    assert (apart == inside).mean() < (classical.graph_cut(picture, foreground, background) == inside).mean()


def test_a_graph_cut_is_the_least_of_all_labellings():
    random = np.random.default_rng(3)
    inside, outside = random.random((2, 3, 3)) * 3
    known = np.zeros((3, 3), dtype=bool)
    one, other, parting = classical._links(random.random((3, 3, 1)) * 100, 1.0)
    found = classical._least_cut(inside, outside, known, known, (one, other, parting))

    def cost(labels: np.ndarray) -> float:
        flat = labels.ravel()
        return np.where(flat, inside.ravel(), outside.ravel()).sum() + parting[flat[one] != flat[other]].sum()

    least = min(cost(np.array(labels)) for labels in itertools.product([False, True], repeat=9))
    assert cost(found) == pytest.approx(least, abs=1e-2)

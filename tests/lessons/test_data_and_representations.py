"""Lessons on data and representations: their numbers against those of the texts and against what can be derived."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import numbers
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from gradus.lessons import (
    autoencoder_8_3_8,
    bad_splits,
    clock_hands,
    coordinate_change,
    feature_relevance,
    hidden_layer_representations,
)

quick = settings(max_examples=25, deadline=None)


# ---- relevance


def test_only_what_tells_can_be_learnt():
    found = numbers("feature-relevance")
    assert found["loss_weather"] < found["loss_two"] - 0.05 < found["baseline"] - 0.1
    assert found["loss_rice"] == pytest.approx(found["baseline"], abs=0.01)
    assert found["humidity_tells"] > 0.1 > 0.005 > found["rice_tells"] >= 0
    assert found["noise_seen"] < 0.2 and found["noise_new"] > np.log(2)


def test_entropy_of_a_coin():
    assert feature_relevance.entropy(0.5) == pytest.approx(np.log(2))
    rain = np.tile([0.0, 1.0], 50)
    assert feature_relevance.entropy_given(rain, rain, 2) == pytest.approx(0, abs=1e-6)  # the feature is the answer
    assert feature_relevance.entropy_given(np.arange(100.0), rain) == pytest.approx(np.log(2))


# ---- splits


def test_wrong_splits_score_wrong():
    found = numbers("bad-splits")
    assert found["sorted_score"] == pytest.approx(6 / 360)  # the six sevens among the last fifth
    assert found["shuffled_score"] > 0.95
    assert found["shuffled_error"] < 1.5 < found["later_error"]
    assert found["copies_score"] > 0.9
    assert found["disjoint_score"] == pytest.approx(0.5, abs=0.1)
    assert found["commonest"] == pytest.approx(0.95, abs=0.02)
    assert found["summer_in_summer"] - found["summer_in_winter"] > 0.3
    assert found["year_with_season"] > found["year_without_season"] + 0.1


def test_nearest_is_that_of_scikit_learn():
    generator = np.random.default_rng(0)
    known, classes, asked = generator.normal(size=(40, 3)), generator.integers(0, 3, 40), generator.normal(size=(25, 3))
    wanted = KNeighborsClassifier(1).fit(known, classes).predict(asked)
    np.testing.assert_array_equal(bad_splits.nearest(known, classes, asked), wanted)


@quick
@given(st.lists(st.integers(0, 9), min_size=20, max_size=60), st.integers(0, 99))
def test_groups_stay_together(groups, seed):
    named = np.array(groups)
    known, asked = bad_splits.by_group(named, seed)
    assert sorted([*known, *asked]) == list(range(len(named)))
    assert not set(named[known]) & set(named[asked])


# ---- coordinates


def test_the_search_finds_the_axes():
    found = numbers("coordinate-change")
    assert found["best"] == 1 and found["raw"] < 0.85
    assert found["degrees"] == pytest.approx(35, abs=10) and found["shift"] == pytest.approx(0.4, abs=0.15)
    assert found["tried"] == 72 * 41
    assert found["ring_best"] < 0.8 and found["ring_polar"] == 1
    assert found["printed_turn"] == pytest.approx(-90)
    assert found["crumpled"] < 0.65 and found["flat"] == 1


@quick
@given(st.floats(-180, 180), st.floats(-1, 1))
def test_a_change_of_axes_keeps_distances(degrees, shift):
    points = np.random.default_rng(0).normal(size=(5, 2))
    moved = coordinate_change.change(points, degrees, shift)
    np.testing.assert_allclose(
        np.linalg.norm(moved[1:] - moved[0], axis=1), np.linalg.norm(points[1:] - points[0], axis=1)
    )
    # a point at the angle lies on the new first axis
    there = np.array([[np.cos(np.radians(degrees)), np.sin(np.radians(degrees))]])
    np.testing.assert_allclose(coordinate_change.change(there, degrees, 0.0), [[1, 0]], atol=1e-12)


def test_folds_are_undone():
    stages, which = coordinate_change.unfolding(6)
    np.testing.assert_allclose(stages[-1], coordinate_change.sheets(6)[0], atol=1e-12)
    assert len(which) == 72


# ---- clocks


def test_angles_read_every_minute():
    minutes = np.arange(720.0)
    turned = clock_hands.angles(minutes)
    np.testing.assert_allclose(clock_hands.error(clock_hands.read_angles(turned), minutes), 0, atol=1e-9)
    np.testing.assert_allclose(
        clock_hands.error(clock_hands.read_tips(clock_hands.tips(turned)), minutes), 0, atol=1e-9
    )
    quarter = np.degrees(clock_hands.angles(np.array([180.0])))[0]  # three o'clock
    np.testing.assert_allclose(quarter, [90, 0], atol=1e-9)


def test_the_better_the_numbers_the_less_to_learn():
    found = numbers("clock-hands")
    assert found["angle_error"] < 1e-9
    assert found["tips_few"] < found["pixels_few"] and found["tips_many"] < found["pixels_many"]
    assert found["pixels_many"] < found["pixels_few"] / 2


def test_the_printed_clocks():
    found = numbers("clock-hands")
    assert (found["long_angle_1"], found["short_angle_1"], found["long_angle_2"]) == pytest.approx((45, 0, 90))
    assert found["short_angle_2"] == pytest.approx(139.9, abs=0.05)
    assert found["disagreement_1"] == pytest.approx(7.5)
    assert found["disagreement_2"] == pytest.approx(20, abs=0.5)


# ---- 8-3-8


def test_the_code_is_binary():
    found = numbers("autoencoder-8-3-8")
    assert found["distinct"] == 8 and found["reproduced"] == 8
    assert found["plain_right"] == found["noisy_right"] == 20
    assert 8 <= found["plain_distinct"] < found["noisy_distinct"]
    assert found["noisy_undecided"] < 0.3 * found["plain_undecided"]
    assert (found["regions"], found["nearest_regions"], found["nearest_right_in_the_middle"]) == (7, 6, 0)
    assert 0.5 < found["nearest_right"] < 1
    held = autoencoder_8_3_8.attributes(autoencoder_8_3_8.EXAMPLES)
    assert len(np.unique(held, axis=0)) == 6 and sorted(held.sum(axis=1)) == [1, 1, 1, 2, 2, 2]


def test_thresholding_counts():
    corners = np.array([[k >> 2 & 1, k >> 1 & 1, k & 1] for k in range(8)], dtype=float)
    assert autoencoder_8_3_8.distinct(0.1 + 0.8 * corners) == 8
    assert autoencoder_8_3_8.distinct(np.full((8, 3), 0.7)) == 1
    assert autoencoder_8_3_8.attribute_regions(np.array([[1.0, 0, 0], [0, 1, 0]])) == 4
    assert autoencoder_8_3_8.attribute_regions(np.array([[1.0, 0, 0], [1, 0, 0.5]])) == 3  # parallel


# ---- representations


def test_layers_part_the_digits():
    found = numbers("hidden-layer-representations")
    assert found["layer_3_score"] > found["pixels_score"] + 0.03
    assert found["layer_3_separation"] > found["pixels_separation"] + 0.2
    assert found["untrained_score"] < found["pixels_score"]
    assert found["network_score"] > 0.94


@pytest.mark.filterwarnings("ignore:self.within_class_std_dev_")
def test_measures_are_those_of_scikit_learn():
    inputs, classes, held, held_classes = hidden_layer_representations.digits()
    wanted = NearestCentroid().fit(inputs, classes).score(held, held_classes)
    found = hidden_layer_representations.nearest_centroid(inputs, classes, held, held_classes)
    assert found == pytest.approx(wanted, abs=0.003)
    ours = hidden_layer_representations.principal_components(held.astype(float), inputs.astype(float))
    theirs = PCA(2, svd_solver="full").fit(inputs.astype(float)).transform(held)
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-4)
    assert hidden_layer_representations.separation(np.eye(10)[classes], classes) == pytest.approx(1)

"""The kinds of errors of a detector: one scene with one of each, what mending gains, and the confusion matrix."""

from __future__ import annotations

import numpy as np
import pytest
from test_average_precision import random_scenes

from gradus.boxes.average_precision import area, class_curves, voc_matches
from gradus.boxes.errors import KINDS, detection_confusion, find_errors
from gradus.boxes.pool import pool_objects
from gradus.data.columns import Objects

GIVEN = Objects.of(
    [[0, 0, 20, 20], [40, 0, 60, 20], [80, 0, 100, 20], [120, 0, 140, 20], [160, 0, 180, 20], [200, 0, 260, 60]],
    [0, 1, 0, 1, 0, 0],
    [False, False, False, False, False, True],
)
FOUND = {
    "right": ([0, 0, 20, 20], 0, 0.9),
    "duplicate": ([1, 0, 20, 20], 0, 0.8),
    "class": ([40, 0, 60, 20], 0, 0.7),
    "place": ([80, 0, 86, 20], 0, 0.6),
    "both": ([120, 0, 126, 20], 0, 0.5),
    "background": ([300, 300, 320, 320], 0, 0.4),
    "ignored": ([200, 0, 260, 60], 0, 0.3),
}


def one_of_each():
    found = Objects.of(*zip(*((box, label) for box, label, _ in FOUND.values()), strict=True))
    found = Objects.of(found.boxes, found.labels, scores=[score for *_, score in FOUND.values()])
    pool = pool_objects([found], [GIVEN], 2)
    return pool, voc_matches(pool)


def test_each_error_has_its_kind():
    pool, matches = one_of_each()
    errors = find_errors(pool, matches)
    by_score = dict(zip(pool.score.round(1), errors.kind, strict=True))
    for name, (_, _, score) in FOUND.items():
        expected = KINDS.index(name) if name in KINDS else -1
        assert by_score[score] == expected, name
    assert errors.missed.tolist() == [False, False, False, True, True, False]
    assert errors.counts(pool) == {"place": 1, "class": 1, "both": 1, "duplicate": 1, "background": 1, "missed": 2}
    assert errors.counts(pool, 0.55)["both"] == 0


def test_what_mending_gains_by_hand():
    """Class 0: three objects, of which the surest detection finds one: 1/3. Class 1: two, nothing: 0."""
    pool, matches = one_of_each()
    errors = find_errors(pool, matches)
    before = np.mean([area(curve) for curve in class_curves(pool, matches)])
    assert before == pytest.approx(1 / 6)
    # the third detection becomes one of class 1, right and alone there: class 1 finds one of its two objects
    assert errors.gain["class"] == pytest.approx((1 / 3 + 1 / 2) / 2 - before)
    # the fourth becomes right: two of four detections up to it
    assert errors.gain["place"] == pytest.approx((1 / 3 + 1 / 3 * 2 / 4) / 2 - before)
    assert errors.gain["both"] == errors.gain["background"] == errors.gain["duplicate"] == 0
    # without the missed ones class 0 has two objects, class 1 has one
    assert errors.gain["missed"] == pytest.approx((1 / 2 + 0) / 2 - before)


@pytest.mark.parametrize("seed", range(6))
def test_every_wrong_detection_has_one_kind_and_mending_never_harms(seed):
    found, given = random_scenes(seed)
    pool = pool_objects(found, given, 3)
    matches = voc_matches(pool)
    errors = find_errors(pool, matches)
    np.testing.assert_array_equal(errors.kind >= 0, matches.wrong)
    assert not (errors.missed & pool.ignored).any() and set(errors.gain) == set(KINDS)
    assert all(gain >= 0 for gain in errors.gain.values()) and errors.gain["background"] > 0


def test_a_perfect_detector_has_none():
    given = [Objects.of([[0, 0, 9, 9], [20, 20, 50, 50]], [0, 1])]
    found = [Objects.of(given[0].boxes, given[0].labels, scores=[0.9, 0.8])]
    pool = pool_objects(found, given, 2)
    errors = find_errors(pool, voc_matches(pool))
    assert not errors.missed.any() and not any(errors.gain.values()) and (errors.kind == -1).all()
    np.testing.assert_array_equal(detection_confusion(pool, 0.5), [[1, 0, 0], [0, 1, 0], [0, 0, 0]])


def test_nothing_found_and_nothing_given():
    nothing = Objects.of([], [], scores=[])
    pool = pool_objects([nothing], [GIVEN], 2)
    errors = find_errors(pool, voc_matches(pool))
    assert errors.gain["missed"] == 1 and errors.missed.sum() == 5
    np.testing.assert_array_equal(detection_confusion(pool, 0), [[0, 0, 3], [0, 0, 2], [0, 0, 0]])
    empty = pool_objects([], [], 2)
    assert not any(find_errors(empty, voc_matches(empty)).gain.values()) and not detection_confusion(empty, 0).any()


def test_the_confusion_matrix_pairs_each_object_once():
    pool, _ = one_of_each()
    counts = detection_confusion(pool, 0)
    # class 0: one found, two missed; class 1: one taken for class 0, one missed; nothing: duplicate, place, both, background
    np.testing.assert_array_equal(counts, [[1, 0, 2], [1, 0, 1], [4, 0, 0]])
    np.testing.assert_array_equal(detection_confusion(pool, 0.85), [[1, 0, 2], [0, 0, 2], [0, 0, 0]])

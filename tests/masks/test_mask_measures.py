"""Measures of segmentation against scikit-learn and against slow loops."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt
from sklearn.metrics import accuracy_score, jaccard_score, recall_score

from gradus.masks.measures import (
    boundaries,
    class_accuracy,
    confusion_by_picture,
    confusion_metrics,
    edges,
    intersection_over_union,
    segmentation_metrics,
)

CLASSES, IGNORE = 5, 255


def maps(seed: int, pictures: int = 4, size: tuple[int, int] = (40, 56)) -> tuple[np.ndarray, np.ndarray]:
    """True maps of rectangles with unknown parts, and answers that are moved, and wrong here and there."""
    random = np.random.default_rng(seed)
    given = np.zeros((pictures, *size), dtype=np.uint8)
    for one in given:
        for _ in range(5):
            top, left = random.integers(0, size[0] - 8), random.integers(0, size[1] - 8)
            one[top : top + random.integers(4, 20), left : left + random.integers(4, 20)] = random.integers(CLASSES - 1)
    found = np.roll(given, (1, 2), axis=(1, 2))
    wrong = random.random(found.shape) < 0.02
    found[wrong] = random.integers(0, CLASSES - 1, wrong.sum())
    given[random.random(given.shape) < 0.03] = IGNORE
    return found, given


@pytest.mark.parametrize("seed", range(5))
def test_as_scikit_learn(seed):
    found, given = maps(seed)
    known = given != IGNORE
    true, said = given[known], found[known]
    there = np.unique(np.concatenate([true, said]))
    confusion = confusion_by_picture(found, given, CLASSES, IGNORE).sum(axis=0)
    metrics = confusion_metrics(confusion)
    overlap = jaccard_score(true, said, labels=there, average=None)
    np.testing.assert_allclose(intersection_over_union(confusion)[there], overlap)
    assert np.isnan(intersection_over_union(confusion)[CLASSES - 1])  # never there, never said
    assert metrics["miou"] == pytest.approx(overlap.mean())
    assert metrics["pixel_accuracy"] == pytest.approx(accuracy_score(true, said))
    present = np.unique(true)
    recall = recall_score(true, said, labels=present, average=None)
    np.testing.assert_allclose(class_accuracy(confusion)[present], recall)
    assert metrics["mean_class_accuracy"] == pytest.approx(recall.mean())
    assert metrics["frequency_weighted_iou"] == pytest.approx(jaccard_score(true, said, average="weighted"))


def slow_boundary_f(found: np.ndarray, given: np.ndarray, tolerance: float) -> float:
    """Csurka's measure by distance transforms, a class and a picture at a time."""
    scores: dict[int, list[float]] = {}
    for mine, theirs in zip(found, given, strict=True):
        mine = np.where(theirs == IGNORE, IGNORE, mine)
        reach = max(1.0, tolerance * np.hypot(*theirs.shape))
        for label in range(CLASSES):
            lines = []
            for one in (mine, theirs):
                line = np.zeros(one.shape, dtype=bool)
                for y, x in np.argwhere(one == label):
                    for near_y, near_x in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                        if 0 <= near_y < one.shape[0] and 0 <= near_x < one.shape[1]:
                            line[y, x] |= one[near_y, near_x] not in (label, IGNORE)
                lines.append(line)
            if not lines[0].any() and not lines[1].any():
                continue
            if not lines[0].any() or not lines[1].any():
                scores.setdefault(label, []).append(0)
                continue
            precision = (distance_transform_edt(~lines[1])[lines[0]] <= reach).mean()
            recall = (distance_transform_edt(~lines[0])[lines[1]] <= reach).mean()
            both = precision + recall
            scores.setdefault(label, []).append(2 * precision * recall / both if both else 0)
    return float(np.mean([np.mean(values) for values in scores.values()]))


@pytest.mark.parametrize("tolerance", [0.0075, 0.03, 0.061])
def test_boundary_f_as_by_distance_transforms(tolerance):
    found, given = maps(7, pictures=3)
    mine = float(np.nanmean(boundaries(found, given, CLASSES, IGNORE, tolerance).by_class()))
    assert mine == pytest.approx(slow_boundary_f(found, given, tolerance)) and 0.05 < mine < 0.999


def test_a_boundary_moved_within_the_tolerance_is_perfect_and_beyond_it_is_not():
    given = np.zeros((1, 60, 80), dtype=np.uint8)
    given[:, :, 40:] = 1
    for moved, wanted in ((0, 1.0), (2, 1.0), (4, 0.0)):  # 3 pixels are 3 % of the diagonal of 100
        found = np.zeros_like(given)
        found[:, :, 40 + moved :] = 1
        np.testing.assert_array_equal(boundaries(found, given, 3, IGNORE, 0.03).by_class(), [wanted, wanted, np.nan])


def test_unknown_pixels_count_nowhere():
    given = np.full((1, 8, 8), IGNORE, dtype=np.uint8)
    given[0, 2:4] = 1
    found = np.ones_like(given)
    random = np.random.default_rng(0)
    found[given == IGNORE] = random.integers(0, 3, (given == IGNORE).sum())
    metrics = segmentation_metrics(found, given, 3, IGNORE)
    assert metrics["pixel_accuracy"] == metrics["miou"] == 1 and not edges(given[0], IGNORE).any()
    nothing = segmentation_metrics(found, np.full_like(given, IGNORE), 3, IGNORE)
    assert set(nothing.values()) == {0.0}

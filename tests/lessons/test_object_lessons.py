"""Lessons on objects in pictures: their numbers against hand calculation."""

from __future__ import annotations

import numpy as np
import pytest
from pages import numbers

from gradus.boxes.felzenszwalb import felzenszwalb
from gradus.boxes.selective_search import join_regions
from gradus.lessons import anchors_and_grids, selective_search, suppression


def test_of_four_dandelions_one_stays():
    found = numbers("suppression")
    assert (found["kept"], found["which"]) == (1, 1)  # the stable order; the listing's keeps 3
    assert found["area"] == 155 * 149
    assert [found[f"iou_3_{other}"] for other in range(3)] == pytest.approx([0.526, 0.734, 0.446], abs=5e-4)


def test_soft_suppression_keeps_the_neighbour():
    found = numbers("suppression")
    shared, union = 55 * 100, 2 * 100 * 100 - 55 * 100
    assert shared / union > suppression.THRESHOLD
    assert found["neighbour_plain"] == 0
    between = (108 - 45) * 96 / (2 * 10_000 - (108 - 45) * 96)  # of boxes 1 and 2
    first = 0.7 * np.exp(-((shared / union) ** 2) / 0.5)
    second = 0.8 * np.exp(-((92 * 96 / (20_000 - 92 * 96)) ** 2) / 0.5)
    assert second < first  # so box 2 is taken next, and lowers box 1 once more
    assert found["neighbour_soft"] == pytest.approx(first)
    assert found["second_soft"] == pytest.approx(second * np.exp(-(between**2) / 0.5))


def test_a_step_of_the_joining_has_so_many_regions():
    picture = selective_search.scene()
    labels = felzenszwalb(picture, 300)
    regions = join_regions(picture, labels)
    for left in (1, 2, regions.pieces // 2, regions.pieces):
        now = selective_search.at_step(labels, regions.parents, 2 * regions.pieces - 1 - left)
        assert now.max() + 1 == left
    assert np.array_equal(
        np.unique(now * 1000 + labels), np.arange(regions.pieces) * 1001
    )  # nothing joined: the pieces


def test_selective_search_finds_the_blossom():
    found = numbers("selective-search")
    assert found["pattern"] == 19  # printed: 16
    assert found["regions"] == 2 * found["pieces"] - 1
    assert found["blossom"] > 0.7 and 0 < found["common_colour"] < 1


def test_small_objects_are_found_on_the_fine_map_and_large_ones_on_the_coarse():
    found = numbers("anchors-and-grids")
    assert found["small_on_fine"] > 0 < found["large_on_coarse"]
    assert (found["rpn"], found["ssd300"], found["ssd512"]) == (9216, 8732, 24564)
    fine, coarse = (anchors for _, anchors in anchors_and_grids.maps())
    for anchors, owner in ((fine, 1), (coarse, 0)):
        assert not (anchors_and_grids.assign(anchors, anchors_and_grids.OBJECTS, force=False) == owner).any()
    assert found["numbers"] == 72 and found["lost"] == 1 and found["kept_by_anchors"] == 2
    assert found["round_trip"] < 1e-3

"""Region proposals: graph segmentation, selective search, and the boxes they give."""

from __future__ import annotations

import os

import numpy as np
import pytest

import gradus
from gradus.boxes import proposals
from gradus.boxes.felzenszwalb import felzenszwalb
from gradus.boxes.proposals import distinct, in_colours, propose, recall
from gradus.boxes.selective_search import (
    Regions,
    around,
    first_regions,
    histograms,
    join_regions,
    local_binary_patterns,
    similarity,
    touching,
)
from gradus.errors import UserError
from gradus.reference.overlap import box_iou


def speckled(height: int = 48, width: int = 64, seed: int = 0) -> np.ndarray:
    """A grey picture with noise, a red square and a blue disc."""
    picture = np.full((height, width, 3), 120.0)
    picture[8:24, 10:30] = (200, 40, 40)
    rows, columns = np.indices((height, width))
    picture[(rows - 32) ** 2 + (columns - 46) ** 2 < 100] = (40, 60, 200)
    return (picture + np.random.default_rng(seed).normal(0, 6, picture.shape)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(("scale", "sigma", "min_size"), [(20, 0.8, 1), (100, 0.8, 20), (500, 0.5, 10)])
def test_pieces_are_those_of_scikit_image(scale, sigma, min_size):
    segmentation = pytest.importorskip("skimage.segmentation")
    ours = felzenszwalb(speckled(), scale, sigma, min_size)
    theirs = segmentation.felzenszwalb(speckled(), scale=scale, sigma=sigma, min_size=min_size)
    assert ours.max() > 1
    pairs = np.unique(np.stack([ours.ravel(), theirs.ravel()]), axis=1)
    assert pairs.shape[1] == ours.max() + 1 == theirs.max() + 1  # one to one: the same partition


def test_dropping_edges_in_bulk_changes_nothing():
    from gradus.boxes import felzenszwalb as module

    values = np.random.default_rng(3).integers(0, 256, (20, 25, 3)).astype(np.float32)
    first, second, weights = module.grid_edges(values)
    order = np.argsort(weights, kind="stable")
    edges = first[order], second[order], weights[order]
    at_once = module.join_pieces(*edges, 500, 300.0, part=len(order))
    assert 1 < len(np.unique(at_once)) < 250
    assert np.array_equal(module.join_pieces(*edges, 500, 300.0, part=7), at_once)


def test_a_larger_scale_gives_larger_pieces_and_none_is_below_min_size():
    counts = [felzenszwalb(speckled(), scale, 0.5, 5) for scale in (10, 100, 2000)]
    assert counts[0].max() > counts[1].max() > counts[2].max()
    assert all(np.bincount(labels.ravel()).min() >= 5 for labels in counts)
    assert np.array_equal(np.unique(counts[0]), np.arange(counts[0].max() + 1)) and counts[0][0, 0] == 0


def test_local_binary_pattern_of_the_book():
    # the bits 0001 0011 are 19, not 16: neighbours 4, 7 and 8 of eight are larger, from the upper left on, clockwise
    picture = np.array([[1, 1, 1], [9, 5, 9], [9, 1, 1]])
    assert local_binary_patterns(picture)[1, 1] == int("00010011", 2) == 19
    assert local_binary_patterns(np.full((3, 4), 7)).tolist() == [[0] * 4] * 3  # equal is not larger


def test_histograms_sum_to_one_over_all_channels():
    # divided by the pixels alone, as the book's listing does, three channels sum to 3 and four measures can exceed 4
    labels = felzenszwalb(speckled(), 100)
    counts = histograms(speckled(), labels, labels.max() + 1, 25)
    assert counts.shape == (labels.max() + 1, 75)
    assert np.allclose(counts.sum(axis=1), 1)
    assert np.allclose(counts[0, :25].sum(), 1 / 3)


def test_touching_pieces_are_found_over_corners_too():
    labels = np.array([[0, 0, 1], [2, 2, 1], [2, 2, 3]])
    assert touching(labels).tolist() == [[0, 1], [0, 2], [1, 2], [1, 3], [2, 3]]


def test_similarities_by_hand():
    regions = Regions(
        boxes=np.array([[0, 0, 2, 2], [2, 0, 4, 2], [0, 0, 0, 0]]),
        sizes=np.array([4, 2, 0]),
        colour=np.array([[0.5, 0.5, 0], [0.25, 0.25, 0.5], [0, 0, 0]]),
        texture=np.array([[1.0, 0], [0.5, 0.5], [0, 0]]),
        parents=np.full(3, -1),
        pieces=2,
    )
    other, pixels = np.array([1]), 16
    assert similarity(regions, 0, other, pixels, ["colour"]) == pytest.approx(0.5)
    assert similarity(regions, 0, other, pixels, ["texture"]) == pytest.approx(0.5)
    assert similarity(regions, 0, other, pixels, ["size"]) == pytest.approx(1 - 6 / 16)
    assert similarity(regions, 0, other, pixels, ["fill"]) == pytest.approx(1 - (8 - 6) / 16)
    assert similarity(regions, 0, other, pixels) == pytest.approx(0.5 + 0.5 + 10 / 16 + 14 / 16)


def naive(values: np.ndarray, labels: np.ndarray) -> list[tuple[int, ...]]:
    """Selective search as its pseudo-code has it, every similarity computed anew from the pixels."""
    members = {number: {number} for number in range(labels.max() + 1)}
    edges = {frozenset(pair) for pair in touching(labels).tolist()}
    boxes = []

    def region(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        inside = np.isin(labels, list(members[number]))
        rows, columns = np.nonzero(inside)
        box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        patterns = np.stack([local_binary_patterns(values[..., c]) for c in range(3)], axis=2)
        which = np.where(inside, 0, 1)
        return box, histograms(values, which, 2, 25)[0], histograms(patterns, which, 2, 10)[0], int(inside.sum())

    def alike(pair: frozenset[int]) -> float:
        (box, colour, texture, size), (box2, colour2, texture2, size2) = (region(one) for one in sorted(pair))
        sides = around(box, box2)
        area = (sides[2] - sides[0]) * (sides[3] - sides[1])
        both = np.minimum(colour, colour2).sum() + np.minimum(texture, texture2).sum()
        return both + 1 - (size + size2) / labels.size + 1 - (area - size - size2) / labels.size

    boxes = [tuple(region(number)[0].tolist()) for number in members]
    while edges:
        best = max(edges, key=alike)
        new = len(boxes)
        members[new] = set().union(*(members[one] for one in best))
        boxes.append(tuple(region(new)[0].tolist()))
        edges = {frozenset(new if one in best else one for one in pair) for pair in edges if pair != best}
    return boxes


def test_joining_is_that_of_the_pseudo_code():
    picture = speckled(20, 24, seed=5)[:, :, ::-1].copy()
    labels = felzenszwalb(picture, 30, 0.5, 8)
    assert 4 <= labels.max() <= 30
    regions = join_regions(picture, labels)
    assert [tuple(box) for box in regions.boxes.tolist()] == naive(picture, labels)


def test_the_hierarchy_ends_in_the_whole_picture():
    picture = speckled()
    regions = join_regions(picture, felzenszwalb(picture, 30))
    assert len(regions.sizes) == 2 * regions.pieces - 1  # all regions ever made, as R collects them
    assert regions.boxes[-1].tolist() == [0, 0, 64, 48] and regions.sizes[-1] == 64 * 48
    assert (regions.parents[:-1] > np.arange(len(regions.sizes) - 1)).all() and regions.parents[-1] == -1
    for new in range(regions.pieces, len(regions.sizes)):
        parts = np.flatnonzero(regions.parents == new)
        assert len(parts) == 2 and regions.sizes[parts].sum() == regions.sizes[new]
    whole = first_regions(picture, np.zeros((48, 64), dtype=np.int64))
    assert np.allclose(regions.colour[-1], whole.colour[0]) and np.allclose(regions.texture[-1], whole.texture[0])


@pytest.mark.parametrize("quality", ["fast", "full"])
def test_objects_are_among_the_proposals(quality):
    boxes = propose(speckled(), 100, quality=quality)
    true = np.array([[10, 8, 30, 24], [36, 22, 56, 42]])
    assert (box_iou(true, boxes).max(axis=1) > 0.8).all()
    assert boxes.dtype == np.float32 and len(boxes) <= 100
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2] <= 64).all() and (boxes[:, 3] <= 48).all()
    assert np.array_equal(propose(speckled(), 100, quality=quality), boxes)
    overlaps = box_iou(boxes, boxes) - np.eye(len(boxes))
    assert overlaps.max() <= 0.8 + 1e-6


def test_boxes_are_in_pixels_of_the_given_picture():
    large = speckled().repeat(8, axis=0).repeat(8, axis=1)
    boxes = propose(large, 100, longest_side=64)
    assert (box_iou(np.array([[80, 64, 240, 192]]), boxes).max() > 0.8) and boxes[:, 2].max() == 512


def test_a_picture_without_anything_is_one_box():
    assert propose(np.full((30, 40, 3), 9, dtype=np.uint8)).tolist() == [[0, 0, 40, 30]]
    assert propose(np.full((2, 3, 3), 9, dtype=np.uint8)).tolist() == [[0, 0, 3, 2]]


def test_mistakes_are_named():
    with pytest.raises(UserError, match="did you mean 'fast'"):
        propose(speckled(), quality="fst")
    with pytest.raises(UserError, match=r"uint8 \(H, W, 3\)"):
        propose(speckled()[:, :, 0])


def test_lab_is_that_of_scikit_image():
    color = pytest.importorskip("skimage.color")
    theirs = color.rgb2lab(speckled()) * [2.55, 1, 1] + [0, 128, 128]
    assert np.abs(in_colours(speckled(), "lab") - theirs).max() <= 0.51


def test_distinct_keeps_the_earlier_of_two_alike():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 10], [0, 0, 10, 5]])
    assert distinct(boxes, 10, 0.8).tolist() == boxes[[0, 2, 3]].tolist()
    assert distinct(boxes, 2, 0.8).tolist() == boxes[[0, 2]].tolist()


def test_recall_by_hand():
    truths = [np.array([[0, 0, 10, 10], [50, 50, 60, 60]]), np.zeros((0, 4))]
    found = [np.array([[0, 0, 10, 6], [0, 0, 10, 10]]), np.zeros((0, 4))]
    one, two = recall(found, truths, counts=(1, 2))
    assert one == {"proposals": 0.5, "recall50": 0.5, "recall70": 0.0, "overlap": pytest.approx(0.3)}
    assert two == {"proposals": 1.0, "recall50": 0.5, "recall70": 0.5, "overlap": pytest.approx(0.5)}


@pytest.mark.skipif("GRADUS_DATA" not in os.environ, reason="GRADUS_DATA names no folder of data sets")
def test_most_blood_cells_are_proposed():
    split = gradus.load_data("bccd")["validation"]
    rows = [split.row(index) for index in (0, 30)]
    found = [propose(np.asarray(row["image"])) for row in rows]
    scores = recall(found, [row["objects"].boxes for row in rows], counts=(300,))[0]
    assert scores["recall50"] > 0.7 and proposals.LONGEST_SIDE["fast"] == 256

"""Outlines drawn and traced: by hand, back and forth, and beside COCO's own tools and scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from gradus.data.outlines import REST, UNKNOWN, Drawing, Part, Polygons, Runs, read_runs, trace
from gradus.data.outlines import fill as fill_window

SHAPES = [(1, 1), (7, 5), (40, 33), (90, 61)]


def whole(part: Part, size: tuple[int, int]) -> np.ndarray:
    window, inside = part
    drawn = np.zeros(size, dtype=bool)
    drawn[window] = inside
    return drawn


def fill(corners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return whole(fill_window(corners, size), size)


def blotches(size: tuple[int, int], seed: int, scale: float) -> np.ndarray:
    return gaussian_filter(np.random.default_rng(seed).normal(size=size), scale) > 0


def test_a_pixel_belongs_to_what_its_middle_is_in():
    square = np.array([[1, 1], [4, 1], [4, 3], [1, 3]], dtype=float)
    wanted = np.zeros((5, 6), dtype=bool)
    wanted[1:3, 1:4] = True
    assert np.array_equal(fill(square, (5, 6)), wanted)
    assert np.array_equal(fill(square[::-1], (5, 6)), wanted)
    assert np.array_equal(fill(square + 0.49, (5, 6)), wanted)
    assert np.array_equal(fill(square + np.array([0.51, 0]), (5, 6)), np.roll(wanted, 1, axis=1))
    assert fill(square * 10 - 15, (5, 6)).all()  # beyond the picture on all sides
    assert not fill(square + 100, (5, 6)).any()
    triangle = np.array([[0, 0], [4, 0], [0, 4]], dtype=float)
    assert fill(triangle, (4, 4)).astype(int).tolist() == [[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("size", SHAPES)
@pytest.mark.parametrize("scale", [0.1, 1, 3])
def test_what_is_traced_is_drawn_back_exactly(size, scale):
    for seed in range(5):
        mask = blotches(size, seed, scale)
        drawn = np.zeros(size, dtype=int)
        for corners, area in trace(mask):
            part = fill(corners, size)
            assert part.sum() == area
            drawn += part
        assert np.array_equal(drawn, mask)  # no pixel twice


def test_a_ring_is_one_outline_with_a_cut():
    ring = np.ones((5, 5), dtype=bool)
    ring[2, 2] = False
    ((corners, area),) = trace(ring)
    assert area == 24 and len(corners) == 4 + 1 + 4 + 1 + 1
    assert corners.min() == 0 and corners.max() == 5


def test_many_holes_cost_no_more_than_their_borders():
    """Cuts go from hole to hole downwards: together they cross each row a few times, not once for every hole."""
    mask = np.ones((200, 200), dtype=bool)
    mask[1::4, 1::4] = False
    ((corners, _),) = trace(mask)
    rises = np.abs(np.diff(corners[:, 1])).sum()
    assert rises < 2 * (200 + 2500 * 2 + 200 + 50)
    assert np.array_equal(fill(corners, (200, 200)), mask)


def test_polygons_and_runs_beside_cocos_own_tools():
    """Runs are the same; of slanted borders COCO rounds to a fifth of a pixel, so a few border pixels differ."""
    from faster_coco_eval.core import mask as tools

    random = np.random.default_rng(0)
    for seed in range(20):
        mask = blotches((37, 53), seed, 2)
        encoded = tools.encode(np.asfortranarray(mask.astype(np.uint8)))
        text = encoded["counts"]
        runs = read_runs(text.decode() if isinstance(text, bytes) else text, (37, 53))
        assert runs is not None and np.array_equal(next(runs.draw((37, 53)))[1], mask)
        plain = read_runs(runs.counts.tolist(), (37, 53))
        assert plain is not None and np.array_equal(next(plain.draw((37, 53)))[1], mask)
        # corners around a middle in order: a polygon that does not cross itself
        angles = np.sort(random.uniform(0, 2 * np.pi, 7))
        corners = 50 + random.uniform(20, 55, (7, 1)) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        mine = fill(corners, (100, 100))
        theirs = tools.decode(tools.merge(tools.frPyObjects([corners.ravel().tolist()], 100, 100))) > 0
        assert (mine != theirs).sum() <= 40 and (mine != theirs).sum() < 0.02 * theirs.sum()


def test_polygons_beside_scikit_image():
    from skimage.draw import polygon2mask

    random = np.random.default_rng(0)
    for _ in range(50):
        corners = random.uniform(0, 50, (7, 2))
        theirs = polygon2mask((50, 50), corners[:, ::-1] - 0.5)  # there a pixel's middle has whole numbers
        assert (fill(corners, (50, 50)) != theirs).sum() <= 1


@pytest.mark.parametrize("counts", ["", "~~", "5", [3, 4], [], [-1, 13], "o"])
def test_runs_that_do_not_cover_the_picture_are_none(counts):
    assert read_runs(counts, (3, 4)) is None
    assert read_runs([5, 7], (3, 4)) is not None


def test_smaller_objects_lie_on_larger_ones_and_boxes_below_all():
    small = np.array([[1, 1], [2, 1], [2, 2], [1, 2]], dtype=float)
    large = np.array([[0, 0], [3, 0], [3, 3], [0, 3]], dtype=float)
    drawing = Drawing(((5, Polygons((small,))), (6, Polygons((large,)))), ((2.0, 0.0, 4.0, 4.0),))
    assert drawing.draw((4, 4)).tolist() == [
        [6, 6, 6, UNKNOWN],
        [6, 5, 6, UNKNOWN],
        [6, 6, 6, UNKNOWN],
        [REST, REST, UNKNOWN, UNKNOWN],
    ]
    runs = Drawing(((7, Runs(np.array([0, 4, 12]), (4, 4))),))  # the first column
    assert runs.draw((4, 4))[:, 0].tolist() == [7, 7, 7, 7]

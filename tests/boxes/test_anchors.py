"""Anchors, prior boxes, k-means, box regression, grids, assignment and mining."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from gradus.boxes.anchors import SSD300, SSD512, grid_anchors, kmeans_anchors, shape_iou, ssd_priors, ssd_sizes
from gradus.boxes.assignment import assign, assigned
from gradus.boxes.coding import decode_boxes, encode_boxes
from gradus.boxes.geometry import ciou, diou, iou, pairwise_iou, to_centres
from gradus.boxes.grid import decode_grid, encode_grid
from gradus.boxes.mining import hard_examples, hard_negatives
from gradus.errors import UserError


def test_nine_anchors_of_the_region_proposal_network():
    # *Principles and Practice* §5.1: areas 128^2, 256^2, 512^2 in 1:1, 1:2, 2:1; a map of 32 x 32 has 9216
    anchors = grid_anchors(32, 32, 16, (128, 256, 512), (1, 0.5, 2))
    assert anchors.shape == (9216, 4)
    first = to_centres(anchors[:9])
    assert first[:, :2].tolist() == [[8, 8]] * 9
    assert torch.allclose(first[:, 2] * first[:, 3], torch.tensor([128.0, 256, 512]).square().repeat_interleave(3))
    assert torch.allclose(first[:, 2] / first[:, 3], torch.tensor([1, 0.5, 2]).repeat(3))
    assert to_centres(anchors[9]).tolist() == [24, 8, 128, 128]  # cells go along the row first
    assert to_centres(anchors[9 * 32]).tolist() == [8, 24, 128, 128]
    assert to_centres(grid_anchors(2, 3, (10, 20), (4,), (1,))[-1]).tolist() == [50, 15, 4, 4]


@pytest.mark.parametrize(("published", "side", "count"), [(SSD300, 300, 8732), (SSD512, 512, 24564)])
def test_ssd_has_as_many_priors_as_published(published, side, count):
    maps, sizes, ratios = published
    priors = ssd_priors((side, side), [(m, m) for m in maps], sizes, ratios)
    assert priors.shape == (count, 4)
    last = to_centres(priors[-4:])  # of the map of one cell
    assert torch.allclose(last[:, :2], torch.tensor(side / 2.0))
    square = math.sqrt(sizes[-2] * sizes[-1])
    wide = sizes[-2] * math.sqrt(2), sizes[-2] / math.sqrt(2)
    assert torch.allclose(last[:, 2:], torch.tensor([[sizes[-2]] * 2, [square] * 2, wide, wide[::-1]]))


def test_ssd_sizes_are_those_published():
    assert ssd_sizes(300, 6) == pytest.approx(SSD300[1])
    assert ssd_sizes(512, 7, first=0.07, low=0.15) == pytest.approx(SSD512[1])
    with pytest.raises(UserError, match="2 maps need as many ratios and one more size"):
        ssd_priors((10, 10), [(2, 2), (1, 1)], (1, 2), ((2,), (2,)))
    with pytest.raises(UserError, match="at least 3 maps"):
        ssd_sizes(300, 2)


def test_kmeans_finds_the_shapes_there_are():
    generator = torch.Generator().manual_seed(0)
    shapes = torch.tensor([[10.0, 30], [60, 20], [100, 100]])
    sizes = (shapes.repeat(30, 1) * (1 + 0.05 * torch.randn(90, 2, generator=generator)))[
        torch.randperm(90, generator=generator)
    ]
    found = kmeans_anchors(sizes, 3, seed=1)
    assert torch.allclose(found, shapes, rtol=0.05)
    assert torch.equal(found, kmeans_anchors(sizes, 3, seed=1))
    assert shape_iou(sizes, found).amax(dim=1).mean() > 0.9
    with pytest.raises(UserError, match="at least 2 different shapes, got 1"):
        kmeans_anchors(torch.ones(5, 2), 2)


def test_kmeans_goes_by_overlap_and_not_by_length():
    # by Euclidean distance the two large shapes, 40 apart, would part before the two small ones, 6 apart
    sizes = torch.tensor([[2.0, 2], [8, 8], [200, 200], [240, 240]])
    assert torch.allclose(kmeans_anchors(sizes, 3, seed=0), torch.tensor([[2.0, 2], [8, 8], [220, 220]]))


def test_box_regression_by_hand_and_back():
    anchor, box = torch.tensor([10.0, 10, 30, 50]), torch.tensor([20.0, 20, 60, 40])
    assert torch.allclose(encode_boxes(box, anchor), torch.tensor([1, 0, math.log(2), -math.log(2)]))
    scaled = encode_boxes(box, anchor, (0.1, 0.1, 0.2, 0.2))
    assert torch.allclose(scaled, torch.tensor([10, 0, 5 * math.log(2), -5 * math.log(2)]))
    generator = torch.Generator().manual_seed(0)
    low = torch.rand(2, 7, 4, 2, generator=generator) * 20
    first, second = torch.cat([low, low + 1 + torch.rand(low.shape, generator=generator) * 30], dim=3)
    for variances in ((1, 1, 1, 1), (0.1, 0.1, 0.2, 0.2)):
        assert torch.allclose(decode_boxes(encode_boxes(first, second, variances), second, variances), first, atol=1e-4)
    assert decode_boxes(torch.tensor([0, 0, 1000.0, 0]), anchor).isfinite().all()


def test_distance_and_complete_iou_by_hand():
    first, second = torch.tensor([0.0, 0, 4, 4]), torch.tensor([2.0, 0, 6, 4])
    assert diou(first, second) == pytest.approx(8 / 24 - 4 / 52)
    assert ciou(first, second) == pytest.approx(8 / 24 - 4 / 52)  # one shape: nothing more to pay
    tall = torch.tensor([1.0, 0, 3, 8])
    shape = (2 / math.pi * (math.atan(1) - math.atan(2 / 8))) ** 2
    weight = shape / (1 - iou(first, tall) + shape)
    assert ciou(first, tall) == pytest.approx(float(diou(first, tall) - weight * shape))
    assert ciou(first, first) == 1


def course_notes_objects() -> torch.Tensor:
    # course notes §4.3.6, 3 x 3 cells of 100: in cell 6 (second row, third column) bx .4, by .3, bh .5, bw .9, a car
    middle, width, height = (200 + 40, 100 + 30), 90, 50
    box = [middle[0] - width / 2, middle[1] - height / 2, middle[0] + width / 2, middle[1] + height / 2, 1, 0]
    return torch.tensor([[box, [0, 0, 0, 0, -1, 0]]])


def test_grid_of_the_course_notes():
    grid, collided = encode_grid(course_notes_objects(), (300, 300), (3, 3), 3)
    assert grid.flatten(3).shape == (1, 3, 3, 8) and not collided.any()
    cells = grid.flatten(1, 3)[0]  # row by row: cell 6 is the sixth
    assert torch.allclose(cells[5], torch.tensor([1, 0.4, 0.3, 0.5, 0.9, 0, 1, 0]))
    assert not cells[[0, 1, 2, 3, 4, 6, 7, 8]].any()


def test_grid_with_two_anchors():
    anchors = torch.tensor([[20.0, 60], [80, 40]])  # tall (1), wide (2)
    grid, collided = encode_grid(course_notes_objects(), (300, 300), (3, 3), 3, anchors)
    assert grid.flatten(3).shape == (1, 3, 3, 16)
    # a car alone: the first eight start with 0
    assert torch.allclose(grid.flatten(3)[0, 1, 2], torch.tensor([0] * 8 + [1, 0.4, 0.3, 0.5, 0.9, 0, 1, 0.0]))
    assert not collided.any()


def test_grid_there_and_back():
    generator = torch.Generator().manual_seed(0)
    low = torch.rand(4, 6, 2, generator=generator) * 150
    objects = torch.cat([low, low + 1 + torch.rand(4, 6, 2, generator=generator) * 90, torch.zeros(4, 6, 2)], dim=2)
    objects[..., 4] = torch.randint(0, 5, (4, 6), generator=generator)
    grid, collided = encode_grid(objects, (240, 300), (12, 15), 5)
    boxes, present, kinds = decode_grid(grid, (240, 300))
    for row in range(4):
        kept = objects[row][~collided[row]]
        found = torch.cat([boxes[row], kinds[row].argmax(dim=1, keepdim=True)], dim=1)[present[row] > 0]
        assert len(found) == len(kept)
        for one in kept:
            assert (found - one[:5]).abs().amax(dim=1).min() < 1e-3


def test_two_middles_in_one_cell_are_told():
    both = torch.tensor(
        [[10.0, 10, 30, 30, 0, 0], [5, 5, 35, 35, 1, 0], [12, 12, 28, 28, 2, 1], [290, 0, 330, 20, 0, 0]]
    )
    grid, collided = encode_grid(both[None], (300, 300), (3, 3), 3)
    assert collided.tolist() == [[False, True, False, False]]  # ignored ones and middles outside take no place
    assert grid[..., 0].sum() == 1 and grid[0, 0, 0, 0, 5:].tolist() == [1, 0, 0]


ANCHORS = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 20], [0, 0, 10, 5], [40, 40, 50, 50], [90, 90, 99, 99]])


def objects(*rows: list[float]) -> torch.Tensor:
    return torch.tensor([[*rows, [0, 0, 0, 0, -1, 0]]], dtype=torch.float32)


def test_assignment_by_thresholds():
    given = objects([0, 0, 10, 10, 2, 0])
    assert assign(ANCHORS, given, 0.7, 0.4).tolist() == [[0, -2, -2, -1, -1]]
    assert assign(ANCHORS, given, 0.5, 0.4).tolist() == [[0, 0, 0, -1, -1]]
    boxes, labels = assigned(given, assign(ANCHORS, given, 0.7, 0.4))
    assert boxes[0, 0].tolist() == [0, 0, 10, 10] and labels.tolist() == [[2, -1, -1, -1, -1]]


def test_every_object_has_an_anchor_when_forced():
    small = objects([0, 0, 10, 10, 2, 0], [44, 44, 47, 47, 1, 0])
    assert assign(ANCHORS, small).tolist() == [[0, 0, 0, 1, -1]]
    assert assign(ANCHORS, small, force=False).tolist() == [[0, 0, 0, -1, -1]]
    # both are best with anchor 3: the one it overlaps more has it; and what no anchor meets has none
    rivals = objects([44, 44, 47, 47, 0, 0], [43, 43, 48, 48, 1, 0], [70, 0, 80, 10, 1, 0])
    assert assign(ANCHORS, rivals).tolist() == [[-1, -1, -1, 1, -1]]


def test_anchors_in_ignored_objects_are_neither():
    given = objects([0, 0, 12, 12, 0, 1], [40, 40, 50, 50, 1, 0])
    assert assign(ANCHORS, given).tolist() == [[-2, -2, -2, 1, -1]]
    empty = objects()
    assert assign(ANCHORS, empty).tolist() == [[-1] * 5]


def test_three_negatives_for_every_positive():
    loss = torch.tensor([[9.0, 1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6, 7]])
    positive = torch.zeros(2, 7, dtype=torch.bool)
    positive[0, 0] = True
    assert hard_negatives(loss, positive).tolist() == [[False] * 4 + [True] * 3, [False] * 7]
    ignored = torch.zeros_like(positive)
    ignored[0, 6] = True
    kept = hard_negatives(loss, positive, 2, ignored, least=1)
    assert kept.tolist() == [[False] * 4 + [True, True, False], [False] * 6 + [True]]
    many = hard_negatives(loss, positive, 30)
    assert many[0].tolist() == [False] + [True] * 6  # never a positive one


def test_online_hard_examples():
    loss = torch.tensor([[1.0, 4, 3, 2]], requires_grad=True)
    boxes = torch.tensor([[[0.0, 0, 9, 9], [20, 0, 30, 10], [20, 0, 30, 9], [50, 0, 60, 10]]])
    assert hard_examples(loss, 2).tolist() == [[False, True, True, False]]
    assert hard_examples(loss, 2, boxes).tolist() == [[False, True, False, True]]
    assert hard_examples(loss, 9, boxes).sum() == 3


def test_assignment_is_the_loop():
    generator = torch.Generator().manual_seed(2)
    low = torch.rand(60, 2, generator=generator) * 40
    boxes = torch.cat([low, low + 4 + torch.rand(60, 2, generator=generator) * 20], dim=1)
    given = torch.cat([boxes[50:], torch.zeros(10, 2)], dim=1)[None]
    overlaps = pairwise_iou(boxes[:50], boxes[50:])
    wanted = []
    for row in overlaps:
        best = int(row.argmax())
        wanted.append(best if row[best] >= 0.6 else -1 if row[best] < 0.3 else -2)
    for anchor, owner in itertools.product(range(50), range(10)):
        if overlaps[anchor, owner] == overlaps[:, owner].max() > 0:
            rivals = [k for k in range(10) if overlaps[anchor, k] == overlaps[:, k].max()]
            wanted[anchor] = max(rivals, key=lambda k: overlaps[anchor, k])
    assert assign(boxes[:50], given, 0.6, 0.3).tolist() == [wanted]
    assert {-1, -2} < set(wanted)

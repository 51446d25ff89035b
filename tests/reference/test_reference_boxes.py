"""The reference of boxes, by hand and against what is used in training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numerical import differences

from gradus.boxes import coding, geometry, nms
from gradus.reference.boxes import (
    decode_boxes,
    encode_boxes,
    generalised_iou,
    non_maximum_suppression,
    soft_suppression,
)
from gradus.reference.other_pooling import align_weights, roi_align, roi_align_backward


def drawn(seed: int, count: int = 20) -> np.ndarray:
    generator = np.random.default_rng(seed)
    low = generator.uniform(0, 40, (count, 2))
    return np.concatenate([low, low + generator.uniform(3, 20, (count, 2))], axis=1)


def test_generalised_iou_by_hand():
    first, others = np.array([[0.0, 0, 2, 2]]), np.array([[0.0, 0, 2, 2], [1, 0, 3, 2], [4, 0, 6, 2]])
    assert generalised_iou(first, others)[0] == pytest.approx([1, 1 / 3, -4 / 12])
    boxes = drawn(0), drawn(1)
    fast = geometry.giou(torch.tensor(boxes[0])[:, None], torch.tensor(boxes[1])[None])
    assert np.allclose(generalised_iou(*boxes), fast)


def test_box_regression_is_that_of_training():
    boxes, anchors = drawn(2), drawn(3)
    deltas = encode_boxes(boxes, anchors)
    assert encode_boxes(np.array([[20.0, 20, 60, 40]]), np.array([[10.0, 10, 30, 50]]))[0] == pytest.approx(
        [1, 0, np.log(2), -np.log(2)]
    )
    assert np.allclose(decode_boxes(deltas, anchors), boxes)
    assert np.allclose(deltas, coding.encode_boxes(torch.tensor(boxes), torch.tensor(anchors)))
    assert np.allclose(boxes, coding.decode_boxes(torch.tensor(deltas), torch.tensor(anchors)))


@pytest.mark.parametrize("seed", range(3))
def test_suppression_is_that_of_training(seed):
    boxes, scores = drawn(seed), np.random.default_rng(seed + 9).integers(1, 9, 20) / 8
    tensors = torch.tensor(boxes), torch.tensor(scores)
    kept = non_maximum_suppression(boxes, scores, 0.3)
    assert sorted(kept) == nms.nms(*tensors, 0.3).nonzero()[:, 0].tolist() and len(kept) < 20
    assert np.allclose(soft_suppression(boxes, scores), nms.soft_nms(*tensors))
    assert np.allclose(soft_suppression(boxes, scores, threshold=0.3), nms.soft_nms(*tensors, kind="linear"))


def test_suppression_counts_pixels_as_the_listing():
    boxes = np.array([[204, 102, 358, 250], [257, 118, 380, 250], [280, 135, 400, 250], [255, 118, 360, 235.0]])
    assert non_maximum_suppression(boxes, np.array([0.5, 0.7, 0.6, 0.7]), 0.3, pixels=True) == [1]


def test_roi_align_by_hand():
    ramp = np.arange(20.0).reshape(1, 1, 4, 5)  # 5 y + x, at the middles of cells
    found = roi_align(ramp, np.array([[0, 0.5, 0.5, 4.5, 2.5]]), (1, 2), samples=1)
    assert found[0, 0].tolist() == [[5 * 1 + 1, 5 * 1 + 3]]  # read at (1.5, 1.5) and (1.5, 3.5) in pixels
    assert align_weights(-3, -1.5, 1, 2, 4).tolist() == [[0] * 4]
    assert align_weights(-0.75, -0.25, 1, 1, 4).tolist() == [[1, 0, 0, 0]]


def test_roi_align_has_the_gradient_of_its_value():
    generator = np.random.default_rng(4)
    maps, regions = generator.normal(size=(2, 2, 4, 5)), np.array([[0, -6.0, 2, 21, 30], [1, 5, 5, 9, 12]])
    gradient = generator.normal(size=(2, 2, 2, 3))
    wanted = differences(lambda x: (roi_align(x, regions, (2, 3), 0.25) * gradient).sum(), maps)
    assert np.allclose(roi_align_backward(maps, regions, gradient, (2, 3), 0.25), wanted, atol=1e-6)

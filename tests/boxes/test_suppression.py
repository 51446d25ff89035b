"""Non-maximum suppression, greedy and soft, against plain loops and the book's four boxes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gradus.boxes.nms import nms, soft_nms
from gradus.errors import UserError
from gradus.reference.overlap import box_iou

# *Principles and Practice* listing 5-1: four boxes around one dandelion
DANDELION = torch.tensor(
    [[204, 102, 358, 250, 0.5], [257, 118, 380, 250, 0.7], [280, 135, 400, 250, 0.6], [255, 118, 360, 235, 0.7]]
)
PIXELS = torch.tensor([0, 0, 1, 1])  # the listing's corners are pixels that belong to the box


def drawn(seed: int, count: int = 40) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    low = torch.rand(count, 2, generator=generator) * 40
    boxes = torch.cat([low, low + 5 + torch.rand(count, 2, generator=generator) * 20], dim=1)
    scores = (torch.rand(count, generator=generator) * 20).ceil() / 20  # with ties
    return boxes, scores, torch.randint(0, 3, (count,), generator=generator)


def test_the_four_dandelions_are_one():
    boxes, scores = DANDELION[:, :4] + PIXELS, DANDELION[:, 4]
    overlaps = box_iou(DANDELION[:, :4].numpy(), DANDELION[:, :4].numpy(), pixels=True)
    # the printed .526, .734, .446 are of the last box, which the listing's reversed sort puts first
    assert overlaps[3, :3] == pytest.approx([0.526, 0.734, 0.446], abs=5e-4)
    assert overlaps[1, [0, 2, 3]] == pytest.approx([0.521, 0.623, 0.734], abs=5e-4)  # of the one that we keep
    assert nms(boxes, scores, 0.3).tolist() == [False, True, False, False]


def test_equal_scores_the_first_stays():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 9, 10]])
    assert nms(boxes, torch.tensor([0.5, 0.7, 0.7]), 0.5).tolist() == [False, True, False]
    # numpy's argsort()[::-1], as in listing 5-2, turns ties round
    assert np.argsort(DANDELION[:, 4].numpy(), kind="stable")[::-1][0] == 3


@pytest.mark.parametrize("by_class", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_greedy_suppression_is_the_loop(seed, by_class):
    boxes, scores, labels = drawn(seed)
    overlaps = box_iou(boxes.numpy(), boxes.numpy())
    kept: list[int] = []
    for index in np.argsort(-scores.numpy(), kind="stable").tolist():
        rivals = [other for other in kept if not by_class or labels[other] == labels[index]]
        if all(overlaps[other, index] <= 0.3 for other in rivals):
            kept.append(index)
    found = nms(boxes, scores, 0.3, labels if by_class else None)
    assert found.nonzero()[:, 0].tolist() == sorted(kept)


@pytest.mark.parametrize("kind", ["linear", "gaussian"])
@pytest.mark.parametrize("seed", range(3))
def test_soft_suppression_is_the_loop(kind, seed):
    boxes, scores, labels = drawn(seed, 25)
    overlaps = box_iou(boxes.numpy(), boxes.numpy())
    wanted, left = scores.numpy().copy(), list(range(25))
    while left:
        best = max(left, key=lambda one: (wanted[one], -one))
        left.remove(best)
        for other in left:
            if labels[other] == labels[best]:
                shared = overlaps[best, other]
                if kind == "gaussian":
                    wanted[other] *= np.exp(-(shared**2) / 0.5)
                elif shared >= 0.3:
                    wanted[other] *= 1 - shared
    found = soft_nms(boxes, scores, kind=kind, labels=labels)
    assert np.allclose(found, wanted, atol=1e-5)
    both = soft_nms(boxes.expand(2, -1, -1), scores.expand(2, -1), kind=kind, labels=labels.expand(2, -1))
    assert torch.equal(both, found.expand(2, -1))


def test_soft_suppression_names_a_mistake():
    with pytest.raises(UserError, match="did you mean 'linear'"):
        soft_nms(DANDELION[:, :4], DANDELION[:, 4], kind="liner")

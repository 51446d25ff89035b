"""The sliding window as a detector: what its windows learn, and of which picture."""

from __future__ import annotations

import pytest
import torch

from gradus.models.detection.sliding_window import SlidingWindow, WindowPredictions, window_labels


def objects(*pictures: list[list[float]]) -> torch.Tensor:
    most = max(map(len, pictures))
    return torch.tensor(
        [[*rows, *[[0, 0, 0, 0, -1, 0]] * (most - len(rows))] for rows in pictures], dtype=torch.float32
    )


BOXES = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 14], [0, 0, 10, 24], [20, 20, 30, 30], [40, 40, 50, 50]])


def test_windows_on_objects_learn_their_class_and_those_between_nothing():
    given = objects([[0, 0, 10, 10, 1, 0], [40, 40, 50, 50, 0, 1]])  # the second is ignored
    labels, learnt = window_labels(BOXES, given)
    assert labels[0].tolist() == [2, 2, 0, 0, 0]
    assert learnt[0].tolist() == [True, True, False, True, False]  # the third overlaps by 0.42


def test_the_loss_is_the_mean_of_what_each_picture_loses_alone():
    """Two objects and seven windows of background, one and none: so how a batch is cut changes nothing."""
    torch.manual_seed(0)
    boxes = torch.cat([BOXES, torch.rand(40, 2).repeat(1, 2) * 60 + torch.tensor([0.0, 0, 12, 12])])
    logits = torch.randn(3, len(boxes), 4)
    given = objects([[0, 0, 10, 10, 1, 0], [20, 20, 30, 30, 2, 0]], [[40, 40, 50, 50, 0, 0]], [])
    whole = WindowPredictions(boxes, logits, (60, 60))
    together = whole.losses(given)
    alone = [whole[index : index + 1].losses(given[index : index + 1]) for index in range(3)]
    for name, value in together.items():
        assert float(value) == pytest.approx(float(sum(one[name] for one in alone)) / 3, rel=1e-5)
    assert float(alone[2]["object"]) == 0 and float(alone[2]["background"]) > 0


def test_of_the_background_the_hardest_are_learnt():
    """By hand: one object, so at least 16 windows of background, of which there are 20."""
    boxes = torch.cat([BOXES[:1], BOXES[3:4].repeat(20, 1)])
    logits = torch.zeros(1, 21, 2)
    logits[0, 1:11, 1] = 5.0  # ten are taken for an object
    found = WindowPredictions(boxes, logits, (60, 60)).losses(objects([[0, 0, 10, 10, 0, 0]]))
    surprise = torch.nn.functional.softplus(torch.tensor([5.0, 0.0]))
    assert float(found["object"]) == pytest.approx(float(surprise[1]))
    assert float(found["background"]) == pytest.approx(float(3 * (10 * surprise[0] + 6 * surprise[1]) / 16))


def test_it_learns_to_tell_two_things():
    torch.manual_seed(0)
    pictures = torch.zeros(4, 1, 64, 64)
    rows = []
    for index, (left, top) in enumerate([(4, 4), (30, 10), (8, 36), (36, 36)]):
        pictures[index, 0, top : top + 20, left : left + 20] = 1.0 if index % 2 else -1.0
        rows.append([[left, top, left + 20, top + 20, index % 2, 0]])
    model, given = SlidingWindow(2, 1, sizes=(0.3125,), width=4), objects(*rows)
    steps = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(60):
        steps.zero_grad()
        sum(model(pictures).losses(given).values()).backward()
        steps.step()
    found = model(pictures).detections().detach()
    for index in range(4):
        assert int(found[index, 0, 4]) == index % 2 and float(found[index, 0, 5]) > 0.5
        assert (found[index, 0, :4] - given[index, 0, :4]).abs().max() < 6

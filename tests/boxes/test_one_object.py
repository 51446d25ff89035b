"""One object as a vector, and landmarks: the course notes' example, losses by hand, distances."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from gradus.boxes import landmarks
from gradus.boxes.one_object import boxes_of_vectors, mixed_loss, read_outputs, squared_loss, to_vectors

CAR = torch.tensor([[1, 0.5, 0.7, 0.3, 0.4, 0, 1, 0]])  # course notes §4.3.1: height 0.3, width 0.4


def test_the_notes_car_is_centre_height_width():
    size = (100, 200)  # height, width
    box = torch.tensor([[60.0, 55.0, 140.0, 85.0]])
    assert torch.allclose(boxes_of_vectors(CAR, size), box)
    objects = torch.cat([box, torch.tensor([[1.0, 0.0]])], dim=1)
    assert torch.allclose(to_vectors(objects, size, 3), CAR)


def test_no_object_is_a_vector_of_zeros():
    empty = torch.tensor([[3.0, 4.0, 5.0, 6.0, -1.0, 0.0]])
    assert torch.equal(to_vectors(empty, (10, 10), 3), torch.zeros(1, 8))


def test_squares_of_all_numbers_or_of_the_presence_alone():
    outputs = torch.tensor([[0.8, 0.4, 0.7, 0.3, 0.4, 0.1, 0.9, 0.0], [0.3, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0]])
    vectors = torch.cat([CAR, torch.zeros(1, 8)])
    by_hand = ((0.2**2 + 0.1**2 + 0.1**2 + 0.1**2) + 0.3**2) / 2
    assert float(squared_loss(outputs, vectors)) == pytest.approx(by_hand, abs=1e-6)


@pytest.mark.parametrize("loss", [squared_loss, mixed_loss])
def test_without_an_object_only_the_presence_has_a_gradient(loss):
    torch.manual_seed(0)
    outputs = torch.randn(3, 8, requires_grad=True)
    loss(outputs, torch.cat([CAR, torch.zeros(2, 8)])).backward()
    assert bool((outputs.grad[0] != 0).all())
    assert bool((outputs.grad[1:, 0] != 0).all()) and not outputs.grad[1:, 1:].any()


def test_the_mixed_loss_is_least_at_the_truth():
    right = torch.tensor([[9.0, 0.0, math.log(0.7 / 0.3), math.log(0.3 / 0.7), math.log(0.4 / 0.6), -9.0, 9.0, -9.0]])
    assert torch.allclose(read_outputs(right, "mixed"), CAR, atol=2e-4)
    best = float(mixed_loss(right, CAR))
    assert best < 1e-3
    for place in range(8):
        moved = right.clone()
        moved[0, place] += -20 if place in (0, 6) else 20 if place in (5, 7) else 1
        assert float(mixed_loss(moved, CAR)) > best + 0.05


def test_wing_bends_at_its_width_without_a_step():
    around = torch.tensor([0.1 - 1e-6, 0.1 + 1e-6], dtype=torch.float64)
    low, high = landmarks.wing(around).tolist()
    assert high - low == pytest.approx(2e-6, rel=1)
    assert float(landmarks.wing(torch.tensor(-0.06))) == pytest.approx(0.1 * math.log(1 + 0.06 / 0.02))
    assert float(landmarks.wing(torch.tensor(0.5)) - landmarks.wing(torch.tensor(0.3))) == pytest.approx(0.2)


def test_huber_is_torchs():
    values = torch.linspace(-0.3, 0.3, 13)
    assert torch.allclose(
        landmarks.huber(values), functional.huber_loss(values, 0 * values, delta=0.05, reduction="none")
    )


@pytest.mark.parametrize("loss", ["wing", "huber", "squared"])
def test_points_that_are_not_there_have_no_gradient(loss):
    given = torch.tensor([[[0.2, 0.3], [math.nan, math.nan]]])
    found = torch.full((1, 2, 2), 0.5, requires_grad=True)
    value = landmarks.point_loss(found, given, loss)
    value.backward()
    assert bool((found.grad[0, 0] != 0).all()) and not found.grad[0, 1].any()
    one = landmarks.LOSSES[loss](torch.tensor([0.3, 0.2])).mean()
    assert float(value.detach()) == pytest.approx(float(one))


def test_reference_lengths():
    given = torch.tensor([[[10.0, 10.0], [13.0, 14.0], [math.nan, math.nan]], [[1.0, 1.0]] + 2 * [[math.nan] * 2]])
    sizes = torch.tensor([[30.0, 40.0], [6.0, 8.0]])
    assert landmarks.reference_lengths(given, sizes, "picture").tolist() == [50.0, 10.0]
    by_points = landmarks.reference_lengths(given, sizes, "points")
    assert by_points[0] == 5.0 and bool(by_points[1].isnan())  # one point has no extent
    assert landmarks.distances(given[0, :2], given[0, [0, 0]]).tolist() == [0.0, 5.0]

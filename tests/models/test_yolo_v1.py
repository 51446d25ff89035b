"""YOLO v1: what cells learn, the loss by hand, and the shapes that are printed."""

from __future__ import annotations

import math

import pytest
import torch

from gradus.errors import UserError
from gradus.models import create_model
from gradus.models.detection.yolo_v1 import YoloPredictions, YoloV1, decode, encode

GRID, SIZE = (3, 4), (90, 160)  # cells of 40 x 30 pixels


def objects_of(*rows: list[float]) -> torch.Tensor:
    return torch.tensor([list(rows)], dtype=torch.float32)


def predictions(
    places: torch.Tensor, confidence: torch.Tensor, classes: torch.Tensor, size: tuple[int, int] = SIZE
) -> YoloPredictions:
    return YoloPredictions(places, confidence, classes, GRID, size)


def test_what_is_encoded_comes_back():
    objects = objects_of([10, 5, 50, 85, 1, 0], [100, 40, 156, 52, 0, 0], [0, 0, 160, 90, 2, 0])
    place, label, unknown = encode(objects, GRID, SIZE)
    boxes = decode(place[:, :, None], GRID, SIZE)[0, :, 0]
    for index, cell in ((0, 4), (1, 7), (2, 6)):  # centres (30, 45), (128, 46), (80, 45)
        assert int(label[0, cell]) == int(objects[0, index, 4])
        torch.testing.assert_close(boxes[cell], objects[0, index, :4])
    assert int((label >= 0).sum()) == 3 and not unknown.any()
    assert place[0, 4, :2].tolist() == pytest.approx([0.75, 0.5])
    assert place[0, 4, 2:].tolist() == pytest.approx([math.sqrt(40 / 160), math.sqrt(80 / 90)])


def test_the_text_has_one_object_a_cell_and_the_rest_are_not_learnt():
    objects = objects_of([0, 0, 20, 20, 1, 0], [2, 2, 22, 22, 0, 0], [140, 70, 160, 90, 0, 1], [0, 0, 0, 0, -1, 0])
    _, label, unknown = encode(objects, GRID, SIZE)
    assert int(label[0, 0]) == 1 and int((label >= 0).sum()) == 1
    assert unknown[0].nonzero().flatten().tolist() == [11]
    corner = encode(objects_of([150, 80, 170, 100, 0, 0]), GRID, SIZE)[1]  # centre on the far corner of the picture
    assert int(corner[0, 11]) == 0


def test_the_loss_is_the_paper_s_sum_by_hand():
    """One object, two boxes a cell: 5 (x, y, roots) + confidence against IoU + 0.5 * all other confidences^2 + classes."""
    objects = objects_of([48, 33, 72, 57, 1, 0])  # centre (60, 45) in cell 5, 24 x 24
    places, confidence, classes = torch.zeros(1, 12, 2, 4), torch.full((1, 12, 2), 0.2), torch.full((1, 12, 3), 0.3)
    truth = [0.5, 0.5, math.sqrt(24 / 160), math.sqrt(24 / 90)]
    places[0, 5, 0] = torch.tensor([0.9, 0.9, 0.1, 0.1])  # 1.6 x 0.9 pixels at (76, 57): misses
    places[0, 5, 1] = torch.tensor([0.5, 0.5, math.sqrt(12 / 160), truth[3]])  # half as wide: IoU 0.5
    found = predictions(places, confidence, classes).losses(objects)
    assert float(found["box"]) == pytest.approx(5 * (truth[2] - math.sqrt(12 / 160)) ** 2, rel=1e-5)
    assert float(found["confidence"]) == pytest.approx((0.2 - 0.5) ** 2 + 0.5 * 23 * 0.2**2, rel=1e-5)
    assert float(found["class"]) == pytest.approx(0.3**2 + 0.7**2 + 0.3**2, rel=1e-5)


def test_equal_errors_of_width_weigh_more_in_small_boxes():
    """Why roots: 4 pixels too wide, of a box of 8 and of one of 80."""
    found = []
    for width in (8, 80):
        objects = objects_of([60 - width / 2, 33, 60 + width / 2, 57, 0, 0])
        places = encode(objects, GRID, SIZE)[0][:, :, None].clone()
        places[..., 2] = math.sqrt((width + 4) / 160)
        found.append(predictions(places, torch.zeros(1, 12, 1), torch.zeros(1, 12, 1)).losses(objects)["box"])
    assert found[0] > 5 * found[1]


def test_where_no_box_meets_the_object_the_nearest_is_responsible():
    objects = objects_of([48, 33, 72, 57, 0, 0])
    places = torch.zeros(1, 12, 2, 4)
    places[0, 5, 0] = torch.tensor([9.0, 9, 0.1, 0.1])
    places[0, 5, 1] = torch.tensor([4.0, 4, 0.1, 0.1])
    places.requires_grad_()
    predictions(places, torch.zeros(1, 12, 2), torch.zeros(1, 12, 1)).losses(objects)["box"].backward()
    assert places.grad is not None
    assert places.grad[0, 5, 1].any() and not places.grad[0, 5, 0].any()


def test_outputs_are_linear_and_a_score_is_class_times_confidence():
    """No softmax: class numbers need not add up to 1, and of one class alone none would be learnt."""
    places = encode(objects_of([48, 33, 72, 57, 1, 0]), GRID, SIZE)[0][:, :, None]
    confidence, classes = torch.zeros(1, 12, 1), torch.zeros(1, 12, 2)
    confidence[0, 5], classes[0, 5] = 0.8, torch.tensor([-0.5, 0.5])
    (best, *others) = predictions(places, confidence, classes).detections()[0]
    assert best.tolist() == pytest.approx([48, 33, 72, 57, 1, 0.4], abs=1e-4)
    assert all(int(other[4]) == -1 for other in others)


@pytest.mark.parametrize(("classes", "numbers"), [(20, 30), (21, 31)])
def test_the_printed_shapes(classes, numbers):
    """7 x 7 x 30 for Pascal VOC's 20 classes, 98 boxes; the text's 31 is of 21 classes, a background that YOLO does not have."""
    with torch.device("meta"):
        model = YoloV1(classes)
        found = model(torch.empty(1, 3, 448, 448))
    assert model.head[-1].out_features == 7 * 7 * numbers
    assert model.head[1].in_features == 7 * 7 * 1024 and model.head[1].out_features == 4096
    assert found.places.flatten(1, 2).shape == (1, 98, 4)
    assert found.classes.shape == (1, 49, classes)


def test_the_grid_follows_the_picture_unless_it_is_given():
    assert YoloV1(2, picture_size=(640, 448), width=8, hidden=8).grid == (10, 7)
    assert YoloV1(2, picture_size=(96, 128), width=8, hidden=8).grid == (7, 7)
    given = YoloV1(2, picture_size=(96, 128), width=8, head="convolutional", grid=[6, 8])
    assert given(torch.zeros(1, 3, 96, 128)).places.shape == (1, 48, 2, 4)
    with pytest.raises(UserError, match="head is 'dense' or 'convolutional'"):
        create_model("yolo_v1", num_classes=2, head="softmax")


def test_normalised_maps_do_not_depend_on_the_backbone_s_scale():
    """SqueezeNet's last maps have values of dozens: without norms the first outputs, and the loss, are as much too large."""
    maps = torch.randn(2, 512, 6, 8)
    plain = YoloV1(2, picture_size=(96, 128), width=8, hidden=8, normalize=False)
    torch.testing.assert_close(plain.before(50 * maps), 50 * plain.before(maps), rtol=1e-4, atol=1e-3)
    normal = YoloV1(2, picture_size=(96, 128), width=8, hidden=8)
    torch.testing.assert_close(normal.before(50 * maps), normal.before(maps), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(normal.before(maps)[:1], normal.before(maps[:1]))  # a picture's answer is its own
    with pytest.raises(UserError, match="a width that is normalised is a multiple of 8, received 12"):
        create_model("yolo_v1", num_classes=2, width=12)

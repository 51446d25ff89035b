"""The grid detector's own parts: anchors on maps, and which places learn an object."""

from __future__ import annotations

import pytest
import torch

from gradus.boxes.geometry import pairwise_iou
from gradus.errors import UserError
from gradus.models import create_model
from gradus.models.detection.grid_detector import GridDetector, assign, by_stride, usual_anchors
from gradus.models.detection.pyramid import cell_centres


def test_an_anchor_lies_on_the_map_whose_cells_are_a_fifth_of_its_size():
    assert by_stride([(19, 19), (50, 50), (108, 99), (300, 200)]) == {
        8: [(19.0, 19.0), (50.0, 50.0)],
        16: [(108.0, 99.0)],
        32: [(300.0, 200.0)],
    }
    sides = [width for width, _ in usual_anchors((240, 320))]
    assert sides[0] == 15 and sides[-1] == pytest.approx(160)


def test_boxes_begin_as_the_anchors_around_the_cells():
    model = GridDetector(2, picture_size=(64, 64), anchors=[(16, 12), (90, 90)], backbone="squeezenet1_1", width=8)
    for layer in model.head.answers.values():
        torch.nn.init.zeros_(layer.weight)
    found = model(torch.randn(1, 3, 64, 64))
    assert found.boxes.shape == (1, 8 * 8 + 4 * 4, 4)
    assert found.boxes[0, 0].tolist() == [4 - 8, 4 - 6, 4 + 8, 4 + 6]
    assert found.boxes[0, 64].tolist() == [8 - 45, 8 - 45, 8 + 45, 8 + 45]
    torch.testing.assert_close(found.logits.sigmoid(), torch.full((1, 80, 2), 0.01))


def grid_of_boxes(side: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Cells of 8 pixels of a 64 x 64 picture, each telling a square of `side` around it."""
    centres = cell_centres(8, 8, 8, torch.device("cpu"))
    cells = torch.cat([centres, torch.full((64, 1), 8.0)], dim=1)
    return torch.cat([centres - side / 2, centres + side / 2], dim=1)[None], cells


def test_ten_places_inside_learn_an_object_and_the_best_its_own_overlap():
    boxes, cells = grid_of_boxes(30)
    objects = torch.tensor([[[10.0, 10, 42, 42, 1, 0]]])
    which, share, weight = assign(boxes, torch.full((1, 64, 2), 0.5), cells, objects)
    assert float(weight.sum()) == pytest.approx(1) and bool(((weight > 0) == (share > 0)).all())
    overlap = pairwise_iou(objects[0, :, :4], boxes[0])[0]
    learnt = share[0] > 0
    assert 10 <= int(learnt.sum()) <= 12  # equal ones share a place
    assert overlap[learnt].min() >= overlap[~learnt].max()
    assert float(share.max()) == pytest.approx(float(overlap.max()))
    assert int(share.argmax()) == int(overlap.argmax())
    inside = ((cells[:, :2] > 10) & (cells[:, :2] < 42)).all(dim=1)
    assert bool(inside[learnt].all()) and bool((which == 0).all())


def test_a_better_score_of_the_right_class_moves_the_assignment():
    boxes, cells = grid_of_boxes(32)
    objects = torch.tensor([[[8.0, 8, 40, 40, 1, 0]]])
    scores = torch.full((1, 64, 2), 0.01)
    scores[0, 18] = torch.tensor([0.9, 0.01])  # sure of the wrong class
    scores[0, 27] = torch.tensor([0.01, 0.9])
    share = assign(boxes, scores, cells, objects)[1]
    assert int(share.argmax()) == 27


def test_an_object_smaller_than_a_cell_is_learnt_and_a_place_learns_one_object():
    boxes, cells = grid_of_boxes(8)
    objects = torch.tensor([[[8.5, 8.5, 9.5, 9.5, 0, 0], [6.0, 6, 18, 18, 1, 0], [6.0, 6, 18, 18, 1, 1]]])
    which, share, weight = assign(boxes, torch.full((1, 64, 2), 0.5), cells, objects)
    assert float(weight.sum()) == pytest.approx(len(set(which[0][share[0] > 0].tolist())))
    assert set(which[0][share[0] > 0].tolist()) <= {0, 1}
    alone = assign(boxes, torch.full((1, 64, 2), 0.5), cells, objects[:, :1])[1]
    assert bool((alone > 0).any())
    nothing = assign(boxes, torch.full((1, 64, 2), 0.5), cells, objects[:, 2:])[1]
    assert not nothing.any()


def test_maps_that_a_backbone_lacks_are_made():
    squeezenet = GridDetector(2, backbone="squeezenet1_0", width=8)
    resnet = GridDetector(2, backbone="resnet18", width=8)
    assert len(squeezenet.pyramid.coarser) == 1 and len(resnet.pyramid.coarser) == 0
    maps = squeezenet.pyramid(squeezenet.backbone(torch.zeros(1, 3, 96, 128)))
    assert [tuple(one.shape[2:]) for one in maps] == [(12, 16), (6, 8), (3, 4)]


def test_options_that_cannot_be():
    with pytest.raises(UserError, match=r"anchors: expected rows of \[width, height\]"):
        create_model("grid_detector", num_classes=2, anchors=[[0, 3]])
    with pytest.raises(UserError, match="width: expected a multiple of 8, received 20"):
        create_model("grid_detector", num_classes=2, width=20)
    with pytest.raises(UserError, match="overlap: expected above 0"):
        create_model("grid_detector", num_classes=2, overlap=0)
    with pytest.raises(UserError, match="lenet5 has no map of stride"):
        create_model("grid_detector", num_classes=2, backbone="lenet5", in_channels=1)

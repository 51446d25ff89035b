"""Region-based detectors: they learn a few scenes by heart, bear pictures without objects, and look where they are told."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from detection_scenes import average_precision, descend, inputs_of, nothing, proposals_near, scenes
from torch import Tensor, nn

from gradus.boxes.coding import decode_boxes, encode_boxes
from gradus.errors import UserError
from gradus.models import create_model
from gradus.models.detection.fast_rcnn import cells_of
from gradus.models.detection.faster_rcnn import anchor_shapes, proposal_losses, propose_regions
from gradus.models.detection.predictions import ProposedPictures
from gradus.models.detection.rcnn import CONTEXT, crop
from gradus.models.detection.region_head import BOX_SCALE, Sampling, box_losses, draw, match_regions
from gradus.models.detection.spp_net import BINS, pyramid
from gradus.nn import SpatialPyramidPool2d, roi_pool
from gradus.nn.regions import align_boxes, roi_align

OPTIONS = {
    "faster_rcnn": {
        "picture_size": [48, 48],
        "stride": 4,
        "width": 16,
        "anchor_sizes": [14, 20],
        "before": 80,
        "after": 20,
        "sampled": 24,
    },
    "fast_rcnn": {"stride": 4, "width": 16, "sampled": 16},
    "spp_net": {"stride": 4, "dropout": 0.0, "sampled": 16},
    "rcnn": {"stride": 4, "side": 16, "dropout": 0.0, "sampled": 12},
}


def made(name: str, **more: object) -> nn.Module:
    torch.manual_seed(0)
    return create_model(name, num_classes=2, backbone="resnet20", hidden=32, **{**OPTIONS[name], **more})


def given(name: str, rows: int = 2) -> tuple[Tensor | ProposedPictures, Tensor]:
    pictures, objects = scenes(rows)
    inputs = inputs_of(pictures)
    return (inputs if name == "faster_rcnn" else ProposedPictures(inputs, proposals_near(objects))), objects


@pytest.mark.parametrize(("name", "steps"), [("faster_rcnn", 50), ("fast_rcnn", 25), ("spp_net", 30), ("rcnn", 20)])
def test_a_few_scenes_are_learnt_by_heart(name: str, steps: int) -> None:
    model, (inputs, objects) = made(name), given(name)
    assert average_precision(model, inputs, objects) < 0.5
    descend(model, inputs, objects, steps)
    if hasattr(model, "finish"):
        said = model.finish([(inputs, objects)])
        assert said.startswith("support vector machines")
    assert average_precision(model, inputs, objects) > 0.8


@pytest.mark.parametrize("name", OPTIONS)
def test_pictures_without_objects_are_learnt_from_too(name: str) -> None:
    model, (inputs, objects) = made(name), given(name)
    ignored = objects.clone()
    ignored[..., 5] = 1
    for targets in (nothing(2), ignored):
        losses = model.train()(inputs).losses(targets)
        assert all(torch.isfinite(value) for value in losses.values())
        assert losses["class"] > 0
        assert losses.get("box", torch.zeros(())) == 0
        sum(losses.values()).backward()
    assert model.eval()(inputs).detections().shape == (2, 100, 6)


@pytest.mark.parametrize("name", ["fast_rcnn", "spp_net", "rcnn"])
def test_without_proposals_nothing_is_found(name: str) -> None:
    model, (inputs, objects) = made(name), given(name)
    empty = ProposedPictures(inputs.pictures, torch.zeros(2, 5, 4))
    detections = model.eval()(empty).detections()
    assert (detections[..., 4] == -1).all()
    assert torch.isfinite(model.train()(empty).loss(objects))  # the given boxes are regions as well
    assert torch.isfinite(model.train()(empty).loss(nothing(2)))


@pytest.mark.parametrize("name", OPTIONS)
def test_what_is_measured_does_not_depend_on_how_many_pictures_come_together(name: str) -> None:
    model, (inputs, objects) = made(name).eval(), given(name, 6)
    with torch.no_grad():
        together = model(inputs)
        alone = torch.cat([model(inputs[row : row + 1]).detections() for row in range(6)])
        torch.testing.assert_close(together.detections(), alone, rtol=1e-4, atol=1e-3)
        assert together.loss(objects) == model(inputs).loss(objects)  # nothing is drawn anew
        assert len(together[:2]) == 2


@pytest.mark.parametrize(
    ("name", "reaches"), [("faster_rcnn", True), ("fast_rcnn", True), ("spp_net", False), ("rcnn", True)]
)
def test_which_losses_reach_the_backbone(name: str, reaches: bool) -> None:
    model, (inputs, objects) = made(name), given(name)
    model.train()(inputs).loss(objects).backward()
    gradients = [parameter.grad for parameter in model.backbone.parameters()]
    assert any(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients) == reaches
    if not reaches:
        before = model.backbone.network.bn1.running_mean.clone()
        model.train()(inputs)
        assert torch.equal(before, model.backbone.network.bn1.running_mean)


def test_hard_examples_are_those_of_the_largest_loss() -> None:
    inputs, objects = given("fast_rcnn")
    easy, hard = made("fast_rcnn", sampled=4), made("fast_rcnn", sampled=4, hard_examples=True)
    torch.manual_seed(1)
    usual = easy.train()(inputs).loss(objects)
    assert hard.train()(inputs).loss(objects) > usual


@pytest.mark.parametrize("name", OPTIONS)
def test_the_stages_are_named_for_the_profiler(name: str) -> None:
    model, (inputs, _) = made(name).eval(), given(name)
    with torch.no_grad(), torch.profiler.profile() as profile:
        model(inputs).detections()
    named = {event.key for event in profile.key_averages()}
    assert {"backbone", "head", "suppression"} <= named
    assert ("proposals" in named) == (name == "faster_rcnn")


def test_boxes_that_are_pooled_together_are_pooled_as_one_by_one() -> None:
    torch.manual_seed(0)
    maps, boxes = torch.randn(2, 3, 5, 9), torch.rand(2, 4, 4) * 30
    boxes[..., 2:] += boxes[..., :2]
    numbers = torch.arange(2.0).view(2, 1, 1).expand(2, 4, 1)
    alone = roi_align(maps, torch.cat([numbers, boxes], dim=2).flatten(0, 1), (7, 6), 1 / 8)
    torch.testing.assert_close(align_boxes(maps, boxes, (7, 6), 1 / 8).flatten(0, 1), alone)


def test_a_box_pools_the_cells_whose_middle_it_has() -> None:
    maps = torch.arange(48.0).view(1, 1, 6, 8)
    boxes = torch.tensor([[[8.0, 16.0, 24.0, 32.0], [7.0, 15.0, 21.0, 29.0], [62.0, 46.0, 64.0, 48.0]]])  # stride 8
    pooled = roi_pool(maps, cells_of(boxes, maps, 8), (2, 2))
    assert pooled[0, 0].tolist() == pooled[1, 0].tolist() == [[17, 18], [25, 26]]
    assert pooled[2, 0].tolist() == [[47, 47], [47, 47]]  # smaller than a cell, at the very edge


def test_a_pyramid_has_21_numbers_a_channel_and_is_that_of_the_piece() -> None:
    """He et al. 2014; the text has 2000 x 256 = 512 000 vectors, where there are 2000 of 21 x 256 = 5376."""
    maps = torch.rand(1, 256, 12, 10)
    box = torch.tensor([[[16.0, 8.0, 72.0, 88.0]]])
    found = pyramid(maps, cells_of(box, maps, 8))
    assert found.shape == (1, BINS * 256) == (1, 5376)
    torch.testing.assert_close(found, SpatialPyramidPool2d()(maps[:, :, 1:11, 2:9]))


def test_a_crop_has_context_and_the_mean_colour_beyond_the_edge() -> None:
    pictures = torch.zeros(1, 1, 40, 60)
    pictures[..., 10:20, 30:50] = 1  # a box of 20 by 10
    side = 32
    found = crop(pictures, torch.tensor([[[30.0, 10.0, 50.0, 20.0], [-20.0, -20.0, 0.0, 0.0]]]), side)[:, 0]
    border = int(side * CONTEXT) - 1
    assert (found[0, :border] == 0).all() and (found[0, :, :border] == 0).all()
    inside = found[0, border + 3 : -border - 3, border + 3 : -border - 3]
    torch.testing.assert_close(inside, torch.ones_like(inside))
    assert (found[1] == 0).all()


def test_offsets_and_boxes_lead_to_each_other() -> None:
    anchors = torch.tensor([[10.0, 10.0, 30.0, 50.0]])
    boxes = torch.tensor([[12.0, 8.0, 42.0, 38.0]])
    found = encode_boxes(boxes, anchors)
    expected = [7 / 20, -7 / 40, np.log(30 / 20), np.log(30 / 40)]
    torch.testing.assert_close(found[0], torch.tensor(expected, dtype=torch.float32))
    torch.testing.assert_close(decode_boxes(encode_boxes(boxes, anchors, BOX_SCALE), anchors, BOX_SCALE), boxes)


def test_anchors_are_three_areas_times_three_ratios_at_every_place() -> None:
    """The text's map of 32x32 has 1024 places and 9216 anchors; their areas are missing there: 128², 256², 512²."""
    model = create_model(
        "faster_rcnn", num_classes=2, backbone="resnet20", stride=4, picture_size=[600, 800], width=8, hidden=8
    )
    shapes = model.proposals.shapes
    torch.testing.assert_close(shapes.prod(dim=1), torch.tensor([128.0, 256, 512]).repeat_interleave(3) ** 2)
    torch.testing.assert_close(shapes[:, 1] / shapes[:, 0], torch.tensor([0.5, 1, 2]).repeat(3))
    logits, deltas = model.proposals(torch.zeros(1, 8, 32, 32))
    anchors = model.proposals.anchors(32, 32)
    assert logits.shape == (1, 9216) and deltas.shape == (1, 9216, 4) and anchors.shape == (9216, 4)
    torch.testing.assert_close((anchors[:9, :2] + anchors[:9, 2:]) / 2, torch.full((9, 2), 2.0))
    with pytest.raises(UserError, match="above 0"):
        create_model("faster_rcnn", num_classes=2, backbone="resnet20", stride=4, anchor_sizes=[0])
    assert anchor_shapes([4], [4]) == [(2.0, 8.0)]


def test_anchors_learn_by_their_overlap() -> None:
    anchors = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 8], [0, 0, 10, 4], [30, 30, 40, 40], [50, 50, 60, 60]])
    objects = torch.tensor(
        [[[0.0, 0, 10, 10, 0, 0], [32, 30, 50, 50, 1, 0]]]
    )  # the second overlaps one anchor by little
    deltas = torch.zeros(1, 5, 4)

    def loss_of(logits: list[float]) -> Tensor:
        return proposal_losses(torch.tensor([logits]), deltas, anchors, objects)["proposal"]

    right = loss_of([9, 9, 0, 9, -9])
    assert right < 1e-3
    assert loss_of([9, 9, 7, 9, -9]) == right  # an overlap of 0.4 is neither
    for wrong in ([-9, 9, 0, 9, -9], [9, -9, 0, 9, -9], [9, 9, 0, -9, -9], [9, 9, 0, 9, 9]):
        assert loss_of(wrong) > 0.01
    logits, grown = torch.tensor([[3.0, 2.9, -5, -5, 1]]), torch.zeros(1, 5, 4)
    found = propose_regions(logits, grown, anchors, (55, 100), 5, 4, 0.7)
    assert found[0].tolist() == [[0, 0, 10, 10], [50, 50, 60, 55], [0, 0, 10, 4], [30, 30, 40, 40]]


def test_a_sample_is_a_quarter_objects_at_most_and_leaves_out_what_is_ignored() -> None:
    objects = torch.tensor([[[0.0, 0, 20, 20, 1, 0], [40, 40, 60, 60, 0, 1]]])
    regions = torch.tensor(
        [[[0.0, 0, 20, 18], [1, 0, 20, 20], [0, 0, 19, 20], [41, 40, 60, 60], [0, 0, 20, 8], [70, 70, 80, 80]]]
    )
    sample = Sampling(count=4, foreground=0.25).sample(regions, objects, random=True)
    assert (sample.labels * sample.counted).sum() == 2  # one region of class 1, as 1 + 1
    assert sample.counted.sum() == 3  # and the two of background
    assert not (sample.regions[sample.counted][:, 0] == 41).any()
    assert match_regions(regions, objects).spoilt.tolist() == [[False, False, False, True, False, False]]
    first = torch.tensor([[True] * 6 + [False] * 6])
    index, counted = draw(first, ~first, 6, 2, random=False)
    assert counted.all() and (index < 6).sum() == 2 and len(set(index[0].tolist())) == 6


def test_offsets_are_learnt_for_the_class_of_the_object_alone() -> None:
    """[u >= 1]: background has no box; each class has four offsets of its own (the text has four in all)."""
    objects = torch.tensor([[[0.0, 0, 20, 20, 1, 0]]])
    regions = torch.tensor([[[0.0, 0, 20, 18], [70, 70, 80, 80]]])
    sample = Sampling(count=3, foreground=1).sample(regions, objects, random=False)
    deltas = torch.zeros(1, 3, 2, 4, requires_grad=True)
    (box_losses(deltas, sample)).sum().backward()
    touched = deltas.grad.abs().sum(dim=3) > 0
    assert not touched[..., 0].any()
    assert (touched[..., 1] <= (sample.labels > 0)).all() and touched[..., 1].any()


def test_four_steps_teach_what_they_say() -> None:
    model, (inputs, objects) = made("faster_rcnn", training="four-step"), given("faster_rcnn")
    learnt = []
    for epoch in range(4):
        said = model.begin_epoch(epoch, 4)
        assert said.startswith(f"step {epoch + 1} of 4")
        before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        optimizer.zero_grad()
        model.train()(inputs).loss(objects).backward()
        optimizer.step()
        changed = [name for name, value in model.named_parameters() if not torch.equal(value, before[name])]
        learnt.append({name.split(".")[0] for name in changed})
        assert set(model.resting) == {name for name, _ in model.named_children()} - learnt[-1]
    assert learnt == [{"steps", "proposals"}, {"backbone", "lateral", "head"}, {"proposals"}, {"head"}]


def test_a_map_that_stays_keeps_its_statistics() -> None:
    model, (inputs, objects) = made("faster_rcnn", training="four-step"), given("faster_rcnn")
    changed = []
    for epoch in range(4):
        model.train()
        model.begin_epoch(epoch, 4)
        before = {name: value.clone() for name, value in model.named_buffers() if "running_mean" in name}
        assert before
        model(inputs).loss(objects)
        changed.append(
            {
                name.split(".")[0]
                for name, value in model.named_buffers()
                if not torch.equal(value, before.get(name, value))
            }
        )
        model.eval()
    assert changed == [{"steps"}, {"backbone"}, set(), set()]


def test_the_step_goes_with_the_weights() -> None:
    model, (inputs, _) = made("faster_rcnn", training="four-step"), given("faster_rcnn")
    model.begin_epoch(1, 4)
    other = made("faster_rcnn", training="four-step")
    assert other.steps.now == 3
    other.load_state_dict(model.state_dict())
    assert other.steps.now == 1
    with torch.no_grad():
        assert torch.equal(model.eval()(inputs).detections(), other.eval()(inputs).detections())


def test_four_steps_learn_a_few_scenes_by_heart() -> None:
    model, (inputs, objects) = made("faster_rcnn", training="four-step"), given("faster_rcnn")
    for epoch in range(4):
        model.begin_epoch(epoch, 4)
        descend(model, inputs, objects, 60)
    assert average_precision(model, inputs, objects) > 0.8


def test_another_training_is_refused() -> None:
    with pytest.raises(UserError, match="joint or four-step"):
        made("faster_rcnn", training="alternating")

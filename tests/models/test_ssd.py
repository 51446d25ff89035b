"""SSD: the printed counts, priors, matching, offsets and hard negatives."""

from __future__ import annotations

import pytest
import torch

from gradus.boxes.assignment import assign, assigned
from gradus.boxes.coding import encode_boxes
from gradus.errors import UserError
from gradus.models import create_model
from gradus.models.detection.ssd import VARIANCES, SsdPredictions

PARAMETERS = {("ssd300", 20): 26_285_486, ("ssd300", 90): 35_641_826, ("ssd512", 20): 27_188_676}


def numbers_of_heads(channels: tuple[int, ...], shapes: tuple[int, ...], outputs: int) -> int:
    return sum(count * (4 + outputs) * (9 * width + 1) for width, count in zip(channels, shapes, strict=True))


@pytest.mark.parametrize(("name", "classes"), PARAMETERS)
def test_parameters_are_those_that_are_published(name, classes):
    """SSD300 for VOC's 20 classes and background, and torchvision's for 90 and background. SSD512: counted by hand below."""
    with torch.device("meta"):
        model = create_model(name, num_classes=classes)
    assert sum(parameter.numel() for parameter in model.parameters()) == PARAMETERS[name, classes]


def test_the_parameters_of_ssd512_by_hand():
    vgg = 14_714_688 + (512 * 9 * 1024 + 1024) + (1024 * 1024 + 1024) + 512
    pairs = [(1024, 256, 512, 9), (512, 128, 256, 9), (256, 128, 256, 9), (256, 128, 256, 9), (256, 128, 256, 16)]
    further = sum(before * middle + middle + middle * k * after + after for before, middle, after, k in pairs)
    heads = numbers_of_heads((512, 1024, 512, 256, 256, 256, 256), (4, 6, 6, 6, 6, 4, 4), 21)
    assert vgg + further + heads == PARAMETERS["ssd512", 20]


@pytest.mark.parametrize(
    ("name", "side", "maps", "count"),
    [("ssd300", 300, (38, 19, 10, 5, 3, 1), 8732), ("ssd512", 512, (64, 32, 16, 8, 4, 2, 1), 24564)],
)
def test_priors_are_as_many_as_printed(name, side, maps, count):
    with torch.device("meta"):
        model = create_model(name, num_classes=20)
        found = model(torch.empty(2, 3, side, side))
    shapes = [2 + 2 * len(ratios) for ratios in model.ratios]
    assert sum(side**2 * here for side, here in zip(maps, shapes, strict=True)) == count
    assert found.offsets.shape == (2, count, 4) and found.logits.shape == (2, count, 21)
    assert found.priors.shape == (count, 4)


def test_scales_are_one_more_than_maps():
    with pytest.raises(UserError, match="6 maps need 7 numbers above 0"):
        create_model("ssd", num_classes=2, scales=[0.1])


def test_priors_that_learn_an_object_are_told_back_as_it():
    """The offsets that are learnt, given as answers, are the objects; the best prior learns one that none overlaps by half."""
    model = create_model("ssd", num_classes=2, picture_size=[64, 64], backbone="squeezenet1_1", width=16)
    found = model(torch.zeros(1, 3, 64, 64))
    objects = torch.tensor([[[3.0, 5, 40, 33, 0, 0], [50, 50, 55, 62, 1, 0], [0, 0, 64, 64, 1, 1]]])
    which = assign(found.priors, objects)
    given, labels = assigned(objects, which)
    assert {0, 1} <= set(which[0].tolist()) <= {0, 1, -1, -2}
    safe = torch.where(which[..., None] >= 0, given, found.priors)
    logits = 20 * torch.nn.functional.one_hot(labels + 1, 3).float()
    perfect = SsdPredictions(encode_boxes(safe, found.priors, VARIANCES), logits, found.priors)
    told = perfect.detections()[0]
    assert told[told[:, 4] >= 0][:, :5].sort(dim=0).values.tolist() == [
        pytest.approx([3, 5, 40, 33, 0], abs=1e-3),
        pytest.approx([50, 50, 55, 62, 1], abs=1e-3),
    ]
    losses = perfect.losses(objects)
    assert losses["box"] < 1e-8 and losses["class"] < 1e-6


def test_negatives_are_the_hardest_three_for_each_match():
    priors = torch.cat([torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([[50.0, 50, 60, 60]]).repeat(20, 1)])
    logits = torch.zeros(1, 21, 2, requires_grad=True)
    predictions = SsdPredictions(torch.zeros(1, 21, 4), logits, priors)
    predictions.losses(torch.tensor([[[0.0, 0, 10, 10, 0, 0]]]))["class"].backward()
    assert int(logits.grad.any(dim=2).sum()) == 1 + 3


def test_published_weights_of_vgg16_go_in_subsampled():
    """fc6: each fourth of 4096 outputs, each third of 7x7 weights; fc7: each fourth output and input."""
    model = create_model("ssd300", num_classes=2)
    published = {name: tensor + 1 for name, tensor in model.state_dict().items() if name.startswith("features.")}
    index = torch.arange(4096, dtype=torch.float32)
    published["classifier.0.weight"] = index[:, None].expand(4096, 25088) * 100 + torch.arange(49).repeat(512)
    published["classifier.3.weight"] = index[:, None] + index / 4096
    published |= {"classifier.0.bias": index, "classifier.3.bias": -index}
    (note,) = model.load_backbone(published, "vgg16.safetensors")
    assert "backbone vgg16 begins with these weights (20,483,904)" in note
    assert torch.equal(model.features[0].weight, published["features.0.weight"])
    assert model.fc6.weight[2, 7].tolist() == [[800, 803, 806], [821, 824, 827], [842, 845, 848]]
    assert model.fc7.weight[1, 3].item() == pytest.approx(4 + 12 / 4096)
    assert model.fc6.bias[:3].tolist() == [0, 4, 8] and model.fc7.bias[1] == -4
    with pytest.raises(UserError, match=r"not weights of vgg16: it has no 'classifier\.0\.weight'"):
        model.load_backbone({name: one for name, one in published.items() if "classifier.0" not in name}, "x")
    with pytest.raises(UserError, match=r"'features\.0\.bias' has shape 3, the network's 64"):
        model.load_backbone({**published, "features.0.bias": torch.zeros(3)}, "x")
    with pytest.raises(UserError, match="take model ssd"):
        create_model("ssd300", num_classes=2, backbone="resnet18")

"""Backbones: maps of the strides they say, published weights under their own names."""

from __future__ import annotations

import pytest
import torch

from gradus.errors import UserError
from gradus.models import create_model
from gradus.models.backbone import Backbone


@pytest.mark.parametrize("name", ["squeezenet1_0", "squeezenet1_1", "resnet18", "vgg11", "mobilenet_v2"])
def test_a_map_has_as_many_cells_as_its_stride_says(name):
    made = Backbone(name, (8, 16)).eval()
    with torch.inference_mode():
        maps = made(torch.randn(1, 3, 96, 160))
    assert [level.stride for level in made.levels] == [8, 16]
    for level, found in zip(made.levels, maps, strict=True):
        assert found.shape == (1, level.channels, 96 // level.stride, 160 // level.stride)


def test_maps_are_those_of_the_whole_network():
    whole, part = create_model("resnet18", num_classes=4).eval(), Backbone("resnet18", (8, 32)).eval()
    notes = part.load(whole.state_dict(), "here")
    pictures = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        fine, coarse = part(pictures)
        assert torch.equal(fine, whole.run(pictures, last="layer2"))
        assert torch.equal(coarse, whole.run(pictures, last="layer4"))
    assert "resnet18" in notes[0]


def test_what_follows_the_last_map_is_left_out():
    made = Backbone("resnet18", (8,))
    assert not any(name.startswith(("network.layer3", "network.fc")) for name in made.state_dict())
    assert any(name.startswith("network.layer2") for name in made.state_dict())


def test_wrong_weights_and_strides_are_told():
    made = Backbone("resnet18", (8,))
    tensors = dict(create_model("resnet18").state_dict())
    tensors["conv1.weight"] = tensors["conv1.weight"][:, :1]
    with pytest.raises(UserError, match=r"its 'conv1\.weight' has shape 64x1x7x7"):
        made.load(tensors, "here")
    del tensors["conv1.weight"]
    with pytest.raises(UserError, match=r"it has no 'conv1\.weight'"):
        made.load(tensors, "here")
    with pytest.raises(UserError, match="no map of stride 64"):
        Backbone("resnet18", (64,))
    with pytest.raises(UserError, match="not a chain of stages"):
        Backbone("unet")

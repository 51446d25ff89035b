"""Layers by name: those of the texts, those that are usual, and mistakes."""

from __future__ import annotations

import pytest
import torch
from tiny_sight import Tiny, subject
from torch import nn

from gradus.errors import UserError
from gradus.look.inside.layer_choice import INCEPTION, USUAL, Layer, chosen_layers, named_layer, textbook_names
from gradus.models import MODELS, create_model


def test_the_texts_names_of_vgg_are_the_outputs_after_the_relu():
    names = textbook_names(Tiny())
    assert names["conv1_2"] == names["block1_conv2"] == names["relu1_2"] == "features.3"
    assert names["pool1"] == names["block1_pool"] == "features.4" and names["block2_conv1"] == "features.6"
    normalised = nn.Module()
    normalised.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))
    assert textbook_names(normalised)["conv1_1"] == "features.2"
    assert textbook_names(nn.Linear(2, 2)) == {}


def test_the_texts_names_of_vgg19_are_torchvision_s_numbers():
    with torch.device("meta"):
        names = textbook_names(create_model("vgg19"))
    published = {
        "conv1_1": 1,
        "conv2_1": 6,
        "conv3_1": 11,
        "conv4_1": 20,
        "conv4_2": 22,
        "conv5_1": 29,
        "block5_conv2": 31,
    }
    assert {name: names[name] for name in published} == {name: f"features.{at}" for name, at in published.items()}


def test_the_texts_names_of_inception():
    network = nn.Module()
    for part in INCEPTION:
        setattr(network, f"Mixed_{part}", nn.Conv2d(1, 1, 1))
    names = textbook_names(network)
    assert [names[f"mixed{index}"] for index in (2, 3, 4, 5)] == ["Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c"]


def test_layers_are_read_with_their_weights():
    seen = subject()
    layers = chosen_layers(seen, "conv1_1=0.2, features.3, block2_conv1 = 3", "style")
    assert [(one.name, one.weight) for one in layers] == [("conv1_1", 0.2), ("features.3", 1.0), ("block2_conv1", 3.0)]
    assert layers[0] == Layer("conv1_1", seen.model.features[1], 0.2)
    assert chosen_layers(seen, {"conv1_1": 2}, "style")[0].weight == 2


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("conv1_3", "conv1_3"),
        ("conv1_1=much", "name=weight"),
        ("conv1_1=0", "every weight is 0"),
        ("conv1_1=inf", "finite"),
        ("conv1_1, conv1_1=2", "named twice"),
        ("features.99", "features.9"),
    ],
)
def test_mistakes_in_layers_are_told_in_one_sentence(given, words):
    with pytest.raises(UserError) as raised:
        chosen_layers(subject(), given, "style")
    assert words in str(raised.value) and "\n" not in str(raised.value)


def test_the_usual_layers_exist():
    """Of the networks that have their own; any other takes its stages."""
    for name, purposes in USUAL.items():
        name = "vgg19" if name == "vgg" else name
        if name in MODELS:
            with torch.device("meta"):
                model = create_model(name)
            seen = subject(nn.Identity())
            object.__setattr__(seen, "model", model)
            for purpose in purposes:
                assert chosen_layers(seen, "", purpose)
    assert [one.name for one in chosen_layers(subject(), "", "style")] == ["features"]
    assert isinstance(named_layer(subject(), "head"), nn.Linear)


def test_vgg_compares_content_at_conv4_2_and_style_at_five_layers_of_equal_weight():
    """As Gatys et al. 2016 and the code of *Plain Talk* §13.3, whose text has conv4_1 for the content."""
    with torch.device("meta"):
        model = create_model("vgg19")
    seen = subject(nn.Identity())
    object.__setattr__(seen, "model", model)
    assert [(one.name, one.module) for one in chosen_layers(seen, "", "content")] == [("conv4_2", model.features[22])]
    style = chosen_layers(seen, "", "style")
    assert [one.name for one in style] == [f"conv{block}_1" for block in range(1, 6)]
    assert len({one.weight for one in style}) == 1

"""Convnets from a pattern."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gradus.errors import UserError
from gradus.models import create_model
from gradus.models.vision.convnet import EXAMPLE, parse


@pytest.mark.parametrize(
    ("pattern", "layers"),
    [
        ("", ""),
        ("INPUT->OUTPUT", ""),
        ("INPUT->FC->OUTPUT", "FC"),
        ("INPUT -> [CONV -> POOL]x2 -> FC -> OUTPUT", "CONV POOL CONV POOL FC"),
        (EXAMPLE, "CONV CONV POOL CONV CONV POOL CONV CONV POOL FC FC"),
        ("[[conv]×2→pool]×2", "CONV CONV POOL CONV CONV POOL"),
    ],
)
def test_patterns_of_the_text(pattern, layers):
    assert " ".join(layer for layer, _, _ in parse(pattern)) == layers
    model = create_model("convnet", pattern=pattern, image_size=16, num_classes=7)
    kinds = {nn.Conv2d: "CONV", nn.MaxPool2d: "POOL", nn.Linear: "FC"}
    built = [kinds[type(module)] for module in model.modules() if type(module) in kinds]
    assert " ".join(built) == f"{layers} FC".strip()  # the last one is the output
    assert model(torch.zeros(2, 3, 16, 16)).shape == (2, 7)


def test_widths_double_behind_pools_or_are_said():
    model = create_model("convnet", pattern="[CONV->POOL]x2->CONV:5:7->FC:9", image_size=16, width=4)
    shapes = [tuple(module.weight.shape) for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert shapes == [(4, 3, 3, 3), (8, 4, 3, 3), (5, 8, 7, 7), (9, 5 * 4 * 4), (10, 9)]
    assert list(model.stages) == ["block1", "block2", "block3", "hidden", "head"]


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("CONV->PULL", "'PULL' is no CONV"),
        ("CONV:0", "'CONV:0' is no"),
        ("CONV:8:4", "'CONV:8:4' is no"),
        ("POOL:2", "'POOL:2' is no"),
        ("FC->CONV", "CONV stands behind FC"),
        ("[POOL]x9", "nothing is left of 16x16"),
        ("[CONV]x0", "1 to 200 times, not 0"),
        ("[[CONV]x100]x100", "more than 200 layers"),
        ("[CONV", "is no CONV"),
    ],
)
def test_what_cannot_be_read_is_told(pattern, told):
    with pytest.raises(UserError, match=told):
        create_model("convnet", pattern=pattern, image_size=16)

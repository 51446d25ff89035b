"""Initial weights against their formulas."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from gradus.errors import UserError
from gradus.models import create_model
from gradus.nn import initialize


def test_glorot_draws_within_its_bounds_and_fills_them():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(8, 32, 3), nn.Flatten(), nn.Linear(300, 100))
    initialize(model, "glorot")
    for layer, fan_in, fan_out in ((model[0], 8 * 9, 32 * 9), (model[2], 300, 100)):
        bound = math.sqrt(6 / (fan_in + fan_out))
        assert 0.95 * bound < float(layer.weight.detach().abs().max()) <= bound
        assert float(layer.weight.detach().std()) == pytest.approx(
            bound / math.sqrt(3), rel=0.05
        )  # of a uniform distribution
        assert not layer.bias.any()


def test_pytorch_leaves_the_layers_as_they_were():
    torch.manual_seed(0)
    layer = nn.Linear(5, 3)
    before = layer.weight.clone()
    initialize(layer, "pytorch")
    assert torch.equal(layer.weight, before)


def test_an_unknown_scheme_is_told():
    with pytest.raises(UserError, match="did you mean 'glorot'"):
        create_model("mlp", in_features=3, num_classes=2, initialization="glorott")

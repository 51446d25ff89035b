"""Initial weights against their formulas, and against the reference's deviations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from gradus.errors import UserError
from gradus.models import create_model
from gradus.nn import initialize
from gradus.nn.initializers import INITIALIZERS
from gradus.reference import initializers as reference

# scheme -> the function of the reference that draws the same
PAIRS = {
    "glorot": reference.glorot_uniform,
    "glorot_normal": reference.glorot_normal,
    "he": reference.he_normal,
    "he_uniform": reference.he_uniform,
    "lecun": reference.lecun_normal,
    "truncated_normal": lambda shape, generator: reference.truncated_normal(
        shape, generator, 1 / math.sqrt(reference.fans(shape)[0])
    ),
    "normal": reference.small_normal,
    "unit_normal": reference.normal,
    "orthogonal": reference.orthogonal,
    "identity": lambda shape, generator: reference.identity(shape),
    "zeros": lambda shape, generator: reference.zeros(shape),
}


def test_every_scheme_is_tested():
    assert set(PAIRS) == set(INITIALIZERS) - {"pytorch"}


@pytest.mark.parametrize("scheme", PAIRS)
def test_layers_are_drawn_as_the_reference_draws(scheme):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(24, 48, 3), nn.Conv1d(40, 60, 5), nn.Flatten(), nn.Linear(300, 200))
    initialize(model, scheme)
    generator = np.random.default_rng(0)
    for layer in (model[0], model[1], model[3]):
        found = layer.weight.detach().double().numpy()
        wanted = PAIRS[scheme](found.shape[::-1] if found.ndim == 2 else found.shape, generator)
        # 10 000 values or more: quantiles of the two draws lie close
        for share in (0.1, 0.25, 0.5, 0.75, 0.9):
            assert np.quantile(found, share) == pytest.approx(
                np.quantile(wanted, share), abs=0.1 * wanted.std() + 1e-12
            )
        assert np.abs(found).max() == pytest.approx(np.abs(wanted).max(), rel=0.35, abs=1e-12)
        assert found.std() == pytest.approx(wanted.std(), rel=0.04, abs=1e-12)
        assert not layer.bias.any()


def test_truncated_values_lie_within_two_deviations():
    torch.manual_seed(0)
    layer = nn.Linear(500, 25)
    initialize(layer, "truncated_normal")
    assert 0.98 * 2 / math.sqrt(500) < float(layer.weight.detach().abs().max()) <= 2 / math.sqrt(500)


def test_identity_layers_hand_on():
    dense, convolution = nn.Linear(5, 5), nn.Conv2d(3, 3, 3, padding=1)
    initialize(nn.ModuleList([dense, convolution]), "identity")
    rows, pictures = torch.randn(4, 5), torch.randn(2, 3, 6, 7)
    assert torch.equal(dense(rows), rows) and torch.allclose(convolution(pictures), pictures)


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


def test_other_layers_keep_what_they_drew():
    model = nn.Sequential(nn.Embedding(5, 4), nn.LSTM(4, 3), nn.BatchNorm1d(3))
    before = [parameter.clone() for parameter in model.parameters()]
    initialize(model, "zeros")
    assert all(torch.equal(one, other) for one, other in zip(before, model.parameters(), strict=True))


def test_models_take_a_scheme():
    torch.manual_seed(0)
    model = create_model("mlp", in_features=400, num_classes=2, hidden=(300,), initialization="he")
    weight = next(p for p in model.parameters() if p.ndim == 2)
    assert float(weight.detach().std()) == pytest.approx(math.sqrt(2 / 400), rel=0.02)


def test_an_unknown_scheme_is_told():
    with pytest.raises(UserError, match="did you mean 'glorot'"):
        create_model("mlp", in_features=3, num_classes=2, initialization="glorott")

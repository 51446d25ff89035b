"""Clipping as the text's pseudo-code has it: the norm of all gradients together, negative ones too."""

from __future__ import annotations

import torch

from gradus.train.optimizers import clip
from gradus.train.settings import RegularizationSettings


def test_large_negative_gradients_are_cut_and_the_direction_stays():
    """*Principles and Practice*, listing 7-9, tests `g > th` number by number: -30 would pass."""
    weights = [torch.zeros(2, requires_grad=True), torch.zeros(1, requires_grad=True)]
    weights[0].grad, weights[1].grad = torch.tensor([-30.0, 0.0]), torch.tensor([40.0])
    clip(weights, RegularizationSettings(clip_norm=0.8))
    assert torch.allclose(weights[0].grad, torch.tensor([-0.48, 0.0]), atol=1e-5)
    assert torch.allclose(weights[1].grad, torch.tensor([0.64]), atol=1e-5)

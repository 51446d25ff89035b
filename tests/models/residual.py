"""What the tests of residual networks share: networks without memory, made-up pictures, a short fit."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.models import create_model
from gradus.models.vision.residual import ResidualBlock


@cache
def on_meta(name: str, **options: object) -> nn.Module:
    """The network without memory or time for its weights; not to be changed."""
    with torch.device("meta"):
        return create_model(name, **options)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def make(name: str, options: dict, classes: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return create_model(name, num_classes=classes, **options)


def pictures(rows: int, side: int) -> Tensor:
    return torch.randn(rows, 3, side, side, generator=torch.Generator().manual_seed(1))


def blocks_of(model: nn.Module) -> list[ResidualBlock]:
    return [module for module in model.modules() if isinstance(module, ResidualBlock)]


def losses_of_fit(model: nn.Module, inputs: Tensor, steps: int = 12) -> list[float]:
    """The losses of `steps` updates that tell the even rows from the odd ones."""
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=0.01), []
    for _ in range(steps):
        loss = functional.cross_entropy(model(inputs), torch.arange(len(inputs)) % 2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses

"""A small subject for tests of the looks: a network on pixels 0..1, without anything of a run."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from gradus.look.inside.subject import Picture, Rows, Subject


def subject_with(model: nn.Module, size: int = 12, channels: int = 3, **more) -> Subject:
    def prepare(pictures: torch.Tensor) -> torch.Tensor:
        return pictures.permute(0, 3, 1, 2).float() / 255

    return Subject("small", model.eval(), prepare, lambda inputs: inputs, size, channels, **more)


def small_convnet(classes: int = 4, channels: int = 3) -> nn.Sequential:
    """Convolutions, global average pooling, one linear layer."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(channels, 6, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(8, classes),
    )


def picture_of(height: int, width: int, channels: int = 3, seed: int = 0, name: str = "one.png") -> Picture:
    drawn = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Picture(name, drawn)


def rows_of(count: int, size: int, labels: torch.Tensor, seed: int = 0):
    """A function SPLIT -> rows of noise with these labels."""
    drawn = torch.randint(
        0, 256, (count, size, size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )
    return lambda split: Rows(drawn, labels, [f"row {row}" for row in range(count)])

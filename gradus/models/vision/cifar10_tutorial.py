"""The CIFAR-10 network of the TensorFlow tutorial (*Plain Talk* §6.9), after Krizhevsky's cuda-convnet.

24x24 pictures (cut from 32x32), 1 068 298 parameters:

layer    what                                              weights N(0, σ²), σ   bias    parameters
conv1    5x5, 64 maps, ReLU                                0.05                  0            4 864
pool1    max 3x3, stride 2; then norm1
conv2    5x5, 64 maps, ReLU; then norm2                    0.05                  0.1        102 464
pool2    max 3x3, stride 2: 6x6
local3   384, ReLU                                         0.04                  0.1        885 120
local4   192, ReLU                                         0.04                  0.1         73 920
output   10                                                1/192                 0            1 930

The order differs on purpose: the first norm stands behind its pool, the second before. The norms are across maps (local
response, radius 4, bias 1, alpha 0.001 / 9 a square, beta 0.75), not batch norms. Weights are cut off at two deviations.
"local" layers are fully connected. The tutorial's weight decay, 0.004 on the weights of local3 and local4 alone, belongs to
training.
"""

from __future__ import annotations

import torch
from torch import nn

from gradus.models.stages import StagedNetwork
from gradus.nn import LocalResponseNorm, SamePad2d

STAGES = {
    "part1": ("conv1", "relu1", "pool1", "norm1"),
    "part2": ("conv2", "relu2", "norm2", "pool2"),
    "hidden": ("flatten", "local3", "relu3", "local4", "relu4"),
    "head": ("output",),
}


def _pool() -> nn.Sequential:
    """3x3, stride 2, padded as TensorFlow's SAME: (B, C, H, W) -> (B, C, H / 2, W / 2), rounded up."""
    return nn.Sequential(SamePad2d(3, 2, value=-torch.inf), nn.MaxPool2d(3, stride=2))


def _norm() -> LocalResponseNorm:
    return LocalResponseNorm(size=9, alpha=0.001 / 9, beta=0.75, k=1.0, convention="paper")


def _begin(layer: nn.Conv2d | nn.Linear, deviation: float, bias: float) -> None:
    nn.init.trunc_normal_(layer.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
    assert layer.bias is not None
    nn.init.constant_(layer.bias, bias)


class Cifar10Tutorial(StagedNetwork):
    """(B, in_channels, image_size, image_size) -> logits (B, num_classes)."""

    usual_image_size = 24
    stages = STAGES

    def __init__(self, num_classes: int = 10, in_channels: int = 3, image_size: int = 24) -> None:
        super().__init__()
        self.image_size = image_size
        side = -(-image_size // 4)  # both pools round up
        self.conv1 = nn.Conv2d(in_channels, 64, 5, padding=2)  # 24x24
        self.relu1 = nn.ReLU()
        self.pool1, self.norm1 = _pool(), _norm()  # 12x12
        self.conv2 = nn.Conv2d(64, 64, 5, padding=2)
        self.relu2 = nn.ReLU()
        self.norm2, self.pool2 = _norm(), _pool()  # 6x6
        self.flatten = nn.Flatten()
        self.local3 = nn.Linear(64 * side * side, 384)
        self.relu3 = nn.ReLU()
        self.local4 = nn.Linear(384, 192)
        self.relu4 = nn.ReLU()
        self.output = nn.Linear(192, num_classes)
        _begin(self.conv1, 0.05, 0.0)
        _begin(self.conv2, 0.05, 0.1)
        _begin(self.local3, 0.04, 0.1)
        _begin(self.local4, 0.04, 0.1)
        _begin(self.output, 1 / 192, 0.0)

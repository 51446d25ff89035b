"""Network in Network: Lin, Chen, Yan 2013, fig. 2 and section 4.1, for CIFAR-10: 966 986 parameters with 10 classes.

Three times a convolution with two 1x1 convolutions above it, which are a small dense network slid over the maps; then the mean
of one map a class, in place of dense layers. 3x3 pools of stride 2 and dropout of a half between them.

Not in the paper, and here as in the authors' Caffe files: numbers of maps, paddings, weights from N(0, 0.05^2). Not as there:
the second pool takes the maximum as the paper says (the file: the mean), and no ReLU stands before the global average, under
which a class whose map is 0 would get no gradient.
"""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from gradus.models.stages import StagedNetwork


def mlp_convolution(in_channels: int, widths: tuple[int, int, int], kernel_size: int) -> nn.Sequential:
    """A convolution that keeps the size, and two of 1x1, each with ReLU: (B, in, H, W) -> (B, widths[-1], H, W)."""
    first, second, third = widths
    return nn.Sequential(
        *(nn.Conv2d(in_channels, first, kernel_size, padding=kernel_size // 2), nn.ReLU()),
        *(nn.Conv2d(first, second, 1), nn.ReLU()),
        *(nn.Conv2d(second, third, 1), nn.ReLU()),
    )


class NetworkInNetwork(StagedNetwork):
    """(B, in_channels, H, W), H and W at least 4 -> logits (B, num_classes)."""

    usual_image_size = 32
    smallest_image_size = 4
    stages: ClassVar = {
        "block1": ("block1", "pool1", "dropout1"),
        "block2": ("block2", "pool2", "dropout2"),
        "head": ("block3", "average", "flatten"),
    }

    def __init__(self, num_classes: int = 10, in_channels: int = 3, dropout: float = 0.5) -> None:
        super().__init__()
        self.block1 = mlp_convolution(in_channels, (192, 160, 96), 5)  # 32x32
        self.pool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)  # 16x16
        self.dropout1 = nn.Dropout(dropout)
        self.block2 = mlp_convolution(96, (192, 192, 192), 5)
        self.pool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)  # 8x8
        self.dropout2 = nn.Dropout(dropout)
        self.block3 = mlp_convolution(192, (192, 192, num_classes), 3)[:-1]
        self.average = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.05)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

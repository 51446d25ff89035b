"""MobileNetV2: Sandler, Howard, Zhu, Zhmoginov, Chen 2018, *MobileNetV2: inverted residuals and linear bottlenecks*, table 2.

A block widens its maps 6 times, filters each alone, and brings them back without an activation; shortcuts join the narrow ends.
224x224 pictures, 3 504 872 parameters for 1000 classes. Names and layout are torchvision's.
"""

from __future__ import annotations

from torch import Tensor, nn

from gradus.errors import UserError
from gradus.models.stages import StagedNetwork
from gradus.models.vision.residual import ResidualBlock, draw_he

# expansion, maps, blocks, stride of the first
BLOCKS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
# which of the 19 modules of `features` make a stage: a stage ends where the maps are about to become smaller
ENDS = {"stem": 1, "block1": 2, "block2": 4, "block3": 7, "block4": 14, "block5": 19}


def round_to_eight(value: float) -> int:
    """The nearest multiple of 8, but at least 8 and never less than nine tenths of the value."""
    rounded = max(8, int(value + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * value else rounded + 8


def _convolution(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1) -> nn.Module:
    """Convolution that keeps the size (stride 1), norm, ReLU6."""
    padding = kernel_size // 2
    convolution = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.ReLU6())


class InvertedBottleneck(nn.Module):
    """1x1 to `expansion` times the maps, 3x3 of each alone, 1x1 to `out_channels` without an activation."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        middle = in_channels * expansion
        widen = [_convolution(in_channels, middle, 1)] if expansion != 1 else []
        narrow = [nn.Conv2d(middle, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels)]
        self.conv = nn.Sequential(*widen, _convolution(middle, middle, 3, stride, groups=middle), *narrow)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.conv(inputs)


class InvertedResidual(ResidualBlock, InvertedBottleneck):
    """The same with a shortcut, where the shape stays."""

    def branch(self, inputs: Tensor) -> Tensor:
        return self.conv(inputs)


class MobileNetV2(StagedNetwork):
    """(B, in_channels, H, W), usually 224x224 -> logits (B, num_classes).

    width: the factor of all numbers of maps (rounded to multiples of 8), but the last layer's only above 1
    """

    usual_image_size = 224

    def __init__(self, num_classes: int = 1000, in_channels: int = 3, width: float = 1.0, dropout: float = 0.2) -> None:
        super().__init__()
        if not 0.1 <= width <= 4:
            raise UserError(f"width: the factor of the maps is 0.1 to 4, received {width}")
        channels, last = round_to_eight(32 * width), round_to_eight(1280 * max(1.0, width))
        features = [_convolution(in_channels, channels, 3, stride=2)]
        for expansion, maps, blocks, first_stride in BLOCKS:
            out_channels = round_to_eight(maps * width)
            for index in range(blocks):
                stride = first_stride if index == 0 else 1
                kind = InvertedResidual if stride == 1 and channels == out_channels else InvertedBottleneck
                features.append(kind(channels, out_channels, stride, expansion))
                channels = out_channels
        features.append(_convolution(channels, last, 1))
        self.features = nn.Sequential(*features)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(last, num_classes))
        starts = [0, *ENDS.values()]
        self.stages = {
            name: tuple(f"features.{index}" for index in range(start, end))
            for (name, end), start in zip(ENDS.items(), starts, strict=False)
        } | {"head": ("avgpool", "flatten", "classifier")}
        draw_he(self)
        linear = self.classifier[1]
        assert isinstance(linear, nn.Linear)
        nn.init.normal_(linear.weight, std=0.01)
        nn.init.zeros_(linear.bias)

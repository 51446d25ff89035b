"""Merge-and-run network: Zhao, Wang, Li, Tu, Zeng 2016, *On the connection of deep fusion to ensembling* (in its second
version *Deep convolutional neural networks with merge-and-run mappings*), for CIFAR-10.

Two residual branches side by side, each on a stream of its own; both take the mean of the two streams as their shortcut:

    a' = relu(branch(a) + (a + b) / 2)        b' = relu(other branch(b) + (a + b) / 2)

With the same number of branches as a residual network it has half the depth. 6n + 2 layers of 16, 32, 64 maps times `width`:

depth, width   parameters    printed
56, 1           1 710 426    1.7 M
32, 4          14 851 402    14.9 M
50, 4          24 151 882    24.8 M (what the difference is, the paper does not tell)

The streams are two halves of the maps. As in the authors' code the last block adds up both branches and the mean.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gradus.errors import UserError
from gradus.models.stages import StagedNetwork
from gradus.models.vision.residual import ResidualBlock, conv1x1, conv3x3, draw_he

STAGES = {
    "stem": ("stem",),
    **{name: (name,) for name in ("layer1", "layer2", "layer3")},
    "head": ("avgpool", "flatten", "fc"),
}


def _branch(in_maps: int, maps: int, stride: int) -> nn.Sequential:
    first = (conv3x3(in_maps, maps, stride), nn.BatchNorm2d(maps), nn.ReLU())
    return nn.Sequential(*first, conv3x3(maps, maps), nn.BatchNorm2d(maps))


def _projection(in_maps: int, maps: int, stride: int) -> nn.Module:
    if stride == 1 and in_maps == maps:
        return nn.Identity()
    return nn.Sequential(conv1x1(in_maps, maps, stride), nn.BatchNorm2d(maps))


class TwoStreams(nn.Module):
    """The same maps as both streams: (B, C, H, W) -> (B, 2 C, H, W)."""

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.cat([inputs, inputs], dim=1)


class MergeAndRunBlock(ResidualBlock):
    """(B, 2 * in_maps, H, W) -> (B, 2 * maps, H / stride, W / stride): the first half is one stream, the second the other."""

    def __init__(self, in_maps: int, maps: int, stride: int = 1) -> None:
        super().__init__()
        self.branch1, self.branch2 = _branch(in_maps, maps, stride), _branch(in_maps, maps, stride)
        self.line1, self.line2 = _projection(in_maps, maps, stride), _projection(in_maps, maps, stride)
        self.relu = nn.ReLU()

    def branch(self, inputs: Tensor) -> Tensor:
        first, second = inputs.chunk(2, dim=1)
        return torch.cat([self.branch1(first), self.branch2(second)], dim=1)

    def merged(self, inputs: Tensor) -> Tensor:
        """(B, 2 * in_maps, H, W) -> the mean of the streams (B, maps, H / stride, W / stride)."""
        first, second = inputs.chunk(2, dim=1)
        return (self.line1(first) + self.line2(second)) / 2

    def shortcut(self, inputs: Tensor) -> Tensor:
        merged = self.merged(inputs)
        return torch.cat([merged, merged], dim=1)

    def after(self, total: Tensor) -> Tensor:
        return self.relu(total)


class LastMergeAndRunBlock(MergeAndRunBlock):
    """Both streams become one: (B, 2 * in_maps, H, W) -> (B, maps, H, W)."""

    def branch(self, inputs: Tensor) -> Tensor:
        first, second = inputs.chunk(2, dim=1)
        return self.branch1(first) + self.branch2(second)

    def shortcut(self, inputs: Tensor) -> Tensor:
        return self.merged(inputs)


class MergeAndRun(StagedNetwork):
    """(B, in_channels, H, W), usually 32x32 -> logits (B, num_classes). depth: 6n + 2. width: the factor of the maps."""

    usual_image_size = 32
    stages = STAGES

    def __init__(self, num_classes: int = 10, in_channels: int = 3, depth: int = 56, width: int = 1) -> None:
        super().__init__()
        blocks, left = divmod(depth - 2, 6)
        if blocks < 1 or left:
            raise UserError(f"depth: a merge-and-run network has 6n + 2 layers (8, 14, 20), received {depth}")
        if width < 1:
            raise UserError(f"width: the factor of the maps is at least 1, received {width}")
        maps = 16 * width
        stem = (conv3x3(in_channels, maps), nn.BatchNorm2d(maps), nn.ReLU())
        self.stem = nn.Sequential(*stem, TwoStreams())
        for stage in (1, 2, 3):
            layers: list[nn.Module] = []
            for index in range(blocks):
                halves = stage > 1 and index == 0
                last = stage == 3 and index == blocks - 1
                kind = LastMergeAndRunBlock if last else MergeAndRunBlock
                layers.append(kind(maps, 2 * maps if halves else maps, 2 if halves else 1))
                maps = 2 * maps if halves else maps
            setattr(self, f"layer{stage}", nn.Sequential(*layers))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(maps, num_classes)
        draw_he(self)

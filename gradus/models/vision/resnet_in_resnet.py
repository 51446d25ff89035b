"""ResNet in ResNet (RiR): Targ, Almeida, Lyman 2016, *Resnet in Resnet: generalizing residual architectures*, for CIFAR-10.

Two streams side by side: the residual one r has a shortcut over every layer, the transient one t has none, and each reads both:

    r' = relu(norm(conv(r) + conv(t) + r))        t' = relu(norm(conv(r) + conv(t)))

Without the crossing weights r is a residual network and t a plain one; with them the network can forget. The four
convolutions are one convolution of the two streams' maps together. Two such layers with a shortcut over both streams are a
block, so there are residual networks in a residual network, and an order more paths than in one.

18 layers of 48, 96, 192 maps a stream: 9 585 140 parameters. The paper prints 10.3 M for its 18-layer wide network and not
its layout; numbers of layers and maps are those of public implementations, which have the layers without the outer shortcuts
(9 492 980). The last layer is a 1x1 convolution to the classes, averaged over the picture.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gradus.models.stages import StagedNetwork
from gradus.models.vision.residual import ResidualBlock, conv1x1, conv3x3, draw_he

STAGES = {
    "stem": ("stem",),
    **{name: (name,) for name in ("layer1", "layer2", "layer3")},
    "head": ("classifier", "avgpool", "flatten"),
}


class GeneralizedResidualLayer(nn.Module):
    """(B, 2 * in_maps, H, W) -> (B, 2 * maps, H / stride, W / stride), before the activation. The first half is the stream r."""

    def __init__(self, in_maps: int, maps: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = conv3x3(2 * in_maps, 2 * maps, stride)
        changes = stride != 1 or in_maps != maps
        self.projection = conv1x1(in_maps, maps, stride) if changes else nn.Identity()
        self.norm = nn.BatchNorm2d(2 * maps)

    def forward(self, streams: Tensor) -> Tensor:
        residual = self.projection(streams.chunk(2, dim=1)[0])
        to_residual, to_transient = self.conv(streams).chunk(2, dim=1)
        return self.norm(torch.cat([to_residual + residual, to_transient], dim=1))


class ResNetInResNetBlock(ResidualBlock):
    """Two generalised residual layers and a shortcut over both streams."""

    def __init__(self, in_maps: int, maps: int, stride: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(GeneralizedResidualLayer(in_maps, maps, stride), nn.ReLU()),
            GeneralizedResidualLayer(maps, maps),
        )
        changes = stride != 1 or in_maps != maps
        self.downsample = conv1x1(2 * in_maps, 2 * maps, stride) if changes else None
        self.relu = nn.ReLU()

    def branch(self, inputs: Tensor) -> Tensor:
        return self.layers(inputs)

    def shortcut(self, inputs: Tensor) -> Tensor:
        return inputs if self.downsample is None else self.downsample(inputs)

    def after(self, total: Tensor) -> Tensor:
        return self.relu(total)


class ResNetInResNet(StagedNetwork):
    """(B, in_channels, H, W), usually 32x32 -> logits (B, num_classes). width: maps of a stream at the start."""

    usual_image_size = 32
    stages = STAGES

    def __init__(self, num_classes: int = 10, in_channels: int = 3, width: int = 48) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv3x3(in_channels, 2 * width), nn.BatchNorm2d(2 * width), nn.ReLU())
        maps = width
        for stage, blocks in enumerate((2, 3, 3), start=1):
            stride = 1 if stage == 1 else 2
            first = ResNetInResNetBlock(maps, maps * stride, stride)
            maps *= stride
            others = [ResNetInResNetBlock(maps, maps) for _ in range(blocks - 1)]
            setattr(self, f"layer{stage}", nn.Sequential(first, *others))
        self.classifier = nn.Sequential(conv1x1(2 * maps, num_classes), nn.BatchNorm2d(num_classes))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        draw_he(self)

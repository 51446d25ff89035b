"""DenseNet: Huang, Liu, van der Maaten, Weinberger 2016, *Densely connected convolutional networks*.

Each layer reads the maps of all layers before it in its block, and adds `growth` maps to them. A bottleneck (B) first brings
them to 4 * growth maps by a 1x1 convolution; compression (C) halves the maps between blocks. Names are torchvision's.

variant              parameters    for       layers
densenet121           7 978 856    224x224   BC, growth 32, blocks of 6, 12, 24, 16; 1000 classes
densenet_bc_100_12      769 162    32x32     BC, growth 12, 3 blocks of 16 (0.8 M printed)
densenet_40_12        1 019 722    32x32     neither, growth 12, 3 blocks of 12 (1.0 M printed)
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from gradus.errors import UserError
from gradus.models.stages import StagedNetwork
from gradus.models.vision.residual import conv1x1, conv3x3


class DenseLayer(nn.Sequential):
    """Norm, ReLU, convolution: (B, in_channels, H, W) -> the `growth` new maps (B, growth, H, W)."""

    def __init__(self, in_channels: int, growth: int, bottleneck: bool, dropout: float) -> None:
        layers: dict[str, nn.Module] = {"norm1": nn.BatchNorm2d(in_channels), "relu1": nn.ReLU()}
        if bottleneck:
            layers |= {"conv1": conv1x1(in_channels, 4 * growth), "norm2": nn.BatchNorm2d(4 * growth)}
            layers |= {"relu2": nn.ReLU(), "conv2": conv3x3(4 * growth, growth)}
        else:
            layers["conv1"] = conv3x3(in_channels, growth)
        if dropout:
            layers["dropout"] = nn.Dropout(dropout)
        super().__init__(OrderedDict(layers))


class DenseBlock(nn.ModuleDict):
    """`layers` dense layers: (B, in_channels, H, W) -> (B, in_channels + layers * growth, H, W)."""

    def __init__(self, layers: int, in_channels: int, growth: int, bottleneck: bool, dropout: float) -> None:
        super().__init__()
        for index in range(layers):
            layer = DenseLayer(in_channels + index * growth, growth, bottleneck, dropout)
            self[f"denselayer{index + 1}"] = layer

    def forward(self, inputs: Tensor) -> Tensor:
        for layer in self.values():
            inputs = torch.cat([inputs, layer(inputs)], dim=1)
        return inputs


def _transition(in_channels: int, out_channels: int) -> nn.Sequential:
    """1x1 convolution and halving: (B, in_channels, H, W) -> (B, out_channels, H / 2, W / 2), rounded down."""
    layers = {"norm": nn.BatchNorm2d(in_channels), "relu": nn.ReLU(), "conv": conv1x1(in_channels, out_channels)}
    return nn.Sequential(OrderedDict({**layers, "pool": nn.AvgPool2d(2)}))


class DenseNet(StagedNetwork):
    """(B, in_channels, H, W) -> logits (B, num_classes). `stem`: named layers that give `channels` maps."""

    def __init__(
        self,
        num_classes: int,
        stem: dict[str, nn.Module],
        channels: int,
        blocks: tuple[int, ...],
        growth: int,
        bottleneck: bool = True,
        compression: float = 0.5,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise UserError(f"dropout must be in 0..1 (1 excluded), received {dropout}")
        self.features = nn.Sequential(OrderedDict(stem))
        self.stages = {"stem": tuple(f"features.{name}" for name in stem)}
        for index, layers in enumerate(blocks, start=1):
            self.features.add_module(f"denseblock{index}", DenseBlock(layers, channels, growth, bottleneck, dropout))
            channels += layers * growth
            names = [f"features.denseblock{index}"]
            if index < len(blocks):
                kept = int(channels * compression)
                self.features.add_module(f"transition{index}", _transition(channels, kept))
                channels = kept
                names.append(f"features.transition{index}")
            self.stages[f"block{index}"] = tuple(names)
        last = f"norm{len(blocks) + 1}"
        self.features.add_module(last, nn.BatchNorm2d(channels))
        self.relu = nn.ReLU()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(channels, num_classes)
        self.stages["head"] = (f"features.{last}", "relu", "avgpool", "flatten", "classifier")
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)  # by fan-in, as in the authors' code
        nn.init.zeros_(self.classifier.bias)


class DenseNet121(DenseNet):
    """(B, in_channels, H, W), usually 224x224 -> logits (B, num_classes)."""

    usual_image_size = 224
    smallest_image_size = 29

    def __init__(self, num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.0) -> None:
        stem = {
            "conv0": nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False),
            "norm0": nn.BatchNorm2d(64),
            "relu0": nn.ReLU(),
            "pool0": nn.MaxPool2d(3, stride=2, padding=1),
        }
        super().__init__(num_classes, stem, 64, (6, 12, 24, 16), growth=32, dropout=dropout)


class CifarDenseNet(DenseNet):
    """(B, in_channels, H, W), usually 32x32 -> logits (B, num_classes).

    depth:      3n + 4 layers in all, or 6n + 4 with bottlenecks
    growth:     maps that a layer adds
    bottleneck: with bottlenecks and compression (BC), or without both
    dropout:    behind each convolution; 0.2 in the paper where pictures are not augmented
    """

    usual_image_size = 32
    smallest_image_size = 4

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 3,
        depth: int = 100,
        growth: int = 12,
        bottleneck: bool = True,
        dropout: float = 0.0,
    ) -> None:
        each = 6 if bottleneck else 3
        layers, left = divmod(depth - 4, each)
        if layers < 1 or left:
            kind = "with bottlenecks" if bottleneck else "without bottlenecks"
            raise UserError(f"depth: {kind} it is {each}n + 4, received {depth}")
        if growth < 1:
            raise UserError(f"growth: a layer adds at least 1 map, received {growth}")
        channels = 2 * growth if bottleneck else 16
        stem: dict[str, nn.Module] = {"conv0": conv3x3(in_channels, channels)}
        compression = 0.5 if bottleneck else 1.0
        super().__init__(num_classes, stem, channels, (layers,) * 3, growth, bottleneck, compression, dropout)


class DenseNetBC100(CifarDenseNet):
    depth, bottleneck = 100, True

    def __init__(self, num_classes: int = 10, in_channels: int = 3, dropout: float = 0.0) -> None:
        super().__init__(num_classes, in_channels, self.depth, 12, self.bottleneck, dropout)


class DenseNet40(DenseNetBC100):
    depth, bottleneck = 40, False

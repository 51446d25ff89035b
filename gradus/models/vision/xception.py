"""Xception: Chollet 2017, *Xception: Deep Learning with Depthwise Separable Convolutions*, fig. 5. 22 855 952 parameters with
1000 classes; Keras, which counts the 54 528 averages of batch normalisation too, reports 22 910 480.

Names and layout are those of timm's `legacy_xception`, whose published weights are a port of Keras'. As there, and not as in
Keras, pools and strided convolutions are padded on both sides, and batch normalisation has an epsilon of 1e-5 (Keras: 1e-3).
"""

from __future__ import annotations

from torch import Tensor, nn

from gradus.models.stages import StagedNetwork


class SeparableConvolution(nn.Module):
    """Every channel filtered by a 3x3 kernel of its own, then mixed by 1x1: (B, in, H, W) -> (B, out, H, W)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False)
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.pointwise(self.conv1(inputs))


class Block(nn.Module):
    """Separable convolutions around which a shortcut leads: (B, in, H, W) -> (B, widths[-1], H / stride, W / stride).

    widths: of the convolutions; a ReLU stands before each, before the first only where `first_relu`
    """

    def __init__(self, in_channels: int, widths: tuple[int, ...], stride: int = 1, first_relu: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = in_channels
        for width in widths:
            layers += [nn.ReLU(), SeparableConvolution(channels, width), nn.BatchNorm2d(width)]
            channels = width
        if stride != 1:
            layers.append(nn.MaxPool2d(3, stride, padding=1))
        self.rep = nn.Sequential(*layers[0 if first_relu else 1 :])
        if stride != 1 or channels != in_channels:
            self.skip: nn.Module = nn.Conv2d(in_channels, channels, 1, stride, bias=False)
            self.skipbn: nn.Module = nn.BatchNorm2d(channels)
        else:
            self.skip, self.skipbn = nn.Identity(), nn.Identity()

    def forward(self, inputs: Tensor) -> Tensor:
        return self.rep(inputs) + self.skipbn(self.skip(inputs))


class Xception(StagedNetwork):
    """(B, in_channels, H, W), H and W at least 7 -> logits (B, num_classes). dropout: before the last layer (paper: 0.5)."""

    usual_image_size = 299
    smallest_image_size = 7

    def __init__(self, num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 32, 3, stride=2, bias=False)  # 149x149 for 299x299
        self.bn1 = nn.BatchNorm2d(32)
        self.act1 = nn.ReLU()
        self.conv2 = nn.Conv2d(32, 64, 3, bias=False)  # 147x147
        self.bn2 = nn.BatchNorm2d(64)
        self.act2 = nn.ReLU()
        self.block1 = Block(64, (128, 128), 2, first_relu=False)  # 74x74
        self.block2 = Block(128, (256, 256), 2)  # 37x37
        self.block3 = Block(256, (728, 728), 2)  # 19x19
        for number in range(4, 12):
            setattr(self, f"block{number}", Block(728, (728, 728, 728)))
        self.block12 = Block(728, (728, 1024), 2)  # 10x10
        self.conv3 = SeparableConvolution(1024, 1536)
        self.bn3 = nn.BatchNorm2d(1536)
        self.act3 = nn.ReLU()
        self.conv4 = SeparableConvolution(1536, 2048)
        self.bn4 = nn.BatchNorm2d(2048)
        self.act4 = nn.ReLU()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(2048, num_classes)
        self.stages = {
            "stem": ("conv1", "bn1", "act1", "conv2", "bn2", "act2"),
            **{f"block{number}": (f"block{number}",) for number in range(1, 13)},
            "exit": ("conv3", "bn3", "act3", "conv4", "bn4", "act4"),
            "head": ("avgpool", "flatten", "dropout", "fc"),
        }
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

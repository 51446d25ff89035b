"""Inception v3: Szegedy, Vanhoucke, Ioffe, Shlens, Wojna 2015, *Rethinking the Inception Architecture for Computer Vision*.
27 161 264 parameters with 1000 classes, 23 834 568 without the auxiliary head. Names and layout are torchvision's (that is,
TensorFlow's), the stages' too.

What GoogLeNet's 5x5 sees, two 3x3 see with fewer weights; n x n is cut into 1 x n and n x 1; sizes are halved by a convolution
and a pool side by side. torchvision's weights are a port of TensorFlow's: their pictures are scaled to -1..1. The auxiliary
loss weighs 0.4 as in TensorFlow-Slim, where the paper gives no number. Weights begin as in torchvision.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.models.auxiliary import AuxiliaryNetwork

Pair = int | tuple[int, int]


class Convolution(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Pair, stride: int = 1, padding: Pair = 0
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001)
        self.activation = nn.ReLU()

    def forward(self, inputs: Tensor) -> Tensor:
        return self.activation(self.bn(self.conv(inputs)))


def _wide(in_channels: int, out_channels: int, length: int) -> Convolution:
    """1 x length, keeping the size."""
    return Convolution(in_channels, out_channels, (1, length), padding=(0, length // 2))


def _high(in_channels: int, out_channels: int, length: int) -> Convolution:
    """length x 1, keeping the size."""
    return Convolution(in_channels, out_channels, (length, 1), padding=(length // 2, 0))


class InceptionA(nn.Module):
    """Figure 5 of the paper. (B, in, H, W) -> (B, 224 + pooled, H, W)."""

    def __init__(self, in_channels: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = Convolution(in_channels, 64, 1)
        self.branch5x5_1 = Convolution(in_channels, 48, 1)
        self.branch5x5_2 = Convolution(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = Convolution(in_channels, 64, 1)
        self.branch3x3dbl_2 = Convolution(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Convolution(96, 96, 3, padding=1)
        self.pool = nn.AvgPool2d(3, stride=1, padding=1)
        self.branch_pool = Convolution(in_channels, pooled, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        one = self.branch1x1(inputs)
        five = self.branch5x5_2(self.branch5x5_1(inputs))
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(inputs)))
        pooled = self.branch_pool(self.pool(inputs))
        return torch.cat([one, five, double, pooled], 1)


class ReductionA(nn.Module):
    """Figure 10: (B, in, H, W) -> (B, 480 + in, half, half)."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.branch3x3 = Convolution(in_channels, 384, 3, stride=2)
        self.branch3x3dbl_1 = Convolution(in_channels, 64, 1)
        self.branch3x3dbl_2 = Convolution(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Convolution(96, 96, 3, stride=2)
        self.pool = nn.MaxPool2d(3, stride=2)

    def forward(self, inputs: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(inputs)))
        return torch.cat([self.branch3x3(inputs), double, self.pool(inputs)], 1)


class InceptionB(nn.Module):
    """Figure 6 with n = 7. (B, in, H, W) -> (B, 768, H, W)."""

    def __init__(self, in_channels: int, middle: int) -> None:
        super().__init__()
        self.branch1x1 = Convolution(in_channels, 192, 1)
        self.branch7x7_1 = Convolution(in_channels, middle, 1)
        self.branch7x7_2 = _wide(middle, middle, 7)
        self.branch7x7_3 = _high(middle, 192, 7)
        self.branch7x7dbl_1 = Convolution(in_channels, middle, 1)
        self.branch7x7dbl_2 = _high(middle, middle, 7)
        self.branch7x7dbl_3 = _wide(middle, middle, 7)
        self.branch7x7dbl_4 = _high(middle, middle, 7)
        self.branch7x7dbl_5 = _wide(middle, 192, 7)
        self.pool = nn.AvgPool2d(3, stride=1, padding=1)
        self.branch_pool = Convolution(in_channels, 192, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(inputs)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(inputs)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        pooled = self.branch_pool(self.pool(inputs))
        return torch.cat([self.branch1x1(inputs), seven, double, pooled], 1)


class ReductionB(nn.Module):
    """(B, in, H, W) -> (B, 512 + in, half, half)."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.branch3x3_1 = Convolution(in_channels, 192, 1)
        self.branch3x3_2 = Convolution(192, 320, 3, stride=2)
        self.branch7x7x3_1 = Convolution(in_channels, 192, 1)
        self.branch7x7x3_2 = _wide(192, 192, 7)
        self.branch7x7x3_3 = _high(192, 192, 7)
        self.branch7x7x3_4 = Convolution(192, 192, 3, stride=2)
        self.pool = nn.MaxPool2d(3, stride=2)

    def forward(self, inputs: Tensor) -> Tensor:
        three = self.branch3x3_2(self.branch3x3_1(inputs))
        seven = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(inputs)))
        return torch.cat([three, self.branch7x7x3_4(seven), self.pool(inputs)], 1)


class InceptionC(nn.Module):
    """Figure 7: the last convolutions stand side by side. (B, in, H, W) -> (B, 2048, H, W)."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.branch1x1 = Convolution(in_channels, 320, 1)
        self.branch3x3_1 = Convolution(in_channels, 384, 1)
        self.branch3x3_2a = _wide(384, 384, 3)
        self.branch3x3_2b = _high(384, 384, 3)
        self.branch3x3dbl_1 = Convolution(in_channels, 448, 1)
        self.branch3x3dbl_2 = Convolution(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = _wide(384, 384, 3)
        self.branch3x3dbl_3b = _high(384, 384, 3)
        self.pool = nn.AvgPool2d(3, stride=1, padding=1)
        self.branch_pool = Convolution(in_channels, 192, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        three = self.branch3x3_1(inputs)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(inputs))
        parts = [self.branch1x1(inputs), self.branch3x3_2a(three), self.branch3x3_2b(three)]
        parts += [self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double), self.branch_pool(self.pool(inputs))]
        return torch.cat(parts, 1)


class AuxiliaryHead(nn.Module):
    """(B, in, H, W) -> (B, num_classes)."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.conv0 = Convolution(in_channels, 128, 1)
        self.conv1 = Convolution(128, 768, 5)
        self.fc = nn.Linear(768, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        if min(inputs.shape[-2:]) >= 17:
            maps = functional.avg_pool2d(inputs, 5, stride=3)  # 5x5 of the usual 17x17
        else:
            maps = functional.adaptive_avg_pool2d(inputs, 5)  # for smaller pictures than torchvision can train on
        return self.fc(self.conv1(self.conv0(maps)).mean((2, 3)))


class InceptionV3(AuxiliaryNetwork):
    """(B, in_channels, H, W), H and W at least 75 -> logits (B, num_classes); in training see `auxiliary.py`.

    auxiliary: whether there is a head after module 6e
    """

    auxiliary_weight = 0.4
    usual_image_size = 299
    smallest_image_size = 75

    def __init__(
        self, num_classes: int = 1000, in_channels: int = 3, auxiliary: bool = True, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(in_channels, 32, 3, stride=2)  # 149x149 for 299x299
        self.Conv2d_2a_3x3 = Convolution(32, 32, 3)  # 147x147
        self.Conv2d_2b_3x3 = Convolution(32, 64, 3, padding=1)
        self.maxpool1 = nn.MaxPool2d(3, stride=2)  # 73x73
        self.Conv2d_3b_1x1 = Convolution(64, 80, 1)
        self.Conv2d_4a_3x3 = Convolution(80, 192, 3)  # 71x71
        self.maxpool2 = nn.MaxPool2d(3, stride=2)  # 35x35
        self.Mixed_5b = InceptionA(192, 32)  # 256 maps
        self.Mixed_5c = InceptionA(256, 64)  # 288
        self.Mixed_5d = InceptionA(288, 64)
        self.Mixed_6a = ReductionA(288)  # 768 of 17x17
        self.Mixed_6b = InceptionB(768, 128)
        self.Mixed_6c = InceptionB(768, 160)
        self.Mixed_6d = InceptionB(768, 160)
        self.Mixed_6e = InceptionB(768, 192)
        self.auxiliary_heads = {"Mixed_6e": "AuxLogits"} if auxiliary else {}
        if auxiliary:
            self.AuxLogits = AuxiliaryHead(768, num_classes)
        self.Mixed_7a = ReductionB(768)  # 1280 of 8x8
        self.Mixed_7b = InceptionC(1280)  # 2048
        self.Mixed_7c = InceptionC(2048)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(2048, num_classes)
        first = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1")
        modules = [name for name in self._modules if name.startswith("Mixed")]
        self.stages = {
            "stem": (*first, "Conv2d_3b_1x1", "Conv2d_4a_3x3", "maxpool2"),
            **{name: (name,) for name in modules},
            "head": ("avgpool", "dropout", "flatten", "fc"),
        }
        self._initialize()

    def _initialize(self) -> None:
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                deviation = {"AuxLogits.conv1.conv": 0.01, "AuxLogits.fc": 0.001}.get(name, 0.1)
                nn.init.trunc_normal_(module.weight, std=deviation)

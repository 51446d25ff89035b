"""GoogLeNet (Inception v1): Szegedy, Liu, Jia, Sermanet, Reed, Anguelov, Erhan, Vanhoucke, Rabinovich 2014, *Going Deeper with
Convolutions*, table 1. 22 layers with weights: three convolutions, nine Inception modules of two, one dense layer.

variant         parameters (1000 classes)      without auxiliary heads
googlenet_2014  13 378 280                     6 998 552                as printed: local response normalisation, no batch norm
googlenet       13 004 888                     6 624 904                torchvision's: batch normalisation after every
                                                                        convolution, 3x3 where the paper has 5x5, a last pool
                                                                        of 2x2; names and layout are torchvision's

torchvision's weights are a port of TensorFlow's: their pictures are scaled to -1..1. What the paper leaves open is as in Caffe's
`bvlc_googlenet`: pools round up, Glorot's weights; biases begin at 0 here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.models.auxiliary import AuxiliaryNetwork
from gradus.nn import LocalResponseNorm, initialize

# Table 1: name -> channels in, 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, after the pool
MODULES = {
    "inception3a": (192, 64, 96, 128, 16, 32, 32),  # 256 out, 28x28
    "inception3b": (256, 128, 128, 192, 32, 96, 64),  # 480
    "inception4a": (480, 192, 96, 208, 16, 48, 64),  # 512, 14x14
    "inception4b": (512, 160, 112, 224, 24, 64, 64),  # 512
    "inception4c": (512, 128, 128, 256, 24, 64, 64),  # 512
    "inception4d": (512, 112, 144, 288, 32, 64, 64),  # 528
    "inception4e": (528, 256, 160, 320, 32, 128, 128),  # 832
    "inception5a": (832, 256, 160, 320, 32, 128, 128),  # 832, 7x7
    "inception5b": (832, 384, 192, 384, 48, 128, 128),  # 1024
}


class Convolution(nn.Module):
    """Convolution and ReLU, with batch normalisation between them where there is some."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int, batch_norm: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=not batch_norm
        )
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001) if batch_norm else nn.Identity()
        self.activation = nn.ReLU()

    def forward(self, inputs: Tensor) -> Tensor:
        return self.activation(self.bn(self.conv(inputs)))


class Inception(nn.Module):
    """Four branches side by side, joined by channels: (B, in, H, W) -> (B, the branches' sum, H, W).

    1x1; 1x1 then 3x3; 1x1 then 5x5; 3x3 max pool then 1x1. The 1x1 before the large kernels leave those few channels.
    """

    def __init__(self, in_channels: int, widths: tuple[int, ...], batch_norm: bool) -> None:
        super().__init__()
        one, reduce3, three, reduce5, five, pooled = widths
        self.branch1 = Convolution(in_channels, one, 1, 1, batch_norm)
        self.branch2 = nn.Sequential(
            Convolution(in_channels, reduce3, 1, 1, batch_norm), Convolution(reduce3, three, 3, 1, batch_norm)
        )
        self.branch3 = nn.Sequential(
            Convolution(in_channels, reduce5, 1, 1, batch_norm),
            Convolution(reduce5, five, 3 if batch_norm else 5, 1, batch_norm),
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1), Convolution(in_channels, pooled, 1, 1, batch_norm)
        )

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.cat([self.branch1(inputs), self.branch2(inputs), self.branch3(inputs), self.branch4(inputs)], 1)


class AuxiliaryHead(nn.Module):
    """Average to 4x4, 1x1 convolution of 128, dense 1024, dropout, dense: (B, in, H, W) -> (B, num_classes)."""

    def __init__(self, in_channels: int, num_classes: int, dropout: float, batch_norm: bool) -> None:
        super().__init__()
        self.printed = not batch_norm
        self.conv = Convolution(in_channels, 128, 1, 1, batch_norm)
        self.fc1 = nn.Linear(2048, 1024)
        self.activation = nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        self.fc2 = nn.Linear(1024, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        if self.printed and min(inputs.shape[-2:]) >= 14:
            inputs = functional.avg_pool2d(inputs, 5, stride=3)  # 4x4 of the usual 14x14
        maps = self.conv(functional.adaptive_avg_pool2d(inputs, 4))
        return self.fc2(self.dropout(self.activation(self.fc1(maps.flatten(1)))))


class GoogLeNet(AuxiliaryNetwork):
    """torchvision's. (B, in_channels, H, W), H and W at least 15 -> logits (B, num_classes); in training see `auxiliary.py`.

    auxiliary: whether there are heads after modules 4a and 4d
    """

    batch_norm = True
    auxiliary_weight = 0.3  # the paper's
    usual_image_size = 224
    smallest_image_size = 15

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        auxiliary: bool = True,
        dropout: float = 0.2,
        auxiliary_dropout: float = 0.7,
    ) -> None:
        super().__init__()
        norm = self.batch_norm

        def pool() -> nn.Module:
            return nn.MaxPool2d(3, stride=2, ceil_mode=True)

        self.conv1 = Convolution(in_channels, 64, 7, 2, norm)  # 112x112 for 224x224
        self.maxpool1 = pool()  # 56x56
        self.norm1 = nn.Identity() if norm else LocalResponseNorm(convention="caffe")
        self.conv2 = Convolution(64, 64, 1, 1, norm)
        self.conv3 = Convolution(64, 192, 3, 1, norm)
        self.norm2 = nn.Identity() if norm else LocalResponseNorm(convention="caffe")
        self.maxpool2 = pool()  # 28x28
        self.maxpool3 = pool()  # 14x14
        self.maxpool4 = nn.MaxPool2d(2, stride=2, ceil_mode=True) if norm else pool()  # 7x7
        for name, (channels, *widths) in MODULES.items():
            setattr(self, name, Inception(channels, tuple(widths), norm))
        self.auxiliary_heads = {"inception4a": "aux1", "inception4d": "aux2"} if auxiliary else {}
        if auxiliary:
            self.aux1 = AuxiliaryHead(512, num_classes, auxiliary_dropout, norm)
            self.aux2 = AuxiliaryHead(528, num_classes, auxiliary_dropout, norm)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(1024, num_classes)
        self.stages = {
            "stem": ("conv1", "maxpool1", "norm1", "conv2", "conv3", "norm2", "maxpool2"),
            **{name: (name,) for name in MODULES},
            "head": ("avgpool", "flatten", "dropout", "fc"),
        }
        for pooled, before in (("maxpool3", "inception4a"), ("maxpool4", "inception5a")):
            self.stages[before] = (pooled, before)
        self._initialize()

    def _initialize(self) -> None:
        """N(0, 0.01^2), as torchvision: batch normalisation sets the scale."""
        initialize(self, "normal")


class GoogLeNetOf2014(GoogLeNet):
    """The paper's. (B, in_channels, H, W), H and W at least 31 -> logits (B, num_classes); in training see `auxiliary.py`."""

    batch_norm = False
    smallest_image_size = 31

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        auxiliary: bool = True,
        dropout: float = 0.4,
        auxiliary_dropout: float = 0.7,
    ) -> None:
        super().__init__(num_classes, in_channels, auxiliary, dropout, auxiliary_dropout)

    def _initialize(self) -> None:
        initialize(self, "glorot")

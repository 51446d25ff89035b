"""VGG: Simonyan, Zisserman 2014, *Very Deep Convolutional Networks for Large-Scale Image Recognition*: five blocks of 3x3
convolutions that keep the size, each ended by a 2x2 pool. Names and layout are torchvision's.

variant  layers  convolutions of the blocks  parameters (1000 classes)  with batch normalisation (vgg.._bn)
vgg11    A       1 1 2 2 2                   132 863 336                132 868 840
vgg13    B       2 2 2 2 2                   133 047 848                133 053 736
vgg16    D       2 2 3 3 3                   138 357 544                138 365 992
vgg19    E       2 2 4 4 4                   143 667 240                143 678 248

The dense layers hold nine tenths of that. `hidden` and `map_size` make others: the network of *Deep Learning with Python*,
listing 5-20, on pictures of 150x150 is vgg16 with hidden=(256,), map_size=4 and num_classes=1: 14 714 688 + 2 097 665 parameters.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from gradus.errors import UserError
from gradus.models.stages import StagedNetwork

DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
WIDTHS = (64, 128, 256, 512, 512)


def _undrawn_linear(in_features: int, out_features: int) -> nn.Linear:
    """A layer whose weights are yet to be drawn: 120 million numbers need not be drawn twice."""
    return nn.utils.skip_init(nn.Linear, in_features, out_features, device=torch.get_default_device())


class VGG(StagedNetwork):
    """(B, in_channels, H, W), H and W at least 32 -> logits (B, num_classes).

    hidden:   widths of the dense layers before the last one; () for none
    map_size: side to which the last maps (7x7 for 224x224) are averaged before the dense layers; 1: a global average
    dropout:  after every hidden layer
    """

    depth: int
    batch_norm = False
    usual_image_size = 224
    smallest_image_size = 32

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        hidden: Sequence[int] = (4096, 4096),
        map_size: int = 7,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        hidden = (hidden,) if isinstance(hidden, int) else tuple(hidden)
        if not all(isinstance(size, int) and size > 0 for size in (*hidden, map_size)):
            raise UserError(
                f"vgg: hidden and map_size must be whole numbers above 0, received {list(hidden)} and {map_size!r}"
            )
        layers: list[nn.Module] = []
        self.stages = {}
        channels = in_channels
        for block, (width, repeats) in enumerate(zip(WIDTHS, DEPTHS[self.depth], strict=True), start=1):
            first = len(layers)
            for _ in range(repeats):
                layers.append(nn.Conv2d(channels, width, 3, padding=1))
                layers += [nn.BatchNorm2d(width), nn.ReLU()] if self.batch_norm else [nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))  # 112, 56, 28, 14, 7 for 224x224
            self.stages[f"block{block}"] = tuple(f"features.{index}" for index in range(first, len(layers)))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(map_size)
        self.flatten = nn.Flatten()
        dense: list[nn.Module] = []
        features = channels * map_size**2
        for width in hidden:
            dense += [_undrawn_linear(features, width), nn.ReLU(), nn.Dropout(dropout)]
            features = width
        self.classifier = nn.Sequential(*dense, _undrawn_linear(features, num_classes))
        self.stages["head"] = ("avgpool", "flatten", "classifier")
        self._initialize()

    def _initialize(self) -> None:
        """He et al. 2015 by the outputs, as torchvision; the paper began with the weights of smaller networks."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
            if isinstance(module, nn.Conv2d | nn.Linear):
                assert module.bias is not None
                nn.init.zeros_(module.bias)


class VGG11(VGG):
    depth = 11


class VGG13(VGG):
    depth = 13


class VGG16(VGG):
    depth = 16


class VGG19(VGG):
    depth = 19


class VGG11WithNorm(VGG):
    depth, batch_norm = 11, True


class VGG13WithNorm(VGG):
    depth, batch_norm = 13, True


class VGG16WithNorm(VGG):
    depth, batch_norm = 16, True


class VGG19WithNorm(VGG):
    depth, batch_norm = 19, True

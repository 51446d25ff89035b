"""SegNet: Badrinarayanan, Kendall and Cipolla 2015, *SegNet: A Deep Convolutional Encoder-Decoder Architecture for Image
Segmentation*. The encoder is VGG16 with batch normalisation; every pooling remembers where its largest values were, and the
decoder, its mirror image, puts values back at these places.

As published (11 classes): 29 449 355 parameters (the paper's table says 29.45 million). For a CPU: `width` and `depth`.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.errors import UserError

REPEATS = (2, 2, 3, 3, 3)  # convolutions of the blocks
FACTORS = (1, 2, 4, 8, 8)  # and their channels, in widths


def _layers(channels: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for old, new in pairwise(channels):
        layers += [nn.Conv2d(old, new, 3, padding=1), nn.BatchNorm2d(new), nn.ReLU()]
    return nn.Sequential(*layers)


class SegNet(nn.Module):
    """(B, in_channels, H, W) of any size -> logits (B, num_classes, H, W).

    width: channels of the first block (64 as published); depth: blocks, 1 to 5
    """

    def __init__(self, num_classes: int, in_channels: int = 3, width: int = 64, depth: int = 5) -> None:
        super().__init__()
        if not 1 <= depth <= len(REPEATS) or width < 1:
            raise UserError(f"segnet: expected a depth of 1 to 5 and a width above 0, received {depth} and {width}")
        widths = [width * factor for factor in FACTORS[:depth]]
        before = [in_channels, *widths]
        self.down = nn.ModuleList(
            _layers([old, *[new] * repeats]) for old, new, repeats in zip(before, widths, REPEATS, strict=False)
        )
        self.up = nn.ModuleList(
            _layers([own] * repeats + [old])
            for old, own, repeats in list(zip(before, widths, REPEATS, strict=False))[:0:-1]
        )
        self.up.append(_layers([width] * REPEATS[0]))
        self.head = nn.Conv2d(width, num_classes, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, pictures: Tensor) -> Tensor:
        value = pictures
        kept: list[tuple[Tensor, list[int]]] = []
        for block in self.down:
            value = block(value)
            size = list(value.shape[2:])
            value, places = functional.max_pool2d(value, 2, ceil_mode=True, return_indices=True)
            kept.append((places, size))
        for block in self.up:
            places, size = kept.pop()
            value = block(functional.max_unpool2d(value, places, [2, 2], output_size=size))
        return self.head(value)

    def load_backbone(self, tensors: Mapping[str, Tensor], where: str) -> list[str]:
        """Published weights of vgg16_bn for the encoder. Raises `UserError` where they do not fit."""
        theirs = [name for name in tensors if name.startswith("features.") and not name.endswith("num_batches_tracked")]
        theirs.sort(key=lambda name: int(name.split(".")[1]))
        blocks = [module for block in self.down for module in block.children() if not isinstance(module, nn.ReLU)]
        groups = sorted({int(name.split(".")[1]) for name in theirs})
        for number, module in zip(groups, blocks, strict=False):
            for name, tensor in module.state_dict().items():
                given = tensors.get(f"features.{number}.{name}")
                if name != "num_batches_tracked" and (given is None or given.shape != tensor.shape):
                    raise UserError(
                        f"{where}: these are not weights of vgg16_bn, or width is not 64 (features.{number}.{name})"
                    )
        if len(groups) < len(blocks):
            raise UserError(f"{where}: these are not weights of vgg16_bn: they have {len(groups)} layers")
        with torch.no_grad():
            for number, module in zip(groups, blocks, strict=False):
                for name, tensor in module.state_dict().items():
                    if name != "num_batches_tracked":
                        tensor.copy_(tensors[f"features.{number}.{name}"])
        return ["the encoder begins with these weights; the decoder begins anew"]

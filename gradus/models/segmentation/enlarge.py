"""Making maps larger: bilinear, by a fixed formula or by a transposed convolution that begins as it; and pictures of any size.

Maps are those of pixels with areas: cell i of a map of stride s covers the pixels i s to (i + 1) s, and its value stands in
the middle of them (PyTorch's `align_corners=False`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


def pad_to_multiple(pictures: Tensor, multiple: int) -> Tensor:
    """(B, C, H, W) with zeros (the mean colour) to the right and below, so that both sides are multiples."""
    height, width = pictures.shape[2:]
    below, right = -height % multiple, -width % multiple
    return functional.pad(pictures, (0, right, 0, below)) if below or right else pictures


def begin_as_nothing(layer: nn.Module) -> None:
    """Sets all parameters of a layer of scores to 0: every class is as likely as any other."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def enlarge(maps: Tensor, size: Sequence[int]) -> Tensor:
    """(B, C, h, w) -> (B, C, *size), bilinear."""
    return functional.interpolate(maps, tuple(size), mode="bilinear", align_corners=False)


def bilinear_kernel(factor: int) -> Tensor:
    """(2 factor, 2 factor): the kernel with which a transposed convolution of that stride interpolates (Long 2015)."""
    places = torch.arange(2 * factor) + 0.5 - factor
    row = 1 - places.abs() / factor
    return row[:, None] * row[None]


class LearntEnlargement(nn.ConvTranspose2d):
    """(B, C, h, w) -> (B, C, factor h, factor w), learnt, with a bias, bilinear at first. Its kernel has 2 factor x 2 factor
    cells and leads from every channel to every one; beyond the edge of a map there are zeros."""

    def __init__(self, channels: int, factor: int) -> None:
        super().__init__(channels, channels, 2 * factor, stride=factor, padding=factor // 2)
        with torch.no_grad():
            self.weight.zero_()
            self.weight[range(channels), range(channels)] = bilinear_kernel(factor)
            assert self.bias is not None
            self.bias.zero_()

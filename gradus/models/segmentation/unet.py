"""U-Net: Ronneberger, Fischer and Brox 2015, *U-Net: Convolutional Networks for Biomedical Image Segmentation*.

Differences: padded convolutions, so that the map has the size of the picture (the paper's lose a border), and batch
normalisation.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional


def _double(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False), nn.BatchNorm2d(out_channels), nn.ReLU()),
        *(nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False), nn.BatchNorm2d(out_channels), nn.ReLU()),
    )


class UNet(nn.Module):
    """(B, in_channels, H, W) -> logits (B, num_classes, H, W). width: channels of the first level, doubled `depth` times."""

    def __init__(self, num_classes: int, in_channels: int = 3, width: int = 64, depth: int = 4) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(depth + 1)]
        self.down = nn.ModuleList(_double(a, b) for a, b in zip([in_channels, *widths], widths, strict=False))
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in pairwise(widths))
        self.join = nn.ModuleList(_double(2 * a, a) for a in widths[:-1])
        self.head = nn.Conv2d(width, num_classes, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        kept: list[Tensor] = []
        value = self.down[0](pictures)
        for level in list(self.down)[1:]:
            kept.append(value)
            value = level(functional.max_pool2d(value, 2, ceil_mode=True))
        for up, join in zip(reversed(self.up), reversed(self.join), strict=True):
            across = kept.pop()
            value = up(value)[:, :, : across.shape[2], : across.shape[3]]
            value = join(torch.cat([across, value], dim=1))
        return self.head(value)

"""U-Net: Ronneberger, Fischer and Brox 2015, *U-Net: Convolutional Networks for Biomedical Image Segmentation*.

As printed (one channel, two classes, batch_norm=false): 31 030 658 parameters in 23 convolutions.

Differences: padded convolutions, so that the map has the size of the picture (the paper's lose a border), and batch
normalisation, which can be left out.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.errors import UserError


def _double(in_channels: int, out_channels: int, batch_norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        layers.append(nn.Conv2d(channels, out_channels, 3, padding=1, bias=not batch_norm))
        layers += [nn.BatchNorm2d(out_channels), nn.ReLU()] if batch_norm else [nn.ReLU()]
    return nn.Sequential(*layers)


def _twice(in_channels: int, out_channels: int, upsampling: str) -> nn.Module:
    """(B, in, h, w) -> (B, out, 2 h, 2 w)."""
    if upsampling == "transposed":
        return nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2)
    larger = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
    return nn.Sequential(larger, nn.Conv2d(in_channels, out_channels, 1))


class UNet(nn.Module):
    """(B, in_channels, H, W) of any size -> logits (B, num_classes, H, W).

    width: channels of the first level, doubled `depth` times; upsampling: by a learnt 2x2 kernel, or bilinear and then 1x1
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        width: int = 64,
        depth: int = 4,
        batch_norm: bool = True,
        upsampling: Literal["transposed", "bilinear"] = "transposed",
    ) -> None:
        super().__init__()
        if width < 1 or depth < 1 or upsampling not in ("transposed", "bilinear"):
            raise UserError(
                "unet: expected a width and a depth above 0, and upsampling by transposed or bilinear, "
                f"received {width}, {depth} and {upsampling!r}"
            )
        widths = [width * 2**level for level in range(depth + 1)]
        self.down = nn.ModuleList(
            _double(a, b, batch_norm) for a, b in zip([in_channels, *widths], widths, strict=False)
        )
        self.up = nn.ModuleList(_twice(b, a, upsampling) for a, b in pairwise(widths))
        self.join = nn.ModuleList(_double(2 * a, a, batch_norm) for a in widths[:-1])
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

"""Maps of several strides joined from the top down: what is seen in the large tells what the details belong to.

Lin et al. 2017, *Feature Pyramid Networks for Object Detection*. Group normalisation in place of none: batches are small on small
machines, and a picture's answer is its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.errors import UserError
from gradus.models.backbone import Backbone, Level, strides_of

GROUPS = 8  # of channels that are normalised together


class ConvNorm(nn.Sequential):
    """3x3 convolution, group normalisation, ReLU; stride 2 halves the map (rounded up)."""

    def __init__(self, channels: int, width: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.GroupNorm(GROUPS, width), nn.ReLU(inplace=True)
        )


class Pyramid(nn.Module):
    """Maps of a backbone, fine to coarse -> as many and `extra` coarser ones, each (B, width, H / stride, W / stride).

    Raises `UserError` for a width that groups of channels do not divide.
    """

    def __init__(self, levels: Sequence[Level], width: int, extra: int = 0) -> None:
        super().__init__()
        if width < 1 or width % GROUPS:
            raise UserError(f"width: expected a multiple of {GROUPS}, received {width}")
        self.lateral = nn.ModuleList(nn.Conv2d(level.channels, width, 1) for level in levels)
        channels = [levels[-1].channels, *[width] * (extra - 1)][:extra]
        self.coarser = nn.ModuleList(ConvNorm(before, width, stride=2) for before in channels)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        joined = [lateral(one) for lateral, one in zip(self.lateral, maps, strict=True)]
        last = maps[-1]
        for layer in self.coarser:
            last = layer(last)
            joined.append(last)
        for index in reversed(range(len(joined) - 1)):
            joined[index] = joined[index] + functional.interpolate(joined[index + 1], joined[index].shape[2:])
        return joined


def backbone_with(network: str, strides: Sequence[int], in_channels: int) -> tuple[Backbone, int]:
    """The backbone with those of the strides that it has, and how many coarser ones it lacks.

    Raises `UserError` where it lacks one that is not coarser than all that it has.
    """
    coarsest = strides_of(network, in_channels)[-1]
    wanted = [stride for stride in sorted(strides) if stride <= coarsest] or [min(strides)]
    return Backbone(network, wanted, in_channels), len(strides) - len(wanted)


def cell_centres(height: int, width: int, stride: int, device: torch.device) -> Tensor:
    """(height * width, 2): centre x, y in pixels of the cells of a map, row by row."""
    y = (torch.arange(height, device=device) + 0.5) * stride
    x = (torch.arange(width, device=device) + 0.5) * stride
    return torch.stack([x.expand(height, -1), y[:, None].expand(-1, width)], dim=2).view(-1, 2)

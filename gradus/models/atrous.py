"""Atrous convolution: a network with finer maps and the same weights.

Where a layer would make the map coarser than wanted, it keeps every place, and all kernels behind it get holes, so that they
meet the same values as before. At the places that the network had before, the values are exactly what they were.

Source: Chen, Papandreou, Kokkinos, Murphy and Yuille 2016, *DeepLab*, §3.1; Holschneider 1989, *algorithme à trous*.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.errors import UserError

SIDE = 512  # of the picture on which strides are found


class AtrousMaxPool(nn.Module):
    """Max pooling of stride 1 with holes, which keeps the size of its map: (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, kernel_size: int, padding: int, dilation: int) -> None:
        super().__init__()
        self.kernel_size, self.dilation = kernel_size, dilation
        self.before, self.after = padding * dilation, (kernel_size - 1 - padding) * dilation

    def forward(self, maps: Tensor) -> Tensor:
        padded = functional.pad(maps, (self.before, self.after) * 2, value=-torch.inf)
        return functional.max_pool2d(padded, self.kernel_size, stride=1, dilation=self.dilation)


def make_atrous(network: nn.Module, chain: Sequence[str], in_channels: int, stride: int) -> None:
    """Changes a network in place, so that no map of the modules of its `chain` is coarser than `stride` pixels a cell.

    Raises `UserError` for a layer that cannot be changed so, such as a pooling by means.
    """
    for name, before in _strides(network, chain, in_channels).items():
        module, dilation = network.get_submodule(name), max(1, before // stride)
        own = _side(module.stride)
        strided = own > 1 and before * own > stride
        if not strided and dilation == 1:
            continue
        if isinstance(module, nn.Conv2d) and not isinstance(module.padding, str):
            module.stride = (1, 1) if strided else module.stride
            module.dilation = (dilation * module.dilation[0], dilation * module.dilation[1])
            module.padding = (dilation * module.padding[0], dilation * module.padding[1])
        elif isinstance(module, nn.MaxPool2d) and strided and _side(module.dilation) == 1:
            parent, _, child = name.rpartition(".")
            pool = AtrousMaxPool(_side(module.kernel_size), _side(module.padding), dilation)
            setattr(network.get_submodule(parent), child, pool)
        else:
            raise UserError(f"{type(network).__name__}: its layer {name} cannot be made atrous")


def _side(value: Any) -> int:
    return int(value if isinstance(value, int) else value[0])


def _strides(network: nn.Module, chain: Sequence[str], in_channels: int) -> dict[str, int]:
    """Convolutions and poolings, in the order of use -> how many pixels of the picture are a cell of what they are given."""
    found: dict[str, int] = {}
    shapes = copy.deepcopy(network).to("meta").eval()
    for name, module in shapes.named_modules():
        if isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):

            def note(_: nn.Module, inputs: tuple[Tensor, ...], name: str = name) -> None:
                found[name] = 2 ** round(math.log2(SIDE / inputs[0].shape[-1]))

            module.register_forward_pre_hook(note)
    value = torch.empty(1, in_channels, SIDE, SIDE, device="meta")
    for name in chain:
        value = shapes.get_submodule(name)(value)
    return found

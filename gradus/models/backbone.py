"""Backbones: networks for pictures without their head, as maps of several strides that detectors and segmenters build on.

Any `StagedNetwork` of the table is one. Published weights go in under their own names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.profiler import record_function

from gradus.errors import UserError
from gradus.models import accepted_options, create_model, model_class
from gradus.models.stages import StagedNetwork

MOST_PADDING = 16


@dataclass(frozen=True)
class Level:
    """One map of a backbone: `stride` pixels a cell, `channels`, and the module of the chain that gives it."""

    stride: int
    channels: int
    module: str


class Backbone(nn.Module):
    """(B, in_channels, H, W) -> one map a stride, (B, channels, H / stride, W / stride), from fine to coarse.

    network: its name in the table (a `StagedNetwork`); strides: which maps, the last one of each stride being taken, or with
    `first` the first one, which in VGG is a pooling's. Networks whose first layers have no padding (SqueezeNet) get some around
    the pictures, so that maps have as many cells as strides say.
    """

    def __init__(
        self, network: str, strides: Sequence[int] = (8, 16), in_channels: int = 3, *, first: bool = False
    ) -> None:
        super().__init__()
        made = _made(network, in_channels)
        self.name, self.in_channels = network, in_channels
        chain = _without_head(made)
        levels = _levels(network, chain, in_channels, first)
        missing = [stride for stride in strides if stride not in levels]
        if missing:
            raise UserError(f"{network} has no map of stride {missing[0]}; it has {', '.join(map(str, levels))}")
        self.levels = tuple(levels[stride] for stride in sorted(strides))
        self.chain = chain[: chain.index(self.levels[-1].module) + 1]
        self.padding = _padding(network, chain, in_channels, self.levels)
        for module in reversed(list(made.named_modules())):  # what comes after the last map is not needed
            if module[0] and not any(_meets(module[0], used) for used in self.chain):
                parent, _, child = module[0].rpartition(".")
                delattr(made.get_submodule(parent), child)
        self.network = made

    @record_function("backbone")
    def forward(self, pictures: Tensor) -> list[Tensor]:
        if self.padding:
            pictures = functional.pad(pictures, (self.padding,) * 4)
        wanted, found = {level.module for level in self.levels}, []
        for name in self.chain:
            pictures = attrgetter(name)(self.network)(pictures)
            if name in wanted:
                found.append(pictures)
        return found

    def load(self, tensors: Mapping[str, Tensor], where: str) -> list[str]:
        """Puts published weights of the whole network in, and returns notes. Raises `UserError` where one is
        missing or misshaped."""
        wanted = self.network.state_dict()
        for name, tensor in wanted.items():
            if name.endswith("num_batches_tracked"):
                continue
            if name not in tensors:
                raise UserError(f"{where}: these are not weights of {self.name}: it has no '{name}'")
            if tensors[name].shape != tensor.shape:
                held, asked = ("x".join(map(str, one.shape)) for one in (tensors[name], tensor))
                raise UserError(
                    f"{where}: these are not weights of {self.name}: its '{name}' has shape {held}, the network's {asked}"
                )
        self.network.load_state_dict({name: tensors[name] for name in wanted if name in tensors}, strict=False)
        numbers = sum(tensor.numel() for tensor in wanted.values())
        return [f"backbone {self.name} begins with these weights ({numbers:,}); all else begins anew"]


def _meets(name: str, used: str) -> bool:
    """Whether a module is used, lies in one that is, or holds one."""
    return name == used or name.startswith(f"{used}.") or used.startswith(f"{name}.")


def _channels(network: str, in_channels: int) -> dict[str, int]:
    return {"in_channels": in_channels} if "in_channels" in accepted_options(network) else {}


@lru_cache(maxsize=256)
def _shapes(network: str, chain: tuple[str, ...], in_channels: int, side: int) -> list[tuple[str, torch.Size]]:
    """The output shape of each module of the chain for a picture of that side, without computing."""
    with torch.device("meta"):
        made = create_model(network, **_channels(network, in_channels))
        value = torch.empty(1, in_channels, side, side)
    found = []
    for name in chain:
        try:
            value = attrgetter(name)(made.eval())(value)
        except RuntimeError:  # dense layers of one size: no map comes behind them
            break
        found.append((name, value.shape))
    return found


def strides_of(network: str, in_channels: int = 3) -> list[int]:
    """The strides of the maps of a network of the table, ascending. Raises `UserError` for one that cannot be a backbone."""
    with torch.device("meta"):
        chain = _without_head(_made(network, in_channels))
    return sorted(_levels(network, chain, in_channels))


def _made(network: str, in_channels: int) -> StagedNetwork:
    """The whole network. Raises `UserError` for one that is no chain of stages."""
    if not issubclass(model_class(network), StagedNetwork):
        raise UserError(f"{network} cannot be a backbone: it is not a chain of stages")
    made = create_model(network, **_channels(network, in_channels))
    assert isinstance(made, StagedNetwork)
    return made


def _without_head(made: StagedNetwork) -> list[str]:
    head = set(list(made.stages.values())[-1])
    return [module for module in made.chain() if module not in head]


def _levels(network: str, chain: Sequence[str], in_channels: int, first: bool = False) -> dict[int, Level]:
    """Stride -> the last module (or the first one) with a map of it."""
    side, found = 1024, {}
    for name, shape in _shapes(network, tuple(chain), in_channels, side):
        if len(shape) == 4:
            stride = 2 ** round(math.log2(side / shape[-1]))
            if not (first and stride in found):
                found[stride] = Level(stride, shape[1], name)
    return found


def _padding(network: str, chain: Sequence[str], in_channels: int, levels: Sequence[Level]) -> int:
    """The least padding with which maps have side / stride cells; 0 where none does."""
    side = 16 * levels[-1].stride
    for padding in range(MOST_PADDING + 1):
        shapes = dict(_shapes(network, tuple(chain), in_channels, side + 2 * padding))
        if all(shapes[level.module][-1] == side // level.stride for level in levels):
            return padding
    return 0

"""A classifier of crops as a convolution over whole pictures: one pass in place of a pass a window (Sermanet et al. 2013,
*OverFeat*; course notes §4.3.4).

A dense layer on a map of h x w is a convolution with a kernel of h x w at the one place where it fits; the dense layers behind it
are convolutions of 1 x 1. On a larger picture these fit at more places, and give the answer for a window at each.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gradus.errors import UserError
from gradus.models.stages import StagedNetwork

PER_VALUE = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SiLU, nn.GELU, nn.Tanh, nn.Sigmoid, nn.Identity),
    *(nn.Dropout, nn.Dropout2d, nn.BatchNorm2d),
)
WINDOWED = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)


class WindowNetwork(nn.Sequential):
    """(B, C, H, W), at least `window` -> (B, classes, rows, columns): [..., r, c] are the outputs for the crop whose upper left
    corner is in row r * stride[0], column c * stride[1]."""

    window: tuple[int, int]
    stride: tuple[int, int]

    def corners(self, height: int, width: int) -> tuple[Tensor, Tensor]:
        """The first rows and first columns of the windows on a picture of that size."""
        rows, columns = (
            torch.arange((side - window) // stride + 1) * stride
            for side, window, stride in zip((height, width), self.window, self.stride, strict=True)
        )
        return rows, columns


@dataclass
class _Window:
    """What the layers so far see of the picture, and the shape of their output for one crop."""

    stride: tuple[int, int]
    shape: tuple[int, ...]  # (C, H, W), or (F,) behind a flatten
    map_shape: tuple[int, ...]  # of the map that was flattened


def as_convolution(model: nn.Module, window: int | tuple[int, int], in_channels: int = 3) -> WindowNetwork:
    """The same function as a convolution, with copies of its weights, in evaluation mode exactly equal at every aligned place.

    model:  a chain: `Sequential`, or a `StagedNetwork` of chains, that takes crops of `window` (height, width) pixels
    Raises `UserError`, naming the layer, for padding (at the edge of a crop it sees zeros where the picture goes on) and for
    layers that are no convolution.
    """
    window = (window, window) if isinstance(window, int) else window
    made: list[nn.Module] = []
    state = _Window((1, 1), (in_channels, *window), ())
    for name, layer in _chain(model):
        converted, state = _convert(name, copy.deepcopy(layer), state)
        made += [converted] if converted is not None else []
    network = WindowNetwork(*made)
    network.window, network.stride = window, state.stride
    return network.eval()


def _chain(model: nn.Module, name: str = "") -> list[tuple[str, nn.Module]]:
    """The layers in the order of use, by name."""
    if isinstance(model, StagedNetwork):
        named = dict(model.named_modules())
        return [pair for child in model.chain() for pair in _chain(named[child], child)]
    if isinstance(model, nn.Sequential):
        return [pair for key, child in model.named_children() for pair in _chain(child, f"{name}.{key}".lstrip("."))]
    return [(name or type(model).__name__, model)]


def _convert(name: str, layer: nn.Module, state: _Window) -> tuple[nn.Module | None, _Window]:
    if isinstance(layer, WINDOWED):
        return _windowed(name, layer, state)
    if isinstance(layer, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d) and layer.output_size in (1, (1, 1)):
        sides = (state.shape[1], state.shape[2])
        kind = nn.AvgPool2d if isinstance(layer, nn.AdaptiveAvgPool2d) else nn.MaxPool2d
        return kind(sides, stride=1), _Window(state.stride, (state.shape[0], 1, 1), ())
    if isinstance(layer, nn.Flatten):
        length = 1
        for side in state.shape:
            length *= side
        return None, _Window(state.stride, (length,), state.shape)
    if isinstance(layer, nn.Linear) and len(state.shape) == 1:
        channels, *kernel = state.map_shape or (state.shape[0], 1, 1)
        convolution = nn.Conv2d(channels, layer.out_features, (kernel[0], kernel[1]), bias=layer.bias is not None)
        with torch.no_grad():
            convolution.weight.copy_(layer.weight.view_as(convolution.weight))
            if layer.bias is not None and convolution.bias is not None:
                convolution.bias.copy_(layer.bias)
        return convolution.to(layer.weight), _Window(state.stride, (layer.out_features,), ())
    if isinstance(layer, nn.BatchNorm1d):
        norm = nn.BatchNorm2d(layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats)
        norm.load_state_dict(layer.state_dict())
        return norm, state
    if isinstance(layer, PER_VALUE):
        return layer, state
    raise UserError(f"{name}: a {type(layer).__name__} cannot be applied as a convolution")


def _windowed(name: str, layer: nn.Module, state: _Window) -> tuple[nn.Module, _Window]:
    if _pair(layer.padding) != (0, 0) or getattr(layer, "ceil_mode", False):
        raise UserError(
            f"{name}: it pads its input, so a crop alone gives other numbers than the same place of a whole picture; "
            "use layers without padding"
        )
    kernel, stride, dilation = (
        _pair(value) for value in (layer.kernel_size, layer.stride, getattr(layer, "dilation", 1))
    )
    reach = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    sides = tuple((side - r) // s + 1 for side, r, s in zip(state.shape[1:], reach, stride, strict=True))
    if min(sides) < 1:
        raise UserError(f"{name}: the window is too small for its kernel")
    channels = layer.out_channels if isinstance(layer, nn.Conv2d) else state.shape[0]
    steps = (state.stride[0] * stride[0], state.stride[1] * stride[1])
    return layer, _Window(steps, (channels, *sides), ())


def _pair(value: object) -> tuple[int, int]:
    return (value[0], value[1]) if isinstance(value, tuple) else (value, value)  # type: ignore[return-value]

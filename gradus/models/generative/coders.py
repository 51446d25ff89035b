"""Encoders and decoders that autoencoders are made of: dense, and of convolutions. B rows, C channels, sides H and W."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.errors import UserError
from gradus.nn import activation as make_activation
from gradus.nn import initialize
from gradus.nn.initializers import DRAWS


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What an encoder and its decoder are like.

    widths, strides:  maps of the 3x3 convolutions of the encoder, and their strides (1 or 2); none: dense layers alone
    up_widths: maps of the decoder's transposed convolutions, each of which doubles the side; empty: those of the strided
               convolutions backwards
    hidden:    widths of the dense layers behind them; a dense decoder has them backwards, one of convolutions has none
    """

    channels: int
    side: int
    num_classes: int = 0  # told to both beside the picture and the latents, one-hot; 0: none
    widths: Sequence[int] = ()
    strides: Sequence[int] = ()
    up_widths: Sequence[int] = ()
    hidden: Sequence[int] = ()
    activation: str = "relu"

    def __post_init__(self) -> None:
        if len(self.widths) != len(self.strides):
            raise UserError(
                f"strides: expected {len(self.widths)}, one for each of widths, received {len(self.strides)}"
            )
        if any(stride not in (1, 2) for stride in self.strides):
            raise UserError(f"strides: expected 1 or 2 each, received {list(self.strides)}")
        for name in ("widths", "up_widths", "hidden"):
            if any(isinstance(width, bool) or not isinstance(width, int) or width < 1 for width in getattr(self, name)):
                raise UserError(f"{name}: expected whole numbers above 0, received {list(getattr(self, name))}")
        if self.up_widths and len(self.up_widths) != list(self.strides).count(2):
            raise UserError(f"up_widths: expected {list(self.strides).count(2)}, one for each stride of 2")

    @property
    def sides(self) -> list[int]:
        """The sides of the maps: of the picture, and behind each stride of 2."""
        found = [self.side]
        for _ in range(list(self.strides).count(2)):
            found.append((found[-1] + 1) // 2)
        return found

    @property
    def ups(self) -> list[int]:
        strided = [width for width, stride in zip(self.widths, self.strides, strict=True) if stride == 2]
        return list(self.up_widths) or strided[::-1]


class Encoder(nn.Module):
    """(B, C, H, W), and classes (B,) where they are told -> (B, size)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.num_classes = shape.num_classes
        layers: list[nn.Module] = []
        maps = shape.channels
        for width, stride in zip(shape.widths, shape.strides, strict=True):
            layers += [nn.Conv2d(maps, width, 3, stride, padding=1), make_activation(shape.activation, width)]
            maps = width
        self.maps = nn.Sequential(*layers, nn.Flatten())
        self.hidden, self.size = dense(maps * shape.sides[-1] ** 2 + shape.num_classes, shape.hidden, shape.activation)

    def forward(self, pictures: Tensor, classes: Tensor | None = None) -> Tensor:
        return self.hidden(with_classes(self.maps(pictures), classes, self.num_classes))


class Decoder(nn.Module):
    """(B, latent_size), and classes (B,) where they are told -> (B, C, H, W), any numbers."""

    def __init__(self, latent_size: int, shape: Shape) -> None:
        super().__init__()
        self.num_classes = shape.num_classes
        size, act = latent_size + shape.num_classes, shape.activation
        pixels = (shape.channels, shape.side, shape.side)
        if not shape.widths:
            hidden, size = dense(size, list(shape.hidden)[::-1], act)
            self.layers = nn.Sequential(
                *hidden, nn.Linear(size, shape.channels * shape.side**2), nn.Unflatten(1, pixels)
            )
            return
        *larger, side = shape.sides
        maps = shape.widths[-1]
        layers = [
            nn.Linear(size, maps * side**2),
            make_activation(act, maps * side**2),
            nn.Unflatten(1, (maps, side, side)),
        ]
        for width, wanted in zip(shape.ups, larger[::-1], strict=True):
            layers += [
                nn.ConvTranspose2d(maps, width, 3, stride=2, padding=1, output_padding=1 - wanted % 2),
                make_activation(act, width),
            ]
            maps = width
        self.layers = nn.Sequential(*layers, nn.Conv2d(maps, shape.channels, 3, padding=1))

    def forward(self, latents: Tensor, classes: Tensor | None = None) -> Tensor:
        return self.layers(with_classes(latents, classes, self.num_classes))


def dense(size: int, widths: Sequence[int], activation: str) -> tuple[nn.Sequential, int]:
    """Dense layers with an activation behind each, and the size of what they give."""
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Linear(size, width), make_activation(activation, width)]
        size = width
    return nn.Sequential(*layers), size


def with_classes(values: Tensor, classes: Tensor | None, num_classes: int) -> Tensor:
    """(B, N) -> (B, N + num_classes): the classes one-hot behind them. Raises `UserError` where they are missing."""
    if not num_classes:
        return values
    if classes is None:
        raise UserError("this network is told the class of each picture: give the classes too")
    return torch.cat([values, functional.one_hot(classes, num_classes).to(values)], dim=1)


def draw_weights(model: nn.Module, scheme: str) -> None:
    """`gradus.nn.initialize`, of transposed convolutions too."""
    initialize(model, scheme)
    for layer in model.modules():
        if isinstance(layer, nn.ConvTranspose2d) and scheme != "pytorch":
            DRAWS[scheme](layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

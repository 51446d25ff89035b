"""The two networks of the races in gpu.py, and the augmentation of CIFAR-10 on the device.

Shapes: B rows a batch, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

PADDING = 4  # pixels that a picture of CIFAR-10 is padded by (reflected) before a crop is drawn
HOLE = 8  # side of the square that is cut out


def block(inputs: int, outputs: int, *, pool: bool = False) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, *([nn.MaxPool2d(2)] if pool else []))


class SmallConvnet(nn.Module):
    """(B, 1, 28, 28) -> logits (B, 10). 94 186 parameters: three convolutions with batch norm, largest value of each map."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(block(1, 32, pool=True), block(32, 64, pool=True), block(64, 128))
        self.head = nn.Linear(128, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.features(inputs).amax(dim=(2, 3)))


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(block(channels, channels), block(channels, channels))

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs + self.inner(inputs)


class ResNet9(nn.Module):
    """(B, 3, 32, 32) -> logits (B, 10). The network of David Page's "How to train your ResNet" (2018), 6.6 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            block(3, 64),
            block(64, 128, pool=True),
            Residual(128),
            block(128, 256, pool=True),
            block(256, 512, pool=True),
            Residual(512),
        )
        self.head = nn.Linear(512, 10, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        return 0.125 * self.head(self.features(inputs).amax(dim=(2, 3)))


def to_model(pictures: Tensor) -> Tensor:
    """uint8 (B, H, W, C) -> float32 (B, C, H, W) around 0, in channels-last memory order."""
    return pictures.permute(0, 3, 1, 2).float().sub_(127.5).div_(64)


def crop_and_flip(padded: Tensor) -> Tensor:
    """uint8 (B, H + 2 PADDING, W + 2 PADDING, C) -> (B, H, W, C): a crop, a flip and a hole of each row's own.

    Nothing is read back and no shape depends on a value, so it can stand in a CUDA graph.
    """
    rows, side, device = len(padded), padded.shape[1] - 2 * PADDING, padded.device
    line = torch.arange(side, device=device)
    start = torch.randint(0, 2 * PADDING + 1, (2, rows, 1), device=device)
    down, across = start[0] + line, start[1] + line  # (B, H), (B, W)
    flipped = torch.rand(rows, 1, device=device) < 0.5
    across = torch.where(flipped, across.flip(1), across)
    row = torch.arange(rows, device=device)[:, None, None]
    pictures = padded[row, down[:, :, None], across[:, None, :]]
    corner = torch.randint(0, side - HOLE + 1, (2, rows, 1), device=device)
    in_rows, in_columns = ((line >= one) & (line < one + HOLE) for one in corner)  # (B, H), (B, W)
    hole = in_rows[:, :, None] & in_columns[:, None, :]
    return pictures.masked_fill(hole[..., None], 127)


def augment(pictures: Tensor, training: bool) -> Tensor:
    """What the model takes: for training a random part of padded pictures, else whole pictures without padding."""
    return to_model(crop_and_flip(pictures) if training else pictures)


def as_is(pictures: Tensor, training: bool) -> Tensor:
    return to_model(pictures)


def pad(pictures: Tensor) -> Tensor:
    """uint8 (N, H, W, C) -> (N, H + 2 PADDING, W + 2 PADDING, C), reflected at the edges."""
    side = pictures.shape[1]
    line = torch.arange(-PADDING, side + PADDING, device=pictures.device).abs()
    line = torch.where(line >= side, 2 * (side - 1) - line, line)
    return pictures[:, line][:, :, line].contiguous()

"""What a network was trained to see: size, colours and scale of its pictures, as a record that goes with its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of RGB in 0..1, as torchvision's weights expect
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """From a uint8 picture to what a network takes: brought to size, scaled to 0..1, channels ordered, standardised."""

    image_size: int = 224  # side in pixels
    fit: Literal["stretch", "crop", "pad"] = "crop"  # how another aspect ratio is met
    mean: tuple[float, ...] = IMAGENET_MEAN  # of each channel in 0..1, in RGB order
    deviation: tuple[float, ...] = IMAGENET_DEVIATION
    channel_order: Literal["rgb", "bgr"] = "rgb"  # bgr: networks that come from Caffe

    def apply(self, pictures: Tensor) -> Tensor:
        """uint8 or float 0..255 (B, H, W, C) -> float32 (B, C, H, W), channels-last in memory. Sizes stay."""
        inputs = (pictures.permute(0, 3, 1, 2).to(torch.float32) / 255 - self._row(self.mean, pictures)) / self._row(
            self.deviation, pictures
        )
        return inputs.flip(1) if self.channel_order == "bgr" else inputs

    def invert(self, inputs: Tensor) -> Tensor:
        """(B, C, H, W) as a network takes it -> float32 0..1 (B, C, H, W) in RGB; not clipped. The inverse of `apply`."""
        inputs = inputs.flip(1) if self.channel_order == "bgr" else inputs
        return inputs * self._row(self.deviation, inputs) + self._row(self.mean, inputs)

    def _row(self, values: tuple[float, ...], like: Tensor) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=like.device)[:, None, None]

"""A batch augmented: one warp, one colour matrix, noise, erasing, mixing. All of it on the device, in bulk.

Random numbers come from the device's global generator, which the trainer sets before each step; nothing is read back, and there
is no branch on a value, so that a step can be captured whole.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gradus.data.augment.colour import LINEAR, change_colours, draw_colours, hue_parts
from gradus.data.augment.geometry import Size, Warp, draw_warp, warp_pictures
from gradus.data.augment.mixing import cut_out, mix
from gradus.data.augment.settings import COLOURFUL, AugmentSettings, Range


@dataclass
class Augmentation:
    """What is done to batches of uint8 pictures of one size.

    size:       (height, width) of the new pictures
    mean:       (C,) float32, levels: the mean colour of the training pictures
    components: (3, 3) of `colour.principal_components`; only where settings.pca is above 0
    """

    settings: AugmentSettings
    size: Size
    mean: Tensor
    components: Tensor | None = None

    def __post_init__(self) -> None:
        self.parts = hue_parts()
        if len(self.mean) == 1:
            plain = AugmentSettings()
            self.settings = replace(self.settings, **{name: getattr(plain, name) for name in COLOURFUL})

    def notes(self, asked: AugmentSettings) -> list[str]:
        """What is done, in words, and what of the settings asked for is not."""
        lost = [name for name in COLOURFUL if getattr(asked, name) != getattr(self.settings, name)]
        told = [f"training pictures are augmented: {self.settings.describe()}"] if self.settings.is_on else []
        return told + ([f"augment: the pictures are grey, so {', '.join(lost)} are left out"] if lost else [])

    def to_device(self, device: torch.device) -> Augmentation:
        """The same on another device."""
        moved = copy.copy(self)
        moved.mean, moved.parts = self.mean.to(device), self.parts.to(device)
        moved.components = None if self.components is None else self.components.to(device)
        return moved

    def __call__(self, batch: Tensor) -> tuple[Tensor, Tensor | None]:
        """Pictures uint8 (B, H, W, C) -> float32 (B, C, height, width) in levels 0 to 255; and where pictures are mixed the share
        (B,) that each has of itself (`mixing.others_of`)."""
        pictures = self.change_colours(self.move(batch, self.draw(batch)))
        shares = None
        if self.settings.mixup or self.settings.cutmix:
            pictures, shares = mix(pictures, self.settings)
        return pictures, shares

    def draw(self, batch: Tensor) -> Warp | None:
        """Where the pixels of the new pictures come from; None where they stay where they are."""
        source = batch.shape[1], batch.shape[2]
        if not self.settings.moves and source == self.size:
            return None
        return draw_warp(self.settings, len(batch), source, self.size, batch.device)

    def move(self, batch: Tensor, warp: Warp | None) -> Tensor:
        """uint8 (B, H, W, C) -> float32 (B, C, height, width), every pixel in its new place."""
        settings = self.settings
        if warp is not None:
            level = self.mean if settings.fill == "mean" else settings.fill_value
            return warp_pictures(batch, warp, settings.fill, level)
        return batch.permute(0, 3, 1, 2).to(torch.float32)

    def change_colours(self, pictures: Tensor) -> Tensor:
        """What leaves every pixel in its place: colours, noise, erasing."""
        settings = self.settings
        if any(is_set(getattr(settings, name)) for name in LINEAR):
            matrices, offsets = draw_colours(settings, pictures, self.parts, self.components)
            mixes = any(is_set(getattr(settings, name)) for name in ("saturation", "hue", "grey"))
            pictures = change_colours(pictures, matrices, offsets, mixes).clamp_(0, 255)
        if settings.noise:
            pictures = pictures.add(torch.randn_like(pictures), alpha=settings.noise).clamp_(0, 255)
        if settings.cutout:
            pictures = cut_out(pictures, settings.cutout, self.mean)
        return pictures


def is_set(value: Range) -> bool:
    """Whether a colour setting changes anything."""
    return value not in (0, (1, 1))

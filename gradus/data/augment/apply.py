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
from gradus.data.augment.geometry import Size, draw_warp, warp_pictures
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
        settings = self.settings
        source = batch.shape[1], batch.shape[2]
        if settings.moves or source != self.size:
            warp = draw_warp(settings, len(batch), source, self.size, batch.device)
            level = self.mean if settings.fill == "mean" else settings.fill_value
            pictures = warp_pictures(batch, warp, settings.fill, level)
        else:
            pictures = batch.permute(0, 3, 1, 2).to(torch.float32)
        if any(is_set(getattr(settings, name)) for name in LINEAR):
            matrices, offsets = draw_colours(settings, pictures, self.parts, self.components)
            mixes = any(is_set(getattr(settings, name)) for name in ("saturation", "hue", "grey"))
            pictures = change_colours(pictures, matrices, offsets, mixes).clamp_(0, 255)
        if settings.noise:
            pictures = pictures.add(torch.randn_like(pictures), alpha=settings.noise).clamp_(0, 255)
        if settings.cutout:
            pictures = cut_out(pictures, settings.cutout, self.mean)
        shares = None
        if settings.mixup or settings.cutmix:
            pictures, shares = mix(pictures, settings)
        return pictures, shares


def is_set(value: Range) -> bool:
    """Whether a colour setting changes anything."""
    return value not in (0, (1, 1))

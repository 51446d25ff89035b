"""The course notes' network for windows of 14 x 14 pixels (§4.3.4), which `as_convolution` applies to larger pictures at once.

    14x14x3 -> conv 5x5, 16 -> 10x10x16 -> pool 2 -> 5x5x16 -> dense 400 -> dense 400 -> 4

As a convolution it gives 2x2x4 on 16x16 and 8x8x4 on 28x28. Differences: ReLU between the layers, which the drawing leaves out.
"""

from __future__ import annotations

from torch import nn

from gradus.errors import UserError
from gradus.models.stages import StagedNetwork


class WindowConvnet(StagedNetwork):
    """(B, in_channels, image_size, image_size) -> logits (B, num_classes). width: maps of the convolution; hidden: of both dense
    layers."""

    smallest_image_size = 6
    stages = {"features": ("features",), "hidden": ("flatten", "hidden"), "head": ("head",)}  # noqa: RUF012 - as of all

    def __init__(
        self, num_classes: int = 4, in_channels: int = 3, image_size: int = 14, width: int = 16, hidden: int = 400
    ) -> None:
        super().__init__()
        if image_size < self.smallest_image_size:
            raise UserError(f"window_convnet needs pictures of at least 6x6 pixels, received image_size {image_size}")
        self.image_size = image_size
        side = (image_size - 4) // 2
        self.features = nn.Sequential(nn.Conv2d(in_channels, width, 5), nn.ReLU(), nn.MaxPool2d(2))
        self.flatten = nn.Flatten()
        self.hidden = nn.Sequential(
            nn.Linear(width * side * side, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()
        )
        self.head = nn.Linear(hidden, num_classes)

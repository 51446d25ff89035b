"""The convnet of *Deep Learning with Python* §5.1 (listings 5-1 and 5-2): 93 322 parameters on 28x28 grey pictures.

Other sizes and colour work too; the flattened width then follows the picture.
"""

from __future__ import annotations

from torch import nn

from gradus.errors import UserError
from gradus.models.stages import StagedNetwork
from gradus.nn import initialize

STAGES = {"features": ("features",), "hidden": ("flatten", "hidden"), "head": ("head",)}


class MnistConvnet(StagedNetwork):
    """(B, in_channels, image_size, image_size) -> logits (B, num_classes); image_size at least 18.

    initialization: a scheme of `gradus.nn.initialize`, such as "pytorch", "glorot", "he"
    """

    smallest_image_size = 18
    stages = STAGES

    def __init__(
        self, num_classes: int, in_channels: int = 1, image_size: int = 28, initialization: str = "pytorch"
    ) -> None:
        super().__init__()
        side = (((image_size - 2) // 2 - 2) // 2) - 2
        if side < 1:
            raise UserError(f"mnist_convnet needs pictures of at least 18x18 pixels, received image_size {image_size}")
        self.image_size = image_size
        self.flatten = nn.Flatten()
        self.features = nn.Sequential(  # for 28x28:
            nn.Conv2d(in_channels, 32, 3),  # 26x26
            nn.ReLU(),
            nn.MaxPool2d(2),  # 13x13
            nn.Conv2d(32, 64, 3),  # 11x11
            nn.ReLU(),
            nn.MaxPool2d(2),  # 5x5
            nn.Conv2d(64, 64, 3),  # 3x3
            nn.ReLU(),
        )
        self.hidden = nn.Sequential(nn.Linear(64 * side * side, 64), nn.ReLU())
        self.head = nn.Linear(64, num_classes)
        initialize(self, initialization)

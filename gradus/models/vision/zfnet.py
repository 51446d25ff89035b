"""ZFNet: Zeiler, Fergus 2013, *Visualizing and Understanding Convolutional Networks*, fig. 3: AlexNet with a first layer that
loses less, found by looking at what its filters want. 62 357 608 parameters with 1000 classes.

Not in the paper and chosen here: the normalisation between the maps, which it calls contrast normalisation, is AlexNet's local
response normalisation, and paddings are those that give the printed sizes. As in `alexnet.py`, other sizes are averaged to 6x6.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from gradus.models.stages import StagedNetwork
from gradus.models.vision.alexnet import convolution_stages, dense_head
from gradus.nn import LocalResponseNorm, initialize


class ZFNet(StagedNetwork):
    """(B, in_channels, H, W), H and W at least 53 -> logits (B, num_classes).

    hidden:         widths of the dense layers before the last one, dropout before each
    initialization: a scheme of `gradus.nn.initialize`; "normal" is the paper's N(0, 0.01^2) with biases of 0
    """

    usual_image_size = 224
    smallest_image_size = 53

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        hidden: Sequence[int] = (4096, 4096),
        dropout: float = 0.5,
        initialization: str = "normal",
    ) -> None:
        super().__init__()

        def pool(padding: int = 0) -> nn.Module:
            return nn.MaxPool2d(3, stride=2, padding=padding)

        self.features = nn.Sequential(  # for 224x224:
            *(nn.Conv2d(in_channels, 96, 7, stride=2, padding=1), nn.ReLU(), pool(1), LocalResponseNorm()),  # 110, 55
            *(nn.Conv2d(96, 256, 5, stride=2), nn.ReLU(), pool(1), LocalResponseNorm()),  # 26, 13
            *(nn.Conv2d(256, 384, 3, padding=1), nn.ReLU()),  # 13
            *(nn.Conv2d(384, 384, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(), pool()),  # 13, 6
        )
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        self.flatten = nn.Flatten()
        self.classifier = dense_head(256 * 6 * 6, hidden, num_classes, dropout)
        self.stages = convolution_stages(self.features)
        initialize(self, initialization)

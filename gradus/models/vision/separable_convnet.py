"""The small separable convnet of *Deep Learning with Python* §7.3.1 (also §9.1.6), for 64x64 pictures and 10 classes.

Depthwise separable 3x3 convolutions, unpadded, of 32, 64 | 64, 128 | 64, 128 maps, 2x2 max pooling at the bars, global average
pooling, a dense layer of 32: 38 949 parameters. `separable=False` has ordinary convolutions in their place, 282 282 parameters.
The book calls the two equivalent; a separable convolution is a restriction of the other, and cheaper.
"""

from __future__ import annotations

from torch import nn

from gradus.models.stages import StagedNetwork
from gradus.nn import SeparableConv2d, initialize

STAGES = {
    **{name: (name,) for name in ("block1", "block2", "block3")},
    "hidden": ("avgpool", "flatten", "hidden"),
    "head": ("head",),
}


class SeparableConvnet(StagedNetwork):
    """(B, in_channels, H, W), H and W at least `smallest_image_size` -> logits (B, num_classes).

    separable:      whether convolutions are separable, or ordinary
    initialization: a scheme of `gradus.nn.initialize`; "glorot" is Keras'
    """

    usual_image_size = 64
    smallest_image_size = 32
    stages = STAGES

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 3,
        separable: bool = True,
        initialization: str = "glorot",
    ) -> None:
        super().__init__()
        kind = SeparableConv2d if separable else nn.Conv2d

        def block(before: int, first: int, second: int) -> list[nn.Module]:
            return [kind(before, first, 3), nn.ReLU(), kind(first, second, 3), nn.ReLU()]

        self.block1 = nn.Sequential(*block(in_channels, 32, 64), nn.MaxPool2d(2))  # for 64x64: 62, 60, 30
        self.block2 = nn.Sequential(*block(64, 64, 128), nn.MaxPool2d(2))  # 28, 26, 13
        self.block3 = nn.Sequential(*block(128, 64, 128))  # 11, 9
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.hidden = nn.Sequential(nn.Linear(128, 32), nn.ReLU())
        self.head = nn.Linear(32, num_classes)
        initialize(self, initialization)

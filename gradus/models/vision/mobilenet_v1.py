"""MobileNet: Howard et al. 2017, *MobileNets: efficient convolutional neural networks for mobile vision applications*, table 1.

A 3x3 convolution of each map alone and a 1x1 convolution of all, in place of one 3x3 convolution: 8 to 9 times fewer
multiplications. 224x224 pictures.

width   parameters (1000 classes)   printed
1.0     4 231 976                   4.2 M
0.75    2 585 560                   2.6 M
0.5     1 331 592                   1.3 M
0.25      470 072                   0.5 M

Differs from the printed table: its last 3x3 layer is said to have stride 2, which would halve the 7x7 maps it then says it keeps;
here it has stride 1.
"""

from __future__ import annotations

from torch import nn

from gradus.errors import UserError
from gradus.models.stages import StagedNetwork
from gradus.models.vision.residual import conv1x1, conv3x3, draw_he

STAGES = {
    "stem": ("stem",),
    **{name: (name,) for name in ("block1", "block2", "block3", "block4", "block5")},
    "head": ("avgpool", "flatten", "dropout", "fc"),
}

# (maps, stride) of each pair, by the size of the maps that come out for 224x224: 112, 56, 28, 14, 7
PAIRS = (((64, 1),), ((128, 2), (128, 1)), ((256, 2), (256, 1)), ((512, 2), *((512, 1),) * 5), ((1024, 2), (1024, 1)))


def _pair(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """3x3 a map, 1x1 across maps, each with norm and ReLU: (B, in, H, W) -> (B, out, H / stride, W / stride)."""
    depthwise = nn.Conv2d(in_channels, in_channels, 3, stride, padding=1, groups=in_channels, bias=False)
    return nn.Sequential(
        *(depthwise, nn.BatchNorm2d(in_channels), nn.ReLU()),
        *(conv1x1(in_channels, out_channels), nn.BatchNorm2d(out_channels), nn.ReLU()),
    )


class MobileNetV1(StagedNetwork):
    """(B, in_channels, H, W), usually 224x224 -> logits (B, num_classes).

    width:   the factor of all numbers of maps (the paper's alpha)
    dropout: before the linear layer; the paper says no more than that little regularisation is needed
    """

    usual_image_size = 224
    stages = STAGES

    def __init__(self, num_classes: int = 1000, in_channels: int = 3, width: float = 1.0, dropout: float = 0.0) -> None:
        super().__init__()
        if not 0.1 <= width <= 4:
            raise UserError(f"width: the factor of the maps is 0.1 to 4, received {width}")
        channels = int(32 * width)
        self.stem = nn.Sequential(conv3x3(in_channels, channels, stride=2), nn.BatchNorm2d(channels), nn.ReLU())
        for index, pairs in enumerate(PAIRS, start=1):
            layers = []
            for maps, stride in pairs:
                layers.append(_pair(channels, int(maps * width), stride))
                channels = int(maps * width)
            setattr(self, f"block{index}", nn.Sequential(*layers))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(channels, num_classes)
        draw_he(self)

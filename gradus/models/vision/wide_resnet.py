"""Wide residual networks: Zagoruyko and Komodakis 2016, *Wide residual networks*, for CIFAR-10.

Few pre-activation blocks, of two 3x3 convolutions each, with 16k, 32k, 64k maps; WRN-d-k has d = 6n + 4 layers (the projections
of the three stages are counted). Dropout, where it is asked for, stands between a block's convolutions.

variant    parameters    printed
wrn16_4     2 748 890    2.7 M
wrn16_8    10 961 370    11.0 M
wrn28_10   36 479 194    36.5 M
wrn40_4     8 949 210    8.9 M
"""

from __future__ import annotations

from torch import nn

from gradus.errors import UserError
from gradus.models.stages import StagedNetwork
from gradus.models.vision.preact_resnet import PreActivationBlock
from gradus.models.vision.residual import conv3x3, draw_he

STAGES = {
    "stem": ("conv1",),
    **{name: (name,) for name in ("layer1", "layer2", "layer3")},
    "head": ("bn", "relu", "avgpool", "flatten", "fc"),
}


class WideResNet(StagedNetwork):
    """(B, in_channels, H, W), usually 32x32 -> logits (B, num_classes).

    depth:   6n + 4
    width:   the factor k of the maps
    dropout: inside the blocks; 0.3 in the paper's better CIFAR results
    """

    usual_image_size = 32
    stages = STAGES

    def __init__(
        self, num_classes: int = 10, in_channels: int = 3, depth: int = 16, width: int = 4, dropout: float = 0.0
    ) -> None:
        super().__init__()
        blocks, left = divmod(depth - 4, 6)
        if blocks < 1 or left:
            raise UserError(f"depth: a wide residual network has 6n + 4 layers (10, 16, 22, 28), received {depth}")
        if width < 1:
            raise UserError(f"width: the factor of the maps is at least 1, received {width}")
        if not 0 <= dropout < 1:
            raise UserError(f"dropout must be in 0..1 (1 excluded), received {dropout}")
        widths = (16 * width, 32 * width, 64 * width)
        self.conv1 = conv3x3(in_channels, 16)
        for stage, (before, maps) in enumerate(zip((16, *widths), widths, strict=False), start=1):
            first = PreActivationBlock(before, maps, 1 if stage == 1 else 2, dropout=dropout)
            others = [PreActivationBlock(maps, maps, dropout=dropout) for _ in range(blocks - 1)]
            setattr(self, f"layer{stage}", nn.Sequential(first, *others))
        self.bn = nn.BatchNorm2d(widths[-1])
        self.relu = nn.ReLU()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(widths[-1], num_classes)
        draw_he(self)
        nn.init.zeros_(self.fc.bias)


class WideResNet16x4(WideResNet):
    depth, width = 16, 4

    def __init__(self, num_classes: int = 10, in_channels: int = 3, dropout: float = 0.0) -> None:
        super().__init__(num_classes, in_channels, self.depth, self.width, dropout)


class WideResNet16x8(WideResNet16x4):
    depth, width = 16, 8


class WideResNet28x10(WideResNet16x4):
    depth, width = 28, 10


class WideResNet40x4(WideResNet16x4):
    depth, width = 40, 4

"""Pre-activation residual networks: He, Zhang, Ren, Sun 2016, *Identity mappings in deep residual networks*, for CIFAR-10.

Norm and ReLU stand before each convolution, so nothing stands in the way of the sum: the output of block m is that of block l
plus the branches between them (eq. 4), and so the gradient has a term that no layer touches (eq. 5).

variant             parameters    depth, block
preact_resnet110     1 730 522    6n + 2, two 3x3 convolutions
preact_resnet164     1 703 258    9n + 2, bottlenecks: 1x1, 3x3, 1x1 to 64, 128, 256 maps (1.7 M printed)
preact_resnet1001   10 327 706    9n + 2, the same (10.2 M printed, as without the norms)

As in the authors' code, where a block changes the shape its norm and ReLU stand before the fork, and a 1x1 convolution is its
shortcut.
"""

from __future__ import annotations

from torch import Tensor, nn

from gradus.errors import UserError
from gradus.models.stages import StagedNetwork
from gradus.models.vision.residual import ResidualBlock, conv1x1, conv3x3, draw_he

STAGES = {
    "stem": ("conv1",),
    **{name: (name,) for name in ("layer1", "layer2", "layer3")},
    "head": ("bn", "relu", "avgpool", "flatten", "fc"),
}


class PreActivationBlock(ResidualBlock):
    """(B, in_channels, H, W) -> (B, out_channels, H / stride, W / stride). `dropout` stands between the convolutions."""

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 1, bottleneck: bool = False, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.preactivation = nn.Sequential(nn.BatchNorm2d(in_channels), nn.ReLU())
        if bottleneck:
            width = out_channels // 4
            layers = [conv1x1(in_channels, width, stride), nn.BatchNorm2d(width), nn.ReLU()]
            layers += [conv3x3(width, width), nn.BatchNorm2d(width), nn.ReLU(), conv1x1(width, out_channels)]
        else:
            layers = [conv3x3(in_channels, out_channels, stride), nn.BatchNorm2d(out_channels), nn.ReLU()]
            layers += [nn.Dropout(dropout)] if dropout else []
            layers += [conv3x3(out_channels, out_channels)]
        self.layers = nn.Sequential(*layers)
        changes = stride != 1 or in_channels != out_channels
        self.projection = conv1x1(in_channels, out_channels, stride) if changes else None

    def before(self, inputs: Tensor) -> Tensor:
        return inputs if self.projection is None else self.preactivation(inputs)

    def branch(self, inputs: Tensor) -> Tensor:
        return self.layers(self.preactivation(inputs) if self.projection is None else inputs)

    def shortcut(self, inputs: Tensor) -> Tensor:
        return inputs if self.projection is None else self.projection(inputs)


class PreActivationResNet(StagedNetwork):
    """(B, in_channels, H, W), usually 32x32 -> logits (B, num_classes).

    depth: 9n + 2 layers of bottlenecks, or 6n + 2 without
    """

    usual_image_size = 32
    stages = STAGES

    def __init__(self, num_classes: int = 10, in_channels: int = 3, depth: int = 164, bottleneck: bool = True) -> None:
        super().__init__()
        layers = 3 if bottleneck else 2
        blocks, left = divmod(depth - 2, 3 * layers)
        if blocks < 1 or left:
            kind = "with bottlenecks" if bottleneck else "without bottlenecks"
            raise UserError(f"depth: {kind} it is {3 * layers}n + 2, received {depth}")
        widths = (64, 128, 256) if bottleneck else (16, 32, 64)
        self.conv1 = conv3x3(in_channels, 16)
        for stage, (before, width) in enumerate(zip((16, *widths), widths, strict=False), start=1):
            first = PreActivationBlock(before, width, 1 if stage == 1 else 2, bottleneck)
            others = [PreActivationBlock(width, width, 1, bottleneck) for _ in range(blocks - 1)]
            setattr(self, f"layer{stage}", nn.Sequential(first, *others))
        self.bn = nn.BatchNorm2d(widths[-1])
        self.relu = nn.ReLU()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(widths[-1], num_classes)
        draw_he(self)
        nn.init.zeros_(self.fc.bias)


class PreActivationResNet110(PreActivationResNet):
    depth, bottleneck = 110, False

    def __init__(self, num_classes: int = 10, in_channels: int = 3) -> None:
        super().__init__(num_classes, in_channels, self.depth, self.bottleneck)


class PreActivationResNet164(PreActivationResNet110):
    depth, bottleneck = 164, True


class PreActivationResNet1001(PreActivationResNet110):
    depth, bottleneck = 1001, True

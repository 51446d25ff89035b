"""Residual networks for CIFAR-10: He, Zhang, Ren, Sun 2015, *Deep residual learning for image recognition*, §4.2.

32x32 pictures; 3x3 convolutions of 16, 32, 64 maps at 32x32, 16x16, 8x8, a shortcut over every two of them, 6n + 2 layers.

variant    parameters, residual and plain alike (the paper prints two digits)
20            269 722
32            464 154
44            658 586
56            853 018
110         1 727 962

With option A a shortcut has no weights, so resnetN and plainN differ in nothing but the shortcuts, and each loads the other's
weights. Deeper plain nets have the higher error even on the pictures they learn from: the degradation, not over-fitting.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from gradus.errors import UserError, unknown_name
from gradus.models.stages import StagedNetwork
from gradus.models.vision.residual import ResidualBlock, conv1x1, conv3x3, draw_he

STAGES = {
    "stem": ("conv1", "bn1", "relu"),
    **{name: (name,) for name in ("layer1", "layer2", "layer3")},
    "head": ("avgpool", "flatten", "fc"),
}

SHORTCUTS = {
    "A": "identity; where the shape changes, every second row and column, and zeros for the new maps",
    "B": "identity; where the shape changes, a 1x1 convolution",
    "C": "a 1x1 convolution in every block",
    "none": "no shortcuts: a plain net",
}


class ZeroPadShortcut(nn.Module):
    """Option A: every `stride`th row and column, and `added` maps of zeros behind. No weights."""

    def __init__(self, stride: int, added: int) -> None:
        super().__init__()
        self.stride, self.added = stride, added

    def forward(self, inputs: Tensor) -> Tensor:
        return functional.pad(inputs[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.added))

    def extra_repr(self) -> str:
        return f"stride={self.stride}, added={self.added}"


class CifarBlock(ResidualBlock):
    """`convolutions` times 3x3, each with its norm, ReLU between and after the sum; shortcut as `SHORTCUTS` says."""

    def __init__(self, in_channels: int, width: int, stride: int, shortcut: str, convolutions: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index in range(convolutions):
            first = index == 0
            layers += [conv3x3(in_channels if first else width, width, stride if first else 1), nn.BatchNorm2d(width)]
            layers += [nn.ReLU()] if index < convolutions - 1 else []
        self.layers = nn.Sequential(*layers)
        self.plain = shortcut == "none"
        self.downsample: nn.Module | None = None
        changes = stride != 1 or in_channels != width
        if shortcut == "C" or (shortcut == "B" and changes):
            self.downsample = nn.Sequential(conv1x1(in_channels, width, stride), nn.BatchNorm2d(width))
        elif shortcut == "A" and changes:
            self.downsample = ZeroPadShortcut(stride, width - in_channels)
        self.relu = nn.ReLU()

    def branch(self, inputs: Tensor) -> Tensor:
        return self.layers(inputs)

    def shortcut(self, inputs: Tensor) -> Tensor:
        return inputs if self.downsample is None else self.downsample(inputs)

    def after(self, total: Tensor) -> Tensor:
        return self.relu(total)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.after(self.branch(inputs)) if self.plain else super().forward(inputs)


class CifarResNet(StagedNetwork):
    """(B, in_channels, H, W), usually 32x32 -> logits (B, num_classes).

    depth:        3 * n * convolutions + 2 layers
    shortcut:     a name of `SHORTCUTS`
    convolutions: that a shortcut passes over: 2 in the paper; 1 and 3 to see what they do
    """

    usual_image_size = 32
    stages = STAGES

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 3,
        depth: int = 20,
        shortcut: str = "A",
        convolutions: int = 2,
    ) -> None:
        super().__init__()
        if shortcut not in SHORTCUTS:
            raise unknown_name("shortcut", shortcut, SHORTCUTS)
        if convolutions < 1:
            raise UserError(f"convolutions: a block has at least 1, received {convolutions}")
        blocks, left = divmod(depth - 2, 3 * convolutions)
        if blocks < 1 or left:
            few = 3 * convolutions + 2
            raise UserError(
                f"depth: with {convolutions} convolutions a block it is {few}, {2 * few - 2}, {3 * few - 4} and so on, "
                f"received {depth}"
            )
        self.conv1 = conv3x3(in_channels, 16)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        for stage, (before, width) in enumerate([(16, 16), (16, 32), (32, 64)], start=1):
            first = CifarBlock(before, width, 1 if stage == 1 else 2, shortcut, convolutions)
            others = [CifarBlock(width, width, 1, shortcut, convolutions) for _ in range(blocks - 1)]
            setattr(self, f"layer{stage}", nn.Sequential(first, *others))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(64, num_classes)
        draw_he(self)


class ResNet20(CifarResNet):
    depth, kind = 20, "A"

    def __init__(self, num_classes: int = 10, in_channels: int = 3) -> None:
        super().__init__(num_classes, in_channels, self.depth, self.kind)


class ResNet32(ResNet20):
    depth = 32


class ResNet44(ResNet20):
    depth = 44


class ResNet56(ResNet20):
    depth = 56


class ResNet110(ResNet20):
    depth = 110


class Plain20(ResNet20):
    kind = "none"


class Plain32(Plain20):
    depth = 32


class Plain44(Plain20):
    depth = 44


class Plain56(Plain20):
    depth = 56


class Plain110(Plain20):
    depth = 110

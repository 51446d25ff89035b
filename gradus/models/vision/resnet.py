"""Residual networks for ImageNet: He, Zhang, Ren, Sun 2015, *Deep residual learning for image recognition*, table 1.

Names and layout are torchvision's. 224x224 pictures. Depth counts convolutions and the last linear layer.

variant           parameters   blocks a stage   block
resnet18          11 689 512   2 2 2 2          two 3x3 convolutions
resnet34          21 797 672   3 4 6 3          the same
resnet50          25 557 032   3 4 6 3          bottleneck: 1x1, 3x3, 1x1
resnet101         44 549 160   3 4 23 3         the same
resnet152         60 192 808   3 8 36 3         the same
wide_resnet50_2   68 883 240   3 4 6 3          the same, 3x3 twice as wide (Zagoruyko and Komodakis 2016)
plain18           11 515 688   2 2 2 2          as resnet18, without shortcuts: what the paper compares it with
plain34           21 623 848   3 4 6 3          as resnet34, without shortcuts

Differs from the paper in: a bottleneck's stride is in its 3x3 convolution, where the paper has it in the first 1x1 (a quarter
of whose results are then never read). Where a block changes the shape its shortcut is a 1x1 convolution (option B).
"""

from __future__ import annotations

from torch import Tensor, nn

from gradus.models.stages import StagedNetwork
from gradus.models.vision.residual import ResidualBlock, conv1x1, conv3x3, draw_he

STAGES = {
    "stem": ("conv1", "bn1", "relu", "maxpool"),
    **{name: (name,) for name in ("layer1", "layer2", "layer3", "layer4")},
    "head": ("avgpool", "flatten", "fc"),
}


class BasicBlock(ResidualBlock):
    """Two 3x3 convolutions: (B, in_channels, H, W) -> (B, width, H / stride, W / stride), rounded up."""

    expansion = 1  # outputs a unit of width

    def __init__(self, in_channels: int, width: int, stride: int = 1, downsample: nn.Module | None = None) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, width, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = conv3x3(width, width)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU()
        self.downsample = downsample

    def branch(self, inputs: Tensor) -> Tensor:
        return self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(inputs)))))

    def shortcut(self, inputs: Tensor) -> Tensor:
        return inputs if self.downsample is None else self.downsample(inputs)

    def after(self, total: Tensor) -> Tensor:
        return self.relu2(total)

    def last_norm(self) -> nn.BatchNorm2d:
        return self.bn2


class PlainBlock(BasicBlock):
    """The same two convolutions without a shortcut."""

    def forward(self, inputs: Tensor) -> Tensor:
        return self.after(self.branch(inputs))


class Bottleneck(ResidualBlock):
    """1x1 to fewer maps, 3x3, 1x1 to 4 * width: (B, in_channels, H, W) -> (B, 4 * width, H / stride, W / stride)."""

    expansion = 4
    widening = 1  # of the 3x3 convolution

    def __init__(self, in_channels: int, width: int, stride: int = 1, downsample: nn.Module | None = None) -> None:
        super().__init__()
        middle = width * self.widening
        self.conv1 = conv1x1(in_channels, middle)
        self.bn1 = nn.BatchNorm2d(middle)
        self.relu1 = nn.ReLU()
        self.conv2 = conv3x3(middle, middle, stride)
        self.bn2 = nn.BatchNorm2d(middle)
        self.relu2 = nn.ReLU()
        self.conv3 = conv1x1(middle, width * self.expansion)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)
        self.relu3 = nn.ReLU()
        self.downsample = downsample

    def branch(self, inputs: Tensor) -> Tensor:
        reduced = self.relu1(self.bn1(self.conv1(inputs)))
        return self.bn3(self.conv3(self.relu2(self.bn2(self.conv2(reduced)))))

    def shortcut(self, inputs: Tensor) -> Tensor:
        return inputs if self.downsample is None else self.downsample(inputs)

    def after(self, total: Tensor) -> Tensor:
        return self.relu3(total)

    def last_norm(self) -> nn.BatchNorm2d:
        return self.bn3


class WideBottleneck(Bottleneck):
    widening = 2


class ResNet(StagedNetwork):
    """(B, in_channels, H, W), usually 224x224 -> logits (B, num_classes).

    zero_init_residual: the last norm of each branch begins at 0, so that each block begins as the identity (Goyal et al. 2017)
    """

    usual_image_size = 224
    block: type[BasicBlock | Bottleneck]
    blocks: tuple[int, int, int, int]  # in each stage
    stages = STAGES

    def __init__(self, num_classes: int = 1000, in_channels: int = 3, zero_init_residual: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)  # for 224x224: 112x112
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)  # 56x56
        self.layer1 = self._make_stage(64, 64, self.blocks[0], stride=1)
        self.layer2 = self._make_stage(64 * self.block.expansion, 128, self.blocks[1], stride=2)  # 28x28
        self.layer3 = self._make_stage(128 * self.block.expansion, 256, self.blocks[2], stride=2)  # 14x14
        self.layer4 = self._make_stage(256 * self.block.expansion, 512, self.blocks[3], stride=2)  # 7x7
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(512 * self.block.expansion, num_classes)
        draw_he(self)
        if zero_init_residual:
            for module in self.modules():
                if isinstance(module, BasicBlock | Bottleneck):
                    nn.init.zeros_(module.last_norm().weight)

    def _make_stage(self, in_channels: int, width: int, blocks: int, stride: int) -> nn.Sequential:
        """`blocks` blocks, of which the first changes the shape."""
        out_channels = width * self.block.expansion
        downsample = None
        if (stride != 1 or in_channels != out_channels) and self.block is not PlainBlock:
            downsample = nn.Sequential(conv1x1(in_channels, out_channels, stride), nn.BatchNorm2d(out_channels))
        first = self.block(in_channels, width, stride, downsample)
        return nn.Sequential(first, *(self.block(out_channels, width) for _ in range(blocks - 1)))


class ResNet18(ResNet):
    block, blocks = BasicBlock, (2, 2, 2, 2)


class ResNet34(ResNet):
    block, blocks = BasicBlock, (3, 4, 6, 3)


class ResNet50(ResNet):
    block, blocks = Bottleneck, (3, 4, 6, 3)


class ResNet101(ResNet):
    block, blocks = Bottleneck, (3, 4, 23, 3)


class ResNet152(ResNet):
    block, blocks = Bottleneck, (3, 8, 36, 3)


class WideResNet50(ResNet):
    block, blocks = WideBottleneck, (3, 4, 6, 3)


class Plain18(ResNet):
    block, blocks = PlainBlock, (2, 2, 2, 2)


class Plain34(ResNet):
    block, blocks = PlainBlock, (3, 4, 6, 3)

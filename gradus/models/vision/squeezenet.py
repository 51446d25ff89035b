"""SqueezeNet: Iandola, Han, Moskewicz, Ashraf, Dally, Keutzer 2016, *SqueezeNet: AlexNet-level accuracy with 50x fewer
parameters*. Names and layout are torchvision's.

variant         parameters (1000 classes)  differs in
squeezenet1_0   1 248 424                  7x7 first convolution, 96 maps; pooled after the first layer, fire 4 and fire 8
squeezenet1_1   1 235 496                  3x3, 64 maps; pooled earlier: 2.4 times fewer multiplications
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gradus.models.stages import StagedNetwork


class Fire(nn.Module):
    """Squeeze by a 1x1 convolution, expand by 1x1 and 3x3 ones side by side: (B, in, H, W) -> (B, 2 * expand, H, W)."""

    def __init__(self, in_channels: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(in_channels, squeeze, 1)
        self.squeeze_activation = nn.ReLU()
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand1x1_activation = nn.ReLU()
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)
        self.expand3x3_activation = nn.ReLU()

    def forward(self, inputs: Tensor) -> Tensor:
        squeezed = self.squeeze_activation(self.squeeze(inputs))
        one = self.expand1x1_activation(self.expand1x1(squeezed))
        three = self.expand3x3_activation(self.expand3x3(squeezed))
        return torch.cat([one, three], 1)


class SqueezeNet(StagedNetwork):
    """(B, in_channels, H, W), H and W at least `smallest_image_size` -> logits (B, num_classes).

    hidden: None: the paper's head (dropout, 1x1 convolution, ReLU, mean over the map); a number: for other classes, the mean over
    the map first, then a hidden dense layer of so many units, ReLU, dropout and a dense layer
    signed: without the paper's last ReLU, after which no output is negative: for outputs that are numbers, such as places
    """

    usual_image_size = 224
    smallest_image_size = 21

    def __init__(
        self,
        version: str,
        num_classes: int = 1000,
        in_channels: int = 3,
        dropout: float = 0.5,
        hidden: int | None = None,
        signed: bool = False,
    ) -> None:
        super().__init__()

        def pool() -> nn.Module:
            return nn.MaxPool2d(3, stride=2, ceil_mode=True)

        if version == "1_0":
            self.features = nn.Sequential(
                *(nn.Conv2d(in_channels, 96, 7, stride=2), nn.ReLU(), pool()),
                *(Fire(96, 16, 64), Fire(128, 16, 64), Fire(128, 32, 128), pool()),
                *(Fire(256, 32, 128), Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), pool()),
                Fire(512, 64, 256),
            )
            ends = {"stem": 3, "block1": 7, "block2": 12, "block3": 13}
        else:
            self.features = nn.Sequential(
                *(nn.Conv2d(in_channels, 64, 3, stride=2), nn.ReLU(), pool()),
                *(Fire(64, 16, 64), Fire(128, 16, 64), pool()),
                *(Fire(128, 32, 128), Fire(256, 32, 128), pool()),
                *(Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256)),
            )
            ends = {"stem": 3, "block1": 6, "block2": 9, "block3": 13}
        head: tuple[str, ...] = ("classifier", "flatten")
        self.flatten = nn.Flatten()
        if hidden is None:
            self.classifier = nn.Sequential(
                *(nn.Dropout(dropout), nn.Conv2d(512, num_classes, 1), nn.Identity() if signed else nn.ReLU()),
                nn.AdaptiveAvgPool2d(1),
            )
        else:
            head = ("pool", "flatten", "classifier")
            self.pool = nn.AdaptiveAvgPool2d(1)
            self.classifier = nn.Sequential(
                *(nn.Linear(512, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, num_classes))
            )
        starts = [0, *ends.values()]
        self.stages = {
            name: tuple(f"features.{index}" for index in range(start, end))
            for (name, end), start in zip(ends.items(), starts, strict=False)
        } | {"head": head}
        self._initialize()

    def _initialize(self) -> None:
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d):
                if name == "classifier.1":
                    nn.init.normal_(module.weight, std=0.01)
                else:
                    nn.init.kaiming_uniform_(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)


class SqueezeNet1_0(SqueezeNet):
    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        dropout: float = 0.5,
        hidden: int | None = None,
        signed: bool = False,
    ) -> None:
        super().__init__("1_0", num_classes, in_channels, dropout, hidden, signed)


class SqueezeNet1_1(SqueezeNet):
    smallest_image_size = 17

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        dropout: float = 0.5,
        hidden: int | None = None,
        signed: bool = False,
    ) -> None:
        super().__init__("1_1", num_classes, in_channels, dropout, hidden, signed)

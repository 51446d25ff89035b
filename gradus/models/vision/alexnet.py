"""AlexNet: Krizhevsky, Sutskever, Hinton 2012, *ImageNet Classification with Deep Convolutional Neural Networks*.

variant        parameters (1000 classes)  differs in
alexnet_2012   60 965 224                 as printed: two groups (the two GPUs), local response normalisation before pooling
caffenet       60 965 224                 Caffe's: pooling before normalisation, which then has a quarter of the work
alexnet        61 100 840                 torchvision's, after Krizhevsky 2014 (*One weird trick*): narrower, no groups, no
                                          normalisation

alexnet_2012 with groups=1 is the single tower of many texts (62 378 344), with normalization="none" the two branches of
*Principles and Practice*, listing 4-14 (56 876 418 with 2 classes). The paper says 224 pixels and means 227: (227 - 11) / 4 + 1
= 55. Other sizes work too: the maps before the dense layers are averaged to 6x6, which at the usual size they are.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from gradus.errors import UserError, unknown_name
from gradus.models.stages import StagedNetwork
from gradus.nn import LocalResponseNorm, initialize


def dense_head(features: int, hidden: Sequence[int], num_classes: int, dropout: float) -> nn.Sequential:
    """Hidden layers, dropout before each, and the output: (B, features) -> (B, num_classes)."""
    hidden = (hidden,) if isinstance(hidden, int) else hidden
    if not all(isinstance(width, int) and width > 0 for width in hidden):
        raise UserError(f"hidden widths must be whole numbers above 0, received {list(hidden)}")
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Dropout(dropout), nn.Linear(features, width), nn.ReLU()]
        features = width
    return nn.Sequential(*layers, nn.Linear(features, num_classes))


class AlexNet(StagedNetwork):
    """torchvision's. (B, in_channels, H, W), H and W at least 63 -> logits (B, num_classes).

    hidden: widths of the dense layers before the last one, dropout before each
    """

    usual_image_size = 224
    smallest_image_size = 63

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        hidden: Sequence[int] = (4096, 4096),
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.features = nn.Sequential(  # for 224x224:
            *(nn.Conv2d(in_channels, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, stride=2)),  # 55, 27
            *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, stride=2)),  # 27, 13
            *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),  # 13
            *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, stride=2)),  # 13, 6
        )
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        self.flatten = nn.Flatten()
        self.classifier = dense_head(256 * 6 * 6, hidden, num_classes, dropout)
        self.stages = convolution_stages(self.features)


def convolution_stages(features: nn.Sequential) -> dict[str, tuple[str, ...]]:
    """conv1, conv2, ...: each a convolution of `features` and what follows it; then the head."""
    stages: dict[str, tuple[str, ...]] = {}
    for index, layer in enumerate(features):
        if isinstance(layer, nn.Conv2d):
            name = f"conv{len(stages) + 1}"
        stages[name] = (*stages.get(name, ()), f"features.{index}")
    return stages | {"head": ("avgpool", "flatten", "classifier")}


NORMALIZATIONS = ("before_pooling", "after_pooling", "none")


class AlexNetOf2012(StagedNetwork):
    """The paper's. (B, in_channels, H, W), H and W at least 67 -> logits (B, num_classes).

    groups:         2, or 1: in how many parts the second, fourth and fifth convolutions are cut
    hidden:         widths of the dense layers before the last one, dropout before each
    normalization:  of the first two layers: before_pooling (the paper), after_pooling (CaffeNet) or none
    initialization: "paper": N(0, 0.01^2), and biases of 1 in the second, fourth and fifth convolutions and the hidden dense
                    layers, so that most units begin on the slope of their ReLU; or a scheme of `gradus.nn.initialize`
    """

    usual_image_size = 227
    smallest_image_size = 67

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        groups: int = 2,
        normalization: str = "before_pooling",
        hidden: Sequence[int] = (4096, 4096),
        dropout: float = 0.5,
        initialization: str = "paper",
    ) -> None:
        super().__init__()
        if groups not in (1, 2):
            raise UserError(f"alexnet_2012: groups must be 1 or 2, received {groups!r}")
        if normalization not in NORMALIZATIONS:
            raise unknown_name("normalization", normalization, NORMALIZATIONS)

        def pool() -> list[nn.Module]:
            layers: list[nn.Module] = [nn.MaxPool2d(3, stride=2)]
            if normalization == "before_pooling":
                return [LocalResponseNorm(convention="paper"), *layers]
            # Caffe divides alpha by the window's 5 channels, and its file has the paper's 1e-4
            return [*layers, LocalResponseNorm(convention="caffe")] if normalization == "after_pooling" else layers

        self.features = nn.Sequential(  # for 227x227:
            *(nn.Conv2d(in_channels, 96, 11, stride=4), nn.ReLU(), *pool()),  # 55, 27
            *(nn.Conv2d(96, 256, 5, padding=2, groups=groups), nn.ReLU(), *pool()),  # 27, 13
            *(nn.Conv2d(256, 384, 3, padding=1), nn.ReLU()),  # 13; sees both groups
            *(nn.Conv2d(384, 384, 3, padding=1, groups=groups), nn.ReLU()),
            *(nn.Conv2d(384, 256, 3, padding=1, groups=groups), nn.ReLU(), nn.MaxPool2d(3, stride=2)),  # 13, 6
        )
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        self.flatten = nn.Flatten()
        self.classifier = dense_head(256 * 6 * 6, hidden, num_classes, dropout)
        self.stages = convolution_stages(self.features)
        if initialization == "paper":
            self._initialize()
        else:
            initialize(self, initialization)

    def _initialize(self) -> None:
        initialize(self, "normal")
        layers = [layer for layer in self.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
        for number in (1, *range(3, len(layers) - 1)):
            bias = layers[number].bias
            assert bias is not None
            nn.init.ones_(bias)


class CaffeNet(AlexNetOf2012):
    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        groups: int = 2,
        hidden: Sequence[int] = (4096, 4096),
        dropout: float = 0.5,
        initialization: str = "paper",
    ) -> None:
        super().__init__(num_classes, in_channels, groups, "after_pooling", hidden, dropout, initialization)

"""Networks of one's own, as someone writes them: sound ones, and ones with a mistake."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def perceptron(
    inputs: int,
    classes: int,
    *,
    hidden: tuple[int, ...] = (128,),
    activation: type[nn.Module] = nn.ReLU,
    scale: float = 1.0,
    bias: float | None = None,
) -> nn.Sequential:
    """Dense layers. scale: factor of the initial weights; bias: of all hidden layers at the beginning."""
    layers: list[nn.Module] = [nn.Flatten()]
    for width in hidden:
        layer = nn.Linear(inputs, width)
        if bias is not None:
            nn.init.constant_(layer.bias, bias)
        layers += [layer, activation()]
        inputs = width
    model = nn.Sequential(*layers, nn.Linear(inputs, classes))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(scale)
    return model


class SmallConvnet(nn.Module):
    """(B, C, side, side) -> logits: two convolutions with their norms, pooling after each, one dense layer."""

    def __init__(self, channels: int, side: int, classes: int, norm: bool = True, width: int = 16) -> None:
        super().__init__()
        norms = [nn.BatchNorm2d(width), nn.BatchNorm2d(2 * width)] if norm else [nn.Identity(), nn.Identity()]
        self.features = nn.Sequential(
            *(nn.Conv2d(channels, width, 3, padding=1), norms[0], nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(width, 2 * width, 3, padding=1), norms[1], nn.ReLU(), nn.MaxPool2d(2)),
        )
        self.head = nn.Linear(2 * width * (side // 4) ** 2, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.features(inputs).flatten(1))


class NormsStayInTraining(SmallConvnet):
    """`eval()` does not reach the norms: they go on by the batch that they see."""

    def train(self, mode: bool = True) -> NormsStayInTraining:
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.training = True
        return self


class SoftmaxAtTheEnd(SmallConvnet):
    """Gives probabilities; the loss takes the softmax of them again."""

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.softmax(super().forward(inputs), dim=1)


class DropoutAlways(SmallConvnet):
    """`functional.dropout` without `training=self.training`."""

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(functional.dropout(self.features(inputs).flatten(1), 0.5))


class DetachedBranch(SmallConvnet):
    """A second branch of larger kernels, whose outputs are cut off from the gradient."""

    def __init__(self, channels: int, side: int, classes: int) -> None:
        super().__init__(channels, side, classes)
        self.branch = nn.Sequential(nn.Conv2d(channels, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(4))

    def forward(self, inputs: Tensor) -> Tensor:
        maps = self.features(inputs) + self.branch(inputs).detach()
        return self.head(maps.flatten(1))


def frozen_first_layer(channels: int, side: int, classes: int) -> nn.Module:
    """The first convolution has random weights that do not learn."""
    model = SmallConvnet(channels, side, classes)
    model.features[0].requires_grad_(False)
    return model


class ResidualPerceptron(nn.Module):
    """(B, F) -> outputs: dense blocks with layer norm and shortcuts."""

    def __init__(self, inputs: int, outputs: int, width: int = 32, blocks: int = 3) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
            for _ in range(blocks)
        )
        self.head = nn.Linear(width, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        values = self.first(inputs)
        for block in self.blocks:
            values = values + block(values)
        return self.head(values)

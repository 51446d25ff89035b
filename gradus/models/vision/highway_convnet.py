"""A highway network of convolutions: Srivastava, Greff, Schmidhuber 2015, *Training very deep networks*.

Every layer but those that change the shape is H(x) T(x) + x (1 - T(x)): a gate T, learnt, says how much of each value is
replaced. A residual unit is the case where nothing is taken away from x. Gates begin nearly shut (their bias is below 0), so
a network of more than a hundred layers begins close to the identity and its gradients reach the start: no norms are needed.

The paper's convolutional networks take their widths from FitNets and are not printed layer by layer. Here: a 3x3 convolution,
then three parts of n highway layers of 3x3 convolutions at 32x32, 16x16 and 8x8 (for 32x32 pictures), a plain 3x3 convolution
and 2x2 max pooling between the parts, average pooling, and a linear layer: 3n + 4 layers.

depth   parameters (maps 16, 32, 48)
19        342 970
103     2 154 682
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from gradus.errors import UserError
from gradus.models.stages import StagedNetwork
from gradus.nn import Highway

STAGES = {
    **{name: (name,) for name in ("stem", "part1", "part2", "part3")},
    "head": ("avgpool", "flatten", "fc"),
}


class HighwayConvnet(StagedNetwork):
    """(B, in_channels, H, W), usually 32x32 -> logits (B, num_classes).

    depth:     3n + 4 layers
    widths:    maps of the three parts
    gate_bias: where the gates' biases begin, below 0; deeper networks want lower ones: 103 layers do not learn from -2 here,
               and do from -4
    """

    usual_image_size = 32
    smallest_image_size = 4
    stages = STAGES

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 3,
        depth: int = 19,
        widths: Sequence[int] = (16, 32, 48),
        gate_bias: float = -2.0,
    ) -> None:
        super().__init__()
        layers, left = divmod(depth - 4, 3)
        if layers < 1 or left:
            raise UserError(f"depth: this highway network has 3n + 4 layers (7, 10, 13), received {depth}")
        if len(widths) != 3 or not all(isinstance(width, int) and width >= 1 for width in widths):
            raise UserError(f"widths: expected the maps of three parts, received {list(widths)}")
        if gate_bias >= 0:
            raise UserError(f"gate_bias: gates begin nearly shut by a bias below 0, received {gate_bias}")
        self.stem = nn.Sequential(nn.Conv2d(in_channels, widths[0], 3, padding=1), nn.ReLU())
        before = widths[0]
        for part, width in enumerate(widths, start=1):
            entry = [nn.Conv2d(before, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)] if part > 1 else []
            highways = [Highway(width, kernel_size=3, gate_bias=gate_bias) for _ in range(layers)]
            setattr(self, f"part{part}", nn.Sequential(*entry, *highways))
            before = width
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(before, num_classes)
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d) and not name.endswith(".gate"):
                nn.init.kaiming_normal_(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

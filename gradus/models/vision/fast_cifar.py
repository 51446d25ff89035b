"""A small network that learns CIFAR-10 in few epochs, after the speed records: Page 2018, *How to train your ResNet*, and Jordan
2024, *94% on CIFAR-10 in 3.29 seconds on a single GPU* (airbench94, whose shape this is). 1 971 352 parameters, 10 classes.

What makes it fast, and where it comes from:
- The first layer is not learnt: 2x2 filters that whiten patches of the pictures (their principal axes divided by the deviation
  along each), and the same with the sign turned, so that later layers see inputs of equal size in all directions. They come
  from the training pictures (`fit_inputs`, called before training); until then they are random directions at right angles.
- Pooling comes before the norm, so norm and second convolution work on a quarter of the points.
- Convolutions begin as the identity on the maps that they can hand on (dirac), which is a shortcut without its cost.
- Norms learn a shift but no scale; GELU; logits are divided by 9, so that the first steps are small.

Three parts of 64, 256, 256 maps at 15x15, 7x7, 3x3 (from 32x32). A forward pass takes 118 M multiply-adds a picture, against 380
M of Page's ResNet-9, in seven large convolutions, which suit a CPU too.

Differs from airbench94 in training only: its optimiser (Lookahead, 64 times the rate for the norms' shifts, a frozen bias),
alternating flips and averages over shifted pictures in testing are not here.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.errors import UserError
from gradus.models.stages import StagedNetwork

STAGES = {
    "stem": ("whitening", "gelu"),
    **{name: (name,) for name in ("part1", "part2", "part3")},
    "head": ("maxpool", "flatten", "fc", "scale"),
}

PATCH = 2  # side of the whitening filters
SMALLEST_VARIANCE = 5e-4  # added to the variance along an axis; along the last ones there is little but noise


class WhiteningConv2d(nn.Module):
    """(B, C, H, W) -> (B, 8 C, H - 1, W - 1): patches along their principal axes, and minus that; a bias is learnt."""

    weight: Tensor

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        axes = torch.empty(in_channels * PATCH**2, in_channels * PATCH**2)
        self.register_buffer("weight", self._filters(nn.init.orthogonal_(axes), in_channels))
        self.bias = nn.Parameter(torch.zeros(len(self.weight)))

    @staticmethod
    def _filters(axes: Tensor, in_channels: int) -> Tensor:
        """Rows (N, N) as filters (2 N, in_channels, 2, 2)."""
        filters = axes.reshape(-1, in_channels, PATCH, PATCH)
        return torch.cat([filters, -filters])

    @torch.no_grad()
    def fit(self, pictures: Tensor) -> None:
        """Makes the filters from pictures (B, C, H, W) such as will be given, in float64 on the CPU."""
        products, places = torch.zeros(len(self.weight) // 2, len(self.weight) // 2, dtype=torch.float64), 0
        for part in pictures.split(500):
            patches = functional.unfold(part.detach().to("cpu", torch.float64), PATCH)  # (B, C * 4, places)
            products += torch.einsum("bip,bjp->ij", patches, patches)
            places += patches.shape[0] * patches.shape[2]
        variances, axes = torch.linalg.eigh(products / places)
        largest_first = (axes / (variances + SMALLEST_VARIANCE).sqrt()).T.flip(0)
        self.weight.copy_(self._filters(largest_first, pictures.shape[1]))

    def forward(self, inputs: Tensor) -> Tensor:
        return functional.conv2d(inputs, self.weight, self.bias)


class ShiftNorm2d(nn.Module):
    """Batch norm that learns a shift but no scale; its running statistics follow fast, as training is short."""

    def __init__(self, channels: int, momentum: float = 0.4) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, momentum=momentum, affine=False)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.norm(inputs) + self.bias[:, None, None]


def _convolution(in_channels: int, out_channels: int) -> nn.Conv2d:
    """3x3, hands on its inputs as its first maps at the start."""
    made = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
    with torch.no_grad():
        nn.init.dirac_(made.weight[:in_channels])
    return made


class Part(nn.Sequential):
    """(B, in_channels, H, W) -> (B, out_channels, H / 2, W / 2), rounded down."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            *(_convolution(in_channels, out_channels), nn.MaxPool2d(2), ShiftNorm2d(out_channels), nn.GELU()),
            *(_convolution(out_channels, out_channels), ShiftNorm2d(out_channels), nn.GELU()),
        )


class Scale(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * self.factor

    def extra_repr(self) -> str:
        return f"{self.factor:.4g}"


class FastCifar(StagedNetwork):
    """(B, in_channels, H, W), usually 32x32 -> logits (B, num_classes).

    widths: maps of the three parts
    scale:  factor of the logits
    """

    usual_image_size = 32
    smallest_image_size = 9
    stages = STAGES

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 3,
        widths: Sequence[int] = (64, 256, 256),
        scale: float = 1 / 9,
    ) -> None:
        super().__init__()
        if len(widths) != 3 or not all(isinstance(width, int) and width >= 1 for width in widths):
            raise UserError(f"widths: expected the maps of three parts, received {list(widths)}")
        self.whitening = WhiteningConv2d(in_channels)  # for 32x32: 31x31
        self.gelu = nn.GELU()
        self.part1 = Part(2 * in_channels * PATCH**2, widths[0])  # 15x15
        self.part2 = Part(widths[0], widths[1])  # 7x7
        self.part3 = Part(widths[1], widths[2])  # 3x3
        self.maxpool = nn.AdaptiveMaxPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(widths[2], num_classes, bias=False)
        self.scale = Scale(scale)

    def fit_inputs(self, pictures: Tensor) -> None:
        """Makes the whitening filters from training pictures (B, C, H, W) as the network will get them; 5 000 are plenty."""
        self.whitening.fit(pictures)

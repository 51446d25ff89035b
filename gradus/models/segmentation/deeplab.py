"""DeepLab: Chen, Papandreou, Kokkinos, Murphy and Yuille 2016, *Semantic Image Segmentation with Deep Convolutional Nets, Atrous
Convolution, and Fully Connected CRFs* (v2), and as an option the head of 2017's *Rethinking Atrous Convolution* (v3).

The backbone keeps maps with a cell for 8x8 pixels, its last layers being atrous (`models/atrous.py`). Atrous spatial pyramid
pooling looks at these maps with 3x3 kernels of several rates side by side: weights of their own, scores summed. Scores are
enlarged 8 times, bilinear. The CRF of the paper is the task's: `task.options.crf=10`.

Differences: any backbone of the table (the paper: VGG16, ResNet101); 256 hidden channels a branch where the paper's on VGG16 have
1024. The rates 6, 12, 18, 24 are for pictures of about 500 pixels; for smaller ones make them smaller in proportion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from gradus.errors import UserError
from gradus.models.atrous import make_atrous
from gradus.models.backbone import Backbone, strides_of
from gradus.models.segmentation.enlarge import begin_as_nothing, enlarge, pad_to_multiple

STRIDE, COARSEST = 8, 32


class AtrousPyramid(nn.Module):
    """(B, in_channels, h, w) -> scores (B, num_classes, h, w), the sum of one branch a rate. hidden: 0 for none."""

    def __init__(self, in_channels: int, num_classes: int, rates: Sequence[int], hidden: int, dropout: float) -> None:
        super().__init__()
        self.branches = nn.ModuleList()
        for rate in rates:
            wide = nn.Conv2d(in_channels, hidden or num_classes, 3, padding=rate, dilation=rate)
            if hidden:
                more = [nn.ReLU(), nn.Dropout(dropout), nn.Conv2d(hidden, hidden, 1), nn.ReLU(), nn.Dropout(dropout)]
                self.branches.append(nn.Sequential(wide, *more, nn.Conv2d(hidden, num_classes, 1)))
            else:
                self.branches.append(nn.Sequential(wide))

    def last_layers(self) -> list[nn.Module]:
        return [list(branch.children())[-1] for branch in self.branches]

    def forward(self, maps: Tensor) -> Tensor:
        scores = self.branches[0](maps)
        for branch in list(self.branches)[1:]:
            scores = scores + branch(maps)
        return scores


class PyramidWithPicture(nn.Module):
    """The head of v3: a 1x1 kernel, one 3x3 kernel a rate and the mean of the whole map, side by side, joined by a 1x1 kernel."""

    def __init__(self, in_channels: int, num_classes: int, rates: Sequence[int], hidden: int, dropout: float) -> None:
        super().__init__()

        def layer(channels: int, kernel_size: int = 1, rate: int = 1) -> nn.Sequential:
            padding = rate * (kernel_size // 2)
            convolution = nn.Conv2d(channels, hidden, kernel_size, padding=padding, dilation=rate, bias=False)
            return nn.Sequential(convolution, nn.BatchNorm2d(hidden), nn.ReLU())

        self.branches = nn.ModuleList([layer(in_channels), *(layer(in_channels, 3, rate) for rate in rates)])
        self.picture = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(in_channels, hidden, 1), nn.ReLU())
        self.join = nn.Sequential(layer(hidden * (len(self.branches) + 1)), nn.Dropout(dropout))
        self.score = nn.Conv2d(hidden, num_classes, 1)

    def last_layers(self) -> list[nn.Module]:
        return [self.score]

    def forward(self, maps: Tensor) -> Tensor:
        whole = self.picture(maps).expand(-1, -1, *maps.shape[2:])
        return self.score(self.join(torch.cat([*(branch(maps) for branch in self.branches), whole], dim=1)))


class DeepLab(nn.Module):
    """(B, in_channels, H, W) of any size -> logits (B, num_classes, H, W).

    rates:  of the branches, in cells of 8 pixels; hidden: channels of a branch (v2: 0 scores at once, as the paper's on ResNet)
    head:   v2, or v3 (which the paper has with rates 12, 24, 36 for maps of this stride)
    """

    smallest_image_size = 32

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        backbone: str = "squeezenet1_0",
        rates: Sequence[int] = (6, 12, 18, 24),
        hidden: int = 256,
        head: Literal["v2", "v3"] = "v2",
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        heads: dict[str, type[AtrousPyramid | PyramidWithPicture]] = {"v2": AtrousPyramid, "v3": PyramidWithPicture}
        if head not in heads:
            raise UserError(f"head: expected v2 or v3, received {head!r}")
        if not rates or min(rates) < 1 or hidden < (1 if head == "v3" else 0):
            raise UserError(f"deeplab: expected rates and hidden channels above 0, received {list(rates)} and {hidden}")
        strides = [stride for stride in strides_of(backbone, in_channels) if STRIDE <= stride <= COARSEST]
        self.backbone = Backbone(backbone, sorted({STRIDE, *strides[-1:]}), in_channels)
        make_atrous(self.backbone.network, self.backbone.chain, in_channels, STRIDE)
        self.head = heads[head](self.backbone.levels[-1].channels, num_classes, tuple(rates), hidden, dropout)
        for module in self.head.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        for scores in self.head.last_layers():
            begin_as_nothing(scores)

    def forward(self, pictures: Tensor) -> Tensor:
        height, width = pictures.shape[2:]
        padded = pad_to_multiple(pictures, COARSEST)
        scores = self.head(self.backbone(padded)[-1])
        return enlarge(scores, padded.shape[2:])[:, :, :height, :width]

    def load_backbone(self, tensors: Mapping[str, Tensor], where: str) -> list[str]:
        """Published weights of the whole classifier; only those of the backbone are taken."""
        return self.backbone.load(tensors, where)

"""Fully convolutional networks: Long, Shelhamer and Darrell 2015, *Fully Convolutional Networks for Semantic Segmentation*.

A classifier whose dense layers are made convolutions gives a map of scores, one cell for 32x32 pixels. FCN-32s enlarges it 32
times; FCN-16s enlarges it twice, adds the scores of the map before (pool4) and enlarges 16 times; FCN-8s does so once more
with pool3. Enlarging twice is learnt and begins as bilinear; the last one stays bilinear, as in the paper.

vgg16, 21 classes      parameters     with learnt="none"  with learnt="all"
fcn32s                 134 346 581    134 346 581         136 152 938
fcn16s                 134 364 431    134 357 354         134 816 036
fcn8s                  134 376 905    134 362 751         134 489 822

Differences: padding is "same" in place of 100 pixels around the picture, so that nothing is cut off. The backbone is any network
of the table: vgg16 is the paper's, with its dense layers as 7x7 and 1x1 convolutions; squeezenet1_0, the default, has published
weights that come with the data and is light enough for a CPU. Others than VGG get a 3x3 convolution of 512 channels in
place of the dense layers, and one more pooling where their coarsest map has cells of 16 pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.errors import UserError
from gradus.models.backbone import Backbone, strides_of
from gradus.models.segmentation.enlarge import LearntEnlargement, begin_as_nothing, enlarge, pad_to_multiple

COARSEST = 32


class FCN(nn.Module):
    """(B, in_channels, H, W) of any size -> logits (B, num_classes, H, W).

    hidden:  channels of the convolutions between the backbone and the scores; None: as the dense layers of VGG (4096, 4096), or
             (512,) on other backbones
    learnt:  which enlargements are learnt, with a bias: "steps", those by two; "all", the last one too; or "none"
    dropout: after every hidden layer
    """

    finest: int  # the stride of the finest map that is scored
    smallest_image_size = 32

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        backbone: str = "squeezenet1_0",
        hidden: Sequence[int] | None = None,
        learnt: Literal["steps", "all", "none"] = "steps",
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if learnt not in ("steps", "all", "none"):
            raise UserError(f"learnt: expected steps, all or none, received {learnt!r}")
        dense = backbone.startswith("vgg")
        widths = tuple(hidden) if hidden is not None else (4096, 4096) if dense else (512,)
        known = [stride for stride in strides_of(backbone, in_channels) if stride <= COARSEST]
        strides = [stride for stride in known if stride >= self.finest or stride == known[-1]]
        if 2 * strides[-1] < COARSEST:
            raise UserError(f"{backbone} cannot carry an FCN: its coarsest map has a cell for {strides[-1]} pixels")
        self.backbone = Backbone(backbone, strides, in_channels, first=dense)  # of VGG the poolings are scored
        self.pools = strides[-1] < COARSEST
        channels, layers, kernel_size = self.backbone.levels[-1].channels, [], 7 if dense else 3
        for width in widths:
            layers += [
                nn.Conv2d(channels, width, kernel_size, padding=kernel_size // 2),
                nn.ReLU(),
                nn.Dropout(dropout),
            ]
            channels, kernel_size = width, 1
        self.hidden = nn.Sequential(*layers)
        self.score = nn.Conv2d(channels, num_classes, kernel_size if not widths else 1)
        levels = [level for level in self.backbone.levels if self.finest <= level.stride < COARSEST]
        self.skips = nn.ModuleDict(
            {f"stride{level.stride}": nn.Conv2d(level.channels, num_classes, 1) for level in levels}
        )
        twice = levels if learnt != "none" else []
        self.twice = nn.ModuleDict({f"stride{level.stride}": LearntEnlargement(num_classes, 2) for level in twice})
        self.last = LearntEnlargement(num_classes, self.finest) if learnt == "all" else None
        for scores in (self.score, *self.skips.values()):  # then a coarser network goes on unchanged
            begin_as_nothing(scores)
        for layer in self.hidden:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)

    def coarse_scores(self, maps: Tensor) -> Tensor:
        """The last map of the backbone -> scores (B, num_classes, H / 32, W / 32)."""
        return self.score(self.hidden(functional.max_pool2d(maps, 2) if self.pools else maps))

    def forward(self, pictures: Tensor) -> Tensor:
        height, width = pictures.shape[2:]
        padded = pad_to_multiple(pictures, COARSEST)
        maps = self.backbone(padded)
        scores = self.coarse_scores(maps[-1])
        for level, found in reversed(list(zip(self.backbone.levels, maps, strict=True))):
            name = f"stride{level.stride}"
            if name in self.skips:
                larger = self.twice[name](scores) if name in self.twice else enlarge(scores, found.shape[2:])
                scores = larger + self.skips[name](found)
        scores = enlarge(scores, padded.shape[2:]) if self.last is None else self.last(scores)
        return scores[:, :, :height, :width]

    def load_backbone(self, tensors: Mapping[str, Tensor], where: str) -> list[str]:
        """Weights of a coarser FCN (32s for 16s, 16s for 8s), of which everything is taken; or of a classifier, whose dense
        layers are taken too where their shapes fit."""
        if "backbone.network.features.0.weight" in tensors or "score.weight" in tensors:
            return self._continue(tensors, where)
        return [*self.backbone.load(tensors, where), *self._convert(tensors)]

    def _continue(self, tensors: Mapping[str, Tensor], where: str) -> list[str]:
        mine = self.state_dict()
        fitting = {
            name: tensor for name, tensor in tensors.items() if name in mine and mine[name].shape == tensor.shape
        }
        lost = [name for name in mine if name.startswith("backbone.") and name not in fitting]
        if lost:
            raise UserError(
                f"{where}: these are not weights of an FCN on {self.backbone.name}: '{lost[0]}' is missing or misshaped"
            )
        self.load_state_dict(fitting, strict=False)
        new = sorted({name.rsplit(".", 1)[0] for name in mine if name not in fitting})
        return [f"goes on from {where}; new: {', '.join(new) or 'nothing'}"]

    def _convert(self, tensors: Mapping[str, Tensor]) -> list[str]:
        """The rows of a dense layer's matrix are kernels, flattened: a layer on (512, 7, 7) is a 7x7 convolution."""
        dense = [name for name in tensors if name.startswith("classifier.") and name.endswith(".weight")]
        dense = [name for name in dense if tensors[name].ndim == 2]
        layers = [layer for layer in (*self.hidden, self.score) if isinstance(layer, nn.Conv2d)]
        taken = []
        for name, layer in zip(dense, layers, strict=False):
            if tensors[name].numel() == layer.weight.numel() and len(tensors[name]) == layer.out_channels:
                with torch.no_grad():
                    layer.weight.copy_(tensors[name].view_as(layer.weight))
                    assert layer.bias is not None
                    layer.bias.copy_(tensors[name.removesuffix("weight") + "bias"])
                taken.append(name.removesuffix(".weight"))
        return [f"dense layers made convolutions: {', '.join(taken)}"] if taken else []


class FCN32s(FCN):
    finest = 32


class FCN16s(FCN):
    finest = 16


class FCN8s(FCN):
    finest = 8

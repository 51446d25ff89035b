"""Fast R-CNN: Girshick 2015. The backbone sees the picture once; each region that selective search proposes is cut out of the map
by RoI pooling into 7x7 bins, and two dense layers give K + 1 class scores (softmax) and four offsets for each of the K classes.

Differs from the paper: any backbone and stride; the map is brought to `width` channels first; background regions may overlap
objects by anything from 0 on (the paper's begin at 0.1), so that pictures without objects teach too.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.profiler import record_function

from gradus.models.backbone import Backbone
from gradus.models.detection.predictions import ProposedPictures
from gradus.models.detection.region_head import RegionHead, RegionPredictions, Sampling, softmax_answer
from gradus.nn.regions import roi_pool


def cells_of(regions: Tensor, maps: Tensor, stride: int) -> Tensor:
    """Boxes (B, R, 4) in pixels -> (B * R, 5) as `roi_pool` takes them: the number of the picture, then the first and last cells
    of maps (B, C, h, w) whose middle is inside, at least one. (`roi_pool` rounds, and counts the last cell as inside.)"""
    last = torch.tensor([maps.shape[3] - 1, maps.shape[2] - 1], device=maps.device)
    first = torch.minimum(regions[..., :2] / stride, last)
    cells = torch.cat([first, torch.maximum(regions[..., 2:] / stride - 1, first)], dim=2)
    pictures = torch.arange(len(regions), device=regions.device).view(-1, 1, 1).expand(-1, regions.shape[1], 1)
    return torch.cat([pictures.to(cells), cells], dim=2).flatten(0, 1)


class FastRCNN(nn.Module):
    """`ProposedPictures` -> `RegionPredictions`.

    sampled:       regions a picture that the head learns from, at most a quarter of them objects
    hard_examples: in place of a random sample, the regions whose loss is largest (OHEM, Shrivastava et al. 2016)
    """

    takes_proposals = 500

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        backbone: str = "squeezenet1_0",
        stride: int = 8,
        width: int = 128,
        hidden: int = 512,
        dropout: float = 0.0,
        sampled: int = 64,
        hard_examples: bool = False,
    ) -> None:
        super().__init__()
        self.backbone = Backbone(backbone, (stride,), in_channels)
        self.stride, self.sampling, self.hard_examples = stride, Sampling(count=sampled), hard_examples
        self.lateral = nn.Conv2d(self.backbone.levels[0].channels, width, 1)
        self.head = RegionHead(width * 7 * 7, hidden, num_classes, dropout)

    def forward(self, inputs: ProposedPictures) -> RegionPredictions:
        (maps,) = self.backbone(inputs.pictures)
        height, width = inputs.shape[2:]
        return RegionPredictions(self, functional.relu(self.lateral(maps)), inputs.proposals, (height, width))

    @record_function("head")
    def describe(self, maps: Tensor, regions: Tensor) -> tuple[Tensor, Tensor]:
        pooled = roi_pool(maps, cells_of(regions, maps, self.stride), (7, 7))
        logits, deltas = self.head(pooled.flatten(1))
        return logits.unflatten(0, regions.shape[:2]), deltas.unflatten(0, regions.shape[:2])

    def answer(self, maps: Tensor, regions: Tensor) -> tuple[Tensor, Tensor]:
        return softmax_answer(*self.describe(maps, regions), regions)

    def load_backbone(self, tensors: Mapping[str, Tensor], where: str) -> list[str]:
        return self.backbone.load(tensors, where)

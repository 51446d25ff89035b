"""R-CNN: Girshick, Donahue, Darrell, Malik 2014. Each region that selective search proposes is cut out of the picture, with some
of what is around it, stretched to a square, and seen by the network alone: as many passes a picture as there are proposals.

Three stages: the network is trained as a classifier of regions (softmax); support vector machines and box regressors are solved
on its features (`solved_head.py`); until that is done, the softmax answers. Detections are moved first and suppressed then (the
original the other way round).

Differs from the paper: any backbone; `side` is 64 pixels in place of 227, and 300 proposals in place of 2000, so that a CPU can
do it at all. What lies beyond the picture's edge is the mean colour, as there.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.profiler import record_function

from gradus.boxes.geometry import from_centres, to_centres
from gradus.models.backbone import Backbone
from gradus.models.detection.region_head import begin_dense
from gradus.models.detection.spp_net import FeatureDetector

CONTEXT = 16 / 227  # of the square's side, on each side: pixels that lie around the region
PART = 256  # crops that are seen at a time where nothing is learnt


def crop(pictures: Tensor, regions: Tensor, side: int) -> Tensor:
    """Pictures (B, C, H, W) and boxes (B, R, 4) -> (B * R, C, side, side): each box with its context, read bilinearly; beyond the
    edge 0, which is the mean colour."""
    height, width = pictures.shape[2:]
    whole = to_centres(regions) * torch.tensor(
        [1, 1, 1 / (1 - 2 * CONTEXT), 1 / (1 - 2 * CONTEXT)], device=regions.device
    )
    left, top, right, bottom = from_centres(whole).unbind(2)  # (B, R)
    steps = (torch.arange(side, device=pictures.device) + 0.5) / side
    x = (left[..., None] + (right - left)[..., None] * steps) * (2 / width) - 1  # (B, R, side), -1..1 over the picture
    y = (top[..., None] + (bottom - top)[..., None] * steps) * (2 / height) - 1
    grid = torch.stack([x[:, :, None].expand(-1, -1, side, -1), y[..., None].expand(-1, -1, -1, side)], dim=4)
    read = functional.grid_sample(pictures, grid.flatten(1, 2).to(pictures.dtype), align_corners=False)
    return read.unflatten(2, (-1, side)).transpose(1, 2).flatten(0, 1)


class RCNN(FeatureDetector):
    """`ProposedPictures` -> `RegionPredictions`.

    side:    of the square that regions are stretched to, in pixels
    sampled: regions a picture that are learnt from, at most a quarter of them objects
    """

    takes_proposals = 300

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        backbone: str = "squeezenet1_0",
        stride: int = 16,
        side: int = 64,
        hidden: int = 512,
        dropout: float = 0.5,
        sampled: int = 32,
    ) -> None:
        super().__init__(hidden, num_classes, sampled)
        self.backbone = Backbone(backbone, (stride,), in_channels)
        self.side = side
        channels, cells = self.backbone.levels[0].channels, side // stride
        self.pool = nn.AdaptiveAvgPool2d(cells)
        self.dense = nn.Sequential(nn.Linear(channels * cells**2, hidden), nn.ReLU(), nn.Dropout(dropout))
        begin_dense(self.dense)

    def see(self, pictures: Tensor) -> Tensor:
        return pictures

    @record_function("head")
    def features(self, maps: Tensor, regions: Tensor) -> Tensor:
        crops = crop(maps, regions, self.side)
        parts = [crops] if torch.is_grad_enabled() else crops.split(PART)
        found = torch.cat([self.dense(self.pool(self.backbone(part)[0]).flatten(1)) for part in parts])
        return found.unflatten(0, regions.shape[:2])

    def load_backbone(self, tensors: Mapping[str, Tensor], where: str) -> list[str]:
        return self.backbone.load(tensors, where)

"""SPP-Net: He, Zhang, Ren, Sun 2014. The backbone sees the picture once; each region that selective search proposes is cut out
of the map and brought to one length by a spatial pyramid: the largest values of 4x4, 2x2 and 1x1 bins, 21 a channel. Two dense
layers on it give features, which support vector machines and box regressors answer from.

Three stages, as in the original: the dense layers are trained as a classifier of regions (softmax), the convolutions stay as they
are; then machines and regressors are solved (`solved_head.py`). Until that is done, the softmax answers.

Differs from the paper: any backbone and stride; one size of the picture; each region's pyramid is brought to mean 0 and deviation
1, since a frozen map has any scale.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.profiler import record_function

from gradus.models.backbone import Backbone
from gradus.models.detection.fast_rcnn import cells_of
from gradus.models.detection.predictions import ProposedPictures
from gradus.models.detection.region_head import RegionPredictions, Sampling, begin_dense
from gradus.models.detection.solved_head import SolvedHead, collect
from gradus.nn.regions import roi_pool

BINS = 16 + 4 + 1


def pyramid(maps: Tensor, cells: Tensor) -> Tensor:
    """Maps (B, C, h, w) >= 0 and regions (R, 5) as `roi_pool` takes them -> (R, 21 C), in the order of `SpatialPyramidPool2d`.
    The coarse bins are made of the fine ones, whose cells they share."""
    fine = roi_pool(maps, cells, (4, 4))
    return torch.cat([functional.max_pool2d(fine, size).flatten(1) for size in (1, 2, 4)], dim=1)


class FeatureDetector(nn.Module):
    """What SPP-Net and R-CNN share: features of regions, a softmax on them in training, the solved head after it.

    Subclasses set `takes_proposals` and have `see` (pictures -> maps) and `features` ((B, R, 4) -> (B, R, F)).
    """

    hard_examples = False

    def __init__(self, features: int, num_classes: int, sampled: int) -> None:
        super().__init__()
        self.sampling = Sampling(count=sampled)
        self.classes = nn.Linear(features, num_classes + 1)
        self.solved = SolvedHead(features, num_classes)
        nn.init.normal_(self.classes.weight, std=0.01)
        nn.init.zeros_(self.classes.bias)

    def see(self, pictures: Tensor) -> Tensor:
        raise NotImplementedError

    def features(self, maps: Tensor, regions: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, inputs: ProposedPictures) -> RegionPredictions:
        if self.training:
            self.solved.solved.zero_()  # features change: what was solved for others does not hold
        height, width = inputs.shape[2:]
        return RegionPredictions(self, self.see(inputs.pictures), inputs.proposals, (height, width))

    def describe(self, maps: Tensor, regions: Tensor) -> tuple[Tensor, None]:
        return self.classes(self.features(maps, regions)), None

    def answer(self, maps: Tensor, regions: Tensor) -> tuple[Tensor, Tensor]:
        found = self.features(maps, regions)
        by_softmax = self.classes(found).float().softmax(dim=2)[..., 1:]
        scores = torch.where(self.solved.solved > 0, self.solved.scores(found), by_softmax)
        return scores, self.solved.boxes(found, regions)  # unmoved as long as nothing is solved

    @torch.no_grad()
    def finish(self, batches: Iterable[tuple[ProposedPictures, Tensor]]) -> str:
        """Solves machines and regressors from the training pictures and their objects, and tells of it."""
        self.eval()

        def described() -> Iterable[tuple[Tensor, Tensor, Tensor]]:
            for inputs, objects in batches:
                regions = torch.cat([objects[..., :4], inputs.proposals], dim=1)
                yield self.features(self.see(inputs.pictures), regions), objects, inputs.proposals

        return self.solved.solve(collect(described(), self.classes.out_features - 1))


class SPPNet(FeatureDetector):
    """`ProposedPictures` -> `RegionPredictions`.

    sampled: regions a picture that are learnt from, at most a quarter of them objects
    """

    takes_proposals = 500

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        backbone: str = "squeezenet1_0",
        stride: int = 8,
        hidden: int = 512,
        dropout: float = 0.5,
        sampled: int = 64,
    ) -> None:
        super().__init__(hidden, num_classes, sampled)
        self.backbone = Backbone(backbone, (stride,), in_channels).requires_grad_(False)
        self.stride = stride
        channels = self.backbone.levels[0].channels
        self.dense = nn.Sequential(
            *(nn.Linear(BINS * channels, hidden), nn.ReLU(), nn.Dropout(dropout)),
            *(nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(dropout)),
        )
        begin_dense(self.dense)

    def train(self, mode: bool = True) -> SPPNet:
        super().train(mode)
        self.backbone.eval()
        return self

    def see(self, pictures: Tensor) -> Tensor:
        with torch.no_grad():
            return functional.relu(self.backbone(pictures)[0])

    @record_function("head")
    def features(self, maps: Tensor, regions: Tensor) -> Tensor:
        pooled = pyramid(maps, cells_of(regions, maps, self.stride))
        pooled = functional.layer_norm(pooled, pooled.shape[1:])
        return self.dense(pooled).unflatten(0, regions.shape[:2])

    def load_backbone(self, tensors: Mapping[str, Tensor], where: str) -> list[str]:
        return self.backbone.load(tensors, where)

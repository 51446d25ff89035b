"""Faster R-CNN: Ren, He, Girshick, Sun 2015. A small network on the backbone's map proposes regions (RPN), and a head on what is
pooled from the same map says what they are and moves them. Both are trained jointly (the paper's approximate joint training).

The paper's four-step training is `training="four-step"`.

Differs from the paper: any backbone and stride; the map is brought to `width` channels first; regions are pooled by RoI align;
anchors that cross the picture's edge learn too; the RPN's loss is what its random sample of 256 anchors would give on average,
computed over all anchors, so that nothing is drawn there.

The text (*Principles and Practice* §5.1) has a 32x32 map of 9 anchors a place, 9216 in all, scores (32, 32, 18) and offsets
(32, 32, 36). Here an anchor has one score (a sigmoid) in place of two that go through a softmax, which is the same function.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.profiler import record_function

from gradus.boxes.coding import decode_boxes, encode_boxes
from gradus.boxes.geometry import clip, pairwise_iou
from gradus.boxes.nms import nms
from gradus.boxes.targets import is_learnt
from gradus.errors import UserError
from gradus.models.backbone import Backbone
from gradus.models.detection.four_steps import FourSteps
from gradus.models.detection.region_head import (
    PartwisePredictions,
    RegionHead,
    Sampling,
    box_losses,
    class_losses,
    match_regions,
    mean_of,
    softmax_answer,
    take,
    told,
)
from gradus.nn.regions import align_boxes

PAPER_SIDE = 600  # the shorter side of the paper's pictures, which its anchors of 128, 256 and 512 pixels are for
SAMPLED = 256  # anchors a picture in the paper's sample, at most half of them on objects
NOTICED = 1 / 9  # where smooth L1 of the proposals' offsets turns straight


class RegionProposals(nn.Module):
    """A 3x3 convolution, and on it two 1x1 ones: for each place and anchor a score and four offsets.

    (B, C, h, w) -> logits (B, P), deltas (B, P, 4); P = h * w * anchors, row by row, the anchors of a place side by side
    """

    def __init__(self, channels: int, stride: int, shapes: Sequence[tuple[float, float]]) -> None:
        super().__init__()
        self.stride = stride
        self.register_buffer("shapes", torch.tensor(shapes), persistent=False)  # (A, 2): widths and heights in pixels
        self.hidden = nn.Conv2d(channels, channels, 3, padding=1)
        self.scores = nn.Conv2d(channels, len(shapes), 1)
        self.boxes = nn.Conv2d(channels, 4 * len(shapes), 1)
        for layer in (self.hidden, self.scores, self.boxes):
            nn.init.normal_(layer.weight, std=0.01)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        found = functional.relu(self.hidden(maps))
        scores = self.scores(found).permute(0, 2, 3, 1).flatten(1)
        return scores, self.boxes(found).permute(0, 2, 3, 1).reshape(*scores.shape, 4)

    def anchors(self, height: int, width: int) -> Tensor:
        """(P, 4): for a map of that size, around the middle of each of its cells."""
        shapes: Tensor = self.shapes  # type: ignore[assignment]
        y = (torch.arange(height, device=shapes.device) + 0.5) * self.stride
        x = (torch.arange(width, device=shapes.device) + 0.5) * self.stride
        centres = torch.stack([x.expand(height, -1), y[:, None].expand(-1, width)], dim=2).view(-1, 1, 2)
        return torch.cat([centres - shapes / 2, centres + shapes / 2], dim=2).view(-1, 4)


def anchor_shapes(sizes: Sequence[float], ratios: Sequence[float]) -> list[tuple[float, float]]:
    """(width, height) of each anchor: of area size^2, and height / width = ratio."""
    return [(size / ratio**0.5, size * ratio**0.5) for size in sizes for ratio in ratios]


def proposal_losses(logits: Tensor, deltas: Tensor, anchors: Tensor, objects: Tensor) -> dict[str, Tensor]:
    """What the RPN learns from objects (B, M, 6).

    An anchor is positive from an IoU of 0.7 on, or where no anchor overlaps an object more; negative below 0.3. Of the paper's
    sample of 256, as many as there are but at most half are positive: that is the share of their mean loss here.
    """
    found = match_regions(anchors, objects)
    own = torch.where(is_learnt(objects)[:, None], pairwise_iou(anchors, objects[..., :4]), 0)
    best = ((own == own.amax(dim=1, keepdim=True)) & (own > 0)).any(dim=2)
    positive = ~found.spoilt & ((found.overlap >= 0.7) | best)
    negative = ~found.spoilt & ~positive & (found.overlap < 0.3)
    share = positive.sum(dim=1).clamp(max=SAMPLED // 2) / SAMPLED
    entropy = functional.binary_cross_entropy_with_logits(logits.float(), positive.float(), reduction="none")
    scores = share * _mean(entropy, positive) + (1 - share) * _mean(entropy, negative)
    wanted = encode_boxes(take(objects[..., :4], found.which), anchors)
    away = functional.smooth_l1_loss(deltas.float(), wanted, reduction="none", beta=NOTICED).sum(dim=2)
    return {"proposal": scores.mean(), "proposal_box": (share * _mean(away, positive)).mean()}


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    """(B,): over the chosen ones of (B, P); 0 where there is none."""
    return torch.where(chosen, values, 0).sum(dim=1) / chosen.sum(dim=1).clamp(min=1)


@torch.no_grad()
@record_function("proposals")
def propose_regions(
    logits: Tensor, deltas: Tensor, anchors: Tensor, size: tuple[int, int], before: int, after: int, overlap: float
) -> Tensor:
    """(B, after, 4), by falling score: the best `before` anchors, moved and cut off at the edges, without those that overlap a
    better one by more than `overlap`. Sides below a pixel are none; where there are fewer, boxes are empty (all 0)."""
    best, index = logits.float().topk(min(before, logits.shape[1]), dim=1)
    boxes = clip(decode_boxes(take(deltas.float(), index), anchors[index]), *size)
    scores = best.sigmoid().clamp(min=1e-30) * (boxes[..., 2:] - boxes[..., :2]).ge(1).all(dim=2)
    kept = torch.where(nms(boxes, scores, overlap), scores, 0)
    kept, order = kept.topk(min(after, kept.shape[1]), dim=1)
    return take(boxes, order) * (kept > 0)[..., None]


class FasterPredictions(PartwisePredictions):
    """maps (B, C, h, w); logits (B, P) and deltas (B, P, 4) of anchors (P, 4). Regions are proposed when first asked for."""

    def __init__(
        self, detector: FasterRCNN, maps: Tensor, logits: Tensor, deltas: Tensor, size: tuple[int, int]
    ) -> None:
        self.detector, self.maps, self.logits, self.deltas, self.size = detector, maps, logits, deltas, size
        self.anchors = detector.proposals.anchors(*maps.shape[2:])
        self.random = detector.training
        self._regions: Tensor | None = None

    @property
    def regions(self) -> Tensor:
        """(B, R, 4)."""
        if self._regions is None:
            one = self.detector
            self._regions = propose_regions(
                self.logits, self.deltas, self.anchors, self.size, one.before, one.after, one.proposal_overlap
            )
        return self._regions

    def losses_of_all(self, objects: Tensor) -> dict[str, Tensor]:
        steps = self.detector.steps
        found: dict[str, Tensor] = {}
        if steps is None or steps.learns_proposals:
            found |= proposal_losses(self.logits, self.deltas, self.anchors, objects)
        if steps is None or not steps.learns_proposals:
            found |= self._head_losses(objects)
        return found

    def _head_losses(self, objects: Tensor) -> dict[str, Tensor]:
        """What the head learns from the regions that are proposed."""
        sample = self.detector.sampling.sample(self.regions, objects, self.random)
        logits, deltas = self.detector.describe(self.maps, sample.regions)
        return {
            "class": mean_of(class_losses(logits, sample), sample.counted),
            "box": mean_of(box_losses(deltas, sample), sample.counted),
        }

    def detections_of_all(self) -> Tensor:
        logits, deltas = self.detector.describe(self.maps, self.regions)
        return told(*softmax_answer(logits, deltas, self.regions), self.regions, self.size)

    def detach(self) -> FasterPredictions:
        found = copy.copy(self)
        found.maps, found.logits, found.deltas = self.maps.detach(), self.logits.detach(), self.deltas.detach()
        found._parts = None
        return found

    def __len__(self) -> int:
        return len(self.maps)

    def __getitem__(self, rows: slice) -> FasterPredictions:
        found = copy.copy(self)
        found.maps, found.logits, found.deltas = self.maps[rows], self.logits[rows], self.deltas[rows]
        found._regions = found._parts = None
        return found


class FasterRCNN(nn.Module):
    """(B, C, H, W) -> `FasterPredictions`.

    stride:       pixels a cell of the map: 8 for small objects, 16 as in the paper
    anchor_sizes: square roots of the anchors' areas, in pixels; None: the paper's 128, 256, 512, scaled from the 600 pixels that
                  its pictures have to these
    ratios:       height / width of the anchors
    before, after: how many proposals go into suppression, and how many come out at most, in training as in use
    sampled:      regions a picture that the head learns from, at most a quarter of them objects
    training:      joint, or in the paper's four steps (`four_steps.py`)
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        picture_size: Sequence[int] = (320, 320),
        backbone: str = "squeezenet1_0",
        stride: int = 8,
        width: int = 128,
        hidden: int = 512,
        anchor_sizes: Sequence[float] | None = None,
        ratios: Sequence[float] = (0.5, 1.0, 2.0),
        before: int = 1000,
        after: int = 300,
        proposal_overlap: float = 0.7,
        sampled: int = 128,
        training: Literal["joint", "four-step"] = "joint",
    ) -> None:
        super().__init__()
        sizes = (
            [side * min(picture_size) / PAPER_SIDE for side in (128, 256, 512)]
            if anchor_sizes is None
            else anchor_sizes
        )
        if not sizes or not ratios or min(*sizes, *ratios) <= 0:
            raise UserError("faster_rcnn: anchor_sizes and ratios must be numbers above 0")
        self.backbone = Backbone(backbone, (stride,), in_channels)
        self.before, self.after, self.proposal_overlap = before, after, proposal_overlap
        self.sampling = Sampling(count=sampled)
        self.lateral = nn.Conv2d(self.backbone.levels[0].channels, width, 1)
        self.proposals = RegionProposals(width, stride, anchor_shapes(sizes, ratios))
        self.head = RegionHead(width * 7 * 7, hidden, num_classes)
        if training not in ("joint", "four-step"):
            raise UserError(f"faster_rcnn: training is joint or four-step, received {training}")
        self.steps = FourSteps(self.backbone, self.lateral) if training == "four-step" else None

    def begin_epoch(self, epoch: int, epochs: int) -> str:
        """What is learnt from this epoch on, where that changes."""
        if self.steps is None:
            return ""
        said = self.steps.begin_epoch(epoch, epochs)
        self.train(self.training)
        return said

    @property
    def resting(self) -> tuple[str, ...]:
        """The parts that do not learn in this step of four."""
        return () if self.steps is None else self.steps.resting

    def train(self, mode: bool = True) -> FasterRCNN:
        """A map that stays in this step keeps the statistics of its norms too."""
        super().train(mode)
        if self.steps is not None:
            self.backbone.train(mode and self.steps.learns_map)
            self.steps.backbone.train(mode and self.steps.now == 0)
        return self

    def forward(self, pictures: Tensor) -> FasterPredictions:
        learns = self.steps is None or self.steps.learns_map
        with torch.set_grad_enabled(torch.is_grad_enabled() and learns):
            (maps,) = self.backbone(pictures)
            maps = of_proposals = functional.relu(self.lateral(maps))
        if self.steps is not None:
            of_proposals = self.steps.map_of_proposals(pictures, maps)
        logits, deltas = self.proposals(of_proposals)
        height, width = pictures.shape[2:]
        return FasterPredictions(self, maps, logits, deltas, (height, width))

    @record_function("head")
    def describe(self, maps: Tensor, regions: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, R, K + 1) and offsets (B, R, K, 4) of regions (B, R, 4)."""
        pooled = align_boxes(maps, regions, (7, 7), 1 / self.proposals.stride)
        logits, deltas = self.head(pooled.flatten(0, 1).flatten(1))
        return logits.unflatten(0, regions.shape[:2]), deltas.unflatten(0, regions.shape[:2])

    def load_backbone(self, tensors: Mapping[str, Tensor], where: str) -> list[str]:
        if self.steps is not None:
            self.steps.backbone.load(tensors, where)  # type: ignore[operator]
        return self.backbone.load(tensors, where)

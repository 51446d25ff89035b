"""A one-stage detector on grids of anchors, for small and medium data. Ours; every part is somebody's:

- three maps of strides 8, 16 and 32 joined from the top down (`pyramid.py`);
- anchors from the training boxes (Redmon and Farhadi 2017), each on the map whose cells are about a fifth of its size;
- an object is learnt by the ten places that already tell it best, by score^0.5 * IoU^6 (Feng et al. 2021, *TOOD*): which these
  are changes while it learns, so that no threshold of overlap has to be chosen;
- the score of a class is how well the box fits, learnt by the varifocal loss (Zhang et al. 2021): no objectness beside it;
- boxes by generalised IoU (Rezatofighi et al. 2019).

All objects weigh the same. A picture's loss is that of this picture alone, divided by its objects: how a batch is cut changes
nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.boxes.geometry import giou, pairwise_cover, pairwise_iou
from gradus.boxes.nms import best_detections
from gradus.boxes.targets import boxes_of, is_learnt, is_present, labels_of
from gradus.errors import UserError
from gradus.models.detection.predictions import Predictions
from gradus.models.detection.pyramid import ConvNorm, Pyramid, backbone_with, cell_centres

STRIDES = (8, 16, 32)
CELLS = 5  # as many cells of a map is the size of the anchors that it has
PLACES = 10  # that learn an object
FIT_POWER, SCORE_POWER = 6.0, 0.5
BOX_WEIGHT = 2.0
BACKGROUND = 0.15  # varifocal's alpha of 0.75 over the five places or so that an object is shared by; its gamma is 2
PRIOR = 0.01  # the score of everything before training
MOST_GROWTH = 4.0  # of the logarithm of a box's sides over its anchor's


def assign(boxes: Tensor, scores: Tensor, cells: Tensor, objects: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Which object each place learns: int (B, P), row of `objects`; the score that it shall give it, (B, P), 0 for background;
    and what that weighs, (B, P), 1 in all for each object, so that small and rare ones count as much as others.

    boxes (B, P, 4), scores (B, P, classes): what is told now; cells (P, 3): centre x, y and stride; objects (B, M, 6).

    Places are those whose cell has its centre in the object, or nearest to it where an object is smaller than a cell. A place
    that several objects would have goes to the one that it overlaps most. The best place of an object learns its own IoU as
    score, the others less, by their share of the best's score^0.5 * IoU^6.
    """
    given, labels = boxes_of(objects), labels_of(objects).clamp(min=0)
    middle, half = (given[..., :2] + given[..., 2:]) / 2, (given[..., 2:] - given[..., :2]) / 2
    away = (cells[None, None, :, :2] - middle[:, :, None]).abs()  # (B, M, P, 2)
    near = (away <= torch.maximum(half[:, :, None], cells[None, None, :, 2:] / 2)).all(dim=3)
    near &= is_learnt(objects)[:, :, None]
    overlap = pairwise_iou(given, boxes)  # (B, M, P)
    likely = scores.transpose(1, 2).gather(1, labels[:, :, None].expand(-1, -1, scores.shape[1]))
    fit = torch.where(near, likely**SCORE_POWER * overlap.clamp(min=1e-3) ** FIT_POWER, 0)
    least = fit.topk(min(PLACES, fit.shape[2]), dim=2).values[..., -1:]
    chosen = near & (fit >= least)
    best, which = torch.where(chosen, overlap, -1).max(dim=1)  # (B, P)
    peak = torch.where(chosen, fit, 0).amax(dim=2).clamp(min=torch.finfo(fit.dtype).tiny)
    most = torch.where(chosen, overlap, 0).amax(dim=2)
    share = fit.gather(1, which[:, None])[:, 0] / peak.gather(1, which) * most.gather(1, which)
    share = torch.where(best >= 0, share, 0)
    number = torch.arange(objects.shape[1], device=which.device)[:, None]
    sums = torch.where(which[:, None] == number, share[:, None], 0).sum(dim=2)  # (B, M)
    return which, share, share / sums.gather(1, which).clamp(min=torch.finfo(share.dtype).tiny)


class GridPredictions(Predictions):
    """boxes (B, P, 4); logits (B, P, classes); cells (P, 3): centre x, y and stride, in pixels."""

    def __init__(self, boxes: Tensor, logits: Tensor, cells: Tensor, overlap: float) -> None:
        self.boxes, self.logits, self.cells, self.overlap = boxes, logits, cells, overlap

    def losses(self, objects: Tensor) -> dict[str, Tensor]:
        told, scores = self.boxes.detach(), self.logits.detach().sigmoid()
        which, share, weight = assign(told, scores, self.cells, objects)
        total = weight.sum(dim=1).clamp(min=1)  # objects that are learnt
        labels = labels_of(objects).clamp(min=0).gather(1, which)
        wanted = functional.one_hot(labels, scores.shape[2]) * share[..., None]
        entropy = functional.binary_cross_entropy_with_logits(self.logits, wanted, reduction="none")
        weights = torch.where(wanted > 0, weight[..., None], BACKGROUND * scores**2)
        counted = (share > 0) | ~in_ignored(told, objects)
        focal = (weights * entropy).sum(dim=2) * counted
        given = boxes_of(objects).gather(1, which[..., None].expand(-1, -1, 4))
        shape = (1 - giou(self.boxes, given)) * weight
        return {
            "class": (focal.sum(dim=1) / total).mean(),
            "box": BOX_WEIGHT * (shape.sum(dim=1) / total).mean(),
        }

    def detections(self) -> Tensor:
        return best_detections(self.boxes, self.logits.sigmoid(), threshold=self.overlap)

    def detach(self) -> GridPredictions:
        found = GridPredictions(self.boxes.detach(), self.logits.detach(), self.cells, self.overlap)
        found.parts = self.parts
        return found

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: slice) -> GridPredictions:
        return GridPredictions(self.boxes[rows], self.logits[rows], self.cells, self.overlap)


def in_ignored(boxes: Tensor, objects: Tensor) -> Tensor:
    """bool (B, P): boxes (B, P, 4) that lie by half or more in an ignored object of (B, M, 6): they are not background."""
    ignored = is_present(objects) & ~is_learnt(objects)
    return ((pairwise_cover(boxes, boxes_of(objects)) >= 0.5) & ignored[:, None]).any(dim=2)


def by_stride(anchors: Sequence[Sequence[float]]) -> dict[int, list[tuple[float, float]]]:
    """Anchors (width, height) by the stride nearest (in octaves) to a fifth of their size; strides without any are left out."""
    found: dict[int, list[tuple[float, float]]] = {stride: [] for stride in STRIDES}
    for width, height in anchors:
        octave = math.log2(math.sqrt(width * height) / CELLS)
        nearest = min(STRIDES, key=lambda stride: abs(octave - math.log2(stride)))
        found[nearest].append((float(width), float(height)))
    return {stride: here for stride, here in found.items() if here}


def usual_anchors(picture_size: Sequence[int]) -> list[tuple[float, float]]:
    """Six squares from a sixteenth to two thirds of the shorter side: where nothing is known of the objects."""
    return [(side, side) for side in (min(picture_size) * (1 / 16) * (32 / 3) ** (step / 5) for step in range(6))]


class AnchorHead(nn.Module):
    """A map (B, width, H, W) of a stride -> boxes (B, P, 4), logits (B, P, classes) and cells (P, 3), P = H * W * anchors of it.

    One more convolution on each map, one that all share, and the answers: in shares of the anchor where the centre is, from
    the middle of the cell, and the logarithms of how much larger the sides are.
    """

    def __init__(self, anchors: Mapping[int, Sequence[tuple[float, float]]], width: int, num_classes: int) -> None:
        super().__init__()
        self.anchors = anchors
        self.smooth = nn.ModuleDict({str(stride): ConvNorm(width, width) for stride in anchors})
        self.shared = ConvNorm(width, width)
        self.answers = nn.ModuleDict()
        for stride, here in anchors.items():
            layer = nn.Conv2d(width, len(here) * (4 + num_classes), 1)
            assert layer.bias is not None
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)
            with torch.no_grad():
                layer.bias.view(len(here), -1)[:, 4:] = math.log(PRIOR / (1 - PRIOR))
            self.answers[str(stride)] = layer

    def forward(self, maps: Tensor, stride: int) -> tuple[Tensor, Tensor, Tensor]:
        rows, _, height, width = maps.shape
        sizes = torch.tensor(self.anchors[stride], device=maps.device)
        found = self.answers[str(stride)](self.shared(self.smooth[str(stride)](maps))).float()
        found = found.permute(0, 2, 3, 1).reshape(rows, height * width, len(sizes), -1)
        centres = cell_centres(height, width, stride, maps.device)[:, None]
        middle = centres + found[..., :2] * sizes
        half = sizes / 2 * found[..., 2:4].clamp(-MOST_GROWTH, MOST_GROWTH).exp()
        boxes = torch.cat([middle - half, middle + half], dim=3)
        cells = torch.cat([centres, torch.full_like(centres[..., :1], stride)], dim=2).expand(-1, len(sizes), -1)
        return boxes.flatten(1, 2), found[..., 4:].flatten(1, 2), cells.flatten(0, 1)


class GridDetector(nn.Module):
    """(B, C, H, W) -> `GridPredictions`.

    anchors: (width, height) in pixels of the network's pictures; None: `usual_anchors`
    width:   channels of the maps that answers are read from
    overlap: IoU above which the weaker of two boxes of a class is dropped
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        picture_size: Sequence[int] = (320, 320),
        anchors: Sequence[Sequence[float]] | None = None,
        backbone: str = "squeezenet1_0",
        width: int = 96,
        overlap: float = 0.6,
    ) -> None:
        super().__init__()
        anchors = usual_anchors(picture_size) if anchors is None else anchors
        if not anchors or any(len(one) != 2 or min(one) <= 0 for one in anchors):
            raise UserError(f"anchors: expected rows of [width, height] in pixels, received {anchors}")
        if not 0 < overlap <= 1:
            raise UserError(f"overlap: expected above 0, at most 1, received {overlap}")
        self.overlap, self.anchors = overlap, by_stride(anchors)
        self.backbone, lacking = backbone_with(backbone, STRIDES, in_channels)
        self.pyramid = Pyramid(self.backbone.levels, width, lacking)
        self.head = AnchorHead(self.anchors, width, num_classes)

    def forward(self, pictures: Tensor) -> GridPredictions:
        maps = zip(STRIDES, self.pyramid(self.backbone(pictures)), strict=True)
        found = [self.head(one, stride) for stride, one in maps if stride in self.anchors]
        boxes, logits, cells = zip(*found, strict=True)
        return GridPredictions(torch.cat(boxes, 1), torch.cat(logits, 1), torch.cat(cells), self.overlap)

    def load_backbone(self, tensors: Mapping[str, Tensor], where: str) -> list[str]:
        return self.backbone.load(tensors, where)

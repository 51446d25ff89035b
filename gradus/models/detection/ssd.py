"""SSD: Liu, Anguelov, Erhan, Szegedy, Reed, Fu, Berg 2016, *SSD: Single Shot MultiBox Detector*, on any backbone and size of
pictures. The paper's own networks are in `ssd_vgg.py`.

Maps of falling size, each with prior boxes (`priors.py`); 3x3 convolutions tell for every prior C + 1 scores (0: background) and
four offsets. An object is learnt by its best prior and by all that it overlaps by more than 0.5.

Differs from the paper: the loss of a picture is divided by its own matched priors (in Caffe by those of the batch), so that how a
batch is cut changes nothing; of a picture without objects the three hardest negatives are learnt, where the paper learns nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.boxes.geometry import from_centres, pairwise_cover, pairwise_iou, to_centres
from gradus.boxes.nms import best_detections
from gradus.boxes.targets import boxes_of, is_learnt, is_present, labels_of
from gradus.errors import UserError
from gradus.models.detection.predictions import Predictions
from gradus.models.detection.priors import cell_shapes, prior_boxes
from gradus.models.detection.pyramid import backbone_with

CENTRE_VARIANCE, SIZE_VARIANCE = 0.1, 0.2
MATCH = 0.5  # overlap above which a prior learns an object
NEGATIVES = 3  # for each matched prior
OVERLAP, CANDIDATES, TOLD = 0.45, 400, 200  # of suppression
LEVELS = 6


def encode(boxes: Tensor, priors: Tensor) -> Tensor:
    """Boxes (..., P, 4) -> offsets (..., P, 4) from priors (P, 4): shares of their sides and logarithms, over the variances."""
    given, prior = to_centres(boxes), to_centres(priors)
    centre = (given[..., :2] - prior[..., :2]) / prior[..., 2:] / CENTRE_VARIANCE
    return torch.cat([centre, (given[..., 2:] / prior[..., 2:]).log() / SIZE_VARIANCE], dim=-1)


def decode(offsets: Tensor, priors: Tensor) -> Tensor:
    """The inverse of `encode`."""
    prior = to_centres(priors)
    centre = prior[..., :2] + offsets[..., :2] * CENTRE_VARIANCE * prior[..., 2:]
    return from_centres(torch.cat([centre, prior[..., 2:] * (offsets[..., 2:] * SIZE_VARIANCE).exp()], dim=-1))


def match(priors: Tensor, objects: Tensor) -> tuple[Tensor, Tensor]:
    """Which object each prior learns: int (B, P), row of `objects`, and whether it does: bool (B, P).

    First every object takes its best prior (of two objects with the same one, that which overlaps it more), then every prior
    that is left the object that it overlaps most, if by more than 0.5.
    """
    overlap = torch.where(is_learnt(objects)[..., None], pairwise_iou(boxes_of(objects), priors), -1)  # (B, M, P)
    highest, best_prior = overlap.max(dim=2)
    forced = functional.one_hot(best_prior, priors.shape[0]).bool() & (highest > 0)[..., None]
    most, which = torch.where(forced, overlap + 2, overlap).max(dim=1)
    return which, most > MATCH


def hardest(losses: Tensor, allowed: Tensor, count: Tensor) -> Tensor:
    """bool (B, P): the `count` (B,) priors of each picture of highest loss (B, P) among the allowed ones."""
    order = torch.where(allowed, losses, -1).argsort(dim=1, descending=True, stable=True)
    rank = torch.empty_like(order).scatter_(
        1, order, torch.arange(order.shape[1], device=order.device).expand_as(order)
    )
    return allowed & (rank < count[:, None])


class SsdPredictions(Predictions):
    """offsets (B, P, 4); logits (B, P, 1 + classes), the first of background; priors (P, 4) in pixels."""

    def __init__(self, offsets: Tensor, logits: Tensor, priors: Tensor) -> None:
        self.offsets, self.logits, self.priors = offsets, logits, priors

    def losses(self, objects: Tensor) -> dict[str, Tensor]:
        """The MultiBox loss: smooth L1 of the matched priors' offsets, and cross-entropy of these and of three times as many
        negatives, those that are taken for something most."""
        which, matched = match(self.priors, objects)
        labels = torch.where(matched, labels_of(objects).gather(1, which) + 1, 0)
        entropy = functional.cross_entropy(self.logits.transpose(1, 2), labels, reduction="none")
        ignored = is_present(objects) & ~is_learnt(objects)
        cover = pairwise_cover(self.priors, boxes_of(objects))
        allowed = ~matched & ~((cover >= 0.5) & ignored[:, None]).any(dim=2)
        number = matched.sum(dim=1).clamp(min=1)
        counted = matched | hardest(entropy.detach(), allowed, NEGATIVES * number)
        given = boxes_of(objects).gather(1, which[..., None].expand(-1, -1, 4))
        given = torch.where(matched[..., None], given, self.priors)
        away = functional.smooth_l1_loss(self.offsets, encode(given, self.priors), reduction="none").sum(dim=2)
        return {
            "class": ((entropy * counted).sum(dim=1) / number).mean(),
            "box": ((away * matched).sum(dim=1) / number).mean(),
        }

    def detections(self) -> Tensor:
        scores = self.logits.softmax(dim=2)[..., 1:]
        boxes = decode(self.offsets, self.priors)
        return best_detections(boxes, scores, threshold=OVERLAP, candidates=CANDIDATES, most=TOLD)

    def detach(self) -> SsdPredictions:
        found = SsdPredictions(self.offsets.detach(), self.logits.detach(), self.priors)
        found.parts = self.parts
        return found

    def __len__(self) -> int:
        return len(self.offsets)

    def __getitem__(self, rows: slice) -> SsdPredictions:
        return SsdPredictions(self.offsets[rows], self.logits[rows], self.priors)


class ScaledL2Norm(nn.Module):
    """Each place of a map (B, C, H, W) divided by its length over the channels, times a learnt scale a channel, 20 at first
    (Liu, Rabinovich, Berg 2015, *ParseNet*): early maps have other lengths than late ones."""

    def __init__(self, channels: int, scale: float = 20.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((channels,), scale))

    def forward(self, maps: Tensor) -> Tensor:
        return functional.normalize(maps, dim=1) * self.scale[:, None, None]


class Heads(nn.Module):
    """Maps -> offsets (B, P, 4) and logits (B, P, outputs), in the order of `prior_boxes`."""

    def __init__(self, channels: Sequence[int], shapes: Sequence[int], outputs: int) -> None:
        super().__init__()
        pairs = list(zip(channels, shapes, strict=True))
        self.offsets = nn.ModuleList(nn.Conv2d(width, 4 * count, 3, padding=1) for width, count in pairs)
        self.scores = nn.ModuleList(nn.Conv2d(width, outputs * count, 3, padding=1) for width, count in pairs)
        self.outputs = outputs

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        def read(layers: nn.ModuleList, numbers: int) -> Tensor:
            found = [layer(one).permute(0, 2, 3, 1) for layer, one in zip(layers, maps, strict=True)]
            return torch.cat([one.reshape(len(one), -1, numbers) for one in found], dim=1)

        return read(self.offsets, 4), read(self.scores, self.outputs)


def draw_weights(module: nn.Module) -> None:
    """Glorot's uniform weights and no biases, as the paper begins its new layers."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)


def extra_layers(
    channels: int, squeeze: int, width: int, kernel: int = 3, stride: int = 2, padding: int = 1
) -> nn.Module:
    """1x1 convolution to fewer channels, then one that makes the map smaller; a ReLU after each."""
    return nn.Sequential(
        *(nn.Conv2d(channels, squeeze, 1), nn.ReLU(), nn.Conv2d(squeeze, width, kernel, stride, padding), nn.ReLU())
    )


def usual_scales(levels: int) -> list[float]:
    """Sizes as shares of the picture's side, one more than maps: 0.1 for the first, the others evenly from 0.2 to 0.9 (sections
    2.2 and 3.1), and a last one as far again, which only the second square of the last map uses."""
    if levels == 1:
        return [0.1, 0.2]
    step = 0.7 / max(levels - 2, 1)
    return [0.1, *(0.2 + step * index for index in range(levels))]


class Ssd(nn.Module):
    """(B, C, height, width) of `picture_size` -> `SsdPredictions`.

    strides: of the backbone's maps, where it has them; coarser ones are made by further layers, six maps in all or until a map
             is a cell
    scales:  sizes of priors as shares of the picture's shorter side, one a map and one more; None: `usual_scales`
    width:   channels of the further layers
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        picture_size: Sequence[int] = (300, 300),
        backbone: str = "squeezenet1_0",
        strides: Sequence[int] = (8, 16, 32),
        scales: Sequence[float] | None = None,
        width: int = 256,
    ) -> None:
        super().__init__()
        self.backbone, _ = backbone_with(backbone, strides, in_channels)
        levels = self.backbone.levels
        channels, self.steps = [level.channels for level in levels], [level.stride for level in levels]
        further: list[nn.Module] = []
        while len(self.steps) < LEVELS and min(picture_size) > self.steps[-1]:
            further.append(extra_layers(channels[-1], width // 2, width))
            channels.append(width)
            self.steps.append(2 * self.steps[-1])
        count = len(self.steps)
        scales = usual_scales(count) if scales is None else scales
        if len(scales) != count + 1 or min(scales) <= 0:
            raise UserError(f"ssd: scales: {count} maps need {count + 1} numbers above 0, received {list(scales)}")
        self.norm = ScaledL2Norm(channels[0])
        self.further = nn.ModuleList(further)
        self.sizes = [scale * min(picture_size) for scale in scales]
        self.ratios = [(2.0, 3.0) if 0 < index < count - 2 else (2.0,) for index in range(count)]
        shapes = [len(cell_shapes(1, 1, ratios)) for ratios in self.ratios]
        self.heads = Heads(channels, shapes, 1 + num_classes)
        draw_weights(self.further)
        draw_weights(self.heads)

    def forward(self, pictures: Tensor) -> SsdPredictions:
        maps = self.backbone(pictures)
        for layer in self.further:
            maps.append(layer(maps[-1]))
        maps[0] = self.norm(maps[0])
        cells = [(one.shape[2], one.shape[3]) for one in maps]
        priors = prior_boxes(cells, [(step, step) for step in self.steps], self.sizes, self.ratios)
        return SsdPredictions(*self.heads(maps), priors.to(pictures.device))

    def load_backbone(self, tensors: Mapping[str, Tensor], where: str) -> list[str]:
        return self.backbone.load(tensors, where)

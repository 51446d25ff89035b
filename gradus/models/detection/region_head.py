"""What the region-based detectors share: which regions learn what, the head on pooled regions, its losses and its answers.

    B pictures, R regions a picture, M objects, K classes. Class 0 of the head is background, class k + 1 is class k.

Regions are boxes (B, R, 4) in pixels of the network's pictures; one without area is empty: it is neither learnt nor told.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.profiler import record_function

from gradus.boxes.coding import decode_boxes, encode_boxes
from gradus.boxes.geometry import areas, clip, pairwise_iou
from gradus.boxes.nms import best_detections
from gradus.boxes.targets import is_learnt, is_present, labels_of
from gradus.models.detection.predictions import Predictions

BOX_SCALE = (0.1, 0.1, 0.2, 0.2)  # of the head's offsets: Fast R-CNN makes them of unit variance, later code by these
PART = 4  # pictures that the head is applied to at a time where nothing is learnt


@dataclass(frozen=True)
class Matches:
    """How regions lie on objects: `overlap` (B, R) with the best object that is learnt, `which` (B, R) it is, and bool (B, R)
    `spoilt`: those that lie on an ignored object more than on any other, and empty ones."""

    overlap: Tensor
    which: Tensor
    spoilt: Tensor


def match_regions(regions: Tensor, objects: Tensor, least: float = 0.3) -> Matches:
    """Regions (B, R, 4), or (R, 4) for all pictures, against objects (B, M, 6).

    least: the IoU with an ignored object from which on a region is spoilt
    """
    shared = pairwise_iou(regions, objects[..., :4])
    learnt = is_learnt(objects)[:, None]
    overlap, which = torch.where(learnt, shared, 0).max(dim=2)
    other = torch.where(is_present(objects)[:, None] & ~learnt, shared, 0).amax(dim=2)
    return Matches(overlap, which, ((other >= least) & (other > overlap)) | (areas(regions) <= 0))


def draw(first: Tensor, second: Tensor, count: int, most_first: int, random: bool) -> tuple[Tensor, Tensor]:
    """Of each picture `count` regions: at most `most_first` of bool (B, R) `first`, the rest of `second`.

    Returns int64 (B, count) which, and bool (B, count) whether there were so many. random: drawn from the global generator; else
    by a fixed one, so that what is measured is the same each time.
    """
    generator = None if random else torch.Generator(first.device).manual_seed(0)
    luck = torch.rand(first.shape, generator=generator, device=first.device)
    order = torch.where(first, luck, 2).argsort(dim=1).argsort(dim=1)
    chosen = first & (order < most_first)
    rank = torch.where(chosen, luck + 2, torch.where(second, luck + 1, luck))
    found, index = rank.topk(min(count, first.shape[1]), dim=1)
    return index, found >= 1


def take(values: Tensor, index: Tensor) -> Tensor:
    """(B, R, ...) at int64 (B, S) -> (B, S, ...)."""
    shape = index.shape + (1,) * (values.ndim - 2)
    return values.gather(1, index.view(shape).expand(*index.shape, *values.shape[2:]))


@dataclass(frozen=True)
class Sample:
    """Regions to learn from: `regions` (B, S, 4); `labels` (B, S), 0 for background; `boxes` (B, S, 4) of their objects;
    `counted` bool (B, S)."""

    regions: Tensor
    labels: Tensor
    boxes: Tensor
    counted: Tensor

    def take(self, index: Tensor) -> Sample:
        """Some of the regions of each picture, by int64 (B, S)."""
        return Sample(*(take(part, index) for part in (self.regions, self.labels, self.boxes, self.counted)))


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """count: regions a picture; foreground: at most this share of them overlaps an object by `least` or more; background overlaps
    the best by `low` to below `high`."""

    count: int = 64
    foreground: float = 0.25
    least: float = 0.5
    low: float = 0.0
    high: float = 0.5

    def sample(self, regions: Tensor, objects: Tensor, random: bool) -> Sample:
        """Of regions (B, R, 4) and the objects (B, M, 6) themselves, which are proposals too."""
        regions = torch.cat([regions, objects[..., :4] * is_learnt(objects)[..., None]], dim=1)
        found = match_regions(regions, objects)
        positive = ~found.spoilt & (found.overlap >= self.least)
        negative = ~found.spoilt & ~positive & (found.overlap >= self.low) & (found.overlap < self.high)
        index, counted = draw(positive, negative, self.count, round(self.count * self.foreground), random)
        which = take(found.which, index)
        labels = torch.where(take(positive, index), take(labels_of(objects), which) + 1, 0)
        return Sample(take(regions, index), labels, take(objects[..., :4], which), counted)


def begin_dense(layers: nn.Module) -> None:
    """Weights for dense layers behind ReLUs that keep the size of what goes through (He et al. 2015); biases 0."""
    for layer in layers.modules():
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)


class RegionHead(nn.Module):
    """Two dense layers on the pooled region, then K + 1 class scores, and four offsets for each of the K classes.

    (N, features) -> logits (N, K + 1), deltas (N, K, 4). It begins as background nearly everywhere and moves nothing.
    """

    def __init__(self, features: int, hidden: int, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dense = nn.Sequential(
            *(nn.Linear(features, hidden), nn.ReLU(), nn.Dropout(dropout)),
            *(nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(dropout)),
        )
        self.classes = nn.Linear(hidden, num_classes + 1)
        self.boxes = nn.Linear(hidden, 4 * num_classes)
        begin_dense(self.dense)
        nn.init.normal_(self.classes.weight, std=0.01)
        nn.init.normal_(self.boxes.weight, std=0.001)
        nn.init.zeros_(self.classes.bias)
        nn.init.zeros_(self.boxes.bias)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        found = self.dense(pooled)
        return self.classes(found), self.boxes(found).unflatten(1, (-1, 4))


def class_losses(logits: Tensor, sample: Sample) -> Tensor:
    """(B, S) cross-entropies of logits (B, S, K + 1); 0 where a region is not counted."""
    found = functional.cross_entropy(logits.flatten(0, 1).float(), sample.labels.flatten(), reduction="none")
    return found.view_as(sample.labels) * sample.counted


def box_losses(deltas: Tensor, sample: Sample) -> Tensor:
    """(B, S) smooth L1 of the offsets (B, S, K, 4) of each region's own class, added up over the four; background has none
    ([u >= 1] in the multi-task loss)."""
    wanted = encode_boxes(sample.boxes, sample.regions, BOX_SCALE)
    mine = (sample.labels - 1).clamp(min=0)[..., None, None].expand(-1, -1, 1, 4)
    away = functional.smooth_l1_loss(deltas.gather(2, mine)[:, :, 0].float(), wanted, reduction="none").sum(dim=2)
    return torch.where((sample.labels > 0) & sample.counted, away, 0)


def mean_of(losses: Tensor, counted: Tensor) -> Tensor:
    """Of losses (B, S) the mean over the counted regions of each picture, then over the pictures."""
    return (losses.sum(dim=1) / counted.sum(dim=1).clamp(min=1)).mean()


class PartwisePredictions(Predictions):
    """Predictions with a head on many regions a picture: where nothing is learnt, a few pictures are computed at a time, so that
    memory stays small however many pictures a batch has. Subclasses say how for all pictures that they hold."""

    _parts: list[PartwisePredictions] | None = None

    @abstractmethod
    def losses_of_all(self, objects: Tensor) -> dict[str, Tensor]: ...
    @abstractmethod
    def detections_of_all(self) -> Tensor: ...
    @abstractmethod
    def __getitem__(self, rows: slice) -> PartwisePredictions: ...

    def _in_parts(self) -> list[PartwisePredictions]:
        if self._parts is None:
            starts = range(0, len(self), PART)
            self._parts = [self[start : start + PART] for start in starts] if len(self) > PART else [self]
        return self._parts

    def losses(self, objects: Tensor) -> dict[str, Tensor]:
        if torch.is_grad_enabled():
            return self.losses_of_all(objects)
        found: dict[str, Tensor] = {}
        for part, rows in zip(self._in_parts(), objects.split(PART), strict=True):
            for name, value in part.losses_of_all(rows).items():
                found[name] = found.get(name, 0) + value * (len(part) / len(self))
        return found

    def detections(self) -> Tensor:
        return torch.cat([part.detections_of_all() for part in self._in_parts()])


class RegionDetector(Protocol):
    """What `RegionPredictions` asks of a detector that is given its regions."""

    training: bool
    sampling: Sampling
    hard_examples: bool  # whether the head learns from the regions whose loss is largest, in place of a random sample

    def describe(self, maps: Tensor, regions: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits (B, R, K + 1) of regions (B, R, 4), and their offsets (B, R, K, 4) where boxes are learnt with the classes."""

    def answer(self, maps: Tensor, regions: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (B, R, K) from 0 to 1, and boxes (B, R, K, 4)."""


class RegionPredictions(PartwisePredictions):
    """maps (B, C, h, w), and the regions (B, R, 4) that are asked about. The head is applied when losses or detections are."""

    def __init__(self, detector: RegionDetector, maps: Tensor, regions: Tensor, size: tuple[int, int]) -> None:
        self.detector, self.maps, self.regions, self.size = detector, maps, regions, size
        self.random = detector.training

    def losses_of_all(self, objects: Tensor) -> dict[str, Tensor]:
        one = self.detector
        sampling = (
            replace(one.sampling, count=self.regions.shape[1] + objects.shape[1]) if one.hard_examples else one.sampling
        )
        sample = sampling.sample(self.regions, objects, self.random)
        if one.hard_examples:
            with torch.no_grad():
                hard = sum(self._losses(sample).values(), torch.zeros(()))
            sample = sample.take(hard.topk(min(one.sampling.count, hard.shape[1]), dim=1).indices)
        return {name: mean_of(values, sample.counted) for name, values in self._losses(sample).items()}

    def _losses(self, sample: Sample) -> dict[str, Tensor]:
        """(B, S) each."""
        logits, deltas = self.detector.describe(self.maps, sample.regions)
        found = {"class": class_losses(logits, sample)}
        return found if deltas is None else found | {"box": box_losses(deltas, sample)}

    def detections_of_all(self) -> Tensor:
        scores, boxes = self.detector.answer(self.maps, self.regions)
        return told(scores, boxes, self.regions, self.size)

    def detach(self) -> RegionPredictions:
        found = copy.copy(self)
        found.maps, found._parts = self.maps.detach(), None
        return found

    def __len__(self) -> int:
        return len(self.maps)

    def __getitem__(self, rows: slice) -> RegionPredictions:
        found = copy.copy(self)
        found.maps, found.regions, found._parts = self.maps[rows], self.regions[rows], None
        return found


def softmax_answer(logits: Tensor, deltas: Tensor, regions: Tensor) -> tuple[Tensor, Tensor]:
    """Scores (B, R, K) and boxes (B, R, K, 4) of a head's logits and offsets."""
    boxes = decode_boxes(deltas.float(), regions[:, :, None], BOX_SCALE)
    return logits.float().softmax(dim=2)[..., 1:], boxes


@record_function("suppression")
def told(scores: Tensor, boxes: Tensor, regions: Tensor, size: tuple[int, int], overlap: float = 0.5) -> Tensor:
    """Detections (B, 100, 6) from scores (B, R, K) and boxes (B, R, K, 4) of regions (B, R, 4): cut off at the edges, suppressed
    class by class above an IoU of `overlap`. Empty regions tell nothing."""
    scores = torch.where(areas(regions)[..., None] > 0, scores.float(), 0)
    return best_detections(clip(boxes, *size), scores, threshold=overlap)

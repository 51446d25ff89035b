"""A sliding window as a detector: every window of several sizes is a crop that a small network gives a class, or none (course
notes §4.3.3 to §4.3.5; *Principles and Practice* §5.1.1).

The network for crops has no padding and is applied as a convolution to the picture at several scales, which is the same as to
every crop alone. Windows are learnt as crops would be: one that overlaps an object by half or more is of its class, one that
overlaps all by less than 0.4 is background, the others are passed over; of the background the hardest, three times as many as
those of objects.
What is found is the window itself: no box is fitted to the object, which is what the method is inaccurate by.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.boxes.geometry import clip, pairwise_iou
from gradus.boxes.nms import best_detections
from gradus.boxes.targets import is_learnt, is_present, labels_of
from gradus.errors import UserError
from gradus.models.as_convolution import as_convolution
from gradus.models.detection.predictions import Predictions

WINDOW = 28  # pixels of a crop, as the network for crops sees it
OBJECT, BACKGROUND = 0.5, 0.4  # of overlap with an object: from here on it is one; below there is none
HARD = 3  # windows of background for each of an object
LEAST = 16  # windows of background a picture, also where there is no object


class WindowPredictions(Predictions):
    """boxes (P, 4): the windows, the same on each picture; logits (B, P, 1 + classes), background first."""

    def __init__(self, boxes: Tensor, logits: Tensor, size: tuple[int, int]) -> None:
        self.boxes, self.logits, self.size = boxes, logits, size

    def losses(self, objects: Tensor) -> dict[str, Tensor]:
        """Cross-entropy of the windows of objects, averaged over those of each picture, and of the hardest of background, which
        weigh three times as much."""
        wanted, learnt = window_labels(self.boxes, objects)
        entropy = functional.cross_entropy(self.logits.transpose(1, 2), wanted, reduction="none")
        mine = wanted > 0
        away = torch.where(learnt & ~mine, entropy.detach(), -1.0)
        rank = away.argsort(dim=1, descending=True).argsort(dim=1)
        hard = (away >= 0) & (rank < (HARD * mine.sum(dim=1, keepdim=True)).clamp(min=LEAST))
        object_loss, background = ((entropy * ones).sum(dim=1) / ones.sum(dim=1).clamp(min=1) for ones in (mine, hard))
        return {"object": object_loss.mean(), "background": HARD * background.mean()}

    def detections(self) -> Tensor:
        """At most 30 % overlap between boxes: neighbouring windows are all of the same object."""
        height, width = self.size
        boxes = clip(self.boxes, height, width).expand(len(self), -1, -1)
        return best_detections(boxes, self.logits.softmax(dim=2)[..., 1:], threshold=0.3)

    def detach(self) -> WindowPredictions:
        found = WindowPredictions(self.boxes, self.logits.detach(), self.size)
        found.parts = self.parts
        return found

    def __len__(self) -> int:
        return len(self.logits)

    def __getitem__(self, rows: slice) -> WindowPredictions:
        return WindowPredictions(self.boxes, self.logits[rows], self.size)


def window_labels(boxes: Tensor, objects: Tensor) -> tuple[Tensor, Tensor]:
    """The class of each of windows (P, 4), background being 0: int64 (B, P); and which are learnt: bool (B, P)."""
    overlap = pairwise_iou(boxes, objects[..., :4])
    best, which = torch.where(is_learnt(objects)[:, None], overlap, 0).max(dim=2)
    anything = torch.where(is_present(objects)[:, None], overlap, 0).amax(dim=2)
    labels = labels_of(objects).clamp(min=0).gather(1, which) + 1
    return torch.where(best >= OBJECT, labels, 0), (best >= OBJECT) | (anything < BACKGROUND)


def crop_network(num_classes: int, in_channels: int, width: int) -> nn.Sequential:
    """The network for crops of 28x28: logits (B, 1 + num_classes), background first."""
    return nn.Sequential(
        *(nn.Conv2d(in_channels, width, 5), nn.ReLU(), nn.MaxPool2d(2)),  # 24x24, 12x12
        *(nn.Conv2d(width, 2 * width, 3), nn.ReLU(), nn.MaxPool2d(2)),  # 10x10, 5x5
        *(nn.Flatten(), nn.Linear(50 * width, 4 * width), nn.ReLU(), nn.Linear(4 * width, 1 + num_classes)),
    )


class SlidingWindow(nn.Module):
    """(B, in_channels, H, W) -> `WindowPredictions`.

    sizes:   sides of the windows, as shares of the shorter side of the picture
    aspects: width / height of the windows
    width:   maps of the first layer
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        sizes: Sequence[float] = (0.09, 0.125, 0.18, 0.25, 0.35, 0.5),
        aspects: Sequence[float] = (1.0,),
        width: int = 16,
    ) -> None:
        super().__init__()
        if not sizes or not all(0 < size <= 1 for size in sizes) or not all(0.1 <= one <= 10 for one in aspects):
            raise UserError("sliding_window: sizes are shares of the shorter side above 0, aspects lie from 0.1 to 10")
        self.windows = as_convolution(crop_network(num_classes, in_channels, width), WINDOW, in_channels).train()
        self.sizes, self.aspects = tuple(sizes), tuple(aspects)

    def scales(self, height: int, width: int) -> list[tuple[int, int]]:
        """(height, width) that a picture is brought to, so that a crop of 28x28 is a window of each size and aspect."""
        found = []
        for size in self.sizes:
            for aspect in self.aspects:
                side = size * min(height, width)
                down, across = WINDOW / (side / aspect**0.5), WINDOW / (side * aspect**0.5)
                scaled = round(height * down), round(width * across)
                if min(scaled) >= WINDOW:
                    found.append(scaled)
        return found

    def forward(self, pictures: Tensor) -> WindowPredictions:
        height, width = pictures.shape[2:]
        scales = self.scales(height, width)
        if not scales:
            raise UserError(f"sliding_window: no window fits into pictures of {width}x{height}")
        boxes, logits = [], []
        for scaled in scales:
            smaller = functional.interpolate(pictures, scaled, mode="bilinear", antialias=True, align_corners=False)
            logits.append(self.windows(smaller).flatten(2).transpose(1, 2).float())
            boxes.append(self._boxes(scaled, (height, width), pictures.device))
        return WindowPredictions(torch.cat(boxes), torch.cat(logits, dim=1), (height, width))

    def _boxes(self, scaled: tuple[int, int], size: tuple[int, int], device: torch.device) -> Tensor:
        """(P, 4) the windows of one scale, in pixels of the picture."""
        down, across = scaled[0] / size[0], scaled[1] / size[1]
        top, left = (one.to(device) for one in self.windows.corners(*scaled))
        top, left = (one.flatten().float() for one in torch.meshgrid(top, left, indexing="ij"))
        return torch.stack([left / across, top / down, (left + WINDOW) / across, (top + WINDOW) / down], dim=1)

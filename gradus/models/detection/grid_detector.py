"""A one-stage detector on a grid: every cell answers for the objects whose centre is in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.boxes.geometry import giou
from gradus.boxes.nms import best_detections
from gradus.boxes.targets import is_learnt, labels_of
from gradus.models.backbone import Backbone
from gradus.models.detection.predictions import Predictions


class GridPredictions(Predictions):
    """boxes (B, P, 4); logits (B, P, classes); cells (P, 3): centre x, y and stride, in pixels."""

    def __init__(self, boxes: Tensor, logits: Tensor, cells: Tensor) -> None:
        self.boxes, self.logits, self.cells = boxes, logits, cells

    def losses(self, objects: Tensor) -> dict[str, Tensor]:
        classes = self.logits.shape[2]
        learnt = is_learnt(objects)
        centres = (objects[..., :2] + objects[..., 2:4]) / 2
        offset = (self.cells[None, :, None, :2] - centres[:, None]).abs().amax(dim=3)
        offset = torch.where((offset <= self.cells[None, :, None, 2]) & learnt[:, None], offset, torch.inf)
        best, which = offset.min(dim=2)
        mine = best.isfinite()
        given = objects[..., :4].gather(1, which[..., None].expand(-1, -1, 4))
        labels = labels_of(objects).clamp(min=0).gather(1, which)
        wanted = functional.one_hot(labels, classes).to(self.logits) * mine[..., None]
        number = mine.sum().clamp(min=1)
        probability = self.logits.sigmoid()
        away = torch.where(wanted > 0, 1 - probability, probability)
        entropy = functional.binary_cross_entropy_with_logits(self.logits, wanted, reduction="none")
        shape = (1 - giou(self.boxes, given)) * mine
        return {"class": (entropy * away**2).sum() / number, "box": shape.sum() / number}

    def detections(self) -> Tensor:
        return best_detections(self.boxes, self.logits.sigmoid())

    def detach(self) -> GridPredictions:
        found = GridPredictions(self.boxes.detach(), self.logits.detach(), self.cells)
        found.parts = self.parts
        return found

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: slice) -> GridPredictions:
        return GridPredictions(self.boxes[rows], self.logits[rows], self.cells)


class GridDetector(nn.Module):
    """(B, C, H, W) -> `GridPredictions`."""

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        picture_size: Sequence[int] = (320, 320),
        backbone: str = "squeezenet1_0",
        width: int = 128,
    ) -> None:
        super().__init__()
        self.backbone = Backbone(backbone, (8, 16), in_channels)
        fine, coarse = self.backbone.levels
        self.lateral = nn.Conv2d(fine.channels, width, 1)
        self.top = nn.Conv2d(coarse.channels, width, 1)
        self.mix = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU()
        )
        self.head = nn.Conv2d(width, 4 + num_classes, 1)
        nn.init.zeros_(self.head.weight)
        assert self.head.bias is not None
        nn.init.constant_(self.head.bias[:4], 1.0)
        nn.init.constant_(self.head.bias[4:], -4.0)

    def forward(self, pictures: Tensor) -> GridPredictions:
        fine, coarse = self.backbone(pictures)
        maps = self.lateral(fine) + functional.interpolate(self.top(coarse), fine.shape[2:])
        found = self.head(self.mix(maps)).permute(0, 2, 3, 1)
        rows, height, width, _ = found.shape
        stride = self.backbone.levels[0].stride
        y = (torch.arange(height, device=found.device) + 0.5) * stride
        x = (torch.arange(width, device=found.device) + 0.5) * stride
        centres = torch.stack([x.expand(height, -1), y[:, None].expand(-1, width)], dim=2).view(-1, 2)
        found = found.reshape(rows, height * width, -1)
        reach = functional.softplus(found[..., :4]) * 2 * stride
        boxes = torch.cat([centres - reach[..., :2], centres + reach[..., 2:]], dim=2)
        cells = torch.cat([centres, torch.full_like(centres[:, :1], stride)], dim=1)
        return GridPredictions(boxes, found[..., 4:], cells)

    def load_backbone(self, tensors: Mapping[str, Tensor], where: str) -> list[str]:
        return self.backbone.load(tensors, where)

"""SSD: Liu, Anguelov, Erhan, Szegedy, Reed, Fu, Berg 2016, *SSD: Single Shot MultiBox Detector*, on any backbone and size of
pictures. The paper's own networks are in `ssd_vgg.py`.

Maps of falling size, each with prior boxes (`boxes/anchors.py`); 3x3 convolutions tell for every prior C + 1 scores (0:
background) and four offsets. An object is learnt by its best prior and by all that it overlaps by 0.5.

Differs from the paper: the loss of a picture is divided by its own matched priors (in Caffe by those of the batch), so that how a
batch is cut changes nothing; of a picture without objects the three hardest negatives are learnt, where the paper learns nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.boxes.anchors import ssd_priors, ssd_sizes
from gradus.boxes.assignment import NEITHER, assign, assigned
from gradus.boxes.coding import decode_boxes, encode_boxes
from gradus.boxes.mining import hard_negatives
from gradus.boxes.nms import best_detections
from gradus.errors import UserError
from gradus.models.detection.predictions import Predictions
from gradus.models.detection.pyramid import backbone_with

VARIANCES = (0.1, 0.1, 0.2, 0.2)  # of the offsets
NEGATIVES = 3  # for each matched prior
OVERLAP, CANDIDATES, TOLD = 0.45, 400, 200  # of suppression
LEVELS = 6


class SsdPredictions(Predictions):
    """offsets (B, P, 4); logits (B, P, 1 + classes), the first of background; priors (P, 4) in pixels."""

    def __init__(self, offsets: Tensor, logits: Tensor, priors: Tensor) -> None:
        self.offsets, self.logits, self.priors = offsets, logits, priors

    def losses(self, objects: Tensor) -> dict[str, Tensor]:
        """The MultiBox loss: smooth L1 of the matched priors' offsets, and cross-entropy of these and of three times as many
        negatives, those that are taken for something most."""
        which = assign(self.priors, objects)
        matched, (given, labels) = which >= 0, assigned(objects, which)
        entropy = functional.cross_entropy(self.logits.transpose(1, 2), labels + 1, reduction="none")
        number = matched.sum(dim=1).clamp(min=1)
        counted = matched | hard_negatives(entropy, matched, NEGATIVES, which == NEITHER, least=NEGATIVES)
        given = torch.where(matched[..., None], given, self.priors)
        wanted = encode_boxes(given, self.priors, VARIANCES)
        away = functional.smooth_l1_loss(self.offsets, wanted, reduction="none").sum(dim=2)
        return {
            "class": ((entropy * counted).sum(dim=1) / number).mean(),
            "box": (torch.where(matched, away, 0).sum(dim=1) / number).mean(),
        }

    def detections(self) -> Tensor:
        scores = self.logits.softmax(dim=2)[..., 1:]
        boxes = decode_boxes(self.offsets, self.priors, VARIANCES)
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
    """Maps -> offsets (B, P, 4) and logits (B, P, outputs), in the order of `ssd_priors`."""

    def __init__(self, channels: Sequence[int], shapes: Sequence[int], outputs: int) -> None:
        super().__init__()
        pairs = list(zip(channels, shapes, strict=True))
        self.offsets = nn.ModuleList(nn.Conv2d(width, 4 * count, 3, padding=1) for width, count in pairs)
        self.scores = nn.ModuleList(nn.Conv2d(width, outputs * count, 3, padding=1) for width, count in pairs)
        self.outputs = outputs

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        def read(layers: nn.ModuleList, numbers: int) -> Tensor:
            found = [layer(one).permute(0, 2, 3, 1) for layer, one in zip(layers, maps, strict=True)]
            return torch.cat([one.reshape(len(one), -1, numbers) for one in found], dim=1).float()

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


class Ssd(nn.Module):
    """(B, C, height, width) of `picture_size` -> `SsdPredictions`.

    strides: of the backbone's maps, where it has them; coarser ones are made by further layers, six maps in all or until a map
             is a cell
    scales:  sizes of priors as shares of the shorter side, one a map and one more; None: the paper's, 0.1, then 0.2 to 0.9
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
        channels, steps = [level.channels for level in levels], [level.stride for level in levels]
        further: list[nn.Module] = []
        while len(steps) < LEVELS and min(picture_size) > steps[-1]:
            further.append(extra_layers(channels[-1], width // 2, width))
            channels.append(width)
            steps.append(2 * steps[-1])
        count = len(steps)
        scales = ssd_sizes(1, count) if scales is None else scales
        if len(scales) != count + 1 or min(scales) <= 0:
            raise UserError(f"ssd: scales: {count} maps need {count + 1} numbers above 0, received {list(scales)}")
        self.norm = ScaledL2Norm(channels[0])
        self.further = nn.ModuleList(further)
        self.sizes = [scale * min(picture_size) for scale in scales]
        self.ratios = [(2.0, 3.0) if 0 < index < count - 2 else (2.0,) for index in range(count)]
        shapes = [2 + 2 * len(ratios) for ratios in self.ratios]
        self.heads = Heads(channels, shapes, 1 + num_classes)
        draw_weights(self.further)
        draw_weights(self.heads)

    def forward(self, pictures: Tensor) -> SsdPredictions:
        maps = self.backbone(pictures)
        for layer in self.further:
            maps.append(layer(maps[-1]))
        maps[0] = self.norm(maps[0])
        cells = [(one.shape[2], one.shape[3]) for one in maps]
        priors = ssd_priors(pictures.shape[2:], cells, self.sizes, self.ratios)
        offsets, logits = self.heads(maps)
        return SsdPredictions(offsets, logits, priors.to(pictures.device))

    def load_backbone(self, tensors: Mapping[str, Tensor], where: str) -> list[str]:
        return self.backbone.load(tensors, where)

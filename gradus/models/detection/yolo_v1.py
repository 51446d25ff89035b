"""YOLO: Redmon, Divvala, Girshick, Farhadi 2016, *You Only Look Once: Unified, Real-Time Object Detection*.

A picture is cut into a grid of S x S cells. The cell that holds the centre of an object tells it: B boxes of (x, y, square roots
of width and height, confidence) and C class probabilities, all of them linear outputs with a squared error, no softmax. So there
are at most S x S objects, whatever their classes: of several centres in one cell the first object is learnt.

Papers leave open or differ in: the network gives the square root itself, as the authors' code does (a root of an output has no
gradient at 0, and none below); where no box of a cell meets the object, the nearest in these numbers is responsible (their code
too); scores are cut to 0 to 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.boxes.geometry import iou
from gradus.boxes.nms import best_detections
from gradus.boxes.targets import boxes_of, is_learnt, is_present, labels_of
from gradus.errors import UserError
from gradus.models.backbone import Backbone, strides_of
from gradus.models.detection.predictions import Predictions
from gradus.models.detection.pyramid import GROUPS

COORDINATES, NO_OBJECT = 5.0, 0.5  # lambda_coord, lambda_noobj
CELL = 64  # pixels of a cell of the paper: 7 x 7 in 448 x 448
FEWEST_CELLS = 7
SLOPE = 0.1  # of the leaky ReLU


def encode(objects: Tensor, grid: tuple[int, int], size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """What the cells learn of objects (B, M, 6) on pictures of `size` (height, width), cells row by row:

    place (B, S, 4): x and y of the centre in the cell, 0 to 1; square roots of width and height as shares of the picture
    label int (B, S): -1 where there is no object
    unknown bool (B, S): cells with their middle in an ignored object, or that hold its centre: no background either
    """
    (rows, columns), (height, width) = grid, size
    boxes = boxes_of(objects)
    across, down = (boxes[..., 0::2].mean(2) / width * columns, boxes[..., 1::2].mean(2) / height * rows)
    column, row = across.floor().clamp(0, columns - 1), down.floor().clamp(0, rows - 1)
    cell = (row * columns + column).long()
    number = torch.arange(objects.shape[1], device=objects.device)
    late = torch.where(is_learnt(objects), number, objects.shape[1])
    first = torch.full((len(objects), rows * columns), objects.shape[1], device=objects.device)
    first = first.scatter_reduce(1, cell, late, "amin")
    taken = first < objects.shape[1]
    which = torch.where(taken, first, 0)
    sides = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0) / boxes.new_tensor([width, height])
    place = torch.cat([torch.stack([across - column, down - row], dim=2), sides.sqrt()], dim=2)
    place = place.gather(1, which[..., None].expand(-1, -1, 4))
    label = torch.where(taken, labels_of(objects).gather(1, which), -1)
    ignored = is_present(objects) & ~is_learnt(objects)
    y = (torch.arange(rows, device=objects.device) + 0.5) * height / rows
    x = (torch.arange(columns, device=objects.device) + 0.5) * width / columns
    middles = torch.stack([x.repeat(rows), y.repeat_interleave(columns)], dim=1)[None, :, None]  # (1, S, 1, 2)
    inside = ((middles >= boxes[:, None, :, :2]) & (middles <= boxes[:, None, :, 2:])).all(dim=3)
    holds = cell[:, None] == torch.arange(rows * columns, device=objects.device)[:, None]
    return place, label, ((inside | holds) & ignored[:, None]).any(dim=2)


def decode(places: Tensor, grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """(B, S, N, 4) as `encode` has them -> boxes (B, S, N, 4) in pixels."""
    (rows, columns), (height, width) = grid, size
    number = torch.arange(rows * columns, device=places.device)
    corner = torch.stack([number % columns, number // columns], dim=1)[:, None]  # (S, 1, 2)
    cell, picture = places.new_tensor([width / columns, height / rows]), places.new_tensor([width, height])
    middle, half = (places[..., :2] + corner) * cell, places[..., 2:] ** 2 * picture / 2
    return torch.cat([middle - half, middle + half], dim=3)


class YoloPredictions(Predictions):
    """places (B, S, boxes, 4) as `encode` has them; confidence (B, S, boxes); classes (B, S, C): as the network gives them."""

    def __init__(
        self, places: Tensor, confidence: Tensor, classes: Tensor, grid: tuple[int, int], size: tuple[int, int]
    ) -> None:
        self.places, self.confidence, self.classes, self.grid, self.size = places, confidence, classes, grid, size

    def losses(self, objects: Tensor) -> dict[str, Tensor]:
        """The paper's equation 3, its sums over cells and boxes taken for each picture."""
        place, label, unknown = encode(objects, self.grid, self.size)
        taken = label >= 0  # 1_i^obj
        told = self.places.detach()
        overlap = iou(decode(told, self.grid, self.size), decode(place[:, :, None], self.grid, self.size))
        distance = ((told - place[:, :, None]) ** 2).sum(dim=3)
        meets = (overlap > 0).any(dim=2, keepdim=True)
        best = torch.where(meets, overlap, -distance).argmax(dim=2)
        responsible = functional.one_hot(best, overlap.shape[2]) * taken[..., None]  # 1_ij^obj
        away = ((self.places - place[:, :, None]) ** 2).sum(dim=3) * responsible
        error = (self.confidence - overlap * responsible) ** 2
        empty = (1 - responsible) * (taken | ~unknown)[..., None]
        wanted = functional.one_hot(label.clamp(min=0), self.classes.shape[2])
        wrong = ((self.classes - wanted) ** 2).sum(dim=2) * taken
        return {
            "box": COORDINATES * away.sum(dim=(1, 2)).mean(),
            "confidence": (error * (responsible + NO_OBJECT * empty)).sum(dim=(1, 2)).mean(),
            "class": wrong.sum(dim=1).mean(),
        }

    def detections(self) -> Tensor:
        boxes = decode(self.places, self.grid, self.size).flatten(1, 2)
        scores = self.confidence[..., None].clamp(0, 1) * self.classes[:, :, None].clamp(0, 1)
        return best_detections(boxes, scores.flatten(1, 2))

    def detach(self) -> YoloPredictions:
        places, confidence, classes = (one.detach() for one in (self.places, self.confidence, self.classes))
        found = YoloPredictions(places, confidence, classes, self.grid, self.size)
        found.parts = self.parts
        return found

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, rows: slice) -> YoloPredictions:
        return YoloPredictions(self.places[rows], self.confidence[rows], self.classes[rows], self.grid, self.size)


class YoloV1(nn.Module):
    """(B, C, height, width) of `picture_size` -> `YoloPredictions`.

    grid:   rows and columns of cells; None: cells of 64 pixels, at least 7 x 7
    boxes:  that a cell tells of its object
    head:   "dense": two dense layers over the whole map, as in the paper; "convolutional": each cell from its surroundings, with
            a hundredth of the parameters
    width:  channels of the four convolutions after the backbone
    hidden: units of the dense head
    normalize: group normalisation after each of the four convolutions, where the authors' own `yolov1.cfg` has batch
            normalisation. Their paper has none; without, on a backbone that has none either (SqueezeNet), the loss begins
            at thousands
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        picture_size: Sequence[int] = (448, 448),
        backbone: str = "squeezenet1_0",
        grid: Sequence[int] | None = None,
        boxes: int = 2,
        head: str = "dense",
        width: int = 1024,
        hidden: int = 4096,
        dropout: float = 0.5,
        normalize: bool = True,
    ) -> None:
        super().__init__()
        height, across = picture_size
        rows, columns = (max(FEWEST_CELLS, round(side / CELL)) for side in picture_size) if grid is None else grid
        if min(rows, columns, boxes, width, hidden) < 1:
            raise UserError("yolo_v1: grid, boxes, width and hidden must be whole numbers above 0")
        if head not in ("dense", "convolutional"):
            raise UserError(f"yolo_v1: head is 'dense' or 'convolutional', received '{head}'")
        if normalize and width % GROUPS:
            raise UserError(f"yolo_v1: a width that is normalised is a multiple of {GROUPS}, received {width}")
        self.size, self.grid, self.boxes, self.classes = (height, across), (rows, columns), boxes, num_classes
        self.backbone = Backbone(backbone, (min(32, strides_of(backbone, in_channels)[-1]),), in_channels)
        outputs = boxes * 5 + num_classes
        level = self.backbone.levels[-1]
        halved = height // level.stride >= 2 * rows and across // level.stride >= 2 * columns  # 14 x 14 in the paper
        stride = 2 if halved else 1
        self.before = nn.Sequential(
            _conv(level.channels, width, normalize=normalize), _conv(width, width, stride, normalize)
        )
        self.pool = nn.AdaptiveAvgPool2d((rows, columns))  # where the maps have another size than the grid
        self.after = nn.Sequential(*(_conv(width, width, normalize=normalize) for _ in range(2)))
        last: nn.Linear | nn.Conv2d
        if head == "dense":
            cells = rows * columns
            last = nn.Linear(hidden, cells * outputs)
            self.head = nn.Sequential(
                nn.Flatten(), nn.Linear(width * cells, hidden), nn.LeakyReLU(SLOPE), nn.Dropout(dropout), last
            )
        else:
            last = nn.Conv2d(width, outputs, 1)
            self.head = nn.Sequential(last)
        nn.init.normal_(last.weight, std=0.01)
        assert last.bias is not None
        nn.init.zeros_(last.bias)

    def forward(self, pictures: Tensor) -> YoloPredictions:
        maps = self.after(self.pool(self.before(self.backbone(pictures)[-1])))
        found = self.head(maps).float()  # bf16 would tell places in steps of pixels
        rows, cells = len(pictures), self.grid[0] * self.grid[1]
        found = found.view(rows, cells, -1) if found.ndim == 2 else found.flatten(2).transpose(1, 2)
        boxes = found[..., : 5 * self.boxes].reshape(rows, cells, self.boxes, 5)
        size = (pictures.shape[2], pictures.shape[3])
        return YoloPredictions(boxes[..., :4], boxes[..., 4], found[..., 5 * self.boxes :], self.grid, size)

    def load_backbone(self, tensors: Mapping[str, Tensor], where: str) -> list[str]:
        return self.backbone.load(tensors, where)


def _conv(channels: int, width: int, stride: int = 1, normalize: bool = True) -> nn.Sequential:
    layer = nn.Conv2d(channels, width, 3, stride, 1, bias=not normalize)
    nn.init.kaiming_normal_(layer.weight, a=SLOPE)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    norm = [nn.GroupNorm(GROUPS, width)] if normalize else []
    return nn.Sequential(layer, *norm, nn.LeakyReLU(SLOPE))

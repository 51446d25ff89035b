"""Grid encoding (YOLO): every cell of a grid answers for the object whose middle lies in it, with one slot for each anchor.

    slot: present, x, y, height, width, one number for each class

x and y are from 0 to 1 within the cell; height and width are in cells and may exceed 1 (course notes §4.3.6, whose order this is;
YOLO v1 measures sides by the picture). Where nothing is present the rest is 0 and means nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from gradus.boxes.anchors import shape_iou
from gradus.boxes.geometry import from_centres, to_centres
from gradus.boxes.targets import boxes_of, is_learnt, labels_of


def encode_grid(
    objects: Tensor,
    picture_size: Sequence[int],
    cells: tuple[int, int],
    classes: int,
    anchors: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Objects (B, M, 6) -> grid (B, rows, columns, A, 5 + classes), and bool (B, M): objects that found their slot taken.

    cells: rows, columns; anchors: (A, 2) widths and heights in pixels, None: one slot a cell. An object takes the slot of the
    anchor that is most like it in shape. Of two for one slot the first stays; ignored objects and middles outside are left out.
    """
    rows, columns = cells
    boxes = to_centres(boxes_of(objects))
    side = boxes.new_tensor([picture_size[1] / columns, picture_size[0] / rows])
    places = boxes[..., :2] / side  # in cells
    column, row = places.floor().long().unbind(-1)
    inside = is_learnt(objects) & (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
    slots = 1 if anchors is None else len(anchors)
    slot = (row * columns + column) * slots
    if anchors is not None:
        slot += shape_iou(boxes[..., 2:].flatten(0, 1), anchors.to(boxes)).argmax(dim=1).view_as(slot)
    slot = torch.where(inside, slot, rows * columns * slots)  # what is left out goes into one slot more
    order = torch.arange(slot.shape[1], device=slot.device).expand_as(slot)
    first = torch.full((len(slot), rows * columns * slots + 1), slot.shape[1], device=slot.device)
    first = first.scatter_reduce(1, slot, order, "amin")
    kept = inside & (first.gather(1, slot) == order)
    kinds = functional.one_hot(labels_of(objects).clamp(min=0), classes).to(boxes)
    sizes = (boxes[..., 2:] / side).flip(-1)  # height, width
    values = torch.cat([torch.ones_like(sizes[..., :1]), places - places.floor(), sizes, kinds], dim=-1)
    target = torch.where(kept, slot, rows * columns * slots)
    grid = boxes.new_zeros(len(slot), rows * columns * slots + 1, 5 + classes)
    grid = grid.scatter(1, target[..., None].expand_as(values), values)
    return grid[:, :-1].view(len(slot), rows, columns, slots, -1), inside & ~kept


def decode_grid(grid: Tensor, picture_size: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Grid (B, rows, columns, A, 5 + classes) -> boxes (B, P, 4) in pixels, present (B, P), class numbers (B, P, classes)."""
    _, rows, columns, _, _ = grid.shape
    side = grid.new_tensor([picture_size[1] / columns, picture_size[0] / rows])
    y, x = torch.arange(rows, device=grid.device), torch.arange(columns, device=grid.device)
    corner = torch.stack([x.expand(rows, -1), y[:, None].expand(-1, columns)], dim=-1)[:, :, None]
    middles = (grid[..., 1:3] + corner) * side
    boxes = from_centres(torch.cat([middles, grid[..., 3:5].flip(-1) * side], dim=-1))
    return boxes.flatten(1, 3), grid[..., 0].flatten(1, 3), grid[..., 5:].flatten(1, 3)

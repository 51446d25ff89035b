"""Anchors and grids: how a network's places learn which object they answer for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from gradus.boxes.anchors import SSD300, SSD512, grid_anchors, kmeans_anchors, shape_iou, ssd_priors
from gradus.boxes.assignment import assign
from gradus.boxes.coding import encode_boxes
from gradus.boxes.geometry import pairwise_iou
from gradus.boxes.grid import decode_grid, encode_grid
from gradus.lessons.drawing import bare
from gradus.look.charts import INK, LINE, MODEL, MUTED, SECOND, THIRD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from gradus.lessons.page import LessonPage

SIDE = 256.0
SMALL, LARGE = [36.0, 150, 92, 206], [88.0, 30, 240, 160]  # a cat and a dog, say
OBJECTS = torch.tensor([[[*SMALL, 0, 0], [*LARGE, 1, 0]]])
RATIOS = (1.0, 2.0, 0.5)
CAR = torch.tensor([[[195.0, 105, 285, 155, 1, 0]]])  # 3 x 3 cells of 100 pixels: its middle is in cell 6


def paint_grid(axes: Axes, cells: int, side: float) -> None:
    """The lines between cells x cells of a square picture, y downwards."""
    for line in np.linspace(0, side, cells + 1):
        axes.plot([line, line], [0, side], color=LINE, linewidth=0.8)
        axes.plot([0, side], [line, line], color=LINE, linewidth=0.8)
    axes.set(xlim=(-2, side + 2), ylim=(side + 2, -2))
    axes.set_aspect("equal")


def paint_box(axes: Axes, box: Sequence[float], colour: str, style: str = "-", width: float = 1.6) -> None:
    """One box, as left, top, right, bottom."""
    left, top, right, bottom = (float(side) for side in box)
    axes.plot([left, right, right, left, left], [top, top, bottom, bottom, top], style, color=colour, linewidth=width)


def maps() -> list[tuple[int, torch.Tensor]]:
    """Cells a side and anchors of two maps of one picture: small ones on 8 x 8 cells, large ones on 4 x 4."""
    return [
        (cells, grid_anchors(cells, cells, SIDE / cells, (size,), RATIOS)) for cells, size in ((8, 56.0), (4, 136.0))
    ]


def show(page: LessonPage) -> None:
    page.text(
        "A convolutional detector answers at every cell of a map. **Anchors** (SSD: prior boxes) give each cell a few boxes to "
        "start from, of several sizes and ratios. In training an anchor stands for the object that it overlaps by half or "
        "more, or for the one that no anchor overlaps better; all others are background. A fine map has small anchors and "
        "finds small objects, a coarse one large ones."
    )
    found = []

    def matched(every):
        for axes, (cells, anchors) in zip(every, maps(), strict=True):
            paint_grid(axes, cells, SIDE)
            which = assign(anchors, OBJECTS, force=False)[0]
            for anchor, owner in zip(anchors, which.tolist(), strict=True):
                if owner >= 0:
                    paint_box(axes, anchor.tolist(), (MODEL, SECOND)[owner], "--", 1.1)
            for box, colour in ((SMALL, MODEL), (LARGE, SECOND)):
                paint_box(axes, box, colour, width=2.6)
            bare(axes, f"{cells} × {cells} cells")

    for cells, anchors in maps():
        which = assign(anchors, OBJECTS, force=False)[0]
        found.append((f"{cells} × {cells}", len(anchors), int((which == 0).sum()), int((which == 1).sum())))
    page.figure(
        matched,
        "Which anchors stand for which object",
        keys=(("model", "small object"), ("second", "large object")),
        panels=(1, 2),
        size=(7.2, 3.8),
        note="Dashed: anchors that overlap the object by half or more.",
    )
    page.table(("map", "anchors", "for the small object", "for the large one"), found)
    page.number("small_on_fine", found[0][2], "anchors of the fine map for the small object")
    page.number("large_on_coarse", found[1][3], "anchors of the coarse map for the large object")
    _regression(page)
    _counts(page)
    _kmeans(page)
    _grid(page)


def _regression(page: LessonPage) -> None:
    page.heading("From the anchor to the box")
    anchors, box = maps()[1][1], torch.tensor(LARGE)
    best = anchors[int(pairwise_iou(anchors, box[None])[:, 0].argmax())]
    deltas = encode_boxes(box, best)
    page.text(
        "What such an anchor has to learn is how far to move, in its own widths and heights, and how much to stretch:"
    )
    page.formula(
        r"t_x=\frac{G_x-P_x}{P_w},\quad t_y=\frac{G_y-P_y}{P_h},\quad t_w=\ln\frac{G_w}{P_w},\quad t_h=\ln\frac{G_h}{P_h}"
    )
    page.table(("anchor", "t_x", "t_y", "t_w", "t_h"), [(str([round(v) for v in best.tolist()]), *deltas.tolist())])


def _counts(page: LessonPage) -> None:
    page.heading("How many there are")
    rpn = grid_anchors(32, 32, 16, (128, 256, 512), RATIOS)
    page.number("rpn", len(rpn), "Faster R-CNN: 32 × 32 cells with nine each")
    for name, side, (cells, sizes, ratios) in (("ssd300", 300, SSD300), ("ssd512", 512, SSD512)):
        count = len(ssd_priors((side, side), [(m, m) for m in cells], sizes, ratios))
        page.number(name, count, f"SSD{side}", printed={300: 8732, 512: 24564}[side])


def _kmeans(page: LessonPage) -> None:
    page.heading("Shapes from the data")
    generator = torch.Generator().manual_seed(0)
    shapes = torch.tensor([[14.0, 40], [60, 26], [110, 110]]).repeat(40, 1)
    sizes = shapes * (0.25 * torch.randn(len(shapes), 2, generator=generator)).exp()
    anchors = kmeans_anchors(sizes, 3)
    near = shape_iou(sizes, anchors).argmax(dim=1)

    def clusters(axes):
        for number, colour in enumerate((MODEL, SECOND, THIRD)):
            axes.scatter(*sizes[near == number].T.numpy(), s=7, color=colour)
        axes.scatter(*anchors.T.numpy(), marker="x", s=70, color=INK)
        axes.set(xlabel="width", ylabel="height")

    page.text(
        "Sizes can be taken from the true boxes, by k-means. The distance is 1 − IoU: lengths would favour large boxes."
    )
    page.figure(clusters, "Shapes of 120 boxes and three anchors", keys=(("ink", "anchors"),))
    page.number("mean_iou", float(shape_iou(sizes, anchors).amax(dim=1).mean()), "mean IoU of a box with its anchor")


def _grid(page: LessonPage) -> None:
    page.heading("One cell answers")
    grid, _ = encode_grid(CAR, (300, 300), (3, 3), 3)
    cell = grid.flatten(1, 3)[0, 5]
    page.text(
        "YOLO does without overlaps: the cell that holds the **middle** of an object answers for it. Its numbers are whether "
        "there is an object, where the middle lies within the cell, height and width in cells, and the class."
    )

    def responsible(axes):
        paint_grid(axes, 3, 300)
        axes.fill_between([200, 300], 100, 200, color=MUTED, alpha=0.25)
        paint_box(axes, CAR[0, 0, :4].tolist(), MODEL, width=2.4)
        axes.plot([240], [130], "o", color=SECOND, markersize=5)
        for number in range(9):
            axes.text(100 * (number % 3) + 6, 100 * (number // 3) + 18, str(number + 1), color=MUTED)
        bare(axes)

    page.figure(
        responsible, "Cell 6 is responsible", keys=(("model", "a car"), ("second", "its middle")), size=(3.6, 3.4)
    )
    names = ("present", "x", "y", "height", "width", "pedestrian", "car", "motorcycle")
    page.table(("cell", *names), [("6", *cell.tolist()), ("1", *grid.flatten(1, 3)[0, 0].tolist())])
    page.number("numbers", grid[0].numel(), "numbers of the whole grid: 3 × 3 × 8")
    back = decode_grid(grid, (300, 300))[0][0, 5]
    page.number("round_trip", float((back - CAR[0, 0, :4]).abs().max()), "pixels lost on the way there and back")
    two = torch.cat([CAR, CAR + torch.tensor([-10.0, -5, 5, 5, -1, 0])], dim=1)
    page.number("lost", int(encode_grid(two, (300, 300), (3, 3), 3)[1].sum()), "of two objects in one cell, lost")
    anchors = torch.tensor([[40.0, 80], [90, 50]])
    person = torch.tensor([[[220.0, 110, 262, 190, 0, 0]]])
    pair = encode_grid(torch.cat([CAR, person], dim=1), (300, 300), (3, 3), 3, anchors)
    page.number(
        "kept_by_anchors", int(pair[0][..., 0].sum()), "with a tall and a wide anchor a cell: objects kept of two"
    )

"""Non-maximum suppression: four boxes around one dandelion become one; and what soft suppression does instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.lessons.drawing import bare, paint_cells
from gradus.look.charts import INK, MODEL, MUTED, SECOND, TEXT_SIZE, THIRD
from gradus.reference.boxes import non_maximum_suppression, soft_suppression
from gradus.reference.overlap import box_area, box_iou

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from gradus.lessons.page import LessonPage

# *Principles and Practice* listing 5-1; corners are pixels that belong to the box
BOXES = np.array([[204.0, 102, 358, 250], [257, 118, 380, 250], [280, 135, 400, 250], [255, 118, 360, 235]])
SCORES = np.array([0.5, 0.7, 0.6, 0.7])
THRESHOLD = 0.3
COLOURS = (MUTED, MODEL, SECOND, THIRD)
# two flowers side by side, whose boxes overlap by more than the threshold, and a second box on the left one
CLOSE = np.array([[0.0, 0, 100, 100], [8, 4, 108, 104], [45, 0, 145, 100]])
CLOSE_SCORES = np.array([0.9, 0.8, 0.7])


def paint_boxes(axes: Axes, numbers: Sequence[int], boxes: np.ndarray, scores: np.ndarray, title: str = "") -> None:
    """Some of the boxes with their number and score, each in another corner; y downwards."""
    from matplotlib.patches import Rectangle

    for number in numbers:
        left, top, right, bottom = boxes[number]
        colour = COLOURS[number]
        axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=colour, linewidth=1.8))
        at_right, at_bottom = number in (1, 2), number in (2, 3)
        axes.text(
            right - 3 if at_right else left + 3,
            bottom - 3 if at_bottom else top + 3,
            f"{number}: {scores[number]:.1f}",
            color=INK,
            fontsize=TEXT_SIZE - 2,
            ha="right" if at_right else "left",
            va="bottom" if at_bottom else "top",
        )
    bare(axes, title)
    axes.set_aspect("equal")


def show(page: LessonPage) -> None:
    kept = non_maximum_suppression(BOXES, SCORES, THRESHOLD, pixels=True)
    overlaps = box_iou(BOXES, BOXES, pixels=True)
    page.text(
        "A detector answers at many places, so one object gets many boxes. **Non-maximum suppression** keeps one: take the box "
        "of the highest score, drop all that overlap it by more than a threshold, go on with the best of those that are left. "
        "It is done for each class alone. How far two boxes overlap is their **intersection over union**:"
    )
    page.formula(r"\mathrm{IoU}(A,B)=\frac{|A\cap B|}{|A\cup B|}")

    def before_and_after(every):
        paint_boxes(every[0], range(4), BOXES, SCORES, "four boxes")
        paint_boxes(every[1], kept, BOXES, SCORES, "the one that stays")
        for axes in every:
            axes.set(xlim=(195, 409), ylim=(258, 94))

    page.figure(before_and_after, "Before and after, threshold 0.3", panels=(1, 2), size=(7.2, 3.0))
    page.figure(
        lambda axes: paint_cells(axes, overlaps, "IoU of box with box", decimals=3, shade=True),
        "How far they overlap",
        size=(3.6, 3.0),
        note="Corners are pixels that belong to the box, so a side is one longer than the difference.",
    )
    page.number("kept", len(kept), "boxes that stay")
    page.number("which", kept[0], "the box that stays; 1 and 3 have the same score, and the first one wins")
    page.number("iou_3_0", overlaps[3, 0], "IoU of 3 and 0", printed=0.526)
    page.number("iou_3_1", overlaps[3, 1], "IoU of 3 and 1", printed=0.734)
    page.number("iou_3_2", overlaps[3, 2], "IoU of 3 and 2", printed=0.446)
    page.number("area", float(box_area(BOXES[:1], pixels=True)[0]), "pixels of box 0: 155 × 149")
    page.correction(
        "Principles and Practice listing 5-2",
        "sorts with `argsort()[::-1]`, which turns ties round: box 3 stays",
        "a stable order by falling score keeps box 1; both answers are one box around the flower",
    )
    page.correction(
        "Principles and Practice §5.3, step (4)",
        "the second-highest score of all boxes is taken next",
        "the highest of those that remain: the second may have been dropped",
    )
    _soft(page)


def _soft(page: LessonPage) -> None:
    page.heading("Two flowers close together")
    hard = non_maximum_suppression(CLOSE, CLOSE_SCORES, THRESHOLD)
    linear = soft_suppression(CLOSE, CLOSE_SCORES, threshold=THRESHOLD)
    gaussian = soft_suppression(CLOSE, CLOSE_SCORES)
    page.text(
        "Boxes 0 and 1 are of one flower, box 2 is of its neighbour. Box 2 overlaps box 0 by more than 0.3, so plain suppression "
        "loses the neighbour. **Soft** suppression drops nothing: it lowers the scores of what overlaps, the more the further "
        "they overlap, and a threshold on scores decides afterwards."
    )

    def flowers(axes):
        paint_boxes(axes, range(3), CLOSE, CLOSE_SCORES)
        axes.set(xlim=(-6, 152), ylim=(110, -8))

    page.figure(
        flowers,
        "Two flowers, three boxes",
        size=(4.0, 2.8),
    )
    page.formula(
        r"s_i\leftarrow s_i\,(1-\mathrm{IoU})\quad\text{or}\quad s_i\leftarrow s_i\,e^{-\mathrm{IoU}^2/\sigma}"
    )
    rows = [
        (name, *values)
        for name, values in (
            ("before", CLOSE_SCORES),
            ("plain", np.where(np.isin(np.arange(3), hard), CLOSE_SCORES, 0.0)),
            ("soft, linear", linear),
            ("soft, Gaussian (σ = 0.5)", gaussian),
        )
    ]
    page.table(("scores", "box 0", "box 1", "box 2"), rows)
    page.number("neighbour_plain", float(2 in hard), "plain: is the neighbour there (1) or lost (0)?")
    page.number("neighbour_soft", gaussian[2], "Gaussian: its score")
    page.number("second_soft", gaussian[1], "Gaussian: score of the second box of the first flower")

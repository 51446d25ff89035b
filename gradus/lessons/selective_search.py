"""Selective search, step by step: pieces of about one colour, how alike two are, the tree of joinings, and its boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.boxes.felzenszwalb import felzenszwalb
from gradus.boxes.proposals import propose
from gradus.boxes.selective_search import (
    SIMILARITIES,
    first_regions,
    join_regions,
    local_binary_patterns,
    similarity,
    touching,
)
from gradus.lessons.drawing import bare, paint_cells, paint_picture, photograph
from gradus.look.charts import INK, MODEL, MUTED, SECOND, THIRD
from gradus.reference.overlap import box_iou

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

HEIGHT = 120
PATTERN = np.array([[1, 1, 1], [9, 5, 9], [9, 1, 1]])  # neighbours, clockwise from the upper left: 0 0 0 1 0 0 1 1
FLOWER = np.array([[47.0, 22, 125, 94]])  # around the blossom of the photograph, by hand


def scene() -> np.ndarray:
    """The photograph of a flower that scikit-learn ships. uint8 (120, 180, 3)."""
    return np.round(photograph("flower", HEIGHT) * 255).astype(np.uint8)


def painted(picture: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Every piece in its mean colour, values 0..1."""
    counts = np.bincount(labels.ravel())
    means = np.stack([np.bincount(labels.ravel(), picture[..., c].ravel()) / counts for c in range(3)], axis=1)
    return means[labels] / 255


def at_step(labels: np.ndarray, parents: np.ndarray, last: int) -> np.ndarray:
    """The regions that there are once region `last` was made: (H, W) numbers 0, 1, ..."""
    owner = np.arange(len(parents))
    for number in range(len(parents)):
        while 0 <= parents[owner[number]] <= last:
            owner[number] = parents[owner[number]]
    return np.unique(owner[labels], return_inverse=True)[1].reshape(labels.shape)


def show(page: LessonPage) -> None:
    picture = scene()
    page.text(
        "Where in a picture may an object be? Trying all boxes costs too much. **Selective search** starts from small pieces of "
        "about one colour and joins the two neighbours that are most alike, again and again, until one region is left. Every "
        "region that ever was gives a box: small things early, large ones late."
    )
    page.heading("Pieces")
    scales = (30, 100, 300)
    cuts = [felzenszwalb(picture, scale) for scale in scales]

    def pieces(every):
        paint_picture(every[0], picture / 255, "the picture")
        for axes, scale, labels in zip(every[1:], scales, cuts, strict=True):
            paint_picture(axes, painted(picture, labels), f"k = {scale}: {labels.max() + 1} pieces")

    page.figure(pieces, "Graph segmentation at three scales", panels=(2, 2), size=(6.4, 4.6))
    page.text(
        "Pixels are joined along the edges of a graph, the slightest change of colour first. Two pieces are joined while the "
        "edge between them weighs no more than what either holds inside, plus k over its pixels: the larger k, the larger the "
        "pieces."
    )
    page.number("pieces", cuts[1].max() + 1, "pieces at k = 100")
    _alike(page, picture, cuts[1])
    _joined(page, picture, cuts[1])


def _alike(page: LessonPage, picture: np.ndarray, labels: np.ndarray) -> None:
    page.heading("How alike two regions are")
    page.text(
        "Four measures, each from 0 to 1: the common part of their **colours** (histograms of 25 bins a channel) and of their "
        "**textures** (10 bins a channel of local binary patterns); their **sizes**, small ones first; and how well they "
        "**fill** the box around both."
    )
    page.formula(
        r"s=\sum_k\min(c_a^k,c_b^k)+\sum_k\min(t_a^k,t_b^k)+1-\frac{|a|+|b|}{|I|}+1-\frac{|B_{ab}|-|a|-|b|}{|I|}"
    )
    regions, pairs = first_regions(picture, labels), touching(labels)
    largest = int(regions.sizes.argmax())
    beside = pairs[(pairs == largest).any(axis=1)]
    others = np.where(beside[:, 0] == largest, beside[:, 1], beside[:, 0])
    other = int(others[regions.sizes[others].argmax()])
    colours = regions.colour[[largest, other]]

    def histograms(axes):
        places = np.arange(colours.shape[1])
        axes.step(places, colours[0], color=MODEL, where="mid")
        axes.step(places, colours[1], color=SECOND, where="mid")
        axes.fill_between(places, np.minimum(*colours), step="mid", color=MUTED, alpha=0.4)
        axes.set(xlabel="bins of red, green, blue", ylabel="share")

    keys = (("model", "the largest piece"), ("second", "its largest neighbour"), ("muted", "common to both"))
    page.figure(histograms, "Two histograms of colours", keys=keys)
    found = [float(similarity(regions, largest, np.array([other]), labels.size, [name])[0]) for name in SIMILARITIES]
    page.table((*SIMILARITIES, "sum"), [(*found, sum(found))])
    page.number("common_colour", found[0], "the grey area, their likeness of colour")
    page.correction(
        "Principles and Practice listing 5-6",
        "divides a histogram of three channels by the pixels, so that it sums to 3: likenesses of 4.142 and 4.329 are printed",
        "a histogram sums to 1 over all channels; the sum of the four is at most 4",
    )

    def pattern(every):
        paint_cells(every[0], PATTERN.astype(float), "a pixel and its 8", shade=True)
        bits = (PATTERN[1, 1] < PATTERN).astype(float)
        paint_cells(every[1], bits, "larger than the middle")
        paint_picture(every[2], local_binary_patterns(picture[..., 1]) / 255, "patterns of green")

    page.figure(pattern, "Local binary patterns", panels=(1, 3), size=(7.6, 2.6))
    page.number("pattern", int(local_binary_patterns(PATTERN)[1, 1]), "the bits 00010011 as a number", printed=16)


def _joined(page: LessonPage, picture: np.ndarray, labels: np.ndarray) -> None:
    page.heading("Joining")
    regions = join_regions(picture, labels)
    count = regions.pieces
    steps = [count // 2, count // 4, count // 8]

    def stages(every):
        for axes, left in zip(every, steps, strict=True):
            now = at_step(labels, regions.parents, 2 * count - 1 - left)
            paint_picture(axes, painted(picture, now), f"{left} regions are left")

    page.figure(stages, "Three moments of the joining", panels=(1, len(steps)), size=(8.4, 2.4))
    page.number("regions", len(regions.sizes), f"regions of {count} pieces: 2 · {count} − 1")
    page.correction(
        "Principles and Practice §5.4, pseudo-code",
        "adds the new region to the set S of likenesses",
        "it belongs into R, the regions that there are; only its likenesses with its neighbours go into S",
    )
    boxes = propose(picture, 60)
    best = int(box_iou(FLOWER, boxes)[0].argmax())

    def proposals(axes):
        from matplotlib.patches import Rectangle

        axes.imshow(picture)
        for number, (left, top, right, bottom) in enumerate(boxes):
            chosen = number == best
            corner, sides = (left - 0.5, top - 0.5), (right - left, bottom - top)
            colour = THIRD if chosen else INK
            axes.add_patch(Rectangle(corner, *sides, fill=False, edgecolor=colour, linewidth=2.4 if chosen else 0.5))
        bare(axes)

    keys = (("third", "the one that fits the blossom best"), ("ink", "the others"))
    page.figure(proposals, f"{len(boxes)} proposals", keys=keys, size=(5.4, 3.8))
    page.number("blossom", float(box_iou(FLOWER, boxes)[0].max()), "IoU of the best proposal with the blossom")
    page.text(
        "One search finds few things. `gradus.boxes.proposals.propose` makes several, with other colours, scales and measures, "
        "and leaves out boxes that nearly repeat another."
    )

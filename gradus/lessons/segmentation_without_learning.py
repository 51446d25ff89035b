"""Parts of a picture without a network: thresholds, growing, splitting, clusters, a least cut; and the CRF behind networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.lessons.drawing import paint_field, paint_picture, photograph
from gradus.masks import classical
from gradus.masks.crf import CrfSettings, refine

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gradus.lessons.page import LessonPage

HEIGHT = 72
STEPS = (0, 1, 3, 10)
CELL = 8  # pixels of a cell of the coarse map that the CRF is given


def flower() -> np.ndarray:
    """An orange flower on dark leaves, uint8 (72, 108, 3)."""
    return (photograph("flower", HEIGHT) * 255).round().astype(np.uint8)


def petals(picture: np.ndarray) -> np.ndarray:
    """bool (H, W): where red is well above blue, holes filled: what the methods are held against."""
    from scipy import ndimage

    red = picture[:, :, 0].astype(int) - picture[:, :, 2] > 50
    parts, _ = ndimage.label(ndimage.binary_opening(red))
    largest = np.bincount(parts.ravel())[1:].argmax() + 1
    return ndimage.binary_fill_holes(parts == largest)


def coarse(inside: np.ndarray, seed: int = 0) -> np.ndarray:
    """Probabilities (2, H, W) as of a network with a cell for 8x8 pixels: means of the cells, noise, enlarged."""
    from scipy import ndimage

    height, width = inside.shape
    rows, columns = -(-height // CELL), -(-width // CELL)
    padded = np.pad(inside.astype(float), ((0, rows * CELL - height), (0, columns * CELL - width)), mode="edge")
    cells = padded.reshape(rows, CELL, columns, CELL).mean(axis=(1, 3))
    cells += np.random.default_rng(seed).normal(0, 0.1, cells.shape)
    larger = ndimage.zoom(cells, CELL, order=1, grid_mode=True, mode="nearest")[:height, :width].clip(0.05, 0.95)
    return np.stack([1 - larger, larger])


def overlap(found: np.ndarray, inside: np.ndarray) -> float:
    """Intersection over union of two parts of a picture."""
    return float((found & inside).sum() / (found | inside).sum())


def of_the_middle(segments: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """bool (H, W): the segments of which more than half lies inside, which is more than any method is told."""
    share = np.bincount(segments.ravel(), weights=inside.ravel()) / np.bincount(segments.ravel())
    return (share > 0.5)[segments]


def show(page: LessonPage) -> None:
    picture = flower()
    inside = petals(picture)
    middle = tuple(int(values.mean()) for values in np.nonzero(inside))
    seed = min(
        zip(*np.nonzero(inside), strict=True), key=lambda place: abs(place[0] - middle[0]) + abs(place[1] - middle[1])
    )
    strokes, ground = np.zeros_like(inside), np.zeros_like(inside)
    strokes[seed[0] - 2 : seed[0] + 3, seed[1] - 8 : seed[1] + 9] = True
    strokes &= inside
    ground[:4], ground[-4:] = ~inside[:4], ~inside[-4:]
    segments = {
        "k-means, 5 centres": classical.kmeans_segments(picture, 5),
        "mean shift": classical.mean_shift_segments(picture, 0.2),
        "split and merge": classical.split_and_merge(picture),
    }
    found = {
        "Otsu's threshold": classical.threshold(picture),
        "local threshold": classical.local_threshold(picture, 31),
        "grown from the middle": classical.grow_regions(picture, [(int(seed[0]), int(seed[1]))], 70) == 1,
        "least cut": classical.graph_cut(picture, strokes, ground, rounds=2),
    }

    page.text(
        "**Segmentation** asks for the class of every pixel. Before networks one asked for parts that hold together, and gave "
        "them names afterwards. Each method has an idea of what holds together, and fails where that is not so."
    )
    page.figure(
        lambda every: _paint_all(every, {"the picture": picture / 255, **found, "the petals": inside.astype(float)}),
        "One part of two",
        panels=(2, 3),
        note="A threshold only knows how bright a pixel is; a window around each pixel makes it follow the light. A region grows "
        "from a seed as long as colours are like its mean. The least cut knows the colours of two strokes, and likes edges.",
    )
    page.figure(
        lambda every: _paint_all(
            every, {f"{name}: {part.max() + 1}": _coloured(part, picture) for name, part in segments.items()}
        ),
        "Any number of parts, each in its mean colour",
        panels=(1, 3),
        note="Clusters of (x, y, red, green, blue), each brought to 0..1: with place, a part tends to be in one piece.",
    )
    every = {**found, **{name: of_the_middle(part, inside) for name, part in segments.items()}}
    page.table(
        ("method", "intersection over union with the petals"),
        [(name, overlap(part, inside)) for name, part in every.items()],
        title="How much of the petals each finds",
    )
    page.number("least cut", overlap(found["least cut"], inside), "of the least cut")
    _show_crf(page, picture, inside)


def _paint_all(every: list[Axes], pictures: dict[str, np.ndarray]) -> None:
    for axes, (name, picture) in zip(every, pictures.items(), strict=True):
        paint_picture(axes, picture.astype(float), name)


def _coloured(segments: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """float (H, W, 3), 0..1: every segment in its mean colour."""
    sums = [np.bincount(segments.ravel(), weights=picture[:, :, channel].ravel()) for channel in range(3)]
    return (np.stack(sums, axis=1) / np.maximum(np.bincount(segments.ravel()), 1)[:, None] / 255)[segments]


def _show_crf(page: LessonPage, picture: np.ndarray, inside: np.ndarray) -> None:
    begin = coarse(inside)
    settings = {
        "smoothness_weight": 1.0,
        "appearance_weight": 3.0,
        "appearance_pixels": 30.0,
        "appearance_levels": 20.0,
    }
    maps = {step: refine(begin, picture, CrfSettings(iterations=step, **settings))[1] for step in STEPS}

    def paint_maps(every: list[Axes]) -> None:
        for axes, (step, chances) in zip(every, maps.items(), strict=True):
            paint_field(axes, chances, f"{step} steps" if step else "the network", signed=False)

    page.heading("What networks end with")
    page.text(
        "A network with a cell for 8 × 8 pixels knows what there is, and not where it ends. The **fully connected CRF** lets "
        "every pixel ask all others, those near and of like colour most, and again with what they then think."
    )
    page.formula(
        r"E(x) = \sum_i -\log p(x_i) + \sum_{i<j} [x_i \ne x_j]\,\bigl(w_s k_s(i,j) + w_a k_a(i,j)\bigr)",
        "$k_s$ falls with the distance of two pixels, $k_a$ with that of their places and of their colours.",
    )
    page.figure(
        paint_maps,
        "The chance of being a petal",
        panels=(1, len(STEPS)),
        note="The coarse map was made here, from the petals themselves, with noise.",
    )
    for step, chances in maps.items():
        page.number(f"after {step}", overlap(chances > 0.5, inside), f"intersection over union after {step} steps")
    page.try_it("gradus train camvid-deeplab --set task.options.crf=10")

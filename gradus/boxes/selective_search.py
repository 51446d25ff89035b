"""Selective search: boxes that may hold an object, from pieces of a picture that are joined by likeness (Uijlings et al. 2013).

    R = the pieces of a graph segmentation (`felzenszwalb.py`)
    until no two regions touch: join the two that are most alike; the new region goes into R
    the boxes around all regions of R are the proposals

Likeness is the sum of some of four measures, each from 0 to 1 (eq. 5-14 to 5-17 of *Principles and Practice*):

    colour   sum of min(a_k, b_k) over histograms of 25 bins a channel
    texture  the same over histograms of local binary patterns, 10 bins a channel
    size     1 - (|a| + |b|) / |picture|: small regions first
    fill     1 - (|box around both| - |a| - |b|) / |picture|: regions that fit into each other first

Histograms sum to 1 over all channels, so that no measure outweighs the others; those of a joined region are the means of its two
parts, weighted by their sizes. Two regions touch if two of their pixels do, corners included. n pieces give 2n - 1 regions.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SIMILARITIES = ("colour", "texture", "size", "fill")
COLOUR_BINS, TEXTURE_BINS = 25, 10


@dataclass(frozen=True, kw_only=True)
class Regions:
    """All regions of a picture, n pieces and what they were joined to. Region n + i came of the i-th joining.

    boxes:   int64 (R, 4): left, top, right, bottom; right and bottom are behind the last pixel
    sizes:   int64 (R,) pixels
    colour:  float64 (R, 25 C), texture: float64 (R, 10 C): histograms, each sums to 1
    parents: int64 (R,): the region that it was joined into; -1: none
    pieces:  n
    """

    boxes: np.ndarray
    sizes: np.ndarray
    colour: np.ndarray
    texture: np.ndarray
    parents: np.ndarray
    pieces: int


def local_binary_patterns(channel: np.ndarray) -> np.ndarray:
    """uint8 (H, W) of (H, W): a bit for each of the 8 neighbours, 1 where it is larger than the pixel in the middle.

    The first bit, which counts 128, is the neighbour to the upper left; then clockwise. Beyond the edge its pixels are repeated.
    """
    height, width = channel.shape
    around = np.pad(channel, 1, mode="edge")
    codes = np.zeros((height, width), dtype=np.uint8)
    for down, across in ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0)):
        codes <<= 1
        codes |= around[down : down + height, across : across + width] > channel
    return codes


def histograms(values: np.ndarray, labels: np.ndarray, pieces: int, bins: int) -> np.ndarray:
    """float64 (pieces, bins C) of values uint8 (H, W, C): how often each of `bins` equal ranges of 0 to 255 occurs in every
    piece, channel by channel; a row sums to 1."""
    channels = values.shape[2]
    which = values.astype(np.int64) * bins // 256 + np.arange(channels) * bins
    places = labels[:, :, None] * (bins * channels) + which
    counts = np.bincount(places.ravel(), minlength=pieces * bins * channels).reshape(pieces, -1)
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def touching(labels: np.ndarray) -> np.ndarray:
    """int64 (P, 2): the pairs of different pieces, smaller number first, of which two pixels are 8-neighbours."""
    pairs = [
        (labels[:, :-1], labels[:, 1:]),
        (labels[:-1], labels[1:]),
        (labels[:-1, :-1], labels[1:, 1:]),
        (labels[1:, :-1], labels[:-1, 1:]),
    ]
    first = np.concatenate([a.ravel() for a, _ in pairs])
    second = np.concatenate([b.ravel() for _, b in pairs])
    differ = first != second
    low, high = np.minimum(first, second)[differ], np.maximum(first, second)[differ]
    count = int(labels.max()) + 1
    return np.stack(np.divmod(np.unique(low * count + high), count), axis=1)


def piece_boxes(labels: np.ndarray) -> np.ndarray:
    """int64 (pieces, 4): the box of every piece; right and bottom are behind its last pixel."""
    rows, columns = np.indices(labels.shape)
    boxes = np.empty((int(labels.max()) + 1, 4), dtype=np.int64)
    boxes[:, :2], boxes[:, 2:] = max(labels.shape), 0
    for side, places in enumerate((columns, rows)):
        np.minimum.at(boxes[:, side], labels, places)
        np.maximum.at(boxes[:, side + 2], labels, places + 1)
    return boxes


def similarity(
    regions: Regions, one: np.ndarray | int, other: np.ndarray, pixels: int, measures: Sequence[str] = SIMILARITIES
) -> np.ndarray:
    """float64 (P,): how alike the regions of numbers `one` and `other` (P,) are, the sum of `measures`."""
    alike = np.zeros(len(other))
    sizes = regions.sizes[one] + regions.sizes[other]
    if "colour" in measures:
        alike += np.minimum(regions.colour[one], regions.colour[other]).sum(axis=-1)
    if "texture" in measures:
        alike += np.minimum(regions.texture[one], regions.texture[other]).sum(axis=-1)
    if "size" in measures:
        alike += 1 - sizes / pixels
    if "fill" in measures:
        sides = around(regions.boxes[one], regions.boxes[other])
        alike += 1 - ((sides[..., 2] - sides[..., 0]) * (sides[..., 3] - sides[..., 1]) - sizes) / pixels
    return alike


def around(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(..., 4), (..., 4) -> (..., 4): the smallest box around both."""
    low = np.minimum(first[..., :2], second[..., :2])
    return np.concatenate([low, np.maximum(first[..., 2:], second[..., 2:])], axis=-1)


def first_regions(values: np.ndarray, labels: np.ndarray) -> Regions:
    """The pieces as regions, with room for those that they will be joined to."""
    pieces = int(labels.max()) + 1
    patterns = np.stack([local_binary_patterns(values[..., c]) for c in range(values.shape[2])], axis=2)

    def room(of_pieces: np.ndarray) -> np.ndarray:
        return np.concatenate([of_pieces, np.zeros((pieces - 1, *of_pieces.shape[1:]), of_pieces.dtype)])

    return Regions(
        boxes=room(piece_boxes(labels)),
        sizes=room(np.bincount(labels.ravel())),
        colour=room(histograms(values, labels, pieces, COLOUR_BINS)),
        texture=room(histograms(patterns, labels, pieces, TEXTURE_BINS)),
        parents=np.full(2 * pieces - 1, -1),
        pieces=pieces,
    )


def join_regions(values: np.ndarray, labels: np.ndarray, measures: Sequence[str] = SIMILARITIES) -> Regions:
    """All regions of a picture uint8 (H, W, C) cut into pieces 0, 1, ... (H, W).

    Of equally alike pairs the one that was found first is joined first.
    """
    regions = first_regions(values, labels)
    pixels = labels.size
    neighbours: list[set[int]] = [set() for _ in range(len(regions.sizes))]
    pairs = touching(labels)
    for a, b in pairs.tolist():
        neighbours[a].add(b)
        neighbours[b].add(a)
    alike = similarity(regions, pairs[:, 0], pairs[:, 1], pixels, measures)
    queue = [(-value, place, a, b) for place, (value, (a, b)) in enumerate(zip(alike, pairs.tolist(), strict=True))]
    heapq.heapify(queue)
    found, new = len(queue), regions.pieces
    gone = [False] * len(regions.sizes)
    while queue:
        _, _, a, b = heapq.heappop(queue)
        if gone[a] or gone[b]:
            continue
        _join(regions, a, b, new)
        gone[a] = gone[b] = True
        neighbours[new] = (neighbours[a] | neighbours[b]) - {a, b}
        beside = sorted(neighbours[new])
        for other in beside:
            neighbours[other] -= {a, b}
            neighbours[other].add(new)
        if beside:
            others = np.array(beside)
            for value, other in zip(similarity(regions, new, others, pixels, measures).tolist(), beside, strict=True):
                heapq.heappush(queue, (-value, found, other, new))
                found += 1
        new += 1
    return regions


def _join(regions: Regions, a: int, b: int, new: int) -> None:
    """Region `new` from a and b: one box around both, sizes added, histograms averaged by size."""
    regions.boxes[new] = around(regions.boxes[a], regions.boxes[b])
    regions.sizes[new] = total = regions.sizes[a] + regions.sizes[b]
    for rows in (regions.colour, regions.texture):
        rows[new] = (rows[a] * regions.sizes[a] + rows[b] * regions.sizes[b]) / total
    regions.parents[a] = regions.parents[b] = new

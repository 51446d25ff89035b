"""Segmentation before networks: thresholds, growing, splitting, clustering, cutting. What learnt segmentation is held against.

Pictures are uint8 (H, W, channels), grey ones (H, W); segments int32 (H, W), numbered from 0, whose numbers mean nothing more.
Felzenszwalb's graph segmentation is in `gradus/boxes`. For other methods (watershed, active contours) use scikit-image.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse import csgraph

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
CAPACITY = 10_000  # of one unit of cost: maximum flow is computed in whole numbers


def grey(picture: np.ndarray) -> np.ndarray:
    """float64 (H, W), 0 to 255."""
    values = np.asarray(picture, dtype=np.float64)
    return values if values.ndim == 2 else values @ LUMA if values.shape[2] == 3 else values[:, :, 0]


# --- thresholds


def otsu_threshold(values: np.ndarray) -> int:
    """The level t, 0 to 255, that parts whole-numbered levels into `<= t` and `> t` with the largest variance between the two
    (the lowest of equals). Otsu 1979, *A Threshold Selection Method from Gray-Level Histograms*."""
    counts = np.bincount(np.asarray(values).astype(np.int64).ravel(), minlength=256).astype(np.float64)
    below = counts.cumsum()
    sums = (counts * np.arange(256)).cumsum()
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return int(np.nan_to_num(between).argmax())


def threshold(picture: np.ndarray, level: float | None = None) -> np.ndarray:
    """bool (H, W): where the grey picture is above a level; None: Otsu's."""
    values = grey(picture).round()
    return values > (otsu_threshold(values) if level is None else level)


def local_threshold(picture: np.ndarray, window: int = 31, offset: float = 0.0) -> np.ndarray:
    """bool (H, W): where the grey picture is above the mean of the window around each pixel, less `offset`. For uneven light."""
    values = grey(picture)
    return values > ndimage.uniform_filter(values, window, mode="reflect") - offset


# --- regions


def grow_regions(picture: np.ndarray, seeds: Sequence[tuple[int, int]], tolerance: float = 20.0) -> np.ndarray:
    """One region for each seed (row, column), numbered from 1; 0 where none came. A region takes the neighbours (of four) whose
    colour is at most `tolerance` from its mean, until nothing changes; where two meet, the first one was there first."""
    colours = np.asarray(picture, dtype=np.float64).reshape(*np.shape(picture)[:2], -1)
    regions = np.zeros(colours.shape[:2], dtype=np.int32)
    for number, (row, column) in enumerate(seeds, start=1):
        if regions[row, column] == 0:
            regions[row, column] = number
    grown = True
    while grown:
        grown = False
        for number in range(1, len(seeds) + 1):
            mine = regions == number
            if not mine.any():
                continue
            near = ndimage.binary_dilation(mine) & (regions == 0)
            alike = np.linalg.norm(colours[near] - colours[mine].mean(axis=0), axis=1) <= tolerance
            if alike.any():
                rows, columns = np.nonzero(near)
                regions[rows[alike], columns[alike]] = number
                grown = True
    return regions


def split_and_merge(
    picture: np.ndarray, deviation: float = 12.0, tolerance: float = 15.0, smallest: int = 4
) -> np.ndarray:
    """Quarters the grey picture until every part has at most that standard deviation or a side below `2 smallest`; then joins
    neighbouring parts whose means differ by at most `tolerance`, the most alike first. Horowitz and Pavlidis 1974."""
    values = grey(picture)
    parts = np.zeros(values.shape, dtype=np.int32)
    todo, count = [(0, 0, *values.shape)], 0
    while todo:
        top, left, bottom, right = todo.pop()
        inside = values[top:bottom, left:right]
        if inside.std() > deviation and min(inside.shape) >= 2 * smallest:
            row, column = (top + bottom) // 2, (left + right) // 2
            todo += [(top, left, row, column), (top, column, row, right)]
            todo += [(row, left, bottom, column), (row, column, bottom, right)]
        else:
            parts[top:bottom, left:right] = count
            count += 1
    return _merge(parts, values, tolerance)


def _merge(parts: np.ndarray, values: np.ndarray, tolerance: float) -> np.ndarray:
    pixels = np.bincount(parts.ravel()).astype(float)
    sums = np.bincount(parts.ravel(), weights=values.ravel())
    parent = np.arange(len(pixels))

    def root(one: int) -> int:
        while parent[one] != one:
            one = parent[one]
        return one

    pairs = {
        (min(a, b), max(a, b))
        for one, other in ((parts[1:], parts[:-1]), (parts[:, 1:], parts[:, :-1]))
        for a, b in np.unique(np.stack([one.ravel(), other.ravel()], axis=1), axis=0).tolist()
        if a != b
    }
    means = sums / pixels
    for a, b in sorted(pairs, key=lambda pair: (abs(means[pair[0]] - means[pair[1]]), pair)):
        a, b = root(a), root(b)
        if a != b and abs(sums[a] / pixels[a] - sums[b] / pixels[b]) <= tolerance:
            parent[b] = a
            sums[a] += sums[b]
            pixels[a] += pixels[b]
    roots = np.array([root(one) for one in range(len(pixels))])
    return np.unique(roots, return_inverse=True)[1].reshape(-1)[parts].astype(np.int32)


# --- clusters


def place_and_colour(picture: np.ndarray, place_weight: float = 0.5) -> np.ndarray:
    """(H * W, 2 + channels): x, y and the colour of each pixel, each in 0..1, the first two times `place_weight`."""
    colours = np.asarray(picture, dtype=np.float64).reshape(*np.shape(picture)[:2], -1) / 255
    height, width, channels = colours.shape
    y, x = np.indices((height, width)).reshape(2, -1)
    places = np.stack([x / max(width - 1, 1), y / max(height - 1, 1)], axis=1) * place_weight
    return np.concatenate([places, colours.reshape(-1, channels)], axis=1)


def kmeans_segments(picture: np.ndarray, segments: int = 5, place_weight: float = 0.5, seed: int = 0) -> np.ndarray:
    """K-means of place and colour: every pixel the number of its nearest centre."""
    from sklearn.cluster import KMeans

    features = place_and_colour(picture, place_weight)
    found = KMeans(segments, n_init=4, random_state=seed).fit_predict(features)
    return found.reshape(np.shape(picture)[:2]).astype(np.int32)


def mean_shift_segments(picture: np.ndarray, bandwidth: float = 0.15, place_weight: float = 0.5) -> np.ndarray:
    """Every pixel the number of the peak of density to which mean shift leads it (Comaniciu and Meer 2002). The number of
    segments follows from the bandwidth. Peaks are searched from a grid of the features; a picture of 100x100 takes seconds."""
    from sklearn.cluster import MeanShift

    features = place_and_colour(picture, place_weight)
    found = MeanShift(bandwidth=bandwidth, bin_seeding=True).fit_predict(features)
    return found.reshape(np.shape(picture)[:2]).astype(np.int32)


# --- cuts


def graph_cut(
    picture: np.ndarray,
    foreground: np.ndarray,
    background: np.ndarray,
    smoothness: float = 4.0,
    bins: int = 8,
    rounds: int = 1,
) -> np.ndarray:
    """bool (H, W): the foreground of a picture of which some pixels are known: the least cut between those of `foreground` and of
    `background`, both bool (H, W). Boykov and Jolly 2001, *Interactive Graph Cuts*.

    A pixel costs -log of its colour's share in the histogram (`bins` a channel) of its side; neighbours (of four) on different
    sides cost smoothness * exp(-|difference|^2 / 2 mean), less where the picture has an edge. rounds above 1: the histograms
    are taken again from what was found (Rother et al. 2004, *GrabCut*, which has mixtures of Gaussians in their place).
    """
    colours = np.asarray(picture, dtype=np.float64).reshape(*np.shape(picture)[:2], -1)
    binned = np.minimum(colours * bins / 256, bins - 1).astype(np.int64)
    cells = np.ravel_multi_index(tuple(np.moveaxis(binned, 2, 0)), (bins,) * colours.shape[2])
    links = _links(colours, smoothness)
    inside, outside = foreground, background
    for _ in range(rounds):
        costs = [_surprise(cells, some, bins ** colours.shape[2]) for some in (inside, outside)]
        inside = _least_cut(costs[0], costs[1], foreground, background, links)
        outside = ~inside
    return inside


def _surprise(cells: np.ndarray, known: np.ndarray, size: int) -> np.ndarray:
    """(H, W): -log of the share of each pixel's cell among the known ones, one count being added to every cell that occurs."""
    counts = np.bincount(cells[known], minlength=size) + 0.1
    return -np.log(counts / counts.sum())[cells]


def _links(colours: np.ndarray, smoothness: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of neighbours, as two arrays of pixel numbers, and what it costs to part them."""
    height, width = colours.shape[:2]
    number = np.arange(height * width).reshape(height, width)
    one = np.concatenate([number[:, :-1].ravel(), number[:-1].ravel()])
    other = np.concatenate([number[:, 1:].ravel(), number[1:].ravel()])
    flat = colours.reshape(height * width, -1)
    squares = ((flat[one] - flat[other]) ** 2).sum(axis=1)
    return one, other, smoothness * np.exp(-squares / (2 * max(squares.mean(), 1e-9)))


def _least_cut(
    cost_inside: np.ndarray,
    cost_outside: np.ndarray,
    foreground: np.ndarray,
    background: np.ndarray,
    links: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> np.ndarray:
    """Which pixels stay with the source when the flow is as large as can be. Being inside costs the link to the sink."""
    one, other, parting = links
    pixels, sure = cost_inside.size, 1e3
    source, sink, every = pixels, pixels + 1, np.arange(pixels)
    from_source = np.where(foreground, sure, np.where(background, 0, cost_outside)).ravel()
    to_sink = np.where(background, sure, np.where(foreground, 0, cost_inside)).ravel()
    begin = np.concatenate([one, other, np.full(pixels, source), every])
    end = np.concatenate([other, one, every, np.full(pixels, sink)])
    capacity = np.concatenate([parting, parting, from_source, to_sink]) * CAPACITY
    graph = sparse.csr_matrix((capacity.astype(np.int32), (begin, end)), shape=(pixels + 2, pixels + 2))
    left = graph - csgraph.maximum_flow(graph, source, sink).flow
    left.data = np.maximum(left.data, 0)
    left.eliminate_zeros()
    reached = csgraph.breadth_first_order(left, source, return_predecessors=False)
    inside = np.zeros(pixels + 2, dtype=bool)
    inside[reached] = True
    return inside[:pixels].reshape(cost_inside.shape)

"""Graph segmentation: a picture in pieces of about one colour (Felzenszwalb and Huttenlocher 2004).

Pixels are the nodes of a graph, joined with their 8 neighbours by edges that weigh the distance of their colours. By rising
weight, an edge joins the two pieces at its ends if it weighs no more than either piece's threshold

    the heaviest edge that joined the piece + scale / pixels of the piece

so that small pieces join easily and large ones only where the change is as slight as within them. Then pieces below `min_size`
pixels are joined with the neighbour across their lightest edge.

A piece whose threshold lies below the edge at hand never grows again. Edges at such pieces, and edges within a piece, are dropped
in bulk now and then, which leaves few for the loop.
"""

from __future__ import annotations

import numpy as np


def felzenszwalb(picture: np.ndarray, scale: float = 100.0, sigma: float = 0.8, min_size: int = 20) -> np.ndarray:
    """int64 (H, W): the number of the piece of every pixel, 0, 1, ... in the order in which rows meet them.

    picture:  (H, W, C) or (H, W), on the scale of 0 to 255
    scale:    the larger, the larger the pieces (the paper's k)
    sigma:    of the Gaussian that smooths the picture first, in pixels
    min_size: pixels that a piece has at least, if the picture has as many
    """
    from scipy.ndimage import gaussian_filter

    values = picture.reshape(*picture.shape[:2], -1).astype(np.float32)
    values = gaussian_filter(values, sigma=(sigma, sigma, 0))
    first, second, weights = grid_edges(values)
    order = np.argsort(weights, kind="stable")
    first, second, weights = first[order], second[order], weights[order]
    parents = join_pieces(first, second, weights, values.shape[0] * values.shape[1], scale)
    parents = join_small(first, second, parents, min_size)
    return renumber(parents).reshape(picture.shape[:2])


def grid_edges(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of (H, W, C): both ends int (E,) of all edges between 8-neighbours, as numbers of pixels, and float32 (E,) distances."""
    pixels = np.arange(values.shape[0] * values.shape[1]).reshape(values.shape[:2])
    ends: list[tuple[np.ndarray, np.ndarray]] = []
    weights = []
    everything, front, back = slice(None), slice(None, -1), slice(1, None)
    sides = [
        ((everything, front), (everything, back)),  # to the right
        ((front, everything), (back, everything)),  # down
        ((front, front), (back, back)),  # down to the right
        ((back, front), (front, back)),  # up to the right
    ]
    for here, there in sides:
        ends.append((pixels[here].ravel(), pixels[there].ravel()))
        weights.append(np.sqrt(np.square(values[here] - values[there]).sum(axis=2)).ravel())
    return np.concatenate([a for a, _ in ends]), np.concatenate([b for _, b in ends]), np.concatenate(weights)


def join_pieces(
    first: np.ndarray, second: np.ndarray, weights: np.ndarray, pixels: int, scale: float, part: int = 20_000
) -> np.ndarray:
    """int (pixels,): the piece that every pixel is in, as one of its pixels. Edges stand by rising weight.

    part: edges of the loop between two times of dropping those that cannot join anything
    """
    parents, sizes = list(range(pixels)), [1] * pixels
    thresholds = [float(scale)] * pixels
    while len(first):
        for a, b, weight in zip(first[:part].tolist(), second[:part].tolist(), weights[:part].tolist(), strict=True):
            while parents[a] != a:
                parents[a] = a = parents[parents[a]]
            while parents[b] != b:
                parents[b] = b = parents[parents[b]]
            if a != b and weight <= thresholds[a] and weight <= thresholds[b]:
                if sizes[a] < sizes[b]:
                    a, b = b, a
                parents[b] = a
                sizes[a] += sizes[b]
                thresholds[a] = weight + scale / sizes[a]
        first, second, weights = first[part:], second[part:], weights[part:]
        if len(first):
            roots = flatten(parents)
            grows = (np.asarray(thresholds) >= weights[0])[roots]
            useful = (roots[first] != roots[second]) & grows[first] & grows[second]
            first, second, weights = first[useful], second[useful], weights[useful]
    return flatten(parents)


def join_small(first: np.ndarray, second: np.ndarray, roots: np.ndarray, min_size: int) -> np.ndarray:
    """int (pixels,): pieces as `join_pieces` gives them, those below `min_size` joined across their lightest edges."""
    sizes = np.bincount(roots, minlength=len(roots))
    ends = roots[first], roots[second]
    small = (ends[0] != ends[1]) & ((sizes[ends[0]] < min_size) | (sizes[ends[1]] < min_size))
    parents, counts = roots.tolist(), sizes.tolist()
    for a, b in zip(ends[0][small].tolist(), ends[1][small].tolist(), strict=True):
        while parents[a] != a:
            parents[a] = a = parents[parents[a]]
        while parents[b] != b:
            parents[b] = b = parents[parents[b]]
        if a != b and (counts[a] < min_size or counts[b] < min_size):
            parents[b] = a
            counts[a] += counts[b]
    return flatten(parents)


def flatten(parents: list[int]) -> np.ndarray:
    """int (n,): the root of every node."""
    roots = np.asarray(parents)
    while True:
        further = roots[roots]
        if np.array_equal(further, roots):
            return roots
        roots = further


def renumber(roots: np.ndarray) -> np.ndarray:
    """The same pieces as 0, 1, ... in the order of first sight."""
    _, seen, numbers = np.unique(roots, return_index=True, return_inverse=True)
    rank = np.empty(len(seen), dtype=np.int64)
    rank[np.argsort(seen)] = np.arange(len(seen))
    return rank[numbers]

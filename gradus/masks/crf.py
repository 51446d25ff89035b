"""The fully connected conditional random field of pixels, by mean field: Krähenbühl and Koltun 2011, *Efficient Inference in
Fully Connected CRFs with Gaussian Edge Potentials*.

    E(x) = sum_i -log p(x_i)  +  sum_{i<j} [x_i != x_j] (w_s k_s(i, j) + w_a k_a(i, j))
    k_s = exp(-|place|^2 / 2 pixels_s^2)                                     smoothness: no lonely pixels
    k_a = exp(-|place|^2 / 2 pixels_a^2 - |colour|^2 / 2 levels_a^2)         appearance: near, and of like colour

One step: Q <- softmax(log p + sum_k w_k K_k Q), with K_k = D^-1/2 k_k D^-1/2, D the row sums, as the authors' program has it (a
pixel is among its own neighbours there, and here). Sums over all pairs are Gaussian filters: k_s in the plane, k_a in five
dimensions on a permutohedral lattice (Adams, Baek and Davis 2010). `exact=True` forms the matrices instead: for small pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage, sparse

Filter = Callable[[np.ndarray], np.ndarray]  # (N, C) -> (N, C)


@dataclass(frozen=True, kw_only=True)
class CrfSettings:
    """How much neighbours count."""

    iterations: int = 10
    smoothness_weight: float = 3.0
    smoothness_pixels: float = 3.0
    appearance_weight: float = 4.0
    appearance_pixels: float = 60.0
    appearance_levels: float = 13.0  # of colours, 0 to 255


def refine(probabilities: np.ndarray, picture: np.ndarray, settings: CrfSettings, *, exact: bool = False) -> np.ndarray:
    """Probabilities (C, H, W) of the classes and their picture (H, W, channels), 0 to 255 -> float32 (C, H, W), the marginals of
    the field after `settings.iterations` steps."""
    classes, height, width = probabilities.shape
    known = np.log(np.maximum(probabilities.reshape(classes, -1).T, 1e-8)).astype(np.float32)
    filters = [
        (weight, normalised(make(picture, settings, exact), height * width))
        for weight, make in (
            (settings.smoothness_weight, smoothness),
            (settings.appearance_weight, appearance),
        )
        if weight > 0
    ]
    found = _softmax(known)
    for _ in range(settings.iterations):
        found = _softmax(known + sum(weight * apply(found) for weight, apply in filters))
    return found.T.reshape(classes, height, width).astype(np.float32)


def _softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def normalised(apply: Filter, rows: int) -> Filter:
    """D^-1/2 K D^-1/2 of a filter K, D being its row sums."""
    scale = 1 / np.sqrt(np.maximum(apply(np.ones((rows, 1), dtype=np.float32)), 1e-20))
    return lambda values: scale * apply(scale * values)


def smoothness(picture: np.ndarray, settings: CrfSettings, exact: bool) -> Filter:
    """Sums weighted by k_s, but for a factor."""
    height, width = picture.shape[:2]
    if exact:
        return _exact(_places(picture) / settings.smoothness_pixels)

    def apply(values: np.ndarray) -> np.ndarray:
        maps = values.reshape(height, width, -1)
        sigma = (settings.smoothness_pixels, settings.smoothness_pixels, 0)
        return ndimage.gaussian_filter(maps, sigma, mode="constant", truncate=3.0).reshape(values.shape)

    return apply


def appearance(picture: np.ndarray, settings: CrfSettings, exact: bool) -> Filter:
    """Sums weighted by k_a, but for a factor."""
    colours = picture.reshape(-1, picture.shape[2]).astype(np.float64) / settings.appearance_levels
    features = np.concatenate([_places(picture) / settings.appearance_pixels, colours], axis=1)
    return _exact(features) if exact else permutohedral(features)


def _places(picture: np.ndarray) -> np.ndarray:
    """(N, 2): row and column of each pixel."""
    return np.moveaxis(np.indices(picture.shape[:2]), 0, -1).reshape(-1, 2).astype(np.float64)


def _exact(features: np.ndarray) -> Filter:
    squares = (features**2).sum(axis=1)
    kernel = np.exp(-0.5 * np.maximum(squares[:, None] + squares - 2 * features @ features.T, 0))
    return lambda values: kernel @ values


def permutohedral(features: np.ndarray) -> Filter:
    """The Gaussian filter exp(-|f_i - f_j|^2 / 2) of N points in d dimensions (N, d), approximately and in time N d.

    Points share their values out among the d + 1 corners of the simplex of a lattice in which they lie (splat), values are
    blurred along the d + 1 directions of the lattice, and collected again (slice). All three are sparse matrices.
    """
    corners, shares = _simplices(features)
    rows, size = shares.shape
    keys, radix = _keys(corners.reshape(-1, size - 1))
    lattice, place = np.unique(keys, return_inverse=True)
    where = (np.repeat(np.arange(rows), size), place.reshape(-1))
    splat = sparse.csr_matrix((shares.ravel().astype(np.float32), where), shape=(rows, len(lattice)))
    steps = [*(int(radix.sum() - size * own) for own in radix), int(radix.sum())]
    blurs = [_blur(lattice, step) for step in steps]
    collect = splat.T.tocsr()

    def apply(values: np.ndarray) -> np.ndarray:
        kept = collect @ values
        for blur in blurs:
            kept = blur @ kept
        return splat @ kept

    return apply


def _simplices(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int64 (N, d + 1, d): the corners of each point's simplex, their last coordinate left out (all add up to 0); and float
    (N, d + 1): its share of each. Adams, Baek and Davis 2010, §3.1."""
    rows, dimensions = features.shape
    size = dimensions + 1
    # the blur and the sharing out have the variance 2/3 (d + 1)^2 of a step of the lattice: scaled so that it is 1
    index = np.arange(dimensions)
    scaled = features * (np.sqrt(2 / 3) * size / np.sqrt((index + 1) * (index + 2)))
    raised = np.zeros((rows, size))  # on the plane on which coordinates add up to 0
    behind = np.zeros(rows)
    for axis in range(dimensions, 0, -1):
        raised[:, axis] = behind - axis * scaled[:, axis - 1]
        behind = behind + scaled[:, axis - 1]
    raised[:, 0] = behind
    nearest = np.rint(raised / size).astype(np.int64)  # the nearest corner of remainder 0, in units of d + 1
    excess = nearest.sum(axis=1)
    order = np.argsort(-(raised - nearest * size), axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(size)[None].repeat(rows, 0), axis=1)
    rank += excess[:, None]  # back onto the plane: the coordinates with the largest remainders give way
    low, high = rank < 0, rank >= size
    nearest += low.astype(np.int64) - high
    rank += size * (low.astype(np.int64) - high)
    remainder = (raised - nearest * size) / size
    falling = np.empty_like(remainder)
    np.put_along_axis(falling, rank, remainder, axis=1)  # remainders from the largest to the least
    shares = np.empty_like(falling)
    shares[:, 0] = 1 - (falling[:, 0] - falling[:, -1])
    # corner k goes k steps along: its last k coordinates by rank are lowered
    shares[:, 1:] = (falling[:, :-1] - falling[:, 1:])[:, ::-1]
    steps = np.arange(size)
    corners = nearest[:, None, :dimensions] * size + steps[None, :, None]
    corners = corners - size * (rank[:, None, :dimensions] > dimensions - steps[None, :, None])
    return corners, shares


def _keys(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One whole number for each row of whole numbers (N, d), and what a step along each column adds to it: room is left at the
    edges, so that neighbours have numbers of their own."""
    room = places.shape[1] + 2
    low = places.min(axis=0) - room
    sides = places.max(axis=0) + room + 1 - low
    radix = np.concatenate([[1], np.cumprod(sides[:0:-1])])[::-1]
    return (places - low) @ radix, radix


def _blur(lattice: np.ndarray, step: int) -> sparse.csr_matrix:
    """Half of both neighbours along a direction added to each corner (ascending keys); those that hold nothing are left out."""
    count = len(lattice)
    place = np.searchsorted(lattice, lattice + step).clip(max=count - 1)
    there = np.flatnonzero(lattice[place] == lattice + step)
    ahead = sparse.csr_matrix((np.full(len(there), 0.5, np.float32), (there, place[there])), shape=(count, count))
    return (sparse.identity(count, dtype=np.float32, format="csr") + ahead + ahead.T).tocsr()

"""Anchors: the usual sizes of boxes, found in those of the training pictures."""

from __future__ import annotations

import numpy as np


def size_overlap(sizes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(N, 2), (K, 2) widths and heights -> (N, K): the IoU of boxes with one common centre."""
    shared = np.minimum(sizes[:, None], others[None]).prod(axis=2)
    return shared / (sizes.prod(axis=1)[:, None] + others.prod(axis=1) - shared)


def kmeans_anchors(sizes: np.ndarray, count: int, rounds: int = 100) -> np.ndarray:
    """float64 (K, 2): the widths and heights that `sizes` (N, 2) gather around, by rising area; K is at most `count`.

    k-means with 1 - IoU as distance (Redmon and Farhadi 2017), begun at the quantiles of the area, so that nothing is drawn.
    """
    sizes = np.asarray(sizes, dtype=np.float64)
    sizes = sizes[np.argsort(sizes.prod(axis=1), kind="stable")]
    places = np.linspace(0, len(sizes) - 1, 2 * count + 1).round().astype(int)[1::2]
    centres = np.unique(sizes[places], axis=0)
    for _ in range(rounds):
        nearest = size_overlap(sizes, centres).argmax(axis=1)
        groups = [sizes[nearest == index] for index in range(len(centres))]
        moved = np.stack([np.median(group, axis=0) for group in groups if len(group)])
        if moved.shape == centres.shape and np.allclose(moved, centres):
            break
        centres = moved
    return centres[np.argsort(centres.prod(axis=1), kind="stable")]

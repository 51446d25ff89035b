"""A large picture in overlapping tiles: where they lie, and how what is found in them is joined."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

Size = tuple[int, int]  # height, width


def tile_places(size: Size, tile: Size, overlap: float = 0.5) -> list[tuple[int, int]]:
    """(top, left) of the tiles that cover a picture, none reaching out of it, evenly spread.

    overlap: the share of a tile's side that neighbours have in common, at least. A picture no larger than a tile has one, at
    (0, 0).
    """
    starts = []
    for side, own in zip(size, tile, strict=True):
        number = 1 + math.ceil(max(0, side - own) / max(1, math.floor(own * (1 - overlap))))
        starts.append([round(place) for place in np.linspace(0, max(0, side - own), number)])
    return [(top, left) for top in starts[0] for left in starts[1]]


def tile_weights(tile: Size) -> np.ndarray:
    """float32 (height, width): from 1 in the middle down to little at the edges, where a network knows least of what is around
    (a Hann window, raised so that no pixel counts nothing)."""
    rows, columns = (np.maximum(np.sin(np.pi * (np.arange(side) + 0.5) / side) ** 2, 0.01) for side in tile)
    return (rows[:, None] * columns).astype(np.float32)


def join_tiles(tiles: Iterable[np.ndarray], places: list[tuple[int, int]], size: Size) -> np.ndarray:
    """Maps (C, h, w) of tiles, one for each of `places` -> float32 (C, *size): the mean wherever several have something to say,
    weighted by `tile_weights`. What of a tile lies beyond `size` is left out."""
    total, share = np.zeros((1, *size), dtype=np.float32), np.zeros(size, dtype=np.float32)
    for one, (top, left) in zip(tiles, places, strict=True):
        weights = tile_weights(one.shape[1:])
        if len(total) != len(one):
            total = np.zeros((len(one), *size), dtype=np.float32)
        height, width = min(one.shape[1], size[0] - top), min(one.shape[2], size[1] - left)
        rows, columns = slice(top, top + height), slice(left, left + width)
        total[:, rows, columns] += (one * weights)[:, :height, :width]
        share[rows, columns] += weights[:height, :width]
    return total / share

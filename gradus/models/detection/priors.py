"""Prior boxes of SSD: boxes of several sizes and shapes around every cell of every map (Liu et al. 2016, section 2.2).

Per cell: a square of the map's size, a square of the geometric mean of that and the next size, and for each ratio r a box
size*sqrt(r) wide and size/sqrt(r) high, and the same lying down. They may reach over the edge of the picture: clipping is left to
what is told.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def cell_shapes(size: float, following: float, ratios: Sequence[float]) -> list[tuple[float, float]]:
    """(width, height) of the priors of a cell: 2 + 2 * len(ratios)."""
    middle = math.sqrt(size * following)
    shapes = [(size, size), (middle, middle)]
    for ratio in ratios:
        wide, narrow = size * math.sqrt(ratio), size / math.sqrt(ratio)
        shapes += [(wide, narrow), (narrow, wide)]
    return shapes


def prior_boxes(
    maps: Sequence[tuple[int, int]],
    steps: Sequence[tuple[float, float]],
    sizes: Sequence[float],
    ratios: Sequence[Sequence[float]],
) -> Tensor:
    """(P, 4) in pixels, map by map, cell by cell (row by row), shape by shape.

    maps: (height, width) in cells of each; steps: (down, across) pixels of a cell; sizes: one more than maps; ratios: of each map
    """
    found = []
    for (height, width), (down, across), size, following, here in zip(
        maps, steps, sizes[:-1], sizes[1:], ratios, strict=True
    ):
        y = (torch.arange(height) + 0.5) * down
        x = (torch.arange(width) + 0.5) * across
        middle = torch.stack([x.expand(height, -1), y[:, None].expand(-1, width)], dim=2).view(-1, 1, 2)
        half = torch.tensor(cell_shapes(size, following, here)) / 2
        found.append(torch.cat([middle - half, middle + half], dim=2).view(-1, 4))
    return torch.cat(found)

"""Anchors: the boxes that a network starts from, the same for every picture. All are left, top, right, bottom in pixels.

A ratio is width / height at the same area: an anchor of size s and ratio a is s sqrt(a) wide and s / sqrt(a) high.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gradus.boxes.geometry import from_centres
from gradus.errors import UserError


def grid_anchors(
    height: int, width: int, stride: float | tuple[float, float], sizes: Sequence[float], ratios: Sequence[float]
) -> Tensor:
    """float32 (height * width * A, 4), A = len(sizes) * len(ratios): around the middle of every cell of a map, row by row; in a
    cell size by size, each in all ratios. Faster R-CNN's nine: sizes 128, 256, 512 and ratios 1, 0.5, 2.

    stride: pixels of the picture a cell, or (down, across)
    """
    shapes = [(size * ratio**0.5, size / ratio**0.5) for size in sizes for ratio in ratios]
    return centred(height, width, stride, torch.tensor(shapes))


def centred(height: int, width: int, stride: float | tuple[float, float], shapes: Tensor) -> Tensor:
    """float32 (height * width * A, 4): boxes of all widths and heights (A, 2) around the middle of every cell."""
    down, across = stride if isinstance(stride, tuple) else (stride, stride)
    y, x = (torch.arange(height) + 0.5) * down, (torch.arange(width) + 0.5) * across
    middles = torch.stack([x.expand(height, -1), y[:, None].expand(-1, width)], dim=2)[:, :, None]
    middles = middles.expand(-1, -1, len(shapes), -1)
    return from_centres(torch.cat([middles, shapes.expand_as(middles)], dim=3)).reshape(-1, 4)


# (maps, sizes, ratios) of the published networks for Pascal VOC, as lengths in their pictures of 300 and 512 pixels
SSD300 = ((38, 19, 10, 5, 3, 1), (30, 60, 111, 162, 213, 264, 315), ((2,), (2, 3), (2, 3), (2, 3), (2,), (2,)))
SSD512 = (
    (64, 32, 16, 8, 4, 2, 1),
    (35.84, 76.8, 153.6, 230.4, 307.2, 384.0, 460.8, 537.6),
    ((2,), (2, 3), (2, 3), (2, 3), (2, 3), (2,), (2,)),
)


def ssd_priors(
    picture_size: Sequence[int],
    maps: Sequence[tuple[int, int]],
    sizes: Sequence[float],
    ratios: Sequence[Sequence[float]],
) -> Tensor:
    """float32 (P, 4): SSD's prior boxes (Liu et al. 2016, §2.2), map by map, in a map row by row.

    picture_size: [height, width]; maps: (height, width) of each map; sizes: one more than maps; ratios: above 1, by map

    A cell of map k has 2 + 2 len(ratios[k]) boxes: the squares of size s_k and sqrt(s_k s_(k+1)), and s_k in each ratio lying and
    standing. Middles are those of equal parts of the picture, as in the paper; its program steps by 8 pixels, not 300 / 38.
    """
    if not len(maps) == len(ratios) == len(sizes) - 1:
        raise UserError(f"{len(maps)} maps need as many ratios and one more size, got {len(ratios)} and {len(sizes)}")
    found = []
    for number, (height, width) in enumerate(maps):
        size, next_size = sizes[number], sizes[number + 1]
        shapes = [(size, size), ((size * next_size) ** 0.5,) * 2]
        for ratio in ratios[number]:
            shapes += [(size * root, size / root) for root in (ratio**0.5, ratio**-0.5)]
        stride = picture_size[0] / height, picture_size[1] / width
        found.append(centred(height, width, stride, torch.tensor(shapes)))
    return torch.cat(found)


def ssd_sizes(side: float, maps: int, first: float = 0.1, low: float = 0.2, high: float = 0.9) -> list[float]:
    """The maps + 1 sizes for pictures of a side: `first` of it, then even steps from `low` to `high`, and one step more.

    SSD300's are of first 0.1, steps of 0.17 (rounded down by its program) from 0.2; SSD512's of 0.07, 0.15 to 0.9.
    """
    if maps < 3:
        raise UserError(f"sizes from {low:g} to {high:g} of the side need at least 3 maps, got {maps}")
    step = int((high - low) * 100 / (maps - 2) + 1e-9) / 100
    return [side * share for share in (first, *(low + step * index for index in range(maps)))]


def shape_iou(first: Tensor, second: Tensor) -> Tensor:
    """(N, 2), (K, 2) widths and heights -> (N, K): IoU of boxes around one middle."""
    shared = torch.minimum(first[:, None], second[None]).prod(dim=2)
    return shared / (first.prod(dim=1)[:, None] + second.prod(dim=1)[None] - shared)


def kmeans_anchors(sizes: Tensor, k: int, seed: int = 0, rounds: int = 100) -> Tensor:
    """float32 (k, 2): widths and heights by rising area, found from those of true boxes (N, 2) by k-means with the distance
    1 - IoU, so that large boxes weigh no more than small ones (Redmon and Farhadi 2017, YOLOv2).

    The first centres are drawn as in k-means++. Raises `UserError` for fewer than k different shapes.
    """
    sizes = torch.as_tensor(sizes, dtype=torch.float32)
    sizes = sizes[(sizes > 0).all(dim=1)]
    if len(sizes.unique(dim=0)) < k:
        raise UserError(f"{k} anchors need boxes of at least {k} different shapes, got {len(sizes.unique(dim=0))}")
    generator = torch.Generator().manual_seed(seed)
    centres = sizes[torch.randint(len(sizes), (1,), generator=generator)]
    while len(centres) < k:
        away = (1 - shape_iou(sizes, centres)).amin(dim=1).clamp(min=0).square()
        away[(sizes[:, None] == centres).all(dim=2).any(dim=1)] = 0
        centres = torch.cat([centres, sizes[torch.multinomial(away, 1, generator=generator)]])
    which = torch.full((len(sizes),), -1)
    for _ in range(rounds):
        nearest = shape_iou(sizes, centres).argmax(dim=1)
        if torch.equal(nearest, which):
            break
        which = nearest
        for number in range(k):
            if (which == number).any():
                centres[number] = sizes[which == number].mean(dim=0)
    return centres[centres.prod(dim=1).argsort()]

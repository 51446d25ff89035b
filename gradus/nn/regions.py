"""Pooling over regions of interest, many at once, without a loop over them.

Shapes: N pictures, C channels, H height, W width, R regions. regions (R, 5): index of the picture, x1, y1, x2, y2 in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor


def _round(values: Tensor) -> Tensor:
    """Halves away from zero, as C rounds (`torch.round` rounds them to even)."""
    return values.sign() * (values.abs() + 0.5).floor()


def _bins(start: Tensor, end: Tensor, count: int, size: int) -> tuple[Tensor, Tensor]:
    """(R, count) first cells and ends of the bins between rounded corners, cut off at the map; whole-number arithmetic."""
    first, last = _round(start).long()[:, None], _round(end).long()[:, None]
    length = (last - first + 1).clamp(min=1)
    steps = torch.arange(count + 1, device=start.device)[None]
    low = first + torch.div(steps[:, :-1] * length, count, rounding_mode="floor")
    high = first - torch.div(-steps[:, 1:] * length, count, rounding_mode="floor")
    return low.clamp(0, size), high.clamp(0, size)


Found = tuple[Tensor, Tensor]  # largest values and where in the flattened map they stand


def _better(one: Found, other: Found) -> Found:
    """The larger of two values, place by place; where they tie, the one that stands earlier."""
    first = (one[0] > other[0]) | ((one[0] == other[0]) & (one[1] < other[1]))
    return torch.where(first, one[0], other[0]), torch.where(first, one[1], other[1])


def _doubled(found: Found, axis: int, length: int) -> list[Found]:
    """Maxima of 1, 2, 4, ... neighbours along an axis, up to `length` of them."""
    levels = [found]
    while 2 ** len(levels) <= length:
        half = 2 ** (len(levels) - 1)
        size = levels[-1][0].shape[axis] - half
        left, right = ([t.narrow(axis, start, size) for t in levels[-1]] for start in (0, half))
        levels.append(_better((left[0], left[1]), (right[0], right[1])))
    return levels


def _powers(lengths: Tensor) -> Tensor:
    """The largest i with 2^i <= length, for lengths >= 1."""
    return torch.frexp(lengths.double()).exponent.long() - 1


def _largest(maps: Tensor, picture: Tensor, rows: tuple[Tensor, Tensor], columns: tuple[Tensor, Tensor]) -> Tensor:
    """(R, C, h, w): where the largest value of every box rows x columns of its picture stands; anywhere if it is empty.

    Maxima of all blocks of 2^i x 2^j cells are found first (a sparse table); that of any box is the largest of four blocks that
    cover it. Channels stand last, so that a block is one stretch of memory.
    """
    _, channels, height, width = maps.shape
    top, left = rows[0][:, :, None], columns[0][:, None, :]  # (R, h, 1), (R, 1, w)
    tall, wide = (rows[1][:, :, None] - top).clamp(min=1), (columns[1][:, None, :] - left).clamp(min=1)
    top, left = top.clamp(max=height - 1), left.clamp(max=width - 1)
    values = maps.permute(0, 2, 3, 1).contiguous()
    positions = torch.arange(height * width, device=maps.device).view(1, height, width, 1).expand_as(values)
    n, t, s, h, w = torch.broadcast_tensors(picture[:, None, None], top, left, tall, wide)
    up, across = _powers(h), _powers(w)
    found = torch.zeros(*n.shape, channels, dtype=torch.long, device=maps.device)
    for i, line in enumerate(_doubled((values, positions), 1, int(tall.max()))):
        for j, table in enumerate(_doubled(line, 2, int(wide.max()))):
            box = (up == i) & (across == j)
            starts = [(n[box], a[box], b[box]) for a in (t, t + h - 2**i) for b in (s, s + w - 2**j)]
            corners: list[Found] = [(table[0][start], table[1][start]) for start in starts]  # of (boxes, C)
            found[box] = reduce(_better, corners)[1]
    return found.permute(0, 3, 1, 2)


def roi_pool(
    inputs: Tensor, regions: Tensor, output_size: tuple[int, int] = (7, 7), spatial_scale: float = 1.0
) -> Tensor:
    """RoI max pooling (Girshick 2015): (N, C, H, W) and (R, 5) -> (R, C, h, w).

    spatial_scale: cells of the map a pixel. Corners are scaled and rounded, halves away from zero; the last cell belongs to the
    region, which is at least one cell long; bin i covers floor(i length / h) to ceil((i + 1) length / h) from its start, cut off
    at the map; an empty bin gives 0. The gradient goes to the first largest value of each bin.
    """
    _, channels, height, width = inputs.shape
    if not len(regions):
        return inputs[:0, :, :1, :1].expand(0, channels, *output_size)
    picture = regions[:, 0].long()
    left, top, right, bottom = (regions[:, 1:] * spatial_scale).unbind(1)
    rows, columns = _bins(top, bottom, output_size[0], height), _bins(left, right, output_size[1], width)
    with torch.no_grad():
        found = _largest(inputs, picture, rows, columns)
    empty = (rows[1] <= rows[0])[:, :, None] | (columns[1] <= columns[0])[:, None, :]
    channel = torch.arange(channels, device=inputs.device)[None, :, None]
    values = inputs.flatten(2)[picture[:, None, None], channel, found.flatten(2)].unflatten(2, output_size)
    return values.masked_fill(empty[:, None], 0)


def region_pyramid_pool(
    inputs: Tensor, regions: Tensor, levels: Sequence[int] = (4, 2, 1), spatial_scale: float = 1.0
) -> Tensor:
    """Spatial pyramid pooling of regions (He et al. 2015): (N, C, H, W) and (R, 5) -> (R, C * sum of level^2): 21 C here.

    Bins are those of `roi_pool`; the order is that of `SpatialPyramidPool2d`, which does the same with whole maps.
    """
    parts = [roi_pool(inputs, regions, (level, level), spatial_scale).flatten(1) for level in levels]
    return torch.cat(parts, dim=1)


def roi_align(
    inputs: Tensor,
    regions: Tensor,
    output_size: tuple[int, int] = (7, 7),
    spatial_scale: float = 1.0,
    samples: int = 2,
) -> Tensor:
    """RoI align (He et al. 2017): nothing is rounded; each bin is the mean of samples x samples bilinear readings.

    (N, C, H, W) and (R, 5) -> (R, C, h, w). A pixel's centre is at +0.5, so that corners are scaled and moved by -0.5
    (torchvision's aligned=True). A reading more than one cell outside the map is 0; up to there the border's value is read.
    """
    height, width = inputs.shape[-2:]
    picture = regions[:, 0].long()
    left, top, right, bottom = (regions[:, 1:] * spatial_scale - 0.5).unbind(1)  # bf16 would be cells off
    rows = _readings(top, bottom, output_size[0], samples, height).to(inputs.dtype)
    columns = _readings(left, right, output_size[1], samples, width).to(inputs.dtype)
    maps = inputs[picture]  # (R, C, H, W)
    read = rows[:, None] @ maps @ columns[:, None].transpose(-1, -2)
    return read


def _readings(start: Tensor, end: Tensor, count: int, samples: int, size: int) -> Tensor:
    """(R, count, size): how much of each cell of a line is in each bin's mean reading; bilinear weights are products of two."""
    steps = (torch.arange(count * samples, device=start.device, dtype=start.dtype) + 0.5) / (count * samples)
    places = start[:, None] + (end - start)[:, None] * steps  # (R, count * samples)
    inside = (places >= -1) & (places <= size)
    cells = torch.arange(size, device=start.device, dtype=start.dtype)
    weights = (1 - (places.clamp(0, size - 1)[..., None] - cells).abs()).clamp(min=0) * inside[..., None]
    return weights.view(len(start), count, samples, size).mean(dim=2)


def align_boxes(
    inputs: Tensor,
    boxes: Tensor,
    output_size: tuple[int, int] = (7, 7),
    spatial_scale: float = 1.0,
    samples: int = 2,
) -> Tensor:
    """`roi_align` of as many boxes in each picture: (N, C, H, W) and (N, R, 4) -> (N, R, C, h, w).

    Rows are read by one product a picture, so that maps are not copied for each region.
    """
    count, channels, height, width = inputs.shape
    corners = (boxes.flatten(0, 1) * spatial_scale - 0.5).unbind(1)  # bf16 would be cells off
    rows = _readings(corners[1], corners[3], output_size[0], samples, height).to(inputs.dtype).view(count, -1, height)
    columns = _readings(corners[0], corners[2], output_size[1], samples, width).to(inputs.dtype)
    columns = columns.view(count, -1, 1, output_size[1], width)
    read = rows @ inputs.transpose(1, 2).reshape(count, height, channels * width)
    read = read.view(count, -1, output_size[0], channels, width) @ columns.transpose(-1, -2)
    return read.transpose(2, 3)

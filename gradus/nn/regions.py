"""Pooling over regions of interest, many at once, without a loop over them.

Shapes: N pictures, C channels, H height, W width, R regions. regions (R, 5): index of the picture, x1, y1, x2, y2 in pixels.
"""

from __future__ import annotations

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


def _better(maps: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """Of two positions in flattened maps (N, C, ...), that of the larger value; where they tie, the earlier one."""
    flat_one, flat_other = one.flatten(2), other.flatten(2)
    left, right = maps.gather(2, flat_one), maps.gather(2, flat_other)
    first = (left > right) | ((left == right) & (flat_one <= flat_other))
    return torch.where(first, flat_one, flat_other).view_as(one)


def _tables(maps: Tensor, height: int, width: int, tallest: int, widest: int) -> list[list[Tensor]]:
    """Positions of the maxima of all blocks of 2^i x 2^j cells: tables[i][j] is (N, C, H - 2^i + 1, W - 2^j + 1).

    With them the maximum of any box is that of four blocks that cover it (a sparse table).
    """
    positions = torch.arange(height * width, device=maps.device).view(height, width).expand(*maps.shape[:2], -1, -1)
    rows = [positions.contiguous()]
    while 2 ** len(rows) <= tallest:
        half = 2 ** (len(rows) - 1)
        rows.append(_better(maps, rows[-1][:, :, :-half].contiguous(), rows[-1][:, :, half:].contiguous()))
    tables = []
    for row in rows:
        line = [row]
        while 2 ** len(line) <= widest:
            half = 2 ** (len(line) - 1)
            line.append(_better(maps, line[-1][..., :-half].contiguous(), line[-1][..., half:].contiguous()))
        tables.append(line)
    return tables


def _powers(lengths: Tensor) -> Tensor:
    """The largest i with 2^i <= length, for lengths >= 1."""
    return torch.frexp(lengths.double()).exponent.long() - 1


def _largest(maps: Tensor, shape: tuple[int, int], picture: Tensor, rows: tuple, columns: tuple) -> Tensor:
    """(R, C, h, w): where the largest value of every box rows x columns of its picture stands; anywhere if it is empty."""
    height, width = shape
    top, left = rows[0][:, :, None], columns[0][:, None, :]  # (R, h, 1), (R, 1, w)
    tall, wide = (rows[1][:, :, None] - top).clamp(min=1), (columns[1][:, None, :] - left).clamp(min=1)
    top, left = top.clamp(max=height - 1), left.clamp(max=width - 1)
    tables = _tables(maps, height, width, int(tall.max()), int(wide.max()))
    found = torch.zeros(len(picture), maps.shape[1], top.shape[1], left.shape[2], dtype=torch.long, device=maps.device)
    boxes = torch.broadcast_tensors(picture[:, None, None], top, left, tall, wide)
    up, across = _powers(boxes[3]), _powers(boxes[4])
    for i, line in enumerate(tables):
        for j, table in enumerate(line):
            r, y, x = ((up == i) & (across == j)).nonzero(as_tuple=True)
            n, t, s, h, w = (box[r, y, x] for box in boxes)
            corners = [table[n, :, a, b] for a in (t, t + h - 2**i) for b in (s, s + w - 2**j)]  # four of (boxes, C)
            found[r, :, y, x] = _pick(maps, n, corners)
    return found


def _pick(maps: Tensor, picture: Tensor, positions: list[Tensor]) -> Tensor:
    """Of several positions (boxes, C) in the maps of `picture`, that of the largest value, the earliest where they tie."""
    channel = torch.arange(maps.shape[1], device=maps.device)[None]
    best, value = positions[0], maps[picture[:, None], channel, positions[0]]
    for other in positions[1:]:
        candidate = maps[picture[:, None], channel, other]
        better = (candidate > value) | ((candidate == value) & (other < best))
        best, value = torch.where(better, other, best), torch.where(better, candidate, value)
    return best


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
        found = _largest(inputs.flatten(2), (height, width), picture, rows, columns)
    empty = (rows[1] <= rows[0])[:, :, None] | (columns[1] <= columns[0])[:, None, :]
    channel = torch.arange(channels, device=inputs.device)[None, :, None]
    values = inputs.flatten(2)[picture[:, None, None], channel, found.flatten(2)].view_as(found)
    return values.masked_fill(empty[:, None], 0)


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
    left, top, right, bottom = (regions[:, 1:] * spatial_scale - 0.5).to(inputs.dtype).unbind(1)
    rows = _readings(top, bottom, output_size[0], samples, height)
    columns = _readings(left, right, output_size[1], samples, width)
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

"""Geometry: every change of place of a picture composed into one affine matrix, and one resampling by it.

Coordinates are x to the right and y down, in pixels from the middle of a picture; pixel i of a side of n covers [i, i + 1) from
its edge, so its centre is i + 0.5 - n / 2. A matrix (2, 3) leads from the new picture to where its pixels come from:

    source = crop · rotation · shift · shear · zoom · flip · new

which is the order of Keras's ImageDataGenerator, with the crop before it. Seen the other way round, a picture is cut out, turned,
shifted, slanted, zoomed and flipped. Interpolation is bilinear, without antialiasing: a picture should not shrink to much less
than half its size. Where pixels only move by whole numbers they are copied, and nothing is interpolated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from gradus.data.augment.settings import AugmentSettings, Fill, Range, factors

Size = tuple[int, int]  # height, width
CACHE = 4_000_000  # bytes: about what a core of a CPU has near it


@dataclass(frozen=True)
class Warp:
    """Where the pixels of a batch of new pictures come from.

    matrices: (B, 2, 3) float32, new -> source
    source:   (height, width) of the pictures
    size:     (height, width) of the new pictures
    whole:    every new pixel is one pixel of the source, or lies outside of it
    reach:    where all is whole, the most columns that a new picture may reach beyond the left or right edge of the source
    """

    matrices: Tensor
    source: Size
    size: Size
    whole: bool = False
    reach: int = 0

    def inverse(self) -> Tensor:
        """(B, 2, 3) float32, source -> new."""
        linear = torch.linalg.inv_ex(self.matrices[:, :, :2])[0]  # inv would wait for the device to look for errors
        return torch.cat([linear, -linear @ self.matrices[:, :, 2:]], dim=2)


def draw_warp(settings: AugmentSettings, rows: int, source: Size, size: Size, device: torch.device) -> Warp:
    """Draws a warp for each of `rows` pictures from the global generator of the device."""

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(rows, device=device) * (high - low) + low

    def factor(value: Range) -> Tensor:
        return uniform(*factors(value))

    def whole_shift(share: float, side: int) -> Tensor:
        return (uniform(-share, share) * side).round() if share else torch.zeros(rows, device=device)

    matrix = _crop(settings, rows, source, size, device)
    if settings.rotation:
        angle = uniform(-math.radians(settings.rotation), math.radians(settings.rotation))
        matrix = _compose(matrix, _linear(angle.cos(), -angle.sin(), angle.sin(), angle.cos()))
    if settings.shift_horizontal or settings.shift_vertical:
        x = whole_shift(settings.shift_horizontal, size[1])
        matrix = _compose(matrix, _shift(x, whole_shift(settings.shift_vertical, size[0])))
    one, zero = torch.ones(rows, device=device), torch.zeros(rows, device=device)
    if settings.shear:
        slant = uniform(-math.radians(settings.shear), math.radians(settings.shear)).tan()
        matrix = _compose(matrix, _linear(one, slant, zero, one))
    if factors(settings.zoom) != (1, 1):
        x = 1 / factor(settings.zoom)
        matrix = _compose(
            matrix, _linear(x, zero, zero, x if settings.zoom_sides == "together" else 1 / factor(settings.zoom))
        )
    if settings.flip_horizontal or settings.flip_vertical:
        x, y = (1.0 - 2.0 * (uniform(0, 1) < p) for p in (settings.flip_horizontal, settings.flip_vertical))
        matrix = _compose(matrix, _linear(x, zero, zero, y))
    reach = settings.pad + math.ceil(settings.shift_horizontal * size[1])
    return Warp(matrix[:, :2], source, size, settings.is_whole, reach)


def _crop(settings: AugmentSettings, rows: int, source: Size, size: Size, device: torch.device) -> Tensor:
    """The part that is cut out of a picture: (B, 3, 3)."""
    if settings.crops_area:
        # a part that would be wider or higher than the picture is as wide or high as it, and so smaller than was drawn
        area = torch.rand(rows, device=device) * (settings.crop_area[1] - settings.crop_area[0]) + settings.crop_area[0]
        low, high = (math.log(aspect) for aspect in settings.crop_aspect)
        aspect = (torch.rand(rows, device=device) * (high - low) + low).exp()
        pixels = area * (source[0] * source[1])
        width, height = ((pixels * aspect).sqrt().clamp(max=source[1]), (pixels / aspect).sqrt().clamp(max=source[0]))
        x = (torch.rand(rows, device=device) - 0.5) * (source[1] - width)
        y = (torch.rand(rows, device=device) - 0.5) * (source[0] - height)
        zero = torch.zeros_like(width)
        return _compose(_shift(x, y), _linear(width / size[1], zero, zero, height / size[0]))
    places = []
    for old, new in zip(source, size, strict=True):
        middle = (old - new) // 2
        first, last = (0, old - new) if settings.random_crop else (middle, middle)
        first, last = first - settings.pad, last + settings.pad
        place = torch.full((rows,), float(first), device=device)
        if last > first:
            place += (torch.rand(rows, device=device) * (last - first + 1)).floor().clamp_(max=last - first)
        places.append(place + (new - old) / 2)
    return _shift(places[1], places[0])


def _linear(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """(B, 3, 3) of x' = a x + b y, y' = c x + d y."""
    zero, one = torch.zeros_like(a), torch.ones_like(a)
    return torch.stack([a, b, zero, c, d, zero, zero, zero, one], dim=1).view(-1, 3, 3)


def _shift(x: Tensor, y: Tensor) -> Tensor:
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    return torch.stack([one, zero, x, zero, one, y, zero, zero, one], dim=1).view(-1, 3, 3)


def _compose(outer: Tensor, inner: Tensor) -> Tensor:
    """(B, 3, 3) @ (B, 3, 3) by sums of products in full precision: a matrix product may round to TF32 on a GPU."""
    return (outer[:, :, :, None] * inner[:, None]).sum(dim=2)


def warp_pictures(pictures: Tensor, warp: Warp, fill: Fill = "nearest", level: Tensor | float = 0.0) -> Tensor:
    """Pictures uint8 (B, H, W, C) -> float32 (B, C, height, width), levels 0 to 255.

    level: what is outside where `fill` is "constant" or "mean": a number, or (C,). Where pixels are only copied it is rounded
    """
    if isinstance(level, Tensor):
        level = level.to(pictures.device)
    if warp.whole:
        return _copied(pictures, warp, fill, level).permute(0, 3, 1, 2).to(torch.float32)
    if isinstance(level, Tensor):
        level = level[:, None, None]
    if pictures.device.type != "cpu":
        return _resampled(pictures, warp, fill, level)
    rows, channels = len(pictures), pictures.shape[3]
    moved = torch.empty(rows, channels, *warp.size)
    # a few at a time, as many as there are threads at least: what one step writes the next one finds in the cache
    needed = 4 * (channels * (math.prod(warp.source) + math.prod(warp.size)) + 2 * math.prod(warp.size))
    count = max(torch.get_num_threads(), CACHE // needed)
    for start in range(0, rows, count):
        part = slice(start, start + count)
        moved[part] = _resampled(pictures[part], replace(warp, matrices=warp.matrices[part]), fill, level)
    return moved


def _resampled(pictures: Tensor, warp: Warp, fill: Fill, level: Tensor | float) -> Tensor:
    """The same by interpolation; level, where it is one of several, (C, 1, 1)."""
    planes = pictures.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    grid = _grid(warp)
    if fill == "wrap":
        planes = functional.pad(planes, (1, 1, 1, 1), mode="circular")
        for plane, side in zip(grid, warp.source[::-1], strict=True):
            plane.add_(1).remainder_(2).mul_(side / (side + 2)).add_(2 / (side + 2) - 1)
    outside = {"reflect": "reflection", "constant": "zeros", "mean": "zeros"}.get(fill, "border")
    if outside == "zeros":  # by interpolation towards the level: the edge of a picture is no step
        planes.sub_(level)
    moved = functional.grid_sample(planes, grid.permute(1, 2, 3, 0), "bilinear", outside, align_corners=False)
    return moved.add_(level) if outside == "zeros" else moved


def _grid(warp: Warp) -> Tensor:
    """(2, B, height, width): x and y in the source, which lies from -1 to 1."""
    height, width = warp.size
    device = warp.matrices.device
    y = torch.arange(height, device=device).add(0.5 - height / 2)[:, None]
    x = torch.arange(width, device=device).add(0.5 - width / 2)
    grid = torch.empty(2, len(warp.matrices), height, width, device=device)
    for plane, row, side in zip(grid, warp.matrices.unbind(1), warp.source[::-1], strict=True):
        a, b, t = (row * (2 / side))[:, :, None, None].unbind(1)
        torch.addcmul(torch.addcmul(t, b, y), a, x, out=plane)
    return grid


def _copied(pictures: Tensor, warp: Warp, fill: Fill, level: Tensor | float) -> Tensor:
    """(B, H, W, C) -> (B, height, width, C) where all is whole: each new row is one piece of memory of a picture, or of its
    mirror image, that is extended to both sides; which row that is, and where it begins, are numbers."""
    rows, height, width, channels = pictures.shape
    device = pictures.device
    y, x = (position.floor().to(torch.int64) for position in _coordinates(warp))
    reach, wide = warp.reach, width + 2 * warp.reach
    constant = fill in ("constant", "mean")
    level = level.round() if isinstance(level, Tensor) else round(level)
    store = torch.empty(2 * rows * height + 1, wide, channels, dtype=torch.uint8, device=device)
    plain, mirrored = store[:-1].view(2, rows, height, wide, channels)
    plain[:, :, reach : reach + width] = pictures
    if constant:
        store[-1] = level
        plain[:, :, :reach] = plain[:, :, reach + width :] = level
    elif reach:
        for first, last in ((-reach, 0), (width, width + reach)):
            columns = _folded(torch.arange(first, last, device=device), width, fill)
            plain[:, :, reach + first : reach + last] = pictures.index_select(2, columns)
    mirrored.copy_(plain.flip(2))
    right_to_left = warp.matrices[:, 0, 0] < 0
    begin = torch.where(right_to_left, reach + width - 1 - x[:, 0, 0], reach + x[:, 0, 0])
    picture = torch.arange(rows, device=device) + rows * right_to_left
    row = picture[:, None] * height + _folded(y[:, :, 0], height, fill)
    if constant:
        row = torch.where((y[:, :, 0] >= 0) & (y[:, :, 0] < height), row, 2 * rows * height)
        begin = begin[:, None].where(row < 2 * rows * height, 0)
    else:
        begin = begin[:, None]
    step = warp.size[1] * channels
    pieces = store.view(-1).as_strided((store.numel() - step + 1, step), (1, 1))
    return pieces.index_select(0, ((row * wide + begin) * channels).view(-1)).view(rows, *warp.size, channels)


def warp_masks(masks: Tensor, warp: Warp, fill: Fill = "nearest", value: int | None = None) -> Tensor:
    """Masks of class numbers (B, H, W) of any integer type -> (B, height, width), each pixel that of the nearest one.

    value: what is outside of a mask; None: as `fill` says, so that mask and picture agree there too
    """
    if value is None and fill in ("constant", "mean"):
        raise ValueError("a mask has no constant or mean level: say which value is outside of it")
    moved = _picked(masks, warp, fill)
    if value is None:
        return moved
    return torch.where(_inside(warp), moved, torch.full_like(moved, value))


def _coordinates(warp: Warp) -> tuple[Tensor, Tensor]:
    """y and x, from the upper left corner of the source, of the centres of the new pixels: (B, height, width), or where all is
    whole (B, height, 1) and (B, 1, width)."""
    height, width = warp.size
    device = warp.matrices.device
    y = torch.arange(height, device=device).add(0.5 - height / 2)[:, None]
    x = torch.arange(width, device=device).add(0.5 - width / 2)
    (a, b, t), (c, d, u) = (row[:, :, None, None].unbind(1) for row in warp.matrices.unbind(1))
    t, u = t + warp.source[1] / 2, u + warp.source[0] / 2
    if warp.whole:
        return torch.addcmul(u, d, y), torch.addcmul(t, a, x)
    return torch.addcmul(torch.addcmul(u, d, y), c, x), torch.addcmul(torch.addcmul(t, b, y), a, x)


def _inside(warp: Warp) -> Tensor:
    """bool (B, height, width): whether the centre of a new pixel comes from the picture."""
    y, x = _coordinates(warp)
    return (y >= 0) & (y < warp.source[0]) & (x >= 0) & (x < warp.source[1])


def _picked(masks: Tensor, warp: Warp, fill: Fill) -> Tensor:
    """(B, H, W) -> (B, height, width): the pixel in which each new pixel's centre lies; outside as `fill` says, or nearest."""
    rows, height, width = masks.shape
    y, x = (position.floor().to(torch.int64) for position in _coordinates(warp))
    y, x = _folded(y, height, fill), _folded(x, width, fill)
    first = torch.arange(rows, device=masks.device)[:, None, None] * (height * width)
    index = (first + y * width) + x
    return masks.reshape(-1).index_select(0, index.view(-1)).view(rows, *warp.size)


def _folded(index: Tensor, side: int, fill: Fill) -> Tensor:
    """Indices outside of 0 to side - 1 brought inside."""
    if fill == "wrap":
        return index.remainder(side)
    if fill == "reflect":
        index = index.remainder(2 * side)
        return torch.minimum(index, 2 * side - 1 - index)
    return index.clamp(0, side - 1)

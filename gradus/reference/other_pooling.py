"""Pooling that PyTorch lacks: over chunks of a sequence, by chance, over a pyramid, over regions of interest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradus.reference.catalogue import Entry
from gradus.reference.convolution import Sizes
from gradus.reference.pooling import fields, pooled_sizes, scatter


def chunk_max_pool(inputs: np.ndarray, chunks: int) -> np.ndarray:
    """(N, C, L) -> (N, C, chunks): the sequence cut into that many pieces, the largest value of each.

    Pieces do not overlap; where they cannot be equal the first ones are one longer. So some of the order survives, which one
    maximum over all forgets. (PyTorch's adaptive pooling overlaps its pieces instead.)
    """
    return np.stack([piece.max(axis=2) for piece in np.array_split(inputs, chunks, axis=2)], axis=2)


def chunk_max_pool_backward(inputs: np.ndarray, chunks: int, gradient: np.ndarray) -> np.ndarray:
    """Each gradient to the first largest value of its piece."""
    spread = []
    for number, piece in enumerate(np.array_split(inputs, chunks, axis=2)):
        part = np.zeros(piece.shape)
        np.put_along_axis(part, piece.argmax(axis=2)[:, :, None], gradient[:, :, number, None], axis=2)
        spread.append(part)
    return np.concatenate(spread, axis=2)


def stochastic_pool2d(
    inputs: np.ndarray, kernel: Sizes, stride: Sizes | None = None, *, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Training: one value of each window, drawn with probability x / sum of the window. Returns (values, positions).

    Inputs must not be negative (it stands behind a ReLU). A window of zeros gives its first zero. One uniform number u is
    drawn an output; the first value is taken whose running sum exceeds u times the whole.
    """
    if (inputs < 0).any():
        raise ValueError("stochastic pooling needs values >= 0: they are its probabilities")
    batch, channels, height, width = inputs.shape
    shape = (batch, channels, *pooled_sizes(height, width, kernel, stride, 0, False))
    draws, indices = generator.random(shape), np.empty(shape, dtype=int)
    positions = np.arange(height * width).reshape(height, width)
    for field in fields(height, width, kernel, stride):
        running = inputs[:, :, field.rows, field.columns].reshape(batch, channels, -1).cumsum(axis=-1)
        drawn = running > draws[:, :, field.i, field.j, None] * running[..., -1:]
        indices[:, :, field.i, field.j] = positions[field.rows, field.columns].ravel()[drawn.argmax(axis=-1)]
    flat = inputs.reshape(batch, channels, -1)
    return np.take_along_axis(flat, indices.reshape(batch, channels, -1), axis=2).reshape(shape), indices


def stochastic_pool2d_backward(indices: np.ndarray, gradient: np.ndarray, height: int, width: int) -> np.ndarray:
    """As max pooling: to the value that was drawn. The paper, too, leaves aside that the probabilities depend on the inputs."""
    return scatter(gradient, indices, height, width)


def stochastic_pool2d_mean(inputs: np.ndarray, kernel: Sizes, stride: Sizes | None = None) -> np.ndarray:
    """At test time: the mean of each window weighted by the same probabilities, sum x^2 / sum x; 0 where all is 0."""
    batch, channels, height, width = inputs.shape
    outputs = np.zeros((batch, channels, *pooled_sizes(height, width, kernel, stride, 0, False)))
    for field in fields(height, width, kernel, stride):
        window = inputs[:, :, field.rows, field.columns]
        total = window.sum(axis=(2, 3))
        outputs[:, :, field.i, field.j] = (window**2).sum(axis=(2, 3)) / np.where(total == 0, 1, total)
    return outputs


def stochastic_pool2d_mean_backward(
    inputs: np.ndarray, kernel: Sizes, gradient: np.ndarray, stride: Sizes | None = None
) -> np.ndarray:
    """d/dx_i = (2 x_i - y) / sum x; 0 where all is 0."""
    *_, height, width = inputs.shape
    spread = np.zeros(inputs.shape)
    means = stochastic_pool2d_mean(inputs, kernel, stride)
    for field in fields(height, width, kernel, stride):
        window = inputs[:, :, field.rows, field.columns]
        total = window.sum(axis=(2, 3), keepdims=True)
        slopes = (2 * window - means[:, :, field.i, field.j, None, None]) / np.where(total == 0, 1, total)
        spread[:, :, field.rows, field.columns] += (
            np.where(total == 0, 0, slopes) * gradient[:, :, field.i, field.j, None, None]
        )
    return spread


def bins(size: int, count: int) -> list[slice]:
    """`count` pieces that cover 0..size: [floor(i size / count), ceil((i + 1) size / count)). Neighbours may share a cell."""
    return [slice(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]


def spatial_pyramid_pool(inputs: np.ndarray, levels: Sequence[int] = (4, 2, 1)) -> np.ndarray:
    """(N, C, H, W) of any H, W -> (N, C * sum of level^2): 21 C for 4, 2, 1. Maxima over level x level bins of the maps.

    Order: level by level; in a level channel by channel, its bins row by row.
    """
    *_, height, width = inputs.shape
    parts = [
        np.stack([inputs[:, :, r, c].max(axis=(2, 3)) for r in bins(height, level) for c in bins(width, level)], axis=2)
        for level in levels
    ]
    return np.concatenate([part.reshape(len(inputs), -1) for part in parts], axis=1)


def spatial_pyramid_pool_backward(
    inputs: np.ndarray, gradient: np.ndarray, levels: Sequence[int] = (4, 2, 1)
) -> np.ndarray:
    """Each gradient to the first largest value of its bin."""
    batch, channels, height, width = inputs.shape
    positions = np.arange(height * width).reshape(height, width)
    spread, start = np.zeros(inputs.shape), 0
    for level in levels:
        places = [(r, c) for r in bins(height, level) for c in bins(width, level)]
        part = gradient[:, start : start + channels * level**2].reshape(batch, channels, -1)
        start += channels * level**2
        for number, (r, c) in enumerate(places):
            chosen = positions[r, c].ravel()[inputs[:, :, r, c].reshape(batch, channels, -1).argmax(axis=2)]
            spread += scatter(part[:, :, number, None], chosen[:, :, None], height, width)
    return spread


def roi_bins(start: float, end: float, scale: float, count: int, size: int) -> list[slice]:
    """The bins of one side of a region, in cells of the map, by Fast R-CNN's rule.

    The corners are scaled and rounded (halves away from zero, as C does); the last cell belongs to the region, which is at
    least one cell long; bin i covers floor(i length / count) to ceil((i + 1) length / count) from the start; what lies outside
    the map is cut off.
    """
    first, last = (int(np.floor(abs(v * scale) + 0.5) * np.sign(v)) for v in (start, end))
    length = max(last - first + 1, 1)
    edges = ((first + i * length // count, first - (-(i + 1) * length // count)) for i in range(count))
    return [slice(min(max(low, 0), size), min(max(high, 0), size)) for low, high in edges]


def roi_pool_indices(
    inputs: np.ndarray, regions: np.ndarray, output: tuple[int, int], scale: float = 1.0
) -> np.ndarray:
    """(R, C, h, w): the position of each bin's first largest value in its flattened map, -1 where the bin is empty."""
    _, channels, height, width = inputs.shape
    positions = np.arange(height * width).reshape(height, width)
    indices = np.full((len(regions), channels, *output), -1)
    for number, (picture, left, top, right, bottom) in enumerate(regions):
        rows = roi_bins(top, bottom, scale, output[0], height)
        columns = roi_bins(left, right, scale, output[1], width)
        for i, j in np.ndindex(*output):
            cells = inputs[int(picture), :, rows[i], columns[j]].reshape(channels, -1)
            if cells.shape[1]:
                indices[number, :, i, j] = positions[rows[i], columns[j]].ravel()[cells.argmax(axis=1)]
    return indices


def roi_pool(
    inputs: np.ndarray, regions: np.ndarray, output: tuple[int, int] = (7, 7), scale: float = 1.0
) -> np.ndarray:
    """Maps (N, C, H, W) and regions (R, 5), rows of picture, x1, y1, x2, y2 in pixels -> (R, C, h, w); 0 in empty bins.

    scale: cells of the map a pixel (1/16 behind VGG16's conv5).
    """
    indices = roi_pool_indices(inputs, regions, output, scale)
    flat = inputs.reshape(*inputs.shape[:2], -1)[regions[:, 0].astype(int)]
    cells = (*indices.shape[:2], output[0] * output[1])
    values = np.take_along_axis(flat, np.maximum(indices, 0).reshape(cells), axis=2)
    return np.where(indices >= 0, values.reshape(indices.shape), 0.0)


def roi_pool_backward(
    inputs: np.ndarray,
    regions: np.ndarray,
    gradient: np.ndarray,
    output: tuple[int, int] = (7, 7),
    scale: float = 1.0,
) -> np.ndarray:
    """Gradient by the maps: to the largest value of each bin, added up over regions that overlap."""
    indices = roi_pool_indices(inputs, regions, output, scale)
    spread = np.zeros(inputs.shape)
    for region, position, slopes in zip(regions, indices, gradient, strict=True):
        kept = np.where(position >= 0, slopes, 0.0)
        spread[int(region[0])] += scatter(kept[None], np.maximum(position, 0)[None], *inputs.shape[2:])[0]
    return spread


def align_weights(start: float, end: float, count: int, samples: int, size: int) -> np.ndarray:
    """(count, size): how much each cell of a line adds to each bin's mean of `samples` linear readings between start and end.

    A reading at x takes 1 - |x - cell| of the two cells around it; up to one cell outside the map the border's; beyond, nothing.
    """
    weights = np.zeros((count, size))
    for i, sample in np.ndindex(count, samples):
        place = start + (end - start) * (i + (sample + 0.5) / samples) / count
        if -1 <= place <= size:
            place = min(max(place, 0.0), size - 1.0)
            below = int(place)
            weights[i, below] += (1 - (place - below)) / samples
            if place > below:
                weights[i, below + 1] += (place - below) / samples
    return weights


def roi_align(
    inputs: np.ndarray,
    regions: np.ndarray,
    output: tuple[int, int] = (7, 7),
    scale: float = 1.0,
    samples: int = 2,
) -> np.ndarray:
    """Maps (N, C, H, W) and regions (R, 5) -> (R, C, h, w): the mean of samples x samples bilinear readings of each bin.

    Nothing is rounded. Corners are scaled and moved by -0.5, since a cell's value stands in its middle.
    """
    found = np.zeros((len(regions), inputs.shape[1], *output))
    for number, (rows, columns) in enumerate(_align_lines(inputs, regions, output, scale, samples)):
        found[number] = rows @ inputs[int(regions[number, 0])] @ columns.T
    return found


def roi_align_backward(
    inputs: np.ndarray,
    regions: np.ndarray,
    gradient: np.ndarray,
    output: tuple[int, int] = (7, 7),
    scale: float = 1.0,
    samples: int = 2,
) -> np.ndarray:
    """Gradient by the maps: the value is linear in them, so each gradient goes back by the weight of its readings."""
    spread = np.zeros(inputs.shape)
    for number, (rows, columns) in enumerate(_align_lines(inputs, regions, output, scale, samples)):
        spread[int(regions[number, 0])] += rows.T @ gradient[number] @ columns
    return spread


def _align_lines(
    inputs: np.ndarray, regions: np.ndarray, output: tuple[int, int], scale: float, samples: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each region the weights of rows (h, H) and of columns (w, W)."""
    lines = []
    for _, left, top, right, bottom in regions * scale - 0.5:
        rows = align_weights(top, bottom, output[0], samples, inputs.shape[2])
        lines.append((rows, align_weights(left, right, output[1], samples, inputs.shape[3])))
    return lines


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="chunk-max pooling",
        function="other_pooling.chunk_max_pool",
        backward="other_pooling.chunk_max_pool_backward",
        formula=r"y_{c,m} = \max_{t \in \text{piece } m} x_{c,t}",
        fast="gradus.nn.ChunkMaxPool1d",
        source="Zeng et al. 2015 (whose pieces end at the entities of the sentence); *Plain Talk* §6.5 (named only)",
    ),
    Entry(
        name="stochastic pooling",
        function="other_pooling.stochastic_pool2d",
        backward="other_pooling.stochastic_pool2d_backward",
        formula=r"y = x_l,\quad l \sim P(l) = \frac{x_l}{\sum_i x_i}",
        fast="gradus.nn.StochasticPool2d",
        source="Zeiler and Fergus 2013; *Plain Talk* §6.5 (named only)",
    ),
    Entry(
        name="stochastic pooling at test time",
        function="other_pooling.stochastic_pool2d_mean",
        backward="other_pooling.stochastic_pool2d_mean_backward",
        formula=r"y = \frac{\sum_i x_i^2}{\sum_i x_i}",
        derivative=r"\frac{2 x_i - y}{\sum_j x_j}",
        fast="gradus.nn.StochasticPool2d",
        source="Zeiler and Fergus 2013",
    ),
    Entry(
        name="spatial pyramid pooling",
        function="other_pooling.spatial_pyramid_pool",
        backward="other_pooling.spatial_pyramid_pool_backward",
        formula=r"y_{n,c,i,j} = \max_{\lfloor i h / n \rfloor \le a < \lceil (i+1) h / n \rceil,\ "
        r"\lfloor j w / n \rfloor \le b < \lceil (j+1) w / n \rceil} x_{c,a,b},\quad n \in \{4, 2, 1\}",
        fast="gradus.nn.SpatialPyramidPool2d",
        source="He et al. 2015 (SPP-net); *Principles and Practice* §5.1",
        note="The text counts 2000 x 256 = 512 000 vectors: it is 2000 vectors of 21 x 256 = 5376. Its bins of w/4 by h/4 need "
        "the rounding above.",
    ),
    Entry(
        name="RoI max pooling",
        function="other_pooling.roi_pool",
        backward="other_pooling.roi_pool_backward",
        formula=r"y_{r,c,i,j} = \max_{(a,b) \in \mathrm{bin}_{i,j}(r)} x_{c,a,b}",
        fast="gradus.nn.roi_pool",
        source="Girshick 2015 (Fast R-CNN) §2.1; *Principles and Practice* §5.1",
        note="Corners rounded, halves away from zero; the last cell belongs to the region; empty bins give 0.",
    ),
    Entry(
        name="RoI align",
        function="other_pooling.roi_align",
        backward="other_pooling.roi_align_backward",
        formula=r"y_{r,c,i,j} = \frac{1}{n^2} \sum_{(u,v) \in \mathrm{bin}_{i,j}(r)} \sum_{a,b} (1 - |u - a|)_+ (1 - |v - b|)_+ "
        r"x_{c,a,b}",
        fast="gradus.nn.roi_align",
        source="He et al. 2017 (Mask R-CNN) §3",
        note="n x n readings (u, v) a bin, evenly spaced; corners moved by -0.5; readings beyond one cell outside are 0.",
    ),
)

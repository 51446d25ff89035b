"""Pooling: a window slides over every channel alone, and a statistic of what it sees is kept. (N, C, H, W) -> (N, C, H', W').

Windows are clipped to the picture, so padding never counts as a value (max) and counts as a zero in a mean only where
`count_padding` says so. `ceil` keeps a last window that hangs over the border if it starts inside the picture or its left
padding. Where values tie for the maximum, the first in row-major order gets the gradient (as in PyTorch on the CPU).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from gradus.reference.catalogue import Entry
from gradus.reference.convolution import Padding, Sizes, axis_paddings, each, output_size


class Field(NamedTuple):
    """One window: its place in the output, its rows and columns in the picture, its number of cells with the padding."""

    i: int
    j: int
    rows: slice
    columns: slice
    cells: int


def pooled_sizes(
    height: int, width: int, kernel: Sizes, stride: Sizes | None, padding: Padding, ceil: bool
) -> tuple[int, int]:
    """The size of the output. The stride is the kernel where none is given (no overlap)."""
    (kh, kw), (sh, sw) = each(kernel, 2), each(kernel if stride is None else stride, 2)
    rows, columns = axis_paddings(padding, (height, width), (kh, kw), (sh, sw), 1)
    return output_size(height, kh, sh, rows, 1, ceil), output_size(width, kw, sw, columns, 1, ceil)


def fields(
    height: int, width: int, kernel: Sizes, stride: Sizes | None = None, padding: Padding = 0, ceil: bool = False
) -> Iterator[Field]:
    """Every window, row by row. `cells` counts those that hang into the padding, not those beyond it."""
    (kh, kw), (sh, sw) = each(kernel, 2), each(kernel if stride is None else stride, 2)
    (top, bottom), (left, right) = axis_paddings(padding, (height, width), (kh, kw), (sh, sw), 1)
    for i, j in np.ndindex(*pooled_sizes(height, width, kernel, stride, padding, ceil)):
        row, column = i * sh - top, j * sw - left
        cells = (min(row + kh, height + bottom) - row) * (min(column + kw, width + right) - column)
        rows, columns = slice(max(row, 0), min(row + kh, height)), slice(max(column, 0), min(column + kw, width))
        yield Field(i, j, rows, columns, cells)


def pool2d(
    inputs: np.ndarray,
    reducer: Callable[[np.ndarray], np.ndarray],
    kernel: Sizes,
    stride: Sizes | None = None,
    padding: Padding = 0,
    ceil: bool = False,
) -> np.ndarray:
    """Any statistic of a window: the reducer takes (N, C, values of the window) and returns (N, C) or (N, C, numbers).

    With several numbers (a histogram, say) the outputs are (N, C, numbers, H', W').
    """
    batch, channels, height, width = inputs.shape
    values = [
        reducer(inputs[:, :, field.rows, field.columns].reshape(batch, channels, -1))
        for field in fields(height, width, kernel, stride, padding, ceil)
    ]
    stacked = np.stack(values, axis=-1)
    return stacked.reshape(*stacked.shape[:-1], *pooled_sizes(height, width, kernel, stride, padding, ceil))


def max_pool2d(
    inputs: np.ndarray, kernel: Sizes, stride: Sizes | None = None, padding: Padding = 0, ceil: bool = False
) -> np.ndarray:
    """The largest value of each window. A stride below the kernel makes windows overlap (AlexNet: 3 / 2)."""
    return pool2d(inputs, lambda window: window.max(axis=-1), kernel, stride, padding, ceil)


def max_pool2d_indices(
    inputs: np.ndarray, kernel: Sizes, stride: Sizes | None = None, padding: Padding = 0, ceil: bool = False
) -> np.ndarray:
    """Where each maximum stood: (N, C, H', W') of positions in the flattened H x W picture, the first where values tie."""
    batch, channels, height, width = inputs.shape
    indices = np.empty((batch, channels, *pooled_sizes(height, width, kernel, stride, padding, ceil)), dtype=int)
    positions = np.arange(height * width).reshape(height, width)
    for field in fields(height, width, kernel, stride, padding, ceil):
        window = inputs[:, :, field.rows, field.columns].reshape(batch, channels, -1)
        indices[:, :, field.i, field.j] = positions[field.rows, field.columns].ravel()[window.argmax(axis=-1)]
    return indices


def scatter(values: np.ndarray, indices: np.ndarray, height: int, width: int) -> np.ndarray:
    """Values (N, C, ...) added at positions (N, C, ...) of pictures of zeros (N, C, H, W)."""
    batch, channels = values.shape[:2]
    pictures = np.zeros((batch, channels, height * width))
    n, c = np.ogrid[:batch, :channels]
    np.add.at(
        pictures,
        (n[..., None], c[..., None], indices.reshape(batch, channels, -1)),
        values.reshape(batch, channels, -1),
    )
    return pictures.reshape(batch, channels, height, width)


def max_pool2d_backward(
    inputs: np.ndarray,
    kernel: Sizes,
    gradient: np.ndarray,
    stride: Sizes | None = None,
    padding: Padding = 0,
    ceil: bool = False,
) -> np.ndarray:
    """Each output's gradient goes whole to the value that was chosen; windows that overlap add up there."""
    return scatter(gradient, max_pool2d_indices(inputs, kernel, stride, padding, ceil), *inputs.shape[2:])


def max_unpool2d(inputs: np.ndarray, indices: np.ndarray, height: int, width: int) -> np.ndarray:
    """Each value back at the position that its maximum had, zeros elsewhere (SegNet). (N, C, H', W') -> (N, C, H, W).

    Where overlapping windows chose the same position twice it is written once, not added.
    """
    batch, channels = inputs.shape[:2]
    pictures = np.zeros((batch, channels, height * width))
    np.put_along_axis(pictures, indices.reshape(batch, channels, -1), inputs.reshape(batch, channels, -1), axis=2)
    return pictures.reshape(batch, channels, height, width)


def max_unpool2d_backward(indices: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """The gradient at the remembered positions."""
    batch, channels = gradient.shape[:2]
    picked = np.take_along_axis(gradient.reshape(batch, channels, -1), indices.reshape(batch, channels, -1), axis=2)
    return picked.reshape(indices.shape)


def average_pool2d(
    inputs: np.ndarray,
    kernel: Sizes,
    stride: Sizes | None = None,
    padding: Padding = 0,
    ceil: bool = False,
    count_padding: bool = True,
) -> np.ndarray:
    """The mean of each window; with `count_padding` the padding's zeros belong to it (PyTorch), without they do not (Keras)."""
    batch, channels, height, width = inputs.shape
    outputs = np.empty((batch, channels, *pooled_sizes(height, width, kernel, stride, padding, ceil)))
    for field in fields(height, width, kernel, stride, padding, ceil):
        window = inputs[:, :, field.rows, field.columns]
        cells = field.cells if count_padding else window[0, 0].size
        outputs[:, :, field.i, field.j] = window.sum(axis=(2, 3)) / cells
    return outputs


def average_pool2d_backward(
    inputs: np.ndarray,
    kernel: Sizes,
    gradient: np.ndarray,
    stride: Sizes | None = None,
    padding: Padding = 0,
    ceil: bool = False,
    count_padding: bool = True,
) -> np.ndarray:
    """An equal share of each output's gradient to every value of its window."""
    *_, height, width = inputs.shape
    spread = np.zeros(inputs.shape)
    for field in fields(height, width, kernel, stride, padding, ceil):
        window = spread[:, :, field.rows, field.columns]
        cells = field.cells if count_padding else window[0, 0].size
        window += gradient[:, :, field.i, field.j, None, None] / cells
    return spread


def max_pool1d(inputs: np.ndarray, kernel: int, stride: int | None = None, padding: int = 0) -> np.ndarray:
    """Of sequences (N, C, L): the 2-D one over a picture of one row."""
    pooled = max_pool2d(inputs[:, :, None], (1, kernel), (1, stride or kernel), (0, padding))
    return pooled[:, :, 0]


def global_average_pool(inputs: np.ndarray) -> np.ndarray:
    """(N, C, ...) -> (N, C): the mean of each whole map."""
    return inputs.mean(axis=tuple(range(2, inputs.ndim)))


def global_average_pool_backward(inputs: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """1 / (H W) of the gradient to every place."""
    places = int(np.prod(inputs.shape[2:]))
    return np.broadcast_to(gradient.reshape(*gradient.shape, *[1] * (inputs.ndim - 2)) / places, inputs.shape).copy()


def global_max_pool(inputs: np.ndarray) -> np.ndarray:
    """(N, C, ...) -> (N, C): the largest value of each whole map."""
    return inputs.max(axis=tuple(range(2, inputs.ndim)))


def global_max_pool_backward(inputs: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """All of the gradient to the first largest value."""
    batch, channels = gradient.shape
    chosen = inputs.reshape(batch, channels, -1).argmax(axis=2)[:, :, None]
    spread = np.zeros((batch, channels, int(np.prod(inputs.shape[2:]))))
    np.put_along_axis(spread, chosen, gradient[:, :, None], axis=2)
    return spread.reshape(inputs.shape)


def subsampling(inputs: np.ndarray, coefficient: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """LeNet-5's S layers: coefficient * (sum over a 2x2 field) + bias. (B, C, H, W) -> (B, C, H/2, W/2), H and W even."""
    batch, channels, height, width = inputs.shape
    sums = inputs.reshape(batch, channels, height // 2, 2, width // 2, 2).sum(axis=(3, 5))
    return sums * coefficient[:, None, None] + bias[:, None, None]


def subsampling_backward(
    inputs: np.ndarray, coefficient: np.ndarray, gradient: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients by (inputs, coefficient, bias)."""
    batch, channels, height, width = inputs.shape
    sums = inputs.reshape(batch, channels, height // 2, 2, width // 2, 2).sum(axis=(3, 5))
    spread = (gradient * coefficient[:, None, None]).repeat(2, axis=2).repeat(2, axis=3)
    return spread, (gradient * sums).sum(axis=(0, 2, 3)), gradient.sum(axis=(0, 2, 3))


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="max pooling",
        function="pooling.max_pool2d",
        backward="pooling.max_pool2d_backward",
        formula=r"y_{i,j} = \max_{0 \le a,b < k} x_{s i + a - p,\ s j + b - p}",
        derivative=r"1\ \text{at the first largest value of the window},\ 0\ \text{elsewhere}",
        fast="torch.nn.MaxPool2d",
        source="*Principles and Practice* §4.3.4, listings 4-2, 4-3; course notes §4.1.11; *Deep Learning with Python* §5.1.2; "
        "*Deep Learning and Computer Vision* §4.1.7",
        note="Overlapping where stride < kernel; the chapter calls a stride of k - 1 the most common, but 2 / 2 is as common as "
        "3 / 2. Listing 4-2 uses names it never defines and divides by / (Python 2).",
    ),
    Entry(
        name="average pooling",
        function="pooling.average_pool2d",
        backward="pooling.average_pool2d_backward",
        formula=r"y_{i,j} = \frac{1}{k^2} \sum_{a,b} x_{s i + a - p,\ s j + b - p}",
        derivative=r"\frac{1}{k^2}",
        fast="torch.nn.AvgPool2d",
        source="course notes §4.1.12; *Principles and Practice* §4.3.4",
        note="At the border PyTorch divides by the padded window unless told otherwise; Keras by the cells in the picture.",
    ),
    Entry(
        name="pooling with any statistic",
        function="pooling.pool2d",
        formula=r"y_{i,j} = f(\{x_{s i + a,\ s j + b}\}_{a,b})",
        source="*Deep Learning and Computer Vision* §4.1.7",
    ),
    Entry(
        name="max unpooling",
        function="pooling.max_unpool2d",
        backward="pooling.max_unpool2d_backward",
        formula=r"y_{\mathrm{argmax}(i,j)} = x_{i,j},\ 0\ \text{elsewhere}",
        fast="torch.nn.MaxUnpool2d",
        source="Badrinarayanan et al. 2017 (SegNet); *Principles and Practice* §5.2.3",
    ),
    Entry(
        name="global average pooling",
        function="pooling.global_average_pool",
        backward="pooling.global_average_pool_backward",
        formula=r"y_c = \frac{1}{H W} \sum_{i,j} x_{c,i,j}",
        derivative=r"\frac{1}{H W}",
        fast="torch.nn.AdaptiveAvgPool2d(1)",
        source="Lin et al. 2014; *Deep Learning and Computer Vision* §4.4.1; *Plain Talk* §12.4",
    ),
    Entry(
        name="global max pooling",
        function="pooling.global_max_pool",
        backward="pooling.global_max_pool_backward",
        formula=r"y_c = \max_{t} x_{c,t}",
        fast="torch.nn.AdaptiveMaxPool1d(1)",
        source="*Deep Learning with Python* §6.4.2",
    ),
    Entry(
        name="subsampling (LeNet-5)",
        function="pooling.subsampling",
        backward="pooling.subsampling_backward",
        formula=r"y_{c,i,j} = \alpha_c \sum_{a,b \in \{0,1\}} x_{c,\ 2i+a,\ 2j+b} + \beta_c",
        fast="gradus.nn.Subsampling",
        source="LeCun et al. 1998; course notes §4.2.2",
    ),
)

"""A convolution is a dense layer most of whose weights are absent, and the rest shared: here is its matrix, written out.

In one dimension it is a Toeplitz matrix (constant along diagonals); in two it is made of blocks that are Toeplitz and stand in
a Toeplitz pattern themselves (doubly blocked); where the picture wraps around, both become circulant.
"""

from __future__ import annotations

import numpy as np

from gradus.reference.catalogue import Entry
from gradus.reference.convolution import Padding, Sizes, axis_paddings, each, output_size


def convolution2d_connections(
    weight: np.ndarray, height: int, width: int, stride: Sizes = 1, padding: Padding = 0, dilation: Sizes = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The matrix as a list of its connections: (rows, columns, values), one for every weight at every place.

    Rows count outputs (out, i, j), columns count inputs (C, H, W), both with the last axis fastest. A connection that would reach
    into the padding does not exist.
    """
    outs, channels, *kernel = weight.shape
    sizes, strides, dilations = (height, width), each(stride, 2), each(dilation, 2)
    border = axis_paddings(padding, sizes, kernel, stride, dilation)
    places = [output_size(*axis) for axis in zip(sizes, kernel, strides, border, dilations, strict=True)]
    out, c, i, j, a, b = (index.ravel() for index in np.indices((outs, channels, *places, *kernel)))
    row = i * strides[0] + a * dilations[0] - border[0][0]
    column = j * strides[1] + b * dilations[1] - border[1][0]
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    rows = (out * places[0] + i) * places[1] + j
    columns = (c * height + row) * width + column
    return rows[inside], columns[inside], weight[out, c, a, b][inside]


def convolution2d_matrix(
    weight: np.ndarray, height: int, width: int, stride: Sizes = 1, padding: Padding = 0, dilation: Sizes = 1
) -> np.ndarray:
    """(out * H' * W', C * H * W): the matrix M with flatten(output) = M flatten(input), zero where there is no connection."""
    outs, channels, *kernel = weight.shape
    border = axis_paddings(padding, (height, width), kernel, stride, dilation)
    axes = zip((height, width), kernel, each(stride, 2), border, each(dilation, 2), strict=True)
    places = int(np.prod([output_size(*axis) for axis in axes]))
    matrix = np.zeros((outs * places, channels * height * width))
    rows, columns, values = convolution2d_connections(weight, height, width, stride, padding, dilation)
    matrix[rows, columns] = values  # every pair stands at most once in the list
    return matrix


def convolution2d_as_matrix(
    inputs: np.ndarray, weight: np.ndarray, stride: Sizes = 1, padding: Padding = 0, dilation: Sizes = 1
) -> np.ndarray:
    """The convolution of (N, C, H, W) by that matrix. Its backward pass is the transpose, as of any dense layer."""
    *_, height, width = inputs.shape
    kernel = weight.shape[2:]
    border = axis_paddings(padding, (height, width), kernel, stride, dilation)
    axes = zip((height, width), kernel, each(stride, 2), border, each(dilation, 2), strict=True)
    matrix = convolution2d_matrix(weight, height, width, stride, padding, dilation)
    return (inputs.reshape(len(inputs), -1) @ matrix.T).reshape(
        len(inputs), len(weight), *[output_size(*axis) for axis in axes]
    )


def toeplitz(kernel: np.ndarray, size: int) -> np.ndarray:
    """(size - k + 1, size): the kernel on each row, one further to the right. Valid 1-D cross-correlation."""
    rows = size - len(kernel) + 1
    matrix = np.zeros((rows, size))
    for row in range(rows):
        matrix[row, row : row + len(kernel)] = kernel
    return matrix


def doubly_blocked_toeplitz(kernel: np.ndarray, height: int, width: int) -> np.ndarray:
    """The matrix of a valid 2-D cross-correlation with one kernel (kh, kw), block by block.

    Block (i, i + a) is the Toeplitz matrix of the kernel's row a; all other blocks are 0.
    """
    places = height - len(kernel) + 1
    blocks = np.zeros((places, width - kernel.shape[1] + 1, height, width))
    for i in range(places):
        for a, row in enumerate(kernel):
            blocks[i, :, i + a, :] = toeplitz(row, width)
    return blocks.reshape(-1, height * width)


def doubly_blocked_circulant(kernel: np.ndarray, height: int, width: int) -> np.ndarray:
    """(H W, H W): the matrix of a true convolution on a picture that wraps around. The Fourier transform diagonalises it."""
    matrix = np.zeros((height, width, height, width))
    for i, j, a, b in np.ndindex(height, width, *kernel.shape):
        matrix[i, j, (i - a) % height, (j - b) % width] += kernel[a, b]
    return matrix.reshape(height * width, height * width)


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="convolution as a sparse matrix",
        function="convolution_matrix.convolution2d_as_matrix",
        formula=r"\mathrm{vec}(y) = M\, \mathrm{vec}(x),\quad M\ \text{doubly blocked Toeplitz}",
        derivative=r"\nabla \mathrm{vec}(x) = M^{T} G",
        fast="torch.nn.Conv2d",
        source="*Deep Learning and Computer Vision* §4.1.4",
        note="The chapter's 36 of 144 and 260 100 of 4 261 478 400 count connections, not weights: the distinct weights are 4. "
        "Their ratio is 16 384, 4.2 orders of magnitude, not 5. 'Circulant' holds only where the picture wraps around.",
    ),
)

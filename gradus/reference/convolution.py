"""Convolution in one, two or three dimensions, as a product of matrices (im2col), with its gradients.

What networks call convolution is cross-correlation: the kernel is not flipped. The convolution of the mathematicians is
`true_convolution` (convolution_kinds.py). One code serves every dimension: shapes are (N, C, *sizes) for inputs and
(out, in / groups, *kernel) for weights, with one, two or three sizes. The books' "3D convolution" of a colour picture is the
2-D one over three channels.

padding: a number (both sides of every axis), one number an axis, one pair (before, after) an axis, or a name:
"valid" = none, "full" = every overlap, "same" = ceil(size / stride) outputs, the odd one of the padding after (Keras' rule;
with stride 1 also PyTorch's). PyTorch itself refuses "same" with a stride.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradus.reference.catalogue import Entry

Sizes = int | Sequence[int]
Padding = int | str | Sequence[int] | Sequence[tuple[int, int]]


def output_size(
    size: int,
    kernel: int,
    stride: int = 1,
    padding: int | str | tuple[int, int] = 0,
    dilation: int = 1,
    ceil: bool = False,
) -> int:
    """floor((size + padding on both sides - reach) / stride) + 1, with reach = dilation (kernel - 1) + 1.

    ceil: a last window that hangs over the border counts too, if it starts inside the picture or its left padding (the
    rule of PyTorch and Caffe).
    """
    before, after = side_padding(padding, size, kernel, stride, dilation)
    room = size + before + after - dilation * (kernel - 1) - 1
    if room < 0:
        raise ValueError(
            f"a window of {dilation * (kernel - 1) + 1} does not fit into {size} with padding {before}, {after}"
        )
    if not ceil:
        return room // stride + 1
    count = -(-room // stride) + 1
    return count - 1 if (count - 1) * stride >= size + before else count


def same_padding(size: int, kernel: int, stride: int = 1, dilation: int = 1) -> tuple[int, int]:
    """(before, after) that give ceil(size / stride) outputs; where the sum is odd the one more comes after.

    For stride 1 and an odd kernel this is (f - 1) / 2 on both sides, the only case in which the texts' formula holds.
    """
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    return total // 2, total - total // 2


def side_padding(
    padding: int | str | tuple[int, int], size: int, kernel: int, stride: int = 1, dilation: int = 1
) -> tuple[int, int]:
    """(before, after) along one axis, from a number, a pair or a name."""
    if isinstance(padding, str):
        full = dilation * (kernel - 1)
        named = {"valid": (0, 0), "full": (full, full), "same": same_padding(size, kernel, stride, dilation)}
        return named[padding]
    if isinstance(padding, tuple):
        return padding
    return int(padding), int(padding)


def each(value: Sizes, rank: int) -> tuple[int, ...]:
    """One number for all axes, or one an axis -> one an axis."""
    return (int(value),) * rank if isinstance(value, int | np.integer) else tuple(value)


def axis_paddings(
    padding: Padding, sizes: Sequence[int], kernel: Sequence[int], stride: Sizes, dilation: Sizes
) -> list[tuple[int, int]]:
    """(before, after) of every axis."""
    rank = len(sizes)
    one_an_axis = [padding] * rank if isinstance(padding, int | np.integer | str) else list(padding)
    strides, dilations = each(stride, rank), each(dilation, rank)
    axes = zip(one_an_axis, sizes, kernel, strides, dilations, strict=True)
    return [side_padding(*axis) for axis in axes]  # type: ignore[arg-type]


def windows(
    inputs: np.ndarray, kernel: Sequence[int], stride: Sizes = 1, padding: Padding = 0, dilation: Sizes = 1
) -> np.ndarray:
    """Every window of (N, C, *sizes), as a view: (N, C, *outputs, *kernel). The border is filled with zeros."""
    rank = len(kernel)
    border = axis_paddings(padding, inputs.shape[2:], kernel, stride, dilation)
    padded = np.pad(inputs, [(0, 0), (0, 0), *border])
    strides, dilations = each(stride, rank), each(dilation, rank)
    reach = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
    view = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=tuple(range(2, 2 + rank)))
    steps: tuple[Any, ...] = (..., *(slice(None, None, step) for step in (*strides, *dilations)))
    return view[steps]


def im2col(
    inputs: np.ndarray, kernel: Sequence[int], stride: Sizes = 1, padding: Padding = 0, dilation: Sizes = 1
) -> np.ndarray:
    """(N, C, *sizes) -> (N, C * product(kernel), product(outputs)): a column for every window, as `torch.nn.Unfold`.

    *Principles and Practice* eq. 4-3 has C*H*W where the length of a column, C*K*K, is meant; and the numbers do not stay as
    many as they were: each is copied into every window that holds it.
    """
    rank = len(kernel)
    view = windows(inputs, kernel, stride, padding, dilation)
    places, offsets = range(2, 2 + rank), range(2 + rank, 2 + 2 * rank)
    columns = view.transpose(0, 1, *offsets, *places)
    return columns.reshape(len(inputs), inputs.shape[1] * int(np.prod(kernel)), -1)


def col2im(
    columns: np.ndarray,
    sizes: Sequence[int],
    kernel: Sequence[int],
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
) -> np.ndarray:
    """The transpose of `im2col`: every window is added back to where it came from. (N, C * k, L) -> (N, C, *sizes)."""
    rank = len(kernel)
    border = axis_paddings(padding, sizes, kernel, stride, dilation)
    strides, dilations = each(stride, rank), each(dilation, rank)
    axes = list(zip(sizes, kernel, strides, border, dilations, strict=True))
    outputs = [output_size(*axis) for axis in axes]
    boxes = columns.reshape(len(columns), -1, *kernel, *outputs)
    padded = np.zeros((*boxes.shape[:2], *(size + before + after for size, _, _, (before, after), _ in axes)))
    for offset in np.ndindex(*kernel):
        places: tuple[Any, ...] = tuple(
            slice(d * o, d * o + s * (count - 1) + 1, s)
            for d, o, s, count in zip(dilations, offset, strides, outputs, strict=True)
        )
        padded[(..., *places)] += boxes[(slice(None), slice(None), *offset)]
    inside: tuple[Any, ...] = (..., *(slice(before, before + size) for size, _, _, (before, _), _ in axes))
    return padded[inside]


def convolution(
    inputs: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> np.ndarray:
    """(N, C, *sizes), (out, C / groups, *kernel) -> (N, out, *outputs); as many dimensions as the weight has.

    groups: the channels are cut into that many parts, and each part of the outputs sees one of them.
    """
    check_channels(inputs, weight, groups)
    kernel = weight.shape[2:]
    columns = im2col(inputs, kernel, stride, padding, dilation)
    columns = columns.reshape(len(inputs), groups, -1, columns.shape[-1])
    kernels = weight.reshape(groups, len(weight) // groups, -1)
    outputs = (kernels @ columns).reshape(
        len(inputs), len(weight), *output_sizes(inputs, kernel, stride, padding, dilation)
    )
    return outputs if bias is None else outputs + bias.reshape(-1, *[1] * len(kernel))


def convolution_backward(
    inputs: np.ndarray,
    weight: np.ndarray,
    gradient: np.ndarray,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients by (inputs, weight, bias): the product of matrices, differentiated, and the windows added back."""
    kernel, batch = weight.shape[2:], len(inputs)
    columns = im2col(inputs, kernel, stride, padding, dilation)
    columns = columns.reshape(batch, groups, -1, columns.shape[-1])
    kernels = weight.reshape(groups, len(weight) // groups, -1)
    slopes = gradient.reshape(batch, groups, len(weight) // groups, -1)
    by_weight = (slopes @ columns.swapaxes(-1, -2)).sum(axis=0).reshape(weight.shape)
    by_columns = (kernels.swapaxes(-1, -2) @ slopes).reshape(batch, -1, columns.shape[-1])
    by_inputs = col2im(by_columns, inputs.shape[2:], kernel, stride, padding, dilation)
    return by_inputs, by_weight, gradient.sum(axis=(0, *range(2, gradient.ndim)))


def output_sizes(
    inputs: np.ndarray, kernel: Sequence[int], stride: Sizes, padding: Padding, dilation: Sizes
) -> list[int]:
    """The size of the outputs along every axis."""
    rank, sizes = len(kernel), inputs.shape[2:]
    border = axis_paddings(padding, sizes, kernel, stride, dilation)
    return [
        output_size(*axis) for axis in zip(sizes, kernel, each(stride, rank), border, each(dilation, rank), strict=True)
    ]


def check_channels(inputs: np.ndarray, weight: np.ndarray, groups: int = 1) -> None:
    """A kernel is as deep as the channels that it sees."""
    if inputs.ndim != weight.ndim or inputs.shape[1] != weight.shape[1] * groups or len(weight) % groups:
        raise ValueError(f"inputs {inputs.shape} do not fit weights {weight.shape} in {groups} groups")


def convolution1d(inputs: np.ndarray, weight: np.ndarray, *rest, **options) -> np.ndarray:
    """`convolution` of sequences: (N, C, L), (out, C / groups, k) -> (N, out, L')."""
    return _of_rank(1, inputs, weight, *rest, **options)


def convolution2d(inputs: np.ndarray, weight: np.ndarray, *rest, **options) -> np.ndarray:
    """`convolution` of pictures: (N, C, H, W), (out, C / groups, kh, kw) -> (N, out, H', W')."""
    return _of_rank(2, inputs, weight, *rest, **options)


def convolution3d(inputs: np.ndarray, weight: np.ndarray, *rest, **options) -> np.ndarray:
    """`convolution` of volumes or films: (N, C, D, H, W), (out, C / groups, kd, kh, kw) -> (N, out, D', H', W')."""
    return _of_rank(3, inputs, weight, *rest, **options)


def _of_rank(rank: int, inputs: np.ndarray, weight: np.ndarray, *rest, **options) -> np.ndarray:
    if weight.ndim != rank + 2:
        raise ValueError(f"weights (out, in, and {rank} sizes) expected, received {weight.shape}")
    return convolution(inputs, weight, *rest, **options)


def convolution2d_loops(
    inputs: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    groups: int = 1,
) -> np.ndarray:
    """The definition: out[n, o, i, j] = b_o + sum over c, a, b of w[o, c, a, b] x[n, c, s i + d a, s j + d b].

    The patch of an output is x[s i : s i + k], k numbers. *Deep Learning with Python* §5.1.1 gives i-1 : i+1 for a 3x3 kernel,
    which in Python holds two; centred at i it is i-1 : i+2.
    """
    check_channels(inputs, weight, groups)
    outs, depth, kernel_height, kernel_width = weight.shape
    padded = np.pad(inputs, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    height = output_size(inputs.shape[2], kernel_height, stride, padding, dilation)
    width = output_size(inputs.shape[3], kernel_width, stride, padding, dilation)
    outputs = np.zeros((len(inputs), outs, height, width))
    for n, out, i, j in np.ndindex(outputs.shape):
        first = out // (outs // groups) * depth  # the first channel of this output's group
        for c, a, b in np.ndindex(depth, kernel_height, kernel_width):
            seen = padded[n, first + c, stride * i + dilation * a, stride * j + dilation * b]
            outputs[n, out, i, j] += weight[out, c, a, b] * seen
        if bias is not None:
            outputs[n, out, i, j] += bias[out]
    return outputs


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="2-D convolution",
        function="convolution.convolution2d",
        backward="convolution.convolution_backward",
        formula=r"y_{o,i,j} = b_o + \sum_{c,a,b} w_{o,c,a,b}\, x_{c,\ s i + d a - p,\ s j + d b - p}",
        fast="torch.nn.Conv2d",
        source="LeCun et al. 1998; *Principles and Practice* §4.2.1 eq. 4-1, 4-2; course notes §4.1.2 to 4.1.9; "
        "*Deep Learning with Python* §5.1.1; *Plain Talk* §6.3",
        note="Cross-correlation, as in all frameworks. Output size: floor((n + 2p - d(k - 1) - 1) / s) + 1; eq. 4-1 lacks the "
        "floor. Course notes §4.1.10 forget to subtract the kernel; §4.1.7 calls many channels '3D'.",
    ),
    Entry(
        name="1-D convolution",
        function="convolution.convolution1d",
        backward="convolution.convolution_backward",
        formula=r"y_{o,t} = b_o + \sum_{c,a} w_{o,c,a}\, x_{c,\ s t + d a - p}",
        fast="torch.nn.Conv1d",
        source="course notes §4.4.12; *Deep Learning with Python* §6.4",
    ),
    Entry(
        name="3-D convolution",
        function="convolution.convolution3d",
        backward="convolution.convolution_backward",
        formula=r"y_{o,h,i,j} = b_o + \sum_{c,e,a,b} w_{o,c,e,a,b}\, x_{c,\ s h + e,\ s i + a,\ s j + b}",
        fast="torch.nn.Conv3d",
        source="course notes §4.4.12",
        note="A 2-D convolution over channels is not this one: there the kernel does not slide along the channels.",
    ),
    Entry(
        name="im2col",
        function="convolution.im2col",
        backward="convolution.col2im",
        formula=r"(N, C, H, W) \to (N,\ C K K,\ H' W')",
        fast="torch.nn.functional.unfold",
        source="*Principles and Practice* §4.2.3 eq. 4-3, listing 4-1",
        note="Eq. 4-3 has C H W for C K K; the worked example's third row is printed 0 1 1 3 for 0 1 3 1 and its result repeats "
        "the kernels: it is [[4, 6], [6, 5]] and [[11, 12], [7, 8]]. The listing divides sizes by / (Python 2).",
    ),
)

"""Relatives of convolution: transposed, depthwise separable, true (the kernel flipped), and the integral they all come from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gradus.reference.catalogue import Entry
from gradus.reference.convolution import Padding, Sizes, col2im, convolution, convolution2d, convolution_backward, each


def transposed_convolution(
    inputs: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> np.ndarray:
    """Every input lays down a copy of the kernel, `stride` apart; what overlaps adds up.

    (N, in, *sizes), (in, out / groups, *kernel) -> (N, out, *outputs), outputs = (n - 1) s - 2p + d (k - 1) + 1 + extra.
    It is the gradient of a convolution by its inputs, not its inverse: "deconvolution" is a misnomer. `padding` is cut off
    the result; `output_padding` (extra < stride) picks one of the sizes that a strided convolution maps to the same one.
    """
    kernel, rank = weight.shape[2:], weight.ndim - 2
    settings = zip(
        inputs.shape[2:], kernel, *(each(v, rank) for v in (stride, padding, output_padding, dilation)), strict=True
    )
    sizes = [(n - 1) * s - 2 * p + d * (k - 1) + 1 + extra for n, k, s, p, extra, d in settings]
    kernels = weight.reshape(groups, len(weight) // groups, -1)
    values = inputs.reshape(len(inputs), groups, len(weight) // groups, -1)
    columns = (kernels.swapaxes(-1, -2) @ values).reshape(len(inputs), -1, values.shape[-1])
    outputs = col2im(columns, sizes, kernel, stride, padding, dilation)
    return outputs if bias is None else outputs + bias.reshape(-1, *[1] * rank)


def transposed_convolution_backward(
    inputs: np.ndarray,
    weight: np.ndarray,
    gradient: np.ndarray,
    stride: Sizes = 1,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients by (inputs, weight, bias): the convolution of the gradient, and that convolution's own weight gradient."""
    by_inputs = convolution(gradient, weight, None, stride, padding, dilation, groups)
    _, by_weight, _ = convolution_backward(gradient, weight, inputs, stride, padding, dilation, groups)
    return by_inputs, by_weight, gradient.sum(axis=(0, *range(2, gradient.ndim)))


transposed_convolution2d = transposed_convolution


def separable_convolution2d(
    inputs: np.ndarray,
    depthwise: np.ndarray,
    pointwise: np.ndarray,
    bias: np.ndarray | None = None,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
) -> np.ndarray:
    """Each channel filtered alone, then a 1x1 convolution that mixes: (N, C, H, W) -> (N, out, H', W').

    depthwise (C * multiplier, 1, kh, kw), pointwise (out, C * multiplier, 1, 1), bias (out,) after the second alone (Keras).
    Together they are one convolution whose kernels have a product form, so not every convolution can be written so.
    """
    filtered = convolution(inputs, depthwise, None, stride, padding, dilation, groups=inputs.shape[1])
    return convolution(filtered, pointwise, bias)


def separable_convolution2d_backward(
    inputs: np.ndarray,
    depthwise: np.ndarray,
    pointwise: np.ndarray,
    gradient: np.ndarray,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Gradients by (inputs, depthwise, pointwise, bias)."""
    channels = inputs.shape[1]
    filtered = convolution(inputs, depthwise, None, stride, padding, dilation, channels)
    by_filtered, by_pointwise, by_bias = convolution_backward(filtered, pointwise, gradient)
    by_inputs, by_depthwise, _ = convolution_backward(
        inputs, depthwise, by_filtered, stride, padding, dilation, channels
    )
    return by_inputs, by_depthwise, by_pointwise, by_bias


def true_convolution2d(
    inputs: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> np.ndarray:
    """Convolution as mathematics has it: the kernel turned by 180 degrees first. With padding "full" it commutes."""
    return convolution2d(inputs, weight[:, :, ::-1, ::-1], bias, stride, padding, dilation, groups)


def true_convolution2d_backward(
    inputs: np.ndarray,
    weight: np.ndarray,
    gradient: np.ndarray,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients by (inputs, weight, bias): those of the flipped kernel, its own flipped back."""
    flipped = weight[:, :, ::-1, ::-1]
    by_inputs, by_weight, by_bias = convolution_backward(inputs, flipped, gradient, stride, padding, dilation, groups)
    return by_inputs, by_weight[:, :, ::-1, ::-1], by_bias


def continuous_convolution(
    first: Callable[[np.ndarray], np.ndarray],
    second: Callable[[np.ndarray], np.ndarray],
    points: np.ndarray,
    low: float,
    high: float,
    cells: int = 20_000,
) -> np.ndarray:
    """h(x) = integral of f(t) g(x - t) dt at each of `points`, by midpoints; f must be 0 outside [low, high].

    The steps of the definition: flip g about 0, shift it by x, multiply by f, take the area.
    """
    width = (high - low) / cells
    middles = low + width * (np.arange(cells) + 0.5)
    return np.array([(first(middles) * second(x - middles)).sum() * width for x in points])


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="transposed convolution",
        function="convolution_kinds.transposed_convolution",
        backward="convolution_kinds.transposed_convolution_backward",
        formula=r"y_{o,\ s i + d a - p,\ s j + d b - p} \mathrel{+}= w_{c,o,a,b}\, x_{c,i,j}",
        fast="torch.nn.ConvTranspose2d",
        source="Dumoulin and Visin 2016; *Principles and Practice* §5.2.2; *Plain Talk* §12.4",
        note="Also called deconvolution or fractionally strided convolution. It restores the size, not the values.",
    ),
    Entry(
        name="depthwise separable convolution",
        function="convolution_kinds.separable_convolution2d",
        backward="convolution_kinds.separable_convolution2d_backward",
        formula=r"y_o = b_o + \sum_{m} p_{o,m}\, (d_m \star x_{c(m)})",
        fast="gradus.nn.SeparableConv2d",
        source="Chollet 2017 (Xception); *Deep Learning with Python* §7.3.1",
        note="*Deep Learning with Python* §9.1.6 calls it equivalent to a convolution: it is a restricted factorisation of one.",
    ),
    Entry(
        name="true convolution",
        function="convolution_kinds.true_convolution2d",
        backward="convolution_kinds.true_convolution2d_backward",
        formula=r"y_{i,j} = \sum_{a,b} w_{a,b}\, x_{i - a,\ j - b}",
        fast="torch.nn.functional.conv2d with weight.flip(-2, -1)",
        source="*Deep Learning and Computer Vision* §4.1.2, 4.1.4; course notes §4.1.5",
        note="It commutes and is associative; cross-correlation does neither.",
    ),
    Entry(
        name="continuous convolution",
        function="convolution_kinds.continuous_convolution",
        formula=r"(f * g)(x) = \int_{-\infty}^{\infty} f(t)\, g(x - t)\, dt",
        source="*Plain Talk* §6.2",
        note="A definite integral (the text says indefinite). Its 'square pulse' g(t) = t on [1, 2] is a ramp. With the triangle "
        "on [-1, 1] the result lives on [0, 3].",
    ),
)

"""What a stack of windows sees, how big its maps are, and how many weights, connections and multiplications it takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from gradus.reference.catalogue import Entry
from gradus.reference.convolution import output_size


@dataclass(frozen=True)
class Window:
    """A convolution or pooling along one axis."""

    kernel: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    ceil: bool = False


@dataclass(frozen=True)
class Sight:
    """What one unit behind some layers sees of the input.

    field:  how many inputs along the axis
    jump:   how many inputs lie between the fields of two neighbours (the product of the strides)
    centre: where the field of the first unit has its middle, the first input being at 0 (padding can make it negative)
    """

    field: int
    jump: int
    centre: float


def _window(layer: Window | tuple[int, ...]) -> Window:
    """A tuple is (kernel, stride, padding, dilation), as far as it goes."""
    return layer if isinstance(layer, Window) else Window(*layer)  # type: ignore[arg-type]


def receptive_field(layers: Iterable[Window | tuple[int, ...]]) -> list[Sight]:
    """After each layer, first to last: field += (k - 1) d jump; then jump *= stride. A tuple is (kernel, stride, ...)."""
    seen, sight = [], Sight(1, 1, 0.0)
    for layer in layers:
        window = _window(layer)
        reach = (window.kernel - 1) * window.dilation
        sight = Sight(
            field=sight.field + reach * sight.jump,
            jump=sight.jump * window.stride,
            centre=sight.centre + (reach / 2 - window.padding) * sight.jump,
        )
        seen.append(sight)
    return seen


def sizes(size: int, layers: Iterable[Window | tuple[int, ...]]) -> list[int]:
    """The size of the map after each layer: 39 behind (3), (5, 2), (5, 2) gives 37, 17, 7."""
    found = []
    for layer in layers:
        w = _window(layer)
        size = output_size(size, w.kernel, w.stride, w.padding, w.dilation, w.ceil)
        found.append(size)
    return found


def uses(size: int, kernel: int, stride: int = 1, padding: int = 0) -> np.ndarray:
    """How many windows each of `size` inputs along an axis is in. Of a picture: the outer product of its two axes."""
    counts = np.zeros(size + 2 * padding, dtype=int)
    for place in range(output_size(size, kernel, stride, padding)):
        counts[place * stride : place * stride + kernel] += 1
    return counts[padding : padding + size]


def dense_parameters(inputs: int, outputs: int, bias: bool = True) -> int:
    """n m weights and m biases."""
    return inputs * outputs + bias * outputs


def convolution_parameters(channels: int, outputs: int, *kernel: int, groups: int = 1, bias: bool = True) -> int:
    """(product of the kernel * channels / groups + 1) * outputs, whatever the size of the picture."""
    return outputs * (int(np.prod(kernel)) * channels // groups + bias)


def separable_parameters(channels: int, outputs: int, *kernel: int, multiplier: int = 1, bias: bool = True) -> int:
    """A kernel a channel (times the multiplier), then outputs * channels for the mixing, and the biases of that."""
    return channels * multiplier * (int(np.prod(kernel)) + outputs) + bias * outputs


def convolution_connections(channels: int, outputs: int, kernel: tuple[int, ...], places: tuple[int, ...]) -> int:
    """Weights times places: the multiplications of one example, with no padding. The distinct weights are far fewer."""
    return outputs * int(np.prod(kernel)) * channels * int(np.prod(places))


def dense_to_convolution(weight: np.ndarray, channels: int, height: int, width: int) -> np.ndarray:
    """The weight (C h w, m) of a dense layer on flattened maps (C, h, w) as that of a convolution: (m, C, h, w).

    The same numbers in the same order: on a map of that size the convolution is the dense layer, on a larger map it is the dense
    layer at every place. A dense layer behind it becomes a 1x1 convolution.
    """
    if len(weight) != channels * height * width:
        raise ValueError(f"{len(weight)} inputs are not {channels} maps of {height} x {width}")
    return weight.T.reshape(weight.shape[1], channels, height, width)


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="receptive field",
        function="geometry.receptive_field",
        formula=r"r_l = r_{l-1} + (k_l - 1)\, d_l \prod_{i < l} s_i",
        source="*Principles and Practice* §4.3.2, §6.1.1; *Deep Learning and Computer Vision* §4.1.7",
        note="*Principles and Practice* §6.1.1 says that stacked 3x3 convolutions see 3, 6, 9 inputs: it is 3, 5, 7. VGG16: 212 "
        "behind the last pool, 404 behind the first dense layer.",
    ),
    Entry(
        name="output size",
        function="geometry.sizes",
        formula=r"n' = \left\lfloor \frac{n + 2p - d(k - 1) - 1}{s} \right\rfloor + 1",
        source="course notes §4.1.10; *Principles and Practice* eq. 4-1; *Deep Learning and Computer Vision* §4.3.1",
        note="AlexNet's 224, 11x11, stride 4 gives 54; 55 needs 227 inputs, a padding of 2, or ceil.",
    ),
    Entry(
        name="dense layer as a convolution",
        function="geometry.dense_to_convolution",
        formula=r"W'_{m,c,a,b} = W_{(c h + a) w + b,\ m}",
        fast="gradus.nn.dense_to_convolution",
        source="Long et al. 2015; course notes §4.3.4; *Principles and Practice* §5.2.2, §6.1.3",
        note="*Principles and Practice* §5.2.2 makes the first dense layer behind 7x7 maps a 1x1 convolution: its kernel is 7x7.",
    ),
    Entry(
        name="parameters of a convolution",
        function="geometry.convolution_parameters",
        formula=r"(k_h k_w C / g + 1)\, M",
        source="course notes §4.1.9; *Principles and Practice* §4.3.2, 4.3.3",
        note="*Principles and Practice* §4.3: 10x10 local fields take 1/10 000 of 1e9 weights, not 1/1000; and 400x400 inputs "
        "with three layers of 100 take 1.602e7 weights (a sum over layers), not 1.6e11 (a product).",
    ),
)

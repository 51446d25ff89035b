"""What one number of a layer sees of the network's input (its receptive field), function by function.

An `Axis` follows one axis of the input: the first number of the map sees the inputs from `low` to `high`, its neighbour those
`jump` further on. Where branches meet, the union counts. What comes out of a dense layer on a flattened picture, global pooling,
attention or recurrence sees the `WHOLE`. Statistics that normalisation takes over a picture are left out, as is usual.
None: not followed (vectors, functions not known here).

A field follows from the calls of functions, inside layers of one's own too. Tensors are taken to be (B, C, axes...).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Window:
    """A convolution or pooling: one number an axis; groups and transposed are those of convolutions."""

    kernel: tuple[int, ...]
    stride: tuple[float, ...]
    padding: tuple[float, ...]
    dilation: tuple[int, ...]
    groups: int = 1
    transposed: bool = False


@dataclass(frozen=True)
class Axis:
    low: float = 0
    high: float = 0
    jump: float = 1

    @property
    def size(self) -> float:
        return self.high - self.low + 1

    def behind(self, kernel: int, stride: float, padding: float, dilation: int = 1) -> Axis:
        """Behind a window: the reach grows by (k - 1) d jump, then jump *= stride."""
        reach = (kernel - 1) * dilation
        return Axis(self.low - padding * self.jump, self.high + (reach - padding) * self.jump, self.jump * stride)

    def behind_transposed(self, kernel: int, stride: float, padding: float, dilation: int = 1) -> Axis:
        """Behind a transposed one: output o sees the inputs i with i s + k d - p = o, of every s-th the most."""
        reach = (kernel - 1) * dilation
        low = self.low + math.ceil((padding - reach) / stride) * self.jump
        return Axis(low, low + self.size - 1 + reach // stride * self.jump, self.jump / stride)


WHOLE = "whole"
Field = tuple[Axis, ...] | str | None

# Where the arguments stand that a window is read from, by position.
CONVOLUTION = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
TRANSPOSED = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
MAX_POOLING = ("input", "kernel_size", "stride", "padding", "dilation")
POOLING = ("input", "kernel_size", "stride", "padding")
LP_POOLING = ("input", "norm_type", "kernel_size", "stride")
WINDOWS: dict[str, tuple[str, ...]] = {
    **{f"conv{n}d": CONVOLUTION for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": TRANSPOSED for n in (1, 2, 3)},
    **{f"max_pool{n}d": MAX_POOLING for n in (1, 2, 3)},
    **{f"avg_pool{n}d": POOLING for n in (1, 2, 3)},
    **{f"lp_pool{n}d": LP_POOLING for n in (1, 2, 3)},
}
REDUCING = {"mean", "sum", "amax", "amin", "max", "min", "logsumexp", "norm", "std", "var", "prod"}
MIXING = {
    *("matmul", "bmm", "mm", "einsum", "baddbmm", "scaled_dot_product_attention", "multi_head_attention_forward"),
    *("lstm", "gru", "rnn_tanh", "rnn_relu"),
}
MOVING = {
    *("flatten", "view", "reshape", "permute", "transpose", "squeeze", "unsqueeze", "chunk", "split", "unbind", "cat"),
    *("stack", "repeat", "expand", "swapaxes", "movedim", "unflatten", "select", "narrow", "concat", "concatenate"),
    *("max_pool1d_with_indices", "max_pool2d_with_indices", "embedding", "linear", "tile"),
}


def field_of_input(given: Tensor) -> Field:
    """Every axis behind the channels, or the axis of time of token numbers; None for vectors."""
    if given.ndim == 2 and not given.is_floating_point():
        return (Axis(),)
    return tuple(Axis() for _ in given.shape[2:]) or None


def union(fields: Sequence[Field]) -> Field:
    """What several together see."""
    known = [one for one in fields if one is not None]
    if not known or WHOLE in known:
        return WHOLE if known else None
    most = max(len(one) for one in known)
    equal = [one for one in known if len(one) == most and not isinstance(one, str)]
    return tuple(
        Axis(min(a.low for a in axes), max(a.high for a in axes), max(a.jump for a in axes))
        for axes in zip(*equal, strict=True)
    )


def behind(
    name: str, args: tuple, keywords: dict[str, Any], taken: Sequence[Tensor], seen: Sequence[Field], given: Tensor
) -> tuple[Field, Window | None]:
    """What the result of a function sees, and its window where it has one.

    taken: the tensors it was called with, seen: their fields, given: its (first) result
    """
    field = union(seen)
    if name in WINDOWS:
        window = window_of(name, args, keywords)
        return _behind_window(field, window), window
    if field is None or field == WHOLE:
        return field, None
    assert not isinstance(field, str)
    if name in MIXING or (name == "linear" and given.ndim == 2):
        return WHOLE, None
    if name.startswith("adaptive_"):
        return _adaptive(field, taken[0], given)
    if name in REDUCING:
        kept = given.ndim > 0 and given.shape[-len(field) :] == taken[0].shape[-len(field) :]
        return (field if kept else WHOLE), None
    if name in ("interpolate", "upsample"):
        reach = {"nearest": 1, "bicubic": 4}.get(
            str(_argument(("", "", "", "mode"), args, keywords, "mode", "nearest")), 2
        )
        sizes = zip(field, taken[0].shape[2:], given.shape[2:], strict=True)
        return tuple(Axis(a.low, a.high + (reach - 1) * a.jump, a.jump * i / o) for a, i, o in sizes), None
    if name == "pad":
        sides = _argument(("input", "pad"), args, keywords, "pad", ())
        before = [*sides[0::2], *[0] * len(field)][: len(field)][::-1]
        return tuple(a.behind(1, 1, p) for a, p in zip(field, before, strict=True)), None
    if name == "getitem":
        return _sliced(field, args[0], args[1], given), None
    same = any(given.shape == one.shape for one in taken)
    return (field if same or name in MOVING else None), None


def window_of(name: str, args: tuple, keywords: dict[str, Any]) -> Window:
    """The window that a call of a convolution or pooling (`WINDOWS`) applies."""
    order, axes = WINDOWS[name], int(name[-2])

    def of(wanted: str, default: Any) -> Any:
        return _argument(order, args, keywords, wanted, default)

    weight = of("weight", None)
    kernel = tuple(weight.shape[2:]) if weight is not None else _each(of("kernel_size", 1), axes)
    usual = (1,) * axes if weight is not None else kernel  # poolings step by their kernel
    stride, dilation = _each(of("stride", None) or usual, axes), _each(of("dilation", 1), axes)
    padding = of("padding", 0)
    if padding == "valid":
        padding = 0
    elif padding == "same":
        padding = tuple((k - 1) * d // 2 for k, d in zip(kernel, dilation, strict=True))
    return Window(kernel, stride, _each(padding, axes), dilation, of("groups", 1), "transpose" in name)


def _argument(order: Sequence[str], args: tuple, keywords: dict[str, Any], wanted: str, default: Any) -> Any:
    if wanted in keywords:
        return keywords[wanted]
    place = order.index(wanted) if wanted in order else len(args)
    return args[place] if place < len(args) else default


def _each(value: Any, axes: int) -> tuple:
    values = tuple(value) if isinstance(value, Sequence) else (value,)
    return values * axes if len(values) == 1 else values


def _behind_window(field: Field, window: Window) -> Field:
    if field is None or isinstance(field, str) or len(field) != len(window.kernel):
        return field if field == WHOLE else None
    along = zip(field, window.kernel, window.stride, window.padding, window.dilation, strict=True)
    if window.transposed:
        return tuple(axis.behind_transposed(k, s, p, d) for axis, k, s, p, d in along)
    return tuple(axis.behind(k, s, p, d) for axis, k, s, p, d in along)


def _adaptive(field: tuple[Axis, ...], taken: Tensor, given: Tensor) -> tuple[Field, Window | None]:
    """Adaptive pooling: output o takes the inputs from floor(o i / n) to ceil((o + 1) i / n)."""
    axes, windows = [], []
    for axis, size, out in zip(field, taken.shape[-len(field) :], given.shape[-len(field) :], strict=True):
        kernel = max(-(-(place + 1) * size // out) - place * size // out for place in range(out))
        axes.append(axis.behind(kernel, size / out, 0))
        windows.append((kernel, size // out if size % out == 0 else size / out))
    if all(out == 1 for out in given.shape[-len(field) :]):
        return WHOLE, None
    kernels, strides = zip(*windows, strict=True)
    return tuple(axes), Window(kernels, strides, (0,) * len(axes), (1,) * len(axes))


def _sliced(field: tuple[Axis, ...], taken: Tensor, index: Any, given: Tensor) -> Field:
    """Behind x[:, :, ::2, 1:]: starts and steps of the slices of the last axes."""
    parts = list(index) if isinstance(index, tuple) else [index]
    if Ellipsis in parts:
        place = parts.index(Ellipsis)
        parts[place : place + 1] = [slice(None)] * (taken.ndim - len(parts) + 1)
    parts += [slice(None)] * (taken.ndim - len(parts))
    if given.ndim == taken.ndim and all(isinstance(part, slice) for part in parts):
        ranges = [part.indices(size) for part, size in zip(parts, taken.shape, strict=True)][-len(field) :]
        return tuple(a.behind(1, step, -start) for a, (start, _, step) in zip(field, ranges, strict=True))
    return field

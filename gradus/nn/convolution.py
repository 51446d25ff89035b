"""Convolutions that PyTorch leaves to be put together: padding as Keras has it, depthwise separable, a dense layer as one.

Shapes: B pictures, C channels, H height, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.errors import UserError

Pair = int | tuple[int, int]


def _pair(value: Pair) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def same_pad2d(inputs: Tensor, kernel_size: Pair, stride: Pair = 1, dilation: Pair = 1, value: float = 0.0) -> Tensor:
    """Pads (B, C, H, W) so that a window without padding of its own gives ceil(H / stride), ceil(W / stride) outputs.

    Keras' and TensorFlow's "same": the total depends on the size, and the odd one of it goes below and to the right. PyTorch
    has `padding="same"` for stride 1 alone, and a fixed padding puts strided windows elsewhere. For max pooling give
    value=-inf.
    """
    border: list[int] = []
    settings = zip(inputs.shape[-2:], _pair(kernel_size), _pair(stride), _pair(dilation), strict=True)
    for size, kernel, step, rate in settings:
        total = max((-(-size // step) - 1) * step + rate * (kernel - 1) + 1 - size, 0)
        border = [total // 2, total - total // 2, *border]  # torch wants the last axis first
    return functional.pad(inputs, border, value=value) if any(border) else inputs


class SamePad2d(nn.Module):
    """`same_pad2d` as a layer, to stand before a convolution or pool that has no padding."""

    def __init__(self, kernel_size: Pair, stride: Pair = 1, dilation: Pair = 1, value: float = 0.0) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.dilation, self.value = kernel_size, stride, dilation, value

    def forward(self, inputs: Tensor) -> Tensor:
        return same_pad2d(inputs, self.kernel_size, self.stride, self.dilation, self.value)

    def extra_repr(self) -> str:
        return f"{self.kernel_size}, stride={self.stride}, dilation={self.dilation}, value={self.value}"


class SeparableConv2d(nn.Module):
    """Every channel filtered alone, then mixed by a 1x1 convolution (Chollet 2017). (B, C, H, W) -> (B, out, H', W').

    in_channels * multiplier * (kernel^2 + out_channels) weights and out_channels biases, no activation between the two
    (Keras' SeparableConv2D). padding: as `nn.Conv2d`, or "same" with any stride, by Keras' rule.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: int | tuple[int, int] | str = 0,
        dilation: Pair = 1,
        multiplier: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        middle = in_channels * multiplier
        self.pad = SamePad2d(kernel_size, stride, dilation) if padding == "same" else nn.Identity()
        self.depthwise = nn.Conv2d(
            in_channels,
            middle,
            kernel_size,
            stride,
            0 if padding == "same" else padding,
            dilation,
            groups=in_channels,
            bias=False,
        )
        self.pointwise = nn.Conv2d(middle, out_channels, 1, bias=bias)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(self.pad(inputs)))


def dense_to_convolution(linear: nn.Linear, channels: int, height: int, width: int) -> nn.Conv2d:
    """The convolution (channels, height, width) -> linear.out_features with copies of a dense layer's own weights.

    For a `linear` that stood behind a flatten of (channels, height, width). On maps of that size it gives the same numbers,
    (B, out, 1, 1); on larger maps it is that layer at every place. A dense layer behind it becomes a 1x1 convolution:
    `dense_to_convolution(linear, linear.in_features, 1, 1)`.
    """
    if linear.in_features != channels * height * width:
        raise UserError(
            f"a layer of {linear.in_features} inputs does not stand behind {channels} maps of {height} x {width}"
        )
    made = nn.Conv2d(
        channels,
        linear.out_features,
        (height, width),
        bias=linear.bias is not None,
        device=linear.weight.device,
        dtype=linear.weight.dtype,
    )
    with torch.no_grad():
        made.weight.copy_(linear.weight.view(made.weight.shape))
        if made.bias is not None:
            made.bias.copy_(linear.bias)
    return made

"""Layers of the early convolutional networks (LeCun et al. 1998, *Gradient-Based Learning Applied to Document Recognition*).

Shapes: B pictures, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class Subsampling(nn.Module):
    """The trainable pooling of LeNet-5: the sum of each 2x2 field, times one coefficient a channel, plus one bias a channel.

    (B, C, H, W) -> (B, C, H // 2, W // 2). 2 C parameters. No activation: the caller applies it.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.coefficient = nn.Parameter(torch.full((channels,), 0.25))  # starts as the mean of the field
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, inputs: Tensor) -> Tensor:
        sums = 4 * functional.avg_pool2d(inputs, 2)
        return sums * self.coefficient[:, None, None] + self.bias[:, None, None]


class SparselyConnectedConv2d(nn.Module):
    """A convolution in which each output channel sees only some of the input channels, by a table.

    connections: for each output channel, the input channels that it is connected to. Only those kernels exist as parameters:
    `weight` is (number of connections, kernel_size, kernel_size).
    """

    def __init__(self, in_channels: int, connections: Sequence[Sequence[int]], kernel_size: int) -> None:
        super().__init__()
        positions = [out * in_channels + source for out, sources in enumerate(connections) for source in sources]
        self.in_channels, self.out_channels, self.kernel_size = in_channels, len(connections), kernel_size
        self.weight = nn.Parameter(torch.empty(len(positions), kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.empty(len(connections)))
        self.positions: Tensor
        self.register_buffer("positions", torch.tensor(positions), persistent=False)
        fan_in = torch.tensor([len(sources) * kernel_size**2 for sources in connections])
        self.fan_in: Tensor
        self.register_buffer("fan_in", fan_in, persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform in +-1/sqrt(fan-in), fan-in counted over the connections that exist (as `nn.Conv2d` does for all)."""
        with torch.no_grad():
            fan_in_of_kernel = self.fan_in[self.positions // self.in_channels]
            self.weight.uniform_(-1, 1).div_(fan_in_of_kernel.sqrt()[:, None, None])
            self.bias.uniform_(-1, 1).div_(self.fan_in.sqrt())

    def dense_weight(self) -> Tensor:
        """(out, in, kernel, kernel), zero where there is no connection."""
        kernels = self.weight.new_zeros(self.out_channels * self.in_channels, self.kernel_size, self.kernel_size)
        kernels = kernels.index_copy(0, self.positions, self.weight)
        return kernels.view(self.out_channels, self.in_channels, self.kernel_size, self.kernel_size)

    def forward(self, inputs: Tensor) -> Tensor:
        return functional.conv2d(inputs, self.dense_weight(), self.bias)

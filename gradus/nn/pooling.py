"""Pooling that PyTorch lacks: by chance, over chunks of a sequence, over a pyramid.

Shapes: B examples, C channels, H height, W width, L length.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.errors import UserError


def stochastic_pool2d(inputs: Tensor, draws: Tensor, kernel_size: int, stride: int) -> Tensor:
    """Of each window the first value whose running sum exceeds draw * sum.

    inputs (B, C, H, W) >= 0, draws (B, C, H', W') in [0, 1) -> (B, C, H', W'). A window of zeros gives 0.
    The gradient goes to the value that was taken.
    """
    windows = inputs.unfold(2, kernel_size, stride).unfold(3, kernel_size, stride).flatten(4)  # (B, C, H', W', k * k)
    with torch.no_grad():
        running = windows.cumsum(dim=-1)
        chosen = (running > draws[..., None] * running[..., -1:]).int().argmax(dim=-1, keepdim=True)
    return windows.gather(-1, chosen)[..., 0]


class StochasticPool2d(nn.Module):
    """Stochastic pooling (Zeiler and Fergus 2013). (B, C, H, W) -> (B, C, H', W'), sizes rounded down.

    Training: one value of each window, drawn with probability value / sum. Evaluation: their mean weighted by the same
    probabilities, sum x^2 / sum x. Inputs must be >= 0: it belongs behind a ReLU (not checked, as that would wait for the GPU).
    """

    def __init__(self, kernel_size: int, stride: int | None = None) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training:
            height, width = ((size - self.kernel_size) // self.stride + 1 for size in inputs.shape[-2:])
            draws = torch.rand(*inputs.shape[:2], height, width, device=inputs.device)
            return stochastic_pool2d(inputs, draws, self.kernel_size, self.stride)
        squares = functional.avg_pool2d(inputs.square(), self.kernel_size, self.stride)
        means = functional.avg_pool2d(inputs, self.kernel_size, self.stride)
        return squares / means.masked_fill(means == 0, 1)

    def extra_repr(self) -> str:
        return f"{self.kernel_size}, stride={self.stride}"


class ChunkMaxPool1d(nn.Module):
    """(B, C, L) -> (B, C, chunks): the sequence in `chunks` pieces that do not overlap, the largest value of each.

    Where the pieces cannot be equal, the first L % chunks are one longer (`nn.AdaptiveMaxPool1d` lets them overlap instead).
    """

    def __init__(self, chunks: int) -> None:
        super().__init__()
        self.chunks = chunks

    def forward(self, inputs: Tensor) -> Tensor:
        length = inputs.shape[-1]
        if length < self.chunks:
            raise UserError(f"a sequence of {length} cannot be cut into {self.chunks} chunks")
        short, longer = divmod(length, self.chunks)
        border = longer * (short + 1)
        parts = []
        if longer:
            parts.append(functional.max_pool1d(inputs[..., :border], short + 1))
        parts.append(functional.max_pool1d(inputs[..., border:], short))
        return torch.cat(parts, dim=-1)

    def extra_repr(self) -> str:
        return f"{self.chunks}"


class SpatialPyramidPool2d(nn.Module):
    """Maps of any size to vectors of one length (He et al. 2015): (B, C, H, W) -> (B, C * sum of level^2), 21 C for (4, 2, 1).

    A level n is the largest value of each of n x n bins; bin i covers floor(i H / n) to ceil((i + 1) H / n). Order: level by
    level, in a level channel by channel, its bins row by row.
    """

    def __init__(self, levels: Sequence[int] = (4, 2, 1)) -> None:
        super().__init__()
        self.levels = tuple(levels)

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.cat([functional.adaptive_max_pool2d(inputs, level).flatten(1) for level in self.levels], dim=1)

    def extra_repr(self) -> str:
        return f"{self.levels}"

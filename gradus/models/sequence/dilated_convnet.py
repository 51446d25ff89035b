"""Causal convolutions with growing gaps (van den Oord et al. 2016, Bai et al. 2018): an output sees its past alone, far back.

Each block has two convolutions of one dilation, 1, 2, 4, ... from block to block, and a shortcut. So a network of L blocks and
kernels of k sees 1 + 2 (k - 1) (2^L - 1) steps. B rows, T steps, n numbers, C channels.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from gradus.errors import UserError
from gradus.models.sequence.front import Front, pooling_named
from gradus.nn import SameMaskDropout


class CausalConvolution(nn.Conv1d):
    """(B, n, T) -> (B, C, T): step t sees the steps t, t - d, ..., t - (k - 1) d; before the beginning there are zeros."""

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(functional.pad(inputs, ((self.kernel_size[0] - 1) * self.dilation[0], 0)))


class CausalBlock(nn.Module):
    """(B, n, T) -> (B, C, T): relu(branch(x) + shortcut(x)). Dropout takes away whole channels."""

    def __init__(self, in_channels: int, channels: int, kernel_size: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.first = CausalConvolution(in_channels, channels, kernel_size, dilation=dilation)
        self.second = CausalConvolution(channels, channels, kernel_size, dilation=dilation)
        self.dropout = nn.Dropout1d(dropout)
        self.shortcut = nn.Identity() if in_channels == channels else nn.Conv1d(in_channels, channels, 1)

    def branch(self, inputs: Tensor) -> Tensor:
        inside = self.dropout(functional.relu(self.first(inputs)))
        return self.dropout(functional.relu(self.second(inside)))

    def forward(self, inputs: Tensor) -> Tensor:
        return functional.relu(self.branch(inputs) + self.shortcut(inputs))


class DilatedConvnet(nn.Module):
    """Ids (B, T) or numbers (B, T, F) -> (B, num_classes).

    layers:  blocks, each with twice the dilation of the one before
    pooling: what of the steps is read: the "last" one, which is usual for series, their "mean" or the largest value ("max")
    """

    def __init__(
        self,
        num_classes: int = 2,
        num_tokens: int | None = None,
        in_features: int | None = None,
        embedding_size: int = 64,
        channels: int = 32,
        kernel_size: int = 3,
        layers: int = 5,
        pooling: Literal["last", "mean", "max"] = "last",
        dropout: float = 0.0,
        masked: bool = True,
    ) -> None:
        super().__init__()
        if min(channels, kernel_size, layers) < 1:
            raise UserError("dilated_convnet: channels, kernel_size and layers must be above 0")
        self.front = Front(num_tokens, embedding_size, in_features, 0.0, masked)
        self.dropout = SameMaskDropout(dropout)
        sizes = [self.front.width] + [channels] * (layers - 1)
        self.blocks = nn.Sequential(
            *(CausalBlock(size, channels, kernel_size, 2**index, dropout) for index, size in enumerate(sizes))
        )
        self.pool = pooling_named(pooling)
        self.head = nn.Linear(channels, num_classes)
        self.receptive_field = 1 + 2 * (kernel_size - 1) * (2**layers - 1)  # steps that an output sees

    def forward(self, inputs: Tensor) -> Tensor:
        vectors, mask = self.front(inputs)
        outputs = self.blocks(self.dropout(vectors).transpose(1, 2)).transpose(1, 2)
        return self.head(self.pool(outputs, mask))

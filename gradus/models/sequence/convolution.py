"""Convolutions over time: alone, of several widths side by side, in front of a recurrent layer.

Windows lie wholly within a row, as Keras' "valid" ones do, and pooling drops what does not fill a window. A row of ids that is
shorter than one answer needs is read as if zeros followed it, up to that length and no further; so each row has an answer, and
padding changes none. B rows, T steps, n numbers, C channels.

`text_convnet` with embedding_size=128 on 10 000 ids and one output is the 1 315 937-parameter network of *Deep Learning with
Python*, listing 6-46 (2 000 ids: 291 937); with in_features=14, layers=3, kernel_size=5, pool=3 that of listing 6-47 (12 609).
`conv_rnn` on 14 numbers is that of listing 6-49: 13 793, or 13 697 with kind="reset_before_gru", the GRU of Keras at that time.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.errors import UserError
from gradus.models.sequence.flat import hidden_layers
from gradus.models.sequence.front import Front, largest_step
from gradus.models.sequence.recurrent import Kind, Recurrent, ends_of
from gradus.nn import SameMaskDropout


class StepNorm(nn.BatchNorm1d):
    """Batch normalisation of (B, C, T) that takes its statistics from the steps that exist, mask (B, T)."""

    def forward(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:  # type: ignore[override]
        if mask is None or not self.training:
            return super().forward(inputs)
        there = mask.to(inputs.dtype)[:, None]
        count = there.sum().clamp(min=1)
        mean = (inputs * there).sum(dim=(0, 2)) / count
        centred = inputs - mean[:, None]
        variance = (centred.square() * there).sum(dim=(0, 2)) / count
        with torch.no_grad():
            momentum = 0.1 if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean.detach(), momentum)  # type: ignore[union-attr]
            unbiased = variance.detach() * count / (count - 1).clamp(min=1)
            self.running_var.lerp_(unbiased, momentum)  # type: ignore[union-attr]
            self.num_batches_tracked.add_(1)  # type: ignore[union-attr]
        scale = self.weight * (variance + self.eps).rsqrt()
        return centred * scale[:, None] + self.bias[:, None]


class ConvolutionStack(nn.Module):
    """Convolutions with ReLU and, between them, max pooling: vectors (B, T, n) and a mask -> (B, T', channels) and its mask.

    batch_norm: behind each convolution, before its ReLU
    """

    def __init__(
        self, input_size: int, channels: int, kernel_size: int, pool: int, layers: int, batch_norm: bool
    ) -> None:
        super().__init__()
        for name, value in {"channels": channels, "kernel_size": kernel_size, "pool": pool, "layers": layers}.items():
            if not isinstance(value, int) or value < 1:
                raise UserError(f"convolutions: {name} must be a whole number above 0, received {value!r}")
        sizes = [input_size] + [channels] * (layers - 1)
        self.convolutions = nn.ModuleList(nn.Conv1d(size, channels, kernel_size) for size in sizes)
        self.norms = nn.ModuleList(StepNorm(channels) for _ in sizes) if batch_norm else None
        self.kernel_size, self.pools = kernel_size, [pool] * (layers - 1) + [1]
        self.least = 1  # steps that one output needs
        for size in reversed(self.pools):
            self.least = self.least * size + kernel_size - 1

    def forward(self, vectors: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        steps = vectors.shape[1]
        if mask is None and steps < self.least:
            raise UserError(f"these convolutions need {self.least} steps or more, received {steps}")
        lengths = None if mask is None else mask.sum(dim=1).clamp(min=self.least)
        values = functional.pad(vectors.transpose(1, 2), (0, max(self.least - steps, 0)))
        for index, (convolution, pool) in enumerate(zip(self.convolutions, self.pools, strict=True)):
            values = convolution(values)
            lengths = None if lengths is None else lengths - (self.kernel_size - 1)
            if self.norms is not None:
                values = self.norms[index](values, _mask(lengths, values.shape[2]))
            values = functional.relu(values)
            if pool > 1:
                values = functional.max_pool1d(values, pool)
                lengths = None if lengths is None else lengths // pool
        return values.transpose(1, 2), _mask(lengths, values.shape[2])


def _mask(lengths: Tensor | None, steps: int) -> Tensor | None:
    return None if lengths is None else torch.arange(steps, device=lengths.device) < lengths[:, None]


class TextConvnet(nn.Module):
    """Ids (B, T) or numbers (B, T, F) -> (B, num_classes): convolutions, then the largest value of each channel over time."""

    def __init__(
        self,
        num_classes: int = 2,
        num_tokens: int | None = None,
        in_features: int | None = None,
        embedding_size: int = 64,
        channels: int = 32,
        kernel_size: int = 7,
        pool: int = 5,
        layers: int = 2,
        hidden: Sequence[int] = (),
        batch_norm: bool = False,
        dropout: float = 0.0,
        masked: bool = True,
    ) -> None:
        super().__init__()
        self.front = Front(num_tokens, embedding_size, in_features, dropout, masked)
        self.body = ConvolutionStack(self.front.width, channels, kernel_size, pool, layers, batch_norm)
        self.front.least = self.body.least
        self.dropout = nn.Dropout(dropout)
        self.features, width = hidden_layers(channels, hidden, dropout)
        self.head = nn.Linear(width, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        found = largest_step(*self.body(*self.front(inputs)))
        return self.head(self.features(self.dropout(found)))


class KimConvnet(nn.Module):
    """Kim 2014: windows of several widths side by side, the largest value of each over time, dropout, logits.

    Ids (B, T) or numbers (B, T, F) -> (B, num_classes). The paper: widths 3, 4, 5 with 100 channels each on vectors of 300.
    """

    def __init__(
        self,
        num_classes: int = 2,
        num_tokens: int | None = None,
        in_features: int | None = None,
        embedding_size: int = 64,
        channels: int = 100,
        widths: Sequence[int] = (3, 4, 5),
        dropout: float = 0.5,
        masked: bool = True,
    ) -> None:
        super().__init__()
        self.front = Front(num_tokens, embedding_size, in_features, 0.0, masked, least=max(widths))
        self.bodies = nn.ModuleList(
            ConvolutionStack(self.front.width, channels, width, pool=1, layers=1, batch_norm=False) for width in widths
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels * len(widths), num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        vectors, mask = self.front(inputs)
        found = [largest_step(*body(vectors, mask)) for body in self.bodies]
        return self.head(self.dropout(torch.cat(found, dim=1)))


class ConvRNN(nn.Module):
    """Ids (B, T) or numbers (B, T, F) -> (B, num_classes): convolutions shorten the sequence, a recurrent layer reads the rest.

    dropout: of what the recurrent layer reads
    """

    def __init__(
        self,
        num_classes: int = 2,
        num_tokens: int | None = None,
        in_features: int | None = None,
        kind: Kind = "gru",
        embedding_size: int = 64,
        channels: int = 32,
        kernel_size: int = 5,
        pool: int = 3,
        layers: int = 2,
        hidden_size: int = 32,
        batch_norm: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        masked: bool = True,
    ) -> None:
        super().__init__()
        self.front = Front(num_tokens, embedding_size, in_features, 0.0, masked)
        self.convolutions = ConvolutionStack(self.front.width, channels, kernel_size, pool, layers, batch_norm)
        self.front.least = self.convolutions.least
        self.dropout = SameMaskDropout(dropout)
        self.body = Recurrent(kind, channels, hidden_size, recurrent_dropout=recurrent_dropout)
        self.head = nn.Linear(hidden_size, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        values, mask = self.convolutions(*self.front(inputs))
        return self.head(ends_of(self.body(self.dropout(values), mask), mask, self.body))

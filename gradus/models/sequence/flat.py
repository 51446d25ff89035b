"""Networks that know little of order: all vectors in a row before a dense layer, or their mean.

`sequence_mlp` with length=20, embedding_size=8 on 10 000 ids and one output is the 80 161-parameter network of *Deep Learning
with Python*, listing 6-7; with in_features=14, length=240, hidden=(32,) that of listing 6-38 (107 585).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.errors import UserError
from gradus.models.sequence.front import Front, mean_step, to_front


def hidden_layers(width: int, hidden: Sequence[int] | int, dropout: float) -> tuple[nn.Sequential, int]:
    """Dense layers with ReLU and dropout behind each; and the width of what they give."""
    layers: list[nn.Module] = []
    for wider in (hidden,) if isinstance(hidden, int) else hidden:
        layers += [nn.Linear(width, wider), nn.ReLU()] + ([nn.Dropout(dropout)] if dropout else [])
        width = wider
    return nn.Sequential(*layers), width


class SequenceMLP(nn.Module):
    """Ids (B, T) or numbers (B, length, F) -> (B, num_classes): every place has weights of its own.

    length: places. Of ids the first `length` are read; where there are fewer, zeros stand behind them. With masked=False
            the last `length` ids are read as they are, token 0 in front of fewer (as Keras' pad_sequences has it)
    """

    def __init__(
        self,
        length: int,
        num_classes: int = 2,
        num_tokens: int | None = None,
        in_features: int | None = None,
        embedding_size: int = 64,
        hidden: Sequence[int] = (),
        dropout: float = 0.0,
        masked: bool = True,
    ) -> None:
        super().__init__()
        if not isinstance(length, int) or length < 1:
            raise UserError(f"sequence_mlp: length must be a whole number of places above 0, received {length!r}")
        self.length = length
        self.front = Front(num_tokens, embedding_size, in_features, dropout, masked)
        self.features, width = hidden_layers(length * self.front.width, hidden, dropout)
        self.head = nn.Linear(width, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        if self.front.embedding is not None:
            missing = self.length - inputs.shape[1]  # below 0: tokens too many
            masked = self.front.masked
            inputs = functional.pad(to_front(inputs), (0, missing)) if masked else functional.pad(inputs, (missing, 0))
        elif inputs.shape[1] != self.length:
            raise UserError(f"sequence_mlp was made for {self.length} steps, received {inputs.shape[1]}")
        return self.head(self.features(self.front(inputs)[0].flatten(1)))


class AveragedEmbeddings(nn.Module):
    """Ids (B, T) or numbers (B, T, F) -> (B, num_classes): the mean of the vectors, hidden layers if any, logits. fastText's
    classifier (Joulin et al. 2017).

    ngrams:  2 also averages a vector for each two neighbouring tokens, 3 for each three as well. These vectors are found by a
             hash of the ids in a table of `buckets` rows, which different ones may share
    dropout: of the mean, and behind each hidden layer
    """

    def __init__(
        self,
        num_classes: int = 2,
        num_tokens: int | None = None,
        in_features: int | None = None,
        embedding_size: int = 64,
        hidden: Sequence[int] = (),
        ngrams: int = 1,
        buckets: int = 200_000,
        dropout: float = 0.0,
        masked: bool = True,
    ) -> None:
        super().__init__()
        if ngrams < 1 or buckets < 1:
            raise UserError(f"averaged_embeddings: ngrams and buckets must be above 0, received {ngrams} and {buckets}")
        self.front = Front(num_tokens, embedding_size, in_features, 0.0, masked)
        if ngrams > 1 and self.front.embedding is None:
            raise UserError("averaged_embeddings: ngrams are of token ids; numbers have none")
        self.ngrams, self.buckets = ngrams, buckets
        if ngrams > 1:
            self.pieces = nn.Parameter(torch.empty(buckets + 1, embedding_size).uniform_(-0.05, 0.05))  # row 0: none
        self.dropout = nn.Dropout(dropout)
        self.features, width = hidden_layers(self.front.width, hidden, dropout)
        self.head = nn.Linear(width, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        mean = mean_step(inputs, None) if self.front.embedding is None else self._mean(inputs)
        return self.head(self.features(self.dropout(mean)))

    def _mean(self, ids: Tensor) -> Tensor:
        """(B, embedding_size), by sums over rows of the tables, so that (B, T, embedding_size) never exists."""
        assert self.front.embedding is not None
        unused = 0 if self.front.masked else None
        ids = to_front(ids) if self.front.masked and self.ngrams > 1 else ids
        found = functional.embedding_bag(ids, self.front.embedding.weight, mode="sum", padding_idx=unused)
        count = (ids != 0).sum(dim=1) if self.front.masked else ids.new_full((len(ids),), ids.shape[1])
        for size in range(2, self.ngrams + 1):
            rows = self.rows_of_ngrams(ids, size)
            if rows.shape[1]:
                found = found + functional.embedding_bag(rows, self.pieces, mode="sum", padding_idx=0)
                count = count + (rows != 0).sum(dim=1)
        return found / count.clamp(min=1)[:, None]

    def rows_of_ngrams(self, ids: Tensor, size: int) -> Tensor:
        """(B, T) -> (B, T - size + 1): the row of `pieces` of each `size` neighbours, from 1; 0 where they reach into padding."""
        steps = max(ids.shape[1] - size + 1, 0)
        mixed = torch.full_like(ids[:, :steps], size)
        exists = torch.ones_like(mixed, dtype=torch.bool)
        for place in range(size):
            part = ids[:, place : place + steps]
            mixed = (mixed * 0x9E3779B1 + part * 0x85EBCA6B) & 0x7FFFFFFF  # products that mix all bits, kept below 2^31
            mixed = mixed ^ (mixed >> 15)
            exists &= part != 0
        rows = 1 + mixed % self.buckets
        return torch.where(exists, rows, 0) if self.front.masked else rows

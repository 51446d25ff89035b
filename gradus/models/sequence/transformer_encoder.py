"""A small Transformer encoder (Vaswani et al. 2017), its norms in front of each part (Xiong et al. 2020), for texts and series.

B rows, T steps, D width, H heads. Attention is PyTorch's fused `scaled_dot_product_attention`.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.errors import UserError
from gradus.models.sequence.front import Front, mean_step


def sinusoids(steps: int, width: int, like: Tensor) -> Tensor:
    """(T, D): sin(t / 10000^(2i / D)) at 2i and the cosine beside it, of the device and type of `like`."""
    rates = torch.exp(torch.arange(0, width, 2, device=like.device) * (-math.log(10_000.0) / width))
    angles = torch.arange(steps, device=like.device)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[:, :width].to(like.dtype)


class EncoderBlock(nn.Module):
    """x + attention(norm(x)), then x + dense(norm(x)): (B, T, D) -> (B, T, D). mask (B, T): which steps may be looked at."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.queries_keys_values, self.joined = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.dense = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.dropout = nn.Dropout(dropout)

    def attend(self, inputs: Tensor, mask: Tensor | None) -> Tensor:
        queries, keys, values = (
            self.queries_keys_values(inputs).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        )
        allowed = None if mask is None else mask[:, None, None]  # (B, 1, 1, T): the same for all heads and questions
        found = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=allowed)
        return self.joined(found.transpose(1, 2).flatten(2))

    def forward(self, inputs: Tensor, mask: Tensor | None) -> Tensor:
        inputs = inputs + self.dropout(self.attend(self.norm1(inputs), mask))
        return inputs + self.dropout(self.dense(self.norm2(inputs)))


class TransformerEncoder(nn.Module):
    """Ids (B, T) or numbers (B, T, F) -> (B, num_classes).

    positions: "sinusoidal", for rows of any length; or "learnt": a vector for each of the first `length` places, and ids
               behind these are not read
    pooling:   the "mean" of what the last block gives for the steps that exist, or what it gives for a learnt vector that stands
               in front of them ("first")
    """

    def __init__(
        self,
        num_classes: int = 2,
        num_tokens: int | None = None,
        in_features: int | None = None,
        length: int | None = None,
        embedding_size: int = 64,
        heads: int = 4,
        layers: int = 2,
        hidden: int = 256,
        positions: Literal["sinusoidal", "learnt"] = "sinusoidal",
        pooling: Literal["mean", "first"] = "mean",
        dropout: float = 0.1,
        masked: bool = True,
    ) -> None:
        super().__init__()
        if heads < 1 or embedding_size % heads:
            raise UserError(
                f"transformer_encoder: {embedding_size} numbers cannot be shared out to {heads} heads evenly"
            )
        if positions not in ("sinusoidal", "learnt") or pooling not in ("mean", "first"):
            raise UserError(
                'transformer_encoder: positions are "sinusoidal" or "learnt", pooling is "mean" or "first"; '
                f"received {positions!r} and {pooling!r}"
            )
        if positions == "learnt" and length is None:
            raise UserError("transformer_encoder: learnt positions need length, the most steps of a row")
        self.width, self.length = embedding_size, length
        self.front = Front(num_tokens, embedding_size, in_features, 0.0, masked)
        self.enter = nn.Identity() if num_tokens else nn.Linear(self.front.width, embedding_size)
        self.places = (
            nn.Parameter(torch.randn(length, embedding_size) * 0.02) if positions == "learnt" and length else None
        )
        self.first = nn.Parameter(torch.randn(embedding_size) * 0.02) if pooling == "first" else None
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(EncoderBlock(embedding_size, heads, hidden, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(embedding_size)
        self.head = nn.Linear(embedding_size, num_classes)

    def _placed(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Vectors with what tells their places, and the mask."""
        vectors, mask = self.front(inputs)
        steps = vectors.shape[1]
        if self.places is not None:
            steps = min(steps, len(self.places))
            vectors, mask = vectors[:, :steps], None if mask is None else mask[:, :steps]
            return self.enter(vectors) + self.places[:steps], mask
        scale = math.sqrt(self.width) if self.front.embedding is not None else 1.0  # else places would drown the words
        return self.enter(vectors) * scale + sinusoids(steps, self.width, vectors), mask

    def forward(self, inputs: Tensor) -> Tensor:
        vectors, mask = self._placed(inputs)
        if self.first is not None:
            vectors = torch.cat([self.first.expand(len(vectors), 1, -1), vectors], dim=1)
            mask = None if mask is None else functional.pad(mask, (1, 0), value=True)
        allowed = (
            None if mask is None else mask | ~mask.any(dim=1, keepdim=True)
        )  # an empty row looks at its padding: no NaN
        vectors = self.dropout(vectors)
        for block in self.blocks:
            vectors = block(vectors, allowed)
        vectors = self.norm(vectors)
        return self.head(vectors[:, 0] if self.first is not None else mean_step(vectors, mask))

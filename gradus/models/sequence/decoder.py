"""The Transformer decoder as a language model: attention to what went before, and to nothing behind (Vaswani et al. 2017).

Pre-norm as in GPT-2 (Radford et al. 2019), whose initialisation it has too: normal of deviation 0.02, and 0.02 / sqrt(2 * layers)
for the layers that write into the residual stream. Positions are learnt (GPT-2), or the queries and keys are rotated by them
(Su et al. 2021). Padding lies behind a row's tokens, so that causality alone keeps it out.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.errors import UserError

POSITIONS = ("learnt", "rotary")
Cache = tuple[Tensor, Tensor]  # keys and values of earlier tokens: (B, heads, S, width / heads) each


def rotate(vectors: Tensor, first: int) -> Tensor:
    """(B, H, T, d), its two halves as pairs, each turned by an angle that grows with the position: first, first + 1, ..."""
    half = vectors.shape[3] // 2
    rates = 10_000 ** (-torch.arange(half, device=vectors.device, dtype=torch.float32) / half)
    places = torch.arange(first, first + vectors.shape[2], device=vectors.device, dtype=torch.float32)
    angles = places[:, None] * rates
    cosine, sine = angles.cos().to(vectors.dtype), angles.sin().to(vectors.dtype)
    left, right = vectors[..., :half], vectors[..., half:]
    return torch.cat([left * cosine - right * sine, left * sine + right * cosine], dim=3)


class CausalAttention(nn.Module):
    """Self-attention of several heads, in which a token sees itself and what came before it."""

    def __init__(self, width: int, heads: int, dropout: float, rotary: bool) -> None:
        super().__init__()
        self.heads, self.dropout, self.rotary = heads, dropout, rotary
        self.inward = nn.Linear(width, 3 * width)
        self.outward = nn.Linear(width, width)

    def forward(self, inputs: Tensor, cache: Cache | None) -> tuple[Tensor, Cache]:
        """(B, T, width) and the keys and values of S earlier tokens -> (B, T, width) and those of all S + T."""
        rows, steps, width = inputs.shape
        parts = self.inward(inputs).view(rows, steps, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        query, key, value = parts[0], parts[1], parts[2]  # (B, heads, T, width / heads)
        held = 0 if cache is None else cache[0].shape[2]
        if self.rotary:
            query, key = rotate(query, held), rotate(key, held)
        if cache is not None:
            key, value = torch.cat([cache[0], key], dim=2), torch.cat([cache[1], value], dim=2)
        mask = None
        if held and steps > 1:  # a token sees the S earlier ones, and of the T new ones those up to itself
            mask = torch.ones(steps, held + steps, dtype=torch.bool, device=inputs.device).tril(held)
        mixed = functional.scaled_dot_product_attention(
            query, key, value, mask, self.dropout if self.training else 0.0, is_causal=not held
        )
        return self.outward(mixed.transpose(1, 2).reshape(rows, steps, width)), (key, value)


class DecoderBlock(nn.Module):
    """x + attention(norm(x)), then x + layers(norm(x)): two layers with GELU, four times as wide between."""

    def __init__(self, width: int, heads: int, dropout: float, rotary: bool) -> None:
        super().__init__()
        self.first_norm, self.second_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = CausalAttention(width, heads, dropout, rotary)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: Tensor, cache: Cache | None) -> tuple[Tensor, Cache]:
        mixed, cache = self.attention(self.first_norm(inputs), cache)
        inputs = inputs + self.dropout(mixed)
        hidden = functional.gelu(self.widen(self.second_norm(inputs)))
        return inputs + self.dropout(self.narrow(hidden)), cache


class TransformerLanguageModel(nn.Module):
    """Ids (B, T), T <= length -> logits (B, T, num_tokens).

    length:    tokens that it can see at most
    positions: "learnt" or "rotary"
    tied:      the embedding is the output's weight too

    `continued` keeps the keys and values of earlier tokens, so that a new one costs one step. Where they would be more than
    `length`, the last half of what fits is read anew and the rest forgotten: what it says is always that of `forward` on a piece
    of the text.
    """

    def __init__(
        self,
        num_tokens: int,
        length: int = 64,
        width: int = 128,
        layers: int = 4,
        heads: int = 4,
        dropout: float = 0.0,
        positions: str = "learnt",
        tied: bool = True,
    ) -> None:
        super().__init__()
        if width % heads or positions not in POSITIONS or (positions == "rotary" and width // heads % 2):
            raise UserError(
                f"transformer_lm: expected a width that is a multiple of heads (of 2 * heads where rotary) and positions one of "
                f"{', '.join(POSITIONS)}, received {width}, {heads}, {positions}"
            )
        self.length = length
        self.embedding = nn.Embedding(num_tokens, width)
        self.positions = nn.Embedding(length, width) if positions == "learnt" else None
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(DecoderBlock(width, heads, dropout, positions == "rotary") for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, num_tokens, bias=not tied)
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                writes = name.endswith(("outward.weight", "narrow.weight"))
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * layers) if writes else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
        if tied:
            self.head.weight = self.embedding.weight

    def forward(self, ids: Tensor) -> Tensor:
        return self._read(ids, None)[0]

    def continued(self, ids: Tensor, state: list[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        """A state: the ids read so far (1, B, S), and of each layer its keys and values (2, B, heads, S, width / heads)."""
        held = 0 if state is None else state[0].shape[2]
        if state is not None and held + ids.shape[1] > self.length:
            keep = max(min(self.length // 2, self.length - ids.shape[1]), 0)
            state = self._read(state[0][0][:, held - keep :], None)[1] if keep else None
        return self._read(ids, state)

    def _read(self, ids: Tensor, state: list[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        held = 0 if state is None else state[0].shape[2]
        steps = ids.shape[1]
        if held + steps > self.length:
            raise UserError(f"transformer_lm: it sees {self.length} tokens at most, received {held + steps}")
        vectors = self.embedding(ids)
        if self.positions is not None:
            vectors = vectors + self.positions.weight[held : held + steps]
        vectors = self.dropout(vectors)
        ended = [ids[None] if state is None else torch.cat([state[0], ids[None]], dim=2)]
        for index, block in enumerate(self.blocks):
            cache = None if state is None else (state[index + 1][0], state[index + 1][1])
            vectors, found = block(vectors, cache)
            ended.append(torch.stack(found))
        return self.head(self.norm(vectors)), ended

"""Language models: token ids (B, T) -> logits (B, T, num_tokens) of the token that follows each.

All offer `continued(ids, state)`, the same from a state that an earlier call ended with (None: the beginning): training with
carried state and generation go on by it. A state is a list of tensors whose second axis is B.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

from gradus.models.sequence.recurrent import Kind, Recurrent
from gradus.nn import SameMaskDropout


class LanguageModel(Protocol):
    def __call__(self, ids: Tensor) -> Tensor: ...
    def continued(self, ids: Tensor, state: list[Tensor] | None) -> tuple[Tensor, list[Tensor]]: ...


class RecurrentLanguageModel(nn.Module):
    """Embedding, stacked recurrent layers, logits. tied: the embedding is the output's weight too (Press and Wolf 2017), which
    asks for embedding_size == hidden_size."""

    def __init__(
        self,
        num_tokens: int,
        kind: Kind = "lstm",
        embedding_size: int = 64,
        hidden_size: int = 256,
        layers: int = 2,
        dropout: float = 0.0,
        tied: bool = False,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_tokens, embedding_size)
        self.body = Recurrent(kind, embedding_size, hidden_size, layers, dropout=dropout)
        self.dropout = SameMaskDropout(dropout) if dropout else nn.Identity()
        self.head = nn.Linear(hidden_size, num_tokens)
        if tied:
            self.head.weight = self.embedding.weight

    def forward(self, ids: Tensor) -> Tensor:
        return self.continued(ids, None)[0]

    def continued(self, ids: Tensor, state: list[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        outputs, ended = self.body.continued(self.dropout(self.embedding(ids)), state)
        return self.head(self.dropout(outputs)), ended

"""Recurrent language models: token ids (B, T) -> logits (B, T, num_tokens) of the token that follows each.

Every language model (also `decoder.py`, `causal.py`) offers `continued(ids, state)`, the same from a state that an earlier call
ended with (None: the beginning): training with carried state and generation go on by it. A state is a list of tensors whose
second axis is B.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.errors import UserError
from gradus.models.sequence.recurrent import Kind, Recurrent
from gradus.nn import SameMaskDropout


class LanguageModel(Protocol):
    def __call__(self, ids: Tensor) -> Tensor: ...
    def continued(self, ids: Tensor, state: list[Tensor] | None) -> tuple[Tensor, list[Tensor]]: ...


class OneHot(nn.Module):
    """Ids (B, T) -> (B, T, `num_tokens`), as the texts' first language models read characters."""

    def __init__(self, num_tokens: int) -> None:
        super().__init__()
        self.num_tokens = num_tokens

    def forward(self, ids: Tensor) -> Tensor:
        return functional.one_hot(ids, self.num_tokens).to(torch.get_default_dtype())


class RecurrentLanguageModel(nn.Module):
    """Embedding, stacked recurrent layers, logits.

    embedding_size: 0 reads one-hot vectors in place of an embedding
    dropout:   on the embedding, between the layers and before the logits (Zaremba, Sutskever and Vinyals 2014)
    same_mask: one mask a row at all of its steps (Gal and Ghahramani 2016); False: a new one at every step, as Zaremba has it
    tied:      the embedding is the output's weight too (Press and Wolf 2017), which asks for embedding_size == hidden_size
    init_scale: all weights uniform in +- this and the biases of the recurrent layers 0, as in TensorFlow's PTB program; None:
               PyTorch's own
    """

    def __init__(
        self,
        num_tokens: int,
        kind: Kind = "lstm",
        embedding_size: int = 64,
        hidden_size: int = 256,
        layers: int = 2,
        dropout: float = 0.0,
        same_mask: bool = True,
        tied: bool = False,
        init_scale: float | None = None,
    ) -> None:
        super().__init__()
        if tied and embedding_size != hidden_size:
            raise UserError(f"tied: embedding_size {embedding_size} and hidden_size {hidden_size} have to be equal")
        self.embedding: nn.Module = nn.Embedding(num_tokens, embedding_size) if embedding_size else OneHot(num_tokens)
        self.body = Recurrent(kind, embedding_size or num_tokens, hidden_size, layers, dropout=dropout)
        self.dropout: nn.Module = nn.Identity()
        if dropout:
            self.dropout = SameMaskDropout(dropout) if same_mask else nn.Dropout(dropout)
            self.body.dropout = self.dropout  # type: ignore[assignment]
        self.head = nn.Linear(hidden_size, num_tokens)
        if tied:
            self.head.weight = self.embedding.weight  # type: ignore[assignment]
        if init_scale is not None:
            self._fill(init_scale)

    @torch.no_grad()
    def _fill(self, scale: float) -> None:
        for parameter in self.parameters():
            parameter.uniform_(-scale, scale)
        for name, parameter in self.body.named_parameters():
            if ".bias" in name:
                parameter.zero_()

    def forward(self, ids: Tensor) -> Tensor:
        return self.continued(ids, None)[0]

    def continued(self, ids: Tensor, state: list[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        outputs, ended = self.body.continued(self.dropout(self.embedding(ids)), state)
        return self.head(self.dropout(outputs)), ended

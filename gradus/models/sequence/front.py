"""How every network for sequences begins: token ids become vectors, and which steps exist is told apart from padding.

A network takes token ids int64 (B, T), 0 where there is none, or numbers float32 (B, T, F). Which it is follows from its
options: `num_tokens` for ids, `in_features` for numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gradus.errors import UserError
from gradus.nn import SameMaskDropout


def to_front(ids: Tensor) -> Tensor:
    """(B, T) with the padding of each row moved behind its tokens, whose order stays."""
    order = (ids == 0).to(torch.uint8).argsort(dim=1, stable=True)
    return ids.gather(1, order)


def reverse(inputs: Tensor, mask: Tensor | None) -> Tensor:
    """(B, T, ...) turned round in time, each row within its own steps; it is its own inverse. mask (B, T): which steps exist."""
    if mask is None:
        return inputs.flip(1)
    places = torch.arange(inputs.shape[1], device=inputs.device)
    turned = mask.sum(dim=1, keepdim=True) - 1 - places
    order = torch.where(turned >= 0, turned, places)
    return inputs.gather(1, order.view(*order.shape, *[1] * (inputs.ndim - 2)).expand_as(inputs))


class Front(nn.Module):
    """Ids (B, T) or numbers (B, T, F) -> vectors (B, T, `width`), and a mask (B, T) of the steps that exist, or None for all.

    masked: False reads padding like any other token, as the texts' code did (0 then has a vector that learns)
    """

    def __init__(
        self,
        num_tokens: int | None = None,
        embedding_size: int = 64,
        in_features: int | None = None,
        dropout: float = 0.0,
        masked: bool = True,
    ) -> None:
        super().__init__()
        if (num_tokens is None) == (in_features is None):
            raise UserError("a network for sequences needs either num_tokens (ids) or in_features (numbers)")
        self.masked = masked and num_tokens is not None
        self.embedding = nn.Embedding(num_tokens, embedding_size, 0 if masked else None) if num_tokens else None
        self.width = embedding_size if num_tokens else int(in_features or 0)
        self.dropout = SameMaskDropout(dropout) if dropout else None

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        mask = None
        if self.embedding is None:
            vectors = inputs
        else:
            if self.masked:
                inputs = to_front(inputs)
                mask = inputs != 0
            vectors = self.embedding(inputs)
        return (vectors if self.dropout is None else self.dropout(vectors)), mask


def last_step(outputs: Tensor, mask: Tensor | None) -> Tensor:
    """(B, T, m) -> (B, m): the output at the last step that exists; of a row without any, zeros."""
    if mask is None:
        return outputs[:, -1]
    lengths = mask.sum(dim=1)
    last = outputs[torch.arange(len(outputs), device=outputs.device), (lengths - 1).clamp(min=0)]
    return last * (lengths > 0)[:, None]

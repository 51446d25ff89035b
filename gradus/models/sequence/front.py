"""How every network for sequences begins: token ids become vectors, and which steps exist is told apart from padding.

A network takes token ids int64 (B, T), 0 where there is none, or numbers float32 (B, T, F). Which it is follows from its
options: `num_tokens` for ids, `in_features` for numbers.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.errors import UserError, unknown_name
from gradus.nn import SameMaskDropout


def places_in_front(exists: Tensor) -> Tensor:
    """(B, T) which steps exist -> (B, T) int64: where each comes to stand when padding moves behind; T for what is padding."""
    return torch.where(exists, exists.cumsum(dim=1) - 1, exists.shape[1])


def to_front(ids: Tensor) -> Tensor:
    """(B, T) with the padding of each row moved behind its tokens, whose order stays. (A third of the time of a stable sort.)"""
    rows, steps = ids.shape
    return ids.new_zeros(rows, steps + 1).scatter_(1, places_in_front(ids != 0), ids)[:, :-1]


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

    Where there is a mask, what exists stands in front, and what does not has vectors of zeros. Embeddings begin uniform in
    +-0.05, as Keras draws them: with PyTorch's deviation of 1 the words' own meaning would take long to be heard.
    masked: False reads padding like any other token, as the texts' code did (0 then has a vector that learns)
    least:  steps that the network needs; unmasked ids that are fewer get token 0 in front, as Keras' pad_sequences has it
    """

    def __init__(
        self,
        num_tokens: int | None = None,
        embedding_size: int = 64,
        in_features: int | None = None,
        dropout: float = 0.0,
        masked: bool = True,
        least: int = 1,
    ) -> None:
        super().__init__()
        if (num_tokens is None) == (in_features is None):
            raise UserError("a network for sequences needs either num_tokens (ids) or in_features (numbers)")
        self.least = least
        self.masked = masked and num_tokens is not None
        self.embedding = nn.Embedding(num_tokens, embedding_size, 0 if masked else None) if num_tokens else None
        self.width = embedding_size if num_tokens else int(in_features or 0)
        self.dropout = SameMaskDropout(dropout) if dropout else None
        if self.embedding is not None:
            nn.init.uniform_(self.embedding.weight, -0.05, 0.05)
            if masked:
                nn.init.zeros_(self.embedding.weight[0])

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        mask = None
        if self.embedding is None:
            vectors = inputs
        else:
            if self.masked:
                inputs = to_front(inputs)
                mask = inputs != 0
            elif inputs.shape[1] < self.least:
                inputs = functional.pad(inputs, (self.least - inputs.shape[1], 0))
            vectors = self.embedding(inputs)
        return (vectors if self.dropout is None else self.dropout(vectors)), mask


def last_step(outputs: Tensor, mask: Tensor | None) -> Tensor:
    """(B, T, m) -> (B, m): the output at the last step that exists; of a row without any, zeros."""
    if mask is None:
        return outputs[:, -1]
    lengths = mask.sum(dim=1)
    last = outputs[torch.arange(len(outputs), device=outputs.device), (lengths - 1).clamp(min=0)]
    return last * (lengths > 0)[:, None]


def mean_step(outputs: Tensor, mask: Tensor | None) -> Tensor:
    """(B, T, m) -> (B, m): the mean over the steps that exist; of a row without any, zeros."""
    if mask is None:
        return outputs.mean(dim=1)
    there = mask.to(outputs.dtype)[:, :, None]
    return (outputs * there).sum(dim=1) / there.sum(dim=1).clamp(min=1)


def largest_step(outputs: Tensor, mask: Tensor | None) -> Tensor:
    """(B, T, m) -> (B, m): the largest value of each unit over the steps that exist; of a row without any, zeros."""
    if mask is None:
        return outputs.amax(dim=1)
    found = outputs.masked_fill(~mask[:, :, None], torch.finfo(outputs.dtype).min).amax(dim=1)
    return found * mask.any(dim=1, keepdim=True)


POOLINGS: dict[str, Callable[[Tensor, Tensor | None], Tensor]] = {
    "last": last_step,
    "mean": mean_step,
    "max": largest_step,
}


def pooling_named(name: str) -> Callable[[Tensor, Tensor | None], Tensor]:
    """A way to make one vector of all steps. Raises `UserError` naming the nearest one."""
    if name not in POOLINGS:
        raise unknown_name("pooling", name, POOLINGS)
    return POOLINGS[name]

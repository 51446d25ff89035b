"""Attention for encoder-decoder networks. Shapes: B sequences, Q questions, T places.

mask (B, T) or (B, Q, T) is true where a place may be looked at. Where a question may look nowhere, its context is 0.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def masked_softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Softmax over the last axis of what the mask allows; 0 elsewhere, and all 0 (never NaN) where it allows nothing."""
    if mask is None:
        return scores.softmax(dim=-1)
    allowed = _of_questions(mask).expand_as(scores)
    weights = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min).softmax(dim=-1)
    return weights.masked_fill(~allowed, 0.0)


def _of_questions(mask: Tensor) -> Tensor:
    return mask[:, None] if mask.ndim == 2 else mask


class AdditiveAttention(nn.Module):
    """Bahdanau et al. 2015: score = v . tanh(W query + U key), weights = softmax over places, context = weighted mean of values.

    (B, Q, query_size), (B, T, key_size), values (B, T, v; the keys if left out) -> contexts (B, Q, v), weights (B, Q, T).
    (query_size + key_size + 1) hidden_size parameters, no biases. `keys @ key_weight` is the same at every decoder step: compute
    it once with `project` and pass it as `projected`. Memory is B Q T hidden_size numbers.
    """

    def __init__(self, query_size: int, key_size: int, hidden_size: int) -> None:
        super().__init__()
        self.query_weight = nn.Parameter(torch.empty(query_size, hidden_size))
        self.key_weight = nn.Parameter(torch.empty(key_size, hidden_size))
        self.score_weight = nn.Parameter(torch.empty(hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Glorot uniform for the two matrices, +-1/sqrt(hidden) for the score."""
        nn.init.xavier_uniform_(self.query_weight)
        nn.init.xavier_uniform_(self.key_weight)
        bound = len(self.score_weight) ** -0.5
        nn.init.uniform_(self.score_weight, -bound, bound)

    def project(self, keys: Tensor) -> Tensor:
        """(B, T, key_size) -> (B, T, hidden_size)."""
        return keys @ self.key_weight

    def forward(
        self,
        queries: Tensor,
        keys: Tensor,
        values: Tensor | None = None,
        mask: Tensor | None = None,
        projected: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        known = self.project(keys) if projected is None else projected
        hidden = torch.tanh((queries @ self.query_weight)[:, :, None] + known[:, None])
        weights = masked_softmax(hidden @ self.score_weight, mask)
        return weights @ (keys if values is None else values), weights


class DotAttention(nn.Module):
    """softmax(q . k [/ sqrt(d)]) v, by PyTorch's `scaled_dot_product_attention`. No parameters.

    (B, Q, d), (B, T, d), values (B, T, v; the keys if left out) -> contexts (B, Q, v), and None for the weights: the fused
    kernels never hold them. `weights(queries, keys, mask)` computes them for a picture.
    scaled: divide by sqrt(d) (Vaswani et al. 2017); without it this is Luong et al. 2015.
    """

    def __init__(self, scaled: bool = True) -> None:
        super().__init__()
        self.scaled = scaled

    def _scale(self, queries: Tensor) -> float:
        return queries.shape[-1] ** -0.5 if self.scaled else 1.0

    def forward(
        self, queries: Tensor, keys: Tensor, values: Tensor | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, None]:
        values = keys if values is None else values
        if mask is None:
            return functional.scaled_dot_product_attention(queries, keys, values, scale=self._scale(queries)), None
        seen = _of_questions(mask)
        nowhere = ~seen.any(
            dim=-1, keepdim=True
        )  # such a question looks everywhere, and what it finds is thrown away: no NaN
        contexts = functional.scaled_dot_product_attention(
            queries, keys, values, attn_mask=seen | nowhere, scale=self._scale(queries)
        )
        return contexts.masked_fill(nowhere, 0.0), None

    def weights(self, queries: Tensor, keys: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, Q, T)."""
        return masked_softmax(self._scale(queries) * queries @ keys.transpose(1, 2), mask)

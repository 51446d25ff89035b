"""Attention: a weighted mean of what was read, the weights given by how well each place answers the question asked.

Shapes: B sequences, Q questions (decoder steps), T places (encoder steps), numbers a vector d; values (B, T, v).
mask (B, T) or (B, Q, T): true where a place may be looked at. Padding must be masked (the texts do not say so).

*Principles and Practice* §8.5.3 tells the idea without a formula; its weights for a sentence
of four pieces are 0.4, 0.05, 0.05, 0.5.
"""

from __future__ import annotations

import numpy as np

from gradus.reference.catalogue import Entry


def masked_softmax(scores: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Softmax over the last axis of the places that may be seen; the others get exactly 0. scores (B, Q, T).

    Where nothing may be seen, all weights are 0 (a softmax of nothing would be 0/0).
    """
    if mask is None:
        allowed = np.ones(scores.shape, dtype=bool)
    else:
        allowed = np.broadcast_to(mask if mask.ndim == scores.ndim else mask[:, None, :], scores.shape)
    hidden = np.where(allowed, scores, -np.inf)
    largest = hidden.max(axis=-1, keepdims=True)
    exponentials = np.exp(hidden - np.where(np.isfinite(largest), largest, 0))
    total = exponentials.sum(axis=-1, keepdims=True)
    return exponentials / np.where(total == 0, 1, total)


def masked_softmax_backward(weights: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """By the scores, from the weights: a_j (g_j - sum_k a_k g_k). Where a weight is 0, masked or not, nothing comes back."""
    return weights * (gradient - (weights * gradient).sum(axis=-1, keepdims=True))


def attend(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The contexts c_q = sum_t a_qt v_t. (B, Q, T), (B, T, v) -> (B, Q, v)."""
    return weights @ values


def _attend_backward(weights: np.ndarray, values: np.ndarray, gradient: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By the scores behind the weights, and by the values."""
    by_scores = masked_softmax_backward(weights, gradient @ values.swapaxes(1, 2))
    return by_scores, weights.swapaxes(1, 2) @ gradient


def additive_attention(
    queries: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    query_weight: np.ndarray,
    key_weight: np.ndarray,
    score_weight: np.ndarray,
    mask: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Contexts (B, Q, v) and weights (B, Q, T) of Bahdanau et al. 2015: e_qt = v^T tanh(W z_q + U h_t).

    queries (B, Q, d), keys (B, T, e), query_weight (d, m), key_weight (e, m), score_weight (m,). A network of one hidden
    layer compares; in translation the query is the decoder's state *before* the step, and keys are values.
    """
    hidden = np.tanh((queries @ query_weight)[:, :, None] + (keys @ key_weight)[:, None])
    weights = masked_softmax(hidden @ score_weight, mask)
    return attend(weights, values), weights


def additive_attention_backward(
    queries: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    query_weight: np.ndarray,
    key_weight: np.ndarray,
    score_weight: np.ndarray,
    gradient: np.ndarray,
    mask: np.ndarray | None = None,
) -> tuple[np.ndarray, ...]:
    """Gradients by the six arrays; gradient (B, Q, v) by the contexts."""
    hidden = np.tanh((queries @ query_weight)[:, :, None] + (keys @ key_weight)[:, None])
    weights = masked_softmax(hidden @ score_weight, mask)
    by_scores, by_values = _attend_backward(weights, values, gradient)
    by_sums = by_scores[..., None] * score_weight * (1 - hidden**2)  # (B, Q, T, m)
    by_queries, by_keys = by_sums.sum(axis=2), by_sums.sum(axis=1)
    return (
        by_queries @ query_weight.T,
        by_keys @ key_weight.T,
        by_values,
        np.einsum("bqd,bqm->dm", queries, by_queries),
        np.einsum("bte,btm->em", keys, by_keys),
        np.einsum("bqt,bqtm->m", by_scores, hidden),
    )


def dot_attention(
    queries: np.ndarray, keys: np.ndarray, values: np.ndarray, mask: np.ndarray | None = None, scale: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Contexts (B, Q, v) and weights (B, Q, T) of e_qt = scale * q . k. queries (B, Q, d), keys (B, T, d).

    scale=1 is Luong et al. 2015 ("dot"); scale=1/sqrt(d) is Vaswani et al. 2017, eq. 1: a dot product of d independent numbers
    of variance 1 has variance d, and so large a score would leave softmax no slope.
    Luong's "general" score q W k is `dot_attention(queries @ W, keys, ...)`.
    """
    weights = masked_softmax(scale * queries @ keys.swapaxes(1, 2), mask)
    return attend(weights, values), weights


def dot_attention_backward(
    queries: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    gradient: np.ndarray,
    mask: np.ndarray | None = None,
    scale: float = 1.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients by (queries, keys, values); gradient (B, Q, v) by the contexts."""
    weights = masked_softmax(scale * queries @ keys.swapaxes(1, 2), mask)
    by_scores, by_values = _attend_backward(weights, values, gradient)
    return scale * by_scores @ keys, scale * by_scores.swapaxes(1, 2) @ queries, by_values


def scaled_dot_attention(
    queries: np.ndarray, keys: np.ndarray, values: np.ndarray, mask: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """`dot_attention` with scale 1/sqrt(d)."""
    return dot_attention(queries, keys, values, mask, scale=queries.shape[-1] ** -0.5)


def scaled_dot_attention_backward(
    queries: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    gradient: np.ndarray,
    mask: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients by (queries, keys, values)."""
    return dot_attention_backward(queries, keys, values, gradient, mask, scale=queries.shape[-1] ** -0.5)


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="masked softmax",
        function="attention.masked_softmax",
        backward="attention.masked_softmax_backward",
        formula=r"a_j = \frac{m_j e^{s_j}}{\sum_k m_k e^{s_k}}",
        derivative=r"\frac{\partial L}{\partial s_j} = a_j \left(g_j - \sum_k a_k g_k\right)",
        range=r"[0, 1]",
        fast="torch.softmax after masked_fill",
        source="Bahdanau et al. 2015, eq. 6",
        note="A place that is masked weighs exactly 0; a row with no place to look at gives zeros.",
    ),
    Entry(
        name="additive attention",
        function="attention.additive_attention",
        backward="attention.additive_attention_backward",
        formula=(
            r"e_{qt} = v^\top \tanh(W z_q + U h_t), \quad a_{qt} = \frac{e^{e_{qt}}}{\sum_k e^{e_{qk}}}, \quad"
            r" c_q = \sum_t a_{qt} h_t"
        ),
        fast="gradus.nn.AdditiveAttention",
        source="Bahdanau et al. 2015, §3.1; Principles and Practice §8.5.3; course notes §5.3.7",
        note="The text has the idea and no formula.",
    ),
    Entry(
        name="dot-product attention",
        function="attention.dot_attention",
        backward="attention.dot_attention_backward",
        formula=r"e_{qt} = q_q^\top k_t",
        fast="gradus.nn.DotAttention(scaled=False)",
        source="Luong et al. 2015, eq. 8",
    ),
    Entry(
        name="scaled dot-product attention",
        function="attention.scaled_dot_attention",
        backward="attention.scaled_dot_attention_backward",
        formula=r"C = \mathrm{softmax}\left(\frac{Q K^\top}{\sqrt{d}}\right) V",
        fast="torch.nn.functional.scaled_dot_product_attention",
        source="Vaswani et al. 2017, eq. 1",
    ),
)

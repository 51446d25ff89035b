"""Choosing the next token from logits: temperature, the k most probable, the most probable that hold a share p.
And drawing pixels."""

from __future__ import annotations

import torch
from torch import Tensor


def next_distribution(
    logits: Tensor,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    forbidden: Tensor | None = None,
) -> Tensor:
    """Logits (..., V) -> probabilities float64 (..., V) that sum to 1.

    temperature: divides the logits: 0 is all on the largest (the first of equals), 1 the distribution itself, above it more even.
                 p_i^(1/T) / sum, in logits, so that no probability that underflows is taken the logarithm of
    top_k:       only the k most probable are kept; 0: all. Of equals at the border the first
    top_p:       only the fewest that together hold this share are kept (nucleus sampling, Holtzman et al. 2020); 1: all
    forbidden:   bool (V,), what is never chosen

    The order is: forbidden, temperature, top_k, top_p. Raises `ValueError` for a setting out of its range.
    """
    if temperature < 0 or top_k < 0 or not 0 < top_p <= 1:
        raise ValueError(f"temperature and top_k from 0, top_p above 0 to 1; not {temperature}, {top_k}, {top_p}")
    scores = logits.double()
    if forbidden is not None:
        scores = scores.masked_fill(forbidden, -torch.inf)
    if temperature == 0:
        return torch.zeros_like(scores).scatter_(-1, scores.argmax(dim=-1, keepdim=True), 1.0)
    scores = (scores - scores.amax(dim=-1, keepdim=True)) / temperature  # at most 0: nothing overflows
    if top_k and top_k < scores.shape[-1]:
        kept = scores.argsort(dim=-1, descending=True, stable=True)[..., :top_k]
        cut = torch.full_like(scores, -torch.inf)
        scores = cut.scatter(-1, kept, scores.gather(-1, kept))
    probabilities = scores.softmax(dim=-1)
    if top_p == 1:
        return probabilities
    ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(dim=-1) - ordered  # what those that are more probable hold: the first is always kept
    probabilities = torch.zeros_like(probabilities).scatter(-1, order, ordered.masked_fill(before >= top_p, 0.0))
    return probabilities / probabilities.sum(dim=-1, keepdim=True)


def sample(probabilities: Tensor, generator: torch.Generator) -> Tensor:
    """One index of each row: probabilities (..., V) float64 -> int64 (...). By the inverse of the distribution function, one
    random number a row: what has probability 0 is never chosen, and sums need not be 1 to the last bit."""
    sums = probabilities.cumsum(dim=-1)
    drawn = torch.rand(sums.shape[:-1], dtype=torch.float64, generator=generator, device=sums.device) * sums[..., -1]
    return torch.searchsorted(sums, drawn[..., None], right=True).squeeze(-1).clamp(max=sums.shape[-1] - 1)


def entropy(probabilities: Tensor) -> Tensor:
    """(..., V) -> (...): in nats; 0 log 0 is 0."""
    return torch.special.entr(probabilities).sum(dim=-1)


def drawn_alike(chances: Tensor) -> Tensor:
    """0 or 1 with these chances (B, ...), of the chances' type: of the same row always the same, on every device and in whatever
    batch. A row is compared with a piece of one long row of noise; where that begins, its own values say, in steps of 1/255."""
    rows = chances.flatten(1)
    length, whole = rows.shape[1], 2**18
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(whole, generator=generator).to(chances.device)
    weights = torch.randint(whole, (length,), generator=generator).to(chances.device)
    begin = ((rows * 255).round().long() * weights).sum(dim=1, keepdim=True)
    places = (begin + torch.arange(length, device=chances.device)) % whole
    return (rows > noise[places]).to(chances.dtype).reshape(chances.shape)

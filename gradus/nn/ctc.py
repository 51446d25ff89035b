"""Decoding what `torch.nn.functional.ctc_loss` has trained. Shapes: B sequences, T frames, K symbols; batch first.

(`ctc_loss` itself wants (T, B, K).) A label is a list of symbol numbers without blanks.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# prefix -> log-probabilities of its paths that end in a blank, and in its last letter
Beam = dict[tuple[int, ...], tuple[float, float]]


def convolved_lengths(
    lengths: Tensor, kernel_size: int, stride: int = 1, padding: int = 0, dilation: int = 1
) -> Tensor:
    """How many frames a 1-D convolution leaves of each: `ctc_loss` must get these, not the lengths before it.

    *Principles and Practice* listing 8-21 passes the length on unchanged through a convolution of kernel 11 and stride 2, which
    leaves (L - 11) // 2 + 1 frames. Never negative.
    """
    left = lengths + 2 * padding - dilation * (kernel_size - 1) - 1
    return (torch.div(left, stride, rounding_mode="floor") + 1).clamp(min=0)


def ctc_greedy(scores: Tensor, lengths: Tensor | None = None, blank: int = 0) -> list[list[int]]:
    """The likeliest symbol of each frame, repeats made one, blanks removed. scores (B, T, K): logits will do; lengths (B,)."""
    best = scores.argmax(dim=2)
    kept = best != blank
    kept[:, 1:] &= best[:, 1:] != best[:, :-1]
    if lengths is not None:
        kept &= torch.arange(best.shape[1], device=best.device) < lengths.to(best.device)[:, None]
    symbols, counts = best[kept].tolist(), kept.sum(dim=1).tolist()
    labels, start = [], 0
    for count in counts:
        labels.append(symbols[start : start + count])
        start += count
    return labels


def ctc_prefix_beam(
    logits: Tensor, lengths: Tensor | None = None, width: int = 10, symbols: int | None = None, blank: int = 0
) -> list[list[tuple[list[int], float]]]:
    """For each sequence its likeliest labels with log-probabilities, best first (Hannun et al. 2014, without a language model).

    logits (B, T, K). Paths of one label are added up, which greedy decoding does not do. Exact where `width` holds every prefix.
    symbols: only the likeliest so many of each frame are tried (all by default): exact no more, but much faster for large K.
    A loop in Python on the CPU: about T * width * symbols steps a sequence.
    """
    log_probabilities = logits.detach().double().log_softmax(dim=2)
    tried = min(symbols or logits.shape[2], logits.shape[2])
    values, names = (part.tolist() for part in log_probabilities.topk(tried, dim=2))
    ends = [logits.shape[1]] * len(logits) if lengths is None else lengths.tolist()
    return [
        _search(values[row][:end], names[row][:end], width, blank)
        for row, end in zip(range(len(logits)), ends, strict=True)
    ]


def _search(values: list, names: list, width: int, blank: int) -> list[tuple[list[int], float]]:
    beam: Beam = {(): (0.0, -math.inf)}
    for frame, symbols in zip(values, names, strict=True):
        grown: Beam = {}
        for prefix, (ends_blank, ends_letter) in beam.items():
            either = _add(ends_blank, ends_letter)
            for log_probability, symbol in zip(frame, symbols, strict=True):
                if symbol == blank:
                    _grow(grown, prefix, either + log_probability, -math.inf)
                elif prefix and symbol == prefix[-1]:
                    _grow(grown, prefix, -math.inf, ends_letter + log_probability)
                    _grow(grown, (*prefix, symbol), -math.inf, ends_blank + log_probability)
                else:
                    _grow(grown, (*prefix, symbol), -math.inf, either + log_probability)
        beam = dict(sorted(grown.items(), key=lambda item: (-_add(*item[1]), item[0]))[:width])
    return [(list(prefix), _add(*ends)) for prefix, ends in beam.items()]


def _grow(beam: Beam, prefix: tuple[int, ...], ends_blank: float, ends_letter: float) -> None:
    if max(ends_blank, ends_letter) == -math.inf:  # the same letter twice with no blank between: no path does that
        return
    before = beam.get(prefix, (-math.inf, -math.inf))
    beam[prefix] = (_add(before[0], ends_blank), _add(before[1], ends_letter))


def _add(one: float, other: float) -> float:
    """log(exp(one) + exp(other))."""
    larger, smaller = (one, other) if one >= other else (other, one)
    return larger if smaller == -math.inf else larger + math.log1p(math.exp(smaller - larger))

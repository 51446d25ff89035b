"""Connectionist temporal classification (Graves et al. 2006): a label shorter than the frames, and no alignment given.

Shapes: B sequences, T frames, K symbols of which one is the blank; a label is U <= T symbols without blanks.
A path is one symbol a frame, exactly T long; a label's probability is the sum over all paths that collapse to it. (*Principles
and Practice* §8.6.4 says that the path is shorter than the frames: the label is. Its five printed paths have 17 to 27 symbols
though all should have T. The caption of its fig. 8-47 takes the largest path; eq. 8-28 and 8-29 add paths up first.)
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, product

import numpy as np

from gradus.reference.catalogue import Entry
from gradus.reference.vector_activations import log_softmax


def collapse(path: Sequence, blank: object = 0) -> tuple:
    """B(path): repeats become one, then blanks go (eq. 8-26). In this order: a blank keeps a double letter double."""
    return tuple(symbol for symbol, _ in groupby(path) if symbol != blank)


def path_log_probability(log_probabilities: np.ndarray, path: Sequence[int]) -> float:
    """log of the product over frames of p_t(path_t) (eq. 8-27). log_probabilities (T, K)."""
    return float(log_probabilities[np.arange(len(path)), list(path)].sum())


def label_log_probability_by_paths(log_probabilities: np.ndarray, label: Sequence[int], blank: int = 0) -> float:
    """log p(label) by its definition, eq. 8-28: all K^T paths. For tests of what follows."""
    frames, symbols = log_probabilities.shape
    found = [
        path_log_probability(log_probabilities, path)
        for path in product(range(symbols), repeat=frames)
        if collapse(path, blank) == tuple(label)
    ]
    return float(np.logaddexp.reduce(found)) if found else -np.inf


def extended(label: Sequence[int], blank: int = 0) -> np.ndarray:
    """The label with a blank before, between and after: (2U + 1,)."""
    symbols = np.full(2 * len(label) + 1, blank)
    symbols[1::2] = label
    return symbols


def forward_variables(log_probabilities: np.ndarray, label: Sequence[int], blank: int = 0) -> np.ndarray:
    """log alpha (T, 2U + 1): the paths of frames 0..t that end at place s of the extended label, frame t included.

    A path stays, goes one place on, or jumps over a blank that stands between two *different* letters (Graves eq. 6 to 8).
    """
    places = extended(label, blank)
    alpha = np.full((len(log_probabilities), len(places)), -np.inf)
    alpha[0, :2] = log_probabilities[0, places[:2]]
    for frame in range(1, len(log_probabilities)):
        for place, symbol in enumerate(places):
            ways = alpha[frame - 1, max(0, place - 1) : place + 1]
            if place >= 2 and symbol not in (blank, places[place - 2]):
                ways = alpha[frame - 1, place - 2 : place + 1]
            alpha[frame, place] = np.logaddexp.reduce(ways) + log_probabilities[frame, symbol]
    return alpha


def backward_variables(log_probabilities: np.ndarray, label: Sequence[int], blank: int = 0) -> np.ndarray:
    """log beta (T, 2U + 1): the ways from place s to the end, frame t *not* included (as in eq. 8-30; Graves includes it).

    So alpha + beta, added over the places, is the label's probability at every frame.
    """
    turned = forward_variables(log_probabilities[::-1], list(label)[::-1], blank)[::-1, ::-1]
    emitted = log_probabilities[:, extended(label, blank)]
    return np.where(np.isfinite(turned), turned - np.where(np.isfinite(emitted), emitted, 0), -np.inf)


def label_log_probability(log_probabilities: np.ndarray, label: Sequence[int], blank: int = 0) -> float:
    """log p(label) by the forward variables: T (2U + 1) terms instead of K^T paths. -inf where the label does not fit."""
    return float(np.logaddexp.reduce(forward_variables(log_probabilities, label, blank)[-1, -2:]))


def ctc_loss(
    logits: np.ndarray, labels: Sequence[Sequence[int]], lengths: Sequence[int] | None = None, blank: int = 0
) -> float:
    """Mean over sequences of -log p(label). logits (B, T, K) before the softmax, lengths (B,) of frames that count.

    inf where a label needs more frames than there are (U, and one more for each doubled letter). PyTorch's "mean" divides
    each loss by its label's length first; this is its "sum" over B.
    """
    counted = [logits.shape[1]] * len(logits) if lengths is None else lengths
    losses = [
        -label_log_probability(log_softmax(row[:length]), label, blank)
        for row, label, length in zip(logits, labels, counted, strict=True)
    ]
    return float(np.mean(losses))


def ctc_loss_backward(
    logits: np.ndarray, labels: Sequence[Sequence[int]], lengths: Sequence[int] | None = None, blank: int = 0
) -> np.ndarray:
    """p_t(k) - (the share of the label's paths that are at symbol k in frame t), over B (Graves eq. 16). 0 past the length.

    A label that does not fit has no gradient here: 0 (PyTorch's zero_infinity=True).
    """
    by_logits = np.zeros_like(logits)
    counted = [logits.shape[1]] * len(logits) if lengths is None else lengths
    for row, (label, length) in enumerate(zip(labels, counted, strict=True)):
        log_probabilities = log_softmax(logits[row, :length])
        total = label_log_probability(log_probabilities, label, blank)
        if not np.isfinite(total):
            continue
        shares = np.exp(
            forward_variables(log_probabilities, label, blank)
            + backward_variables(log_probabilities, label, blank)
            - total
        )
        by_logits[row, :length] = np.exp(log_probabilities)
        for place, symbol in enumerate(extended(label, blank)):
            by_logits[row, :length, symbol] -= shares[:, place]
    return by_logits / len(logits)


def greedy_decode(log_probabilities: np.ndarray, blank: int = 0) -> tuple[int, ...]:
    """The collapsed best path: the likeliest symbol of each frame. Not always the likeliest label. (T, K) -> label."""
    return collapse([int(symbol) for symbol in log_probabilities.argmax(axis=1)], blank)


# prefix -> log-probabilities of its paths that end in a blank, and in its last letter
Beam = dict[tuple[int, ...], tuple[float, float]]


def _add(beam: Beam, prefix: tuple[int, ...], ends_blank: float, ends_letter: float) -> None:
    if max(ends_blank, ends_letter) == -np.inf:  # the same letter twice with no blank between: no path does that
        return
    before = beam.get(prefix, (-np.inf, -np.inf))
    beam[prefix] = (float(np.logaddexp(before[0], ends_blank)), float(np.logaddexp(before[1], ends_letter)))


def prefix_beam_search(
    log_probabilities: np.ndarray, width: int, blank: int = 0
) -> list[tuple[tuple[int, ...], float]]:
    """The likeliest labels with their log-probabilities, best first (Hannun et al. 2014, algorithm 1, without a language model).

    For each prefix two numbers are kept: of the paths that end in a blank, and of those that end in its last letter; after a
    blank the same letter begins anew, without one it only lasts longer. A wide enough beam is exact.
    """
    beam: Beam = {(): (0.0, -np.inf)}
    for frame in log_probabilities:
        grown: Beam = {}

        for prefix, (ends_blank, ends_letter) in beam.items():
            either = float(np.logaddexp(ends_blank, ends_letter))
            for symbol, log_probability in enumerate(frame):
                if symbol == blank:
                    _add(grown, prefix, either + log_probability, -np.inf)
                elif prefix and symbol == prefix[-1]:
                    _add(grown, prefix, -np.inf, ends_letter + log_probability)
                    _add(grown, (*prefix, symbol), -np.inf, ends_blank + log_probability)
                else:
                    _add(grown, (*prefix, symbol), -np.inf, either + log_probability)
        beam = dict(sorted(grown.items(), key=lambda item: (-np.logaddexp(*item[1]), item[0]))[:width])
    return [(prefix, float(np.logaddexp(*ends))) for prefix, ends in beam.items()]


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="CTC loss",
        function="ctc.ctc_loss",
        backward="ctc.ctc_loss_backward",
        formula=r"L = -\log \sum_{\pi:\, B(\pi) = l} \prod_{t=1}^{T} y^t_{\pi_t}",
        derivative=(
            r"\frac{\partial L}{\partial u^t_k} = y^t_k - \frac{1}{p(l)} \sum_{s:\, l'_s = k} \alpha_t(s) \beta_t(s)"
        ),
        range=r"[0, \infty]",
        fast="torch.nn.functional.ctc_loss",
        source="Graves et al. 2006, eq. 3 to 16; Principles and Practice eq. 8-26 to 8-30; course notes §5.3.10",
        note="The label is shorter than the frames, the path is not. A label that does not fit costs infinity.",
    ),
    Entry(
        name="CTC collapse",
        function="ctc.collapse",
        formula=r"B(a\,a\,\_\,a\,b\,b) = a\,a\,b",
        fast="gradus.nn.ctc_greedy",
        source="Graves et al. 2006, §3.1; Principles and Practice eq. 8-25, 8-26",
        note="First repeats, then blanks.",
    ),
    Entry(
        name="CTC greedy decoding",
        function="ctc.greedy_decode",
        formula=r"B(\hat{\pi}), \quad \hat{\pi}_t = \mathrm{argmax}_k\, y^t_k",
        fast="gradus.nn.ctc_greedy",
        source="Graves et al. 2006, §3.2; Principles and Practice §8.6.5",
        note="The likeliest path need not belong to the likeliest label.",
    ),
    Entry(
        name="CTC prefix beam search",
        function="ctc.prefix_beam_search",
        formula=r"\mathrm{argmax}_l\, p(l \mid x) \text{ among the } w \text{ best prefixes of each frame}",
        fast="gradus.nn.ctc_prefix_beam",
        source="Hannun et al. 2014, algorithm 1; Principles and Practice eq. 8-29",
    ),
)

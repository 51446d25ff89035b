"""Texts as learners of word vectors read them: words one after the other without those that are left out, and pairs that meet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def keep_chances(counts: np.ndarray, threshold: float) -> np.ndarray:
    """(V,): how likely each occurrence of a word is kept: sqrt(t / f) + t / f, at most 1, of its frequency f (Mikolov's program;
    the paper prints sqrt(t / f) alone, which keeps less). threshold 0: all are."""
    frequency = np.maximum(counts / max(counts.sum(), 1), 1e-30)
    ratio = threshold / frequency
    return np.minimum(1.0, np.sqrt(ratio) + ratio) if threshold else np.ones(len(counts))


def kept_words(texts: Sequence[np.ndarray], chances: np.ndarray, seed: int = 0) -> list[np.ndarray]:
    """The ids of each text that stay, at random by the `chances` of each id: those around what goes then are neighbours."""
    random = np.random.default_rng(seed)
    return [ids[random.random(len(ids)) < chances[ids]] for ids in texts]


def lay_out(texts: Sequence[np.ndarray], length: int, gap: int) -> tuple[np.ndarray, np.ndarray]:
    """Texts behind one another, `gap` zeros around each, and zeros behind it so that stretches of `length` fill it:
    (int32 ids, int64 begins of the stretches)."""
    texts = [ids for ids in texts if len(ids) > 1]
    spans = [-(-len(ids) // length) * length for ids in texts]
    flat = np.zeros(gap + sum(span + gap for span in spans), dtype=np.int32)
    begins, at = [], gap
    for ids, span in zip(texts, spans, strict=True):
        flat[at : at + len(ids)] = ids
        begins.append(np.arange(at, at + span, length))
        at += span + gap
    return flat, np.concatenate(begins) if begins else np.zeros(0, np.int64)


def cooccurrences(flat: np.ndarray, window: int, size: int, both: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """How often words meet within `window` words, each meeting weighing 1 / distance (Pennington et al. 2014, §4.2).

    flat (T,): ids, 0 for none, at least `window` of them between texts. both: also of the later word with the earlier one.
    Returns (pairs (N, 2) int32, counts (N,) float32), only of those that meet.
    """
    from scipy import sparse

    total = sparse.csr_matrix((size, size), dtype=np.float32)
    for distance in range(1, window + 1):
        first, second = flat[:-distance], flat[distance:]
        met = (first > 0) & (second > 0)
        weights = np.full(int(met.sum()), 1 / distance, dtype=np.float32)
        total = total + sparse.csr_matrix((weights, (second[met], first[met])), shape=(size, size))
    if both:
        total = total + total.T
    found = total.tocoo()
    return np.stack([found.row, found.col], axis=1).astype(np.int32), found.data.astype(np.float32)

"""Baselines of tagging: what a network must beat."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradus.data.text.encoders import UNKNOWN
from gradus.reference import hmm

SMOOTHING = 0.1  # is added to every count of the hidden Markov model
ROWS = 256  # that are decoded together


def tagging_baselines(train: dict[str, Any], test: dict[str, Any], num_tags: int, num_words: int) -> dict[str, Tensor]:
    """Name -> int64 (N, T) tags of the rows of test, -1 where there is no word. Encoded rows: "inputs" ids, "targets" 1 + tag."""
    words, tags = _flat(train["inputs"]), _flat(train["targets"]) - 1
    counts = np.zeros((num_words, num_tags))
    np.add.at(counts, (words[tags >= 0], tags[tags >= 0]), 1)
    usual = np.where(counts.sum(axis=1) > 0, counts.argmax(axis=1), counts.sum(axis=0).argmax())
    ids = test["inputs"][:].cpu()
    return {
        "most frequent tag of each word": torch.where(ids > 0, torch.from_numpy(usual)[ids], -1),
        "hidden Markov model": _decoded(_model(train, num_tags, num_words), ids),
    }


def _flat(rows: Any) -> np.ndarray:
    return rows.flat.cpu().numpy().astype(np.int64)


def _model(train: dict[str, Any], num_tags: int, num_words: int) -> hmm.HiddenMarkov:
    """Counted from the rows whose tags are all known. Words that occur once count as unknown ones too: those are like them."""
    offsets = train["inputs"].offsets.cpu().numpy()[1:-1]
    words, tags = (np.split(_flat(train[name]), offsets) for name in ("inputs", "targets"))
    known = [row for row in range(len(words)) if len(words[row]) and (tags[row] > 0).all()]
    shown, states = [words[row] for row in known], [tags[row] - 1 for row in known]
    often = np.bincount(np.concatenate([*shown, np.zeros(0, np.int64)]), minlength=num_words)
    rare = [
        (tag, word)
        for row, path in zip(shown, states, strict=True)
        for word, tag in zip(row, path, strict=True)
        if often[word] == 1
    ]
    counted = hmm.count_model(states, shown, num_tags, num_words, SMOOTHING)
    if not rare:
        return counted
    emission = np.full((num_tags, num_words), SMOOTHING)
    np.add.at(emission, (np.concatenate(states), np.concatenate(shown)), 1)
    emission[:, UNKNOWN] += np.bincount([tag for tag, _ in rare], minlength=num_tags)
    return hmm.HiddenMarkov(counted.initial, counted.transition, emission / emission.sum(axis=1, keepdims=True))


def _decoded(model: hmm.HiddenMarkov, ids: Tensor) -> Tensor:
    """The likeliest path of each row (N, T) of ids."""
    found = torch.full(ids.shape, -1)
    lengths = (ids > 0).sum(dim=1).numpy()
    for begin in range(0, len(ids), ROWS):
        part = slice(begin, begin + ROWS)
        longest = int(lengths[part].max(initial=0))
        if longest:
            paths, _ = hmm.viterbi(model, ids[part, :longest].numpy(), lengths[part])
            found[part, :longest] = torch.from_numpy(paths)
    return found

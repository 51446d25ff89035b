"""Word vectors to be looked at: those of a run or of a file, and the classes of the texts that words stand in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradus.data.text.vectors import WordVectors


@dataclass(frozen=True)
class Leanings:
    """How often each word stands in texts of each class: counts (V, C), V the words of the vectors."""

    classes: tuple[str, ...]
    counts: np.ndarray

    def strengths(self) -> np.ndarray:
        """(V, C): log of how much more often a word stands in a class than its share of all words would have it; one is added to
        each count."""
        shares = (self.counts + 1) / (self.counts.sum(axis=0) + len(self.counts))
        whole = (self.counts.sum(axis=1) + 1) / (self.counts.sum() + len(self.counts))
        return np.log(shares / whole[:, None])


@dataclass(frozen=True)
class WordSubject:
    """name: for titles and file names; leanings: of the training texts, None where they have no classes; run: if it is one"""

    name: str
    vectors: WordVectors
    leanings: Callable[[], Leanings | None] = lambda: None
    run: Any = None

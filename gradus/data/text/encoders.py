"""Text encoders: texts to token ids and back. What one was fitted to is plain JSON, kept with the run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradus.data.device_rows import PAD
from gradus.data.text.tokenizers import TOKENIZERS
from gradus.errors import UserError, unknown_name

UNKNOWN, BEGIN, END = 1, 2, 3  # beside PAD = 0: the first ids of every vocabulary
SPECIAL = ("<pad>", "<unknown>", "<begin>", "<end>")


@dataclass(frozen=True, kw_only=True)
class TokenOptions:
    """How texts become token ids."""

    tokenizer: str = "word"  # one of TOKENIZERS
    vocabulary: int = 10_000  # ids at most, the special ones among them; the most frequent tokens are kept
    least_count: int = 1  # tokens that occur less often in the training texts are unknown

    def __post_init__(self) -> None:
        if self.tokenizer not in TOKENIZERS:
            raise unknown_name("tokenizer", self.tokenizer, TOKENIZERS)
        if self.vocabulary <= len(SPECIAL):
            raise UserError(f"vocabulary: expected more than {len(SPECIAL)} ids, received {self.vocabulary}")
        if self.least_count < 1:
            raise UserError(f"least_count: expected 1 or more, received {self.least_count}")


class TextEncoder(ABC):
    """tokens: the name of each id, `SPECIAL` first."""

    tokens: tuple[str, ...]

    @property
    def size(self) -> int:
        """How many ids there are."""
        return len(self.tokens)

    @abstractmethod
    def encode(self, text: str) -> np.ndarray:
        """int32 (tokens,): no `PAD`, and no begin or end."""

    @abstractmethod
    def decode(self, ids: Iterable[int]) -> str:
        """A text; special ids are left out, unknown ones stand as <unknown>."""

    @abstractmethod
    def state(self) -> dict[str, Any]: ...


class VocabularyEncoder(TextEncoder):
    """A tokeniser and a list of the most frequent tokens, ties in alphabetical order."""

    def __init__(self, tokenizer: str, tokens: Sequence[str], counts: Sequence[int] = ()) -> None:
        """tokens: without the special ones, the most frequent first; counts: of each in the training texts."""
        self.name, self.tokenizer = tokenizer, TOKENIZERS[tokenizer]
        self.tokens, self.counts = (*SPECIAL, *tokens), tuple(counts)
        self.ids = {token: index for index, token in enumerate(self.tokens) if index >= len(SPECIAL)}

    @classmethod
    def fit(cls, texts: Iterable[str], options: TokenOptions) -> VocabularyEncoder:
        split = TOKENIZERS[options.tokenizer].split
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(split(text))
        kept = sorted(((-n, token) for token, n in counts.items() if n >= options.least_count))
        kept = kept[: options.vocabulary - len(SPECIAL)]
        if not kept:
            raise UserError("the training texts hold no token to learn from")
        return cls(options.tokenizer, [token for _, token in kept], [-n for n, _ in kept])

    def encode(self, text: str) -> np.ndarray:
        ids = self.ids
        return np.array([ids.get(token, UNKNOWN) for token in self.tokenizer.split(text)], dtype=np.int32)

    def decode(self, ids: Iterable[int]) -> str:
        return self.tokenizer.join([self.tokens[int(index)] for index in ids if index not in (PAD, BEGIN, END)])

    def state(self) -> dict[str, Any]:
        return {"tokenizer": self.name, "tokens": list(self.tokens[len(SPECIAL) :]), "counts": list(self.counts)}


def fit_encoder(texts: Iterable[str], options: TokenOptions) -> TextEncoder:
    """The encoder that the options ask for, fitted to the training texts alone."""
    return VocabularyEncoder.fit(texts, options)


def load_encoder(state: dict[str, Any]) -> TextEncoder:
    """The encoder that `state` was taken from."""
    return VocabularyEncoder(state["tokenizer"], state["tokens"], state["counts"])

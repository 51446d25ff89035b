"""Text encoders: texts to token ids and back. What one was fitted to is plain JSON, kept with the run."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

import numpy as np

from gradus.data.device_rows import PAD
from gradus.data.text.tokenizers import TOKENIZERS, Tokenizer
from gradus.errors import UserError, unknown_name

UNKNOWN, BEGIN, END = 1, 2, 3  # beside PAD = 0: the first ids of every vocabulary
DROPPED = -1
SPECIAL = ("<pad>", "<unknown>", "<begin>", "<end>")
BYTE_PAIR = ("byte-pair", "byte-pair-characters")  # learnt tokens, made of bytes or of characters


@dataclass(frozen=True, kw_only=True)
class TokenOptions:
    """How texts become token ids."""

    tokenizer: str = "word"  # word, character, whitespace, chinese, byte-pair or byte-pair-characters
    vocabulary: int = 10_000  # ids at most, the special ones among them; the most frequent tokens are kept
    least_count: int = 1  # tokens that occur less often in the training texts are unknown
    lowercase: bool | None = None  # whether capitals are read as small letters; None: by the tokenizers of words
    line_breaks: bool | None = None  # whether a line break is a token of its own; None: in language models
    ngrams: int = 1  # runs of up to so many words that follow each other are tokens too
    hashing: bool = False  # ids by a stable hash of each token in place of a vocabulary; different tokens may share one

    def __post_init__(self) -> None:
        known = (*TOKENIZERS, *BYTE_PAIR)
        if self.tokenizer not in known:
            raise unknown_name("tokenizer", self.tokenizer, known)
        if self.vocabulary <= len(SPECIAL):
            raise UserError(f"vocabulary: expected more than {len(SPECIAL)} ids, received {self.vocabulary}")
        if self.least_count < 1:
            raise UserError(f"least_count: expected 1 or more, received {self.least_count}")
        if self.tokenizer in BYTE_PAIR and (self.hashing or self.ngrams != 1):
            raise UserError(f"hashing, ngrams: {self.tokenizer} learns its own tokens; leave them out")
        if self.hashing and self.least_count > 1:
            raise UserError("least_count: hashing counts no tokens; leave one of the two out")
        if self.tokenizer in TOKENIZERS:
            self.splitting()  # tells what is wrong with ngrams

    def splitting(self) -> Tokenizer:
        """The tokeniser that is asked for."""
        lowercase = TOKENIZERS[self.tokenizer].lowercase if self.lowercase is None else self.lowercase
        return Tokenizer(
            name=self.tokenizer, lowercase=lowercase, line_breaks=bool(self.line_breaks), ngrams=self.ngrams
        )


class TextEncoder(ABC):
    """tokens: the name of each id, `SPECIAL` first; notes: what fitting found, to be shown."""

    tokens: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many ids there are."""
        return len(self.tokens)

    @abstractmethod
    def encode(self, text: str) -> np.ndarray:
        """int32 (tokens,): no `PAD`, and no begin or end."""

    def encode_all(self, texts: Iterable[str]) -> list[np.ndarray]:
        """The ids of each text."""
        return [self.encode(text) for text in texts]

    @abstractmethod
    def decode(self, ids: Iterable[int]) -> str:
        """A text; special ids are left out, unknown ones stand as <unknown>."""

    @abstractmethod
    def state(self) -> dict[str, Any]: ...


class VocabularyEncoder(TextEncoder):
    """A tokeniser and a list of the most frequent tokens, ties in alphabetical order."""

    def __init__(self, tokenizer: Tokenizer | str, tokens: Sequence[str], counts: Sequence[int] = ()) -> None:
        """tokens: without the special ones, the most frequent first; counts: of each in the training texts."""
        self.tokenizer = TOKENIZERS[tokenizer] if isinstance(tokenizer, str) else tokenizer
        self.tokens, self.counts = (*SPECIAL, *tokens), tuple(counts)
        self.ids = {token: index for index, token in enumerate(self.tokens) if index >= len(SPECIAL)}

    @classmethod
    def fit(cls, texts: Iterable[str], options: TokenOptions) -> tuple[VocabularyEncoder, list[np.ndarray]]:
        """The encoder, and the ids of these texts, which are cut only once for both."""
        tokenizer = options.splitting()
        numbers: defaultdict[str, int] = defaultdict()  # token -> number, in the order of their first occurrence
        numbers.default_factory = numbers.__len__
        rows = [np.fromiter(map(numbers.__getitem__, tokenizer.split(text)), dtype=np.int32) for text in texts]
        counts = np.bincount(np.concatenate([*rows, np.zeros(0, np.int32)]), minlength=len(numbers)).tolist()
        kept = sorted((-n, token) for token, n in zip(numbers, counts, strict=True) if n >= options.least_count)
        kept = kept[: options.vocabulary - len(SPECIAL)]
        if not kept:
            raise UserError("the training texts hold no token to learn from")
        encoder = cls(tokenizer, [token for _, token in kept], [-n for n, _ in kept])
        ids = np.array(encoder._ids_of(numbers), dtype=np.int32)
        left_out = sum(counts) + sum(n for n, _ in kept)
        if left_out:
            share = left_out / sum(counts)
            encoder.notes = (f"{share:.1%} of the training texts' tokens are not in the vocabulary: unknown",)
        return encoder, [_kept(ids[row]) for row in rows]

    def encode(self, text: str) -> np.ndarray:
        return _kept(np.array(self._ids_of(self.tokenizer.split(text)), dtype=np.int32))

    def _ids_of(self, tokens: Iterable[str]) -> list[int]:
        """`DROPPED` for runs that are not in the vocabulary: their words say already what is unknown."""
        ids = self.ids
        if self.tokenizer.ngrams == 1:
            return [ids.get(token, UNKNOWN) for token in tokens]
        return [ids.get(token, DROPPED if " " in token else UNKNOWN) for token in tokens]

    def decode(self, ids: Iterable[int]) -> str:
        return self.tokenizer.join([self.tokens[int(index)] for index in ids if index not in (PAD, BEGIN, END)])

    def state(self) -> dict[str, Any]:
        tokens = list(self.tokens[len(SPECIAL) :])
        return {
            "kind": "vocabulary",
            "tokenizer": asdict(self.tokenizer),
            "tokens": tokens,
            "counts": list(self.counts),
        }


class HashEncoder(TextEncoder):
    """A tokeniser and a hash (CRC-32) that is the same in every process. No words are kept, so none can be told from an id, and
    no word is unknown."""

    def __init__(self, tokenizer: Tokenizer, size: int) -> None:
        self.tokenizer = tokenizer
        self.tokens = (*SPECIAL, *(f"<hash {index}>" for index in range(len(SPECIAL), size)))

    @classmethod
    def fit(cls, texts: Iterable[str], options: TokenOptions) -> tuple[HashEncoder, list[np.ndarray]]:
        encoder = cls(options.splitting(), options.vocabulary)
        cut = [encoder.tokenizer.split(text) for text in texts]
        distinct = sorted(set(chain.from_iterable(cut)))
        ids = dict(zip(distinct, map(encoder.id_of, distinct), strict=True))
        counts = np.bincount(list(ids.values()), minlength=1)
        shared = int(counts[counts > 1].sum())
        encoder.notes = (f"hashing: {shared:,} of {len(ids):,} different training tokens share their id with another",)
        return encoder, [np.fromiter(map(ids.__getitem__, tokens), dtype=np.int32) for tokens in cut]

    def id_of(self, token: str) -> int:
        """len(SPECIAL) to size - 1."""
        return len(SPECIAL) + zlib.crc32(token.encode("utf-8", "surrogatepass")) % (self.size - len(SPECIAL))

    def encode(self, text: str) -> np.ndarray:
        return np.array([self.id_of(token) for token in self.tokenizer.split(text)], dtype=np.int32)

    def decode(self, ids: Iterable[int]) -> str:
        return " ".join(self.tokens[int(index)] for index in ids if index not in (PAD, BEGIN, END))

    def state(self) -> dict[str, Any]:
        return {"kind": "hash", "tokenizer": asdict(self.tokenizer), "size": self.size}


def _kept(ids: np.ndarray) -> np.ndarray:
    return ids[ids != DROPPED] if (ids == DROPPED).any() else ids


def fit_encoder(texts: Iterable[str], options: TokenOptions) -> TextEncoder:
    """The encoder that the options ask for, fitted to the training texts alone."""
    return fit_and_encode(texts, options)[0]


def fit_and_encode(texts: Iterable[str], options: TokenOptions) -> tuple[TextEncoder, list[np.ndarray]]:
    """The same, and the ids of these texts: cutting them takes most of the time, and is done once."""
    if options.tokenizer in BYTE_PAIR:
        from gradus.data.text.byte_pair import BytePairEncoder

        return BytePairEncoder.fit(texts, options)
    return (HashEncoder if options.hashing else VocabularyEncoder).fit(texts, options)


def load_encoder(state: dict[str, Any]) -> TextEncoder:
    """The encoder that `state` was taken from. Raises `UserError` for a state of a version before the first release."""
    if "kind" not in state:
        raise UserError("the vocabulary was saved by an older version, which this one cannot read: train the run again")
    if state["kind"] == "byte-pair":
        from gradus.data.text.byte_pair import BytePairEncoder

        return BytePairEncoder(state["model"], lowercase=state["lowercase"])
    tokenizer = Tokenizer(**state["tokenizer"])
    if state["kind"] == "hash":
        return HashEncoder(tokenizer, state["size"])
    return VocabularyEncoder(tokenizer, state["tokens"], state["counts"])

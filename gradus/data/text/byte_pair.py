"""Byte-pair encoding (Sennrich et al. 2016): the most frequent pairs of neighbouring tokens become tokens, again and again.

`byte-pair` begins with the 256 bytes of UTF-8 (Radford et al. 2019), so that every text can be written and no token is unknown;
`byte-pair-characters` with the characters of the training texts. Both keep the spaces, so decoding gives the text back exactly
(but for unknown characters). Learning and cutting are done by the library `tokenizers`; pairs never reach across two words.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np

from gradus.data.text.encoders import SPECIAL, UNKNOWN, TextEncoder, TokenOptions
from gradus.errors import UserError

_UNKNOWN_TOKEN = "\x00unknown"  # the library's id 0, which no text has
_SHIFT = len(SPECIAL) - 1  # our id minus the library's


class BytePairEncoder(TextEncoder):
    """model: the state of a `tokenizers.Tokenizer`, as JSON."""

    def __init__(self, model: dict[str, Any], *, lowercase: bool = False) -> None:
        self.model, self.lowercase = model, lowercase
        self._library = _tokenizers().Tokenizer.from_str(json.dumps(model))
        vocabulary = self._library.get_vocab(with_added_tokens=False)
        ordered = sorted((index, token) for token, index in vocabulary.items() if index)
        self.of_bytes = model["decoder"]["type"] == "ByteLevel"
        written = [
            bytes(_BYTES[one] for one in token) if self.of_bytes else token.encode("utf-8") for _, token in ordered
        ]
        self._written = (b"", b"<unknown>", b"", b"", *written)
        self.tokens = (*SPECIAL, *map(_name, written))

    @classmethod
    def fit(cls, texts: Iterable[str], options: TokenOptions) -> tuple[BytePairEncoder, list[np.ndarray]]:
        library = _tokenizers()
        texts = [_prepared(text, bool(options.lowercase)) for text in texts]
        if not any(texts):
            raise UserError("the training texts hold no token to learn from")
        of_bytes = options.tokenizer == "byte-pair"
        least = len(SPECIAL) + 256
        if of_bytes and options.vocabulary < least:
            raise UserError(f"vocabulary: byte-pair needs {least} ids or more, received {options.vocabulary}")
        model = library.Tokenizer(library.models.BPE(unk_token=_UNKNOWN_TOKEN))
        if of_bytes:
            model.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
            model.decoder = library.decoders.ByteLevel()
        else:
            pieces = library.Regex(r" ?\S+|\s")
            model.pre_tokenizer = library.pre_tokenizers.Split(pieces, behavior="isolated")
            model.decoder = library.decoders.Fuse()
        trainer = library.trainers.BpeTrainer(
            vocab_size=options.vocabulary - _SHIFT,
            min_frequency=max(options.least_count, 2),
            special_tokens=[_UNKNOWN_TOKEN],
            initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet() if of_bytes else [],
            show_progress=False,
        )
        model.train_from_iterator(texts, trainer, length=len(texts))
        state = json.loads(model.to_str())
        state["added_tokens"] = []  # so that no text is read as the unknown token
        encoder = cls(state, lowercase=bool(options.lowercase))
        return encoder, encoder.encode_all(texts)

    def encode(self, text: str) -> np.ndarray:
        return self.encode_all([text])[0]

    def encode_all(self, texts: Iterable[str]) -> list[np.ndarray]:
        found = self._library.encode_batch([_prepared(text, self.lowercase) for text in texts])
        rows = [np.array(one.ids, dtype=np.int32) for one in found]
        return [np.where(row == 0, UNKNOWN, row + _SHIFT).astype(np.int32) for row in rows]

    def decode(self, ids: Iterable[int]) -> str:
        return b"".join(self._written[int(index)] for index in ids).decode("utf-8", "replace")

    def state(self) -> dict[str, Any]:
        return {"kind": "byte-pair", "model": self.model, "lowercase": self.lowercase}


def _prepared(text: str, lowercase: bool) -> str:
    """A text that UTF-8 can write: half a pair of UTF-16 becomes a question mark."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return text.lower() if lowercase else text


def _byte_table() -> dict[str, int]:
    """The characters that the library writes bytes as: printable ones of Latin-1 as they are, the others from U+0100 on."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {chr(0x100 + place): byte for place, byte in enumerate(hidden)}


_BYTES = _byte_table()


def _name(written: bytes) -> str:
    """A token as text, or its bytes where they are a part of a character."""
    try:
        return written.decode("utf-8")
    except UnicodeDecodeError:
        return "".join(f"<{byte:02x}>" for byte in written)


def _tokenizers() -> Any:
    try:
        import tokenizers
    except ImportError:
        raise UserError(
            "tokenizer byte-pair needs a package that is not installed: pip install 'gradus[text]'"
        ) from None
    return tokenizers

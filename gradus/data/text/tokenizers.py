"""Tokenisers: how a text is cut into tokens, and put together again."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

TokenizerName = Literal["word", "character", "whitespace"]


@dataclass(frozen=True)
class Tokenizer:
    """split: text -> tokens; join: tokens -> text, as near to the first as the tokens tell."""

    split: Callable[[str], list[str]]
    join: Callable[[Sequence[str]], str]


_WORD = re.compile(r"<br\s*/?>|\w+(?:'\w+)*|[^\w\s]")


def words(text: str) -> list[str]:
    """Words in lower case, with what follows an apostrophe; each punctuation mark by itself; HTML's line breaks are dropped."""
    return [token for token in _WORD.findall(text.lower()) if not token.startswith("<br")]


TOKENIZERS: dict[str, Tokenizer] = {
    "word": Tokenizer(words, lambda tokens: re.sub(r" ([^\w\s])", r"\1", " ".join(tokens))),
    "character": Tokenizer(list, "".join),
    "whitespace": Tokenizer(str.split, " ".join),
}

"""Tokenisers: how a text is cut into tokens, and put together again.

    word        words, with what follows an apostrophe, and punctuation marks; Chinese and Japanese, which have no spaces
                between words, character by character; HTML's line breaks are dropped. Not covered: other writing without spaces
    character   characters, so that nothing of a text is lost
    whitespace  what stands between spaces
    chinese     as `word`, but Chinese in words, found by jieba's dictionary

Byte-pair encoding (`byte_pair.py`) learns its tokens and is no tokeniser in this sense.
"""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from gradus.errors import UserError, unknown_name

LINE = "\n"  # the token that a line break is, where line breaks are kept
UNSPACED = "\u3005\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # kana, Han

_BREAK = r"<br\s*/?>"  # as film reviews of the web have it
_IN_WORD = rf"[^\W{UNSPACED}]+"
_WORD = re.compile(rf"{_BREAK}|[{UNSPACED}]|{_IN_WORD}(?:['’]{_IN_WORD})*|[^\w\s]")
_WORD_OR_LINE = re.compile(rf"{_WORD.pattern}|\n")
_PIECE_OR_LINE = re.compile(r"\n|\S+")
_LEFT, _RIGHT = (
    r".,;:!?…)\]}%。，、；：！？）》】」』”",
    r"(\[{“‘（《【「『",
)  # marks without a space before, or behind them
_JOINS = (
    (re.compile(rf" ([{_LEFT}])"), r"\1"),
    (re.compile(rf"([{_RIGHT}]) "), r"\1"),
    (re.compile(r" ([-/]) "), r"\1"),
    (re.compile(rf"(?<=[{UNSPACED}。，、；：！？）》】」』”]) (?=[{UNSPACED}])"), ""),
    (re.compile(r" ?\n ?"), "\n"),
)


@dataclass(frozen=True, kw_only=True)
class Tokenizer:
    """split: text -> tokens; join: tokens -> text, as near to the first as the tokens tell.

    lowercase:   whether capitals are read as small letters
    line_breaks: whether each is a token (`LINE`); `character` always has them
    ngrams:      runs of up to so many tokens that follow each other, joined by spaces, are tokens too, each where it begins
    """

    name: str = "word"
    lowercase: bool = True
    line_breaks: bool = False
    ngrams: int = 1

    def __post_init__(self) -> None:
        if self.name not in _SPLITS:
            raise unknown_name("tokenizer", self.name, _SPLITS)
        if self.ngrams < 1:
            raise UserError(f"ngrams: expected 1 or more, received {self.ngrams}")
        if self.ngrams > 1 and self.name == "character":
            raise UserError("ngrams: only of words, not of characters; choose another tokenizer")

    def split(self, text: str) -> list[str]:
        tokens = _SPLITS[self.name](text.lower() if self.lowercase else text, self.line_breaks)
        return ngrams(tokens, self.ngrams) if self.ngrams > 1 else tokens

    def join(self, tokens: Sequence[str]) -> str:
        if self.name == "character":
            return "".join(tokens)
        joined = " ".join(token for token in tokens if " " not in token)  # runs repeat what the words say
        if self.name == "whitespace":
            return joined.replace(f" {LINE}", LINE).replace(f"{LINE} ", LINE)
        for pattern, replacement in _JOINS:
            joined = pattern.sub(replacement, joined)
        return joined


def ngrams(tokens: Sequence[str], most: int) -> list[str]:
    """The tokens and all runs of up to `most` of them, joined by spaces, each where it begins.

    As a set this is the text's bag of n-grams: 11 of up to 2 words and 15 of up to 3 for "The cat sat on the mat".
    """
    runs = [[" ".join(run) for run in zip(*(tokens[k:] for k in range(n)), strict=False)] for n in range(2, most + 1)]
    return [run for begun in itertools.zip_longest(tokens, *runs) for run in begun if run is not None]


def words(text: str) -> list[str]:
    """The tokens of `word`, in small letters and without line breaks."""
    return _words(text.lower(), False)


def _words(text: str, line_breaks: bool) -> list[str]:
    found = (_WORD_OR_LINE if line_breaks else _WORD).findall(text)
    if "<br" not in text:
        return found
    broken = [LINE if len(token) > 1 and token[0] == "<" else token for token in found]
    return broken if line_breaks else [token for token in broken if token != LINE]


def _pieces(text: str, line_breaks: bool) -> list[str]:
    return _PIECE_OR_LINE.findall(text) if line_breaks else text.split()


def _characters(text: str, line_breaks: bool) -> list[str]:
    return list(text)


def _chinese(text: str, line_breaks: bool) -> list[str]:
    tokens: list[str] = []
    for piece in _jieba().cut(text):
        tokens += [piece] if len(piece) > 1 and _HAN_ONLY.fullmatch(piece) else _words(piece, line_breaks)
    return tokens


_HAN_ONLY = re.compile(rf"[{UNSPACED}]+")
_SPLITS: dict[str, Callable[[str, bool], list[str]]] = {
    "word": _words,
    "character": _characters,
    "whitespace": _pieces,
    "chinese": _chinese,
}
TOKENIZERS = {name: Tokenizer(name=name, lowercase=name in ("word", "chinese")) for name in _SPLITS}


@cache
def _jieba() -> Any:
    """jieba's tokeniser, its dictionary kept in our own cache and not in the temporary folder that all users share."""
    import logging

    from gradus.data.places import cache_folder

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its source has escapes that newer Pythons warn of
            import jieba
    except ImportError:
        raise UserError(
            "tokenizer chinese needs a package that is not installed: pip install 'gradus[chinese]'"
        ) from None
    jieba.setLogLevel(logging.WARNING)
    found = jieba.Tokenizer()
    folder = cache_folder() / "jieba"
    folder.mkdir(parents=True, exist_ok=True)
    found.tmp_dir = str(folder)
    return found

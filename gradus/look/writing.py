"""The part of a report that only texts have: mistakes read out with their words coloured, and which texts go wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from gradus.look.inside.words import as_html
from gradus.look.page import Html, details, element, join, name, paragraph, section, table
from gradus.look.text import count, number, percent

BINS = 5
WORDS = 12  # most typical of mistakes
LEAST_TEXTS = 8  # that a word stands in, to be looked at
EXCERPT, AROUND = 70, 4  # words of a text that are shown at first; on each side of one with much credit


@dataclass(frozen=True)
class Read:
    """A text as the network read it. credit: (T,) what each word added to the answer, against the true class."""

    words: tuple[str, ...]
    credit: np.ndarray
    joined: bool = False


@dataclass(frozen=True, kw_only=True)
class Writing:
    """What a report on texts needs beside the answers; rows as in the assessment.

    lengths: (N,) tokens that were read; unknown: (N,) those of them that the network does not know
    pairs:   (P, 2) row and id of every kind of token in every text; names: of the ids
    read:    row -> a text with its credit: the worst mistakes
    """

    lengths: np.ndarray
    unknown: np.ndarray
    pairs: np.ndarray
    names: Sequence[str]
    read: Mapping[int, Read] = field(default_factory=dict)

    def take(self, kept: np.ndarray) -> Writing:
        """Of these rows alone, counted anew."""
        places = np.full(len(self.lengths), -1, dtype=np.int64)
        places[kept] = np.arange(len(kept))
        rows = places[self.pairs[:, 0]]
        pairs = np.column_stack([rows, self.pairs[:, 1]])[rows >= 0]
        read = {int(places[row]): text for row, text in self.read.items() if places[row] >= 0}
        return Writing(lengths=self.lengths[kept], unknown=self.unknown[kept], pairs=pairs, names=self.names, read=read)


def draw_read(text: Read) -> Html:
    """The text with its words coloured: the places with the most credit, and the whole of a long one folded away."""
    places = excerpt(text.credit)
    if len(places) == len(text.words) or text.joined:
        return as_html(text.words, text.credit, joined=text.joined)
    most = float(np.abs(text.credit).max())
    words, credit, before = [], [], -1
    for place in places:
        if place != before + 1:
            words.append("…")
            credit.append(0.0)
        words.append(text.words[place])
        credit.append(float(text.credit[place]))
        before = int(place)
    if before < len(text.words) - 1:
        words.append("…")
        credit.append(0.0)
    whole = details(f"all {count(len(text.words))} words", as_html(text.words, text.credit, most=most))
    return join((as_html(words, np.array(credit), most=most), whole))


def excerpt(credit: np.ndarray, most: int = EXCERPT, around: int = AROUND) -> np.ndarray:
    """The places shown of a long text, in order: those with the most credit, each with its neighbours, about `most` of them."""
    if len(credit) <= most:
        return np.arange(len(credit))
    shown = np.zeros(len(credit), dtype=bool)
    for place in np.argsort(-np.abs(credit), kind="stable"):
        if shown.sum() >= most:
            break
        shown[max(0, place - around) : place + around + 1] = True
    return np.flatnonzero(shown)


def writing_section(writing: Writing, wrong: np.ndarray, rows: str) -> Html:
    """Errors by length and by unknown words, and the words most typical of mistakes. wrong: (N,) bool."""
    share = writing.unknown / np.maximum(writing.lengths, 1)
    lengths = _binned(writing.lengths, wrong, lambda low, high: f"{count(low)} to {count(high)}")
    unknown = _binned(share, wrong, lambda low, high: f"{percent(low)} to {percent(high)}")
    body = [
        paragraph(
            f"{percent(float(wrong.mean()))} of the {rows} are answered wrong. Where the share grows with length, what is "
            "read may be cut off or forgotten; where it grows with unknown words, the vocabulary is too small."
        ),
        element(
            "div",
            table(["tokens read", rows, "wrong"], lengths, numeric=(1, 2)),
            table(["unknown words", rows, "wrong"], unknown, numeric=(1, 2)),
            class_="beside",
        ),
    ]
    typical = typical_words(writing, wrong)
    if typical:
        found = [[name(word), count(texts), percent(rate), number(score, 2)] for word, texts, rate, score in typical]
        body += [
            element("h3", "Words most typical of mistakes"),
            table(["word", f"{rows} with it", "of these wrong", "z"], found, numeric=(1, 2, 3)),
            paragraph(
                f"z: how many standard errors its share of wrong {rows} lies above that of all. Of thousands of words some "
                "reach 3 by chance.",
                class_="note",
            ),
        ]
    return section("writing", "Which texts go wrong", *body)


def _binned(values: np.ndarray, wrong: np.ndarray, words: Callable[[float, float], str]) -> list[list[object]]:
    """Rows of a table: the range, how many texts it holds, the share that is wrong; bins of about equal numbers of texts."""
    uppers = np.unique(np.quantile(values, np.arange(1, BINS + 1) / BINS, method="lower"))
    rows: list[list[object]] = []
    for below, upper in pairwise((-math.inf, *uppers)):
        inside = (values > below) & (values <= upper)
        if inside.any():
            held = values[inside]
            share = float(wrong[inside].mean())
            meter = element("span", percent(share), class_="meter", style=f"--share:{100 * share:.1f}%")
            rows.append([words(float(held.min()), float(held.max())), count(inside.sum()), meter])
    return rows


def typical_words(writing: Writing, wrong: np.ndarray, most: int = WORDS) -> list[tuple[str, int, float, float]]:
    """(word, texts with it, share of these that is wrong, z) of the words whose texts go wrong more often than all do.

    z is that of a share against a known one: (share - overall) / sqrt(overall (1 - overall) / texts).
    """
    overall = float(wrong.mean())
    if not 0 < overall < 1:
        return []
    texts = np.bincount(writing.pairs[:, 1], minlength=len(writing.names))
    mistaken = np.bincount(writing.pairs[:, 1], weights=wrong[writing.pairs[:, 0]], minlength=len(writing.names))
    shares = mistaken / np.maximum(texts, 1)
    scores = (shares - overall) / np.sqrt(overall * (1 - overall) / np.maximum(texts, 1))
    scores[texts < LEAST_TEXTS] = -math.inf
    order = [int(place) for place in np.argsort(-scores, kind="stable")[:most] if scores[place] > 2]
    return [(writing.names[place], int(texts[place]), float(shares[place]), float(scores[place])) for place in order]

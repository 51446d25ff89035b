"""A direction of bias: which words lean along it, and what is left when it is taken out (Bolukbasi et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from gradus.data.text import meaning
from gradus.errors import UserError
from gradus.look.inside.meaning import known_words
from gradus.look.inside.sight import Sight
from gradus.look.inside.word_subject import WordSubject

PAIRS = "she:he,woman:man,her:his,girl:boy,daughter:son,mother:father"
SHOWN = 12  # of the most frequent words that lean to each side


def bias(
    subject: WordSubject,
    words: Sequence[str],
    *,
    pairs: str = PAIRS,
    method: Literal["svd", "difference"] = "svd",
    among: int = 3000,
) -> Sight:
    """How far words lean along the direction that the pairs (first:second) have in common: the cosine, above 0 to the first.

    words: those to be told of; without any, those that lean most among the `among` most frequent ones
    Told too: what neutralising leaves of each (0 but for rounding), and the pairs before and after they are equalised.

    Arrays: `direction` (d,), `cosines` of the words told of.
    """
    vectors = subject.vectors
    chosen = _pairs_of(subject, pairs)
    direction = meaning.bias_direction(vectors, chosen, method)
    if words:
        names = known_words(vectors, words)
    else:
        first = range(vectors.special, min(vectors.special + among, len(vectors.words)))
        of_pairs = {word for pair in chosen for word in pair}
        told = [place for place in first if vectors.words[place].isalpha() and vectors.words[place] not in of_pairs]
        places = np.array(told, dtype=np.int64)
        order = places[np.argsort(-(vectors.units[places] @ direction), kind="stable")]
        names = [vectors.words[place] for place in (*order[:SHOWN], *order[-SHOWN:])]
    one, other = chosen[0]
    cosines = np.array([meaning.cosine(vectors[name], direction) for name in names])
    left = [meaning.cosine(meaning.neutralize(vectors[name], direction), direction) for name in names]
    sight = Sight(
        "bias",
        f"{one} or {other}: what words of {subject.name} lean to",
        said=[
            f"The direction is that of {', '.join(f'{a} from {b}' for a, b in chosen)}; above 0: to {one}, below: to {other}."
        ],
        arrays={"direction": direction, "cosines": cosines},
    )
    rows = [[name, f"{value:+.3f}", f"{rest:+.0e}"] for name, value, rest in zip(names, cosines, left, strict=True)]
    sight.tables.append(("Words", ["word", f"to {one} (+) or {other} (-)", "neutralised"], rows))
    sight.tables.append(_equalized(subject, chosen, direction))
    sight.record["cosines"] = dict(zip(names, cosines.round(6).tolist(), strict=True))
    return sight


def _equalized(
    subject: WordSubject, pairs: Sequence[tuple[str, str]], direction: np.ndarray
) -> tuple[str, list[str], list[list[str]]]:
    """The pairs' cosines with the direction before and after they are equalised."""
    units, place, rows = subject.vectors.units, subject.vectors.place, []
    for pair in pairs:
        before = [units[place(word)] for word in pair]
        after = meaning.equalize(before[0], before[1], direction)
        rows.append([":".join(pair), *(f"{vector @ direction:+.3f}" for vector in (*before, *after))])
    return (
        "Pairs before and after they are equalised",
        ["pair", "first", "second", "first, after", "second, after"],
        rows,
    )


def _pairs_of(subject: WordSubject, pairs: str) -> list[tuple[str, str]]:
    """The pairs that have vectors. Raises `UserError` where one is not of the form a:b, or none has."""
    found = []
    for text in filter(None, (part.strip() for part in pairs.split(","))):
        first, colon, second = text.partition(":")
        if not (colon and first and second):
            raise UserError(f"bias.pairs: expected pairs such as she:he,woman:man, received '{text}'")
        if first in subject.vectors and second in subject.vectors:
            found.append((first, second))
        elif pairs != PAIRS:
            known_words(subject.vectors, [first, second])
    if not found:
        raise UserError(
            f"bias: {subject.name} has vectors of none of the pairs {pairs}; give others by --set pairs=a:b"
        )
    return found

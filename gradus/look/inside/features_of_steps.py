"""Simple things that can be told of each step of a text, to compare what units of a network do with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SENTENCE_ENDS = frozenset(".!?")
OPENING, CLOSING = "([{", ")]}"
DENIALS = frozenset({"not", "no", "never", "nothing", "nobody", "none", "nor", "neither", "cannot", "without"})


def features_of(steps: Sequence[str], ids: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Name -> (T,) float64. ids: where 1 is a word that the network does not know.

    Counters run from the step's own past, so that a unit that reads forwards can follow each of them.
    """
    words = list(steps)
    found = {
        "how far into the text": np.arange(len(words)) / max(len(words) - 1, 1),
        "how far into the line": _since(words, lambda word: "\n" in word),
        "how far into the sentence": _since(words, lambda word: word[-1:] in SENTENCE_ENDS),
        "inside quotes": _inside_quotes(words),
        "inside brackets": _depth(words),
        "a new line": _each(words, lambda word: "\n" in word),
        "a space": _each(words, lambda word: word.isspace() and "\n" not in word),
        "punctuation": _each(words, lambda word: bool(word.strip()) and not any(sign.isalnum() for sign in word)),
        "the end of a sentence": _each(words, lambda word: word[-1:] in SENTENCE_ENDS),
        "a capital letter": _each(words, lambda word: word[:1].isupper()),
        "a digit": _each(words, lambda word: word[:1].isdigit()),
        "a vowel": _each(words, lambda word: len(word) == 1 and word.lower() in "aeiou"),
        "a word that denies": _each(words, lambda word: word.lower() in DENIALS or word.lower().endswith("n't")),
        "the length of the word": np.array([float(len(word)) for word in words]),
    }
    if ids is not None:
        found["an unknown word"] = (np.asarray(ids) == 1).astype(np.float64)
        found["how rare the word is"] = np.log1p(np.asarray(ids, dtype=np.float64))  # ids go by frequency
    return found


def _each(words: Sequence[str], holds) -> np.ndarray:
    return np.array([float(holds(word)) for word in words])


def _since(words: Sequence[str], ends) -> np.ndarray:
    """Steps since the last one that ends something."""
    count, found = 0, []
    for word in words:
        found.append(float(count))
        count = 0 if ends(word) else count + 1
    return np.array(found)


def _inside_quotes(words: Sequence[str]) -> np.ndarray:
    inside, found = False, []
    for word in words:
        inside = inside if "“" not in word else True
        found.append(float(inside))
        if "”" in word or word.count('"') % 2:
            inside = not inside if '"' in word else False
    return np.array(found)


def _depth(words: Sequence[str]) -> np.ndarray:
    depth, found = 0, []
    for word in words:
        depth += sum(sign in OPENING for sign in word)
        found.append(float(depth))
        depth = max(0, depth - sum(sign in CLOSING for sign in word))
    return np.array(found)


def correlations(values: np.ndarray, features: np.ndarray) -> np.ndarray:
    """values (N, m), features (N, F) -> (F, m): Pearson's; 0 where one of the two is constant."""
    centred = [one - one.mean(axis=0) for one in (values.astype(np.float64), features.astype(np.float64))]
    lengths = [np.linalg.norm(one, axis=0) for one in centred]
    product = centred[1].T @ centred[0]
    sizes = lengths[1][:, None] * lengths[0][None, :]
    return np.divide(
        product, sizes, out=np.zeros_like(product), where=sizes > 1e-12 * max(float(sizes.max(initial=0)), 1e-300)
    )

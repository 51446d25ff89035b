"""The distance between two texts, and the error rates of recognisers that are built on it."""

from __future__ import annotations

from collections.abc import Sequence

from gradus.reference.catalogue import Entry


def edit_distance(first: Sequence, second: Sequence) -> int:
    """The least number of insertions, deletions and substitutions that make one of the other (Levenshtein 1966).

    d(i, j) = min(d(i-1, j) + 1, d(i, j-1) + 1, d(i-1, j-1) + [a_i != b_j]), a row at a time.
    """
    row = list(range(len(second) + 1))
    for i, one in enumerate(first, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(second, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (one != other))
    return row[-1]


def _rate(outputs: Sequence[Sequence], targets: Sequence[Sequence]) -> float:
    errors = sum(edit_distance(target, output) for output, target in zip(outputs, targets, strict=True))
    length = sum(len(target) for target in targets)
    if not length:
        raise ValueError("error rate: the targets hold nothing to compare with")
    return errors / length


def character_error_rate(outputs: Sequence[str], targets: Sequence[str]) -> float:
    """All edits over all characters of the targets, spaces included. Above 1 where the outputs are much too long."""
    return _rate(outputs, targets)


def word_error_rate(outputs: Sequence[str], targets: Sequence[str]) -> float:
    """The same by words, split at white space. Chinese is not spaced: give it words, or use the character error rate."""
    return _rate([output.split() for output in outputs], [target.split() for target in targets])


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="edit distance",
        function="edit_distance.edit_distance",
        formula=r"d_{ij} = \min(d_{i-1,j} + 1, d_{i,j-1} + 1, d_{i-1,j-1} + [a_i \ne b_j])",
        source="Levenshtein 1966",
    ),
    Entry(
        name="character error rate",
        function="edit_distance.character_error_rate",
        formula=r"\frac{\sum d(y, t)}{\sum |t|}",
        range=r"[0, \infty)",
        source="*Principles and Practice* §8.6 (the text reports the loss only)",
    ),
    Entry(
        name="word error rate",
        function="edit_distance.word_error_rate",
        formula=r"\frac{S + D + I}{N}",
        range=r"[0, \infty)",
        source="*Principles and Practice* §8.6 (the text reports the loss only)",
    ),
)

"""What word vectors say: the words nearest to a word, analogies and how many of a list are right, how alike words are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradus.data.text import meaning
from gradus.data.text.vectors import WordVectors
from gradus.errors import UserError
from gradus.look.inside.sight import Sight
from gradus.look.inside.word_subject import WordSubject

METHODS: dict[meaning.AnalogyMethod, str] = {"add": "3CosAdd", "multiply": "3CosMul"}
MOST = 40  # words whose likeness is told at a time


def known_words(vectors: WordVectors, words: Sequence[str]) -> list[str]:
    """The words as the vectors have them: as they are written, or in lower case. Raises `UserError` for one without a vector."""
    found = [word if word in vectors or word.lower() not in vectors else word.lower() for word in words]
    for word in found:
        vectors.place(word)
    return found


def neighbours(subject: WordSubject, words: Sequence[str], *, count: int = 10) -> Sight:
    """The `count` words nearest to each word, by cosine."""
    if not words:
        raise UserError("neighbours: of which words? For example: gradus look RUN neighbours good bad")
    if count < 1:
        raise UserError(f"neighbours.count: expected 1 or more, received {count}")
    sight = Sight("neighbours", f"Nearest words in {subject.name}")
    for word in known_words(subject.vectors, words):
        near = meaning.neighbours(subject.vectors, word, count)
        sight.printed.append(f"{word}: {_listed(near)}")
        sight.tables.append((word, ["word", "cosine"], [[other, f"{value:.3f}"] for other, value in near]))
        sight.record.setdefault("neighbours", {})[word] = {other: round(value, 6) for other, value in near}
    return sight


def similarity(subject: WordSubject, words: Sequence[str]) -> Sight:
    """The cosine of every pair of the words, -1..1."""
    names = known_words(subject.vectors, words)
    if not 2 <= len(names) <= MOST:
        raise UserError(f"similarity: expected 2 to {MOST} words, received {len(names)}")
    units = subject.vectors.units[[subject.vectors.place(name) for name in names]]
    cosines = units @ units.T
    rows = [[name, *(f"{value:.3f}" for value in row)] for name, row in zip(names, cosines, strict=True)]
    sight = Sight("similarity", f"How alike words are in {subject.name}", arrays={"cosines": cosines})
    sight.tables.append(("Cosines", ["", *names], rows))
    sight.record["cosines"] = {
        f"{names[one]} {names[other]}": round(float(cosines[one, other]), 6)
        for one in range(len(names))
        for other in range(one + 1, len(names))
    }
    return sight


def analogies(
    subject: WordSubject, words: Sequence[str], *, count: int = 5, questions: str = "", most: int = 30_000
) -> Sight:
    """With words, three at a time: "a is to b as c is to ?". Without: how many of a list of such questions are answered right.

    questions: a file of `: section` and lines of four words (word2vec's questions-words.txt), or of pairs; empty: our own list
    most:      answers are chosen among so many of the first (most frequent) words, never among the three given
    """
    if not words:
        return _score(subject, questions, most)
    if len(words) % 3 or count < 1:
        raise UserError("analogies: expected three words (a is to b as c is to ?), such as: man actor woman")
    vectors = subject.vectors
    sight = Sight("analogies", f"Analogies in {subject.name}")
    names = known_words(vectors, words)
    for a, b, c in zip(names[::3], names[1::3], names[2::3], strict=True):
        asked = f"{a} is to {b} as {c} is to"
        for method, title in METHODS.items():
            best = meaning.analogy(vectors, a, b, c, count, method)
            sight.printed.append(f"{asked} ({title}): {_listed(best)}")
            rows = [[word, f"{value:.3f}"] for word, value in best]
            sight.tables.append((f"{asked} … by {title}", ["word", "score"], rows))
            sight.record.setdefault("answers", []).append(
                {"asked": [a, b, c], "method": title, "best": {word: round(value, 6) for word, value in best}}
            )
    return sight


def _score(subject: WordSubject, questions: str, most: int) -> Sight:
    if most < 4:
        raise UserError(f"analogies.most: expected 4 words or more, received {most}")
    asked = meaning.read_questions(questions or None)
    scores = {method: meaning.score_analogies(subject.vectors, asked, method, most) for method in METHODS}
    add, multiply = scores["add"], scores["multiply"]
    if not add.covered:
        raise UserError(f"{subject.name} has vectors of all four words of none of the {add.questions:,} questions")
    sight = Sight(
        "analogies",
        f"Analogies in {subject.name}",
        said=[
            f"{add.covered:,} of {add.questions:,} questions have all their words; a word guessed at random would be right for "
            f"one in {min(most, len(subject.vectors.places)):,}."
        ],
        numbers={
            "right_by_3CosAdd": add.accuracy,
            "right_by_3CosMul": multiply.accuracy,
            "questions": float(add.questions),
            "covered": float(add.covered),
        },
    )
    rows = [
        [section, f"{right} of {covered}", f"{multiply.of[section][0]} of {covered}"]
        for section, (right, covered) in add.of.items()
    ]
    sight.tables.append(("Right by section", ["section", *METHODS.values()], rows))
    for section, by_add, by_multiply in rows:
        sight.said.append(f"{section}: {by_add} by 3CosAdd, {by_multiply.partition(' ')[0]} by 3CosMul.")
    return sight


def _listed(words: Sequence[tuple[str, float]]) -> str:
    return ", ".join(f"{word} {value:.2f}" for word, value in words)


def leaning_of(strengths: np.ndarray, margin: float) -> np.ndarray:
    """(N,) the class that each word of strengths (N, C) leans to; -1 where it is less than `margin` ahead of the next."""
    order = np.sort(strengths, axis=1)
    clear = order[:, -1] - order[:, -2] >= margin
    return np.where(clear, strengths.argmax(axis=1), -1)

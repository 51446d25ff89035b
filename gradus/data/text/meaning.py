"""What word vectors say: nearest words, analogies, likeness, and the direction of a bias with what takes it out.

Cosines throughout. All functions take `WordVectors` or plain arrays, and give plain numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

import numpy as np

from gradus.data.text.vectors import WordVectors
from gradus.errors import UserError

AnalogyMethod = Literal["add", "multiply"]
QUESTIONS = "analogies.txt"  # our own, beside this file


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    """u . v / (|u| |v|) of two vectors (d,); 0 where one of them is zero."""
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / lengths if lengths else 0.0


def similarity(vectors: WordVectors, one: str, other: str) -> float:
    """The cosine of two words, -1..1."""
    return float(vectors.units[vectors.place(one)] @ vectors.units[vectors.place(other)])


def neighbours(vectors: WordVectors, word: str, count: int = 10) -> list[tuple[str, float]]:
    """The words nearest by cosine, without the word itself, nearest first; equal ones in the order of the vectors."""
    place = vectors.place(word)
    return _best(vectors, vectors.units @ vectors.units[place], (place,), count)


def analogy(
    vectors: WordVectors, a: str, b: str, c: str, count: int = 5, method: AnalogyMethod = "add"
) -> list[tuple[str, float]]:
    """ "a is to b as c is to ?": the best words with their scores, none of the three given.

    add:      cos(w, b) - cos(w, a) + cos(w, c): 3CosAdd, arg max cos(w, b - a + c) of unit vectors (Mikolov et al. 2013)
    multiply: cos(w, b) cos(w, c) / (cos(w, a) + 0.001), each cosine brought to 0..1: 3CosMul (Levy and Goldberg 2014)
    """
    places = tuple(vectors.place(word) for word in (a, b, c))
    return _best(vectors, _analogy_scores(vectors.units, np.array([places]), method)[0], places, count)


def _analogy_scores(units: np.ndarray, questions: np.ndarray, method: AnalogyMethod) -> np.ndarray:
    """(Q, N) of questions (Q, 3)."""
    if method == "add":
        wanted = units[questions[:, 1]] - units[questions[:, 0]] + units[questions[:, 2]]
        return wanted @ units.T
    a, b, c = (((units[questions[:, place]] @ units.T) + 1) / 2 for place in range(3))
    return b * c / (a + 0.001)


def _best(vectors: WordVectors, scores: np.ndarray, without: Sequence[int], count: int) -> list[tuple[str, float]]:
    scores = scores.copy()
    scores[: vectors.special] = scores[list(without)] = -np.inf
    order = np.argsort(-scores, kind="stable")[:count]
    return [(vectors.words[place], float(scores[place])) for place in order if np.isfinite(scores[place])]


@dataclass(frozen=True)
class AnalogyScore:
    """of: section -> (right, asked), of the questions all four words of which have vectors; questions: how many there are."""

    of: dict[str, tuple[int, int]]
    questions: int

    @property
    def right(self) -> int:
        return sum(right for right, _ in self.of.values())

    @property
    def covered(self) -> int:
        return sum(asked for _, asked in self.of.values())

    @property
    def accuracy(self) -> float:
        """Of those covered; 0 where none is."""
        return self.right / self.covered if self.covered else 0.0


Questions = dict[str, list[tuple[str, str, str, str]]]


def read_questions(path: str | Path | None = None) -> Questions:
    """Section -> questions (a, b, c, d). None: our own list, all ordered pairs of the pairs of each of its sections.

    A file has the form of word2vec's questions-words.txt: `: section`, then lines of four words; lines of two words are
    pairs, each of which is asked with each other one of its section. Words are read in lower case.
    """
    if path is None:
        where, text = QUESTIONS, resources.files("gradus.data.text").joinpath(QUESTIONS).read_text(encoding="utf-8")
    else:
        where = str(path)
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: cannot be read ({error})") from None
    found: Questions = {}
    pairs: dict[str, list[tuple[str, str]]] = {}
    section = "questions"
    for number, line in enumerate(text.lower().splitlines(), 1):
        fields = line.split()
        if not fields or line.startswith("#"):
            continue
        if fields[0].startswith(":"):
            section = line[1:].strip() or section
        elif len(fields) == 4:
            found.setdefault(section, []).append((fields[0], fields[1], fields[2], fields[3]))
        elif len(fields) == 2:
            for one, other in pairs.setdefault(section, []):
                asked = found.setdefault(section, [])
                asked += [(one, other, fields[0], fields[1]), (fields[0], fields[1], one, other)]
            pairs[section].append((fields[0], fields[1]))
        else:
            raise UserError(f"{where}, line {number}: expected `: section`, or 4 words (or a pair), received '{line}'")
    if not found:
        raise UserError(f"{where}: there is no question in it")
    return found


def score_analogies(
    vectors: WordVectors, questions: Questions, method: AnalogyMethod = "add", most: int = 30_000
) -> AnalogyScore:
    """How often the best word is the one asked for, among the `most` first words (the most frequent ones), none of the given."""
    units = vectors.units[: vectors.special + most]
    of = {}
    for section, asked in questions.items():
        known = [[vectors.places.get(word, len(units)) for word in question] for question in asked]
        rows = np.array([row for row in known if max(row) < len(units)], dtype=np.int64).reshape(-1, 4)
        right = 0
        for part in np.array_split(rows, -(-len(rows) // 256)) if len(rows) else []:
            scores = _analogy_scores(units, part[:, :3], method)
            scores[:, : vectors.special] = -np.inf
            np.put_along_axis(scores, part[:, :3], -np.inf, axis=1)
            right += int((scores.argmax(axis=1) == part[:, 3]).sum())
        of[section] = (right, len(rows))
    return AnalogyScore(of, sum(map(len, questions.values())))


# Bias (Bolukbasi et al. 2016)


def bias_direction(
    vectors: WordVectors, pairs: Sequence[tuple[str, str]], method: Literal["svd", "difference"] = "svd"
) -> np.ndarray:
    """(d,) of length 1, pointing from the second words of the pairs to the first (woman - man: to woman).

    difference: the mean of first - second
    svd:        the first principal direction of all words, each pair moved so that its middle lies in 0 (Bolukbasi et al. 2016,
                §5.1); of one pair the same as its difference
    """
    if not pairs:
        raise UserError("bias: expected at least one pair of words, such as woman:man")
    first = np.stack([vectors.units[vectors.place(one)] for one, _ in pairs])
    second = np.stack([vectors.units[vectors.place(other)] for _, other in pairs])
    along = (first - second).mean(axis=0)
    if method == "svd":
        halves = np.concatenate([first - second, second - first]) / 2
        direction = np.linalg.svd(halves, full_matrices=False)[2][0]
        along = direction if direction @ along >= 0 else -direction
    length = np.linalg.norm(along)
    if not length:
        raise UserError("bias: the words of the pairs have the same vectors, so there is no direction between them")
    return along / length


def neutralize(vector: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """The vector without its part along `direction` (of any length): v - (v . g) / (g . g) g."""
    return vector - (vector @ direction) / (direction @ direction) * direction


def equalize(one: np.ndarray, other: np.ndarray, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors with the same part across `direction`, and opposite parts along it; both of length 1 again, so that both
    are equally far from every neutral vector (Bolukbasi et al. 2016, step 2b)."""
    middle = (one + other) / 2
    across = neutralize(middle, direction)
    unit = direction / np.linalg.norm(direction)
    along = np.sqrt(max(0.0, 1 - float(across @ across)))
    sign = 1.0 if (one - other) @ unit >= 0 else -1.0
    return across + sign * along * unit, across - sign * along * unit

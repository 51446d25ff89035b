"""Neighbours, analogies and bias, on vectors whose answers are known, and against plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from gradus.data.text.meaning import (
    analogy,
    bias_direction,
    cosine,
    equalize,
    neighbours,
    neutralize,
    read_questions,
    score_analogies,
    similarity,
)
from gradus.data.text.vectors import WordVectors
from gradus.errors import UserError

ROYAL = WordVectors(
    ("<pad>", "man", "woman", "king", "queen", "apple"),
    np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 1], [0, 1, 1], [-1, -1, 0.2]], np.float32),
    special=1,
)


def random_words(count: int = 60, size: int = 8) -> WordVectors:
    matrix = np.random.default_rng(3).normal(size=(count, size)).astype(np.float32)
    return WordVectors(tuple(f"w{number}" for number in range(count)), matrix)


def test_cosines_are_those_of_the_definition():
    assert cosine(np.array([1.0, 0]), np.array([1.0, 1])) == pytest.approx(2**-0.5)
    assert cosine(np.zeros(2), np.ones(2)) == 0
    assert similarity(ROYAL, "man", "king") == pytest.approx(2**-0.5)


def test_neighbours_leave_out_the_word_and_the_special_ones():
    assert neighbours(ROYAL, "king", 9) == [
        ("man", pytest.approx(2**-0.5)),
        ("queen", pytest.approx(0.5)),
        ("woman", pytest.approx(0)),
        ("apple", pytest.approx(cosine(ROYAL["king"], ROYAL["apple"]))),
    ]


@pytest.mark.parametrize("method", ["add", "multiply"])
def test_the_famous_analogy_never_answers_with_a_word_given(method):
    assert analogy(ROYAL, "man", "king", "woman", 9, method)[0][0] == "queen"
    assert {word for word, _ in analogy(ROYAL, "man", "king", "woman", 9, method)} == {"queen", "apple"}


@pytest.mark.parametrize("method", ["add", "multiply"])
def test_analogies_are_those_of_a_plain_loop(method):
    vectors = random_words()
    a, b, c = (vectors[word] / np.linalg.norm(vectors[word]) for word in ("w4", "w9", "w2"))
    scores = {}
    for word in set(vectors.words) - {"w4", "w9", "w2"}:
        near = [cosine(vectors[word], other) for other in (a, b, c)]
        moved = [(value + 1) / 2 for value in near]
        scores[word] = near[1] - near[0] + near[2] if method == "add" else moved[1] * moved[2] / (moved[0] + 0.001)
    best = max(scores, key=scores.__getitem__)
    assert analogy(vectors, "w4", "w9", "w2", 1, method) == [(best, pytest.approx(scores[best]))]
    asked = {"all": [("w4", "w9", "w2", best), ("w4", "w9", "w2", "w0" if best != "w0" else "w1")]}
    assert score_analogies(vectors, asked, method).of == {"all": (1, 2)}


def test_gensim_gives_the_same_analogies():
    models = pytest.importorskip("gensim.models", reason="gensim is not installed")
    vectors = random_words()
    theirs = models.KeyedVectors(vectors.size)
    theirs.add_vectors(list(vectors.words), vectors.matrix)
    ours = analogy(vectors, "w4", "w9", "w2", 5)
    assert [word for word, _ in ours] == [
        word for word, _ in theirs.most_similar(positive=["w9", "w2"], negative=["w4"], topn=5)
    ]
    assert [word for word, _ in neighbours(vectors, "w7", 5)] == [word for word, _ in theirs.most_similar("w7", topn=5)]


def test_questions_without_vectors_are_counted_but_not_asked():
    score = score_analogies(ROYAL, {"royal": [("man", "king", "woman", "queen"), ("man", "king", "boy", "prince")]})
    assert (score.right, score.covered, score.questions, score.accuracy) == (1, 1, 2, 1.0)
    assert score_analogies(ROYAL, {"royal": [("a", "b", "c", "d")]}).accuracy == 0
    assert score_analogies(ROYAL, {"royal": [("man", "king", "woman", "queen")]}, most=3).covered == 0


def test_our_own_questions_ask_every_pair_with_every_other_one():
    questions = read_questions()
    assert ("man", "woman", "actor", "actress") in questions["man and woman"]
    assert ("actor", "actress", "man", "woman") in questions["man and woman"]
    for section, asked in questions.items():
        pairs = {question[:2] for question in asked}
        assert len(asked) == len(set(asked)) == len(pairs) * (len(pairs) - 1), section


def test_a_file_of_questions_is_read_and_its_mistakes_are_told(tmp_path):
    (tmp_path / "questions.txt").write_text(": capital\nAthens Greece Oslo Norway\n")
    assert read_questions(tmp_path / "questions.txt") == {"capital": [("athens", "greece", "oslo", "norway")]}
    (tmp_path / "questions.txt").write_text(": capital\nAthens Greece Oslo\n")
    with pytest.raises(UserError, match="line 2"):
        read_questions(tmp_path / "questions.txt")
    (tmp_path / "questions.txt").write_text(": capital\n")
    with pytest.raises(UserError, match="no question"):
        read_questions(tmp_path / "questions.txt")


def test_neutralised_vectors_have_nothing_along_the_direction():
    """The check of the course exercise: the cosine with the direction is 0, and all else stays."""
    random = np.random.default_rng(1)
    vector, direction = random.normal(size=50), 3 * random.normal(size=50)
    left = neutralize(vector, direction)
    assert abs(cosine(left, direction)) < 1e-12
    assert vector - left == pytest.approx(direction * (vector @ direction) / (direction @ direction))


def test_equalised_pairs_are_equally_far_from_all_that_is_neutral():
    """The check of the course exercise: cosines with the direction are opposite, and both words are unit vectors."""
    random = np.random.default_rng(2)
    one, other = (vector / np.linalg.norm(vector) for vector in random.normal(size=(2, 50)))
    direction = one - other + random.normal(size=50)
    after = equalize(one, other, direction)
    assert cosine(after[0], direction) == pytest.approx(-cosine(after[1], direction))
    assert cosine(after[0], direction) > 0
    assert [np.linalg.norm(vector) for vector in after] == pytest.approx([1, 1])
    neutral = neutralize(random.normal(size=50), direction)
    assert after[0] @ neutral == pytest.approx(after[1] @ neutral)


def test_of_one_pair_both_directions_are_its_difference():
    difference = bias_direction(ROYAL, [("woman", "man")], "difference")
    assert difference == pytest.approx(np.array([-1, 1, 0]) / 2**0.5)
    assert bias_direction(ROYAL, [("woman", "man")], "svd") == pytest.approx(difference)


def test_of_several_pairs_the_direction_is_what_they_have_in_common():
    along = bias_direction(random_words(), [("w1", "w2"), ("w3", "w4"), ("w5", "w6")])
    units = random_words().units
    pairs = np.concatenate([units[[1, 2]], units[[3, 4]], units[[5, 6]]]).reshape(3, 2, -1)
    centred = (pairs - pairs.mean(axis=1, keepdims=True)).reshape(6, -1)
    principal = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    assert abs(along @ principal) == pytest.approx(1)
    assert along @ (pairs[:, 0] - pairs[:, 1]).mean(axis=0) > 0
    with pytest.raises(UserError, match="same vectors"):
        bias_direction(ROYAL, [("man", "man")], "difference")

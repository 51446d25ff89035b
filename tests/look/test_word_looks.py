"""Looks at word vectors, on a file whose words are placed by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gradus.cli import main
from gradus.data.text.vectors import WordVectors, write_vectors
from gradus.errors import UserError
from gradus.look.inside.meaning import leaning_of
from gradus.look.inside.word_subject import Leanings, WordSubject
from gradus.recipes.looking_words import look_at_words, subject_of_words

# (male, female, royal, fruit)
PLACES = {
    "man": (1, 0, 0, 0.1),
    "woman": (0, 1, 0, 0.1),
    "king": (1, 0, 1, 0),
    "queen": (0, 1, 1, 0),
    "boy": (0.9, 0.1, 0.1, 0),
    "girl": (0.1, 0.9, 0.1, 0),
    "apple": (0.2, 0.3, 0, 1),
    "pear": (0.3, 0.2, 0, 1),
    "nurse": (0.1, 0.6, 0, 0.2),
}


@pytest.fixture
def file(tmp_path) -> str:
    vectors = WordVectors(tuple(PLACES), np.array(list(PLACES.values()), dtype=np.float32))
    write_vectors(vectors, tmp_path / "royal.txt", "glove")
    return str(tmp_path / "royal.txt")


def test_neighbours_are_printed_nearest_first(file):
    sight = look_at_words(subject_of_words(file), "neighbours", ["Apple"], count="2")
    assert sight.printed[0].startswith("apple: pear 0.9")
    assert next(iter(sight.record["neighbours"]["apple"])) == "pear"


def test_analogies_are_answered_and_scored(file, tmp_path):
    subject = subject_of_words(file)
    sight = look_at_words(subject, "analogies", ["man", "king", "woman"])
    assert [answer["method"] for answer in sight.record["answers"]] == ["3CosAdd", "3CosMul"]
    assert all(next(iter(answer["best"])) == "queen" for answer in sight.record["answers"])
    (tmp_path / "questions.txt").write_text(": royal\nman king woman queen\nman king lad prince\n")
    score = look_at_words(subject, "analogies", questions=str(tmp_path / "questions.txt"))
    assert score.numbers == {"right_by_3CosAdd": 1, "right_by_3CosMul": 1, "questions": 2, "covered": 1}
    own = look_at_words(subject, "analogies")
    assert own.numbers["covered"] == 6  # man:woman, boy:girl, king:queen, each with each


def test_similarity_is_of_every_pair(file):
    sight = look_at_words(subject_of_words(file), "similarity", ["man", "king", "apple"])
    assert sight.arrays["cosines"].shape == (3, 3)
    assert sight.record["cosines"]["man king"] == pytest.approx(1 / (1.01 * 2) ** 0.5, abs=1e-6)


def test_bias_tells_leanings_and_takes_them_out(file):
    sight = look_at_words(subject_of_words(file), "bias", ["nurse", "king", "apple"])
    assert sight.record["cosines"]["nurse"] > 0.3 > -0.3 > sight.record["cosines"]["king"]
    words, pairs = (rows for _, _, rows in sight.tables)
    assert all(abs(float(row[2])) < 1e-9 for row in words)
    assert pairs[0][0] == "woman:man"
    assert all(float(row[3]) == -float(row[4]) for row in pairs)
    assert len(look_at_words(subject_of_words(file), "bias").record["cosines"]) > 3


def test_a_map_is_coloured_by_what_words_lean_to(file):
    vectors = subject_of_words(file).vectors
    counts = np.full((9, 2), 50.0)
    counts[0], counts[1] = (100, 10), (10, 100)
    leanings = Leanings(("bad", "good"), counts)
    assert leaning_of(leanings.strengths(), 0.3).tolist() == [0, 1, *[-1] * 7]
    sight = look_at_words(WordSubject("royal", vectors, lambda: leanings), "word-map", skip=0)
    assert sight.record["words"] == list(PLACES)
    assert [panel.name for panel in sight.panels] == ["tsne", "pca"]
    near = look_at_words(WordSubject("royal", vectors), "word-map", ["queen"], neighbours=4)
    assert len(near.record["words"]) == 5 and "queen" in near.record["words"]
    assert near.arrays["pca"].shape == (5, 2)


@pytest.mark.parametrize(
    ("what", "words", "chosen", "told"),
    [
        ("neighbours", [], {}, "of which words"),
        ("neighbours", ["appel"], {}, "no vector of 'appel'; did you mean 'apple'"),
        ("neighbours", ["apple"], {"count": 0}, "1 or more"),
        ("neighbours", ["apple"], {"cuont": 3}, "did you mean 'count'"),
        ("analogies", ["man", "king"], {}, "three words"),
        ("similarity", ["man"], {}, "2 to 40 words"),
        ("word-map", [], {}, "5 words or more"),
        ("bias", [], {"pairs": "she"}, "pairs such as"),
        ("bias", [], {"pairs": "aunt:uncle"}, "no vector of 'aunt'"),
    ],
)
def test_mistakes_are_told(file, what, words, chosen, told):
    with pytest.raises(UserError, match=told):
        look_at_words(subject_of_words(file), what, words, **chosen)


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["look", *arguments])
    return ended.value.code


def test_the_command_prints_and_writes(file, tmp_path, capsys):
    out = ["--out", str(tmp_path / "look")]
    assert command(file, "neighbours", "king", *out) == 0
    assert capsys.readouterr().out.startswith("king: ")
    assert (tmp_path / "look" / "neighbours.html").exists()
    assert command(file, "analogies", "man", "king", "woman", "--json", *out) == 0
    assert "queen" in json.loads(capsys.readouterr().out)["answers"][0]["best"]
    assert command() == 0
    assert "word-map" in capsys.readouterr().out
    assert command(file, "neighbours", "king", "--weights", "x") == 2
    assert "--weights is not for looks at word vectors" in capsys.readouterr().err
    assert command(str(tmp_path / "none"), "neighbours", "king") == 2
    assert "no such file or run" in capsys.readouterr().err

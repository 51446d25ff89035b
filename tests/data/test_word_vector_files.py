"""Files of word vectors: what is written is read, others' programs read it too, and what is broken is told by its line."""

from __future__ import annotations

import numpy as np
import pytest

from gradus.data.text.vectors import WordVectors, read_vectors, write_vectors
from gradus.errors import UserError

FORMS = ("glove", "word2vec", "word2vec-binary")


def some(count: int = 7, size: int = 5) -> WordVectors:
    words = ("the", "film", "été", "don't", "猫", ".", "4")[:count]
    return WordVectors(words, np.random.default_rng(0).normal(size=(count, size)).astype(np.float32))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("suffix", ["txt", "gz"])
def test_what_is_written_is_read_to_the_same_bits(tmp_path, form, suffix):
    vectors = some()
    write_vectors(vectors, tmp_path / f"vectors.{suffix}", form)
    found = read_vectors(tmp_path / f"vectors.{suffix}")
    assert found.words == vectors.words and found.whole == 7
    assert (found.matrix == vectors.matrix).all()


@pytest.mark.parametrize("form", FORMS)
def test_only_the_wanted_words_are_kept(tmp_path, form):
    write_vectors(some(), tmp_path / "vectors", form)
    found = read_vectors(tmp_path / "vectors", {"猫", "film", "nowhere"})
    assert found.words == ("film", "猫") and found.whole == 7
    assert (found.matrix == some().matrix[[1, 4]]).all()


@pytest.mark.parametrize("form", FORMS)
def test_gensim_reads_what_we_write_and_we_what_it_writes(tmp_path, form):
    models = pytest.importorskip("gensim.models", reason="gensim is not installed")
    vectors, binary = some(), form == "word2vec-binary"
    write_vectors(vectors, tmp_path / "ours", form)
    theirs = models.KeyedVectors.load_word2vec_format(str(tmp_path / "ours"), binary=binary, no_header=form == "glove")
    assert theirs.index_to_key == list(vectors.words)
    assert np.allclose(theirs.vectors, vectors.matrix, atol=1e-7)
    theirs.save_word2vec_format(str(tmp_path / "theirs"), binary=binary, write_header=form != "glove")
    back = read_vectors(tmp_path / "theirs")
    assert back.words == vectors.words and np.allclose(back.matrix, vectors.matrix, atol=1e-7)


def test_special_words_are_not_written(tmp_path):
    write_vectors(WordVectors(("<pad>", "a"), np.zeros((2, 3), np.float32), special=1), tmp_path / "vectors")
    assert read_vectors(tmp_path / "vectors").words == ("a",)


def test_a_word_of_several_parts_is_what_its_numbers_leave(tmp_path):
    """Some lines of the largest published GloVe file hold words such as `. . .`."""
    (tmp_path / "vectors.txt").write_text("the 1 2\n. . . 3 4\n")
    assert read_vectors(tmp_path / "vectors.txt").words == ("the", ". . .")
    assert read_vectors(tmp_path / "vectors.txt", {"."}).words == ()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "line 1"),
        (b"the\n", "line 1"),
        (b"the 1 2 3\nfilm 1 2\n", "line 2: expected a word and 3 numbers, received 2"),
        (b"the 1 2\nfilm 1 x\n", "line 2: 'x' is no number .word 'film'."),
        (b"the 1 2\nfilm 1 nan\n", "line 2: a number is not finite"),
        (b"3 2\nthe 1 2\nfilm 1 2\n", "tells of 3 words, but there are 2"),
        (b"1 2\nthe 1 2\nfilm 1 2\n", "tells of 1 words, but there are 2"),
        (b"2 2\nthe " + np.ones(2, "<f4").tobytes() + b"\nfilm \0\0", "word 2 of 2: the file ends within its vector"),
        (b"2 2\nthe " + np.ones(2, "<f4").tobytes() + b"\n", "word 2 of 2: the file ends or is no word2vec file"),
        (b"1 1\nthe " + np.full(1, np.inf, "<f4").tobytes(), "word 1: a number is not finite"),
    ],
)
def test_what_is_broken_is_told_by_its_line(tmp_path, content, told):
    (tmp_path / "vectors").write_bytes(content)
    with pytest.raises(UserError, match=told):
        read_vectors(tmp_path / "vectors")


def test_a_word_with_white_space_cannot_be_written(tmp_path):
    with pytest.raises(UserError, match="'new york' holds white space"):
        write_vectors(WordVectors(("new york",), np.zeros((1, 2), np.float32)), tmp_path / "vectors")
    assert not (tmp_path / "vectors").exists()


def test_a_missing_file_or_word_is_told(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_vectors(tmp_path / "vectors")
    with pytest.raises(UserError, match="no vector of 'fillm'; did you mean 'film'"):
        some()["fillm"]

"""Tokenisers and encoders: what a text becomes, that it comes back, and that the same text is the same ids in every process."""

from __future__ import annotations

import json
import os
import string
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from gradus.data.text.encoders import SPECIAL, UNKNOWN, TokenOptions, fit_and_encode, fit_encoder, load_encoder
from gradus.data.text.tokenizers import LINE, TOKENIZERS, Tokenizer, ngrams, words
from gradus.errors import UserError

SAMPLES = ["The cat sat on the mat.", "The dog ate my homework."]


def options(**given) -> TokenOptions:
    return TokenOptions(**given)


def test_words_are_cut_as_readers_see_them():
    assert words("It's GREAT, isn’t it?") == ["it's", "great", ",", "isn’t", "it", "?"]
    assert words("good<br /><br>film < 3") == ["good", "film", "<", "3"]
    assert words("我爱北京 2008年") == ["我", "爱", "北", "京", "2008", "年"]


def test_line_breaks_are_tokens_where_they_are_asked_for():
    lines = Tokenizer(line_breaks=True)
    assert lines.split("One\r\ntwo<br/>three\n") == ["one", LINE, "two", LINE, "three", LINE]
    assert lines.join(lines.split("one, two.\nthree")) == "one, two.\nthree"


def test_a_line_break_parts_words_also_where_no_space_stands_before_it():
    """plain-talk §8.5: the listing puts <eos> in the place of the newline, which glues it to the word before."""
    assert "one\ntwo".replace("\n", "<eos>").split() == ["one<eos>two"]
    assert Tokenizer(name="whitespace", lowercase=False, line_breaks=True).split("one\ntwo \n") == [
        "one",
        LINE,
        "two",
        LINE,
    ]


@pytest.mark.parametrize(("most", "items"), [(2, 11), (3, 15)])
def test_the_texts_bags_of_ngrams(most, items):
    """Deep Learning with Python §6.1: capitals kept, full stop removed."""
    found = ngrams(["The", "cat", "sat", "on", "the", "mat"], most)
    assert len(set(found)) == items and {"The cat", "the mat"} <= set(found)
    assert ("The cat sat" in found) == (most == 3)


@given(st.lists(st.text("abc", min_size=1), max_size=12), st.integers(1, 4))
def test_ngrams_are_those_of_scikit_learn(tokens, most):
    theirs = CountVectorizer(ngram_range=(1, most), analyzer="word", tokenizer=str.split, token_pattern=None)
    analyze = theirs.build_analyzer()
    assert sorted(ngrams(tokens, most)) == sorted(analyze(" ".join(tokens)))


def test_the_two_samples_of_the_text_have_nine_words():
    encoder = fit_encoder(SAMPLES, options())
    kept = [token for token in encoder.tokens[len(SPECIAL) :] if token != "."]
    assert len(kept) == 9 and kept[0] == "the"


def test_characters_are_looked_up_by_character():
    """Listing 6-2 of Deep Learning with Python: its dictionary leads from numbers to characters, so that a look-up by character
    gives None, which NumPy takes for a new axis: all places are set to 1."""
    inverted = dict(zip(range(1, len(string.printable) + 1), string.printable, strict=True))
    row = np.zeros(101)
    row[inverted.get("T")] = 1
    assert row.sum() == 101
    encoder = fit_encoder([string.printable], options(tokenizer="character"))
    ids = encoder.encode("The cat")
    assert encoder.size == 100 + len(SPECIAL) and [encoder.tokens[index] for index in ids] == list("The cat")
    assert len(encoder.encode("x" * 60)) == 60  # longer than the 50 places at which the listing fails


@given(st.text(max_size=60))
def test_characters_come_back_exactly(text):
    encoder = fit_encoder([text + "x"], options(tokenizer="character", vocabulary=1000))
    assert encoder.decode(encoder.encode(text)) == text


@given(st.text(max_size=60), st.booleans(), st.booleans())
@settings(max_examples=300)
def test_what_is_joined_is_cut_into_the_same_words(text, lowercase, line_breaks):
    tokenizer = Tokenizer(lowercase=lowercase, line_breaks=line_breaks)
    tokens = tokenizer.split(text)
    assert tokenizer.split(tokenizer.join(tokens)) == tokens


@given(st.text(st.characters(max_codepoint=127), max_size=60), st.booleans())
def test_plain_texts_are_cut_like_all_others(text, line_breaks):
    tokenizer = Tokenizer(line_breaks=line_breaks)
    assert tokenizer.split(f"{text} é") == [*tokenizer.split(text), "é"]


def test_joined_words_read_as_a_text():
    text = "he said (twice): “well-known, isn't it?”\n我爱北京。很好"
    tokenizer = Tokenizer(line_breaks=True)
    assert tokenizer.join(tokenizer.split(text)) == text


@pytest.mark.parametrize("tokenizer", ["word", "whitespace", "character"])
@given(texts=st.lists(st.text("ab c.\n我", max_size=12), min_size=1, max_size=6), runs=st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_texts_cut_once_are_as_texts_cut_again(tokenizer, texts, runs):
    asked = options(tokenizer=tokenizer, vocabulary=9, ngrams=1 if tokenizer == "character" else runs)
    encoder, rows = fit_and_encode([*texts, "a"], asked)
    assert [row.tolist() for row in rows] == [encoder.encode(text).tolist() for text in [*texts, "a"]]
    again = load_encoder(json.loads(json.dumps(encoder.state())))
    assert again.tokens == encoder.tokens
    assert all((again.encode(text) == encoder.encode(text)).all() for text in texts)


@given(st.lists(st.text("abcd ", min_size=1, max_size=20), min_size=1, max_size=8), st.integers(1, 3))
@settings(max_examples=50, deadline=None)
def test_counts_are_those_of_scikit_learn(texts, least):
    theirs, wanted = CountVectorizer(tokenizer=str.split, token_pattern=None, lowercase=False), {}
    if any(text.split() for text in texts):
        counts = theirs.fit_transform(texts).toarray().sum(axis=0)
        wanted = dict(zip(theirs.get_feature_names_out(), counts.tolist(), strict=True))
    wanted = {token: count for token, count in wanted.items() if count >= least}
    if not wanted:
        with pytest.raises(UserError, match="no token to learn from"):
            fit_encoder(texts, options(tokenizer="whitespace", least_count=least))
        return
    encoder = fit_encoder(texts, options(tokenizer="whitespace", least_count=least))
    assert dict(zip(encoder.tokens[len(SPECIAL) :], encoder.counts, strict=True)) == wanted
    assert list(encoder.counts) == sorted(encoder.counts, reverse=True)


def test_a_vocabulary_of_n_has_n_ids():
    """Keras's Tokenizer(num_words=N) keeps N - 1 words, and its word_index lists them all."""
    encoder = fit_encoder(["a a a b b c"], options(vocabulary=6))
    assert encoder.tokens == (*SPECIAL, "a", "b") and encoder.encode("a c b").tolist() == [4, UNKNOWN, 5]
    assert encoder.notes == ("16.7% of the training texts' tokens are not in the vocabulary: unknown",)


def test_unknown_runs_of_words_are_left_out():
    encoder = fit_encoder(["a b a b"], options(ngrams=2, vocabulary=7))
    assert encoder.tokens[4:] == ("a", "a b", "b")
    assert encoder.encode("b x a b").tolist() == [6, UNKNOWN, 4, 5, 6]
    assert encoder.decode([6, UNKNOWN, 4, 5, 6]) == "b <unknown> a b"


def test_the_hash_is_the_same_in_every_process():
    """Listing 6-4 of Deep Learning with Python uses Python's hash of a string, which is salted anew in every process."""
    program = (
        "from gradus.data.text.encoders import *; e = fit_encoder(['a b'], TokenOptions(hashing=True, vocabulary=1004)); "
        "print([e.encode('the cat sat on the mat').tolist(), hash('the cat')])"
    )
    salt = {"PYTHONHASHSEED": "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"}  # not that of this process
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ | salt
    )
    found, salted = json.loads(done.stdout)
    here = fit_encoder(["a b"], options(hashing=True, vocabulary=1004)).encode("the cat sat on the mat").tolist()
    assert found == here and salted != hash("the cat")
    assert all(len(SPECIAL) <= index < 1004 for index in found)


def test_collisions_of_the_hash_are_counted():
    tokens = [f"w{number}" for number in range(50)]
    encoder, rows = fit_and_encode([" ".join(tokens)], options(hashing=True, vocabulary=24))
    assert rows[0].min() >= len(SPECIAL) and rows[0].max() < 24
    _, counts = np.unique(rows[0], return_counts=True)
    assert encoder.notes == (
        f"hashing: {counts[counts > 1].sum()} of 50 different training tokens share their id with another",
    )
    assert (load_encoder(encoder.state()).encode("w3 never seen") == encoder.encode("w3 never seen")).all()


def test_chinese_in_words_and_in_characters():
    pytest.importorskip("jieba", reason="jieba is not installed")
    text = "我爱北京天安门，OK"
    assert Tokenizer(name="chinese").split(text) == ["我", "爱", "北京", "天安门", "，", "ok"]
    assert Tokenizer(name="word").split(text) == ["我", "爱", "北", "京", "天", "安", "门", "，", "ok"]
    assert Tokenizer(name="chinese").join(["我", "爱", "北京", "，", "ok"]) == "我爱北京， ok"


@pytest.mark.parametrize("tokenizer", ["byte-pair", "byte-pair-characters"])
class TestBytePairs:
    TEXTS = ("the cat sat on the mat. " * 8, "die Katze saß,  \n\n auf der Matte\t" * 8, "猫坐在垫子上。" * 8)

    @pytest.fixture(autouse=True)
    def _library(self):
        pytest.importorskip("tokenizers", reason="tokenizers is not installed")

    def test_texts_come_back_exactly(self, tokenizer):
        encoder, rows = fit_and_encode(self.TEXTS, options(tokenizer=tokenizer, vocabulary=330))
        assert [encoder.decode(row) for row in rows] == list(self.TEXTS)
        assert encoder.size <= 330 and len(rows[0]) < len(self.TEXTS[0]) / 3
        assert len(set(encoder.tokens)) == encoder.size
        again = load_encoder(json.loads(json.dumps(encoder.state())))
        assert again.tokens == encoder.tokens and again.encode(self.TEXTS[1]).tolist() == rows[1].tolist()

    def test_the_same_texts_give_the_same_tokens(self, tokenizer):
        first, second = (fit_encoder(self.TEXTS, options(tokenizer=tokenizer, vocabulary=300)) for _ in range(2))
        assert first.tokens == second.tokens

    def test_no_text_is_read_as_a_special_token(self, tokenizer):
        text = "".join((*SPECIAL, "\x00unknown"))
        encoder = fit_encoder([*self.TEXTS, *text], options(tokenizer=tokenizer, vocabulary=330))
        ids = encoder.encode(text)
        assert ids.min() >= len(SPECIAL) and encoder.decode(ids) == text

    def test_new_characters(self, tokenizer):
        encoder = fit_encoder(self.TEXTS, options(tokenizer=tokenizer, vocabulary=330))
        decoded = encoder.decode(encoder.encode("cat € 🙂"))
        assert decoded == ("cat € 🙂" if tokenizer == "byte-pair" else "cat <unknown> <unknown>")

    def test_capitals(self, tokenizer):
        encoder = fit_encoder(self.TEXTS, options(tokenizer=tokenizer, vocabulary=330, lowercase=True))
        assert encoder.decode(encoder.encode("The CAT")) == "the cat"
        assert load_encoder(encoder.state()).encode("CAT").tolist() == encoder.encode("cat").tolist()

    def test_without_its_library(self, tokenizer, monkeypatch):
        monkeypatch.setitem(sys.modules, "tokenizers", None)
        with pytest.raises(UserError, match=r"pip install 'gradus\[text\]'"):
            fit_encoder(self.TEXTS, options(tokenizer=tokenizer))


@given(st.text(max_size=40))
@settings(max_examples=100, deadline=None)
def test_any_text_comes_back_from_bytes(text):
    encoder = _of_bytes()
    assert encoder.decode(encoder.encode(text)) == text


@cache
def _of_bytes():
    pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    return fit_encoder(["one small text"], options(tokenizer="byte-pair", vocabulary=260))


def test_chinese_words_without_their_library(monkeypatch):
    from gradus.data.text import tokenizers

    monkeypatch.setitem(sys.modules, "jieba", None)
    tokenizers._jieba.cache_clear()
    with pytest.raises(UserError, match=r"pip install 'gradus\[chinese\]'"):
        TOKENIZERS["chinese"].split("我")
    tokenizers._jieba.cache_clear()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tokenizer": "wrod"}, "unknown tokenizer 'wrod'; did you mean 'word'"),
        ({"vocabulary": 4}, "vocabulary: expected more than 4 ids"),
        ({"least_count": 0}, "least_count: expected 1 or more"),
        ({"ngrams": 0}, "ngrams: expected 1 or more"),
        ({"ngrams": 2, "tokenizer": "character"}, "ngrams: only of words"),
        ({"ngrams": 2, "tokenizer": "byte-pair"}, "byte-pair learns its own tokens"),
        ({"hashing": True, "least_count": 2}, "least_count: hashing counts no tokens"),
    ],
)
def test_impossible_options_are_told(given, message):
    with pytest.raises(UserError, match=message):
        options(**given)


def test_too_few_ids_for_all_bytes():
    pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    with pytest.raises(UserError, match="byte-pair needs 260 ids or more"):
        fit_encoder(["text"], options(tokenizer="byte-pair", vocabulary=100))


def test_words_that_training_lacks_stay_in_the_text():
    """plain-talk §8.5.1: the PTB listing drops them, so that a perplexity is of fewer words than the text has."""
    encoder = fit_encoder(["a b\n"], options(tokenizer="whitespace", line_breaks=True, vocabulary=10_000))
    ids = encoder.encode("a zebra b\n")
    assert ids.tolist() == [encoder.ids["a"], UNKNOWN, encoder.ids["b"], encoder.ids[LINE]]
    assert encoder.decode(ids) == "a <unknown> b\n" and encoder.size == 3 + len(SPECIAL)

"""The report's part on texts: excerpts, errors by length, words of mistakes; and a run on texts from training to page."""

from __future__ import annotations

import re

import numpy as np
import pytest

from gradus.data.columns import Column, Label, Text
from gradus.data.dataset import Dataset, NumberedRows, Split
from gradus.look.draw import LETTERS, draw_value, shortened
from gradus.look.writing import Read, Writing, draw_read, excerpt, typical_words, writing_section
from gradus.models import create_model
from gradus.recipes.execute import fit
from gradus.recipes.looking import look, read_pictures
from gradus.recipes.looking_texts import subject_of_sequences


def test_an_excerpt_keeps_what_counts_with_its_neighbours():
    credit = np.zeros(200)
    credit[[20, 150]] = (1.0, -2.0)
    places = excerpt(credit, most=18, around=4).tolist()
    assert places == [*range(16, 25), *range(146, 155)]
    assert excerpt(np.zeros(5)).tolist() == [0, 1, 2, 3, 4]
    html = draw_read(Read(tuple(f"w{place}" for place in range(200)), credit))
    assert "all 200 words" in html and html.count("w150<") == 2 and "…" in html


def test_long_texts_are_cut_between_words_and_can_be_unfolded():
    text = "word " * 100
    assert shortened(text).endswith("word…") and len(shortened(text)) <= LETTERS
    assert len(shortened("很" * 400)) == LETTERS
    assert "<details>" in draw_value(Text(), text) and "<details>" not in draw_value(Text(), "short")


def rows_with(word: int, wrong: np.ndarray) -> Writing:
    """Every text has word 4; those answered wrong have `word` too, and so have two that are right."""
    count = len(wrong)
    right = np.flatnonzero(~wrong)[:2]
    pairs = [(row, 4) for row in range(count)] + [(row, word) for row in (*np.flatnonzero(wrong), *right)]
    lengths = np.where(wrong, 50, 10)
    names = ("<pad>", "<unknown>", "<begin>", "<end>", "the", "but")
    return Writing(lengths=lengths, unknown=np.zeros(count), pairs=np.array(pairs), names=names)


def test_the_words_of_mistakes_are_found_and_errors_are_told_by_length():
    wrong = np.arange(60) < 12
    writing = rows_with(5, wrong)
    ((word, texts, rate, score),) = typical_words(writing, wrong)
    assert (word, texts, rate) == ("but", 14, pytest.approx(12 / 14))
    assert score == pytest.approx((12 / 14 - 0.2) / np.sqrt(0.2 * 0.8 / 14))
    html = re.sub("<[^>]+>", " ", writing_section(writing, wrong, "texts"))
    assert re.search(r"10 to 10\s+48\s+0\.0%", html) and re.search(r"50 to 50\s+12\s+100\.0%", html)
    assert typical_words(writing, np.zeros(60, dtype=bool)) == []


def test_rows_left_out_are_left_out_of_all_parts():
    wrong = np.arange(20) < 4
    writing = rows_with(5, wrong)
    kept = np.arange(2, 20)
    smaller = writing.take(kept)
    assert len(smaller.lengths) == 18 and smaller.pairs[:, 0].max() == 17
    assert (smaller.pairs[:, 1] == 5).sum() == (writing.pairs[:, 1] == 5).sum() - 2


def reviews(count: int = 60) -> Dataset:
    """`good` is good and `bad` bad; every tenth row has the wrong label."""
    words = ["the film was good again", "the film was bad again"]
    kinds = np.arange(count) % 2
    labels = np.where(np.arange(count) % 10 == 9, 1 - kinds, kinds)
    columns = {
        "text": Column(Text(), [words[kind] + " really" * (row % 3) for row, kind in enumerate(kinds)]),
        "label": Column(Label(classes=("good", "bad")), labels),
    }
    return Dataset(
        name="reviews",
        source="reviews",
        splits={"train": Split(columns, NumberedRows.count("reviews", count))},
        target="label",
    )


@pytest.mark.parametrize("encoding", ["ids", "multi-hot"])
def test_a_run_on_texts_is_reported_and_looked_into(encoding, tmp_path):
    name, sizes = ("gru", {"num_tokens": 11}) if encoding == "ids" else ("logistic_regression", {"in_features": 11})
    more = {"hidden_size": 8, "embedding_size": 8} if encoding == "ids" else {}
    options = {"encoding": encoding}
    model = create_model(name, num_classes=2, **sizes, **more)
    run = fit(
        model,
        reviews(),
        task_options=options,
        epochs=12,
        batch_size=4,
        learning_rate=0.03,
        out=tmp_path / "run",
        seed=1,
    )
    page = run.report().read_text()
    assert "Which texts go wrong" in page and "tokens read" in page
    assert "examples texts" in page
    assert "rgba(" in page
    subject = subject_of_sequences(run)
    typed = read_pictures(subject, ["the film was good again", "the film was bad again"])
    sight = look(subject, "why", typed, check="4", of_class="good")
    difference = sight.arrays["integrated-0"] - sight.arrays["integrated-1"]
    assert int(difference.argmax()) == 3  # where good or bad stands
    assert subject.row("test:0").label is not None

"""Why, for texts: on a network whose words are worth known numbers, and on trained ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from passages_made import WORDS, WordSum, passage, subject_of
from torch import nn

from gradus.errors import UserError
from gradus.look.inside import word_credit
from gradus.look.inside.passages import Passage
from gradus.look.inside.why_words import why
from gradus.look.inside.word_credit import Vectors
from gradus.models import create_model
from gradus.recipes.looking import look

WORTH = [0, 0, 0, 0, 2.0, -3.0, 0.1, 0.0, -1.0, 0.5]
TEXT = "the film not bad very good"


def test_a_sum_of_words_is_shared_out_exactly_by_every_way():
    sight = why(subject_of(WordSum(WORTH)), [passage(TEXT)], of_class="good film", steps=3)
    worth = [WORTH[WORDS.index(word)] for word in TEXT.split()]
    for way in ("integrated", "gradient", "left-out"):
        np.testing.assert_allclose(sight.arrays[f"{way}-0"], worth, atol=1e-6)
    assert sight.numbers[f"completeness gap, {TEXT}"] < 1e-6


@pytest.mark.parametrize("name", ["lstm", "gru", "simple_rnn"])
def test_integrated_gradients_add_up_and_agree_with_a_sum_by_hand(name):
    torch.manual_seed(0)
    model = create_model(name, num_tokens=10, num_classes=2, hidden_size=8, embedding_size=6, layers=2).eval()
    subject, text = subject_of(model), passage(TEXT)
    credit, gap = word_credit.integrated_gradients(Vectors(subject, text, 1, "score"), steps=128)
    whole = model(text.inputs[None])[0, 1]
    kept = model.front.embedding.weight.detach().clone()
    with torch.no_grad():
        model.front.embedding.weight.zero_()
        empty = model(text.inputs[None])[0, 1]
        model.front.embedding.weight.copy_(kept)
    assert abs(gap) < 1e-4
    assert credit.sum() == pytest.approx((whole - empty).item(), abs=1e-3)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_gradient_is_that_of_a_finite_difference_of_a_words_vector():
    torch.manual_seed(1)
    model = create_model("gru", num_tokens=10, num_classes=3, hidden_size=5, embedding_size=4).double().eval()
    text = passage("good film")  # each word once, so a step in its vector is a step at its place
    subject = subject_of(model, names=("a", "b", "c"))
    credit = word_credit.gradient_times_input(Vectors(subject, text, 2, "score"))
    weight = model.front.embedding.weight
    for place, index in enumerate(text.inputs.tolist()):
        with torch.no_grad():
            before = weight[index].clone()
            values = []
            for step in (1 + 1e-5, 1 - 1e-5):
                weight[index] = step * before
                values.append(float(model(text.inputs[None])[0, 2]))
            weight[index] = before
        assert credit[place] == pytest.approx((values[0] - values[1]) / 2e-5, abs=1e-6)


def test_leaving_a_word_out_is_the_text_without_it():
    torch.manual_seed(2)
    model = create_model("lstm", num_tokens=10, num_classes=2, hidden_size=6).eval()
    text = passage(TEXT)
    found = word_credit.left_out(subject_of(model), text, 0)
    without = text.inputs[[0, 1, 3, 4, 5]][None]
    assert found[2] == pytest.approx((model(text.inputs[None])[0, 0] - model(without)[0, 0]).item(), abs=1e-6)


def test_words_with_credit_count_more_than_words_by_chance():
    random = np.random.default_rng(0)
    rows = []
    for row in range(20):
        words = [*random.choice(["the", "film", "very"], 9).tolist(), "good" if row % 2 else "bad"]
        rows.append(passage(" ".join(random.permutation(words)), row % 2, f"row {row}"))
    sight = why(subject_of(WordSum(WORTH), rows), rows[:1], check=20)
    falls = {name.rpartition(", ")[2]: value for name, value in sight.numbers.items() if name.startswith("fall")}
    assert falls["integrated gradients"] > 3 * falls["by chance"]
    assert sight.arrays["deletion"].shape == (4, 6)


def test_a_bag_of_words_shares_a_words_credit_among_its_places():
    model = nn.Linear(10, 2)
    bag = torch.zeros(10)
    ids = passage("good good film").ids
    bag[ids] = 1.0
    text = Passage("bag", ("good", "good", "film"), bag, ids)
    credit = word_credit.gradient_times_input(Vectors(subject_of(model), text, 1, "score"))
    weights = model.weight.detach()[1]
    np.testing.assert_allclose(credit, [weights[4] / 2, weights[4] / 2, weights[7]], rtol=1e-6)
    assert text.without([0]).inputs[4] == 1 and text.without([0, 1]).inputs[4] == 0


def test_a_step_of_a_series_is_left_out_as_its_mean():
    series = Passage("heat", ("-1", "now"), torch.ones(2, 3))
    assert series.without([0]).inputs.tolist() == [[0, 0, 0], [1, 1, 1]]


def test_it_is_written_with_colours_and_words_are_escaped(tmp_path):
    sight = why(subject_of(WordSum(WORTH)), [passage("good <b> film")], check=0)
    page, *pictures = sight.write(tmp_path)
    html = page.read_text()
    assert "&lt;b&gt;" in html and "<b>" not in html and "rgba(214,66,40" in html
    assert [path.name for path in pictures] == ["why-integrated-0.png", "why-gradient-0.png", "why-left-out-0.png"]


def test_what_cannot_be_is_said_in_one_sentence():
    subject = subject_of(WordSum(WORTH))
    with pytest.raises(UserError, match="good film"):
        why(subject, [passage(TEXT)], of_class="god film")
    with pytest.raises(UserError, match="for pictures, small is one for texts"):
        look(subject, "grad-cam", [])
    with pytest.raises(UserError, match="which text"):
        look(subject, "why", [])
    with pytest.raises(UserError, match="no embedding"):
        one_hot = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
        word_credit.embedding_of(subject_of(one_hot), torch.zeros(1, 2))

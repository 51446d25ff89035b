"""Lessons on sequences: against counting, hand calculation and PyTorch."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
import torch
from pages import shown

from gradus.lessons import attention_by_hand as attention
from gradus.lessons import ctc
from gradus.lessons import hidden_dice as dice
from gradus.lessons import recurrent_memory as memory
from gradus.lessons import word_vectors as vectors


def numbers(name: str) -> dict[str, float]:
    return shown(name)[0]


# ---- recurrent-memory


def test_recurrent_numbers():
    found = numbers("recurrent-memory")
    assert found["gradient_gap"] < 1e-7
    assert found["cut_five"] < 1e-12
    assert found["cut_six_inputs"] > 1e-4
    assert found["cut_six_recurrent"] < 1e-12
    assert found["saturated"] == 1
    assert found["saturated_scaled"] < 0.01
    assert found["reach_RNN"] < found["reach_LSTM"] < found["reach_open"] <= 1.5
    assert found["memory_short"] > 0.6
    assert found["memory_half_open"] < found["memory_open"]


def test_toy_gradient_is_torchs():
    parts = memory.toy(6)
    inputs, first, second = (torch.tensor(parts[k], requires_grad=True) for k in (0, 2, 3))
    state, total = torch.zeros(1, 4, dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for step in range(6):
        state = torch.tanh(inputs[:, step] @ first + state @ second)
        total = total + (state**2).sum() / 2
    total.backward()
    exact = memory.rnn_backward(*parts, memory.rnn(*parts))
    for found, wanted in ((exact[0], inputs), (exact[2], first), (exact[3], second)):
        np.testing.assert_allclose(found, wanted.grad, rtol=1e-10, atol=1e-12)
    assert memory.toy_loss(*parts) == pytest.approx(total.item())


def test_the_influence_on_an_rnn_falls_with_distance():
    curve = memory.reach("RNN")
    assert curve[0] == 1
    assert (np.diff(curve[:30]) < 0).all()


# ---- ctc


def test_ctc_numbers():
    found = numbers("ctc")
    assert (found["three_frames"], found["four_frames"]) == (1, comb(7, 6))
    assert found["cat"] == pytest.approx(found["cat_by_paths"], rel=1e-9)
    assert found["column_gap"] < 1e-9
    assert found["greedy_length"] == 0
    assert found["empty"] == pytest.approx(0.36)
    assert found["letter_a"] == pytest.approx(0.64)
    assert (found["beam_length"], found["beam_chance"]) == (1, pytest.approx(0.64))


def test_ctc_is_torchs():
    chances = torch.tensor(ctc.frames_of_cat())[:, None]
    loss = torch.nn.functional.ctc_loss(
        chances, torch.tensor([[1, 2, 3]]), torch.tensor([8]), torch.tensor([3]), reduction="sum"
    )
    assert numbers("ctc")["cat"] == pytest.approx(np.exp(-loss.item()), rel=1e-9)


def test_paths_spell_the_books_words():
    assert [ctc.spell(path) for path in ctc.PATHS] == ["halu", "halo", "hello", "hallu", "hello"]
    assert len({len(path) for path in ctc.PATHS}) == 1


@pytest.mark.parametrize("frames", [3, 4, 5, 6])
def test_paths_are_counted_by_the_binomial(frames):
    """U letters, none doubled, in T frames: choose T - U of T + U places."""
    assert ctc.count_paths("cat", frames) == comb(frames + 3, 6)


# ---- attention-by-hand


def test_attention_numbers():
    found = numbers("attention-by-hand")
    weights = np.exp([0.25, 2.25, 0.0, 1.5])
    weights /= weights.sum()
    assert found["weight_cats"] == pytest.approx(weights[1])
    assert found["weight_mice"] == pytest.approx(weights[3])
    assert found["context_first"] == pytest.approx(weights[0] + weights[2] - weights[3])
    assert found["gap"] < 1e-12
    assert found["masked_weight"] == 0
    assert found["row_sum"] == pytest.approx(1)
    assert found["printed_sum"] == pytest.approx(1)
    assert found["additive_gap"] < 1e-12
    assert found["variance_64"] == pytest.approx(64, rel=0.05)
    assert found["slope_64"] < 0.5 * found["slope_64_scaled"]
    raw = np.exp([0.5, 4.5, 0.0, 3.0])
    assert found["unscaled_weight"] == pytest.approx(raw[1] / raw.sum())


def test_attention_is_torchs():
    query, key, value = (torch.tensor(part)[None] for part in (attention.QUERIES, attention.KEYS, attention.VALUES))
    wanted = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    for row in range(4):
        np.testing.assert_allclose(
            attention.by_hand(attention.QUERIES[row], attention.KEYS, attention.VALUES)[2], wanted[0, row]
        )


# ---- word-vectors


def test_word_vector_numbers():
    found = numbers("word-vectors")
    assert found["one_hot"] == 0
    assert found["loss_last"] < 0.1 * found["loss_first"]
    assert found["alike"] > found["unlike"] + 0.3
    assert found["questions"] == 72
    assert found["right"] > 0.8
    assert found["king_queen"] == 1
    assert found["loss_sampled"] < 6 * np.log(2)
    assert found["information"] > 0.5


def test_counts_of_a_sentence_by_hand():
    words, counts = vectors.cooccurrence([["a", "b", "a"], ["b", "c"]], 2)
    assert words == ["a", "b", "c"]
    np.testing.assert_allclose(counts, [[1.0, 2, 0], [2, 0, 1], [0, 1, 0]])  # a a at distance 2, twice 1/2


def test_perfect_directions_answer_every_analogy():
    words = list(vectors.PEOPLE.values())
    perfect = np.array([[*key, 1.0] for key in vectors.PEOPLE]) - np.array([0.5, 0.5, 0.5, 0])
    assert vectors.share_right(words, perfect) == 1
    questions = vectors.analogy_questions()
    assert ("man", "king", "woman", "queen") in questions
    assert len(set(questions)) == 72


# ---- hidden-dice


def test_hidden_dice_numbers():
    found = numbers("hidden-dice")
    # by hand: three ways to a third each, and the chances of the printed dice
    by_hand = 10 * np.log(1 / 3) - sum(np.log(int(die[1])) for die in dice.PRINTED_DICE)
    assert found["printed"] == pytest.approx(by_hand)
    smallest = [min(sides for sides in (4, 6, 8) if roll <= sides) for roll in dice.PRINTED_ROLLS]
    assert found["best"] == pytest.approx(10 * np.log(1 / 3) - np.log(smallest).sum())
    each = [sum(1 / sides for sides in (4, 6, 8) if roll <= sides) / 3 for roll in dice.PRINTED_ROLLS]
    assert found["all"] == pytest.approx(np.log(each).sum())
    assert found["next_one"] == pytest.approx((1 / 4 + 1 / 6 + 1 / 8) / 3)
    assert found["next_one_bag"] == pytest.approx(0.2 / 4 + 0.7 / 6 + 0.1 / 8)
    assert found["next_sticky"] == pytest.approx(0.9 * 0.5 + 0.1 / 8)
    assert found["by_number"] < found["by_viterbi"] - 0.1
    assert found["by_posterior"] >= found["by_viterbi"] - 0.02


def test_dice_are_learnt_with_and_without_seeing_them():
    found = numbers("hidden-dice")
    assert found["counted_transition"] < 0.05 and found["counted_emission"] < 0.05
    assert found["learnt_transition"] < 0.1
    assert found["counted_emission"] < found["learnt_emission"] < 0.15
    assert found["learnt_likelihood"] > found["true_likelihood"]


def test_every_printed_number_is_possible_with_its_die():
    assert all(roll <= int(die[1]) for roll, die in zip(dice.PRINTED_ROLLS, dice.PRINTED_DICE, strict=True))

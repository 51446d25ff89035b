"""Losses over words in NumPy: gradients by differences, and what they become in the limit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numerical import FLOAT64, check_gradients, normal

from gradus.reference import hierarchical_softmax, losses, word_losses

quick = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 999)


def problem(seed, rows=3, size=2, words=6):
    targets = np.random.default_rng(seed).integers(0, words, rows)
    return normal(seed, rows, size), normal(seed + 1, words, size), normal(seed + 2, words), targets


@quick
@given(st.integers(1, 4), st.integers(1, 5), seeds)
def test_sampled_softmax_backward(rows, count, seed):
    hidden, weight, bias, targets = problem(seed, rows)
    sampled = np.random.default_rng(seed + 5).integers(0, 6, count)
    log_expected = np.log(word_losses.expected_counts(word_losses.log_uniform(6), count))
    found = word_losses.sampled_softmax_backward(hidden, weight, bias, targets, sampled, log_expected)
    check_gradients(
        lambda *given: word_losses.sampled_softmax(*given, targets, sampled, log_expected),
        (hidden, weight, bias),
        found,
    )
    touched = set(sampled) | set(targets)
    assert all((found[1][word] == 0).all() for word in range(6) if word not in touched)


@quick
@given(st.integers(1, 4), seeds)
def test_sampling_every_word_once_is_the_whole_softmax(rows, seed):
    hidden, weight, bias, targets = problem(seed, rows)
    found = word_losses.sampled_softmax(hidden, weight, bias, targets, np.arange(6), np.zeros(6))
    assert found == pytest.approx(losses.cross_entropy(hidden @ weight.T + bias, targets), rel=1e-12)


def test_the_correction_makes_the_sampled_sum_right_on_average():
    # sum over words of E[count] exp(s - log E[count]) is sum exp(s): so does the mean of many samples
    scores, chances = normal(3, 6), word_losses.log_uniform(6)
    generator = np.random.default_rng(0)
    draws = generator.choice(6, size=(20_000, 4), p=chances)
    log_expected = np.log(word_losses.expected_counts(chances, 4))
    corrected = np.exp(scores[draws] - log_expected[draws]).sum(axis=1)
    plain = np.exp(scores[draws]).sum(axis=1)
    error = corrected.std() / np.sqrt(len(draws))
    assert corrected.mean() == pytest.approx(np.exp(scores).sum(), abs=5 * error)
    assert abs(plain.mean() - np.exp(scores).sum()) > 20 * plain.std() / np.sqrt(len(draws))


def test_expected_counts_with_and_without_repetition():
    chances = word_losses.log_uniform(50)
    assert chances.sum() == pytest.approx(1)
    assert (np.diff(chances) < 0).all()
    np.testing.assert_allclose(word_losses.expected_counts(chances, 10).sum(), 10)
    generator = np.random.default_rng(1)
    seen = np.zeros(50)
    for _ in range(4000):
        seen[np.unique(generator.choice(50, size=10, p=chances))] += 1
    np.testing.assert_allclose(seen / 4000, word_losses.expected_counts(chances, 10, unique=True), atol=0.04)


def test_the_target_is_never_its_own_rival():
    hidden, weight, bias, _ = problem(1, rows=1)
    alone = word_losses.sampled_softmax(hidden, weight, bias, np.array([2]), np.array([2, 2]), np.zeros(6))
    assert alone == 0


@quick
@given(st.integers(1, 4), st.integers(1, 4), seeds)
def test_noise_contrastive_and_negative_sampling_backward(rows, count, seed):
    hidden, weight, bias, targets = problem(seed, rows)
    negatives = np.random.default_rng(seed + 5).integers(0, 6, (rows, count))
    log_expected = np.log(count * word_losses.unigram_noise(np.arange(1, 7)))
    check_gradients(
        lambda *given: word_losses.noise_contrastive(*given, targets, negatives, log_expected),
        (hidden, weight, bias),
        word_losses.noise_contrastive_backward(hidden, weight, bias, targets, negatives, log_expected),
    )
    check_gradients(
        lambda *given: word_losses.negative_sampling(*given, targets, negatives),
        (hidden, weight),
        word_losses.negative_sampling_backward(hidden, weight, targets, negatives),
    )


def test_negative_sampling_by_hand():
    hidden, weight = np.array([[1.0, 2.0]]), np.array([[0.5, 0.0], [0.0, -1.0], [1.0, 1.0]])
    found = word_losses.negative_sampling(hidden, weight, np.array([0]), np.array([[1, 2, 1]]))
    wanted = np.log1p(np.exp(-0.5)) + 2 * np.log1p(np.exp(-2)) + np.log1p(np.exp(3))
    assert found == pytest.approx(wanted)


def test_noise_contrastive_estimation_is_least_at_the_log_probabilities():
    # with the whole distribution as "data" and exact expectations, its minimum is score = log P, without any softmax
    data, noise, count = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5]), 4

    def loss(scores):
        log_expected = np.log(count * noise)
        margin = scores - log_expected
        return (
            -(data * word_losses.log_sigmoid(margin)).sum() - count * (noise * word_losses.log_sigmoid(-margin)).sum()
        )

    least = loss(np.log(data))
    for seed in range(20):
        assert loss(np.log(data) + 0.1 * normal(seed, 3)) > least


def test_unigram_noise_lies_between_frequencies_and_all_alike():
    counts = np.array([16.0, 1.0])
    np.testing.assert_allclose(word_losses.unigram_noise(counts), [8 / 9, 1 / 9])
    np.testing.assert_allclose(word_losses.unigram_noise(counts, 1), [16 / 17, 1 / 17])
    np.testing.assert_allclose(word_losses.unigram_noise(counts, 0), [0.5, 0.5])


@quick
@given(st.integers(1, 4), seeds)
def test_glove_backward(words, seed):
    counts = np.random.default_rng(seed).integers(0, 4, (words, words)) * 40.0  # 0, below and above the cut at 100
    arguments = (normal(seed, words, 2), normal(seed + 1, words, 2), normal(seed + 2, words), normal(seed + 3, words))
    check_gradients(
        lambda *given: word_losses.glove(*given, counts), arguments, word_losses.glove_backward(*arguments, counts)
    )


def test_glove_weights_and_pairs_that_never_meet():
    np.testing.assert_allclose(word_losses.glove_weight([0, 6.25, 100, 1e6]), [0, 0.125, 1, 1])
    arguments = (np.ones((1, 1)), np.ones((1, 1)), np.zeros(1), np.zeros(1))
    with np.errstate(all="raise"):
        assert word_losses.glove(*arguments, np.zeros((1, 1))) == 0
        # w . c = 1 against log 100: (1 - 4.605)^2
        assert word_losses.glove(*arguments, np.full((1, 1), 100.0)) == pytest.approx((1 - np.log(100)) ** 2)


@quick
@given(st.integers(2, 9), seeds)
def test_hierarchical_softmax_is_a_distribution(words, seed):
    nodes, turns = hierarchical_softmax.huffman_paths(np.random.default_rng(seed).integers(1, 50, words))
    hidden, node_weight = normal(seed, 1, 3), normal(seed + 1, words - 1, 3)
    chances = [
        np.exp(-hierarchical_softmax.hierarchical_softmax(hidden, node_weight, np.array([word]), nodes, turns))
        for word in range(words)
    ]
    assert sum(chances) == pytest.approx(1, rel=1e-12)


@quick
@given(st.integers(2, 7), st.integers(1, 3), seeds)
def test_hierarchical_softmax_backward(words, rows, seed):
    nodes, turns = hierarchical_softmax.huffman_paths(np.random.default_rng(seed).integers(1, 50, words))
    targets = np.random.default_rng(seed + 1).integers(0, words, rows)
    arguments = (normal(seed, rows, 3), normal(seed + 1, words - 1, 3))
    check_gradients(
        lambda *given: hierarchical_softmax.hierarchical_softmax(*given, targets, nodes, turns),
        arguments,
        hierarchical_softmax.hierarchical_softmax_backward(*arguments, targets, nodes, turns),
    )


def test_huffman_paths_are_short_for_frequent_words():
    nodes, turns = hierarchical_softmax.huffman_paths(np.array([50, 25, 12, 6, 3]))
    np.testing.assert_array_equal((turns != 0).sum(axis=1), [1, 2, 3, 4, 4])
    assert nodes.max() == 3
    alike = hierarchical_softmax.huffman_paths(np.ones(8))[1]
    np.testing.assert_array_equal((alike != 0).sum(axis=1), np.full(8, 3))
    np.testing.assert_allclose(word_losses.log_sigmoid(np.array([0.0, 800, -800])), [-np.log(2), 0, -800], **FLOAT64)

"""CTC in NumPy: by all paths, by PyTorch, by differences; decoding."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numerical import FLOAT64, NEAR, differences, normal
from torch.nn import functional

from gradus.reference import ctc

quick = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 999)


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("hhh_aaa__lll_uuu_", "halu"),
        ("hhhh_aaaa__lll_ooooo", "halo"),
        ("hh_eee_lll__llll_oooo", "hello"),
        ("h_aaaa_ll__lll_uuuu", "hallu"),
        ("_hhhhh_eee__lll__ll_ooooo__", "hello"),
        ("aaabbbccc", "abc"),  # eq. 8-26
        ("a_b_c", "abc"),
        ("aa_a", "aa"),
        ("aaa", "a"),
        ("___", ""),
        ("", ""),
    ],
)
def test_collapse(path, label):
    # K-08. The five words of eq. 8-25 by our paths; like the printed ones of 17 to 27 symbols, where one input has one T
    assert "".join(ctc.collapse(path, blank="_")) == label


def test_blanks_removed_first_would_lose_double_letters():
    path = "hel_lo"
    assert "".join(ctc.collapse(path, blank="_")) == "hello"
    assert "".join(ctc.collapse(path.replace("_", ""), blank="_")) == "helo"


labels = st.lists(st.integers(1, 2), max_size=3)


@quick
@given(st.integers(1, 5), labels, seeds)
def test_forward_variables_add_up_all_paths(frames, label, seed):
    log_probabilities = log_softmax(2 * normal(seed, frames, 3))
    wanted = ctc.label_log_probability_by_paths(log_probabilities, label)
    assert ctc.label_log_probability(log_probabilities, label) == pytest.approx(wanted, rel=1e-10, abs=1e-12)
    if np.isfinite(wanted):
        both = ctc.forward_variables(log_probabilities, label) + ctc.backward_variables(log_probabilities, label)
        np.testing.assert_allclose(np.logaddexp.reduce(both, axis=1), np.full(frames, wanted), rtol=1e-10, atol=1e-12)


@quick
@given(st.integers(1, 4), seeds)
def test_the_labels_of_an_input_are_a_distribution(frames, seed):
    log_probabilities = log_softmax(normal(seed, frames, 3))
    every = [label for size in range(frames + 1) for label in product((1, 2), repeat=size)]
    assert np.exp([ctc.label_log_probability(log_probabilities, label) for label in every]).sum() == pytest.approx(1)


@quick
@given(st.integers(1, 3), st.integers(1, 7), st.integers(2, 4), seeds)
def test_ctc_loss_is_that_of_torch(batch, frames, symbols, seed):
    generator = np.random.default_rng(seed)
    logits = 2 * normal(seed, batch, frames, symbols)
    lengths = generator.integers(1, frames + 1, batch)
    written = [list(generator.integers(1, symbols, generator.integers(0, length // 2 + 1))) for length in lengths]
    tensor = torch.tensor(logits, requires_grad=True)
    loss = functional.ctc_loss(
        tensor.log_softmax(dim=2).transpose(0, 1),
        torch.tensor([symbol for label in written for symbol in label], dtype=torch.long),
        torch.tensor(lengths),
        torch.tensor([len(label) for label in written]),
        reduction="sum",
    )
    found = ctc.ctc_loss(logits, written, lengths)
    assert found == pytest.approx(loss.item() / batch, rel=1e-10, abs=1e-12)
    (loss / batch).backward()
    gradient = ctc.ctc_loss_backward(logits, written, lengths)
    np.testing.assert_allclose(gradient, tensor.grad, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(gradient.sum(axis=2), 0, atol=1e-12)


@pytest.mark.parametrize("label", [[], [1], [1, 1], [2, 1, 2]])
def test_ctc_loss_backward(label):
    logits = normal(4, 2, 5, 3)
    slope = differences(lambda z: ctc.ctc_loss(z, [label, [2]], [5, 3]), logits)
    np.testing.assert_allclose(ctc.ctc_loss_backward(logits, [label, [2]], [5, 3]), slope, **NEAR)


def test_a_label_that_does_not_fit_costs_infinity_and_has_no_gradient():
    logits = normal(1, 1, 2, 3)
    assert ctc.ctc_loss(logits, [[1, 1]]) == np.inf  # two equal letters need a blank between them: three frames
    assert np.isfinite(ctc.ctc_loss(logits, [[1, 2]]))
    assert (ctc.ctc_loss_backward(logits, [[1, 1]]) == 0).all()


def test_another_blank():
    log_probabilities = log_softmax(normal(2, 4, 3))
    turned = log_probabilities[:, [1, 2, 0]]  # the blank goes last, 1 and 2 become 0 and 1
    assert ctc.label_log_probability(turned, [0, 1], blank=2) == pytest.approx(
        ctc.label_log_probability(log_probabilities, [1, 2])
    )
    assert ctc.greedy_decode(turned, blank=2) == tuple(symbol - 1 for symbol in ctc.greedy_decode(log_probabilities))


def test_known_frames_cost_the_logarithm_of_each():
    # eq. 8-22: with the label of every frame known, the loss is that of the path
    log_probabilities = log_softmax(normal(1, 3, 4))
    wanted = log_probabilities[0, 2] + log_probabilities[1, 0] + log_probabilities[2, 3]
    assert ctc.path_log_probability(log_probabilities, [2, 0, 3]) == pytest.approx(wanted)


def test_the_best_path_is_not_always_of_the_best_label():
    # two frames of blank 0.6, "a" 0.4: the best path is two blanks (0.36), but three paths are "a" (0.64)
    log_probabilities = np.log([[0.6, 0.4], [0.6, 0.4]])
    assert ctc.greedy_decode(log_probabilities) == ()
    (best, value), (second, other) = ctc.prefix_beam_search(log_probabilities, width=5)
    assert (best, second) == ((1,), ())
    assert np.exp([value, other]) == pytest.approx([0.64, 0.36])


@quick
@given(st.integers(1, 5), seeds)
def test_a_wide_beam_is_exact(frames, seed):
    log_probabilities = log_softmax(2 * normal(seed, frames, 3))
    found = ctc.prefix_beam_search(log_probabilities, width=1000)
    values = [value for _, value in found]
    assert values == sorted(values, reverse=True)
    for label, value in found:
        assert value == pytest.approx(ctc.label_log_probability(log_probabilities, label), rel=1e-9, abs=1e-12)
    assert np.exp(values).sum() == pytest.approx(1)


@quick
@given(st.integers(1, 6), st.integers(1, 4), seeds)
def test_a_narrow_beam_never_promises_too_much(frames, width, seed):
    log_probabilities = log_softmax(2 * normal(seed, frames, 3))
    found = ctc.prefix_beam_search(log_probabilities, width)
    assert 1 <= len(found) <= width
    for label, value in found:
        assert value <= ctc.label_log_probability(log_probabilities, label) + 1e-9


def test_sharp_frames_are_decoded_alike():
    path = [0, 3, 3, 0, 3, 1, 1, 0]
    log_probabilities = log_softmax(20 * np.eye(4)[path])
    assert ctc.greedy_decode(log_probabilities) == ctc.collapse(path) == (3, 3, 1)
    assert ctc.prefix_beam_search(log_probabilities, 3)[0][0] == (3, 3, 1)
    np.testing.assert_allclose(ctc.extended([3, 3, 1]), [0, 3, 0, 3, 0, 1, 0], **FLOAT64)

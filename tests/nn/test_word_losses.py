"""Losses over words: held to the NumPy reference, gradients checked, and samplers that draw what they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from gradus.nn import LogUniformSampler, UnigramSampler, glove_loss, negative_sampling_loss, sampled_softmax_loss
from gradus.reference import word_losses

quick = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 999)
FLOAT64 = {"rtol": 1e-11, "atol": 1e-12}


def random(*shape):
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def arrays(*tensors):
    return [tensor.detach().numpy() for tensor in tensors]


@quick
@given(st.integers(1, 4), st.integers(1, 6), seeds)
def test_sampled_softmax_is_the_reference(rows, count, seed):
    torch.manual_seed(seed)
    hidden, weight, bias = random(rows, 3), random(7, 3), random(7)
    targets, sampled = torch.randint(7, (rows,)), torch.randint(7, (count,))
    log_expected = torch.tensor(np.log(word_losses.expected_counts(word_losses.log_uniform(7), count)))
    loss = sampled_softmax_loss(hidden, weight, bias, targets, sampled, log_expected[targets], log_expected[sampled])
    arguments = arrays(hidden, weight, bias, targets, sampled, log_expected)
    assert loss.item() == pytest.approx(word_losses.sampled_softmax(*arguments), rel=1e-11, abs=1e-12)
    found = torch.autograd.grad(loss, (hidden, weight, bias))
    for one, other in zip(found, word_losses.sampled_softmax_backward(*arguments), strict=True):
        np.testing.assert_allclose(one, other, **FLOAT64)


def test_sampled_softmax_of_all_words_is_the_cross_entropy():
    torch.manual_seed(0)
    hidden, weight, bias, targets = random(4, 3), random(7, 3), random(7), torch.randint(7, (4,))
    zeros = torch.zeros(7, dtype=torch.float64)
    loss = sampled_softmax_loss(hidden, weight, bias, targets, torch.arange(7), zeros[targets], zeros)
    torch.testing.assert_close(loss, functional.cross_entropy(hidden @ weight.t() + bias, targets))


def test_sampled_softmax_is_computed_in_float32_at_least():
    torch.manual_seed(0)
    parts = (torch.randn(4, 3), torch.randn(7, 3), torch.randn(7))
    targets, sampled, zeros = torch.randint(7, (4,)), torch.randint(7, (5,)), torch.zeros(5)
    for dtype in (torch.float16, torch.bfloat16):
        low = [part.to(dtype) for part in parts]
        loss = sampled_softmax_loss(low[0], low[1], parts[2], targets, sampled, zeros[:4], zeros)
        assert loss.dtype == torch.float32
        wide = sampled_softmax_loss(low[0].float(), low[1].float(), parts[2], targets, sampled, zeros[:4], zeros)
        assert loss.item() == wide.item()


def test_gradcheck():
    torch.manual_seed(1)
    targets, sampled, negatives = torch.tensor([1, 2]), torch.tensor([0, 2, 4]), torch.tensor([[0, 3], [4, 4]])
    log_expected = torch.randn(5, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda h, w, b: sampled_softmax_loss(h, w, b, targets, sampled, log_expected[targets], log_expected[sampled]),
        (random(2, 3), random(5, 3), random(5)),
    )
    assert torch.autograd.gradcheck(
        lambda h, w: negative_sampling_loss(h, w, targets, negatives), (random(2, 3), random(5, 3))
    )
    counts = torch.tensor([0.0, 3, 200], dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda *given: glove_loss(*given, counts), (random(3, 2), random(3, 2), random(3), random(3))
    )


@quick
@given(st.integers(1, 4), st.integers(1, 4), seeds)
def test_negative_sampling_is_the_reference(rows, count, seed):
    torch.manual_seed(seed)
    hidden, weight = random(rows, 3), random(6, 3)
    targets, negatives = torch.randint(6, (rows,)), torch.randint(6, (rows, count))
    loss = negative_sampling_loss(hidden, weight, targets, negatives)
    arguments = arrays(hidden, weight, targets, negatives)
    assert loss.item() == pytest.approx(word_losses.negative_sampling(*arguments), rel=1e-11)
    for one, other in zip(
        torch.autograd.grad(loss, (hidden, weight)), word_losses.negative_sampling_backward(*arguments), strict=True
    ):
        np.testing.assert_allclose(one, other, **FLOAT64)


@quick
@given(st.integers(1, 4), seeds)
def test_glove_is_the_reference(words, seed):
    torch.manual_seed(seed)
    tables = random(words, 2), random(words, 2), random(words), random(words)
    counts = torch.randint(0, 4, (words, words)).double() * 40
    rows, columns = (part.flatten() for part in torch.meshgrid(torch.arange(words), torch.arange(words), indexing="ij"))
    loss = glove_loss(tables[0][rows], tables[1][columns], tables[2][rows], tables[3][columns], counts.flatten())
    arguments = arrays(*tables, counts)
    assert loss.item() == pytest.approx(word_losses.glove(*arguments), rel=1e-11, abs=1e-12)
    for one, other in zip(torch.autograd.grad(loss, tables), word_losses.glove_backward(*arguments), strict=True):
        np.testing.assert_allclose(one, other, **FLOAT64)


def test_log_uniform_sampler_draws_its_distribution():
    torch.manual_seed(0)
    sampler, count = LogUniformSampler(20), 200_000
    ids = sampler.draw(count)
    chances = word_losses.log_uniform(20)
    np.testing.assert_allclose(torch.bincount(ids, minlength=20) / count, chances, atol=0.005)
    np.testing.assert_allclose(sampler.log_expected(torch.arange(20), 64), np.log(64 * chances), rtol=1e-5)


def test_unigram_sampler_draws_its_distribution():
    torch.manual_seed(0)
    counts = torch.tensor([1, 16, 81, 10])
    sampler = UnigramSampler(counts)
    ids = sampler.draw(1000, 100)
    assert ids.shape == (1000, 100)
    chances = word_losses.unigram_noise(counts.numpy())
    np.testing.assert_allclose(torch.bincount(ids.flatten(), minlength=4) / 100_000, chances, atol=0.006)
    np.testing.assert_allclose(sampler.log_expected(torch.arange(4), 5), np.log(5 * chances), rtol=1e-6)

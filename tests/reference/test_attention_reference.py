"""Attention in NumPy: values by PyTorch, gradients by differences, masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numerical import FLOAT64, NEAR, check_gradients, differences, normal
from torch.nn import functional

from gradus.reference import attention

quick = settings(max_examples=25, deadline=None)
sizes = st.integers(1, 3)
seeds = st.integers(0, 999)


def some_mask(seed, batch, places):
    mask = np.random.default_rng(seed).random((batch, places)) < 0.6
    mask[:, 0] = True
    return mask


@quick
@given(sizes, sizes, st.integers(1, 4), st.booleans(), seeds)
def test_masked_softmax(batch, queries, places, masked, seed):
    scores, weight = 3 * normal(seed, batch, queries, places), normal(seed + 1, batch, queries, places)
    mask = some_mask(seed, batch, places) if masked else None
    found = attention.masked_softmax(scores, mask)
    np.testing.assert_allclose(found.sum(axis=-1), 1, **FLOAT64)
    hidden = scores if mask is None else np.where(mask[:, None], scores, -np.inf)
    np.testing.assert_allclose(found, torch.softmax(torch.tensor(hidden), dim=-1), **FLOAT64)
    slope = differences(lambda s: (weight * attention.masked_softmax(s, mask)).sum(), scores)
    np.testing.assert_allclose(attention.masked_softmax_backward(found, weight), slope, **NEAR)


def test_nothing_to_look_at_gives_zeros_and_large_scores_do_not_overflow():
    scores = np.array([[[1e4, 0.0, -1e4]]])
    np.testing.assert_array_equal(attention.masked_softmax(scores), [[[1, 0, 0]]])
    np.testing.assert_array_equal(attention.masked_softmax(scores, np.zeros((1, 3), dtype=bool)), np.zeros((1, 1, 3)))


@quick
@given(sizes, sizes, st.integers(1, 4), sizes, st.booleans(), seeds)
def test_dot_attention(batch, asked, places, size, masked, seed):
    queries, keys, values = (
        normal(seed, batch, asked, size),
        normal(seed + 1, batch, places, size),
        normal(seed + 2, batch, places, 2),
    )
    weight, mask = normal(seed + 3, batch, asked, 2), some_mask(seed, batch, places) if masked else None
    contexts, _ = attention.scaled_dot_attention(queries, keys, values, mask)
    tensors = [torch.tensor(array, requires_grad=True) for array in (queries, keys, values)]
    seen = None if mask is None else torch.tensor(mask)[:, None]
    wanted = functional.scaled_dot_product_attention(*tensors, attn_mask=seen)
    np.testing.assert_allclose(contexts, wanted.detach(), **FLOAT64)
    (wanted * torch.tensor(weight)).sum().backward()
    found = attention.scaled_dot_attention_backward(queries, keys, values, weight, mask)
    for one, tensor in zip(found, tensors, strict=True):
        np.testing.assert_allclose(one, tensor.grad, **FLOAT64)
    check_gradients(
        lambda *given: (weight * attention.dot_attention(*given, mask)[0]).sum(),
        (queries, keys, values),
        attention.dot_attention_backward(queries, keys, values, weight, mask),
    )


@quick
@given(sizes, sizes, st.integers(1, 3), st.integers(1, 2), st.booleans(), seeds)
def test_additive_attention_backward(batch, asked, places, size, masked, seed):
    arguments = (
        normal(seed, batch, asked, size),
        normal(seed + 1, batch, places, 2),
        normal(seed + 2, batch, places, 2),
        normal(seed + 3, size, 3),
        normal(seed + 4, 2, 3),
        normal(seed + 5, 3),
    )
    weight, mask = normal(seed + 6, batch, asked, 2), some_mask(seed, batch, places) if masked else None
    check_gradients(
        lambda *given: (weight * attention.additive_attention(*given, mask)[0]).sum(),
        arguments,
        attention.additive_attention_backward(*arguments, weight, mask),
    )


def test_additive_attention_by_hand():
    queries, keys = np.array([[[1.0]]]), np.array([[[0.0], [2.0]]])
    contexts, weights = attention.additive_attention(
        queries, keys, keys, np.array([[0.5]]), np.array([[0.25]]), np.array([3.0])
    )
    scores = 3 * np.tanh([0.5, 1.0])
    share = np.exp(scores[1]) / np.exp(scores).sum()
    np.testing.assert_allclose(weights[0, 0], [1 - share, share])
    assert contexts[0, 0, 0] == pytest.approx(2 * share)


@quick
@given(st.integers(1, 4), st.integers(1, 3), seeds)
def test_masked_places_change_nothing(places, padding, seed):
    queries, keys = normal(seed, 2, 2, 3), normal(seed + 1, 2, places, 3)
    longer = np.concatenate([keys, 100 * normal(seed + 2, 2, padding, 3)], axis=1)
    mask = np.arange(places + padding) < np.full((2, 1), places)
    weights = (normal(seed + 3, 3, 4), normal(seed + 4, 3, 4), normal(seed + 5, 4))
    for function in (
        lambda k, m: attention.dot_attention(queries, k, k, m)[0],
        lambda k, m: attention.additive_attention(queries, k, k, *weights, m)[0],
    ):
        np.testing.assert_allclose(function(longer, mask), function(keys, None), **FLOAT64)


def test_the_weights_of_the_book_are_a_distribution():
    # Principles and Practice §8.5.3: 0.4, 0.05, 0.05, 0.5 for the four pieces of its sentence
    printed = np.array([0.4, 0.05, 0.05, 0.5])
    found = attention.masked_softmax(np.log(printed)[None, None])
    np.testing.assert_allclose(found[0, 0], printed, **FLOAT64)
    np.testing.assert_allclose(attention.attend(found, np.eye(4)[None])[0, 0], printed, **FLOAT64)


def test_dividing_by_the_root_of_the_size_keeps_the_variance_of_scores():
    queries, keys = normal(1, 1, 200, 256), normal(2, 1, 200, 256)
    scores = queries @ keys.swapaxes(1, 2)
    assert scores.std() == pytest.approx(16, rel=0.02)
    _, sharp = attention.dot_attention(queries, keys, keys)
    _, soft = attention.scaled_dot_attention(queries, keys, keys)
    assert sharp.max(axis=-1).mean() > 0.6
    assert soft.max(axis=-1).mean() < 0.2

"""Attention layers: held to the NumPy reference, gradients checked, masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gradus.nn import AdditiveAttention, DotAttention, masked_softmax
from gradus.reference import attention

quick = settings(max_examples=25, deadline=None)
sizes = st.integers(1, 4)
seeds = st.integers(0, 999)
FLOAT64 = {"rtol": 1e-11, "atol": 1e-12}


def random(*shape):
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def some_mask(shape, masked):
    return torch.rand(shape) < 0.6 if masked else None


def numpy_of(tensor):
    return None if tensor is None else tensor.detach().numpy()


@quick
@given(sizes, sizes, sizes, sizes, st.sampled_from(["none", "places", "questions"]), seeds)
def test_additive_attention_is_the_reference(batch, asked, places, size, masked, seed):
    torch.manual_seed(seed)
    layer = AdditiveAttention(size, 2, 3).double()
    queries, keys, values = random(batch, asked, size), random(batch, places, 2), random(batch, places, 5)
    mask = some_mask((batch, places) if masked == "places" else (batch, asked, places), masked != "none")
    contexts, weights = layer(queries, keys, values, mask)
    own = (layer.query_weight, layer.key_weight, layer.score_weight)
    arguments = [numpy_of(tensor) for tensor in (queries, keys, values, *own)]
    wanted, wanted_weights = attention.additive_attention(*arguments, numpy_of(mask))
    np.testing.assert_allclose(numpy_of(contexts), wanted, **FLOAT64)
    np.testing.assert_allclose(numpy_of(weights), wanted_weights, **FLOAT64)
    gradient = torch.randn_like(contexts)
    found = torch.autograd.grad((contexts * gradient).sum(), (queries, keys, values, *own))
    for one, other in zip(
        found, attention.additive_attention_backward(*arguments, gradient.numpy(), numpy_of(mask)), strict=True
    ):
        np.testing.assert_allclose(one, other, **FLOAT64)
    projected = layer(queries, keys, values, mask, projected=layer.project(keys))[0]
    torch.testing.assert_close(projected, contexts)


@quick
@given(sizes, sizes, sizes, sizes, st.sampled_from(["none", "places", "questions"]), st.booleans(), seeds)
def test_dot_attention_is_the_reference(batch, asked, places, size, masked, scaled, seed):
    torch.manual_seed(seed)
    layer = DotAttention(scaled)
    queries, keys, values = random(batch, asked, size), random(batch, places, size), random(batch, places, 5)
    mask = some_mask((batch, places) if masked == "places" else (batch, asked, places), masked != "none")
    scale = size**-0.5 if scaled else 1.0
    contexts, none = layer(queries, keys, values, mask)
    assert none is None
    arguments = [numpy_of(tensor) for tensor in (queries, keys, values)]
    wanted, weights = attention.dot_attention(*arguments, numpy_of(mask), scale)
    np.testing.assert_allclose(numpy_of(contexts), wanted, **FLOAT64)
    np.testing.assert_allclose(numpy_of(layer.weights(queries, keys, mask)), weights, **FLOAT64)
    gradient = torch.randn_like(contexts)
    found = torch.autograd.grad((contexts * gradient).sum(), (queries, keys, values))
    for one, other in zip(
        found, attention.dot_attention_backward(*arguments, gradient.numpy(), numpy_of(mask), scale), strict=True
    ):
        np.testing.assert_allclose(one, other, **FLOAT64)


@pytest.mark.parametrize("layer", [AdditiveAttention(3, 3, 4).double(), DotAttention(), DotAttention(scaled=False)])
def test_gradcheck(layer):
    mask = torch.tensor([[True, True, False], [False, False, False]])
    assert torch.autograd.gradcheck(lambda q, k: layer(q, k, mask=mask)[0], (random(2, 2, 3), random(2, 3, 3)))


@pytest.mark.parametrize("layer", [AdditiveAttention(3, 3, 4).double(), DotAttention()])
def test_padding_changes_nothing_and_nothing_to_see_gives_zeros(layer):
    queries, keys = random(2, 2, 3), random(2, 4, 3)
    mask = torch.tensor([[True, True, False, False], [False] * 4])
    contexts, _ = layer(queries, keys, mask=mask)
    torch.testing.assert_close(contexts[:1], layer(queries[:1], keys[:1, :2])[0])
    assert (contexts[1] == 0).all()
    other = keys.detach().clone()
    other[0, 2:] = 1e6
    assert torch.equal(layer(queries, other, mask=mask)[0], contexts)
    contexts.sum().backward()
    assert torch.isfinite(keys.grad).all()
    assert (keys.grad[~mask] == 0).all()


def test_masked_softmax_in_half_precision_and_float32():
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        found = masked_softmax(torch.tensor([[[1.0, 2.0, 3.0]]], dtype=dtype), torch.tensor([[True, False, True]]))
        assert found[0, 0, 1] == 0
        assert found.sum().item() == pytest.approx(1, abs=1e-2)
        assert found.dtype == dtype


def test_parameters():
    layer = AdditiveAttention(5, 7, 11)
    assert sum(parameter.numel() for parameter in layer.parameters()) == (5 + 7 + 1) * 11
    assert not list(DotAttention().parameters())

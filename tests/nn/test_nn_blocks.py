"""Local response normalisation, classic dropout and highway layers against the NumPy reference and by finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gradus.errors import UserError
from gradus.nn import ClassicDropout, Highway, LocalResponseNorm
from gradus.reference import normalization, residual

FLOAT64 = {"rtol": 1e-11, "atol": 1e-12}
quick = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 999)


def arrays(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


@quick
@given(
    st.integers(1, 9),
    st.sampled_from([1, 3, 5]),
    st.sampled_from(["paper", "caffe"]),
    st.sampled_from([None, 1.5]),
    seeds,
)
def test_local_response_normalization_is_the_reference(channels, size, convention, k, seed):
    inputs, gradient = arrays(seed, 2, channels, 3, 2), arrays(seed + 1, 2, channels, 3, 2)
    options = (size, 0.3, 0.75, k, convention)
    leaf = torch.tensor(inputs, requires_grad=True)
    outputs = LocalResponseNorm(*options)(leaf)
    outputs.backward(torch.tensor(gradient))
    wanted = normalization.local_response_normalization(inputs, *options)
    np.testing.assert_allclose(outputs.detach(), wanted, **FLOAT64)
    slopes = normalization.local_response_normalization_backward(inputs, gradient, *options)
    np.testing.assert_allclose(leaf.grad, slopes, **FLOAT64)


def test_conventions_differ_by_the_size_and_k():
    inputs = torch.randn(1, 7, 2, 2, dtype=torch.float64)
    caffe = LocalResponseNorm(5, 5e-4, k=2.0, convention="caffe")
    torch.testing.assert_close(LocalResponseNorm(5, 1e-4)(inputs), caffe(inputs))
    torch.testing.assert_close(
        LocalResponseNorm(convention="caffe")(inputs), nn.LocalResponseNorm(5, 1e-4, 0.75, 1.0)(inputs)
    )
    assert LocalResponseNorm().k == 2
    assert not torch.allclose(LocalResponseNorm()(inputs), nn.LocalResponseNorm(5, 1e-4, 0.75, 2.0)(inputs), rtol=1e-6)


def test_wrong_settings_are_told():
    with pytest.raises(UserError, match="did you mean 'caffe'"):
        LocalResponseNorm(convention="cafe")
    with pytest.raises(UserError, match="odd"):
        LocalResponseNorm(4)
    with pytest.raises(UserError, match="odd"):
        Highway(4, kernel_size=2)
    with pytest.raises(UserError, match=r"\[0, 1\)"):
        ClassicDropout(1.0)


def test_classic_dropout_keeps_values_and_scales_at_test_time():
    torch.manual_seed(0)
    layer, inputs = ClassicDropout(0.2), 1 + torch.rand(400, 500)
    outputs = layer(inputs)
    kept = outputs != 0
    assert torch.equal(outputs[kept], inputs[kept])  # no division by the keep probability
    assert abs(kept.double().mean().item() - 0.8) < 0.004  # 4.5 standard errors
    assert not torch.equal(layer(inputs), outputs)
    layer.eval()
    torch.testing.assert_close(layer(inputs), 0.8 * inputs)
    inverted = nn.Dropout(0.2)(inputs).mean()
    assert (0.8 * inverted - outputs.mean()).abs() < 0.02  # the same, smaller by 1 - rate
    coarse = ClassicDropout(0.1)(torch.ones(1000, 1000, dtype=torch.bfloat16))
    assert abs((coarse == 0).double().mean().item() - 0.1) < 0.0014


def test_classic_dropout_sends_gradients_to_what_is_kept():
    inputs = torch.rand(30, 30, requires_grad=True)
    outputs = ClassicDropout(0.5)(inputs)
    outputs.sum().backward()
    assert torch.equal(inputs.grad, (outputs != 0).float())


@quick
@given(st.integers(1, 4), st.integers(1, 5), seeds)
def test_highway_is_the_reference(examples, features, seed):
    torch.manual_seed(seed)
    layer, inputs = Highway(features).double(), arrays(seed, examples, features)
    gradient = arrays(seed + 1, examples, features)
    leaf = torch.tensor(inputs, requires_grad=True)
    outputs = layer(leaf)
    outputs.backward(torch.tensor(gradient))
    weights = [p.detach().numpy() for p in layer.parameters()]  # transform's weight and bias, then the gate's
    points = (inputs, weights[0].T, weights[1], weights[2].T, weights[3])
    np.testing.assert_allclose(outputs.detach(), residual.highway(*points), **FLOAT64)
    by_inputs, by_weight, by_bias, by_gate_weight, by_gate_bias = residual.highway_backward(*points, gradient)
    wanted = (by_inputs, by_weight.T, by_bias, by_gate_weight.T, by_gate_bias)
    for one, other in zip((leaf, *layer.parameters()), wanted, strict=True):
        np.testing.assert_allclose(one.grad, other, **FLOAT64)


def test_a_new_highway_passes_most_of_its_input_on():
    torch.manual_seed(0)
    inputs = torch.randn(64, 16)
    stack = nn.Sequential(*[Highway(16, gate_bias=-6.0) for _ in range(50)])
    assert (stack(inputs) - inputs).norm() < 0.3 * inputs.norm()
    open_stack = nn.Sequential(*[Highway(16, gate_bias=6.0) for _ in range(50)])
    assert (open_stack(inputs) - inputs).norm() > 0.9 * inputs.norm()  # a plain stack of fifty forgets it


def test_highway_over_maps_keeps_their_size():
    layer, maps = Highway(3, kernel_size=3), torch.randn(2, 3, 5, 7)
    assert layer(maps).shape == maps.shape
    with torch.no_grad():
        layer.gate.weight.zero_()
        layer.gate.bias.fill_(40)
    torch.testing.assert_close(layer(maps), torch.relu(layer.transform(maps)))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (LocalResponseNorm(3, 0.5), (1, 4, 2, 3)),
        (LocalResponseNorm(3, 0.5, convention="caffe"), (1, 4, 2, 3)),
        (ClassicDropout(0.3).eval(), (2, 3)),
        (Highway(3, activation=torch.tanh), (2, 3)),
        (Highway(2, kernel_size=3, activation=torch.tanh), (1, 2, 3, 4)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_gradients_by_finite_differences(layer, shape):
    torch.manual_seed(0)
    inputs = torch.randn(*shape, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer.double(), inputs)

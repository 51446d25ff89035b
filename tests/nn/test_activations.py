"""Activations by name and those that PyTorch lacks: against the reference, by gradcheck, in a network, and under vmap."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gradus.errors import UserError
from gradus.models import create_model
from gradus.nn import (
    ACTIVATIONS,
    APL,
    BinaryStep,
    HardSigmoid,
    Maxout,
    ScaledTanh,
    Sinc,
    SoftExponential,
    SReLU,
    activation,
)
from gradus.nn.activations import LEARNED
from gradus.reference import activations as reference

quick = settings(max_examples=25, deadline=None)
FLOAT64 = {"rtol": 1e-12, "atol": 1e-12}
shapes = st.lists(st.integers(1, 3), min_size=2, max_size=4)
seeds = st.integers(0, 999)
every = pytest.mark.parametrize("name", ACTIVATIONS)

# name -> the reference with the numbers that the module begins with; most have their own name
BEGINS = {
    "gelu_tanh": lambda x: reference.gelu(x, approximate=True),
    "keras_hard_sigmoid": lambda x: reference.hard_sigmoid(x, 0.2),
    "srelu": lambda x: reference.srelu(x, 0.0, 0.2, 1.0, 1.0),
    "apl": lambda x: reference.apl(x, (0.0, 0.0), (-1 / 3, 1 / 3)),
    "soft_exponential": lambda x: reference.soft_exponential(x, 0.0),
}


def arrays(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def leaf(array: np.ndarray) -> torch.Tensor:
    return torch.tensor(array, dtype=torch.float64, requires_grad=True)


def function_of(layer: nn.Module):
    """The layer as a function of (inputs, *parameters), and its parameters."""
    names = [name for name, _ in layer.named_parameters()]
    values = [parameter.detach().clone().requires_grad_() for parameter in layer.parameters()]
    return lambda inputs, *given: torch.func.functional_call(
        layer, dict(zip(names, given, strict=True)), (inputs,)
    ), values


@every
@quick
@given(shape=shapes, seed=seeds)
def test_every_name_is_its_reference(name, shape, seed):
    inputs = 3 * arrays(seed, *shape)
    layer = activation(name, shape[1]).double().eval()  # eval: rrelu takes the mean slope
    wanted = BEGINS.get(name) or getattr(reference, name)
    near = 1e-7 if name == "srelu" else 1e-12  # its 0.2 was stored in float32
    np.testing.assert_allclose(layer(torch.tensor(inputs)).detach(), wanted(inputs), rtol=near, atol=1e-12)


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - {*BEGINS, "binary_step"}))
@quick
@given(shape=shapes, seed=seeds)
def test_every_gradient_is_its_reference(name, shape, seed):
    inputs, gradient = 3 * arrays(seed, *shape), arrays(seed + 1, *shape)
    layer, tensor = activation(name, shape[1]).double().eval(), leaf(inputs)
    layer(tensor).backward(torch.tensor(gradient))
    wanted = gradient * getattr(reference, f"{name}_derivative")(inputs)
    near = 1e-7 if name == "hard_sigmoid" else 1e-9  # its backward pass in PyTorch has 1/6 as a float32
    np.testing.assert_allclose(tensor.grad, wanted, rtol=near, atol=1e-12)


@every
def test_every_gradient_is_that_of_differences(name):
    if name == "binary_step":
        pytest.skip("its gradient is made up")
    layer = activation(name, 3).double().eval()
    run, values = function_of(layer)
    assert torch.autograd.gradcheck(run, (leaf(arrays(0, 4, 3, 2)), *values))


@every
def test_every_name_trains_in_a_network(name):
    torch.manual_seed(0)
    model = create_model("mlp", in_features=4, num_classes=2, hidden=(6, 5), activation=name)
    inputs = torch.randn(32, 4)
    targets = (inputs[:, 0] > 0).long()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    first = last = None
    for _ in range(60):
        loss = nn.functional.cross_entropy(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        first, last = first or loss.item(), loss.item()
    assert last < 0.8 * first
    assert all(bool(torch.isfinite(parameter).all()) for parameter in model.parameters())
    assert type(model.features[1]) is type(activation(name))


@every
def test_every_name_can_be_stacked(name):
    if name == "rrelu":
        pytest.skip("torch counts it as random, in testing too: such models train one by one")
    layer = activation(name, 3).eval()
    inputs = torch.randn(2, 4, 3)
    found = torch.vmap(layer)(inputs)
    assert torch.allclose(found, torch.stack([layer(one) for one in inputs]), atol=1e-6)


def test_unknown_names_and_the_table():
    with pytest.raises(UserError, match="unknown activation 'softpluss'; did you mean 'softplus'"):
        activation("softpluss")
    with pytest.raises(UserError, match="unknown activation"):
        create_model("mlp", in_features=2, num_classes=2, hidden=(), activation="nothing")
    for name in ("relu", "tanh", "sigmoid", "gelu", "elu", "selu"):  # what the names meant before
        assert type(activation(name)).__name__.lower() == name
    assert set(LEARNED) <= set(ACTIVATIONS)
    assert activation("srelu") is not activation("srelu")


@pytest.mark.parametrize("name", LEARNED)
def test_learned_ones_have_parameters_for_each_channel(name):
    one, five = activation(name), activation(name, 5)
    count = [sum(p.numel() for p in layer.parameters()) for layer in (one, five)]
    assert count[1] == 5 * count[0] > 0
    assert all(p.dim() == 1 for p in five.parameters())  # penalties of weights take those of two or more
    pictures = torch.randn(2, 5, 3, 4)
    assert five(pictures).shape == pictures.shape and one(torch.randn(7)).shape == (7,)


# Those with parameters, anywhere in their range


@pytest.mark.parametrize(
    "alphas", [(0.0, 0.5, -0.5), (1e-3, -1e-3, 2e-4), (1.0, -1.0, 0.3)], ids=["some", "small", "large"]
)
def test_soft_exponential_is_the_reference_and_differentiable_by_alpha(alphas):
    layer = SoftExponential(3).double()
    with torch.no_grad():
        layer.alpha.copy_(torch.tensor(alphas, dtype=torch.float64))
    inputs = 0.5 + np.abs(arrays(0, 6, 3))
    tensor = leaf(inputs)
    outputs = layer(tensor)
    outputs.sum().backward()
    for place, alpha in enumerate(alphas):
        column = inputs[:, place]
        np.testing.assert_allclose(outputs[:, place].detach(), reference.soft_exponential(column, alpha), rtol=1e-9)
        np.testing.assert_allclose(
            tensor.grad[:, place], reference.soft_exponential_derivative(column, alpha), rtol=1e-9
        )
        by_alpha = reference.soft_exponential_parameter_derivative(column, alpha).sum()
        assert layer.alpha.grad[place].item() == pytest.approx(by_alpha, rel=1e-6)
    run, values = function_of(layer)
    assert torch.autograd.gradcheck(run, (leaf(inputs), *values))


def test_soft_exponential_below_its_logarithm_is_flat_and_finite():
    layer, inputs = SoftExponential(alpha=-1.0), torch.tensor([[-2.0], [-1e30]], requires_grad=True)
    outputs = layer(inputs)
    outputs.sum().backward()
    assert torch.allclose(outputs.detach(), torch.full((2, 1), math.log(1e-6)), atol=0.1)
    assert inputs.grad.abs().max() == 0 and bool(torch.isfinite(layer.alpha.grad).all())


def test_soft_exponential_of_both_signs_has_no_nan():
    """The branch that is not taken must not leak: e^(-1e4 * -1) would."""
    layer, inputs = SoftExponential(2), torch.tensor([[-1e4, -1e4]], requires_grad=True)
    with torch.no_grad():
        layer.alpha.copy_(torch.tensor([0.5, -1e-3]))
    layer(inputs).sum().backward()
    assert bool(torch.isfinite(inputs.grad).all()) and bool(torch.isfinite(layer.alpha.grad).all())


def test_srelu_by_all_its_parameters():
    numbers = [(-0.7, 0.3, 0.9, 1.7), (0.1, -0.2, 0.4, 0.6)]
    layer = SReLU(2).double()
    with torch.no_grad():
        for name, pair in zip(("left", "left_slope", "right", "right_slope"), zip(*numbers, strict=True), strict=True):
            getattr(layer, name).copy_(torch.tensor(pair, dtype=torch.float64))
    inputs = 2 * arrays(0, 20, 2)
    tensor = leaf(inputs)
    outputs = layer(tensor)
    outputs.sum().backward()
    for place, four in enumerate(numbers):
        np.testing.assert_allclose(outputs[:, place].detach(), reference.srelu(inputs[:, place], *four), **FLOAT64)
        np.testing.assert_allclose(
            tensor.grad[:, place], reference.srelu_derivative(inputs[:, place], *four), **FLOAT64
        )
        wanted = reference.srelu_parameter_derivatives(inputs[:, place], *four)
        for name, one in zip(("left", "left_slope", "right", "right_slope"), wanted, strict=True):
            np.testing.assert_allclose(getattr(layer, name).grad[place], one.sum(), **FLOAT64)
    run, values = function_of(layer)
    assert torch.autograd.gradcheck(run, (leaf(inputs), *values))


def test_apl_by_all_its_parameters():
    layer = APL(2, hinges=3).double()
    slopes, offsets = arrays(1, 3, 2), arrays(2, 3, 2)
    with torch.no_grad():
        layer.slopes.copy_(torch.tensor(slopes.ravel()))
        layer.offsets.copy_(torch.tensor(offsets.ravel()))
    inputs = 2 * arrays(0, 20, 2)
    tensor = leaf(inputs)
    outputs = layer(tensor)
    outputs.sum().backward()
    np.testing.assert_allclose(outputs.detach(), reference.apl(inputs, slopes, offsets), **FLOAT64)
    np.testing.assert_allclose(tensor.grad, reference.apl_derivative(inputs, slopes, offsets), **FLOAT64)
    for parameter, wanted in zip(
        (layer.slopes, layer.offsets), reference.apl_parameter_derivatives(inputs, slopes, offsets), strict=True
    ):
        np.testing.assert_allclose(parameter.grad, np.broadcast_to(wanted, (3, 20, 2)).sum(axis=1).ravel(), **FLOAT64)
    run, values = function_of(layer)
    assert torch.autograd.gradcheck(run, (leaf(inputs), *values))


def test_apl_begins_as_a_relu_with_hinges_that_differ():
    inputs = torch.randn(50, 4)
    layer = APL(4, hinges=3)
    assert torch.equal(layer(inputs), torch.relu(inputs))
    assert torch.allclose(layer.offsets, torch.tensor([-0.5, 0, 0.5]).repeat_interleave(4))


# Those of which there is more to say


def test_the_gradient_of_the_step_is_a_window():
    inputs = torch.tensor([-2.0, -0.5, 0.0, 0.5, 2.0], requires_grad=True)
    outputs = BinaryStep()(inputs)
    outputs.sum().backward()
    assert outputs.tolist() == [0, 0, 1, 1, 1] and inputs.grad.tolist() == [0, 1, 1, 1, 0]


@quick
@given(st.floats(-(2.0**100), 2.0**100, width=32))
def test_the_step_is_exactly_a_step(value):
    assert BinaryStep()(torch.tensor(value)) == float(value >= 0)


def test_the_two_hard_sigmoids():
    inputs = torch.tensor([-2.75, -1.0, 0.0, 1.0, 2.75])
    assert torch.allclose(HardSigmoid()(inputs), torch.tensor([0, 0.3, 0.5, 0.7, 1]))
    assert torch.allclose(HardSigmoid(1 / 6)(inputs), nn.functional.hardsigmoid(inputs))


def test_sinc_is_one_at_zero_with_slope_zero():
    inputs = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    outputs = Sinc()(inputs)
    outputs.backward()
    assert outputs.item() == 1 and inputs.grad.item() == 0


def test_scaled_tanh_maps_one_to_one():
    outputs = ScaledTanh()(torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64))
    assert torch.allclose(outputs, torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64), atol=1e-4)
    assert ScaledTanh()(torch.tensor(1e3)) == pytest.approx(1.7159)


@quick
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), seeds)
def test_maxout_is_the_reference(rows, inputs, outputs, pieces, seed):
    torch.manual_seed(seed)
    layer = Maxout(inputs, outputs, pieces).double()
    weight = layer.linear.weight.detach().view(pieces, outputs, inputs).transpose(1, 2).numpy()
    bias = layer.linear.bias.detach().view(pieces, outputs).numpy()
    values, gradient = arrays(seed, rows, inputs), arrays(seed + 1, rows, outputs)
    tensor = leaf(values)
    found = layer(tensor)
    found.backward(torch.tensor(gradient))
    np.testing.assert_allclose(found.detach(), reference.maxout(values, weight, bias), **FLOAT64)
    by_inputs, by_weight, by_bias = reference.maxout_backward(values, weight, bias, gradient)
    np.testing.assert_allclose(tensor.grad, by_inputs, **FLOAT64)
    np.testing.assert_allclose(
        layer.linear.weight.grad.view(pieces, outputs, inputs), by_weight.transpose(0, 2, 1), **FLOAT64
    )
    np.testing.assert_allclose(layer.linear.bias.grad.view(pieces, outputs), by_bias, **FLOAT64)


def test_maxout_of_faces():
    """FaceNet's table: fc1 of 7*7*256 to 32*128 with p = 2 has 103M parameters, fc2 34M (in millions, biases aside)."""
    with torch.device("meta"):
        layers = Maxout(7 * 7 * 256, 32 * 128, bias=False), Maxout(32 * 128, 32 * 128, bias=False)
    counts = [sum(p.numel() for p in layer.parameters()) for layer in layers]
    assert [round(count / 1e6) for count in counts] == [103, 34]
    run, values = function_of(Maxout(3, 2, 3).double())
    assert torch.autograd.gradcheck(run, (leaf(arrays(0, 4, 3)), *values))

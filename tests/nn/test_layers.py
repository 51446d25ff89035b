"""The layers of 1998 against the NumPy reference, against loops and PyTorch's own convolution, and by finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from gradus.models.vision.lenet5 import C3_CONNECTIONS
from gradus.nn import SparselyConnectedConv2d, Subsampling
from gradus.reference import pooling

FLOAT64 = {"rtol": 1e-12, "atol": 1e-12}
quick = settings(max_examples=25, deadline=None)

# Table I of LeCun et al. 1998, as printed: a row is a map of S2, a column a map of C3.
TABLE_I = (
    "X...XXX..XXXX.XX",
    "XX...XXX..XXXX.X",
    "XXX...XXX..X.XXX",
    ".XXX..XXXX..X.XX",
    "..XXX..XXXX.XX.X",
    "...XXX..XXXX.XXX",
)


def arrays(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def leaf(array: np.ndarray) -> torch.Tensor:
    return torch.tensor(array, dtype=torch.float64, requires_grad=True)


@quick
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.integers(0, 99))
def test_subsampling_is_the_reference(batch, channels, rows, columns, seed):
    inputs, gradient = (
        arrays(seed, batch, channels, 2 * rows, 2 * columns),
        arrays(seed + 1, batch, channels, rows, columns),
    )
    layer, tensor = Subsampling(channels).double(), leaf(inputs)
    with torch.no_grad():
        layer.coefficient.copy_(torch.tensor(arrays(seed + 2, channels)))
        layer.bias.copy_(torch.tensor(arrays(seed + 3, channels)))
    coefficient, bias = layer.coefficient.detach().numpy(), layer.bias.detach().numpy()
    outputs = layer(tensor)
    outputs.backward(torch.tensor(gradient))
    np.testing.assert_allclose(outputs.detach(), pooling.subsampling(inputs, coefficient, bias), **FLOAT64)
    wanted = pooling.subsampling_backward(inputs, coefficient, gradient)
    for found, expected in zip((tensor.grad, layer.coefficient.grad, layer.bias.grad), wanted, strict=True):
        np.testing.assert_allclose(found, expected, **FLOAT64)


def test_subsampling_starts_as_the_mean_and_drops_an_odd_edge():
    pictures = torch.arange(2 * 5 * 7, dtype=torch.float64).view(1, 2, 5, 7)
    outputs = Subsampling(2).double()(pictures)
    assert outputs.shape == (1, 2, 2, 3)
    assert outputs[0, 1, 1, 2] == pictures[0, 1, 2:4, 4:6].mean()


def test_subsampling_takes_channels_last_pictures():
    pictures = torch.randn(2, 3, 4, 4)
    layer = Subsampling(3)
    assert torch.allclose(layer(pictures.to(memory_format=torch.channels_last)), layer(pictures), atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Subsampling(3), (2, 3, 4, 6)),
        (SparselyConnectedConv2d(3, [(0, 2), (1,), (0, 1, 2)], 2), (2, 3, 4, 5)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_gradients_by_finite_differences(layer, shape):
    layer = layer.double()
    names = [name for name, _ in layer.named_parameters()]
    values = [parameter.detach().clone().requires_grad_() for parameter in layer.parameters()]
    inputs = leaf(arrays(0, *shape))

    def run(inputs, *values):
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (inputs,))

    assert torch.autograd.gradcheck(run, (inputs, *values))


def loops(inputs: np.ndarray, weight: np.ndarray, bias: np.ndarray, connections) -> np.ndarray:
    """The sparse convolution written out: one kernel after the other, in the order of the table."""
    size = weight.shape[-1]
    batch, _, height, width = inputs.shape
    outputs = np.zeros((batch, len(connections), height - size + 1, width - size + 1))
    kernels = iter(weight)
    for out, sources in enumerate(connections):
        outputs[:, out] += bias[out]
        for source in sources:
            kernel = next(kernels)
            for row in range(outputs.shape[2]):
                for column in range(outputs.shape[3]):
                    field = inputs[:, source, row : row + size, column : column + size]
                    outputs[:, out, row, column] += (field * kernel).sum(axis=(1, 2))
    return outputs


@st.composite
def tables(draw):
    """(input channels, connections): for each output a set of inputs, in ascending order."""
    channels = draw(st.integers(1, 4))
    sources = st.sets(st.integers(0, channels - 1), min_size=1).map(lambda found: tuple(sorted(found)))
    return channels, tuple(draw(st.lists(sources, min_size=1, max_size=5)))


@quick
@given(tables(), st.integers(1, 3), st.integers(0, 2), st.integers(0, 99))
def test_sparse_convolution_is_its_loops(table, size, extra, seed):
    channels, connections = table
    torch.manual_seed(seed)
    layer = SparselyConnectedConv2d(channels, connections, size).double()
    inputs = arrays(seed, 2, channels, size + extra, size + 1)
    found = layer(torch.tensor(inputs)).detach()
    np.testing.assert_allclose(
        found, loops(inputs, layer.weight.detach().numpy(), layer.bias.detach().numpy(), connections), **FLOAT64
    )


@quick
@given(tables(), st.integers(1, 3), st.integers(0, 99))
def test_sparse_convolution_is_a_masked_dense_one(table, size, seed):
    channels, connections = table
    torch.manual_seed(seed)
    layer = SparselyConnectedConv2d(channels, connections, size).double()
    dense = nn.Conv2d(channels, len(connections), size).double()
    mask = torch.zeros(len(connections), channels, 1, 1, dtype=torch.float64)
    for out, sources in enumerate(connections):
        mask[out, list(sources)] = 1
    with torch.no_grad():
        dense.weight.copy_(layer.dense_weight())
        dense.bias.copy_(layer.bias)
    inputs, other = leaf(arrays(seed, 2, channels, 5, 4)), leaf(arrays(seed, 2, channels, 5, 4))
    outputs, wanted = layer(inputs), functional.conv2d(other, dense.weight * mask, dense.bias)
    gradient = torch.tensor(arrays(seed + 1, *outputs.shape))
    outputs.backward(gradient)
    wanted.backward(gradient)
    np.testing.assert_allclose(outputs.detach(), wanted.detach(), **FLOAT64)
    np.testing.assert_allclose(inputs.grad, other.grad, **FLOAT64)
    np.testing.assert_allclose(layer.bias.grad, dense.bias.grad, **FLOAT64)
    picked = [dense.weight.grad[out, source] for out, sources in enumerate(connections) for source in sources]
    np.testing.assert_allclose(layer.weight.grad, torch.stack(picked), **FLOAT64)


def test_the_table_of_c3_is_the_printed_one():
    layer = SparselyConnectedConv2d(6, C3_CONNECTIONS, 5)
    connected = layer.dense_weight().detach().abs().sum(dim=(2, 3)) > 0
    printed = torch.tensor([[mark == "X" for mark in row] for row in TABLE_I]).T
    assert torch.equal(connected, printed)
    assert int(printed.sum()) == 60 and layer.weight.shape == (60, 5, 5)
    assert sum(p.numel() for p in layer.parameters()) == 60 * 25 + 16  # 1 516 in the paper


def test_initial_weights_fill_the_range_of_the_connections_that_exist():
    torch.manual_seed(0)
    table = [(0,), (0, 1, 2, 3)]
    layer = SparselyConnectedConv2d(4, table, 7)
    dense = layer.dense_weight().detach()
    for out, sources in enumerate(table):
        bound = 1 / math.sqrt(len(sources) * 49)
        largest = float(dense[out, list(sources)].abs().max())
        assert 0.8 * bound < largest <= bound
        assert float(layer.bias[out].detach().abs()) <= bound


def test_the_table_is_no_part_of_the_saved_weights():
    layer = SparselyConnectedConv2d(2, [(0, 1)], 3)
    assert set(layer.state_dict()) == {"weight", "bias"}


def test_reset_draws_anew():
    torch.manual_seed(0)
    layer = SparselyConnectedConv2d(2, [(0, 1)], 3)
    before = layer.weight.detach().clone()
    layer.reset_parameters()
    assert not torch.equal(before, layer.weight)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_reset_works_on_a_gpu():
    layer = SparselyConnectedConv2d(2, [(0, 1)], 3).to("cuda")
    layer.reset_parameters()
    assert float(layer.weight.detach().abs().max()) <= 1 / math.sqrt(18)

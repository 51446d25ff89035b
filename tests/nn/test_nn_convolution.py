"""Same padding, separable convolution and dense layers as convolutions, against the NumPy reference and by finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from gradus.errors import UserError
from gradus.nn import SamePad2d, SeparableConv2d, dense_to_convolution, same_pad2d
from gradus.reference import convolution as reference
from gradus.reference import convolution_kinds, pooling

FLOAT64 = {"rtol": 1e-11, "atol": 1e-12}
quick = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 999)


def arrays(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


@quick
@given(st.integers(1, 5), st.integers(1, 3), st.integers(1, 2), st.integers(3, 9), st.integers(3, 9), seeds)
def test_same_padding_is_that_of_the_reference(kernel, stride, dilation, height, width, seed):
    inputs, weight = arrays(seed, 1, 2, height, width), arrays(seed + 1, 3, 2, kernel, kernel)
    padded = same_pad2d(torch.tensor(inputs), kernel, stride, dilation)
    found = functional.conv2d(padded, torch.tensor(weight), stride=stride, dilation=dilation)
    assert found.shape[2:] == (-(-height // stride), -(-width // stride))
    np.testing.assert_allclose(
        found, reference.convolution2d(inputs, weight, None, stride, "same", dilation), **FLOAT64
    )


def test_same_padding_for_max_pools_and_pairs():
    inputs = -1 - np.abs(arrays(0, 1, 2, 5, 8))
    pool = nn.Sequential(SamePad2d((3, 2), (2, 2), value=-torch.inf), nn.MaxPool2d((3, 2), 2))
    np.testing.assert_array_equal(pool(torch.tensor(inputs)), pooling.max_pool2d(inputs, (3, 2), 2, "same"))
    whole = torch.zeros(1, 1, 4, 4)
    assert same_pad2d(whole, 1) is whole  # nothing to add, nothing copied


@quick
@given(st.integers(1, 3), st.sampled_from([0, 1, "same"]), st.integers(1, 2), st.integers(1, 2), st.booleans(), seeds)
def test_separable_convolution_is_the_reference(stride, padding, dilation, multiplier, bias, seed):
    layer = SeparableConv2d(3, 4, 3, stride, padding, dilation, multiplier, bias).double()
    inputs = arrays(seed, 2, 3, 7, 6)
    leaf = torch.tensor(inputs, requires_grad=True)
    outputs = layer(leaf)
    gradient = arrays(seed + 1, *outputs.shape)
    outputs.backward(torch.tensor(gradient))
    weights = layer.depthwise.weight.detach().numpy(), layer.pointwise.weight.detach().numpy()
    offsets = layer.pointwise.bias.detach().numpy() if bias else None
    options = (stride, padding, dilation)
    wanted = convolution_kinds.separable_convolution2d(inputs, *weights, offsets, *options)
    np.testing.assert_allclose(outputs.detach(), wanted, **FLOAT64)
    slopes = convolution_kinds.separable_convolution2d_backward(inputs, *weights, gradient, *options)
    found = [leaf.grad, layer.depthwise.weight.grad, layer.pointwise.weight.grad]
    found += [layer.pointwise.bias.grad] if bias else []
    for one, other in zip(found, slopes, strict=False):
        np.testing.assert_allclose(one, other, **FLOAT64)


def test_separable_convolution_has_few_weights_and_takes_channels_last():
    layer = SeparableConv2d(64, 128, 3)
    assert sum(p.numel() for p in layer.parameters()) == 64 * 9 + 64 * 128 + 128
    pictures = torch.randn(2, 64, 6, 6)
    last = layer.to(memory_format=torch.channels_last)(pictures.to(memory_format=torch.channels_last))
    assert last.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(last, layer(pictures), rtol=1e-4, atol=1e-5)


def test_gradients_by_finite_differences():
    torch.manual_seed(0)
    layer = SeparableConv2d(2, 3, 2, 2, "same").double()
    assert torch.autograd.gradcheck(layer, torch.randn(1, 2, 3, 5, dtype=torch.float64, requires_grad=True))


@quick
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.booleans())
def test_a_dense_layer_becomes_a_convolution(channels, height, width, bias):
    linear = nn.Linear(channels * height * width, 5, bias=bias).double()
    made = dense_to_convolution(linear, channels, height, width)
    maps = torch.randn(2, channels, height, width, dtype=torch.float64)
    torch.testing.assert_close(made(maps)[:, :, 0, 0], linear(maps.flatten(1)))
    large = torch.randn(1, channels, height + 2, width + 3, dtype=torch.float64)
    torch.testing.assert_close(made(large)[:, :, 1, 3], linear(large[:, :, 1 : 1 + height, 3:].flatten(1)))
    assert torch.equal(made.weight.flatten(), linear.weight.flatten())
    assert made.weight.data_ptr() != linear.weight.data_ptr()  # a copy: training one leaves the other


def test_a_classifier_slides_over_a_larger_picture():
    """LeNet-5's head, 400 -> 120 -> 10: on a picture of 32 one answer, on one of 40 three by three, 4 pixels apart."""
    torch.manual_seed(0)
    first, second = nn.Linear(400, 120), nn.Linear(120, 10)
    body = nn.Sequential(
        nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)
    )
    head = nn.Sequential(dense_to_convolution(first, 16, 5, 5), nn.ReLU(), dense_to_convolution(second, 120, 1, 1))
    picture = torch.randn(1, 3, 40, 40)
    answers = head(body(picture))
    assert answers.shape == (1, 10, 3, 3)
    for i, j in np.ndindex(3, 3):
        crop = body(picture[:, :, 4 * i : 4 * i + 32, 4 * j : 4 * j + 32]).flatten(1)
        torch.testing.assert_close(answers[:, :, i, j], second(first(crop).relu()), rtol=1e-4, atol=1e-5)


def test_a_dense_layer_of_another_size_is_refused():
    with pytest.raises(UserError, match="400 inputs"):
        dense_to_convolution(nn.Linear(400, 120), 16, 5, 6)

"""Receptive fields, sizes and counts of the books, and the matrix of a convolution."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numerical import FLOAT64, normal

from gradus.reference.convolution import col2im, convolution2d, convolution_backward, im2col
from gradus.reference.convolution_kinds import true_convolution2d
from gradus.reference.convolution_matrix import (
    convolution2d_as_matrix,
    convolution2d_connections,
    convolution2d_matrix,
    doubly_blocked_circulant,
    doubly_blocked_toeplitz,
    toeplitz,
)
from gradus.reference.dense import dense, flatten
from gradus.reference.geometry import (
    Window,
    convolution_connections,
    convolution_parameters,
    dense_parameters,
    dense_to_convolution,
    receptive_field,
    separable_parameters,
    sizes,
    uses,
)

quick = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 999)


@quick
@given(st.integers(1, 2), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2), seeds)
def test_the_matrix_is_the_convolution(channels, stride, padding, dilation, seed):
    inputs, weight = normal(seed, 2, channels, 5, 4), normal(seed + 1, 3, channels, 3, 2)
    options = (stride, padding, dilation)
    wanted = convolution2d(inputs, weight, None, *options)
    np.testing.assert_allclose(convolution2d_as_matrix(inputs, weight, *options), wanted, **FLOAT64)
    gradient = normal(seed + 2, *wanted.shape)
    matrix = convolution2d_matrix(weight, 5, 4, *options)
    by_inputs, *_ = convolution_backward(inputs, weight, gradient, *options)
    np.testing.assert_allclose((flatten(gradient) @ matrix).reshape(inputs.shape), by_inputs, **FLOAT64)


def test_the_matrix_is_made_of_toeplitz_blocks():
    kernel = normal(0, 2, 3)
    whole = doubly_blocked_toeplitz(kernel, 4, 5)
    np.testing.assert_array_equal(whole, convolution2d_matrix(kernel[None, None], 4, 5))
    np.testing.assert_array_equal(toeplitz(np.array([1.0, 2]), 4), [[1, 2, 0, 0], [0, 1, 2, 0], [0, 0, 1, 2]])
    blocks = whole.reshape(3, 3, 4, 5)
    np.testing.assert_array_equal(blocks[0, :, 1], blocks[2, :, 3])  # the same block along a diagonal of blocks


def test_a_picture_that_wraps_around_makes_it_circulant():
    picture, kernel = normal(0, 5, 6), normal(1, 3, 2)
    found = (doubly_blocked_circulant(kernel, 5, 6) @ picture.ravel()).reshape(5, 6)
    spectrum = np.fft.fft2(picture) * np.fft.fft2(kernel, (5, 6))
    np.testing.assert_allclose(found, np.fft.ifft2(spectrum).real, **FLOAT64)
    around = np.pad(picture, [(2, 0), (1, 0)], mode="wrap")[None, None]
    np.testing.assert_allclose(found, true_convolution2d(around, kernel[None, None])[0, 0], **FLOAT64)


def test_connections_are_not_weights():
    """*Deep Learning and Computer Vision* §4.1.4, figure 4-6: 36 of 144 connections, of 4 distinct weights."""
    rows, columns, values = convolution2d_connections(np.arange(1.0, 5).reshape(1, 1, 2, 2), 4, 4)
    assert (
        len(values) == len(set(zip(rows, columns, strict=True))) == 36 == convolution_connections(1, 1, (2, 2), (3, 3))
    )
    assert convolution2d_matrix(np.ones((1, 1, 2, 2)), 4, 4).size == 144 == dense_parameters(16, 9, bias=False)
    assert set(values) == {1, 2, 3, 4}
    whole, sparse = 256**2 * 255**2, convolution_connections(1, 1, (2, 2), (255, 255))
    assert (whole, sparse) == (4_261_478_400, 260_100)
    assert whole / sparse == 256**2 / 4 == 16_384
    assert np.log10(whole / sparse) == pytest.approx(4.2, abs=0.02)  # the text says five orders of magnitude
    fewer = convolution2d_connections(np.ones((1, 1, 2, 2)), 4, 4, stride=2)
    assert len(fewer[0]) == 16


def test_counts_of_principles_and_practice():
    """§4.3.2, 4.3.3: 1e9 weights, 1e5 by local fields (a ten-thousandth, printed a thousandth), 1e4 by sharing."""
    whole = dense_parameters(1000 * 1000, 1000, bias=False)
    local = 1000 * 10 * 10
    shared = convolution_parameters(1, 100, 10, 10, bias=False)
    assert (whole, local, shared) == (10**9, 10**5, 10**4)
    assert whole // local == 10_000
    # 400 x 400 inputs, three layers of 100: a sum over the layers, not a product (printed 1.6e11)
    layers = [dense_parameters(*pair, bias=False) for pair in ((400 * 400, 100), (100, 100), (100, 100))]
    assert sum(layers) == 16_020_000
    # figure 4-8: two 3x3 kernels on 4x4, "same": 32 neurons, 18 weights and 2 biases
    assert convolution2d(np.ones((1, 1, 4, 4)), np.ones((2, 1, 3, 3)), padding="same").size == 32
    assert (convolution_parameters(1, 2, 3, 3, bias=False), convolution_parameters(1, 2, 3, 3)) == (18, 20)
    assert (dense_parameters(3, 4, bias=False), dense_parameters(4, 2, bias=False)) == (3 * 4, 4 * 2)
    assert dense_parameters(3, 4) == 12 + 4
    assert dense_parameters(5 * 8 * 8, 100, bias=False) == 32_000


def test_parameters_of_the_books_layers():
    assert dense_parameters(400, 120) == 48_120  # course notes §4.1.13 print 48 001
    assert convolution_parameters(3, 6, 5, 5) == 456
    assert [convolution_parameters(1, 32, 3, 3), convolution_parameters(32, 64, 5, 5)] == [320, 51_264]
    assert [dense_parameters(*pair) for pair in ((1600, 120), (120, 84), (84, 10))] == [192_120, 10_164, 850]
    assert convolution_parameters(96, 256, 5, 5, groups=2) == 307_456  # AlexNet's second, in two halves
    assert convolution_connections(32, 1, (1, 1), (6, 6)) == 32 * 36  # 1x1 over 32 channels: 32 weights at 36 places
    assert convolution_connections(192, 32, (5, 5), (28, 28)) == 120_422_400  # GoogLeNet's 5x5, direct
    bottleneck = (
        convolution_connections(192, 16, (1, 1), (28, 28)),
        convolution_connections(16, 32, (5, 5), (28, 28)),
    )
    assert sum(bottleneck) == 12_443_648


def test_a_separable_network_has_a_seventh_of_the_weights():
    """*Deep Learning with Python* §7.3.1: 38 949 parameters against 282 282."""
    widths = [3, 32, 64, 64, 128, 64, 128]
    head = dense_parameters(128, 32) + dense_parameters(32, 10)
    pairs = list(pairwise(widths))
    assert sum(separable_parameters(a, b, 3, 3) for a, b in pairs) + head == 38_949
    assert sum(convolution_parameters(a, b, 3, 3) for a, b in pairs) + head == 282_282


def test_sizes_of_the_books():
    assert sizes(39, [(3,), (5, 2), (5, 2)]) == [37, 17, 7]  # the text forgets to subtract the kernel in the first
    assert 7 * 7 * 40 == 1960
    assert sizes(32, [(5,), (2, 2), (5,), (2, 2)]) == [28, 14, 10, 5]
    alexnet = [(11, 4), (3, 2), (5, 1, 2), (3, 2), (3, 1, 1), (3, 1, 1), (3, 1, 1), (3, 2)]
    assert sizes(227, alexnet) == [55, 27, 27, 13, 13, 13, 13, 6]
    half = Window(3, 2, ceil=True)
    assert sizes(112, [half, half, half, half]) == [56, 28, 14, 7]
    assert sizes(64, [(3,), (3,), (2, 2), (3,), (3,), (2, 2), (3,), (3,)]) == [62, 60, 30, 28, 26, 13, 11, 9]


VGG16 = [(3, 1, 1)] * 2 + [(2, 2)] + ([(3, 1, 1)] * 2 + [(2, 2)]) + ([(3, 1, 1)] * 3 + [(2, 2)]) * 3


def test_receptive_fields():
    assert [sight.field for sight in receptive_field([(3,)] * 3)] == [3, 5, 7]  # printed 3, 6, 9
    assert 3 * 9 == 27 < 49 == 7 * 7  # weights of three 3x3 and one 7x7
    last = receptive_field(VGG16)[-1]
    assert (last.field, last.jump) == (212, 32)
    assert receptive_field([(3, 1, 1)])[0].centre == 0  # "same" padding looks around the first pixel
    assert last.centre == 15.5  # each pool of 2 moves it by half of its jump: (1 + 2 + 4 + 8 + 16) / 2
    assert receptive_field([*VGG16, (7,)])[-1].field == 404
    assert [sight.field for sight in receptive_field([Window(3, dilation=d) for d in (1, 2, 4)])] == [3, 7, 15]


@quick
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 2)), min_size=1, max_size=3))
def test_receptive_field_is_what_a_change_reaches(layers):
    """The first output of some convolutions of ones, by its gradient: as many inputs as it says, centred where it says."""
    inputs = np.ones((1, 1, 1, 40))
    maps = [inputs]
    for kernel, stride in layers:
        maps.append(convolution2d(maps[-1], np.ones((1, 1, 1, kernel)), stride=(1, stride)))
    gradient = np.zeros(maps[-1].shape)
    gradient[..., 0] = 1
    second = np.zeros(maps[-1].shape)
    second[..., 1] = 1
    for (kernel, stride), before in zip(reversed(layers), reversed(maps[:-1]), strict=True):
        gradient, second = (
            convolution_backward(before, np.ones((1, 1, 1, kernel)), g, (1, stride))[0] for g in (gradient, second)
        )
    span = [np.flatnonzero(g) for g in (gradient, second)]
    last = receptive_field(layers)[-1]
    assert span[0][-1] - span[0][0] + 1 == last.field
    assert span[1][0] - span[0][0] == last.jump
    assert (span[0][0] + span[0][-1]) / 2 == last.centre


def test_corners_are_used_once_and_the_middle_nine_times():
    """Course notes §4.1.5: what padding is for."""
    counts = np.outer(uses(6, 3), uses(6, 3))
    assert (counts[0, 0], counts[2, 3]) == (1, 9)
    assert np.outer(uses(6, 3, padding=1), uses(6, 3, padding=1))[0, 0] == 4
    columns = im2col(np.ones((1, 1, 6, 6)), (3, 3))
    np.testing.assert_array_equal(counts, col2im(columns, (6, 6), (3, 3))[0, 0])


@quick
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), seeds)
def test_a_dense_layer_is_a_convolution(channels, height, width, seed):
    maps, weight, bias = (
        normal(seed, 2, channels, height, width),
        normal(seed + 1, channels * height * width, 5),
        normal(seed + 2, 5),
    )
    kernels = dense_to_convolution(weight, channels, height, width)
    assert np.shares_memory(kernels, weight)  # the same numbers, not even copied
    found = convolution2d(maps, kernels, bias)
    np.testing.assert_allclose(found[:, :, 0, 0], dense(flatten(maps), weight, bias), **FLOAT64)
    larger = normal(seed + 3, 1, channels, height + 2, width + 1)
    everywhere = convolution2d(larger, kernels, bias)
    there = dense(flatten(larger[:, :, 2:, 1:]), weight, bias)
    np.testing.assert_allclose(everywhere[:, :, 2, 1], there, **FLOAT64)


def test_the_lenet_layer_as_a_convolution():
    """Course notes §4.1.13: 5x5x16 = 400 -> 120, whose W they write (120, 400)."""
    weight = normal(0, 400, 120)
    assert dense_to_convolution(weight, 16, 5, 5).shape == (120, 16, 5, 5)
    with pytest.raises(ValueError, match="are not 16 maps"):
        dense_to_convolution(weight, 16, 5, 6)

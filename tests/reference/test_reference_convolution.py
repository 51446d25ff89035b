"""Convolution in NumPy: against loops, PyTorch, SciPy and central differences, and the books' sizes and worked examples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numerical import FLOAT64, check_against_torch, check_differences, normal
from scipy import signal
from torch.nn import functional

from gradus.reference.convolution import (
    col2im,
    convolution,
    convolution1d,
    convolution2d,
    convolution2d_loops,
    convolution3d,
    convolution_backward,
    im2col,
    output_size,
    same_padding,
)
from gradus.reference.convolution_kinds import (
    continuous_convolution,
    separable_convolution2d,
    separable_convolution2d_backward,
    transposed_convolution,
    transposed_convolution2d,
    transposed_convolution_backward,
    true_convolution2d,
    true_convolution2d_backward,
)

quick = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 999)
TORCH = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
TRANSPOSED = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d, 3: functional.conv_transpose3d}

IMAGE = np.array([[3.0, 2, 1], [0, 1, 2], [3, 1, 1]])  # *Principles and Practice* §4.2.3
KERNELS = np.array([[[0.0, 1], [1, 2]], [[2, 1], [1, 3]]])


@quick
@given(
    rank=st.integers(1, 3),
    groups=st.integers(1, 2),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    dilation=st.integers(1, 2),
    kernel=st.integers(1, 3),
    seed=seeds,
)
def test_convolution_and_its_gradients_are_those_of_torch(rank, groups, stride, padding, dilation, kernel, seed):
    sizes = np.random.default_rng(seed).integers(3, 7, rank)
    assume(all(size + 2 * padding > dilation * (kernel - 1) for size in sizes))
    inputs, weight = normal(seed, 2, 2 * groups, *sizes), normal(seed + 1, 2 * groups, 2, *[kernel] * rank)
    bias = normal(seed + 2, 2 * groups)
    options = (stride, padding, dilation, groups)
    values = convolution(inputs, weight, bias, *options)
    gradient = normal(seed + 3, *values.shape)
    found = convolution_backward(inputs, weight, gradient, *options)
    check_against_torch(values, found, lambda x, w, b: TORCH[rank](x, w, b, *options), (inputs, weight, bias), gradient)


@pytest.mark.parametrize("options", [(1, 0, 1, 1), (2, 1, 1, 2), (2, 2, 2, 1)])
def test_convolution_backward_by_differences(options):
    inputs, weight, bias = normal(0, 2, 2, 5, 4), normal(1, 2, 2 // options[3], 2, 3), normal(2, 2)
    gradient = normal(3, *convolution(inputs, weight, bias, *options).shape)
    found = convolution_backward(inputs, weight, gradient, *options)
    check_differences(lambda x, w, b: convolution(x, w, b, *options), (inputs, weight, bias), gradient, found)


@quick
@given(st.integers(1, 2), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2), st.integers(1, 2), seeds)
def test_loops_are_the_product_of_matrices(groups, stride, padding, dilation, kernel_height, seed):
    inputs, weight, bias = normal(seed, 2, 2, 5, 6), normal(seed + 1, 2, 2 // groups, kernel_height, 3), normal(seed, 2)
    options = (stride, padding, dilation, groups)
    np.testing.assert_allclose(
        convolution2d_loops(inputs, weight, bias, *options), convolution2d(inputs, weight, bias, *options), **FLOAT64
    )


@quick
@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2), seeds)
def test_im2col_is_unfold_and_col2im_its_transpose(kernel, stride, padding, dilation, seed):
    inputs = normal(seed, 2, 3, 6, 5)
    columns = im2col(inputs, (kernel, 2), stride, padding, dilation)
    unfolded = functional.unfold(torch.tensor(inputs), (kernel, 2), dilation, padding, stride)
    np.testing.assert_array_equal(columns, unfolded)
    other = normal(seed + 1, *columns.shape)
    back = col2im(other, (6, 5), (kernel, 2), stride, padding, dilation)
    np.testing.assert_allclose(
        back, functional.fold(torch.tensor(other), (6, 5), (kernel, 2), dilation, padding, stride)
    )
    assert (columns * other).sum() == pytest.approx((inputs * back).sum())  # <A x, y> = <x, A^T y>


def test_the_worked_product_of_matrices():
    """*Principles and Practice* §4.2.3, whose printed third row is 0 1 1 3 and whose printed result is the kernels."""
    rows = im2col(IMAGE[None, None], (2, 2))[0].T  # a row a place, as the book has it: (H W) x (C K K)
    np.testing.assert_array_equal(rows, [[3, 2, 0, 1], [2, 1, 1, 2], [0, 1, 3, 1], [1, 2, 1, 1]])
    maps = (KERNELS.reshape(2, 4) @ rows.T).reshape(2, 2, 2)
    np.testing.assert_array_equal(maps, [[[4, 6], [6, 5]], [[11, 12], [7, 8]]])
    np.testing.assert_array_equal(convolution2d(IMAGE[None, None], KERNELS[:, None])[0], maps)
    np.testing.assert_array_equal(convolution2d_loops(IMAGE[None, None], KERNELS[:, None])[0], maps)


def test_a_column_holds_channels_times_kernel_numbers_and_numbers_are_copied():
    columns = im2col(normal(0, 1, 3, 8, 8), (3, 3), padding=1)
    assert columns.shape == (1, 3 * 3 * 3, 8 * 8)  # not C * H * W long
    assert columns.size == 9 * 3 * 8 * 8  # and nine times as many numbers as before


def test_nine_ones_over_five_by_five():
    """*Plain Talk* §6.3: 3x3 map [[6, 7, 6], [4, 7, 7], [4, 6, 6]]; the pixels are those that it follows from."""
    pixels = [[int(c) for c in row] for row in ("11100", "01110", "00111", "00110", "01100")]
    found = convolution2d(np.array(pixels, float)[None, None], np.ones((1, 1, 3, 3)))
    np.testing.assert_array_equal(found[0, 0], [[6, 7, 6], [4, 7, 7], [4, 6, 6]])


LAPLACIAN = np.array([[[[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]]])


@pytest.mark.parametrize(
    ("patch", "response"),
    [([[188, 31, 0], [32, 0, 1], [134, 3, 0]], 67), ([[255, 255, 253], [255, 251, 255], [255, 255, 254]], 16)],
)
def test_laplacian_of_the_letter_z(patch, response):
    assert convolution2d(np.array(patch, float)[None, None], LAPLACIAN).item() == response


def test_edges_of_a_half_bright_picture():
    """Course notes §4.1.3: bands of 30, their sign from the direction, and a kernel turned for horizontal edges."""
    picture = np.repeat([[10.0] * 3 + [0.0] * 3], 6, axis=0)[None, None]
    vertical = np.repeat([[1.0, 0, -1]], 3, axis=0)[None, None]
    np.testing.assert_array_equal(convolution2d(picture, vertical)[0, 0], [[0, 30, 30, 0]] * 4)
    np.testing.assert_array_equal(convolution2d(picture[..., ::-1], vertical)[0, 0], [[0, -30, -30, 0]] * 4)
    lying = convolution2d(picture.swapaxes(2, 3), vertical.swapaxes(2, 3))[0, 0]
    np.testing.assert_array_equal(lying, np.transpose([[0, 30, 30, 0]] * 4))


def test_a_kernel_sees_one_colour_where_its_other_slices_are_zero():
    colours, edge = normal(0, 1, 3, 6, 6), np.repeat([[1.0, 0, -1]], 3, axis=0)
    red = np.stack([edge, 0 * edge, 0 * edge])[None]
    assert red.size == 27  # products at one place of a 3x3 kernel over three channels
    np.testing.assert_array_equal(convolution2d(colours, red), convolution2d(colours[:, :1], edge[None, None]))


def test_channels_have_slices_of_their_own():
    """*Principles and Practice* §4.2.2 sums the two inputs under one slice: right only where both slices are equal."""
    inputs, weight = normal(0, 1, 2, 5, 5), normal(1, 1, 2, 3, 3)
    shared = convolution2d(inputs.sum(axis=1, keepdims=True), weight[:, :1])
    assert not np.allclose(convolution2d(inputs, weight), shared)
    equal = weight[:, :1].repeat(2, axis=1)
    np.testing.assert_allclose(convolution2d(inputs, equal), shared, **FLOAT64)


def test_a_patch_is_three_wide():
    """*Deep Learning with Python* §5.1.1 has i-1 : i+1, which in Python holds two rows."""
    inputs, weight = normal(0, 1, 1, 5, 5), normal(1, 1, 1, 3, 3)
    found = convolution2d(inputs, weight, padding="same")
    i, j = 2, 3
    assert inputs[0, 0, i - 1 : i + 1, j - 1 : j + 1].shape == (2, 2)
    assert found[0, 0, i, j] == pytest.approx((inputs[0, 0, i - 1 : i + 2, j - 1 : j + 2] * weight[0, 0]).sum())


def test_colour_pictures_are_not_volumes():
    """The course notes call the first of these "3D convolution"."""
    flat = convolution2d(normal(0, 1, 3, 14, 14), normal(1, 16, 3, 5, 5))
    assert flat.shape == (1, 16, 10, 10)
    deep = convolution3d(normal(0, 1, 1, 14, 14, 14), normal(1, 16, 1, 5, 5, 5))
    assert deep.shape == (1, 16, 10, 10, 10)
    assert convolution3d(deep, normal(2, 32, 16, 5, 5, 5)).shape == (1, 32, 6, 6, 6)
    long = convolution1d(normal(0, 1, 1, 14), normal(1, 16, 1, 5))
    assert long.shape == (1, 16, 10)
    assert convolution1d(long, normal(2, 32, 16, 5)).shape == (1, 32, 6)
    with pytest.raises(ValueError, match="3 sizes"):
        convolution3d(normal(0, 1, 3, 14, 14), normal(1, 16, 3, 5, 5))


def test_one_by_one_is_a_dense_layer_at_every_place():
    inputs, weight, bias = normal(0, 2, 32, 6, 6), normal(1, 5, 32, 1, 1), normal(2, 5)
    places = inputs.transpose(0, 2, 3, 1) @ weight[:, :, 0, 0].T + bias
    np.testing.assert_allclose(convolution2d(inputs, weight, bias), places.transpose(0, 3, 1, 2), **FLOAT64)
    np.testing.assert_array_equal(convolution2d(inputs[:, :1], np.full((1, 1, 1, 1), 2.0)), 2 * inputs[:, :1])
    # a scalar does for one channel alone: no number makes the outputs of 32 channels from the inputs of one
    ratio = convolution2d(inputs, weight)[:, 0] / inputs[:, 0]
    assert ratio.std() > 0.1


@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_rate_spreads_the_kernel(dilation):
    spread = np.zeros((1, 1, 2 * dilation + 1))
    spread[..., ::dilation] = np.array([1.0, -2, 3])
    inputs = normal(0, 1, 1, 12)
    found = convolution1d(inputs, np.array([[[1.0, -2, 3]]]), padding=dilation, dilation=dilation)
    assert found.shape == inputs.shape  # rate 2 with padding 2 keeps the size, as rate 1 with padding 1
    np.testing.assert_allclose(found, convolution1d(inputs, spread, padding=dilation), **FLOAT64)


@pytest.mark.parametrize(
    ("size", "options", "expected"),
    [
        (6, (3,), 4), (6, (3, 1, 1), 6), (7, (3, 2), 3), (5, (3,), 3), (5, (3, 2), 2), (28, (3,), 26),
        (39, (3,), 37), (37, (5, 2), 17), (17, (5, 2), 7), (32, (5,), 28), (224, (7, 2, 3), 112),
        (224, (11, 4), 54), (227, (11, 4), 55), (224, (11, 4, 2), 55), (224, (11, 4, 0, 1, True), 55),
        (112, (3, 2, 0, 1, True), 56), (112, (3, 2), 55), (14, (3, 2, 0, 1, True), 7), (10, (3, 1, 2, 2), 10),
        (4, (5, 1, "full"), 8), (150, (15, 4), 34), (5, (1, 3, 0, 1, True), 2),
    ],
)  # fmt: skip
def test_output_sizes(size, options, expected):
    assert output_size(size, *options) == expected


def test_a_window_must_fit():
    with pytest.raises(ValueError, match="does not fit"):
        output_size(3, 5)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even")
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_same_gives_the_size_over_the_stride(kernel, stride):
    for size in range(kernel, 12):
        before, after = same_padding(size, kernel, stride)
        assert 0 <= after - before <= 1
        assert output_size(size, kernel, stride, "same") == -(-size // stride)
        assert output_size(size, kernel, stride, (before, after)) == -(-size // stride)
    if stride == 1:
        inputs, weight = normal(0, 1, 2, 7, 6), normal(1, 3, 2, kernel, kernel)
        wanted = functional.conv2d(torch.tensor(inputs), torch.tensor(weight), padding="same")
        np.testing.assert_allclose(convolution2d(inputs, weight, padding="same"), wanted, **FLOAT64)
        if kernel % 2:
            assert same_padding(7, kernel) == ((kernel - 1) // 2, (kernel - 1) // 2)


def test_a_strided_same_starts_where_keras_starts():
    """Size 4, kernel 3, stride 2: Keras pads below alone, so the first window starts at the first pixel."""
    picture, ones = np.arange(16.0).reshape(1, 1, 4, 4), np.ones((1, 1, 3, 3))
    found = convolution2d(picture, ones, stride=2, padding="same")[0, 0]
    np.testing.assert_array_equal(found, [[picture[0, 0, :3, :3].sum(), 39], [66, 50]])
    assert found[0, 0] != convolution2d(picture, ones, stride=2, padding=1)[0, 0, 0, 0]


def test_same_and_pairs_have_gradients_too():
    inputs, weight, bias = normal(0, 1, 2, 5, 4), normal(1, 2, 2, 2, 4), normal(2, 2)
    for options in ((2, "same"), (1, [(0, 1), (2, 0)]), (1, "full")):
        gradient = normal(3, *convolution(inputs, weight, bias, *options).shape)
        found = convolution_backward(inputs, weight, gradient, *options)
        check_differences(
            lambda x, w, b, options=options: convolution(x, w, b, *options), (inputs, weight, bias), gradient, found
        )


@quick
@given(st.integers(-3, 3), st.integers(-3, 3), seeds)
def test_shifting_commutes_with_convolving(down, right, seed):
    """Equivariance: away from the border a shifted picture gives the shifted map."""
    picture, weight = np.zeros((1, 2, 16, 16)), normal(seed, 3, 2, 3, 3)
    picture[:, :, 5:11, 5:11] = normal(seed + 1, 1, 2, 6, 6)
    shifted = np.roll(picture, (down, right), axis=(2, 3))
    map_of_shifted = convolution2d(shifted, weight, padding="same")
    shifted_map = np.roll(convolution2d(picture, weight, padding="same"), (down, right), (2, 3))
    np.testing.assert_allclose(map_of_shifted, shifted_map, **FLOAT64)


def test_true_convolution_commutes_and_cross_correlation_does_not():
    one, other = normal(0, 1, 1, 5, 5), normal(1, 1, 1, 3, 3)
    found = true_convolution2d(one, other, padding="full")
    np.testing.assert_allclose(found[0, 0], signal.convolve2d(one[0, 0], other[0, 0]), **FLOAT64)
    np.testing.assert_allclose(found, true_convolution2d(other, one, padding=4), **FLOAT64)
    there, back = convolution2d(one, other, padding="full"), convolution2d(other, one, padding=4)
    assert not np.allclose(there, back)
    np.testing.assert_allclose(there, back[:, :, ::-1, ::-1], **FLOAT64)  # each is the other turned by 180 degrees
    third = normal(2, 1, 1, 2, 2)
    left = true_convolution2d(found, third, padding="full")
    right = true_convolution2d(one, true_convolution2d(other, third, padding="full"), padding="full")
    np.testing.assert_allclose(left, right, **FLOAT64)  # and it is associative


def test_true_convolution_backward():
    inputs, weight, bias = normal(0, 2, 2, 5, 4), normal(1, 3, 2, 2, 3), normal(2, 3)
    gradient = normal(3, *true_convolution2d(inputs, weight, bias, 2, 1).shape)
    found = true_convolution2d_backward(inputs, weight, gradient, 2, 1)
    check_differences(lambda x, w, b: true_convolution2d(x, w, b, 2, 1), (inputs, weight, bias), gradient, found)


@quick
@given(
    rank=st.integers(1, 3), groups=st.integers(1, 2), stride=st.integers(1, 3), padding=st.integers(0, 1),
    dilation=st.integers(1, 2), extra=st.integers(0, 2), seed=seeds,
)  # fmt: skip
def test_transposed_convolution_is_that_of_torch(rank, groups, stride, padding, dilation, extra, seed):
    assume(extra < max(stride, dilation) and extra < stride)
    inputs, weight = normal(seed, 2, 2 * groups, *[3] * rank), normal(seed + 1, 2 * groups, 2, *[3] * rank)
    bias = normal(seed + 2, 2 * groups)
    values = transposed_convolution(inputs, weight, bias, stride, padding, extra, dilation, groups)
    gradient = normal(seed + 3, *values.shape)
    found = transposed_convolution_backward(inputs, weight, gradient, stride, padding, dilation, groups)
    check_against_torch(
        values,
        found,
        lambda x, w, b: TRANSPOSED[rank](x, w, b, stride, padding, extra, groups, dilation),
        (inputs, weight, bias),
        gradient,
    )


def test_transposed_convolution_lays_down_copies_and_restores_the_size_only():
    kernel = np.array([[[1.0, 2, 3]]])
    np.testing.assert_array_equal(
        transposed_convolution(np.array([[[1.0, 10]]]), kernel, stride=2), [[[1, 2, 13, 20, 30]]]
    )
    inputs, weight = normal(0, 1, 1, 8, 8), normal(1, 1, 1, 3, 3)
    small = convolution2d(inputs, weight, stride=2, padding=1)
    again = transposed_convolution2d(small, weight, stride=2, padding=1, output_padding=1)
    assert again.shape == inputs.shape
    assert not np.allclose(again, inputs)


@pytest.mark.parametrize(("stride", "padding", "multiplier"), [(1, 0, 1), (2, "same", 2)])
def test_separable_convolution(stride, padding, multiplier):
    inputs, bias = normal(0, 2, 3, 6, 5), normal(1, 4)
    depthwise, pointwise = normal(2, 3 * multiplier, 1, 3, 3), normal(3, 4, 3 * multiplier, 1, 1)
    values = separable_convolution2d(inputs, depthwise, pointwise, bias, stride, padding)
    # it is one convolution, with kernels that are sums of products
    whole = np.einsum("ocm,cmab->ocab", pointwise.reshape(4, 3, multiplier), depthwise.reshape(3, multiplier, 3, 3))
    np.testing.assert_allclose(values, convolution2d(inputs, whole, bias, stride, padding), **FLOAT64)
    gradient = normal(4, *values.shape)
    found = separable_convolution2d_backward(inputs, depthwise, pointwise, gradient, stride, padding)
    check_differences(
        lambda x, d, p, b: separable_convolution2d(x, d, p, b, stride, padding),
        (inputs, depthwise, pointwise, bias),
        gradient,
        found,
    )


def test_not_every_convolution_is_separable():
    """*Deep Learning with Python* §9.1.6 calls the two equivalent: then the kernels of one channel would be multiples."""
    weight = normal(0, 4, 1, 3, 3).reshape(4, 9)
    product = normal(1, 4, 1) * normal(2, 1, 9)
    assert np.linalg.matrix_rank(product) == 1 < np.linalg.matrix_rank(weight)


def test_the_integral_of_a_triangle_and_a_ramp():
    """*Plain Talk* §6.2: f a triangle on [-1, 1], g(t) = t on [1, 2] (called a square pulse there)."""

    def triangle(t: np.ndarray) -> np.ndarray:
        return np.maximum(0, 1 - np.abs(t))

    def ramp(t: np.ndarray) -> np.ndarray:
        return np.where((t >= 1) & (t <= 2), t, 0)

    found = continuous_convolution(triangle, ramp, np.array([-2.0, -1, 0, 1, 2, 3, 4]), -1, 1)
    np.testing.assert_allclose(found, [0, 0, 0, 2 / 3, 5 / 6, 0, 0], atol=1e-3)  # by hand: support [0, 3]
    flipped = continuous_convolution(ramp, triangle, np.array([1.0, 2]), 1, 2)
    np.testing.assert_allclose(flipped, [2 / 3, 5 / 6], atol=1e-3)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="do not fit"):
        convolution2d(normal(0, 1, 3, 5, 5), normal(1, 4, 2, 3, 3))
    with pytest.raises(ValueError, match="do not fit"):
        convolution2d(normal(0, 1, 4, 5, 5), normal(1, 3, 2, 3, 3), groups=2)


def test_a_median_is_no_convolution():
    """*Principles and Practice* lists it among the spatial filters: it is not additive."""
    one, other = np.array([0.0, 0, 9]), np.array([0.0, 9, 0])
    assert np.median(one) + np.median(other) != np.median(one + other)

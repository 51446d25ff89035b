"""Pooling in NumPy: against PyTorch and central differences, and the books' tables."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numerical import FLOAT64, apart, check_against_torch, check_differences, normal
from torch.nn import functional

from gradus.reference import pooling
from gradus.reference.pooling import average_pool2d, max_pool2d, max_pool2d_indices, pool2d

quick = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 999)
windows = {
    "kernel": st.integers(1, 4),
    "stride": st.integers(1, 4),
    "padding": st.integers(0, 2),
    "ceil": st.booleans(),
}


@quick
@given(**windows, seed=seeds)
def test_max_pooling_is_that_of_torch(kernel, stride, padding, ceil, seed):
    assume(padding <= kernel // 2)
    inputs = np.random.default_rng(seed).integers(0, 4, (2, 2, 7, 6)).astype(float)  # many ties
    values = max_pool2d(inputs, kernel, stride, padding, ceil)
    wanted, indices = functional.max_pool2d(torch.tensor(inputs), kernel, stride, padding, 1, ceil, return_indices=True)
    np.testing.assert_array_equal(values, wanted)
    np.testing.assert_array_equal(max_pool2d_indices(inputs, kernel, stride, padding, ceil), indices)
    gradient = normal(seed, *values.shape)
    found = pooling.max_pool2d_backward(inputs, kernel, gradient, stride, padding, ceil)
    check_against_torch(
        values, [found], lambda x: functional.max_pool2d(x, kernel, stride, padding, 1, ceil), [inputs], gradient
    )


@quick
@given(**windows, count=st.booleans(), seed=seeds)
def test_average_pooling_is_that_of_torch(kernel, stride, padding, ceil, count, seed):
    assume(padding <= kernel // 2)
    inputs = normal(seed, 2, 2, 7, 6)
    values = average_pool2d(inputs, kernel, stride, padding, ceil, count)
    gradient = normal(seed + 1, *values.shape)
    found = pooling.average_pool2d_backward(inputs, kernel, gradient, stride, padding, ceil, count)
    check_against_torch(
        values, [found], lambda x: functional.avg_pool2d(x, kernel, stride, padding, ceil, count), [inputs], gradient
    )


@pytest.mark.parametrize("options", [(2, None, 0, False), (3, 2, 1, False), (3, 2, 0, True), (3, 1, "same", False)])
def test_pools_by_differences(options):
    inputs, (kernel, *rest) = apart(0, 2, 2, 5, 6), options
    gradient = normal(1, *max_pool2d(inputs, *options).shape)
    found = pooling.max_pool2d_backward(inputs, kernel, gradient, *rest)
    check_differences(lambda x: max_pool2d(x, *options), [inputs], gradient, [found])
    found = pooling.average_pool2d_backward(inputs, kernel, gradient, *rest, count_padding=False)
    check_differences(lambda x: average_pool2d(x, *options, count_padding=False), [inputs], gradient, [found])


def test_max_pooling_of_the_listing():
    """*Principles and Practice* listing 4-3, the numbers as printed: NumPy's seed 8 does not draw them."""
    picture = np.array([[1, 1, 2, 3], [2, 1, 0, 3], [4, 0, 4, 1], [3, 3, 2, 3]])
    np.testing.assert_array_equal(max_pool2d(picture[None, None], 2, 2)[0, 0], [[2, 3], [4, 4]])


SQUARE = np.array([[1.0, 3, 2, 1], [2, 9, 1, 1], [1, 3, 2, 3], [5, 6, 1, 2]])[None, None]
FIVE = np.array([[1.0, 3, 2, 1, 3], [2, 9, 1, 1, 5], [1, 3, 2, 3, 2], [8, 3, 5, 1, 0], [5, 6, 1, 2, 9]])[None, None]


def test_tables_of_the_course_notes():
    np.testing.assert_array_equal(max_pool2d(SQUARE, 2)[0, 0], [[9, 2], [6, 3]])
    np.testing.assert_array_equal(average_pool2d(SQUARE, 2)[0, 0], [[3.75, 1.25], [3.75, 2]])
    np.testing.assert_array_equal(max_pool2d(FIVE, 3, 1)[0, 0], [[9, 9, 5], [9, 9, 5], [8, 6, 9]])
    assert SQUARE.size - max_pool2d(SQUARE, 2).size == 12  # three quarters fewer


# A part of a letter Z whose pools are those printed in figure 4-8; the figure's own table has cells that cannot be read.
LETTER = np.array(
    [
        [255.0, 255, 255, 254, 255, 253],
        [252, 250, 253, 254, 253, 253],
        [255, 255, 31, 1, 2, 0],
        [188, 27, 0, 0, 1, 1],
        [255, 255, 255, 254, 178, 21],
        [250, 134, 3, 0, 0, 0],
    ]
)[None, None]


def test_the_letter_z():
    """*Deep Learning and Computer Vision* §4.1.7, figure 4-8. The mean printed as about 128 is 128 in ours."""
    np.testing.assert_array_equal(max_pool2d(LETTER, 2)[0, 0], [[255, 255, 255], [255, 31, 2], [255, 255, 178]])
    means = average_pool2d(LETTER, 2)[0, 0]
    np.testing.assert_array_equal(means, [[253, 254, 253.5], [181.25, 8, 1], [223.5, 128, 49.75]])


def test_where_in_its_window_a_maximum_stands_does_not_matter():
    """Figure 4-9: windows of 3 at stride 3, an 11 at the top left or at the middle of the bottom."""
    picture = np.random.default_rng(0).integers(0, 10, (1, 1, 6, 6)).astype(float)
    one, other = picture.copy(), picture.copy()
    one[0, 0, 0, 0] = other[0, 0, 2, 1] = 11
    assert max_pool2d(one, 3)[0, 0, 0, 0] == 11
    np.testing.assert_array_equal(max_pool2d(one, 3), max_pool2d(other, 3))


def test_overlapping_windows_add_their_gradients():
    inputs = np.zeros((1, 1, 5, 5))
    inputs[0, 0, 2, 2] = 7  # in all four windows of 3 at stride 2
    np.testing.assert_array_equal(max_pool2d(inputs, 3, 2)[0, 0], [[7, 7], [7, 7]])
    found = pooling.max_pool2d_backward(inputs, 3, np.array([[[[1.0, 2], [3, 4]]]]), 2)
    assert found[0, 0, 2, 2] == found.sum() == 10


def test_a_tie_goes_to_the_first():
    found = pooling.max_pool2d_backward(np.ones((1, 1, 2, 2)), 2, np.ones((1, 1, 1, 1)))
    np.testing.assert_array_equal(found[0, 0], [[1, 0], [0, 0]])


def test_a_last_window_must_start_inside():
    """Ceil mode: PyTorch's own rule. 5 cells by 1 at stride 3 are two windows: the third would start at 6."""
    assert max_pool2d(np.ones((1, 1, 5, 5)), 1, 3, ceil=True).shape[2:] == (2, 2)
    assert max_pool2d(np.ones((1, 1, 6, 6)), 3, 2).shape[2:] == (2, 2)
    ceiled = max_pool2d(np.arange(36.0).reshape(1, 1, 6, 6), 3, 2, ceil=True)
    np.testing.assert_array_equal(ceiled[0, 0], [[14, 16, 17], [26, 28, 29], [32, 34, 35]])


def test_same_padding_keeps_the_size_and_never_wins():
    inputs = -1 - np.abs(normal(0, 1, 2, 5, 7))  # all negative: a zero of the padding would win
    found = max_pool2d(inputs, 3, 1, "same")
    assert found.shape == inputs.shape
    assert (found < 0).all()
    assert max_pool2d(np.ones((1, 1, 5, 8)), 3, 2, "same").shape[2:] == (3, 4)
    means = average_pool2d(np.ones((1, 1, 5, 8)), 3, 2, "same", count_padding=False)
    np.testing.assert_array_equal(means, np.ones((1, 1, 3, 4)))
    assert average_pool2d(np.ones((1, 1, 5, 8)), 3, 2, "same")[0, 0, 0, 0] < 1


def test_any_statistic():
    inputs = normal(0, 2, 3, 6, 6)
    np.testing.assert_array_equal(pool2d(inputs, lambda window: window.max(axis=-1), 2), max_pool2d(inputs, 2))
    np.testing.assert_allclose(pool2d(inputs, lambda window: window.mean(axis=-1), 3, 2), average_pool2d(inputs, 3, 2))

    def histogram(window: np.ndarray) -> np.ndarray:
        return np.stack([(window < 0).sum(axis=-1), (window >= 0).sum(axis=-1)], axis=-1)

    counts = pool2d(inputs, histogram, 3)
    assert counts.shape == (2, 3, 2, 2, 2)
    np.testing.assert_array_equal(counts.sum(axis=2), 9)
    np.testing.assert_array_equal(counts[:, :, 0, 1, 0], (inputs[:, :, 3:, :3] < 0).sum(axis=(2, 3)))


@quick
@given(seeds)
def test_unpooling_restores_positions(seed):
    inputs = apart(seed, 2, 3, 4, 6)
    values, indices = max_pool2d(inputs, 2), max_pool2d_indices(inputs, 2)
    back = pooling.max_unpool2d(values, indices, 4, 6)
    wanted = functional.max_unpool2d(torch.tensor(values), torch.tensor(indices), 2)
    np.testing.assert_array_equal(back, wanted)
    np.testing.assert_array_equal(back[back != 0], inputs[back != 0])
    assert (back != 0).sum() == values.size
    np.testing.assert_array_equal(pool2d(back, lambda window: window.sum(axis=-1), 2), values)  # one value a window
    gradient = normal(seed, *back.shape)
    found = pooling.max_unpool2d_backward(indices, gradient)
    check_differences(lambda v: pooling.max_unpool2d(v, indices, 4, 6), [values], gradient, [found])


def test_one_dimension():
    inputs = apart(0, 2, 3, 11)
    for kernel, stride, padding in ((2, None, 0), (3, 2, 1), (5, 5, 0)):
        wanted = functional.max_pool1d(torch.tensor(inputs), kernel, stride, padding)
        np.testing.assert_array_equal(pooling.max_pool1d(inputs, kernel, stride, padding), wanted)


@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 3, 4, 5), (1, 2, 2, 3, 2)])
def test_global_pools(shape):
    inputs, gradient = apart(0, *shape), normal(1, *shape[:2])
    np.testing.assert_allclose(pooling.global_average_pool(inputs), inputs.reshape(*shape[:2], -1).mean(axis=2))
    np.testing.assert_array_equal(pooling.global_max_pool(inputs), inputs.reshape(*shape[:2], -1).max(axis=2))
    found = pooling.global_average_pool_backward(inputs, gradient)
    check_differences(pooling.global_average_pool, [inputs], gradient, [found])
    found = pooling.global_max_pool_backward(inputs, gradient)
    check_differences(pooling.global_max_pool, [inputs], gradient, [found])


def test_a_map_under_global_pooling_has_no_place():
    inputs = normal(0, 1, 4, 6, 6)
    shuffled = np.random.default_rng(0).permuted(inputs.reshape(1, 4, 36), axis=2).reshape(inputs.shape)
    found = pooling.global_average_pool(shuffled)
    np.testing.assert_allclose(found, pooling.global_average_pool(inputs), **FLOAT64)


@quick
@given(st.integers(1, 2), st.integers(1, 3), st.integers(1, 2), st.integers(1, 3), seeds)
def test_subsampling_backward(batch, channels, rows, columns, seed):
    inputs, coefficient, bias = (
        normal(seed, batch, channels, 2 * rows, 2 * columns),
        normal(seed + 2, channels),
        normal(seed + 3, channels),
    )
    gradient = normal(seed + 1, batch, channels, rows, columns)
    found = pooling.subsampling_backward(inputs, coefficient, gradient)
    check_differences(pooling.subsampling, (inputs, coefficient, bias), gradient, found)


def test_subsampling_sums_its_field():
    picture = np.arange(16.0).reshape(1, 1, 4, 4)
    found = pooling.subsampling(picture, np.array([2.0]), np.array([0.5]))
    # the four fields hold 0+1+4+5, 2+3+6+7, 8+9+12+13, 10+11+14+15
    np.testing.assert_array_equal(found[0, 0], [[20.5, 36.5], [84.5, 100.5]])

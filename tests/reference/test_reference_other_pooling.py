"""Chunk-max, stochastic, pyramid and region pooling in NumPy."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numerical import apart, check_differences, normal
from torch.nn import functional

from gradus.reference import other_pooling as pools

quick = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 999)


def test_chunks_by_hand():
    """Seven values in three pieces: 3, 2, 2. (PyTorch's adaptive pieces overlap: 0-2, 2-4, 4-6.)"""
    inputs = np.array([[[1.0, 5, 2, 4, 0, -1, -3]]])
    np.testing.assert_array_equal(pools.chunk_max_pool(inputs, 3), [[[5, 4, -1]]])
    np.testing.assert_array_equal(functional.adaptive_max_pool1d(torch.tensor(inputs), 3), [[[5, 4, 0]]])
    np.testing.assert_array_equal(pools.chunk_max_pool(inputs, 1)[..., 0], inputs.max(axis=2))
    np.testing.assert_array_equal(pools.chunk_max_pool(inputs, 7), inputs)


@quick
@given(st.integers(1, 4), st.integers(0, 5), seeds)
def test_chunk_max_backward(chunks, more, seed):
    inputs, gradient = apart(seed, 2, 3, chunks + more), normal(seed, 2, 3, chunks)
    found = pools.chunk_max_pool_backward(inputs, chunks, gradient)
    check_differences(lambda x: pools.chunk_max_pool(x, chunks), [inputs], gradient, [found])


def test_chances_are_the_shares_of_the_window():
    inputs = np.broadcast_to(np.array([[1.0, 0], [3, 4]]), (20_000, 1, 2, 2))
    values, indices = pools.stochastic_pool2d(inputs, 2, generator=np.random.default_rng(0))
    shares = [(indices == place).mean() for place in range(4)]
    np.testing.assert_allclose(shares, [1 / 8, 0, 3 / 8, 4 / 8], atol=0.015)  # four standard errors: 0.014
    assert shares[1] == 0  # a zero is never drawn
    mean = pools.stochastic_pool2d_mean(inputs[:1], 2).item()
    assert mean == pytest.approx((1 + 9 + 16) / 8)
    assert values.mean() == pytest.approx(mean, abs=0.05)


def test_a_draw_of_zero_passes_over_zeros():
    class Lowest:
        random = staticmethod(np.zeros)

    window = np.array([[[[0.0, 2], [3, 0]]]])
    assert pools.stochastic_pool2d(window, 2, generator=Lowest())[0].item() == 2


def test_windows_of_zeros_give_zero():
    inputs = np.zeros((1, 2, 4, 4))
    values, indices = pools.stochastic_pool2d(inputs, 2, generator=np.random.default_rng(0))
    np.testing.assert_array_equal(values, 0)
    np.testing.assert_array_equal(indices[0, 0], [[0, 2], [8, 10]])
    np.testing.assert_array_equal(pools.stochastic_pool2d_mean(inputs, 2), 0)
    np.testing.assert_array_equal(pools.stochastic_pool2d_mean_backward(inputs, 2, np.ones((1, 2, 2, 2))), 0)
    with pytest.raises(ValueError, match=">= 0"):
        pools.stochastic_pool2d(inputs - 1, 2, generator=np.random.default_rng(0))


@pytest.mark.parametrize(("kernel", "stride"), [(2, None), (3, 2)])
def test_stochastic_pooling_takes_values_of_its_windows_and_sends_gradients_there(kernel, stride):
    inputs = np.abs(apart(0, 2, 3, 5, 7))
    values, indices = pools.stochastic_pool2d(inputs, kernel, stride, generator=np.random.default_rng(1))
    step = stride or kernel
    for n, c, i, j in np.ndindex(values.shape):
        row, column = divmod(indices[n, c, i, j], 7)
        assert 0 <= row - i * step < kernel and 0 <= column - j * step < kernel
        assert values[n, c, i, j] == inputs[n, c, row, column]
    gradient = normal(2, *values.shape)
    found = pools.stochastic_pool2d_backward(indices, gradient, 5, 7)
    check_differences(
        lambda x: np.take_along_axis(x.reshape(2, 3, -1), indices.reshape(2, 3, -1), 2).reshape(values.shape),
        [inputs],
        gradient,
        [found],
    )
    found = pools.stochastic_pool2d_mean_backward(inputs, kernel, gradient, stride)
    check_differences(lambda x: pools.stochastic_pool2d_mean(x, kernel, stride), [inputs], gradient, [found])


@quick
@given(st.integers(1, 3), st.integers(1, 15), st.integers(1, 15), seeds)
def test_a_pyramid_has_21_bins_a_channel_for_any_window(channels, height, width, seed):
    inputs = normal(seed, 2, channels, height, width)
    found = pools.spatial_pyramid_pool(inputs)
    assert found.shape == (2, 21 * channels)
    levels = [functional.adaptive_max_pool2d(torch.tensor(inputs), level).flatten(1) for level in (4, 2, 1)]
    np.testing.assert_array_equal(found, torch.cat(levels, dim=1))
    np.testing.assert_array_equal(found[:, -channels:], inputs.max(axis=(2, 3)))


def test_pyramid_backward():
    inputs = apart(0, 2, 2, 5, 6)
    gradient = normal(1, 2, 2 * 5)
    found = pools.spatial_pyramid_pool_backward(inputs, gradient, (2, 1))
    check_differences(lambda x: pools.spatial_pyramid_pool(x, (2, 1)), [inputs], gradient, [found])
    assert 256 * 21 == pools.spatial_pyramid_pool(np.ones((1, 256, 13, 13))).size == 5376


def test_bins_cover_all_and_leave_no_gap():
    for size in range(1, 20):
        for count in (1, 2, 4, 7):
            pieces = pools.bins(size, count)
            assert (pieces[0].start, pieces[-1].stop) == (0, size)
            assert all(b.start <= a.stop and a.stop > a.start for a, b in pairwise(pieces))


def test_regions_by_hand():
    """A map of 8 x 8 read at 1/4: the region (4, 8) to (19.9, 30) covers columns 1 to 5 and rows 2 to 8, the last cut off."""
    picture = np.arange(64.0).reshape(1, 1, 8, 8)
    found = pools.roi_pool(picture, np.array([[0, 4.0, 8, 19.9, 30]]), (2, 2), 0.25)
    # rows 2..8 (7.5 rounds to 8), 7 long: bins 2-5 and 5-8; columns 1..5, 5 long: bins 1-3 and 3-5, both ends within
    np.testing.assert_array_equal(found[0, 0], [[5 * 8 + 3, 5 * 8 + 5], [7 * 8 + 3, 7 * 8 + 5]])


def test_rounding_is_away_from_zero_and_a_region_is_a_cell_at_least():
    assert pools.roi_bins(0.5, 2.5, 1, 1, 9) == [slice(1, 4)]  # to even it would be 0 and 2
    assert pools.roi_bins(5, 3, 1, 2, 9) == [slice(5, 6), slice(5, 6)]  # turned round: one cell, in both bins
    assert pools.roi_bins(-3.5, 20, 1, 1, 9) == [slice(0, 9)]
    outside = pools.roi_pool(np.ones((1, 2, 4, 4)), np.array([[0, 10.0, 10, 12, 12]]), (2, 2))
    np.testing.assert_array_equal(outside, 0)


def test_a_whole_map_in_bins_that_divide_it_is_max_pooling():
    maps = normal(0, 2, 3, 14, 14)
    regions = np.array([[1, 0.0, 0, 13, 13], [0, 0, 0, 13, 13]])
    found = pools.roi_pool(maps, regions)
    assert found.shape == (2, 3, 7, 7)  # 7 x 7 x C, whatever the region
    np.testing.assert_array_equal(found, functional.max_pool2d(torch.tensor(maps[::-1].copy()), 2))
    assert pools.roi_pool(maps, np.array([[0, 3.0, 2, 4, 12]])).shape == (1, 3, 7, 7)


def test_roi_pool_backward():
    maps = apart(0, 2, 2, 6, 7)
    regions = np.array([[0, 0.0, 0, 9, 9], [0, 2, 3, 11, 8], [1, 1, 1, 2, 2], [1, 30, 30, 40, 40]])
    gradient = normal(1, 4, 2, 2, 3)
    found = pools.roi_pool_backward(maps, regions, gradient, (2, 3), 0.5)
    check_differences(lambda x: pools.roi_pool(x, regions, (2, 3), 0.5), [maps], gradient, [found])

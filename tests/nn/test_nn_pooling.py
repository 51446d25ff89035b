"""Stochastic, chunk, pyramid and region pooling against the NumPy reference and by finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gradus.errors import UserError
from gradus.nn import (
    ChunkMaxPool1d,
    SpatialPyramidPool2d,
    StochasticPool2d,
    region_pyramid_pool,
    roi_align,
    roi_pool,
    stochastic_pool2d,
)
from gradus.reference import other_pooling as reference

FLOAT64 = {"rtol": 1e-11, "atol": 1e-12}
quick = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 999)


def arrays(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def backward(function, inputs: np.ndarray, gradient: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    leaf = torch.tensor(inputs, requires_grad=True)
    outputs = function(leaf)
    outputs.backward(torch.tensor(gradient))
    return outputs.detach().numpy(), leaf.grad.numpy()


@quick
@given(st.integers(1, 3), st.integers(1, 3), seeds)
def test_stochastic_pooling_is_the_reference(kernel, stride, seed):
    inputs = np.maximum(arrays(seed, 2, 3, 5, 7), 0)  # behind a relu: zeros, and windows of zeros
    values, indices = reference.stochastic_pool2d(inputs, kernel, stride, generator=np.random.default_rng(seed))
    draws = torch.tensor(np.random.default_rng(seed).random(values.shape))  # the same numbers
    gradient = arrays(seed + 1, *values.shape)
    found, slopes = backward(lambda x: stochastic_pool2d(x, draws, kernel, stride), inputs, gradient)
    np.testing.assert_array_equal(found, values)
    np.testing.assert_allclose(slopes, reference.stochastic_pool2d_backward(indices, gradient, 5, 7), **FLOAT64)
    layer = StochasticPool2d(kernel, stride).eval()
    found, slopes = backward(layer, inputs, gradient)
    np.testing.assert_allclose(found, reference.stochastic_pool2d_mean(inputs, kernel, stride), **FLOAT64)
    wanted = reference.stochastic_pool2d_mean_backward(inputs, kernel, gradient, stride)
    np.testing.assert_allclose(slopes, wanted, **FLOAT64)


def test_a_draw_of_zero_passes_over_zeros():
    window = torch.tensor([[0.0, 2], [3, 0]]).view(1, 1, 2, 2)
    assert stochastic_pool2d(window, torch.zeros(1, 1, 1, 1), 2, 2).item() == 2


def test_stochastic_pooling_draws_in_training_and_not_at_test_time():
    torch.manual_seed(0)
    layer, inputs = StochasticPool2d(2), torch.rand(4, 3, 8, 8)
    first, second = layer(inputs), layer(inputs)
    assert first.shape == (4, 3, 4, 4)
    assert not torch.equal(first, second)
    mean = torch.stack([layer(inputs) for _ in range(1500)]).mean(dim=0)
    layer.eval()
    assert torch.equal(layer(inputs), layer(inputs))
    torch.testing.assert_close(mean, layer(inputs), rtol=0, atol=0.06)  # six standard errors of a number in [0, 1]
    assert StochasticPool2d(3, 2)(inputs).shape == StochasticPool2d(3, 2).eval()(inputs).shape == (4, 3, 3, 3)


@quick
@given(st.integers(1, 5), st.integers(0, 7), seeds)
def test_chunks_are_the_reference(chunks, more, seed):
    inputs, gradient = arrays(seed, 2, 3, chunks + more), arrays(seed + 1, 2, 3, chunks)
    found, slopes = backward(ChunkMaxPool1d(chunks), inputs, gradient)
    np.testing.assert_array_equal(found, reference.chunk_max_pool(inputs, chunks))
    np.testing.assert_allclose(slopes, reference.chunk_max_pool_backward(inputs, chunks, gradient), **FLOAT64)


def test_a_short_sequence_is_refused():
    with pytest.raises(UserError, match="sequence of 2 cannot be cut into 3"):
        ChunkMaxPool1d(3)(torch.zeros(1, 1, 2))


@quick
@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([(4, 2, 1), (1,), (3, 2)]), seeds)
def test_pyramids_are_the_reference(height, width, levels, seed):
    inputs = arrays(seed, 2, 3, height, width)
    gradient = arrays(seed + 1, 2, 3 * sum(level**2 for level in levels))
    found, slopes = backward(SpatialPyramidPool2d(levels), inputs, gradient)
    np.testing.assert_array_equal(found, reference.spatial_pyramid_pool(inputs, levels))
    np.testing.assert_allclose(slopes, reference.spatial_pyramid_pool_backward(inputs, gradient, levels), **FLOAT64)


corner = st.floats(-20, 60).map(lambda x: round(2 * x) / 2)  # halves, so that rounding is tried
region = st.tuples(st.integers(0, 1), corner, corner, corner, corner)


@quick
@given(st.lists(region, max_size=6), st.integers(1, 4), st.integers(1, 4), st.sampled_from([1.0, 0.5, 0.25]), seeds)
def test_roi_pooling_is_the_reference(regions, rows, columns, scale, seed):
    maps = np.random.default_rng(seed).integers(0, 6, (2, 3, 9, 7)).astype(float)  # many ties
    boxes = np.array(regions, dtype=float).reshape(-1, 5)
    gradient = arrays(seed + 1, len(boxes), 3, rows, columns)
    found, slopes = backward(lambda x: roi_pool(x, torch.tensor(boxes), (rows, columns), scale), maps, gradient)
    np.testing.assert_array_equal(found, reference.roi_pool(maps, boxes, (rows, columns), scale))
    wanted = reference.roi_pool_backward(maps, boxes, gradient, (rows, columns), scale)
    np.testing.assert_allclose(slopes, wanted, **FLOAT64)


def test_roi_pooling_of_a_whole_picture():
    maps, boxes = torch.randn(2, 256, 38, 50), torch.tensor([[1.0, 0, 0, 799, 599], [0, 100, 50, 500, 300]])
    found = roi_pool(maps, boxes, spatial_scale=1 / 16)
    assert found.shape == (2, 256, 7, 7)
    wanted = reference.roi_pool(maps.numpy(), boxes.numpy().astype(float), (7, 7), 1 / 16)
    np.testing.assert_array_equal(found, wanted.astype(np.float32))
    assert roi_pool(maps, boxes[:0]).shape == (0, 256, 7, 7)


def bilinear(picture: np.ndarray, y: float, x: float) -> float:
    """One reading, written out: 0 beyond one cell outside, the border's value up to there."""
    height, width = picture.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return 0.0
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = min(int(y), height - 2), min(int(x), width - 2)
    down, right = y - top, x - left
    upper = (1 - right) * picture[top, left] + right * picture[top, left + 1]
    lower = (1 - right) * picture[top + 1, left] + right * picture[top + 1, left + 1]
    return (1 - down) * upper + down * lower


@quick
@given(st.lists(region, min_size=1, max_size=3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), seeds)
def test_roi_align_by_its_definition(regions, rows, columns, samples, seed):
    maps, boxes, scale = arrays(seed, 2, 2, 6, 7), np.array(regions, dtype=float), 0.25
    found = roi_align(torch.tensor(maps), torch.tensor(boxes), (rows, columns), scale, samples)
    for (n, *box), values in zip(boxes, found, strict=True):
        left, top, right, bottom = (v * scale - 0.5 for v in box)
        for c, i, j in np.ndindex(2, rows, columns):
            total = 0.0
            for a, b in np.ndindex(samples, samples):
                y = top + (bottom - top) / rows * (i + (a + 0.5) / samples)
                x = left + (right - left) / columns * (j + (b + 0.5) / samples)
                total += bilinear(maps[int(n), c], y, x)
            assert values[c, i, j].item() == pytest.approx(total / samples**2, abs=1e-10)


def test_roi_align_of_a_slope_is_its_middle():
    """Bilinear reading is exact on a plane: a bin's mean is the value at the bin's middle."""
    y, x = torch.meshgrid(torch.arange(10.0), torch.arange(12.0), indexing="ij")
    found = roi_align((2 * x + 3 * y)[None, None].double(), torch.tensor([[0, 2.0, 1, 8, 7]]).double(), (2, 2))[0, 0]
    torch.testing.assert_close(found, torch.tensor([[12.0, 18], [21, 27]]).double())


def test_gradients_by_finite_differences():
    torch.manual_seed(0)
    maps = torch.randn(2, 1, 4, 5, dtype=torch.float64, requires_grad=True)
    positive = torch.rand(1, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    boxes = torch.tensor([[0, 0.0, 0, 9, 9], [1, 3, 2, 10, 8], [1, 30, 30, 40, 40]], dtype=torch.float64)
    draws = torch.rand(1, 2, 2, 2, dtype=torch.float64)
    check = torch.autograd.gradcheck
    assert check(lambda x: roi_pool(x, boxes, (2, 3), 0.5), maps)
    assert check(lambda x: roi_align(x, boxes, (2, 3), 0.5), maps)
    assert check(lambda x: stochastic_pool2d(x, draws, 2, 2), positive)
    assert check(StochasticPool2d(2).eval(), positive)
    assert check(SpatialPyramidPool2d((2, 1)), maps)
    assert check(ChunkMaxPool1d(3), torch.randn(2, 2, 7, dtype=torch.float64, requires_grad=True))


@quick
@given(st.lists(region, max_size=4), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), seeds)
def test_roi_align_is_the_reference(regions, rows, columns, samples, seed):
    maps, boxes = arrays(seed, 2, 3, 6, 7), np.array(regions, dtype=float).reshape(-1, 5)
    gradient = arrays(seed + 1, len(boxes), 3, rows, columns)
    found, slopes = backward(
        lambda x: roi_align(x, torch.tensor(boxes), (rows, columns), 0.25, samples), maps, gradient
    )
    wanted = reference.roi_align(maps, boxes, (rows, columns), 0.25, samples)
    np.testing.assert_allclose(found, wanted, **FLOAT64)
    wanted = reference.roi_align_backward(maps, boxes, gradient, (rows, columns), 0.25, samples)
    np.testing.assert_allclose(slopes, wanted, **FLOAT64)


def test_pyramids_of_regions():
    # *Principles and Practice* §5.1 counts 2000 x 256 vectors for 2000 regions; it is 2000 vectors of 21 x 256
    maps = torch.randn(2, 256, 12, 16)
    whole = torch.tensor([[1.0, 0, 0, 15, 11]])  # the last cell belongs to the region
    found = region_pyramid_pool(maps, whole)
    assert found.shape == (1, 5376)
    assert torch.equal(found[0], SpatialPyramidPool2d()(maps)[1])
    many = torch.tensor([[0.0, 0, 0, 64, 64], [1, 32, 16, 100, 90], [1, 0, 0, 240, 176]])
    found = region_pyramid_pool(maps, many, (3, 1), 1 / 16)
    assert found.shape == (3, 10 * 256)
    assert torch.equal(found[:, -256:], roi_pool(maps, many, (1, 1), 1 / 16).flatten(1))

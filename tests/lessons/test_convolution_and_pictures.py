"""Lessons on convolution and pictures: their numbers against hand calculation, NumPy, SciPy and PyTorch."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from pages import shown
from scipy import integrate, signal

from gradus.lessons import convolution as kernels
from gradus.lessons import (
    convolution_1d,
    counting_parameters,
    im2col,
    padding_and_stride,
    perturbation,
    pooling,
    receptive_fields,
)
from gradus.lessons import dense_as_convolution as canvas
from gradus.lessons import gabor_and_activations as gabor
from gradus.lessons import one_by_one_convolution as pointwise


def numbers(name: str) -> dict[str, float]:
    return shown(name)[0]


# ---- convolution-1d


@pytest.mark.parametrize("x", [-1.0, 0.3, 1.0, 1.6, 2.0, 2.9, 3.5])
def test_areas_are_the_integral(x):
    wanted, _ = integrate.quad(
        lambda t: float(convolution_1d.triangle(np.array(t)) * convolution_1d.ramp(np.array(x - t))),
        -1, 1, points=sorted({0.0, *np.clip([x - 2, x - 1], -1, 1)}),
    )  # fmt: skip
    assert convolution_1d.area_exact(x) == pytest.approx(wanted, abs=1e-9)
    assert convolution_1d.area(x) == pytest.approx(
        wanted, abs=2e-3
    )  # the sum's cells are 1/2000 wide, and the ramp jumps


def test_convolution_1d_numbers():
    found = numbers("convolution-1d")
    assert found["support_start"] == pytest.approx(0, abs=2e-3)
    assert found["support_end"] == pytest.approx(3, abs=2e-3)
    assert found["at_one"] == pytest.approx(2 / 3, abs=1e-3)
    assert found["at_two"] == pytest.approx(5 / 6, abs=2e-3)
    assert found["whole_area"] == pytest.approx(1.5, abs=1e-3)  # area of the triangle 1, of the ramp 3/2
    assert found["seven"] == pytest.approx(1 / 6)
    assert found["convolution_swapped"] == 0
    assert found["correlation_swapped"] > 1


def test_discrete_convolution_is_numpys():
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=7), generator.normal(size=4)
    np.testing.assert_allclose(convolution_1d.convolve(a, b), np.convolve(a, b), rtol=1e-12)
    np.testing.assert_allclose(convolution_1d.correlate(a, b), np.correlate(a, b, mode="full"), rtol=1e-12)
    np.testing.assert_allclose(convolution_1d.correlate(a, b), convolution_1d.correlate(b, a)[::-1], rtol=1e-12)


# ---- convolution


def test_the_five_by_five_example():
    np.testing.assert_array_equal(kernels.slide(kernels.EXAMPLE, np.ones((3, 3))), [[6, 7, 6], [4, 7, 7], [4, 6, 6]])


def test_half_bright_gives_two_columns_of_thirty():
    edge = kernels.slide(kernels.HALF_BRIGHT, kernels.KERNELS["upright edges"])
    np.testing.assert_array_equal(edge, np.tile([0, 30, 30, 0], (4, 1)))


def test_convolution_numbers():
    found = numbers("convolution")
    assert found["first"] == 6
    assert found["sum"] == 53
    assert (found["edge"], found["edge_reversed"], found["level_kernel"]) == (30, -30, 0)
    assert (found["z_rim"], found["z_inside"]) == (67, 16)
    assert found["blue_blind"] == pytest.approx(0, abs=1e-12)  # red and green patches have the same blue
    assert found["red_green"] == pytest.approx(3 * (0.8 + 0.8))  # red falls by 0.8, green rises by 0.8, in three rows
    assert found["red_shadow"] == pytest.approx(3 * (0.45 - 0.05))
    assert found["kernel_error"] < 0.1


def test_a_learned_kernel_is_the_least_squares_one():
    """The truth is known: the response was made by this kernel, so nothing else has no error."""
    picture = np.random.default_rng(0).normal(size=(20, 20))
    kernel, losses = kernels.learn_kernel(picture, kernels.slide(picture, kernels.KERNELS["Scharr"]), 0.2, 400)
    np.testing.assert_allclose(kernel, kernels.KERNELS["Scharr"], atol=1e-3)
    assert losses[-1] < 1e-6 * losses[0]


def test_slide_is_scipys_correlation():
    picture = np.random.default_rng(1).normal(size=(9, 11))
    for kernel in kernels.KERNELS.values():
        np.testing.assert_allclose(
            kernels.slide(picture, kernel), signal.correlate2d(picture, kernel, mode="valid"), atol=1e-12
        )


# ---- padding-and-stride


def test_times_used_by_counting_windows():
    counts = torch.nn.functional.fold(torch.ones(1, 9, 16, dtype=torch.float64), (6, 6), 3)[0, 0]
    np.testing.assert_array_equal(padding_and_stride.times_used(6, 3), counts)


def test_padding_and_stride_numbers():
    found = numbers("padding-and-stride")
    assert (found["corner"], found["centre"], found["corner_padded"]) == (1, 9, 4)
    assert [found[f"size_{k}"] for k in (1, 2, 3)] == [37, 17, 7]
    assert found["flat"] == 1960
    assert (found["same_stride_one"], found["same_stride_two"]) == (28, 14)
    assert (found["span"], found["dilated_size"]) == (5, 8)


def test_shapes_in_one_to_three_dimensions():
    shape_after = padding_and_stride.shape_after
    assert shape_after((14, 1), (5, 16), (5, 32)) == [(10, 16), (6, 32)]
    assert shape_after((14, 14, 3), (5, 16)) == [(10, 10, 16)]
    assert shape_after((14, 14, 14, 1), (5, 16), (5, 32)) == [(10, 10, 10, 16), (6, 6, 6, 32)]
    found = numbers("padding-and-stride")
    assert [found[f"values_{key}"] for key in ("one", "two", "three")] == [160, 1600, 6912]


def test_sizes_of_the_table_are_pytorchs():
    for _, size, kernel, stride, padding, dilation in padding_and_stride.SIZES:
        layer = torch.nn.Conv1d(1, 1, kernel, stride, padding, dilation)
        assert (
            padding_and_stride.output_size(size, kernel, stride, padding, dilation)
            == layer(torch.zeros(1, 1, size)).shape[-1]
        )


# ---- im2col


def test_the_worked_product_corrected():
    columns, _, product = im2col.as_product(im2col.PICTURE, im2col.KERNELS)
    np.testing.assert_array_equal(columns.T, [[3, 2, 0, 1], [2, 1, 1, 2], [0, 1, 3, 1], [1, 2, 1, 1]])
    np.testing.assert_array_equal(product, [[4, 6, 6, 5], [11, 12, 7, 8]])


def test_im2col_numbers():
    found = numbers("im2col")
    assert found["gap"] == 0
    assert found["matrix_gap"] < 1e-12
    assert (found["dense_small"], found["sparse_small"]) == (144, 36)
    assert (found["dense_large"], found["sparse_large"]) == (4_261_478_400, 260_100)
    assert found["orders"] == pytest.approx(np.log10(16384))
    assert min(found["loops_seconds"], found["product_seconds"]) > 0


# ---- pooling


def test_pooling_tables():
    np.testing.assert_array_equal(pooling.largest(pooling.FOUR, 2), [[9, 2], [6, 3]])
    np.testing.assert_array_equal(pooling.mean(pooling.FOUR, 2), [[3.75, 1.25], [3.75, 2]])
    np.testing.assert_array_equal(pooling.largest(pooling.FIVE, 3, 1), [[9, 9, 5], [9, 9, 5], [8, 6, 9]])
    np.testing.assert_array_equal(pooling.largest(pooling.RANDOM, 2), [[2, 3], [4, 4]])


def test_pooling_numbers():
    found = numbers("pooling")
    assert (found["max_sum"], found["mean_sum"], found["random_sum"]) == (20, 10.75, 13)
    assert found["bright_max"] > found["bright_before"]
    assert found["ceil_112"] == 56
    assert found["expected_mean"] == pytest.approx(26 / 8)
    # the mean of 4000 draws has standard deviation sqrt((1 + 27 + 64) / 8 - 3.25^2) / sqrt(4000) = 0.015
    assert found["drawn_mean"] == pytest.approx(26 / 8, abs=0.06)
    assert found["never_zero"] == 0
    assert found["same"] == 0
    assert found["moved_4"] < found["moved_1"]


# ---- receptive-fields


def test_receptive_field_numbers():
    found = numbers("receptive-fields")
    assert [found[f"stack_{k}"] for k in (1, 2, 3)] == [3, 5, 7]
    assert (found["pool5"], found["fc6"]) == (212, 404)
    assert found["plain"] == 11
    assert found["strided"] == 1 + 2 * (1 + 1 + 2 + 2 + 4)  # reach of each of five layers times the strides before it
    assert found["dilated"] == 1 + 2 * (1 + 2 + 4 + 8 + 16)
    assert found["half_width"] < found["field"] == 21


def test_influence_is_that_of_random_kernels():
    generator = np.random.default_rng(0)
    squares = np.zeros(9)
    for _ in range(4000):
        signs = [generator.choice([-1.0, 1.0], 3) for _ in range(4)]
        squares += functools.reduce(np.convolve, signs) ** 2
    np.testing.assert_allclose(receptive_fields.influence(4), np.sqrt(squares / squares[4]), atol=0.04)


# ---- counting-parameters


def test_counting_numbers():
    found = numbers("counting-parameters")
    assert (found["full"], found["local"], found["shared"]) == (10**9, 10**5, 10**4)
    assert found["local_share"] == 1e-4
    assert found["three_layers"] == 16_020_000
    assert (found["ten_nodes"], found["nudges"]) == (10_310, 20_620_000)
    assert (found["lenet_eight"], found["lenet_six"], found["lenet_grey"]) == (62_958, 62_006, 61_706)
    assert found["cifar"] == 1_068_298


def test_tables_against_pytorch_layers():
    from torch.nn import Conv2d, Linear

    layers = [Conv2d(3, 8, 5), Conv2d(8, 16, 5), Linear(400, 120), Linear(120, 84), Linear(84, 10)]
    wanted = [sum(p.numel() for p in layer.parameters()) for layer in layers]
    assert [row.parameters for row in counting_parameters.lenet(8, 3) if row.parameters] == wanted
    assert wanted == [608, 3216, 48120, 10164, 850]
    cifar = [row.parameters for row in counting_parameters.cifar_network() if row.parameters]
    assert cifar == [4864, 102464, 885120, 73920, 1930]


# ---- one-by-one-convolution


def test_one_by_one_numbers():
    found = numbers("one-by-one-convolution")
    assert found["equality_gap"] < 1e-12
    assert (found["weights"], found["positions"]) == (32, 36)
    assert found["one_channel"] == pytest.approx(2)
    assert (found["direct"], found["reduced"]) == (120_422_400, 12_443_648)
    assert found["order_gap"] < 1e-12
    assert found["reddest_red"] > found["reddest_green"]
    linear = [torch.nn.Linear(25088, 4096), torch.nn.Linear(4096, 4096), torch.nn.Linear(4096, 1000)]
    assert found["head_flat"] == sum(p.numel() for layer in linear for p in layer.parameters())
    assert pointwise.dense_head(512) == 123_642_856  # VGG16's 138,357,544 less its trunk of 14,714,688


# ---- dense-as-convolution


def test_dense_as_convolution_numbers():
    found = numbers("dense-as-convolution")
    assert found["windows"] == 17 * 33
    assert found["gap"] < 1e-9
    assert found["accuracy"] > 0.9
    assert found["found"] >= 4
    assert found["notes_windows"] == 64


def test_any_weights_read_the_canvas_as_they_read_windows():
    generator = np.random.default_rng(0)
    shapes = ((8, 1, 3, 3), (8,), (32, 288), (32,), (11, 32), (11,))
    network = canvas.Network(*(generator.normal(size=shape) for shape in shapes))
    picture = generator.normal(size=(10, 12))
    scores = network.read_canvas(picture)
    assert scores.shape == (11, 3, 5)
    np.testing.assert_allclose(scores[:, 2, 4], network.read_window(picture[2:10, 4:12]), rtol=1e-9)


def test_multiplications_by_hand():
    # 14 x 14 windows every 2 pixels of 16 x 16: four; the convolution 5 x 5 x 3 x 16 at 10 x 10 or at 12 x 12 places
    windows, alone, together = canvas.multiplications(14, 16, 16, 2, 5, 16, 3, (400, 4))
    assert windows == 4
    assert alone == 4 * (100 * 1200 + 1600)
    assert together == 144 * 1200 + 4 * 1600


def test_parts_of_digits_are_moved_by_three_or_more():
    picture = np.zeros((1, 8, 8))
    picture[0, 4, 4] = 1
    moved = canvas.beside(np.repeat(picture, 300, axis=0), np.random.default_rng(0))
    for one in moved:
        places = np.argwhere(one)
        assert not len(places) or np.abs(places[0] - 4).max() >= 3


# ---- gabor-and-activations


def test_gabor_numbers():
    found = numbers("gabor-and-activations")
    assert found["selectivity"] > 2
    assert found["even_grey"] < 1e-12
    assert found["jets_found"] == 5
    assert found["fog_abs"] > found["fog_relu"] > found["fog_bias"]
    assert found["shift_gap"] < 1e-12
    assert found["turn_gap"] > 0.1 * found["turn_scale"]


def test_gabor_kernels_turn_with_their_angle():
    np.testing.assert_allclose(gabor.gabor(90), np.rot90(gabor.gabor(0)), atol=1e-12)
    for angle in gabor.ANGLES:
        assert gabor.gabor(angle).sum() == pytest.approx(0, abs=1e-12)


# ---- perturbation


def test_perturbation_numbers():
    found = numbers("perturbation")
    assert found["accuracy"] > 0.9
    assert 0 <= found["steady"] <= found["falls"] <= len(perturbation.CHANGES)
    assert found["fooled_right"] < found["random_right"]
    assert found["fooled_pool"] > found["random_pool"]
    for key in ("random", "trained"):
        assert found[f"{key}_share"] == pytest.approx(found[f"{key}_mean"] / found[f"{key}_apart"])
    assert found["trained_apart"] > found["random_apart"]
    assert found["trained_share"] < found["random_share"]


def test_relative_change_by_hand():
    before, after = np.array([[3.0, 4.0], [0.0, 2.0]]), np.array([[3.0, 4.0], [1.0, 2.0]])
    np.testing.assert_allclose(perturbation.relative_changes([before], [after]), [0.25])  # 0 and 1/2, averaged


def test_changes_change_what_they_say():
    pictures = np.random.default_rng(0).random((5, 8, 8))
    generator = np.random.default_rng(1)
    assert ((perturbation.two_pixels(pictures, generator) != pictures).sum(axis=(1, 2)) == 2).all()
    assert ((perturbation.doodle(pictures, generator) == 1).sum(axis=(1, 2)) == 4).all()
    np.testing.assert_array_equal(perturbation.moved(pictures, generator)[:, :, 1:], pictures[:, :, :-1])

"""What layers hold, and filters, on networks whose values are known; the texts' traps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_subject import bright_or_dark, tiny_subject
from torch import nn

from gradus.errors import UserError
from gradus.look.inside.activations import activations, blank_share, draw_output, scaled_maps, strip
from gradus.look.inside.filters import filters
from gradus.look.inside.scores import rank_correlation
from gradus.look.inside.subject import Picture


def picture(values: list[list[int]], name: str = "a") -> Picture:
    return Picture(name, np.array(values, dtype=np.uint8)[:, :, None])


def chain() -> nn.Sequential:
    """Channel 0: x - 0.5; channel 1: -x, nowhere above 0; then ReLU, dropout, and the mean of each channel."""
    convolution = nn.Conv2d(1, 2, 1)
    with torch.no_grad():
        convolution.weight.copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1))
        convolution.bias.copy_(torch.tensor([-0.5, 0.0]))
    return nn.Sequential(
        convolution, nn.ReLU(), nn.Dropout(0.9), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2)
    )


def test_every_layer_is_kept_as_it_was_and_zeros_are_counted():
    given = picture([[0, 255], [255, 255]])
    sight = activations(tiny_subject(chain(), size=2), [given])
    assert list(sight.arrays) == ["0", "1", "3", "5", "zeros"]
    np.testing.assert_allclose(sight.arrays["0"][0, 0], [[-0.5, 0.5], [0.5, 0.5]])
    np.testing.assert_allclose(sight.arrays["1"][0, 0], [[0, 0.5], [0.5, 0.5]])
    # after the ReLU 1 of 4 values of channel 0 and all of channel 1 are 0, after the convolution the corner of channel 1
    np.testing.assert_allclose(sight.arrays["zeros"], [1 / 8, 5 / 8, 1 / 2, 0])
    np.testing.assert_allclose(sight.arrays["3"][0, :, 0, 0], [0.375, 0])  # dropout is off


def test_activations_are_those_of_before_an_in_place_layer():
    model = chain()
    model[1].inplace = True
    sight = activations(tiny_subject(model, size=2), [picture([[0, 255], [255, 255]])])
    assert sight.arrays["0"].min() == -1


def test_scaled_maps_change_nothing_and_mark_channels_without_deviation():
    maps = np.stack([np.zeros((2, 2)), np.full((2, 2), 3.0), np.array([[0, 1], [2, 3.0]])])
    before = maps.copy()
    with np.errstate(all="raise"):
        shown = scaled_maps(maps)
    np.testing.assert_array_equal(maps, before)
    assert (shown[0] == 225).all()
    assert (shown[1] == 225).all()
    assert len(np.unique(shown[2].reshape(-1, 3), axis=0)) == 4


def test_a_channel_is_shown_around_the_middle_by_a_quarter_a_deviation():
    from gradus.look.inside.painting import coloured

    maps = np.array([[[-1.0, 1.0], [-1.0, 1.0]]])  # mean 0, deviation 1
    np.testing.assert_array_equal(scaled_maps(maps)[0, 0], coloured(np.array([0.25, 0.75])))


@pytest.mark.parametrize("count", [17, 33])
def test_no_channel_is_dropped_where_they_do_not_fill_the_last_row(count):
    maps = np.random.default_rng(0).random((count, 4, 4))
    shown, words = draw_output(maps, 0, "number", "channel")
    assert words.startswith(f"{count} channels of 4 x 4")
    rows = -(-count // (8 if count <= 64 else 16))
    assert shown.shape[0] > rows * 40  # each row has tiles of 40 pixels


def test_a_tile_is_one_channel_and_not_a_row_of_all_of_them():
    maps = np.zeros((3, 4, 4))
    maps[1, 0, 0] = 1
    shown, _ = draw_output(maps, 0, "number", "channel")
    grey = (shown == 225).all(axis=2)
    middle = shown.shape[0] // 3
    assert grey[middle, 20]
    assert not grey[middle, 60]
    assert grey[middle, 105]


def test_maps_that_are_higher_than_wide_stay_so():
    shown, words = draw_output(np.random.default_rng(0).random((1, 40, 10)), 0, "number", "channel")
    assert words.endswith("40 x 10")
    assert shown.shape[0] > 2 * shown.shape[1]


def test_the_strongest_come_first():
    maps = np.stack([np.full((2, 2), value) * np.eye(2) for value in (1.0, 5.0, 3.0)])
    words = draw_output(maps, 2, "strongest", "layer")[1]
    assert words.startswith("2 of 3 channels, strongest first")


def test_a_vector_is_a_strip_with_every_value_in_its_place():
    values = np.arange(120.0)
    shown = strip(values, cell=2, height=3)
    assert shown.shape == (6, 200, 3)
    assert (shown[3, 40:] == 255).all()  # 20 values in the second row
    assert (shown[0, 0] != shown[0, 2]).any()


def test_zeros_with_depth_and_how_far_two_pictures_are():
    assert rank_correlation(np.arange(4), np.array([0.1, 0.2, 0.3, 0.9])) == pytest.approx(1)
    assert np.isnan(rank_correlation(np.arange(3), np.array([1.0, 1.0, 1.0])))
    sight = activations(
        tiny_subject(chain(), size=2), [picture([[0, 255], [0, 0]]), picture([[0, 0], [0, 0]], "b")], layer="0"
    )
    # the first: channel 0 is (-.5, .5, -.5, -.5), channel 1 (0, -1, 0, 0); the second differs by 1 in both at one place
    assert sight.arrays["change"][0, 0] == pytest.approx(np.sqrt(2) / np.sqrt(2))


def test_blank_channels_are_counted():
    output = np.zeros((1, 4, 2, 2))
    output[0, 0, 0, 0] = 1
    assert blank_share(output) == 0.75


def test_mistakes_in_settings_are_named():
    subject = tiny_subject(chain(), size=2)
    with pytest.raises(UserError, match=r"unknown layer of tiny '7'"):
        activations(subject, [picture([[0, 255], [255, 255]])], layer="7")
    with pytest.raises(UserError, match="expected 1 or more"):
        activations(subject, [picture([[0, 255], [255, 255]])], channels=-1)


def test_filters_share_a_scale_and_say_what_is_no_convolution():
    subject = tiny_subject(chain(), size=2)
    sight = filters(subject, layer="0")
    np.testing.assert_array_equal(sight.arrays["weight"].ravel(), [1, -1])
    with pytest.raises(UserError, match="layer 5 is a Linear"):
        filters(subject, layer="5")
    with pytest.raises(UserError, match="no convolutions"):
        filters(tiny_subject(nn.Sequential(nn.Flatten(), nn.Linear(64, 2))))


@pytest.mark.parametrize("shape", [(5, 3, 7, 7), (6, 4, 3, 3), (6, 4, 1, 1), (9, 1, 5, 5)])
def test_filters_of_any_shape_are_drawn(shape, tmp_path):
    model = nn.Sequential(nn.Conv2d(shape[1], shape[0], shape[2:]))
    written = filters(tiny_subject(model, channels=shape[1])).write(tmp_path)
    assert [path.suffix for path in written] == [".html", ".png"]


def test_the_page_and_a_png_a_layer_are_written(tmp_path):
    subject = tiny_subject(chain(), size=8)
    given = Picture("x", bright_or_dark().pixels[1].numpy())
    written = activations(subject, [given]).write(tmp_path)
    assert {path.name for path in written} >= {"activations.html", "activations-0.png", "activations-input.png"}
    assert "script-src" not in written[0].read_text()


def test_a_folder_of_many_pictures_is_too_much():
    many = [Picture(str(index), np.zeros((8, 8, 1), dtype=np.uint8)) for index in range(17)]
    with pytest.raises(UserError, match="at most 16 pictures"):
        activations(tiny_subject(chain()), many)

"""Gradient ascent in input space, on networks whose wanted pictures are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_subject import Brightness, bright_or_dark, tiny_subject
from torch import nn

from gradus.errors import UserError
from gradus.look.inside.ascent import Ascent, frequency_weights, from_fourier, presentable, smooth, unit_gradient
from gradus.look.inside.class_wants import class_wants
from gradus.look.inside.subject import Picture
from gradus.look.inside.wants import answer_of, wants


def one_place(kernels: torch.Tensor) -> nn.Sequential:
    """A convolution that sees the whole picture at once: (F, C, H, W) kernels, one output each."""
    convolution = nn.Conv2d(kernels.shape[1], len(kernels), tuple(kernels.shape[2:]), bias=False)
    with torch.no_grad():
        convolution.weight.copy_(kernels)
    return nn.Sequential(convolution, nn.Flatten(), nn.Linear(len(kernels), 2))


def likeness(first: np.ndarray, second: np.ndarray) -> float:
    first, second = first - first.mean(), second - second.mean()
    return float((first * second).sum() / np.linalg.norm(first) / np.linalg.norm(second))


@pytest.mark.parametrize("method", ["pixels", "fourier"])
def test_a_linear_filter_wants_its_own_kernel(method):
    kernels = -torch.ones(2, 1, 8, 8)
    kernels[0, 0, 2:6, 2:6], kernels[1, 0, :, :4] = 1, 1
    sight = wants(tiny_subject(one_place(kernels)), layer="0", method=method, jitter=0, steps=60)
    for index in range(2):
        found = sight.arrays["0"][index, :, :, 0].astype(float)
        other = likeness(found, kernels[1 - index, 0].numpy())
        assert likeness(found, kernels[index, 0].numpy()) > max(0.8, other + 0.3)


def test_each_picture_of_a_batch_is_the_one_that_would_come_out_alone():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(64, 2))
    subject = tiny_subject(model)
    answer = answer_of(model, model[2])
    pictures = torch.rand(3, 1, 8, 8)

    def value(which):
        return lambda given: answer(given).gather(1, which[:, None])[:, 0]

    together = unit_gradient(value(torch.tensor([0, 1, 2])), pictures)
    alone = unit_gradient(value(torch.tensor([1])), pictures[1:2])
    torch.testing.assert_close(together[1:2], alone)
    assert subject.model is model


def test_the_gradient_is_divided_by_its_root_mean_square_and_goes_up():
    weights = torch.tensor([3.0, 4.0]).view(1, 1, 1, 2)
    gradient = unit_gradient(lambda given: (given * weights).sum(dim=(1, 2, 3)), torch.zeros(1, 1, 1, 2))
    # the root mean square of (3, 4) is sqrt(12.5); its L2 norm would be 5
    torch.testing.assert_close(gradient.ravel(), torch.tensor([3.0, 4.0]) / 12.5**0.5, rtol=1e-4, atol=1e-4)


def test_presentable_makes_a_new_picture_of_mean_a_half_and_deviation_a_tenth():
    pictures = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 7 + 5
    before = pictures.clone()
    shown = presentable(pictures)
    torch.testing.assert_close(pictures, before)
    assert shown.mean().item() == pytest.approx(0.5, abs=0.01)
    assert shown.std().item() == pytest.approx(0.1, abs=0.01)


def test_the_median_is_of_space_alone():
    pictures = torch.zeros(2, 3, 9, 9)
    pictures[0, 1] = 1  # a picture and a colour beside others
    pictures[1, 0, 4, 4] = 1  # a lone pixel
    smoothed = smooth(pictures)
    torch.testing.assert_close(smoothed[0], pictures[0])
    assert smoothed[1].abs().max() == 0


def test_what_is_written_is_uint8_with_more_than_white():
    kernels = torch.ones(1, 1, 8, 8)
    for method in ("pixels", "smoothed", "fourier"):
        sight = wants(tiny_subject(one_place(kernels)), layer="0", method=method, steps=3)
        assert sight.arrays["0"].dtype == np.uint8
        assert sight.panels[0].pixels.dtype == np.uint8
        assert sight.arrays["0"].min() < 255


def test_converged_is_held_against_real_pictures():
    kernels = torch.zeros(2, 1, 8, 8)
    kernels[0] = -1  # 0 at most, which the black picture gives
    kernels[1, 0, 0, 0] = 1
    black = Picture("black", np.zeros((8, 8, 1), dtype=np.uint8))
    sight = wants(tiny_subject(one_place(kernels)), [black], layer="0", steps=20, jitter=0)
    np.testing.assert_array_equal(sight.arrays["0.reference"], [0, 0])
    assert sight.numbers["converged"] == 0.5
    assert "the 1 picture given" in " ".join(sight.said)


def test_a_unit_that_is_silent_on_grey_is_tried_from_louder_noise():
    convolution = nn.Conv2d(1, 1, 3)
    with torch.no_grad():
        convolution.weight.fill_(1)
        convolution.weight[0, 0, 1, 1] = -8
        convolution.bias.fill_(-0.3)  # below 0 for flat pictures: a ReLU then gives no gradient
    model = nn.Sequential(convolution, nn.ReLU(), nn.Flatten(), nn.Linear(36, 2))
    sight = wants(tiny_subject(model), layer="1", jitter=0)
    assert sight.arrays["1.answer"][0] > 0


def test_all_convolutions_are_looked_at_where_no_layer_is_named_and_only_as_many_filters_as_there_are():
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Conv2d(3, 5, 3), nn.Flatten(), nn.Linear(80, 2))
    sight = wants(tiny_subject(model), filters=4, steps=2)
    assert sight.arrays["0"].shape == (3, 8, 8, 1)
    assert sight.arrays["1"].shape == (4, 8, 8, 1)
    assert [panel.name for panel in sight.panels] == ["converged", "0", "1"]


def test_the_same_seed_gives_the_same_bits_and_weights_stay_trainable():
    subject = tiny_subject(Brightness())
    first, second, other = (
        wants(subject, layer="features", steps=3, seed=seed).arrays["features"] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()
    assert all(parameter.requires_grad for parameter in subject.model.parameters())


def test_pictures_from_fourier_coefficients_are_natural_in_colour_and_scale():
    weights = frequency_weights(16)
    assert weights[0, 0] == weights[0, 1] == 16 * 16  # the mean weighs as much as the lowest wave
    pictures = from_fourier(torch.zeros(1, 3, 16, 9, 2), weights, 16)
    torch.testing.assert_close(pictures, torch.full((1, 3, 16, 16), 0.5))


def test_a_class_wants_what_it_is_answered_for_from_every_start():
    sight = class_wants(tiny_subject(Brightness(), classes=("dark", "bright")), of_class="bright,dark", starts=5)
    assert sight.arrays["bright"].shape == (5, 8, 8, 1)
    assert sight.arrays["bright"].mean() > 200 > 60 > sight.arrays["dark"].mean()
    assert sight.numbers == {"bright: sure": 1.0, "dark: sure": 1.0}
    assert len(np.unique(sight.arrays["bright"].reshape(5, -1), axis=0)) == 5  # five starts, five pictures


def test_a_class_that_no_picture_is_answered_as_is_told():
    model = Brightness()
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.copy_(torch.tensor([3.0, 0.0]))
    sight = class_wants(tiny_subject(model), of_class="1", starts=2, steps=2)
    assert sight.numbers == {"output 1: sure": 0.0}
    assert sight.arrays["output 1.probability"] == pytest.approx(1 / (1 + np.exp(3)))


def test_mistakes_are_told_in_a_sentence():
    subject = tiny_subject(Brightness(), classes=("dark", "bright"))
    with pytest.raises(UserError, match="which class"):
        class_wants(subject)
    with pytest.raises(UserError, match="did you mean 'bright'"):
        class_wants(subject, of_class="brigt")
    ranged = class_wants(subject, of_class="0-1", starts=1, steps=1)
    assert {"dark", "bright"} <= set(ranged.arrays)
    with pytest.raises(UserError, match="outputs 0 to 1, received 7"):
        class_wants(tiny_subject(Brightness()), of_class="7")
    with pytest.raises(UserError, match="starts is at least 1"):
        class_wants(subject, of_class="1", starts=0)
    with pytest.raises(UserError, match="no convolutions"):
        wants(tiny_subject(nn.Sequential(nn.Flatten(), nn.Linear(64, 2))))
    with pytest.raises(UserError, match="size must be at least 1"):
        Ascent(size=4, steps=-1)


def test_rows_serve_as_the_real_pictures(tmp_path):
    sight = wants(tiny_subject(Brightness(), rows=bright_or_dark()), layer="features", steps=2)
    assert "40 training pictures" in " ".join(sight.said)
    assert sight.arrays["features.reference"][0] > 0.8
    assert (tmp_path / "wants.html") in sight.write(tmp_path)

"""The looks that change pixels: style, texture, dream."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_sight import picture, subject, tensor
from torch import nn

from gradus.errors import UserError
from gradus.look.inside.dream import _goal, dream, mean_square, octave_shapes, resized, through_octaves
from gradus.look.inside.likeness import luminance
from gradus.look.inside.style import _coloured, style
from gradus.look.inside.texture import texture
from gradus.models import create_model
from gradus.recipes.looking import look

SMALL = {
    "height": 16,
    "iterations": 2,
    "evaluations": 4,
    "content_layers": "conv1_2",
    "style_layers": "conv1_1, conv2_1",
}
PICTURES = [picture(0), picture(1, 12, 18), picture(2, 20, 14)]


def made(*pictures, **settings):
    return style(subject(), pictures or PICTURES[:2], **(SMALL | settings))


def test_style_gives_pictures_numbers_and_a_page(tmp_path):
    sight = made(*PICTURES, iterations=3, start="noise", scale="relative")
    assert sight.arrays["picture"].shape == (16, 20, 3)
    assert sight.arrays["picture"].min() >= 0 and sight.arrays["picture"].max() <= 1
    assert {panel.name: panel.pixels.shape[:2] for panel in sight.panels if panel.name not in ("strip", "losses")} == {
        "content": (16, 20),
        "style-1": (16, 24),
        "style-2": (16, 11),
        "result": (16, 20),
    }
    assert "iteration 1" in next(panel.title for panel in sight.panels if panel.name == "strip")
    assert sight.numbers["loss"] < sight.numbers["loss_at_start"]
    assert sight.numbers["seconds_an_evaluation"] > 0
    lengths = {len(sight.arrays[f"loss_{name}"]) for name in ("content", "style", "variation", "range")}
    assert lengths == {sight.numbers["evaluations"]}
    written = sight.write(tmp_path)
    assert {path.name for path in written} >= {"style.html", "style-result.png", "style-style-2.png", "style-strip.png"}
    page = written[0].read_text()
    assert "<svg" in page and "style_weights" in page and page.count("<img") == 5


def test_the_same_seed_gives_the_same_picture_and_another_another():
    first, again, other = (made(start="noise", seed=seed).arrays["picture"] for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_a_style_of_weight_0_changes_nothing():
    alone = made(*PICTURES[:2]).arrays["picture"]
    beside = made(*PICTURES, style_weights=(2.0, 0.0)).arrays["picture"]
    mixed = made(*PICTURES, style_weights=(1.0, 1.0)).arrays["picture"]
    assert np.array_equal(alone, beside) and not np.array_equal(alone, mixed)


def test_content_alone_from_the_content_stays_the_content():
    sight = made(style_weight=0.0, variation=0.0)
    assert np.allclose(sight.arrays["picture"], PICTURES[0].pixels / 255, atol=1e-6)
    assert sight.numbers["loss_content"] < 1e-9 and "loss_style" not in sight.numbers


def test_luminance_keeps_the_content_s_chroma():
    sight = made(colours="luminance")
    content = torch.from_numpy(PICTURES[0].pixels / 255).permute(2, 0, 1)[None]
    result = torch.from_numpy(sight.arrays["picture"]).double().permute(2, 0, 1)[None]
    assert torch.allclose(result - luminance(result), content - luminance(content), atol=1e-5)
    assert float((luminance(result) - luminance(content)).abs().max()) > 1e-3


def test_matching_changes_what_is_seen_of_the_styles_and_not_of_the_content():
    content, one = tensor(0), tensor(1)
    seen, matched = _coloured(content, [one], "matched")
    assert seen is content
    assert torch.allclose(matched.mean((2, 3)), content.mean((2, 3)))
    free, matched = (made(colours=colours, content_weight=0.0).arrays["picture"] for colours in ("style", "matched"))
    assert not np.array_equal(free, matched)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"style_weights": (1.0, 2.0)}, "expected 1 weights"),
        ({"style_weights": (-1.0,)}, "0 or more"),
        ({"content_weight": 0.0, "style_weight": 0.0}, "not both 0"),
        ({"style_layers": "conv9_1"}, "conv9_1"),
        ({"iterations": 0}, "iterations"),
        ({"height": 0}, "height"),
    ],
)
def test_mistakes_are_told_in_one_sentence(settings, words):
    with pytest.raises(UserError) as raised:
        made(**settings)
    assert words in str(raised.value) and "\n" not in str(raised.value)


def test_a_style_is_asked_for():
    with pytest.raises(UserError, match="CONTENT STYLE"):
        made(PICTURES[0])


def test_a_picture_too_small_for_the_network_is_refused():
    seen = subject()
    seen.model.smallest_image_size = 21
    with pytest.raises(UserError, match="needs at least 21 pixels"):
        style(seen, PICTURES[:2], **SMALL)


def test_grey_networks_make_grey_pictures():
    pictures = [picture(seed, channels=1) for seed in (0, 1)]
    assert style(subject(channels=1), pictures, **SMALL).arrays["picture"].shape == (16, 20, 1)
    with pytest.raises(UserError, match="grey"):
        style(subject(channels=1), pictures, **SMALL, colours="luminance")


def test_settings_are_read_from_texts():
    chosen = {name: str(value) for name, value in SMALL.items()}
    sight = look(subject(), "style", PICTURES, **chosen, style_weights="[3, 1]", pooling="max", optimizer="adam")
    assert sight.numbers["evaluations"] == 8
    with pytest.raises(UserError, match="lbfgs"):
        look(subject(), "style", PICTURES, optimizer="bfgs")
    with pytest.raises(UserError, match="style_layers"):
        look(subject(), "style", PICTURES, style_layer="conv1_1")


# --- texture


def test_the_texture_of_a_constant_picture_is_constant():
    """Features (1, r, g, b): their Gram matrix holds the means and the mean squares, so it is that of no other picture."""
    convolution = nn.Conv2d(3, 4, 1)
    with torch.no_grad():
        convolution.weight.zero_()
        convolution.weight[1:, :, 0, 0] = torch.eye(3)
        convolution.bias.copy_(torch.tensor([1.0, 0, 0, 0]))
    constant = picture(0)
    colour = np.array([200, 120, 40])
    constant.pixels[:] = colour
    chosen = {"sample_height": 12, "height": 9, "width": 14, "iterations": 8, "variation": 0.0}
    sight = texture(subject(nn.Sequential(convolution)), [constant], layers="0", **chosen)
    result = sight.arrays["picture"]
    assert result.shape == (9, 14, 3)
    assert np.abs(result - colour / 255).max() < 0.04  # ten levels of 255, where L-BFGS stops
    assert sight.numbers["loss"] < 1e-4 * sight.numbers["loss_at_start"]


def test_texture_at_another_size_lowers_the_loss_and_repeats_itself():
    chosen = {
        "layers": "conv1_1, conv2_1",
        "sample_height": 16,
        "height": 10,
        "width": 31,
        "iterations": 3,
        "evaluations": 6,
    }
    first, again = (texture(subject(), [picture(1)], **chosen) for _ in range(2))
    assert first.arrays["picture"].shape == (10, 31, 3)
    assert np.array_equal(first.arrays["picture"], again.arrays["picture"])
    assert first.numbers["loss"] < 0.5 * first.numbers["loss_at_start"]
    with pytest.raises(UserError, match="one picture"):
        texture(subject(), PICTURES, **chosen)


# --- dream


def test_octaves_have_the_text_s_shapes():
    assert octave_shapes((400, 600), 3, 1.4) == [(204, 306), (285, 428), (400, 600)]
    assert octave_shapes((300, 300), 1, 1.4) == [(300, 300)]


def test_without_climbing_the_lost_detail_makes_the_original_again():
    original = tensor(3, height=30, width=41)
    shapes = octave_shapes((30, 41), 3, 1.4)
    seen = through_octaves(original, shapes, lambda pixels: pixels)
    assert [tuple(one.shape[2:]) for one in seen] == shapes
    for shape, one in zip(shapes, seen, strict=True):
        assert torch.allclose(one, resized(original, shape), atol=1e-12)
    blurred = resized(resized(original, shapes[0]), shapes[-1])
    assert float((blurred - original).abs().max()) > 0.01  # what would be left without it


def test_what_is_climbed_in_an_octave_is_added_to_the_original():
    original, shapes = tensor(3), octave_shapes((16, 20), 2, 1.4)
    seen = through_octaves(original, shapes, lambda pixels: pixels + 0.25)
    assert torch.allclose(seen[0], resized(original, shapes[0]) + 0.25)
    assert torch.allclose(seen[1], original + 0.5)


def test_the_border_counts_neither_in_the_sum_nor_in_the_divisor():
    """A constant 3 has mean square 9, whatever the size of its map; the listing's divisor gives 9 (6 x 8) / (10 x 12)."""
    maps = torch.full((1, 4, 10, 12), 3.0)
    maps[:, :, :2] = maps[:, :, -2:] = 100
    maps[:, :, :, :2] = maps[:, :, :, -2:] = 100
    assert float(mean_square(maps)) == 9
    assert float(mean_square(torch.full((1, 4, 3, 12), 3.0))) == 9  # too small to lose a border
    assert float(mean_square(torch.full((1, 4), 3.0))) == 9


def test_dream_climbs_in_every_octave_and_has_the_picture_s_shape():
    sight = dream(subject(), [picture(1, 24, 30)], layers="conv1_2=0.5, conv2_1=2", height=24, steps=5)
    assert sight.arrays["picture"].shape == (24, 30, 3)
    losses = sight.arrays["loss"].reshape(3, 5)
    assert (np.diff(losses, axis=1) > 0).all()
    assert [panel.name for panel in sight.panels] == ["original", "octave-1", "octave-2", "result", "losses"]
    again = dream(subject(), [picture(1, 24, 30)], layers="conv1_2=0.5, conv2_1=2", height=24, steps=5)
    assert np.array_equal(sight.arrays["picture"], again.arrays["picture"])


def test_a_limit_ends_an_octave_not_the_dream():
    free = dream(subject(), [picture(1, 24, 30)], layers="conv2_1", height=24, steps=6)
    limit = float(free.arrays["loss"][2])
    bounded = dream(subject(), [picture(1, 24, 30)], layers="conv2_1", height=24, steps=6, limit=limit)
    assert 3 < bounded.numbers["evaluations"] < 18
    assert bounded.arrays["octave_3"].shape == (24, 30, 3)


def test_a_network_for_one_size_dreams_in_its_maps_and_tells_where_it_cannot():
    sized = replace(subject(create_model("lenet5", in_channels=3)), size=28)
    sight = dream(sized, [picture(1, 40, 50)], height=40, octaves=1, steps=2)
    assert sight.said == ["The mean squares of features (1) grow."]
    for wrong in ({"layer": "hidden"}, {"of_class": "two"}):
        with pytest.raises(UserError, match="made for pictures of 28 x 28; name layers before its dense ones"):
            dream(sized, [picture(1, 40, 50)], height=40, octaves=1, steps=2, **wrong)


def test_several_classes_grow_together():
    seen, inputs = subject(), torch.randn(1, 3, 16, 16)
    objective, said = _goal(seen, "", "", None, "0-1,three")
    assert said == "The score of one, two, three grows."
    assert float(objective(inputs).detach()) == pytest.approx(float(seen.model(inputs).detach().mean()), rel=1e-5)
    with pytest.raises(UserError, match="unknown class '3'"):
        _goal(seen, "", "", None, "3")


@pytest.mark.parametrize("goal", [{"layer": "conv2_1", "filter": 4}, {"of_class": "two"}])
def test_a_filter_or_a_class_can_be_the_goal(goal):
    seen = subject()
    objective, said = _goal(seen, "", goal.get("layer", ""), goal.get("filter"), goal.get("of_class", ""))
    inputs = torch.randn(1, 3, 16, 16)
    expected = seen.model(inputs)[0, 1] if "of_class" in goal else seen.model.features(inputs)[0, 4].mean()
    assert float(objective(inputs).detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    assert ("two" if "of_class" in goal else "Filter 4") in said
    sight = dream(seen, [picture(1)], **goal, height=16, octaves=1, steps=6)
    assert sight.numbers["loss"] > sight.numbers["loss_at_start"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"layer": "conv2_1", "filter": 8}, "filters 0 to 7"),
        ({"filter": 3}, "give layer"),
        ({"layer": "conv2_1", "of_class": "two"}, "one of them"),
        ({"of_class": "twoo"}, "two"),
        ({"octave_scale": 1.0}, "octave_scale"),
        ({"layers": "mixed2"}, "mixed2"),
    ],
)
def test_mistakes_in_dreams_are_told_in_one_sentence(settings, words):
    with pytest.raises(UserError) as raised:
        dream(subject(), [picture(1)], height=16, **settings)
    assert words in str(raised.value) and "\n" not in str(raised.value)

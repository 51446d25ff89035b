"""Settings of augmentation: what is refused, what is told, what the presets say."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gradus import settings
from gradus.data.augment.settings import PRESETS, AugmentSettings, factors, get_preset
from gradus.errors import UserError
from gradus.recipes.recipe import Recipe, read_recipe, write_recipe


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rotation": 400.0}, "augment.rotation: expected 0 to 180 degrees, received 400"),
        ({"shift_horizontal": -0.1}, "augment.shift_horizontal: expected 0 to 1 of the width, received -0.1"),
        ({"flip_vertical": 2.0}, "augment.flip_vertical: expected 0 to 1, received 2"),
        ({"noise": float("nan")}, "augment.noise: expected 0 to 255 levels, received nan"),
        ({"zoom": 1.0}, "augment.zoom: expected 0 to below 1, or [least, largest] with factors up to 10, received 1"),
        ({"zoom": (0.0, 1.0)}, "received [0.0, 1.0]"),
        ({"contrast": (1.5, 0.5)}, "augment.contrast: expected 0 to 1, or [least, largest]"),
        ({"contrast": (1.5,)}, "received [1.5]"),
        ({"crop_area": (0.5, 1.5)}, "augment.crop_area: expected [least, largest] above 0 and at most 1"),
        ({"crop_area": (0.5, 1.0), "pad": 4}, "augment.crop_area and augment.pad both choose what is cut out"),
        ({"crop_area": (0.5, 1.0), "random_crop": True}, "augment.crop_area and augment.random_crop both choose"),
    ],
)
def test_what_cannot_be_is_told(given, message):
    with pytest.raises(UserError) as raised:
        AugmentSettings(**given)
    assert message in str(raised.value) and "  " not in str(raised.value)


def test_a_factor_is_a_number_or_a_pair():
    for text, expected in (("0.2", (0.8, 1.2)), ("[0.5, 2]", (0.5, 2.0))):
        values = settings.override({}, f"augment.zoom={text}", Recipe)
        assert factors(settings.from_dict(Recipe, values).augment.zoom) == pytest.approx(expected)
    with pytest.raises(UserError, match=r"augment\.zoom"):
        settings.override({}, "augment.zoom=much", Recipe)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_a_file(name, tmp_path):
    recipe = Recipe(augment=get_preset(name))
    (tmp_path / "recipe.toml").write_text(write_recipe(recipe))
    assert read_recipe(tmp_path / "recipe.toml") == recipe
    assert recipe.augment.is_on == (name != "none")
    assert bool(recipe.augment.describe()) == (name != "none")


def test_an_unknown_preset_has_a_neighbour():
    with pytest.raises(UserError, match="unknown augmentation 'stronk'; did you mean 'strong'"):
        get_preset("stronk")


def test_what_only_says_how_does_nothing():
    assert not AugmentSettings(fill="wrap", fill_value=3, zoom_sides="apart", crop_aspect=(0.5, 2.0)).is_on


def test_the_book_is_listing_5_11():
    assert get_preset("book").describe() == (
        "rotation 40, shift horizontal 0.2, shift vertical 0.2, shear 11.46, zoom 0.2, zoom sides apart, "
        "flip horizontal 0.5, fill nearest"
    )


def test_settings_need_no_torch():
    code = "import sys, gradus.data.augment.settings; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

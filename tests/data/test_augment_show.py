"""`gradus data show DATA --augment`: the picture that the texts have of one cat."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from gradus.cli import main
from gradus.data.augment.settings import AugmentSettings, get_preset
from gradus.data.load import load_data
from gradus.errors import UserError
from gradus.look.augmented import draw_augmented


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 coloured pictures of several sizes in two classes."""
    path = tmp_path_factory.mktemp("pictures") / "animals"
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 256, (20 + number, 30, 3), dtype=np.uint8)
        file = path / ("cat" if number % 2 else "dog") / f"{number:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        PillowImage.fromarray(pixels).save(file)
    return path


def gradus(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return ended.value.code


@pytest.mark.parametrize("name", ["book", "strong", "tutorial", "alexnet"])
def test_pictures_are_drawn_beside_their_versions(name: str, folder: Path, tmp_path: Path):
    file = tmp_path / "shown.png"
    rows = draw_augmented(load_data(folder), get_preset(name), file, pictures=2, versions=3)
    assert rows.shape == (2, 4, 150, 150, 3)
    assert PillowImage.open(file).size[0] > 400
    assert not any(np.array_equal(rows[:, 0], rows[:, version]) for version in (1, 2, 3))
    again = draw_augmented(load_data(folder), get_preset(name), file, pictures=2, versions=3)
    other = draw_augmented(load_data(folder), get_preset(name), file, pictures=2, versions=3, seed=1)
    assert np.array_equal(rows, again) and not np.array_equal(rows, other)


def test_without_changes_all_are_alike(tmp_path: Path):
    rows = draw_augmented(load_data("digits"), AugmentSettings(), tmp_path / "shown.png", pictures=2, versions=2)
    assert rows.shape == (2, 3, 8, 8, 1)
    assert np.array_equal(rows[:, 0], rows[:, 1]) and np.array_equal(rows[:, 0], rows[:, 2])


def test_the_command(in_empty_folder: Path, capsys: pytest.CaptureFixture):
    assert gradus("data", "show", "digits", "--augment", "digits", "--set", "augment.rotation=5", "--seed", "3") == 0
    assert capsys.readouterr().out.splitlines() == [
        "rotation 5, shift horizontal 0.1, shift vertical 0.1, shear 5, zoom 0.1, fill nearest",
        "augmented-digits.png",
    ]
    assert (in_empty_folder / "augmented-digits.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("digits", "--augment", "dgits"), "unknown augmentation 'dgits'; did you mean 'digits'?"),
        (("digits", "--set", "train.epochs=3"), "--set train.epochs=3: only augment.FIELD=VALUE changes what is drawn"),
        (("digits", "--set", "augment.zom=3"), "unknown setting 'augment.zom'; did you mean 'zoom'?"),
        (("digits", "--augment", "light", "--seed", "x"), "--seed: expected a whole number, received 'x'"),
        (("wine", "--augment", "light"), "wine: there are no pictures to augment; columns: "),
    ],
)
def test_mistakes_are_told(arguments, message, in_empty_folder: Path, capsys: pytest.CaptureFixture):
    assert gradus("data", "show", *arguments) == 2
    assert message in capsys.readouterr().err
    assert not list(in_empty_folder.iterdir())


def test_a_preset_and_a_setting_make_a_recipe():
    from gradus import cli
    from gradus.cli.flags import recipe_of

    line = ["train", "--data", "digits", "--augment", "book", "--set", "augment.rotation=20"]
    recipe = recipe_of(cli.parse(line))
    assert (recipe.augment.rotation, recipe.augment.shear, recipe.augment.zoom_sides) == (20, 11.46, "apart")
    with pytest.raises(UserError, match="unknown augmentation 'bok'; did you mean 'book'"):
        recipe_of(cli.parse([*line[:4], "bok"]))

"""The looks by the command, on runs trained in seconds, and on real weights where they are."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gradus.cli import main
from gradus.errors import UserError
from gradus.look.inside.table import LOOKS
from gradus.recipes.looking import look, read_pictures, subject_of

DATA = Path(os.environ.get("GRADUS_DATA", "").split(os.pathsep)[0] or "no such folder")
WEIGHTS = DATA / "weights" / "squeezenet1_0-imagenet.safetensors"
OURS = ("activations", "filters", "wants", "class-wants", "separability", "embeddings", "mistakes", "lesion")
SMALL = {
    "activations": ["test:3"],
    "wants": ["--set", "filters=2", "--set", "steps=2"],
    "class-wants": ["--class", "3", "--set", "starts=2", "--set", "steps=2"],
    "separability": ["--set", "rows=60"],
    "embeddings": ["test:3", "--set", "rows=40"],
    "mistakes": ["--set", "most=4"],
    "lesion": ["--set", "of=channels", "--set", "rows=20", "--set", "draws=1", "--set", "most=2"],
}


def command(*arguments: str) -> None:
    """Runs the command line as a user does; it must end well."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert ended.value.code == 0


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "digits"
    command("train", "--data", "digits", "--model", "mnist_convnet", "--epochs", "1", "--out", str(path))
    return path


@pytest.mark.parametrize("what", OURS)
def test_the_command_writes_a_page_and_pictures_and_says_what_was_measured(what, digits_run, tmp_path, capsys):
    assert what in LOOKS
    command("look", str(digits_run), what, *SMALL.get(what, []), "--out", str(tmp_path), "--json")
    said = json.loads(capsys.readouterr().out)
    assert said["look"] == what
    assert Path(said["files"][0]).name == f"{what}.html"
    assert all(Path(name).stat().st_size > 100 for name in said["files"])
    assert all(np.isfinite(value) for value in said["numbers"].values())


def test_a_row_comes_with_its_own_label(digits_run):
    subject = subject_of(str(digits_run))
    (picture,) = read_pictures(subject, ["test:7"])
    rows = subject.rows("test")
    np.testing.assert_array_equal(subject.pixels([picture])[0], rows.pixels[7].numpy())
    assert picture.label == int(rows.labels[7])
    assert picture.name == "test:7"  # as it was asked for, and as `mistakes` and the map of `embeddings` name it
    assert rows.sample(len(rows)).names[7] == "test:7"
    assert subject.class_name(picture.label) == str(picture.label)


def test_networks_of_grey_pictures_see_them_grey(digits_run, tmp_path):
    Image.new("RGB", (30, 30), (9, 99, 200)).save(tmp_path / "blue.png")
    given = subject_of("mnist_convnet", weights=str(digits_run))
    for subject, size in ((given, 18), (subject_of("lenet5"), 28), (subject_of("squeezenet1_1"), 224)):
        inputs = subject.inputs(read_pictures(subject, [tmp_path / "blue.png"]))
        assert inputs.shape == (1, subject.channels, size, size) and len(subject.model(inputs)) == 1
    assert (given.channels, subject.channels) == (1, 3)
    run = subject_of(str(digits_run))
    seen = [one.inputs(read_pictures(one, [tmp_path / "blue.png"])) for one in (given, run)]
    np.testing.assert_allclose(*seen, atol=1e-5)


def test_a_table_is_looked_into_by_its_columns(tmp_path, capsys):
    path = tmp_path / "wine"
    command("train", "--data", "wine", "--model", "mlp", "--epochs", "2", "--out", str(path))
    capsys.readouterr()
    command("look", str(path), "boundary", "--set", "columns=alcohol,hue", "--set", "resolution=20", "--json")
    said = json.loads(capsys.readouterr().out)
    assert [Path(name).name for name in said["files"]] == ["boundary.html", "boundary-regions.png"]
    subject = subject_of(str(path))
    alcohol = subject.numbers["alcohol"].values(subject.rows("test").inputs)
    assert 11 < alcohol.min() < alcohol.max() < 15  # in its own units
    with pytest.raises(
        UserError, match="looks into networks for pictures or pictures that it makes, wine is one for tables"
    ):
        look(subject, "filters")


def test_looks_that_need_rows_say_so(digits_run):
    with pytest.raises(UserError, match="needs labelled rows; look into a run, or give --data"):
        look(subject_of("squeezenet1_1"), "separability")
    with pytest.raises(UserError, match="looks into networks for tables, digits is one for pictures"):
        look(subject_of(str(digits_run)), "boundary")
    with pytest.raises(UserError, match="sees coloured pictures only"):
        subject_of("squeezenet1_1", data="digits")


@pytest.mark.skipif(
    not WEIGHTS.exists() or not (DATA / "cats_vs_dogs").exists(), reason="GRADUS_DATA has no weights or cats"
)
def test_real_weights_grow_sparser_tell_cats_from_dogs_and_make_a_goldfish():
    subject = subject_of("squeezenet1_0", weights=str(WEIGHTS), data="cats_vs_dogs")
    cat = read_pictures(subject, ["test:5"])
    assert look(subject, "activations", cat).numbers["zeros_with_depth"] > 0.3
    near = look(subject, "embeddings", rows=60, neighbours=3)
    assert near.numbers["neighbours_of_its_class"] > 0.6
    fish = look(subject, "class-wants", of_class="1", starts=1, size=96, steps=40)
    assert max(fish.numbers.values()) == 1

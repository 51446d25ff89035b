"""The looks that say why, as a user types them, on a small network trained for seconds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gradus import cli


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """mnist_convnet on digits of 8x8 pixels, which it sees enlarged."""
    path = tmp_path_factory.mktemp("runs") / "digits-run"
    with pytest.raises(SystemExit) as ended:
        cli.main(["train", "--data", "digits", "--model", "mnist_convnet", "--epochs", "2", "--out", str(path)])
    assert not ended.value.code
    return path


@pytest.fixture
def look(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> Callable:
    def typed(what: str, *arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main(["look", str(run), what, *map(str, arguments), "--out", str(tmp_path / "out")])
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return typed


@pytest.mark.parametrize("what", ["saliency", "occlusion", "integrated-gradients", "grad-cam"])
def test_a_map_of_a_row_of_the_run(look, tmp_path: Path, what: str):
    code, out, error = look(what, "test:3", "--class", "3", "--class", "8", "--json")
    assert code == 0, error
    told = json.loads(out)
    assert len([name for name in told["numbers"] if name.startswith("certainty of")]) == 2
    page, picture = map(Path, told["files"])
    assert page.read_text().startswith("<!DOCTYPE html>") and picture.name == f"{what}-0.png"
    with Image.open(picture) as shown:
        assert shown.width > 3 * 200 and shown.height > 200  # the picture and two maps, enlarged


def test_a_picture_of_any_size_and_several_settings(look, tmp_path: Path):
    drawn = np.random.default_rng(0).integers(0, 256, (40, 70, 3), dtype=np.uint8)
    Image.fromarray(drawn).save(tmp_path / "mine.png")
    arguments = [
        "--set",
        "samples=3",
        "--set",
        "guided=true",
        "--set",
        "times_input=true",
        "--set",
        "scores=probability",
    ]
    code, out, error = look("saliency", tmp_path / "mine.png", *arguments)
    assert code == 0, error
    assert out.count("%") >= 5  # the top answers with their certainty
    code, out, error = look("grad-cam", tmp_path / "mine.png", "--layer", "features.0", "--class", "1,2,3")
    assert code == 0, error


def test_adversarial_and_robustness(look):
    code, out, error = look("adversarial", "test:3", "--set", "steps=3", "--json")
    assert code == 0, error
    code, out, error = look(
        "robustness", "--set", "count=40", "--set", "epsilons=[4, 16]", "--set", "steps=2", "--json"
    )
    assert code == 0, error
    numbers = json.loads(out)["numbers"]
    assert numbers["accuracy at 0, fast gradient sign"] > numbers["accuracy at 16, fast gradient sign"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["cam", "test:3"], "global average pooling"),
        (["grad-cam", "test:3", "--layer", "head"], "must give maps"),
        (["grad-cam", "test:3", "--layer", "feature"], "features"),
        (["grad-cam", "test:3", "--class", "30"], "class"),
        (["grad-cam", "test:3", "--set", "scores=softmax"], "score, probability"),
        (["grad-cam"], "which picture"),
        (["occlusion", "test:3", "--set", "patch=99"], "patch must be"),
        (["occlusion", "test:3", "--set", "opacity=2"], "opacity"),
        (["integrated-gradients", "test:3", "--set", "steps=0"], "steps"),
        (["integrated-gradients", "test:3", "--set", "baseline=blak"], "black"),
        (["pointing"], "boxes=FILE"),
        (["saliency", "test:99999"], "rows 0 to 358"),
    ],
)
def test_mistakes_are_one_sentence_and_write_nothing(look, tmp_path: Path, arguments: list[str], told: str):
    code, _, error = look(*arguments)
    assert code == 2 and error.startswith("gradus: ") and error.count("\n") == 1, error
    assert told in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("below", ["", "there"])
def test_a_folder_that_cannot_be_is_told_before_anything_is_computed(run: Path, tmp_path: Path, capsys, below: str):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as ended:
        cli.main(["look", str(run), "saliency", "none.png", "--out", str(tmp_path / "file" / below)])
    said = capsys.readouterr().err
    assert ended.value.code == 2 and said.endswith(f"{tmp_path / 'file'} is no folder that can be written to\n")

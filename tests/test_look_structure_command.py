"""`gradus look ... structure` as a user types it: what it prints and writes, files of one's own, runs, mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

import gradus as library
from gradus import cli
from gradus.errors import UserError
from gradus.look.inside.structure import structure
from gradus.recipes.looking import look, subject_of
from gradus.recipes.networks import network_of

OWN = """
import numpy as np
import torch
from torch import nn

class Two(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.picture = nn.Sequential(nn.Conv2d(1, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.tokens, self.head = nn.EmbeddingBag(9, 3), nn.Linear(width + 3, 2)

    def forward(self, picture, tokens):
        return self.head(torch.cat([self.picture(picture), self.tokens(tokens)], 1))

class Choosing(nn.Module):
    def __init__(self):
        super().__init__()
        self.line = nn.Linear(3, 2)

    def forward(self, inputs):
        return self.line(inputs) if float(inputs.abs().sum()) > 0 else inputs
"""


@pytest.fixture
def gradus(capsys: pytest.CaptureFixture, in_empty_folder: Path):
    """Runs a command line in an empty folder; returns (exit code, all that was printed, and the errors)."""
    Path("own.py").write_text(OWN)

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main(list(arguments))
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


def test_a_network_of_the_table(gradus):
    code, told, _ = gradus("look", "lenet5", "structure")
    assert code == 0
    lines = told.splitlines()
    assert lines[0].split()[:4] == ["layer", "kind", "output", "window"] and lines[13].split()[:2] == ["head", "Linear"]
    assert lines[15].startswith("61,706 parameters (241 KiB)")
    assert "written: look/lenet5/structure.html and 3 files beside it" in told
    folder = Path("look/lenet5")
    assert {path.name for path in folder.iterdir()} == {
        *("structure.html", "structure-drawing.png", "structure-volumes.png", "structure.csv"),
    }
    page = (folder / "structure.html").read_text()
    assert "conv 5x5, 6, pad 2" in page and "16 @ 10x10" in page and "<img" not in page
    with Image.open(folder / "structure-drawing.png") as picture:
        assert picture.height > picture.width > 200


def test_vectors_and_options_of_the_network(gradus):
    options = ["--set", "model.options.hidden=[8, 6]", "--set", "model.options.in_features=5"]
    code, told, _ = gradus("look", "mlp", "structure", *options, "--set", "depth=1", "--json", "--out", "there")
    found = json.loads(told)
    assert code == 0 and found["parameters"] == (5 * 8 + 8) + (8 * 6 + 6) + (6 * 10 + 10)
    assert [layer["name"] for layer in found["layers"]] == ["input", "flatten", "features", "head"]
    assert found["inputs"] == [[5]] and "there/structure.html" in found["files"]
    _, told, _ = gradus("look", "mlp", "structure")
    assert told.startswith("note: taken for granted: num_classes=10 and in_features=784")


def test_a_shape_of_ones_own_and_a_long_table_is_summed(gradus):
    code, told, _ = gradus("look", "squeezenet1_0", "structure", "--input-shape", "1,64,64")
    assert code == 0 and "(summed; all 67 layers: --set depth=all)" in told
    rows = {line.split()[0]: line.split()[1:3] for line in told.splitlines() if line}
    assert rows["input"] == ["input", "1x64x64"] and rows["features.3"] == ["Fire", "128x14x14"]
    _, told, _ = gradus("look", "squeezenet1_0", "structure", "--set", "depth=stages")
    assert [line.split()[0] for line in told.splitlines()[1:7]] == [
        "input",
        "stem",
        "block1",
        "block2",
        "block3",
        "head",
    ]


def test_a_module_of_ones_own(gradus):
    shapes = ["--input-shape", "1x8x8", "--input-shape", "5:int", "--set", "model.options.width=6"]
    code, told, _ = gradus("look", "--file", "own.py:Two", "structure", *shapes)
    assert code == 0 and "look/Two/structure.html" in told
    assert next(line for line in told.splitlines() if line.startswith("cat")).endswith("picture.3, tokens")
    code, told, _ = gradus("look", "structure", "--file", "own.py:Choosing")
    assert code == 0 and "What happens depends on the values" in told


def test_a_run(gradus):
    code, *_ = gradus("train", "--data", "wine", "--model", "mlp", "--epochs", "1", "--out", "run")
    assert code == 0
    code, told, _ = gradus("look", "run", "structure")
    assert (
        code == 0 and told.splitlines()[1].split()[:3] == ["input", "input", "13"] and "run/look/structure.html" in told
    )
    code, _, said = gradus("look", "run", "structure", "--set", "model.options.hidden=[2]")
    assert code == 2 and "the network of a run is as it was trained" in said


def test_a_run_on_pictures(gradus):
    code, *_ = gradus("train", "--data", "digits", "--model", "lenet5", "--epochs", "1", "--out", "run")
    assert code == 0
    code, told, said = gradus("look", "run", "structure")
    assert code == 0, said
    assert told.splitlines()[1].split()[:3] == ["input", "input", "1x28x28"]
    code, *_ = gradus("train", "--data", "digits", "--model", "mlp", "--epochs", "1", "--out", "vectors")
    code, told, _ = gradus("look", "vectors", "structure")
    assert code == 0 and told.splitlines()[1].split()[0] == "input"


MISTAKES = [
    (["lenet6", "structure"], "lenet6: neither a run nor a network; did you mean 'lenet5'?"),
    (["lenet5", "structur"], "unknown look 'structur'; did you mean 'structure'?"),
    (["lenet5", "structure", "--set", "dept=2"], "structure has no setting 'dept'; did you mean 'depth'?"),
    (
        ["lenet5", "structure", "--set", "depth=two"],
        "depth: expected a number above 0, 'stages' or 'all', received 'two'",
    ),
    (
        ["lenet5", "structure", "--set", "model.options.clases=2"],
        "lenet5 has no option 'clases'; did you mean 'num_classes'?",
    ),
    (["lenet5", "structure", "--input-shape", "3,a"], "--input-shape: expected sizes above 0 such as 3,32,32"),
    (
        ["squeezenet1_0", "structure", "--input-shape", "3,9,9"],
        "squeezenet1_0 cannot take 3x9x9, in features.6 (MaxPool2d): ",
    ),
    (["--file", "own.py:Tow", "structure"], "unknown class of own.py 'Tow'; did you mean 'Two'?"),
    (["--file", "own.py:Two", "filters"], "filters: --file and --input-shape are for `gradus look ... structure`"),
    ([".", "structure"], ".: this is not a whole run (recipe.toml is missing)"),
]


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES, ids=[sentence[:24] for _, sentence in MISTAKES])
def test_mistakes_are_one_sentence(gradus, arguments, sentence):
    code, told, said = gradus("look", *arguments)
    assert code == 2 and told == ""
    assert said.startswith(f"gradus: {sentence}") and said.count("\n") == 1 and not Path("look").exists()


def test_in_python(in_empty_folder):
    sight = look(network_of("lenet5"), "structure", depth="1")
    assert sight.record["parameters"] == 61_706 and sight.panels[0].pixels.ndim == 3
    subject = subject_of("squeezenet1_1", num_classes=3)
    assert structure(subject).record["layers"][-1]["shape"] == [3]
    with pytest.raises(UserError, match="it needs a network with its pictures"):
        look(network_of("lenet5"), "filters")
    assert library.summarize(subject.model, (3, 64, 64)).parameters == 1_235_496 - 513_000 + 513 * 3


def test_a_network_for_pictures_of_any_size_is_shown_at_the_size_of_its_authors_and_once(gradus):
    _, told, _ = gradus("look", "squeezenet1_1", "structure")
    lines = told.splitlines()
    assert lines[1].split()[:3] == ["input", "input", "3x224x224"]
    assert sum(line.split()[:2] == ["layer", "kind"] for line in lines) == 1  # the table of all layers is the page's

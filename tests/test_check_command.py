"""`gradus check` as a user types it: what it prints, its exit codes, and what a mistake is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gradus import cli

FAULTY = """
import torch
from torch import nn

class Square(torch.autograd.Function):
    @staticmethod
    def forward(context, inputs):
        context.save_for_backward(inputs)
        return inputs**2

    @staticmethod
    def backward(context, gradient):
        return gradient * context.saved_tensors[0]  # the factor 2 is missing

class Squares(nn.Module):
    def forward(self, inputs):
        return Square.apply(inputs)

class Net(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.first, self.squares, self.last = nn.Linear(3, width), Squares(), nn.Linear(width, 2)
        self.idle = nn.Linear(2, 2)

    def forward(self, inputs):
        return self.last(self.squares(self.first(inputs)))
"""


@pytest.fixture
def gradus(capsys: pytest.CaptureFixture, in_empty_folder: Path):
    """Runs a command line in an empty folder; returns (exit code, standard output, standard error)."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main(list(arguments))
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


def test_a_network_of_the_table(gradus):
    code, told, error = gradus("check", "mlp", "--set", "hidden=[4]", "--set", "activation=tanh")
    assert (code, error) == (0, "")
    lines = told.splitlines()
    assert lines[0] == "mlp: 2 rows of 12 in float64, evaluation mode, up to 10 numbers a tensor"
    assert [line.split()[:2] for line in lines[3:6]] == [
        ["features.0", "Linear"],
        ["features.1", "Tanh"],
        ["head", "Linear"],
    ]
    assert lines[-1].startswith("good: worst relative error ")


def test_a_faulty_module_of_ones_own(gradus):
    Path("mine.py").write_text(FAULTY)
    code, told, error = gradus("check", "--file", "mine.py:Net", "--set", "width=5", "--input-shape", "3")
    assert code == 1 and error == ""
    assert "not used: idle.weight: the outputs do not depend on it" in told
    assert told.splitlines()[-1] == "the backward pass of squares (Squares) is not the derivative of its forward pass"
    code, told, _ = gradus("check", "--file", "mine.py:Net", "--json", "--seed", "3")
    found = json.loads(told)
    assert code == 1 and found["model"] == "mine.py:Net" and found["faulty"] == ["squares"]


def test_training_mode_and_a_shape(gradus):
    code, told, _ = gradus("check", "lenet5", "--input-shape", "3x32x32", "--samples", "2", "--train", "--json")
    found = json.loads(told)
    assert code == 0 and found["shape"] == [2, 3, 32, 32] and found["training"] and found["samples"] == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "check what? Either a network (`gradus list models`) or --file FILE.py:CLASS"),
        (["mlp", "--file", "mine.py:Net"], "check what?"),
        (["lenet"], "unknown model 'lenet'; did you mean 'lenet5'?"),
        (["mlp", "--set", "hiden=[4]"], "mlp has no option 'hiden'; did you mean 'hidden'?"),
        (["mlp", "--set", "hidden"], "--set hidden: expected option=value"),
        (["lenet5", "--input-shape", "3,a"], "--input-shape: expected sizes above 0 such as 3,32,32, received '3,a'"),
        (["lenet5", "--input-shape", "1,40,40"], "LeNet-5 takes pictures of 28x28 or 32x32 pixels"),
        (["mlp", "--samples", "²"], "--samples: expected a whole number above 0, received '²'"),
        (["mlp", "--samples", "0"], "--samples: expected a whole number above 0, received '0'"),
        (["mlp", "--seed", "x"], "--seed: expected a whole number, received 'x'"),
        (["mlp", "--sample", "3"], "unknown argument '--sample'; did you mean '--samples'?"),
        (["--file", "mine.py"], "--file mine.py: expected FILE.py:CLASS"),
        (["--file", "mine.py:Net"], "mine.py: there is no such file"),
    ],
)
def test_mistakes(gradus, arguments, told):
    code, printed, error = gradus("check", *arguments)
    assert code == 2 and printed == ""
    assert error.startswith("gradus: ") and error.count("\n") == 1 and told in error

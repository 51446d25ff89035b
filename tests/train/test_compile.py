"""--compile and --deterministic from the command line: the training stays what it was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from children import Children
from safetensors.torch import load_file

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler (g++)")


def train(children: Children, folder: Path, *flags: str) -> tuple[list[dict], dict[str, torch.Tensor]]:
    """Two epochs of a linear model on digits in a process of its own: the records, and the last weights."""
    command = ["train", "--data", "digits", "--model", "logistic_regression", "--epochs", "2", "--out", folder]
    # the compiler would start processes of its own for its two kernels
    ended = children.run(*command, *flags, environment={"TORCHINDUCTOR_COMPILE_THREADS": "1"})
    assert ended.code == 0, str(ended)
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return records, load_file(folder / "checkpoints/last/model.safetensors")


@needs_compiler
def test_a_compiled_training_is_the_ordinary_one(children, tmp_path):
    plain, weights = train(children, tmp_path / "plain")
    compiled, found = train(children, tmp_path / "compiled", "--compile")
    assert [record["epoch"] for record in compiled if "epoch" in record]
    for one, other in zip(plain, compiled, strict=True):
        for key in ("train_loss", "validation_loss"):
            if key in one:
                assert other[key] == pytest.approx(one[key], rel=1e-4)
    assert found.keys() == weights.keys()  # the names are those of the model, not of its compiled wrapper
    for name, tensor in weights.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-5)


def test_a_deterministic_training_repeats_its_bits(children, tmp_path):
    _, one = train(children, tmp_path / "one", "--deterministic")
    _, other = train(children, tmp_path / "other", "--deterministic")
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert "deterministic = true" in (tmp_path / "one/recipe.toml").read_text()

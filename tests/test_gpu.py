"""What only a GPU can show. Skipped where there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import gradus
from gradus.recipes.table import get_recipe
from gradus.train import checkpoint
from gradus.train.devices import plan_device

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU that PyTorch can use")


def test_the_plan_takes_the_gpu_and_bf16_where_it_computes_in_it():
    plan = plan_device()
    assert plan.device.type == "cuda"
    assert (plan.autocast_type is torch.bfloat16) == torch.cuda.is_bf16_supported()
    assert plan_device(precision="fp32").autocast_type is None


@pytest.mark.parametrize("precision", ["auto", "fp32"])
def test_a_run_learns_and_predicts(tmp_path: Path, precision: str):
    recipe = get_recipe("digits-lenet5")
    run = gradus.train_recipe(
        replace(recipe, train=replace(recipe.train, precision=precision, average=0.99)), tmp_path / "run"
    )
    assert run.evaluate("test")["accuracy"] > 0.95
    assert next(run.model.parameters()).is_cuda
    weights = checkpoint.load(run.path / "checkpoints", "last").model
    assert all(tensor.device.type == "cpu" for tensor in weights.values())  # a checkpoint is read anywhere
    assert run.report().exists()


def test_a_loss_that_is_not_finite_is_told(tmp_path: Path):
    from gradus.train.trainer import TrainingStopped

    recipe = get_recipe("digits-lenet5")
    optimizer = replace(recipe.train.optimizer, name="sgd", learning_rate=1e30, weight_decay=0.0)
    settings = replace(recipe.train, precision="fp32", optimizer=optimizer)
    with pytest.raises(TrainingStopped, match=r"not a finite number in .*, at epoch 1, step \d+ of"):
        gradus.train_recipe(replace(recipe, train=settings), tmp_path / "run")
    assert not checkpoint.exists(tmp_path / "run" / "checkpoints", "last")

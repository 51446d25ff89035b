"""What only a GPU can show. Skipped where there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import gradus
from gradus.data.augment.settings import AugmentSettings, get_preset
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


AUGMENTED = {
    "not": "none",
    "warped": AugmentSettings(rotation=9, zoom=0.1, contrast=0.2, noise=2, cutout=0.2, mixup=0.3, cutmix=1.0),
    "copied": AugmentSettings(pad=2, flip_horizontal=0.5, fill="mean"),
}


def trainer_on_the_gpu(augment: AugmentSettings | str = "none", **changes):
    from gradus.recipes.execute import create_trainer
    from gradus.recipes.experiment import prepare

    recipe = get_recipe("digits-lenet5")
    settings = replace(recipe.train, **{"epochs": 3, "precision": "fp32", **changes})
    augment = get_preset(augment) if isinstance(augment, str) else augment
    return create_trainer(prepare(replace(recipe, train=settings, augment=augment)))


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam", "adamw"])
def test_captured_steps_are_the_ordinary_ones(optimizer: str):
    from gradus.train.settings import OptimizerSettings

    changes = {"optimizer": OptimizerSettings(name=optimizer), "average": 0.9}
    captured = trainer_on_the_gpu(**changes)
    ordinary = trainer_on_the_gpu(**changes, capture=False)
    captured.fit()
    ordinary.fit()
    assert captured.stepper.captured, captured.stepper.reason
    assert not ordinary.stepper.captured
    for (name, one), two in zip(
        captured.learner.predicting_state().items(), ordinary.learner.predicting_state().values(), strict=True
    ):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("kind", ["warped", "copied"])
def test_captured_augmentation_follows_the_seed_of_the_step(kind: str):
    captured = trainer_on_the_gpu(AUGMENTED[kind])
    ordinary = trainer_on_the_gpu(AUGMENTED[kind], capture=False)
    captured.fit()
    ordinary.fit()
    assert captured.stepper.captured, captured.stepper.reason
    mine, theirs = (trainer.learner.predicting_state() for trainer in (captured, ordinary))
    for name, tensor in mine.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=1e-3, atol=1e-4)


def test_dropout_of_a_captured_step_follows_the_seed_of_the_step():
    from gradus.train.randomness import seed_step

    model = torch.nn.Dropout(0.5)
    masks = []
    inputs = torch.ones(64, device="cuda")
    graph = torch.cuda.CUDAGraph()
    model(inputs)
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        outputs = model(inputs)
    for step in (1, 2, 1):
        seed_step(0, 0, step, torch.device("cuda", torch.cuda.current_device()))
        graph.replay()
        masks.append(outputs.clone())
    assert torch.equal(masks[0], masks[2]) and not torch.equal(masks[0], masks[1])


@pytest.mark.parametrize("kind", AUGMENTED)
def test_no_step_waits_for_the_gpu(kind: str):
    trainer = trainer_on_the_gpu(AUGMENTED[kind], capture=False)
    learner, source = trainer.learner, trainer.source
    learner.step(source.batch(0, 0))
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in range(1, 5):
            learner.set_learning_rate(1 / step)
            learner.step(source.batch(0, step))
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_bad_row_is_found_and_the_weights_stay_as_they_were():
    from gradus.train.trainer import TrainingStopped

    trainer = trainer_on_the_gpu()
    bad = int(trainer.source.order(0)[32 * 10 + 7])
    trainer.source.tensors["inputs"] = trainer.source.tensors["inputs"].float()
    trainer.source.tensors["inputs"][bad] = float("nan")
    with pytest.raises(
        TrainingStopped, match=rf"inputs of the model for {trainer.origins[bad]}, at epoch 1, step 11 of"
    ):
        trainer.fit()
    assert all(bool(torch.isfinite(p).all()) for p in trainer.learner.model.parameters())

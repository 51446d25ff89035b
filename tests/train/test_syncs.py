"""No step reads the device: a GPU would stall in every one of them. Counted here on the CPU, where reading costs nothing."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from gradus.data.augment.settings import AugmentSettings
from gradus.data.load import DataSettings
from gradus.models import ModelSettings
from gradus.recipes.execute import create_trainer
from gradus.recipes.experiment import prepare
from gradus.recipes.recipe import Recipe
from gradus.train.settings import OptimizerSettings, RegularizationSettings, TrainSettings

READS = ("item", "tolist", "cpu", "numpy", "__bool__", "__float__", "__int__", "__index__", "nonzero")


@contextmanager
def counted_reads(monkeypatch):
    """Counts every call by which a tensor's value would reach Python."""
    counts = dict.fromkeys(READS, 0)
    with monkeypatch.context() as patched:
        for name in READS:
            original = getattr(Tensor, name)

            def read(self, *arguments, _name=name, _original=original, **named):
                counts[_name] += 1
                return _original(self, *arguments, **named)

            patched.setattr(Tensor, name, read)
        yield counts


CASES = {
    "mlp": (Recipe(data=DataSettings(source="digits"), model=ModelSettings(name="mlp")), {}),
    "convnet": (Recipe(data=DataSettings(source="digits"), model=ModelSettings(name="lenet5")), {"average": 0.99}),
    "augmented": (
        Recipe(
            data=DataSettings(source="digits"),
            augment=AugmentSettings(
                rotation=9,
                shift_vertical=0.1,
                zoom=0.1,
                crop_area=(0.5, 1.0),
                brightness=0.1,
                contrast=0.1,
                offset=9,
                noise=2,
                cutout=0.2,
                mixup=0.3,
                cutmix=1.0,
                fill="wrap",
            ),
        ),
        {},
    ),
    "copied": (
        Recipe(data=DataSettings(source="digits"), augment=AugmentSettings(pad=2, flip_horizontal=0.5, fill="mean")),
        {},
    ),
    "table": (Recipe(data=DataSettings(source="diabetes")), {"accumulate": 2}),
    "clipped": (
        Recipe(data=DataSettings(source="wine")),
        {"regularization": RegularizationSettings(l2=1e-4, clip_norm=1.0, clip_value=0.1, max_norm=3.0)},
    ),
}


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("case", CASES)
def test_no_step_reads_a_value(case, optimizer, monkeypatch):
    from dataclasses import replace

    recipe, more = CASES[case]
    settings = TrainSettings(epochs=1, batch_size=32, optimizer=OptimizerSettings(name=optimizer), **more)
    trainer = create_trainer(prepare(replace(recipe, train=settings)))
    learner, source = trainer.learner, trainer.source
    learner.guard, learner.optimizer.found_inf = False, learner.flag  # as on a GPU
    learner.step(source.batch(0, 0))  # the first step makes the optimiser's state
    with counted_reads(monkeypatch) as counts:
        for step in range(1, 4):
            learner.set_learning_rate(1 / step)
            learner.step(source.batch(0, step))
    assert not any(counts.values()), counts


def test_the_counting_sees_a_read(monkeypatch):
    with counted_reads(monkeypatch) as counts:
        tensor = torch.ones(1)
        assert tensor.item() and bool(tensor)
    assert counts["item"] == 1 and counts["__bool__"] == 1

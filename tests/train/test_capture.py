"""Steps as graphs. A recording backend stands for CUDA: what it captures it runs at each replay, on the same static tensors."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gradus.data.load import DataSettings
from gradus.models import ModelSettings
from gradus.recipes.execute import create_trainer
from gradus.recipes.experiment import prepare
from gradus.recipes.recipe import Recipe
from gradus.train.capture import WARM_UP, Stepper
from gradus.train.settings import OptimizerSettings, RegularizationSettings, ScheduleSettings, TrainSettings
from gradus.train.trainer import Trainer, TrainingStopped


class Recording:
    """A graph backend on the CPU. Like CUDA's it computes nothing while it captures and fills the same memory at each replay."""

    def __init__(self, refuse: str = "") -> None:
        self.refuse, self.replays = refuse, 0

    def capture(self, step):
        if self.refuse:
            raise RuntimeError(self.refuse)
        self.function = step
        return self  # the packed sums do not exist before the first replay

    def replay(self) -> None:
        self.replays += 1
        self.packed = self.function()

    def clone(self):
        return self.packed.clone()


def trainer_of(settings: TrainSettings, graph: Recording | None = None, model: nn.Module | None = None) -> Trainer:
    recipe = Recipe(
        data=DataSettings(source="digits", validation=0.1, test=0.5),
        model=ModelSettings(name="mlp", options={"hidden": [16], "dropout": 0.3}),
        train=settings,
    )
    trainer = create_trainer(prepare(recipe, model=model))
    if graph is not None:
        trainer.stepper = Stepper(trainer.learner, trainer.source, graph=graph)
    return trainer


SETTINGS = {
    "plain": TrainSettings(epochs=2, batch_size=32),
    "sgd": TrainSettings(epochs=2, batch_size=32, optimizer=OptimizerSettings(name="sgd", momentum=0.9)),
    "average": TrainSettings(epochs=2, batch_size=32, average=0.9),
    "schedule": TrainSettings(epochs=2, batch_size=32, schedule=ScheduleSettings(name="one_cycle")),
    "accumulate": TrainSettings(epochs=2, batch_size=32, accumulate=3),
    "regularized": TrainSettings(
        epochs=2, batch_size=32, regularization=RegularizationSettings(l1=1e-4, clip_norm=0.5, max_norm=2.0)
    ),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_captured_steps_are_the_ordinary_ones(name):
    graph = Recording()
    ordinary, captured = trainer_of(SETTINGS[name]), trainer_of(SETTINGS[name], graph)
    ordinary.fit()
    captured.fit()
    full = captured.source.rows // 32
    assert captured.source.rows % 32 and graph.replays == 2 * full - WARM_UP, "the short last batch is not captured"
    assert captured.stepper.reason == ""
    for (key, one), two in zip(
        ordinary.learner.predicting_state().items(), captured.learner.predicting_state().values(), strict=True
    ):
        assert torch.equal(one, two), key
    drop = {"train_seconds"}
    assert [{k: v for k, v in record.items() if k not in drop} for record in ordinary.history] == [
        {k: v for k, v in record.items() if k not in drop} for record in captured.history
    ]


def test_a_step_that_cannot_be_captured_is_made_as_before_and_the_reason_is_told():
    told = []
    trainer = trainer_of(SETTINGS["plain"], Recording(refuse="operation not permitted when stream is capturing"))
    trainer.observers = (told.append,)
    ordinary = trainer_of(SETTINGS["plain"])
    trainer.fit()
    ordinary.fit()
    assert [record["text"] for record in told if record["event"] == "note"] == [
        "steps are not captured as a CUDA graph: operation not permitted when stream is capturing"
    ]
    state = ordinary.learner.predicting_state()
    assert all(torch.equal(state[key], value) for key, value in trainer.learner.predicting_state().items())


def test_a_bad_step_among_captured_ones_is_found_and_named():
    trainer = trainer_of(SETTINGS["plain"], Recording())
    trainer.learner.guard, trainer.learner.optimizer.found_inf = False, trainer.learner.flag
    bad = int(trainer.source.order(0)[32 * 10 + 7])
    trainer.source.tensors["inputs"] = trainer.source.tensors["inputs"].float()
    trainer.source.tensors["inputs"][bad] = float("nan")
    with pytest.raises(
        TrainingStopped, match=f"inputs of the model for {trainer.origins[bad]}, at epoch 1, step 11 of"
    ):
        trainer.fit()


@pytest.mark.parametrize("wanted", [True, False])
def test_without_a_gpu_nothing_is_captured_and_nothing_is_said(wanted):
    told = []
    trainer = trainer_of(TrainSettings(epochs=1, batch_size=32, capture=wanted))
    trainer.observers = (told.append,)
    trainer.fit()
    assert not trainer.stepper.captured and not [record for record in told if record["event"] == "note"]

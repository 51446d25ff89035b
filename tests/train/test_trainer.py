"""The loop: equal to one written by hand, and the same bits after a stop as without one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from gradus.data.catalogue import load
from gradus.data.splits import complete_splits
from gradus.models import create_model
from gradus.tasks.settings import TaskSettings
from gradus.tasks.table import create_task
from gradus.train import checkpoint
from gradus.train.devices import plan_device
from gradus.train.folder import RunFolder
from gradus.train.learner import Supervised
from gradus.train.randomness import ORDER, STEP, derive
from gradus.train.settings import OptimizerSettings, ScheduleSettings, TrainSettings
from gradus.train.source import Resident
from gradus.train.trainer import Interrupted, Trainer, TrainingStopped


@pytest.fixture(scope="module")
def digits():
    """(task, tensors by split) of scikit-learn's digits."""
    dataset = complete_splits(load("digits"), 0.1, 0.2, 0, "label")
    task = create_task(TaskSettings(name="image-classification", options={"normalize": "unit"}), dataset)
    task.to_device(torch.device("cpu"))
    return task, {name: task.encode(split) for name, split in dataset.splits.items()}


def make_trainer(digits, settings: TrainSettings, folder: RunFolder | None = None, observers=(), model=None) -> Trainer:
    task, tensors = digits
    if model is None:
        torch.manual_seed(7)
        model = create_model("mlp", in_features=64, num_classes=10, hidden=(32,), dropout=0.2)
    return Trainer(
        Supervised(model, task, settings, plan_device("cpu")),
        Resident(tensors["train"], settings.batch_size, settings.seed),
        settings,
        validation=tensors["validation"],
        monitor=task.primary,
        folder=folder,
        observers=observers,
    )


def weights(trainer: Trainer) -> torch.Tensor:
    return torch.cat([value.flatten().double() for value in trainer.learner.predicting_state().values()])


def without_times(records: list[dict]) -> list[dict]:
    return [{key: value for key, value in record.items() if key != "train_seconds"} for record in records]


def test_it_is_the_loop_one_would_write_by_hand(digits):
    settings = TrainSettings(
        epochs=2, batch_size=50, seed=3, optimizer=OptimizerSettings(name="rmsprop", learning_rate=0.002)
    )
    trainer = make_trainer(digits, settings)
    trainer.fit()

    _, tensors = digits
    images, targets = tensors["train"]["inputs"], tensors["train"]["targets"]
    torch.manual_seed(7)
    model = create_model("mlp", in_features=64, num_classes=10, hidden=(32,), dropout=0.2)
    optimizer = torch.optim.RMSprop(model.parameters(), lr=0.002)
    mean_losses = []
    for epoch in range(2):
        order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(derive(3, ORDER, epoch)))
        total = 0.0
        for step, rows in enumerate(order.split(50)):
            torch.manual_seed(derive(3, STEP, epoch, step))
            loss = functional.cross_entropy(model(images[rows].permute(0, 3, 1, 2) / 255), targets[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += float(loss.detach()) * len(rows)
        mean_losses.append(total / len(targets))

    assert [record["train_loss"] for record in trainer.history] == mean_losses
    by_hand = torch.cat([value.flatten().double() for value in model.state_dict().values()])
    assert torch.equal(weights(trainer), by_hand)


def test_records_say_what_was_measured(digits):
    trainer = make_trainer(digits, TrainSettings(epochs=2, batch_size=64))
    trainer.fit()
    first, second = trainer.history
    rows = trainer.source.rows
    assert (first["epoch"], first["step"], first["samples"]) == (1, trainer.source.steps, rows)
    assert (second["epoch"], second["step"], second["samples"]) == (2, 2 * trainer.source.steps, 2 * rows)
    assert second["train_seconds"] >= first["train_seconds"] > 0
    assert 0 < second["train_loss"] < first["train_loss"]

    task, tensors = digits
    trainer.learner.model.eval()
    with torch.no_grad():
        outputs = trainer.learner.model(task.prepare(tensors["validation"], training=False)[0])
    right = (outputs.argmax(1) == tensors["validation"]["targets"]).double().mean()
    assert second["validation_accuracy"] == float(right)


def test_looks_do_not_change_anything(digits, monkeypatch):
    settings = TrainSettings(epochs=2, batch_size=50)
    monkeypatch.setattr("gradus.train.trainer.LOOK_SECONDS", 0.0)
    looking = make_trainer(digits, settings, observers=(lambda record: None,))
    looking.fit()
    monkeypatch.setattr("gradus.train.trainer.LOOK_SECONDS", 1e9)
    blind = make_trainer(digits, settings)
    blind.fit()
    assert without_times(looking.history) == without_times(blind.history)
    assert torch.equal(weights(looking), weights(blind))


SETTINGS = {
    "adamw, averaged": {"optimizer": {"name": "adamw"}, "average": 0.9},
    "sgd, momentum, cosine": {"optimizer": {"name": "sgd", "momentum": 0.9}, "schedule": {"name": "cosine"}},
    "rmsprop, plateau": {
        "optimizer": {"name": "rmsprop"},
        "schedule": {"name": "plateau", "patience": 1, "factor": 0.5},
    },
    "adadelta, early stopping": {"optimizer": {"name": "adadelta"}, "patience": 2},
}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("stop_at", [(0, 1), (1, 12), (2, 26)])
def test_a_stop_changes_no_bit(digits, tmp_path: Path, name: str, stop_at: tuple[int, int]):
    """Stopped by a signal after step `stop_at`, saved, made anew from the folder, continued: all as without the stop."""
    given = dict(SETTINGS[name])
    settings = TrainSettings(
        **{
            **given,
            "optimizer": OptimizerSettings(**given.pop("optimizer")),
            "schedule": ScheduleSettings(**given.pop("schedule", {})),
        },
        epochs=4,
        batch_size=50,
    )
    whole = make_trainer(digits, settings, RunFolder.create(tmp_path / "whole"))
    whole.fit()

    folder = RunFolder.create(tmp_path / "stopped")
    first = make_trainer(digits, settings, folder)
    step_of_learner = first.learner.step
    made = 0

    def step_and_count(batch):
        nonlocal made
        made += 1
        if made == stop_at[0] * first.source.steps + stop_at[1]:
            first._signal = 15  # as the signal handler does
        return step_of_learner(batch)

    first.learner.step = step_and_count
    with pytest.raises(Interrupted) as stopped:
        first.fit()
    assert "gradus resume" in str(stopped.value)
    torch.manual_seed(999)  # the process that goes on is another one
    second = make_trainer(
        digits, settings, folder, model=create_model("mlp", in_features=64, num_classes=10, hidden=(32,), dropout=0.2)
    )
    second.restore()
    assert (second.epoch, second.step) == stop_at
    second.fit()

    assert without_times(folder.read_metrics()) == without_times(RunFolder(tmp_path / "whole").read_metrics())
    for which in ("last", "best"):
        one, other = (checkpoint.load(tmp_path / run / "checkpoints", which) for run in ("whole", "stopped"))
        for part in ("model", "optimizer"):
            mine, theirs = getattr(one, part) or {}, getattr(other, part) or {}
            assert mine.keys() == theirs.keys()
            assert all(torch.equal(mine[key], theirs[key]) for key in mine), (which, part)
        assert {**one.state, "train_seconds": 0} == {**other.state, "train_seconds": 0}


def test_early_stopping_keeps_the_best_weights(digits, tmp_path: Path):
    settings = TrainSettings(
        epochs=50, batch_size=50, patience=3, optimizer=OptimizerSettings(name="adam", learning_rate=0.02)
    )
    trainer = make_trainer(digits, settings, RunFolder.create(tmp_path / "run"))
    trainer.fit()
    assert trainer.finished and trainer.epoch < 50
    best = max(trainer.history, key=lambda record: (record["validation_accuracy"], -record["validation_loss"]))
    assert trainer.best["epoch"] == best["epoch"] == trainer.epoch - 3
    task, tensors = digits
    model = create_model("mlp", in_features=64, num_classes=10, hidden=(32,), dropout=0.2).eval()
    model.load_state_dict(checkpoint.load(tmp_path / "run" / "checkpoints", "best").model)
    with torch.no_grad():
        right = (
            model(task.prepare(tensors["validation"], training=False)[0]).argmax(1) == tensors["validation"]["targets"]
        )
    assert float(right.double().mean()) == best["validation_accuracy"]


def test_observers_see_every_epoch_and_cannot_stop_it(digits):
    seen = []
    trainer = make_trainer(
        digits, TrainSettings(epochs=3, batch_size=64), observers=(lambda record: seen.append(dict(record)),)
    )
    trainer.fit()
    epochs = [record for record in seen if record["event"] == "epoch"]
    assert [record["epoch"] for record in epochs] == [1, 2, 3]
    assert sum(record["best"] for record in epochs) >= 1
    json.dumps(seen)  # records are plain data


def test_a_loss_that_is_not_finite_stops_at_its_step(digits, tmp_path: Path):
    settings = TrainSettings(epochs=3, batch_size=50, checkpoint_seconds=0, optimizer=OptimizerSettings(name="sgd"))
    trainer = make_trainer(digits, settings, RunFolder.create(tmp_path / "run"))
    prepare = trainer.learner.task.prepare
    step_of_learner, made, before = trainer.learner.step, 0, {}

    def poisoned(batch):
        nonlocal made, before
        made += 1
        if made == trainer.source.steps + 5:
            before = {key: value.clone() for key, value in trainer.learner.predicting_state().items()}
            with torch.no_grad():
                trainer.learner.model.features[0].bias[3] = float("inf")
        return step_of_learner(batch)

    trainer.learner.step = poisoned
    with pytest.raises(TrainingStopped) as stopped:
        trainer.fit()
    message = str(stopped.value)
    assert "features.0.bias" in message and "epoch 2, step 5 of 26" in message and "after epoch 1" in message
    assert trainer.learner.task.prepare == prepare
    after = trainer.learner.predicting_state()
    assert all(torch.equal(before[key], after[key]) for key in before if key != "features.0.bias")
    last = checkpoint.load(tmp_path / "run" / "checkpoints", "last")
    assert last.state["epoch"] == 1 and checkpoint.non_finite(last.model) is None


def test_on_a_device_that_is_not_read_every_step_the_step_is_named_all_the_same(digits):
    """As on a GPU: the learner does not check, the trainer finds the step among the losses it keeps."""
    trainer = make_trainer(digits, TrainSettings(epochs=1, batch_size=50))
    trainer.learner.guard = False
    step_of_learner, made = trainer.learner.step, 0

    def poisoned(batch):
        nonlocal made
        made += 1
        sums = step_of_learner(batch)
        return {**sums, "loss": sums["loss"] * float("nan")} if made == 4 else sums

    trainer.learner.step = poisoned
    with pytest.raises(TrainingStopped, match="at epoch 1, step 4 of 26"):
        trainer.fit()

"""The watch over a training: it changes no bit, survives a stop, and says what it saw where it saw it."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from gradus.data.catalogue import load
from gradus.data.splits import complete_splits
from gradus.tasks.settings import TaskSettings
from gradus.tasks.table import create_task
from gradus.train.devices import plan_device
from gradus.train.folder import RunFolder
from gradus.train.learner import Supervised
from gradus.train.losses import BLOCK, LEAST, STAYS, Losses
from gradus.train.settings import FineTuneSettings, OptimizerSettings, TrainSettings
from gradus.train.source import Resident
from gradus.train.trainer import Interrupted, Trainer, TrainingStopped
from gradus.train.vitals import Before, chance_loss, frozen_sample, moved
from gradus.train.watch import EARLY, is_probed, read_vitals

ROWS = 320


@pytest.fixture(scope="module")
def digits():
    """(task, tensors by split) of scikit-learn's digits, the training rows few."""
    dataset = complete_splits(load("digits"), 0.1, 0.2, 0, "label")
    task = create_task(TaskSettings(name="image-classification", options={"normalize": "unit"}), dataset)
    task.to_device(torch.device("cpu"))
    tensors = {name: task.encode(split) for name, split in dataset.splits.items()}
    tensors["train"] = {name: tensor[:ROWS] for name, tensor in tensors["train"].items()}
    return task, tensors


def network() -> nn.Module:
    """Dropout and batch normalisation: what a careless look would disturb."""
    torch.manual_seed(7)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(144, 10)
    )


def make_trainer(digits, settings: TrainSettings, model=None, folder=None, observers=()) -> Trainer:
    task, tensors = digits
    return Trainer(
        Supervised(model if model is not None else network(), task, settings, plan_device("cpu")),
        Resident(tensors["train"], settings.batch_size, settings.seed),
        settings,
        validation=tensors["validation"],
        monitor=task.primary,
        folder=folder,
        observers=observers,
    )


def state(trainer: Trainer) -> dict[str, torch.Tensor]:
    return trainer.learner.predicting_state()


@pytest.mark.parametrize(
    "more", [{}, {"accumulate": 2, "average": 0.9}, {"fine_tune": FineTuneSettings(freeze=("0", "1"))}]
)
def test_a_watched_training_keeps_every_bit(digits, more):
    trained = []
    for watch in (True, False):
        settings = TrainSettings(epochs=2, batch_size=32, seed=3, watch=watch, **more)
        trainer = make_trainer(digits, settings)
        before = torch.get_rng_state()
        trainer.fit()
        trained.append((state(trainer), [one["train_loss"] for one in trainer.history], trainer.vitals))
        torch.set_rng_state(before)
    (watched, losses, watch), (blind, blind_losses, none) = trained
    assert none is None and [one["update"] for one in watch.records if one["what"] == "probe"] == [1, 10, 20]
    assert losses == blind_losses
    assert all(torch.equal(watched[name], blind[name]) for name in blind)


def test_a_probe_is_what_one_would_measure_by_hand(digits):
    settings = TrainSettings(epochs=1, batch_size=ROWS, optimizer=OptimizerSettings(name="sgd", learning_rate=0.5))
    model = network()
    first = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    trainer = make_trainer(digits, settings, model)
    trainer.fit()
    (probe,) = [one for one in trainer.vitals.records if one["what"] == "probe"]
    last = probe["layers"][-1]
    change = model[5].weight.detach() - first["5.weight"]
    assert last["layer"] == "5" and last["matrix"]
    assert last["update"] == pytest.approx(float(change.norm() / first["5.weight"].norm()), rel=1e-4)
    assert last["gradient"] == pytest.approx(float(change.square().mean().sqrt()) / 0.5, rel=1e-3)
    model.eval()
    task, tensors = digits
    inputs, targets = task.prepare(tensors["train"], training=False)
    with torch.no_grad():
        running = nn.functional.cross_entropy(model(inputs[:256]), targets[:256])
    assert probe["rate"] == 0.5 and np.isfinite(probe["loss_evaluation"])
    assert running.isfinite() and probe["loss_batch_statistics"] < probe["loss_evaluation"]  # one step: statistics lag
    assert [unit["kind"] for unit in probe["units"]] == ["relu"]


def test_probes_thin_out():
    probed = [update for update in range(1, 20_001) if is_probed(update, 20_000)]
    assert probed[:4] == [*EARLY, 600] and probed[-1] == 20_000
    assert all(later - earlier >= 500 for earlier, later in pairwise(probed[3:-1]))
    assert len(probed) < 40


def test_a_stopped_run_goes_on_with_its_vitals(digits, tmp_path):
    settings = TrainSettings(epochs=3, batch_size=32, seed=1)
    whole = make_trainer(digits, settings, folder=RunFolder.create(tmp_path / "whole"))
    whole.fit()

    def stop(record):
        if record["event"] == "epoch" and record["epoch"] == 1:
            first._signal = 2

    first = make_trainer(digits, settings, folder=RunFolder.create(tmp_path / "cut"), observers=(stop,))
    with pytest.raises(Interrupted):
        first.fit()
    (tmp_path / "cut" / "vitals.jsonl").open("a").write('{"what": "probe", "epoch": 2, "step": 9}\n{"what"')
    again = make_trainer(digits, settings, folder=first.folder)
    again.restore()
    again.fit()
    timeless = [
        [{key: value for key, value in one.items() if key not in ("seconds", "waited")} for one in read_vitals(path)]
        for path in (tmp_path / "whole", tmp_path / "cut")
    ]
    assert timeless[0] == timeless[1]
    assert all(torch.equal(state(whole)[name], tensor) for name, tensor in state(again).items())


def test_what_goes_wrong_is_told_once_and_kept(digits, tmp_path):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    with torch.no_grad():
        model[1].bias.fill_(-50)
    notes = []
    settings = TrainSettings(epochs=4, batch_size=32)
    folder = RunFolder.create(tmp_path / "run")
    tell = lambda record: notes.append(record["text"]) if record["event"] == "note" else None  # noqa: E731
    make_trainer(digits, settings, model, folder, (tell,)).fit()
    (told,) = [one for one in notes if "give 0 for every row" in one]
    assert told.startswith("epoch 1: 100% of the 16 units of layer 1")
    lines = [json.loads(line) for line in (tmp_path / "run" / "vitals.jsonl").read_text().splitlines()]
    assert [one["kind"] for one in lines if one["what"] == "told"].count("dead-units") == 1


def test_where_a_value_was_not_finite_is_kept(digits, tmp_path):
    task, tensors = digits
    broken = {name: tensor.clone() for name, tensor in tensors["train"].items()}
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with torch.no_grad():
        model[1].weight[0, 0] = torch.nan
    folder = RunFolder.create(tmp_path / "run")
    with pytest.raises(TrainingStopped, match="the parameter"):
        make_trainer((task, tensors | {"train": broken}), TrainSettings(epochs=1, batch_size=32), model, folder).fit()
    assert read_vitals(tmp_path / "run")[-1] == {
        "what": "stopped", "epoch": 1, "step": 1, "where": "the parameter 1.weight",
    }  # fmt: skip


def test_a_frozen_part_that_moves_is_seen(digits):
    settings = TrainSettings(epochs=1, batch_size=32, fine_tune=FineTuneSettings(freeze=("0", "1")))
    learner = make_trainer(digits, settings).learner
    before = frozen_sample(learner)
    assert set(before) == {"0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"}
    learner.step({name: tensor[:32] for name, tensor in digits[1]["train"].items()})
    assert moved(learner, before) == []
    learner.model[1].train()
    learner.step({name: tensor[:32] for name, tensor in digits[1]["train"].items()})
    assert moved(learner, before) == ["1.running_mean", "1.running_var"]


def test_a_layer_that_no_gradient_reaches():
    model = nn.ModuleDict({"used": nn.Linear(2, 1), "left": nn.Linear(2, 1)})
    before = Before(model)
    model["used"](torch.ones(3, 2)).sum().backward()
    used, left = before.changes(model)
    assert (used["gradient"], left["gradient"]) == (1.0 * 3, None) and used["update"] == left["update"] == 0


def test_chance_is_the_entropy_of_the_classes(digits):
    _, tensors = digits
    trainer = make_trainer(digits, TrainSettings(epochs=1, batch_size=32))
    shares = np.bincount(tensors["train"]["targets"].numpy(), minlength=10) / ROWS
    assert chance_loss(trainer.learner, trainer.source) == pytest.approx(-(shares * np.log(shares)).sum(), rel=1e-5)


def test_a_loss_begins_at_that_of_many_rows(digits):
    """Of a batch of one row the first loss says little: a lucky row would make all that follow seem to have risen."""
    model, settings = network(), TrainSettings(epochs=1, batch_size=1, seed=3)
    model[1] = nn.Identity()  # of one row there are no statistics
    task, tensors = digits
    trainer = make_trainer(digits, settings, model)
    rows = torch.as_tensor(trainer.source.order(0)[:256])
    inputs, targets = task.prepare({name: tensor[rows] for name, tensor in tensors["train"].items()}, training=False)
    with torch.no_grad():
        began = nn.functional.cross_entropy(model.eval()(inputs), targets)
    trainer.fit()
    assert trainer.vitals.judge.first == pytest.approx(float(began), rel=1e-5)


def test_jumps_of_the_loss_that_last():
    noise = np.random.default_rng(0).normal(1.0, 0.1, 40 * BLOCK)
    watch = Losses(2.3)
    assert watch.add(0, noise.tolist()) == []
    noise[7::50] = 30.0  # single hard batches are no jump
    assert Losses(2.3).add(0, noise.tolist()) == []
    (spike,) = watch.add(400, [3.0] * BLOCK)
    assert spike["what"] == "spike" and spike["step"] == 400 + BLOCK and spike["after"] == 3.0
    risen = Losses(2.3).add(0, [2.4, *[9.0] * BLOCK * (STAYS + LEAST)])
    assert [one["what"] for one in risen] == ["risen"]
    assert Losses(2.3).add(0, [9.0] * BLOCK * (STAYS + LEAST)) == []  # high from the beginning has not risen
    many = Losses(None)  # what chance has is not known, but the loss of many rows is
    many.begin(9.0)
    assert many.add(0, [2.4, *[9.0] * BLOCK * (STAYS + LEAST)]) == []
    assert Losses(None).add(0, [-5.0] * 30 + [50.0] * 100) == []  # a likelihood has no zero

"""Freezing, rates by stage, unfreezing, features computed once: what learns, to which bits, and that nothing else does."""

from __future__ import annotations

import copy
import json
import os
import signal
import time
from pathlib import Path

import pytest
import torch
from children import Children
from safetensors.torch import load_file
from torch import nn

import gradus
from gradus.data.augment.settings import AugmentSettings
from gradus.data.load import DataSettings
from gradus.errors import UserError
from gradus.models import ModelSettings
from gradus.models.stages import StagedNetwork
from gradus.recipes import features as features_module
from gradus.recipes.execute import create_trainer, resume, train_recipe
from gradus.recipes.experiment import prepare
from gradus.recipes.features import fixed_modules
from gradus.recipes.recipe import Recipe
from gradus.recipes.run import load_run
from gradus.stopping import Interrupted
from gradus.train.capture import WARM_UP, Stepper
from gradus.train.fine_tune import FineTune
from gradus.train.schedules import factor_at
from gradus.train.settings import FineTuneSettings, OptimizerSettings, ScheduleSettings, TrainSettings
from gradus.train.trainer import Trainer

ROOT = Path(__file__).parents[2]
DATA = DataSettings(source="digits", validation=0.1, test=0.7)


class Small(StagedNetwork):
    """(B, 1, 8, 8) -> (B, 10), with batch normalisation and dropout both in the features and in the head."""

    def __init__(self, head_dropout: float = 0.3) -> None:
        super().__init__()

        def block(before: int, after: int, *more: nn.Module) -> nn.Module:
            return nn.Sequential(nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), *more)

        self.stem, self.block1 = block(1, 4), block(4, 6, nn.Dropout(0.2))
        self.pool, self.block2 = nn.MaxPool2d(2), block(6, 8)
        self.flatten, self.fc = nn.Flatten(), nn.Sequential(nn.Dropout(head_dropout), nn.Linear(8 * 16, 10))
        self.stages = {
            "stem": ("stem",),
            "block1": ("block1", "pool"),
            "block2": ("block2",),
            "head": ("flatten", "fc"),
        }


def small(seed: int = 0, **options) -> Small:
    torch.manual_seed(seed)
    model = Small(**options)
    with torch.no_grad():
        model(torch.randn(64, 1, 8, 8))  # statistics that are not those of a fresh layer
    return model


def settings_of(**fine_tune) -> TrainSettings:
    rest = {name: fine_tune.pop(name) for name in list(fine_tune) if name in TrainSettings.__dataclass_fields__}
    rest = {"epochs": 2, "batch_size": 32, "seed": 3, **rest}
    fine_tune["freeze"] = tuple(fine_tune.get("freeze", ()))
    return TrainSettings(fine_tune=FineTuneSettings(**fine_tune), **rest)


def trainer_of(model: nn.Module | None = None, **settings) -> Trainer:
    recipe = Recipe(data=DATA, train=settings_of(**settings), augment=settings.pop("augment", AugmentSettings()))
    return create_trainer(prepare(recipe, model=model if model is not None else small()))


def state_of(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in trainer.learner.model.state_dict().items()}


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    """The stages in which a tensor has other bits than before."""
    return {name.split(".")[0] for name, tensor in before.items() if not torch.equal(tensor, after[name])}


# What is frozen


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("average", [None, 0.9])
def test_frozen_parts_keep_every_bit_and_the_rest_learns(cache, average):
    trainer = trainer_of(freeze=["stem", "block1"], cache=cache, average=average, epochs=2)
    before = state_of(trainer)
    trainer.fit()
    after = state_of(trainer)
    assert changed(before, after) == {"block2", "fc"}, "batch statistics of frozen layers included"
    learner = trainer.learner
    frozen = [p for name, p in learner.model.named_parameters() if name.startswith(("stem", "block1"))]
    assert all(p.grad is None and p not in learner.optimizer.state for p in frozen)
    assert len(learner.optimizer.state) == len(list(learner.model.parameters())) - len(frozen)
    if average:
        assert changed(before, dict(learner.averaged.state_dict())) == {"block2", "fc"}


def test_frozen_parts_are_a_fixed_function_and_the_others_are_in_training():
    learner = trainer_of(freeze=["block1"], cache=False).learner
    modes = {name: module.training for name, module in learner.model.named_modules()}
    assert [modes[name] for name in ("stem.1", "block1", "block1.1", "block1.3", "block2.1", "fc.0")] == [
        *(True, False, False, False, True, True),
    ]
    learner.evaluate([])
    assert modes == {name: module.training for name, module in learner.model.named_modules()}


def test_the_backward_pass_ends_where_nothing_before_it_learns():
    trainer = trainer_of(freeze=["features"], cache=False)
    outputs = {}
    for name in ("block2", "fc"):
        getattr(trainer.learner.model, name).register_forward_hook(
            lambda module, given, made, name=name: outputs.update({name: made.requires_grad})
        )
    trainer.learner.step(trainer.source.batch(0, 0))
    assert outputs == {"block2": False, "fc": True}


def test_parts_are_named_by_stage_or_by_the_start_of_a_name():
    model = small()
    for freeze, learning in (
        (("features",), {"fc"}),
        (("stem", "block2"), {"block1", "fc"}),
        (("block1.0",), {"stem", "block1", "block2", "fc"}),
        (("head",), {"stem", "block1", "block2"}),
    ):
        fine_tune = FineTune(model, FineTuneSettings(freeze=freeze))
        frozen = fine_tune.frozen_at(0)
        names = [name for name, _ in model.named_parameters()]
        free = {n.split(".")[0] for n in names if not any(n.startswith(f"{part}.") for part in frozen)}
        assert free == learning, freeze
    assert FineTune(model, FineTuneSettings(freeze=("features",))).describe() == (
        f"{8 * 16 * 10 + 10:,} of 2,028 parameters learn, frozen: stem, block1, block2"
    )


def test_what_cannot_be_frozen_is_told():
    with pytest.raises(UserError, match=r"unknown stage or module of the network 'blok1'; did you mean 'block1'"):
        trainer_of(freeze=["blok1"])
    with pytest.raises(UserError, match="nothing would learn; leave the head out"):
        trainer_of(freeze=["features", "head"])
    for wrong, sentence in (
        ({"rate_decay": 0}, "rate_decay: expected above 0"),
        ({"rate_decay": 1.5}, "rate_decay: expected above 0, at most 1"),
        ({"unfreeze_every": -1}, "unfreeze_every"),
        ({"unfreeze_stages": 1}, "needs fine_tune.unfreeze_every"),
        ({"unfreeze_every": 1, "unfreeze_stages": 0}, "1 or more stages"),
    ):
        with pytest.raises(UserError, match=sentence):
            FineTuneSettings(**wrong)


def test_a_module_of_ones_own_is_given_back_as_it_came(tmp_path):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    model[1].bias.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    run = gradus.fit(model, "digits", epochs=1, freeze="features", out=tmp_path / "run", test=0.7)
    assert [p.requires_grad for p in model.parameters()] == [True, False, True, True]
    assert changed(before, model.state_dict()) == {"3"}
    assert run.recipe.train.fine_tune.freeze == ("features",)
    staged = small()
    run = gradus.fit(staged, "digits", epochs=1, freeze=["stem"], out=tmp_path / "other", test=0.7)
    assert staged.entry == 0 and all(p.requires_grad for p in staged.parameters())
    assert run.model.entry == 0 and run.evaluate("test")["accuracy"] > 0.2, "judged as a whole network"


# Rates by stage


def test_each_stage_learns_at_a_share_of_the_rate():
    sgd = OptimizerSettings(name="sgd", learning_rate=0.1)
    trainer = trainer_of(rate_decay=0.5, optimizer=sgd)
    learner, batch = trainer.learner, trainer.source.batch(0, 0)
    before = {name: p.detach().clone() for name, p in learner.model.named_parameters()}
    torch.manual_seed(0)
    assert learner.set_learning_rate(1.0) == pytest.approx(0.1), "what is told is the head's"
    learner.step(batch)
    shares = {"fc": 1.0, "block2": 0.5, "block1": 0.25, "stem": 0.125}
    for name, parameter in learner.model.named_parameters():
        expected = before[name] - 0.1 * shares[name.split(".")[0]] * parameter.grad
        torch.testing.assert_close(parameter, expected, atol=1e-7, rtol=0)


@pytest.mark.parametrize("decay", [0.0, 0.01])
@pytest.mark.parametrize("name", ["constant", "step", "milestones", "cosine", "one_cycle", "exponential", "polynomial"])
def test_shares_hold_under_every_schedule(name, decay):
    schedule = ScheduleSettings(name=name, milestones=(1.0,) if name == "milestones" else ())
    optimizer = OptimizerSettings(name="adamw", learning_rate=0.01, weight_decay=decay)
    trainer = trainer_of(rate_decay=0.1, schedule=schedule, optimizer=optimizer)
    owner = {p: name.split(".")[0] for name, p in trainer.learner.model.named_parameters()}
    for step in (0, 3, 9):
        trainer.learner.set_learning_rate(factor_at(schedule, step, 10, 5))
        for group in trainer.learner.optimizer.param_groups:
            share = {"fc": 1.0, "block2": 0.1, "block1": 0.01, "stem": 0.001}[owner[group["params"][0]]]
            assert group["lr"] == pytest.approx(0.01 * share * factor_at(schedule, step, 10, 5))


# Unfreezing


def test_stages_are_unfrozen_from_the_head_on():
    def learning(epoch: int, **settings) -> list[str]:
        fine_tune = FineTune(small(), FineTuneSettings(**settings))
        frozen = fine_tune.labels(fine_tune.frozen_at(epoch))
        return [name for name in ("stem", "block1", "block2", "head") if name not in frozen]

    assert [learning(epoch, unfreeze_every=2) for epoch in (0, 1, 2, 4, 6, 99)] == [
        *(["head"], ["head"], ["block2", "head"], ["block1", "block2", "head"]),
        *(["stem", "block1", "block2", "head"],) * 2,
    ]
    assert learning(9, unfreeze_every=2, unfreeze_stages=1) == ["block2", "head"]
    assert learning(1, unfreeze_every=1, freeze=("stem", "block1")) == ["block1", "block2", "head"]


def test_a_stage_without_weights_is_no_step_of_unfreezing():
    model = small()
    model.stages = {
        "stem": ("stem",),
        "block1": ("block1",),
        "pool": ("pool",),
        "block2": ("block2",),
        "head": ("flatten", "fc"),
    }
    fine_tune = FineTune(model, FineTuneSettings(unfreeze_every=1))
    assert [fine_tune.labels(fine_tune.frozen_at(epoch)) for epoch in range(4)] == [
        *(["stem", "block1", "block2"], ["stem", "block1"], ["stem"], []),
    ]


def test_what_stands_in_another_frozen_part_is_no_step_of_unfreezing():
    fine_tune = FineTune(small(), FineTuneSettings(freeze=("features", "block2.0", "block2.1"), unfreeze_every=1))
    assert fine_tune.labels(fine_tune.frozen_at(1)) == ["stem", "block1"], (
        "and not block2, of which block2.1 was let go"
    )


def test_what_the_user_froze_learns_nothing_and_is_not_counted():
    model = small()
    for parameter in model.fc.parameters():
        parameter.requires_grad_(False)
    assert FineTune(model, FineTuneSettings(freeze=("stem",))).describe().startswith("690 of 2,028 parameters learn")
    with pytest.raises(UserError, match="nothing would learn"):
        FineTune(model, FineTuneSettings(freeze=("features",)))


def test_what_learnt_before_goes_on_with_its_state_and_what_is_new_begins():
    told = []
    trainer = trainer_of(unfreeze_every=1, epochs=3)
    trainer.observers = (lambda record: told.append(record.get("text")) if record["event"] == "note" else None,)
    trainer.fit()
    learner, steps = trainer.learner, trainer.source.steps
    counts = {
        name.split(".")[0]: int(learner.optimizer.state[p]["step"]) if p in learner.optimizer.state else 0
        for name, p in learner.model.named_parameters()
    }
    assert counts == {"fc": 3 * steps, "block2": 2 * steps, "block1": steps, "stem": 0}
    assert told == [
        "epoch 2: block2 learns too; 1,746 of 2,028 parameters learn, frozen: stem, block1",
        "epoch 3: block1 learns too; 1,980 of 2,028 parameters learn, frozen: stem",
    ]


@pytest.mark.parametrize("decay", [0.0, 0.01])
@pytest.mark.parametrize("nesterov", [False, True])
def test_what_is_new_under_momentum_begins_as_in_a_first_step(nesterov, decay):
    """What learnt before and what is new stand in one group of the optimiser; only the former has a velocity."""
    sgd = OptimizerSettings(name="sgd", learning_rate=0.1, momentum=0.9, nesterov=nesterov, weight_decay=decay)
    learner = (trainer := trainer_of(unfreeze_every=1, epochs=2, optimizer=sgd)).learner
    batch = trainer.source.batch(0, 0)
    torch.manual_seed(0)
    learner.step(batch)
    velocity = {
        name: learner.optimizer.state[p]["momentum_buffer"].clone()
        for name, p in learner.trained.items()
        if p.grad is not None
    }
    assert {name.split(".")[0] for name in velocity} == {"fc"}
    learner.begin_epoch(1)
    before = {name: parameter.detach().clone() for name, parameter in learner.trained.items()}
    learner.step(batch)
    for name, parameter in learner.trained.items():
        if parameter.grad is None:
            assert name.startswith(("stem", "block1"))
            continue
        gradient = parameter.grad + (decay * before[name] if parameter.ndim >= 2 else 0)
        now = 0.9 * velocity.get(name, 0.0) + gradient
        expected = before[name] - 0.1 * (gradient + 0.9 * now if nesterov else now)
        torch.testing.assert_close(parameter, expected, atol=1e-6, rtol=1e-5)


OPTIMIZERS = {
    "adamw": OptimizerSettings(weight_decay=0.01),
    "sgd": OptimizerSettings(name="sgd", learning_rate=0.05, momentum=0.9),
    "rmsprop": OptimizerSettings(name="rmsprop"),
}


@pytest.mark.parametrize(
    ("optimizer", "stop", "decay"),
    [
        *(("adamw", (1, 3), 0.5), ("adamw", (1, 0), 0.5), ("sgd", (2, 5), 0.5), ("rmsprop", (1, 0), 0.5)),
        *(("sgd", (1, 0), 1.0), ("sgd", (2, 3), 1.0)),
    ],
)
def test_a_run_that_was_stopped_ends_with_the_same_bits(tmp_path, optimizer, stop, decay):
    train = settings_of(
        **{"unfreeze_every": 1, "rate_decay": decay, "epochs": 4, "average": 0.9, "checkpoint_seconds": 0.0},
        optimizer=OPTIMIZERS[optimizer],
        schedule=ScheduleSettings(name="cosine"),
    )
    recipe = Recipe(data=DATA, train=train)

    def interrupt(record) -> None:
        epoch, step = stop
        reached = record["event"] == "epoch" and record["epoch"] == epoch and step == 0
        if reached or (record["event"] == "progress" and (record["epoch"] - 1, record["step"]) == stop):
            os.kill(os.getpid(), signal.SIGTERM)

    whole = train_recipe(recipe, tmp_path / "whole", model=small())
    import gradus.train.trainer as trainer_module

    looks, trainer_module.LOOK_SECONDS = trainer_module.LOOK_SECONDS, 0.0  # a look after every step
    try:
        with pytest.raises(Interrupted):
            train_recipe(recipe, tmp_path / "stopped", model=small(), observers=(interrupt,))
    finally:
        trainer_module.LOOK_SECONDS = looks
    resumed = resume(tmp_path / "stopped", model=small(seed=9))
    for file in ("model", "optimizer"):
        one, two = (load_file(run.path / f"checkpoints/last/{file}.safetensors") for run in (whole, resumed))
        assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


COMMAND = ["train", "digits-lenet5", "--device", "cpu", "--epochs", "6", "--batch-size", "64", "--set", "data.test=0.7"]
COMMAND += ["--set", "train.fine_tune.unfreeze_every=2", "--set", "train.checkpoint_seconds=0"]


@pytest.mark.skipif(os.name == "nt", reason="kills as on POSIX")
def test_a_run_that_was_killed_while_more_learnt_ends_with_the_same_bits(children: Children, tmp_path):
    assert children.run(*COMMAND, "--out", tmp_path / "whole").code == 0
    killed = children.start(*COMMAND, "--out", tmp_path / "killed")
    state = tmp_path / "killed/checkpoints/last/state.json"
    while not killed.has_ended():
        if state.exists():
            try:
                if json.loads(state.read_text())["state"]["epoch"] >= 3:
                    break
            except (OSError, ValueError):
                pass
        time.sleep(0.005)
    killed.kill()
    assert killed.end().code == -signal.SIGKILL
    assert children.run("resume", tmp_path / "killed").code == 0
    for file in ("last/model", "last/optimizer", "best/model"):
        one, two = (load_file(tmp_path / f"{name}/checkpoints/{file}.safetensors") for name in ("whole", "killed"))
        assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one), file


class Recording:
    """A graph backend on the CPU: what it captures it runs at each replay."""

    captures = replays = 0

    def capture(self, step):
        self.captures, self.function = self.captures + 1, step
        return self

    def replay(self) -> None:
        self.replays += 1
        self.packed = self.function()

    def clone(self):
        return self.packed.clone()


def test_captured_steps_are_captured_anew_when_more_learns():
    ordinary, captured = (trainer_of(small(), unfreeze_every=1, epochs=3, average=0.9) for _ in range(2))
    graph = Recording()
    captured.stepper = Stepper(captured.learner, captured.source, graph=graph)
    ordinary.fit()
    captured.fit()
    full = captured.source.rows // 32
    assert (graph.captures, graph.replays) == (3, 3 * (full - WARM_UP))
    assert not changed(state_of(ordinary), state_of(captured))


@pytest.mark.skipif(not torch.distributed.is_available() or os.name == "nt", reason="needs torch.distributed")
def test_several_processes_unfreeze_together(children: Children, tmp_path):
    rates = ["--set", "train.fine_tune.rate_decay=0.5", "--epochs", "3", "--set", "train.fine_tune.unfreeze_every=1"]
    for ended in children.together(2, *COMMAND, *rates, "--out", tmp_path / "two"):
        assert ended.code == 0, str(ended)
    assert json.loads((tmp_path / "two/environment.json").read_text())["processes"] == 2
    assert children.run(*COMMAND, *rates, "--out", tmp_path / "one").code == 0
    one, two = (load_file(tmp_path / name / "checkpoints/last/model.safetensors") for name in ("one", "two"))
    for name in one:
        torch.testing.assert_close(one[name], two[name], atol=2e-4, rtol=1e-3)


# Features computed once


@pytest.mark.parametrize("freeze", [["features"], ["stem"], ["stem", "block1"]])
def test_features_computed_once_give_what_computing_them_every_time_gives(freeze):
    said: list[str] = []
    runs = []
    for cache in (True, False):
        recipe = Recipe(data=DATA, train=settings_of(freeze=freeze, cache=cache, epochs=3))
        trainer = create_trainer(prepare(recipe, model=small()), say=said.append)
        trainer.fit()
        runs.append(trainer)
    cached, plain = runs
    assert cached.learner.model.entry > 0 and plain.learner.model.entry == 0
    for name, tensor in cached.learner.model.state_dict().items():
        torch.testing.assert_close(tensor, plain.learner.model.state_dict()[name], atol=2e-5, rtol=1e-4)
    for one, two in zip(cached.history, plain.history, strict=True):
        assert one["train_loss"] == pytest.approx(two["train_loss"], rel=1e-4)
        assert one["validation_loss"] == pytest.approx(two["validation_loss"], rel=1e-4)
    assert len(said) == 1 and "computed once" in said[0] and "MiB" in said[0]


def test_trainings_that_differ_behind_their_features_share_them():
    said: list[str] = []

    def trained(rate: float, model: nn.Module, cache: dict | None):
        train = settings_of(freeze=["features"], epochs=2, optimizer=OptimizerSettings(name="sgd", learning_rate=rate))
        trainer = create_trainer(prepare(Recipe(data=DATA, train=train), model=model), say=said.append, cache=cache)
        trainer.fit()
        return trainer

    cache: dict = {}
    first, second = trained(0.1, small(), cache), trained(0.01, small(), cache)
    assert len(said) == 1 and second.source.tensors["inputs"] is first.source.tensors["inputs"]
    alone = trained(0.01, small(), None)
    for name, tensor in alone.learner.model.state_dict().items():
        assert torch.equal(tensor, second.learner.model.state_dict()[name]), name
    other = small()
    other.pool = nn.AvgPool2d(2)
    weights = small()
    nn.init.ones_(next(weights.parameters()))
    said.clear()
    for model in (other, weights):
        trained(0.1, model, cache)
    assert len(said) == 2, "with another module or other weights they are others"


def test_a_search_computes_features_once_for_all_its_trials(monkeypatch, tmp_path):
    computed = []
    plain = features_module._of_split

    def counted(model, modules, task, tensors, experiment, one):
        computed.append(len(tensors["targets"]))
        return plain(model, modules, task, tensors, experiment, one)

    monkeypatch.setattr(features_module, "_of_split", counted)
    made = Recipe(data=DATA, model=ModelSettings(name="lenet5"), train=settings_of(freeze=["features"], epochs=1))
    found = gradus.search(made, ["learning_rate=log:1e-3..1e-1"], tmp_path / "search", trials=3, at_once=1)
    assert len(found.trials) == 3 and len(computed) == 2, "of the training rows and of the validation rows"


def test_features_last_where_the_network_writes_into_its_inputs():
    model = small()
    model.fc = nn.Sequential(nn.SiLU(inplace=True), model.fc[1])
    trainer = create_trainer(prepare(Recipe(data=DATA, train=settings_of(freeze=["features"], epochs=3)), model=model))
    before = trainer.validation["inputs"].clone()
    trainer.fit()
    assert trainer.learner.model.entry > 0 and torch.equal(trainer.validation["inputs"], before)


def test_frozen_modules_are_applied_once_to_every_row(tmp_path):
    model = small()
    rows = []
    model.stem.register_forward_hook(lambda module, given, made: rows.append(len(given[0])))
    experiment = prepare(Recipe(data=DATA, train=settings_of(freeze=["features"], epochs=4)), model=model)
    tried = sum(rows)
    create_trainer(experiment).fit()
    expected = len(experiment.tensors["train"]["targets"]) + len(experiment.tensors["validation"]["targets"])
    assert sum(rows) - tried == expected + 1, "one row more tells the size"


def test_only_what_is_the_same_in_every_step_is_computed_once():
    model = small()
    chain = model.chain()
    assert chain == ["stem", "block1", "pool", "block2", "flatten", "fc"]
    assert fixed_modules(model, ("stem", "block1", "pool", "block2")) == 5, "with the flatten, not the head's dropout"
    assert fixed_modules(model, ("stem",)) == 1
    assert fixed_modules(model, ("block1", "pool", "block2")) == 0, "what is frozen stands behind what learns"
    assert fixed_modules(nn.Sequential(nn.Linear(2, 2)), ("0",)) == 0

    class Doubled(Small):
        def run(self, inputs, first=None, last=None):
            return super().run(2 * inputs, first, last)

    assert fixed_modules(Doubled(), ("stem",)) == 0, "it does more than apply a chain"
    assert trainer_of(unfreeze_every=2, epochs=4).learner.model.entry == 3, "the last epoch's frozen stages"
    assert trainer_of(unfreeze_every=1, epochs=4).learner.model.entry == 0


def test_it_is_said_where_frozen_modules_cannot_be_computed_once():
    said: list[str] = []
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Linear(8, 10))
    create_trainer(prepare(Recipe(data=DATA, train=settings_of(freeze=["1"])), model=model), say=said.append)
    assert said == [
        "what is frozen is computed in every step: it is kept only of networks that are a chain, with one target"
    ]


def test_augmented_features_are_not_computed_once():
    recipe = Recipe(data=DATA, train=settings_of(freeze=["features"]), augment=AugmentSettings(rotation=10))
    trainer = create_trainer(prepare(recipe, model=small()))
    assert trainer.learner.model.entry == 0
    before = state_of(trainer)
    trainer.fit()
    assert changed(before, state_of(trainer)) == {"fc"}


def test_without_room_features_are_computed_every_time_and_it_is_said(monkeypatch):
    monkeypatch.setattr(features_module, "resident_limit", lambda stream, device: 1000)
    said: list[str] = []
    experiment = prepare(Recipe(data=DATA, train=settings_of(freeze=["features"])), model=small())
    assert create_trainer(experiment, say=said.append).learner.model.entry == 0
    assert "more than half of the memory" in said[0]


def test_features_of_streamed_pictures_are_those_of_resident_ones(tmp_path):
    from PIL import Image

    generator = torch.Generator().manual_seed(0)
    for split in ("train", "test"):
        for label in ("a", "b"):
            folder = tmp_path / "data" / split / label
            folder.mkdir(parents=True)
            for number in range(12):
                pixels = torch.randint(0, 256, (16, 16, 3), dtype=torch.uint8, generator=generator)
                Image.fromarray(pixels.numpy()).save(folder / f"{number}.png")
    entries = []
    for stream in ("never", "always"):
        data = DataSettings(source=str(tmp_path / "data"), validation=4, stream=stream, workers=0)
        recipe = Recipe(
            data=data, model=ModelSettings(name="lenet5"), train=settings_of(freeze=["features"], batch_size=4)
        )
        entries.append(create_trainer(prepare(recipe)))
    one, two = (trainer.source.tensors["inputs"] for trainer in entries)
    torch.testing.assert_close(one, two)
    entries[1].fit()


def test_a_run_on_features_is_a_run_like_any_other(tmp_path):
    recipe = Recipe(data=DATA, train=settings_of(freeze=["features"], epochs=2))
    recipe = Recipe(data=DATA, model=ModelSettings(name="lenet5"), train=recipe.train)
    run = train_recipe(recipe, tmp_path / "run")
    again = load_run(tmp_path / "run")
    assert again.evaluate("test") == run.evaluate("test")
    assert set(load_file(run.path / "checkpoints/last/model.safetensors")) == set(again.model.state_dict())
    assert run.evaluation["metrics"]["accuracy"] == again.evaluate("test")["accuracy"]

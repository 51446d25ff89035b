"""Checks of the network, the loss and the first steps: each names what was planted, and leaves a sound network alone."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from faulty import case_of as table_case
from faulty import table
from torch import nn
from torch.nn import functional

from gradus.data.augment.settings import AugmentSettings
from gradus.data.columns import Number
from gradus.data.dataset import Dataset
from gradus.data.load import DataSettings, load_data
from gradus.doctor.case import Case, NotHere
from gradus.doctor.checks import (
    augmentation,
    depth,
    evaluation_mode,
    first_loss,
    first_steps,
    learning_rate,
    linearity,
    memorise,
    outputs,
)
from gradus.doctor.examine import examine
from gradus.models import ModelSettings
from gradus.recipes.experiment import prepare
from gradus.recipes.recipe import Recipe
from gradus.tasks.targets import ClassTarget
from gradus.train.learner import Supervised
from gradus.train.settings import OptimizerSettings, TrainSettings
from gradus.train.source import Resident

ALL = (
    outputs.find_empty_classes,
    outputs.find_probabilities,
    first_loss.find_initial_loss,
    first_loss.find_summed_loss,
    first_steps.find_unscaled_inputs,
    depth.find_scales,
    depth.find_dead_units,
    linearity.find_linear_network,
    memorise.find_cannot_memorise,
    evaluation_mode.find_random_evaluation,
    evaluation_mode.find_batch_statistics,
    first_steps.find_kept_gradients,
    first_steps.find_unmixed_batches,
    learning_rate.find_rate,
    first_steps.measure_cost,
)


@cache
def digits() -> Dataset:
    return load_data("digits")


def case_of(model: nn.Module | None = None, *, data: Dataset | None = None, **parts) -> Case:
    train = TrainSettings(epochs=5, batch_size=32, device="cpu", threads=1)
    recipe = Recipe(data=DataSettings(source="digits"), train=parts.pop("train", train), **parts)
    return Case(prepare(recipe, data or digits(), model, measure=False), "digits")


def dense(*widths: int, activation=nn.ReLU, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    layers = [nn.Flatten()]
    for inputs, width in zip((64, *widths), (*widths, 10), strict=True):
        layers += [nn.Linear(inputs, width), activation()]
    return nn.Sequential(*layers[:-1])


def changed(model: nn.Module, how) -> nn.Module:
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear):
                how(module)
    return model


class WithNorm(nn.Module):
    """A sound network of one's own; `last` is what happens to its logits."""

    def __init__(self, last=lambda logits: logits) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10))
        self.last = last

    def forward(self, inputs):
        return self.last(self.layers(inputs))


def kinds(check, case: Case) -> list[str]:
    return [one.kind for one in check(case)]


def test_a_sound_network_has_none():
    case = case_of(WithNorm())
    before = {name: tensor.clone() for name, tensor in case.experiment.model.state_dict().items()}
    found = {check.__name__: kinds(check, case) for check in ALL}
    assert {name: what for name, what in found.items() if what} == {}
    assert abs(case.measured["initial loss"]["of chance"] - np.log(10)) < 1e-6
    assert case.measured["cost"]["bytes of parameters"] == 4 * (64 * 32 + 32 + 64 + 320 + 10)
    assert case.measured["cost"]["bytes of the optimiser"] >= 2 * case.measured["cost"]["bytes of parameters"]
    after = case.experiment.model.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_nothing_that_is_drawn_is_the_users():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    examine(Recipe(data=DataSettings(source="iris")), only=("random-evaluation", "by-heart", "rate"))
    assert torch.equal(torch.rand(3), expected)


def test_too_many_outputs_are_a_finding():
    found = examine(Recipe(data=DataSettings(source="digits")), dataset=digits(), model=dense(8)[:-1])
    assert [one.kind for one in found.findings] == ["wrong-outputs"] and "(2, 8)" in found.findings[0].told


def test_a_class_without_rows():
    label = digits().target
    rows = np.flatnonzero(np.asarray(digits()["train"][label].values) != 3)
    data = digits().with_splits({"train": digits()["train"].take(rows)})
    (found,) = outputs.find_empty_classes(case_of(data=data))
    assert found.kind == "wrong-outputs" and "'3'" in found.told


def test_probabilities_in_place_of_logits():
    for last in (lambda x: torch.softmax(x, 1), torch.sigmoid, lambda x: x.exp() / x.exp().sum(1, keepdim=True)):
        assert kinds(outputs.find_probabilities, case_of(WithNorm(last))) == ["probabilities"]
    assert kinds(outputs.find_probabilities, case_of(WithNorm(lambda x: torch.log_softmax(x, 1)))) == []


def test_weights_ten_times_as_large():
    def larger(layer):
        layer.weight.mul_(10)

    case = case_of(changed(dense(32, 32, 32), larger))
    assert kinds(first_loss.find_initial_loss, case) == ["initial-loss"]
    deep = case_of(changed(dense(*[32] * 6), larger))
    assert kinds(depth.find_scales, deep) == ["exploding"]


def test_a_sum_in_place_of_a_mean(monkeypatch):
    clean = ClassTarget.loss
    monkeypatch.setattr(ClassTarget, "loss", lambda *a, **k: clean(*a, **k) * len(a[2]))
    case = case_of(dense(16))
    (found,) = first_loss.find_summed_loss(case)
    assert found.kind == "loss-scale" and found.value == pytest.approx(2, abs=0.01)
    assert kinds(first_loss.find_initial_loss, case) == []  # the loss of chance is a sum as well


def test_units_that_begin_alike():
    for value in (0.0, 0.1):
        model = changed(dense(16, 16), lambda layer, value=value: layer.weight.fill_(value))
        assert kinds(depth.find_scales, case_of(model)) == []  # their biases differ, and so do they after a few steps
        model = changed(model, lambda layer: layer.bias.zero_())
        assert kinds(depth.find_scales, case_of(model)) == ["same-units"]
    head = dense(16, 16)
    nn.init.zeros_(head[-1].weight)  # a head of zeros is sound: it differs after one step, and then all do
    assert kinds(depth.find_scales, case_of(head)) == []


def test_twenty_sigmoids_and_twenty_rectifiers():
    found = depth.find_scales(case_of(dense(*[16] * 20, activation=nn.Sigmoid)))
    assert [one.kind for one in found] == ["vanishing"] and found[0].value < 1e-6
    he = changed(dense(*[64] * 20), lambda layer: nn.init.kaiming_normal_(layer.weight))
    assert kinds(depth.find_scales, case_of(he)) == []


def test_units_that_a_bias_killed():
    model = changed(dense(16), lambda layer: layer.bias.fill_(-6) if layer.out_features == 16 else None)
    (found,) = depth.find_dead_units(case_of(model))
    assert found.kind == "dead-units" and found.where == "1" and "512 rows" in found.told
    large = changed(dense(16, 16, activation=nn.Tanh), lambda layer: layer.bias.fill_(40))
    assert kinds(depth.find_dead_units, case_of(large)) == ["saturated-units"]


def test_layers_without_an_activation():
    (found,) = linearity.find_linear_network(case_of(dense(16, 16, activation=nn.Identity)))
    assert found.kind == "linear-network" and found.value < 1e-10 and "3 layers" in found.told
    with pytest.raises(NotHere, match="one layer"):
        linearity.find_linear_network(case_of(dense()))


def test_rows_that_cannot_be_learnt_by_heart():
    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.first, self.last = nn.Linear(64, 32), nn.Linear(32, 10)

        def forward(self, inputs):
            hidden = self.first(inputs.flatten(1)) * 0
            return self.last(hidden)

    (found,) = memorise.find_cannot_memorise(case_of(Cut()))
    assert found.kind == "cannot-memorise" and "no gradient reaches last" in found.told
    with pytest.raises(NotHere, match="too few weights"):
        memorise.find_cannot_memorise(case_of(dense(2)))


def test_rows_that_hardly_differ_are_not_asked_by_heart():
    """Answers that wander are no function of one rounded number that a small network could have in a few steps."""
    random = np.random.default_rng(0)
    wander = np.cumsum(random.normal(size=400))
    inputs = {"u": random.normal(size=400), "rounded": np.round(random.normal(size=400), 1)}
    for reason, values in {"too few inputs": inputs["u"], "equal inputs": inputs["rounded"]}.items():
        made = table({"u": Number(), "y": Number()}, "y", train={"u": values, "y": wander})
        with pytest.raises(NotHere, match=reason):
            memorise.find_cannot_memorise(table_case(made, "tabular-regression"))
    case = table_case(load_data("iris"))
    assert memorise.find_cannot_memorise(case) == [] and case.measured["one batch by heart"]["rows"] == 10


class Wrong(torch.autograd.Function):
    @staticmethod
    def forward(ctx, inputs):
        return inputs * inputs

    @staticmethod
    def backward(ctx, gradient):
        return gradient  # forgets 2 x


class Right(Wrong):
    @staticmethod
    def forward(ctx, inputs):
        ctx.save_for_backward(inputs)
        return inputs * inputs

    @staticmethod
    def backward(ctx, gradient):
        return 2 * ctx.saved_tensors[0] * gradient


def test_a_backward_pass_of_ones_own():
    (found,) = memorise.find_wrong_gradients(case_of(WithNorm(Wrong.apply)))
    assert found.kind == "custom-gradient"
    assert memorise.find_wrong_gradients(case_of(WithNorm(Right.apply))) == []
    with pytest.raises(NotHere, match="no function"):
        memorise.find_wrong_gradients(case_of(WithNorm()))


def test_dropout_that_stays_on():
    case = case_of(WithNorm(lambda logits: functional.dropout(logits, 0.5)))
    assert kinds(evaluation_mode.find_random_evaluation, case) == ["random-evaluation"]
    with pytest.raises(NotHere, match="other answers each time"):
        evaluation_mode.find_batch_statistics(case)


def test_norms_that_go_by_the_batch():
    model = WithNorm()
    model.layers[2] = nn.BatchNorm1d(32, track_running_stats=False)
    (found,) = evaluation_mode.find_batch_statistics(case_of(model))
    assert found.kind == "batch-statistics" and found.where == "layers.2 (BatchNorm1d)"
    assert evaluation_mode.find_random_evaluation(case_of(model)) == []


def test_gradients_that_are_kept(monkeypatch):
    clean = Supervised._gradients

    def kept(self, batch):
        before = [p.grad for p in self.parameters]
        found = clean(self, batch)
        for parameter, old in zip(self.parameters, before, strict=True):
            if old is not None:
                parameter.grad.add_(old)
        return found

    monkeypatch.setattr(Supervised, "_gradients", kept)
    (found,) = first_steps.find_kept_gradients(case_of(dense(16)))
    assert found.kind == "kept-gradients" and found.value == pytest.approx(2, abs=0.01)


def test_rows_in_the_order_of_their_classes(monkeypatch):
    label = digits().target
    rows = np.argsort(np.asarray(digits()["train"][label].values), kind="stable")
    data = digits().with_splits({"train": digits()["train"].take(rows)})
    case = case_of(data=data)
    assert first_steps.find_unmixed_batches(case) == []  # they are shuffled
    monkeypatch.setattr(Resident, "_new_order", lambda self, first, seed: torch.arange(self.rows))
    assert kinds(first_steps.find_unmixed_batches, case) == ["one-class-batches"]


def test_inputs_of_other_sizes():
    case = case_of(dense(16))
    case.kept["features of train 2000"] = np.full((5, 64), 255.0)
    assert kinds(first_steps.find_unscaled_inputs, case) == ["unscaled-inputs"]


@pytest.mark.parametrize(("rate", "kind"), [(10.0, ["rate-too-high"]), (1e-3, []), (1e-6, ["rate-too-low"])])
def test_learning_rates(rate, kind):
    train = TrainSettings(
        epochs=3, batch_size=32, device="cpu", threads=1, optimizer=OptimizerSettings(name="adam", learning_rate=rate)
    )
    recipe = Recipe(data=DataSettings(source="digits"), model=ModelSettings(name="mlp"), train=train)
    found = learning_rate.find_rate(Case(prepare(recipe, digits(), measure=False), "digits"))
    assert [one.kind for one in found] == kind
    for one in found:
        assert one.command.startswith("gradus train --data digits --model mlp --set train.optimizer.learning_rate=")


def test_flipped_digits():
    flips = case_of(augment=AugmentSettings(flip_vertical=0.5))
    (found,) = augmentation.find_harm(flips)
    assert found.kind == "harmful-augmentation" and found.where == "augment.flip_vertical" and len(found.rows["train"])
    moved = AugmentSettings(rotation=10, shift_horizontal=0.1, zoom=0.1)
    assert augmentation.find_harm(case_of(augment=moved)) == []
    with pytest.raises(NotHere, match="no pictures are augmented"):
        augmentation.find_harm(case_of())


def test_a_fresh_network_after_training(tmp_path):
    from gradus.recipes.execute import train_recipe

    recipe = Recipe(data=DataSettings(source="iris"), train=TrainSettings(epochs=2, device="cpu", threads=1))
    first = prepare(recipe, measure=False).model.state_dict()
    run = train_recipe(recipe, tmp_path / "run")
    case = Case(run.experiment, str(run.path), run)
    fresh = case.fresh_model.state_dict()
    assert all(torch.equal(tensor, fresh[name]) for name, tensor in first.items())
    assert not torch.equal(next(iter(run.experiment.model.state_dict().values())), next(iter(fresh.values())))
    assert replace(case, run=None).fresh_model is not case.fresh_model

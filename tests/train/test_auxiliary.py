"""Networks with auxiliary heads: what is minimised, what is counted, and that every way of training sees the heads."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from gradus.errors import UserError
from gradus.models.auxiliary import AuxiliaryNetwork, auxiliary_heads_of, main_outputs, total_loss
from gradus.tasks.inputs import Inputs
from gradus.tasks.targets import ClassOptions, ClassTarget
from gradus.tasks.task import InputTargetTask
from gradus.train.devices import Plan
from gradus.train.fleet import FleetLearner, FleetSource, Member
from gradus.train.learner import Supervised
from gradus.train.measure import compare_precisions
from gradus.train.randomness import seed_step
from gradus.train.settings import OptimizerSettings, TrainSettings

CPU = torch.device("cpu")
SETTINGS = TrainSettings(optimizer=OptimizerSettings(name="sgd", learning_rate=0.5), batch_size=6)


class Straight(Inputs):
    """Tensors as they come."""

    def prepare(self, batch):
        return batch

    def fit(self, train, exclude):
        raise NotImplementedError

    encode = features = model_options = state = restore = fit


class Small(AuxiliaryNetwork):
    """Two stages, a head on each, and a last one."""

    stages = {"first": ("first", "bend"), "second": ("second",), "head": ("fc",)}  # noqa: RUF012
    auxiliary_heads = {"first": "aux1", "second": "aux2"}  # noqa: RUF012
    auxiliary_weight = 0.3

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.first, self.bend, self.second = nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 5)
        self.aux1 = nn.Sequential(nn.Dropout(dropout), nn.Linear(5, 3))
        self.aux2 = nn.Linear(5, 3)
        self.fc = nn.Linear(5, 3)


def small(seed: int = 0, dropout: float = 0.0) -> Small:
    torch.manual_seed(seed)
    return Small(dropout).double()


def rows(number: int, seed: int = 0) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    inputs = torch.randn(number, 4, generator=draw, dtype=torch.float64)
    return {"inputs": inputs, "targets": torch.randint(3, (number,), generator=draw)}


def task() -> InputTargetTask:
    return InputTargetTask("classes", Straight(), ClassTarget(ClassOptions()))


def learner(model: nn.Module, **settings: Any) -> Supervised:
    return Supervised(model, task(), TrainSettings(**{"optimizer": SETTINGS.optimizer, **settings}), Plan(CPU))


def test_in_training_the_heads_are_returned_in_evaluation_the_logits_alone():
    model, data = small(), rows(6)["inputs"]
    first = torch.tanh(model.first(data))
    second = model.second(first)
    found = model.train()(data)
    wanted = (model.fc(second), model.aux1(first), model.aux2(second))
    assert isinstance(found, tuple) and all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
    assert torch.equal(model.eval()(data), wanted[0])
    assert auxiliary_heads_of(model) == ["aux1.1", "aux2"] and auxiliary_heads_of(nn.Linear(2, 2)) == []


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_step_follows_the_sum_of_losses_and_counts_the_first(accumulate):
    data, by_hand = rows(6), small()
    logits, *others = by_hand.train()(data["inputs"])
    loss = functional.cross_entropy(logits, data["targets"])
    for other in others:
        loss = loss + 0.3 * functional.cross_entropy(other, data["targets"])
    loss.backward()
    made = learner(small(), accumulate=accumulate)
    before = {name: parameter.detach().clone() for name, parameter in made.model.named_parameters()}
    found = made.step(data)
    assert found["loss"].item() == pytest.approx(loss.item(), rel=1e-12)
    assert found["correct"].item() == (logits.argmax(1) == data["targets"]).sum()
    for name, parameter in by_hand.named_parameters():
        assert parameter.grad is not None and float(parameter.grad.abs().max()) > 0, name
        changed = before[name] - 0.5 * parameter.grad
        assert torch.allclose(dict(made.model.named_parameters())[name], changed, rtol=0, atol=1e-14), name


def test_evaluation_has_the_loss_of_the_logits():
    made, data = learner(small()), rows(6)
    sums, samples = made.evaluate([data])
    with torch.no_grad():
        wanted = functional.cross_entropy(made.model.eval()(data["inputs"]), data["targets"])
    assert sums["loss"] / samples == pytest.approx(wanted.item(), rel=1e-12)


def test_what_is_not_finite_is_found_behind_a_head_too():
    made, data = learner(small()), rows(6)
    made.model.aux2.bias.data[1] = torch.inf
    assert made.diagnose(data) == ("the parameter aux2.bias", None)
    made.model.aux2.bias.data[1] = 0.0
    made.model.aux2.weight.data[1] = 1.5e308
    made.model.second.bias.data += 10.0
    assert made.diagnose(data)[0] == "the output of layer aux2 (Linear)"
    made.model.aux2.weight.data[1] = 1.0
    made.model.auxiliary_weight = float("inf")
    assert made.diagnose(data) == ("the loss (every layer's output is finite)", 0)


def test_a_fleet_trains_each_member_as_alone_dropout_of_the_heads_included():
    settings = [TrainSettings(optimizer=SETTINGS.optimizer, batch_size=6, seed=seed) for seed in (3, 4)]
    data = rows(12)
    members = [Member(small(index, 0.5), task(), data, data, one) for index, one in enumerate(settings)]
    alone = [learner(small(index, 0.5)) for index in range(2)]
    fleet, source = FleetLearner(members, Plan(CPU)), FleetSource(members, random=True)
    for step in range(2):
        parts = source.batch(0, step)
        found = fleet.step(parts)
        for index, one in enumerate(alone):
            seed_step(settings[index].seed, 0, step, CPU)
            batch = {name: tensor[index] for name, tensor in parts[0].batch.items()}
            assert found["loss"][index].item() == pytest.approx(one.step(batch)["loss"].item(), rel=1e-12)


class Tuple(nn.Module):
    """A user's own module with two outputs, which does not say what the second weighs."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3).double()

    def forward(self, inputs):
        return (self.layer(inputs), self.layer(inputs)) if self.training else self.layer(inputs)


def test_a_module_of_the_users_own_needs_a_weight():
    made = learner(Tuple())
    with pytest.raises(UserError, match="in training Tuple returns 2 outputs: set its attribute auxiliary_weight"):
        made.step(rows(6))
    single = copy.deepcopy(made.model).eval()
    loss = functional.cross_entropy(single(rows(6)["inputs"]), rows(6)["targets"])
    made.model.auxiliary_weight = 2.0
    assert made.step(rows(6))["loss"].item() == pytest.approx(3 * loss.item(), rel=1e-12)


def test_outputs_without_heads_are_what_they_were():
    logits = torch.randn(2, 3)
    assert main_outputs(logits) is logits
    assert total_loss(nn.Identity(), logits, lambda one: one.sum()) == logits.sum()


def test_precision_is_measured_with_the_heads():
    plan = Plan(CPU)
    seconds, _ = compare_precisions(plan, plan, small().float(), rows(6)["inputs"].float(), torch.sum)
    assert seconds > 0

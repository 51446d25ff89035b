"""Each optimiser's update against its formula in NumPy, and penalties, max-norm and clipping against the reference."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gradus.errors import UserError
from gradus.reference import penalties as reference
from gradus.train.optimizers import clip, create_optimizer, limit_norms, penalty, weights_of
from gradus.train.settings import OPTIMIZERS, OptimizerSettings, RegularizationSettings

CPU = torch.device("cpu")
Rule = Callable[[np.ndarray, np.ndarray, dict[str, np.ndarray], int], np.ndarray]


class Neuron(nn.Module):
    """One weight matrix and one bias in float64."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        values = np.random.default_rng(seed)
        self.weight = nn.Parameter(torch.tensor(values.normal(size=(3, 2))))
        self.bias = nn.Parameter(torch.tensor(values.normal(size=3)))


def updated(settings: OptimizerSettings, steps: int = 6) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """(initial values, gradients by step, final values), each of weight and bias, under an optimiser of ours."""
    model = Neuron()
    optimizer = create_optimizer(model, settings, CPU)
    parameters = [model.weight, model.bias]
    before = [p.detach().numpy().copy() for p in parameters]
    random, gradients = np.random.default_rng(1), []
    for _ in range(steps):
        gradients.append([random.normal(size=p.shape) for p in parameters])
        for parameter, gradient in zip(parameters, gradients[-1], strict=True):
            parameter.grad = torch.tensor(gradient)
        optimizer.step()
    return before, gradients, [p.detach().numpy() for p in parameters]


def by_hand(rule: Rule, before: list[np.ndarray], gradients: list, decay: list[float], decoupled: float | None) -> list:
    """The same updates by a rule (w, g, memory, t) -> w. decay: of each parameter; decoupled: the rate it is applied at."""
    found = []
    for index, start in enumerate(before):
        weights, memory = start.copy(), {}
        for step, pair in enumerate(gradients, 1):
            gradient = pair[index]
            if decoupled is None:
                gradient = gradient + decay[index] * weights
            else:
                weights = weights - decoupled * decay[index] * weights
            weights = rule(weights, gradient, memory, step)
        found.append(weights)
    return found


def sgd(rate: float, momentum: float = 0.0, nesterov: bool = False) -> Rule:
    def rule(w, g, memory, t):
        memory["v"] = momentum * memory.get("v", 0) + g
        return w - rate * (g + momentum * memory["v"] if nesterov else memory["v"])

    return rule


def adagrad(rate: float, epsilon: float) -> Rule:
    def rule(w, g, memory, t):
        memory["s"] = memory.get("s", 0) + g**2
        return w - rate * g / (np.sqrt(memory["s"]) + epsilon)

    return rule


def adadelta(rate: float, rho: float, epsilon: float) -> Rule:
    def rule(w, g, memory, t):
        memory["s"] = rho * memory.get("s", 0) + (1 - rho) * g**2
        change = np.sqrt(memory.get("d", 0) + epsilon) / np.sqrt(memory["s"] + epsilon) * g
        memory["d"] = rho * memory.get("d", 0) + (1 - rho) * change**2
        return w - rate * change

    return rule


def rmsprop(rate: float, rho: float, epsilon: float, momentum: float = 0.0) -> Rule:
    def rule(w, g, memory, t):
        memory["s"] = rho * memory.get("s", 0) + (1 - rho) * g**2
        memory["v"] = momentum * memory.get("v", 0) + g / (np.sqrt(memory["s"]) + epsilon)
        return w - rate * memory["v"]

    return rule


def adam(rate: float, beta1: float, beta2: float, epsilon: float) -> Rule:
    def rule(w, g, memory, t):
        memory["m"] = beta1 * memory.get("m", 0) + (1 - beta1) * g
        memory["s"] = beta2 * memory.get("s", 0) + (1 - beta2) * g**2
        mean, square = memory["m"] / (1 - beta1**t), memory["s"] / (1 - beta2**t)
        return w - rate * mean / (np.sqrt(square) + epsilon)

    return rule


UPDATES = [
    (OptimizerSettings(name="sgd", learning_rate=0.1), sgd(0.1)),
    (OptimizerSettings(name="sgd", learning_rate=0.1, momentum=0.8), sgd(0.1, 0.8)),
    (OptimizerSettings(name="sgd", learning_rate=0.1, momentum=0.8, nesterov=True), sgd(0.1, 0.8, True)),
    (OptimizerSettings(name="adagrad", learning_rate=0.1, epsilon=0.01), adagrad(0.1, 0.01)),
    (OptimizerSettings(name="adadelta", learning_rate=0.5, rho=0.8, epsilon=0.01), adadelta(0.5, 0.8, 0.01)),
    (OptimizerSettings(name="rmsprop", learning_rate=0.1, rho=0.8, epsilon=0.01), rmsprop(0.1, 0.8, 0.01)),
    (
        OptimizerSettings(name="rmsprop", learning_rate=0.1, rho=0.8, epsilon=0.01, momentum=0.7),
        rmsprop(0.1, 0.8, 0.01, 0.7),
    ),
    (OptimizerSettings(name="adam", learning_rate=0.1, beta1=0.8, beta2=0.9, epsilon=0.01), adam(0.1, 0.8, 0.9, 0.01)),
    (OptimizerSettings(name="adamw", learning_rate=0.1, beta1=0.8, beta2=0.9, epsilon=0.01), adam(0.1, 0.8, 0.9, 0.01)),
]
every_update = pytest.mark.parametrize(
    ("settings", "rule"),
    UPDATES,
    ids=[f"{s.name}{'-momentum' * bool(s.momentum)}{'-nesterov' * s.nesterov}" for s, _ in UPDATES],
)


def test_every_optimizer_is_held_to_a_formula():
    assert {settings.name for settings, _ in UPDATES} == set(OPTIMIZERS)


@every_update
def test_updates_are_those_of_the_formula(settings, rule):
    before, gradients, after = updated(settings)
    for found, wanted in zip(after, by_hand(rule, before, gradients, [0.0, 0.0], None), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-10)


@every_update
@pytest.mark.parametrize("decay", ["weights", "all"])
def test_weight_decay_spares_biases_unless_asked(settings, rule, decay):
    settings = replace(settings, weight_decay=0.3, decay=decay)
    before, gradients, after = updated(settings)
    decoupled = settings.learning_rate if settings.name == "adamw" else None
    wanted = by_hand(rule, before, gradients, [0.3, 0.3 if decay == "all" else 0.0], decoupled)
    for found, expected in zip(after, wanted, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_decay_of_adamw_does_not_pass_through_the_moments():
    adam_after = updated(OptimizerSettings(name="adam", learning_rate=0.1, weight_decay=0.3))[2][0]
    adamw_after = updated(OptimizerSettings(name="adamw", learning_rate=0.1, weight_decay=0.3))[2][0]
    assert np.abs(adam_after - adamw_after).max() > 1e-3


TORCH = {
    "sgd": torch.optim.SGD,
    "adagrad": torch.optim.Adagrad,
    "adadelta": torch.optim.Adadelta,
    "rmsprop": torch.optim.RMSprop,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_what_is_left_open_is_what_torch_uses(name):
    """But for the learning rates of sgd and rmsprop, which are a choice of ours."""
    usual = {key: p.default for key, p in inspect.signature(TORCH[name]).parameters.items()}
    optimizer = create_optimizer(Neuron(), OptimizerSettings(name=name), CPU)
    assert type(optimizer) is TORCH[name]
    for group in optimizer.param_groups:
        for key in ("eps", "rho", "alpha", "betas", "momentum", "nesterov"):
            if key in usual:
                assert group[key] == usual[key], key
        assert group["weight_decay"] == 0
    resolved = OptimizerSettings(name=name).resolved()
    assert resolved.learning_rate == optimizer.param_groups[0]["lr"] and resolved.resolved() == resolved
    assert (resolved.epsilon is None) == ("eps" not in usual)


def test_frozen_parameters_are_left_alone():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    model[0].requires_grad_(False)
    optimizer = create_optimizer(model, OptimizerSettings(name="sgd", weight_decay=0.1), CPU)
    held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert {id(p) for p in held} == {id(p) for p in model[1].parameters()}
    assert [id(w) for w in weights_of(model)] == [id(model[1].weight)]


def test_weights_are_the_parameters_of_two_or_more_dimensions():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 2))
    assert [id(w) for w in weights_of(model)] == [id(model[0].weight), id(model[3].weight)]
    optimizer = create_optimizer(model, OptimizerSettings(weight_decay=0.1), CPU)
    decays = [p for group in optimizer.param_groups if group["weight_decay"] for p in group["params"]]
    assert [id(p) for p in decays] == [id(w) for w in weights_of(model)]


quick = settings(max_examples=25, deadline=None)


@quick
@given(st.floats(0, 2), st.floats(0, 2), st.integers(0, 99))
def test_penalty_is_the_reference(l1, l2, seed):
    random = np.random.default_rng(seed)
    arrays = [random.normal(size=shape) for shape in ((3, 2), (2, 1, 2, 2))]
    weights = [torch.tensor(array, requires_grad=True) for array in arrays]
    value = penalty(weights, RegularizationSettings(l1=l1, l2=l2))
    if not (l1 or l2):
        assert value is None
        return
    assert value is not None
    value.backward()
    wanted = sum(reference.elastic_penalty(array, l1, l2) for array in arrays)
    assert value.item() == pytest.approx(wanted, rel=1e-6)
    for weight, array in zip(weights, arrays, strict=True):
        np.testing.assert_allclose(weight.grad, reference.elastic_penalty_backward(array, l1, l2), rtol=1e-12)


def test_penalty_of_no_weights_is_nothing():
    value = penalty([], RegularizationSettings(l2=0.1))
    assert value is None or float(value) == 0


@quick
@given(st.integers(1, 4), st.lists(st.integers(1, 3), min_size=1, max_size=3), st.floats(0.1, 3), st.integers(0, 99))
def test_max_norm_is_the_reference_and_idempotent(neurons, rest, largest, seed):
    array = np.random.default_rng(seed).normal(size=(neurons, *rest))
    weight = torch.tensor(array)
    limit_norms([weight], largest)
    np.testing.assert_allclose(weight, reference.max_norm(array, largest), rtol=2e-6)  # torch.renorm adds 1e-7
    once = weight.clone()
    limit_norms([weight], largest)
    np.testing.assert_allclose(weight, once, rtol=1e-12)
    assert bool((once.flatten(1).norm(dim=1) <= largest).all())


def test_max_norm_leaves_shorter_rows_bit_equal_and_keeps_the_memory_order():
    weight = torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last)
    weight[0] *= 100
    before = weight.clone()
    limit_norms([weight], 50.0)
    assert torch.equal(weight[1:], before[1:]) and float(weight[0].norm()) == pytest.approx(50, rel=1e-5)
    assert weight.is_contiguous(memory_format=torch.channels_last)


def with_gradients(*gradients: list[float]) -> list[torch.Tensor]:
    parameters = []
    for gradient in gradients:
        parameter = torch.zeros(len(gradient), dtype=torch.float64, requires_grad=True)
        parameter.grad = torch.tensor(gradient, dtype=torch.float64)
        parameters.append(parameter)
    return parameters


def test_clipping_by_value_cuts_each_entry():
    parameters = with_gradients([3.0, -0.5], [-4.0])
    clip(parameters, RegularizationSettings(clip_value=1.0))
    assert [p.grad.tolist() for p in parameters] == [[1.0, -0.5], [-1.0]]


def test_clipping_by_norm_scales_all_together():
    parameters = with_gradients([3.0, 0.0], [4.0])
    clip(parameters, RegularizationSettings(clip_norm=1.0))
    np.testing.assert_allclose(parameters[0].grad, [0.6, 0.0], rtol=1e-5)
    np.testing.assert_allclose(parameters[1].grad, [0.8], rtol=1e-5)
    parameters = with_gradients([3.0, 0.0], [4.0])
    clip(parameters, RegularizationSettings(clip_norm=5.1))
    assert [p.grad.tolist() for p in parameters] == [[3.0, 0.0], [4.0]]


def test_values_are_clipped_before_the_norm():
    parameters = with_gradients([3.0], [400.0])
    clip(parameters, RegularizationSettings(clip_value=4.0, clip_norm=1.0))
    np.testing.assert_allclose([p.grad.item() for p in parameters], [0.6, 0.8], rtol=1e-5)


def test_nothing_is_clipped_unless_asked():
    parameters = with_gradients([1e9])
    clip(parameters, RegularizationSettings())
    assert parameters[0].grad.item() == 1e9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "adm"}, "unknown optimizer 'adm'; did you mean 'adam'?"),
        ({"name": "lbfgs"}, "unknown optimizer 'lbfgs'; known: sgd, adagrad, adadelta, rmsprop, adam, adamw"),
        ({"learning_rate": -1.0}, "learning_rate: expected a number above 0, received -1.0"),
        ({"learning_rate": 0.0}, "learning_rate: expected a number above 0, received 0.0"),
        ({"learning_rate": math.nan}, "learning_rate: expected a number above 0, received nan"),
        ({"learning_rate": math.inf}, "learning_rate: expected a number above 0, received inf"),
        ({"name": "sgd", "momentum": 1.0}, "optimizer.momentum: expected 0 to below 1, received 1.0"),
        ({"beta1": -0.1}, "optimizer.beta1: expected 0 to below 1, received -0.1"),
        ({"beta2": 1.0}, "optimizer.beta2: expected 0 to below 1, received 1.0"),
        ({"name": "rmsprop", "rho": 2.0}, "optimizer.rho: expected 0 to below 1, received 2.0"),
        ({"weight_decay": -1.0}, "optimizer.weight_decay: expected 0 or more, received -1.0"),
        ({"epsilon": 0.0}, "optimizer.epsilon: expected a number above 0, received 0.0"),
        ({"name": "adam", "nesterov": True}, "optimizer.nesterov: needs name = 'sgd' and a momentum above 0"),
        ({"name": "sgd", "nesterov": True}, "optimizer.nesterov: needs name = 'sgd' and a momentum above 0"),
        ({"name": "adam", "momentum": 0.9}, "optimizer.momentum: adam has none; sgd and rmsprop have"),
    ],
)
def test_impossible_optimizers_are_told(arguments, message):
    with pytest.raises(UserError) as told:
        OptimizerSettings(**arguments)
    assert message in str(told.value)


@pytest.mark.parametrize("name", ["l1", "l2"])
@pytest.mark.parametrize("value", [-0.1, math.nan])
def test_penalties_are_not_negative(name, value):
    with pytest.raises(UserError, match=rf"regularization\.{name}: expected 0 or more, received"):
        RegularizationSettings(**{name: value})


@pytest.mark.parametrize("name", ["max_norm", "clip_norm", "clip_value"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_limits_are_above_zero(name, value):
    with pytest.raises(UserError, match=rf"regularization\.{name}: expected a number above 0, received"):
        RegularizationSettings(**{name: value})

"""Optimisers for many models at once against torch.optim, one model at a time, in float64."""

from __future__ import annotations

import pytest
import torch

from gradus.train.optimizers import create_optimizer
from gradus.train.settings import OptimizerSettings
from gradus.train.stacked import StackedOptimizer

CASES = {
    "sgd": [{}, {"learning_rate": 0.3}],
    "sgd of equal numbers": [{"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}] * 3,
    "rmsprop of equal numbers": [{"momentum": 0.9, "weight_decay": 0.1}] * 3,
    "adam of equal numbers": [{"weight_decay": 0.1}] * 3,
    "adamw of equal numbers": [{"weight_decay": 0.1}] * 3,
    "adadelta of equal numbers": [{}] * 3,
    "sgd momentum": [{"momentum": 0.9}, {"momentum": 0.5, "weight_decay": 0.1}, {}],
    "sgd nesterov": [{"momentum": 0.9, "nesterov": True}, {"momentum": 0.2, "nesterov": True, "weight_decay": 0.01}],
    "adagrad": [{}, {"learning_rate": 0.5, "weight_decay": 0.1}, {"epsilon": 1e-3}],
    "adadelta": [{}, {"rho": 0.5}, {"epsilon": 1e-2, "learning_rate": 0.1}],
    "rmsprop": [{}, {"rho": 0.9, "epsilon": 1e-7}, {"weight_decay": 0.1}],
    "rmsprop momentum": [{"momentum": 0.9}, {"momentum": 0.1, "rho": 0.5}],
    "adam": [{}, {"beta1": 0.5, "beta2": 0.9}, {"weight_decay": 0.1, "learning_rate": 0.1}],
    "adamw": [{"weight_decay": 0.0}, {"weight_decay": 0.5}, {"weight_decay": 0.1, "beta2": 0.9, "epsilon": 1e-3}],
}


class Pair(torch.nn.Module):
    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.weight = torch.nn.Parameter(torch.randn(3, 2, dtype=torch.float64))
        self.bias = torch.nn.Parameter(torch.randn(3, dtype=torch.float64))


def row(model: Pair) -> torch.Tensor:
    return torch.cat([model.weight.detach().reshape(-1), model.bias.detach()])


@pytest.mark.parametrize("decay", ["weights", "all"])
@pytest.mark.parametrize("case", CASES)
def test_every_row_goes_as_torch_optim_would(case, decay):
    settings = [OptimizerSettings(name=case.split()[0], decay=decay, **numbers) for numbers in CASES[case]]
    models = [Pair(seed) for seed in range(len(settings))]
    optimizers = [
        create_optimizer(model, one, torch.device("cpu")) for model, one in zip(models, settings, strict=True)
    ]
    weights = torch.stack([row(model) for model in models])
    decays = torch.tensor([[1.0] * 6 + [1.0 if decay == "all" else 0.0] * 3], dtype=torch.float64)
    stacked = StackedOptimizer(weights, settings, decays)
    generator = torch.Generator().manual_seed(0)
    for step in range(7):
        gradient = torch.randn(weights.shape, generator=generator, dtype=torch.float64)
        factor = 1 / (1 + step)
        chosen = None if step % 3 else torch.arange(len(models) - 1)  # now and then the last one has no rows
        stacked.step(gradient if chosen is None else gradient[chosen], factor, chosen)
        for index, (model, optimizer, one) in enumerate(zip(models, optimizers, settings, strict=True)):
            if chosen is not None and index == len(models) - 1:
                continue
            model.weight.grad, model.bias.grad = gradient[index, :6].view(3, 2), gradient[index, 6:].clone()
            for group in optimizer.param_groups:
                group["lr"] = one.resolved().learning_rate * factor
            optimizer.step()
        torch.testing.assert_close(weights, torch.stack([row(model) for model in models]), rtol=1e-12, atol=1e-14)


def test_going_on_with_some_rows_changes_nothing_for_them():
    settings = [OptimizerSettings(name="adam", learning_rate=0.1 * (1 + index)) for index in range(4)]
    first, second = (torch.ones(4, 5, dtype=torch.float64) for _ in range(2))
    whole, cut = (StackedOptimizer(w, settings, torch.ones(1, 5, dtype=torch.float64)) for w in (first, second))
    gradient = torch.arange(20, dtype=torch.float64).view(4, 5)
    whole.step(gradient, 1.0)
    cut.step(gradient, 1.0)
    rows = torch.tensor([1, 3])
    kept = second[rows]
    cut.keep(rows, kept)
    whole.step(gradient, 1.0)
    cut.step(gradient[rows], 1.0)
    assert torch.equal(first[rows], kept)

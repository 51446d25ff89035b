"""Optimisers for many models at once: the weights are rows of one matrix (M, P), every hyper-parameter a column (M, 1).

The formulas are those of torch.optim (equal up to rounding: a test compares every one); what is there per group of parameters
is here per row, so that members of a fleet may differ in learning rate, momentum, decay and the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gradus.train.settings import OptimizerSettings

NUMBERS = ("learning_rate", "momentum", "beta1", "beta2", "rho", "epsilon", "weight_decay")
MOMENTS = {
    "sgd": ("momentum_buffer",),
    "adagrad": ("sum",),
    "adadelta": ("square_avg", "acc_delta"),
    "rmsprop": ("square_avg", "momentum_buffer"),
    "adam": ("exp_avg", "exp_avg_sq"),
    "adamw": ("exp_avg", "exp_avg_sq"),
}


class StackedOptimizer:
    """weights: (M, P), changed in place. settings: one a row, all of the same name. decays: (1, P), 1 where a weight decays."""

    def __init__(self, weights: Tensor, settings: Sequence[OptimizerSettings], decays: Tensor) -> None:
        settings = [one.resolved() for one in settings]
        self.name, self.nesterov = settings[0].name, settings[0].nesterov
        self.weights = weights
        self.numbers = {
            name: torch.tensor(
                [[getattr(one, name) or 0.0] for one in settings], dtype=weights.dtype, device=weights.device
            )
            for name in NUMBERS
        }
        used = [
            name for name in MOMENTS[self.name] if name != "momentum_buffer" or bool(self.numbers["momentum"].any())
        ]
        self.moments = {name: torch.zeros_like(weights) for name in used}
        self.steps = torch.zeros(len(settings), 1, dtype=weights.dtype, device=weights.device)
        self.decays = decays if bool(self.numbers["weight_decay"].any()) else None

    def step(self, gradient: Tensor, factor: float, rows: Tensor | None = None) -> None:
        """One update with gradient (M, P), learning rates times `factor`; or of some rows (m,) only, with gradient (m, P)."""
        if rows is None:
            self._update(self.weights, gradient, self.moments, self.steps, self.numbers, factor)
            return
        weights, steps = self.weights[rows], self.steps[rows]
        moments = {name: moment[rows] for name, moment in self.moments.items()}
        numbers = {name: number[rows] for name, number in self.numbers.items()}
        self._update(weights, gradient, moments, steps, numbers, factor)
        self.weights[rows], self.steps[rows] = weights, steps
        for name, moment in moments.items():
            self.moments[name][rows] = moment

    def _update(
        self,
        weights: Tensor,
        gradient: Tensor,
        moments: dict[str, Tensor],
        steps: Tensor,
        numbers: dict[str, Tensor],
        factor: float,
    ) -> None:
        rate, epsilon, rho = numbers["learning_rate"] * factor, numbers["epsilon"], numbers["rho"]
        steps += 1
        if self.decays is not None:
            if self.name == "adamw":
                weights.mul_(1 - rate * numbers["weight_decay"] * self.decays)
            else:
                gradient = torch.addcmul(gradient, weights, numbers["weight_decay"] * self.decays)
        match self.name:
            case "sgd":
                change = gradient
                if "momentum_buffer" in moments:
                    buffer, momentum = moments["momentum_buffer"], numbers["momentum"]
                    buffer.mul_(momentum).add_(gradient)  # from 0, so that the first is the gradient itself
                    change = torch.addcmul(gradient, buffer, momentum) if self.nesterov else buffer
            case "adagrad":
                total = moments["sum"].addcmul_(gradient, gradient)
                change = gradient / total.sqrt().add_(epsilon)
            case "adadelta":
                square, delta = moments["square_avg"], moments["acc_delta"]
                square.mul_(rho).add_((1 - rho) * gradient * gradient)
                change = (delta + epsilon).sqrt_().div_((square + epsilon).sqrt_()).mul_(gradient)
                delta.mul_(rho).add_((1 - rho) * change * change)
            case "rmsprop":
                square = moments["square_avg"]
                square.mul_(rho).add_((gradient * gradient).mul_(1 - rho))
                change = gradient / square.sqrt().add_(epsilon)
                if "momentum_buffer" in moments:
                    change = moments["momentum_buffer"].mul_(numbers["momentum"]).add_(change)
            case _:  # adam, adamw
                beta1, beta2 = numbers["beta1"], numbers["beta2"]
                mean, square = moments["exp_avg"], moments["exp_avg_sq"]
                mean.lerp_(gradient, 1 - beta1)
                square.mul_(beta2).add_((gradient * gradient).mul_(1 - beta2))
                divisor = square.sqrt().div_((1 - beta2**steps).sqrt()).add_(epsilon)
                change = mean / divisor
                rate = rate / (1 - beta1**steps)
        weights.sub_(rate * change)

    def keep(self, rows: Tensor, weights: Tensor) -> None:
        """Goes on with some rows only; `weights` are those rows of the matrix."""
        self.weights, self.steps = weights, self.steps[rows]
        self.moments = {name: moment[rows] for name, moment in self.moments.items()}
        self.numbers = {name: number[rows] for name, number in self.numbers.items()}

    def state(self) -> dict[str, Tensor]:
        return {"steps": self.steps, **self.moments}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.steps.copy_(state["steps"])
        for name, moment in self.moments.items():
            moment.copy_(state[name])

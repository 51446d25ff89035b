"""Optimisers for many models at once: the weights are rows of one matrix (M, P), every hyper-parameter a column (M, 1).

The formulas are those of torch.optim (equal up to rounding: a test compares every one); what is there per group of parameters
is here per row, so that members of a fleet may differ in learning rate, momentum, decay and the rest. A number that all rows
share is a plain number, which saves passes over the matrix.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gradus.train.settings import OptimizerSettings

Number = Tensor | float
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
        columns = {name: [float(getattr(one, name) or 0) for one in settings] for name in NUMBERS}
        self.numbers: dict[str, Number] = {name: self._number(column) for name, column in columns.items()}
        used = [name for name in MOMENTS[self.name] if name != "momentum_buffer" or any(columns["momentum"])]
        self.moments = {name: torch.zeros_like(weights) for name in used}
        self.steps = torch.zeros(len(settings), 1, dtype=weights.dtype, device=weights.device)
        self.common: float | None = (
            0.0  # the steps of every row while all have made the same number; then `steps` waits
        )
        self.decays = decays if any(columns["weight_decay"]) else None

    def _number(self, column: list[float]) -> Number:
        """(M, 1), or the number itself where all are equal."""
        if len(set(column)) == 1:
            return column[0]
        return torch.tensor(column, dtype=self.weights.dtype, device=self.weights.device)[:, None]

    def step(self, gradient: Tensor, factor: float, rows: Tensor | None = None) -> None:
        """One update with gradient (M, P), learning rates times `factor`; or of some rows (m,) only, with gradient (m, P)."""
        if rows is None:
            if self.common is not None:
                self.common += 1
            else:
                self.steps += 1
            steps: Number = self.steps if self.common is None else self.common
            self._update(self.weights, gradient, self.moments, steps, self.numbers, factor)
            return
        self._count_apart()
        self.steps[rows] += 1
        weights, steps = self.weights[rows], self.steps[rows]
        moments = {name: moment[rows] for name, moment in self.moments.items()}
        numbers = _some(self.numbers, rows)
        self._update(weights, gradient, moments, steps, numbers, factor)
        self.weights[rows] = weights
        for name, moment in moments.items():
            self.moments[name][rows] = moment

    def _count_apart(self) -> None:
        if self.common is not None:
            self.steps.fill_(self.common)
            self.common = None

    def _update(
        self,
        weights: Tensor,
        gradient: Tensor,
        moments: dict[str, Tensor],
        steps: Number,
        numbers: dict[str, Number],
        factor: float,
    ) -> None:
        rate, epsilon, rho = numbers["learning_rate"] * factor, numbers["epsilon"], numbers["rho"]
        divisor: Tensor | None = None
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
                    change = gradient + buffer * momentum if self.nesterov else buffer
            case "adagrad":
                total = moments["sum"].addcmul_(gradient, gradient)
                change, divisor = gradient, total.sqrt().add_(epsilon)
            case "adadelta":
                square, delta = moments["square_avg"], moments["acc_delta"]
                _mean_of_squares(square, gradient, rho)
                change = (delta + epsilon).sqrt_().div_((square + epsilon).sqrt_()).mul_(gradient)
                _mean_of_squares(delta, change, rho)
            case "rmsprop":
                square = moments["square_avg"]
                _mean_of_squares(square, gradient, rho)
                change, divisor = gradient, square.sqrt().add_(epsilon)
                if "momentum_buffer" in moments:
                    change = moments["momentum_buffer"].mul_(numbers["momentum"]).add_(change / divisor)
                    divisor = None
            case _:  # adam, adamw
                beta1, beta2 = numbers["beta1"], numbers["beta2"]
                mean, square = moments["exp_avg"], moments["exp_avg_sq"]
                alike = [number for number in (rate, beta1, beta2, epsilon, steps) if isinstance(number, float)]
                if len(alike) == 5:
                    # all rows alike: PyTorch's own kernel, one pass in place of six
                    rate, beta1, beta2, epsilon, steps = alike
                    count = torch.tensor(steps, dtype=torch.float32, device=weights.device)
                    torch._fused_adam_(
                        [weights],
                        [gradient],
                        [mean],
                        [square],
                        [],
                        [count],
                        lr=rate,
                        beta1=beta1,
                        beta2=beta2,
                        weight_decay=0.0,  # done above
                        eps=epsilon,
                        amsgrad=False,
                        maximize=False,
                    )
                    return
                mean.lerp_(gradient, 1 - beta1)
                _mean_of_squares(square, gradient, beta2)
                correction = (1 - beta2**steps) ** 0.5  # m / (sqrt(v) / c + e) is c m / (sqrt(v) + c e)
                change, divisor = mean, square.sqrt().add_(epsilon * correction)
                rate = rate * correction / (1 - beta1**steps)
        if isinstance(rate, float):
            if divisor is None:
                weights.sub_(change, alpha=rate)
            else:
                weights.addcdiv_(change, divisor, value=-rate)
        else:
            weights.sub_((change if divisor is None else change / divisor) * rate)

    def keep(self, rows: Tensor, weights: Tensor) -> None:
        """Goes on with some rows only; `weights` are those rows of the matrix."""
        self._count_apart()
        self.weights, self.steps = weights, self.steps[rows]
        self.moments = {name: moment[rows] for name, moment in self.moments.items()}
        self.numbers = _some(self.numbers, rows)

    def state(self) -> dict[str, Tensor]:
        if self.common is not None:
            self.steps.fill_(self.common)
        return {"steps": self.steps, "apart": torch.tensor(self.common is None), **self.moments}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.steps.copy_(state["steps"])
        self.common = None if bool(state["apart"]) else float(self.steps[0, 0])
        for name, moment in self.moments.items():
            moment.copy_(state[name])


def _some(numbers: dict[str, Number], rows: Tensor) -> dict[str, Number]:
    """The numbers of some rows."""
    return {name: number[rows] if isinstance(number, Tensor) else number for name, number in numbers.items()}


def _mean_of_squares(square: Tensor, gradient: Tensor, decay: Number) -> None:
    """square <- decay * square + (1 - decay) * gradient^2, in place."""
    if isinstance(decay, float):
        square.mul_(decay).addcmul_(gradient, gradient, value=1 - decay)
    else:
        square.mul_(decay).add_((gradient * gradient).mul_(1 - decay))

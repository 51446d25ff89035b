"""Optimising the pixels of a picture: what style, texture and dreams have in common (what filters want: `ascent.py`).

A picture is a float tensor (1, channels, height, width) of 0..1, RGB. An objective takes it and gives named terms, scalars whose
sum is made small. The network stays as it is: only the picture changes (gradients are asked for the picture alone).
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.errors import UserError
from gradus.look.inside.subject import Subject

Terms = dict[str, Tensor]
Objective = Callable[[Tensor], Terms]


def as_inputs(subject: Subject, picture: Tensor) -> Tensor:
    """Pictures of 0..1 (B, C, H, W) as the network takes them, channels-last in memory; differentiable."""
    return subject.prepare(255 * picture.permute(0, 2, 3, 1).contiguous())


@contextmanager
def average_pooling(model: nn.Module, wanted: bool = True) -> Iterator[None]:
    """Max pools give the mean of their windows inside the block, which Gatys et al. 2016 prefer."""

    def average(pool: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> Tensor:
        assert isinstance(pool, nn.MaxPool2d)
        return functional.avg_pool2d(
            given[0], pool.kernel_size, pool.stride, pool.padding, pool.ceil_mode, count_include_pad=False
        )

    pools = [module for module in model.modules() if isinstance(module, nn.MaxPool2d)] if wanted else []
    hooks = [pool.register_forward_hook(average) for pool in pools]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def noise(shape: tuple[int, ...], generator: torch.Generator, middle: float = 0.5, reach: float = 0.5) -> Tensor:
    """Uniform in middle - reach .. middle + reach. The range 0..1 is the text's U(0, 255)."""
    return middle + reach * (2 * torch.rand(shape, generator=generator) - 1)


def out_of_range(picture: Tensor) -> Tensor:
    """Mean square of what lies below 0 or above 1: keeps pixels where a screen can show them, without a bound for L-BFGS."""
    return (picture - picture.clamp(0, 1)).square().mean()


@dataclass
class Made:
    """picture: the result, not clipped; loss: its loss. history: term -> its value at each evaluation. kept: iteration -> the
    picture after it."""

    picture: Tensor
    loss: float = float("nan")
    history: dict[str, list[float]] = field(default_factory=dict)
    kept: dict[int, Tensor] = field(default_factory=dict)
    iterations: int = 0
    evaluations: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    why: str = ""  # it ended before all iterations

    def losses(self) -> list[float]:
        """The sum of the terms at each evaluation."""
        return [sum(values) for values in zip(*self.history.values(), strict=False)]

    def note(self, terms: Terms) -> float:
        for name, value in terms.items():
            self.history.setdefault(name, []).append(float(value.detach()))
        self.evaluations += 1
        return sum(values[-1] for values in self.history.values())


def descend(
    start: Tensor,
    objective: Objective,
    *,
    optimizer: Literal["lbfgs", "adam"] = "lbfgs",
    iterations: int,
    evaluations: int = 20,
    learning_rate: float = 0.02,
    keep: Collection[int] = (),
    words: str = "",
) -> Made:
    """Makes the objective small by changing the picture.

    iterations:    as the texts count them: each is `evaluations` evaluations of loss and gradient, which are one for each step
                   of Adam and about one for each of L-BFGS (scipy's `maxfun=20`); L-BFGS keeps what it has learnt of the
                   curvature from one iteration to the next
    learning_rate: of Adam, in units of 0..1; L-BFGS searches along its lines
    keep:          iterations after which the picture is kept
    words:         what the counter on a terminal says; "" for none

    The picture of the smallest loss is given. Ctrl-C, or a loss that is not finite, ends it early and keeps what there is.
    """
    if min(iterations, evaluations) < 1 or learning_rate <= 0:
        raise UserError("iterations, evaluations and learning_rate must be above 0")
    picture = start.detach().clone().requires_grad_()
    made, counter, begun = Made(start.detach()), Counter(words, iterations), time.perf_counter()

    def evaluate() -> Tensor:
        terms = objective(picture)
        total = torch.stack(list(terms.values())).sum()
        (picture.grad,) = torch.autograd.grad(total, picture)
        loss = made.note(terms)
        if not loss >= made.loss and math.isfinite(loss):
            made.loss, made.picture = loss, picture.detach().clone()
        return total.detach()

    if optimizer == "lbfgs":
        by: torch.optim.Optimizer = torch.optim.LBFGS(
            [picture], max_iter=evaluations, max_eval=evaluations, tolerance_grad=0, tolerance_change=0,
            history_size=20, line_search_fn="strong_wolfe",
        )  # fmt: skip
    else:
        by = torch.optim.Adam([picture], lr=learning_rate)
    try:
        for iteration in range(1, iterations + 1):
            for _ in range(1 if optimizer == "lbfgs" else evaluations):
                by.step(evaluate)  # type: ignore[arg-type]
            made.iterations = iteration
            if iteration in keep:
                made.kept[iteration] = picture.detach().clone()
            counter.show(iteration, made.loss)
            if not torch.isfinite(picture).all() or not math.isfinite(made.losses()[-1]):
                made.why = "the loss was no longer finite"
                break
    except KeyboardInterrupt:
        if not made.evaluations:  # there is nothing to be kept
            raise
        made.interrupted, made.why = True, "stopped"
    counter.end()
    made.seconds = time.perf_counter() - begun
    return made


def ascend(
    picture: Tensor,
    objective: Callable[[Tensor], Tensor],
    *,
    steps: int,
    step: float,
    limit: float | None = None,
    bounded: bool = False,
    jitter: int = 0,
    generator: torch.Generator | None = None,
    made: Made | None = None,
) -> Made:
    """Steps of a given length along the gradient of a scalar, each divided by its mean absolute value (at least 1e-7).

    step:   how far a pixel moves on average, in the picture's own units
    limit:  no step is taken from where the scalar is above it (the test comes before the step)
    bounded: every step is followed by a cut to 0..1, so that no more is gained by what no screen shows
    jitter: the picture is shifted by up to that many pixels for each step, and back, so that no grid of the strides is seen
    made:   a history to go on with
    """
    made = made or Made(picture)
    picture, begun = picture.detach(), time.perf_counter()
    try:
        for _ in range(steps):
            shift = (0, 0)
            if jitter:
                down, right = torch.randint(-jitter, jitter + 1, (2,), generator=generator).tolist()
                shift = (down, right)
            shifted = picture.roll(shift, (2, 3)).requires_grad_()
            value = objective(shifted)
            (gradient,) = torch.autograd.grad(value, shifted)
            made.loss = made.note({"loss": value})
            if limit is not None and made.loss > limit:
                made.why = f"the loss passed {limit:g}"
                break
            gradient = gradient / gradient.abs().mean().clamp(min=1e-7)
            picture = (shifted.detach() + step * gradient).roll((-shift[0], -shift[1]), (2, 3))
            picture = picture.clamp(0, 1) if bounded else picture
    except KeyboardInterrupt:
        if not made.evaluations:  # there is nothing to be kept
            raise
        made.interrupted, made.why = True, "stopped"
    made.picture = picture
    made.seconds += time.perf_counter() - begun
    return made


class Counter:
    """One line on a terminal that counts iterations; nothing where stderr is not a terminal."""

    def __init__(self, words: str, total: int) -> None:
        self.words, self.total, self.begun = words, total, time.perf_counter()
        self.live = bool(words) and sys.stderr.isatty()

    def show(self, done: int, loss: float) -> None:
        if self.live:
            rest = (time.perf_counter() - self.begun) / done * (self.total - done)
            line = f"{self.words}: {done} of {self.total}, loss {loss:.4g}, {rest:.0f} s left"
            print(f"\r{line:<76}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self.live:
            print(f"\r{'':<76}\r", end="", file=sys.stderr, flush=True)

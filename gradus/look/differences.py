"""Derivatives by differences, to hold those of backward passes against: what a number does when one weight is moved a little.

A derivative by differences has two errors. Large steps see the curvature; two step sizes are combined so that its first part
cancels (Richardson): the rest is of the order step^4. Small steps see the rounding of float64, about 1e-16 of the number over
the step.

And it means nothing at a kink, where ReLU or max change sides between the two points. There the one-sided differences
disagree by an amount that does not halve with the step, or the central ones disagree. Then smaller steps are tried, and at
last the coordinate is given up.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

STEPS = (1e-4, 1e-5, 1e-6)  # of the weight's size, or of 1 where that is larger
EPSILON = float(np.finfo(np.float64).eps)
FLOOR = 1e7  # derivatives below this many times the rounding error are compared as if they were that large


@dataclass(frozen=True)
class Comparison:
    """Derivatives by some numbers of one tensor, two ways.

    checked: how many numbers were moved; kinks: how many were given up, since there is no derivative there
    error:   the worst |a - n| / max(|a| + |n|, floor); where: the place of the worst, such as "weight[3, 0]"
    depends: whether the outputs changed at all
    """

    checked: int = 0
    kinks: int = 0
    error: float = 0.0
    where: str = ""
    depends: bool = False

    def with_other(self, other: Comparison) -> Comparison:
        """Both as one: the worse error of the two."""
        worse = other if other.error > self.error or not self.where else self
        return Comparison(
            self.checked + other.checked,
            self.kinks + other.kinks,
            worse.error,
            worse.where,
            self.depends or other.depends,
        )


def difference(
    function: Callable[[], float], tensor: Tensor, place: tuple[int, ...], size: float, centre: float | None = None
) -> tuple[float, float] | None:
    """The derivative of `function` by one number of `tensor`, and about its error by rounding; None at a kink.

    function: reads `tensor`, which is changed in place and put back; size: of the terms that are added up to its value
    centre: its value before anything is moved, where that is known
    """
    before, centre = tensor[place].item(), function() if centre is None else centre

    def at(shift: float) -> float:
        tensor[place] = before + shift
        return function()

    try:
        for step in STEPS:
            h = step * max(1.0, abs(before))
            far, near = (at(-h), at(h)), (at(-h / 2), at(h / 2))
            wide, narrow = (far[1] - far[0]) / (2 * h), (near[1] - near[0]) / h
            bent = (far[1] - 2 * centre + far[0]) / h - 4 * (near[1] - 2 * centre + near[0]) / h
            slope, rounding = (4 * narrow - wide) / 3, 4 * EPSILON * size / h
            if max(abs(wide - narrow), abs(bent)) <= 1e-6 * abs(slope) + 12 * rounding:
                return slope, rounding
    finally:
        tensor[place] = before
    return None


def compare(
    function: Callable[[], float],
    tensor: Tensor,
    gradient: Tensor | None,
    name: str,
    size: float,
    samples: int,
    generator: np.random.Generator,
) -> Comparison:
    """Moves up to `samples` numbers of `tensor` and compares with its gradient (None counts as zero).

    Half of them are drawn from those whose gradient is not zero. One at a kink is replaced by another, five times over.
    """
    analytic = torch.zeros_like(tensor) if gradient is None else gradient
    checked, kinks, worst, where, depends = 0, 0, -1.0, "", False
    with torch.no_grad():
        centre = function()
        for flat in _draw(analytic, 5 * samples, generator):
            place = tuple(int(part) for part in np.unravel_index(flat, tuple(tensor.shape)))
            found = difference(function, tensor, place, size, centre)
            if found is None:
                kinks += 1
            else:
                slope, rounding = found
                value = analytic[place].item()
                error = abs(value - slope) / max(abs(value) + abs(slope), FLOOR * rounding, 1e-300)
                error = error if error == error else math.inf  # nan
                checked += 1
                depends = depends or abs(slope) > 100 * rounding
                if error > worst:
                    worst, where = error, f"{name}{list(place) if place else ''}"
            if checked == min(samples, tensor.numel()):
                break
    return Comparison(checked, kinks, max(worst, 0.0), where, depends)


def _draw(gradient: Tensor, count: int, generator: np.random.Generator) -> list[int]:
    """`count` different places of a tensor, every other one where its gradient is not zero."""
    numbers = gradient.numel()
    anywhere = generator.choice(numbers, min(count, numbers), replace=False).tolist()
    alive = torch.nonzero(gradient.flatten()).flatten().numpy()
    alive = generator.choice(alive, min(count, len(alive)), replace=False).tolist() if len(alive) else []
    mixed = [place for pair in zip(alive, anywhere, strict=False) for place in pair]
    return list(dict.fromkeys([*mixed, *anywhere]))[:count]

"""Mistakes in the code that trains: each holds as long as its context."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from gradus.tasks.targets import ClassTarget
from gradus.train.learner import Supervised
from gradus.train.source import Batch, Resident


@contextmanager
def _instead(owner: type, name: str, made: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, made)
    try:
        yield
    finally:
        setattr(owner, name, before)


def gradients_not_cleared() -> Any:
    """`zero_grad` is forgotten: the gradients of all steps add up."""
    clean = Supervised._gradients

    def gradients(self: Supervised, batch: Batch) -> dict[str, Tensor]:
        kept = [parameter.grad for parameter in self.parameters]
        found = clean(self, batch)
        for parameter, old in zip(self.parameters, kept, strict=True):
            if parameter.grad is not None and old is not None:
                parameter.grad.add_(old)
        return found

    return _instead(Supervised, "_gradients", gradients)


def loss_summed() -> Any:
    """The sum of the rows' losses in place of their mean."""
    clean = ClassTarget.loss

    def loss(self: ClassTarget, outputs: Tensor, targets: Tensor, *, training: bool) -> Tensor:
        return clean(self, outputs, targets, training=training) * len(targets)

    return _instead(ClassTarget, "loss", loss)


def rows_in_file_order() -> Any:
    """`shuffle=False`."""

    def order(self: Resident, first: Any, seed: int) -> Tensor:
        return torch.arange(self.rows)

    return _instead(Resident, "_new_order", order)


def slow_batches(seconds: float = 0.02) -> Any:
    """Every batch takes so long to come, as from a slow disk."""
    clean = Resident.batch

    def batch(self: Resident, epoch: int, step: int) -> Batch:
        time.sleep(seconds)
        return clean(self, epoch, step)

    return _instead(Resident, "batch", batch)

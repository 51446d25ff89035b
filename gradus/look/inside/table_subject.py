"""A network for tables, to be looked into: what a column of numbers is in its inputs, and rows to look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class TableRows:
    """inputs: float32 (N, F) as the model takes them; targets: (N,) class numbers, or (N,) numbers"""

    inputs: Tensor
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers among a model's inputs: value = center + scale * inputs[:, place]."""

    place: int
    center: float
    scale: float

    def values(self, inputs: Tensor) -> np.ndarray:
        """(N,) float64: the column's values in its own units."""
        return self.center + self.scale * inputs[:, self.place].double().cpu().numpy()

    def encoded(self, values: np.ndarray) -> Tensor:
        """(N,) float32: as the model takes them."""
        return torch.from_numpy((values - self.center) / self.scale).float()


@dataclass(frozen=True)
class TableSubject:
    """A network of a run on a table, in evaluation mode.

    numbers: column -> where and how it stands in the inputs; classes: of the answer, or None where it is a number
    answer:  raw outputs (N, C) -> probabilities (N, C), or the number in its own units (N,)
    rows:    split name -> its rows
    run:     the run, where it is one
    """

    name: str
    model: nn.Module
    numbers: dict[str, NumberColumn]
    classes: tuple[str, ...] | None
    target: str
    answer: Callable[[Tensor], np.ndarray]
    rows: Callable[[str], TableRows]
    run: Any = None
    notes: tuple[str, ...] = ()

    @torch.no_grad()
    def answers(self, inputs: Tensor) -> np.ndarray:
        device = next(self.model.parameters()).device
        return self.answer(torch.cat([self.model(part.to(device)).float().cpu() for part in inputs.split(8192)]))

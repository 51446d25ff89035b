"""Sources of batches. `Resident`: a split as tensors on the device; a batch is one index-select there.

Data that do not fit into memory are a `Streamed` source (`stream.py`), which offers the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from gradus.data.device_rows import DeviceRows
from gradus.train.randomness import ORDER, derive

POOL = 50  # batches whose rows are sorted by length together, where rows differ in length

Batch = dict[str, Tensor]
ResidentRows = dict[str, Any]  # tensors, or `DeviceRows`


class Source(Protocol):
    """What the trainer takes its batches from. All rows come once an epoch, in an order that follows from (seed, epoch)."""

    rows: int
    steps: int  # batches an epoch; the last one may be shorter

    def order(self, epoch: int) -> Tensor:
        """(N,) int64: the rows in the order of this epoch."""

    def batch(self, epoch: int, step: int) -> Batch:
        """The rows of one step: name -> (B, ...), on the device."""

    def size(self, step: int) -> int:
        """How many rows the batch of a step holds."""

    def close(self) -> None:
        """Ends what runs beside the training."""


class InOrder(Protocol):
    """Rows that are read in their own order by other means than slicing."""

    def in_order(self, batch_size: int) -> Iterator[Batch]: ...


@dataclass
class Resident:
    """tensors: name -> (N, ...), all of the same N, on the device. The order of each epoch follows from (seed, epoch).

    Rows that differ in length come in batches of about one length, so that little is padded. Rows that have to be read one
    after the other (`DeviceRows.batch_rows`) come in their own order.
    """

    tensors: ResidentRows
    batch_size: int
    seed: int = 0

    def __post_init__(self) -> None:
        self.rows = len(next(iter(self.tensors.values())))
        self.steps = -(-self.rows // self.batch_size)  # the last batch of an epoch may be shorter
        self._epoch, self._order = -1, torch.empty(0)

    def order(self, epoch: int) -> Tensor:
        """(N,) int64: the rows in the order of this epoch, on the device."""
        if epoch != self._epoch:
            first = next(iter(self.tensors.values()))
            self._order = self._new_order(first, derive(self.seed, ORDER, epoch)).to(first.device)
            self._epoch = epoch
        return self._order

    def _new_order(self, first: Tensor | DeviceRows, seed: int) -> Tensor:
        if isinstance(first, DeviceRows) and first.batch_rows is not None:
            return torch.arange(self.rows)
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(self.rows, generator=generator)
        lengths = first.lengths if isinstance(first, DeviceRows) else None
        if lengths is None or self.rows <= self.batch_size:
            return order
        pools = order.split(POOL * self.batch_size)
        order = torch.cat([pool[lengths[pool].argsort(stable=True)] for pool in pools])
        batches = list(order.split(self.batch_size))
        last = [batches.pop()] if len(batches[-1]) < self.batch_size else []  # the short one stays the last
        shuffled = torch.randperm(len(batches), generator=generator).tolist()
        return torch.cat([batches[index] for index in shuffled] + last)

    def rows_of(self, epoch: int, step: int) -> Tensor:
        """(B,) int64: which rows one step learns from, on the device."""
        return self.order(epoch)[step * self.batch_size : (step + 1) * self.batch_size]

    def select(self, rows: Tensor) -> Batch:
        """name -> (B, ...) for rows (B,)."""
        return {name: tensor.index_select(0, rows) for name, tensor in self.tensors.items()}

    def batch(self, epoch: int, step: int) -> Batch:
        """The batch of one step: name -> (B, ...)."""
        return self.select(self.rows_of(epoch, step))

    def size(self, step: int) -> int:
        """How many rows the batch of a step holds."""
        return min(self.batch_size, self.rows - step * self.batch_size)

    def close(self) -> None:
        """Nothing runs beside the training."""


EVALUATION_ROWS = 256  # least rows a batch when evaluating: nothing is stored for a backward pass, so more fit
EVALUATION_NUMBERS = (
    2**23
)  # of a batch's inputs that this holds for: rows of more (large pictures) come fewer at a time


def evaluation_rows(tensors: Batch | InOrder, batch_size: int) -> int:
    """How many rows an evaluation goes through at a time."""
    if isinstance(tensors, dict):
        first = next(iter(tensors.values()), None)
        if isinstance(first, DeviceRows) and first.batch_rows is not None:
            return first.batch_rows
    largest = max((rows.shape[1:].numel() for rows in tensors.values()), default=1) if isinstance(tensors, dict) else 1
    return max(batch_size, min(EVALUATION_ROWS, EVALUATION_NUMBERS // max(largest, 1)))


def by_length(tensors: Batch | InOrder) -> Tensor | None:
    """(N,) int64: all rows from the shortest to the longest, where an evaluation is quicker so: batches of about one length need
    little padding. None where their own order does as well."""
    first = next(iter(tensors.values()), None) if isinstance(tensors, dict) else None
    if not isinstance(first, DeviceRows) or first.lengths is None or first.batch_rows is not None:
        return None
    return first.lengths.argsort(stable=True) if first.device.type == "cpu" else None


def in_order(tensors: Batch | InOrder, batch_size: int, order: Tensor | None = None) -> Iterator[Batch]:
    """All rows once, for evaluation, in their own order or in another one (N,). Slices of their own order, so nothing is copied.
    Rows that are streamed may come in smaller batches."""
    if not isinstance(tensors, dict):
        yield from tensors.in_order(batch_size)
        return
    if order is not None:
        for chosen in order.split(batch_size):
            yield {name: tensor.index_select(0, chosen) for name, tensor in tensors.items()}
        return
    rows = len(next(iter(tensors.values())))
    for start in range(0, rows, batch_size):
        yield {name: tensor[start : start + batch_size] for name, tensor in tensors.items()}

"""Rows that are made on the device from a compact form, when a batch asks for them, in the place of a tensor (N, ...).

    Ragged     texts of any length: all token ids behind one another, and where each row begins
    Windows    parts of a long series or text, which may overlap: a view, not a copy

Both are indexed like a tensor (`rows[2:5]`, `rows.index_select(0, numbers)`, `len(rows)`) and give one.
"""

from __future__ import annotations

import copy
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

PAD = 0  # the id behind the end of a row: never a token


class DeviceRows(ABC):
    """What the sources of batches ask for.

    lengths:    (N,) on the CPU where rows differ in length, so that batches can be made of rows of about one length
    batch_rows: where rows have to come in their own order, so many at a time; None: in any order
    """

    shape: torch.Size  # (N, ...) of all rows together, at the longest
    dtype: torch.dtype
    lengths: Tensor | None = None
    batch_rows: int | None = None
    characters: int = 0  # of the texts that the rows are made of, where they are texts

    def __len__(self) -> int:
        return self.shape[0]

    @property
    @abstractmethod
    def device(self) -> torch.device: ...
    @abstractmethod
    def to(self, device: torch.device | str) -> DeviceRows: ...
    @abstractmethod
    def index_select(self, dim: int, rows: Tensor) -> Tensor: ...
    @abstractmethod
    def parts(self) -> list[Tensor]:
        """The tensors that it consists of, for a fingerprint."""

    def __getitem__(self, rows: Any) -> Tensor:
        if isinstance(rows, slice):
            rows = torch.arange(*rows.indices(len(self)))
        elif isinstance(rows, np.ndarray):
            rows = torch.from_numpy(rows)
        return self.index_select(0, torch.as_tensor(rows, dtype=torch.int64, device=self.device))

    def cpu(self) -> DeviceRows:
        return self.to("cpu")

    def fingerprint(self) -> bytes:
        digest = hashlib.sha256(f"{type(self).__name__} {tuple(self.shape)}".encode())
        for part in self.parts():
            digest.update(memoryview(part.cpu().contiguous().numpy().data).cast("B") if part.numel() else b"")
        return digest.digest()


class Ragged(DeviceRows):
    """Rows of token ids, or of several ids a token (letters). Indexed: int64 (R, L, ...), `PAD` behind the end of each row (or
    before its begin: pad_side="left").

    On a CPU L is the longest of the rows asked for; on a GPU always the longest of all, so that steps have one shape and can be
    captured, and no length has to be read from the device.
    """

    dtype = torch.int64

    def __init__(self, flat: Tensor, offsets: Tensor, pad_side: str = "right") -> None:
        """flat: int32 (all tokens, ...); offsets: int64 (N + 1,), where each row begins, and the end of the last."""
        self.flat, self.offsets, self.pad_side = flat, offsets, pad_side
        self.lengths = (offsets[1:] - offsets[:-1]).cpu()
        self.longest = int(self.lengths.max()) if len(self.lengths) else 0
        self.shape = torch.Size((len(offsets) - 1, self.longest, *flat.shape[1:]))

    @classmethod
    def of(cls, rows: Sequence[np.ndarray], pad_side: str = "right") -> Ragged:
        offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows], dtype=np.int64)])
        flat = np.concatenate([np.asarray(row, dtype=np.int32) for row in rows]) if len(rows) else np.zeros(0, np.int32)
        return cls(torch.from_numpy(flat), torch.from_numpy(offsets.astype(np.int64)), pad_side)

    @property
    def device(self) -> torch.device:
        return self.flat.device

    def to(self, device: torch.device | str) -> Ragged:
        return (
            self
            if self.device == torch.device(device)
            else Ragged(self.flat.to(device), self.offsets.to(device), self.pad_side)
        )

    def parts(self) -> list[Tensor]:
        return [self.flat, self.offsets]

    def index_select(self, dim: int, rows: Tensor) -> Tensor:
        begins = self.offsets[rows]
        lengths = self.offsets[rows + 1] - begins
        on_cpu = self.device.type == "cpu"
        longest = max(1, (int(lengths.max()) if len(rows) else 0) if on_cpu else self.longest)
        places = torch.arange(longest, device=self.device)
        before = longest - lengths if self.pad_side == "left" else torch.zeros_like(lengths)
        places = places - before[:, None]
        inside = (places >= 0) & (places < lengths[:, None])
        found = (
            self.flat[(begins[:, None] + places).clamp(0, max(len(self.flat) - 1, 0))]
            if len(self.flat)
            else places.new_zeros((*places.shape, *self.flat.shape[1:]))
        )
        return torch.where(inside.view(*inside.shape, *[1] * (found.ndim - 2)), found.long(), PAD)


class Windows(DeviceRows):
    """values (T, ...) seen through windows. Row n, place p is values[starts[n] + places[p]]: (R, P, ...)."""

    def __init__(self, values: Tensor, starts: Tensor, places: Tensor, batch_rows: int | None = None) -> None:
        self.values, self.starts, self.places, self.batch_rows = values, starts, places, batch_rows
        self.shape = torch.Size((len(starts), len(places), *values.shape[1:]))
        self.dtype = torch.int64 if values.dtype == torch.int32 else values.dtype

    @property
    def device(self) -> torch.device:
        return self.values.device

    def to(self, device: torch.device | str) -> Windows:
        if self.device == torch.device(device):
            return self
        return Windows(self.values.to(device), self.starts.to(device), self.places.to(device), self.batch_rows)

    def parts(self) -> list[Tensor]:
        return [self.values, self.starts, self.places]

    def index_select(self, dim: int, rows: Tensor) -> Tensor:
        return self.values[self.starts[rows][:, None] + self.places].to(self.dtype)

    def only(self, rows: Tensor) -> Windows:
        """The same view through fewer windows, (R,) of them."""
        other = copy.copy(self)
        other.starts = self.starts[rows]
        other.shape = torch.Size((len(rows), *self.shape[1:]))
        return other

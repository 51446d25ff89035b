"""Encoded rows that are made when asked for: what stands in the place of a tensor where the pictures of a split do not fit.

Memory stays flat: pictures are decoded for the rows of one batch, and what has to be known of all of them (sizes, means) is
estimated from a sample that a fixed seed chooses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gradus.data.columns import Column, Image
from gradus.data.images import EncodedImages, Fit, resize
from gradus.data.stored import PackedTexts, StoredPictures

SAMPLE = 10_000  # rows that means and sizes are estimated from
SAMPLE_GROUPS = (
    64  # row groups of a Parquet file that these rows are taken from, so that a huge file is not read through
)
PART_BYTES = 16 * 2**20  # of decoded rows that are made at a time where many are gone through


class EncodedRows:
    """The pictures of a column as uint8 (N, height, width, channels), decoded when indexed. It can be indexed by a slice or by
    row numbers, and otherwise is no tensor: what needs all rows at once must go through them in parts."""

    dtype = torch.uint8

    def __init__(self, column: Column, size: int | tuple[int, int], fit: Fit = "stretch") -> None:
        """size: the side, or height and width, that pictures are brought to."""
        assert isinstance(column.type, Image)
        self.size, self.fit = (size, size) if isinstance(size, int) else size, fit
        self.column = Column(column.type, _packed(column.values))
        self.shape = torch.Size((len(column), *self.size, column.type.channels))

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def row_bytes(self) -> int:
        """Bytes of one decoded row."""
        return self.shape[1:].numel()

    def __getitem__(self, rows: slice | Sequence[int] | np.ndarray | Tensor) -> Tensor:
        """uint8 (R, height, width, channels) of the rows asked for, in that order. Raises `UserError` for a broken picture."""
        numbers = np.arange(len(self))[rows] if isinstance(rows, slice) else np.asarray(rows)
        pixels = np.empty((len(numbers), *self.shape[1:]), dtype=np.uint8)
        for place in np.argsort(numbers, kind="stable").tolist():  # in the order of the disk
            pixels[place] = resize(self.column[int(numbers[place])], self.size, self.fit)
        return torch.from_numpy(pixels)

    def cpu(self) -> EncodedRows:
        return self  # as a tensor has it; nothing of it is on a device

    def parts(self, rows: np.ndarray | None = None) -> Iterator[Tensor]:
        """All rows, or the rows asked for, a few at a time."""
        rows = np.arange(len(self)) if rows is None else rows
        size = max(1, PART_BYTES // self.row_bytes)
        return (self[rows[start : start + size]] for start in range(0, len(rows), size))

    def groups(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Where rows are cheap to read only together: ((N,) the group of each row, (G,) the bytes of each group), else None."""
        return groups_of(self.column)

    def fingerprint(self) -> bytes:
        """A hash that changes when the data do, without decoding them: of names and sizes of files, of the footers of Parquet."""
        digest = hashlib.sha256(f"{tuple(self.shape)} {self.fit}".encode())
        values = self.column.values
        if isinstance(values, np.ndarray):
            digest.update(np.ascontiguousarray(values).data)
        elif isinstance(values, EncodedImages) and isinstance(values.sources, StoredPictures):
            digest.update(values.sources.fingerprint())
        elif isinstance(values, EncodedImages):
            for index, source in enumerate(values.sources):
                name, size = (values.names[index], source.stat().st_size) if isinstance(source, Path) else (source, "")
                digest.update(f"{name!r} {size}\n".encode())
        return digest.digest()


def groups_of(column: Column) -> tuple[np.ndarray, np.ndarray] | None:
    """As `EncodedRows.groups`, of a column of pictures."""
    values = column.values
    stored = isinstance(values, EncodedImages) and isinstance(values.sources, StoredPictures)
    return values.sources.groups() if stored else None


def natural_sizes(column: Column) -> list[tuple[int, int]]:
    """The different (height, width)s that occur, from the headers alone where the pictures are still encoded."""
    values = column.values
    if isinstance(values, np.ndarray):
        return [(values.shape[1], values.shape[2])]
    sizes = values.sizes() if isinstance(values, EncodedImages) else (value.shape[:2] for value in values)
    return sorted(set(sizes))


def sample_rows(column: Column, number: int = SAMPLE, seed: int = 0) -> np.ndarray:
    """At most `number` rows of a column, ascending, chosen by a fixed seed; of a large Parquet file from some row groups only."""
    random = np.random.default_rng(seed)
    rows, groups = np.arange(len(column)), groups_of(column)
    if groups is not None and len(column) > number:
        present = np.unique(groups[0])
        chosen = random.permutation(present)[:SAMPLE_GROUPS] if len(present) > SAMPLE_GROUPS else present
        rows = np.flatnonzero(np.isin(groups[0], chosen))
    return np.sort(random.permutation(rows)[:number])


def _packed(values: object) -> object:
    """Paths and names in little memory that worker processes share."""
    if not isinstance(values, EncodedImages):
        return values
    sources, names = values.sources, values.names
    if isinstance(sources, list) and sources and all(isinstance(source, Path) for source in sources):
        sources = PackedTexts(sources)
    return EncodedImages(sources, PackedTexts(names) if isinstance(names, list) else names, values.channels)

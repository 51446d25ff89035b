"""Encoded pictures that stay on the disk: the cells of a Parquet column, and the paths of many files in little memory.

Choices: a Parquet file is read a row group at a time, and of the groups read only the last few are kept. A row group is the
least that Parquet reads, so a file that was written as one huge group is refused with the way to write it again.
"""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gradus.data.memory import available_memory
from gradus.errors import UserError

KEPT_BYTES = 256 * 2**20  # of row groups that a process keeps; shuffling never needs more at a time


class ParquetColumn:
    """The column of pictures of Parquet files, their rows counted through. A picture is a binary cell, or `bytes` of a struct.

    starts: (G + 1,) int64, the first row of each row group, and the number of rows
    bytes:  (G,) int64, how much memory each group needs
    """

    def __init__(self, files: Sequence[Path], column: str) -> None:
        """Reads only the footers of the files. Raises `UserError` where one is not Parquet."""
        self.files, self.column = [Path(file) for file in files], column
        self._groups: list[tuple[int, int]] = []  # (file, group in it)
        self._footers: list[Any] = []
        rows, sizes = [0], []
        for number, file in enumerate(self.files):
            footer, leaf = _footer(file, column)
            self._footers.append(footer)
            for group in range(footer.num_row_groups):
                self._groups.append((number, group))
                rows.append(footer.row_group(group).num_rows)
                sizes.append(footer.row_group(group).column(leaf).total_uncompressed_size)
        self.starts = np.cumsum(rows, dtype=np.int64)
        self.bytes = np.array(sizes, dtype=np.int64)
        self._kept: OrderedDict[int, Any] = OrderedDict()
        self._kept_bytes = 0

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": OrderedDict(), "_kept_bytes": 0}

    def group_of(self, rows: np.ndarray) -> np.ndarray:
        """The row group that each row is in."""
        return np.searchsorted(self.starts, rows, side="right") - 1

    def cell(self, row: int) -> bytes:
        """The content of one cell; empty where it holds nothing."""
        group = int(np.searchsorted(self.starts, row, side="right")) - 1
        return self._cells(group)[row - int(self.starts[group])].as_py() or b""

    def _cells(self, group: int) -> Any:
        """The cells of a row group, from the ones kept or from the disk; the group used longest ago goes first."""
        if group in self._kept:
            self._kept.move_to_end(group)
            return self._kept[group]
        size = int(self.bytes[group])
        while self._kept and self._kept_bytes + size > KEPT_BYTES:
            self._kept_bytes -= int(self.bytes[self._kept.popitem(last=False)[0]])
        if size > KEPT_BYTES and size > available_memory() // 2:
            file, number = self._groups[group]
            raise UserError(
                f"{self.files[file]}: row group {number + 1} holds {size / 2**30:.1f} GiB of pictures, more than half of the "
                "memory that is free; write the file with smaller row groups (pyarrow: write_table(..., row_group_size=1000))"
            )
        cells = self._read(group)
        self._kept[group] = cells
        self._kept_bytes += size
        return cells

    def _read(self, group: int) -> Any:
        import pyarrow
        import pyarrow.parquet

        file, number = self._groups[group]
        path = self.files[file]
        try:
            # opened each time: no handle is shared with worker processes; one thread: none to be lost in a fork
            with pyarrow.parquet.ParquetFile(path, metadata=self._footers[file], buffer_size=2**20) as parquet:
                is_struct = pyarrow.types.is_struct(parquet.schema_arrow.field(self.column).type)
                leaf = f"{self.column}.bytes" if is_struct else self.column
                array = parquet.read_row_group(number, columns=[leaf], use_threads=False).column(0)
        except (pyarrow.ArrowException, OSError) as error:
            raise UserError(f"{path}: row group {number + 1} cannot be read ({str(error).splitlines()[0]})") from None
        if is_struct:
            array = pyarrow.chunked_array(
                [chunk.field("bytes") for chunk in array.chunks], type=array.type.field(0).type
            )
        return array

    def first_missing(self) -> int | None:
        """The first row without a picture. The footers tell of most files that there is none; others are read through."""
        for group, (file, number) in enumerate(self._groups):
            statistics = (
                self._footers[file].row_group(number).column(_leaf(self._footers[file], self.column)).statistics
            )
            if statistics is not None and statistics.has_null_count and statistics.null_count == 0:
                continue
            cells = self._cells(group)
            if cells.null_count:
                return int(self.starts[group]) + int(np.flatnonzero(cells.is_null().to_numpy())[0])
        return None

    def fingerprint(self) -> bytes:
        """A hash of the files' sizes and footers, which name the place, size and checks of all that is in them."""
        digest = hashlib.sha256(self.column.encode())
        for path in self.files:
            size = path.stat().st_size
            with open(path, "rb") as file:
                file.seek(-8, os.SEEK_END)  # four bytes of length, and PAR1
                length = int.from_bytes(file.read(4), "little")
                file.seek(-8 - length, os.SEEK_END)
                digest.update(f"{path.name} {size} ".encode() + file.read(length))
        return digest.digest()


class StoredPictures(Sequence):
    """Rows of a `ParquetColumn`, as the encoded bytes of each picture, read when asked for."""

    def __init__(self, column: ParquetColumn, rows: np.ndarray | None = None) -> None:
        self.column = column
        self.rows = np.arange(column.starts[-1]) if rows is None else rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self.column.cell(int(row)) for row in self.rows[index]]
        return self.column.cell(int(self.rows[index]))

    def __iter__(self) -> Iterator[bytes]:
        return (self[index] for index in range(len(self)))

    def take(self, indices: np.ndarray) -> StoredPictures:
        return StoredPictures(self.column, self.rows[np.asarray(indices)])

    def groups(self) -> tuple[np.ndarray, np.ndarray]:
        """((N,) the row group of each row, (G,) the bytes of each group)."""
        return self.column.group_of(self.rows), self.column.bytes

    def fingerprint(self) -> bytes:
        return self.column.fingerprint() + hashlib.sha256(self.rows.tobytes()).digest()


def join_stored(parts: list[StoredPictures]) -> StoredPictures:
    """All rows of several files, in order. Each part is all of its file."""
    files = [file for part in parts for file in part.column.files]
    columns = {part.column.column for part in parts}
    if len(columns) > 1:
        raise UserError(
            f"{files[0].parent}: the pictures are in columns of different names: {', '.join(sorted(columns))}"
        )
    return StoredPictures(ParquetColumn(files, columns.pop()))


class PackedTexts(Sequence):
    """Many texts (or paths) in two arrays. A list of a million texts is a million objects, and merely reading one from a worker
    process copies its page of memory; these are shared by all workers."""

    def __init__(self, texts: Sequence[str] | Sequence[Path]) -> None:
        self.are_paths = len(texts) > 0 and isinstance(texts[0], Path)
        encoded = [os.fsencode(text) for text in texts]
        self.ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
        self.content = np.frombuffer(b"".join(encoded), dtype=np.uint8)

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __getitem__(self, index):
        text = os.fsdecode(self.content[self.ends[index] : self.ends[index + 1]].tobytes())
        return Path(text) if self.are_paths else text

    def take(self, indices: np.ndarray) -> PackedTexts:
        return PackedTexts([self[index] for index in np.asarray(indices).tolist()])


def is_picture_type(arrow_type: Any) -> bool:
    """Whether an Arrow type can hold encoded pictures: binary, or a struct with `bytes` that are binary."""
    import pyarrow

    if pyarrow.types.is_struct(arrow_type) and arrow_type.get_field_index("bytes") >= 0:
        arrow_type = arrow_type.field("bytes").type
    return pyarrow.types.is_binary(arrow_type) or pyarrow.types.is_large_binary(arrow_type)


def _footer(file: Path, column: str) -> tuple[Any, int]:
    """(the footer of a Parquet file, the number of the column's leaf in it)."""
    import pyarrow
    import pyarrow.parquet

    try:
        footer = pyarrow.parquet.read_metadata(file)
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{file}: this is not a Parquet file that can be read ({str(error).splitlines()[0]})") from None
    return footer, _leaf(footer, column)


def _leaf(footer: Any, column: str) -> int:
    names = [footer.schema.column(leaf).path for leaf in range(footer.num_columns)]
    return next(names.index(name) for name in (f"{column}.bytes", column) if name in names)

"""Checkpoints of which each process writes its part, and which any number of processes reads.

    shard-0-of-4.safetensors ...   the slices (along the first dimension) that each process holds
    state.json                     as that of a whole checkpoint, and "pieces": tensor -> its shape, and the file, first row
                                   and number of rows of each slice

The main process makes the folder, waits until all files are written and synced, writes state.json, and replaces the old
checkpoint as `checkpoint.save` does: a reader sees the old one or the new one. Reading takes the slices that are asked for,
from this form or from an ordinary checkpoint. All processes need the same file system.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from safetensors import safe_open
from torch import Tensor

from gradus.errors import UserError
from gradus.files import sync_folder, told_disk_errors, write_synced
from gradus.train import checkpoint
from gradus.train.world import World


@dataclass(frozen=True)
class Shard:
    """Rows `first`, `first + 1`, ... of a tensor of this shape; where it `is_cut`, other processes hold the other rows."""

    tensor: Tensor
    first: int
    shape: tuple[int, ...]
    is_cut: bool


Shards = dict[str, Shard]  # "model/NAME" and "training/NAME" -> what this process holds of it


@runtime_checkable
class Spread(Protocol):
    """A learner whose tensors are spread over the processes: what the trainer asks of it in place of whole ones."""

    def shards(self) -> Shards:
        """What this process holds of all that predicting and going on need."""

    def restore_shards(self, saved: Saved, updates: int) -> None:
        """Puts back what `shards` gave, in however many processes that was; `updates` is how many steps had been made."""


def save(parent: Path, name: str, shards: Shards, state: dict[str, Any], world: World) -> None:
    """Replaces `parent/name` by this checkpoint; all processes call it. Raises `UserError` in all where one cannot write."""
    new = parent / f".{name}.new"
    with world.together():
        if world.is_main:
            _make_room(parent, name)
    try:
        with world.together():
            about = _write(new, shards, world)
        written = world.gather(about)
        with world.together():
            if world.is_main:
                with told_disk_errors(new):
                    write_synced(new / "state.json", _index(written, state))
                    sync_folder(new)
    except UserError:
        if world.is_main:
            shutil.rmtree(new, ignore_errors=True)
        raise
    if world.is_main:
        checkpoint.put_in_place(parent, name)
    world.barrier()


def _make_room(parent: Path, name: str) -> None:
    new = parent / f".{name}.new"
    with told_disk_errors(new):
        if not (parent / name).exists():
            checkpoint.recover(parent, name)
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)


def _index(written: list[dict[str, Any]], state: dict[str, Any]) -> bytes:
    """state.json, from what each process tells of its file."""
    pieces: dict[str, Any] = {}
    for process in written:
        for key, (shape, first, rows) in process["pieces"].items():
            piece = pieces.setdefault(key, {"shape": shape, "places": []})
            piece["places"].append([process["file"], first, rows])
    return checkpoint.index_of({process["file"]: process["manifest"] for process in written}, state, pieces)


def _write(folder: Path, shards: Shards, world: World) -> dict[str, Any]:
    file = f"shard-{world.rank}-of-{world.size}.safetensors"
    held = {key: shard for key, shard in shards.items() if shard.tensor.numel() or not shard.is_cut}
    data = checkpoint.encode({key: shard.tensor for key, shard in held.items()})
    with told_disk_errors(folder, len(data)):
        write_synced(folder / file, data)
    return {
        "file": file,
        "manifest": {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()},
        "pieces": {key: [list(s.shape), s.first, len(s.tensor) if s.is_cut else -1] for key, s in held.items()},
    }


class Saved:
    """A checkpoint on the disk, of which parts are read. The main process looks whether it is whole; the others wait for it."""

    def __init__(self, parent: Path, name: str, world: World) -> None:
        with world.together():
            found = str(checkpoint.read_first(parent, name, checkpoint.verify)) if world.is_main else ""
        self.folder = Path(world.from_main(found))
        content = checkpoint.read_index(self.folder)
        self.state: dict[str, Any] = content["state"]
        # name -> (shape, [(file, name in it, first row, rows)]); rows -1: the tensor is whole
        self._places: dict[str, tuple[tuple[int, ...], list[tuple[str, str, int, int]]]] = {}
        if "pieces" in content:
            for key, piece in content["pieces"].items():
                places = [(file, key, first, rows) for file, first, rows in piece["places"]]
                self._places[key] = tuple(piece["shape"]), places
        else:
            for file, prefix in (("model.safetensors", "model/"), ("optimizer.safetensors", "training/")):
                if file in content["files"]:
                    with safe_open(self.folder / file, "pt") as opened:
                        for key in opened.keys():  # noqa: SIM118 - it is no dictionary
                            shape = tuple(opened.get_slice(key).get_shape())
                            self._places[prefix + key] = shape, [(file, key, 0, -1)]

    def names(self, prefix: str = "") -> Iterable[str]:
        return (name for name in self._places if name.startswith(prefix))

    def shape(self, name: str) -> tuple[int, ...]:
        return self._found(name)[0]

    def read(self, name: str, first: int = 0, rows: int | None = None) -> Tensor:
        """`rows` rows (at least one) of a tensor from row `first` on; None: all of it."""
        shape, places = self._found(name)
        if rows is None and len(places) == 1:
            file, key, _, _ = places[0]
            with safe_open(self.folder / file, "pt") as opened:
                return opened.get_tensor(key)
        end = shape[0] if rows is None else first + rows
        parts: list[Tensor] = []
        for file, key, start, length in sorted(places, key=lambda place: place[2]):
            stop = shape[0] if length < 0 else start + length
            if start < end and first < stop:
                with safe_open(self.folder / file, "pt") as opened:
                    parts.append(opened.get_slice(key)[max(first, start) - start : min(end, stop) - start])
        return torch.cat(parts)

    def _found(self, name: str) -> tuple[tuple[int, ...], list[tuple[str, str, int, int]]]:
        if name not in self._places:
            raise UserError(f"{self.folder}: this checkpoint does not fit the model ({name} is not in it)")
        return self._places[name]

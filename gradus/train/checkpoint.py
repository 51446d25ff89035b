"""Checkpoints: a folder of safetensors and one JSON file, replaced in one step, refused when damaged.

    model.safetensors      the weights that predict (the averaged ones where weights are averaged)
    optimizer.safetensors  what training needs besides: optimiser state by parameter name, raw weights under averaging
    state.json             position, best value, partial sums; and the manifest: size and SHA-256 of the files above

A folder cannot replace another in one step on every system, so saving goes `.NAME.new` (written, synced) -> `NAME` moved to
`.NAME.old` -> `.NAME.new` moved to `NAME` -> `.NAME.old` removed. Killed anywhere in between, one whole checkpoint remains and
`load` finds it: where NAME is missing, `.NAME.new` was complete before NAME was moved away. What a kill left beside it is removed
by the next save, or by `sweep` when the run is next started; readers remove nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from gradus.errors import UserError
from gradus.files import sync_folder, told_disk_errors, write_synced

FORMAT = 2  # the newest of state.json
WHOLE, SLICES = 1, 2  # whole tensors, and those in slices (`shards.py`)
Tensors = dict[str, Tensor]
T = TypeVar("T")


class Damaged(UserError):
    """A checkpoint is not what was saved."""


@dataclass(frozen=True)
class Checkpoint:
    model: Tensors
    optimizer: Tensors | None  # None in `best`, which is for predicting, not for going on
    state: dict[str, Any]


def save(parent: Path, name: str, checkpoint: Checkpoint) -> None:
    """Replaces `parent/name` by this checkpoint. Raises `UserError` on a full disk; the old one then stays as it was."""
    files = {"model.safetensors": encode(checkpoint.model)}
    if checkpoint.optimizer is not None:
        files["optimizer.safetensors"] = encode(checkpoint.optimizer)
    manifest = {file: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for file, data in files.items()}
    files["state.json"] = index_of(manifest, checkpoint.state)
    current, new = parent / name, parent / f".{name}.new"
    with told_disk_errors(current, sum(map(len, files.values()))):
        if not current.exists():
            recover(parent, name)
        try:
            shutil.rmtree(new, ignore_errors=True)
            parent.mkdir(
                exist_ok=True
            )  # not its parents: a run whose folder was removed is not to appear again in pieces
            new.mkdir()
            for file, data in files.items():
                write_synced(new / file, data)
            sync_folder(new)
        except OSError:
            shutil.rmtree(new, ignore_errors=True)
            raise
        put_in_place(parent, name)


def put_in_place(parent: Path, name: str) -> None:
    """Makes the whole and synced `.NAME.new` the checkpoint NAME."""
    current, new, old = parent / name, parent / f".{name}.new", parent / f".{name}.old"
    shutil.rmtree(old, ignore_errors=True)
    if current.exists():
        os.rename(current, old)
    os.rename(new, current)
    sync_folder(parent)
    shutil.rmtree(old, ignore_errors=True)


def exists(parent: Path, name: str) -> bool:
    """Whether there is a checkpoint to load: NAME, or what a save that was cut off left whole."""
    return (parent / name).is_dir() or any(_is_whole(parent / f".{name}.{suffix}") for suffix in ("new", "old"))


def load(parent: Path, name: str) -> Checkpoint:
    """Reads a checkpoint. Raises `UserError` where it is missing, damaged or from a newer version."""
    return read_first(parent, name, _read)


def read_first(parent: Path, name: str, read: Callable[[Path], T]) -> T:
    """What `read` makes of the folder that holds the checkpoint: NAME, or what a save that was cut off left whole.

    It may be replaced by a running training at any moment of the reading: then it is read again.
    """
    while True:
        seen = _identities(parent, name)
        error = UserError(f"{parent / name}: there is no checkpoint")
        for folder in (parent / name, parent / f".{name}.new", parent / f".{name}.old"):
            if folder.is_dir():
                try:
                    return read(folder)
                except UserError as refused:
                    error = refused if folder.name == name else error
        if _identities(parent, name) == seen:
            raise error


def sweep(parent: Path, name: str) -> None:
    """Removes what a save that was killed left beside a whole checkpoint. For who holds the lock of the run."""
    with told_disk_errors(parent):
        if not (parent / name).exists():
            recover(parent, name)
        new, old = parent / f".{name}.new", parent / f".{name}.old"
        # beside a damaged checkpoint a whole one is kept; where there is none at all, nothing that is there can be read
        if (new.exists() or old.exists()) and (_is_whole(parent / name) or not exists(parent, name)):
            shutil.rmtree(new, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def _identities(parent: Path, name: str) -> list[tuple[int, int] | None]:
    """Which folders have the three names: (inode, time of change), None where there is none."""
    found: list[tuple[int, int] | None] = []
    for folder in (parent / name, parent / f".{name}.new", parent / f".{name}.old"):
        try:
            status = folder.stat()
            found.append((status.st_ino, status.st_mtime_ns))
        except OSError:
            found.append(None)
    return found


def recover(parent: Path, name: str) -> None:
    """Finishes a save that was cut off between its two renames."""
    for candidate in (parent / f".{name}.new", parent / f".{name}.old"):
        if _is_whole(candidate):
            os.rename(candidate, parent / name)
            return


def is_whole(parent: Path, name: str) -> bool:
    """Whether there is a checkpoint that `load` would read."""
    try:
        return bool(load(parent, name))
    except UserError:
        return False


def _is_whole(folder: Path) -> bool:
    try:
        return folder.is_dir() and bool(_read(folder))
    except UserError:
        return False


def _digest(state: dict[str, Any], pieces: dict[str, Any] | None) -> str:
    content = [state, pieces] if pieces else state
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_index(folder: Path) -> dict[str, Any]:
    """state.json of a checkpoint, checked in itself."""
    version = 0
    try:
        content = json.loads((folder / "state.json").read_text())
        version = int(content["format"])
        listed = all(entry.keys() >= {"bytes", "sha256"} for entry in content["files"].values())
        places = content.get("pieces")
        has_model = "model.safetensors" in content["files"] if places is None else bool(places)
        whole = listed and has_model and content["sha256"] == _digest(content["state"], places)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        whole = False
    if version > FORMAT:
        known = f"format {version}, known {FORMAT}"
        raise UserError(f"{folder}: this checkpoint was made by a newer version of gradus ({known})")
    if not whole:
        raise Damaged(f"{folder}: this checkpoint is damaged (state.json is not what was saved)")
    return content


def _read(folder: Path) -> Checkpoint:
    content = read_index(folder)
    tensors: dict[str, Tensors] = {}
    for file, entry in content["files"].items():
        size_and_digest = entry["bytes"], entry["sha256"]
        try:
            data = (folder / file).read_bytes()
        except OSError:
            raise Damaged(f"{folder}: this checkpoint is damaged ({file} is missing)") from None
        if (len(data), hashlib.sha256(data).hexdigest()) != size_and_digest:
            raise Damaged(f"{folder}: this checkpoint is damaged ({file} is not what was saved)")
        try:
            tensors[file] = load_tensors(data)
        except SafetensorError as error:
            raise Damaged(f"{folder}: {file} is not a safetensors file ({error})") from None
    if "pieces" in content:
        whole = {name: _assembled(name, piece, tensors) for name, piece in content["pieces"].items()}
        parts = [
            {name.removeprefix(kind): tensor for name, tensor in whole.items() if name.startswith(kind)}
            for kind in ("model/", "training/")
        ]
        return Checkpoint(parts[0], parts[1], content["state"])
    return Checkpoint(tensors["model.safetensors"], tensors.get("optimizer.safetensors"), content["state"])


def _assembled(name: str, piece: dict[str, Any], tensors: dict[str, Tensors]) -> Tensor:
    """A tensor from the slices that several processes wrote (`shards.py`)."""
    places = sorted(piece["places"], key=lambda place: place[1])
    slices = [tensors[file][name] for file, _, _ in places]
    return slices[0] if len(slices) == 1 else torch.cat(slices)


def verify(folder: Path) -> Path:
    """`folder`, after its files were compared with the manifest without keeping them in memory. Raises `UserError`."""
    for file, entry in read_index(folder)["files"].items():
        try:
            with open(folder / file, "rb") as opened:
                found = os.fstat(opened.fileno()).st_size, hashlib.file_digest(opened, "sha256").hexdigest()
        except OSError:
            raise Damaged(f"{folder}: this checkpoint is damaged ({file} is missing)") from None
        if found != (entry["bytes"], entry["sha256"]):
            raise Damaged(f"{folder}: this checkpoint is damaged ({file} is not what was saved)")
    return folder


def index_of(manifest: dict[str, Any], state: dict[str, Any], pieces: dict[str, Any] | None = None) -> bytes:
    content = {"format": SLICES if pieces else WHOLE, "files": manifest, "state": state}
    content |= {"pieces": pieces} if pieces else {}
    return json.dumps(content | {"sha256": _digest(state, pieces)}, indent=1, allow_nan=False).encode()


def encode(tensors: Tensors) -> bytes:
    # contiguous() undoes channels-last, so that files do not depend on the memory order; clone() separates shared storage
    return save_tensors({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()})


def non_finite(tensors: Tensors) -> str | None:
    """The name of the first tensor that holds a value that is not finite, or None."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            return name
    return None

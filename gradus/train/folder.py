"""The run folder: its files, its lock, its metrics.

recipe.toml         everything resolved; running it again repeats the run
task.json           what the task found in the training split: classes, sizes, means
environment.json    versions, device, command
metrics.jsonl       one JSON object an epoch
evaluation.json     metrics and baselines by split, written when the training ends
checkpoints/last, checkpoints/best
report.html, log.txt
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from gradus.errors import UserError, quoted
from gradus.files import FolderLock, append_line, remove_temporaries, told_disk_errors, write_atomic
from gradus.train import checkpoint

BEGINNING = ("task.json", "environment.json", "recipe.toml")  # in the order in which they are written


class RunFolder:
    """A run's folder. Only a training holds its lock; readers need none, since every file is replaced in one step."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = FolderLock(path)

    @classmethod
    def create(cls, path: Path) -> RunFolder:
        """Makes the folder and takes its lock. Raises `UserError` where it holds anything already.

        What a run left that was killed before its beginning was written (no recipe.toml yet) is nothing to go on from: it is
        removed.
        """
        with told_disk_errors(path):
            try:
                path.mkdir(parents=True, exist_ok=True)
            except (FileExistsError, NotADirectoryError):
                raise UserError(f"{path}: a run needs a folder, and this is a file") from None
        was_a_run = (path / ".lock").exists()
        folder = cls(path)
        folder.lock.acquire()
        found = {entry.name for entry in path.iterdir()} - {".lock"}
        if was_a_run and all(name in BEGINNING[:-1] or _is_temporary(name) for name in found):
            folder._remove_beginning()
        elif found:
            folder.lock.release()
            way = f", or continue with: gradus resume {quoted(path)}" if BEGINNING[-1] in found else ""
            raise UserError(f"{path}: the folder is not empty; choose another --out{way}")
        return folder

    @classmethod
    def reopen(cls, path: Path) -> RunFolder:
        """Takes the lock of a run that is there, and removes the temporaries that a killed process left in it."""
        folder = cls(path)
        folder.lock.acquire()
        try:
            remove_temporaries(path)
            for name in ("last", "best"):
                checkpoint.sweep(folder.checkpoints, name)
        except BaseException:
            folder.lock.release()
            raise
        return folder

    def abandon(self) -> None:
        """Undoes `create`: removes the beginning that was written, and the folder where nothing else is in it."""
        self._remove_beginning()
        self.lock.release()
        with suppress(OSError):
            self.path.rmdir()

    def _remove_beginning(self) -> None:
        remove_temporaries(self.path)
        for name in reversed(BEGINNING):
            with suppress(OSError):
                (self.path / name).unlink()

    @classmethod
    def create_numbered(cls, parent: Path, name: str) -> RunFolder:
        """Makes `parent/name-1`, or the first number after it that is free, safely beside other processes."""
        with told_disk_errors(parent):
            parent.mkdir(parents=True, exist_ok=True)
        for number in range(1, 1_000_000):
            path = parent / f"{name}-{number}"
            with told_disk_errors(path):
                try:
                    path.mkdir()
                except FileExistsError:
                    continue
            return cls.create(path)
        raise UserError(f"{parent}: there are a million runs called {name}; choose --out")

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    def write_json(self, name: str, content: Any) -> None:
        write_atomic(self.path / name, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")

    def read_json(self, name: str) -> Any:
        try:
            return json.loads((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"{self.path}: this is not a whole run ({name} is missing)") from None
        except ValueError:
            raise UserError(f"{self.path / name}: this file is damaged (not JSON)") from None

    def append_metrics(self, record: dict[str, Any]) -> None:
        """Adds one line to metrics.jsonl."""
        append_line(self.path / "metrics.jsonl", json.dumps(record, allow_nan=False))

    def sync_metrics(self) -> None:
        path = self.path / "metrics.jsonl"
        if path.exists():
            with told_disk_errors(path), open(path, "rb") as file:
                os.fsync(file.fileno())

    def read_metrics(self) -> list[dict[str, Any]]:
        """The records of metrics.jsonl, up to the first line that is not one (a last line that a kill cut off)."""
        path = self.path / "metrics.jsonl"
        if not path.exists():
            return []
        records: list[dict[str, Any]] = []
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                break
            if not isinstance(record, dict) or not isinstance(record.get("epoch"), int):
                break
            records.append(record)
        return records

    def keep_metrics(self, epochs: int) -> list[dict[str, Any]]:
        """Drops the records of epochs after the first `epochs`, which a resumed run will write again; returns those kept."""
        records = [record for record in self.read_metrics() if record["epoch"] <= epochs]
        write_atomic(self.path / "metrics.jsonl", "".join(json.dumps(record) + "\n" for record in records))
        return records


def _is_temporary(name: str) -> bool:
    return name.startswith(".") and name.endswith(".tmp")

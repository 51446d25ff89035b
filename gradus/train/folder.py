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
from pathlib import Path
from typing import Any

from gradus.errors import UserError
from gradus.files import FolderLock, told_disk_errors, write_atomic


class RunFolder:
    """A run's folder. Only a training holds its lock; readers need none, since every file is replaced in one step."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = FolderLock(path)

    @classmethod
    def create(cls, path: Path) -> RunFolder:
        """Makes the folder and takes its lock. Raises `UserError` where it holds anything already."""
        with told_disk_errors(path):
            try:
                path.mkdir(parents=True, exist_ok=True)
            except (FileExistsError, NotADirectoryError):
                raise UserError(f"{path}: a run needs a folder, and this is a file") from None
        folder = cls(path)
        folder.lock.acquire()
        if any(entry.name != ".lock" for entry in path.iterdir()):
            folder.lock.release()
            raise UserError(
                f"{path}: the folder is not empty; choose another --out, or continue with: gradus resume {path}"
            )
        return folder

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
        with told_disk_errors(self.path), open(self.path / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(record, allow_nan=False) + "\n")

    def sync_metrics(self) -> None:
        path = self.path / "metrics.jsonl"
        if path.exists():
            with open(path, "rb") as file:
                os.fsync(file.fileno())

    def read_metrics(self) -> list[dict[str, Any]]:
        """The records of metrics.jsonl. A last line cut off by a kill is left out."""
        path = self.path / "metrics.jsonl"
        if not path.exists():
            return []
        records = []
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                records.append(json.loads(line))
            except ValueError:
                break
        return records

    def keep_metrics(self, epochs: int) -> list[dict[str, Any]]:
        """Drops the records of epochs after the first `epochs`, which a resumed run will write again; returns those kept."""
        records = [record for record in self.read_metrics() if record["epoch"] <= epochs]
        write_atomic(self.path / "metrics.jsonl", "".join(json.dumps(record) + "\n" for record in records))
        return records

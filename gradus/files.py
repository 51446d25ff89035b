"""Writing files so that a reader sees the old content or the new one, never half; and locking a folder."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from gradus.errors import UserError


def sync_folder(folder: Path) -> None:
    """Makes renames in a folder last through a power cut, where the system allows it."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return  # Windows cannot open folders
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)


def write_synced(path: Path, content: bytes) -> None:
    """Writes a file and waits until it is on the disk. Not atomic on its own."""
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def write_atomic(path: Path, content: bytes | str) -> None:
    """Replaces a file in one step: a temporary name, synced, renamed. A full disk is told as `UserError`, the old file stays."""
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with told_disk_errors(path, len(data)):
        try:
            write_synced(temporary, data)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


@contextmanager
def told_disk_errors(path: Path, needed: int = 0) -> Iterator[None]:
    """Turns a full disk, a read-only folder or a missing right into one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = shutil.disk_usage(existing_parent(path)).free
            need = f"{needed:,} bytes needed, " if needed else ""
            raise UserError(
                f"{path}: the disk is full ({need}{free:,} free); nothing that was there before is lost"
            ) from None
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise UserError(f"{path}: cannot be written ({os.strerror(error.errno).lower()})") from None
        raise


def existing_parent(path: Path) -> Path:
    """The nearest folder above `path` (or itself) that exists."""
    for candidate in (path, *path.parents):
        if candidate.is_dir():
            return candidate
    return Path(".")


class FolderLock:
    """An exclusive lock on a folder, held by an open file and so freed by the system however the process ends."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / ".lock"
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Raises `UserError` naming the process where another one holds the lock."""
        with told_disk_errors(self.path):
            file = open(self.path, "a+", encoding="utf-8")  # noqa: SIM115 - it stays open while the lock is held
        try:
            _lock(file)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise UserError(f"{self.path.parent}: this run is in use by process {holder}; wait for it to end") from None
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        self._file = file

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
            self.path.unlink(missing_ok=True)


def _lock(file: IO[str]) -> None:
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

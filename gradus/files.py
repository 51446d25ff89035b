"""Writing files so that a reader sees the old content or the new one, never half; and locking a folder."""

from __future__ import annotations

import errno
import os
import shutil
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TextIO

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
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
    sync_folder(path.parent)


def append_line(path: Path, line: str) -> None:
    """Adds a line to a text file in one write."""
    data = (line + "\n").encode()
    with told_disk_errors(path, len(data)), open(path, "ab") as file:
        file.write(data)


def remove_temporaries(folder: Path) -> None:
    """Removes what `write_atomic` leaves in a folder when it is killed. For who holds the lock of the folder."""
    for path in folder.glob(".*.tmp"):
        with suppress(OSError):
            path.unlink()


@contextmanager
def told_disk_errors(path: Path, needed: int = 0) -> Iterator[None]:
    """Turns a full disk, a read-only folder, a missing right or a folder that has gone into one sentence.

    needed: bytes that were to be written, to be named beside those that are free
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = shutil.disk_usage(existing_parent(path)).free
            need = f"{needed:,} bytes needed, " if needed else ""
            raise UserError(
                f"{path}: the disk is full ({need}{free:,} free); nothing that was there before is lost"
            ) from None
        size = f"; {needed:,} bytes were to be written" if needed and error.errno == errno.EFBIG else ""
        raise UserError(f"{path}: cannot be written ({os.strerror(error.errno).lower()}{size})") from None


def unread(stream: TextIO) -> None:
    """Lets what is written to a stream go nowhere from now on: its reader has gone (`gradus train | head -1`)."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        pass  # not a file of the system, or closed


def existing_parent(path: Path) -> Path:
    """The nearest folder above `path` (or itself) that exists."""
    for candidate in (path, *path.parents):
        if candidate.is_dir():
            return candidate
    return Path(".")


LETTING_GO_SECONDS = 1.0  # a worker forked in the instant before its training was killed has yet to let go of the lock


class FolderLock:
    """An exclusive lock on a folder, held by an open file and so freed by the system however the process ends."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / ".lock"
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Raises `UserError` naming the process where another one holds the lock."""
        file = self._locked()
        with told_disk_errors(self.path):
            os.ftruncate(file.fileno(), 0)
            os.write(file.fileno(), str(os.getpid()).encode())
        self._file = file
        _held.add(self)

    def _locked(self) -> IO[str]:
        patience = time.monotonic() + LETTING_GO_SECONDS
        while True:
            with told_disk_errors(self.path):
                file = open(self.path, "a+", encoding="utf-8")  # noqa: SIM115 - it stays open while the lock is held
            try:
                _lock(file)
            except OSError:
                file.seek(0)
                number = file.read().strip()  # empty for an instant, while its holder writes it
                file.close()
                if number.isdigit() and _is_gone(int(number)) and time.monotonic() < patience:
                    time.sleep(0.01)
                    continue
                holder = f"process {number}" if number else "another process"
                raise UserError(f"{self.path.parent}: this run is in use by {holder}; wait for it to end") from None
            if self._is_of(file):
                return file
            file.close()  # its holder removed it between our opening and our locking: a lock on a file without a name

    def _is_of(self, file: IO[str]) -> bool:
        """Whether the file that was opened is still the one that has the name."""
        try:
            return os.path.samestat(os.fstat(file.fileno()), os.stat(self.path))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        if self._file is None:
            return
        file, self._file = self._file, None
        _held.discard(self)
        if os.name == "nt":  # an open file cannot be removed there
            file.close()
            with suppress(OSError):
                self.path.unlink()
            return
        if self._is_of(file):  # before it is freed: afterwards the name may be another process's lock
            with suppress(OSError):
                self.path.unlink()
        file.close()


def _is_gone(process: int) -> bool:
    """Whether there is no such process on this machine; False where that cannot be asked."""
    if os.name == "nt":  # where asking would end it
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


_held: weakref.WeakSet[FolderLock] = weakref.WeakSet()


def _leave_to_parent() -> None:
    """A forked worker has no part in the lock: otherwise one that outlives a killed training would keep the run locked."""
    for lock in list(_held):
        if lock._file is not None:
            lock._file.close()
            lock._file = None
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)


def _lock(file: IO[str]) -> None:
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

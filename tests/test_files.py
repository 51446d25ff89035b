"""Files and locks where no process need die: see tests/chaos for those that do."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading

import pytest

from gradus import files
from gradus.errors import UserError
from gradus.files import FolderLock, append_line, remove_temporaries, told_disk_errors, unread, write_atomic


def test_a_lock_is_held_by_one(tmp_path):
    first, second = FolderLock(tmp_path), FolderLock(tmp_path)
    first.acquire()
    with pytest.raises(UserError, match=f"in use by process {os.getpid()}"):
        second.acquire()
    first.release()
    second.acquire()
    second.release()
    assert not list(tmp_path.iterdir())


def test_a_lock_whose_file_was_replaced_is_not_removed_by_its_old_holder(tmp_path):
    first, second = FolderLock(tmp_path), FolderLock(tmp_path)
    first.acquire()
    first.path.unlink()  # somebody cleans up
    second.acquire()
    first.release()
    assert second.path.exists()
    with pytest.raises(UserError, match="in use"):
        FolderLock(tmp_path).acquire()
    second.release()


def test_a_lock_file_removed_between_opening_and_locking_is_opened_again(tmp_path, monkeypatch):
    from gradus import files

    lock, take, removed = FolderLock(tmp_path), files._lock, []

    def lock_late(file):
        if not removed:
            removed.append(lock.path.unlink())  # its holder lets go just now
        take(file)

    monkeypatch.setattr(files, "_lock", lock_late)
    lock.acquire()
    assert lock._file is not None and os.path.samestat(os.fstat(lock._file.fileno()), os.stat(lock.path))
    lock.release()


@pytest.mark.parametrize("number", [errno.EIO, errno.EFBIG, errno.ENOENT, errno.EROFS, errno.EACCES], ids=os.strerror)
def test_what_a_disk_may_say_is_one_sentence(tmp_path, number):
    with pytest.raises(UserError, match="cannot be written") as told, told_disk_errors(tmp_path / "x", 12_345):
        raise OSError(number, os.strerror(number))
    assert os.strerror(number).lower() in str(told.value)
    assert ("12,345 bytes" in str(told.value)) == (number == errno.EFBIG)


def test_an_error_that_is_none_of_the_system_is_let_through(tmp_path):
    with pytest.raises(OSError, match="ours") as told, told_disk_errors(tmp_path):
        raise OSError("ours")
    assert not isinstance(told.value, UserError)


def test_lines_are_added_and_temporaries_removed(tmp_path):
    append_line(tmp_path / "log", "猫")
    append_line(tmp_path / "log", "b")
    assert (tmp_path / "log").read_text(encoding="utf-8") == "猫\nb\n"
    write_atomic(tmp_path / "kept.tmp", "x")
    (tmp_path / ".log.1.tmp").write_text("half")
    remove_temporaries(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.tmp", "log"]


@pytest.mark.skipif(os.name == "nt", reason="pipes as on POSIX")
def test_a_stream_without_reader_goes_nowhere():
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as stream:
        stream.write("lost")
        with pytest.raises(BrokenPipeError):
            stream.flush()
        unread(stream)
        print("lost too", file=stream, flush=True)
        assert stat.S_ISCHR(os.fstat(stream.fileno()).st_mode)


def test_a_lock_whose_holder_is_gone_is_waited_for_and_one_of_the_living_is_not(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for holder, given in ((ended.pid, True), (os.getpid(), False)):
        held = open(tmp_path / ".lock", "w+")  # noqa: SIM115 - as a forked worker holds it for an instant
        files._lock(held)
        held.write(str(holder))
        held.flush()
        letting_go = threading.Timer(0.2, held.close)
        letting_go.start()
        lock = FolderLock(tmp_path)
        if given:
            lock.acquire()
            lock.release()
        else:
            with pytest.raises(UserError, match=f"in use by process {holder}"):
                lock.acquire()
        letting_go.join()

"""Many processes want the same run: one has it, the others are refused in one sentence, and nothing of anyone is touched."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from pathlib import Path

from cases import left_over, results

from gradus.files import FolderLock

PROCESSES = 8


def content(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_one_name(children, by_name, whole, tally, times, tmp_path):
    """8 processes with the same --out, let go at once: one owner, seven refusals. Another run beside it stays as it was."""
    expected = whole(by_name["dropout"])
    other = tmp_path / "other"
    assert children.run(*expected.arguments, "--epochs", 1, "--out", other).code == 0
    before = content(other)
    for number in range(times(2, 50)):
        run, go = tmp_path / f"run-{number}", tmp_path / f"go-{number}"
        waiting = [{"at": "create", "wait": str(go)}]
        started = [children.start(*expected.arguments, "--out", run, moments=waiting) for _ in range(PROCESSES)]
        go.touch()
        ended = [child.end() for child in started]
        owners = [one for one in ended if one.code == 0]
        refused = [one for one in ended if one.code == 2 and len(one.error.splitlines()) == 1]
        refused = [one for one in refused if "in use by" in one.error or "not empty" in one.error]
        good = (len(owners), len(refused)) == (1, PROCESSES - 1) and results(run) == expected.results
        good = good and not left_over(run) and content(other) == before
        tally("8 processes, one run name", good)
        assert good, "\n".join(map(str, ended))


def test_names_by_number(children, by_name, whole, tally, times, tmp_path):
    """8 processes without --out, in the same folder, at once: each gets a number of its own."""
    expected = whole(by_name["dropout"])
    for number in range(times(1, 20)):
        place, go = tmp_path / f"{number}", tmp_path / f"go-{number}"
        place.mkdir()
        arguments = [*expected.arguments, "--epochs", "1"]
        # create_numbered makes the folder first: all are let go before that, when they have read their data
        waiting = [{"at": "fingerprint", "wait": str(go)}, {"at": "encode", "wait": str(go)}]
        started = [children.start(*arguments, moments=waiting, folder=place) for _ in range(PROCESSES)]
        go.touch()
        ended = [child.end() for child in started]
        made = sorted(path.name.rpartition("-")[2] for path in (place / "runs").iterdir())
        good = all(one.code == 0 for one in ended) and made == [str(n) for n in range(1, PROCESSES + 1)]
        good = good and len({one.out.rpartition("report ")[2] for one in ended}) == PROCESSES
        tally("8 processes, numbered names", good)
        assert good, "\n".join(map(str, ended))


def test_one_run_resumed_by_many(children, by_name, whole, tally, times, tmp_path):
    """Processes resume the same run at once. One goes on; who comes while it runs is refused, who comes after it finds it
    finished."""
    expected = whole(by_name["dropout"])
    for number in range(times(1, 20)):
        run = tmp_path / f"{number}"
        moments = [{"at": "step", "call": 30, "signal": int(signal.SIGKILL)}]
        assert children.run(*expected.arguments, "--out", run, moments=moments).code == -signal.SIGKILL
        started = [children.start("resume", run) for _ in range(4)]
        ended = [child.end() for child in started]
        good = all(one.code in (0, 2) and len(one.error.splitlines()) == (one.code == 2) for one in ended)
        good = good and any(one.code == 0 for one in ended) and results(run) == expected.results
        tally("4 processes resume one run", good and not left_over(run))
        assert good and not left_over(run), "\n".join(map(str, ended))


def test_the_lock_itself(children, tally, times, tmp_path):
    """8 processes take and free one lock without pause: never do two hold it, though its file is removed each time."""
    go, rounds = tmp_path / "go", times(300, 10_000)
    folder = tmp_path / "folder"
    folder.mkdir()
    started = [children.start("call", "lock_on_and_on", folder, rounds, go) for _ in range(PROCESSES)]
    go.touch()
    ended = [child.end() for child in started]
    good = all(one.code == 0 for one in ended)
    tally("lock taken among 8 processes", good, sum(int(one.out or 0) for one in ended))
    assert good, "\n".join(map(str, ended))
    assert sum(int(one.out) for one in ended) > rounds / 10


def test_a_worker_that_outlives_a_killed_training_does_not_hold_its_lock(children, tmp_path):
    """Forked processes inherit open files, and a lock is held by an open file."""
    held = tmp_path / "held"
    (tmp_path / "run").mkdir()
    child = children.start("call", "hold_lock", tmp_path / "run", held, "with a worker")
    while not held.exists():
        assert not child.has_ended()
        time.sleep(0.001)
    child.kill()
    child.end()
    assert child.family()  # the worker lives
    try:
        lock = FolderLock(tmp_path / "run")
        lock.acquire()
        lock.release()
    finally:
        for pid in child.family():
            os.kill(pid, signal.SIGKILL)

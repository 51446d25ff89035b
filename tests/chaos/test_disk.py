"""A disk that is full, read-only or gone: what was there stays, the message says what is missing, and the run goes on later."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from cases import left_over, results
from conftest import THOROUGH

from gradus.train import checkpoint

SIZE = 1 << 20  # of the small disk, in bytes


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """A file system in memory, of 1 MiB."""
    path = tmp_path_factory.mktemp("disk")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "gradus-chaos", str(path)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"needs the right to mount a file system: {done.stderr.strip()}")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.fixture(scope="module")
def stopped(children, by_name, whole, tmp_path_factory) -> Path:
    """A run that was stopped in its third epoch, and saved."""
    run = tmp_path_factory.mktemp("stopped") / "run"
    moments = [{"at": "step", "call": 50, "signal": int(signal.SIGTERM)}]
    ended = children.run(*whole(by_name["dropout"]).arguments, "--out", run, moments=moments)
    assert ended.code == 143, str(ended)
    return run


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def told(error: str) -> tuple[int, int]:
    """Bytes needed and free, of a message about a full disk."""
    assert len(error.splitlines()) == 1 and "Traceback" not in error, error
    found = re.search(r"the disk is full \(([\d,]+) bytes needed, ([\d,]+) free\)", error)
    assert found, error
    return int(found[1].replace(",", "")), int(found[2].replace(",", ""))


def test_full_inside_save(disk, stopped, children, by_name, whole, tally, times):
    """A real file system runs out of room at evenly spaced places of a save."""
    expected = whole(by_name["dropout"])
    needed = sum(path.stat().st_size for path in (stopped / "checkpoints" / "last").iterdir())
    steps = times(4, 20)
    run, ballast = disk / "run", disk / "ballast"
    for number in range(steps):
        shutil.copytree(stopped, run)
        before = contents(run / "checkpoints" / "last")
        room = int(needed * (number + 0.5) / steps) + 4096  # a page for metrics.jsonl, which is written anew first
        ballast.write_bytes(bytes(shutil.disk_usage(disk).free - room))
        ended = children.run("resume", run)
        assert ended.code == 2, str(ended)
        wanted, free = told(ended.error)
        intact = contents(run / "checkpoints" / "last") == before and free < wanted
        ballast.unlink()
        again = children.run("resume", run)
        survived = intact and again.code == 0 and results(run) == expected.results and not left_over(run)
        tally("disk full inside save", survived)
        assert survived, f"room for {room} of {needed} bytes: {ended}\n{again}"
        shutil.rmtree(run)


def test_full_at_any_file(children, by_name, whole, tally, tmp_path):
    """Each file that a run writes, in turn, onto a device that is full: the beginning, metrics.jsonl, log.txt, checkpoints,
    evaluation.json, report.html. (The first one is the lock, which is opened again when its name is not its own.)"""
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    expected = whole(by_name["dropout"])
    calls = expected.calls["open"]
    for call in range(2, calls + 1) if THOROUGH else (2, 5, 9, calls - 1, calls):
        run = tmp_path / f"{call}"
        ended = children.run(*expected.arguments, "--out", run, moments=[{"at": "open", "call": call, "full": True}])
        assert ended.code == 2, f"file {call}: {ended}"
        told(ended.error)
        begun = (run / "recipe.toml").exists()
        assert begun or not run.exists() or not left_over(run)
        again = children.run("resume", run) if begun else children.run(*expected.arguments, "--out", run)
        survived = again.code == 0 and results(run) == expected.results and not left_over(run)
        tally("disk full at any file of a run", survived)
        assert survived, f"file {call}: {ended}\n{again}"


def test_a_limit_on_the_size_of_files(stopped, children, by_name, whole, tally, times, tmp_path):
    """Needs no right to mount: the system cuts each file at the limit (RLIMIT_FSIZE), so saves fail at any offset."""
    expected = whole(by_name["dropout"])
    largest = max(path.stat().st_size for path in (stopped / "checkpoints" / "last").iterdir())
    steps = times(3, 20)
    for number in range(steps):
        run = tmp_path / f"{number}"
        shutil.copytree(stopped, run)
        before = contents(run / "checkpoints" / "last")
        limit = max(1500, int(largest * (number + 0.5) / steps))  # metrics.jsonl is smaller
        ended = children.run("resume", run, moments=[{"file_size": limit}])
        assert ended.code == 2 and "file too large" in ended.error and len(ended.error.splitlines()) == 1, str(ended)
        intact = contents(run / "checkpoints" / "last") == before
        again = children.run("resume", run)
        survived = intact and again.code == 0 and results(run) == expected.results and not left_over(run)
        tally("file size limited inside save", survived)
        assert survived, f"{ended}\n{again}"


def test_a_run_that_cannot_be_written(disk, stopped, children, tally):
    """A read-only run can be judged and used; resuming and reporting say why they cannot."""
    run = disk / "run"
    shutil.copytree(stopped, run)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    try:
        assert children.run("eval", run).code == 0
        ended = children.run("resume", run)
        survived = ended.code == 2 and "read-only" in ended.error and len(ended.error.splitlines()) == 1
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    shutil.rmtree(run)
    tally("read-only run folder", survived)
    assert survived, str(ended)


@pytest.mark.parametrize("error", ["EROFS", "EIO"])
def test_a_disk_that_fails_while_training(error, stopped, children, by_name, whole, tally, tmp_path):
    expected, run = whole(by_name["dropout"]), tmp_path / "run"
    shutil.copytree(stopped, run)
    before = contents(run / "checkpoints" / "last")
    ended = children.run("resume", run, moments=[{"at": "mkdir", "call": 2, "error": error}])
    assert ended.code == 2 and "cannot be written" in ended.error and len(ended.error.splitlines()) == 1, str(ended)
    intact = contents(run / "checkpoints" / "last") == before
    again = children.run("resume", run)
    survived = intact and again.code == 0 and results(run) == expected.results
    tally("disk turns read-only or fails in a save", survived)
    assert survived, str(again)


def test_the_run_folder_is_removed(stopped, children, tally, times, tmp_path):
    """Somebody deletes the run while it trains: it stops and says so, and does not make a folder of leftovers."""
    for number in range(times(1, 5)):
        run, training = tmp_path / f"{number}", tmp_path / f"training-{number}"
        shutil.copytree(stopped, run)
        moments = [{"at": "step", "slow": 0.02}, {"at": "step", "call": 2 + number, "touch": str(training)}]
        child = children.start("resume", run, moments=moments)
        deadline = time.monotonic() + 120
        while not training.exists():
            assert time.monotonic() < deadline and not child.has_ended()
            time.sleep(0.001)
        os.rename(run, tmp_path / "away")
        shutil.rmtree(tmp_path / "away")
        ended = child.end()
        clean = ended.code == 2 and str(run) in ended.error and len(ended.error.splitlines()) == 1
        tally("run folder removed while training", clean and not run.exists())
        assert clean and not run.exists(), str(ended)


def test_readers_remove_nothing(children, by_name, whole, tally, tmp_path):
    """eval and predict beside a half-written save leave it alone; resume sweeps it, but not while another process runs."""
    expected, run = whole(by_name["dropout"]), tmp_path / "run"
    moments = [{"at": "write", "call": 14, "signal": int(signal.SIGKILL)}]
    assert children.run(*expected.arguments, "--out", run, moments=moments).code == -signal.SIGKILL
    (run / ".report.html.1.tmp").write_text("half")
    litter = set(left_over(run))
    assert any(name.startswith("checkpoints/.") for name in litter), litter
    row = '{"age": 0, "sex": 0, "bmi": 0, "bp": 0, "s1": 0, "s2": 0, "s3": 0, "s4": 0, "s5": 0, "s6": 0}'
    assert children.run("eval", run).code == 0 and children.run("predict", run, row).code == 0
    assert set(left_over(run)) == litter
    holder = tmp_path / "held"
    child = children.start("call", "hold_lock", run, holder)
    deadline = time.monotonic() + 60
    while not holder.exists():
        assert time.monotonic() < deadline
        time.sleep(0.001)
    ended = children.run("resume", run)
    assert ended.code == 2 and f"in use by process {child.pid}" in ended.error, str(ended)
    assert set(left_over(run)) == litter
    child.kill()
    child.end()
    ended = children.run("resume", run)
    survived = ended.code == 0 and results(run) == expected.results and not left_over(run)
    assert checkpoint.is_whole(run / "checkpoints", "last")
    tally("left-over temporaries swept by resume only", survived)
    assert survived, str(ended)

"""Real processes, really killed: the run that goes on ends with the same bits as one that was never touched."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from children import Children

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals as on POSIX")

# Small batches, so that the run lasts a while; a checkpoint after every epoch, so that kills fall into saves too.
TRAIN = [
    *("train", "digits-lenet5", "--epochs", "5", "--batch-size", "16", "--optimizer", "rmsprop"),
    *("--set", "train.checkpoint_seconds=0", "--set", "train.average=0.99"),
]


def gradus(*arguments: object) -> subprocess.Popen:
    command = [sys.executable, "-m", "gradus", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(condition, has_ended: Callable[[], bool], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and not has_ended():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def epochs_recorded(run: Path) -> int:
    path = run / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def results(run: Path) -> dict:
    """Everything that must not depend on how often a run was stopped: weights, optimiser, metrics, evaluation."""
    files = {}
    for name in ("last/model", "last/optimizer", "best/model"):
        files[name] = (run / "checkpoints" / f"{name}.safetensors").read_bytes()
    files["metrics"] = [
        {key: value for key, value in json.loads(line).items() if key != "train_seconds"}
        for line in (run / "metrics.jsonl").read_text().splitlines()
    ]
    files["evaluation"] = json.loads((run / "evaluation.json").read_text())["metrics"]
    return files


@pytest.fixture(scope="module")
def untouched(children: Children, tmp_path_factory: pytest.TempPathFactory) -> dict:
    run = tmp_path_factory.mktemp("whole") / "run"
    ended = children.run(*TRAIN, "--out", run)
    assert ended.code == 0, str(ended)
    return results(run)


@pytest.mark.parametrize("seed", range(3))
def test_kill_9(untouched: dict, children: Children, tmp_path: Path, seed: int):
    """Killed three times at random moments, continued each time."""
    run, random_moment = tmp_path / "run", random.Random(seed)
    child = children.start(*TRAIN, "--out", run)
    for number in range(3):
        reached = epochs_recorded(run) + (number > 0)
        wait_for(
            lambda reached=reached: epochs_recorded(run) >= reached and (run / "recipe.toml").exists(), child.has_ended
        )
        time.sleep(random_moment.random() * 0.4)
        child.kill()
        child.end()
        child = children.start("resume", run)
    ended = child.end()
    assert ended.code == 0, str(ended)
    assert results(run) == untouched
    assert not list((run / "checkpoints").glob(".*"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_asked_to_stop(untouched: dict, children: Children, tmp_path: Path, number: signal.Signals, code: int):
    """Ctrl-C and SIGTERM save in the middle of an epoch, say how to go on, and lose nothing. Fresh interpreters do it."""
    run = tmp_path / "run"
    process = gradus(*TRAIN, "--out", run)
    wait_for(lambda: epochs_recorded(run) >= 2, lambda: process.poll() is not None)
    time.sleep(0.05)
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == code
    assert f"gradus resume {run}" in error and "Traceback" not in error
    state = json.loads((run / "checkpoints" / "last" / "state.json").read_text())["state"]
    assert state["epoch"] >= 2
    if number == signal.SIGINT:
        ended = children.run("resume", run)
        assert ended.code == 0, str(ended)
    else:
        process = gradus("resume", run)
        _, error = process.communicate(timeout=300)
        assert process.returncode == 0, error
    assert results(run) == untouched


def test_a_run_in_use_is_not_touched(children: Children, tmp_path: Path):
    run = tmp_path / "run"
    first = children.start(*TRAIN, "--out", run)
    try:
        wait_for(lambda: epochs_recorded(run) >= 1, first.has_ended)
        second = children.run("resume", run)
        assert second.code == 2 and "in use" in second.error and str(first.pid) in second.error
        assert not first.has_ended()
    finally:
        first.kill()
        first.end()


def test_help_is_quick():
    """No timing here: what would make it slow is importing PyTorch, and that is not done."""
    code = (
        "import sys, gradus.cli; gradus.cli.build_parser().format_help(); print({'torch', 'numpy'} & set(sys.modules))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "set()"

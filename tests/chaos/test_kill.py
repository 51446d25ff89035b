"""SIGKILL at known and at random moments: the run that goes on ends as if nothing had happened, bit for bit."""

from __future__ import annotations

import random
import signal
import time

import pytest
from cases import CASES, left_over, order_of, results
from children import Child
from conftest import THOROUGH
from moments import SAVING

# Where a kill falls; those of a save come more often, since there is more to go wrong.
PLACES = (
    "step",
    "loss",
    "clip",
    "evaluate",
    "append",
    *SAVING,
    "replace",
    "assess",
    "baselines",
    "report",
    "fingerprint",
)
SHORT = 3
MOMENTS = 20


def killing(name: str, call: int, share: float) -> dict:
    return {"at": name, "call": call, "signal": int(signal.SIGKILL), "share": share}


def drawn(chance: random.Random, calls: dict[str, int], place: str = "") -> dict:
    """A kill at a place, in one of the calls that the uninterrupted run makes there."""
    place = place or chance.choice(PLACES)
    return killing(place, chance.randint(1, calls[place]), chance.random())


CHOSEN = [case for case in CASES if THOROUGH or case.in_short_set]


@pytest.mark.parametrize("case", CHOSEN, ids=lambda case: case.name)
def test_killed_anywhere(case, whole, children, tally, times, tmp_path):
    """Every third run is killed twice: the second time while it resumes. Every fourth kill comes at a random time."""
    expected = whole(case)
    workers = "4 workers" if "workers" in case.name else "0 workers"
    for number in range(times(SHORT, MOMENTS)):
        chance = random.Random(f"{case.name} {number}")
        place = PLACES[(number * 5 + chance.randrange(len(PLACES))) % len(PLACES)]
        first = drawn(chance, expected.calls, place)
        second = [drawn(chance, expected.calls)] if number % 3 == 2 else []
        timed = chance.random() * 0.6 if number % 4 == 3 else None
        what = f"{case.name}, attack {number}: {first if timed is None else f'after {timed:.3f} s'}, then {second}"
        run, trace = tmp_path / f"run-{number}", tmp_path / f"trace-{number}"
        watched = [{"trace": str(trace)}]
        if timed is None:
            ended = children.run(*expected.arguments, "--out", run, moments=[*watched, first])
            assert ended.code == -signal.SIGKILL, f"{what}: was not killed: {ended}"
        else:
            child = children.start(*expected.arguments, "--out", run, moments=watched)
            time.sleep(timed)
            child.kill()
            assert child.no_orphans(), what
            child.end()
        for moments in [second, []]:
            command = ["resume", run] if (run / "recipe.toml").exists() else [*expected.arguments, "--out", run]
            child = children.start(*command, moments=[*watched, *moments])
            ended = child.end()
            assert child.no_orphans(), what
            if ended.code != -signal.SIGKILL:
                break
        survived = ended.code == 0 and results(run) == expected.results and not left_over(run)
        tally(f"SIGKILL, {workers}: {case.name}", survived)
        assert ended.code == 0, f"{what}: {ended}"
        found = results(run)
        assert [key for key in found if found[key] != expected.results[key]] == [], what
        assert order_of(trace) == expected.order, what
        assert not left_over(run), what


@pytest.mark.parametrize("place", ["restore", "assess", "baselines", "report", "replace"])
def test_killed_where_it_happens_once(place, by_name, whole, children, tally, tmp_path):
    """While it resumes, in the final evaluation, while the report is written: each is done again, nothing is lost."""
    expected, run = whole(by_name["dropout"]), tmp_path / "run"
    first = killing("step", 30, 0) if place == "restore" else killing(place, expected.calls[place], 0.5)
    ended = children.run(*expected.arguments, "--out", run, moments=[first])
    assert ended.code == -signal.SIGKILL, str(ended)
    if place == "restore":
        ended = children.run("resume", run, moments=[killing(place, 1, 0)])
        assert ended.code == -signal.SIGKILL, str(ended)
    ended = children.run("resume", run)
    survived = ended.code == 0 and results(run) == expected.results and not left_over(run)
    tally("SIGKILL in resume, in the final evaluation, in the report", survived)
    assert survived, str(ended)


def test_killed_before_the_beginning_is_written(by_name, whole, children, tally, times, tmp_path):
    """The folder has no recipe yet, so there is nothing to resume: the same command simply works."""
    expected = whole(by_name["dropout"])
    for call in range(1, times(1, 3) + 1):  # task.json, environment.json, recipe.toml
        run = tmp_path / str(call)
        ended = children.run(*expected.arguments, "--out", run, moments=[killing("write", call, 0.5)])
        assert ended.code == -signal.SIGKILL and not (run / "recipe.toml").exists()
        refused = children.run("resume", run)
        assert refused.code == 2 and "not a whole run" in refused.error and "Traceback" not in refused.error
        ended = children.run(*expected.arguments, "--out", run)
        survived = ended.code == 0 and results(run) == expected.results and not left_over(run)
        tally("SIGKILL while a run folder is begun", survived)
        assert survived, str(ended)


@pytest.mark.skipif(not THOROUGH, reason="tests/test_interruption.py starts fresh interpreters too")
def test_a_server_s_child_is_a_process_like_any_other(by_name, whole, tmp_path):
    """The same command in a fresh interpreter gives the same bits as one forked from the server."""
    import subprocess
    import sys

    expected, run = whole(by_name["dropout"]), tmp_path / "run"
    command = [sys.executable, "-m", "gradus", *expected.arguments, "--out", str(run)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert results(run) == expected.results


def test_stopped_and_continued(by_name, whole, children, tally, times, tmp_path):
    """SIGSTOP and SIGCONT, as when a laptop sleeps."""
    expected, run = whole(by_name["dropout"]), tmp_path / "run"
    slowly = [{"at": "step", "slow": 0.005}]
    child: Child = children.start(*expected.arguments, "--out", run, moments=slowly)
    for _ in range(times(2, 10)):
        _until(lambda: (run / "recipe.toml").exists(), child)
        child.kill(signal.SIGSTOP)
        time.sleep(0.1)
        child.kill(signal.SIGCONT)
        time.sleep(0.02)
    ended = child.end()
    survived = ended.code == 0 and results(run) == expected.results
    tally("SIGSTOP and SIGCONT", survived)
    assert survived, str(ended)


def _until(condition, child: Child) -> None:
    deadline = time.monotonic() + 120
    while not condition() and not child.has_ended():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_a_wall_clock_that_goes_backwards(by_name, whole, children, tally, tmp_path):
    expected, run = whole(by_name["dropout"]), tmp_path / "run"
    ended = children.run(*expected.arguments, "--out", run, moments=[{"clock": 3600.0}, killing("step", 50, 0)])
    assert ended.code == -signal.SIGKILL
    ended = children.run("resume", run, moments=[{"clock": 86_400.0}])
    survived = ended.code == 0 and results(run) == expected.results
    tally("clock goes backwards", survived)
    assert survived, str(ended)


def test_metrics_cut_in_the_middle_of_a_line(by_name, whole, children, tally, times, tmp_path):
    """The cut line is of an epoch after the last checkpoint: it is written again. One before it: the run says it is damaged."""
    expected, chance = whole(by_name["dropout"]), random.Random(0)
    for number in range(times(1, 10)):
        run = tmp_path / f"{number}"
        ended = children.run(*expected.arguments, "--out", run, moments=[killing("append", 5, chance.random())])
        assert ended.code == -signal.SIGKILL  # two lines an epoch: metrics.jsonl and log.txt, so the third of metrics
        with open(run / "metrics.jsonl", "ab") as file:
            file.write(b'{"epoch": 3, "step": "\xff\xfe')
        ended = children.run("resume", run)
        survived = ended.code == 0 and results(run) == expected.results
        tally("metrics.jsonl cut in a line", survived)
        assert survived, str(ended)
    run = tmp_path / "lost"
    ended = children.run(*expected.arguments, "--out", run, moments=[killing("append", 5, 0)])
    lines = (run / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (run / "metrics.jsonl").write_bytes(lines[0][:30])
    refused = children.run("resume", run)
    assert refused.code == 2 and "metrics.jsonl" in refused.error and "Traceback" not in refused.error

"""SIGINT, SIGTERM, SIGHUP in every phase: one sentence, exit code 128 + number, no orphan, and nothing to repeat by hand."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from cases import Case, left_over, order_of, results
from conftest import THOROUGH

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
SECONDS = 10.0  # within which a valid checkpoint must be there, and the process gone

# phase -> the place at which the signal comes, and whether there is a folder to resume by then
PHASES = {
    "reading data": ("load", False),
    "encoding data": ("encode", False),
    "making the folder": ("create", False),
    "writing the beginning": ("write", False),  # the first write is task.json
    "the first step": ("step", True),
    "a step": ("loss", True),
    "an evaluation": ("evaluate", True),
    "the metrics": ("append", True),
    "saving: snapshot": ("snapshot", True),
    "saving: writing": ("fsync", True),
    "saving: renaming": ("rename", True),
    "saving: removing": ("remove", True),
    "the final evaluation": ("assess", True),
    "the baselines": ("baselines", True),
    "the report": ("report", True),
}
SHORT = ["encoding data", "writing the beginning", "an evaluation", "saving: renaming", "the report"]


def _call(place: str, calls: dict[str, int], chance: random.Random) -> int:
    """One of the calls in the middle of the run; the first one of what is done before the training."""
    first = {"load": 1, "encode": 1, "create": 1, "write": 1, "step": 1, "evaluate": 2, "fsync": 7}
    return first.get(place) or chance.randint(max(1, calls[place] // 2), calls[place])


@pytest.mark.parametrize("phase", PHASES if THOROUGH else SHORT)
def test_asked_to_stop(phase, by_name, whole, children, tally, times, tmp_path):
    place, has_folder = PHASES[phase]
    names = ["dropout", "pictures"] if THOROUGH else ["dropout"]
    for case in [by_name[name] for name in names]:
        expected = whole(case)
        for number in SIGNALS if THOROUGH else [SIGNALS[len(phase) % 3]]:
            chance = random.Random(f"{phase} {number}")
            run, trace = tmp_path / f"{case.name}-{number.name}", tmp_path / f"trace-{case.name}-{number.name}"
            moment = {"at": place, "call": _call(place, expected.calls, chance), "signal": int(number)}
            child = children.start(*expected.arguments, "--out", run, moments=[{"trace": str(trace)}, moment])
            ended = child.end()
            what = f"{number.name} in {phase} ({moment}): {ended}"
            orphans = not child.no_orphans()
            clean = ended.code == 128 + number and not orphans
            clean = clean and len(ended.error.splitlines()) == 1 and "Traceback" not in ended.error + ended.out
            if clean and has_folder:
                again = children.run("resume", run, moments=[{"trace": str(trace)}])
                clean = again.code == 0 and results(run) == expected.results and not left_over(run)
                clean = clean and order_of(trace) == expected.order
            else:
                clean = clean and not run.exists()
            tally(f"{number.name} in {phase}", clean)
            assert clean, what


def test_a_long_evaluation_is_left_between_two_batches(by_name, whole, children, tally, tmp_path):
    """An evaluation of 12 batches, each slow: the signal in the third of them; the epoch is not trained again."""
    case = Case("long", ("--epochs", "2", "--batch-size", "256", "--set", "data.validation=3000"), table=6000)
    expected = whole(case)
    for number in SIGNALS if THOROUGH else SIGNALS[:1]:
        run, asked = tmp_path / number.name, tmp_path / f"asked-{number.name}"
        moments = [
            {"at": "evaluate", "slow": 2.0 if THOROUGH else 0.3},
            {"at": "evaluate", "call": 4, "touch": str(asked)},  # the first call tries the model on two rows
            {"at": "evaluate", "call": 4, "signal": int(number)},
            {"count": str(tmp_path / "count")},
        ]
        child = children.start(*expected.arguments, "--out", run, moments=moments)
        ended = child.end()
        seconds = time.time() - asked.stat().st_mtime
        assert ended.code == 128 + number and "step 8 of 8" in ended.error, str(ended)
        assert '"evaluate": 4' in (tmp_path / "count").read_text()
        again = children.run("resume", run)
        survived = again.code == 0 and results(run) == expected.results
        tally(f"{number.name} in a long evaluation", survived and seconds < SECONDS)
        assert survived, str(again)
        if THOROUGH:
            assert seconds < SECONDS


def test_ctrl_c_twice(by_name, whole, children, tally, tmp_path):
    """Twice at once is once (a terminal and a parent may both pass it on); after a second, it does not wait for the save."""
    expected, run = whole(by_name["dropout"]), tmp_path / "run"
    twice = [{"at": "step", "call": 30, "signal": 2}, {"at": "snapshot", "call": 4, "signal": 2}]
    ended = children.run(*expected.arguments, "--out", run, moments=twice)
    assert ended.code == 130 and "and saved" in ended.error, str(ended)
    impatient = [
        {"at": "step", "call": 5, "signal": 2},
        {"at": "snapshot", "call": 1, "signal": 2},
        {"at": "snapshot", "slow": 1.2},
        {"at": "snapshot", "call": 2, "signal": 2},
    ]
    before = (run / "checkpoints" / "last" / "state.json").read_bytes()
    ended = children.run("resume", run, moments=impatient)
    assert ended.code == 130 and "resume" in ended.error and "saved" not in ended.error, str(ended)
    assert (run / "checkpoints" / "last" / "state.json").read_bytes() == before
    again = children.run("resume", run)
    survived = again.code == 0 and results(run) == expected.results and not left_over(run)
    tally("Ctrl-C twice", survived)
    assert survived, str(again)


def test_many_terms_are_one(by_name, whole, children, tally, tmp_path):
    """A scheduler or a closing terminal repeats itself: that does not cut the save short."""
    expected, run = whole(by_name["dropout"]), tmp_path / "run"
    moments = [{"at": "snapshot", "slow": 0.6}]
    moments += [{"at": "step", "call": 30, "signal": 15}, *({"at": "snapshot", "call": n, "signal": 1} for n in (4, 5))]
    ended = children.run(*expected.arguments, "--out", run, moments=moments)
    assert ended.code == 143 and "and saved" in ended.error, str(ended)
    again = children.run("resume", run)
    survived = again.code == 0 and results(run) == expected.results
    tally("SIGTERM and SIGHUP repeated", survived)
    assert survived, str(again)


@pytest.mark.parametrize("number", SIGNALS if THOROUGH else SIGNALS[1:2], ids=lambda number: number.name)
def test_while_python_still_imports(number, tally, times, tmp_path):
    """A fresh interpreter, a signal at a random time from the first import of ours to the first step."""
    for attempt in range(times(1, 10)):
        chance, run = random.Random(f"{number} {attempt}"), tmp_path / f"{attempt}"
        # the parent must not send before Python itself is up: until then the system's own defaults hold
        code = "import sys; from gradus.cli import main; print('up', flush=True); main(sys.argv[1:])"
        command = [sys.executable, "-c", code, "train", "--data", "diabetes", "--epochs", "500", "--out", str(run)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        time.sleep(0.05 + chance.random() * (4 if THOROUGH else 1))
        process.send_signal(number)
        _, error = process.communicate(timeout=120)
        clean = process.returncode == 128 + number and len(error.splitlines()) == 1 and "Traceback" not in error
        clean = clean and (not run.exists() or (run / "recipe.toml").exists())
        tally(f"{number.name} while Python imports", clean)
        assert clean, f"attempt {attempt}: exit {process.returncode}: {error}"


def test_a_hang_up_that_is_ignored_stays_ignored(by_name, whole, children, tally, tmp_path):
    """nohup gradus train ...: the run goes on."""
    expected, run = whole(by_name["dropout"]), tmp_path / "run"
    ended = children.run(
        *expected.arguments, "--out", run, moments=[{"ignore": 1}, {"at": "step", "call": 20, "signal": 1}]
    )
    tally("SIGHUP under nohup", ended.code == 0)
    assert ended.code == 0 and results(run) == expected.results


def test_the_terminal_is_closed(by_name, whole, children, tally, tmp_path):
    """A real terminal with the live bar on it goes away in the middle of the training: saved, exit 129."""
    import pty

    expected, run = whole(by_name["dropout"]), tmp_path / "run"
    pid, terminal = pty.fork()
    if (
        pid == 0
    ):  # the child has the terminal as its own, as a command in a window; errors go to a file, to be seen here
        os.dup2(os.open(tmp_path / "error", os.O_WRONLY | os.O_CREAT), 2)
        os.execv(
            sys.executable, [sys.executable, "-m", "gradus", *expected.arguments, "--epochs", "2000", "--out", str(run)]
        )
    deadline = time.monotonic() + 200
    while not (run / "checkpoints" / "last").exists():
        assert time.monotonic() < deadline
        _drain(terminal)
        time.sleep(0.01)
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    from gradus.train import checkpoint

    survived = code == 129 and checkpoint.is_whole(run / "checkpoints", "last") and not left_over(run)
    tally("terminal closed", survived)
    assert survived, f"exit {code}: {(tmp_path / 'error').read_text()}"


def _drain(terminal: int) -> None:
    """Takes what was printed, so that the printing does not wait for us."""
    import select

    while select.select([terminal], [], [], 0)[0]:
        os.read(terminal, 65536)


@pytest.mark.parametrize("lines", [0, 1, 3])
def test_nobody_reads_the_output(lines, by_name, whole, tally, tmp_path):
    """gradus train | head -1: the run goes on to its end, and what it would have printed is in log.txt."""
    if not THOROUGH and lines != 1:
        pytest.skip("one of them in the short set")
    expected, run = whole(by_name["dropout"]), tmp_path / "run"
    command = [sys.executable, "-m", "gradus", *expected.arguments, "--out", str(run)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    for _ in range(lines):
        assert process.stdout.readline()
    process.stdout.close()
    error = process.stderr.read()
    code = process.wait(300)
    survived = code == 0 and not error and results(run) == expected.results
    tally("output that nobody reads", survived)
    assert survived, f"exit {code}: {error}"

"""`--nproc N`: the same command in N processes on this machine, watched over until it is done.

The processes meet at a file, so no port has to be chosen. Each is a session of its own: only this process is told Ctrl-C, and
hands it on once. Of what they print only the first one's is shown; the others' errors are kept, and shown where the first one
has none.

A process that is killed takes the others with it, and all start again from the last checkpoint; after `restarts` times in a row
without a new one it is given up. What a user got wrong (exit code 2) or training that cannot go on (1) is not tried again.

torchrun does all this too (`torchrun ... -m gradus train ...`), and over several machines; but it wraps what goes wrong in words
of its own, always exits with 1, and tries again what cannot succeed. Nothing here imports PyTorch.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gradus.errors import UserError, quoted
from gradus.stopping import SIGNALS

LOST = 75  # exit code of a process whose neighbour is gone
TOLD = (1, 2)  # exit codes of what was told and would not go better a second time
STOPPED = tuple(128 + number for number in SIGNALS)
GRACE_SECONDS = 15.0  # that the others have to end by themselves when one has ended
STOP_SECONDS = 120.0  # that all have to save and end when asked to
POLL_SECONDS = 0.05


def launch(arguments: Sequence[str], processes: int, restarts: int) -> int:
    """Runs `gradus ARGUMENTS` in so many processes; returns its exit code."""
    with tempfile.TemporaryDirectory(prefix="gradus-") as folder:
        return _Launcher(list(arguments), processes, restarts, Path(folder)).run()


class _Launcher:
    def __init__(self, arguments: list[str], processes: int, restarts: int, folder: Path) -> None:
        self.arguments, self.size, self.restarts, self.folder = arguments, processes, restarts, folder
        self.attempt = 0
        self.workers: list[subprocess.Popen] = []
        self.asked: list[int] = []  # signals, as they came

    def run(self) -> int:
        before = {number: signal.signal(number, self._ask) for number in SIGNALS}
        fruitless, progress = 0, None
        try:
            while True:
                codes = self._run_once()
                if self.asked and codes[0] != 0:
                    if codes[0] not in STOPPED:
                        print("gradus: stopped", file=sys.stderr)
                    return 128 + self.asked[0]
                code = self._verdict(codes)
                if code is not None:
                    return code
                fruitless = fruitless + 1 if self._progress() == progress else 0
                progress = self._progress()
                what = self._what_happened(codes)
                if fruitless >= self.restarts:
                    return self._give_up(what, fruitless)
                self.attempt += 1
                print(f"gradus: {what}; all start again from the last checkpoint", file=sys.stderr, flush=True)
        finally:
            self._kill()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _ask(self, number: int, frame: Any) -> None:
        self.asked.append(number)
        for worker in self.workers:
            if worker.poll() is None:
                worker.send_signal(number if len(self.asked) == 1 else signal.SIGKILL)

    def _run_once(self) -> list[int]:
        """Starts the processes and returns their exit codes, all of them ended."""
        self.workers = []
        for rank in range(self.size):
            if self.asked:
                break
            self.workers.append(self._start(rank))
        if self.asked:  # while they were being started
            self._kill()
        deadline = float("inf")
        while any(worker.poll() is None for worker in self.workers):
            codes = [worker.returncode for worker in self.workers]
            now = time.monotonic()
            if any(code is not None and code < 0 for code in codes) and not self.asked:
                self._kill()  # the last checkpoint is whole, so nothing is gained by waiting
            elif self.asked or any(code is not None for code in codes[1:] if code != 0) or codes[0] is not None:
                deadline = min(deadline, now + (STOP_SECONDS if self.asked else GRACE_SECONDS))
            if now > deadline:
                self._kill()
            time.sleep(POLL_SECONDS)
        codes = [worker.returncode for worker in self.workers]
        return codes + [128 + self.asked[0]] * (self.size - len(codes)) if self.asked else codes

    def _start(self, rank: int) -> subprocess.Popen:
        environment = {
            **os.environ,
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(self.size),
            "LOCAL_WORLD_SIZE": str(self.size),
            "GRADUS_RENDEZVOUS": (self.folder / f"meeting-{self.attempt}").as_uri(),
            "GRADUS_LAUNCHED": str(self.folder),
            "GRADUS_LAUNCHER": str(os.getpid()),
            "GRADUS_RESTARTS": str(self.attempt),
        }
        environment.setdefault("OMP_NUM_THREADS", str(max(1, _cores() // self.size)))
        if sys.platform == "linux":
            environment.setdefault("GLOO_SOCKET_IFNAME", "lo")
        quiet: dict[str, Any] = {"stdin": subprocess.DEVNULL}
        if rank:
            with open(self._errors(rank), "wb") as errors:
                quiet |= {"stdout": subprocess.DEVNULL, "stderr": errors}
                return self._open(environment, quiet)
        return self._open(environment, quiet)

    def _open(self, environment: dict[str, str], streams: dict[str, Any]) -> subprocess.Popen:
        command = [sys.executable, "-m", "gradus", *self.arguments]
        return subprocess.Popen(command, env=environment, start_new_session=True, **streams)

    def _kill(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.kill()
        for worker in self.workers:
            worker.wait()

    def _verdict(self, codes: list[int]) -> int | None:
        """The exit code of it all, or None where the processes are to be started again."""
        if codes[0] == 0 or codes[0] in TOLD or codes[0] in STOPPED:
            return codes[0]  # the run is finished, or the first process has told why not
        for rank, code in enumerate(codes):
            if code in TOLD:
                sys.stderr.write(self._errors(rank).read_text(encoding="utf-8", errors="replace"))
                return code
        return next((code for code in codes if code in STOPPED), None)

    def _what_happened(self, codes: list[int]) -> str:
        for rank, code in enumerate(codes):
            if code < 0 and code != -signal.SIGKILL:
                return f"process {rank} of {self.size} was ended by {signal.Signals(-code).name}"
        return f"a process of {self.size} was killed"

    def _give_up(self, what: str, times: int) -> int:
        run = self._run_folder()
        hint = f"; what is saved can be continued with: gradus resume {quoted(run)}" if run else ""
        again = f"{times} times in a row without a new checkpoint" if times else "and is not started again"
        print(f"gradus: {what}, {again}{hint}", file=sys.stderr)
        return 1

    def _run_folder(self) -> Path | None:
        note = self.folder / "run"
        return Path(note.read_text(encoding="utf-8")) if note.exists() else None

    def _progress(self) -> tuple[int, int] | None:
        """Which checkpoint there is: it changes with each save."""
        run = self._run_folder()
        try:
            status = os.stat(run / "checkpoints" / "last" / "state.json") if run else None
        except OSError:
            status = None
        return (status.st_ino, status.st_mtime_ns) if status else None

    def _errors(self, rank: int) -> Path:
        return self.folder / f"errors-{rank}"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_processes(processes: str | None, restarts: str | None) -> tuple[int, int]:
    """The two flags as numbers. Raises `UserError`."""
    found = []
    for flag, text, least, usual in (("--nproc", processes, 1, 1), ("--max-restarts", restarts, 0, 3)):
        if text is not None and not (text.isdigit() and int(text) >= least):
            raise UserError(f"{flag}: expected a whole number from {least}, received '{text}'")
        found.append(usual if text is None else int(text))
    if restarts is not None and processes is None:
        raise UserError("--max-restarts: concerns the processes that --nproc starts; give --nproc N too")
    return found[0], found[1]

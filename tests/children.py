"""Real processes, cheap enough to kill hundreds of: one server imports gradus once, and forks a child for each command.

A child is a process of its own in a session of its own. It runs `gradus.cli.main`; what it dies of is what the system tells its
parent. `moments` (moments.py) are armed in it before it begins.

As a program this file is the server: it reads one JSON request a line on standard input and answers with one JSON line.
    {"arguments": [...], "folder": ..., "files": stem, "moments": [...], "environment": {...}}   -> {"pid": n}
    {"wait": pid, "seconds": s}                                            -> {"status": waitpid's status, or null}
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

HERE = Path(__file__).parent
PATIENCE = 300.0  # seconds after which a child is held to hang


@dataclass
class Ended:
    """How a child ended: its exit code (or minus the signal that killed it) and all it wrote."""

    code: int
    out: str
    error: str

    def __str__(self) -> str:
        return f"exit {self.code}\n--- out\n{self.out}\n--- error\n{self.error}"


class Child:
    def __init__(self, server: Children, pid: int, files: Path) -> None:
        self.server, self.pid, self.files = server, pid, files
        self._ended: Ended | None = None

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Sends a signal; nothing where the child has ended already (it stays a zombie, so its number is not another's)."""
        if self._ended is None:
            os.kill(self.pid, number)

    def has_ended(self) -> bool:
        return self._ended is not None or self.wait(0, may_run=True) is not None

    def wait(self, seconds: float = PATIENCE, may_run: bool = False) -> Ended | None:
        if self._ended is None:
            status = self.server.ask({"wait": self.pid, "seconds": seconds})["status"]
            if status is None:
                assert may_run, f"process {self.pid} still runs after {seconds} s"
                return None
            self._ended = Ended(os.waitstatus_to_exitcode(status), self._read("out"), self._read("error"))
        return self._ended

    def end(self) -> Ended:
        ended = self.wait()
        assert ended is not None
        return ended

    def printed(self) -> str:
        """What it has printed so far."""
        return self._read("out") if Path(f"{self.files}.out").exists() else ""  # it has not begun

    def _read(self, what: str) -> str:
        return Path(f"{self.files}.{what}").read_text(errors="replace")

    def family(self) -> list[int]:
        """The processes of the child's session that still live."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                if int(fields[3]) == self.pid and fields[0] != "Z":
                    found.append(int(entry.name))
        return found

    def no_orphans(self, seconds: float = 20) -> bool:
        """Whether all its descendants are gone, some seconds after its end at the latest."""
        deadline = time.monotonic() + seconds
        while self.family():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True


class Children:
    """The client of a server. `folder` takes what the children print."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.number = folder, 0
        command = [sys.executable, str(Path(__file__).resolve())]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        ready = self._answer()
        assert ready == {"threads": 1}, f"forking needs a process of one thread: {ready}"

    def start(
        self,
        *arguments: Any,
        moments: list[dict] | None = None,
        folder: Path | None = None,
        environment: dict[str, str] | None = None,
    ) -> Child:
        """Runs `gradus ARGUMENTS` in a new process. Its report has no drawings, which would take most of the time."""
        self.number += 1
        files = self.folder / f"{self.number}"
        armed = [{"page": "<html>without drawings</html>\n"}, *(moments or [])]
        request = {"arguments": [str(argument) for argument in arguments], "moments": armed}
        request["environment"] = environment or {}
        answer = self.ask({**request, "folder": str(folder or self.folder), "files": str(files)})
        return Child(self, answer["pid"], files)

    def run(self, *arguments: Any, **how: Any) -> Ended:
        """The same, waited for."""
        return self.start(*arguments, **how).end()

    def together(self, size: int, *arguments: Any) -> list[Ended]:
        """Runs the command in several processes that are one training, as torchrun would start them."""
        meeting = (self.folder / f"meeting-{self.number}").as_uri()
        world = {"WORLD_SIZE": f"{size}", "LOCAL_WORLD_SIZE": f"{size}", "GRADUS_RENDEZVOUS": meeting}
        world |= {"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {}
        ranks = ({"RANK": f"{rank}", "LOCAL_RANK": f"{rank}"} for rank in range(size))
        started = [self.start(*arguments, environment=world | rank) for rank in ranks]
        return [child.end() for child in started]

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the server has ended"
        return json.loads(line)

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)


# The server


def _serve() -> None:
    _import_all()
    gc.freeze()  # so that the children do not copy what they only look at
    _tell({"threads": len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1})
    for line in iter(sys.stdin.readline, ""):
        request = json.loads(line)
        if "wait" in request:
            _tell({"status": _wait(request["wait"], request["seconds"])})
            continue
        pid = os.fork()
        if pid == 0:
            _end_with(_become, request)
        _tell({"pid": pid})


def _become(request: dict[str, Any]) -> None:
    """Makes this process the command that was asked for, and runs it."""
    os.setsid()
    os.chdir(request["folder"])
    os.environ.update(request["environment"])
    for number, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, request["files"] + ".out", os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (2, request["files"] + ".error", os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    import moments

    moments.arm(request["moments"])
    arguments = request["arguments"]
    if arguments[0] == "call":  # a function of ours in place of the command line
        getattr(moments, arguments[1])(*arguments[2:])
        return
    from gradus.cli import main

    main(arguments)


def _end_with(command: Callable[[dict], None], request: dict[str, Any]) -> NoReturn:
    """Runs the command and ends the process as the interpreter would, but without taking its thousand modules down."""
    code = 0
    try:
        command(request)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _wait(pid: int, seconds: float) -> int | None:
    deadline = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status
        if time.monotonic() >= deadline:
            return None
        time.sleep(0.002)


def _tell(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _import_all() -> None:
    """All that a training, an evaluation and a report import, so that children need not."""
    import importlib
    import pkgutil

    sys.modules["pandas"] = None  # type: ignore[assignment] # scikit-learn would take it along, and it begins a thread

    import matplotlib.backends.backend_svg  # noqa: F401
    import numpy as np
    import sklearn.datasets
    import sklearn.linear_model  # noqa: F401
    import torch._dynamo  # noqa: F401 - by the first optimiser

    import gradus
    from gradus.look.charts import learning_curves

    for module in pkgutil.walk_packages(gradus.__path__, "gradus."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    import moments  # noqa: F401

    learning_curves("loss", [1, 2], np.ones(2), np.ones(2), title="loss")
    del sys.modules["pandas"]


if __name__ == "__main__":
    _serve()

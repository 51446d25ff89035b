"""Moments at which something happens to a process, armed in the child before its command begins.

A moment is a dict:
    {"at": NAME, "call": n, "signal": number}    the process sends itself the signal in the n-th call (from 1) of what NAME wraps.
                                                 Writing and removing are then half done ("share": of the bytes)
    {"at": NAME, "call": n, "error": "ENOSPC"}   that call fails so, half done
    {"at": "open", "call": n, "full": true}      that call opens a device that is always full (/dev/full)
    {"at": NAME, "slow": s}                      every call takes s seconds more
    {"at": NAME, "wait": path}                   every call first waits until the file is there
    {"at": NAME, "touch": path, "call": n}       makes the file in the n-th call, so that another process knows
    {"count": path}                              writes how often each NAME was called, as JSON, when the process ends
    {"trace": path}                              adds a line a step: number of the update, digest of the batch
    {"file_size": n}                             no file may grow beyond n bytes (RLIMIT_FSIZE: the write fails)
    {"ignore": number}                           the process begins with this signal ignored
    {"page": text}                               what stands in report.html
    {"clock": s}                                 each look at the wall clock gives s seconds less than the one before
"""

from __future__ import annotations

import atexit
import builtins
import errno
import hashlib
import importlib
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

# NAME -> (module, attribute path) of each place where it is called. Modules that import a function hold a name of their own.
WRAPPED: dict[str, list[tuple[str, str]]] = {
    # data building
    "load": [("gradus.recipes.experiment", "read_data")],
    "encode": [("gradus.tasks.task", "InputTargetTask.encode")],
    "fingerprint": [("gradus.recipes.execute", "fingerprint")],
    "create": [("gradus.train.folder", "RunFolder.create")],
    "restore": [("gradus.train.trainer", "Trainer.restore")],
    # training
    "step": [("gradus.train.learner", "Supervised.step")],
    "loss": [("gradus.tasks.task", "InputTargetTask.loss")],
    "clip": [("gradus.train.learner", "clip")],  # between the backward pass and the update
    "evaluate": [("gradus.tasks.task", "InputTargetTask.prepare")],  # those that are not for training
    "append": [("gradus.train.folder", "append_line"), ("gradus.train.observers", "append_line")],
    # saving
    "open": [("gradus.files", "open")],
    "snapshot": [("gradus.train.checkpoint", "encode")],
    "mkdir": [("os", "mkdir")],
    "write": [("gradus.train.checkpoint", "write_synced"), ("gradus.files", "write_synced")],
    "fsync": [("os", "fsync")],
    "rename": [("os", "rename")],
    "renamed": [("os", "rename")],  # the same, but after it is done
    "replace": [("os", "replace")],
    "remove": [("shutil", "rmtree")],
    # after the training
    "assess": [("gradus.recipes.run", "Run.assess")],
    "baselines": [("gradus.tasks.task", "InputTargetTask.baselines")],
    "report": [("gradus.recipes.reporting", "write_report")],
}
SAVING = ("snapshot", "mkdir", "write", "fsync", "rename", "renamed", "remove")


def arm(moments: list[dict[str, Any]]) -> None:
    by_name: dict[str, list[dict]] = {}
    armed = os.getpid()  # not the workers that this process may fork
    for moment in moments:
        if "at" in moment:
            by_name.setdefault(moment["at"], []).append(moment)
        elif "trace" in moment:
            _trace(moment["trace"])
        elif "file_size" in moment:
            _limit_files(moment["file_size"])
        elif "ignore" in moment:
            signal.signal(moment["ignore"], signal.SIG_IGN)
        elif "page" in moment:
            importlib.import_module("gradus.look.report").page = lambda content, page=moment["page"]: page
        elif "clock" in moment:
            _turn_back(moment["clock"])
    counting = [moment["count"] for moment in moments if "count" in moment]
    calls: Counter[str] = Counter()
    for name in WRAPPED if counting else by_name:
        for module, attribute in WRAPPED[name]:
            _wrap(name, module, attribute, by_name.get(name, []), calls, armed)
    for path in counting:
        atexit.register(lambda path=path: Path(path).write_text(json.dumps(calls)))


def _wrap(name: str, module: str, attribute: str, moments: list[dict], calls: Counter[str], armed: int) -> None:
    owner: Any = importlib.import_module(module)
    *path, last = attribute.split(".")
    for part in path:
        owner = getattr(owner, part)
    as_class_method = isinstance(vars(owner).get(last), classmethod) if isinstance(owner, type) else False
    function = getattr(owner, last, None) or getattr(builtins, last)

    def wrapped(*arguments: Any, **options: Any) -> Any:
        if os.getpid() != armed or (name == "evaluate" and options.get("training")):
            return function(*arguments, **options)
        calls[name] += 1
        for moment in moments:
            if "slow" in moment:
                time.sleep(moment["slow"])
            if "wait" in moment:
                _wait_for(Path(moment["wait"]))
            if moment.get("call") == calls[name] and "full" in moment:
                arguments = ("/dev/full", *arguments[1:])
            elif moment.get("call") == calls[name]:
                _happen(name, moment, function, arguments, options)
        result = function(*arguments, **options)
        return result

    setattr(owner, last, staticmethod(wrapped) if as_class_method else wrapped)


def _happen(name: str, moment: dict, function: Callable, arguments: tuple, options: dict) -> None:
    if "touch" in moment:
        Path(moment["touch"]).touch()
        return
    deadly = moment.get("signal") == 9 or "error" in moment
    if deadly:
        _half(name, moment.get("share", 0.5), function, arguments, options)
    if "error" in moment:
        number = getattr(errno, moment["error"])
        raise OSError(number, os.strerror(number))
    os.kill(os.getpid(), moment["signal"])


def _half(name: str, share: float, function: Callable, arguments: tuple, options: dict) -> None:
    """What the call has done by the time it is cut off."""
    if name == "write":
        path, content = arguments
        path.write_bytes(content[: int(len(content) * share)])
    elif name == "append":
        path, line = arguments
        with open(path, "ab") as file:
            file.write(line.encode()[: int(len(line) * share)])
    elif name == "remove":
        for file in sorted(Path(arguments[0]).glob("*"))[:1]:
            file.unlink()
    elif name == "renamed":
        function(*arguments, **options)


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def _trace(path: str) -> None:
    from gradus.train.learner import Supervised

    step = Supervised.step

    def traced(self: Any, batch: dict) -> Any:
        digest = hashlib.sha256()
        for key in sorted(batch):
            digest.update(batch[key].contiguous().numpy().tobytes())
        with open(path, "a") as file:
            file.write(f"{self.updates} {digest.hexdigest()[:16]}\n")
        return step(self, batch)

    Supervised.step = traced  # type: ignore[method-assign]


def _limit_files(size: int) -> None:
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def _turn_back(seconds: float) -> None:
    now = [time.time()]

    def earlier() -> float:
        now[0] -= seconds
        return now[0]

    time.time = earlier


# Functions that a child may run in place of a command


def made(number: int) -> Any:
    """A checkpoint that tells its number in every file; its size changes with the number."""
    import torch

    from gradus.train.checkpoint import Checkpoint

    rows = 3 + number % 5 * 40
    model = {"weight": torch.full((rows, 64), float(number)), "steps": torch.tensor(number)}
    return Checkpoint(model, {"optimizer.exp_avg.weight": torch.full((rows, 64), number / 4)}, {"epoch": number})


def number_of(found: Any) -> int:
    """The number of a checkpoint, having checked that its files belong together."""
    import torch

    wanted = made(found.state["epoch"])
    for mine, theirs in ((found.model, wanted.model), (found.optimizer, wanted.optimizer)):
        assert mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)
    return found.state["epoch"]


def save_one(folder: str, number: str) -> None:
    from gradus.train import checkpoint

    checkpoint.save(Path(folder), "last", made(int(number)))


def save_on_and_on(folder: str, first: str, ready: str) -> None:
    """Saves one checkpoint after another until it is killed."""
    from gradus.train import checkpoint

    Path(ready).touch()
    for number in range(int(first), int(first) + 1_000_000):
        checkpoint.save(Path(folder), "last", made(number))


def read_on_and_on(folder: str, times: str) -> None:
    """Reads a checkpoint that another process replaces all the time; an exception ends it with code 1."""
    from gradus.train import checkpoint

    highest = 0
    for _ in range(int(times)):
        number = number_of(checkpoint.load(Path(folder), "last"))
        assert number >= highest, f"{number} after {highest}"
        highest = number
    print(highest)


def lock_on_and_on(folder: str, times: str, go: str) -> None:
    """Takes and frees the lock of a folder; two that hold it at once are told by exit code 1."""
    from gradus.errors import UserError
    from gradus.files import FolderLock

    lock, owner, held = FolderLock(Path(folder)), Path(folder) / "owner", 0
    _wait_for(Path(go))
    for _ in range(int(times)):
        try:
            lock.acquire()
        except UserError:
            continue
        os.close(os.open(owner, os.O_CREAT | os.O_EXCL))
        owner.unlink()
        lock.release()
        held += 1
    print(held)


def hold_lock(folder: str, held: str, worker: str = "") -> None:
    """Holds the lock of a run until it is killed, perhaps beside a forked worker that is not."""
    from gradus.files import FolderLock

    lock = FolderLock(Path(folder))
    lock.acquire()
    if worker and os.fork() == 0:
        time.sleep(600)
        os._exit(0)
    Path(held).touch()
    time.sleep(600)


__all__ = [
    "SAVING",
    "WRAPPED",
    "arm",
    "hold_lock",
    "lock_on_and_on",
    "made",
    "number_of",
    "read_on_and_on",
    "save_on_and_on",
    "save_one",
]

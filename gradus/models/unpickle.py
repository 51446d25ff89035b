"""The one place that reads files of torch.save: a program of its own, started by `importing.py` for one file.

Such a file is a program for the unpickler. `weights_only=True` has it make tensors and plain containers only. Should that have a
hole, the program stands in a process that has no network (where the kernel allows a namespace of its own), opens no socket,
starts no program, writes no file but the open one that it was given, and has limited memory.

    python -m gradus.models.unpickle INPUT OUTPUT LIMIT

writes OUTPUT (safetensors) and prints one JSON object: {"tensors": number} or {"error": sentence}.
"""

from __future__ import annotations

import ctypes
import io
import json
import os
import re
import sys
from typing import Any

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000  # linux/sched.h
CONTAINERS = ("state_dict", "model", "model_state_dict", "module")  # where checkpoints keep the weights
FORBIDDEN = (
    *(
        "socket.",
        "subprocess.",
        "os.system",
        "os.exec",
        "os.fork",
        "os.posix_spawn",
        "os.spawn",
        "os.startfile",
        "pty.",
    ),
    *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod", "os.chown", "os.truncate"),
    *("os.putenv", "os.unsetenv", "os.kill", "os.utime", "shutil.", "ctypes.dlopen", "ftplib.", "smtplib.", "urllib."),
    *("http.", "webbrowser.", "signal.", "sqlite3."),
)


class Refused(Exception):
    """What a file of weights has no business to do."""


def leave_network() -> None:
    """Gives this process namespaces of its own, in which there is no network. Where the kernel refuses, the hook remains."""
    unshare = getattr(ctypes.CDLL(None, use_errno=True), "unshare", None) if sys.platform == "linux" else None
    if unshare is not None:
        unshare(CLONE_NEWUSER | CLONE_NEWNET)


def limit_memory(most: int) -> None:
    """At most so many bytes beyond those that the process has now."""
    try:
        import resource

        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + most, used + most))
    except (ImportError, OSError, ValueError):  # not a Linux: the limit of the whole user remains
        return


def forbid(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook, which cannot be taken away again: refuses what reading weights does not need."""
    if event.startswith(FORBIDDEN):
        raise Refused(f"it tries {event}")
    if event == "open":
        mode, flags = (*arguments, None, None)[1:3]
        writes = (isinstance(mode, str) and any(letter in mode for letter in "wax+")) or (
            isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        )
        if writes:
            raise Refused(f"it tries to write {arguments[0]}")


def tensors_of(content: Any, tensor_type: type) -> dict[str, Any]:
    """The tensors of a state dict, or of a checkpoint that holds one; without the prefix that parallel training puts there."""
    for name in CONTAINERS:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
            break
    if not isinstance(content, dict) or not content:
        raise Refused(f"it holds a {type(content).__name__}, not a state dict")
    tensors = {name: value for name, value in content.items() if isinstance(value, tensor_type)}
    if not tensors:
        raise Refused("it holds no tensors by name")
    if all(str(name).startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): value for name, value in tensors.items()}
    return tensors


def sentence(error: BaseException) -> str:
    """What a reading ended with, in a few words."""
    text = str(error)
    asked = re.search(r"(?:GLOBAL|[Uu]nsupported class) ([\w.]+)", text)
    if asked:
        return f"it asks for {asked[1]}, which weights have no need of: it may be a program; nothing of it was run"
    if isinstance(error, Refused):
        return text
    if isinstance(error, MemoryError) or "alloc" in text:
        return "it needs more memory than a file of its size should"
    return "it is not a file of weights that torch.save wrote"


def main(path: str, out: str, most: int) -> None:
    with open(path, "rb") as source, open(out, "wb") as target:
        leave_network()  # before anything starts a thread, with which the kernel would refuse it
        import torch
        from safetensors.torch import save

        torch.load(_one_tensor(torch), weights_only=True)  # imports and warms up all that reading needs
        limit_memory(most)
        sys.addaudithook(forbid)
        try:
            content = torch.load(source, map_location="cpu", weights_only=True)
            tensors = tensors_of(content, torch.Tensor)
            target.write(save({name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}))
            answer: dict[str, Any] = {"tensors": len(tensors)}
        except Exception as error:
            answer = {"error": sentence(error)}
    print(json.dumps(answer), flush=True)


def _one_tensor(torch: Any) -> io.BytesIO:
    file = io.BytesIO()
    torch.save({"weight": torch.zeros(1)}, file)
    file.seek(0)
    return file


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))

"""The one place that reads files of torch.save: a program of its own, started by `importing.py` for one file.

Such a file is a program for the unpickler. `weights_only=True` has it make tensors and plain containers only. Should that have a
hole, the program stands in a process that has no network (where the kernel allows a namespace of its own), may neither write
files but the open one that it was given nor start programs (where the kernel has Landlock), and has limited memory. An audit hook
refuses the same where Python itself is asked for it; other libraries do not ask, so without the kernel it is a weaker fence.

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
# linux/landlock.h: rights over files; to read them and to list folders is not among those that are taken away
LANDLOCK_CREATE, LANDLOCK_RESTRICT, LANDLOCK_VERSION, NO_NEW_PRIVILEGES = 444, 446, 1, 38
READING = 1 << 2 | 1 << 3
RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}  # version of Landlock -> how many rights it knows; from 5 on 16
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
    *("os.putenv", "os.unsetenv", "os.kill", "os.utime", "shutil.", "ctypes.", "ftplib.", "smtplib.", "urllib."),
    *("http.", "webbrowser.", "signal.", "sqlite3."),
)


class Refused(Exception):
    """What a file of weights has no business to do."""


def leave_network() -> None:
    """Gives this process namespaces of its own, in which there is no network. Where the kernel refuses, the hook remains."""
    unshare = getattr(ctypes.CDLL(None, use_errno=True), "unshare", None) if sys.platform == "linux" else None
    if unshare is not None:
        unshare(CLONE_NEWUSER | CLONE_NEWNET)


def leave_files() -> bool:
    """Takes from this thread, and those that it starts, the rights to write, make, remove or execute files; what is open stays
    open. False where the kernel has no Landlock (Linux 5.13 and later have it): then the hook remains."""
    if sys.platform != "linux":
        return False
    libc, none = ctypes.CDLL(None, use_errno=True), ctypes.c_void_p(None)
    version = libc.syscall(LANDLOCK_CREATE, none, ctypes.c_size_t(0), LANDLOCK_VERSION)
    if version < 1:
        return False
    rights = ctypes.c_uint64((1 << RIGHTS.get(version, 16)) - 1 & ~READING)
    rules = libc.syscall(LANDLOCK_CREATE, ctypes.byref(rights), ctypes.c_size_t(ctypes.sizeof(rights)), 0)
    if rules < 0:
        return False
    zero = ctypes.c_ulong(0)
    libc.prctl(NO_NEW_PRIVILEGES, ctypes.c_ulong(1), zero, zero, zero)
    done = libc.syscall(LANDLOCK_RESTRICT, rules, 0) == 0
    os.close(rules)
    return done


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
        torch.set_num_threads(1)  # so that none is started that the kernel does not watch
        limit_memory(most)
        leave_files()
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

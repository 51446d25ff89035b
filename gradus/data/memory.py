"""How much memory is free for this process: of the machine, of its control group, and under its own limits."""

from __future__ import annotations

import os
from pathlib import Path


def available_memory(root: Path = Path("/")) -> int:
    """Bytes that can still be used without swapping: the least of what the machine, the control groups of this process
    (containers, batch systems) and its address-space limit leave. `root` is where /proc and /sys are looked for."""
    found = [_of_machine(root), *_of_groups(root), *_of_limits(root)]
    return max(0, min(found))


def _of_machine(root: Path) -> int:
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    if hasattr(os, "sysconf"):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    return 4 * 2**30  # nothing is known


def _of_groups(root: Path) -> list[int]:
    """What each control group above this process leaves; version 2 (memory.max) and version 1 (memory.limit_in_bytes)."""
    found = []
    for line in _lines(root / "proc/self/cgroup"):
        _, _, rest = line.partition(":")
        kinds, _, name = rest.partition(":")
        if kinds and "memory" not in kinds.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("memory" if kinds else "")
        limit, used = ("memory.limit_in_bytes", "memory.usage_in_bytes") if kinds else ("memory.max", "memory.current")
        folder = top / name.lstrip("/")
        for group in (folder, *folder.parents):
            most, now = _number(group / limit), _number(group / used)
            if most is not None and now is not None and most < 2**60:  # version 1 writes a huge number for no limit
                found.append(most - now + _file_cache(group / "memory.stat"))
            if group == top:
                break
    return found


def _file_cache(statistics: Path) -> int:
    """Bytes of a group that only cache files, and are given up when needed."""
    for line in _lines(statistics):
        if line.startswith(("inactive_file ", "total_inactive_file ")):
            return int(line.split()[1])
    return 0


def _of_limits(root: Path) -> list[int]:
    try:
        import resource
    except ImportError:  # Windows
        return []
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    used = _lines(root / "proc/self/statm")
    if most == resource.RLIM_INFINITY or not used:
        return []
    return [most - int(used[0].split()[0]) * resource.getpagesize()]


def _number(file: Path) -> int | None:
    lines = _lines(file)
    return int(lines[0]) if lines and lines[0].isdigit() else None


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []

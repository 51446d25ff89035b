"""What a run ran on, for environment.json."""

from __future__ import annotations

import datetime
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import gradus
from gradus.train.devices import Plan

PACKAGES = ("torch", "numpy", "safetensors", "pyarrow", "pillow", "scikit-learn")


def describe_environment(plan: Plan, threads: int) -> dict[str, Any]:
    """Versions, machine, device, time and command, as JSON."""
    versions = {"gradus": gradus.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
        "device": plan.describe(threads),
        "versions": versions,
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()

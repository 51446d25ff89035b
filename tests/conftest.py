"""What all tests share: one thread a process (they run side by side), small data sets, the real ones where they are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the processes that tests start
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # compiling gradus takes each of them more than a second

import torch
from children import Children

torch.set_num_threads(1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object | None:
    """The tests of a file stay in one process, so that what they share is made once."""
    from xdist.scheduler import LoadFileScheduling

    return LoadFileScheduling(config, log) if config.getvalue("dist") == "load" else None


@pytest.fixture
def real_data() -> Path:
    """The folder of real data sets; skips where GRADUS_DATA does not name one."""
    folder = os.environ.get("GRADUS_DATA", "").split(os.pathsep)[0]
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs real data: set GRADUS_DATA to a folder with NAME/SPLIT.parquet")
    return Path(folder)


@pytest.fixture
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder is an empty one, so that default run folders land there."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def children(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Children]:
    """The server that forks real processes: each `gradus COMMAND` without the seconds that a fresh interpreter imports."""
    if not hasattr(os, "fork"):
        pytest.skip("needs processes and signals as on POSIX")
    server = Children(tmp_path_factory.mktemp("children"))
    yield server
    server.close()

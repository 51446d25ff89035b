"""A short set runs with all other tests; `make chaos` (GRADUS_CHAOS=1) does everything as often as docs/reliability.md says."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cases import CASES, Case, Whole, has_setting, untouched
from children import Children

if hasattr(signal, "SIGHUP"):  # a test run under nohup would hand "ignored" on to what it starts
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

THOROUGH = bool(os.environ.get("GRADUS_CHAOS"))

_tally: dict[str, list[int]] = defaultdict(lambda: [0, 0])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not hasattr(os, "fork"):
        here = Path(__file__).parent
        for item in items:
            if here in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="needs processes and signals as on POSIX"))


@pytest.fixture(scope="session")
def times() -> Callable[[int, int], int]:
    """times(short, thorough): how often to do something."""
    return lambda short, thorough: thorough if THOROUGH else short


@pytest.fixture(scope="session")
def tally() -> Callable[..., None]:
    """tally(hazard, survived, times=1): counted for docs/reliability.md, in the file that GRADUS_CHAOS_COUNTS names."""

    def count(hazard: str, survived: bool = True, times: int = 1) -> None:
        _tally[hazard][0] += times
        _tally[hazard][1] += times * survived
        path = os.environ.get("GRADUS_CHAOS_COUNTS")
        if path:  # each time, so that a run that is cut off has told what it did
            rows = {name: {"tried": tried, "survived": well} for name, (tried, well) in sorted(_tally.items())}
            Path(path).write_text(json.dumps(rows, indent=1) + "\n")

    return count


@pytest.fixture(scope="session")
def whole(children: Children, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Case], Whole]:
    """whole(case): the run of a case that nothing happens to, made once. Skips where the case needs what is not there."""
    made: dict[str, Whole] = {}

    def make(case: Case) -> Whole:
        if case.needs and not has_setting(case.needs):
            pytest.skip(f"needs the setting {case.needs}")
        if case.name not in made:
            made[case.name] = untouched(case, children, tmp_path_factory.mktemp(case.name))
        return made[case.name]

    return make


@pytest.fixture(scope="session")
def by_name() -> dict[str, Case]:
    return {case.name: case for case in CASES}

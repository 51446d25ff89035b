"""Commands that work when pasted, for data that the command line can read."""

from __future__ import annotations

import shlex
from pathlib import Path

from gradus.data.catalogue import CATALOGUE
from gradus.doctor.case import Case

LESSON = "gradus lesson bad-splits"


def scan_command(case: Case) -> str:
    """`gradus data scan` of what was learnt from; of data that were made in Python the lesson on splits."""
    return _data_command(case, "scan")


def show_command(case: Case) -> str:
    """`gradus data show`, likewise."""
    return _data_command(case, "show")


def _data_command(case: Case, action: str) -> str:
    source = case.dataset.source
    if source not in CATALOGUE and not Path(source).exists():
        return LESSON
    target = [] if source in CATALOGUE or not case.dataset.target else ["--target", case.dataset.target]
    return shlex.join(["gradus", "data", action, source, *target])

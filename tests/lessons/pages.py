"""Each lesson runs once for all tests, also where they run in several processes."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from filelock import FileLock

from gradus.lessons.run import make_page

FOLDER = Path()  # set by conftest.py: shared by the processes of one test run


@cache
def shown(name: str) -> tuple[dict[str, float], str]:
    """The numbers that a lesson found, and its page as HTML."""
    kept = FOLDER / f"{name}.json"
    with FileLock(f"{kept}.lock"):
        if not kept.exists():
            page = make_page(name)
            kept.write_text(json.dumps([page.numbers, page.html()]), encoding="utf-8")
    numbers, html = json.loads(kept.read_text(encoding="utf-8"))
    return numbers, html


def numbers(name: str) -> dict[str, float]:
    """The numbers that a lesson found."""
    return shown(name)[0]

"""Runs a lesson and writes its page."""

from __future__ import annotations

import importlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gradus.errors import unknown_name
from gradus.lessons.page import LessonPage, write_page
from gradus.lessons.table import LESSONS, module_of


@dataclass(frozen=True)
class Result:
    """What a lesson found: its page's file, its numbers by name, and how long it took."""

    name: str
    path: Path
    numbers: dict[str, float]
    seconds: float


def check_names(names: Sequence[str]) -> Sequence[str]:
    """The names, if each is a lesson's; so a mistake in the last is told before the first runs."""
    for name in names:
        if name not in LESSONS:
            raise unknown_name("lesson", name, LESSONS, "; `gradus lesson --list` names all")
    return names


def make_page(name: str) -> LessonPage:
    """Runs the lesson and returns its page, unwritten. Raises `UserError` for an unknown name."""
    check_names([name])
    lesson = LESSONS[name]
    page = LessonPage(name, lesson.title, lesson.shows, lesson.books)
    importlib.import_module(f"gradus.lessons.{module_of(name)}").show(page)
    return page


def run_lesson(name: str, folder: str | Path = "lessons") -> Result:
    """Runs the lesson and writes `folder/NAME.html`, whole or not at all."""
    started = time.perf_counter()
    page = make_page(name)
    path = write_page(Path(folder) / f"{name}.html", page.html())
    return Result(name, path, page.numbers, time.perf_counter() - started)

"""The two pages about the books: whatever `docs/errata.md` and `docs/books.md` name in backquotes exists."""

from __future__ import annotations

import importlib
import inspect
import operator
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from gradus import cli
from gradus.errors import UserError
from gradus.lessons.table import LESSONS
from gradus.models import MODELS
from gradus.recipes.recipe import Recipe
from gradus.recipes.table import RECIPES

ROOT = Path(__file__).parent.parent
TEXTS = {page: (ROOT / "docs" / page).read_text() for page in ("errata.md", "books.md")}
PATH = re.compile(r"(?:gradus|tests|docs|scripts)/[\w./-]+(?:::\w+)?")
OBJECT = re.compile(r"(?:reference|gradus|torch)(?:\.\w+)+")
SETTING = re.compile(r"((?:augment|data|model|task|train)(?:\.\w+)+)( = .+)?")
KEYWORD = re.compile(r"`([\w.]+)` with `(\w+)`")
NAMED = re.compile(r"(recipe|model)s? ((?:`[\w-]+`(?:, )?)+)")


def path_exists(name: str) -> bool:
    """Whether a file exists, and in it the test of a name such as `tests/test_docs.py::test_rows`."""
    file, _, function = name.partition("::")
    path = ROOT / file
    return path.exists() and (not function or f"def {function}(" in path.read_text())


def find(name: str) -> Any:
    """What a dotted name means; None where there is no such thing."""
    parts = ("gradus." + name if name.startswith("reference.") else name).split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            found = getattr(found, part, None)
        return found
    return None


def has_setting(name: str) -> bool:
    try:
        operator.attrgetter(name)(Recipe())
    except AttributeError:
        return False
    return True


def command_works(line: str) -> bool:
    """Whether a command line is understood, its recipe or lessons are known, and its settings are accepted."""
    try:
        arguments = cli._parse(shlex.split(line)[1:])
        if arguments.command == "train":
            cli._recipe_of(arguments)
    except UserError:
        return False
    if arguments.command == "lesson":
        return set(arguments.names) <= {*LESSONS, "NAME"}
    if arguments.command == "search":
        return arguments.recipe in RECIPES
    return arguments.command != "check" or arguments.name in MODELS


def exists(name: str) -> bool:
    """Whether there is what a name in backquotes means; other words in backquotes are code of the books."""
    if PATH.fullmatch(name):
        return path_exists(name)
    if OBJECT.fullmatch(name):
        return find(name) is not None
    if name.startswith("lesson "):
        return name.removeprefix("lesson ") in LESSONS
    if name.startswith("gradus "):
        return command_works(name)
    if name.startswith("--set "):
        return command_works(f"gradus train mnist-mlp {name}")
    if setting := SETTING.fullmatch(name):
        value = setting[2]
        return command_works(f"gradus train mnist-mlp --set '{name}'") if value else has_setting(name)
    return True


def missing(text: str) -> list[str]:
    """All that a page names and that is not there."""
    names = sorted(set(re.findall(r"`([^`]+)`", text)))
    found = [name for name in names if not exists(name)]
    for name, keyword in KEYWORD.findall(text):
        if callable(found_there := find(name)) and keyword not in inspect.signature(found_there).parameters:
            found.append(f"{name}({keyword}=)")
    for kind, listed in NAMED.findall(text):
        known = RECIPES if kind == "recipe" else MODELS
        found += [f"{kind} {name}" for name in re.findall(r"`([\w-]+)`", listed) if name not in known]
    return found


@pytest.mark.parametrize("page", TEXTS)
def test_what_the_page_names_exists(page):
    assert missing(TEXTS[page]) == []


@pytest.mark.parametrize(
    "wrong",
    [
        "`gradus/reference/sigmoid.py`",
        "`tests/test_docs.py::test_nothing`",
        "`reference.sigmoids.sigmoyd`",
        "`gradus.nn.NoSuchLayer`",
        "`lesson no-such-lesson`",
        "`gradus lesson neuron no-such-lesson`",
        "`gradus train no-such-recipe`",
        "`gradus train mnist-mlp --no-such-flag 1`",
        "`--set train.schedule.nam=root`",
        "`train.regularization.l3`",
        '`train.schedule.name = "no-such-schedule"`',
        "recipes `boston`, `no-such-recipe`",
        "models `lenet5`, `no_such_model`",
        "`reference.gru.gru` with `no_such_argument`",
    ],
)
def test_a_wrong_name_is_found(wrong):
    assert len(missing(wrong)) == 1


@pytest.mark.parametrize(("page", "columns"), [("errata.md", 5), ("books.md", 3)])
def test_rows_are_whole_and_told_once(page, columns):
    for section in TEXTS[page].split("\n## ")[1:]:
        rows = [line for line in section.splitlines() if line.startswith("|")]
        cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]
        assert {len(row) for row in cells} == {columns}
        assert all(all(row) for row in cells)
        told = [(row[0], row[1]) for row in cells]
        assert len(told) == len(set(told))


def test_every_lesson_is_among_the_books():
    named = {name for line in re.findall(r"`gradus lesson ([^`]+)`", TEXTS["books.md"]) for name in line.split()}
    assert named == set(LESSONS)


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_the_lessons_of_the_readme_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    named = " ".join(re.findall(r"^gradus lesson ((?:[a-z][\w-]* )+)", text, re.MULTILINE)).split()
    assert named and set(named) <= set(LESSONS)

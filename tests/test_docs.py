"""The two pages about the books: whatever `docs/errata.md` and `docs/books.md` name in backquotes exists."""

from __future__ import annotations

import argparse
import importlib
import inspect
import operator
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from gradus import cli
from gradus.cli.flags import recipe_of
from gradus.errors import UserError
from gradus.lessons.table import LESSONS
from gradus.look.inside.table import LOOKS as NETWORK_LOOKS
from gradus.look.inside.table import MAKING_LOOKS, WORD_LOOKS, WORLD_LOOKS, WRITING_LOOKS
from gradus.models import MODELS
from gradus.recipes.recipe import Recipe
from gradus.recipes.table import RECIPES

LOOKS = NETWORK_LOOKS | WORD_LOOKS | WRITING_LOOKS | MAKING_LOOKS | WORLD_LOOKS
ROOT = Path(__file__).parent.parent
TEXTS = {page: (ROOT / "docs" / page).read_text() for page in ("errata.md", "books.md")}
TEXT_PAGES = ["data", "text", "sequences", "text-tasks", "word-vectors", "language", "forecasting", "look_inside_texts"]
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


def settings_of(look: str) -> set[str]:
    """The names that `--set` may change in a look."""
    module, _, name = LOOKS[look].function.partition(":")
    function = getattr(importlib.import_module(f"gradus.look.inside.{module}"), name)
    return {name for name, one in inspect.signature(function).parameters.items() if one.kind is one.KEYWORD_ONLY}


def look_works(arguments: argparse.Namespace) -> bool:
    """Whether there is the look, it has the settings, and its network is known (or written as MODEL, RUN or a path)."""
    if arguments.subject is None or arguments.file or arguments.what == "WHAT":
        return True
    known = arguments.subject in MODELS or arguments.subject.isupper() or "/" in arguments.subject
    if not known or arguments.what not in LOOKS:
        return False
    given = [assignment.partition("=")[0] for assignment in arguments.set]
    given += ["layer"] * bool(arguments.layer) + ["of_class"] * bool(arguments.of_class)
    return {name for name in given if not name.startswith("model.options.")} <= settings_of(arguments.what)


def command_works(line: str) -> bool:
    """Whether a command line is understood, its recipe or lessons are known, and its settings are accepted."""
    try:
        arguments = cli.parse(shlex.split(line)[1:])
        if arguments.command == "train":
            recipe_of(arguments)
    except UserError:
        return False
    if arguments.command == "lesson":
        return set(arguments.names) <= {*LESSONS, "NAME"}
    if arguments.command == "search":
        return arguments.recipe in RECIPES
    if arguments.command == "look":
        return look_works(arguments)
    return arguments.command != "check" or bool(arguments.file) or arguments.name in MODELS


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
    if found := re.fullmatch(r"--set (\w+)=\S+", name):
        return any(found[1] in settings_of(look) for look in LOOKS)
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
    "page", ["detection.md", "localization.md", "segmentation.md", "detection-data.md", "boxes.md"]
)
def test_what_a_page_of_things_in_pictures_names_exists(page):
    assert missing((ROOT / "docs" / page).read_text()) == []


@pytest.mark.parametrize("page", TEXT_PAGES)
def test_what_a_page_of_text_and_time_names_exists(page):
    assert missing((ROOT / "docs" / f"{page}.md").read_text()) == []


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
        "`gradus look vgg16 structur`",
        "`gradus look vgg17 structure`",
        "`gradus look vgg16 style CONTENT STYLE --set stile_weight=2`",
        "`--set stile_weight=2`",
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


PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "README.zh-CN.md"]


def test_links_lead_somewhere():
    lost = [
        f"{page.name}: {link}"
        for page in PAGES
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
        if "://" not in link and not (page.parent / link).exists()
    ]
    named = {
        f"{page.name}: {link}"
        for page in PAGES
        for link in re.findall(r"`(docs/\w+\.md)`", page.read_text(encoding="utf-8"))
        if not (ROOT / link).exists()
    }
    assert lost == [] and named == set()


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md", "look.md", "detection.md"])
def test_commands_for_users_are_understood(page):
    """All `gradus ...` lines of the page's blocks; commands that go on in the next line end in a backslash."""
    text = next(path for path in PAGES if path.name == page).read_text(encoding="utf-8")
    blocks = "".join(re.findall(r"^```(?:bash)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)).replace("\\\n", " ")
    lines = [re.split(" [#>]", line)[0] for line in blocks.splitlines() if line.startswith("gradus ")]
    assert len(lines) >= 8
    assert [line for line in lines if not understood(line)] == []


def test_the_page_of_looks_has_each_of_them_in_order():
    text = (ROOT / "docs" / "look.md").read_text()
    assert re.findall(r"^\| `([\w-]+)` \|", text, re.MULTILINE) == [*LOOKS]
    assert missing(text) == []


def understood(line: str) -> bool:
    """Whether the command line can be read; of looks and of training also whether names and settings are known."""
    arguments = cli.parse(shlex.split(line)[1:])
    if arguments.command == "train" and not str(arguments.recipe or "").endswith(".toml"):
        recipe_of(arguments)
    return arguments.command != "look" or look_works(arguments)

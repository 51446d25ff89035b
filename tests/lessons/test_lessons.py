"""Every lesson of the table: it runs, says something, draws something, and its page stands alone."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from pages import shown

import gradus.lessons
from gradus.errors import UserError
from gradus.lessons.catalogue import write_catalogue
from gradus.lessons.page import LessonPage, markup
from gradus.lessons.run import check_names, make_page, run_lesson
from gradus.lessons.site import MADE
from gradus.lessons.table import LESSONS, SUBJECTS, module_of

ROOT = Path(gradus.lessons.__file__).parents[2]
VOID = {"meta", "img", "br", "hr", "col"}


class Outline(HTMLParser):
    """Whether every element is closed, and what the page points to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.ids += [found["id"]] if found.get("id") else []
        self.links += [found[key] for key in ("href", "src") if found.get(key)]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag


def outline(page: str) -> Outline:
    found = Outline()
    found.feed(page)
    assert not found.open
    return found


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_shows_something(name):
    numbers, written = shown(name)
    assert numbers and all(math.isfinite(value) for value in numbers.values())
    found = outline(written)
    assert "<svg" in written
    assert all(link.startswith(("#", "data:image/png")) for link in found.links)
    assert len(found.ids) == len(set(found.ids))
    words = re.sub(r"<(style|svg|math)\b.*?</\1>|<[^>]*>", " ", written, flags=re.DOTALL)
    assert not re.findall(r"\$|\*\*|`|\bnan\b", words), "markup or a missing number was left on the page"
    assert len(words.split()) > 80
    assert "\\mathdefault" not in written, "a tick's label is a formula, which a drawing's text cannot hold"


def test_a_lesson_is_written(tmp_path):
    result = run_lesson("linear-regression", tmp_path)
    assert result.path == tmp_path / "linear-regression.html"
    assert result.path.read_text(encoding="utf-8") == shown("linear-regression")[1]
    assert result.numbers == shown("linear-regression")[0]


@pytest.mark.parametrize("name", ["linear-regression", "two-moons", "dropout", "recurrent-memory"])
def test_a_lesson_is_the_same_each_time(name):
    again = make_page(name)
    assert (again.numbers, again.html()) == shown(name)


def test_every_file_is_in_the_table():
    own = {"__init__", "table", "run", "page", "catalogue", "site"}
    files = {path.stem for path in (ROOT / "gradus/lessons").glob("*.py")} - own
    used = set(map(module_of, LESSONS))
    assert used <= files
    helpers = files - used
    for helper in helpers:  # what lessons share
        assert any(f"lessons.{helper}" in path.read_text() for path in (ROOT / "gradus/lessons").glob("*.py")), helper


def test_names_are_unique_and_books_are_named():
    assert sum(len(lessons) for lessons in SUBJECTS.values()) == len(LESSONS)
    assert all(lesson.books and lesson.shows and lesson.title for lesson in LESSONS.values())


def test_markup():
    assert markup("a < b, **c**, `d`") == "a &lt; b, <strong>c</strong>, <code>d</code>"
    assert markup("*Plain Talk* §1 and 2 * 3 * 4") == "<em>Plain Talk</em> §1 and 2 * 3 * 4"
    assert markup("$x^2$").startswith("<math")
    assert "msup" not in markup("$f'(x)$") and "msubsup" not in markup("$x_{ij}'$"), "primes are raised already"
    assert markup("$x_1^2+x_{ij}'$").count("<msubsup>") == 1
    assert markup(r"$p\ln p$").count("<mspace") == 2 and "<mspace" not in markup(r"$\tanh^2(x)+\log_b(x)$")


def test_a_page_of_a_lesson():
    page = LessonPage("name", "Title")
    page.number("one", 1.5, "the first", printed=2)
    page.heading("More")
    page.correction("Book §1", "1 + 1 = 3", "$1+1=2$")
    page.table(["what", "value"], [["a <b>", 0.5], ["c", 20000.0]])
    page.figure(lambda axes: axes.plot([0, 1], [1, 0]), "A line", keys=[("model", "line")])
    page.try_it("gradus --help")
    written = page.html()
    outline(written)
    assert "1.5 (in the text: 2)" in written and "a &lt;b&gt;" in written and "20,000" in written
    assert page.numbers == {"one": 1.5}
    with pytest.raises(ValueError, match="already has a number 'one'"):
        page.number("one", 2, "again")


def test_an_unknown_lesson_is_told_before_any_runs(tmp_path):
    with pytest.raises(UserError, match="unknown lesson 'linear-regresion'; did you mean 'linear-regression'"):
        check_names(["linear-regression", "linear-regresion"])
    done = subprocess.run(
        [sys.executable, "-m", "gradus", "lesson", "linear-regression", "linear-regresion", "--out", str(tmp_path / "x")],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and not (tmp_path / "x").exists()


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    for write in (
        lambda: run_lesson("linear-regression", tmp_path / "file"),
        lambda: write_catalogue(tmp_path / "file"),
    ):
        with pytest.raises(UserError, match="cannot be written"):
            write()
    assert (tmp_path / "file").read_text() == ""


@pytest.mark.parametrize("name", MADE)
def test_the_docs_are_those_of_the_code(name):
    path = ROOT / "docs" / name
    assert path.read_text(encoding="utf-8") == MADE[name](), f"docs/{name} is not current: `make docs` makes it"

"""The pages of the docs that are made from code: the catalogue and all lessons, with a page that lists them.

`make docs` runs this: HTML into `site/`, and the two Markdown pages `docs/catalogue.md` and `docs/lessons.md`, which a test
holds to the code.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from gradus.files import write_atomic
from gradus.lessons import catalogue
from gradus.lessons.page import markup, write_page
from gradus.lessons.run import run_lesson
from gradus.lessons.table import SUBJECTS, module_of
from gradus.look.page import document, element, join, section

MADE = {"catalogue.md": catalogue.markdown, "lessons.md": lambda: lessons_markdown()}


def lessons_markdown() -> str:
    """The list of lessons for the docs."""
    lines = [
        "# Lessons",
        "",
        "Each shows one idea with numbers and a picture: `gradus lesson NAME` runs it and writes `lessons/NAME.html`, one file",
        "that loads nothing; `gradus lesson all` runs them all, and `make docs` puts them into `site/` with the catalogue.",
        "",
    ]
    for subject, lessons in SUBJECTS.items():
        lines += [f"## {subject}", "", "| lesson | shows | stands for |", "|---|---|---|"]
        lines += [
            f"| [`{name}`](../gradus/lessons/{module_of(name)}.py) | {lesson.shows} | {'; '.join(lesson.books)} |"
            for name, lesson in lessons.items()
        ]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def index() -> str:
    """The page that lists everything."""
    sections = [
        section(
            f"subject-{place}",
            subject,
            element(
                "ul",
                *(
                    element("li", element("a", lesson.title, href=f"{name}.html"), ": ", markup(lesson.shows))
                    for name, lesson in lessons.items()
                ),
            ),
        )
        for place, (subject, lessons) in enumerate(SUBJECTS.items())
    ]
    opening = element(
        "header",
        element("p", "Gradus", class_="eyebrow"),
        element("h1", "Lessons"),
        element("p", element("a", "The catalogue of primitives", href="catalogue.html"), class_="lead"),
    )
    return document("Gradus lessons", join((opening, element("main", *sections, class_="lesson"))))


def make_site(folder: Path) -> None:
    """Runs every lesson and writes all pages into the folder."""
    catalogue.write_catalogue(folder)
    for lessons in SUBJECTS.values():
        for name in lessons:
            result = run_lesson(name, folder)
            print(f"{name}: {result.seconds:.1f} s", flush=True)
    write_page(folder / "index.html", index())


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the pages of the docs that come from code.")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="where the Markdown pages go")
    parser.add_argument("--site", type=Path, default=Path("site"), help="where the HTML pages go")
    given = parser.parse_args()
    for name, make in MADE.items():
        write_atomic(given.docs / name, make().encode("utf-8"))
    make_site(given.site)


if __name__ == "__main__":
    main()

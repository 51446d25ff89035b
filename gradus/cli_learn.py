"""The commands for reading and trying: lesson, catalogue. As light to import as `cli.py`."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from gradus.errors import UserError

FLAGS = ("list",)


def add_commands(command: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Adds the commands to the parser of the command line."""
    lesson = command("lesson", "One idea, shown with numbers and a picture: runs it and writes a page.")
    lesson.add_argument("names", metavar="NAME", nargs="*", help="which; `all` for all of them")
    lesson.add_argument("--list", action="store_true", help="name them all")
    lesson.add_argument("--out", metavar="DIR", default="lessons", help="where the pages go (default lessons)")
    catalogue = command("catalogue", "All primitives with formula, plot, derivative, range and source, as one page.")
    catalogue.add_argument("--out", metavar="DIR", default="lessons", help="where the page goes (default lessons)")


def run_lessons(arguments: argparse.Namespace) -> None:
    from gradus.cli import _print_table, _say
    from gradus.lessons.table import LESSONS, SUBJECTS

    if arguments.list:
        for subject, lessons in SUBJECTS.items():
            print(subject)
            _print_table([[f"  {name}", lesson.shows] for name, lesson in lessons.items()])
        return
    if not arguments.names:
        raise UserError("which lesson? `gradus lesson --list` names them, `gradus lesson all` runs them all")
    from gradus.lessons.run import check_names, run_lesson
    from gradus.look.text import number

    for name in check_names(list(LESSONS) if arguments.names == ["all"] else arguments.names):
        result = run_lesson(name, arguments.out)
        _print_table([[key, number(value, 6)] for key, value in result.numbers.items()])
        _say(f"{name}: {result.path} ({result.seconds:.1f} s)")


def run_catalogue(arguments: argparse.Namespace) -> None:
    from gradus.cli import _say
    from gradus.lessons.catalogue import write_catalogue

    _say(str(write_catalogue(arguments.out)))


COMMANDS = {"lesson": run_lessons, "catalogue": run_catalogue}

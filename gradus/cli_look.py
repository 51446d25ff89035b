"""The command for looking inside: look. As light to import as `cli.py`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gradus.errors import UserError

FLAGS = ("weights", "layer", "class")  # those that others have too (data, set, out, json) are known already


def add_commands(command: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Adds the command to the parser of the command line."""
    look = command(
        "look", "Look into a network: writes pictures and a page. `gradus look` alone names what can be seen."
    )
    look.add_argument("subject", metavar="RUN|MODEL", nargs="?", help="a run's folder, or a network's name")
    look.add_argument("what", metavar="WHAT", nargs="?", help="what to look at")
    look.add_argument("inputs", metavar="INPUT", nargs="*", help="pictures: files, folders, or a row as test:17")
    look.add_argument("--weights", metavar="FILE", help="trained weights of the network (safetensors)")
    look.add_argument("--data", metavar="DATA", help="labelled rows for a network that is not a run")
    look.add_argument("--layer", metavar="NAME", help="a layer or stage of the network (short for --set layer=NAME)")
    look.add_argument("--class", metavar="NAME", dest="of_class", help="a class (short for --set of_class=NAME)")
    look.add_argument("--set", metavar="name=value", action="append", default=[], help="a setting of the look")
    look.add_argument("--out", metavar="DIR", help="where it goes (RUN/look, or look/MODEL)")
    look.add_argument("--json", action="store_true", help="one JSON object of what was measured and written")


def run_look(arguments: argparse.Namespace) -> None:
    from gradus.cli import _print_table, _say
    from gradus.look.inside.table import LOOKS

    if not arguments.subject or not arguments.what:
        if arguments.subject:
            raise UserError(f"look: at what? Known: {', '.join(LOOKS)}")
        _print_table([[name, kind.shows, "PICTURE..." if kind.pictures else ""] for name, kind in LOOKS.items()])
        return
    chosen = _settings(arguments)
    from gradus.look.text import number
    from gradus.recipes.looking import look, read_pictures, subject_of

    subject = subject_of(arguments.subject, weights=arguments.weights, data=arguments.data)
    if not arguments.json:
        for note in subject.notes:
            _say(f"note: {note}")
    sight = look(subject, arguments.what, read_pictures(subject, arguments.inputs), **chosen)
    usual = subject.run.path / "look" if subject.run is not None else Path("look") / subject.name
    written = sight.write(Path(arguments.out) if arguments.out else usual)
    if arguments.json:
        print(json.dumps({"look": sight.name, "numbers": sight.numbers, "files": [str(path) for path in written]}))
        return
    for sentence in sight.said:
        print(sentence)
    _print_table([[name, number(value, 4)] for name, value in sight.numbers.items()])
    _say(f"written: {written[0]}" + (f" and {len(written) - 1} PNG files beside it" if len(written) > 1 else ""))


def _settings(arguments: argparse.Namespace) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    for assignment in arguments.set:
        name, equals, value = assignment.partition("=")
        if not equals or not name.strip():
            raise UserError(f"--set {assignment}: expected name=value")
        chosen[name.strip()] = value
    if arguments.layer is not None:
        chosen["layer"] = arguments.layer
    if arguments.of_class is not None:
        chosen["of_class"] = arguments.of_class
    return chosen


COMMANDS = {"look": run_look}

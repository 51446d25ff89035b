"""The command for looking inside: look."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradus.cli.output import print_table, say
from gradus.errors import UserError, unknown_name

if TYPE_CHECKING:
    from gradus.cli.command_line import AddCommand
    from gradus.look.inside.sight import Sight


def add_commands(command: AddCommand) -> None:
    """Adds the command to the parser of the command line."""
    look = command(
        "look", "Look into a network: writes pictures and a page. `gradus look` alone names what can be seen.", run_look
    )
    look.add_argument("subject", metavar="RUN|MODEL", nargs="?", help="a run's folder, or a network's name")
    look.add_argument("what", metavar="WHAT", nargs="?", help="what to look at")
    look.add_argument("inputs", metavar="INPUT", nargs="*", help="pictures: files, folders, or a row as test:17")
    look.add_argument("--file", metavar="FILE.py:CLASS", help="structure of your own module; the file is run")
    look.add_argument(
        "--input-shape", metavar="3,32,32", action="append", help="structure: of one row; once for each input"
    )
    look.add_argument("--weights", metavar="FILE|RUN|NAME", help="trained weights of the network")
    look.add_argument("--data", metavar="DATA", help="labelled rows for a network that is not a run")
    look.add_argument("--layer", metavar="NAME", help="a layer or stage of the network (short for --set layer=NAME)")
    look.add_argument(
        "--class", metavar="NAME", dest="of_class", action="append", help="a class (short for --set of_class=NAME)"
    )
    look.add_argument("--set", metavar="name=value", action="append", default=[], help="a setting of the look")
    look.add_argument("--out", metavar="DIR", help="where it goes (RUN/look, or look/MODEL)")
    look.add_argument("--json", action="store_true", help="one JSON object of what was measured and written")


def run_look(arguments: argparse.Namespace) -> None:
    from gradus.look.inside.table import LOOKS, MAKING_LOOKS, WORD_LOOKS, WORLD_LOOKS, WRITING_LOOKS

    if arguments.file:
        arguments.subject, arguments.what = arguments.file, arguments.what or arguments.subject
    if not arguments.subject or not arguments.what:
        if arguments.subject:
            raise UserError(
                f"look: at what? Known: {', '.join((*LOOKS, *WORD_LOOKS, *WRITING_LOOKS, *MAKING_LOOKS, *WORLD_LOOKS))}"
            )
        print_table([[name, kind.shows, "PICTURE..." if kind.pictures else ""] for name, kind in LOOKS.items()])
        print_table([[name, kind.shows, "WORD..."] for name, kind in WORD_LOOKS.items()])
        print_table([[name, kind.shows, "PROMPT..."] for name, kind in WRITING_LOOKS.items()])
        print_table([[name, kind.shows, "PICTURE..." if kind.pictures else ""] for name, kind in MAKING_LOOKS.items()])
        print_table([[name, kind.shows] for name, kind in WORLD_LOOKS.items()])
        return
    chosen = _settings(arguments)
    if arguments.what in WORD_LOOKS:
        _look_at_words(arguments, chosen)
        return
    if arguments.what in WRITING_LOOKS:
        _look_at_writing(arguments, chosen)
        return
    if arguments.what in MAKING_LOOKS:
        _look_at_making(arguments, chosen)
        return
    if arguments.what in WORLD_LOOKS:
        _look_at_world(arguments, chosen)
        return
    from gradus.recipes.looking import look, read_pictures, subject_of

    if arguments.what not in LOOKS:
        raise unknown_name("look", arguments.what, [*LOOKS, *WORD_LOOKS, *WRITING_LOOKS, *MAKING_LOOKS, *WORLD_LOOKS])
    if LOOKS[arguments.what].any_network:
        _look_at_network(arguments, chosen)
        return
    if arguments.file or arguments.input_shape:
        raise UserError(f"{arguments.what}: --file and --input-shape are for `gradus look ... structure`")
    subject = subject_of(arguments.subject, weights=arguments.weights, data=arguments.data)
    if not arguments.json:
        for note in subject.notes:
            say(f"note: {note}")
    folder = _folder(arguments, subject.run.path if subject.run is not None else None, subject.name)
    sight = look(subject, arguments.what, read_pictures(subject, arguments.inputs), **chosen)
    _tell(sight, folder, arguments.json)


def _look_at_words(arguments: argparse.Namespace, chosen: dict[str, Any]) -> None:
    """A look at word vectors, of a run or a file of them."""
    from gradus.recipes.looking_words import look_at_words, subject_of_words

    for flag in ("file", "input_shape", "weights", "data"):
        if getattr(arguments, flag):
            raise UserError(f"{arguments.what}: --{flag.replace('_', '-')} is not for looks at word vectors")
    subject = subject_of_words(arguments.subject)
    folder = _folder(arguments, subject.run.path if subject.run is not None else None, subject.name)
    _tell(look_at_words(subject, arguments.what, arguments.inputs, **chosen), folder, arguments.json)


def _look_at_writing(arguments: argparse.Namespace, chosen: dict[str, Any]) -> None:
    """A look at how a run's language model goes on from prompts."""
    from gradus.recipes.looking_language import look_at_writing, writer_of

    for flag in ("file", "input_shape", "weights", "data"):
        if getattr(arguments, flag):
            raise UserError(f"{arguments.what}: --{flag.replace('_', '-')} is not for looks at language models")
    writer = writer_of(arguments.subject)
    folder = _folder(arguments, writer.run.path, writer.name)
    _tell(look_at_writing(writer, arguments.what, arguments.inputs, **chosen), folder, arguments.json)


def _look_at_making(arguments: argparse.Namespace, chosen: dict[str, Any]) -> None:
    """A look at how a run's network makes pictures."""
    from gradus.recipes.looking import read_pictures
    from gradus.recipes.looking_making import look_at_making, maker_of

    for flag in ("file", "input_shape", "weights", "data"):
        if getattr(arguments, flag):
            raise UserError(
                f"{arguments.what}: --{flag.replace('_', '-')} is not for looks at networks that make pictures"
            )
    maker = maker_of(arguments.subject)
    folder = _folder(arguments, maker.subject.run.path, maker.name)
    pictures: list[Any] = read_pictures(maker.subject, arguments.inputs)
    _tell(look_at_making(maker, arguments.what, pictures, **chosen), folder, arguments.json)


def _look_at_world(arguments: argparse.Namespace, chosen: dict[str, Any]) -> None:
    """A look at the world that a run acts in."""
    from gradus.recipes.looking_worlds import look_at_world, subject_of_world

    for flag in ("file", "input_shape", "weights", "data"):
        if getattr(arguments, flag):
            raise UserError(f"{arguments.what}: --{flag.replace('_', '-')} is not for looks at the world of a run")
    subject = subject_of_world(arguments.subject)
    folder = _folder(arguments, subject.run.path, subject.name)
    _tell(look_at_world(subject, arguments.what, arguments.inputs, **chosen), folder, arguments.json)


def _look_at_network(arguments: argparse.Namespace, chosen: dict[str, Any]) -> None:
    """A look that any network will do for: `--set model.options.NAME=value` goes to the network, the rest to the look."""
    from gradus.recipes.looking import look
    from gradus.recipes.networks import network_of
    from gradus.settings import parse_value

    prefix = "model.options."
    options = {
        name.removeprefix(prefix): parse_value(chosen.pop(name)) for name in list(chosen) if name.startswith(prefix)
    }
    network = network_of(arguments.subject, options, arguments.input_shape, own=bool(arguments.file))
    for note in () if arguments.json else network.notes:
        say(f"note: {note}")
    folder = _folder(arguments, network.folder, network.name)
    _tell(look(network, arguments.what, **chosen), folder, arguments.json)


def _folder(arguments: argparse.Namespace, run: Path | None, name: str) -> Path:
    """Where the look is written. Raises `UserError` where that cannot be: before it is made, which may take long."""
    usual = run / "look" if run is not None else Path("look") / name
    folder = Path(arguments.out) if arguments.out else usual
    above = next(path for path in (folder, *folder.parents) if path.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise UserError(f"--out {folder}: {above} is no folder that can be written to")
    return folder


def _tell(sight: Sight, folder: Path, as_json: bool) -> None:
    """Writes a sight, and says what was seen and written."""
    from gradus.look.text import number

    written = sight.write(folder)
    if as_json:
        files = [str(path) for path in written]
        tables = [{"title": title, "header": header, "rows": rows} for title, header, rows in sight.tables]
        told = {"look": sight.name, "numbers": sight.numbers, "tables": tables, **sight.record, "files": files}
        print(json.dumps(told))
        return
    for sentence in (*sight.printed, *sight.said):
        print(sentence)
    print_table([[name, number(value, 4)] for name, value in sight.numbers.items()])
    for title, header, rows in [] if sight.numbers or sight.printed else sight.tables:
        print(title)
        print_table([header, *rows])
    say(f"written: {written[0]}" + (f" and {len(written) - 1} files beside it" if len(written) > 1 else ""))


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
        chosen["of_class"] = ",".join(arguments.of_class)
    return chosen

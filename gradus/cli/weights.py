"""The command that brings published weights over: import."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from gradus.cli.output import say
from gradus.errors import UserError

if TYPE_CHECKING:
    from gradus.cli.command_line import AddCommand


def add_commands(command: AddCommand) -> None:
    """Adds the command to the parser of the command line."""
    parser = command(
        "import", "Make a safetensors file of downloaded weights (.pth), compared with the network.", run_import
    )
    parser.add_argument("file", metavar="FILE", help="what torch.save wrote, or a safetensors file")
    parser.add_argument("--model", metavar="NAME", help="the network that the weights are of")
    parser.add_argument(
        "--out", metavar="FILE|NAME", help="a safetensors file, or the name to keep them by (the file's own)"
    )
    parser.add_argument("--classes", metavar="FILE", help="the names of the outputs, one a line")


def run_import(arguments: argparse.Namespace) -> None:
    from gradus.data.places import cache_folder

    if not arguments.model:
        raise UserError("import: of which network are these weights? Give --model NAME (gradus list models)")
    source = Path(arguments.file).expanduser()
    name = arguments.out or source.stem.removeprefix(f"{arguments.model}-")
    out = Path(name).expanduser()
    named = (not out.suffix and len(out.parts) == 1) or not arguments.out
    if named:
        out = cache_folder() / "weights" / f"{arguments.model}-{name}.safetensors"
    classes = _lines(Path(arguments.classes)) if arguments.classes else ()
    from gradus.models.importing import import_weights

    made = import_weights(source, arguments.model, out, classes)
    say(f"read {source}: {made.size / 2**20:.1f} MiB, sha256 {made.sha256}")
    say(f"{made.tensors} tensors, {made.parameters:,} numbers: every name and shape is that of {arguments.model}")
    for note in made.notes:
        say(f"note: {note}")
    if made.record is not None:
        say(
            f"its pictures: {made.record.describe()} (written to {made.file.with_suffix('.json')}; correct it if need be)"
        )
    say(f"written: {made.file}")
    say(f"use it with: --model {arguments.model} --weights {name if named else made.file}")


def _lines(path: Path) -> tuple[str, ...]:
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--classes {path}: this file cannot be read ({error})") from None
    return tuple(name for name in names if name)

"""The command that says why a model is not good enough: doctor. As light to import as `cli.py`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gradus import cli_doctor_errors
from gradus.errors import UserError

if TYPE_CHECKING:
    from gradus.doctor.examine import Diagnosis

FLAGS = ("bound", "only", *cli_doctor_errors.FLAGS)


def add_commands(
    command: Callable[[str, str], argparse.ArgumentParser], add_recipe_flags: Callable[[argparse.ArgumentParser], None]
) -> None:
    """Adds the command to the parser of the command line."""
    doctor = command("doctor", "Why a model is not good enough, before or after training, and what to type next.")
    add_recipe_flags(doctor)
    doctor.add_argument("--bound", metavar="X", help="error of the best known answer, such as people's: 0.01")
    doctor.add_argument("--only", metavar="CHECK", action="append", default=[], help="one check; may be repeated")
    doctor.add_argument("--json", action="store_true", help="one JSON object")
    cli_doctor_errors.add_flags(doctor)


def run_doctor(arguments: argparse.Namespace) -> None:
    if cli_doctor_errors.run_errors(arguments):
        return
    from gradus.cli import _recipe_of, _say
    from gradus.doctor.examine import examine
    from gradus.recipes.recipe import Recipe

    named = arguments.recipe
    is_run = bool(named) and (Path(named) / "recipe.toml").exists()
    subject: Recipe | Path = Path(named) if is_run else _recipe_of(arguments)
    diagnosis = examine(subject, bound=_number(arguments.bound), only=tuple(arguments.only), say=lambda line: None)
    if arguments.json:
        print(json.dumps(diagnosis.to_json()))
        return
    for line in told(diagnosis):
        _say(line)


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        raise UserError(f"--bound: expected a number, received '{text}'") from None


def told(diagnosis: Diagnosis) -> list[str]:
    """The findings as lines for a terminal: what, where, and what to type."""
    lines = []
    for number, one in enumerate(diagnosis.findings, 1):
        lines.append(f"{number}. {one.level}: {one.told}")
        facts = [one.where, f"usual: {one.usual}" if one.usual else ""]
        lines.append(f"   {'; '.join(fact for fact in facts if fact)} [{one.kind}]")
        if one.command:
            lines.append(f"   next: {one.command}")
        lines += [f"   or:   {other}" for other in one.others]
    return lines or ["nothing found that is wrong"]


COMMANDS = {"doctor": run_doctor}

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
    from gradus.recipes.recipe import Recipe
    from gradus.recipes.run import Run

FLAGS = ("bound", "only", "learning-curve", *cli_doctor_errors.FLAGS)


def add_commands(
    command: Callable[[str, str], argparse.ArgumentParser], add_recipe_flags: Callable[[argparse.ArgumentParser], None]
) -> None:
    """Adds the command to the parser of the command line."""
    doctor = command("doctor", "Why a model is not good enough, before or after training, and what to type next.")
    add_recipe_flags(doctor)
    doctor.add_argument("--bound", metavar="X", help="error of the best known answer, such as people's: 0.01")
    doctor.add_argument("--only", metavar="CHECK", action="append", default=[], help="one check; may be repeated")
    doctor.add_argument(
        "--learning-curve",
        action="store_true",
        help="train on parts of the rows too, to see whether more of them would help",
    )
    doctor.add_argument("--json", action="store_true", help="one JSON object")
    cli_doctor_errors.add_flags(doctor)


def run_doctor(arguments: argparse.Namespace) -> None:
    if cli_doctor_errors.run_errors(arguments):
        return
    from gradus.cli import _recipe_of, _say, recipe_arguments
    from gradus.doctor.examine import examine
    from gradus.doctor.page import plain, write_json, write_page
    from gradus.doctor.told import told
    from gradus.recipes.run import load_run

    named = arguments.recipe
    is_run = bool(named) and (Path(named) / "recipe.toml").exists()
    run = load_run(named) if is_run else None
    subject: Run | Recipe = run if run is not None else _recipe_of(arguments)

    def say(line: str) -> None:
        if arguments.learning_curve and not arguments.json and line.startswith("training on"):
            _say(line)

    diagnosis = examine(
        subject,
        bound=_number(arguments.bound),
        only=tuple(arguments.only),
        learning_curve=arguments.learning_curve,
        typed=() if run is not None else tuple(recipe_arguments(arguments)),
        say=say,
    )
    if arguments.json:
        print(json.dumps(plain(diagnosis.to_json())))
    else:
        for line in told(diagnosis):
            _say(line)
    if run is not None and not arguments.only:  # after it was told: a folder may be read-only
        write_page(run.path / "doctor.html", diagnosis, str(named), run.history)
        write_json(run.path / "doctor.json", diagnosis)
        if not arguments.json:
            _say(f"page: {run.path / 'doctor.html'}")


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        raise UserError(f"--bound: expected a number, received '{text}'") from None


COMMANDS = {"doctor": run_doctor}

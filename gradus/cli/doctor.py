"""The command that says why a model is not good enough: doctor."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from gradus.cli import doctor_errors
from gradus.cli.flags import add_recipe_flags, real_number, recipe_arguments, recipe_of
from gradus.cli.output import say

if TYPE_CHECKING:
    from gradus.cli.command_line import AddCommand
    from gradus.recipes.recipe import Recipe
    from gradus.recipes.run import Run


def add_commands(command: AddCommand) -> None:
    """Adds the command to the parser of the command line."""
    doctor = command(
        "doctor", "Why a model is not good enough, before or after training, and what to type next.", run_doctor
    )
    add_recipe_flags(doctor)
    doctor.add_argument("--bound", metavar="X", help="error of the best known answer, such as people's: 0.01")
    doctor.add_argument("--only", metavar="CHECK", action="append", default=[], help="one check; may be repeated")
    doctor.add_argument(
        "--learning-curve",
        action="store_true",
        help="train on parts of the rows too, to see whether more of them would help",
    )
    doctor.add_argument("--json", action="store_true", help="one JSON object")
    doctor_errors.add_flags(doctor)


def run_doctor(arguments: argparse.Namespace) -> None:
    if doctor_errors.run_errors(arguments):
        return
    from gradus.doctor.examine import examine
    from gradus.doctor.page import plain, write_json, write_page
    from gradus.doctor.told import told
    from gradus.recipes.run import load_run

    named = arguments.recipe
    is_run = bool(named) and (Path(named) / "recipe.toml").exists()
    run = load_run(named) if is_run else None
    subject: Run | Recipe = run if run is not None else recipe_of(arguments)

    def tell(line: str) -> None:
        if arguments.learning_curve and not arguments.json and line.startswith("training on"):
            say(line)

    diagnosis = examine(
        subject,
        bound=None if arguments.bound is None else real_number(arguments.bound, "--bound"),
        only=tuple(arguments.only),
        learning_curve=arguments.learning_curve,
        typed=() if run is not None else tuple(recipe_arguments(arguments)),
        say=tell,
    )
    if arguments.json:
        print(json.dumps(plain(diagnosis.to_json())))
    else:
        for line in told(diagnosis):
            say(line)
    if run is not None and not arguments.only:  # after it was told: a folder may be read-only
        write_page(run.path / "doctor.html", diagnosis, str(named), run.history)
        write_json(run.path / "doctor.json", diagnosis)
        if not arguments.json:
            say(f"page: {run.path / 'doctor.html'}")

"""Commands that work when pasted, for data that the command line can read."""

from __future__ import annotations

import shlex
from pathlib import Path

from gradus.data.catalogue import CATALOGUE
from gradus.doctor.case import Case
from gradus.models import MODELS
from gradus.recipes.table import RECIPES

LESSON = "gradus lesson bad-splits"


def scan_command(case: Case) -> str:
    """`gradus data scan` of what was learnt from; of data that were made in Python the lesson on splits."""
    return _data_command(case, "scan")


def show_command(case: Case) -> str:
    """`gradus data show`, likewise."""
    return _data_command(case, "show")


def _data_command(case: Case, action: str) -> str:
    source = case.dataset.source
    if source not in CATALOGUE and not Path(source).exists():
        return LESSON
    target = [] if source in CATALOGUE or not case.dataset.target else ["--target", case.dataset.target]
    return shlex.join(["gradus", "data", action, source, *target])


def train_command(case: Case, *flags: str) -> str:
    """`gradus train` of the same again, with other flags; of a network of the user's own, which the command line cannot make, the
    lesson on splits."""
    if case.recipe.model.name not in MODELS:
        return LESSON
    if case.run is not None:
        subject = [str(case.run.path / "recipe.toml")]
    elif case.recipe.name in RECIPES:
        subject = [case.recipe.name]
    else:
        subject = ["--data", case.recipe.data.source, "--model", case.recipe.model.name]
    return shlex.join(["gradus", "train", *subject, *flags])

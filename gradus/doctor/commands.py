"""What to type next after a finding about a network: train again with another setting, or see the matter on a small example."""

from __future__ import annotations

import shlex

from gradus.data.catalogue import CATALOGUE
from gradus.doctor.case import Case
from gradus.models import MODELS, accepted_options
from gradus.recipes.table import RECIPES


def train_with(case: Case, *settings: str, lesson: str) -> str:
    """`gradus train` of the same with other settings ("train.seed=1"); of a network of the user's own, which the command line
    cannot make, the lesson that shows what is wrong."""
    subject = _subject(case)
    if not subject:
        return f"gradus lesson {lesson}"
    flags = [part for setting in settings for part in ("--set", setting)]
    return shlex.join(["gradus", "train", *subject, *flags])


def with_option(case: Case, option: str, value: str, lesson: str) -> str:
    """The same for an option of the network, where it has that option."""
    name = case.recipe.model.name
    if name not in MODELS or option not in accepted_options(name):
        return f"gradus lesson {lesson}"
    return train_with(case, f"model.options.{option}={value}", lesson=lesson)


def _subject(case: Case) -> list[str]:
    if case.recipe.model.name not in MODELS:
        return []
    if case.run is not None:
        return [str(case.run.path / "recipe.toml")]
    if case.typed:
        return list(case.typed)
    if case.recipe.name in RECIPES:
        return [case.recipe.name]
    data = case.recipe.data
    target = ["--target", data.target] if data.target and data.source not in CATALOGUE else []
    return ["--data", data.source, *target, "--model", case.recipe.model.name]

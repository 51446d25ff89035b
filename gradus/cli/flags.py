"""What names and changes a recipe on a command line, for every command that begins with one."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from gradus.errors import UserError

if TYPE_CHECKING:
    from gradus.recipes.recipe import Recipe

AUGMENT_HELP = "how training pictures are changed: none, light, standard, strong, digits, cifar, book, ..."
# flag -> the setting it stands for
TRAIN_FLAGS = {
    "data": ("data.source", "catalogue name, or path of a file or folder"),
    "target": ("data.target", "the column to learn; several joined by commas"),
    "validation": ("data.validation", "share or number of training rows held out to choose the best weights"),
    "time": ("data.time", "the column that tells the time of a row; rows are then split in order"),
    "task": ("task.name", "what to learn; inferred from the columns"),
    "model": ("model.name", "which network; `gradus list models`"),
    "weights": (
        "model.weights",
        "trained weights to begin with: a safetensors file, a run, or a name such as imagenet",
    ),
    "embeddings": ("model.embeddings", "word vectors to begin with: a file of GloVe or word2vec, or a run"),
    "freeze": (
        "train.fine_tune.freeze",
        "stages or modules that do not learn, joined by commas; features: all but the head",
    ),
    "epochs": ("train.epochs", "passes over the training rows"),
    "batch-size": ("train.batch_size", "rows an update; auto: computed in as many parts as the memory asks for"),
    "learning-rate": ("train.optimizer.learning_rate", "size of the updates"),
    "optimizer": ("train.optimizer.name", "sgd, adagrad, adadelta, rmsprop, adam or adamw"),
    "workers": ("data.workers", "processes that decode streamed pictures; -1: chosen"),
    "seed": ("train.seed", "of the weights, the order and dropout"),
    "device": ("train.device", "auto, cpu or cuda"),
}


def add_recipe_flags(parser: argparse.ArgumentParser) -> None:
    """What a recipe is named and changed by, for every command that begins with one."""
    parser.add_argument("recipe", nargs="?", help="a recipe's name (`gradus list recipes`) or a TOML file")
    for flag, (setting, about) in TRAIN_FLAGS.items():
        parser.add_argument(f"--{flag}", metavar="X", help=f"{about} ({setting})")
    parser.add_argument("--augment", metavar="PRESET", help=f"{AUGMENT_HELP}; then --set augment.rotation=20")
    parser.add_argument(
        "--set",
        metavar="part.field=value",
        action="append",
        default=[],
        help="any setting, such as train.average=0.999",
    )


def named_recipe(name: str) -> Recipe:
    from gradus.recipes.recipe import read_recipe
    from gradus.recipes.table import get_recipe

    return read_recipe(Path(name)) if name.endswith(".toml") else get_recipe(name)


def recipe_of(arguments: argparse.Namespace) -> Recipe:
    """The recipe that a `train` command line asks for."""
    from gradus import settings
    from gradus.data.augment.settings import get_preset
    from gradus.recipes.recipe import Recipe

    if not arguments.recipe and not arguments.data:
        raise UserError(
            "what should be learnt? Name a recipe (gradus list recipes), or give --data NAME, FILE or FOLDER"
        )
    base = named_recipe(arguments.recipe) if arguments.recipe else Recipe()
    values = settings.to_dict(base)
    given = {flag: getattr(arguments, flag.replace("-", "_")) for flag in TRAIN_FLAGS}
    given = {flag: value for flag, value in given.items() if value is not None}
    # another model, optimiser or data set does not inherit what was chosen for the old one
    if given.get("model", base.model.name) != base.model.name:
        values["model"] = {}
    if given.get("task", base.task.name) != base.task.name:
        values["task"] = {}
    if given.get("optimizer", base.train.optimizer.name) != base.train.optimizer.name:
        values["train"]["optimizer"] = {}
    if given.get("data", base.data.source) != base.data.source:
        values["data"].pop("target", None)
        values.pop("published", None)
    more = [f"train.{flag}=true" for flag in ("compile", "deterministic") if getattr(arguments, flag, False)]
    if given.get("batch-size") == "auto":
        del given["batch-size"]
        more.append("train.accumulate=0")
    if "freeze" in given:
        given["freeze"] = json.dumps([name.strip() for name in given["freeze"].split(",") if name.strip()])
    if arguments.augment is not None:
        values["augment"] = settings.to_dict(get_preset(arguments.augment))
    for flag, value in given.items():
        values = settings.override(values, f"{TRAIN_FLAGS[flag][0]}={value}", Recipe)
    for assignment in [*more, *arguments.set]:
        values = settings.override(values, assignment, Recipe)
    return settings.from_dict(Recipe, values)


def recipe_arguments(arguments: argparse.Namespace) -> list[str]:
    """What names and changes the recipe on a command line, as it would be typed for another command."""
    flags = [*TRAIN_FLAGS, "augment"]
    given = {flag: getattr(arguments, flag.replace("-", "_")) for flag in flags}
    found = [] if arguments.recipe is None else [arguments.recipe]
    found += [part for flag, value in given.items() if value is not None for part in (f"--{flag}", value)]
    return [*found, *(part for assignment in arguments.set for part in ("--set", assignment))]


def whole_number(text: str, flag: str, least: int = 0) -> int:
    if not text.isdecimal() or int(text) < least:
        above = f" above {least - 1}" if least else ""
        raise UserError(f"{flag}: expected a whole number{above}, received '{text}'")
    return int(text)


def real_number(text: str, flag: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(f"{flag}: expected a number, received '{text}'") from None

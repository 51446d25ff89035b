"""The recipe: one tree of typed dataclasses, in Python or as TOML."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import tomli_w

from gradus import settings
from gradus.data.augment.settings import AugmentSettings
from gradus.data.load import DataSettings
from gradus.errors import UserError
from gradus.models import ModelSettings
from gradus.tasks.settings import TaskSettings
from gradus.train.settings import TrainSettings


@dataclass(frozen=True, kw_only=True)
class Published:
    """A printed result that the recipe is held against. Only ever compared with, never a target in a test."""

    metric: str
    value: float
    source: str


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that a run needs. What is left empty is inferred from the data, told, and written out in the run's recipe.toml."""

    name: str = ""
    about: str = ""
    data: DataSettings = field(default_factory=DataSettings)
    task: TaskSettings = field(default_factory=TaskSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    published: Published | None = None


def read_recipe(path: Path) -> Recipe:
    """Reads a TOML file. Raises `UserError` naming the file for bad TOML, an unknown key (with the nearest) or a bad value."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a TOML file ({error})") from None
    values.pop("format", None)
    try:
        return settings.from_dict(Recipe, values)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def write_recipe(recipe: Recipe, **more: int) -> str:
    """The TOML text that `read_recipe` reads back to an equal recipe. `more` goes on top (the format of a run)."""
    return tomli_w.dumps({**more, **settings.to_dict(recipe)})

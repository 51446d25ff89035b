"""The space of a search: which settings are varied, between which ends, on which scale.

A value and its position correspond on each dimension: positions are 0..1, even on the dimension's own scale. Whatever draws,
shrinks or plots a dimension does so in positions, so that it is written once.

    linear         low + u (high - low)
    log            10^r, r even between the logarithms of the ends: rates, decays
    one_minus_log  1 - 10^r: the decays of moving averages, of which 0.99 and 0.999 are as far apart as 0.9 and 0.99
    int, int_log   whole numbers, each as wide as the others, or on a logarithmic scale
    choice         a list of values without order
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradus import settings
from gradus.errors import UserError, did_you_mean, unknown_name
from gradus.recipes.recipe import Recipe

SCALES = ("linear", "log", "one_minus_log", "int", "int_log", "choice")
DIGITS = 4  # significant digits of a value, so that a table can show what was really used

# Short names for what is varied most, and the scale that suits each where none is given.
SHORT: dict[str, tuple[str, str]] = {
    "learning_rate": ("train.optimizer.learning_rate", "log"),
    "weight_decay": ("train.optimizer.weight_decay", "log"),
    "momentum": ("train.optimizer.momentum", "one_minus_log"),
    "beta1": ("train.optimizer.beta1", "one_minus_log"),
    "beta2": ("train.optimizer.beta2", "one_minus_log"),
    "rho": ("train.optimizer.rho", "one_minus_log"),
    "optimizer": ("train.optimizer.name", "choice"),
    "schedule": ("train.schedule.name", "choice"),
    "warmup": ("train.schedule.warmup", "linear"),
    "batch_size": ("train.batch_size", "int_log"),
    "epochs": ("train.epochs", "int_log"),
    "seed": ("train.seed", "int"),
    "average": ("train.average", "one_minus_log"),
    "l1": ("train.regularization.l1", "log"),
    "l2": ("train.regularization.l2", "log"),
    "clip_norm": ("train.regularization.clip_norm", "log"),
    "max_norm": ("train.regularization.max_norm", "log"),
    "dropout": ("model.options.dropout", "linear"),
    "hidden": ("model.options.hidden", "choice"),
    "activation": ("model.options.activation", "choice"),
    "model": ("model.name", "choice"),
    "label_smoothing": ("task.options.label_smoothing", "linear"),
}
_USUAL_SCALES = dict(SHORT.values())


@dataclass(frozen=True)
class Dimension:
    """One setting that is varied: between `low` and `high` on a scale, or over `choices`.

    points: how many values a grid takes of it; None: as many as the number of trials allows
    """

    setting: str
    scale: str
    low: float = 0.0
    high: float = 0.0
    choices: tuple[Any, ...] = ()
    points: int | None = None

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise unknown_name(f"scale of {self.setting}", self.scale, SCALES)
        if self.scale == "choice":
            if not self.choices:
                raise UserError(f"{self.setting}: expected at least one choice, received an empty list")
            return
        ends = f"{self.low:g}..{self.high:g}"
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise UserError(f"{self.setting}: expected low..high with low below high, received {ends}")
        if self.scale in ("log", "int_log") and self.low <= 0:
            raise UserError(f"{self.setting}: a logarithmic scale needs a low end above 0, received {ends}")
        if self.scale == "one_minus_log" and not (self.low >= 0 and self.high < 1):
            raise UserError(f"{self.setting}: the scale one_minus_log needs ends from 0 to below 1, received {ends}")
        if self.whole and (self.low != int(self.low) or self.high != int(self.high)):
            raise UserError(f"{self.setting}: the scale {self.scale} needs whole numbers, received {ends}")
        if self.points is not None and self.points < 2:
            raise UserError(f"{self.setting}: expected 2 or more points, received {self.points}")

    @property
    def whole(self) -> bool:
        return self.scale in ("int", "int_log")

    def value(self, position: float) -> Any:
        """The value at a position (0..1). Positions beyond are cut to it."""
        position = min(max(position, 0.0), 1.0)
        match self.scale:
            case "choice":
                return self.choices[min(int(position * len(self.choices)), len(self.choices) - 1)]
            case "int":
                return int(self.low) + min(int(position * (self.high - self.low + 1)), int(self.high - self.low))
            case "int_log":
                return int(min(max(round(_between(self.low, self.high, position)), self.low), self.high))
            case "log":
                found = _rounded(_between(self.low, self.high, position))
            case "one_minus_log":
                found = round(1 - _rounded(_between(1 - self.low, 1 - self.high, position)), 15)
            case _:
                found = _rounded(self.low + position * (self.high - self.low))
        return min(max(found, self.low), self.high)

    def position(self, value: Any) -> float:
        """The position of a value: the middle of the part of 0..1 that gives it, for choices and whole numbers."""
        match self.scale:
            case "choice":
                return (self.choices.index(value) + 0.5) / len(self.choices)
            case "int":
                return (value - self.low + 0.5) / (self.high - self.low + 1)
            case "log" | "int_log":
                return math.log(value / self.low) / math.log(self.high / self.low)
            case "one_minus_log":
                return math.log((1 - value) / (1 - self.low)) / math.log((1 - self.high) / (1 - self.low))
        return (value - self.low) / (self.high - self.low)

    def grid(self, points: int) -> list[Any]:
        """At most `points` different values, evenly spaced from end to end; every choice, however many there are."""
        if self.scale == "choice":
            return list(self.choices)
        if self.whole and self.high - self.low + 1 <= points:
            return list(range(int(self.low), int(self.high) + 1))
        return list(dict.fromkeys(self.value(index / (points - 1)) for index in range(points)))

    def ends(self) -> list[Any]:
        """The values that decide whether the dimension is possible at all: both ends, or every choice."""
        return list(self.choices) if self.scale == "choice" else [self.value(0.0), self.value(1.0)]

    def text(self) -> str:
        """What `parse_dimension` reads back: `train.optimizer.learning_rate=log:0.0001..1`."""
        if self.scale == "choice":
            return f"{self.setting}={json.dumps(list(self.choices), ensure_ascii=False)}"
        points = f":{self.points}" if self.points else ""
        low, high = (int(end) if self.whole else float(end) for end in (self.low, self.high))
        return f"{self.setting}={self.scale}:{low!r}..{high!r}{points}"


def _between(low: float, high: float, position: float) -> float:
    return math.exp(math.log(low) + position * (math.log(high) - math.log(low)))


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def parse_dimension(text: str) -> Dimension:
    """Reads `SETTING=SCALE:LOW..HIGH[:POINTS]`, `SETTING=LOW..HIGH` (the usual scale) or `SETTING=[choice, ...]`.

    SETTING is a dotted path of a recipe, or one of `SHORT`. Raises `UserError` naming what cannot be read.
    """
    name, equals, wanted = text.partition("=")
    if not equals or not name.strip() or not wanted.strip():
        raise UserError(
            f"--vary {text}: expected SETTING=SCALE:LOW..HIGH or SETTING=[choice, ...], "
            "for example learning_rate=log:1e-4..1"
        )
    return make_dimension(name.strip(), wanted.strip())


def make_dimension(name: str, wanted: str | Sequence[Any]) -> Dimension:
    """A dimension from the name of a setting and the rest of its text, or a list of choices."""
    setting = full_name(name)
    if not isinstance(wanted, str):
        return Dimension(setting, "choice", choices=tuple(json.loads(json.dumps(list(wanted)))))  # as files have them
    if wanted.startswith("["):
        return Dimension(setting, "choice", choices=tuple(_choices(wanted, name)))
    first, colon, rest = wanted.partition(":")
    scale, ends = (first.strip(), rest) if colon and ".." not in first else ("", wanted)
    if scale and scale not in SCALES:
        raise UserError(f"--vary {name}: unknown scale '{scale}'{did_you_mean(scale, SCALES) or _known(SCALES)}")
    ends, _, points = ends.partition(":")
    low, dots, high = ends.partition("..")
    if not dots:
        raise UserError(f"--vary {name}: expected LOW..HIGH, such as 1e-4..1, or [a, b], received '{wanted}'")
    if points and not points.strip().isdigit():
        raise UserError(f"--vary {name}: expected a whole number of points, received '{points}'")
    ends_are_whole = all(part.strip().lstrip("+-").isdigit() for part in (low, high))
    scale = scale or _USUAL_SCALES.get(setting) or ("int" if ends_are_whole else "linear")
    if scale == "choice":
        raise UserError(f"--vary {name}: expected a list of choices, such as [a, b], received '{wanted}'")
    return Dimension(
        setting, scale, _number(low, name), _number(high, name), points=int(points) if points.strip() else None
    )


def _known(names: Sequence[str]) -> str:
    return "; known: " + ", ".join(names)


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(f"--vary {name}: expected a number, received '{text.strip()}'") from None


def _choices(text: str, name: str) -> list[Any]:
    """The values of `[...]`: TOML, or bare words between commas."""
    found = settings.parse_value(text)
    if isinstance(found, list):
        return found
    if not text.endswith("]"):
        raise UserError(f"--vary {name}: the list of choices does not end with ]: {text}")
    return [settings.parse_value(word.strip()) for word in text[1:-1].split(",") if word.strip()]


def full_name(name: str) -> str:
    """The dotted path that a name stands for."""
    short = name.replace("-", "_")
    if short in SHORT:
        return SHORT[short][0]
    if "." not in name:
        raise UserError(
            f"--vary: unknown setting '{name}'{did_you_mean(short, SHORT)}; "
            f"short names: {', '.join(SHORT)}; any other by its path, such as train.optimizer.epsilon"
        )
    return name


def read_space(vary: Sequence[str] | Mapping[str, str | Sequence[Any]]) -> list[Dimension]:
    """The dimensions of a list of texts, or of a dictionary of setting -> text or list of choices."""
    if isinstance(vary, Mapping):
        space = [make_dimension(name, wanted) for name, wanted in vary.items()]
    else:
        space = [parse_dimension(text) for text in vary]
    if not space:
        raise UserError("a search needs something to vary, for example --vary learning_rate=log:1e-4..1")
    names = [dimension.setting for dimension in space]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UserError(f"--vary {twice[0]}: this setting is varied twice")
    return space


def apply(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """`recipe` with settings (dotted paths) replaced. Raises `UserError` for an unknown setting or one that is impossible."""
    tree: dict[str, Any] = settings.to_dict(recipe)
    for setting, value in values.items():
        tree = settings.override(tree, f"{setting}={json.dumps(value, ensure_ascii=False)}", Recipe)
    return settings.from_dict(Recipe, tree)


Box = list[tuple[float, float] | tuple[int, ...]]  # a dimension: least and greatest position; choices: those kept


def sample(space: Sequence[Dimension], seed: int, index: int, box: Box | None = None) -> dict[str, Any]:
    """The values of trial `index`: a pure function of its arguments, evenly distributed on each scale within the box."""
    drawn = np.random.default_rng((seed, index)).random(len(space))
    values = {}
    for place, (dimension, position) in enumerate(zip(space, drawn.tolist(), strict=True)):
        if box is None:
            values[dimension.setting] = dimension.value(position)
        elif dimension.scale == "choice":
            kept = box[place]
            values[dimension.setting] = dimension.choices[int(kept[min(int(position * len(kept)), len(kept) - 1)])]
        else:
            low, high = box[place]
            values[dimension.setting] = dimension.value(low + position * (high - low))
    return values

"""Remedies: for each gap the knobs that close it, those first that the run has not turned yet, each as a command.

Orthogonal (course notes §3.1.2): a bigger network is no remedy for variance, nor more data or augmentation one for training
rows that are not learnt. Within a gap the order is that of the course notes: for avoidable bias a bigger network, longer
training, a better optimiser, another architecture (§2.1.1, §2.1.2); for variance more data, augmentation, regularisation; for
mismatch a look at the differences and similar data (§3.2.9); for a validation set that was chosen by a larger one.
"""

from __future__ import annotations

import inspect
import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradus.data.augment.settings import AugmentSettings, get_preset
from gradus.doctor.case import Case
from gradus.doctor.gaps import is_still_falling
from gradus.errors import UserError
from gradus.models import MODELS, accepted_options, model_class, network_of
from gradus.recipes.weights import find_weights
from gradus.tasks.table import TASKS

SIZES = ("hidden", "width", "hidden_size", "channels", "widths", "embedding_size")  # options that widen a network
LEAST_WIDTH = 32
FAMILIES = (  # from small to large
    ("vgg11", "vgg13", "vgg16", "vgg19"),
    ("vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"),
    ("mobilenet_v1", "mobilenet_v2", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
    ("resnet20", "resnet32", "resnet44", "resnet56", "resnet110"),
    ("wrn16_4", "wrn16_8", "wrn28_10"),
    ("lenet5", "mnist_convnet"),
)
GENTLE = AugmentSettings(rotation=10.0, shift_horizontal=0.1, shift_vertical=0.1)
GENTLY = ("rotation", "shift_horizontal", "shift_vertical")
SIMPLE = ("logistic_regression", "mlp")  # no step up from anything else


@dataclass(frozen=True)
class Remedy:
    """One thing to try. flags: of `gradus train RECIPE`; command: another command, in place of them; where both are empty it
    is done by hand. used: the run has turned this knob already; first: the run shows that it is this one."""

    name: str
    about: str
    flags: tuple[str, ...] = ()
    command: str = ""
    used: bool = False
    first: bool = False


Knob = Callable[[Case], Remedy | None]  # None: this run has no such knob


def remedies_for(case: Case, kind: str) -> list[Remedy]:
    """The remedies for a gap that this run can take, those that it has not used first."""
    found = [remedy for knob in KNOBS[kind] if (remedy := knob(case)) is not None]
    return sorted(found, key=lambda remedy: (not remedy.first, remedy.used))


def command_of(case: Case, remedy: Remedy) -> str:
    """The remedy as a command line that works when pasted; empty where there is none, as for a network of the user's own."""
    if remedy.command or not remedy.flags or case.run is None or case.run.is_custom:
        return remedy.command
    path = case.run.path
    out = free_folder(path.with_name(f"{path.name}-{remedy.name}"))
    return shlex.join(["gradus", "train", str(path / "recipe.toml"), *remedy.flags, "--out", str(out)])


def free_folder(path: Path) -> Path:
    """The folder, or its name with a number behind it where there is one already."""
    number, found = 2, path
    while found.exists():
        found, number = path.with_name(f"{path.name}-{number}"), number + 1
    return found


def said_of(case: Case, remedies: list[Remedy]) -> tuple[str, ...]:
    """Remedies as lines: what it is, then the command where there is one, else the settings."""
    lines = []
    for remedy in remedies:
        told = command_of(case, remedy) or shlex.join(flag for flag in remedy.flags if flag != "--set")
        lines.append(f"{remedy.about}: {told}" if told else remedy.about)
    return tuple(lines)


def lesson_of(kind: str) -> str:
    """What to type where no command can make the network again: the lesson that shows the gap on a small example."""
    return f"gradus lesson {LESSONS[kind]}"


def option(case: Case, name: str) -> Any:
    """What the network has for an option: as the recipe says, else its default; None where it takes no such option."""
    model = case.recipe.model
    if model.name not in MODELS or name not in accepted_options(model.name):
        return None
    default = inspect.signature(model_class(model.name)).parameters[name].default
    return model.options.get(name, None if default is inspect.Parameter.empty else default)


def _set(name: str, value: Any) -> tuple[str, str]:
    return "--set", f"{name}={json.dumps(value) if isinstance(value, list) else value}"


# Training rows that are not learnt


def bigger(case: Case) -> Remedy | None:
    for name in SIZES:
        size = option(case, name)
        if isinstance(size, bool) or not isinstance(size, int | list | tuple):
            continue
        wider = max(2 * size, LEAST_WIDTH) if isinstance(size, int) else [max(2 * one, LEAST_WIDTH) for one in size]
        if wider:
            return Remedy("bigger", "a bigger network", _set(f"model.options.{name}", wider))
        return Remedy("bigger", "a hidden layer", _set(f"model.options.{name}", [64]))
    larger = next_in_family(case.recipe.model.name)
    return Remedy("bigger", "a bigger network", ("--model", larger)) if larger else None


def next_in_family(model: str) -> str:
    """The next larger network of the same family: resnet18 -> resnet34; empty where there is none."""
    family = next((names for names in FAMILIES if model in names[:-1]), ())
    return family[family.index(model) + 1] if family else ""


def longer(case: Case) -> Remedy:
    """The first remedy where the training loss was still falling at the end, and the run is past the simple methods: a network
    that is behind those is too small or learns too slowly to be waited for."""
    falling = case.run is not None and is_still_falling(case.run.history)
    said = "longer training: the training loss was still falling" if falling else "longer training"
    epochs = case.recipe.train.epochs
    flags = ("--epochs", str(2 * epochs if epochs > 2 else 10))
    return Remedy("longer", said, flags, used=not falling and epochs > 2, first=falling and is_past_baselines(case))


def is_past_baselines(case: Case) -> bool:
    """Whether the run is better than the best of its baselines."""
    metric, direction = case.task.monitored("")
    evaluation = case.run.evaluation if case.run is not None else {}
    others = [of[metric] for of in evaluation.get("baselines", {}).values() if metric in of]
    mine = evaluation.get("metrics", {}).get(metric)
    if mine is None or not others:
        return False
    return mine > max(others) if direction == "max" else mine < min(others)


def better_optimizer(case: Case) -> Remedy | None:
    train = case.recipe.train
    if train.optimizer.name not in ("adam", "adamw", "rmsprop") and not train.optimizer.momentum:
        return Remedy("adamw", "a better optimiser", ("--optimizer", "adamw"))
    if train.schedule.name == "constant":
        return Remedy("cosine", "a learning rate that falls to zero", _set("train.schedule.name", "cosine"))
    return None


def learning_rate(case: Case) -> Remedy | None:
    if case.run is None or case.run.is_custom or case.task.name == "control":
        return None
    recipe = shlex.quote(str(case.run.path / "recipe.toml"))
    return Remedy("rate", "the learning rate, found by a range test", command=f"gradus lr {recipe}", used=True)


def less_held_back(case: Case) -> Remedy | None:
    """Without what was meant against variance, where there is any."""
    train = case.recipe.train
    flags: list[str] = []
    if option(case, "dropout"):
        flags += _set("model.options.dropout", 0)
    for name, value in (
        ("optimizer.weight_decay", train.optimizer.weight_decay),
        ("regularization.l1", train.regularization.l1),
        ("regularization.l2", train.regularization.l2),
    ):
        if value:
            flags += _set(f"train.{name}", 0)
    flags += ["--augment", "none"] if case.recipe.augment.is_on else []
    return Remedy("free", "less that holds it back", tuple(flags)) if flags else None


def thawed(case: Case) -> Remedy | None:
    if not case.recipe.train.fine_tune.freeze:
        return None
    return Remedy("thawed", "frozen parts that learn too", _set("train.fine_tune.freeze", []))


def other_architecture(case: Case) -> Remedy | None:
    usual = TASKS[case.recipe.task.name].models
    mine = case.recipe.model.name
    others = [name for name in usual[:2] if name != mine and (name not in SIMPLE or mine == "logistic_regression")]
    return Remedy("architecture", "another architecture", ("--model", others[0])) if others else None


# What was learnt does not carry over


def more_rows(case: Case) -> Remedy | None:
    if case.recipe.data.rows:
        return Remedy("rows", "more data: all training rows", _set("data.rows", 0))
    return None


def would_rows_help(case: Case) -> Remedy | None:
    if case.run is None or case.run.is_custom or "validation" not in case.tensors or case.task.name == "control":
        return None
    command = shlex.join(["gradus", "doctor", str(case.run.path), "--learning-curve"])
    return Remedy("curve", "more data; how much they would help", command=command, used=True)


def augmented(case: Case) -> Remedy | None:
    """Changes that keep the class: photographs are mirrored too, grey pictures (digits, writing) are not."""
    if case.recipe.augment.is_on:
        return None
    colour = option(case, "in_channels") == 3
    wanted = get_preset("standard") if colour else GENTLE
    try:
        case.task.augmented(wanted, case.tensors["train"])
    except UserError:
        return None
    gentle = [flag for name in GENTLY for flag in _set(f"augment.{name}", getattr(GENTLE, name))]
    return Remedy("augmented", "augmentation", ("--augment", "standard") if colour else tuple(gentle))


def dropout(case: Case) -> Remedy | None:
    share = option(case, "dropout")
    if share is None or share >= 0.5:
        return None
    return Remedy("dropout", "dropout", _set("model.options.dropout", 0.5 if share else 0.3), used=bool(share))


def weight_decay(case: Case) -> Remedy:
    train = case.recipe.train
    decay = train.optimizer.weight_decay
    used = bool(decay or train.regularization.l2)
    wanted = 3 * decay if decay else 0.05 if train.optimizer.name == "adamw" else 5e-4
    return Remedy("decay", "weight decay", _set("train.optimizer.weight_decay", float(f"{wanted:.2g}")), used=used)


def pretrained(case: Case) -> Remedy | None:
    """Weights learnt from many photographs, where there are any for this network here."""
    model = case.recipe.model
    if model.weights or option(case, "in_channels") not in (None, 3) or model.name not in MODELS:
        return None
    network = network_of(model)
    if network not in MODELS or "in_channels" not in accepted_options(network):
        return None
    try:
        find_weights(network, "imagenet")
    except UserError:
        return None
    return Remedy("pretrained", "weights that were trained before", ("--weights", "imagenet"))


def smaller(case: Case) -> Remedy | None:
    for name in SIZES:
        size = option(case, name)
        if isinstance(size, bool) or not isinstance(size, int | list | tuple) or not size:
            continue
        narrower = max(size // 2, 1) if isinstance(size, int) else [max(one // 2, 1) for one in size]
        return Remedy("smaller", "a smaller network", _set(f"model.options.{name}", narrower), used=True)
    return None


# Rows of another source; a validation set that was chosen by


def slice_aside(case: Case) -> Remedy | None:
    """Training rows that are not learnt from tell variance from mismatch."""
    rows = len(case.targets("train"))
    if case.recipe.data.rows or case.dataset.ordered or rows < 20 or case.run is None or case.run.is_custom:
        return None
    kept = rows - max(min(rows // 10, 5_000), 2)
    about = "a slice of the training rows that is not trained on tells variance from mismatch (then: gradus doctor)"
    return Remedy("slice", about, _set("data.rows", kept))


def see_mistakes(case: Case) -> Remedy | None:
    if case.run is None or case.run.is_custom:
        return None
    command = shlex.join(["gradus", "report", str(case.run.path)])
    return Remedy("look", "a look at what is different: its mistakes", command=command)


def similar_data(case: Case) -> Remedy:
    return Remedy(
        "similar", "collect, or make, training rows that are like those that judge; put some of them in train"
    )


def larger_validation(case: Case) -> Remedy:
    held = case.recipe.data.validation
    if "validation" not in case.dataset.drawn or isinstance(held, str) or held <= 0:
        return Remedy("validation", "a larger validation set, of other rows")
    wanted = min(2 * held, 0.4) if held < 1 else int(2 * held)
    return Remedy("validation", "a larger validation set", _set("data.validation", round(wanted, 3)))


def some_validation(case: Case) -> Remedy:
    return Remedy("validation", "a validation set", _set("data.validation", 0.1))


def smoother_labels(case: Case) -> Remedy:
    share = case.recipe.task.options.get("label_smoothing", 0.0)
    wanted = 0.1 if share < 0.1 else (1 + share) / 2
    return Remedy("smoothed", "label smoothing", _set("task.options.label_smoothing", round(wanted, 3)))


def folds(case: Case) -> Remedy | None:
    if "validation" not in case.dataset.drawn or case.recipe.data.folds or case.dataset.ordered:
        return None
    return Remedy("folds", "folds, so that every row validates once", ("--folds", "5"))


LESSONS = {
    "avoidable-bias": "universal-approximation",
    "variance": "regularisation",
    "mismatch": "bad-splits",
    "validation-overused": "bad-splits",
}
KNOBS: dict[str, tuple[Knob, ...]] = {
    "avoidable-bias": (*(bigger, longer, better_optimizer, learning_rate, thawed, less_held_back, other_architecture),),
    "variance": (more_rows, augmented, dropout, weight_decay, pretrained, would_rows_help, smaller),
    "mismatch": (slice_aside, see_mistakes, similar_data, augmented),
    "validation-overused": (larger_validation, folds),
}

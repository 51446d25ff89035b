"""Weights to begin with, from what a user names: a safetensors file, a run's folder, or a name such as imagenet.

A name stands for `weights/MODEL-NAME.safetensors` in the folders of GRADUS_DATA and in the user's cache.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor, nn

from gradus.data.places import cache_folder, data_folders
from gradus.errors import UserError, did_you_mean
from gradus.models import ModelSettings, model_class
from gradus.models.preprocessing import Preprocessing, read_record
from gradus.models.weights import UNPICKLED, outputs_of, put_weights, read_weights
from gradus.recipes.recipe import Recipe
from gradus.tasks.inputs import ImageInputs, ImageOptions
from gradus.tasks.scenes import SceneInputs, SceneOptions
from gradus.tasks.table import TASKS
from gradus.tasks.task import InputTargetTask, Task
from gradus.train import checkpoint
from gradus.train.folder import RunFolder

FROM_DATA = ("anchors",)  # options of networks that are found in the training rows
# what a record cannot say
PER_PICTURE = "each by its own mean and deviation; for the same give --set task.options.normalize=per-picture"


@dataclass(frozen=True)
class Weights:
    """Trained weights and what goes with them.

    where:  the file or run, for messages; record: how its pictures are prepared, where that is known
    model:  the network of the run that they are of, where they are of one
    """

    where: str
    tensors: dict[str, Tensor]
    record: Preprocessing | None
    notes: tuple[str, ...]
    model: ModelSettings | None = None


def find_weights(network: str, given: str) -> Path:
    """The file or run's folder that is named. Raises `UserError` that lists what there is where there is none."""
    path = Path(given).expanduser()
    if _is_file_or_run(path):
        return path.resolve()
    if path.suffix.lower() in (".safetensors", *UNPICKLED) or len(path.parts) > 1:
        raise UserError(f"--weights {given}: there is no such file or run")
    folders = [folder / "weights" for folder in (*data_folders(), cache_folder())]
    for folder in folders:
        file = folder / f"{network}-{given}.safetensors"
        if file.exists():
            return file
    found = sorted({file.stem for folder in folders for file in folder.glob("*.safetensors")})
    mine = [stem.removeprefix(f"{network}-") for stem in found if stem.startswith(f"{network}-")]
    if mine:
        known = did_you_mean(given, mine) or f"; there are: {', '.join(mine)}"
        raise UserError(f"there are no weights '{given}' of {network}{known}")
    have = f" (there are {', '.join(found)})" if found else ""
    raise UserError(
        f"there are no weights '{given}' of {network}{have}; bring a downloaded file over with: "
        f"gradus import FILE.pth --model {network} --out {given}"
    )


def _is_file_or_run(path: Path) -> bool:
    """Whether this is a path. A folder in plain sight that is no run (of the pictures of imagenet, say) is none, but a name."""
    return path.exists() and (len(path.parts) > 1 or path.is_file() or (path / "recipe.toml").exists())


def load_weights(network: str, given: str) -> Weights:
    """The weights that are named, for a network of the table."""
    model_class(network)  # an unknown name is told before anything else
    path = find_weights(network, given)
    return _of_run(path) if path.is_dir() else _of_file(network, path)


def _of_file(network: str, path: Path) -> Weights:
    tensors = read_weights(path)
    with safe_open(path, "pt") as file:
        about = file.metadata() or {}
    usual_size = getattr(model_class(network), "usual_image_size", None)
    record, note = read_record(path, network, outputs_of(network, tensors) or 0, usual_size)
    words = [f"{path.stat().st_size / 2**20:.1f} MiB"]
    words += [text for text in ((record.source if record else "") or about.get("source"), about.get("licence")) if text]
    return Weights(str(path), tensors, record, (f"weights: {path} ({', '.join(words)})", *([note] if note else [])))


def _of_run(path: Path) -> Weights:
    """The best weights of a run (the last where there was nothing to choose by), and its own preprocessing."""
    from gradus.recipes.run import load_run  # which makes its data ready by what stands here

    run = load_run(path)
    folder = RunFolder(run.path).checkpoints
    name = "best" if checkpoint.exists(folder, "best") else "last"
    tensors = checkpoint.load(folder, name).model
    inputs = run.task.inputs if isinstance(run.task, InputTargetTask) else None
    record, notes = None, [f"weights: the {name} ones of {path}"]
    if isinstance(inputs, ImageInputs) and inputs.options.normalize == "per-picture":
        notes.append(f"{path} saw its pictures {PER_PICTURE}")
    elif isinstance(inputs, ImageInputs):
        options, unit = inputs.options, inputs.options.normalize == "unit"
        record = Preprocessing(
            image_size=inputs.seen_size,
            fit=options.fit,
            resize=inputs.size if options.crop_size else None,
            mean=(0.0,) * inputs.channels if unit else tuple(value / 255 for value in inputs.mean),
            deviation=(1.0,) * inputs.channels if unit else tuple(value / 255 for value in inputs.deviation),
            channel_order=options.channel_order,
            classes=_classes_of(run.task),
            source=str(path),
        )
    elif isinstance(scene := getattr(run.task, "inputs", None), SceneInputs):
        record = Preprocessing(
            mean=tuple(value / 255 for value in scene.mean),
            deviation=tuple(value / 255 for value in scene.deviation),
            channel_order=scene.options.channel_order,
            classes=_classes_of(run.task),
            source=str(path),
        )
    return Weights(str(path), tensors, record, tuple(notes), run.recipe.model)


def made_as(weights: Weights, recipe: Recipe) -> tuple[Recipe, list[str]]:
    """The recipe with what the weights' network had found in its data and they mean nothing without, the anchors of a detector,
    but for what its own options say; and a note on it."""
    if weights.model is None or weights.model.name != recipe.model.name:
        return recipe, []
    taken = {name: weights.model.options.get(name) for name in FROM_DATA if name not in recipe.model.options}
    taken = {name: value for name, value in taken.items() if value is not None}
    if not taken:
        return recipe, []
    options = {**recipe.model.options, **taken}
    note = f"{', '.join(taken)}: those that the weights were trained with"
    return replace(recipe, model=replace(recipe.model, options=options)), [note]


def put_into(model: nn.Module, found: Weights, task: Task) -> list[str]:
    """Puts the weights into a model for a task, and returns notes. Where outputs had other names, the head is kept only if
    none of them is among the task's classes: then one name may stand for another, else an output would change its meaning."""
    load_backbone = getattr(model, "load_backbone", None)
    made = getattr(model, "created_as", None)
    same = found.model is not None and made is not None and found.model.name == made.name
    if load_backbone is not None and not same and not set(model.state_dict()) <= set(found.tensors):
        return load_backbone(found.tensors, found.where)
    theirs = found.record.classes if found.record else ()
    mine = _classes_of(task)
    others = len(theirs) == len(mine) and theirs != mine
    moved = others and not set(theirs).isdisjoint(mine)
    notes = put_weights(model, found.tensors, found.where, other_classes=moved)
    if others and not notes:
        notes.append(
            f"the head is kept, though its classes have other names: {mine[0]}, ... in place of {theirs[0]}, ..."
        )
    return notes


def _classes_of(task: Task) -> tuple[str, ...]:
    """The names of the classes that a task tells apart, of pictures, of objects or of pixels; () of another task."""
    told = next((part for part in (getattr(task, "target", None), getattr(task, "kind", None), task) if part), None)
    return tuple(getattr(told, "classes", ()))


def prepare_as(record: Preprocessing, recipe: Recipe) -> tuple[Recipe, list[str]]:
    """The recipe with its pictures prepared as the weights expect, but for what its own options say; and a note on it."""
    kind = TASKS.get(recipe.task.name)
    if kind is not None and SceneOptions in kind.options:
        return _scenes_as(record, recipe)
    if kind is None or ImageOptions not in kind.options:
        return recipe, []
    options: dict[str, Any] = dict(recipe.task.options)
    own_size = options.get("image_size") is not None
    options.setdefault("fit", record.fit)
    if not own_size:
        options["image_size"] = record.resize or record.image_size
        if record.resize:
            options.setdefault("crop_size", record.image_size)
    own_scale = [name for name in ("normalize", "mean", "deviation") if name in options]
    if not own_scale:
        options["mean"], options["deviation"] = list(record.mean), list(record.deviation)
    if record.channel_order != "rgb":
        options.setdefault("channel_order", record.channel_order)
    note = f"pictures as these weights expect them: {record.describe()}"
    kept = [name for name in ("image_size", "fit", *own_scale) if name in recipe.task.options]
    if kept:
        note += f"; but for {', '.join(kept)}, as the task's options say"
    return replace(recipe, task=replace(recipe.task, options=options)), [note]


def _scenes_as(record: Preprocessing, recipe: Recipe) -> tuple[Recipe, list[str]]:
    """Of what backbones expect only the scale of the colours counts: they take pictures of any size."""
    options: dict[str, Any] = dict(recipe.task.options)
    if "mean" in options or "deviation" in options:
        return recipe, []
    options |= {"mean": list(record.mean), "deviation": list(record.deviation)}
    options.setdefault("channel_order", record.channel_order)
    mean, deviation = (", ".join(f"{value:g}" for value in row) for row in (record.mean, record.deviation))
    note = f"pictures in the colours that these weights expect: mean {mean}, deviation {deviation}"
    return replace(recipe, task=replace(recipe.task, options=options)), [note]


def named_weights(recipe: Recipe) -> Recipe:
    """The recipe with a path of weights made absolute, so that a run can be continued from any folder."""
    path = Path(recipe.model.weights).expanduser()
    if not (recipe.model.weights and _is_file_or_run(path)):
        return recipe
    return replace(recipe, model=replace(recipe.model, weights=str(path.resolve())))

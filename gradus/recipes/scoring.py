"""Scores of the pictures that a run makes, by the eyes of a classifier of our own: no network of others is needed.

Beside each number stand that of held-out pictures, which is what perfect ones would get, and that of pure noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gradus.data.load import DataSettings
from gradus.errors import UserError
from gradus.look.resemblance import coverage, frechet, nearest, precision_and_recall
from gradus.look.scores import Measure, Scores
from gradus.models import ModelSettings
from gradus.models.auxiliary import main_outputs
from gradus.models.stages import head_of
from gradus.recipes.picturing import generation_task, labels_asked, make_pictures
from gradus.recipes.recipe import Recipe
from gradus.tasks.generation import GenerationTask
from gradus.tasks.inputs import ImageInputs
from gradus.tasks.settings import TaskSettings
from gradus.tasks.targets import ClassTarget
from gradus.tasks.task import InputTargetTask
from gradus.train.randomness import derive
from gradus.train.settings import OptimizerSettings, TrainSettings

if TYPE_CHECKING:
    from gradus.recipes.run import Run

COUNT = 2_000  # pictures that are made, where as many were held out
LEAST = 10  # pictures, below which numbers mean nothing
REFERENCE = 10_000  # training pictures that the Fréchet distance is to
KNOWN = 60_000  # training pictures that are searched for the nearest
COMPARED = 5_000  # pictures of each side in precision and recall, at most: all distances between them are computed
FLOATS = 200_000_000  # pixels of training pictures that are held for it, at most
AT_ONCE = 500
JUDGE_ROWS, JUDGE_EPOCHS = 12_000, 3


@dataclass(frozen=True)
class Seen:
    """What the judge sees of pictures: features (N, F) of its last layer but one, probabilities (N, K); pixels (N, P) 0..1."""

    features: np.ndarray
    probabilities: np.ndarray
    pixels: np.ndarray

    def __getitem__(self, rows: slice) -> Seen:
        return Seen(self.features[rows], self.probabilities[rows], self.pixels[rows])


def score_run(
    run: Run,
    judge: Run | None = None,
    *,
    count: int | None = None,
    seed: int = 0,
    sampling: Mapping[str, Any] | None = None,
    tell: Callable[[int], None] = lambda made: None,
    say: Callable[[str], None] = lambda line: None,
) -> Scores:
    """Makes `count` pictures (None: 2000, or as many as were held out) and measures them. The same seed gives the same numbers.

    judge: a run of a classifier on pictures of the same size; None: one in RUN/judge, trained there where there is none yet

    Raises `UserError` for a run that makes no pictures, a judge that cannot judge them, or too few pictures.
    """
    task = generation_task(run)
    if judge is not None:
        check_judge(judge, task)
    if count is not None and count < LEAST:
        raise UserError(f"--count: expected {LEAST} pictures or more to be scored, received {count}")
    tensors = run.experiment.tensors
    split = next((name for name in ("test", "validation") if name in tensors), None)
    if split is None or min(len(tensors[name]["targets"]) for name in (split, "train")) < LEAST:
        raise UserError(f"{run.path}: scores need {LEAST} held-out pictures to compare with; this run held none out")
    judge = judge if judge is not None else judge_of(run, say)
    check_judge(judge, task)
    known, held = (pictures_learnt(run, name, seed) for name in ("train", split))
    count = min(COUNT, len(held)) if count is None else count
    held = held[:count]
    say(f"making {count} pictures")
    made = make_pictures(run, count, seed=seed, sampling=sampling, tell=tell)
    noise = np.random.default_rng(derive(seed, 1)).integers(
        0, 256, (min(count, COUNT), *made.shape[1:]), dtype=np.uint8
    )
    say(f"judged by {judge.recipe.model.name} ({judge.path}), beside {len(held):,} pictures of the {split} split")
    seen = {name: look_at(judge, pictures) for name, pictures in (("made", made), ("held", held), ("noise", noise))}
    training = look_at(judge, known)
    asked = labels_asked(task, count, None)
    names = list(judge.task.target.classes)  # type: ignore[attr-defined]
    told = None
    if asked[0] is not None and {*asked} <= {*names}:
        told = np.array([names.index(str(label)) for label in asked])
    learnt = None if not task.column or not {*task.asked} <= {*names} else np.isin(names, task.asked)
    truth = _truth(task, tensors[split]["targets"], names, seed)
    measures, found = measure(seen, training, told, None if truth is None else truth[: len(held)], names, learnt)
    return Scores(
        title=f"Pictures by {run.recipe.model.name} on {run.experiment.dataset.name}",
        judge=f"{judge.recipe.model.name} ({judge.path})",
        counts={"made": count, "held_out": len(held), "training": len(known), "seed": seed},
        measures=measures,
        made=made,
        labels=asked,
        known=known,
        nearest_pixels=found["pixels"],
        nearest_features=found["features"],
        distances={"made": found["pixels"][1], "held": found["held"]},
    )


def pictures_learnt(run: Run, split: str, seed: int, most: int = KNOWN) -> np.ndarray:
    """(N, H, W, C) uint8: up to `most` pictures of a split, drawn by the seed, as the network learns them."""
    task, tensors, device = generation_task(run), run.experiment.tensors[split], next(run.model.parameters()).device
    most = min(most, FLOATS // (task.inputs.channels * task.inputs.size**2))
    rows = _drawn(len(tensors["targets"]), seed)[:most]
    parts = []
    for start in range(0, len(rows), AT_ONCE):
        chosen = rows[start : start + AT_ONCE]
        inputs, _ = task.prepare({name: tensor[chosen].to(device) for name, tensor in tensors.items()}, training=False)
        parts.append(task.pictures_of(inputs if isinstance(inputs, Tensor) else inputs[0]))
    return np.concatenate(parts)


def _drawn(rows: int, seed: int) -> Tensor:
    return torch.randperm(rows, generator=torch.Generator().manual_seed(derive(seed, 2)))[:KNOWN]


def _truth(task: GenerationTask, targets: Tensor, names: list[str], seed: int) -> np.ndarray | None:
    """(rows,) the classes of the pictures of a split by the judge's numbers; None where they have no such classes."""
    if not task.column or not {*task.asked} <= {*names}:
        return None
    return np.array([names.index(name) for name in task.asked])[targets[_drawn(len(targets), seed)].numpy()]


# ---------------------------------------------------------------- the judge


def check_judge(judge: Run, task: GenerationTask) -> None:
    """Raises `UserError` where a run is no classifier of pictures of this size and these channels."""
    other = judge.task
    if not isinstance(other, InputTargetTask) or not isinstance(other.inputs, ImageInputs):
        raise UserError(f"--judge {judge.path}: its task is {other.name}; a judge is a run of image-classification")
    if not isinstance(other.target, ClassTarget):
        raise UserError(f"--judge {judge.path}: a judge tells classes, one a picture; this run's target is another")
    mine, its = (_kind(inputs) for inputs in (task.inputs, other.inputs))
    if mine != its:
        raise UserError(f"--judge {judge.path}: it judges {its} pictures, but {mine} ones are made")


def _kind(inputs: ImageInputs) -> str:
    colours = "grey" if inputs.types[inputs.column].channels == 1 else "colour"
    return f"{inputs.size}x{inputs.size} {colours}"


def judge_of(run: Run, say: Callable[[str], None]) -> Run:
    """The classifier in RUN/judge, trained there in a little while on the run's own training pictures where there is none."""
    from gradus.recipes.execute import train_recipe
    from gradus.recipes.run import load_run

    path, task = run.path / "judge", generation_task(run)
    if (path / "evaluation.json").exists():
        return load_run(path)
    if not task.column:
        raise UserError(f"{run.path}: its pictures have no classes to train a judge with; name one with --judge RUN")
    dataset = run.experiment.dataset
    size, rows = task.inputs.size, len(dataset["train"])
    small = {"pattern": "[CONV->POOL]x2->FC", "dense": 64} if size < 18 else {}
    recipe = Recipe(
        data=DataSettings(
            source=run.recipe.data.source, target=task.column, validation=0, test=0, rows=min(rows, JUDGE_ROWS)
        ),
        task=TaskSettings(name="image-classification", options={"normalize": "unit", "image_size": size}),
        model=ModelSettings(name="convnet" if small else "mnist_convnet", options=small),
        train=TrainSettings(
            epochs=max(JUDGE_EPOCHS, min(30, JUDGE_ROWS * JUDGE_EPOCHS // rows)),
            batch_size=64,
            optimizer=OptimizerSettings(name="adam", learning_rate=0.001),
        ),
    )
    say(f"training a judge, {recipe.model.name}, on {recipe.data.rows:,} of the training pictures ({path})")
    judge = train_recipe(recipe, path, dataset=dataset)
    accuracy = judge.evaluation["metrics"]["accuracy"]
    say(f"the judge is right for {100 * accuracy:.1f} % of the {judge.evaluation['split']} pictures")
    return judge


def look_at(judge: Run, pictures: np.ndarray) -> Seen:
    """What a classifier sees of uint8 pictures (N, H, W, C)."""
    model, caught, probabilities = judge.model, list[Tensor](), []

    def catch(module: Any, arguments: tuple[Tensor, ...]) -> None:
        maps = arguments[0].float().cpu()
        caught.append(maps if maps.ndim == 2 else maps.flatten(2).mean(dim=2))

    handle = model.get_submodule(head_of(model)).register_forward_pre_hook(catch)
    try:
        with torch.inference_mode():
            for start in range(0, len(pictures), AT_ONCE):
                batch = torch.from_numpy(pictures[start : start + AT_ONCE]).to(judge.plan.device)
                inputs, _ = judge.task.prepare({"inputs": batch}, training=False)
                probabilities.append(main_outputs(model(inputs)).float().softmax(dim=1).cpu())
    finally:
        handle.remove()
    pixels = pictures.reshape(len(pictures), -1).astype(np.float32) / 255
    return Seen(torch.cat(caught).numpy(), torch.cat(probabilities).numpy(), pixels)


# ---------------------------------------------------------------- the numbers


def measure(
    seen: Mapping[str, Seen],
    training: Seen,
    told: np.ndarray | None,
    truth: np.ndarray | None,
    classes: list[str],
    learnt: np.ndarray | None = None,
) -> tuple[list[Measure], dict[str, Any]]:
    """The measures in the order in which they are told, and the nearest training pictures that were found on the way.

    told, truth: (N,) the classes that pictures were asked for as, and those of the held-out ones; None where there are none
    learnt: (K,) which classes the training pictures are of, where that is known: the judge may misread some as others
    """
    made, held = seen["made"], seen["held"]
    answers = {name: one.probabilities.argmax(axis=1) for name, one in seen.items()}
    expected = np.bincount(training.probabilities.argmax(axis=1), minlength=len(classes)) / len(training.pixels)
    if learnt is not None and expected[learnt].any():
        expected = expected * learnt
    covered = {
        name: coverage(np.bincount(found, minlength=len(classes)) / len(found), expected)
        for name, found in answers.items()
    }
    reference = training[:REFERENCE]
    rows = min(COMPARED, *(len(one.pixels) for one in (made, held, reference)))
    real = reference.features[:rows]
    sides = {name: precision_and_recall(real, one.features[:rows]) for name, one in seen.items()}
    pixels, features = (nearest(getattr(made, part), getattr(training, part)) for part in ("pixels", "features"))
    held_pixels, held_features = (
        nearest(getattr(held, part), getattr(training, part))[1] for part in ("pixels", "features")
    )
    closest = float(np.quantile(held_pixels, 0.01))

    def each(value: Callable[[str], float | None]) -> dict[str, float | None]:
        return {name: value(name) for name in seen}

    asked = int((expected > 0).sum())
    measures = []
    if told is not None:
        right = {"made": float((answers["made"] == told).mean()), "noise": None}
        right["held"] = None if truth is None else float((answers["held"] == truth).mean())
        measures.append(Measure("recognised", "share", right))
    measures += [
        Measure("confidence", "share", each(lambda name: float(seen[name].probabilities.max(axis=1).mean()))),
        Measure("classes_covered", f"of {asked}", each(lambda name: covered[name][0])),
        Measure("rarest_class", "share", each(lambda name: covered[name][1])),
        Measure("frechet", "", each(lambda name: frechet(seen[name].features, reference.features))),
        Measure("precision", "share", each(lambda name: sides[name][0])),
        Measure("recall", "share", each(lambda name: sides[name][1])),
        Measure("nearest_pixels", "", {"made": _median(pixels[1]), "held": _median(held_pixels), "noise": None}),
        Measure("nearest_features", "", {"made": _median(features[1]), "held": _median(held_features), "noise": None}),
        Measure("copies", "share", {"made": float((pixels[1] < closest).mean()), "held": 0.01, "noise": None}),
    ]
    return measures, {"pixels": pixels, "features": features, "held": held_pixels}


def _median(values: np.ndarray) -> float:
    return float(np.median(values))

"""Whether augmentation changes what a picture is: each part of it alone, judged by neighbours that never saw it."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gradus.data.augment.settings import AugmentSettings, factors
from gradus.doctor.case import Case, NotHere
from gradus.doctor.commands import train_with
from gradus.doctor.finding import Finding
from gradus.look.measures import wilson_interval
from gradus.tasks.inputs import ImageInputs

REFERENCE, ASKED = 3_000, 400  # rows that are compared with, and rows that are changed
SIDE = 14  # pixels that pictures are made small to
NEIGHBOURS, AGREE = 5, 4
TELLS = 0.75  # share of unchanged rows that the neighbours must name rightly; below, they cannot judge
HARMFUL = (
    0.12  # share of these, at least, that are clearly of another class when changed: the lower end of its interval
)
CERTAIN = {"flip_horizontal": 1.0, "flip_vertical": 1.0}  # what is done with a probability is done to all
PARTS = (
    "flip_horizontal",
    "flip_vertical",
    "rotation",
    "shear",
    "zoom",
    "shift_horizontal",
    "shift_vertical",
    "crop_area",
)


def find_harm(case: Case) -> list[Finding]:
    """Changed pictures whose nearest unchanged ones are of another class. Neighbours are sought at every shift of a small
    picture by one pixel, so that a picture that only moved finds its own class again.
    """
    inputs, settings = getattr(case.task, "inputs", None), case.recipe.augment
    if not settings.is_on or not isinstance(inputs, ImageInputs):
        raise NotHere("no pictures are augmented")
    labels = case.targets("train") if case.classes else np.empty(0)
    rows = np.random.default_rng(case.seed).permutation(case.rows_of("train", REFERENCE + ASKED))
    asked, reference = rows[: len(rows) // 8], rows[len(rows) // 8 :][:REFERENCE]
    column = case.tensors["train"]["inputs"]
    pictures = {"asked": column[torch.as_tensor(asked)], "reference": column[torch.as_tensor(reference)]}
    plain = AugmentSettings(fill=settings.fill, fill_value=settings.fill_value, random_crop=settings.random_crop)

    def small(which: str, part: AugmentSettings) -> Tensor:
        changed, _ = inputs.augmentation(part, column)(pictures[which])
        return functional.adaptive_avg_pool2d(changed.float().cpu(), min(SIDE, changed.shape[-1]))

    known, given = small("reference", plain), labels[reference]
    before = _votes(small("asked", plain), known, given, len(case.classes))
    right = before[np.arange(len(asked)), labels[asked]] >= AGREE
    if right.mean() < TELLS:
        raise NotHere(f"neighbours name {100 * right.mean():.0f} % of the unchanged pictures: too few to judge by")
    found = []
    for name in (name for name in PARTS if _is_on(settings, name)):
        part = replace(plain, **{name: CERTAIN.get(name, getattr(settings, name))})
        votes = _votes(small("asked", part), known, given, len(case.classes))
        votes[np.arange(len(asked)), labels[asked]] = 0
        moved = right & (votes.max(axis=1) >= AGREE)
        share = float(moved.sum() / right.sum())
        case.measured.setdefault("pictures that augmentation makes another class", {})[name] = share
        if wilson_interval(int(moved.sum()), int(right.sum()))[0] >= HARMFUL:
            found.append(_finding(case, name, share, votes[moved], labels[asked][moved], asked[moved]))
    return sorted(found, key=lambda one: -one.strength)[:1]


def _is_on(settings: AugmentSettings, name: str) -> bool:
    value = getattr(settings, name)
    return value != {field.name: field.default for field in fields(settings)}[name] and (
        name != "zoom" or factors(value) != (1, 1)
    )


def _votes(pictures: Tensor, known: Tensor, labels: np.ndarray, classes: int) -> np.ndarray:
    """(N, classes) how many of the nearest `known` pictures are of each class, at the best shift of each."""
    flat = _even(known)
    nearest = torch.full((len(pictures), len(known)), float("inf"))
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            moved = torch.roll(pictures, (down, right), dims=(2, 3))
            nearest = torch.minimum(nearest, torch.cdist(_even(moved), flat))
    neighbours = labels[nearest.topk(NEIGHBOURS, largest=False).indices.numpy()]
    return (neighbours[:, :, None] == np.arange(classes)).sum(axis=1)


def _even(pictures: Tensor) -> Tensor:
    """(N, D) with mean 0 and length 1, so that brightness and contrast do not count."""
    flat = pictures.flatten(1)
    return functional.normalize(flat - flat.mean(dim=1, keepdim=True), dim=1)


def _finding(case: Case, name: str, share: float, votes: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> Finding:
    taken = votes.argmax(axis=1)
    pairs, counts = np.unique(np.stack([labels, taken]), axis=1, return_counts=True)
    source, goal = pairs[:, counts.argmax()]
    return Finding(
        kind="harmful-augmentation",
        told=f"{name} makes {100 * share:.0f} % of the pictures into those of another class by their neighbours, most often "
        f"'{case.classes[source]}' into '{case.classes[goal]}', while they keep their labels",
        where=f"augment.{name}",
        value=share,
        usual=f"below {100 * HARMFUL:.0f} %",
        strength=min(0.95, 0.6 + share / 2),
        command=train_with(case, f"augment.{name}=0", lesson="coordinate-change"),
        others=("--augment digits has what suits writing and signs",),
        rows={"train": sorted(int(row) for row in rows[:20])},
    )

"""What is examined: a recipe with its data and network, and small parts of real data sets to make it of.

A fault stands in one of four places: in the columns of a data set, in the settings of a recipe, in a network, or in the code that
trains, which a context manager changes as long as the training and the examination last.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import nn

import gradus
from gradus.data.augment.settings import AugmentSettings
from gradus.data.columns import Column, Image, Label
from gradus.data.dataset import Dataset, Split
from gradus.data.images import EncodedImages, stack_pictures
from gradus.data.load import DataSettings
from gradus.models import ModelSettings
from gradus.recipes.experiment import train_settings
from gradus.recipes.recipe import Recipe
from gradus.tasks.settings import TaskSettings


@dataclass(frozen=True, kw_only=True)
class Subject:
    """recipe and dataset; model: makes a network of one's own; patched: what is changed in the code while it lasts;
    trained: whether there is a run to examine, or the recipe alone."""

    recipe: Recipe
    dataset: Dataset
    model: Callable[[], nn.Module] | None = None
    patched: Callable[[], AbstractContextManager[Any]] = field(default=nullcontext)
    trained: bool = True

    def made_model(self) -> nn.Module | None:
        """A new network of one's own, the same each time; None where the recipe names one."""
        if self.model is None:
            return None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return self.model()


def subject(
    dataset: Dataset,
    model: str | Callable[[], nn.Module],
    *,
    options: dict[str, Any] | None = None,
    weights: str = "",
    task: str = "",
    task_options: dict[str, Any] | None = None,
    augment: AugmentSettings | None = None,
    patched: Callable[[], AbstractContextManager[Any]] = nullcontext,
    trained: bool = True,
    **training: Any,
) -> Subject:
    """A subject from a data set and a network, by name or as what makes it. training: as for `gradus.fit`."""
    settings = {"optimizer": "adam", "learning_rate": 1e-3, "batch_size": 64, "device": "cpu", "threads": 1}
    named = ModelSettings(name=model, options=options or {}, weights=weights) if isinstance(model, str) else None
    recipe = Recipe(
        data=DataSettings(source=dataset.source, validation=0.15, test=0.2),
        task=TaskSettings(name=task, options=task_options or {}),
        model=named or ModelSettings(),
        augment=augment or AugmentSettings(),
        train=train_settings(**{**settings, **training}),
    )
    made = None if isinstance(model, str) else model
    return Subject(recipe=recipe, dataset=dataset, model=made, patched=patched, trained=trained)


@functools.cache
def small(source: str, train: int, test: int = 0, side: int = 0) -> Dataset:
    """So many rows of a data set, drawn at random; of a series the first ones. Pictures are decoded, to `side` pixels if said."""
    dataset = gradus.load_data(source)
    random = np.random.default_rng(0)
    splits = {}
    for name, rows in (("train", train), ("test", test)):
        if rows and name in dataset.splits:
            whole = dataset[name]
            chosen = np.arange(rows) if dataset.ordered else np.sort(random.permutation(len(whole))[:rows])
            splits[name] = _decoded(whole.take(chosen), side)
    return dataset.with_splits(splits)


def _decoded(split: Split, side: int) -> Split:
    columns = dict(split.columns)
    for name, column in columns.items():
        if isinstance(column.type, Image) and isinstance(column.values, EncodedImages):
            size = (side, side) if side else column[0].shape[:2]
            columns[name] = Column(column.type, stack_pictures(column, size, "stretch"))
    return Split(columns, split.origins)


# Changes of a data set: each gives another one


def put(dataset: Dataset, split: str, **values: Any) -> Dataset:
    """With other values in columns of a split."""
    before = dataset[split]
    columns = {name: replace(column, values=values.get(name, column.values)) for name, column in before.columns.items()}
    return dataset.with_splits({**dataset.splits, split: Split(columns, before.origins)})


def add(dataset: Dataset, name: str, column_of: Callable[[Split], Column]) -> Dataset:
    """With one column more in every split, which stands before the others."""
    splits = {
        key: Split({name: column_of(split), **split.columns}, split.origins) for key, split in dataset.splits.items()
    }
    return dataset.with_splits(splits)


def only(dataset: Dataset, *names: str) -> Dataset:
    """With these columns alone."""
    splits = {
        key: Split({name: split.columns[name] for name in names}, split.origins)
        for key, split in dataset.splits.items()
    }
    return dataset.with_splits(splits)


def cut(dataset: Dataset, **shares: float) -> Dataset:
    """Training rows set aside as other splits, at random: `test=0.25`."""
    train = dataset["train"]
    order = np.random.default_rng(1).permutation(len(train))
    splits = dict(dataset.splits)
    for name, share in shares.items():
        number = round(share * len(train))
        splits[name], order = train.take(np.sort(order[:number])), order[number:]
    return dataset.with_splits({**splits, "train": train.take(np.sort(order))})


def labels_of(dataset: Dataset, split: str) -> np.ndarray:
    """(N,) a copy of the class numbers of a split."""
    assert dataset.target is not None
    return np.array(dataset[split][dataset.target].values)


def relabelled(dataset: Dataset, change: Callable[[np.ndarray], np.ndarray], *splits: str) -> Dataset:
    """With the class numbers of some splits (all where none is named) changed by a function."""
    assert dataset.target is not None
    for split in splits or tuple(dataset.splits):
        dataset = put(dataset, split, **{dataset.target: change(labels_of(dataset, split))})
    return dataset


def pictures_of(dataset: Dataset, split: str) -> np.ndarray:
    """uint8 (N, H, W, C): the pictures of a split."""
    return np.asarray(dataset[split]["image"].values)


def two_classes(dataset: Dataset, first: int, second: int, most: tuple[int, int], names: tuple[str, str]) -> Dataset:
    """The rows of two classes only, of the training rows at most so many of each, of the others as many in proportion."""
    assert dataset.target is not None
    splits = {}
    for name, split in dataset.splits.items():
        labels = labels_of(dataset, name)
        share = len(split) / len(dataset["train"])
        chosen = [np.flatnonzero(labels == kind) for kind in (first, second)]
        kept = [rows[: max(1, round(share * number))] for rows, number in zip(chosen, most, strict=True)]
        rows = np.sort(np.concatenate(kept))
        taken = split.take(rows)
        column = Column(Label(classes=names), (labels[rows] == second).astype(np.int64))
        splits[name] = Split({**taken.columns, dataset.target: column}, taken.origins)
    return dataset.with_splits(splits)

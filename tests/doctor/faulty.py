"""Cases for the checks of data: embedded data sets with something planted in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

import gradus
from gradus.data.columns import Column, ColumnType, Image, Label
from gradus.data.dataset import Dataset, NumberedRows, Split
from gradus.data.load import DataSettings
from gradus.data.splits import complete_splits
from gradus.doctor.case import Case
from gradus.doctor.examine import open_case
from gradus.doctor.finding import Finding
from gradus.recipes.recipe import Recipe
from gradus.tasks.settings import TaskSettings

Values = dict[str, np.ndarray]
Check = Callable[[Case], list[Finding]]


def case_of(dataset: Dataset, task: str = "", **options: object) -> Case:
    """The case of a data set with the splits that it has."""
    data = DataSettings(source=dataset.source, validation=0, test=0)
    return open_case(Recipe(data=data, task=TaskSettings(name=task, options=options)), dataset, None, None)


def embedded(name: str) -> Dataset:
    """A data set of scikit-learn, split in three."""
    whole = gradus.load_data(name)
    return complete_splits(whole, 0.2, 0.25, 0, whole.target)


def changed(dataset: Dataset, split: str, **values: np.ndarray | list) -> Dataset:
    """With other values in columns of a split."""
    before = dataset[split]
    columns = {name: replace(column, values=values.get(name, column.values)) for name, column in before.columns.items()}
    return dataset.with_splits({**dataset.splits, split: Split(columns, before.origins)})


def values_of(dataset: Dataset, split: str, name: str) -> np.ndarray:
    return np.array(dataset[split][name].values)


def with_column(dataset: Dataset, name: str, kind: ColumnType, make: Callable[[Split], np.ndarray | list]) -> Dataset:
    splits = {
        key: Split({**split.columns, name: Column(kind, make(split))}, split.origins)
        for key, split in dataset.splits.items()
    }
    return dataset.with_splits(splits)


def table(types: dict[str, ColumnType], target: str, **splits: Values) -> Dataset:
    """A made-up table."""
    made = {}
    for name, values in splits.items():
        columns = {key: Column(types[key], value) for key, value in values.items()}
        made[name] = Split(columns, NumberedRows.count(name, len(next(iter(values.values())))))
    return Dataset(name="made", source="made", splits=made, target=target)


def pictures(classes: int, **splits: tuple[np.ndarray, np.ndarray]) -> Dataset:
    """Made-up pictures: split -> (uint8 (N, H, W, C), labels)."""
    channels = next(iter(splits.values()))[0].shape[3]
    types: dict[str, ColumnType] = {
        "image": Image(channels=channels),
        "label": Label(classes=tuple("abcdefghij"[:classes])),
    }
    return table(types, "label", **{key: {"image": some, "label": labels} for key, (some, labels) in splits.items()})


def kinds(findings: list[Finding]) -> list[str]:
    return [one.kind for one in findings]

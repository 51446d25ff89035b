"""Faults that stand in the data: labels, leaks, splits, preparation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from subject import Subject, add, cut, labels_of, only, pictures_of, put, relabelled, small, subject, two_classes

from gradus.data.columns import Column, Number
from gradus.data.dataset import Dataset, Split

TF_IDF = {"encoding": "tf-idf", "vocabulary": 3000}
WINDOWS = {"lookback": 72, "step": 3, "delay": 24}


def random() -> np.random.Generator:
    return np.random.default_rng(7)


def wrong_labels(labels: np.ndarray, share: float, classes: int) -> np.ndarray:
    """A share of the labels replaced by others."""
    draw = random()
    chosen = draw.random(len(labels)) < share
    return np.where(chosen, (labels + draw.integers(1, classes, len(labels))) % classes, labels)


def swapped(labels: np.ndarray, first: int, second: int, share: float = 1.0) -> np.ndarray:
    """Two classes with their names exchanged, for a share of their rows."""
    chosen = random().random(len(labels)) < share
    others = np.where(labels == first, second, np.where(labels == second, first, labels))
    return np.where(chosen, others, labels)


def with_training_rows_in_test(dataset: Dataset, rows: int) -> Dataset:
    """So many test rows replaced by training rows."""
    kept = dataset["test"].take(np.arange(len(dataset["test"]) - rows))
    taken = dataset["train"].take(np.arange(0, len(dataset["train"]), len(dataset["train"]) // rows)[:rows])
    columns = {}
    for name, column in kept.columns.items():
        others = taken[name].values
        both = [*column.values, *others] if isinstance(others, list) else np.concatenate([column.values, others])
        columns[name] = replace(column, values=both)
    test = Split(columns, [*map(str, kept.origins), *map(str, taken.origins)])
    return dataset.with_splits({**dataset.splits, "test": test})


def almost(pictures: np.ndarray) -> np.ndarray:
    """Moved by a pixel, a little brighter, as saved again: what a second photograph or another JPEG is."""
    moved = np.roll(pictures, 1, axis=2).astype(np.float64)
    return np.clip(moved * 1.04 + random().normal(0, 2.5, moved.shape), 0, 255).astype(np.uint8)


# Labels


def shuffled_labels() -> Subject:
    return subject(relabelled(small("mnist", 3000, 800), random().permutation), "mlp", epochs=5)


def shuffled_labels_of_texts() -> Subject:
    dataset = relabelled(small("imdb", 1500, 500), random().permutation)
    options = {"encoding": "multi-hot", "vocabulary": 2000}
    return subject(dataset, "mlp", options={"hidden": [16]}, task_options=options, epochs=4)


def one_label_in_five() -> Subject:
    dataset = relabelled(small("mnist", 3000, 800), lambda labels: wrong_labels(labels, 0.2, 10), "train")
    return subject(dataset, "lenet5", epochs=5)


def one_label_in_five_of_texts() -> Subject:
    dataset = relabelled(small("imdb", 2000, 600), lambda labels: wrong_labels(labels, 0.2, 2), "train")
    return subject(dataset, "logistic_regression", task_options=TF_IDF, epochs=8, learning_rate=0.03)


def swapped_in_training() -> Subject:
    """Four rows in ten of two classes, as by one of two people who label."""
    dataset = relabelled(small("mnist", 3000, 800), lambda labels: swapped(labels, 3, 8, 0.4), "train")
    return subject(dataset, "lenet5", epochs=5)


def swapped_at_test() -> Subject:
    dataset = relabelled(cut(small("digits", 1797), test=0.25), lambda labels: swapped(labels, 2, 6), "test")
    return subject(dataset, "mlp", epochs=15)


def rare_class() -> Subject:
    dataset = two_classes(small("mnist", 12_000, 4_000), 1, 7, (1200, 12), ("sound", "broken"))
    return subject(dataset, "mlp", epochs=6)


# Leaks


def training_pictures_in_test() -> Subject:
    return subject(with_training_rows_in_test(small("cifar10", 1500, 500, 16), 100), "mlp", epochs=5)


def training_texts_in_test() -> Subject:
    dataset = with_training_rows_in_test(small("imdb", 2000, 600), 90)
    return subject(dataset, "logistic_regression", task_options=TF_IDF, epochs=8, learning_rate=0.03)


def almost_training_pictures_in_test() -> Subject:
    dataset = with_training_rows_in_test(small("cifar10", 1500, 500, 16), 120)
    pictures = pictures_of(dataset, "test").copy()
    pictures[-120:] = almost(pictures[-120:])
    return subject(put(dataset, "test", image=pictures), "mlp", epochs=5)


def target_in_a_number() -> Subject:
    def assessed(split: Split) -> Column:
        prices = np.asarray(split["MEDV"].values)
        return Column(Number(), 0.9 * prices * (1 + random().normal(0, 0.01, len(prices))))

    return subject(add(small("boston_housing", 404, 102), "tax_assessment", assessed), "mlp", epochs=40)


def target_in_a_code() -> Subject:
    """Of the measurements only those are kept that do not tell the cultivars apart by themselves."""
    kept = ("ash", "magnesium", "alcalinity_of_ash", "nonflavanoid_phenols", "cultivar")

    def shelf(split: Split) -> Column:
        kinds = np.asarray(split["cultivar"].values)
        return Column(Number(), 100.0 * kinds + random().integers(0, 60, len(kinds)))

    return subject(add(only(small("wine", 178), *kept), "shelf", shelf), "mlp", epochs=30)


def future_in_a_window() -> Subject:
    """A smoothed column that looks a day ahead: the centred mean over two days."""

    def smoothed(split: Split) -> Column:
        values = np.asarray(split["temperature"].values)
        return Column(Number(), np.convolve(np.pad(values, 24, mode="edge"), np.ones(49) / 49, mode="valid"))

    dataset = add(small("beijing_weather", 6000), "temperature_smoothed", smoothed)
    return subject(dataset, "sequence_mlp", options={"hidden": [32]}, task_options=WINDOWS, epochs=4, batch_size=128)


def trained_on_what_comes_later() -> Subject:
    whole = small("beijing_weather", 6000)["train"]
    splits = {"train": whole.take(np.arange(2000, 6000)), "test": whole.take(np.arange(2000))}
    dataset = small("beijing_weather", 6000).with_splits(splits)
    return subject(dataset, "sequence_mlp", options={"hidden": [32]}, task_options=WINDOWS, epochs=4, batch_size=128)


# Preparation and splits


def no_normalisation_at_test() -> Subject:
    """A table whose test rows were standardised before, by someone else's script."""
    dataset = cut(small("breast_cancer", 569), test=0.25)
    changed = {}
    for name, column in dataset["train"].columns.items():
        if isinstance(column.type, Number):
            values = np.asarray(column.values)
            changed[name] = (np.asarray(dataset["test"][name].values) - values.mean()) / values.std()
    return subject(put(dataset, "test", **changed), "mlp", epochs=25)


def unscaled_pictures_at_test() -> Subject:
    """Test pictures in 0..1 where the training pictures are in 0..255."""
    dataset = small("mnist", 1500, 500)
    return subject(put(dataset, "test", image=pictures_of(dataset, "test") // 255), "lenet5", epochs=4)


def other_colour_order_at_test() -> Subject:
    dataset = small("cifar10", 1500, 500, 16)
    return subject(put(dataset, "test", image=pictures_of(dataset, "test")[..., ::-1].copy()), "mlp", epochs=5)


def inverted_at_test() -> Subject:
    dataset = small("mnist", 1500, 500)
    return subject(put(dataset, "test", image=255 - pictures_of(dataset, "test")), "lenet5", epochs=4)


def other_camera_at_validation() -> Subject:
    """Validation pictures half as bright, with noise; test pictures are as those of training."""
    dataset = cut(small("mnist", 1500, 500), validation=0.2)
    pictures = pictures_of(dataset, "validation") * 0.5 + random().normal(
        30, 20, pictures_of(dataset, "validation").shape
    )
    changed = put(dataset, "validation", image=np.clip(pictures, 0, 255).astype(np.uint8))
    return subject(changed, "lenet5", epochs=5)


def older_houses_at_validation() -> Subject:
    """Validation rows of a table that were not drawn at random, but are those of the dearest districts."""
    dataset = small("boston_housing", 404, 102)
    train = dataset["train"]
    poor = np.asarray(train["LSTAT"].values)
    order = np.argsort(poor)
    splits = {"train": train.take(np.sort(order[80:])), "validation": train.take(np.sort(order[:80]))}
    return subject(dataset.with_splits({**splits, "test": dataset["test"]}), "mlp", epochs=40)


def sorted_rows(dataset: Dataset) -> Dataset:
    """Training rows in the order of their classes."""
    train = dataset["train"].take(np.argsort(labels_of(dataset, "train"), kind="stable"))
    return dataset.with_splits({**dataset.splits, "train": train})

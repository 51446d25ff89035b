"""Splits: which rows are learnt from, which choose, which judge. Pure functions of the rows and a seed.

Given splits are kept. Missing ones are held out at random, with the same share of every class (stratified) where the target is
a class. K-fold plans are index pairs, for whoever trains the folds.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from gradus.data.clock import Clock, times_of
from gradus.data.columns import Column, Label, Time
from gradus.data.dataset import Dataset, Split
from gradus.errors import UserError


def hold_out(
    rows: int, held: float | int, seed: int, classes: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Splits `rows` rows in two: (kept, held out), each in ascending order.

    held:    share (below 1) or number of rows to hold out
    classes: (rows,) class indices; each class is then held out in the same share, with at least one row kept of each
    """
    number = round(rows * held) if held < 1 else int(held)
    if not 0 < number < rows:
        raise UserError(f"cannot hold out {held} of {rows} rows: both parts need at least one row")
    random = np.random.default_rng(seed)
    if classes is None:
        shuffled = random.permutation(rows)
        return np.sort(shuffled[number:]), np.sort(shuffled[:number])
    order = random.permutation(rows)
    members = [order[classes[order] == value] for value in np.unique(classes)]
    sizes = np.array([len(group) for group in members])
    if number > rows - len(members):
        raise UserError(f"cannot hold out {number} of {rows} rows and keep a row of each of {len(members)} classes")
    exact = sizes * (number / rows)
    counts = np.minimum(np.floor(exact).astype(int), sizes - 1)
    while counts.sum() < number:  # one row more for the class that is furthest below its share and can spare one
        counts[np.argmax(np.where(counts < sizes - 1, exact - counts, -np.inf))] += 1
    held_rows = np.sort(np.concatenate([group[:count] for group, count in zip(members, counts, strict=True)]))
    return np.setdiff1d(np.arange(rows), held_rows), held_rows


def hold_out_last(rows: Split, held: float | int | str, clock: Clock | None = None) -> tuple[Split, Split]:
    """Splits rows that follow each other in two: (the first ones, the last ones held out).

    held:  share, number of rows, or a date from which on rows are held out
    clock: of rows in time, of one or several series, which are all cut at one moment
    """
    if isinstance(held, str):
        if clock is None:
            raise UserError(f"'{held}' is a date, but the rows have no time; name the column that tells it with --time")
        times = times_of(rows, clock)
        last = times >= np.datetime64(held, "s")
        if last.all() or not last.any():
            span = f"{Time().to_text(times.min())} to {Time().to_text(times.max())}"
            raise UserError(
                f"cannot hold out rows from {held} on: the rows are of {span}, and both parts need at least one row"
            )
    else:
        number = round(len(rows) * held) if held < 1 else int(held)
        if not 0 < number < len(rows):
            raise UserError(f"cannot hold out {held} of {len(rows)} rows: both parts need at least one row")
        if clock is None:
            last = np.arange(len(rows)) >= len(rows) - number
        else:
            times = times_of(rows, clock)
            last = times >= np.sort(times)[-number]
    if last.all() or not last.any():
        raise UserError(f"cannot hold out {held} of {len(rows)} rows: both parts need at least one row")
    return rows.take(np.flatnonzero(~last)), rows.take(np.flatnonzero(last))


def k_fold(
    rows: int, folds: int, seed: int | tuple[int, ...], classes: np.ndarray | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields (training rows, validation rows) for each of `folds` parts of the shuffled rows; every row validates once.

    The remainder of rows / folds is spread over the first folds (*Deep Learning with Python* §3.6.4 drops it).
    """
    if not 2 <= folds <= rows:
        raise UserError(f"cannot make {folds} folds of {rows} rows: expected a number from 2 to {rows}")
    order = np.random.default_rng(seed).permutation(rows)
    if classes is not None:
        order = order[np.argsort(classes[order], kind="stable")]
    for fold in range(folds):
        held = np.sort(order[fold::folds])
        yield np.setdiff1d(np.arange(rows), held), held


def iterated_k_fold(
    rows: int, folds: int, repeats: int, seed: int, classes: np.ndarray | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """K-fold repeated with a new shuffle each time: `repeats` x `folds` pairs."""
    for repeat in range(repeats):
        yield from k_fold(rows, folds, (seed, repeat), classes)


def one_fold(dataset: Dataset, folds: int, fold: int, repeat: int, seed: int, target: str | None) -> Dataset:
    """`dataset` with its training rows cut into `folds` parts, of which part `fold` becomes the validation split.

    The parts are those of `iterated_k_fold` with the same seed; a validation split that the data bring is not used.
    """
    train = dataset["train"]
    classes = classes_of(train[target] if target and "," not in target else None)
    plan = k_fold(len(train), folds, (seed, repeat), classes)
    kept, held = next(itertools.islice(plan, fold, None))
    splits = {**dataset.splits, "train": train.take(kept), "validation": train.take(held)}
    name = f"fold {fold + 1} of {folds}" + (f", shuffle {repeat + 1}" if repeat else "")
    note = f"validation: {len(held):,} of {len(train):,} training rows ({name}, seed {seed})"
    return dataset.with_splits(splits, note, drawn=["validation"])


def fewer_rows(dataset: Dataset, rows: int, seed: int, target: str | None) -> Dataset:
    """`dataset` with `rows` of its training rows, the same share of every class; the other splits as they are."""
    train = dataset["train"]
    if rows > len(train):
        raise UserError(f"data.rows: there are only {len(train):,} training rows, asked for {rows:,}")
    if rows == len(train):
        return dataset
    if dataset.ordered:
        last = hold_out_last(train, rows, dataset.clock)[1]
        return dataset.with_splits(
            {**dataset.splits, "train": last}, f"train: the last {rows:,} of {len(train):,} rows"
        )
    classes = classes_of(train[target] if target and "," not in target else None)
    kept, _ = hold_out(len(train), len(train) - rows, seed, classes)
    note = f"train: {rows:,} of {len(train):,} rows (seed {seed})"
    return dataset.with_splits({**dataset.splits, "train": train.take(kept)}, note)


def classes_of(column: Column | None) -> np.ndarray | None:
    """The class indices to stratify by, or None where the column is not a class."""
    return np.asarray(column.values) if column is not None and isinstance(column.type, Label) else None


def complete_splits(
    dataset: Dataset, validation: float | int | str, test: float | int | str, seed: int, target: str | None
) -> Dataset:
    """Adds the splits that `dataset` lacks: first test, then validation, each held out from train.

    validation, test: share of the rows, number of rows, or a date from which on rows in time are held out; 0 for none. Splits
    that exist are kept as they are.
    """
    splits = dict(dataset.splits)
    if "train" not in splits:
        raise UserError(f"{dataset.name} has no training split; it has {', '.join(splits)}")
    notes, drawn = [], []
    for name, held in (("test", test), ("validation", validation)):
        if name in splits or not held:
            continue
        train = splits["train"]
        if dataset.ordered:
            splits["train"], splits[name] = hold_out_last(train, held, dataset.clock)
            since = f" (from {_first_time(splits[name], dataset.clock)})" if dataset.clock else ", in their order"
            notes.append(f"{name}: the last {len(splits[name]):,} of {len(train):,} training rows{since}")
            continue
        if isinstance(held, str):
            raise UserError(f"data.{name}: '{held}' is a date, but the rows have no time; name its column with --time")
        column = train[target] if target and "," not in target else None
        kept, out = hold_out(len(train), held, seed, classes_of(column))
        splits["train"], splits[name] = train.take(kept), train.take(out)
        drawn.append(name)
        how = "stratified by class, " if classes_of(column) is not None else ""
        notes.append(f"{name}: {len(out):,} of {len(train):,} training rows held out ({how}seed {seed})")
    return dataset.with_splits(splits, *notes, drawn=drawn)


def _first_time(rows: Split, clock: Clock) -> str:
    return Time().to_text(times_of(rows, clock).min())


def rolling_origin(dataset: Dataset, origins: int, origin: int) -> Dataset:
    """`dataset` as it was known at one of several moments: its test rows are cut into `origins` periods of about equal length;
    period `origin` (from 0) is the test split, all that lies before it the training split.

    The validation split, the last rows before the origin, is made after this, as always.
    """
    if not dataset.ordered:
        raise UserError("data.origins: forecasts are judged from several moments; name the column of times with --time")
    train, test = dataset["train"], dataset["test"]
    if not 0 <= origin < origins <= len(test):
        raise UserError(f"data.origin: expected 0 to {origins - 1} of {origins} origins, received {origin}")
    clock = dataset.clock
    moments = times_of(test, clock) if clock else np.arange(len(test))
    distinct = np.unique(moments)
    edges = [part[0] for part in np.array_split(distinct, origins)]
    after = moments >= edges[origin + 1] if origin + 1 < origins else np.zeros(len(test), dtype=bool)
    known = moments < edges[origin]
    period = test.take(np.flatnonzero(~known & ~after))
    train = joined(train, test.take(np.flatnonzero(known)))
    if clock and clock.series:
        train = train.take(np.lexsort((times_of(train, clock), np.asarray(train[clock.series].values))))
    note = f"origin {origin + 1} of {origins}: {len(train):,} rows before it, {len(period):,} to foretell"
    return dataset.with_splits({"train": train, "test": period}, note)


def joined(first: Split, second: Split) -> Split:
    """The rows of one split, then those of another, of the same columns."""
    columns = {}
    for name, column in first.columns.items():
        both = [column.values, second[name].values]
        is_array = isinstance(column.values, np.ndarray)
        columns[name] = Column(column.type, np.concatenate(both) if is_array else [*both[0], *both[1]])
    return Split(columns, [part.origins[row] for part in (first, second) for row in range(len(part))])

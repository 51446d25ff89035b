"""Splits: every row in one part only, as many as asked for, the shares of the classes kept, all decided by the seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradus.data.columns import Column, Label, Labels, Number
from gradus.data.dataset import Dataset, NumberedRows, Split
from gradus.data.splits import classes_of, complete_splits, hold_out, iterated_k_fold, k_fold
from gradus.errors import UserError

quick = settings(max_examples=60, deadline=None)
seeds = st.integers(0, 2**32)


def parts(kept: np.ndarray, held: np.ndarray, rows: int) -> None:
    """Both in ascending order, nothing twice, nothing lost."""
    assert (np.diff(kept) > 0).all() and (np.diff(held) > 0).all()
    assert sorted([*kept.tolist(), *held.tolist()]) == list(range(rows))


@quick
@given(st.integers(2, 200), st.data(), seeds)
def test_a_number_of_rows_is_held_out(rows, data, seed):
    number = data.draw(st.integers(1, rows - 1))
    kept, held = hold_out(rows, number, seed)
    parts(kept, held, rows)
    assert len(held) == number


@quick
@given(st.integers(10, 200), st.floats(0.1, 0.9), seeds)
def test_a_share_of_the_rows_is_held_out(rows, share, seed):
    kept, held = hold_out(rows, share, seed)
    parts(kept, held, rows)
    assert abs(len(held) - rows * share) <= 0.5


@st.composite
def labelled(draw, smallest: int = 1):
    """(classes of the rows, in no order; number to hold out, at most half)."""
    sizes = draw(st.lists(st.integers(smallest, 25), min_size=1, max_size=6))
    classes = np.repeat(np.arange(len(sizes)), sizes)
    classes = np.random.default_rng(draw(seeds)).permutation(classes)
    return classes, draw(st.integers(1, max(1, len(classes) // 2)))


@quick
@given(labelled(smallest=2), seeds)
def test_each_class_is_held_out_in_the_same_share(rows_of, seed):
    classes, number = rows_of
    kept, held = hold_out(len(classes), number, seed, classes)
    parts(kept, held, len(classes))
    assert len(held) == number
    for value in np.unique(classes):
        exact = number * (classes == value).mean()
        assert abs((classes[held] == value).sum() - exact) < 1


@quick
@given(labelled(), st.floats(0.01, 0.99), seeds)
def test_a_row_of_every_class_is_kept(rows_of, share, seed):
    classes, _ = rows_of
    number = round(len(classes) * share)
    if not 0 < number <= len(classes) - len(set(classes)):
        with pytest.raises(UserError, match="cannot hold out"):
            hold_out(len(classes), share, seed, classes)
        return
    kept, held = hold_out(len(classes), share, seed, classes)
    assert len(held) == number
    parts(kept, held, len(classes))
    assert set(classes[kept]) == set(classes)


@pytest.mark.parametrize(
    ("sizes", "number"),
    [([1, 1, 1, 1, 6], 5), ([1] * 9 + [11], 10)],
    ids=str,
)
def test_the_number_is_exact_where_it_can_be(sizes, number):
    classes = np.repeat(np.arange(len(sizes)), sizes)
    assert len(hold_out(len(classes), number, 0, classes)[1]) == number


def test_classes_of_one_row_each_cannot_be_held_out():
    with pytest.raises(UserError):
        hold_out(5, 0.4, 0, np.arange(5))


@pytest.mark.parametrize("classes", [None, np.arange(40) % 4])
def test_the_seed_decides(classes):
    first, same, other = (hold_out(40, 0.25, seed, classes)[1] for seed in (3, 3, 4))
    assert first.tolist() == same.tolist() != other.tolist()


@pytest.mark.parametrize("classes", [None, np.arange(20) % 2])
def test_every_row_is_held_out_equally_often(classes):
    """2000 seeds, a fifth of 20 rows held: 400 times each, six deviations either way."""
    counts = np.zeros(20)
    for seed in range(2000):
        counts[hold_out(20, 4, seed, classes)[1]] += 1
    assert np.abs(counts - 400).max() < 6 * (2000 * 0.2 * 0.8) ** 0.5


@pytest.mark.parametrize(
    ("rows", "held"), [(10, 0.01), (10, 0.99), (10, 10), (10, 11), (1, 0.5), (10, 0), (10, -0.3), (0, 0.5)]
)
def test_empty_parts_are_refused(rows, held):
    with pytest.raises(UserError, match=rf"cannot hold out {held} of {rows} rows: both parts need at least one row"):
        hold_out(rows, held, 0)


@quick
@given(st.integers(2, 100), st.data(), seeds)
def test_folds_validate_every_row_once(rows, data, seed):
    folds = data.draw(st.integers(2, min(rows, 12)))
    pairs = list(k_fold(rows, folds, seed))
    assert len(pairs) == folds
    for train, held in pairs:
        parts(train, held, rows)
    assert sorted(np.concatenate([held for _, held in pairs]).tolist()) == list(range(rows))
    sizes = [len(held) for _, held in pairs]
    assert sizes == [rows // folds + (fold < rows % folds) for fold in range(folds)]  # the remainder on the first


@quick
@given(labelled(), seeds, st.data())
def test_folds_have_the_shares_of_the_classes(rows_of, seed, data):
    classes, _ = rows_of
    if len(classes) < 2:
        return
    folds = data.draw(st.integers(2, min(len(classes), 8)))
    pairs = list(k_fold(len(classes), folds, seed, classes))
    assert sorted(np.concatenate([held for _, held in pairs]).tolist()) == list(range(len(classes)))
    for value in np.unique(classes):
        counts = [(classes[held] == value).sum() for _, held in pairs]
        assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("classes", [None, np.arange(30) % 3])
def test_the_seed_decides_the_folds(classes):
    first, same, other = ([held.tolist() for _, held in k_fold(30, 4, seed, classes)] for seed in (3, 3, 4))
    assert first == same != other


def test_iterated_folds_are_folds_with_a_new_shuffle_each_time():
    pairs = list(iterated_k_fold(20, 4, 3, seed=0))
    assert len(pairs) == 12
    rounds = [pairs[start : start + 4] for start in (0, 4, 8)]
    for folds in rounds:
        assert sorted(np.concatenate([held for _, held in folds]).tolist()) == list(range(20))
    assert len({tuple(held.tolist()) for _, held in pairs}) == 12
    classes = np.arange(20) % 2
    for train, held in iterated_k_fold(20, 5, 2, 0, classes):
        parts(train, held, 20)
        assert classes[held].sum() == 2


@pytest.mark.parametrize("folds", [0, 1, 11, -2])
def test_impossible_folds_are_refused(folds):
    with pytest.raises(UserError, match=f"cannot make {folds} folds of 10 rows: expected a number from 2 to 10"):
        list(k_fold(10, folds, 0))


def dataset(rows: int = 100, splits: tuple[str, ...] = ("train",), target: str | None = "y") -> Dataset:
    """Rows that tell their number and their split; class b is a fifth of each split."""
    made = {}
    for place, name in enumerate(splits):
        columns = {
            "x": Column(Number(), np.arange(rows) + 1000.0 * place),
            "y": Column(Label(classes=("a", "b")), (np.arange(rows) % 5 == 0).astype(np.int64)),
        }
        made[name] = Split(columns, NumberedRows.count(f"{name}.csv", rows))
    return Dataset("made", "made.csv", made, target=target, notes=["read"])


def values(split: Split) -> list[float]:
    return split["x"].values.tolist()


def test_missing_splits_are_held_out_of_train():
    found = complete_splits(dataset(), validation=0.1, test=0.2, seed=0, target="y")
    assert {name: len(split) for name, split in found.splits.items()} == {"train": 72, "validation": 8, "test": 20}
    assert list(found.splits) == ["train", "validation", "test"]
    together = [value for split in found.splits.values() for value in values(split)]
    assert sorted(together) == list(range(100))
    for split in found.splits.values():
        assert abs(split["y"].values.sum() - len(split) / 5) < 1
        assert [split.origins[index] for index in range(len(split))] == [
            f"row {int(x) + 1} of train.csv" for x in values(split)
        ]


def test_what_was_held_out_is_noted():
    notes = complete_splits(dataset(), 0.1, 0.2, 7, "y").notes
    assert notes == [
        "read",
        "test: 20 of 100 training rows held out (stratified by class, seed 7)",
        "validation: 8 of 80 training rows held out (stratified by class, seed 7)",
    ]
    assert complete_splits(dataset(target="x"), 0, 0.2, 7, "x").notes[1:] == [
        "test: 20 of 100 training rows held out (seed 7)"
    ]


def test_given_splits_are_kept():
    given = dataset(splits=("train", "validation", "test"))
    found = complete_splits(given, 0.3, 0.3, 0, "y")
    assert found.notes == ["read"]
    assert all(values(found[name]) == values(given[name]) for name in given.splits)
    given = dataset(splits=("train", "test"))
    found = complete_splits(given, 0.3, 0.3, 0, "y")
    assert (
        values(found["test"]) == values(given["test"]) and len(found["validation"]) == 30 and len(found["train"]) == 70
    )


def test_nothing_is_held_out_where_nothing_is_asked_for():
    given = dataset()
    assert list(complete_splits(given, 0, 0, 0, "y").splits) == ["train"]
    assert list(given.splits) == ["train"] and len(given["train"]) == 100  # and the given one is left as it was


def test_numbers_of_rows_instead_of_shares():
    found = complete_splits(dataset(), validation=15, test=5, seed=0, target="y")
    assert {name: len(split) for name, split in found.splits.items()} == {"train": 80, "validation": 15, "test": 5}


def test_the_seed_decides_what_is_held_out():
    first, same, other = (values(complete_splits(dataset(), 0.1, 0.2, seed, "y")["test"]) for seed in (1, 1, 2))
    assert first == same != other


@pytest.mark.parametrize("target", [None, "x,y"])
def test_several_targets_or_none_are_not_stratified(target):
    found = complete_splits(dataset(), 0, 0.2, 0, target)
    assert len(found["test"]) == 20 and "stratified" not in found.notes[-1]


def test_a_data_set_without_training_rows_is_refused():
    with pytest.raises(UserError, match="made has no training split; it has test"):
        complete_splits(dataset(splits=("test",)), 0.1, 0.2, 0, "y")


def test_classes_to_stratify_by():
    assert classes_of(None) is None
    assert classes_of(Column(Number(), np.zeros(3))) is None
    assert classes_of(Column(Labels(classes=("a",)), np.zeros((3, 1), bool))) is None
    assert classes_of(Column(Label(classes=("a", "b")), np.array([1, 0]))).tolist() == [1, 0]

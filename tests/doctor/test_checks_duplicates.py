"""Rows in two splits, equal and almost equal; equal rows with different labels."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from faulty import case_of, changed, embedded, kinds, table, values_of

from gradus.data.columns import Label, Number, Text
from gradus.doctor.case import NotHere
from gradus.doctor.checks.duplicates import (
    _flattery,
    find_label_conflicts,
    find_near_duplicates,
    find_shared_rows,
    ratio_limit,
)
from gradus.doctor.simple import nearest
from gradus.tasks.assessment import ClassAssessment


def with_copies(change):
    """Digits in which 30 test rows are training rows, changed by a function."""
    sound = embedded("digits")
    images, labels = values_of(sound, "test", "image"), values_of(sound, "test", "label")
    images[:30] = change(values_of(sound, "train", "image")[:30].astype(np.float64)).clip(0, 255).astype(np.uint8)
    labels[:30] = values_of(sound, "train", "label")[:30]
    return sound, changed(sound, "test", image=images, label=labels)


def test_training_pictures_in_the_test_rows():
    sound, copied = with_copies(lambda images: images)
    assert find_shared_rows(case_of(sound)) == []
    (found,) = find_shared_rows(case_of(copied))
    assert found.rows == {"test": list(range(20))} and "30 of 449" in found.told and "training row 0" in found.told
    assert find_near_duplicates(case_of(copied)) == []  # the same rows are told once


def test_almost_training_pictures_in_the_test_rows():
    sound, copied = with_copies(lambda images: images * 0.9 + np.random.default_rng(0).normal(0, 6, images.shape))
    assert find_near_duplicates(case_of(sound)) == [] and find_shared_rows(case_of(copied)) == []
    (found,) = find_near_duplicates(case_of(copied))
    assert found.kind == "near-duplicates" and set(found.rows["test"]) <= set(range(30))


def test_the_limit_is_passed_by_one_in_a_thousand_independent_rows():
    random = np.random.default_rng(0)
    for dimension in (2, 6):
        known, asked = random.normal(size=(1500, dimension)), random.normal(size=(4000, dimension))
        limit = ratio_limit(nearest(known[:500], known, 20)[0][:, 1:])
        found = nearest(asked, known, 10)[0]
        assert 0 < limit < 0.5 and (found[:, 0] < limit * found[:, -1]).mean() < 0.003
        near = nearest(known[:200] + random.normal(size=(200, dimension)) * 1e-5, known, 10)[0]
        assert (near[:, 0] < limit * near[:, -1]).mean() > 0.95


def test_rows_of_few_values_are_equal_by_chance():
    random = np.random.default_rng(0)
    types = {name: Label(classes=("a", "b", "c")) for name in ("x", "y", "z")}

    def rows(count):
        return {name: random.integers(0, 3, count) for name in types}

    case = case_of(table(types, "z", train=rows(300), test=rows(100)))
    assert find_shared_rows(case) == [] and case.measured["shared rows"]["test"] == 1.0
    with pytest.raises(NotHere):
        find_label_conflicts(case)


def test_texts_that_are_shared_or_hardly_changed():
    random = np.random.default_rng(0)
    words = [f"word{number}" for number in range(500)]
    types = {"text": Text(), "label": Label(classes=("no", "yes"))}

    def rows(count):
        return {
            "text": [" ".join(random.choice(words, 60)) for _ in range(count)],
            "label": random.integers(0, 2, count),
        }

    train, test = rows(150), rows(60)
    assert find_shared_rows(case_of(table(types, "label", train=train, test=test))) == []
    assert find_near_duplicates(case_of(table(types, "label", train=train, test=test))) == []
    shared = {**test, "text": [text.upper() + "  " for text in train["text"][:10]] + test["text"][10:]}
    assert kinds(find_shared_rows(case_of(table(types, "label", train=train, test=shared)))) == ["shared-rows"]
    edited = {**test, "text": ["Well, " + text[:-8] for text in train["text"][:10]] + test["text"][10:]}
    case = case_of(table(types, "label", train=train, test=edited))
    assert find_shared_rows(case) == []
    (found,) = find_near_duplicates(case)
    assert found.rows["test"] == list(range(10))


def test_texts_that_stand_twice_beside_classes():
    random = np.random.default_rng(0)
    words = [f"word{number}" for number in range(500)]
    types = {"text": Text(), "from": Label(classes=("a", "b")), "label": Label(classes=("no", "yes"))}
    order = random.permutation(300) % 150
    values = {"text": np.array([" ".join(random.choice(words, 60)) for _ in range(150)], dtype=object)[order]}
    values |= {"from": (order < 75).astype(np.int64), "label": (order % 2).astype(np.int64)}
    assert kinds(find_shared_rows(in_splits(types, "label", values, train=200))) == ["shared-rows"]


def test_equal_rows_with_different_labels():
    random = np.random.default_rng(0)
    types = {"x": Number(), "y": Number(), "label": Label(classes=("no", "yes"))}
    x, y, labels = random.normal(size=200), random.normal(size=200), random.integers(0, 2, 200)
    sound = case_of(table(types, "label", train={"x": x, "y": y, "label": labels}))
    assert find_label_conflicts(sound) == []
    x[100:120], y[100:120], labels[100:120] = x[:20], y[:20], 1 - labels[:20]
    (found,) = find_label_conflicts(case_of(table(types, "label", train={"x": x, "y": y, "label": labels})))
    assert found.value == pytest.approx(0.2) and found.rows["train"] == list(range(20))


def in_splits(types, target, values, train=600):
    """A made-up table whose first rows are those of training, the others those of test."""
    parts = {
        name: {key: value[rows] for key, value in values.items()}
        for name, rows in (("train", slice(train)), ("test", slice(train, None)))
    }
    return case_of(table(types, target, **parts))


def test_rounded_numbers_are_equal_by_chance_and_copied_rows_are_not():
    """Independent rows of one rounded number, and of two that go together; then a table in which every row stands twice."""
    types = {"age": Number(), "weight": Number(), "label": Label(classes=("no", "yes"))}
    random = np.random.default_rng(1)
    size = random.normal(size=900)
    values = {
        "age": np.round(45 + 12 * size + 5 * random.normal(size=900)),
        "weight": np.round(50 + 7 * size + 5 * random.normal(size=900), 1),
        "label": random.integers(0, 2, 900),
    }
    for names in (("weight", "label"), ("age", "weight", "label")):
        case = in_splits({name: types[name] for name in names}, "label", {name: values[name] for name in names})
        assert find_shared_rows(case) == [] and find_label_conflicts(case) == []
        assert case.measured["shared rows"]["test"] > 0.05 and case.measured["label conflicts"] > 0.02
    order = random.permutation(900) % 450
    twice = {name: random.normal(size=450).round(3)[order] for name in types} | {"label": values["label"]}
    case = in_splits(types, "label", twice)
    assert kinds(find_shared_rows(case)) == ["shared-rows"] and kinds(find_label_conflicts(case)) == ["label-conflicts"]


def test_categories_and_missing_values_bring_rows_near_each_other():
    """Independent rows are left alone, though far more pass the limit than of rows without categories; copies are told."""
    random = np.random.default_rng(0)
    abc = Label(classes=("a", "b", "c"))
    types = {"deck": abc, "port": abc, "stop": abc, "age": Number(), "fare": Number(), "label": abc}
    values = {
        **{name: random.integers(0, 3, 900) for name in ("deck", "port", "stop")},
        "age": np.where(random.random(900) < 0.2, np.nan, np.round(random.normal(30, 12, 900))),
        "fare": np.round(np.exp(random.normal(3, 0.8, 900)), 2),
        "label": random.integers(0, 3, 900),
    }
    case = in_splits(types, "label", values)
    assert find_near_duplicates(case) == [] and case.measured["near duplicates"]["test"]["share"] > 0.03
    for name in values:
        values[name][600:690] = values[name][:90]
    values["fare"][600:690] += 0.01
    (found,) = find_near_duplicates(in_splits(types, "label", values))
    assert np.mean(np.array(found.rows["test"]) < 90) > 0.7


def test_lines_that_are_said_in_many_pairs_are_no_copies():
    """Questions and answers of which each is in many rows: any two pairs may have one in common by chance."""
    random = np.random.default_rng(0)
    words = [f"word{number}" for number in range(500)]
    lines = [" ".join(random.choice(words, 5 if number < 150 else 25)) for number in range(300)]
    types = {"prompt": Text(), "reply": Text(), "label": Label(classes=("no", "yes"))}
    asked, said = random.integers(0, 150, 900), random.integers(150, 300, 900)
    values = {
        "prompt": np.array(lines, dtype=object)[asked],
        "reply": np.array(lines, dtype=object)[said],
        "label": random.integers(0, 2, 900),
    }
    case = in_splits(types, "label", values)
    assert find_near_duplicates(case) == [], case.measured


def test_rows_that_do_not_flatter_are_not_said_to():
    def told(right):
        assessment = ClassAssessment(
            classes=("no", "yes"), probabilities=np.eye(2)[right], targets=np.ones(20, dtype=np.int64)
        )
        return _flattery(SimpleNamespace(run=SimpleNamespace(assess=lambda split: assessment)), "test", [0, 1])

    assert "they flatter by 1.1 points" in told([1, 1] + 16 * [1] + 2 * [0])
    assert told([1, 0] + 16 * [1] + 2 * [0]) == ""

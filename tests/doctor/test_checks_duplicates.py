"""Rows in two splits, equal and almost equal; equal rows with different labels."""

from __future__ import annotations

import numpy as np
import pytest
from faulty import case_of, changed, embedded, kinds, table, values_of

from gradus.data.columns import Label, Number, Text
from gradus.doctor.case import NotHere
from gradus.doctor.checks.duplicates import (
    find_label_conflicts,
    find_near_duplicates,
    find_shared_rows,
    ratio_limit,
)
from gradus.doctor.simple import nearest


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


def test_equal_rows_with_different_labels():
    random = np.random.default_rng(0)
    types = {"x": Number(), "label": Label(classes=("no", "yes"))}
    values, labels = random.normal(size=200), random.integers(0, 2, 200)
    sound = case_of(table(types, "label", train={"x": values, "label": labels}))
    assert find_label_conflicts(sound) == []
    values[100:120], labels[100:120] = values[:20], 1 - labels[:20]
    (found,) = find_label_conflicts(case_of(table(types, "label", train={"x": values, "label": labels})))
    assert found.value == pytest.approx(0.2) and found.rows["train"] == list(range(20))

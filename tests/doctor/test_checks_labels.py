"""Wrong labels: how many, which, and of which kind; classes that have changed their names; hard rows are not wrong ones."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from faulty import case_of, changed, embedded, kinds, table, values_of

from gradus.data.columns import Label, Number
from gradus.doctor.case import NotHere
from gradus.doctor.checks.labels import find_swapped_classes, find_wrong_labels, likely_wrong
from gradus.doctor.gaps import Stage
from gradus.doctor.stages import _bound


@pytest.fixture(scope="module")
def digits():
    return embedded("digits")


def test_sound_labels_are_left_alone(digits):
    case = case_of(digits)
    assert find_wrong_labels(case) == [] and find_swapped_classes(case) == []
    with pytest.raises(NotHere):
        find_wrong_labels(case_of(embedded("diabetes")))


def test_one_label_in_five_is_wrong(digits):
    """Northcutt et al. 2021: the rows are found, and how many there are."""
    random = np.random.default_rng(3)
    labels = values_of(digits, "train", "label")
    wrong = np.flatnonzero(random.random(len(labels)) < 0.2)
    noisy = labels.copy()
    noisy[wrong] = (labels[wrong] + random.integers(1, 10, len(wrong))) % 10
    case = case_of(changed(digits, "train", label=noisy))
    (found,) = find_wrong_labels(case)
    assert found.value == pytest.approx(0.2, abs=0.06) and "training rows" in found.others[0]
    assert "% of the training labels are wrong, or a matter of chance (" in found.told  # no number tells which
    ranked = likely_wrong(case).ranked
    assert np.isin(ranked[:100], wrong).mean() > 0.95
    assert np.isin(wrong, ranked).mean() > 0.8
    assert find_swapped_classes(case) == []


def test_hard_rows_are_not_wrong_ones():
    """Two classes that overlap by a fifth: simple methods are wrong in every fifth row, but not where they are sure."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 1200)
    types = {"x": Number(), "y": Number(), "label": Label(classes=("no", "yes"))}
    values = {"x": labels * 1.7 + random.normal(size=1200), "y": random.normal(size=1200), "label": labels}
    case = case_of(table(types, "label", train=values))
    assert find_wrong_labels(case) == []
    assert 0.1 < (likely_wrong(case).probabilities.argmax(axis=1) != labels).mean() < 0.3


def test_classes_that_have_changed_their_names(digits):
    def exchanged(split, share):
        labels = values_of(digits, split, "label")
        chosen = np.random.default_rng(0).random(len(labels)) < share
        other = np.where(labels == 2, 6, np.where(labels == 6, 2, labels))
        return case_of(changed(digits, split, label=np.where(chosen, other, labels)))

    (found,) = find_swapped_classes(exchanged("test", 1.0))
    assert found.where == "test labels" and "'2' and '6'" in found.told and found.level == "fault"
    case = exchanged("train", 0.3)
    assert kinds(find_swapped_classes(case)) == ["swapped-classes"] and find_wrong_labels(case) == []


def test_wrong_labels_are_a_bound_only_where_nothing_is_better():
    """Of accuracies, and where rows kept aside are not answered with fewer mistakes."""
    measured = {"labels": {"wrong": (0.19, 0.12, 0.25), "level": 1.0, "decent": 0.9}}
    case = SimpleNamespace(bound=None, measured=measured)

    def bound(metric, **errors):
        return _bound(
            case, metric, {}, {"train": Stage(0.2), **{name: Stage(error) for name, error in errors.items()}}
        )[0]

    assert bound("accuracy", validation=0.21, test=0.2) == 0.12
    assert bound("accuracy", validation=0.21, test=0.05) == 0.0 and bound("accuracy") == 0.0
    assert bound("macro_f1", test=0.2) == 0.0

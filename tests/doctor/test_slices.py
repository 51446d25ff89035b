"""Error tables of every task, and slices: what was planted is named, and what is chance alone is not."""

from __future__ import annotations

import numpy as np
import pytest
from error_tables_made import answers, table_of

from gradus.data.columns import Column, Objects, Time
from gradus.data.dataset import Split
from gradus.doctor.error_table import MAKERS, ErrorTable, confusions
from gradus.doctor.picture_facts import picture_facts
from gradus.doctor.slice_candidates import Slice, _by_columns, by_number
from gradus.doctor.slices import confirmed
from gradus.tasks.assessment import (
    DetectionAssessment,
    ForecastAssessment,
    LabelsAssessment,
    LanguageAssessment,
    NumberAssessment,
    SegmentationAssessment,
    SeveralAssessment,
    TagsAssessment,
)


def of(assessment) -> ErrorTable:
    return ErrorTable(split="test", rows=None, **MAKERS[type(assessment)](assessment))


def found_in(wrong: np.ndarray, **columns: np.ndarray):
    groups = [one for name, values in columns.items() for one in by_number(name, values)]
    return confirmed(groups, table_of(wrong, columns), np.arange(len(wrong)))


def test_a_planted_slice_is_named_with_its_error():
    generator = np.random.default_rng(0)
    light, size = generator.random(2_000), generator.random(2_000)
    wrong = generator.random(2_000) < np.where(light > 0.75, 0.4, 0.05)
    worst = found_in(wrong, light=light, size=size)[0]
    assert worst.about.startswith("light above 0.7") and 0.2 < worst.size < 0.3
    assert worst.interval.low < 0.4 < worst.interval.high and 0.02 < worst.rest < 0.09
    assert worst.share > 0.6 and worst.gain > 0.5 and worst.chance < 0.001


def test_the_share_of_a_slice_is_measured_on_the_half_that_did_not_choose_it():
    """A slice that is bad by chance on the half that chooses is worth as much as it is on the other."""
    slices = np.arange(1_000) < 300
    first = np.zeros(1_000, bool)
    first[np.random.default_rng(1).permutation(1_000)[:500]] = True  # as `confirmed` draws it with seed 0
    wrong = np.zeros(1_000, bool)
    wrong[np.flatnonzero(first & slices)[:140]] = True
    wrong[np.flatnonzero(~first & slices)[:60]] = True
    wrong[np.flatnonzero(~first & ~slices)[:20]] = True
    (found,) = confirmed([Slice("early", "row", slices)], table_of(wrong), np.arange(1_000))
    assert found.share == pytest.approx(60 / 80)
    inside = (~first & slices).sum()
    assert found.error == pytest.approx(60 / inside)


def test_a_pair_of_columns_is_found_where_neither_alone_explains_it():
    generator = np.random.default_rng(1)
    light, size = generator.random(3_000), generator.random(3_000)
    wrong = generator.random(3_000) < np.where((light > 0.75) & (size > 0.75), 0.8, 0.04)
    worst = found_in(wrong, light=light, size=size)[0]
    assert " and " in worst.about and "light" in worst.about and "size" in worst.about
    assert worst.error > 0.6


def test_a_class_answered_as_another_is_a_mistake_and_no_slice():
    """Given class and answer together name the mistakes themselves: 100 % of such rows are wrong, which says nothing."""
    generator = np.random.default_rng(2)
    truth = generator.integers(0, 2, 2_000)
    wrong = generator.random(2_000) < np.where(truth == 1, 0.3, 0.05)
    groups = [Slice(f"of class {n}", "of class", truth == n) for n in (0, 1)]
    groups += [Slice(f"answered as {n}", "answered as", np.where(wrong, 1 - truth, truth) == n) for n in (0, 1)]
    found = confirmed(groups, table_of(wrong, {}), np.arange(len(wrong)))
    assert found and all(one.error < 0.9 for one in found)


def test_chance_makes_no_slice():
    for seed in range(20):
        generator = np.random.default_rng(seed)
        columns = {f"c{i}": generator.random(800) for i in range(12)}
        assert found_in(generator.random(800) < 0.1, **columns) == []


def test_of_overlapping_slices_the_second_has_to_hold_without_the_first():
    generator = np.random.default_rng(2)
    light = generator.random(2_000)
    wrong = generator.random(2_000) < np.where(light > 0.75, 0.5, 0.03)
    assert len(found_in(wrong, light=light, twin=light * 2)) == 1


def test_errors_of_numbers_are_compared_by_rank():
    generator = np.random.default_rng(3)
    late = np.arange(1_000) % 2 == 0
    error = generator.exponential(np.where(late, 3.0, 1.0))
    table = of(NumberAssessment(names=("y",), predictions=error[:, None], targets=np.zeros((1_000, 1))))
    (found,) = confirmed([Slice("late", "hour", late)], table, np.arange(1_000))
    assert found.about == "late" and 2 < found.error < 4 and found.interval.low > found.rest
    assert len(table.mistakes) == 200  # the largest fifth, where nothing is right or wrong


def test_confusions_are_counted_by_given_class():
    found = confusions(of(answers(np.full(30, 0.9), np.arange(30) % 3 != 0, 3)))
    assert [(one.given, one.answered, one.count) for one in found] == [("a", "b", 10)]
    assert found[0].share == 1 and 0.7 < found[0].interval.low < 0.75


def test_every_kind_of_answer_has_errors():
    labels = of(
        LabelsAssessment(
            classes=("x", "y"),
            probabilities=np.array([[0.9, 0.2], [0.9, 0.6]]),
            targets=np.array([[1, 0], [1, 0]], bool),
        )
    )
    assert labels.error.tolist() == [0, 1] and labels.given(0) == "x" and labels.answered(1) == "x, y"
    assert labels.confidence is not None and np.allclose(labels.confidence, [0.8, 0.6])
    numbers = of(
        ForecastAssessment(names=("t",), predictions=np.array([[[1.0], [3.0]]]), targets=np.array([[[2.0], [5.0]]]))
    )
    assert numbers.error.tolist() == [1.5] and numbers.values is not None and numbers.values.tolist() == [[[2], [5]]]
    boxes = [Objects.of([[0, 0, 10, 10]], [0], scores=[0.9]), Objects.of([[50, 50, 60, 60]], [0], scores=[0.9])]
    given = [Objects.of([[0, 0, 10, 10]], [0]), Objects.of([[0, 0, 10, 10]], [0])]
    objects = of(DetectionAssessment(classes=("cell",), predictions=boxes, targets=given))
    assert objects.error.tolist() == [0, 1] and objects.answered(1) == "0 found, 1 missed, 1 false"
    assert objects.values is not None and objects.values[1].tolist() == [1, 0, 0, 0, 10, 10]  # picture, class, box
    masks = np.array([[[0, 0], [1, 1]], [[0, 0], [0, 0]]], dtype=np.uint8)
    seen = of(SegmentationAssessment(classes=("a", "b"), ignore=255, predictions=masks, targets=masks[[0, 0]]))
    assert np.allclose(seen.error, [0, 0.75]) and seen.given(0) == "a 50%, b 50%"
    assert seen.values is not None and seen.values.tolist() == [[0.5, 0.5], [0.5, 0.5]]
    text = of(
        LanguageAssessment(tokens=("a", "b"), targets=np.array([[0, 1]]), nats=np.array([[1.0, np.nan]]), unit="letter")
    )
    assert text.error.tolist() == [1.0] and text.given(0) == "a" and text.answered(0) == "least expected: 'a'"
    tags = of(
        TagsAssessment(
            classes=("O", "N"), probabilities=[np.array([[0.9, 0.1], [0.6, 0.4]])], targets=[np.array([0, 1])]
        )
    )
    assert tags.error.tolist() == [0.5]


def test_several_outputs_have_one_error_a_row():
    kind = answers(np.array([0.9, 0.6, 0.8]), np.array([True, False, True]))
    sex = answers(np.array([0.7, 0.7, 0.9]), np.array([True, False, False]))
    age = NumberAssessment(
        names=("age",), predictions=np.array([[1.0], [2.0], [3.0]]), targets=np.array([[1.0], [4.0], [1.0]])
    )
    classes = of(SeveralAssessment(parts={"kind": kind, "sex": sex}, targets=np.zeros((3, 4))))
    assert classes.error.tolist() == [0, 1, 1] and classes.wrong is not None and classes.confidence is not None
    assert classes.confidence.tolist() == pytest.approx([0.7, 0.6, 0.8])
    assert classes.given(1) == "kind b; sex b" and classes.answered(1) == "kind a; sex a"
    mixed = of(SeveralAssessment(parts={"kind": kind, "age": age}, targets=np.zeros((3, 3))))
    deviation = np.array([1.0, 4.0, 1.0]).std()
    assert mixed.error.tolist() == pytest.approx([0, (1 + 2 / deviation) / 2, 1 / deviation])
    assert mixed.given(1) == "kind b; age 4" and mixed.wrong is None


def test_groups_by_time_and_by_what_a_picture_shows():
    times = np.datetime64("2024-01-01T00:00:00") + np.arange(24 * 366) * np.timedelta64(3600, "s")
    split = Split({"when": Column(Time(), times)}, [""] * len(times))
    groups = {one.about: one.rows for one in _by_columns(split, np.arange(len(times)), set())}
    assert groups["when from 8 to 12 o'clock"].sum() == 4 * 366
    assert groups["when at the weekend"].sum() == 24 * 104  # of 2024
    assert groups["when in winter (Dec to Feb)"].sum() == 24 * (31 + 29 + 31)
    board = (np.indices((16, 16)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, axis=2)
    smooth = np.linspace(0, 255, 16, dtype=np.uint8)[None, :, None].repeat(16, axis=0).repeat(3, axis=2)
    red = smooth * np.array([1, 0, 0], dtype=np.uint8)
    facts = picture_facts([board, smooth, red], np.arange(3))
    assert facts["sharpness"].argmax() == 0 and facts["colourfulness"].argmax() == 2
    assert facts["colourfulness"][:2].max() == 0 and "width" not in facts  # what is the same for all tells nothing

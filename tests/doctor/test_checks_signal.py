"""Signal, leaks, what comes later, groups and balance: each check fires on what it is for, and is silent on sound data."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from faulty import case_of, changed, embedded, kinds, table, values_of, with_column

from gradus.data.clock import in_time
from gradus.data.columns import Label, Number, Text, Time
from gradus.doctor.case import NotHere
from gradus.doctor.checks.balance import find_few_rows, find_imbalance
from gradus.doctor.checks.duplicates import find_near_duplicates, find_shared_rows
from gradus.doctor.checks.future import find_future_leak, find_time_order
from gradus.doctor.checks.groups import find_split_groups
from gradus.doctor.checks.leaks import find_target_leak
from gradus.doctor.checks.signal import find_no_signal, signal_of


def shuffled(values: np.ndarray) -> np.ndarray:
    return np.random.default_rng(1).permutation(values)


def test_shuffled_targets_carry_no_signal_and_right_ones_do():
    for name in ("breast_cancer", "diabetes"):
        sound = embedded(name)
        target = str(sound.target)
        assert find_no_signal(case_of(sound)) == []
        (found,) = find_no_signal(
            case_of(changed(sound, "train", **{target: shuffled(values_of(sound, "train", target))}))
        )
        assert found.kind == "no-signal" and found.command == f"gradus data show {name}"


def test_several_rows_of_a_window_tell_what_the_last_does_not():
    """A sine by its value a quarter of a turn earlier says nothing of where it goes, by two values everything."""
    steps = np.arange(480)
    times = np.datetime64("2020-01-01T00", "s") + steps * np.timedelta64(3600, "s")
    random = np.random.default_rng(0)
    wave = np.sin(2 * np.pi * steps / 24).round(3)
    types = {"time": Time(), "wave": Number()}
    for values, expected in ((wave, []), (random.normal(size=480), ["no-signal"])):
        made = in_time(table(types, "wave", train={"time": times, "wave": values}), "time", None)
        case = case_of(made, "forecasting", lookback=8, delay=6, relative=False)
        assert kinds(find_no_signal(case)) == expected, case.measured


def test_the_entropy_criterion_in_bits():
    """Of two fair classes, told perfectly, the label keeps none of its one bit; told at random, all (Plain Talk §5.3.3)."""
    labels = np.tile([0, 1], 500)
    right = signal_of(np.eye(2)[labels], labels, 2)
    assert right.bits == pytest.approx(1, abs=0.01) and right.skill == 1
    by_chance = signal_of(np.eye(2)[np.repeat([0, 1], 500)], labels, 2)
    assert by_chance.bits == pytest.approx(0, abs=0.01) and by_chance.deviations == pytest.approx(0, abs=0.1)


def test_the_deviation_of_shuffled_labels_is_that_of_all_permutations():
    random = np.random.default_rng(0)
    answers, labels = random.integers(0, 3, 60), random.integers(0, 3, 60)
    agree = [(answers == random.permutation(labels)).sum() for _ in range(4000)]
    by_formula = signal_of(np.eye(3)[answers], labels, 3).deviations
    assert by_formula == pytest.approx(((answers == labels).sum() - np.mean(agree)) / np.std(agree), abs=0.08)


def test_a_column_made_from_the_target_leaks_and_a_strong_one_does_not():
    assert find_target_leak(case_of(embedded("iris"))) == []  # petal length is right in 97 rows of 100
    random = np.random.default_rng(0)
    houses = embedded("diabetes")
    assert find_target_leak(case_of(houses)) == []
    copied = with_column(
        houses,
        "copy",
        Number(),
        lambda rows: np.asarray(rows["progression"].values) * 3 + random.normal(0, 5, len(rows)),
    )
    (found,) = find_target_leak(case_of(copied))
    assert found.kind == "target-leak" and "column 'copy' alone" in found.told
    coded = with_column(
        embedded("wine"),
        "shelf",
        Number(),
        lambda rows: -7.0 * np.asarray(rows["cultivar"].values) + random.uniform(0, 5, len(rows)),
    )
    assert "column 'shelf' alone" in find_target_leak(case_of(coded))[0].told  # though the others make up for it


def test_the_only_input_is_no_leak():
    random = np.random.default_rng(0)
    x = random.normal(size=300)
    types = {"x": Number(), "same": Number(), "noise": Number(), "y": Number()}
    values = {"x": x, "same": np.ones(300), "noise": random.normal(size=300), "y": 2 * x + 1}
    for others in ((), ("same",)):
        with pytest.raises(NotHere, match="only one input"):
            find_target_leak(case_of(table(types, "y", train={name: values[name] for name in ("x", *others, "y")})))
    assert kinds(find_target_leak(case_of(table(types, "y", train=values)))) == ["target-leak"]


def series(rows: int = 1500):
    random = np.random.default_rng(0)
    times = np.datetime64("2020-01-01T00", "s") + np.arange(rows) * np.timedelta64(3600, "s")
    level = np.convolve(random.normal(0, 1, rows + 40), np.exp(-np.arange(40) / 10), mode="full")[:rows]
    return times, level, level + random.normal(0, 1, rows)


def forecast(dataset, **options):
    return case_of(in_time(dataset, "time", None), "forecasting", lookback=24, delay=6, **options)


TYPES = {"time": Time(), "level": Number(), "other": Number()}


def test_a_column_that_looks_ahead():
    times, level, other = series()
    for seen, expected in ((other, []), (np.roll(level, -6), ["future-leak"]), (np.roll(level, 6), [])):
        made = table(TYPES, "level", train={"time": times, "level": level, "other": seen})
        found = find_future_leak(forecast(made))
        assert kinds(found) == expected
    with pytest.raises(NotHere):
        find_future_leak(case_of(embedded("wine")))


def test_time_must_not_run_backwards():
    times, level, other = series(600)

    def part(rows):
        return {"time": times[rows], "level": level[rows], "other": other[rows]}

    first, last = slice(0, 300), slice(300, 600)
    assert find_time_order(forecast(table(TYPES, "level", train=part(first), test=part(last)))) == []
    (found,) = find_time_order(forecast(table(TYPES, "level", train=part(last), test=part(first))))
    assert found.kind == "time-order" and found.value == 1 and "2020-01-01" in found.told
    order = np.random.default_rng(0).permutation(
        600
    )  # a table with a time, shuffled apart: rows an hour apart on both sides
    mixed = table(TYPES, "level", train=part(order[first]), test=part(order[last]))
    (found,) = find_time_order(case_of(mixed, "tabular-regression"))
    assert "data.time=time" in found.command
    texts = {"day": Text(), "level": Number(), "other": Number()}

    def told(rows, targets):
        days = [str(moment).replace("T", " ") for moment in times[rows]]
        return {"day": days, "level": targets[rows], "other": other[rows]}

    for targets, expected in ((level, ["time-order"]), (shuffled(level), [])):  # a column that nobody named as the time
        train, test = told(order[first], targets), told(order[last], targets)
        found = find_time_order(case_of(table(texts, "level", train=train, test=test), "tabular-regression"))
        assert kinds(found) == expected and all(one.where.startswith("column 'day'") for one in found)
    with pytest.raises(NotHere):
        test["day"][7] = "soon"
        find_time_order(case_of(table(texts, "level", train=train, test=test), "tabular-regression"))
    noise = {"time": times, "level": shuffled(level), "other": other}
    assert find_time_order(case_of(table(TYPES, "level", train=noise, test=part(last)), "tabular-regression")) == []


def test_groups_that_are_cut_in_two():
    """Readings of forty patients: those of one are alike. Split by rows it is found, split by patients it is not."""
    random = np.random.default_rng(0)
    patients = np.repeat(np.arange(40), 15)
    centres = random.normal(0, 1, (40, 5))
    readings = centres[patients] + random.normal(0, 0.2, (600, 5))
    sick = (random.random(40) < 0.5).astype(np.int64)[patients]
    types = {"patient_id": Label(classes=tuple(map(str, range(40)))), **{f"x{k}": Number() for k in range(5)}}
    types["sick"] = Label(classes=("no", "yes"))

    def made(rows):
        return {"patient_id": patients[rows], **{f"x{k}": readings[rows, k] for k in range(5)}, "sick": sick[rows]}

    order = random.permutation(600)
    cut = case_of(table(types, "sick", train=made(order[:450]), test=made(order[450:])))
    (found,) = find_split_groups(cut)
    assert found.kind == "split-groups" and "split by patient_id" in found.others[0]
    whole = case_of(table(types, "sick", train=made(patients < 30), test=made(patients >= 30)))
    assert find_split_groups(whole) == []


def test_imbalance_and_few_rows():
    sound = embedded("breast_cancer")
    assert find_imbalance(case_of(sound)) == []
    train = sound["train"]
    labels = np.asarray(train[sound.target].values)
    kept = np.concatenate([np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)[:4]])
    rare = case_of(sound.with_splits({**sound.splits, "train": train.take(np.sort(kept))}))
    (found,) = find_imbalance(rare)
    assert found.value > 20 and "class_weights=balanced" in found.command
    assert find_imbalance(case_of(rare.dataset, class_weights="balanced")) == []
    with pytest.raises(NotHere):
        find_imbalance(case_of(embedded("diabetes")))
    (found,) = find_few_rows(case_of(embedded("iris")))
    assert found.level == "advice" and "0.9" in found.told and math.isfinite(found.value)
    assert find_few_rows(case_of(embedded("digits"))) == []


def test_what_is_measured_can_be_written_as_json_and_nothing_is_changed():
    for name in ("wine", "diabetes"):
        case = case_of(embedded(name))
        weights = [one.clone() for one in case.experiment.model.parameters()]
        before = torch.get_rng_state(), np.random.get_state()[1].copy()
        for check in (find_no_signal, find_target_leak, find_shared_rows, find_near_duplicates):
            check(case)
        assert torch.equal(before[0], torch.get_rng_state()) and np.array_equal(before[1], np.random.get_state()[1])
        assert all(map(torch.equal, weights, case.experiment.model.parameters()))
        json.dumps(case.measured, allow_nan=False)

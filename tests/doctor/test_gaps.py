"""The gaps by the numbers of the course notes, and when a history shows overfitting."""

from __future__ import annotations

import pytest

from gradus.doctor.gaps import Gap, Stage, is_still_falling, largest_gap, name_gaps, overfitting_epoch
from gradus.reference.metrics import error_gaps


def named(errors: dict, elsewhere: tuple[str, ...] = ()) -> Gap:
    found = largest_gap(name_gaps(errors, elsewhere))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("errors", "elsewhere", "kinds", "size"),
    [
        # §3.1.9: 8 % and 10 %: what people reach decides what to work on
        ({"bound": 0.01, "train": 0.08, "validation": 0.10}, (), ("avoidable-bias",), 0.07),
        ({"bound": 0.07, "train": 0.08, "validation": 0.10}, (), ("variance",), 0.02),
        ({"bound": 0.01, "train": 0.07}, (), ("avoidable-bias",), 0.06),
        # §3.2.7: 0, 1, 10 % of two sources says nothing until a slice was kept aside
        ({"bound": 0.0, "train": 0.01, "validation": 0.10}, ("validation",), ("variance", "mismatch"), 0.09),
        (
            {"bound": 0.0, "train": 0.01, "train-validation": 0.09, "validation": 0.10},
            ("validation",),
            ("variance",),
            0.08,
        ),
        (
            {"bound": 0.0, "train": 0.01, "train-validation": 0.015, "validation": 0.10},
            ("validation",),
            ("mismatch",),
            0.085,
        ),
        # §3.1.2: too much chosen by one validation set; and a test split from elsewhere
        ({"train": 0.01, "validation": 0.02, "test": 0.06}, (), ("validation-overused",), 0.04),
        ({"train": 0.01, "validation": 0.02, "test": 0.06}, ("validation", "test"), ("validation-overused",), 0.04),
        ({"train": 0.01, "validation": 0.02, "test": 0.06}, ("test",), ("mismatch",), 0.04),
        # D-17: without validation rows the test rows tell variance and nothing else
        ({"train": 0.01, "test": 0.06}, (), ("variance",), 0.05),
    ],
)
def test_the_numbers_of_the_course_notes(errors, elsewhere, kinds, size):
    found = named(errors, elsewhere)
    assert found.kinds == kinds and found.size == pytest.approx(size)


def test_the_same_gaps_as_the_reference():
    values = (0.01, 0.05, 0.08, 0.10, 0.13)
    errors = dict(zip(("bound", "train", "train-validation", "validation", "test"), values, strict=True))
    gaps = {gap.after: gap.size for gap in name_gaps(errors, ("validation", "test"))}
    expected = dict(zip(("train", "train-validation", "validation", "test"), error_gaps(values).values(), strict=True))
    assert gaps == pytest.approx(expected)


def test_an_easier_source_is_no_gap():
    """§3.2.8: people 4 %, training 7 %, held-out training rows 10 %, validation rows of the other source 6 %."""
    gaps = name_gaps({"bound": 0.04, "train": 0.07, "train-validation": 0.10, "validation": 0.06}, ("validation",))
    assert [gap.kinds[0] for gap in gaps if gap.is_sure] == ["avoidable-bias", "variance"]
    assert gaps[-1].kinds == ("mismatch",) and gaps[-1].size == pytest.approx(-0.04)


def test_training_below_the_bound_is_no_overfitting_by_itself():
    """§3.1.11 has it that an error below the best possible one means overfitting: of an estimate it means nothing. Variance is
    what lies between training and validation."""
    gaps = name_gaps({"bound": 0.05, "train": 0.02, "validation": 0.021})
    assert largest_gap(gaps) is None
    assert named({"bound": 0.05, "train": 0.02, "validation": 0.08}).size == pytest.approx(0.06)


def test_a_gap_within_chance_is_not_named():
    few = {"train": Stage(0.01, 0.003), "validation": Stage(0.05, 0.0155)}
    many = {"train": Stage(0.01, 0.003), "validation": Stage(0.05, 0.0050)}
    assert largest_gap(name_gaps(few)) is None and named(many).kinds == ("variance",)
    small = {"train": Stage(0.0500, 0.0001), "validation": Stage(0.0540, 0.0001)}
    assert largest_gap(name_gaps(small)) is None  # sure, and too small to matter
    in_nats = {"train": Stage(2.0, 0.01), "validation": Stage(2.6, 0.02)}
    assert largest_gap(name_gaps(in_nats, (), scale=4.0)) is not None
    above = {
        "bound": 5.56,
        "train": Stage(6.48, 0.03),
        "test": Stage(6.56, 0.03),
    }  # most of a loss is the text's own entropy
    assert named(above).kinds == ("avoidable-bias",)


def history(validation: list[float], training: list[float]) -> list[dict]:
    pairs = zip(validation, training, strict=True)
    return [
        {"epoch": epoch, "validation_loss": held, "train_loss": learnt} for epoch, (held, learnt) in enumerate(pairs, 1)
    ]


def test_overfitting_is_seen_in_the_validation_loss():
    falling = [1.0, 0.7, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1]
    assert overfitting_epoch(history([1.0, 0.8, 0.7, 0.75, 0.8, 0.9, 0.95, 1.0], falling)) == 4
    assert overfitting_epoch(history([1.0, 0.8, 0.7, 0.71, 0.7, 0.72, 0.71, 0.7], falling)) is None  # a plateau
    assert overfitting_epoch(history([1.0, 0.8, 0.7, 0.75, 0.8, 0.9, 0.95, 1.0], [0.5] * 3 + [0.9] * 5)) is None
    tested = [{**one, "test_loss": 9.0 + one["epoch"]} for one in history(falling, falling)]
    assert overfitting_epoch(tested) is None  # *Plain Talk* §5.4 looks at the test rows


def test_a_loss_that_still_falls():
    assert is_still_falling(history([1.0] * 5, [1.0, 0.8, 0.6, 0.5, 0.4]))
    assert not is_still_falling(history([1.0] * 5, [1.0, 0.5, 0.4, 0.399, 0.398]))

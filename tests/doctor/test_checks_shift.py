"""Splits of another distribution, and splits that were only prepared in another way."""

from __future__ import annotations

import numpy as np
import pytest
from faulty import case_of, changed, embedded, kinds, pictures, values_of

from gradus.doctor.checks.shift import find_shift, told_apart


@pytest.fixture(scope="module")
def digits():
    """A quarter of them."""
    whole = embedded("digits")
    return whole.with_splits({name: split.take(np.arange(0, len(split), 4)) for name, split in whole.splits.items()})


def of_test(digits, change):
    """What is found where the test pictures are changed by a function."""
    images = values_of(digits, "test", "image").astype(np.float64)
    return find_shift(case_of(changed(digits, "test", image=change(images).clip(0, 255).astype(np.uint8))))


def test_random_splits_are_alike(digits):
    assert find_shift(case_of(digits)) == [] and find_shift(case_of(embedded("diabetes"))) == []


def test_pictures_of_another_range_or_inverted_were_prepared_otherwise(digits):
    for change, told in (
        (lambda images: images / 255, "255 times as large"),
        (lambda images: 255 - images, "inverted"),
    ):
        (found,) = of_test(digits, change)
        assert found.kind == "other-preparation" and told in found.told, found.told


def test_another_camera_is_a_shift(digits):
    noise = np.random.default_rng(0).normal(40, 30, values_of(digits, "test", "image").shape)
    (found,) = of_test(digits, lambda images: images * 0.8 + noise)
    assert found.kind == "shift" and "brightness" in found.told


def test_the_order_of_channels():
    """Pictures that are more red than blue, and test pictures in which it is the other way round."""
    random = np.random.default_rng(0)

    def some(count):
        grey = random.uniform(40, 160, (count, 1, 1, 1)) + random.normal(0, 20, (count, 8, 8, 1))
        colours = grey + np.array([30, 10, -20]) + random.normal(0, 8, (count, 1, 1, 3))
        return colours.clip(0, 255).astype(np.uint8), random.integers(0, 2, count)

    train, test = some(200), some(100)
    assert find_shift(case_of(pictures(2, train=train, test=test))) == []
    (found,) = find_shift(case_of(pictures(2, train=train, test=(test[0][..., ::-1].copy(), test[1]))))
    assert found.kind == "other-preparation" and "BGR" in found.told


def test_columns_in_other_units_and_columns_of_other_rows():
    sound = embedded("diabetes")
    names = [name for name, kind in sound.types.items() if name != sound.target and name != "sex"]
    values = {name: values_of(sound, "train", name) for name in names}
    standardised = {name: (values_of(sound, "test", name) - one.mean()) / one.std() for name, one in values.items()}
    (found,) = find_shift(case_of(changed(sound, "test", **standardised)))
    assert found.kind == "other-preparation" and "'age'" in found.told
    (found,) = find_shift(case_of(changed(sound, "validation", bmi=values_of(sound, "validation", "bmi") * 100)))
    assert (
        found.kind == "other-preparation" and "validation" in found.where and found.value == pytest.approx(100, rel=0.3)
    )
    order = np.argsort(values["s5"])  # those with the highest values are put aside: chosen rows, not other units
    splits = {
        "train": sound["train"].take(np.sort(order[:-60])),
        "validation": sound["train"].take(np.sort(order[-60:])),
    }
    found = find_shift(case_of(sound.with_splits({**sound.splits, **splits})))
    assert kinds(found) == ["shift"] and "column 's5'" in found[0].told


def test_the_area_of_rows_drawn_alike_strays_as_told():
    random = np.random.default_rng(0)
    alike = [told_apart(random.normal(size=(80, 3)), random.normal(size=(60, 3))) for _ in range(4)]
    assert all(abs(one.area - 0.5) < 3 * one.deviation for one in alike)
    assert told_apart(random.normal(size=(80, 3)), random.normal(1.5, 1, size=(60, 3))).area > 0.8

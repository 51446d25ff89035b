"""What the scan and the checks say of boxes, masks and points that are wrong, with one thing wrong each."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from gradus.data import load_data
from gradus.data.columns import Boxes, Column, Image, Mask, Objects, Points
from gradus.data.dataset import Dataset, NumberedRows, Split
from gradus.data.objects import checked_objects, fault_notes, faults_of
from gradus.data.scan import ScanResult, scan

REAL = Path(os.environ.get("GRADUS_DATA", "").split(os.pathsep)[0] or "no such folder")
GOOD = [10, 10, 30, 30]


def pictures(rows: int, seed: int = 0) -> Column:
    return Column(Image(), np.random.default_rng(seed).integers(0, 255, (rows, 40, 60, 3), dtype=np.uint8))


def boxes_data(objects: list[Objects], classes: tuple[str, ...] = ("cat", "dog"), **more: Split) -> Dataset:
    columns = {"image": pictures(len(objects)), "objects": Column(Boxes(classes=classes), objects)}
    split = Split(columns, NumberedRows.count("t.csv", len(objects)))
    return Dataset(name="t", source="t", splits={"train": split, **more}, target="objects")


def plain(rows: int = 12) -> list[Objects]:
    return [Objects.of([GOOD, [5, 5, 20, 35]], [0, 1]) for _ in range(rows)]


def found(result: ScanResult) -> list[str]:
    return [str(finding) for finding in result.findings]


def test_good_boxes_have_no_findings() -> None:
    result = scan(boxes_data(plain()))
    assert found(result) == []
    assert result.summary == [
        "train: 12 rows",
        "column image: Image (RGB)",
        "column objects: Boxes of 2 classes, the target",
        "sizes in image (height x width): 40x60 (12)",
        "boxes: 24 (cat 12, dog 12)",
        "boxes a picture: 2 to 2, median 2",
        "sizes of boxes (width x height): median 18x25; small 100%, medium 0%, large 0% (by COCO's 32x32 and 96x96)",
    ]


@pytest.mark.parametrize(
    ("box", "fault", "message"),
    [
        ([np.nan, 1, 5, 5], "numbers", "nan 1 5 5 on 60x40 pixels: a coordinate is no number: it is left out"),
        ([5, 5, 5, 20], "area", "5 5 5 20 on 60x40 pixels: it has no area: it is left out"),
        ([20, 5, 5, 20], "area", "20 5 5 20 on 60x40 pixels: it has no area: it is left out"),
        (
            [60, 5, 70, 20],
            "outside",
            "60 5 70 20 on 60x40 pixels: it lies wholly outside of the picture: it is left out",
        ),
        (
            [-9, -9, 0, 20],
            "outside",
            "-9 -9 0 20 on 60x40 pixels: it lies wholly outside of the picture: it is left out",
        ),
        (
            GOOD,
            "duplicates",
            "10 10 30 30 on 60x40 pixels: a box of the same class and place stands before it: it is left out",
        ),
        ([50, 5, 61, 20], "border", "50 5 61 20 on 60x40 pixels: it passes the border: it is cut off there"),
        ([5, -2, 20, 20], "border", "5 -2 20 20 on 60x40 pixels: it passes the border: it is cut off there"),
    ],
)
def test_each_fault_of_a_box(box: list[float], fault: str, message: str) -> None:
    objects = [*plain(11), Objects.of([GOOD, box], [0, 0])]
    assert faults_of(objects[-1], 40, 60).tolist() == ["", fault]
    assert f"warning: row 12 of t.csv, box 2 (cat): {message}" in found(scan(boxes_data(objects)))
    (kept,), faults = checked_objects(objects[-1:], [(40, 60)])
    assert faults == Counter({fault: 1})
    if fault == "border":
        assert kept.boxes[1].tolist() == np.clip(box, 0, [60, 40, 60, 40]).tolist()
        assert fault_notes(faults) == ["boxes cut off at the border of their picture: 1"]
    else:
        assert kept.boxes.tolist() == [GOOD] and fault_notes(faults)[0].startswith("boxes left out: 1 ")


def test_a_border_passed_by_rounding_is_cut_off_and_not_told() -> None:
    (kept,), faults = checked_objects([Objects.of([[-0.01, 5, 60.05, 20]], [0])], [(40, 60)])
    assert not faults and kept.boxes[0].tolist() == [0, 5, 60, 20]


def test_the_same_place_in_another_class_is_no_duplicate() -> None:
    assert faults_of(Objects.of([GOOD, GOOD], [0, 1]), 40, 60).tolist() == ["", ""]


def test_tiny_empty_ignored_few_and_uneven() -> None:
    objects = plain(120)
    objects[0] = Objects.of([[5, 5, 8, 20]], [2])
    objects[1] = Objects.of([], [])
    objects[2] = Objects.of([GOOD], [0], [True])
    lines = found(scan(boxes_data(objects, ("cat", "dog", "bird", "fish"))))
    assert "warning: row 1 of t.csv, box 1 (bird): it is tiny, 3x15 pixels (width x height)" in lines
    assert "note: column 'objects': 1 of 120 pictures have no box, the first is row 2 of t.csv" in lines
    assert "note: column 'objects': 1 boxes are ignored: not learnt, not counted" in lines
    assert "warning: class 'bird': only 1 training boxes are of it" in lines
    assert "note: class 'fish': no box is of it" in lines
    assert "warning: classes: unbalanced: 118 training boxes are 'cat', only 1 are 'bird'" in lines


def test_classes_that_training_lacks_and_no_boxes_at_all() -> None:
    test = boxes_data([Objects.of([GOOD], [1])] * 2).splits["train"]
    test = Split({**test.columns, "image": pictures(2, seed=9)}, test.origins)
    result = scan(boxes_data([Objects.of([GOOD], [0])] * 12, test=test))
    assert [str(error) for error in result.errors] == ["error: class 'dog': no training row has a box of it"]
    empty = scan(boxes_data([Objects.of([], [])] * 3))
    assert "error: train: there is no box in any training row" in found(empty)
    one = scan(boxes_data([Objects.of([GOOD], [0])] * 12, ("cat",)))
    assert "note: class 'cat': it is the only class" in found(one)


def test_the_same_picture_in_two_splits_and_twice_with_other_boxes() -> None:
    data = boxes_data(plain(12))
    test = data.splits["train"].take(np.array([4]))
    lines = found(scan(Dataset(name="t", source="t", splits={**data.splits, "test": test}, target="objects")))
    both = "in test, and in train as row 5 of t.csv"
    assert f"warning: row 5 of t.csv: the same item is in two splits: {both}" in lines
    twice = data.splits["train"].take(np.array([*range(12), 3]))
    twice["objects"].values[12] = Objects.of([GOOD], [1])
    lines = found(scan(Dataset(name="t", source="t", splits={"train": twice}, target="objects")))
    assert "warning: row 4 of t.csv: the same as row 4 of t.csv, but its boxes differ" in lines


def masks_data(masks: list[np.ndarray], classes: tuple[str, ...] = ("road", "sky")) -> Dataset:
    columns = {"image": pictures(len(masks)), "mask": Column(Mask(classes=classes), masks)}
    split = Split(columns, NumberedRows.count("t.csv", len(masks)))
    return Dataset(name="t", source="t", splits={"train": split}, target="mask")


def test_masks() -> None:
    half = np.zeros((40, 60), dtype=np.uint8)
    half[:20] = 1
    result = scan(masks_data([half] * 12))
    assert found(result) == [] and result.summary[-1] == "pixels: road 50.0%, sky 50.0%; without a class 0.0%"
    rare = np.zeros((40, 60), dtype=np.uint8)
    rare[0, 0] = 2
    none = np.full((40, 60), 255, dtype=np.uint8)
    masks = [*[half] * 11, rare, none, np.zeros((20, 60), dtype=np.uint8)]
    lines = found(scan(masks_data(masks, ("road", "sky", "car", "bus"))))
    assert "error: row 14 of t.csv: the mask is 60x20, its picture 60x40" in lines
    assert "warning: row 13 of t.csv: no pixel of it has a class" in lines
    assert "warning: class 'car': only 1 training masks have it" in lines
    assert "note: class 'bus': no mask has it" in lines
    assert any(line.startswith("warning: classes: unbalanced: ") and line.endswith("'car'") for line in lines)
    assert "error: class 'road': training masks hold one class at most: there is nothing to learn" in found(
        scan(masks_data([np.zeros((40, 60), dtype=np.uint8)] * 3))
    )


def test_points() -> None:
    places = np.full((12, 2, 2), 10.0)
    places[3, 1] = 70, 10
    places[4, 0] = np.nan
    columns = {"image": pictures(12), "points": Column(Points(names=("nose", "ear")), places)}
    split = Split(columns, NumberedRows.count("t.csv", 12))
    result = scan(Dataset(name="t", source="t", splits={"train": split}, target="points"))
    assert found(result) == [
        "warning: row 4 of t.csv, point 'ear': (70, 10) lies outside of the picture of 60x40 pixels"
    ]
    assert result.summary[-1] == "points: 2 a picture; not there: nose 1"


@pytest.mark.skipif(not (REAL / "bccd").is_dir(), reason="GRADUS_DATA is unset or has no bccd")
def test_bccd_has_two_boxes_without_area() -> None:
    result = scan(load_data("bccd"))
    areas = [finding.where for finding in result.findings if "no area" in finding.message]
    assert areas == ["row 171 of train.parquet, box 4 (RBC)", "row 69 of validation.parquet, box 13 (RBC)"]
    assert not result.errors and "boxes: 4,888 (RBC 4,155, WBC 372, Platelets 361)" in result.summary

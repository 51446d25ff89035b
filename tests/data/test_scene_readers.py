"""Boxes in the formats of the field: COCO, VOC, YOLO and tables, read as they are, and what is said where a part is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from gradus.data import readers
from gradus.data.columns import Boxes, Points
from gradus.data.dataset import Dataset
from gradus.data.scan import scan
from gradus.errors import UserError


def picture(path: Path, width: int = 40, height: int = 20) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    shade = sum(path.name.encode()) % 200
    PillowImage.new("RGB", (width, height), (shade, 90, 40)).save(path)
    return path


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def rows(dataset: Dataset, split: str = "train") -> dict[str, list[tuple]]:
    """Origin -> (class, box, ignored) of each of its boxes."""
    part, kind = dataset[split], dataset.types["objects"]
    assert isinstance(kind, Boxes)
    return {
        part.origins[index]: [
            (kind.classes[label], *map(float, box), bool(ignored))
            for box, label, ignored in zip(value.boxes, value.labels, value.ignored, strict=True)
        ]
        for index, value in enumerate(part["objects"])
    }


def coco(*boxes: tuple, names: tuple[str, ...] = ("a.png", "b.png"), categories: dict | None = None) -> dict:
    """boxes: (image, category, box, more fields)."""
    categories = categories or {7: "dog", 3: "cat"}
    return {
        "images": [{"id": 10 + n, "file_name": name, "height": 20, "width": 40} for n, name in enumerate(names)],
        "annotations": [
            {"id": n, "image_id": image, "category_id": category, "bbox": box, **(more[0] if more else {})}
            for n, (image, category, box, *more) in enumerate(boxes)
        ],
        "categories": [{"id": number, "name": name} for number, name in categories.items()],
    }


def xml(*objects: tuple, size: tuple[int, int] = (40, 20), head: str = "") -> str:
    """objects: (name, xmin, ymin, xmax, ymax, difficult)."""
    parts = [
        f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox><xmin>{a}</xmin><ymin>{b}</ymin>"
        f"<xmax>{c}</xmax><ymax>{d}</ymax></bndbox><part><name>head</name><bndbox/></part></object>"
        for name, a, b, c, d, difficult in objects
    ]
    return f"{head}<annotation><size><width>{size[0]}</width><height>{size[1]}</height></size>{''.join(parts)}</annotation>"


def test_coco_of_annotations_and_split_folders(tmp_path: Path) -> None:
    for name in ("train2017/a.png", "train2017/b.png", "val2017/c.png"):
        picture(tmp_path / name)
    train = coco((10, 7, [1, 2, 3, 4.5]), (10, 3, [5, 5, 10, 10], {"iscrowd": 1}))
    write(tmp_path / "annotations" / "instances_train2017.json", train)
    write(tmp_path / "annotations" / "instances_val2017.json", coco((10, 3, [0, 0, 40, 20]), names=("c.png",)))
    write(tmp_path / "annotations" / "captions_train2017.json", coco())
    data = readers.read(tmp_path)
    assert data.target == "objects" and data.types["objects"] == Boxes(classes=("cat", "dog"))  # by ascending id
    assert rows(data) == {
        "train2017/a.png": [("dog", 1, 2, 4, 6.5, False), ("cat", 5, 5, 15, 15, True)],
        "train2017/b.png": [],
    }
    assert rows(data, "validation") == {"val2017/c.png": [("cat", 0, 0, 40, 20, False)]}
    assert data["train"]["image"][0].shape == (20, 40, 3)


def test_coco_as_roboflow_exports_it(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        picture(tmp_path / split / "a.png")
        content = coco(
            (10, 1, [1, 1, 5, 5], {"segmentation": [[1, 1, 6, 1, 6, 6]]}), names=("a.png",), categories={1: "cell"}
        )
        content["categories"].insert(0, {"id": 0, "name": "cells", "supercategory": "none"})
        content["categories"][1]["supercategory"] = "cells"
        write(tmp_path / split / "_annotations.coco.json", content)
    data = readers.read(tmp_path)
    assert list(data.splits) == ["train", "validation"]
    assert data.types["objects"] == Boxes(classes=("cell",))
    assert any("'cells'" in note or "cells:" in note for note in data.notes)
    assert any(note.startswith("2 objects have outlines") for note in data.notes)


def test_one_coco_file(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png")
    file = write(tmp_path / "labels.json", coco((10, 7, [1, 2, 3, 4]), names=("a.png",)))
    assert rows(readers.read(file)) == {"images/a.png": [("dog", 1, 2, 4, 6, False)]}


def test_coco_key_points(tmp_path: Path) -> None:
    for name in "ab":
        picture(tmp_path / "images" / f"{name}.png")
    content = coco((10, 1, [1, 1, 9, 9], {"keypoints": [3, 4, 2, 0, 0, 0]}), categories={1: "person"})
    content["categories"][0]["keypoints"] = ["nose", "ear"]
    write(tmp_path / "annotations" / "person_keypoints_train2017.json", content)
    data = readers.read(tmp_path, target="points")
    assert data.target == "points" and data.types["points"] == Points(names=("nose", "ear"))
    assert readers.read(tmp_path).target == "objects"
    expected = [[[3, 4], [np.nan] * 2], [[np.nan] * 2] * 2]
    assert np.array_equal(data["train"]["points"].values, expected, equal_nan=True)
    content["categories"][0]["keypoints"] = 2
    write(tmp_path / "annotations" / "person_keypoints_train2017.json", content)
    assert any("key points were left out" in note for note in readers.read(tmp_path).notes)
    content["categories"][0]["keypoints"] = ["nose", "ear"]
    content["annotations"] *= 2
    write(tmp_path / "annotations" / "person_keypoints_train2017.json", content)
    data = readers.read(tmp_path)
    assert "points" not in data.types and any("key points were left out" in note for note in data.notes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (coco((99, 7, [1, 2, 3, 4])), r"annotation 0 of c.json: there is no image with the id 99"),
        (coco((10, 99, [1, 2, 3, 4])), r"there is no category with the id 99"),
        (coco((10, 7, [1, 2, 3])), r"expected a bbox of left, top, width and height, found \[1, 2, 3\]"),
        (coco((10, 7, [10**400, 2, 3, 4])), r"expected a bbox of left, top, width and height"),
        (coco((10, 7, [True, 2, 3, 4])), r"expected a bbox of left, top, width and height"),
        (
            coco((10, 7, [1, 2, 3, 4], {"keypoints": ["x", 1, 2]})),
            r"annotation 0 of c.json: expected keypoints of x, y",
        ),
        (coco(([10], 7, [1, 2, 3, 4])), r"there is no image with the id \[10\]"),
        (coco(categories={1: "a", 2: "a"}), r"two categories are called 'a'"),
        ({"images": [], "annotations": 3}, r"a COCO file has a list 'annotations'"),
        ('{"images": "annotations",', r"this is not JSON"),
        ('{"n": ' + "1" * 5000 + ', "images": "annotations"}', r"a number in it is too long"),
        (coco(names=("a.png", "away.png")), r"1 of 2 pictures cannot be read, first away.png: there is no such file"),
    ],
)
def test_wrong_coco_is_told(tmp_path: Path, content: object, message: str) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png")
    if isinstance(content, str):
        content = content.replace('"annotations"', '"annotations": [], "x": "annotations"')
    with pytest.raises(UserError, match=message):
        readers.read(write(tmp_path / "c.json", content))


def test_voc_folders(tmp_path: Path) -> None:
    for name in "abcd":
        picture(tmp_path / "JPEGImages" / f"{name}.jpg")
        write(tmp_path / "Annotations" / f"{name}.xml", xml(("dog", 1, 1, 40, 20, 0), ("cat", 2.5, 3, 10, 11, 1)))
    write(tmp_path / "ImageSets" / "Main" / "train.txt", "c\na\n")
    write(tmp_path / "ImageSets" / "Main" / "val.txt", "b 1\n")
    write(tmp_path / "ImageSets" / "Main" / "dog_train.txt", "b 1\n")
    data = readers.read(tmp_path)
    assert list(rows(data)) == ["JPEGImages/c.jpg", "JPEGImages/a.jpg"]  # in the order of train.txt
    assert rows(data)["JPEGImages/a.jpg"] == [("dog", 0, 0, 40, 20, False), ("cat", 1.5, 2, 10, 11, True)]
    assert list(rows(data, "validation")) == ["JPEGImages/b.jpg"]
    assert data.types["objects"] == Boxes(classes=("cat", "dog"))
    assert any("1 XML files are in no split" in note for note in data.notes)


def test_voc_names_with_spaces(tmp_path: Path) -> None:
    for name in ("my photo 1", "my photo", "图 片"):
        picture(tmp_path / "JPEGImages" / f"{name}.jpg")
        write(tmp_path / "Annotations" / f"{name}.xml", xml(("dog", 1, 1, 40, 20, 0)))
    write(tmp_path / "ImageSets" / "Main" / "train.txt", "my photo 1\r\n图 片  -1\r\n")
    write(tmp_path / "ImageSets" / "Main" / "val.txt", "my photo\n")
    data = readers.read(tmp_path)
    assert list(rows(data)) == ["JPEGImages/my photo 1.jpg", "JPEGImages/图 片.jpg"]
    assert list(rows(data, "validation")) == ["JPEGImages/my photo.jpg"]


def test_xml_beside_pictures(tmp_path: Path) -> None:
    for split in ("train", "test"):
        picture(tmp_path / split / "a.png")
        write(tmp_path / split / "a.xml", xml(("dog", 1, 1, 5, 6, 0), size=(80, 40)))
    picture(tmp_path / "train" / "alone.png")
    write(tmp_path / "labels.txt", "zebra\ndog\n")
    data = readers.read(tmp_path)
    assert data.types["objects"] == Boxes(classes=("zebra", "dog"))
    assert rows(data) == {"train/a.png": [("dog", 0, 0, 5, 6, False)]}
    assert any("1 pictures have no XML file" in note and "alone.png" in note for note in data.notes)
    assert any("first train/a.png: 40x20, said to be 80x40" in note for note in data.notes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (xml(("dog", "x", 1, 5, 6, 0)), r"object 1 of a.xml: expected a bndbox"),
        (xml(("", 1, 1, 5, 6, 0)), r"object 1 of a.xml: it has no name"),
        ("<annotation>", r"a.xml: this is not XML"),
        (xml(head='<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>'), r"document type"),
        (
            xml(head='<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]>').replace("<size>", "<size>&c;"),
            r"document type",
        ),
    ],
)
def test_wrong_xml_is_told(tmp_path: Path, content: str, message: str) -> None:
    picture(tmp_path / "a.png")
    write(tmp_path / "a.xml", content)
    with pytest.raises(UserError, match=message):
        readers.read(tmp_path)


YAML = "path: ../somewhere\ntrain: ../train/images\nval: valid/images\nnc: 2\nnames: ['dog', 'cat']\n"


def test_yolo_with_a_yaml_file(tmp_path: Path) -> None:
    write(tmp_path / "data.yaml", YAML)
    for split in ("train", "valid"):
        picture(tmp_path / split / "images" / "a.png")
        picture(tmp_path / split / "images" / "b.png")
        write(tmp_path / split / "labels" / "a.txt", "1 0.5 0.5 1 1\n\n0 0.25 0.5 0.25 0.5\n")
    data = readers.read(tmp_path)
    assert data.types["objects"] == Boxes(classes=("dog", "cat"))
    assert rows(data)["train/images/a.png"] == [("cat", 0, 0, 40, 20, False), ("dog", 5, 5, 15, 15, False)]
    assert rows(data)["train/images/b.png"] == []
    assert any("2 pictures have no text file" in note for note in data.notes)
    assert rows(readers.read(tmp_path / "data.yaml")) == rows(data)


def test_names_that_no_file_can_have_are_told(tmp_path: Path) -> None:
    write(tmp_path / "data.yaml", "train: train.txt\nnames: [dog]\n")
    picture(tmp_path / "a.png")
    write(tmp_path / "a.txt", "0 0.5 0.5 1 1\n")
    write(tmp_path / "train.txt", "a.png\n" + "x" * 3000 + ".png\n")
    with pytest.raises(UserError, match=r"1 of 2 pictures cannot be read"):
        readers.read(tmp_path)
    write(tmp_path / "train.txt", "a.png\nb\x00.png\n")
    with pytest.raises(UserError, match=r"1 of 2 pictures cannot be read"):
        readers.read(tmp_path)
    assert any("zero byte" in error.message or "null byte" in error.message for error in scan(tmp_path).errors)


def test_yolo_with_names_as_a_table_and_lists_of_pictures(tmp_path: Path) -> None:
    write(tmp_path / "data.yaml", "train: train.txt\nnames:\n  0: dog\n  1: cat\n")
    for name in "ab":
        picture(tmp_path / "images" / f"{name}.png")
        write(tmp_path / "labels" / f"{name}.txt", "0 0.1 0.1 0.9 0.1 0.9 0.5 0.1 0.5\n")
    write(tmp_path / "train.txt", "./images/b.png\n./images/a.png\n")
    data = readers.read(tmp_path)
    assert list(rows(data)) == ["images/b.png", "images/a.png"]
    (name, *box, _), *_ = rows(data)["images/a.png"]
    assert name == "dog" and np.allclose(box, [4, 2, 36, 10])
    assert any("2 lines are polygons" in note for note in data.notes)


@pytest.mark.parametrize("place", ["flat", "folders", "splits"])
def test_yolo_with_classes_txt(tmp_path: Path, place: str) -> None:
    images, labels = {
        "flat": ("", ""),
        "folders": ("images/", "labels/"),
        "splits": ("images/train/", "labels/train/"),
    }[place]
    picture(tmp_path / f"{images}a.png")
    write(tmp_path / f"{labels}a.txt", "1 0.5 0.5 0.5 0.5\n")
    write(tmp_path / "classes.txt", "dog\ncat\n")
    assert rows(readers.read(tmp_path)) == {f"{images}a.png": [("cat", 10, 5, 30, 15, False)]}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2 0.5 0.5 1 1", r"line 1 of labels/a.txt: the class 2 has no name; there are 2"),
        ("dog 0.5 0.5 1 1", r"expected a class number, centre x"),
        ("0 0.5 0.5 1", r"expected a class number, centre x"),
        ("0 0.5 0.5 1 1 0.9", r"expected a class number, centre x"),
        ("0 20 10 12 8", r"go from 0 to 1, found 20; are these pixels"),
    ],
)
def test_wrong_yolo_lines_are_told(tmp_path: Path, line: str, message: str) -> None:
    picture(tmp_path / "images" / "a.png")
    write(tmp_path / "labels" / "a.txt", line)
    write(tmp_path / "classes.txt", "dog\ncat\n")
    with pytest.raises(UserError, match=message):
        readers.read(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("train: images\n", r"names is a list of class names"),
        ("train: images\nnames: [a, b]\nnc: 3\n", r"nc is 3, but there are 2 names"),
        ("train: images\nnames: {1: a}\n", r"names count from 0 without gaps, found 1"),
        ("train: images\nnames: {0: a, x: b}\n", r"names count from 0 without gaps, found 0, x"),
        ("train: away\nnames: [a]\n", r"there is no .*away"),
        ("val: images\nnames: [a]\n", r"does not say where the training pictures are"),
        ("train: images\nnames: [a\n", r"this is not YAML"),
        ("train: images\nnames: [[a, b], c]\n", r"names is a list of class names"),
        ("train: {a: images}\nnames: [a]\n", r"train says where pictures are: a folder, a text file, or a list"),
        ("train: images\npath: [images]\nnames: [a]\n", r"path is a folder"),
        ("train: images\nnames: [a]\nnc: '1'\n", r"nc is '1', but there are 1 names"),
        (f"train: {'x' * 3000}\nnames: [a]\n", r"there is no .*xxx"),
        (
            "train: images\nnames: [a]\n",
            r"none of 1 pictures has a text file of boxes; for images/a.png expected labels/a.txt",
        ),
    ],
)
def test_wrong_yaml_is_told(tmp_path: Path, content: str, message: str) -> None:
    picture(tmp_path / "images" / "a.png")
    with pytest.raises(UserError, match=message):
        readers.read(write(tmp_path / "data.yaml", content))


def test_table_of_corners_beside_the_size_of_the_picture(tmp_path: Path) -> None:
    for name in "ab":
        picture(tmp_path / f"{name}.png")
    header = "filename,width,height,class,xmin,ymin,xmax,ymax\n"
    table = header + "b.png,40,20,dog,1,2,3,4\na.png,40,20,,,,,\nb.png,40,20,cat,0,0,40,20\n"
    data = readers.read(write(tmp_path / "boxes.csv", table))
    assert rows(data) == {"b.png": [("dog", 1, 2, 3, 4, False), ("cat", 0, 0, 40, 20, False)], "a.png": []}
    assert list(rows(data)) == ["b.png", "a.png"]


@pytest.mark.parametrize(
    ("header", "values", "box"),
    [
        ("image,label,x,y,width,height", "dog,1,2,3,4", (1, 2, 4, 6)),
        ("Image_Path,Category,X1,Y1,X2,Y2", "dog,1,2,3,4", (1, 2, 3, 4)),
        ("file,name,left,top,right,bottom", "dog,1,2,3,4", (1, 2, 3, 4)),
        ("file,name,xmin,ymin,xmax,ymax", "dog,0.25,0.5,0.5,1", (10, 10, 20, 20)),  # shares of the sides
    ],
)
def test_names_of_columns(tmp_path: Path, header: str, values: str, box: tuple) -> None:
    picture(tmp_path / "images" / "a.png")
    file = write(tmp_path / "boxes.csv", f"{header}\na.png,{values}\n")
    assert rows(readers.read(file)) == {"a.png": [("dog", *box, False)]}


def test_tables_of_several_splits_and_a_table_without_boxes(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        picture(tmp_path / split / "a.png")
        write(tmp_path / split / "_annotations.csv", "filename,class,xmin,ymin,xmax,ymax\na.png,dog,1,2,3,4\n")
    assert list(readers.read(tmp_path).splits) == ["train", "validation"]
    plain = write(tmp_path / "prices.csv", "x,y,width,height,price\n" + "1,2,3,4,5\n2,3,4,5,7\n" * 3)
    assert "objects" not in readers.read(plain, "price").types


def test_wrong_rows_are_told_by_the_row(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    file = write(tmp_path / "b.csv", "image,class,xmin,ymin,xmax,ymax\na.png,dog,1,2,3,x\na.png,,1,2,3,4\n")
    with pytest.raises(UserError, match=r"row 2 of b.csv: column 'ymax' holds numbers, found 'x' \(and 1 more"):
        readers.read(file)
    errors = [str(finding) for finding in scan(file).errors]
    assert any("row 2 of b.csv" in error for error in errors) and any("row 3 of b.csv" in error for error in errors)


def test_half_a_layout_is_told(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png")
    (tmp_path / "labels").mkdir()
    with pytest.raises(
        UserError, match=r"nothing that is written about them \(beside it: labels\); expected labels/\*.txt"
    ):
        readers.read(tmp_path)
    write(tmp_path / "labels" / "a.txt", "0 0.5 0.5 1 1")
    with pytest.raises(UserError, match=r"the classes have no names: expected data.yaml, or classes.txt"):
        readers.read(tmp_path)
    write(tmp_path / "annotations.csv", "image,class\n")
    (tmp_path / "labels" / "a.txt").unlink()
    with pytest.raises(UserError, match=r"to read the table, give its path"):
        readers.read(tmp_path)


def test_annotations_without_pictures_and_without_train(tmp_path: Path) -> None:
    write(tmp_path / "Annotations" / "a.xml", xml())
    with pytest.raises(UserError, match=r"there are no pictures in it; expected .*JPEGImages"):
        readers.read(tmp_path)
    picture(tmp_path / "JPEGImages" / "a.jpg")
    write(tmp_path / "ImageSets" / "Main" / "val.txt", "a\n")
    with pytest.raises(UserError, match=r"there is no train split, only validation"):
        readers.read(tmp_path)


def test_class_folders_are_still_class_folders(tmp_path: Path) -> None:
    for name in ("train/cat/a.png", "train/dog/b.png", "val/cat/c.png"):
        picture(tmp_path / name)
    write(tmp_path / "notes.json", {"annotations": []})
    assert readers.read(tmp_path).target == "label"

"""Masks of objects' outlines, as COCO and YOLO write them, and what is said where one is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from gradus.cli import main
from gradus.data import readers
from gradus.data.columns import Mask
from gradus.data.dataset import Dataset
from gradus.errors import UserError

HEIGHT, WIDTH = 4, 6
LEFT = [0, 0, 2, 0, 2, 4, 0, 4]  # the two columns on the left
CORNER = [4, 0, 6, 0, 6, 1, 4, 1]  # two pixels in the upper right
TEXT = "84<"  # 8 pixels outside, 4 inside and 12 outside, column by column


def coco(root: Path, *outlines: Any, names: tuple[str, ...] = ("cat", "dog"), **more: Any) -> Path:
    """A picture with objects of the category 1, 2, 1, ... with these outlines; dictionaries are whole annotations."""
    (root / "images").mkdir(parents=True, exist_ok=True)
    PillowImage.new("RGB", (WIDTH, HEIGHT), (9, 90, 40)).save(root / "images" / "a.png")
    entries = []
    for number, outline in enumerate(outlines):
        entry = {"id": number, "image_id": 5, "category_id": 1 + number % len(names), "iscrowd": 0}
        whole = isinstance(outline, dict) and "counts" not in outline
        entries.append({**entry, **outline} if whole else {**entry, "segmentation": outline})
    content = {
        "images": [{"id": 5, "file_name": "a.png", "height": HEIGHT, "width": WIDTH}],
        "annotations": entries,
        "categories": [{"id": number, "name": name} for number, name in enumerate(names, start=1)],
        **more,
    }
    file = root / "boxes.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def yolo(root: Path, *lines: str) -> Path:
    for folder in ("images/train", "labels/train"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    PillowImage.new("RGB", (WIDTH, HEIGHT), (9, 90, 40)).save(root / "images" / "train" / "a.png")
    (root / "labels" / "train" / "a.txt").write_text("\n".join(lines))
    (root / "data.yaml").write_text("train: images/train\nnames: [cat, dog]\n")
    return root


def shares(corners: list[int]) -> str:
    return " ".join(f"{corner / (HEIGHT if place % 2 else WIDTH)}" for place, corner in enumerate(corners))


def mask_of(data: Dataset) -> tuple[tuple[str, ...], list[list[int]]]:
    kind = data.types["mask"]
    assert isinstance(kind, Mask) and kind.ignore == 255 and data.target == "mask"
    return kind.classes, np.asarray(data["train"]["mask"][0]).tolist()


CAT_AND_DOG = (("background", "cat", "dog"), [[1, 1, 0, 0, 2, 2], *[[1, 1, 0, 0, 0, 0]] * 3])


def test_polygons_of_coco_and_yolo_are_drawn_on_a_background(tmp_path: Path) -> None:
    data = readers.read(coco(tmp_path / "coco", [LEFT], [CORNER]), "mask")
    assert mask_of(data) == CAT_AND_DOG
    assert any("a class of their own, 'background'" in note for note in data.notes)
    assert mask_of(readers.read(tmp_path / "coco", "mask")) == CAT_AND_DOG  # the folder
    lines = [f"0 {shares(LEFT)}", f"1 {shares(CORNER)}"]
    assert mask_of(readers.read(yolo(tmp_path / "yolo", *lines), "mask")) == CAT_AND_DOG
    assert mask_of(readers.read(tmp_path / "yolo" / "data.yaml", "mask")) == CAT_AND_DOG


def test_run_lengths_as_numbers_and_as_text(tmp_path: Path) -> None:
    wanted = [[0, 0, 1, 0, 0, 0]] * 4
    for name, counts in (("numbers", [8, 4, 12]), ("text", TEXT)):
        outline = {"counts": counts, "size": [HEIGHT, WIDTH]}
        crowd = {"segmentation": outline, "iscrowd": 1}  # of its class all the same
        assert mask_of(readers.read(coco(tmp_path / name, crowd), "mask"))[1] == wanted


def test_several_parts_and_a_smaller_object_on_a_larger_one(tmp_path: Path) -> None:
    everything = [0, 0, 6, 0, 6, 4, 0, 4]
    classes, mask = mask_of(readers.read(coco(tmp_path, [LEFT, CORNER], [everything]), "mask"))
    assert classes == ("cat", "dog")  # no pixel is left, so there is no background
    assert mask == [[0, 0, 1, 1, 0, 0], *[[0, 0, 1, 1, 1, 1]] * 3]


def test_a_class_called_background_or_void_is_taken_as_that(tmp_path: Path) -> None:
    data = readers.read(coco(tmp_path, [LEFT], [CORNER], names=("void", "Background")), "mask")
    assert mask_of(data) == (("Background",), [[255, 255, 0, 0, 0, 0], *[[255, 255, 0, 0, 0, 0]] * 3])
    assert any("pixels of void have no class" in note for note in data.notes)


def test_objects_with_a_box_alone_are_no_class(tmp_path: Path) -> None:
    wanted = [[1, 1, 0, 255, 255, 255], [1, 1, 0, 255, 255, 255], *[[1, 1, 0, 0, 0, 0]] * 2]
    data = readers.read(coco(tmp_path / "coco", [LEFT], {"bbox": [3, 0, 3, 2]}), "mask")
    assert mask_of(data)[1] == wanted
    assert any("1 objects have a box and no outline" in note for note in data.notes)
    data = readers.read(yolo(tmp_path / "yolo", f"0 {shares(LEFT)}", "1 0.75 0.25 0.5 0.5"), "mask")
    assert mask_of(data)[1] == wanted


def test_without_being_asked_for_boxes_are_read(tmp_path: Path) -> None:
    data = readers.read(coco(tmp_path, {"bbox": [0, 0, 2, 4], "segmentation": [LEFT]}))
    assert data.target == "objects"
    assert any("1 objects have outlines: --target mask learns the class of every pixel" in note for note in data.notes)
    data = readers.read(yolo(tmp_path / "yolo", f"0 {shares(LEFT)}"))
    assert data.target == "objects" and any("--target mask" in note for note in data.notes)


@pytest.mark.parametrize(
    ("outline", "message"),
    [
        (
            [[0, 0, 1, 1]],
            r"annotation 0 of boxes.json: expected polygons, or run lengths of the picture, found \[\[0, 0, 1, 1\]\]",
        ),
        ([[0, 0, 1, 1, 2, "x"]], "expected polygons"),
        ([LEFT, [1, 2, 3, 4, 5, 6, 7]], "expected polygons"),
        ("abc", "expected polygons"),
        ({"counts": [3, 4], "size": [HEIGHT, WIDTH]}, "expected polygons"),
        ({"counts": {}, "size": [HEIGHT, WIDTH]}, "expected polygons"),
        ({"counts": [1.5], "size": [HEIGHT, WIDTH]}, "expected polygons"),
        ({"counts": [8, 4, 12], "size": [WIDTH]}, "expected polygons"),
        ({"counts": [3, 6], "size": [3, 3]}, "images/a.png: run lengths of 3x3 pixels, but the picture has 6x4"),
        ([[0, 0, 1, float("nan"), 2, 2]], "images/a.png: a corner of a polygon is no place on a picture"),
        ([[0, 0, 1, 1e300, 2, 2]], "no place on a picture"),
    ],
)
def test_outlines_that_cannot_be_read_are_named(tmp_path: Path, outline: object, message: str) -> None:
    file = coco(tmp_path, outline)
    with pytest.raises(UserError, match=message):
        readers.read(file, "mask")
    assert len(readers.read(file, "mask", check=False).mistakes) == 1


def test_yolo_s_corners_that_are_no_places(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no place on a picture"):
        readers.read(yolo(tmp_path, "0 0 0 1 nan 1 1"), "mask")


def test_boxes_alone_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"boxes.json: its objects have boxes alone, no outlines, so nothing tells"):
        readers.read(coco(tmp_path, {"bbox": [0, 0, 2, 4]}), "mask")


def scanned(folder: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["data", "scan", str(folder), "--target", "mask"])
    assert stopped.value.code == 0


def test_the_commands_take_outlines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    coco(tmp_path / "data", [LEFT], [CORNER])
    scanned(tmp_path / "data")
    told = capsys.readouterr().out
    assert "pixels: background 58.3%, cat 33.3%, dog 8.3%; without a class 0.0%" in told
    coco(tmp_path / "data", {"counts": [3, 6], "size": [3, 3]})
    scanned(tmp_path / "data")
    told = capsys.readouterr().out
    assert "run lengths of 3x3 pixels, but the picture has 6x4" in told


def test_a_segmenter_of_boxes_is_told_of_outlines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = yolo(tmp_path / "data", f"0 {shares(LEFT)}", f"1 {shares(CORNER)}")
    for name in "bcdefghijkl":  # enough for a part to be held out
        PillowImage.new("RGB", (WIDTH, HEIGHT)).save(root / "images" / "train" / f"{name}.png")
    command = ["train", "--data", str(root), "--task", "semantic-segmentation", "--out", str(tmp_path / "run")]
    with pytest.raises(SystemExit) as stopped:
        main(command)
    assert stopped.value.code == 2
    assert "segmentation needs masks; --target mask reads them where objects have outlines" in capsys.readouterr().err

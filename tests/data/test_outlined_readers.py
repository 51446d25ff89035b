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
    data = readers.read(
        coco(tmp_path / "labelme", [LEFT], names=("_background_", "cat"), annotations=[]), "mask", False
    )
    assert data.types["mask"] == Mask(classes=("_background_", "cat"))
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
            [[0, 0, 1]],
            r"annotation 0 of boxes.json: expected polygons, or run lengths of the picture, found \[\[0, 0, 1\]\]",
        ),
        ([[0, 0, 1, 1, 2, "x"]], "expected polygons"),
        ([LEFT, [1, 2, 3, 4, 5, 6, 7]], "expected polygons"),
        ("abc", "expected polygons"),
        ({"counts": [3, 4], "size": [HEIGHT, WIDTH]}, "expected polygons"),
        ({"counts": {}, "size": [HEIGHT, WIDTH]}, "expected polygons"),
        ({"counts": [1.5], "size": [HEIGHT, WIDTH]}, "expected polygons"),
        ({"counts": [8, 4, 12], "size": [WIDTH]}, "expected polygons"),
        ({"counts": [10**36], "size": [10**18, 10**18]}, "expected polygons"),
        ({"counts": [3, 6], "size": [3, 3]}, "images/a.png: run lengths of 3x3 pixels, but the picture has 6x4"),
        ([[0, 0, 1, float("nan"), 2, 2]], "images/a.png: a corner of a polygon is no place on a picture"),
        ([[0, 0, 1, 1e300, 2, 2]], "no place on a picture"),
        ({"bbox": [0, 0, float("inf"), 2]}, "a box without an outline is no place on a picture"),
        ({"bbox": [float("nan"), 0, 3, 2]}, "a box without an outline is no place on a picture"),
    ],
)
def test_outlines_that_cannot_be_read_are_named(tmp_path: Path, outline: object, message: str) -> None:
    file = coco(tmp_path, outline)
    with pytest.raises(UserError, match=message):
        readers.read(file, "mask")
    assert len(readers.read(file, "mask", check=False).mistakes) == 1


def test_a_mask_that_cannot_be_drawn_says_so(tmp_path: Path) -> None:
    data = readers.read(coco(tmp_path, {"counts": [3, 6], "size": [3, 3]}), "mask", check=False)
    with pytest.raises(UserError, match=r"images/a.png: its mask cannot be drawn"):
        _ = data["train"]["mask"][0]


def test_several_mistakes_say_how_all_are_found(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\(and 1 more; `gradus data scan .* --target mask` names them all\)"):
        readers.read(coco(tmp_path, "abc", "abc"), "mask")


def test_parts_that_cover_nothing_are_left_out_and_one_flat_list_is_a_polygon(tmp_path: Path) -> None:
    wanted = [[1, 1, 0, 0, 0, 0]] * 4
    for name, outline in (("part", [LEFT, [1, 1, 2, 2]]), ("flat", LEFT)):
        assert mask_of(readers.read(coco(tmp_path / name, outline), "mask"))[1] == wanted
    nothing = {"segmentation": [[1, 1, 2, 2]], "bbox": [3, 0, 3, 4]}  # so it has a box alone
    mask = mask_of(readers.read(coco(tmp_path / "box", [LEFT], nothing), "mask"))[1]
    assert mask == [[1, 1, 0, 255, 255, 255]] * 4


def test_run_lengths_without_a_size_are_those_of_the_picture(tmp_path: Path) -> None:
    assert mask_of(readers.read(coco(tmp_path, {"counts": [8, 4, 12]}), "mask"))[1] == [[0, 0, 1, 0, 0, 0]] * 4


def test_yolo_s_corners_that_are_no_places(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no place on a picture"):
        readers.read(yolo(tmp_path, "0 0 0 1 nan 1 1"), "mask")


def test_yolo_s_key_points_are_no_polygon(tmp_path: Path) -> None:
    root = yolo(tmp_path, "0 0.5 0.5 1 1 " + "0.1 0.1 2 " * 4)
    with (root / "data.yaml").open("a") as file:
        file.write("kpt_shape: [4, 3]\n")
    data = readers.read(root)
    assert data["train"]["objects"][0].boxes.tolist() == [[0, 0, WIDTH, HEIGHT]]
    assert "key points (kpt_shape in data.yaml) were left out" in data.notes
    with pytest.raises(UserError, match="no object has an outline"):
        readers.read(root, "mask")


def test_where_no_object_has_an_outline_masks_are_refused(tmp_path: Path) -> None:
    for name, objects in (("boxes", [{"bbox": [0, 0, 2, 4]}]), ("nothing", [])):
        file = coco(tmp_path / name, *objects)
        with pytest.raises(UserError, match=r"boxes.json: no object has an outline, so nothing tells"):
            readers.read(file, "mask")


def test_too_many_classes_and_a_missing_split_are_refused(tmp_path: Path) -> None:
    file = coco(tmp_path / "many", [LEFT], names=tuple(f"class {n}" for n in range(254)))
    with pytest.raises(UserError, match="masks of at most 253 classes can be drawn, found 254"):
        readers.read(file, "mask")
    coco(tmp_path / "val", [LEFT]).rename(tmp_path / "val" / "instances_val.json")
    with pytest.raises(UserError, match="there is no train split, only validation"):
        readers.read(tmp_path / "val", "mask")


def test_broken_and_missing_pictures_are_named_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    coco(tmp_path / "data", [LEFT], [CORNER])
    (tmp_path / "data" / "images" / "a.png").write_bytes(b"no picture")
    yolo(tmp_path / "yolo", f"0 {shares(LEFT)}")
    (tmp_path / "yolo" / "images" / "train" / "a.png").write_bytes(b"no picture")
    for name in ("data", "yolo"):
        with pytest.raises(UserError, match=r"1 of 1 pictures cannot be read, first"):
            readers.read(tmp_path / name, "mask")
    scanned(tmp_path / "data")
    assert capsys.readouterr().out.count("error: images/a.png") == 1


def test_a_picture_of_another_size_than_it_is_said_to_have_is_noted(tmp_path: Path) -> None:
    file = coco(tmp_path, [LEFT])
    PillowImage.new("RGB", (WIDTH, HEIGHT + 1)).save(tmp_path / "images" / "a.png")
    notes = readers.read(file, "mask").notes
    assert any("so their outlines may be wrong" in note for note in notes)


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
    assert told.count("run lengths of 3x3 pixels, but the picture has 6x4") == 1 and "cannot be drawn" not in told


def test_a_segmenter_of_boxes_is_told_of_outlines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = yolo(tmp_path / "data", f"0 {shares(LEFT)}", f"1 {shares(CORNER)}")
    for name in "bcdefghijkl":  # enough for a part to be held out
        PillowImage.new("RGB", (WIDTH, HEIGHT)).save(root / "images" / "train" / f"{name}.png")
    command = ["train", "--data", str(root), "--task", "semantic-segmentation", "--out", str(tmp_path / "run")]
    with pytest.raises(SystemExit) as stopped:
        main(command)
    assert stopped.value.code == 2
    assert "segmentation needs masks; --target mask reads them where objects have outlines" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["train", "--data", str(root), "--model", "unet", "--out", str(tmp_path / "run")])
    assert "it is for semantic-segmentation (--target mask), and" in capsys.readouterr().err

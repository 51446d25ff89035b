"""Folders of pictures and masks: class numbers, palettes and colours, in every layout; and what pixels mean."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags
from PIL import Image as PillowImage

from gradus.data import readers
from gradus.data.columns import Mask
from gradus.data.dataset import Dataset
from gradus.data.masks import decode_colours, decode_indices
from gradus.data.scan import scan
from gradus.errors import UserError

VALUES = np.array([[0, 1, 1], [2, 0, 255]], dtype=np.uint8)


def picture(path: Path, width: int = 3, height: int = 2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    PillowImage.new("RGB", (width, height), (sum(path.as_posix().encode()) % 200, 9, 90)).save(path)
    return path


def mask(path: Path, values: np.ndarray = VALUES, palette: list[int] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = PillowImage.fromarray(np.asarray(values, dtype=np.uint8))
    if palette:
        image = image.convert("P") if image.mode != "L" else PillowImage.fromarray(values, "P")
        image.putpalette(palette)
    image.save(path)
    return path


def read_one(root: Path) -> tuple[Dataset, np.ndarray, tuple[str, ...]]:
    data = readers.read(root)
    kind = data.types["mask"]
    assert isinstance(kind, Mask) and kind.ignore == 255 and data.target == "mask"
    return data, data["train"]["mask"][0], kind.classes


@pytest.mark.parametrize(
    ("images", "masks", "other"),
    [
        ("images/a.jpg", "masks/a.png", None),
        ("imgs/a.jpg", "gt/a_L.png", None),
        ("images/train/a.jpg", "labels/train/a.png", "val"),
        ("train/images/a.jpg", "train/masks/a_mask.png", "test"),
        ("train/a.jpg", "trainannot/a.png", "val"),
        ("train/a.jpg", "train_masks/a_mask.bmp", "test"),
    ],
)
def test_layouts(tmp_path: Path, images: str, masks: str, other: str | None) -> None:
    for split in ("train", other) if other else ("train",):
        picture(tmp_path / images.replace("train", str(split)))
        mask(tmp_path / masks.replace("train", str(split)))
    data = readers.read(tmp_path)
    splits = {"val": "validation", "test": "test"}
    assert list(data.splits) == (["train", splits[other]] if other else ["train"])
    for split in data.splits.values():
        assert np.array_equal(split["mask"][0], VALUES)
    assert data["train"].origins[0] == images


def test_numbers_without_names_and_with_names(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png")
    mask(tmp_path / "masks" / "a.png", np.array([[0, 7, 7], [30, 0, 255]]))
    data, found, classes = read_one(tmp_path)
    assert classes == ("0", "7", "30") and np.array_equal(found, VALUES)
    assert any("the numbers in the masks, 0, 7, 30" in note for note in data.notes)
    assert any("255 is no class" in note for note in data.notes)
    mask(tmp_path / "masks" / "a.png")
    (tmp_path / "classes.txt").write_text("background\nVoid\ncat\n")
    data, found, classes = read_one(tmp_path)
    assert classes == ("background", "cat")  # background is a class, void is none
    assert np.array_equal(found, [[0, 255, 255], [1, 0, 255]])
    assert any("pixels of Void have no class" in note for note in data.notes)


def test_palettes_grey_colours_and_two_values(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png")
    mask(tmp_path / "masks" / "a.png", VALUES, palette=[9, 9, 9] * 256)
    assert np.array_equal(read_one(tmp_path)[1], VALUES)
    mask(tmp_path / "masks" / "a.png", np.repeat(VALUES[:, :, None], 3, axis=2))  # grey that was saved as colours
    assert np.array_equal(read_one(tmp_path)[1], VALUES)
    mask(tmp_path / "masks" / "a.png", np.array([[0, 255, 255], [0, 0, 255]]))
    data, found, classes = read_one(tmp_path)
    assert classes == ("background", "foreground") and found.tolist() == [[0, 1, 1], [0, 0, 1]]
    assert any("masks hold 0 and 255" in note for note in data.notes)
    PillowImage.fromarray(np.array([[True, False, True]] * 2)).save(tmp_path / "masks" / "a.png")  # one bit a pixel
    assert read_one(tmp_path)[1].tolist() == [[1, 0, 1]] * 2


COLOURS = np.array([[[0, 0, 0], [64, 128, 0], [64, 128, 0]], [[0, 128, 64], [0, 0, 0], [9, 9, 9]]], dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("colors.csv", "name,r,g,b\nroad,0,0,0\ncar,64,128,0\ntree,0,128,64\nvoid,9,9,9\n"),
        ("label_colors.txt", "0 0 0\troad\n64 128 0\tcar\n0 128 64\ttree\n9 9 9\tVoid\n"),
        (
            "labelmap.txt",
            "# label:color_rgb:parts:actions\nroad:0,0,0::\ncar:64,128,0::\ntree:0,128,64::\nvoid:9,9,9::\n",
        ),
    ],
)
def test_colour_maps(tmp_path: Path, name: str, content: str) -> None:
    picture(tmp_path / "images" / "a.png")
    mask(tmp_path / "masks" / "a.png", COLOURS)
    (tmp_path / name).write_text(content)
    _, found, classes = read_one(tmp_path)
    assert classes == ("road", "car", "tree")
    assert np.array_equal(found, VALUES)


def test_a_palette_in_the_colours_of_a_map(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png")
    values = np.array([[4, 5, 5], [6, 4, 4]], dtype=np.uint8)
    palette = [1, 2, 3] * 256
    palette[12:21] = [0, 0, 0, 64, 128, 0, 0, 128, 64]
    mask(tmp_path / "masks" / "a.png", values, palette)
    (tmp_path / "masks" / "colors.csv").write_text("road,0,0,0\ncar,64,128,0\ntree,0,128,64\n")
    assert np.array_equal(read_one(tmp_path)[1], [[0, 1, 1], [2, 0, 0]])


def test_unknown_colours_and_numbers_are_not_lost_silently(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png")
    mask(tmp_path / "masks" / "a.png", COLOURS)
    (tmp_path / "colors.csv").write_text("road,0,0,0\ncar,64,128,0\n")
    with pytest.raises(
        UserError, match=r"masks/a.png: 2 pixels \(33.33% of all\) have colours that are not in colors.csv"
    ):
        readers.read(tmp_path)
    (tmp_path / "colors.csv").unlink()
    with pytest.raises(UserError, match=r"this mask is in colours; which class is which\? Expected a file colors.csv"):
        readers.read(tmp_path)
    mask(tmp_path / "masks" / "a.png")
    (tmp_path / "classes.txt").write_text("a\nb\n")
    with pytest.raises(UserError, match=r"class numbers without a name in classes.txt \(2\)"):
        readers.read(tmp_path)
    picture(tmp_path / "images" / "a.png", 30, 20)
    many = np.zeros((20, 30), dtype=np.uint8)
    many[0, :4], many[1] = 2, 1
    mask(tmp_path / "masks" / "a.png", many)
    data, found, _ = read_one(tmp_path)  # few: as at soft edges
    assert any("4 pixels (0.67% of all)" in note for note in data.notes) and (found == 255).sum() == 4


def test_more_classes_than_a_byte_holds_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png")
    mask(tmp_path / "masks" / "a.png")
    (tmp_path / "classes.txt").write_text("\n".join(f"c{number}" for number in range(256)))
    with pytest.raises(UserError, match="at most 255 classes can be read, found 256"):
        readers.read(tmp_path)


def test_missing_and_wrong_masks(tmp_path: Path) -> None:
    for name in "abc":
        picture(tmp_path / "images" / f"{name}.png")
    mask(tmp_path / "masks" / "a.png")
    mask(tmp_path / "masks" / "b.png", np.zeros((4, 3)))
    mask(tmp_path / "masks" / "z.png")
    with pytest.raises(UserError, match=r"masks/b.png: the mask is 3x4, its picture 3x2"):
        readers.read(tmp_path)
    result = scan(tmp_path)
    assert [str(error) for error in result.errors] == ["error: masks/b.png: the mask is 3x4, its picture 3x2"]
    notes = [finding.message for finding in result.findings if finding.severity == "note"]
    assert "1 pictures have no mask and were left out, first images/c.png" in notes
    assert "1 masks have no picture and were left out" in notes


@pytest.mark.parametrize("orientation", [3, 6])
def test_pictures_that_exif_turns_are_told(tmp_path: Path, orientation: int) -> None:
    exif = PillowImage.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    (tmp_path / "images").mkdir()
    for name in "ab":
        PillowImage.new("RGB", (3, 2)).save(tmp_path / "images" / f"{name}.jpg", exif=exif if name == "a" else b"")
        mask(tmp_path / "masks" / f"{name}.png")
    if orientation == 6:  # height and width are exchanged
        with pytest.raises(UserError, match=r"masks/a.png: the mask is 3x2, its picture 2x3, turned by its EXIF"):
            readers.read(tmp_path)
        mask(tmp_path / "masks" / "a.png", VALUES.T)
    notes = readers.read(tmp_path).notes
    assert any("1 of 2 pictures are turned by their EXIF orientation; their masks are taken" in note for note in notes)


def test_voc_segmentation(tmp_path: Path) -> None:
    numbers = np.arange(22, dtype=np.uint8)[None]
    numbers[0, 21] = 255
    for name in "ab":
        picture(tmp_path / "JPEGImages" / f"{name}.jpg", 22, 1)
        mask(tmp_path / "SegmentationClass" / f"{name}.png", numbers, palette=list(range(256)) * 3)
    sets = tmp_path / "ImageSets" / "Segmentation"
    sets.mkdir(parents=True)
    (sets / "train.txt").write_text("b\n")
    (sets / "val.txt").write_text("a\n")
    data, found, classes = read_one(tmp_path)
    assert list(data["train"].origins) == ["JPEGImages/b.jpg"] and list(data.splits) == ["train", "validation"]
    assert len(classes) == 21 and classes[15] == "person" and np.array_equal(found, numbers)
    annotations = tmp_path / "Annotations"
    annotations.mkdir()
    for name in "ab":
        (annotations / f"{name}.xml").write_text("<annotation/>")
    assert readers.read(tmp_path).target == "objects"  # both are there: boxes, unless masks are asked for
    assert readers.read(tmp_path, target="mask").target == "mask"


def test_colours_are_looked_up_as_a_loop_over_classes_finds_them(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    colours = tuple(tuple(int(value) for value in row) for row in random.integers(0, 256, (40, 3)))
    picked = random.integers(0, 41, (50, 60))
    array = np.array([*colours, (1, 2, 3)], dtype=np.uint8)[picked]
    PillowImage.fromarray(array).save(tmp_path / "m.png")
    wanted = np.full((50, 60), 255)
    for index, colour in enumerate(colours):
        wanted[(array == colour).all(axis=2)] = index
    assert np.array_equal(decode_colours(tmp_path / "m.png", "m", colours), wanted)  # type: ignore[arg-type]


def test_broken_masks_are_named(tmp_path: Path) -> None:
    (tmp_path / "m.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"m: this is not a picture"):
        decode_indices(tmp_path / "m.png", "m")
    PillowImage.fromarray(np.full((2, 2), 300, dtype=np.uint16)).save(tmp_path / "m.png")
    with pytest.raises(UserError, match=r"class numbers go to 255, found 300"):
        decode_indices(tmp_path / "m.png", "m")

"""What is exported is read again as the same data set, in every format; and the same training comes of it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from scipy.ndimage import gaussian_filter

from gradus.data import load_data, readers
from gradus.data.columns import Boxes, Column, Image, Mask, Objects
from gradus.data.dataset import Dataset, NumberedRows, Split
from gradus.data.images import EncodedImages
from gradus.data.load import DataSettings
from gradus.data.writers import BOXES, MASKS, export
from gradus.data.writers.masks import voc_palette
from gradus.errors import UserError
from gradus.models import ModelSettings
from gradus.recipes.execute import train_recipe
from gradus.recipes.experiment import train_settings
from gradus.recipes.recipe import Recipe
from gradus.tasks.settings import TaskSettings

REAL = Path(os.environ.get("GRADUS_DATA", "").split(os.pathsep)[0] or "no such folder")
CLASSES = ("zebra", "RBC & co", "Ä")  # not sorted


def shapes(rows: int = 8, seed: int = 0) -> Split:
    """Pictures with a bright square each, its box, a second box of awkward numbers, and every fourth without any."""
    random = np.random.default_rng(seed)
    pictures, objects = random.integers(0, 60, (rows, 48, 64, 3), dtype=np.uint8), []
    for index in range(rows):
        left, top, side, label = *random.integers(0, 30, 2).tolist(), int(random.integers(8, 18)), index % 2
        pictures[index, top : top + side, left : left + side] = (250, 240, 30) if label else (30, 60, 250)
        odd = np.sort(random.random((2, 2)) * (64, 48), axis=0).ravel()
        boxes, labels = [[left, top, left + side, top + side], odd, [0, 0, 64, 48]], [label, 2, 1]
        objects.append(Objects.of(boxes, labels) if index % 4 < 3 else Objects.of([], []))
    columns = {"image": Column(Image(), pictures), "objects": Column(Boxes(classes=CLASSES), objects)}
    return Split(columns, NumberedRows.count("shapes", rows))


def shapes_data() -> Dataset:
    splits = {"train": shapes(8), "validation": shapes(4, 1), "test": shapes(4, 2)}
    return Dataset(name="shapes", source="shapes", splits=splits, target="objects")


def assert_same(first: Dataset, second: Dataset) -> None:
    assert second.types == first.types and second.target == first.target and list(second.splits) == list(first.splits)
    for name, split in first.splits.items():
        assert len(second[name]) == len(split)
        for index in range(len(split)):
            mine, other = split["objects"][index], second[name]["objects"][index]
            assert other.boxes.tobytes() == mine.boxes.tobytes()
            assert other.labels.tolist() == mine.labels.tolist() and other.ignored.tolist() == mine.ignored.tolist()
            assert np.array_equal(second[name]["image"][index], split["image"][index])


@pytest.mark.parametrize("to", BOXES)
def test_boxes_survive_every_format(tmp_path: Path, to: str) -> None:
    data = shapes_data()
    assert export(data, to, tmp_path / "out") == []
    read = readers.read(tmp_path / "out")
    assert_same(data, read)
    export(read, to, tmp_path / "again")  # from files: their names stay
    assert_same(data, readers.read(tmp_path / "again"))
    files = [sorted(path.name for path in (tmp_path / name).rglob("*.png")) for name in ("out", "again")]
    assert files[0] == files[1] and len(files[0]) == 16
    assert not list(tmp_path.glob(".*"))


def test_ignored_boxes_survive_where_the_format_has_them(tmp_path: Path) -> None:
    split = shapes(2)
    for objects in split["objects"].values:
        objects.ignored[1] = True
    data = Dataset(name="shapes", source="shapes", splits={"train": split}, target="objects")
    for to in ("coco", "voc", "csv"):
        export(data, to, tmp_path / to)
        assert_same(data, readers.read(tmp_path / to))
    assert export(data, "yolo", tmp_path / "yolo") == ["2 ignored boxes were left out: YOLO has no form for them"]
    assert [len(one) for one in readers.read(tmp_path / "yolo")["train"]["objects"]] == [2, 2]


def test_files_of_pictures_are_copied_byte_for_byte(tmp_path: Path) -> None:
    file = tmp_path / "a b-1.jpg"
    PillowImage.fromarray(np.arange(48 * 64 * 3, dtype=np.uint8).reshape(48, 64, 3)).save(file, quality=30)
    objects = Column(Boxes(classes=("x",)), [Objects.of([[1, 2, 3, 4]], [0])])
    images = Column(Image(), EncodedImages([file], ["a b-1.jpg"], 3))
    data = Dataset(
        name="one", source="one", splits={"train": Split({"image": images, "objects": objects}, ["a b-1.jpg"])}
    )
    for to in BOXES:
        export(data, to, tmp_path / to)
        (copy,) = (tmp_path / to).rglob("*.jpg")
        assert copy.read_bytes() == file.read_bytes() and copy.name == file.name


def masks_data(classes: tuple[str, ...] = ("sky", "road", "car"), rows: int = 4) -> Dataset:
    """Masks of blotches with holes, single pixels, and 3 where there is no class."""
    random = np.random.default_rng(0)
    blotches = gaussian_filter(random.normal(size=(rows, 4, 48, 64)), (0, 0, 3, 3)).argmax(axis=1).astype(np.uint8)
    masks = list(np.where(random.random(blotches.shape) < 0.02, 2, blotches))
    pictures = random.integers(0, 60, (rows, 48, 64, 3), dtype=np.uint8) + 60 * np.stack(masks)[..., None]
    columns = {"image": Column(Image(), pictures), "mask": Column(Mask(classes=classes, ignore=3), masks)}
    split = Split(columns, NumberedRows.count("m", rows))
    return Dataset(name="m", source="m", splits={"train": split, "validation": split, "test": split}, target="mask")


def assert_same_masks(first: Dataset, second: Dataset) -> None:
    kind = first.types["mask"]
    assert isinstance(kind, Mask) and second.types["mask"] == Mask(classes=kind.classes, ignore=255)
    assert second.target == "mask" and list(second.splits) == list(first.splits)
    for name, split in first.splits.items():
        for mine, other in zip(split["mask"], second[name]["mask"], strict=True):
            assert np.array_equal(np.where(mine == kind.ignore, 255, mine), other)
        for mine, other in zip(split["image"], second[name]["image"], strict=True):
            assert np.array_equal(mine, other)


@pytest.mark.parametrize("classes", [("sky", "road", "car"), ("road", "background", "car")])
@pytest.mark.parametrize("to", MASKS)
def test_masks_survive_every_format(tmp_path: Path, to: str, classes: tuple[str, ...]) -> None:
    """Holes, parts that touch at a corner, and pixels without a class."""
    data = masks_data(classes)
    notes = export(data, to, tmp_path / "out")
    assert notes == (
        ["pixels without a class are outlines of a class 'void', the last"] if to in ("coco", "yolo") else []
    )
    read = readers.read(tmp_path / "out", "mask")
    assert_same_masks(data, read)
    export(read, to, tmp_path / "again")
    assert_same_masks(data, readers.read(tmp_path / "again", "mask"))


def test_exported_outlines_are_those_that_cocos_own_tools_draw(tmp_path: Path) -> None:
    from faster_coco_eval.core import mask as tools

    data = masks_data()
    export(data, "coco", tmp_path / "out")
    content = json.loads((tmp_path / "out" / "annotations" / "instances_train.json").read_text())
    for number, mask in enumerate(data["train"]["mask"], start=1):
        for label in range(3):
            entries = [e for e in content["annotations"] if (e["image_id"], e["category_id"]) == (number, label + 1)]
            runs = tools.merge([one for e in entries for one in tools.frPyObjects(e["segmentation"], 48, 64)])
            assert np.array_equal(tools.decode(runs) > 0, mask == label)
            assert sum(entry["area"] for entry in entries) == (mask == label).sum()


def test_vocs_palette_has_the_colours_that_voc_prints() -> None:
    assert voc_palette()[[0, 1, 2, 15, 20, 255]].tolist() == [
        [0, 0, 0], [128, 0, 0], [0, 128, 0], [192, 128, 128], [0, 64, 128], [224, 224, 192]
    ]  # fmt: skip


def test_pixels_without_a_class_get_a_name_that_is_free(tmp_path: Path) -> None:
    notes = export(masks_data(("road", "void", "car")), "coco", tmp_path / "out")
    assert notes == ["pixels without a class are outlines of a class 'unlabelled', the last"]


def test_refusals_write_nothing(tmp_path: Path) -> None:
    data = shapes_data()
    (tmp_path / "there").mkdir()
    with pytest.raises(UserError, match=r"there exists already"):
        export(data, "coco", tmp_path / "there")
    with pytest.raises(UserError, match=r"unknown format 'cocos'; did you mean 'coco'"):
        export(data, "cocos", tmp_path / "out")
    with pytest.raises(UserError, match=r"its boxes cannot be written as masks, but as coco, voc, yolo, csv"):
        export(data, "masks", tmp_path / "out")
    with pytest.raises(UserError, match=r"its mask cannot be written as csv, but as masks, coco, voc, yolo"):
        export(masks_data(), "csv", tmp_path / "out")
    wrong = masks_data()
    wrong["train"]["mask"][1][5, 5] = 9
    for to in MASKS:
        with pytest.raises(UserError, match=r"its mask has the number 9, but there are 3 classes"):
            export(wrong, to, tmp_path / "out")
    with pytest.raises(UserError, match=r"no pictures with boxes or masks in it; columns: image, label"):
        export(load_data("digits"), "coco", tmp_path / "out")
    gone = EncodedImages([tmp_path / "gone.jpg"] * 8, ["gone.jpg"] * 8, 3)
    broken = Split({**shapes().columns, "image": Column(Image(), gone)}, ["gone.jpg"] * 8)
    with pytest.raises(UserError, match=r"gone.jpg: there is no such file"):
        export(Dataset(name="x", source="x", splits={"train": broken}, target="objects"), "voc", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def trained(data: Dataset, folder: Path) -> tuple[dict, bytes]:
    """(metrics, the weights) of a short training of the smallest kind."""
    masks = data.target == "mask"
    model = (
        ModelSettings(name="unet", options={"width": 4, "depth": 2}) if masks else ModelSettings(name="grid_detector")
    )
    recipe = Recipe(
        data=DataSettings(source=data.source),
        task=TaskSettings(
            name="semantic-segmentation" if masks else "object-detection", options={"image_size": [48, 64]}
        ),
        model=model,
        train=train_settings(epochs=1, batch_size=4, seed=3, device="cpu"),
    )
    run = train_recipe(recipe, folder, dataset=data)
    weights = b"".join(tensor.numpy().tobytes() for tensor in run.model.state_dict().values())
    return run.evaluation["metrics"], weights


def test_the_same_training_comes_of_what_was_exported(tmp_path: Path) -> None:
    """Of YOLO's shares of sides, which are rounded most; that data are the same in every format is tested above."""
    data = shapes_data()
    wanted = trained(data, tmp_path / "run")
    assert np.isfinite(wanted[0]["map50"])
    export(data, "yolo", tmp_path / "yolo")
    assert trained(readers.read(tmp_path / "yolo"), tmp_path / "run-yolo") == wanted


def test_the_same_segmenter_comes_of_what_was_exported(tmp_path: Path) -> None:
    data = masks_data()
    wanted = trained(data, tmp_path / "run")
    assert np.isfinite(wanted[0]["miou"])
    for to in MASKS:
        export(data, to, tmp_path / to)
        assert trained(readers.read(tmp_path / to, "mask"), tmp_path / f"run-{to}") == wanted


@pytest.mark.skipif(not (REAL / "bccd").is_dir(), reason="GRADUS_DATA is unset or has no bccd")
def test_the_same_training_comes_of_every_format_of_bccd(tmp_path: Path) -> None:
    whole = load_data("bccd")
    # with the pictures of a box without area
    chosen = {"train": [170, 0, 50, 100], "validation": [68, 3, 4], "test": [0, 1, 2]}
    data = whole.with_splits({name: whole[name].take(np.array(rows)) for name, rows in chosen.items()})
    wanted = trained(data, tmp_path / "run")
    for to in BOXES:
        export(data, to, tmp_path / to)
        read = readers.read(tmp_path / to)
        assert_same(data, read)
        for name, split in data.splits.items():
            copies = [path.read_bytes() for path in read[name]["image"].values.sources]
            assert copies == list(split["image"].values.sources)
        assert trained(read, tmp_path / f"run-{to}") == wanted


@pytest.mark.skipif(not (REAL / "camvid").is_dir(), reason="GRADUS_DATA is unset or has no camvid")
def test_masks_of_camvid_survive(tmp_path: Path) -> None:
    whole = load_data("camvid")
    data = whole.with_splits({name: split.take(np.arange(2)) for name, split in whole.splits.items()})
    for to in MASKS:
        export(data, to, tmp_path / to)
        assert_same_masks(data, readers.read(tmp_path / to, "mask"))

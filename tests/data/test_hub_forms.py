"""Parquet files in the Hub's forms: objects {bbox, category}, and a column of masks."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image as PillowImage

from gradus.data import readers
from gradus.data.columns import Boxes, Mask
from gradus.errors import UserError


def png(array: np.ndarray) -> dict:
    file = io.BytesIO()
    PillowImage.fromarray(array).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


PICTURES = [png(np.random.default_rng(row).integers(0, 255, (20, 40, 3), dtype=np.uint8)) for row in range(3)]
CORNERS = [[[1, 2, 30, 15], [0, 0, 40, 20]], [], [[20, 10, 35, 12]]]
SIZES = [[[1, 2, 29, 13], [0, 0, 40, 20]], [], [[20, 10, 15, 2]]]
CATEGORIES = [[1, 0], [], [1]]


def write(path: Path, columns: dict, metadata: dict | None = None) -> Path:
    table = pyarrow.table(columns)
    if metadata:
        table = table.replace_schema_metadata({"huggingface": json.dumps(metadata)})
    pyarrow.parquet.write_table(table, path)
    return path


def objects(boxes: list, categories: list) -> list[dict]:
    return [{"bbox": some, "category": names} for some, names in zip(boxes, categories, strict=True)]


@pytest.mark.parametrize(("boxes", "form"), [(CORNERS, "right, bottom"), (SIZES, "width, height")])
def test_which_form_a_bbox_has_is_told_from_the_boxes(tmp_path: Path, boxes: list, form: str) -> None:
    names = {"info": {"features": {"objects": {"feature": {"category": {"names": ["cat", "dog"]}}}}}}
    file = write(
        tmp_path / "t.parquet", {"image": PICTURES, "id": [1, 2, 3], "objects": objects(boxes, CATEGORIES)}, names
    )
    data = readers.read(file)
    assert data.types["objects"] == Boxes(classes=("cat", "dog")) and data.target == "objects"
    assert [one.boxes.tolist() for one in data["train"]["objects"]] == CORNERS
    assert [one.labels.tolist() for one in data["train"]["objects"]] == CATEGORIES
    assert any(f"bbox was read as left, top, {form}" in note for note in data.notes)
    assert any("columns left out: id" in note for note in data.notes)
    assert data["train"]["image"][1].shape == (20, 40, 3)


def test_lists_of_objects_with_names_in_folders_of_splits(tmp_path: Path) -> None:
    rows = [
        [{"bbox": box, "label": ["cat", "dog"][label]} for box, label in zip(*row, strict=True)]
        for row in zip(CORNERS, CATEGORIES, strict=True)
    ]
    for split in ("train", "test"):
        write(tmp_path / f"{split}.parquet", {"image": PICTURES, "things": rows})
    data = readers.read(tmp_path)
    assert data.types["things"] == Boxes(classes=("cat", "dog")) and list(data.splits) == ["train", "test"]
    assert [one.labels.tolist() for one in data["test"]["things"]] == CATEGORIES
    (tmp_path / "labels.txt").write_text("dog\ncat\n")
    assert readers.read(tmp_path)["test"]["things"][0].labels.tolist() == [0, 1]


def test_wrong_cells_are_told_by_the_row(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("cat\n")
    file = write(tmp_path / "t.parquet", {"image": PICTURES, "objects": objects(CORNERS, CATEGORIES)})
    with pytest.raises(UserError, match=r"row 1 of t.parquet: the class 1 has no name; there are 1 \(and 1 more"):
        readers.read(file)
    file = write(tmp_path / "t.parquet", {"image": PICTURES, "objects": objects(CORNERS, [[0], [], [0]])})
    with pytest.raises(UserError, match=r"row 1 of t.parquet: 2 boxes and 1 categories"):
        readers.read(file)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ({"bbox": [[1, 2, 3, 4]], "category": [3 * 10**9]}, "numbers below 10,000, found 3000000000"),
        ({"bbox": [[1, 2, 3, 4]], "category": [None]}, "row 2 of t.parquet: a box has no class"),
        ({"bbox": [[1, 2, 3, 4]], "category": [-1]}, "row 2 of t.parquet: the class -1 has no name"),
    ],
)
def test_odd_classes_are_told(tmp_path: Path, cell: dict, message: str) -> None:
    cells = [{"bbox": [[1, 2, 3, 4]], "category": [0]}, cell, None]
    with pytest.raises(UserError, match=message):
        readers.read(write(tmp_path / "t.parquet", {"image": PICTURES, "objects": cells}))


def test_boxes_that_are_texts_missing_objects_and_other_metadata(tmp_path: Path) -> None:
    texts = [{"bbox": ["1234"], "category": [0]}] * 3
    with pytest.raises(UserError, match=r"row 1 of t.parquet: 1 boxes and 1 categories; expected four numbers"):
        readers.read(write(tmp_path / "t.parquet", {"image": PICTURES, "objects": texts}))
    rows = [[None, {"bbox": [1, 2, 3, 4], "category": 1}], [None], None]
    for metadata in ({"info": [1]}, [1]):
        file = write(tmp_path / "t.parquet", {"image": PICTURES, "objects": rows}, metadata)  # type: ignore[arg-type]
        assert [len(one) for one in readers.read(file)["train"]["objects"]] == [1, 0, 0]


def test_masks(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 3, (3, 20, 40)).astype(np.uint8)
    file = write(tmp_path / "t.parquet", {"image": PICTURES, "annotation": [png(value) for value in values]})
    data = readers.read(file)
    assert data.types["annotation"] == Mask(classes=("0", "1", "2")) and data.target == "annotation"
    assert np.array_equal(data["train"]["annotation"][2], values[2])
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    with pytest.raises(UserError, match=r"pixels have class numbers that labels.txt does not name"):
        readers.read(file)
    write(tmp_path / "t.parquet", {"image": PICTURES, "annotation": [png(value[:10]) for value in values]})
    with pytest.raises(UserError, match=r"row 1 of t.parquet: the mask is 40x10, its picture 40x20"):
        readers.read(file)

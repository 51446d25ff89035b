"""`scan`: each kind of finding, on small folders and tables with one thing wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from sklearn.datasets import load_digits

from gradus.data.columns import Column, Image, Label, Number
from gradus.data.dataset import Dataset, NumberedRows, Split
from gradus.data.scan import Finding, ScanResult, scan

DIGITS = load_digits()
GREY = (DIGITS.images * 15.9).astype(np.uint8)


def digit_folders(root: Path, rows: int = 12, digits: tuple[int, ...] = (0, 1), first: int = 0) -> Path:
    for digit in digits:
        (root / str(digit)).mkdir(parents=True)
        for number, index in enumerate(np.flatnonzero(DIGITS.target == digit)[first : first + rows]):
            PillowImage.fromarray(GREY[index]).save(root / str(digit) / f"{number:02}.png")
    return root


def table(folder: Path, content: str) -> Path:
    (folder / "table.csv").write_text(content)
    return folder / "table.csv"


def serious(result: ScanResult) -> list[str]:
    return [str(finding) for finding in result.findings if finding.severity != "note"]


def test_clean_data_have_no_findings(tmp_path: Path) -> None:
    result = scan(digit_folders(tmp_path))
    assert result.findings == []
    assert result.summary == [
        "train: 24 rows",
        "column image: Image (grey)",
        "column label: Label of 2 classes, the target",
        "classes: 0 12, 1 12",
        "sizes in image (height x width): 8x8 (24)",
    ]


def test_broken_pictures_are_errors(tmp_path: Path) -> None:
    digit_folders(tmp_path)
    (tmp_path / "0" / "00.png").write_bytes(b"")
    (tmp_path / "1" / "01.png").write_bytes(b"no picture")
    big = tmp_path / "1" / "big.jpg"
    PillowImage.fromarray(GREY[0]).resize((64, 64)).save(big)
    big.write_bytes(big.read_bytes()[:-200])
    found = scan(tmp_path).errors
    assert [finding.where for finding in found] == ["0/00.png", "1/01.png", "1/big.jpg"]
    assert "zero bytes" in found[0].message and "not a picture" in found[1].message and "truncated" in found[2].message


def test_many_findings_of_a_kind_are_counted(tmp_path: Path) -> None:
    digit_folders(tmp_path, rows=30)
    for number in range(20, 30):
        for digit in "01":
            (tmp_path / digit / f"{number}.png").write_bytes(b"")
    found = scan(tmp_path).errors
    assert len(found) == 6
    assert found[5] == Finding("error", "broken pictures", "... and 15 more")


def test_odd_modes_and_sizes(tmp_path: Path) -> None:
    digit_folders(tmp_path)
    colour = PillowImage.fromarray(GREY[0]).convert("RGB")
    colour.convert("RGBA").save(tmp_path / "0" / "alpha.png")
    colour.convert("P").save(tmp_path / "0" / "palette.png")
    PillowImage.fromarray(GREY[0].astype(np.uint16) * 257).save(tmp_path / "0" / "deep.png")
    colour.resize((5, 5)).save(tmp_path / "0" / "tiny.png")
    colour.resize((100, 10)).save(tmp_path / "0" / "wide.png")
    lines = "\n".join(map(str, scan(tmp_path).findings))
    assert "note: 0/alpha.png: a picture with transparency, which becomes white (mode RGBA)" in lines
    assert "note: 0/palette.png: a palette picture (mode P)" in lines
    assert "note: 0/deep.png: a picture of 16 bits" in lines
    assert "warning: 0/tiny.png: the picture is very small, 5x5 pixels" in lines
    assert "warning: 0/wide.png: the picture is extremely long, 10x100 pixels" in lines
    assert "pictures are grey, read as RGB" in lines


def test_the_same_picture_twice(tmp_path: Path) -> None:
    digit_folders(tmp_path / "train")
    digit_folders(tmp_path / "test", first=20)
    shutil.copy(tmp_path / "train" / "0" / "00.png", tmp_path / "train" / "0" / "x.png")
    shutil.copy(tmp_path / "train" / "0" / "01.png", tmp_path / "train" / "1" / "x.png")
    shutil.copy(tmp_path / "train" / "0" / "02.png", tmp_path / "test" / "0" / "x.png")
    assert serious(scan(tmp_path)) == [
        "warning: train/0/x.png: a duplicate of train/0/00.png",
        "warning: train/1/x.png: the same as train/0/01.png, but its label disagrees ('1', there '0')",
        "warning: test/0/x.png: the same item is in two splits: in test, and in train as train/0/02.png",
    ]


def test_imbalance_and_small_classes(tmp_path: Path) -> None:
    digit_folders(tmp_path, rows=60, digits=(0,))
    digit_folders(tmp_path, rows=5, digits=(1,))
    assert serious(scan(tmp_path)) == [
        "warning: class '1': only 5 training rows have it",
        "warning: column 'label': unbalanced: 60 training rows are '0', only 5 are '1'",
    ]


def test_one_class_and_unseen_classes_are_findings(tmp_path: Path) -> None:
    digit_folders(tmp_path / "train", digits=(0,))
    found = scan(tmp_path / "train").errors
    assert any("'0'" in finding.where and "only class" in finding.message for finding in found)
    digit_folders(tmp_path / "test", digits=(2,))
    assert Finding("error", "class '2'", "no training row has it") in scan(tmp_path).errors


@pytest.mark.parametrize("name", ["nowhere", "empty", "ragged.csv", "notes.docx"])
def test_data_that_cannot_be_read_are_one_finding(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "ragged.csv").write_text("x,y\n1,2\n1,2,3\n")
    (tmp_path / "notes.docx").write_text("x")
    result = scan(tmp_path / name)
    assert [finding.severity for finding in result.findings] == ["error"] and result.summary == []
    assert name in result.findings[0].message


def test_tables(tmp_path: Path) -> None:
    rows = [f"{i * i % 31},{i * 3 % 7},7,{'pq'[i % 2]},{'ab'[i % 2]}" for i in range(24)]
    rows += [rows[0], rows[1][:-1] + "a", "NA,1,7,p,a", "?,2,7,q,b"]
    result = scan(table(tmp_path, "x,z,same,copy,y\n" + "\n".join(rows) + "\n"))
    lines = serious(result)
    assert "warning: column 'x': 2 of 28 rows have no value, the first is row 28 of table.csv" in lines
    assert "warning: column 'same': constant: it carries no information" in lines
    assert "warning: row 26 of table.csv: a duplicate of row 2 of table.csv" in lines
    assert any("row 27 of table.csv: the same as row 3 of table.csv, but its label disagrees" in line for line in lines)
    assert "column y: Label of 2 classes, the target" in result.summary


def test_columns_that_equal_the_target(tmp_path: Path) -> None:
    rows = "".join(f"{i * i % 31},{'pq'[i % 2]},{'ab'[i % 2]}\n" for i in range(24))
    lines = serious(scan(table(tmp_path, "x,copy,y\n" + rows)))
    assert "warning: column 'copy': it equals the target 'y': a model would only copy it" in lines
    rows = "".join(f"{i % 5},{i * i / 7},{i * i / 7}\n" for i in range(30))
    lines = serious(scan(table(tmp_path, "x,copy,price\n" + rows), target="price"))
    assert any("column 'copy': it equals the target 'price'" in line for line in lines)


def test_a_table_whose_target_nobody_named(tmp_path: Path) -> None:
    result = scan(table(tmp_path, "size,price\n1,2\n1,2\n,3\n"))
    assert "warning: column 'size': 1 of 3 rows have no value, the first is row 4 of table.csv" in serious(result)
    assert "warning: row 3 of table.csv: a duplicate of row 2 of table.csv" in serious(result)


def test_targets_that_are_missing_or_constant(tmp_path: Path) -> None:
    result = scan(table(tmp_path, "x,y\n1,a\n5,\n3,a\n"))
    assert any("column 'y': 1 of 3 rows have no target" in line for line in serious(result))
    assert any("only class" in finding.message for finding in result.errors)
    result = scan(table(tmp_path, "x,y\n1,\n5,\n3,\n"))
    assert any("3 of 3 rows have no target" in line for line in serious(result))


def test_pictures_missing_from_a_table(tmp_path: Path) -> None:
    PillowImage.fromarray(GREY[0]).save(tmp_path / "a.png")
    found = scan(table(tmp_path, "file,y\na.png,p\nb.png,q\n,q\n")).errors
    assert [(finding.where, finding.message) for finding in found] == [
        ("row 3 of table.csv", "there is no such file"),
        ("row 4 of table.csv", "the picture is empty (zero bytes)"),
    ]


def test_a_data_set_in_memory() -> None:
    pictures = np.stack([GREY[0], GREY[1], GREY[0]])[..., None]
    columns = {
        "image": Column(Image(channels=1), pictures),
        "label": Column(Label(classes=("a", "b")), np.array([0, 1, 0])),
        "size": Column(Number(), np.array([1.0, np.nan, 1.0])),
    }
    dataset = Dataset("memory", "memory", {"train": Split(columns, NumberedRows.count("memory", 3))}, target="label")
    lines = serious(scan(dataset))
    assert "warning: row 3 of memory: a duplicate of row 1 of memory" in lines
    assert any("column 'size': 1 of 3 rows have no value" in line for line in lines)

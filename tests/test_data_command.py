"""`gradus data` as a user runs it: scan, show and export of boxes and masks."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image as PillowImage

from gradus.cli import main


@pytest.fixture
def cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A YOLO folder with three pictures, in the folder that the command runs in."""
    (tmp_path / "cells" / "images").mkdir(parents=True)
    (tmp_path / "cells" / "labels").mkdir()
    for number, name in enumerate("abc"):
        PillowImage.new("RGB", (60, 40), (90 * number, 20, 40)).save(tmp_path / "cells" / "images" / f"{name}.png")
        (tmp_path / "cells" / "labels" / f"{name}.txt").write_text("0 0.5 0.5 0.5 0.5\n1 0.9 0.5 0.4 0.2\n")
    (tmp_path / "cells" / "data.yaml").write_text("train: images\nnames: [red, white]\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(["data", *arguments])
    return int(stopped.value.code or 0)


def test_scan(cells: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("scan", "cells") == 0
    said = capsys.readouterr().out
    assert "boxes: 6 (red 3, white 3)" in said
    assert "warning: images/a.png, box 2 (white): 42 16 66 24 on 60x40 pixels: it passes the border" in said


def test_show_and_sheets(cells: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", "cells") == 0
    assert "objects  Boxes  2 classes: red, white" in capsys.readouterr().out
    assert run("show", "cells", "--out", "sheet.png", "--pictures", "2") == 0
    assert run("show", "cells", "--augment", "light", "--out", "augmented.png") == 0
    for name in ("sheet.png", "augmented.png"):
        assert PillowImage.open(cells / name).size[0] > 100


def test_export(cells: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("export", "cells", "--to", "coco", "--out", "coco") == 0
    assert "written: coco" in capsys.readouterr().out
    assert run("show", "coco") == 0
    assert (cells / "coco" / "train" / "a.png").read_bytes() == (cells / "cells" / "images" / "a.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("export", "cells", "--out", "x"), "expected --to: coco, voc, yolo, csv, masks"),
        (("export", "cells", "--to", "voc"), "expected --out DIR, a new folder"),
        (("export", "cells", "--to", "voc", "--out", "cells"), "cells exists already"),
        (("export", "cells", "--to", "masks", "--out", "x"), "its boxes cannot be written as masks"),
        (("scan", "cels"), "'cels'"),
        (("show", "cells", "--to", "voc"), "--to is for `gradus data export`"),
        (("show", "cells", "--out", "x.jpg"), "expected a file name that ends in .png"),
        (("show", "cells", "--out", "away/x.png"), "there is no folder away"),
        (("show", "cells", "--target", "mask"), "no object has an outline, so nothing tells"),
        (("show", "cells", "--out", "x.png", "--pictures", "-1"), "--pictures: expected a whole number"),
    ],
)
def test_mistakes(cells: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str) -> None:
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in cells.iterdir()) == ["cells"]

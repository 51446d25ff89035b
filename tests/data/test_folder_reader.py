"""The reader of class folders, on folders made from scikit-learn's digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from sklearn.datasets import load_digits

from gradus.data import readers
from gradus.data.columns import Image, Label
from gradus.data.readers.folder import read_folder
from gradus.errors import UserError
from gradus.tasks.targets import ClassOptions, ClassTarget

DIGITS = load_digits()
GREY = (DIGITS.images * 15.9).astype(np.uint8)


def save(file: Path, picture: np.ndarray | PillowImage.Image) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    picture = picture if isinstance(picture, PillowImage.Image) else PillowImage.fromarray(picture)
    picture.save(file)
    return file


def class_folders(root: Path, classes: dict[str, int], rows: int = 4) -> Path:
    """`rows` pictures of each digit: folder name -> digit."""
    for name, digit in classes.items():
        for number, index in enumerate(np.flatnonzero(DIGITS.target == digit)[:rows]):
            save(root / name / f"{number}.png", GREY[index])
    return root


def message_of(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        readers.read(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_class_folders_become_an_image_and_a_label_column(tmp_path: Path) -> None:
    dataset = readers.read(class_folders(tmp_path / "pets", {"dog": 1, "cat": 0}))
    train = dataset["train"]
    assert dataset.name == "pets" and dataset.target == "label" and dataset.source == str(tmp_path / "pets")
    assert dataset.types == {"image": Image(channels=1), "label": Label(classes=("cat", "dog"))}
    assert train["label"].values.tolist() == [0] * 4 + [1] * 4
    assert train.origins[0] == "cat/0.png" and train.origins[7] == "dog/3.png"
    assert np.array_equal(train["image"][4][:, :, 0], GREY[np.flatnonzero(DIGITS.target == 1)[0]])


@pytest.mark.parametrize("validation", ["validation", "val", "valid", "dev", "Val"])
def test_split_folders_above_the_classes(tmp_path: Path, validation: str) -> None:
    for split, rows in (("train", 5), (validation, 2), ("test", 3)):
        class_folders(tmp_path / split, {"a": 0, "b": 1}, rows)
    dataset = readers.read(tmp_path)
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 10, "validation": 4, "test": 6}
    assert dataset["test"].origins[0] == "test/a/0.png"


def test_nested_hidden_and_other_files(tmp_path: Path) -> None:
    class_folders(tmp_path, {"a": 0, "b": 1})
    save(tmp_path / "a" / "deep" / "er" / "x.PNG", GREY[0])
    save(tmp_path / ".cache" / "x.png", GREY[0])
    save(tmp_path / "__MACOSX" / "a" / "x.png", GREY[0])
    save(tmp_path / "a" / "._0.png", GREY[0])
    for name in ("Thumbs.db", "notes.txt", "more.txt"):
        (tmp_path / "b" / name).write_text("x")
    dataset = readers.read(tmp_path)
    assert len(dataset["train"]) == 9 and "a/deep/er/x.PNG" in dataset["train"].origins
    notes = "\n".join(dataset.notes)
    assert "ignored 3 files that are not pictures (2 .txt, 1 .db)" in notes
    assert "ignored 3 hidden files or folders (._0.png, .cache, __MACOSX)" in notes


def test_chinese_names(tmp_path: Path) -> None:
    save(tmp_path / "猫" / "小猫 一号.png", GREY[0])
    save(tmp_path / "狗" / "图片.png", GREY[1])
    dataset = readers.read(tmp_path)
    assert dataset.types["label"] == Label(classes=("狗", "猫"))
    assert dataset["train"].origins[1] == "猫/小猫 一号.png"
    assert dataset["train"]["image"][1].shape == (8, 8, 1)


def test_pictures_of_several_modes_and_sizes(tmp_path: Path) -> None:
    grey = PillowImage.fromarray(GREY[0])
    save(tmp_path / "a" / "grey.png", grey)
    save(tmp_path / "a" / "palette.png", grey.convert("RGB").convert("P"))
    save(tmp_path / "a" / "alpha.png", grey.convert("RGBA").resize((9, 5)))
    save(tmp_path / "b" / "deep.png", PillowImage.fromarray(GREY[0].astype(np.uint16) * 257))
    save(tmp_path / "b" / "colour.jpg", grey.convert("RGB").resize((30, 20)))
    dataset = readers.read(tmp_path)
    assert dataset.types["image"] == Image(channels=3)
    assert "2 of 5 pictures are grey, read as RGB" in dataset.notes
    assert {picture.shape for picture in dataset["train"]["image"]} == {(8, 8, 3), (5, 9, 3), (20, 30, 3)}
    deep = dataset["train"].origins.index("b/deep.png")
    assert np.abs(dataset["train"]["image"][deep][:, :, 0].astype(int) - GREY[0]).max() <= 1


def test_missing_and_empty_folders(tmp_path: Path) -> None:
    assert f"{tmp_path / 'none'}: there is no such" in message_of(tmp_path / "none")
    with pytest.raises(UserError, match="no such folder"):
        read_folder(tmp_path / "none")
    assert "the folder is empty" in message_of(tmp_path)


def test_folders_without_class_folders(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert f"{tmp_path}: there are no pictures in it" in message_of(tmp_path)
    save(tmp_path / "one.png", GREY[0])
    assert "its 1 pictures lie in no class folder" in message_of(tmp_path)
    (tmp_path / "prices.csv").write_text("a,b\n1,2\n")
    assert f"give its path: {tmp_path / 'prices.csv'}" in message_of(tmp_path)


def test_one_class(tmp_path: Path) -> None:
    """Enough to make pictures; what tells classes apart refuses it."""
    class_folders(tmp_path, {"cat": 0})
    assert read_folder(tmp_path).types["label"] == Label(classes=("cat",))
    with pytest.raises(UserError, match="one class only"):
        ClassTarget(ClassOptions()).fit(read_folder(tmp_path))


def test_a_class_that_training_lacks(tmp_path: Path) -> None:
    class_folders(tmp_path / "train", {"a": 0, "b": 1})
    class_folders(tmp_path / "test", {"a": 0, "c": 2})
    assert "the class 'c' is in test but not in train" in message_of(tmp_path)
    assert read_folder(tmp_path, check=False).types["label"] == Label(classes=("a", "b", "c"))


def test_splits_that_do_not_fit(tmp_path: Path) -> None:
    class_folders(tmp_path / "test", {"a": 0, "b": 1})
    assert "there is no 'train' folder beside test" in message_of(tmp_path)
    class_folders(tmp_path / "train", {"a": 0, "b": 1})
    class_folders(tmp_path / "val", {"a": 0, "b": 1})
    class_folders(tmp_path / "dev", {"a": 0, "b": 1})
    assert "'dev' and 'val' are both the validation split" in message_of(tmp_path)


def test_split_folders_with_pictures_but_no_classes(tmp_path: Path) -> None:
    save(tmp_path / "train" / "x.png", GREY[0])
    save(tmp_path / "test" / "x.png", GREY[0])
    assert "there are no class folders in it" in message_of(tmp_path)


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    dataset = readers.read(class_folders(tmp_path, {"train": 0, "ship": 1}))
    assert dataset.types["label"] == Label(classes=("ship", "train"))


def test_broken_pictures_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    class_folders(tmp_path, {"a": 0, "b": 1})
    (tmp_path / "a" / "8.png").write_bytes(b"")
    (tmp_path / "b" / "9.png").write_bytes(b"not a picture at all")
    message = message_of(tmp_path)
    assert "2 of 10 pictures cannot be read, first a/8.png: the picture is empty (zero bytes)" in message
    assert f"gradus data scan {tmp_path}" in message
    assert len(read_folder(tmp_path, check=False)["train"]) == 10


def test_a_truncated_picture_is_told_when_it_is_decoded(tmp_path: Path) -> None:
    class_folders(tmp_path, {"a": 0, "b": 1})
    whole = save(tmp_path / "a" / "cut.jpg", PillowImage.fromarray(GREY[0]).resize((64, 64))).read_bytes()
    (tmp_path / "a" / "cut.jpg").write_bytes(whole[: len(whole) - 200])
    train = readers.read(tmp_path)["train"]
    with pytest.raises(UserError, match=r"a/cut\.jpg: the picture is broken"):
        train["image"][train.origins.index("a/cut.jpg")]


def test_an_unknown_kind_of_file(tmp_path: Path) -> None:
    (tmp_path / "data.xlsx").write_bytes(b"x")
    message = message_of(tmp_path / "data.xlsx")
    assert "a '.xlsx' file cannot be read" in message and ".parquet" in message

"""The catalogue: what scikit-learn ships, Parquet files on this machine, and the order they are looked for in."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from PIL import Image as PillowImage

from gradus.data import catalogue, places
from gradus.data.columns import Boxes, Image, Label, Mask, Number
from gradus.errors import UserError

EMBEDDED = [name for name, entry in catalogue.CATALOGUE.items() if entry.sklearn]
REAL = Path(os.environ.get("GRADUS_DATA", "").split(os.pathsep)[0] or "no such folder")


def needs(name: str):
    """Skips a test where the first folder of GRADUS_DATA does not hold the real data set `name`."""
    there = (REAL / name / "train.parquet").is_file()
    return pytest.mark.skipif(not there, reason=f"GRADUS_DATA is unset or has no {name}")


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """A data folder and a cache of this test alone, with the network forbidden."""
    monkeypatch.setenv("GRADUS_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("GRADUS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path / "data", tmp_path / "cache"


def write(path: Path, labels: list[int], image: str = "image", label: str = "label", mode: str = "L") -> None:
    """A Parquet file with one small picture for each label, as bright as ten times the label."""
    pictures = []
    for value in labels:
        buffer = io.BytesIO()
        PillowImage.new(mode, (28, 28), 10 * value if mode == "L" else (10 * value,) * 3).save(buffer, "PNG")
        pictures.append({"bytes": buffer.getvalue(), "path": None})
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(arrow.table({image: pictures, label: labels}), path)


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_sets_are_as_the_table_says(name):
    entry = catalogue.CATALOGUE[name]
    data = catalogue.load(name)
    assert {split: len(rows) for split, rows in data.splits.items()} == entry.splits
    assert data.types == entry.types and data.target == entry.target and data.about == entry.about
    for column in data["train"].columns.values():
        wanted = {Label: np.int64, Number: np.float64, Image: np.uint8}[type(column.type)]
        assert column.values.dtype == wanted
        if isinstance(column.type, Label):
            assert set(column.values.tolist()) == set(range(len(column.type.classes)))


def test_digits_fill_the_range_of_grey_levels():
    from sklearn.datasets import load_digits

    pictures = catalogue.load("digits")["train"]["image"].values
    assert pictures.shape == (1797, 8, 8, 1) and (pictures.min(), pictures.max()) == (0, 255)
    assert np.abs(pictures[..., 0] * (16 / 255) - load_digits().images).max() < 0.05


def test_class_names_are_those_of_scikit_learn():
    from sklearn import datasets

    for name in ("breast_cancer", "wine", "iris"):
        entry = catalogue.CATALOGUE[name]
        names = getattr(datasets, str(entry.sklearn))().target_names
        assert entry.types[entry.target].classes == tuple(names)


def test_diabetes_keeps_its_units():
    ages = catalogue.load("diabetes")["train"]["age"].values
    assert ages.min() > 18 and ages.max() < 100


def test_another_target_can_be_asked_for():
    assert catalogue.load("diabetes", "bmi").target == "bmi"
    assert catalogue.load("diabetes", "bmi,bp").target == "bmi,bp"
    with pytest.raises(UserError, match="iris has no column 'specie'; did you mean 'species'"):
        catalogue.load("iris", "specie")


def test_an_unknown_name():
    with pytest.raises(UserError, match="unknown data set 'mnits'; did you mean 'mnist'"):
        catalogue.load("mnits")


def test_import_brings_nothing_heavy():
    heavy = ("torch", "sklearn", "pyarrow", "huggingface_hub")
    program = f"import sys, gradus.data.catalogue; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_folder_of_gradus_data(folders):
    write(folders[0] / "mnist/train.parquet", [0, 1, 2, 9])
    write(folders[0] / "mnist/test.parquet", [7])
    data = catalogue.load("mnist")
    assert data.target == "label" and data["train"]["label"].values.tolist() == [0, 1, 2, 9]
    assert data["train"]["image"].type == Image(channels=1)
    assert [int(picture.max()) for picture in data["train"]["image"]] == [0, 10, 20, 90]
    assert "train: 4 rows here, 60,000 in the published data" in data.notes
    assert str(folders[0] / "mnist") in data.notes[0]
    assert len(data["train"].origins) == 4


def test_folders_are_searched_in_order_and_before_the_cache(folders, tmp_path, monkeypatch):
    monkeypatch.setenv(
        "GRADUS_DATA", os.pathsep.join([str(tmp_path / "absent"), str(tmp_path / "b"), str(tmp_path / "c")])
    )
    for place, label in ((tmp_path / "b", 1), (tmp_path / "c", 2), (folders[1], 3)):
        for split in ("train", "test"):
            write(place / f"mnist/{split}.parquet", [label])
    assert catalogue.load("mnist")["train"]["label"].values.tolist() == [1]
    monkeypatch.delenv("GRADUS_DATA")
    assert catalogue.load("mnist")["train"]["label"].values.tolist() == [3]


def test_half_a_data_set_in_the_cache_is_not_taken_for_the_whole(folders):
    write(folders[1] / "mnist/train.parquet", [1])
    with pytest.raises(UserError, match=r"mnist.*ylecun/mnist.*HF_HUB_OFFLINE.*GRADUS_DATA"):
        catalogue.load("mnist")


def test_a_missing_split_of_the_users_own_folder_is_noted(folders):
    write(folders[0] / "mnist/train.parquet", [1])
    data = catalogue.load("mnist")
    assert list(data.splits) == ["train"]
    assert "test: 0 rows here, 10,000 in the published data" in data.notes


def test_the_names_of_the_hub_become_ours(folders):
    for split in ("train", "test"):
        write(folders[1] / f"cifar10/{split}.parquet", [3], image="img", mode="RGB")
    assert catalogue.load("cifar10").types == catalogue.CATALOGUE["cifar10"].types
    write(folders[1] / "cats_vs_dogs/train.parquet", [0, 1], label="labels", mode="RGB")
    assert catalogue.load("cats_vs_dogs")["train"]["label"].values.tolist() == [0, 1]


def test_files_of_one_split_are_joined_in_order(folders):
    folder = folders[0] / "cats_vs_dogs"
    write(folder / "train-00000-of-00002.parquet", [0, 1, 1], mode="RGB")
    write(folder / "train-00001-of-00002.parquet", [1, 0], mode="RGB")
    train = catalogue.load("cats_vs_dogs")["train"]
    assert train["label"].values.tolist() == [0, 1, 1, 1, 0]
    assert [int(picture.max()) for picture in train["image"]] == [0, 10, 10, 10, 0]
    assert "00001-of-00002" in train.origins[3]
    (folder / "train-00001-of-00002.parquet").unlink()
    assert catalogue.split_files(folder, "train") == []


def test_class_names_of_a_label_file(folders):
    write(folders[0] / "cats_vs_dogs/train.parquet", [0, 1], mode="RGB")
    labels = folders[0] / "cats_vs_dogs/labels.txt"
    labels.write_text("猫\n狗\n", encoding="utf-8")
    assert catalogue.load("cats_vs_dogs").types["label"] == Label(classes=("猫", "狗"))
    labels.write_text("cat\n")
    with pytest.raises(UserError, match=r"labels.txt: expected 2 class names, one a line, found 1"):
        catalogue.load("cats_vs_dogs")


def test_a_broken_file_is_named(folders):
    file = folders[0] / "mnist/train.parquet"
    write(file, [1, 2])
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"mnist.train\.parquet"):
        catalogue.load("mnist")


def test_a_label_beyond_the_classes_is_told(folders):
    write(folders[0] / "mnist/train.parquet", [1, 10])
    with pytest.raises(UserError, match="10"):
        catalogue.load("mnist")


def test_list_says_where_each_set_comes_from(folders):
    write(folders[0] / "mnist/train.parquet", [1])
    rows = {name: details for name, *details in catalogue.describe()}
    assert list(rows) == list(catalogue.CATALOGUE)
    mnist = catalogue.CATALOGUE["mnist"]
    assert rows["mnist"] == ["train 60,000, test 10,000", "label (10 classes)", str(folders[0] / "mnist"), mnist.about]
    assert [rows[name][2] for name in ("digits", "cifar10")] == [
        "scikit-learn, no download",
        "download from the Hub (uoft-cs/cifar10)",
    ]


def test_the_cache_is_where_the_user_says(monkeypatch):
    monkeypatch.delenv("GRADUS_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert places.cache_folder() == Path("/caches/gradus")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert places.cache_folder() == Path.home() / ".cache/gradus"
    monkeypatch.setenv("GRADUS_CACHE", "~/elsewhere")
    assert places.cache_folder() == Path.home() / "elsewhere"


@needs("mnist")
def test_real_mnist():
    data = catalogue.load("mnist")
    assert (len(data["train"]), len(data["test"])) == (60_000, 10_000) and len(data.notes) == 1
    assert data["train"]["label"].values[:5].tolist() == [5, 0, 4, 1, 9]  # the first digits of the original files
    assert data["test"]["image"][0].shape == (28, 28, 1)


@needs("cifar10")
def test_real_cifar10():
    data = catalogue.load("cifar10")
    assert (len(data["train"]), len(data["test"])) == (50_000, 10_000)
    assert np.bincount(data["test"]["label"].values).tolist() == [1000] * 10
    assert data["train"]["image"][0].shape == (32, 32, 3)


@needs("cats_vs_dogs")
def test_real_cats_vs_dogs():
    data = catalogue.load("cats_vs_dogs")
    assert {name: len(split) for name, split in data.splits.items()} == {
        "train": 2000,
        "validation": 1000,
        "test": 1000,
    }
    assert "train: 2,000 rows here, 23,410 in the published data" in data.notes
    assert data["train"]["image"][0].shape[2] == 3


@pytest.mark.skipif(
    not (Path(os.environ.get("GRADUS_DATA", "")) / "boston_housing" / "train.parquet").is_file(),
    reason="boston_housing is not in GRADUS_DATA",
)
def test_boston_housing_is_split_as_the_book_has_it():
    """Keras' loader: its first training row is house 23 (MEDV 15.2), its first test row has a MEDV of 7.2."""
    dataset = catalogue.load("boston_housing")
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 404, "test": 102}
    assert dataset["train"].row(0)["CRIM"] == 1.23247 and dataset["train"].row(0)["MEDV"] == 15.2
    assert dataset["test"].row(0)["CRIM"] == 18.0846 and dataset["test"].row(0)["MEDV"] == 7.2
    assert "row 23" in dataset["train"].origins[0]


@needs("bccd")
def test_real_bccd():
    data = catalogue.load("bccd")
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 205, "validation": 87, "test": 72}
    assert data.types["objects"] == Boxes(classes=("Platelets", "RBC", "WBC")) and data.target == "objects"
    assert data["train"]["image"][0].shape == (480, 640, 3)
    assert sum(len(objects) for split in data.splits.values() for objects in split["objects"]) == 4888


@needs("camvid")
def test_real_camvid():
    data = catalogue.load("camvid")
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 367, "validation": 101, "test": 233}
    kind, mask = data.types["mask"], data["test"]["mask"][0]
    assert isinstance(kind, Mask) and len(kind.classes) == 11 and data.target == "mask"
    assert mask.shape == data["test"]["image"][0].shape[:2] == (360, 480)
    assert set(np.unique(mask)) <= {*range(11), kind.ignore}


def test_the_list_tells_what_is_learnt():
    rows = {name: details for name, *details in catalogue.describe()}
    assert rows["bccd"][1] == "objects (boxes of 3 classes)" and rows["camvid"][1] == "mask (masks of 11 classes)"


def test_splits_that_lie_in_files_of_other_names(folders):
    for name, count in (("english", 3), ("chinese", 2)):
        file = folders[0] / f"dialogues/{name}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        rows = {"prompt": [f"{name}?"] * count, "reply": ["yes"] * count, "topic": ["ai"] * count}
        parquet.write_table(arrow.table(rows), file)
    english, chinese = catalogue.load("dialogues_english"), catalogue.load("dialogues_chinese")
    assert (len(english["train"]), len(chinese["train"])) == (3, 2)
    assert english["train"]["prompt"][0] == "english?" and chinese["train"]["topic"].type.classes[0] == "ai"


def test_the_splits_of_a_users_own_ptb(folders):
    with pytest.raises(
        UserError, match=r"ptb is not on this machine.*put ptb/ptb.train.txt into a folder that GRADUS_DATA"
    ):
        catalogue.load("ptb")
    for split, text in (("train", " a b \n c \n"), ("valid", " a \n"), ("test", " b \n")):
        file = folders[0] / f"ptb/ptb.{split}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    data = catalogue.load("ptb")
    assert data.ordered and data["train"]["text"].values == [" a b \n", " c \n"]
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 2, "validation": 1, "test": 1}


@needs("babi_qa1")
def test_real_babi():
    data = catalogue.load("babi_qa1")
    assert (len(data["train"]), len(data["test"])) == (10_000, 1_000) and len(data.notes) == 1
    row = data["test"].row(0)
    assert row["question"] == "Where is John?" and data["test"]["answer"].type.to_text(row["answer"]) == "hallway"


@pytest.mark.skipif(not (REAL / "dialogues").is_dir(), reason="GRADUS_DATA is unset or has no dialogues")
@pytest.mark.parametrize(("name", "rows"), [("dialogues_english", 2393), ("dialogues_chinese", 552)])
def test_real_dialogues(name, rows):
    data = catalogue.load(name)
    assert len(data["train"]) == rows and len(data.notes) == 1
    assert set(data["train"]["topic"].values.tolist()) == set(range(len(data.types["topic"].classes)))

"""Texts in files: by class, as a corpus, with splits, in tables; what the scan says of them and `gradus data show` shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gradus.cli import main
from gradus.data.columns import Column, Label, Number, Text
from gradus.data.dataset import Dataset, NumberedRows, Split
from gradus.data.load import load_data
from gradus.data.scan import scan
from gradus.data.splits import complete_splits
from gradus.errors import UserError
from gradus.tasks.table import infer_task


def write(root: Path, **texts: str) -> Path:
    """Files by name, `__` standing for a folder: neg__a is neg/a.txt."""
    for name, text in texts.items():
        file = root / (name.replace("__", "/") + ".txt")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return root


def reviews(root: Path) -> Path:
    """The layout of the Large Movie Review Dataset."""
    for split in ("train", "test"):
        texts = {f"{split}__{name}__{n}_{n}": f"{name} {split} {n}" for name in ("pos", "neg") for n in (10, 2, 1)}
        write(root, **texts)
        write(root, **{f"{split}__urls_pos": "http"})
        (root / split / "labeledBow.feat").write_text("9 0:9")
    return write(root, train__unsup__0_0="nobody knows", README="about", imdbEr="0.04")


def test_texts_by_class_with_splits(tmp_path):
    data = load_data(reviews(tmp_path))
    assert data.target == "label" and data.types["label"] == Label(classes=("neg", "pos"))
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 6, "test": 6}
    assert infer_task(data) == "text-classification"
    assert "left out train/unsup: texts without a class" in data.notes
    assert not any("nobody" in text for split in data.splits.values() for text in split["text"])
    assert any("text files that lie in no class folder" in note for note in data.notes)


def test_texts_are_in_the_order_of_their_names(tmp_path):
    """Listing 6-8 of Deep Learning with Python takes the training files as the system lists them; the test files are sorted."""
    train = load_data(reviews(tmp_path))["train"]
    assert list(train.origins) == [f"train/{name}/{n}_{n}.txt" for name in ("neg", "pos") for n in (10, 1, 2)]
    assert train["text"].values[0] == "neg train 10" and train["label"].values.tolist() == [0, 0, 0, 1, 1, 1]


def test_texts_are_read_as_utf8_whatever_the_system_says(tmp_path):
    """The same listing opens files without naming an encoding."""
    write(tmp_path, good__a="很好 café", good__b="x", bad__a="y", bad__b="z")
    (tmp_path / "bad" / "a.txt").write_bytes("不好".encode("gb18030"))
    data = load_data(tmp_path)
    assert data["train"]["text"].values == ["不好", "z", "很好 café", "x"]
    assert "a.txt: the text is not UTF-8 and was read as GB18030" in data.notes


def test_a_corpus_of_documents(tmp_path):
    write(tmp_path, **{f"story{n:02}": f"once there were {n}" for n in range(30)})
    data = load_data(tmp_path)
    assert data.target == "text" and not data.ordered and infer_task(data) == "language-modeling"
    assert len(data["train"]) == 30 and data["train"]["text"][3] == "once there were 3\n"
    assert data["train"].origins[3] == "story03.txt"


def test_a_few_documents_are_one_text(tmp_path):
    write(tmp_path, one="a\nb\n" * 20, two="c")
    data = load_data(tmp_path)
    assert data.ordered and len(data["train"]) == 41 and "".join(data["train"]["text"].values) == "a\nb\n" * 20 + "c\n"
    assert len(complete_splits(data, 0.1, 0.2, 0, None)["validation"]) == 3


@pytest.mark.parametrize("names", [("train", "valid", "test"), ("ptb.train", "ptb.valid", "ptb.test")])
def test_texts_named_after_the_splits(tmp_path, names):
    for name, text in zip(names, ("a\nb\n", "c\n", "d\n"), strict=True):
        (tmp_path / f"{name}.txt").write_text(text)
    data = load_data(tmp_path)
    assert {name: split["text"].values for name, split in data.splits.items()} == {
        "train": ["a\n", "b\n"],
        "validation": ["c\n"],
        "test": ["d\n"],
    }
    assert data.ordered and data.target == "text" and infer_task(data) == "language-modeling"
    (tmp_path / "dev.txt").write_text("e")
    with pytest.raises(UserError, match="are both the validation split"):
        load_data(tmp_path)


def test_lists_of_files_beside_pictures_are_no_texts(tmp_path):
    from PIL import Image as PillowImage

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        PillowImage.new("L", (8, 8)).save(tmp_path / name / "1.png")
    (tmp_path / "train.txt").write_text("a/1.png\n")
    assert "image" in load_data(tmp_path).types


def test_class_folders_that_cannot_be_learnt(tmp_path):
    write(tmp_path / "one", pos__a="x", pos__b="y")
    with pytest.raises(UserError, match="only one class, 'pos'"):
        load_data(tmp_path / "one")
    write(tmp_path / "two", train__pos__a="x", train__neg__a="y", test__odd__a="z")
    with pytest.raises(UserError, match="the class 'odd' is not in train"):
        load_data(tmp_path / "two")
    write(tmp_path / "three", pos__a="x", neg__a="y")
    (tmp_path / "three" / "neg" / "b.txt").write_bytes(b"\xff\xfea\x00")
    with pytest.raises(UserError, match=r"neg/b\.txt: the text is UTF-16"):
        load_data(tmp_path / "three")
    errors = scan(tmp_path / "three").errors
    assert [finding.where for finding in errors if "UTF-16" in finding.message] == ["neg/b.txt"]


def table(folder: Path, rows: list[tuple[str, str]], header: str = "text,label") -> Path:
    lines = [header, *(f'"{text}",{label}' if label else f'"{text}"' for text, label in rows)]
    (folder / "table.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "table.csv"


@pytest.mark.parametrize("count", [12, 60, 400])
def test_short_sentences_of_a_table_are_texts(tmp_path, count):
    rows = [(f"I liked this one {n}" if n % 2 else f"not for me {n}", "yes" if n % 2 else "no") for n in range(count)]
    data = load_data(table(tmp_path, rows))
    assert data.types == {"text": Text(), "label": Label(classes=("no", "yes"))}
    assert infer_task(data) == "text-classification"


def test_short_chinese_sentences_are_texts(tmp_path):
    rows = [("这家饭店的菜很好吃" + "啊" * n, "1") for n in range(6)] + [
        ("服务态度实在太差了" + "啊" * n, "0") for n in range(6)
    ]
    assert load_data(table(tmp_path, rows)).types["text"] == Text()


def test_few_names_are_still_classes(tmp_path):
    rows = [(("New York", "Los Angeles", "Berlin")[n % 3], str(n % 2)) for n in range(30)]
    assert load_data(table(tmp_path, rows)).types["text"] == Label(classes=("Berlin", "Los Angeles", "New York"))
    repeated = [(("I agree with this", "I do not agree at all")[n % 2], str(n % 3)) for n in range(30)]
    assert isinstance(load_data(table(tmp_path, repeated), "text").types["text"], Label)


@pytest.mark.parametrize("count", [30, 200])
def test_the_only_column_of_text_as_target_is_a_language_model(tmp_path, count):
    data = load_data(table(tmp_path, [(f"the {n}. line of a poem", "") for n in range(count)], "text"), "text")
    assert data.types == {"text": Text()} and infer_task(data) == "language-modeling"


def test_numbers_beside_texts(tmp_path):
    rows = [(f"this is what number {n} of them had to say of it", f"{n % 2},{n / 3}") for n in range(50)]
    data = load_data(table(tmp_path, rows, "text,label,price"))
    assert data.types["price"] == Number() and infer_task(data) == "text-classification"


def texts(splits: dict[str, list[tuple[str, int]]]) -> Dataset:
    made = {}
    for name, rows in splits.items():
        kind = Label(classes=("bad", "good"))
        columns = {"text": Column(Text(), [t for t, _ in rows]), "label": Column(kind, np.array([c for _, c in rows]))}
        made[name] = Split(columns, NumberedRows.count(name, len(rows)))
    return Dataset(name="texts", source="texts", splits=made, target="label")


def test_what_the_scan_says_of_texts():
    train = [(f"text {n}", n % 2) for n in range(20)] + [("same", 0), ("same", 1), ("", 0), ("twice", 1), ("twice", 1)]
    test = [
        ("text 3", 1),
        ("a <br /> b", 0),
        ("cafÃ©", 1),
        ("it’s â€œgoodâ€\x9d", 0),
        ("lost \ufffd", 1),
        ("a\x00b", 0),
    ]
    result = scan(texts({"train": train, "test": test}))
    told = {str(finding) for finding in result.findings}
    assert "lengths in text: 0 to 15 characters, median 6" in result.summary
    assert any(
        "row 1 of test: the same item is in two splits: in test, and in train as row 4 of train" in one for one in told
    )
    assert any("row 22 of train: the same as row 21 of train, but its label disagrees" in one for one in told)
    assert any("row 25 of train: a duplicate of row 24 of train" in one for one in told)
    assert any("1 of 31 rows have no value, the first is row 23 of train" in one for one in told)
    assert any("1 of 31 texts hold HTML, the first is row 2 of test" in one for one in told)
    wrong = [finding for finding in result.findings if "column 'text'" in finding.message]
    assert [finding.where for finding in wrong] == [f"row {n} of test" for n in (3, 4, 5, 6)]


def test_the_lines_of_a_text_may_be_empty(tmp_path):
    (tmp_path / "poem.txt").write_text("one\n\ntwo — naïve “three” 中文\n" * 5)
    assert [finding for finding in scan(tmp_path / "poem.txt").findings if finding.severity != "note"] == []


def test_texts_are_shown(tmp_path, capsys):
    write(tmp_path, good__a="a good\nfilm", good__b="good", bad__a="a bad film, a bad one", bad__b="bad")
    with pytest.raises(SystemExit):
        main(["data", "show", str(tmp_path)])
    shown = capsys.readouterr().out
    assert "good/a.txt  a good film" in shown
    assert (
        "text: 1 to 7 words and marks a text, median 2" in shown
        and "6 different ones; the most frequent: a 3  bad 3" in shown
    )
    with pytest.raises(SystemExit):
        main(["data", "scan", str(tmp_path)])
    assert "lengths in text: 3 to 21 characters" in capsys.readouterr().out

"""The readers of tables: raw cells, types by looking, targets, and rows of known types."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage
from sklearn.datasets import load_digits

from gradus.data import readers
from gradus.data.columns import Column, ColumnType, Image, Label, Labels, Number, Text
from gradus.data.dataset import Dataset
from gradus.data.readers.table import read_parquet_columns, read_rows, rows_from_dicts
from gradus.errors import UserError

DIGITS = load_digits()


def picture_bytes(index: int) -> bytes:
    buffer = io.BytesIO()
    PillowImage.fromarray((DIGITS.images[index] * 15.9).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def read_csv(folder: Path, content: str | bytes, target: str | None = "y", name: str = "table.csv") -> Dataset:
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return readers.read(file, target)


def csv_error(folder: Path, content: str | bytes, target: str | None = "y", name: str = "table.csv") -> str:
    with pytest.raises(UserError) as caught:
        read_csv(folder, content, target, name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def values(column: Column) -> list[Any]:
    return column.values.tolist() if isinstance(column.values, np.ndarray) else list(column.values)


# ---------------------------------------------------------------------------------------------------------------- text


def test_columns_are_typed_by_looking(tmp_path: Path) -> None:
    rows = "".join(
        f"{i / 2},{'red' if i % 2 else 'blue'},true,sentence number {i} of many,{'NA' if i == 3 else i * i}\n"
        for i in range(60)
    )
    dataset = read_csv(tmp_path, "x,colour,flag,words,y\n" + rows + "1.5,red,false,last words,7\n")
    assert dataset.types == {
        "x": Number(),
        "colour": Label(classes=("blue", "red")),
        "flag": Label(classes=("false", "true")),
        "words": Text(),
        "y": Number(),
    }
    assert dataset.target == "y" and dataset.name == "table"
    assert "1 of 61 rows have no value in the target 'y' and were dropped" in dataset.notes
    assert dataset["train"].origins[3] == "row 6 of table.csv"
    assert dataset["train"]["words"][0] == "sentence number 0 of many"


@pytest.mark.parametrize("missing", ["", "NA", "N/A", "NaN", "null", "?", "-", " nan "])
def test_missing_values(tmp_path: Path, missing: str) -> None:
    train = read_csv(tmp_path, f"x,kind,y\n1,a,1\n{missing},{missing},2\n3,b,1\n")["train"]
    assert np.array_equal(train["x"].values, [1, math.nan, 3], equal_nan=True)
    assert values(train["kind"]) == [0, -1, 1]


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    assert list(read_csv(tmp_path, b"\xef\xbb\xbfx,y\n1,2\n5,3\n").types) == ["x", "y"]


def test_gb18030_is_read_and_noted(tmp_path: Path) -> None:
    dataset = read_csv(tmp_path, "颜色,大小,类别\n红,1.5,猫\n蓝,2,狗\n".encode("gbk"), None)
    assert dataset.types["颜色"] == Label(classes=("红", "蓝")) and dataset.target == "类别"
    assert "table.csv: the text is not UTF-8 and was read as GB18030" in dataset.notes
    assert "target: column '类别'" in dataset.notes


def test_a_text_that_is_neither(tmp_path: Path) -> None:
    assert "neither UTF-8 nor GB18030" in csv_error(tmp_path, b"x,y\ncaf\xe9,1\n\xff\xff,2\n")
    assert "UTF-16" in csv_error(tmp_path, "x,y\n1,2\n".encode("utf-16"))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    rows = [["x", "words", "y"], ["1.5", "a, b; c", "1"], ["2.5", "d", "2"]]
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter).writerows(rows)
    train = read_csv(tmp_path, buffer.getvalue())["train"]
    assert values(train["x"]) == [1.5, 2.5] and train["words"].type == Label(classes=("a, b; c", "d"))


def test_decimal_commas_of_a_semicolon_table(tmp_path: Path) -> None:
    dataset = read_csv(tmp_path, "x;y\n1,5;10\nNA;11\n2;12\n")
    assert np.array_equal(dataset["train"]["x"].values, [1.5, math.nan, 2], equal_nan=True)
    assert "table.csv: the commas in column 'x' are decimal points, as in 1,5" in dataset.notes


def test_ragged_row_is_named_by_its_line(tmp_path: Path) -> None:
    message = csv_error(tmp_path, 'x,y\n"two\nlines",1\n\n5,2,3\n')
    assert "row 5 of" in message and "table.csv: expected 2 fields as in the header, found 3" in message


def test_quotes_that_do_not_match(tmp_path: Path) -> None:
    assert "row 2 of" in csv_error(tmp_path, 'x,y\n"open,1\n5,2\n')


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("", "there are no rows in it"),
        ("x,y\n", "there are no rows in it"),
        ("1,2\n3,4\n", "the first row must name the columns"),
        ("x,x\n3,4\n", "two columns are called 'x'"),
        ("x,,y\n3,4,5\n", "column 2 has no name"),
    ],
)
def test_tables_without_header_or_rows(tmp_path: Path, content: str, part: str) -> None:
    assert part in csv_error(tmp_path, content)


def test_infinite_numbers_are_told(tmp_path: Path) -> None:
    assert "row 3 of table.csv: the number in column 'x' is infinite" in csv_error(tmp_path, "x,y\n1,2\ninf,3\n")


def test_a_cell_longer_than_the_csv_module_allows(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    train = read_csv(tmp_path, f"x,y\n{'long ' * 40_000},1\nb,2\n")["train"]
    assert train.columns["y"].type == Label(classes=("1", "2")) and csv.field_size_limit() == limit


# ---------------------------------------------------------------------------------------------------------- other files


def test_json_lines_json_and_tsv(tmp_path: Path) -> None:
    objects = [
        {"x": 1, "kind": "a", "y": True},
        {"kind": "b", "y": False, "more": [1]},
        {"x": None, "kind": "a", "y": True},
    ]
    (tmp_path / "a.jsonl").write_text("\n\n".join(json.dumps(row) for row in objects))
    (tmp_path / "a.json").write_text(json.dumps(objects))
    lines = readers.read(tmp_path / "a.jsonl", "y")
    for dataset in (lines, readers.read(tmp_path / "a.json", "y")):
        assert dataset.types == {
            "x": Number(),
            "kind": Label(classes=("a", "b")),
            "y": Label(classes=("false", "true")),
        }
        assert values(dataset["train"]["y"]) == [1, 0, 1] and math.isnan(dataset["train"]["x"][1])
        assert "column 'more' holds lists, objects or other files: left out" in dataset.notes
    assert lines["train"].origins[2] == "row 5 of a.jsonl"
    assert values(read_csv(tmp_path, "x\ty\na,b\t1\nc;d\t2\n", name="a.tsv")["train"]["x"]) == [0, 1]


def test_broken_json_names_the_row(tmp_path: Path) -> None:
    assert "row 2 of" in csv_error(tmp_path, '{"y": 1}\n{"y": \n', name="a.jsonl")
    assert "row 2 of" in csv_error(tmp_path, '{"y": 1}\n[1]\n', name="a.jsonl")
    assert "this JSON cannot be read" in csv_error(tmp_path, "[" * 100_000, name="a.json")
    assert "expected a list of objects" in csv_error(tmp_path, "7", name="a.json")
    assert "not a Parquet file" in csv_error(tmp_path, "x,y", name="a.parquet")


def write_parquet(file: Path, columns: dict[str, Any]) -> Path:
    pyarrow.parquet.write_table(pyarrow.table(columns), file)
    return file


def test_parquet_with_pictures(tmp_path: Path) -> None:
    pictures = [{"bytes": picture_bytes(index), "path": f"{index}.png"} for index in range(6)]
    file = write_parquet(tmp_path / "a.parquet", {"image": pictures, "digit": list("012345"), "size": [1.5, None] * 3})
    dataset = readers.read(file, "digit")
    assert dataset.types["image"] == Image(channels=1) and dataset.types["size"] == Number()
    assert dataset["train"]["image"][2].shape == (8, 8, 1) and dataset["train"].origins[2] == "row 3 of a.parquet"


def test_files_that_are_not_pictures_are_left_out(tmp_path: Path) -> None:
    sounds = [{"bytes": b"RIFF....WAVE", "path": "a.wav"}] * 4
    file = write_parquet(tmp_path / "a.parquet", {"sound": sounds, "label": ["a", "b"] * 2})
    dataset = readers.read(file)
    assert list(dataset.types) == ["label"] and any("'sound' holds" in note for note in dataset.notes)


# ------------------------------------------------------------------------------------------------------------- pictures


def test_pictures_named_in_a_column(tmp_path: Path) -> None:
    (tmp_path / "图").mkdir()
    for index in range(4):
        (tmp_path / "图" / f"{index}.png").write_bytes(picture_bytes(index))
    rows = "".join(f"图/{index}.png,{'even' if index % 2 == 0 else 'odd'}\n" for index in range(4))
    dataset = read_csv(tmp_path, "file,parity\n" + rows, None)
    assert dataset.types == {"file": Image(channels=1), "parity": Label(classes=("even", "odd"))}
    assert dataset.target == "parity"  # the only classes beside pictures
    assert dataset["train"]["file"][1].shape == (8, 8, 1)

    (tmp_path / "图" / "3.png").write_bytes(b"")
    message = csv_error(tmp_path, "file,parity\n" + rows, None)
    assert "1 of 4 pictures cannot be read, first row 5 of table.csv (图/3.png): the picture is empty" in message
    (tmp_path / "图" / "2.png").unlink()
    message = csv_error(tmp_path, "file,parity\n" + rows, None)
    assert f"row 4 of table.csv: there is no picture '图/2.png' in {tmp_path}" in message


# --------------------------------------------------------------------------------------------------------------- target


def test_a_wrong_target_names_the_nearest_column(tmp_path: Path) -> None:
    message = csv_error(tmp_path, "size,price\n1,2\n", "prise")
    assert "no column 'prise'; did you mean 'price'?" in message and "columns: size, price" in message


def test_a_target_that_cannot_be_guessed_is_asked_for(tmp_path: Path) -> None:
    message = csv_error(tmp_path, "size,price\n1,2\n", None)
    assert "--target" in message and "columns: size, price" in message
    assert "both 'y' and 'Class' could be it" in csv_error(tmp_path, "y,Class\n1,2\n", None)


@pytest.mark.parametrize("name", ["target", "Label", "CLASS", "y", "标签", "类别"])
def test_a_target_is_known_by_its_name(tmp_path: Path, name: str) -> None:
    assert read_csv(tmp_path, f"x,{name}\n1,a\n2,b\n", None).target == name


def test_few_whole_numbers_are_classes_in_their_own_order(tmp_path: Path) -> None:
    dataset = read_csv(tmp_path, "x,quality\n" + "".join(f"0.{i},{i % 12 - 1}\n" for i in range(30)), "quality")
    assert dataset.types["quality"] == Label(classes=tuple(str(number) for number in range(-1, 11)))
    assert values(dataset["train"]["quality"])[:3] == [0, 1, 2]
    assert any("12 distinct whole numbers: read as classes; for regression" in note for note in dataset.notes)
    many = read_csv(tmp_path, "x,quality\n" + "".join(f"0.{i},{i * i}\n" for i in range(30)), "quality")
    assert many.types["quality"] == Number()


def test_classes_may_be_numbers_and_one_text(tmp_path: Path) -> None:
    rows = "".join(f"0.{i},{i % 3}\n" for i in range(30))
    assert read_csv(tmp_path, f"x,y\n{rows}0.5,other\n").types["y"] == Label(classes=("0", "1", "2", "other"))


def test_several_labels_in_a_cell(tmp_path: Path) -> None:
    dataset = read_csv(tmp_path, "x,y\n1,red|big\n2,small | red\n3,blue\n4,\n5,big|blue\n")
    assert dataset.types["y"] == Labels(classes=("big", "blue", "red", "small"))
    assert dataset.types["y"].to_json(dataset["train"]["y"][1]) == ["red", "small"]
    assert len(dataset["train"]) == 4


def test_several_flag_columns_are_one_target(tmp_path: Path) -> None:
    dataset = read_csv(tmp_path, "x,rain,wind\n1.5,1,0\n2.5,0,0\n3.5,1,1\n", "rain, wind")
    assert dataset.target == "rain,wind"
    assert dataset.types == {"x": Number(), "rain,wind": Labels(classes=("rain", "wind"))}
    assert values(dataset["train"]["rain,wind"]) == [[True, False], [False, False], [True, True]]


def test_several_number_columns_stay_columns(tmp_path: Path) -> None:
    dataset = read_csv(tmp_path, "x,a,b\n1.5,1,0\n2.5,7.5,0\n3.5,,1\n", "a,b")
    assert dataset.target == "a,b" and dataset.types == {"x": Number(), "a": Number(), "b": Number()}
    assert len(dataset["train"]) == 2
    mixed = read_csv(tmp_path, "x,a,b\n1,2.5,red\n2,3,blue\n", "a,b")
    assert mixed.types == {"x": Number(), "a": Number(), "b": Label(classes=("blue", "red"))}
    assert "only one class, 'red'" in csv_error(tmp_path, "x,a,b\n1,2.5,red\n", "a,b")
    assert "names a column twice" in csv_error(tmp_path, "x,a,b\n1,2,3\n", "a,a")


def test_targets_that_cannot_be_learnt(tmp_path: Path) -> None:
    assert "only one class, 'a'" in csv_error(tmp_path, "x,y\n1,a\n2,a\n")
    assert "no row of table.csv has a value in the target column 'y'" in csv_error(tmp_path, "x,y\n1,\n2,NA\n")
    rows = "".join(f"{i},{i / 7}\n" for i in range(30))
    message = csv_error(tmp_path, f"x,y\n{rows}7,12.5o\n")
    assert "column 'y' holds 30 numbers, but '12.5o' in row 32 of table.csv is not one" in message


# --------------------------------------------------------------------------------------------------------------- inputs


def test_constant_empty_and_identifying_columns(tmp_path: Path) -> None:
    rows = "".join(f"{i + 1},k{i},7,,{i * i % 7},{'ab'[i % 2]}\n" for i in range(12))
    dataset = read_csv(tmp_path, "n,ID,same,none,x,y\n" + rows)
    assert list(dataset.types) == ["same", "x", "y"]
    assert "column 'same' is constant: it carries no information" in dataset.notes
    assert "column 'none' is empty in every row: left out" in dataset.notes
    assert {note.split("'")[1] for note in dataset.notes if "numbers or names the rows" in note} == {"n", "ID"}


def test_the_only_input_is_kept_though_it_counts(tmp_path: Path) -> None:
    assert list(read_csv(tmp_path, "x,y\n0,1.5\n1,2.5\n2,4\n").types) == ["x", "y"]


def test_years_count_up_but_are_kept(tmp_path: Path) -> None:
    rows = "".join(f"{1990 + i},{i * i},{i / 3}\n" for i in range(12))
    assert list(read_csv(tmp_path, "year,x,y\n" + rows).types) == ["year", "x", "y"]


def test_a_stray_text_among_numbers_is_noted(tmp_path: Path) -> None:
    rows = "".join(f"{i / 3},{'ab'[i % 2]}\n" for i in range(50))
    dataset = read_csv(tmp_path, f"x,y\n{rows}oops,a\n")
    assert any("50 numbers, but 'oops' in row 52 of table.csv is not one" in note for note in dataset.notes)


# --------------------------------------------------------------------------------------------------------------- splits


def test_a_folder_of_tables_has_one_set_of_types(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("x,kind,y\n1,a,p\n2,b,q\n")
    (tmp_path / "val.tsv").write_text("kind\tx\ty\nc\t3\tp\n")
    (tmp_path / "test.jsonl").write_text('{"x": 4, "kind": "a", "y": "q", "extra": 1}\n')
    dataset = readers.read(tmp_path)
    assert list(dataset.splits) == ["train", "validation", "test"]
    assert all(split["kind"].type == Label(classes=("a", "b", "c")) for split in dataset.splits.values())
    assert values(dataset["validation"]["kind"]) == [2]
    assert any("they were left out: extra" in note for note in dataset.notes)


def test_folders_of_tables_that_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("size,y\n1,p\n2,q\n")
    (tmp_path / "test.csv").write_text("siz,y\n1,p\n")
    with pytest.raises(UserError, match=r"test\.csv has no column 'size', which train\.csv has; did you mean 'siz'"):
        readers.read(tmp_path)
    (tmp_path / "test.csv").write_text("size\n1\n")  # as competitions hand out their test rows
    dataset = readers.read(tmp_path)
    assert list(dataset.splits) == ["train"]
    assert "test.csv has no target column 'y' and was left out" in dataset.notes
    (tmp_path / "test.tsv").write_text("size\n1\n")
    with pytest.raises(UserError, match=r"'test\.csv' and 'test\.tsv' are both the test split"):
        readers.read(tmp_path)
    for name in ("train.csv", "test.tsv"):
        (tmp_path / name).unlink()
    with pytest.raises(UserError, match=r"expected a table called train, found test\.csv"):
        readers.read(tmp_path)


# ---------------------------------------------------------------------------------------------------------- known types

TYPES: dict[str, ColumnType] = {"age": Number(), "sex": Label(classes=("f", "m")), "y": Label(classes=("1", "2"))}


def test_rows_of_known_types(tmp_path: Path) -> None:
    file = tmp_path / "new.csv"
    file.write_text("sex,extra,age\nm,1,30\nx,1,NA\n")
    split = read_rows(file, TYPES, "y")
    assert list(split.columns) == ["age", "sex"]
    assert values(split["sex"]) == [1, -1] and split["age"][0] == 30 and math.isnan(split["age"][1])
    file.write_text("sex,age,y\nm,1,2.0\nf,1,3\n")
    assert values(read_rows(file, TYPES, "y")["y"]) == [1, -1]


def test_rows_that_do_not_fit_their_types(tmp_path: Path) -> None:
    file = tmp_path / "new.csv"
    file.write_text("sex,Age\nm,30\n")
    with pytest.raises(UserError, match=r"new\.csv: there is no column 'age'; did you mean 'Age'\?"):
        read_rows(file, TYPES, "y")
    file.write_text("sex,age\nm,30\nf,thirty\n")
    with pytest.raises(UserError, match=r"row 3 of new\.csv: column 'age' holds numbers, found 'thirty'"):
        read_rows(file, TYPES, "y")


def test_flags_are_found_again(tmp_path: Path) -> None:
    types: dict[str, ColumnType] = {"x": Number(), "a,b": Labels(classes=("a", "b"))}
    split = rows_from_dicts([{"x": 1, "a": 1, "b": False}], types, "input", "a,b")
    assert values(split["a,b"]) == [[True, False]]
    assert list(rows_from_dicts([{"x": 1}], types, "input", "a,b").columns) == ["x"]


def test_rows_from_dictionaries(tmp_path: Path) -> None:
    split = rows_from_dicts([{"age": "7", "sex": "f"}, {"age": None}], {"age": Number(), "sex": TYPES["sex"]}, "input")
    assert split["age"][0] == 7 and values(split["sex"]) == [0, -1] and split.origins[1] == "row 2 of input"
    with pytest.raises(UserError, match="row 1 of input: column 'age' holds numbers, found 'old'"):
        rows_from_dicts([{"age": "old"}], {"age": Number()}, "input")
    with pytest.raises(UserError, match="there is no column 'age'"):
        rows_from_dicts([{"sex": "f"}], {"age": Number()}, "input")
    with pytest.raises(UserError, match="there are no rows"):
        rows_from_dicts([], {"age": Number()}, "input")
    with pytest.raises(UserError, match="expected an object"):
        rows_from_dicts([7], {"age": Number()}, "input")  # type: ignore[list-item]


def test_pictures_of_rows_are_opened_only_where_that_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture_bytes(0))
    types: dict[str, ColumnType] = {"image": Image(channels=1)}
    with pytest.raises(UserError, match=r"the picture 'a\.png' cannot be named here"):
        rows_from_dicts([{"image": "a.png"}], types, "input")
    assert rows_from_dicts([{"image": "a.png"}], types, "input", folder=tmp_path)["image"][0].shape == (8, 8, 1)


def test_parquet_columns_of_known_types(tmp_path: Path) -> None:
    columns = {
        "image": [{"bytes": picture_bytes(index), "path": None} for index in range(3)],
        "index": [1, 0, None],
        "name": ["cat", "dog", None],
        "number": [1, 2, None],
        "text": ["a", None, ""],
        "unused": [1, 2, 3],
    }
    file = write_parquet(tmp_path / "train.parquet", columns)
    label = Label(classes=("cat", "dog"))
    split = read_parquet_columns(
        file, {"image": Image(channels=3), "index": label, "name": label, "number": Number(), "text": Text()}
    )
    assert split["image"][2].shape == (8, 8, 3) and split["image"].values.names[2] == "row 3 of train.parquet"
    assert values(split["index"]) == [1, 0, -1] and values(split["name"]) == [0, 1, -1]
    assert np.array_equal(split["number"].values, [1, 2, math.nan], equal_nan=True)
    assert values(split["text"]) == ["a", "", ""] and split["index"].values.dtype == np.int64
    for name, kind, part in [
        ("indes", label, "no column 'indes'; did you mean 'index'"),
        ("number", Label(classes=("a",)), "row 1 of train.parquet: column 'number' holds the class number 1"),
        ("text", label, "row 1 of train.parquet: column 'text' holds the unknown class 'a'"),
        ("text", Number(), "column 'text' holds string; expected numbers"),
        ("text", Image(), "expected pictures"),
    ]:
        with pytest.raises(UserError, match=part):
            read_parquet_columns(file, {name: kind})


# ----------------------------------------------------------------------------------------------------------- round trip

WRITING = st.text(st.characters(exclude_categories=("Cs",)), max_size=20) | st.sampled_from(
    ['a,"b"\nc', "\r\n", '"', ",,"]
)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(NUMBERS, WRITING), min_size=1, max_size=8), delimiter=st.sampled_from(",;\t|"))
def test_what_csv_writes_is_read_back_equal(tmp_path: Path, rows: list[tuple[float, str]], delimiter: str) -> None:
    file = tmp_path / ("t.tsv" if delimiter == "\t" else "t.csv")
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter=delimiter)
        writer.writerows([("number", "writing"), *rows])
    split = read_rows(file, {"number": Number(), "writing": Text()})
    assert list(zip(values(split["number"]), values(split["writing"]), strict=True)) == rows


# ------------------------------------------------------------------------------------------------------------ real data

REAL = os.environ.get("GRADUS_DATA", "").split(os.pathsep)[0]
needs_real_data = pytest.mark.skipif(not REAL, reason="GRADUS_DATA is not set")


@needs_real_data
def test_boston_housing() -> None:
    dataset = readers.read(Path(REAL) / "boston_housing" / "train.parquet", "MEDV")
    assert len(dataset["train"]) == 506 and set(map(type, dataset.types.values())) == {Number}
    assert dataset["train"]["MEDV"][0] == 24.0 and dataset.name == "boston_housing"


@needs_real_data
def test_cats_vs_dogs() -> None:
    dataset = readers.read(Path(REAL) / "cats_vs_dogs" / "validation.parquet")
    assert dataset.types == {"image": Image(channels=3), "label": Label(classes=("0", "1"))}
    assert len(dataset["train"]) == 1000 and max(dataset["train"]["image"][0].shape) <= 256

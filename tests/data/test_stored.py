"""Pictures that stay on the disk: Parquet files of several row groups, read a group at a time, and packed paths."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image as PillowImage

from gradus import load_data
from gradus.data import stored
from gradus.data.columns import Image, Label
from gradus.data.images import EncodedImages
from gradus.data.memory import available_memory
from gradus.data.readers import read_parquet_columns
from gradus.data.stored import PackedTexts, ParquetColumn, StoredPictures, join_stored
from gradus.errors import UserError


def png(value: int, size: int = 6) -> bytes:
    file = io.BytesIO()
    PillowImage.fromarray(np.full((size, size), value, dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def write(path: Path, values: list[int | None], group: int = 4, plain: bool = False, **options) -> Path:
    """A Parquet file with a grey picture for each value (None: no picture), as a struct or as plain bytes."""
    contents = [None if value is None else png(value) for value in values]
    cells = contents if plain else [None if c is None else {"bytes": c, "path": "x.png"} for c in contents]
    kind = pyarrow.binary() if plain else pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})
    table = pyarrow.table({"image": pyarrow.array(cells, kind), "label": [(value or 0) % 2 for value in values]})
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(table, path, row_group_size=group, **options)
    return path


def shades(pictures) -> list[int]:
    return [int(np.asarray(PillowImage.open(io.BytesIO(content)))[0, 0]) for content in pictures]


@pytest.mark.parametrize("plain", [False, True])
def test_rows_of_several_files_and_groups(tmp_path: Path, plain: bool):
    files = [
        write(tmp_path / "a.parquet", list(range(10)), 4, plain),
        write(tmp_path / "b.parquet", [10, 11, 12], 2, plain),
    ]
    pictures = StoredPictures(ParquetColumn(files, "image"))
    assert shades(pictures) == list(range(13))
    assert pictures.groups()[0].tolist() == [0] * 4 + [1] * 4 + [2] * 2 + [3] * 2 + [4]
    assert len(pictures.groups()[1]) == 5 and (pictures.groups()[1] > 0).all()
    taken = pictures.take(np.array([12, 3, 3, 9])).take(np.array([3, 1, 0]))
    assert shades(taken) == [9, 3, 12] and taken.groups()[0].tolist() == [2, 0, 4]
    assert shades(pictures[2:5]) == [2, 3, 4]
    assert shades(pickle.loads(pickle.dumps(taken))) == [9, 3, 12]


def test_only_the_groups_used_last_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    column = ParquetColumn([write(tmp_path / "a.parquet", list(range(20)), 4)], "image")
    read: list[int] = []
    plain_read = ParquetColumn._read
    monkeypatch.setattr(ParquetColumn, "_read", lambda self, group: read.append(group) or plain_read(self, group))
    monkeypatch.setattr(stored, "KEPT_BYTES", 2 * int(column.bytes.max()))
    pictures = StoredPictures(column)
    assert shades(pictures) == list(range(20)) and read == [0, 1, 2, 3, 4]  # in a row each group is read once
    assert list(column._kept) == [3, 4] and column._kept_bytes <= stored.KEPT_BYTES
    shades(pictures.take(np.array([13, 17, 12, 0, 16])))
    assert read[5:] == [0, 4] and len(column._kept) == 2  # 3 and 4 were kept; 0 took the place of 4, used longest ago
    monkeypatch.setattr(stored, "KEPT_BYTES", 1)
    shades(pictures.take(np.array([5, 6, 7])))
    assert read[7:] == [1] and list(column._kept) == [1]  # one is kept, however large


@pytest.mark.parametrize("statistics", [True, False])
@pytest.mark.parametrize("plain", [False, True])
def test_a_missing_picture_is_found(tmp_path: Path, statistics: bool, plain: bool):
    file = write(tmp_path / "a.parquet", [1, 2, 3, 4, 5, None, 7], 4, plain, write_statistics=statistics)
    assert ParquetColumn([file], "image").first_missing() == 5
    types = {"image": Image(channels=1), "label": Label(classes=("0", "1"))}
    with pytest.raises(UserError, match=r"row 6 of a\.parquet: there is no picture in column 'image'"):
        read_parquet_columns(file, types)
    assert ParquetColumn([write(tmp_path / "b.parquet", [1, 2], 4, plain)], "image").first_missing() is None


def test_a_users_parquet_file_is_not_read_into_memory(tmp_path: Path):
    dataset = load_data(write(tmp_path / "mine.parquet", list(range(40)), 7))
    values = dataset["train"]["image"].values
    assert isinstance(values, EncodedImages) and isinstance(values.sources, StoredPictures) and values.channels == 1
    assert dataset.target == "label" and dataset["train"].origins[39] == "row 40 of mine.parquet"
    assert [int(picture[0, 0, 0]) for picture in dataset["train"]["image"]] == list(range(40))


def test_a_broken_picture_in_a_users_parquet_file_is_named(tmp_path: Path):
    cells = [png(1), png(2), b"no picture", png(4)]
    pyarrow.parquet.write_table(pyarrow.table({"image": cells, "label": ["a", "b"] * 2}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"1 of 4 pictures cannot be read, first row 3 of a\.parquet"):
        load_data(tmp_path / "a.parquet")


def test_shards_of_the_catalogue_are_one_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path / "mnist/train-00000-of-00002.parquet", [0, 1, 2, 3, 4], 2)
    write(tmp_path / "mnist/train-00001-of-00002.parquet", [5, 6, 7], 2)
    monkeypatch.setenv("GRADUS_DATA", str(tmp_path))
    train = load_data("mnist")["train"]
    assert [int(picture[0, 0, 0]) for picture in train["image"]] == list(range(8))
    assert train.origins[6] == "row 2 of train-00001-of-00002.parquet"
    assert len(train["image"].values.sources.column.files) == 2


def test_shards_with_other_columns_are_refused(tmp_path: Path):
    one = StoredPictures(ParquetColumn([write(tmp_path / "a.parquet", [1])], "image"))
    table = pyarrow.table({"img": [png(1)]})
    pyarrow.parquet.write_table(table, tmp_path / "b.parquet")
    with pytest.raises(UserError, match="image, img"):
        join_stored([one, StoredPictures(ParquetColumn([tmp_path / "b.parquet"], "img"))])


def test_what_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = write(tmp_path / "a.parquet", list(range(8)), 4)
    column = ParquetColumn([file], "image")
    monkeypatch.setattr(stored, "KEPT_BYTES", 1)
    monkeypatch.setattr(stored, "available_memory", lambda: 100)
    with pytest.raises(UserError, match=r"a\.parquet: row group 2 holds .* smaller row groups"):
        column.cell(7)
    monkeypatch.setattr(stored, "KEPT_BYTES", 2**20)
    content = file.read_bytes()
    file.write_bytes(content[:40])
    with pytest.raises(UserError, match=r"a\.parquet: row group 2 cannot be read"):
        column.cell(7)
    with pytest.raises(UserError, match=r"a\.parquet: this is not a Parquet file"):
        ParquetColumn([file], "image")


def test_the_fingerprint_tells_files_apart(tmp_path: Path):
    def fingerprint(values: list[int], rows: slice = slice(None)) -> bytes:
        pictures = StoredPictures(ParquetColumn([write(tmp_path / "a.parquet", values)], "image"))
        return pictures.take(np.arange(len(values))[rows]).fingerprint()

    first = fingerprint([1, 2, 3])
    assert first == fingerprint([1, 2, 3])
    assert len({first, fingerprint([1, 2, 4]), fingerprint([1, 2]), fingerprint([1, 2, 3], slice(0, 2))}) == 4


def test_packed_texts_are_the_texts():
    texts = ["a/1.png", "猫/二.png", "", "x" * 300]
    packed = PackedTexts(texts)
    assert list(packed) == texts and list(packed.take(np.array([3, 0]))) == [texts[3], texts[0]]
    paths = [Path("a/1.png"), Path(os.fsdecode(b"caf\xe9.png"))]  # a name that is not UTF-8
    assert list(PackedTexts(paths)) == paths
    assert list(PackedTexts([])) == []


def fake_machine(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


GIB = 2**30
MACHINE = {"proc/meminfo": "MemTotal: 16777216 kB\nMemAvailable:   8388608 kB\n"}


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({}, 8 * GIB),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n"}, 8 * GIB),
        (
            {  # the group above has the limit; a file cache can be given up
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/b/memory.max": "max\n",
                "sys/fs/cgroup/a/b/memory.current": "5\n",
                "sys/fs/cgroup/a/memory.max": f"{4 * GIB}\n",
                "sys/fs/cgroup/a/memory.current": f"{3 * GIB}\n",
                "sys/fs/cgroup/a/memory.stat": f"anon 1\ninactive_file {GIB}\n",
            },
            2 * GIB,
        ),
        (
            {  # a container sees its own group as the root
                "proc/self/cgroup": "0::/\n",
                "sys/fs/cgroup/memory.max": f"{2 * GIB}\n",
                "sys/fs/cgroup/memory.current": f"{GIB}\n",
            },
            GIB,
        ),
        (
            {  # version 1
                "proc/self/cgroup": "5:memory:/jobs\n4:cpu,cpuacct:/jobs\n",
                "sys/fs/cgroup/memory/jobs/memory.limit_in_bytes": f"{3 * GIB}\n",
                "sys/fs/cgroup/memory/jobs/memory.usage_in_bytes": f"{GIB}\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "5\n",
            },
            2 * GIB,
        ),
    ],
)
def test_memory_that_is_free(tmp_path: Path, files: dict[str, str], wanted: int):
    assert available_memory(fake_machine(tmp_path, MACHINE | files)) == wanted


def test_memory_that_is_free_here():
    assert 2**20 < available_memory() < 2**50

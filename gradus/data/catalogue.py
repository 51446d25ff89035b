"""The catalogue: data sets that are had by name.

`CATALOGUE` is the whole table. What scikit-learn ships needs no network. The others are Parquet files, looked for in
this order: the folders of GRADUS_DATA (NAME/SPLIT.parquet, class names in NAME/labels.txt), our cache, the Hugging Face
Hub. Row counts are compared with the published ones, and a difference is noted: files packed again may hold fewer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gradus.data import hub
from gradus.data.columns import Boxes, Column, ColumnType, Label, Mask, Tags
from gradus.data.dataset import SPLITS, Dataset, NumberedRows, Split
from gradus.data.entries import ENTRIES, Entry
from gradus.data.packaged import read_packaged
from gradus.data.places import cache_folder, data_folders
from gradus.errors import UserError, did_you_mean, unknown_name

CATALOGUE: dict[str, Entry] = {entry.name: entry for entry in ENTRIES}


def load(name: str, target: str | None = None, *, say: hub.Say = hub.print_to_stderr) -> Dataset:
    """The data set `name` of the catalogue. Downloads it where it is not on this machine, saying so first.

    target: the column to learn, by default the entry's own; several joined by commas

    Raises `UserError` for an unknown name or target, for files that cannot be read, and for a download that fails (see
    `gradus.data.hub.fetch`).
    """
    if name not in CATALOGUE:
        raise unknown_name("data set", name, CATALOGUE)
    entry = CATALOGUE[name]
    target = target or entry.target
    for column in target.split(","):
        if column.strip() not in entry.types:
            hint = did_you_mean(column.strip(), entry.types)
            raise UserError(f"{name} has no column '{column.strip()}'{hint}; columns: {', '.join(entry.types)}")
    if entry.derived:
        return made(entry, target, say)
    if entry.packaged:
        splits, notes = read_packaged(name), list[str]()
    else:
        splits, notes = read_sklearn(entry) if entry.sklearn else read_parquet(entry, say)
    return Dataset(
        name=name, source=name, splits=splits, target=target, about=entry.about, notes=notes, ordered=entry.ordered
    )


def made(entry: Entry, target: str, say: hub.Say) -> Dataset:
    """The data set of an entry that is made from another."""
    from gradus.data.derived import DERIVED

    source, rule = entry.derived or ("", "")
    first = load(source, say=say)
    splits = DERIVED[rule](first.splits)
    notes = [*first.notes, f"made from {source} by the rule '{rule}' of gradus/data/derived.py"]
    return Dataset(name=entry.name, source=entry.name, splits=splits, target=target, about=entry.about, notes=notes)


def describe() -> list[list[str]]:
    """One row a data set for `gradus list data`: name, rows, target, where `load` would take it from now, about."""
    return [
        [
            entry.name,
            ", ".join(f"{split} {count:,}" if count else split for split, count in entry.splits.items()),
            f"{entry.target} ({', '.join(describe_type(entry.types[name]) for name in entry.target.split(','))})",
            where(entry),
            entry.about,
        ]
        for entry in CATALOGUE.values()
    ]


def describe_type(column_type: ColumnType) -> str:
    """`10 classes`, `boxes of 3 classes` or `number`."""
    if isinstance(column_type, Tags):
        return f"{len(column_type.classes)} tags"
    if isinstance(column_type, Label):
        return f"{len(column_type.classes)} classes"
    if isinstance(column_type, Boxes | Mask):
        return f"{'boxes' if isinstance(column_type, Boxes) else 'masks'} of {len(column_type.classes)} classes"
    return type(column_type).__name__.lower()


def where(entry: Entry) -> str:
    """Where `load` would take the data set from now."""
    if entry.packaged:
        return "part of Gradus"
    if entry.sklearn:
        return "scikit-learn, no download"
    if entry.derived:
        return f"made from {entry.derived[0]}"
    folder = find(entry)
    public = f"download from the Hub ({entry.hub})" if entry.hub else "not here, and no public source"
    return str(folder) if folder else public


def find(entry: Entry) -> Path | None:
    """The folder on this machine that the entry's Parquet files are in, or None."""
    for data in data_folders():
        folder = data / (entry.folder or entry.name)
        if any(files_of(entry, folder, split) for split in SPLITS):
            return folder
    if entry.files:
        return None  # nothing to download
    cached = cache_folder() / entry.name  # ours alone, so that a split that is missing has still to be downloaded
    stored = ["train"] if entry.shuffle else list(entry.splits)
    return cached if all(split_files(cached, split) for split in stored) else None


def files_of(entry: Entry, folder: Path, split: str) -> list[Path]:
    """The files of a split of an entry in a folder; none where it is not there."""
    if not entry.files:
        return split_files(folder, split)
    named = [folder / entry.files[split]] if split in entry.files else []
    return [path for path in named if path.is_file()]


def split_files(folder: Path, split: str) -> list[Path]:
    """The Parquet files of a split: `SPLIT.parquet`, or `SPLIT-00000-of-00002.parquet` and on where all are there."""
    whole = folder / f"{split}.parquet"
    if whole.is_file():
        return [whole]
    parts = sorted(folder.glob(f"{split}-[0-9]*-of-[0-9]*.parquet"))
    for count in range(len(parts), 0, -1):
        named = [path for path in parts if path.stem.endswith(f"-of-{count:05d}")]
        if len(named) == count:
            return named
    return []


def read_sklearn(entry: Entry) -> tuple[dict[str, Split], list[str]]:
    """The one split that scikit-learn ships: the trainer holds out what it tests by."""
    import numpy as np
    from sklearn import datasets

    units = {"scaled": False} if entry.name == "diabetes" else {}  # real units instead of unit norm
    bunch = getattr(datasets, str(entry.sklearn))(**units)
    if entry.name == "digits":
        pictures = np.round(bunch.images * (255 / 16)).astype(np.uint8)
        values: dict[str, Any] = {"image": pictures[..., None], "label": bunch.target.astype(np.int64)}
    else:
        features = [name for name in entry.types if name != entry.target]
        if list(bunch.feature_names) != features:  # a release that orders them differently must not go unseen
            raise RuntimeError(f"scikit-learn's columns of {entry.name} are {list(bunch.feature_names)}")
        values = {name: bunch.data[:, index].astype(np.float64) for index, name in enumerate(features)}
        is_class = isinstance(entry.types[entry.target], Label)
        values[entry.target] = bunch.target.astype(np.int64 if is_class else np.float64)
    columns = {name: Column(column_type, values[name]) for name, column_type in entry.types.items()}
    rows = NumberedRows.count(entry.name, len(bunch.target))
    return {"train": Split(columns, rows)}, []


def read_parquet(entry: Entry, say: hub.Say) -> tuple[dict[str, Split], list[str]]:
    """The splits of a Parquet entry and notes on where they came from, after a download where they are not here."""
    folder = find(entry)
    if folder is None and entry.hub is None:
        first = entry.files.get("train", "train.parquet")
        columns = "" if first.endswith(".txt") else f", with the columns {', '.join(entry.types)},"
        raise UserError(
            f"{entry.name} is not on this machine and has no public source: put {entry.folder or entry.name}/{first}{columns} "
            "into a folder that GRADUS_DATA names"
        )
    if folder is None:
        folder = cache_folder() / entry.name
        hub.fetch(entry.name, str(entry.hub), list(entry.splits), folder, say=say)
    types = with_label_file(entry, folder / "labels.txt")
    splits, notes = {}, [f"read from {folder}"]
    for split in SPLITS:
        if files := files_of(entry, folder, split):
            splits[split] = concatenate([read_split_file(path, types, entry.renamed, notes) for path in files])
    if entry.shuffle and set(splits) == {"train"}:
        splits = shuffled_split(splits["train"], *entry.shuffle)
    for split in SPLITS:
        published, rows = entry.splits.get(split), len(splits[split]) if split in splits else 0
        if published and rows != published:
            notes.append(f"{split}: {rows:,} rows here, {published:,} in the published data")
    return splits, notes


def shuffled_split(rows: Split, seed: int, kept: int) -> dict[str, Split]:
    """The split of Keras's loaders: rows shuffled by NumPy's old generator, the first `kept` to train on, the rest to test."""
    import numpy as np

    order = np.arange(len(rows))
    np.random.RandomState(seed).shuffle(order)
    return {"train": rows.take(order[:kept]), "test": rows.take(order[kept:])}


def with_label_file(entry: Entry, file: Path) -> dict[str, ColumnType]:
    """The entry's types, with the class names of `labels.txt` where there is one: one a line, in the labels' order."""
    if not file.is_file():
        return entry.types
    try:
        classes = tuple(line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: the class names cannot be read ({error}); expected UTF-8, one name a line") from None
    expected = entry.types[entry.target]
    if isinstance(expected, Boxes):
        return entry.types | {entry.target: Boxes(classes=classes)}
    if not isinstance(expected, Label):
        return entry.types
    if len(classes) != len(expected.classes):
        raise UserError(f"{file}: expected {len(expected.classes)} class names, one a line, found {len(classes)}")
    return entry.types | {entry.target: Label(classes=classes)}


def read_split_file(path: Path, types: dict[str, ColumnType], renamed: dict[str, str], notes: list[str]) -> Split:
    """A Parquet file, or a text file, as a split."""
    if path.suffix == ".txt":
        from gradus.data.readers.text_file import lines_of

        return lines_of(path, notes)
    return read_file(path, types, renamed)


def read_file(path: Path, types: dict[str, ColumnType], renamed: dict[str, str]) -> Split:
    """One Parquet file as a split with the columns of `types`, whether it has our names or those in `renamed`."""
    import pyarrow.parquet as parquet

    from gradus.data.readers import read_parquet_columns

    try:
        present = set(parquet.read_schema(path).names)
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        raise UserError(f"{path}: this is not a Parquet file that can be read ({hub.first_line(error)})") from None
    ours = {theirs: name for theirs, name in renamed.items() if theirs in present and name not in present}
    theirs = {name: theirs for theirs, name in ours.items()}
    split = read_parquet_columns(path, {theirs.get(name, name): kind for name, kind in types.items()})
    return Split({ours.get(name, name): column for name, column in split.columns.items()}, split.origins)


def concatenate(parts: list[Split]) -> Split:
    """The rows of several files of one split, in order."""
    if len(parts) == 1:
        return parts[0]
    columns = {
        name: Column(column.type, join([part[name].values for part in parts]))
        for name, column in parts[0].columns.items()
    }
    return Split(columns, [part.origins[row] for part in parts for row in range(len(part))])


def join(values: list[Any]) -> Any:
    """The values of one column from several files: arrays, encoded pictures or lists."""
    import numpy as np

    from gradus.data.images import EncodedImages
    from gradus.data.stored import join_stored

    first = values[0]
    if isinstance(first, EncodedImages):
        names = [part.names[row] for part in values for row in range(len(part))]
        return EncodedImages(join_stored([part.sources for part in values]), names, first.channels)
    if isinstance(first, np.ndarray):
        return np.concatenate(values)
    return [value for part in values for value in part]

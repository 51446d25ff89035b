"""The catalogue: data sets that are had by name.

`CATALOGUE` is the whole table. What scikit-learn ships needs no network. The others are Parquet files, looked for in
this order: the folders of GRADUS_DATA (NAME/SPLIT.parquet, class names in NAME/labels.txt), our cache, the Hugging Face
Hub. Row counts are compared with the published ones, and a difference is noted: files packed again may hold fewer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gradus.data import hub
from gradus.data.columns import Boxes, Column, ColumnType, Image, Label, Mask, Number, Text, Time
from gradus.data.dataset import SPLITS, Dataset, NumberedRows, Split
from gradus.data.places import cache_folder, data_folders
from gradus.errors import UserError, did_you_mean, unknown_name

TEXT_FILE = "input.txt"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One data set of the catalogue.

    types:   column name -> type
    splits:  split name -> rows of the published data
    sklearn: name of scikit-learn's loader, for what it ships
    hub:     repository on the Hugging Face Hub, for what is downloaded
    renamed: name of a column in the Hub's files -> its name here
    shuffle: seed and number of training rows of the split that the texts use, for what is stored as one split: rows in the
             order of NumPy's RandomState(seed), the first ones to train on and the rest to test on
    """

    name: str
    about: str
    target: str
    types: dict[str, ColumnType]
    splits: dict[str, int]
    sklearn: str | None = None
    hub: str | None = None
    renamed: dict[str, str] = field(default_factory=dict)
    shuffle: tuple[int, int] | None = None
    ordered: bool = False  # rows follow each other in time or in a text
    text_file: bool = False  # NAME/input.txt, a text whose lines are its rows


def numbers(*names: str) -> dict[str, ColumnType]:
    """Columns of numbers."""
    return {name: Number() for name in names}


DIGITS = Label(classes=tuple("0123456789"))
CLOTHES = Label(
    classes=(
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    )
)
OBJECTS = Label(
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
)
STREETS = (
    *("sky", "building", "pole", "road", "pavement", "tree", "sign_symbol", "fence"),
    *("car", "pedestrian", "bicyclist"),
)
CELLS = (
    *("radius", "texture", "perimeter", "area", "smoothness"),
    *("compactness", "concavity", "concave points", "symmetry", "fractal dimension"),
)

ENTRIES = (
    Entry(
        name="digits",
        about="Handwritten digits, 8x8 grey pictures: the test part of UCI's Optical Recognition of Handwritten Digits "
        "(CC BY 4.0). Its 17 grey levels are stretched to 0..255.",
        target="label",
        types={"image": Image(channels=1), "label": DIGITS},
        splits={"train": 1797},
        sklearn="load_digits",
    ),
    Entry(
        name="breast_cancer",
        about="Breast tumours, malignant or benign, by 30 measures of cell nuclei: UCI's Breast Cancer Wisconsin "
        "(Diagnostic) (CC BY 4.0). A textbook set, not fit for diagnosis.",
        target="diagnosis",
        types=numbers(
            *(f"mean {cell}" for cell in CELLS),
            *(f"{cell} error" for cell in CELLS),
            *(f"worst {cell}" for cell in CELLS),
        )
        | {"diagnosis": Label(classes=("malignant", "benign"))},
        splits={"train": 569},
        sklearn="load_breast_cancer",
    ),
    Entry(
        name="wine",
        about="Wines of three cultivars of one Italian region, by 13 chemical measures: UCI's Wine (CC BY 4.0).",
        target="cultivar",
        types=numbers(
            *("alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols", "flavanoids"),
            *("nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue"),
            *("od280/od315_of_diluted_wines", "proline"),
        )
        | {"cultivar": Label(classes=("class_0", "class_1", "class_2"))},
        splits={"train": 178},
        sklearn="load_wine",
    ),
    Entry(
        name="iris",
        about="Fisher's irises of 1936: three species by four lengths in cm (CC BY 4.0). UCI's copy has two wrong "
        "rows, this one has not.",
        target="species",
        types=numbers("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)")
        | {"species": Label(classes=("setosa", "versicolor", "virginica"))},
        splits={"train": 150},
        sklearn="load_iris",
    ),
    Entry(
        name="diabetes",
        about="Progression of diabetes one year on, by age, sex, body mass index, blood pressure and six serum "
        "measures, in their own units (Efron et al. 2004; no licence stated). Small, and not fit for diagnosis.",
        target="progression",
        types=numbers("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6", "progression"),
        splits={"train": 442},
        sklearn="load_diabetes",
    ),
    Entry(
        name="mnist",
        about="Handwritten digits, 28x28 grey pictures (LeCun, Cortes and Burges 1998; the Hub's card says MIT).",
        target="label",
        types={"image": Image(channels=1), "label": DIGITS},
        splits={"train": 60_000, "test": 10_000},
        hub="ylecun/mnist",
    ),
    Entry(
        name="fashion_mnist",
        about="Zalando's articles of clothing, 28x28 grey pictures in the form of MNIST (Xiao et al. 2017; MIT).",
        target="label",
        types={"image": Image(channels=1), "label": CLOTHES},
        splits={"train": 60_000, "test": 10_000},
        hub="zalando-datasets/fashion_mnist",
    ),
    Entry(
        name="cifar10",
        about="Objects and animals, 32x32 colour pictures (Krizhevsky 2009; no licence stated). About 3 % of the test "
        "pictures have near-twins in the training set. The collection they come from was withdrawn for offensive "
        "labels.",
        target="label",
        types={"image": Image(), "label": OBJECTS},
        splits={"train": 50_000, "test": 10_000},
        hub="uoft-cs/cifar10",
        renamed={"img": "image"},
    ),
    Entry(
        name="cats_vs_dogs",
        about="Photographs of cats and dogs of many sizes: Microsoft's part of the Asirra set, known from Kaggle's "
        "Dogs vs. Cats (no licence stated).",
        target="label",
        types={"image": Image(), "label": Label(classes=("cat", "dog"))},
        splits={"train": 23_410},
        hub="microsoft/cats_vs_dogs",
        renamed={"labels": "label"},
    ),
    Entry(
        name="boston_housing",
        about="Median house prices (in 1 000 dollars) of 506 tracts around Boston in 1970, by 13 measures (Harrison and "
        "Rubinfeld 1978). Its column B is derived from the share of Black residents on a racist premise, and scikit-learn "
        "and others have withdrawn the set: use it to reproduce the texts only (diabetes is the default for regression).",
        target="MEDV",
        types=numbers(
            *("CRIM", "ZN", "INDUS", "CHAS", "NOX", "RM", "AGE", "DIS", "RAD", "TAX", "PTRATIO", "B", "LSTAT", "MEDV")
        ),
        splits={"train": 404, "test": 102},
        shuffle=(113, 404),
    ),
    Entry(
        name="bccd",
        about="Blood under the microscope, 640x480 pictures with boxes around platelets, red and white cells (BCCD, MIT). "
        "Two boxes have no area, and many touch the border.",
        target="objects",
        types={"image": Image(), "objects": Boxes(classes=("Platelets", "RBC", "WBC"))},
        splits={"train": 205, "validation": 87, "test": 72},
    ),
    Entry(
        name="camvid",
        about="Streets from a driving car, 480x360 pictures with the class of every pixel: the 11 classes of the SegNet "
        "tutorial (Brostow et al. 2009; Badrinarayanan et al. 2015).",
        target="mask",
        types={"image": Image(), "mask": Mask(classes=STREETS, ignore=11)},
        splits={"train": 367, "validation": 101, "test": 233},
    ),
    Entry(
        name="imdb",
        about="Film reviews, half of them good and half bad (Large Movie Review Dataset, Maas et al. 2011). Their authors' "
        "words, also coarse ones.",
        target="label",
        types={"text": Text(), "label": Label(classes=("negative", "positive"))},
        splits={"train": 25_000, "test": 25_000},
        hub="stanfordnlp/imdb",
    ),
    Entry(
        name="tinyshakespeare",
        about="40 000 lines of Shakespeare's plays, as Karpathy's char-rnn has them (public domain).",
        target="text",
        types={"text": Text()},
        splits={"train": 40_000},
        ordered=True,
        text_file=True,
    ),
    Entry(
        name="nietzsche",
        about="Nietzsche's writings in English, as Keras's examples have them (public domain).",
        target="text",
        types={"text": Text()},
        splits={"train": 9_935},
        ordered=True,
        text_file=True,
    ),
    Entry(
        name="beijing_weather",
        about="Hourly weather and PM2.5 at Beijing, 2010 to 2014 (Liang et al. 2015, UCI, CC BY 4.0). pm25 has gaps.",
        target="temperature",
        types={
            "time": Time(),
            **numbers("temperature", "dew_point", "pressure"),
            "wind_direction": Label(classes=("NE", "NW", "SE", "cv")),
            **numbers("wind_speed", "snow_hours", "rain_hours", "pm25"),
        },
        splits={"train": 43_824},
        ordered=True,
    ),
)
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
    splits, notes = read_sklearn(entry) if entry.sklearn else read_parquet(entry, say)
    return Dataset(
        name=name, source=name, splits=splits, target=target, about=entry.about, notes=notes, ordered=entry.ordered
    )


def describe() -> list[list[str]]:
    """One row a data set for `gradus list data`: name, rows, target, where `load` would take it from now, about."""
    return [
        [
            entry.name,
            ", ".join(f"{split} {count:,}" for split, count in entry.splits.items()),
            f"{entry.target} ({describe_type(entry.types[entry.target])})",
            where(entry),
            entry.about,
        ]
        for entry in CATALOGUE.values()
    ]


def describe_type(column_type: ColumnType) -> str:
    """`10 classes`, `boxes of 3 classes` or `number`."""
    if isinstance(column_type, Label):
        return f"{len(column_type.classes)} classes"
    if isinstance(column_type, Boxes | Mask):
        return f"{'boxes' if isinstance(column_type, Boxes) else 'masks'} of {len(column_type.classes)} classes"
    return type(column_type).__name__.lower()


def where(entry: Entry) -> str:
    """Where `load` would take the data set from now."""
    if entry.sklearn:
        return "scikit-learn, no download"
    folder = find(entry)
    public = f"download from the Hub ({entry.hub})" if entry.hub else "not here, and no public source"
    return str(folder) if folder else public


def find(entry: Entry) -> Path | None:
    """The folder on this machine that the entry's Parquet files are in, or None."""
    for folder in data_folders():
        if entry.text_file and (folder / entry.name / TEXT_FILE).is_file():
            return folder / entry.name
        if any(split_files(folder / entry.name, split) for split in SPLITS):
            return folder / entry.name
    cached = cache_folder() / entry.name  # ours alone, so that a split that is missing has still to be downloaded
    stored = ["train"] if entry.shuffle else list(entry.splits)
    return cached if all(split_files(cached, split) for split in stored) else None


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
        file = TEXT_FILE if entry.text_file else f"train.parquet, with the columns {', '.join(entry.types)},"
        raise UserError(
            f"{entry.name} is not on this machine and has no public source: put {entry.name}/{file} into a folder that "
            "GRADUS_DATA names"
        )
    if folder is not None and entry.text_file:
        from gradus.data.readers.text_file import lines_of

        notes = [f"read from {folder}"]
        return {"train": lines_of(folder / TEXT_FILE, notes)}, notes
    if folder is None:
        folder = cache_folder() / entry.name
        hub.fetch(entry.name, str(entry.hub), list(entry.splits), folder, say=say)
    types = with_label_file(entry, folder / "labels.txt")
    splits, notes = {}, [f"read from {folder}"]
    for split in SPLITS:
        if files := split_files(folder, split):
            splits[split] = concatenate([read_file(path, types, entry.renamed) for path in files])
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

"""Pictures and the boxes written about them, as every format here gives them, into one Dataset.

A format's reader finds, in each split, what was written about each picture (`Annotated`), with classes by name, and the list of
classes in the order that its format says. All else is the same for all of them and done here: pictures looked at, sizes
compared, mistakes told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gradus.data.columns import Boxes, Column, Image, Objects
from gradus.data.dataset import SPLITS, Dataset, Mistake, Split
from gradus.data.images import SUFFIXES, EncodedImages
from gradus.data.outlines import Polygons, Runs
from gradus.data.readers.cells import listed, read_text
from gradus.data.readers.pictures import Headers
from gradus.errors import UserError, quoted

NAME_FILES = ("labels.txt", "classes.txt", "obj.names", "class_names.txt", "codes.txt")


@dataclass
class Annotated:
    """A picture and what was written about it.

    boxes: left, top, right, bottom in pixels, continuous (pixel i covers i to i + 1)
    size:  (height, width) that its annotation gives the picture, where it does
    outlines: of each box, None where it has none; all None where outlines are not asked for
    points: the key points of each object that has some, as x, y, and whether they are there, in turn
    """

    picture: Path
    origin: str
    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    ignored: list[bool] = field(default_factory=list)
    outlines: list[Polygons | Runs | None] = field(default_factory=list)
    size: tuple[int, int] | None = None
    points: list[list[float]] = field(default_factory=list)

    def add(
        self,
        box: tuple[float, float, float, float],
        name: str,
        ignored: bool = False,
        outline: Polygons | Runs | None = None,
    ) -> None:
        self.boxes.append(box)
        self.names.append(name)
        self.ignored.append(ignored)
        self.outlines.append(outline)


@dataclass
class Scenes:
    """What a format's reader found. `by_split` is filled in the order of the data; notes and mistakes as they come."""

    root: Path
    by_split: dict[str, list[Annotated]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)

    def wrong(self, kind: str, where: str, message: str) -> None:
        """Notes a mistake. kind: a plural, as "unknown classes"."""
        self.mistakes.append(Mistake(kind, where, message))

    def named(self) -> set[str]:
        """All class names that a box has."""
        return {name for rows in self.by_split.values() for row in rows for name in row.names}


def objects_dataset(scenes: Scenes, classes: Sequence[str], check: bool, source: Path | None = None) -> Dataset:
    """Columns `image` and `objects` (the target) of what was found.

    classes: all of them, in order
    check:   False leaves broken and missing pictures, and mistakes, for the scan to name
    source:  the path that was given; by default the root

    Raises `UserError` where there is no picture or no training split, and (with `check`) for mistakes and for pictures that are
    missing or broken.
    """
    found = {name: scenes.by_split[name] for name in SPLITS if scenes.by_split.get(name)}
    require_train(scenes.root, list(found))
    headers = Headers()
    for rows in found.values():
        headers.look((row.picture for row in rows), (row.origin for row in rows))
    if check:
        refuse_mistakes(scenes.root, scenes.mistakes)
        headers.raise_broken(scenes.root)
    notes = [*scenes.notes, *headers.places_notes("boxes"), *other_sizes(found, headers)]
    index = {name: number for number, name in enumerate(classes)}
    splits = {}
    for name, rows in found.items():
        origins = [row.origin for row in rows]
        images = EncodedImages([row.picture for row in rows], origins, headers.channels)
        objects = [Objects.of(row.boxes, [index[name] for name in row.names], row.ignored) for row in rows]
        columns = {
            "image": Column(Image(channels=headers.channels), images),
            "objects": Column(Boxes(classes=tuple(classes)), objects),
        }
        splits[name] = Split(columns, origins)
    return dataset_of(scenes, source or scenes.root, splits, "objects", notes)


def dataset_of(scenes: Scenes, source: Path, splits: dict[str, Split], target: str, notes: list[str]) -> Dataset:
    """The data set, called as the file or folder that was given."""
    path = source.resolve()
    name = path.stem if path.is_file() else path.name
    return Dataset(name, str(source), splits, target=target, notes=notes, mistakes=scenes.mistakes)


def refuse_mistakes(root: Path, mistakes: Sequence[Mistake], flags: str = "") -> None:
    """Raises `UserError` with the first mistake, and how many there are. flags: that the scan needs to read the same."""
    if not mistakes:
        return
    first = mistakes[0]
    more = (
        f" (and {len(mistakes) - 1:,} more; `gradus data scan {quoted(root)}{flags}` names them all)"
        if len(mistakes) > 1
        else ""
    )
    raise UserError(f"{first.where}: {first.message}{more}")


def require_train(root: Path, splits: Sequence[str]) -> None:
    """Raises `UserError` where there is no training split."""
    if not splits:
        raise UserError(f"{root}: there are no pictures in it")
    if "train" not in splits:
        raise UserError(f"{root}: there is no train split, only {', '.join(splits)}")


def other_sizes(found: dict[str, list[Annotated]], headers: Headers, what: str = "boxes") -> list[str]:
    """A note where pictures are of other sizes than their annotations say: then the boxes may be those of other pictures."""
    rows = [row for split in found.values() for row in split]
    other = [
        (row, size) for row, size in zip(rows, headers.sizes, strict=True) if size and row.size not in (None, size)
    ]
    if not other:
        return []
    row, (height, width) = other[0]
    assert row.size is not None
    said = f"{row.size[1]}x{row.size[0]}"
    return [
        f"{len(other):,} of {len(rows):,} pictures have another size than their annotation says, so their {what} may be wrong, "
        f"first {row.origin}: {width}x{height}, said to be {said}"
    ]


def class_order(root: Path | Iterable[Path], present: set[str], scenes: Scenes, usual: str) -> list[str]:
    """The classes of a format without a list of its own: those of a file of names in (one of) `root`, else sorted.

    usual: what the note says of sorted ones
    Raises `UserError` where the file lacks a class that a box has.
    """
    folders = [root] if isinstance(root, Path) else list(root)
    for folder in folders:
        if names := read_names(folder):
            file, classes = names
            unknown = sorted(present - set(classes))
            for name in unknown:
                scenes.wrong("unknown classes", str(file), f"it lacks the class '{name}', which boxes have")
            scenes.notes.append(f"classes: {len(classes)}, in the order of {file.name}")
            return [*classes, *unknown]
    classes = sorted(present, key=natural)
    scenes.notes.append(
        f"classes: {listed(classes)} ({usual}; a file labels.txt, one name a line, gives another order)"
    )
    return classes


def natural(name: str) -> tuple[int, float, str]:
    """A key that sorts whole numbers by value and before other names."""
    return (0, float(name), name) if name.isdigit() else (1, 0.0, name)


def read_names(folder: Path) -> tuple[Path, list[str]] | None:
    """(file, class names) of the file of class names in a folder: one a line, in the order of the classes' numbers."""
    for name in NAME_FILES:
        file = folder / name
        if file.is_file():
            names = [line.strip() for line in read_text(file, []).splitlines() if line.strip()]
            repeated = [name for number, name in enumerate(names) if name in names[:number]]
            if repeated:
                raise UserError(f"{file}: the class '{repeated[0]}' stands there twice")
            if names:
                return file, names
    return None


def is_picture(path: Path) -> bool:
    """Whether a file has a picture's suffix and is not hidden."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def pictures_in(folder: Path) -> list[Path]:
    """The pictures that lie in a folder itself, sorted."""
    return sorted(path for path in folder.iterdir() if is_picture(path)) if folder.is_dir() else []


def child(folder: Path, *names: str) -> Path | None:
    """The folder in `folder` that has one of the names, whatever their case; the first name that is found."""
    if not folder.is_dir():
        return None
    folders = {path.name.casefold(): path for path in sorted(folder.iterdir(), reverse=True) if path.is_dir()}
    return next((folders[name.casefold()] for name in names if name.casefold() in folders), None)


def relative(path: Path, root: Path) -> str:
    """A path as messages give it: below the root where it lies there."""
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        return path.as_posix()

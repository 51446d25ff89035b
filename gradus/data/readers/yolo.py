"""YOLO text files: one a picture, a line a box.

    data.yaml (names; train, val, test), images/train/a.jpg and labels/train/a.txt; or train/images/ and train/labels/
    classes.txt, images/ and labels/; or pictures and text files side by side

A line is `class centre-x centre-y width height`, as shares of the picture's sides, classes counted from 0 in the order of
`names`. More numbers are a polygon: of boxes the one around it is taken, with a note; masks are drawn of it where these are asked
for. A picture without a text file has no boxes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gradus.data.dataset import Dataset
from gradus.data.images import open_picture, size_of
from gradus.data.outlines import Polygons
from gradus.data.readers.cells import listed, read_text
from gradus.data.readers.folder import SPLIT_NAMES
from gradus.data.readers.objects import (
    Annotated,
    Scenes,
    child,
    is_picture,
    objects_dataset,
    pictures_in,
    read_names,
    relative,
)
from gradus.data.readers.outlined import outlines_dataset
from gradus.errors import UserError

SNAP = 1e-9  # of a side: what is nearer to 0 is 0, that was lost in centre and width
SCALARS = (
    str | int | float
)  # YAML can nest its aliases so that the text of a list fills the memory: none is made a text
LISTS = (*SPLIT_NAMES, "classes", "labels")  # text files that are no annotations


def yaml_file(root: Path) -> Path | None:
    """The YAML file in a folder that names classes and pictures."""
    files = sorted([*root.glob("*.yaml"), *root.glob("*.yml")], key=lambda file: (file.stem != "data", file.name))
    for file in files:
        lines = read_text(file, []).splitlines()
        said = [any(line.startswith(word) for line in lines) for word in ("names", "train")]
        if all(said) or (any(said) and file.stem in ("data", "dataset")):
            return file
    return None


def is_yolo(root: Path) -> bool:
    """Whether a folder is in one of the layouts."""
    if yaml_file(root):
        return True
    labels = child(root, "labels")
    if labels and (any(labels.glob("*.txt")) or any(labels.glob("*/*.txt"))) and not pictures_in(labels):
        return True
    return read_names(root) is not None and bool(_text_files(root))


def read_yolo(path: Path, check: bool = True, outlines: bool = False) -> Dataset:
    """The boxes of a YOLO folder, or of one that a YAML file describes; or masks, of the polygons. Raises `UserError` naming the
    file of what cannot be read; see `objects_dataset` for `check`."""
    path = Path(path)
    root = path.parent if path.is_file() else path
    scenes = Scenes(root)
    file = path if path.is_file() else yaml_file(root)
    if file:
        classes, pictures, posed = _described(file, scenes)
    else:
        named = read_names(root) or read_names(root / "labels")
        if named is None:
            raise UserError(
                f"{root}: the classes have no names: expected data.yaml, or classes.txt with one name a line"
            )
        classes, pictures, posed = named[1], _laid_out(root), False
    polygons = 0
    missing: list[str] = []
    for split, files in pictures.items():
        scenes.by_split[split] = []
        for picture in files:
            row = Annotated(picture, relative(picture, root))
            labels = _label_file(picture)
            if labels is None:
                missing.append(row.origin)
            else:
                polygons += _read_labels(scenes, row, labels, classes, posed)
            scenes.by_split[split].append(row)
    total = sum(map(len, pictures.values()))
    if total and len(missing) == total:
        raise UserError(
            f"{root}: none of {total:,} pictures has a text file of boxes; for {missing[0]} expected {_expected(missing[0])}"
        )
    if missing:
        scenes.notes.append(f"{len(missing):,} pictures have no text file, so no objects, first {missing[0]}")
    scenes.notes.append(f"classes: {listed(classes)} (in the order of their numbers)")
    if outlines:
        return outlines_dataset(scenes, classes, check, path)
    if polygons:
        told = "the box around each was taken; --target mask learns the class of every pixel"
        scenes.notes.append(f"{polygons:,} lines are polygons: {told}")
    return objects_dataset(scenes, classes, check, path)


def _expected(picture: str) -> str:
    name = Path(picture)
    parts = ["labels" if part == "images" else part for part in name.parts[:-1]]
    return Path(*parts, f"{name.stem}.txt").as_posix()


def _described(file: Path, scenes: Scenes) -> tuple[list[str], dict[str, list[Path]], bool]:
    """(classes, pictures of each split, whether key points follow the boxes) of a YAML file."""
    import yaml

    try:
        content = yaml.safe_load(read_text(file, []))
    except (yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{file}: this is not YAML ({str(error).splitlines()[0]})") from None
    if not isinstance(content, dict):
        raise UserError(f"{file}: expected names, train and val; this file has none")
    classes = _names(content.get("names"), file)
    number, base = content.get("nc", len(classes)), content.get("path")
    if not isinstance(number, SCALARS) or not isinstance(base, SCALARS | None):
        raise UserError(f"{file}: nc is the number of classes and path is a folder, where they are given")
    if number != len(classes):
        raise UserError(f"{file}: nc is {number!r}, but there are {len(classes)} names")
    pictures: dict[str, list[Path]] = {}
    for key, split in SPLIT_NAMES.items():
        given = content.get(key)
        if not given or split in pictures:
            continue
        pictures[split] = []
        for place in given if isinstance(given, list) else [given]:
            if not isinstance(place, SCALARS):
                raise UserError(f"{file}: {key} says where pictures are: a folder, a text file, or a list of them")
            pictures[split] += _pictures_at(file, base, str(place))
    if "train" not in pictures:
        raise UserError(f"{file}: it does not say where the training pictures are (train: images/train)")
    posed = bool(content.get("kpt_shape"))
    if posed:
        scenes.notes.append(f"key points (kpt_shape in {file.name}) were left out")
    return classes, {split: files for split, files in pictures.items() if files}, posed


def _names(given: Any, file: Path) -> list[str]:
    if isinstance(given, dict):
        if set(given) != set(range(len(given))):
            raise UserError(f"{file}: names count from 0 without gaps, found {listed([str(key) for key in given])}")
        given = [given[number] for number in range(len(given))]
    if not isinstance(given, list) or not given or not all(isinstance(name, SCALARS | None) for name in given):
        raise UserError(f"{file}: names is a list of class names, or a table of number: name")
    names = [str(name).strip() for name in given]
    if len(set(names)) < len(names):
        raise UserError(f"{file}: names has a class twice")
    return names


def _pictures_at(file: Path, base: Any, place: str) -> list[Path]:
    """The pictures of one entry: those below a folder, or named in a text file."""
    root = file.parent
    inside = place.replace("\\", "/")
    while inside.startswith("../"):  # Roboflow names its folders from one that is not there
        inside = inside.removeprefix("../")
    bases = [root / str(base), Path(str(base)), root] if base else [root]
    places = [folder / name for folder in bases for name in (place, inside)]
    found = next((path for path in places if _is_there(path)), None)
    if found is None:
        raise UserError(f"{file}: there is no {places[0]}")
    if found.is_file():
        names = [line.strip() for line in read_text(found, []).splitlines() if line.strip()]
        return [
            next((path for path in (found.parent / name, root / name) if _is_there(path)), root / name)
            for name in names
        ]
    return sorted(path for path in found.rglob("*") if is_picture(path))


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # longer than a name may be, or with a zero byte
        return False


def _laid_out(root: Path) -> dict[str, list[Path]]:
    """The pictures of each split of a folder without a YAML file."""
    images = child(root, "images")
    above = images or root
    splits: dict[str, list[Path]] = {}
    for folder in sorted(path for path in above.iterdir() if path.is_dir()):
        split = SPLIT_NAMES.get(folder.name.lower())
        if split:
            splits[split] = pictures_in(folder) or pictures_in(folder / "images")
    return {split: files for split, files in splits.items() if files} or {"train": pictures_in(above)}


def _label_file(picture: Path) -> Path | None:
    """The text file of a picture: in labels/ in place of the last images/ of its path, or beside it."""
    parts = list(picture.parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "images":
            file = Path(*parts[:place], "labels", *parts[place + 1 :]).with_suffix(".txt")
            if _is_there(file):
                return file
            break
    for file in (picture.with_suffix(".txt"), picture.parent / "labels" / f"{picture.stem}.txt"):
        if _is_there(file):
            return file
    return None


def _text_files(folder: Path) -> list[Path]:
    """Text files that have a picture of their name beside them."""
    stems = {path.stem for path in pictures_in(folder)}
    return [path for path in sorted(folder.glob("*.txt")) if path.stem in stems and path.stem not in LISTS]


def _read_labels(scenes: Scenes, row: Annotated, file: Path, classes: list[str], posed: bool) -> int:
    """Adds the boxes of one text file; returns how many were polygons. posed: what follows a box are key points."""
    lines = [(number, line.split()) for number, line in enumerate(read_text(file, []).splitlines(), start=1)]
    lines = [(number, words) for number, words in lines if words]
    if not lines:
        return 0
    try:
        with open_picture(row.picture, row.origin) as picture:
            height, width = size_of(picture)
    except UserError:
        return 0  # told with all pictures that cannot be read
    polygons = 0
    for number, words in lines:
        where = f"line {number} of {relative(file, scenes.root)}"
        try:
            values = [float(word) for word in (words[:5] if posed else words)]
        except ValueError:
            values = []
        if len(values) < 5 or len(values) == 6 or (len(values) > 6 and len(values) % 2 == 0) or values[0] % 1 != 0:
            message = "expected a class number, centre x, centre y, width and height, found " + " ".join(words)[:60]
            scenes.wrong("boxes that cannot be read", where, message)
            continue
        label = int(values[0])
        if not 0 <= label < len(classes):
            message = f"the class {label} has no name; there are {len(classes)}, counted from 0"
            scenes.wrong("unknown classes", where, message)
            continue
        if len(values) == 5:
            row.add(_box(values[1:], height, width), classes[label])
        else:
            corners = np.array(values[1:]).reshape(-1, 2) * (width, height)
            (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
            row.add((left, top, right, bottom), classes[label], outline=Polygons((corners,)))
            polygons += 1
        if max(map(abs, values[1:])) > 2:
            message = (
                f"shares of the picture's sides go from 0 to 1, found {max(values[1:], key=abs):g}; are these pixels?"
            )
            scenes.wrong("boxes that cannot be read", where, message)
    return polygons


def _box(values: list[float], height: int, width: int) -> tuple[float, float, float, float]:
    x, y, across, down = values
    sides = (x - across / 2) * width, (y - down / 2) * height, (x + across / 2) * width, (y + down / 2) * height
    left, top, right, bottom = (0.0 if abs(side) < SNAP * max(height, width) else side for side in sides)
    return left, top, right, bottom

"""COCO JSON: boxes of pictures, in one file a split.

    annotations/instances_train.json (also instances_train2017.json, train.json), pictures in train/, images/train/ or images/
    train/_annotations.coco.json beside its pictures, as Roboflow exports it
    one JSON file, its pictures in the same folder or in images/ beside it

A box is [left, top, width, height] in pixels, continuous. Category ids are any numbers; the classes stand in their order.
`iscrowd` is ignored. Key points are read where a picture has one object with some. Polygons and run lengths are read as masks
where these are asked for, in which a crowd is of its class; else they are counted in a note.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from gradus.data.columns import Column, Points
from gradus.data.dataset import Dataset, Split
from gradus.data.outlines import Polygons, Runs, read_runs
from gradus.data.readers.cells import listed, read_text
from gradus.data.readers.folder import SPLIT_NAMES
from gradus.data.readers.objects import Annotated, Scenes, child, objects_dataset, relative
from gradus.data.readers.outlined import outlines_dataset
from gradus.errors import UserError

ROBOFLOW = "_annotations.coco.json"
UNTOLD = (0.0, 0.0, 0.0, 0.0)  # the box of an object whose outline is read
OTHER_TASKS = ("captions", "person_keypoints", "stuff", "panoptic", "image_info")


def is_coco_file(path: Path) -> bool:
    """Whether a JSON file is an object with images and annotations, by its text."""
    if path.suffix.lower() != ".json" or not path.is_file():
        return False
    with path.open("rb") as file:
        if not file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
            return False
        file.seek(0)
        text = file.read()
    return b'"annotations"' in text and b'"images"' in text


def coco_files(root: Path) -> dict[str, Path]:
    """Split -> its COCO file, of a folder in one of the layouts; empty where it is in none. Raises `UserError` for two files of a
    split."""
    files: dict[str, Path] = {}
    for path in _candidates(root):
        split = split_named(path.parent.name if path.name == ROBOFLOW and path.parent != root else path.stem) or "train"
        if split in files:
            raise UserError(
                f"{root}: '{relative(files[split], root)}' and '{relative(path, root)}' are both the {split} split; "
                "keep one of them, or give the path of one"
            )
        files[split] = path
    return files


def _candidates(root: Path) -> list[Path]:
    exported = [path for path in (root / ROBOFLOW, *sorted(root.glob(f"*/{ROBOFLOW}"))) if path.is_file()]
    if exported:
        return exported
    for folder in (child(root, "annotations", "annotation"), root):
        found = sorted(path for path in folder.glob("*.json") if is_coco_file(path)) if folder else []
        kinds = (("instances",), ("",), ("person_keypoints",))
        boxes = [path for path in found if not path.stem.startswith(OTHER_TASKS)]
        for part, starts in zip((boxes, boxes, found), kinds, strict=True):
            if chosen := [path for path in part if path.stem.startswith(starts)]:
                return chosen
    return []


def split_named(text: str) -> str | None:
    """The split that a file's or folder's name contains as a word: `instances_val2017` is validation."""
    words = re.split(r"[^a-z]+", text.lower())
    return next((SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES), None)


def read_coco(path: Path, check: bool = True, outlines: bool = False) -> Dataset:
    """The boxes of a COCO file (as the train split), or of a folder of them; or masks, of the outlines.

    Raises `UserError` naming the file and entry of what cannot be read; see `objects_dataset` for `check`.
    """
    path = Path(path)
    root = path.parent if path.is_file() else path
    files = {"train": path} if path.is_file() else coco_files(path)
    scenes = Scenes(root)
    parts = {split: _load(file) for split, file in files.items()}
    names = _categories(files, parts)
    outlined = 0
    for split, file in files.items():
        outlined += _read_split(scenes, split, file, parts[split], names, outlines)
    classes = _classes(names, parts, scenes)
    scenes.notes.append(f"classes: {listed(classes)} (in the order of the category ids)")
    if outlines:
        return outlines_dataset(scenes, classes, check, path)
    if outlined:
        scenes.notes.append(f"{outlined:,} objects have outlines: --target mask learns the class of every pixel")
    dataset = objects_dataset(scenes, classes, check, path)
    return _with_points(dataset, scenes, [entry for content in parts.values() for entry in content["categories"]])


def _with_points(dataset: Dataset, scenes: Scenes, categories: list[dict[str, Any]]) -> Dataset:
    """The data set with a column `points` where objects have key points of one list of names, and no picture has two such
    objects; otherwise they are left out with a note."""
    lists = {tuple(map(str, entry["keypoints"])) for entry in categories if isinstance(entry.get("keypoints"), list)}
    lists.discard(())
    crowds = [row for rows in scenes.by_split.values() for row in rows if len(row.points) > 1]
    if not any(row.points for rows in scenes.by_split.values() for row in rows):
        return dataset
    if len(lists) != 1 or crowds:
        why = f"{crowds[0].origin} has {len(crowds[0].points)} objects with some" if crowds else "their names differ"
        dataset.notes.append(
            f"key points were left out: they are read where a picture has one object with some, but {why}"
        )
        return dataset
    names = lists.pop()
    splits = {}
    for split, part in dataset.splits.items():
        places = np.full((len(part), len(names), 2), np.nan)
        for index, row in enumerate(scenes.by_split[split]):
            for values in row.points:
                table = np.array(values, dtype=np.float64).reshape(-1, 3)
                if len(table) != len(names):
                    raise UserError(f"{row.origin}: {len(table)} key points, but {len(names)} names of them")
                places[index] = np.where(table[:, 2:] > 0, table[:, :2], np.nan)
        splits[split] = Split({**part.columns, "points": Column(Points(names=names), places)}, part.origins)
    return dataset.with_splits(splits, "the key points are in the column 'points': --target points learns them")


def _load(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_text(file, []))
    except json.JSONDecodeError as error:
        raise UserError(f"{file}: this is not JSON (line {error.lineno}: {error.msg})") from None
    except ValueError:  # of a number with thousands of digits
        raise UserError(f"{file}: this is not a COCO file (a number in it is too long)") from None
    except RecursionError:
        raise UserError(f"{file}: this is not a COCO file (nested too deep)") from None
    for part in ("images", "annotations", "categories"):
        entries = content.get(part) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise UserError(f"{file}: a COCO file has a list '{part}' of objects; this one has not")
    return content


def _categories(files: dict[str, Path], parts: dict[str, dict[str, Any]]) -> dict[Any, str]:
    """Category id -> name, of all files, by ascending id. Raises `UserError` where files or ids disagree."""
    names: dict[Any, str] = {}
    for split, content in parts.items():
        for entry in content["categories"]:
            number, name = entry.get("id"), str(entry.get("name", "")).strip()
            if not isinstance(number, int) or not name:
                raise UserError(f"{files[split]}: a category has an id, a whole number, and a name; found {entry}")
            if names.setdefault(number, name) != name:
                raise UserError(
                    f"{files[split]}: category {number} is called '{name}' here and '{names[number]}' in another split"
                )
    if len(set(names.values())) < len(names):
        twice = next(name for name in names.values() if list(names.values()).count(name) > 1)
        raise UserError(f"{next(iter(files.values()))}: two categories are called '{twice}'")
    return dict(sorted(names.items()))


def _classes(names: dict[Any, str], parts: dict[str, dict[str, Any]], scenes: Scenes) -> list[str]:
    """All categories but those that only stand above others and have no box, as Roboflow writes one."""
    above = {str(entry.get("supercategory")) for content in parts.values() for entry in content["categories"]}
    used = scenes.named()
    empty = [name for name in names.values() if name in above and name not in used]
    kept = [name for name in names.values() if name not in empty]
    if empty and kept:
        scenes.notes.append(f"left out the category {listed(empty)}: it has no box and only stands above others")
        return kept
    return list(names.values())


def _read_split(
    scenes: Scenes, split: str, file: Path, content: dict[str, Any], names: dict[Any, str], outlines: bool
) -> int:
    """Adds the pictures of one file; returns how many annotations have an outline beside their box. outlines: whether these are
    read; then a box is not needed."""
    folder = _picture_folder(scenes.root, split, file, content["images"])
    rows: dict[Any, Annotated] = {}
    where = relative(file, scenes.root)
    for entry in content["images"]:
        name = entry.get("file_name")
        if not isinstance(name, str) or not name or _key(entry.get("id")) is None:
            raise UserError(f"{file}: an image has an id and a file_name; found {str(entry)[:80]}")
        if entry["id"] in rows:
            raise UserError(f"{file}: two images have the id {entry['id']}")
        picture = folder / name.replace("\\", "/")
        size = entry.get("height"), entry.get("width")
        known = (size[0], size[1]) if all(isinstance(side, int) and side > 0 for side in size) else None
        rows[entry["id"]] = Annotated(picture, relative(picture, scenes.root), size=known)

    def outlined_as(entry: dict[str, Any]) -> Polygons | Runs | None:
        """Polygons without parts where an object has no outline, or none is asked for."""
        given = entry.get("segmentation") if outlines else None
        return _outline(given, rows[entry["image_id"]].size) if given else Polygons(())

    outlined = 0
    for entry in content["annotations"]:
        outlined += bool(entry.get("segmentation"))
        label = f"annotation {entry.get('id', '?')} of {where}"
        if _key(entry.get("image_id")) not in rows:
            scenes.wrong("annotations of no picture", label, f"there is no image with the id {entry.get('image_id')}")
        elif _key(entry.get("category_id")) not in names:
            number = entry.get("category_id")
            scenes.wrong("unknown classes", label, f"there is no category with the id {number}")
        elif (outline := outlined_as(entry)) is None:
            message = f"expected polygons, or run lengths of the picture, found {str(entry['segmentation'])[:60]}"
            scenes.wrong("outlines that cannot be read", label, message)
        elif isinstance(outline, Runs) or outline.parts:
            row = rows[entry["image_id"]]
            row.add(UNTOLD, names[entry["category_id"]], bool(entry.get("iscrowd")), outline)
        elif (box := _box(entry.get("bbox"))) is None:
            message = f"expected a bbox of left, top, width and height, found {str(entry.get('bbox'))[:60]}"
            scenes.wrong("boxes that cannot be read", label, message)
        else:
            row = rows[entry["image_id"]]
            row.add(box, names[entry["category_id"]], bool(entry.get("iscrowd")))
            points = entry.get("keypoints")
            if points and entry.get("num_keypoints", 1):
                if (places := _numbers(points)) is None or len(places) % 3:
                    message = f"expected keypoints of x, y and visibility in turn, found {str(points)[:60]}"
                    scenes.wrong("key points that cannot be read", label, message)
                else:
                    row.points.append(places)
    scenes.by_split[split] = list(rows.values())
    return outlined


def _outline(given: Any, size: tuple[int, int] | None) -> Polygons | Runs | None:
    """Polygons as lists of x and y in turn, or one such list, or run lengths; None where it is none of these. Parts of fewer than
    three corners cover nothing and are left out. size: of the picture, where it is told."""
    if isinstance(given, dict):
        counts, sides = given.get("counts"), _numbers(given.get("size", size and list(size)))
        whole = isinstance(counts, list) and all(isinstance(count, int) for count in counts)
        if not (isinstance(counts, str) or whole) or sides is None or len(sides) != 2 or any(x % 1 for x in sides):
            return None
        return read_runs(cast("str | list[int]", counts), (int(sides[0]), int(sides[1])))
    flat = _numbers(given)
    parts = [flat] if flat else [_numbers(part) for part in given] if isinstance(given, list) else [None]
    if any(part is None or len(part) % 2 for part in parts):
        return None
    return Polygons(tuple(np.array(part).reshape(-1, 2) for part in parts if part and len(part) >= 6))


def _key(given: Any) -> int | str | None:
    """What may be an id: a whole number or a text."""
    return given if isinstance(given, int | str) else None


def _box(given: Any) -> tuple[float, float, float, float] | None:
    numbers = _numbers(given)
    if numbers is None or len(numbers) != 4:
        return None
    left, top, width, height = numbers
    return left, top, left + width, top + height


def _numbers(given: Any) -> list[float] | None:
    """The numbers of a list; None where it is none, or holds anything else."""
    if not isinstance(given, list) or any(isinstance(x, bool) or not isinstance(x, int | float) for x in given):
        return None
    try:
        return [float(number) for number in given]
    except OverflowError:  # a whole number beyond what a float holds
        return None


def _picture_folder(root: Path, split: str, file: Path, images: Sequence[dict[str, Any]]) -> Path:
    """Where the pictures of a file lie: the first of the usual places that has (most of) the first ones."""
    words = [
        word for word in re.split(r"[_\-.]", file.stem) if SPLIT_NAMES.get(re.sub(r"\d+", "", word.lower())) == split
    ]
    same = [name for name, meant in SPLIT_NAMES.items() if meant == split]
    places = [file.parent]
    for name in (*words, *same):
        places += [root / name, root / "images" / name, root / name / "images"]
    places += [root / "images", root, file.parent / "images", root / "JPEGImages", root / "data"]
    names = [str(entry.get("file_name", "")).replace("\\", "/") for entry in images[:20]]

    def found(place: Path) -> int:
        try:
            return sum((place / name).is_file() for name in names)
        except (OSError, ValueError):
            return 0

    counts = [found(place) for place in places]
    if not max(counts):
        return root / split if (root / split).is_dir() else file.parent
    return places[counts.index(max(counts))]

"""Pascal VOC XML: one file a picture.

    Annotations/*.xml, JPEGImages/ (or images/), ImageSets/Main/train.txt, val.txt, trainval.txt, test.txt
    a.jpg and a.xml side by side, as labelImg writes them; also in folders train, val (valid), test

Corners count pixels from 1, and the last one belongs to the box; here pixel i covers i to i + 1, so a box is (xmin - 1, ymin - 1,
xmax, ymax). Decimal numbers are taken as they are. `difficult` boxes are ignored. Classes are sorted, unless a file labels.txt
names them in another order. A document type in an XML file is refused, so no entity is ever expanded.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from xml.etree import ElementTree

from gradus.data.dataset import Dataset
from gradus.data.readers.cells import read_text
from gradus.data.readers.folder import SPLIT_NAMES
from gradus.data.readers.objects import (
    Annotated,
    Scenes,
    child,
    class_order,
    is_picture,
    objects_dataset,
    pictures_in,
    relative,
)
from gradus.errors import UserError

CORNERS = ("xmin", "ymin", "xmax", "ymax")


def annotation_folder(root: Path) -> Path | None:
    """The folder Annotations where it holds XML files."""
    folder = child(root, "Annotations", "annotation", "xmls", "xml")
    return folder if folder and any(folder.glob("*.xml")) else None


def xml_folders(root: Path) -> dict[str, Path]:
    """Split -> the folder in which XML files lie beside pictures; the root itself is "train" where it is one."""
    folders: dict[str, Path] = {}
    for path in sorted(path for path in root.iterdir() if path.is_dir()):
        split = SPLIT_NAMES.get(path.name.lower())
        if split and any(path.glob("*.xml")):
            if split in folders:
                raise UserError(
                    f"{root}: '{folders[split].name}' and '{path.name}' are both the {split} split; keep one of them"
                )
            folders[split] = path
    return folders or ({"train": root} if any(root.glob("*.xml")) else {})


def is_voc(root: Path) -> bool:
    """Whether a folder is in one of the layouts."""
    return annotation_folder(root) is not None or bool(xml_folders(root))


def read_voc(root: Path, check: bool = True) -> Dataset:
    """The boxes of a VOC folder. Raises `UserError` naming the file of what cannot be read; see `objects_dataset` for `check`."""
    root = Path(root)
    scenes = Scenes(root)
    annotations = annotation_folder(root)
    if annotations:
        _read_sets(scenes, annotations)
    else:
        for split, folder in xml_folders(root).items():
            _read_beside(scenes, split, folder)
    classes = class_order(root, scenes.named(), scenes, "sorted, since VOC has no list of them")
    return objects_dataset(scenes, classes, check)


def read_image_sets(folder: Path, known: Collection[str]) -> dict[str, list[str]]:
    """Split -> the names in ImageSets/Main (or Segmentation), in their order; trainval is train where there is no train.

    known: names that there are. A line that is none of them ends in a word that says whether a class is there.
    """
    found = {}
    for split, names in {"train": ("train",), "validation": ("val", "validation", "valid"), "test": ("test",)}.items():
        files = [file for name in names if (file := folder / f"{name}.txt").is_file()]
        if files:
            found[split] = _listed_names(files[0], known)
    both = folder / "trainval.txt"
    if "train" not in found and both.is_file():
        found["train"] = _listed_names(both, known)
    return {split: names for split, names in found.items() if names}


def _listed_names(file: Path, known: Collection[str]) -> list[str]:
    lines = [line.strip() for line in read_text(file, []).splitlines() if line.strip()]
    return [line if line in known else re.sub(r"\s+\S+$", "", line) for line in lines]


def _read_sets(scenes: Scenes, annotations: Path) -> None:
    root = scenes.root
    pictures = child(root, "JPEGImages", "images", "image", "img") or root
    by_stem = {path.stem: path for path in pictures_in(pictures)}
    if not by_stem:
        raise UserError(
            f"{root}: there are no pictures in it; expected {root / 'JPEGImages'} beside {annotations.name}"
        )
    written = sorted(path.stem for path in annotations.glob("*.xml"))
    sets = read_image_sets(root / "ImageSets" / "Main", {*written, *by_stem})
    if not sets:
        sets = {"train": written}
        scenes.notes.append("there is no ImageSets/Main/train.txt: all pictures are training rows")
    else:
        outside = set(written) - {name for names in sets.values() for name in names}
        if outside:
            scenes.notes.append(f"{len(outside):,} XML files are in no split of ImageSets/Main and were left out")
    for split, names in sets.items():
        scenes.by_split[split] = []
        for name in names:
            file = annotations / f"{name}.xml"
            picture = by_stem.get(name, pictures / f"{name}.jpg")
            if file.is_file():
                _add(scenes, split, file, picture)
            else:
                scenes.wrong("missing annotations", f"{name} of {split}.txt", f"there is no file {file}")


def _read_beside(scenes: Scenes, split: str, folder: Path) -> None:
    by_stem = {path.stem: path for path in pictures_in(folder)}
    files = {path.stem: path for path in sorted(folder.glob("*.xml"))}
    scenes.by_split[split] = []
    for stem, file in files.items():
        picture = by_stem.get(stem) or folder / _named_picture(file)
        _add(scenes, split, file, picture)
    alone = sorted(set(by_stem) - set(files))
    if alone:
        first = relative(by_stem[alone[0]], scenes.root)
        scenes.notes.append(f"{len(alone):,} pictures have no XML file and were left out, first {first}")


def _named_picture(file: Path) -> str:
    """The file name that an annotation gives its picture, or its own with .jpg."""
    name = (_parse(file).findtext("filename") or "").strip()
    return name if name and "/" not in name and "\\" not in name and is_picture(Path(name)) else f"{file.stem}.jpg"


def _add(scenes: Scenes, split: str, file: Path, picture: Path) -> None:
    tree = _parse(file)
    where = relative(file, scenes.root)
    row = Annotated(picture, relative(picture, scenes.root), size=_size(tree))
    for number, element in enumerate(tree.iter("object"), start=1):
        name = (element.findtext("name") or "").strip()
        box = _box(element.find("bndbox"))
        if not name:
            scenes.wrong("unknown classes", f"object {number} of {where}", "it has no name")
        elif box is None:
            message = "expected a bndbox of xmin, ymin, xmax and ymax, each a number"
            scenes.wrong("boxes that cannot be read", f"object {number} of {where}", message)
        else:
            row.add(box, name, (element.findtext("difficult") or "0").strip() not in ("0", "false", ""))
    scenes.by_split[split].append(row)


def _box(element: ElementTree.Element | None) -> tuple[float, float, float, float] | None:
    if element is None:
        return None
    try:
        xmin, ymin, xmax, ymax = (float(element.findtext(corner) or "missing") for corner in CORNERS)
    except ValueError:
        return None
    return xmin - 1, ymin - 1, xmax, ymax


def _size(tree: ElementTree.Element) -> tuple[int, int] | None:
    try:
        height, width = (int(tree.findtext(f"size/{side}") or 0) for side in ("height", "width"))
    except ValueError:
        return None
    return (height, width) if height > 0 and width > 0 else None


class _NoDocumentType(ElementTree.TreeBuilder):
    """A tree that refuses a document type, and with it all entities: they could name other files or grow without end."""

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        raise UserError("it has a document type (DOCTYPE), which is not read")


def _parse(file: Path) -> ElementTree.Element:
    try:
        parser = ElementTree.XMLParser(target=_NoDocumentType())
        return ElementTree.fromstring(file.read_bytes(), parser=parser)
    except ElementTree.ParseError as error:
        raise UserError(f"{file}: this is not XML ({error})") from None
    except (OSError, ValueError, LookupError) as error:  # LookupError: an encoding that is not known
        raise UserError(f"{file}: the XML cannot be read ({error})") from None

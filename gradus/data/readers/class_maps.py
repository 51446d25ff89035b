"""Which class a mask's numbers or colours stand for: lists of names, colour maps, and what is made of them.

Pixels of a class called void, unlabelled or ignore, and the number 255, have no class: they are not learnt and not counted.
A class called background is one as any other. In masks that hold 0 and 255 alone, 255 is the foreground.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gradus.data.masks import MOST_CLASSES, Colour
from gradus.data.readers.cells import listed, read_text
from gradus.data.readers.objects import read_names
from gradus.errors import UserError

IGNORE = 255
NO_CLASS = ("void", "unlabelled", "unlabeled", "ignore", "ignored", "ignore_label")
COLOUR_FILES = ("colors", "colours", "class_dict", "label_colors", "label_colours", "labelmap", "colormap")
NUMBERS_FIRST = re.compile(r"\s*(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(\d{1,3})[\s,;:]+(\S.*?)\s*$")
NAME_FIRST = re.compile(r"\s*(\S.*?)[\s,;:]+(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(\d{1,3})[\s,;:]*$")
VOC = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)


@dataclass(frozen=True)
class ClassMap:
    """The classes of a data set's masks, and the class of each value of their files.

    unknown: values (of 256) that stand for nothing that is known
    """

    classes: tuple[str, ...]
    table: np.ndarray
    unknown: np.ndarray


def read_colours(folders: list[Path]) -> tuple[Path, list[tuple[str, Colour]]] | None:
    """(file, (name, colour) of each class) of the first colour map in the folders: lines `name,r,g,b` or `r g b name`.

    Raises `UserError` for a line that is neither, and where a name or colour stands there twice.
    """
    for folder in folders:
        for stem in COLOUR_FILES:
            for file in (folder / f"{stem}.csv", folder / f"{stem}.txt"):
                if file.is_file():
                    return file, _parse_colours(file)
    return None


def _parse_colours(file: Path) -> list[tuple[str, Colour]]:
    found: list[tuple[str, Colour]] = []
    for number, line in enumerate(read_text(file, []).splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if match := NUMBERS_FIRST.match(line):
            red, green, blue, name = match.groups()
        elif match := NAME_FIRST.match(line):
            name, red, green, blue = match.groups()
        elif not found:
            continue  # the header
        else:
            raise UserError(f"line {number} of {file}: expected name,r,g,b with numbers from 0 to 255, found '{line}'")
        colour = (int(red), int(green), int(blue))
        if max(colour) > 255:
            raise UserError(f"line {number} of {file}: colours go from 0 to 255, found {colour}")
        name = name.strip("\"' ,;:")
        for other, known in found:
            if other == name or known == colour:
                what = f"the class '{name}'" if other == name else f"the colour {colour}"
                raise UserError(f"line {number} of {file}: {what} stands there twice")
        found.append((name, colour))
    if not found:
        raise UserError(f"{file}: there are no lines name,r,g,b in it")
    return found


def find_names(folders: list[Path]) -> tuple[Path, list[str]] | None:
    """The first file of class names in the folders."""
    return next((named for folder in folders if (named := read_names(folder))), None)


def class_map(
    names: list[str] | None, counts: np.ndarray, where: Path, notes: list[str], voc: bool = False
) -> ClassMap:
    """What the values of masks mean.

    names:  those of the values 0, 1, 2, ...; None where nothing names them
    counts: (256,) pixels of each value in all masks
    voc:    whether these are the masks of a VOC folder, whose values 0 to 20 have names of their own
    """
    used = np.flatnonzero(counts).tolist()
    table = np.full(256, IGNORE, dtype=np.uint8)
    if used == [0, 255] and len(names or ("", "")) == 2:
        notes.append("masks hold 0 and 255: 255 is the second class, " + ("foreground" if names is None else names[1]))
        table[[0, 255]] = 0, 1
        return ClassMap(tuple(names or ("background", "foreground")), table, np.zeros(256, dtype=bool))
    if names is None:
        values = [value for value in used if value != IGNORE]
        if voc and values == list(range(len(VOC))):
            names = list(VOC)
            notes.append("classes: the 21 of Pascal VOC (a file labels.txt, one name a line, gives other names)")
        else:
            notes.append(
                f"classes: the numbers in the masks, {listed([str(value) for value in values])} (a file labels.txt, one name "
                "a line for 0, 1, 2, ..., gives them names)"
            )
            named = {value: str(value) for value in values}
    if names is not None:
        if len(names) > MOST_CLASSES:
            raise UserError(f"{where}: masks of at most {MOST_CLASSES} classes can be read, found {len(names)} names")
        named = dict(enumerate(names))
    classes = {value: name for value, name in named.items() if name.casefold().strip("_") not in NO_CLASS}
    if not classes:
        raise UserError(f"{where}: the masks hold no class")
    table[list(classes)] = np.arange(len(classes))
    gone = [name for value, name in named.items() if value not in classes]
    if gone:
        notes.append(f"pixels of {listed(gone)} have no class: not learnt, not counted")
    elif counts[IGNORE] and IGNORE not in named:
        notes.append("the value 255 is no class: not learnt, not counted")
    unknown = np.ones(256, dtype=bool)
    unknown[[*named, IGNORE]] = False
    return ClassMap(tuple(classes.values()), table, unknown)
